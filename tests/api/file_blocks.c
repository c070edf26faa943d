/* file_blocks - a file system that prefers very large blocks, and does not tell what direct I/O wants: a new file, of which
 * nothing can be tried, gets the alignment that is sure to do, and everything works with it. */
#include "files.h"

#include <sched.h>
#include <sys/mount.h>

enum { WANTED = 1 << 20, BYTES = 5000003 };

/* 2 MiB, as tmpfs says of its files where it may use huge pages. */
static void mount_large(void)
{
	struct stat st;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", files_home, "tmpfs", 0, "size=64m,huge=always") < 0)
		SKIP("needs to be root, and huge pages in tmpfs");
	files_make("try", 1);
	ck_assert_int_eq(stat(files_path("try"), &st), 0);
	if (st.st_blksize < WANTED)
		SKIP("its blocks are not large here");
}

static void check_whole(struct torc_file *file)
{
	static unsigned char bytes[BYTES + 10];
	struct torc_file_reader reader;
	size_t got = 0;
	int r;

	ck_assert_int_eq(torc_file_reader_open(&reader, file, NULL), 0);
	while ((r = torc_file_reader_read(&reader, bytes + got, sizeof bytes - got)) > 0)
		got += (size_t)r;
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(got, BYTES);
	ck_assert(pattern_holds(bytes, BYTES, 0));
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	memset(bytes, 0, sizeof bytes);
	ck_assert_int_eq(torc_file_read_exact_at(file, bytes + 1, BYTES - 7, 7), BYTES - 7);
	ck_assert(pattern_holds(bytes + 1, BYTES - 7, 7));
}

static void write_whole(struct torc_file_writer *writer)
{
	static unsigned char bytes[BYTES];

	pattern_fill(bytes, BYTES, 0);
	ck_assert_int_eq(torc_file_writer_write(writer, bytes, BYTES), BYTES);
}

static int streams(void *arg)
{
	struct torc_file_writer writer;
	struct torc_file file;

	(void)arg;
	ck_assert_int_eq(
		torc_file_open(&file, files_path("a"),
	                       TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .direct = true, .create_new = true)),
		0);
	ck_assert_int_eq(torc_file_writer_open(&writer, &file, NULL), 0);
	write_whole(&writer);
	ck_assert_int_eq(torc_file_writer_close(&writer), 0);
	check_whole(&file);
	return torc_file_close(&file);
}

TEST(streams_of_large_blocks)
{
	files_begin();
	mount_large();
	ck_assert_int_eq(torc_run(NULL, streams, NULL), 0);
	ck_assert_int_eq(umount2(files_home, MNT_DETACH), 0);
	files_remove();
}

static int pieces(void *arg)
{
	struct torc_file file;
	struct torc_buffer buffer;
	size_t align;
	char *odd;

	(void)arg;
	ck_assert_int_eq(
		torc_file_open(&file, files_path("a"),
	                       TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .direct = true, .create_new = true)),
		0);
	align = torc_file_align(&file);
	ck_assert_int_eq(torc_buffer_open(&buffer, 3 * align + 1), 0);
	for (odd = buffer.data; odd < (char *)buffer.data + 2; odd++) {
		pattern_fill(odd, 3 * align, 0);
		ck_assert_int_eq(torc_file_write_at(&file, odd, 3 * align, 0), 3 * (int64_t)align);
		memset(odd, 0, 3 * align);
		ck_assert_int_eq(torc_file_read_exact_at(&file, odd, 3 * align, 0), 3 * (int64_t)align);
		ck_assert(pattern_holds(odd, 3 * align, 0));
	}
	torc_buffer_close(&buffer);
	return torc_file_close(&file);
}

TEST(pieces_of_large_blocks)
{
	files_begin();
	mount_large();
	ck_assert_int_eq(torc_run(NULL, pieces, NULL), 0);
	ck_assert_int_eq(umount2(files_home, MNT_DETACH), 0);
	files_remove();
}
