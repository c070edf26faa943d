/* file - files, direct and buffered: exact bytes, whatever the offsets, the memory and the end of the file. */
#include "files.h"

static void open_file(struct torc_file *file, const char *path, const struct torc_file_options *options)
{
	ck_assert_int_eq(torc_file_open(file, path, options), 0);
}

/* --- opening --------------------------------------------------------------------------------- */

FILE_TEST(missing_file_is_enoent)
{
	struct torc_file file = { 0 };

	ck_assert_int_eq(torc_file_open(&file, files_path("none"), NULL), -ENOENT);
	ck_assert_int_eq(torc_file_fd(&file), -EBADF);
	ck_assert_int_eq(torc_file_open(&file, "", NULL), -ENOENT);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(directory_is_eisdir)
{
	struct torc_file file;

	ck_assert_int_eq(torc_file_open(&file, files_home, NULL), -EISDIR);
	ck_assert_int_eq(torc_file_open(&file, files_home, BUFFERED), -EISDIR);
}

FILE_TEST(wrong_mode_is_ebadf)
{
	const char *path = files_make("a", 100);
	struct torc_file file;
	char byte = 1;

	open_file(&file, path, NULL);
	ck_assert_int_eq(torc_file_write_at(&file, &byte, 1, 0), -EBADF);
	ck_assert_int_eq(torc_file_close(&file), 0);
	open_file(&file, path, TORC_OPTIONS(torc_file_options, .flags = O_WRONLY));
	ck_assert_int_eq(torc_file_read_at(&file, &byte, 1, 0), -EBADF);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(empty_handle_is_ebadf)
{
	struct torc_file file = { 0 };
	struct torc_file_info stat;
	char byte;

	ck_assert_int_eq(torc_file_read_at(&file, &byte, 1, 0), -EBADF);
	ck_assert_int_eq(torc_file_read_at(&file, &byte, 0, 0), -EBADF);
	ck_assert_int_eq(torc_file_read_exact_at(&file, &byte, 1, 0), -EBADF);
	ck_assert_int_eq(torc_file_write_at(&file, &byte, 1, 0), -EBADF);
	ck_assert_int_eq(torc_file_write_at(&file, &byte, 0, 0), -EBADF);
	ck_assert_int_eq(torc_file_size(&file), -EBADF);
	ck_assert_int_eq(torc_file_stat(&file, &stat), -EBADF);
	ck_assert_int_eq(torc_file_sync(&file), -EBADF);
	ck_assert_int_eq(torc_file_datasync(&file), -EBADF);
	ck_assert_int_eq(torc_file_sync_range(&file, 0, 0), -EBADF);
	ck_assert_int_eq(torc_file_truncate(&file, 0), -EBADF);
	ck_assert_int_eq(torc_file_allocate(&file, 0, 1, 0), -EBADF);
	ck_assert_int_eq(torc_file_punch_hole(&file, 0, 1), -EBADF);
	ck_assert_int_eq(torc_file_advise(&file, TORC_ADVICE_RANDOM, 0, 0), -EBADF);
	ck_assert_int_eq(torc_file_link(&file, NULL, "x"), -EBADF);
	ck_assert_int_eq(torc_file_lock(&file, TORC_LOCK_SHARED, 0, 0), -EBADF);
	ck_assert_int_eq(torc_file_unlock(&file, 0, 0), -EBADF);
	ck_assert_int_eq(torc_file_copy(&file, 0, &file, 10, 5), -EBADF);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(what_goes_through_a_handle_is_counted)
{
	struct torc_file_io io = { .size = sizeof io }, none = { .size = 0 };
	struct torc_file_reader reader = { 0 };
	struct torc_file file, empty = { 0 };
	char bytes[1000];
	struct iovec pieces[2] = { { bytes, 10 }, { bytes + 10, 20 } };

	ck_assert_int_eq(torc_file_open(&file, files_make("counted", 5000), BUFFERED), 0);
	ck_assert_int_eq(torc_file_io_get(&io, &file), 0);
	ck_assert_uint_eq(io.reads + io.writes + io.read_bytes + io.written_bytes, 0);
	ck_assert_int_eq(torc_file_read_at(&file, bytes, 1000, 0), 1000);
	ck_assert_int_eq(torc_file_read_at(&file, bytes, 100, 4950),
	                 50); /* by the cache, found short, then by the ring */
	ck_assert_int_eq(torc_file_write_at(&file, bytes, 7, 0), 7);
	ck_assert_int_eq(torc_file_writev_at(&file, pieces, 2, 0, 0), 30);
	ck_assert_int_eq(torc_file_io_get(&io, &file), 0);
	ck_assert_uint_eq(io.reads, 2);
	ck_assert_uint_eq(io.read_bytes, 1100);
	ck_assert_uint_eq(io.writes, 2);
	ck_assert_uint_eq(io.written_bytes, 37);
	ck_assert_int_eq(torc_file_reader_open(&reader, &file,
	                                       TORC_OPTIONS(torc_file_reader_options, .buffer_size = 1000, .end = 4000,
	                                                    .read_ahead = 8)),
	                 0);
	ck_assert_int_eq(torc_file_reader_read_exact(&reader, bytes, 1000), 1000);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_int_eq(torc_file_io_get(&io, &file), 0);
	ck_assert_uint_eq(io.reads, 6);
	ck_assert_uint_eq(io.read_bytes, 5100);
	ck_assert_int_eq(torc_file_io_get(&none, &file), -EINVAL);
	ck_assert_int_eq(torc_file_io_get(&io, &empty), -EBADF);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(create_new_makes_the_file_once)
{
	const struct torc_file_options *options =
		TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .create_new = true, .mode = 0600, .dsync = true);
	struct torc_file file;
	struct torc_file_info stat;

	open_file(&file, files_path("new"), options);
	ck_assert_int_eq(torc_file_stat(&file, &stat), 0);
	ck_assert(S_ISREG(stat.mode));
	ck_assert_uint_eq(stat.mode & 0777, 0600);
	ck_assert(fcntl(torc_file_fd(&file), F_GETFL) & O_DSYNC);
	ck_assert(fcntl(torc_file_fd(&file), F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_int_eq(torc_file_open(&file, files_path("new"), options), -EEXIST);
}

FILE_TEST(temporary_vanishes)
{
	const struct torc_file_options *options = TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .temporary = true);
	struct torc_file file;
	char bytes[10];

	if (torc_file_open(&file, files_home, options) == -EOPNOTSUPP)
		SKIP("this file system has no O_TMPFILE");
	ck_assert_int_eq(torc_file_write_at(&file, "0123456789", 10, 0), 10);
	ck_assert_int_eq(torc_file_read_at(&file, bytes, 10, 0), 10);
	ck_assert_mem_eq(bytes, "0123456789", 10);
	ck_assert_int_eq(rmdir(files_home), 0); /* it is empty */
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(unlinked_but_open_works)
{
	const char *path = files_make("a", 5000);
	struct torc_file file;
	char bytes[5000];

	open_file(&file, path, BUFFERED);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(torc_file_read_at(&file, bytes, 5000, 0), 5000);
	ck_assert(pattern_holds(bytes, 5000, 0));
	ck_assert_int_eq(torc_file_write_at(&file, bytes, 5000, 5000), 5000);
	ck_assert_int_eq(torc_file_size(&file), 10000);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(wrap_takes_a_descriptor_over)
{
	int fd = open(files_make("a", 5000), O_RDONLY | O_CLOEXEC | O_DIRECT);
	struct torc_file file = { 0 };
	char bytes[100];

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(torc_file_wrap(&file, fd), 0);
	ck_assert_int_eq(torc_file_fd(&file), fd);
	ck_assert_int_eq(torc_file_read_at(&file, bytes, 100, 7), 100);
	ck_assert(pattern_holds(bytes, 100, 7));
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert(!fd_is_open(fd));
	ck_assert_int_eq(torc_file_wrap(&file, fd), -EBADF);
	fd = open(files_home, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(torc_file_wrap(&file, fd), -EISDIR);
	close(fd);
}

/* --- reading --------------------------------------------------------------------------------- */

/* Not a byte beyond the end. */
static bool untouched(const unsigned char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != 0xee)
			return false;
	return true;
}

/* Every offset and length near the edges of a file of `size` bytes, into memory that is as bad. */
static void read_all_over(struct torc_file *file, size_t size)
{
	static const int near[] = { -513, -512, -511, -4, -1, 0, 1, 3, 512, 513 };
	static unsigned char memory[3 * 65536];
	const size_t edges[] = { 513, 4096, 8192, size };
	const size_t lens[] = { 1, 511, 512, 4096, 4097, 70000 };

	for (size_t e = 0; e < LENGTH(edges); e++) {
		for (size_t n = 0; n < LENGTH(near); n++) {
			for (size_t l = 0; l < LENGTH(lens); l++) {
				uint64_t offset = edges[e] + (size_t)near[n];
				size_t left = offset < size ? size - offset : 0, want = lens[l] < left ? lens[l] : left;
				unsigned char *buf = memory + (n + l) % 5;

				memset(memory, 0xee, lens[l] + 16);
				ck_assert_int_eq(torc_file_read_at(file, buf, lens[l], offset), want);
				ck_assert(pattern_holds(buf, want, offset));
				ck_assert(untouched(buf + want, lens[l] - want));
			}
		}
	}
}

static void read_over(const struct torc_file_options *options)
{
	static const size_t sizes[] = { 4096 * 3, 4096 * 3 + 1, 4096 * 3 + 511, 65536 + 513, 4096 * 25 - 1 };

	for (size_t i = 0; i < LENGTH(sizes); i++) {
		struct torc_file file;

		open_file(&file, files_make("a", sizes[i]), options);
		ck_assert_int_eq(torc_file_size(&file), sizes[i]);
		read_all_over(&file, sizes[i]);
		ck_assert_int_eq(torc_file_close(&file), 0);
	}
}

FILE_TEST(buffered_reads_are_exact)
{
	read_over(NULL);
}

FILE_TEST(direct_reads_are_exact)
{
	read_over(TORC_OPTIONS(torc_file_options, .direct = true));
}

FILE_TEST(direct_is_not_granted_where_it_cannot_be)
{
	const struct torc_file_options *direct = TORC_OPTIONS(torc_file_options, .direct = true);
	struct torc_file file;
	char bytes[6];

	open_file(&file, "/proc/self/status", direct);
	ck_assert(!torc_file_is_direct(&file));
	ck_assert_uint_eq(torc_file_align(&file), 1);
	ck_assert_int_eq(torc_file_read_at(&file, bytes, 5, 0), 5);
	ck_assert_mem_eq(bytes, "Name:", 5);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(direct_read_into_a_buffer_and_its_parts)
{
	struct torc_buffer buffer, slice;
	struct torc_file file;

	open_file(&file, files_make("a", 65536 + 100), DIRECT);
	ck_assert_int_eq(torc_buffer_open(&buffer, 131072), 0);
	ck_assert_int_eq(torc_file_read_at(&file, buffer.data, 131072, 0), 65536 + 100);
	ck_assert(pattern_holds(buffer.data, 65536 + 100, 0));
	slice = torc_buffer_slice(&buffer, 8192, 8192);
	ck_assert_int_eq(torc_file_read_at(&file, slice.data, slice.size, 4096), 8192);
	ck_assert(pattern_holds(slice.data, 8192, 4096));
	slice = torc_buffer_slice(&buffer, 4097, 100);
	ck_assert_int_eq(torc_file_read_at(&file, slice.data, slice.size, 1), 100);
	ck_assert(pattern_holds(slice.data, 100, 1));
	torc_buffer_close(&buffer);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(read_exact_is_all_or_says_why)
{
	static char bytes[10000];
	struct torc_file file;

	for (int direct = 0; direct < 2; direct++) {
		open_file(&file, files_make("a", 6000), direct ? DIRECT : BUFFERED);
		ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, 6000, 0), 6000);
		ck_assert(pattern_holds(bytes, 6000, 0));
		ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, 500, 5500), 500);
		ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, 501, 5500), -ENODATA);
		ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, 8192, 0), -ENODATA);
		ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, 1, 6000), 0);
		ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, 1, 60000), 0);
		ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, 0, 0), 0);
		ck_assert_int_eq(torc_file_close(&file), 0);
	}
}

FILE_TEST(empty_file_reads_nothing)
{
	struct torc_file file;
	char bytes[4096];

	for (int direct = 0; direct < 2; direct++) {
		open_file(&file, files_make("a", 0), direct ? DIRECT : BUFFERED);
		ck_assert_int_eq(torc_file_size(&file), 0);
		ck_assert_int_eq(torc_file_read_at(&file, bytes, sizeof bytes, 0), 0);
		ck_assert_int_eq(torc_file_read_at(&file, bytes, 1, 100), 0);
		ck_assert_int_eq(torc_file_read_at(&file, bytes, 1, INT64_C(1) << 40), 0);
		ck_assert_int_eq(torc_file_close(&file), 0);
	}
}

FILE_TEST(offsets_that_are_none_are_refused)
{
	struct torc_file file;
	char byte = 0;

	open_file(&file, files_make("a", 10), BUFFERED);
	ck_assert_int_eq(torc_file_read_at(&file, &byte, 1, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(torc_file_read_at(&file, &byte, 1, (uint64_t)INT64_MAX + 1), -EINVAL);
	ck_assert_int_eq(torc_file_write_at(&file, &byte, 1, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(torc_file_write_at(&file, &byte, SIZE_MAX, 0), -EINVAL);
	ck_assert_int_eq(torc_file_read_exact_at(&file, &byte, SIZE_MAX, 0), -EINVAL);
#ifndef TORC_VALGRIND /* which minds the address itself, where a system call and not the ring reads */
	ck_assert_int_eq(torc_file_read_at(&file, NULL, 1, 0), -EFAULT);
#endif
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* --- writing --------------------------------------------------------------------------------- */

/* However far it is, behind the end there is nothing; and nothing can be written where no file reaches. */
static void at_the_last_bytes(const struct torc_file_options *options)
{
	static unsigned char bytes[8192];
	struct torc_file_reader reader;
	struct torc_file file;

	open_file(&file, files_make("a", 10000), options);
	for (uint64_t before = 0; before < 10000; before += before < 10 ? 1 : 997) {
		uint64_t at = INT64_MAX - before;

		ck_assert_int_eq(torc_file_read_at(&file, bytes, sizeof bytes, at), 0);
		ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, 1, at), 0);
		if (before < 4096) /* some file systems have files nearly as long */
			ck_assert_int_eq(torc_file_write_at(&file, bytes, sizeof bytes, at & ~UINT64_C(4095)), -EFBIG);
		ck_assert_int_eq(torc_file_reader_open(&reader, &file, NULL), 0);
		ck_assert_int_eq(torc_file_reader_skip(&reader, at), 0);
		ck_assert_int_eq(torc_file_reader_read(&reader, bytes, sizeof bytes), 0);
		ck_assert_int_eq(torc_file_reader_close(&reader), 0);
		ck_assert_int_eq(
			torc_file_reader_open(&reader, &file, TORC_OPTIONS(torc_file_reader_options, .start = at)), 0);
		ck_assert_int_eq(torc_file_reader_read(&reader, bytes, sizeof bytes), 0);
		ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	}
	ck_assert_int_eq(torc_file_write_at(&file, bytes, 4096, INT64_MAX & ~UINT64_C(4095)), -EFBIG);
	ck_assert_int_eq(torc_file_write_some_at(&file, bytes, 4096, INT64_MAX & ~UINT64_C(4095)), -EFBIG);
	ck_assert_int_eq(torc_file_size(&file), 10000);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(far_behind_the_end_there_is_nothing)
{
	at_the_last_bytes(BUFFERED);
}

FILE_TEST(far_behind_the_end_of_a_direct_file_there_is_nothing)
{
	at_the_last_bytes(DIRECT);
}

FILE_TEST(write_past_the_end_leaves_zeros)
{
	struct torc_file file;
	unsigned char bytes[3000];

	open_file(&file, files_make("a", 10), BUFFERED);
	pattern_fill(bytes, 1000, 0);
	ck_assert_int_eq(torc_file_write_at(&file, bytes, 1000, 2000), 1000);
	ck_assert_int_eq(torc_file_size(&file), 3000);
	ck_assert_int_eq(torc_file_read_at(&file, bytes, 3000, 0), 3000);
	ck_assert(pattern_holds(bytes, 10, 0));
	for (int i = 10; i < 2000; i++)
		ck_assert_uint_eq(bytes[i], 0);
	ck_assert(pattern_holds(bytes + 2000, 1000, 0));
	ck_assert_int_eq(torc_file_sync(&file), 0);
	ck_assert_int_eq(torc_file_datasync(&file), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(direct_writes_from_any_memory)
{
	static unsigned char memory[600001];
	struct torc_buffer buffer;
	struct torc_file file;

	open_file(&file, files_make("a", 0), DIRECT);
	if (!torc_file_is_direct(&file))
		SKIP("no direct I/O here");
	ck_assert_uint_gt(torc_file_align(&file), 1);
	pattern_fill(memory + 1, 524288, 0);
	ck_assert_int_eq(torc_file_write_at(&file, memory + 1, 524288, 0), 524288);
	memset(memory, 0, sizeof memory);
	ck_assert_int_eq(torc_file_read_at(&file, memory, 524288, 0), 524288);
	ck_assert(pattern_holds(memory, 524288, 0));
	ck_assert_int_eq(torc_buffer_open(&buffer, 8192), 0);
	pattern_fill(buffer.data, 8192, 5);
	ck_assert_int_eq(torc_file_write_at(&file, buffer.data, 8192, 524288), 8192);
	ck_assert_int_eq(torc_file_read_at(&file, memory, 600000, 524288), 8192);
	ck_assert(pattern_holds(memory, 8192, 5));
	ck_assert_int_eq(torc_file_write_at(&file, buffer.data, 8192, 1), -EINVAL);
	ck_assert_int_eq(torc_file_write_at(&file, buffer.data, 8191, 0), -EINVAL);
	torc_buffer_close(&buffer);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

struct writer {
	struct torc_file *file;
	uint64_t from;
};

static int write_half(void *arg)
{
	struct writer *writer = arg;
	unsigned char piece[100];

	for (uint64_t at = writer->from; at < 20000; at += 200) {
		pattern_fill(piece, 100, at);
		ck_assert_int_eq(torc_file_write_at(writer->file, piece, 100, at), 100);
	}
	return 0;
}

FILE_TEST(two_writers_of_two_parts)
{
	static unsigned char bytes[20000];
	struct torc_file file;
	struct writer even = { &file, 0 }, odd = { &file, 100 };

	open_file(&file, files_make("a", 0), BUFFERED);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, write_half, &even), 0);
	ck_assert_int_eq(torc_go(scope, write_half, &odd), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(torc_file_read_at(&file, bytes, 20000, 0), 20000);
	ck_assert(pattern_holds(bytes, 20000, 0));
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(write_some_says_how_far_it_got)
{
	struct torc_file file;

	open_file(&file, files_make("a", 0), BUFFERED);
	ck_assert_int_eq(torc_file_write_some_at(&file, "abc", 3, 5), 3);
	ck_assert_int_eq(torc_file_write_some_at(&file, "abc", 0, 5), 0);
	ck_assert_int_eq(torc_file_write_some_at(&file, "abc", 1, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(torc_file_size(&file), 8);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(append_goes_to_the_end)
{
	struct torc_file file;
	char bytes[8];

	open_file(&file, files_make("a", 4), TORC_OPTIONS(torc_file_options, .flags = O_RDWR | O_APPEND));
	ck_assert_int_eq(torc_file_write_at(&file, "wxyz", 4, 0), 4);
	ck_assert_int_eq(torc_file_read_at(&file, bytes, 8, 0), 8);
	ck_assert_mem_eq(bytes + 4, "wxyz", 4);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* --- pieces ---------------------------------------------------------------------------------- */

static void pieces_round_trip(const struct torc_file_options *options, size_t unit)
{
	static _Alignas(4096) unsigned char in[3 * 8192], out[3 * 8192];
	struct iovec write[] = { { in, 2 * unit }, { in + 2 * unit, 0 }, { in + 2 * unit, unit } };
	struct iovec read[] = { { out, unit }, { out + unit, 4 * unit } };
	struct torc_file file;

	open_file(&file, files_make("a", 0), options);
	pattern_fill(in, 3 * unit, 0);
	memset(out, 0, sizeof out);
	ck_assert_int_eq(torc_file_writev_at(&file, write, 3, 0, 0), 3 * unit);
	ck_assert_int_eq(torc_file_readv_at(&file, read, 2, 0, 0), 3 * unit);
	ck_assert(pattern_holds(out, 3 * unit, 0));
	ck_assert_int_eq(torc_file_readv_at(&file, read, 2, 3 * unit, 0), 0);
	ck_assert_int_eq(torc_file_readv_at(&file, read, 0, 0, 0), 0);
	ck_assert_int_eq(torc_file_writev_at(&file, read, 0, 0, 0), 0);
	ck_assert_int_eq(torc_file_readv_at(&file, read, -1, 0, 0), -EINVAL);
	ck_assert_int_eq(torc_file_readv_at(&file, read, 1025, 0, 0), -EINVAL);
	ck_assert_int_eq(torc_file_readv_at(&file, read, 2, UINT64_MAX, 0), -EINVAL);
	ck_assert_int_eq(torc_file_readv_at(&file, read, 2, 0, 1), -EINVAL); /* a flag that is none */
	read[1].iov_len = INT_MAX;
	ck_assert_int_eq(torc_file_readv_at(&file, read, 2, 0, 0), -EINVAL);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(pieces_of_any_size)
{
	pieces_round_trip(BUFFERED, 777);
}

FILE_TEST(pieces_of_blocks)
{
	pieces_round_trip(DIRECT, 4096);
}

FILE_TEST(direct_pieces_that_are_not_aligned)
{
	unsigned char a[100], b[5000];
	struct iovec pieces[] = { { a, 100 }, { b, 5000 } };
	struct torc_file file;

	open_file(&file, files_make("a", 4000), DIRECT);
	if (!torc_file_is_direct(&file))
		SKIP("no direct I/O here");
	ck_assert_int_eq(torc_file_readv_at(&file, pieces, 2, 3, 0), 3997);
	ck_assert(pattern_holds(a, 100, 3));
	ck_assert(pattern_holds(b, 3897, 103));
	ck_assert_int_eq(torc_file_writev_at(&file, pieces, 2, 0, 0), -EINVAL);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(flags_are_kept_or_refused)
{
	struct torc_file_info info;
	struct torc_file file;
	char bytes[8] = "1234567";
	struct iovec piece = { bytes, 8 };
	int64_t r;

	open_file(&file, files_make("a", 100), BUFFERED);
	ck_assert_int_eq(torc_file_writev_at(&file, &piece, 1, 0, TORC_RW_DSYNC), 8);
	ck_assert_int_eq(torc_file_writev_at(&file, &piece, 1, 0, TORC_RW_APPEND), 8);
	ck_assert_int_eq(torc_file_size(&file), 108);
	ck_assert_int_eq(torc_file_readv_at(&file, &piece, 1, 0, TORC_RW_DONTCACHE), 8); /* or without */
	ck_assert_int_eq(torc_file_writev_at(&file, &piece, 1, 0, TORC_RW_DONTCACHE), 8);
	r = torc_file_readv_at(&file, &piece, 1, 0, TORC_RW_NOWAIT);
	ck_assert(r == 8 || r == -EAGAIN || r == -EOPNOTSUPP);
	r = torc_file_writev_at(&file, &piece, 1, 0, TORC_RW_ATOMIC);
	ck_assert(r == -EINVAL || r == -EOPNOTSUPP);
	ck_assert_int_eq(torc_file_stat(&file, &info), 0);
	ck_assert_uint_le(info.atomic_least, info.atomic_most);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* --- room, copies, names, locks -------------------------------------------------------------- */

FILE_TEST(truncate_cuts_and_extends)
{
	struct torc_file file;
	unsigned char bytes[300];

	open_file(&file, files_make("a", 100), BUFFERED);
	ck_assert_int_eq(torc_file_truncate(&file, 50), 0);
	ck_assert_int_eq(torc_file_size(&file), 50);
	ck_assert_int_eq(torc_file_truncate(&file, 300), 0);
	ck_assert_int_eq(torc_file_read_at(&file, bytes, 300, 0), 300);
	ck_assert(pattern_holds(bytes, 50, 0));
	for (int i = 50; i < 300; i++)
		ck_assert_uint_eq(bytes[i], 0);
	ck_assert_int_eq(torc_file_truncate(&file, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_int_eq(torc_file_truncate(&file, 0), -EBADF);
}

FILE_TEST(allocate_and_punch)
{
	static unsigned char bytes[65536];
	struct torc_file file;
	int r;

	open_file(&file, files_make("a", 10), BUFFERED);
	r = torc_file_allocate(&file, 0, 1 << 20, 0);
	if (r == -EOPNOTSUPP)
		SKIP("this file system allocates nothing ahead");
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(torc_file_size(&file), 1 << 20);
	ck_assert_int_eq(torc_file_allocate(&file, 1 << 20, 4096, FALLOC_FL_KEEP_SIZE), 0);
	ck_assert_int_eq(torc_file_size(&file), 1 << 20);
	ck_assert_int_eq(torc_file_allocate(&file, 0, 0, 0), -EINVAL);
	pattern_fill(bytes, sizeof bytes, 0);
	ck_assert_int_eq(torc_file_write_at(&file, bytes, sizeof bytes, 0), sizeof bytes);
	ck_assert_int_eq(torc_file_punch_hole(&file, 4096, 8192), 0);
	ck_assert_int_eq(torc_file_read_at(&file, bytes, sizeof bytes, 0), sizeof bytes);
	ck_assert(pattern_holds(bytes, 4096, 0));
	for (int i = 4096; i < 12288; i++)
		if (bytes[i])
			ck_abort_msg("byte %d is not zero", i);
	ck_assert(pattern_holds(bytes + 12288, 65536 - 12288, 12288));
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(copy_brings_the_same_bytes)
{
	static unsigned char bytes[300000];
	struct torc_file from, to, again;

	open_file(&from, files_make("a", 300000), BUFFERED);
	open_file(&to, files_make("b", 0), BUFFERED);
	ck_assert_int_eq(torc_file_copy(&to, 0, &from, 0, 1 << 30), 300000); /* to its end */
	ck_assert_int_eq(torc_file_read_at(&to, bytes, sizeof bytes, 0), 300000);
	ck_assert(pattern_holds(bytes, 300000, 0));
	ck_assert_int_eq(torc_file_copy(&to, 300007, &from, 13, 1000), 1000);
	ck_assert_int_eq(torc_file_read_at(&to, bytes, 1000, 300007), 1000);
	ck_assert(pattern_holds(bytes, 1000, 13));
	ck_assert_int_eq(torc_file_copy(&from, 200000, &from, 0, 100000), 100000); /* within one */
	ck_assert_int_eq(torc_file_copy(&from, 50, &from, 0, 100), -EINVAL);
	ck_assert_int_eq(torc_file_open(&again, files_path("a"), BUFFERED), 0);
	ck_assert_int_eq(torc_file_copy(&again, 50, &from, 0, 100), -EINVAL);
	ck_assert_int_eq(torc_file_close(&again), 0);
	ck_assert_int_eq(torc_file_copy(&to, UINT64_MAX, &from, 0, 100), -EINVAL);
	ck_assert_int_eq(torc_file_copy(&to, 0, &from, 1 << 30, 100), 0);
	ck_assert_int_eq(torc_file_copy(&to, 0, &from, 0, 0), 0);
	ck_assert_int_eq(torc_file_close(&from), 0);
	ck_assert_int_eq(torc_file_copy(&to, 0, &from, 0, 100), -EBADF);
	ck_assert_int_eq(torc_file_close(&to), 0);
}

/* A long copy goes by steps, none of which overlaps by itself. */
FILE_TEST(ranges_that_overlap_are_seen_however_long)
{
	const uint64_t mib = 1 << 20;
	struct torc_file from, to;

	open_file(&from, files_make("a", 10), BUFFERED);
	open_file(&to, files_path("a"), BUFFERED);
	ck_assert_int_eq(torc_file_truncate(&from, 100 * mib), 0);
	ck_assert_int_eq(torc_file_copy(&to, 80 * mib, &from, 0, 100 * mib), -EINVAL);
	ck_assert_int_eq(torc_file_copy(&from, 0, &to, 80 * mib, 100 * mib), -EINVAL);
	ck_assert_int_eq(torc_file_size(&from), 100 * (int64_t)mib);
	ck_assert_int_eq(torc_file_copy(&to, 100 * mib, &from, 0, 100), 100);
	ck_assert_int_eq(torc_file_close(&from), 0);
	ck_assert_int_eq(torc_file_close(&to), 0);
}

FILE_TEST(copy_where_the_kernel_does_not)
{
	struct torc_file from, to;
	char bytes[64];
	int64_t n;

	open_file(&from, "/proc/self/status", NULL); /* of no size, on another file system */
	open_file(&to, files_make("b", 0), BUFFERED);
	n = torc_file_copy(&to, 0, &from, 0, 1 << 20);
	ck_assert_int_gt(n, 100);
	ck_assert_int_eq(torc_file_read_at(&to, bytes, 5, 0), 5);
	ck_assert_mem_eq(bytes, "Name:", 5);
	ck_assert_int_eq(torc_file_close(&from), 0);
	ck_assert_int_eq(torc_file_close(&to), 0);
}

FILE_TEST(ranges_and_hints)
{
	struct torc_file file;

	open_file(&file, files_make("a", 100000), BUFFERED);
	ck_assert_int_eq(torc_file_sync_range(&file, 0, 0), 0);
	ck_assert_int_eq(torc_file_sync_range(&file, 4096, UINT64_C(5) << 30), 0);
	ck_assert_int_eq(torc_file_sync_range(&file, UINT64_MAX, 1), -EINVAL);
	for (int advice = TORC_ADVICE_NORMAL; advice <= TORC_ADVICE_NOREUSE; advice++)
		ck_assert_int_eq(torc_file_advise(&file, (enum torc_advice)advice, 0, 0), 0);
	ck_assert_int_eq(torc_file_advise(&file, TORC_ADVICE_WILLNEED, 0, 50000), 0);
	ck_assert_int_eq(torc_file_advise(&file, (enum torc_advice)77, 0, 0), -EINVAL);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* More than fits into a request of the ring: in one call, not in billions. */
FILE_TEST(ranges_and_hints_of_any_length)
{
	struct torc_file file;

	open_file(&file, files_make("a", 100000), BUFFERED);
	TORC_SCOPE(scope, .deadline = torc_in(AGES));
	ck_assert_int_eq(torc_file_sync_range(&file, 0, INT64_MAX), 0);
	ck_assert_int_eq(torc_file_sync_range(&file, 4096, INT64_MAX), -EINVAL);
	ck_assert_int_eq(torc_file_advise(&file, TORC_ADVICE_WILLNEED, 1, INT64_MAX - 1), 0);
	ck_assert_int_eq(torc_file_advise(&file, TORC_ADVICE_DONTNEED, 0, UINT64_C(1) << 32), 0);
	ck_assert_int_eq(torc_file_advise(&file, (enum torc_advice)77, 0, INT64_MAX), -EINVAL);
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_int_eq(torc_file_advise(&file, TORC_ADVICE_NORMAL, 0, INT64_MAX), -EBADF);
}

FILE_TEST(dup_is_a_second_handle)
{
	struct torc_file file, copy = { 0 };
	char byte;

	open_file(&file, files_make("a", 10), DIRECT);
	ck_assert_int_eq(torc_file_dup(&file, &copy), 0);
	ck_assert_int_ne(torc_file_fd(&copy), torc_file_fd(&file));
	ck_assert_uint_eq(torc_file_align(&copy), torc_file_align(&file));
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_int_eq(torc_file_read_at(&copy, &byte, 1, 3), 1);
	ck_assert(pattern_holds(&byte, 1, 3));
	ck_assert_int_eq(torc_file_dup(&file, &file), -EBADF);
	ck_assert_int_eq(torc_file_close(&copy), 0);
}

FILE_TEST(temporary_can_be_given_a_name)
{
	struct torc_file file;
	struct torc_dir dir;

	ck_assert_int_eq(torc_dir_open(&dir, NULL, files_home), 0);
	if (torc_file_open(&file, ".",
	                   TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .temporary = true, .at = &dir)) < 0)
		SKIP("this file system has no O_TMPFILE");
	ck_assert_int_eq(torc_file_write_at(&file, "abc", 3, 0), 3);
	ck_assert_int_eq(torc_file_link(&file, &dir, "named"), 0);
	ck_assert_int_eq(torc_file_link(&file, &dir, "named"), -EEXIST);
	ck_assert_int_eq(torc_file_link(&file, NULL, files_path("again")), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_int_eq(files_size(files_path("named")), 3);
	ck_assert_int_eq(files_size(files_path("again")), 3);
	ck_assert_int_eq(torc_dir_close(&dir), 0);
}

FILE_TEST(locks_exclude_and_share)
{
	struct torc_file a, b, copy;

	open_file(&a, files_make("a", 10), BUFFERED);
	open_file(&b, files_path("a"), BUFFERED);
	ck_assert_int_eq(torc_file_lock(&a, TORC_LOCK_SHARED, 0, 0), 0);
	ck_assert_int_eq(torc_file_lock_try(&b, TORC_LOCK_SHARED, 0, 0), 0);
	ck_assert_int_eq(torc_file_lock_try(&b, TORC_LOCK_EXCLUSIVE, 0, 0), -EBUSY);
	ck_assert_int_eq(torc_file_unlock(&b, 0, 0), 0);
	ck_assert_int_eq(torc_file_lock_try(&a, TORC_LOCK_EXCLUSIVE, 0, 0), 0); /* replaces its own */
	ck_assert_int_eq(torc_file_lock_try(&b, TORC_LOCK_SHARED, 5, 1), -EBUSY);
	/* Released at the last close. */
	ck_assert_int_eq(torc_file_dup(&a, &copy), 0);
	ck_assert_int_eq(torc_file_close(&a), 0);
	ck_assert_int_eq(torc_file_lock_try(&b, TORC_LOCK_SHARED, 5, 1), -EBUSY);
	ck_assert_int_eq(torc_file_close(&copy), 0);
	ck_assert_int_eq(torc_file_lock_try(&b, TORC_LOCK_EXCLUSIVE, 5, 1), 0);
	ck_assert_int_eq(torc_file_lock_try(&b, TORC_LOCK_SHARED, UINT64_MAX, 1), -EINVAL);
	ck_assert_int_eq(torc_file_close(&b), 0);
}

static int unlock_soon(void *arg)
{
	ck_assert_int_eq(torc_sleep(SOON), 0);
	return torc_file_unlock(arg, 0, 10);
}

FILE_TEST(lock_waits_until_it_is_free_or_cancelled)
{
	struct torc_file a, b;

	open_file(&a, files_make("a", 10), BUFFERED);
	open_file(&b, files_path("a"), BUFFERED);
	ck_assert_int_eq(torc_file_lock(&a, TORC_LOCK_EXCLUSIVE, 0, 10), 0);
	ck_assert_int_eq(torc_file_lock_try(&b, TORC_LOCK_EXCLUSIVE, 10, 10), 0); /* apart */
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_file_lock(&b, TORC_LOCK_EXCLUSIVE, 0, 1), -ETIME);
	}
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, unlock_soon, &a), 0);
	ck_assert_int_eq(torc_file_lock(&b, TORC_LOCK_EXCLUSIVE, 0, 1), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(torc_file_close(&a), 0);
	ck_assert_int_eq(torc_file_close(&b), 0);
}

/* --- about the file -------------------------------------------------------------------------- */

FILE_TEST(stat_tells_what_libc_tells)
{
	const char *path = files_make("a", 12345);
	struct torc_file_info found;
	struct torc_file file;
	struct stat plain;

	open_file(&file, path, NULL);
	ck_assert_int_eq(torc_file_stat(&file, &found), 0);
	ck_assert_int_eq(stat(path, &plain), 0);
	ck_assert_int_eq(found.size, 12345);
	ck_assert_uint_eq(found.inode, plain.st_ino);
	ck_assert_uint_eq(found.device, plain.st_dev);
	ck_assert_uint_eq(found.mode, plain.st_mode);
	ck_assert_uint_eq(found.links, 1);
	ck_assert_uint_eq(found.blocks, (uint64_t)plain.st_blocks);
	ck_assert_int_eq(found.modified, plain.st_mtim.tv_sec * TORC_SEC + plain.st_mtim.tv_nsec);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* --- cancelling ------------------------------------------------------------------------------ */

FILE_TEST(cancelled_scope_lets_nothing_begin)
{
	struct torc_file file, other;
	char byte;

	open_file(&file, files_make("a", 100), BUFFERED);
	TORC_SCOPE(scope);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_file_read_at(&file, &byte, 1, 0), -ECANCELED);
	ck_assert_int_eq(torc_file_read_at(&file, &byte, 0, 0), -ECANCELED);
	ck_assert_int_eq(torc_file_write_at(&file, &byte, 1, 0), -ECANCELED);
	ck_assert_int_eq(torc_file_open(&other, files_path("a"), NULL), -ECANCELED);
	ck_assert_int_eq(torc_file_size(&file), -ECANCELED);
	ck_assert_int_eq(torc_file_sync(&file), -ECANCELED);
	ck_assert_int_eq(torc_file_close(&file), 0); /* is never cancelled */
}

DEATH(file_outside_a_fiber, "torc_file_open: called outside a fiber")
{
	struct torc_file file;

	(void)!torc_file_open(&file, "/", NULL);
}

/* --- what the kernel's cache has --------------------------------------------------------------- */

FILE_TEST(cached_reads_need_no_request)
{
	struct torc_file file;
	unsigned char block[4096];
	struct iovec piece = { block, sizeof block };
	uint64_t before;

	open_file(&file, files_make("a", 10 * sizeof block + 100), BUFFERED);
	ck_assert_int_eq(torc_file_read_at(&file, block, sizeof block, 0), sizeof block);
	if (preadv2(torc_file_fd(&file), &piece, 1, 0, RWF_NOWAIT) < 0 && errno == EOPNOTSUPP)
		SKIP("this file system does not tell what it has at hand: tmpfs, overlay");
	torc_yield();
	before = stats_now().submissions;
	for (uint64_t at = 0; at < 10 * sizeof block; at += sizeof block) {
		memset(block, 0, sizeof block);
		ck_assert_int_eq(torc_file_read_at(&file, block, sizeof block, at), sizeof block);
		ck_assert(pattern_holds(block, sizeof block, at));
	}
	ck_assert_uint_le(stats_now().submissions - before, COUNT(2, 10)); /* the slice may be over meanwhile */
	ck_assert_int_eq(torc_file_read_at(&file, block, sizeof block, 10 * sizeof block), 100);
	ck_assert_int_eq(torc_file_read_at(&file, block, sizeof block, 11 * sizeof block), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_int_eq(torc_file_read_at(&file, block, sizeof block, 0), -EBADF);
}

struct greedy {
	struct torc_file *file;
	bool stop;
	uint64_t reads;
};

static int read_greedily(void *arg)
{
	struct greedy *greedy = arg;
	char block[4096];

	while (!greedy->stop && ++greedy->reads < 100000000)
		ck_assert_int_eq(torc_file_read_at(greedy->file, block, sizeof block, 0), sizeof block);
	return 0;
}

FILE_TEST(who_reads_what_is_cached_lets_others_run)
{
	struct torc_file file;
	struct greedy greedy = { &file, false, 0 };

	open_file(&file, files_make("a", 4096), BUFFERED);
	{
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, read_greedily, &greedy), 0);
		for (int i = 0; i < 5; i++)
			ck_assert_int_eq(torc_sleep(TORC_MS), 0);
		greedy.stop = true;
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	ck_assert_uint_lt(greedy.reads, 100000000);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(in_a_cancelled_scope_nothing_is_read_from_the_cache)
{
	struct torc_file file;
	char block[4096];

	open_file(&file, files_make("a", 4096), BUFFERED);
	ck_assert_int_eq(torc_file_read_at(&file, block, sizeof block, 0), sizeof block);
	{
		TORC_SCOPE(scope);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_file_read_at(&file, block, sizeof block, 0), -ECANCELED);
	}
	ck_assert_int_eq(torc_file_close(&file), 0);
}
