/* streams - what reading ahead, writing behind and bulk reads cost once they are open: no allocation, and no system call
 * but io_uring_enter; of those one for many requests. */
#include "counts.h"

#include <fcntl.h>

enum { SIZE = 1 << 20, PIECE = 4096, PIECES = SIZE / PIECE };

static void make_file(struct torc_file *file)
{
	static char bytes[PIECE];

	MUST(torc_file_open(file, "/var/tmp", TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .temporary = true)) ==
	     0);
	for (uint64_t at = 0; at < SIZE; at += PIECE)
		MUST(torc_file_write_at(file, bytes, PIECE, at) == PIECE);
}

static int read_through(void *arg)
{
	struct torc_file_reader reader;
	struct torc_file file;
	const void *data;
	int n, r;

	(void)arg;
	make_file(&file);
	MUST(torc_file_reader_open(&reader, &file, TORC_OPTIONS(torc_file_reader_options, .buffer_size = PIECE)) == 0);
	counting_begin();
	while ((n = torc_file_reader_peek(&reader, &data)) > 0)
		MUST(torc_file_reader_skip(&reader, (uint64_t)n) == 0);
	counting_end();
	MUST(n == 0);
	r = torc_file_reader_close(&reader);
	return r < 0 ? r : torc_file_close(&file);
}

static int write_through(void *arg)
{
	static char bytes[1000];
	struct torc_file_writer writer;
	struct torc_file file;

	(void)arg;
	make_file(&file);
	MUST(torc_file_writer_open(&writer, &file, TORC_OPTIONS(torc_file_writer_options, .buffer_size = PIECE)) == 0);
	counting_begin();
	for (int i = 0; i < SIZE / 1000; i++)
		MUST(torc_file_writer_write(&writer, bytes, sizeof bytes) == sizeof bytes);
	MUST(torc_file_writer_flush(&writer) == 0);
	counting_end();
	MUST(torc_file_writer_close(&writer) == 0);
	return torc_file_close(&file);
}

static int read_all_pieces(void *arg)
{
	static struct torc_range ranges[PIECES];
	struct torc_read_result result;
	struct torc_read_many many;
	struct torc_file file;
	int r;

	(void)arg;
	make_file(&file);
	for (size_t i = 0; i < PIECES; i++)
		ranges[i] = (struct torc_range){ i * 7 % PIECES * PIECE, 100 };
	MUST(torc_read_many_open(&many, &file, ranges, PIECES,
	                         TORC_OPTIONS(torc_read_many_options, .no_merge = true)) == 0);
	counting_begin();
	while ((r = torc_read_many_next(&many, &result)) > 0)
		MUST(result.error == 0 && result.len == 100);
	counting_end();
	MUST(r == 0);
	MUST(torc_read_many_close(&many) == 0);
	return torc_file_close(&file);
}

static void count_or_skip(torc_fn *fn)
{
	COUNTS_MEAN_SOMETHING();
	ENTER_KEEPS_THE_TIME();
	count(CALLS, fn, NULL);
}

static void assert_only_enters(void)
{
	assert_no_allocation();
	assert_no_call_but(SYS_io_uring_enter);
	ck_assert_int_gt(tally->calls[SYS_io_uring_enter], 0);
}

TEST(a_reader_allocates_nothing)
{
	count_or_skip(read_through);
	ck_assert_int_le(tally->calls[SYS_statx], 1); /* the end was met ahead: is it still there? */
	tally->calls[SYS_statx] = 0;
	assert_only_enters();
	counted();
}

TEST(a_writer_allocates_nothing)
{
	count_or_skip(write_through);
	assert_only_enters();
	counted();
}

TEST(a_bulk_read_allocates_nothing_and_enters_seldom)
{
	count_or_skip(read_all_pieces);
	assert_only_enters();
	/* 32 under way, refilled by halves. */
	ck_assert_int_le(tally->calls[SYS_io_uring_enter], PIECES / 5);
	counted();
}
