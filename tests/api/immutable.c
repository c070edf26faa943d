/* Immutable files: written, sealed, read; concurrent readers of the same bytes share one read of the device, and whoever is
 * cancelled leaves the others theirs. */
#include "scratch.h"

enum { SIZE = 200000 };

struct fixture {
	char folder[64], path[80];
	struct torc_immutable file;
};

static void folder_make(struct fixture *fixture)
{
	snprintf(fixture->folder, sizeof fixture->folder, SCRATCH_FOLDER "/torc-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fixture->folder));
	snprintf(fixture->path, sizeof fixture->path, "%s/file", fixture->folder);
}

static void folder_remove(const struct fixture *fixture)
{
	unlink(fixture->path);
	ck_assert_int_eq(rmdir(fixture->folder), 0);
}

static void fill(struct torc_immutable_sink *sink, size_t size, struct random *random)
{
	static unsigned char bytes[30000];

	for (size_t at = 0; at < size;) {
		size_t n = random_size(random, sizeof bytes);

		n = n < size - at ? n : size - at;
		pattern_fill(bytes, n, at);
		ck_assert_int_eq(torc_immutable_write(sink, bytes, n), (int)n);
		at += n;
	}
}

static void fixture_make(struct fixture *fixture, size_t size, bool buffered)
{
	struct random random = random_seeded(size);
	struct torc_immutable_sink sink;

	folder_make(fixture);
	ck_assert_int_eq(
		torc_immutable_create(&sink, fixture->path,
	                              TORC_OPTIONS(torc_immutable_options, .buffered = buffered, .buffer_size = 8192)),
		0);
	fill(&sink, size, &random);
	ck_assert_int_eq(torc_immutable_seal(&sink, &fixture->file), 0);
	ck_assert_uint_eq(torc_immutable_size(&fixture->file), size);
	ck_assert_int_eq(torc_immutable_abandon(&sink), 0);
}

static void fixture_remove(struct fixture *fixture)
{
	ck_assert_int_eq(torc_immutable_close(&fixture->file), 0);
	ck_assert_int_eq(torc_immutable_close(&fixture->file), 0);
	folder_remove(fixture);
}

static struct torc_immutable_stats stats_of(const struct torc_immutable *file)
{
	struct torc_immutable_stats stats = { .size = sizeof stats };

	ck_assert_int_eq(torc_immutable_stats_get(file, &stats), 0);
	return stats;
}

/* --- bytes ------------------------------------------------------------------------------------- */

static size_t there(uint64_t offset, size_t len, size_t size)
{
	if (offset >= size)
		return 0;
	return size - offset < len ? size - offset : len;
}

static void read_once(struct torc_immutable *file, size_t size, struct random *random)
{
	uint64_t offset = random_below(random, (unsigned)size + 5000);
	size_t len = random_size(random, 40000), wanted = there(offset, len, size);
	struct torc_buffer bytes;

	if (random_chance(random, 50)) {
		unsigned char *copy = malloc(len + 1);

		HOLDS(torc_immutable_read_at(file, copy, len, offset) == (int64_t)wanted, random->seed);
		HOLDS(pattern_holds(copy, wanted, offset), random->seed);
		free(copy);
		return;
	}
	HOLDS(torc_immutable_read(file, &bytes, len, offset) == (int64_t)wanted, random->seed);
	HOLDS(bytes.size == wanted, random->seed);
	if (random_chance(random, 20))
		torc_yield();
	HOLDS(pattern_holds(bytes.data, wanted, offset), random->seed);
	torc_buffer_close(&bytes);
}

static void read_everywhere(size_t size, bool buffered)
{
	struct fixture fixture;

	fixture_make(&fixture, size, buffered);
	for (uint64_t seed = seed_first(); seed_more(seed, COUNT(200, 20)); seed++) {
		struct random random = random_seeded(seed);

		read_once(&fixture.file, size, &random);
	}
	ck_assert_int_eq(torc_immutable_close(&fixture.file), 0);
	ck_assert_int_eq(torc_immutable_open(&fixture.file, fixture.path,
	                                     TORC_OPTIONS(torc_immutable_options, .buffered = buffered)),
	                 0);
	for (uint64_t seed = seed_first(); seed_more(seed, COUNT(200, 20)); seed++) {
		struct random random = random_seeded(seed + 1000);

		read_once(&fixture.file, size, &random);
	}
	fixture_remove(&fixture);
}

TEST_IN_FIBER_TIMEOUT(all_bytes_come_back, 60)
{
	static const size_t sizes[] = { 0, 1, 511, 512, 4096, 8192, 12345, SIZE };

	for (size_t i = 0; i < LENGTH(sizes); i++) {
		read_everywhere(sizes[i], false);
		read_everywhere(sizes[i], true);
	}
}

/* --- shared ------------------------------------------------------------------------------------ */

struct reader {
	struct torc_immutable *file;
	uint64_t offset;
	size_t len;
	int64_t got;
	struct torc_buffer bytes;
};

static int read_range(void *arg)
{
	struct reader *reader = arg;

	reader->got = UNSET;
	reader->got = torc_immutable_read(reader->file, &reader->bytes, reader->len, reader->offset);
	return 0;
}

static int cancel(void *scope)
{
	torc_scope_cancel(scope);
	return 0;
}

static void check_reader(struct reader *reader)
{
	ck_assert_int_eq(reader->got, (int64_t)reader->len);
	ck_assert(pattern_holds(reader->bytes.data, reader->len, reader->offset));
	torc_buffer_close(&reader->bytes);
}

TEST_IN_FIBER(duplicates_make_one_read)
{
	enum { READERS = 100 };
	static struct reader readers[READERS];
	struct torc_immutable_stats stats;
	struct fixture fixture;

	fixture_make(&fixture, SIZE, false);
	{
		TORC_SCOPE(scope);
		for (size_t i = 0; i < READERS; i++) {
			readers[i] = (struct reader){ &fixture.file, 8192, 4000, 0, { 0 } };
			if (i >= READERS / 2) /* the same block, not the same bytes */
				readers[i].offset += i, readers[i].len -= 2 * i;
			ck_assert_int_eq(torc_go(scope, read_range, &readers[i]), 0);
		}
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	stats = stats_of(&fixture.file);
	ck_assert_uint_eq(stats.reads, READERS);
	ck_assert_uint_eq(stats.device_reads + stats.shared, READERS);
	if (!harness_slow()) /* one, unless the first was over before the last began */
		ck_assert_uint_le(stats.device_reads, 3);
	for (size_t i = 0; i < READERS; i++)
		check_reader(&readers[i]);
	/* Nothing is kept. */
	read_range(&readers[0]);
	check_reader(&readers[0]);
	ck_assert_uint_eq(stats_of(&fixture.file).device_reads, stats.device_reads + 1);
	fixture_remove(&fixture);
}

TEST_IN_FIBER(different_ranges_are_read_each)
{
	static struct reader readers[10];
	struct fixture fixture;

	fixture_make(&fixture, SIZE, false);
	{
		TORC_SCOPE(scope);
		for (size_t i = 0; i < LENGTH(readers); i++) {
			readers[i] = (struct reader){ &fixture.file, i * 8192, 8192, 0, { 0 } };
			ck_assert_int_eq(torc_go(scope, read_range, &readers[i]), 0);
		}
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	ck_assert_uint_eq(stats_of(&fixture.file).device_reads, LENGTH(readers));
	for (size_t i = 0; i < LENGTH(readers); i++)
		check_reader(&readers[i]);
	fixture_remove(&fixture);
}

TEST_IN_FIBER(the_first_is_cancelled_and_the_others_are_not)
{
	static struct reader readers[5];
	struct fixture fixture;

	fixture_make(&fixture, SIZE, false);
	{
		TORC_SCOPE(others);
		{
			TORC_SCOPE(first);
			for (size_t i = 0; i < LENGTH(readers); i++) {
				readers[i] = (struct reader){ &fixture.file, 4096, 10000, 0, { 0 } };
				ck_assert_int_eq(torc_go(i == 0 ? first : others, read_range, &readers[i]), 0);
			}
			ck_assert_int_eq(torc_go(first, cancel, first), 0);
			ck_assert_int_eq(torc_scope_join(first), 0);
		}
		ck_assert_int_eq(torc_scope_join(others), 0);
	}
	if (readers[0].got < 0) /* as a rule; the device may have been quicker */
		ck_assert_int_eq(readers[0].got, -ECANCELED);
	for (size_t i = readers[0].got < 0; i < LENGTH(readers); i++)
		check_reader(&readers[i]);
	if (!harness_slow())
		ck_assert_uint_le(stats_of(&fixture.file).device_reads, 2);
	fixture_remove(&fixture);
}

TEST_IN_FIBER(all_are_cancelled_and_the_file_is_good)
{
	static struct reader readers[5];
	struct fixture fixture;

	fixture_make(&fixture, SIZE, false);
	for (int round = 0; round < 20; round++) {
		{
			TORC_SCOPE(scope);
			for (size_t i = 0; i < LENGTH(readers); i++) {
				readers[i] = (struct reader){ &fixture.file, 4096, 10000, 0, { 0 } };
				ck_assert_int_eq(torc_go(scope, read_range, &readers[i]), 0);
			}
			ck_assert_int_eq(torc_go(scope, cancel, scope), 0);
		}
		for (size_t i = 0; i < LENGTH(readers); i++)
			if (readers[i].got == 10000)
				torc_buffer_close(&readers[i].bytes);
			else if (readers[i].got != 0) /* 0: it did not even begin */
				ck_assert_int_eq(readers[i].got, -ECANCELED);
		read_range(&readers[0]);
		check_reader(&readers[0]);
	}
	fixture_remove(&fixture);
}

TEST_IN_FIBER(close_wakes_who_reads_and_leaves_what_was_read)
{
	static struct reader readers[5], before;
	struct fixture fixture;

	fixture_make(&fixture, SIZE, false);
	before = (struct reader){ &fixture.file, 100, 5000, 0, { 0 } };
	read_range(&before);
	{
		TORC_SCOPE(scope);
		for (size_t i = 0; i < LENGTH(readers); i++) {
			readers[i] = (struct reader){ &fixture.file, i / 2 * 50000, 10000, 0, { 0 } };
			ck_assert_int_eq(torc_go(scope, read_range, &readers[i]), 0);
		}
		torc_yield(); /* they begin */
		ck_assert_int_eq(torc_immutable_close(&fixture.file), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	for (size_t i = 0; i < LENGTH(readers); i++)
		if (readers[i].got >= 0)
			check_reader(&readers[i]);
		else
			ck_assert_int_eq(readers[i].got, -EBADF);
	check_reader(&before);
	fixture_remove(&fixture);
}

struct crowd {
	struct torc_immutable *file;
	uint64_t seed;
};

static int read_some_time(void *arg)
{
	struct crowd *one = arg;
	struct random random = random_seeded(one->seed);

	for (int i = 0; i < 20; i++) {
		struct reader reader = {
			one->file, random_below(&random, 10) * 4096, 1 + random_below(&random, 9000), 0, { 0 }
		};

		TORC_SCOPE(scope, .deadline = torc_in(random_below(&random, 300) * TORC_US));
		read_range(&reader);
		if (reader.got >= 0)
			check_reader(&reader);
		else
			ck_assert_int_eq(reader.got, -ETIME);
	}
	return 0;
}

TEST_IN_FIBER(a_crowd_with_deadlines)
{
	static struct crowd crowd[50];
	struct fixture fixture;

	fixture_make(&fixture, SIZE, false);
	{
		TORC_SCOPE(scope);
		for (size_t i = 0; i < LENGTH(crowd); i++) {
			crowd[i] = (struct crowd){ &fixture.file, i + 1 };
			ck_assert_int_eq(torc_go(scope, read_some_time, &crowd[i]), 0);
		}
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	fixture_remove(&fixture);
}

/* --- what fails -------------------------------------------------------------------------------- */

TEST_IN_FIBER(what_is_there_is_not_made_again)
{
	struct torc_immutable_sink sink = { 0 };
	struct fixture fixture;
	struct stat st;

	fixture_make(&fixture, 10, true);
	ck_assert_int_eq(torc_immutable_create(&sink, fixture.path, NULL), -EEXIST);
	ck_assert_int_eq(torc_immutable_create(&sink, "/nowhere/at/all", NULL), -ENOENT);
	ck_assert_int_eq(stat(fixture.path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0222, 0);
	fixture_remove(&fixture);
	ck_assert_int_eq(torc_immutable_open(&fixture.file, "/nowhere/at/all", NULL), -ENOENT);
	ck_assert_int_eq(torc_immutable_open(&fixture.file, "/", NULL), -EISDIR);
}

/* Nor would it be, the second time, had the first left an empty one. */
TEST_IN_FIBER(what_could_not_be_begun_is_not_there)
{
	struct torc_immutable_sink sink = { 0 };
	struct scratch scratch;

	scratch_make(&scratch, 0);
	scratch_remove(&scratch);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(torc_immutable_create(&sink, scratch.path,
		                                       TORC_OPTIONS(torc_immutable_options, .write_behind = 100000)),
		                 -EINVAL);
	ck_assert_int_eq(access(scratch.path, F_OK), -1);
	ck_assert_int_eq(torc_immutable_create(&sink, scratch.path, NULL), 0);
	ck_assert_int_eq(torc_immutable_abandon(&sink), 0);
	scratch_remove(&scratch);
}

TEST_IN_FIBER(a_failed_write_is_told_by_seal)
{
	static const unsigned char bytes[20000];
	struct torc_immutable_sink sink;
	struct torc_immutable file = { 0 };
	struct fixture fixture;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 8192, RLIM_INFINITY }), 0);
	folder_make(&fixture);
	ck_assert_int_eq(torc_immutable_create(&sink, fixture.path, NULL), 0);
	ck_assert_int_eq(torc_immutable_write(&sink, bytes, sizeof bytes), sizeof bytes);
	ck_assert_int_eq(torc_immutable_seal(&sink, &file), -EFBIG);
	ck_assert_int_eq(torc_immutable_write(&sink, bytes, 1), -EFBIG);
	ck_assert_int_eq(torc_immutable_seal(&sink, &file), -EFBIG);
	ck_assert_int_eq(torc_immutable_abandon(&sink), 0);
	ck_assert_int_eq(torc_immutable_abandon(&sink), 0);
	folder_remove(&fixture);
}

TEST_IN_FIBER(empty_handles_say_so)
{
	struct torc_immutable_stats stats = { .size = sizeof stats };
	struct torc_immutable_sink sink = { 0 };
	struct torc_immutable file = { 0 };
	struct torc_buffer bytes;

	ck_assert_int_eq(torc_immutable_write(&sink, "x", 1), -EBADF);
	ck_assert_int_eq(torc_immutable_seal(&sink, &file), -EBADF);
	ck_assert_int_eq(torc_immutable_abandon(&sink), 0);
	ck_assert_uint_eq(torc_immutable_size(&file), 0);
	ck_assert_int_eq(torc_immutable_read(&file, &bytes, 1, 0), -EBADF);
	ck_assert_int_eq(torc_immutable_read_at(&file, &bytes, 1, 0), -EBADF);
	ck_assert_int_eq(torc_immutable_stats_get(&file, &stats), -EBADF);
	stats.size = 0;
	ck_assert_int_eq(torc_immutable_stats_get(&file, &stats), -EINVAL);
	ck_assert_int_eq(torc_immutable_close(&file), 0);
}

TEST_IN_FIBER(a_file_that_was_cut_off_is_no_longer_whole)
{
	struct fixture fixture;
	struct torc_buffer bytes;

	fixture_make(&fixture, SIZE, true);
	ck_assert_int_eq(truncate(fixture.path, 1000), 0);
	ck_assert_int_eq(torc_immutable_read(&fixture.file, &bytes, 100, 5000), -ENODATA);
	ck_assert_int_eq(torc_immutable_read(&fixture.file, &bytes, 100, 500), 100);
	torc_buffer_close(&bytes);
	fixture_remove(&fixture);
}
