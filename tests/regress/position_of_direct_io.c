/* A stream over a regular file that was opened with O_DIRECT read its first block for ever, and wrote over it: the kernel does
 * not move a file's own position when it answers later. */
#include "../api/files.h"

enum { BLOCK = 4096, BLOCKS = 8 };

FILE_TEST(position_moves_with_direct_io)
{
	int fd = open(files_make("a", (size_t)BLOCK * BLOCKS), O_RDWR | O_CLOEXEC | O_DIRECT);
	struct torc_stream stream;
	struct torc_buffer block;

	if (fd < 0)
		SKIP("no O_DIRECT on this file system");
	ck_assert_int_eq(torc_buffer_open(&block, BLOCK), 0);
	ck_assert_int_eq(torc_stream_wrap(&stream, fd), 0);
	for (size_t i = 0; i < BLOCKS; i++) {
		ck_assert_int_eq(torc_stream_read(&stream, block.data, BLOCK), BLOCK);
		ck_assert(pattern_holds(block.data, BLOCK, i * BLOCK));
	}
	ck_assert_int_eq(torc_stream_read(&stream, block.data, BLOCK), 0);
	for (size_t i = BLOCKS; i < 2 * BLOCKS; i++) {
		pattern_fill(block.data, BLOCK, i * BLOCK);
		ck_assert_int_eq(torc_stream_write(&stream, block.data, BLOCK), BLOCK);
	}
	ck_assert_int_eq(files_size(files_path("a")), 2 * BLOCK * BLOCKS);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	for (size_t i = 0; i < 2 * BLOCKS; i++) {
		ck_assert_int_eq(torc_stream_read(&stream, block.data, BLOCK), BLOCK);
		ck_assert(pattern_holds(block.data, BLOCK, i * BLOCK));
	}
	ck_assert_int_eq(torc_stream_close(&stream), 0);
	torc_buffer_close(&block);
}
