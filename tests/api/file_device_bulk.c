/* file_device_bulk - a device that fails, falls short, is late (faultfs), under what keeps several requests under way: file
 * readers and writers, bulk reads, immutable files. */
#include "base/random.h"
#include "faultfs.h"

enum { PIECE = 4096, PIECES = 20, LEN = PIECES * PIECE };

static unsigned char bytes[LEN];

#define SMALL_READS  TORC_OPTIONS(torc_file_reader_options, .buffer_size = PIECE)
#define SMALL_WRITES TORC_OPTIONS(torc_file_writer_options, .buffer_size = PIECE)

static void open_made(struct torc_file *file, size_t len, const struct torc_file_options *options)
{
	ck_assert_int_eq(torc_file_open(file, files_make("a", len), options), 0);
}

/* The first `len` bytes of it at least. */
static bool begins_with_pattern(const char *path, size_t len)
{
	static unsigned char found[LEN];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	n = pread(fd, found, len, 0);
	close(fd);
	return n == (ssize_t)len && pattern_holds(found, len, 0);
}

/* --- writers --------------------------------------------------------------------------------- */

/* Write in odd pieces until it fails. */
static int write_until_error(struct torc_file_writer *writer, size_t most)
{
	int r = 0;

	pattern_fill(bytes, LEN, 0);
	for (size_t at = 0; r >= 0 && at < most; at += 700)
		r = torc_file_writer_write(writer, bytes + at, at + 700 < most ? 700 : most - at);
	return r;
}

static void check_failed_writer(struct torc_file_writer *writer, int error)
{
	void *room;

	ck_assert_int_eq(torc_file_writer_flush(writer), error);
	ck_assert_int_eq(torc_file_writer_write(writer, "more", 4), error);
	ck_assert_int_eq(torc_file_writer_reserve(writer, &room), error);
	ck_assert_int_eq(torc_file_writer_sync(writer), error);
	ck_assert_uint_le(torc_file_writer_flushed(writer), torc_file_writer_position(writer));
}

FAULTFS_TEST(writer_without_quota)
{
	struct torc_file_writer writer;
	struct torc_file file;

	faultfs("cached"); /* for a short write */
	faultfs("quota 10000");
	open_made(&file, 0, BUFFERED);
	ck_assert_int_eq(torc_file_writer_open(&writer, &file, SMALL_WRITES), 0);
	ck_assert_int_eq(write_until_error(&writer, LEN), -EDQUOT);
	check_failed_writer(&writer, -EDQUOT);
	ck_assert_uint_eq(torc_file_writer_flushed(&writer), 10000);
	ck_assert(begins_with_pattern(files_path("a"), 10000));
	ck_assert_int_eq(torc_file_writer_close(&writer), -EDQUOT);
	ck_assert_int_eq(torc_file_writer_close(&writer), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

static void fail_a_write(const struct torc_file_options *options, int at)
{
	struct torc_file_writer writer;
	struct torc_file file;
	uint64_t good;

	open_made(&file, PIECE, options);
	faultfs("fail write %d %d 1", EIO, at);
	ck_assert_int_eq(torc_file_writer_open(&writer, &file, SMALL_WRITES), 0);
	(void)write_until_error(&writer, LEN); /* all is taken, perhaps, before it is known */
	check_failed_writer(&writer, -EIO);
	good = torc_file_writer_flushed(&writer);
	ck_assert_uint_lt(good, LEN);
	ck_assert_uint_eq(good % PIECE, 0);
	ck_assert(begins_with_pattern(files_path("a"), good));
	ck_assert_int_eq(torc_file_writer_close(&writer), -EIO);
	ck_assert_int_eq(torc_file_writer_close(&writer), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FAULTFS_TEST(writer_tells_of_the_first_error)
{
	for (int at = 0; at < PIECES; at += 3) {
		fail_a_write(BUFFERED, at);
		fail_a_write(DIRECT, at);
	}
}

FAULTFS_TEST(writer_goes_on_after_short_writes)
{
	struct torc_file_writer writer;
	struct torc_file file;

	faultfs("cached");
	faultfs("most write 999");
	open_made(&file, 0, BUFFERED);
	ck_assert_int_eq(torc_file_writer_open(&writer, &file, SMALL_WRITES), 0);
	ck_assert_int_gt(write_until_error(&writer, LEN - 100), 0);
	ck_assert_int_eq(torc_file_writer_close(&writer), 0);
	ck_assert_int_eq(files_size(files_path("a")), LEN - 100);
	ck_assert(begins_with_pattern(files_path("a"), LEN - 100));
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* What a sync could not bring to the device is lost, and a second sync would not say so. */
FAULTFS_TEST(writer_whose_sync_failed_has_failed)
{
	struct torc_file_writer writer;
	struct torc_file file;

	open_made(&file, 0, BUFFERED);
	ck_assert_int_eq(torc_file_writer_open(&writer, &file, SMALL_WRITES), 0);
	ck_assert_int_gt(write_until_error(&writer, 10000), 0);
	faultfs("fail fsync %d 0 1", EIO);
	ck_assert_int_eq(torc_file_writer_sync(&writer), -EIO);
	check_failed_writer(&writer, -EIO);
	ck_assert_int_eq(torc_file_writer_close(&writer), -EIO);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

static int release_soon(void *unused)
{
	(void)unused;
	ck_assert_int_eq(torc_sleep(SOON), 0);
	faultfs("release");
	return 0;
}

/* Neither frees what the file system still reads from, cancelled or not. */
FAULTFS_TEST(writer_ends_when_the_device_has_let_go)
{
	for (int keep = 0; keep < 2; keep++) {
		struct torc_file_writer writer;
		struct torc_file file;

		open_made(&file, LEN,
		          BUFFERED); /* what is there is overwritten: a write that extends is not asynchronous */
		ck_assert_int_eq(torc_file_writer_open(&writer, &file, SMALL_WRITES), 0);
		faultfs("hold write");
		ck_assert_int_gt(write_until_error(&writer, 3 * PIECE), 0);
		faultfs_await("held", 1);
		TORC_SCOPE(outer);
		ck_assert_int_eq(torc_go(outer, release_soon, NULL), 0);
		{
			TORC_SCOPE(scope);
			torc_scope_cancel(scope);
			ck_assert_int_eq(keep ? torc_file_writer_close(&writer) : torc_file_writer_abandon(&writer), 0);
		}
		ck_assert_int_eq(faultfs_count("held"), 0);
		ck_assert_int_eq(torc_scope_join(outer), 0);
		ck_assert(begins_with_pattern(files_path("a"), LEN));
		ck_assert_int_eq(torc_file_close(&file), 0);
	}
}

/* --- readers --------------------------------------------------------------------------------- */

/* Read on to the end or an error; the bytes are the right ones. */
static int read_on(struct torc_file_reader *reader)
{
	int r;

	do {
		size_t at = torc_file_reader_position(reader);

		r = torc_file_reader_read(reader, bytes, 700);
		if (r > 0)
			ck_assert(pattern_holds(bytes, (size_t)r, at));
	} while (r > 0);
	return r;
}

static void fail_a_read(const struct torc_file_options *options, int at)
{
	struct torc_file_reader reader;
	struct torc_file file;
	const void *data;
	uint64_t there;
	int r = UNSET;

	open_made(&file, LEN - 100, options);
	faultfs("fail read %d %d 1", EIO, at);
	ck_assert_int_eq(torc_file_reader_open(&reader, &file, SMALL_READS), 0);
	ck_assert_int_eq(read_on(&reader), -EIO);
	there = torc_file_reader_position(&reader);
	ck_assert_uint_eq(there % PIECE, 0);
	ck_assert_uint_lt(there, LEN - 100);
	ck_assert_int_eq(read_on(&reader), 0); /* asked again, the device can */
	ck_assert_uint_eq(torc_file_reader_position(&reader), LEN - 100);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);

	faultfs("fail read %d %d", EIO, at); /* from there on */
	ck_assert_int_eq(torc_file_reader_open(&reader, &file, SMALL_READS), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(read_on(&reader), -EIO);
		if (i > 0)
			ck_assert_uint_eq(torc_file_reader_position(&reader), there);
		there = torc_file_reader_position(&reader);
		ck_assert_int_eq(torc_file_reader_read_exact(&reader, bytes, 10), -EIO);
		ck_assert_int_eq(torc_file_reader_peek(&reader, &data), -EIO);
	}
	faultfs("fail read 0");
	ck_assert_int_eq(torc_file_reader_skip(&reader, PIECE), 0);
	for (int i = 0; i < 5 && (r = read_on(&reader)) < 0; i++) /* what had been read ahead */
		ck_assert_int_eq(r, -EIO);
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(torc_file_reader_position(&reader), LEN - 100);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FAULTFS_TEST(reader_tells_of_an_error_where_it_is)
{
	for (int at = 0; at < PIECES; at += 3) {
		fail_a_read(BUFFERED, at);
		fail_a_read(DIRECT, 2 + at % (PIECES - 5)); /* the alignment is found by reading */
	}
}

/* An error in the middle of a buffer: what came before it is delivered. */
FAULTFS_TEST(reader_delivers_what_came_before_the_error)
{
	struct torc_file_reader reader;
	struct torc_file file;

	open_made(&file, LEN, BUFFERED);
	faultfs("most read 1000");
	faultfs("fail read %d 3", EIO);
	ck_assert_int_eq(
		torc_file_reader_open(&reader, &file,
	                              TORC_OPTIONS(torc_file_reader_options, .buffer_size = LEN, .read_ahead = -1)),
		0);
	ck_assert_int_eq(torc_file_reader_read_exact(&reader, bytes, 5000), -EIO);
	ck_assert_uint_eq(torc_file_reader_position(&reader), 0);
	faultfs("fail read %d 3", EIO);
	ck_assert_int_eq(read_on(&reader), -EIO);
	ck_assert_uint_eq(torc_file_reader_position(&reader), 3000);
	faultfs("fail read 0");
	ck_assert_int_eq(read_on(&reader), 0);
	ck_assert_uint_eq(torc_file_reader_position(&reader), LEN);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* An answer that ends within a block, in the middle of the file, is not its end. */
FAULTFS_TEST(reader_goes_on_after_short_reads)
{
	const struct torc_file_options *const ways[] = { BUFFERED, DIRECT };

	for (size_t i = 0; i < LENGTH(ways); i++) {
		struct torc_file_reader reader;
		struct torc_file file;

		faultfs("most read 0");
		open_made(&file, LEN - 100, ways[i]);
		faultfs("most read %zu", torc_file_align(&file) + 100);
		ck_assert_int_eq(torc_file_reader_open(&reader, &file, SMALL_READS), 0);
		ck_assert_int_eq(read_on(&reader), 0);
		ck_assert_uint_eq(torc_file_reader_position(&reader), LEN - 100);
		ck_assert_int_eq(torc_file_reader_close(&reader), 0);
		ck_assert_int_eq(torc_file_close(&file), 0);
	}
}

FAULTFS_TEST(reader_ends_when_the_device_has_let_go)
{
	struct torc_file_reader reader;
	struct torc_file file;

	open_made(&file, LEN, BUFFERED);
	faultfs("hold read");
	ck_assert_int_eq(torc_file_reader_open(&reader, &file, SMALL_READS), 0);
	faultfs_await("held", 1);
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_file_reader_read(&reader, bytes, 10), -ETIME);
	}
	ck_assert_uint_eq(torc_file_reader_position(&reader), 0);
	ck_assert_int_ge(faultfs_count("held"), 1);
	TORC_SCOPE(outer);
	ck_assert_int_eq(torc_go(outer, release_soon, NULL), 0);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_int_eq(faultfs_count("held"), 0);
	ck_assert_int_eq(torc_scope_join(outer), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* --- bulk reads ------------------------------------------------------------------------------ */

/* Every second kilobyte; how many of them failed with that error. The others are right. */
static int read_ranges(struct torc_file *file, const struct torc_read_many_options *options, int error, uint64_t *again)
{
	struct torc_read_many_stats stats = { .size = sizeof stats };
	static struct torc_range ranges[LEN / 2048];
	struct torc_read_result result;
	struct torc_read_many many;
	int failed = 0, count = 0;

	for (size_t i = 0; i < LENGTH(ranges); i++)
		ranges[i] = (struct torc_range){ i * 2048 + 10, 1024 };
	ck_assert_int_eq(torc_read_many_open(&many, file, ranges, LENGTH(ranges), options), 0);
	for (; torc_read_many_next(&many, &result) == 1; count++) {
		ck_assert(pattern_holds(result.data, result.len, result.range.offset));
		ck_assert_msg(result.error == error ? result.len < 1024 : result.error == 0 && result.len == 1024,
		              "%d: %d, %zu", count, result.error, result.len);
		failed += result.error != 0;
	}
	ck_assert_int_eq(count, LENGTH(ranges));
	ck_assert_int_eq(torc_read_many_stats_get(&many, &stats), 0);
	*again = stats.again;
	ck_assert_int_eq(torc_read_many_close(&many), 0);
	return failed;
}

FAULTFS_TEST(bulk_read_spares_who_was_merged_with_an_error)
{
	const struct torc_read_many_options *eight =
		TORC_OPTIONS(torc_read_many_options, .max_merge = (size_t)4 * PIECE);
	struct torc_file file;
	uint64_t again;

	open_made(&file, LEN, BUFFERED);
	faultfs("fail read %d 2 1", EIO);
	ck_assert_int_eq(read_ranges(&file, eight, -EIO, &again), 0);
	ck_assert_uint_eq(again, 8);
	faultfs("fail read %d 2 4", EIO); /* perhaps that of a range by itself as well */
	ck_assert_int_le(read_ranges(&file, eight, -EIO, &again), 3);
	faultfs("fail read %d", EIO);
	ck_assert_int_eq(read_ranges(&file, eight, -EIO, &again), LEN / 2048);
	faultfs("fail read 0");
	faultfs("most read 999");
	ck_assert_int_eq(read_ranges(&file, eight, -EIO, &again), 0);
	ck_assert_uint_eq(again, 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FAULTFS_TEST(bulk_read_goes_on_after_short_direct_reads)
{
	struct torc_file file;
	uint64_t again;

	open_made(&file, LEN, DIRECT);
	faultfs("most read %zu", torc_file_align(&file) + 100);
	ck_assert_int_eq(read_ranges(&file, NULL, -EIO, &again), 0);
	ck_assert_uint_eq(again, 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FAULTFS_TEST(bulk_read_ends_when_the_device_has_let_go)
{
	struct torc_range ranges[2] = { { 10, 100 }, { 10 * PIECE, 100 } };
	struct torc_read_result result;
	struct torc_read_many many;
	struct torc_file file;

	open_made(&file, LEN, BUFFERED);
	faultfs("hold read");
	ck_assert_int_eq(torc_read_many_open(&many, &file, ranges, 2, NULL), 0);
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_read_many_next(&many, &result), -ETIME);
	}
	faultfs_await("held", 2);
	TORC_SCOPE(outer);
	ck_assert_int_eq(torc_go(outer, release_soon, NULL), 0);
	ck_assert_int_eq(torc_read_many_close(&many), 0);
	ck_assert_int_eq(faultfs_count("held"), 0);
	ck_assert_int_eq(torc_scope_join(outer), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* --- immutable files ------------------------------------------------------------------------- */

static void make_sink(struct torc_immutable_sink *sink, size_t len)
{
	pattern_fill(bytes, LEN, 0);
	ck_assert_int_eq(torc_immutable_create(sink, files_path("a"), NULL), 0);
	ck_assert_int_eq(torc_immutable_write(sink, bytes, len), (int)len);
}

static void make_immutable(struct torc_immutable *file)
{
	struct torc_immutable_sink sink;

	make_sink(&sink, LEN - 100);
	ck_assert_int_eq(torc_immutable_seal(&sink, file), 0);
}

FAULTFS_TEST(immutable_file_that_was_not_synced_is_not_sealed)
{
	struct torc_immutable_sink sink;
	struct torc_immutable file;

	make_sink(&sink, LEN - 100);
	faultfs("fail fsync %d 0 1", EIO);
	ck_assert_int_eq(torc_immutable_seal(&sink, &file), -EIO);
	ck_assert_int_eq(torc_immutable_seal(&sink, &file), -EIO); /* it has not become good by asking again */
	ck_assert_int_eq(torc_immutable_abandon(&sink), 0);
	ck_assert_int_eq(unlink(files_path("a")), 0);
	make_sink(&sink, 0);
	faultfs("fail write %d 0 1", EDQUOT);
	ck_assert_int_eq(torc_immutable_write(&sink, bytes, LEN - 100), LEN - 100);
	ck_assert_int_eq(torc_immutable_seal(&sink, &file), -EDQUOT);
	ck_assert_int_eq(torc_immutable_abandon(&sink), 0);
}

struct share {
	struct torc_immutable *file;
	int64_t result;
};

static int read_share(void *arg)
{
	struct share *share = arg;
	struct torc_buffer there = { 0 };

	share->result = torc_immutable_read(share->file, &there, 5000, 3000);
	if (share->result > 0)
		ck_assert(pattern_holds(there.data, (size_t)share->result, 3000));
	torc_buffer_close(&there);
	return 0;
}

/* All who share a read share its error, and the next one asks again. */
FAULTFS_TEST(immutable_readers_share_an_error)
{
	struct torc_immutable_stats stats = { .size = sizeof stats };
	struct torc_immutable file;
	struct share shares[5];

	make_immutable(&file);
	for (int round = 0; round < 2; round++) {
		faultfs("fail read %d 0 1", round == 0 ? EIO : 0);
		faultfs("hold read");
		TORC_SCOPE(scope, .until = TORC_ALL_DONE);
		for (size_t i = 0; i < LENGTH(shares); i++) {
			shares[i] = (struct share){ &file, UNSET };
			ck_assert_int_eq(torc_go(scope, read_share, &shares[i]), 0);
		}
		faultfs_await("held", 1);
		faultfs("release");
		ck_assert_int_eq(torc_scope_join(scope), 0);
		for (size_t i = 0; i < LENGTH(shares); i++)
			ck_assert_int_eq(shares[i].result, round == 0 ? -EIO : 5000);
	}
	ck_assert_int_eq(torc_immutable_stats_get(&file, &stats), 0);
	ck_assert_uint_eq(stats.device_reads, 2);
	faultfs("fail flush %d 0 1", EIO);
	ck_assert_int_eq(torc_immutable_close(&file), -EIO);
	ck_assert_int_eq(torc_immutable_close(&file), 0);
}

/* Who is cut off need not wait, for the memory is not his; it is the file's, whose close does. */
FAULTFS_TEST(immutable_file_closes_when_the_device_has_let_go)
{
	struct torc_immutable file;
	struct share shares[5];

	make_immutable(&file);
	faultfs("hold read");
	TORC_SCOPE(outer);
	{
		TORC_SCOPE(scope, .until = TORC_ALL_DONE);
		for (size_t i = 0; i < LENGTH(shares); i++) {
			shares[i] = (struct share){ &file, UNSET };
			ck_assert_int_eq(torc_go(scope, read_share, &shares[i]), 0);
		}
		faultfs_await("held", 1);
		torc_scope_cancel(scope);
	}
	for (size_t i = 0; i < LENGTH(shares); i++)
		ck_assert_int_eq(shares[i].result, -ECANCELED);
	ck_assert_int_eq(faultfs_count("held"), 1);
	ck_assert_int_eq(torc_go(outer, release_soon, NULL), 0);
	ck_assert_int_eq(torc_immutable_close(&file), 0);
	ck_assert_int_eq(faultfs_count("held"), 0);
	ck_assert_int_eq(torc_scope_join(outer), 0);
}

FAULTFS_TEST(immutable_file_goes_on_after_short_reads)
{
	struct torc_immutable file;

	make_immutable(&file);
	faultfs("most read 4196");
	memset(bytes, 0, LEN);
	ck_assert_int_eq(torc_immutable_read_at(&file, bytes, LEN, 0), LEN - 100);
	ck_assert(pattern_holds(bytes, LEN - 100, 0));
	ck_assert_int_eq(torc_immutable_close(&file), 0);
}

/* --- whatever may happen --------------------------------------------------------------------- */

/* Faults of all kinds, at any time; EINTR and EAGAIN are none, nor are answers that are short, but not shorter than a block of
 * direct I/O. Returns the error that may be seen. */
static int arm_at_random(struct random *random, const char *request, const struct torc_file *file)
{
	static const int errors[] = { 0, EIO, EDQUOT, ENXIO, EINTR, EAGAIN };
	int error = errors[random_below(random, LENGTH(errors))];

	faultfs("most %s %u", request,
	        random_below(random, 2) ? 0 : (unsigned)torc_file_align(file) + random_below(random, 2 * PIECE));
	faultfs("fail %s %d %u %u", request, error, random_below(random, PIECES), 1 + random_below(random, 3));
	return error == EINTR || error == EAGAIN ? 0 : -error;
}

static unsigned told; /* errors, in all rounds */

static void disarm(const char *request)
{
	faultfs("most %s 0", request);
	faultfs("fail %s 0", request);
}

static void read_at_random(struct random *random, const char *path, const struct torc_file_options *options, size_t len)
{
	struct torc_file_reader reader;
	struct torc_file file;
	int error, r, errors = 0;

	ck_assert_int_eq(torc_file_open(&file, path, options), 0);
	error = arm_at_random(random, "read", &file);
	ck_assert_int_eq(torc_file_reader_open(&reader, &file,
	                                       TORC_OPTIONS(torc_file_reader_options,
	                                                    .buffer_size = (1 + random_below(random, 4)) * PIECE,
	                                                    .read_ahead = (int)random_below(random, 6) - 1)),
	                 0);
	do {
		size_t at = torc_file_reader_position(&reader), want = 1 + random_below(random, 3 * PIECE);

		r = random_below(random, 2) ? torc_file_reader_read(&reader, bytes, want)
		                            : torc_file_reader_read_exact(&reader, bytes, want);
		if (r > 0)
			HOLDS(pattern_holds(bytes, (size_t)r, at), random->seed);
		else
			HOLDS(torc_file_reader_position(&reader) == at, random->seed);
		if (r == -ENODATA)
			r = torc_file_reader_skip(&reader, len - at);
		else if (r < 0)
			HOLDS(r == error, random->seed);
		errors += r < 0;
		told += r < 0;
		HOLDS(errors <= 3, random->seed);
	} while (r != 0);
	HOLDS(torc_file_reader_position(&reader) == len, random->seed);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	disarm("read");
	ck_assert_int_eq(torc_file_close(&file), 0);
}

static void read_many_at_random(struct random *random, const char *path, const struct torc_file_options *options,
                                size_t len)
{
	static struct torc_range ranges[50];
	struct torc_read_result result;
	struct torc_read_many many;
	struct torc_file file;
	int error, count = 0;

	for (size_t i = 0; i < LENGTH(ranges); i++)
		ranges[i] = (struct torc_range){ random_below(random, LEN), random_below(random, 2 * PIECE) };
	ck_assert_int_eq(torc_file_open(&file, path, options), 0);
	error = arm_at_random(random, "read", &file);
	ck_assert_int_eq(torc_read_many_open(&many, &file, ranges, LENGTH(ranges), NULL), 0);
	while (torc_read_many_next(&many, &result) == 1) {
		size_t at = ranges[count].offset, there = at < len ? len - at : 0;

		there = there < ranges[count].len ? there : ranges[count].len;
		told += result.error != 0;
		HOLDS(result.error == 0 ? result.len == there : result.error == error && result.len <= there,
		      random->seed);
		HOLDS(pattern_holds(result.data, result.len, at), random->seed);
		count++;
	}
	HOLDS(count == LENGTH(ranges), random->seed);
	ck_assert_int_eq(torc_read_many_close(&many), 0);
	disarm("read");
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* Write, with a flush now and then. Returns how many bytes the writer has taken. */
static size_t fill_at_random(struct random *random, struct torc_file_writer *writer, size_t len, int error)
{
	int r = 0;

	for (size_t at; r >= 0 && (at = torc_file_writer_position(writer)) < len;) {
		size_t n = 1 + random_below(random, 3 * PIECE);

		n = n < len - at ? n : len - at;
		r = random_below(random, 8) ? torc_file_writer_write(writer, bytes + at, n)
		                            : torc_file_writer_flush(writer);
		ck_assert_uint_le(torc_file_writer_flushed(writer), torc_file_writer_position(writer));
	}
	if (r < 0)
		HOLDS(r == error, random->seed);
	return torc_file_writer_position(writer);
}

/* Returns how many bytes of the file are good. */
static size_t write_at_random(struct random *random, const char *path, const struct torc_file_options *options)
{
	size_t len = 1 + random_below(random, LEN), taken, flushed;
	struct torc_file_writer writer;
	struct torc_file file;
	int error, r;

	pattern_fill(bytes, LEN, 0);
	ck_assert_int_eq(torc_file_open(&file, path, options), 0);
	error = arm_at_random(random, "write", &file);
	/* Past the cache FUSE itself makes EIO of a short write. */
	if (options->direct)
		faultfs("most write 0");
	ck_assert_int_eq(torc_file_writer_open(&writer, &file,
	                                       TORC_OPTIONS(torc_file_writer_options,
	                                                    .buffer_size = (1 + random_below(random, 4)) * PIECE,
	                                                    .write_behind = (int)random_below(random, 6) - 1)),
	                 0);
	taken = fill_at_random(random, &writer, len, error);
	r = torc_file_writer_flush(&writer);
	flushed = torc_file_writer_flushed(&writer);
	told += r < 0;
	HOLDS(r == 0 ? flushed == taken : r == error && flushed < len, random->seed);
	HOLDS(torc_file_writer_close(&writer) == r, random->seed);
	disarm("write");
	ck_assert_int_eq(torc_file_close(&file), 0);
	HOLDS(begins_with_pattern(path, flushed), random->seed);
	return flushed;
}

FAULTFS_TEST_TIMEOUT(whatever_the_device_does, 60)
{
	for (uint64_t seed = seed_first(); seed_more(seed, COUNT(300, 40)); seed++) {
		struct random random = random_seeded(seed);
		const struct torc_file_options *options = random_below(&random, 2) ? BUFFERED : DIRECT;
		char path[PATH_MAX];
		size_t len;

		faultfs(options->direct ? "direct" : "cached");
		strcpy(path, files_make("a", 0));
		len = write_at_random(&random, path, options);
		ck_assert_int_eq(truncate(path, (off_t)len), 0);
		faultfs("direct"); /* the cache takes a short answer for the end */
		read_at_random(&random, path, options, len);
		read_many_at_random(&random, path, options, len);
	}
	ck_assert(getenv("SEED") || told > 20);
}
