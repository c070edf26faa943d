/* torc_read_many: every range's bytes, in order, whatever was merged; as many device reads as documented (both against a
 * model); errors told where they belong and nowhere else. */
#include "scratch.h"

#include <sys/mman.h>

enum { SIZE = 300000, RANGES_MOST = 3000 };

static void many_open(struct torc_read_many *many, struct torc_file *file, const struct torc_range *ranges,
                      size_t count, const struct torc_read_many_options *options)
{
	int r = torc_read_many_open(many, file, ranges, count, options);

	ck_assert_msg(r == 0, "read_many_open: %s", strerror(-r));
}

static struct torc_read_many_stats stats_of(const struct torc_read_many *many)
{
	struct torc_read_many_stats stats = { .size = sizeof stats };

	ck_assert_int_eq(torc_read_many_stats_get(many, &stats), 0);
	return stats;
}

static size_t there(const struct torc_range *range, size_t size)
{
	if (range->offset >= size)
		return 0;
	return size - range->offset < range->len ? size - range->offset : range->len;
}

/* --- against a model ------------------------------------------------------------------------- */

/* The rule as read_many.h tells it, in one place. */
static size_t reads_expected(const struct torc_range *ranges, size_t count, size_t block, size_t max_merge,
                             size_t max_gap, bool no_merge)
{
	uint64_t low = 0, high = 0;
	size_t reads = 0, merged = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t from = ranges[i].offset, to = from + ranges[i].len, l, h, gap;

		if (ranges[i].len == 0)
			continue;
		l = from < low ? from : low;
		h = to > high ? to : high;
		gap = from > high ? from - high : to < low ? low - to : 0;
		if (reads > 0 && !no_merge && merged < 1024 &&
		    ((from >= low && to <= high) ||
		     (gap <= max_gap && (h + block - 1) / block * block - l / block * block <= max_merge))) {
			low = l;
			high = h;
			merged++;
			continue;
		}
		low = from;
		high = to;
		merged = 1;
		reads++;
	}
	return reads;
}

enum shape { SCATTERED, SORTED, DENSE, SAME, SHAPES };

static int by_offset(const void *a, const void *b)
{
	const struct torc_range *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static size_t make_ranges(struct torc_range *ranges, struct random *random)
{
	enum shape shape = random_below(random, SHAPES);
	size_t count = random_size(random, COUNT(RANGES_MOST, 300)), most = 1 + random_size(random, 5000);

	for (size_t i = 0; i < count; i++) {
		ranges[i].len = random_size(random, (unsigned)most);
		ranges[i].offset = random_below(random, SIZE + 2000);
		if (shape == DENSE && i > 0)
			ranges[i].offset = ranges[i - 1].offset + random_below(random, 3000);
		if (shape == SAME && i > 0 && random_chance(random, 90))
			ranges[i] = ranges[i - 1];
		if (random_chance(random, 1))
			ranges[i].len = random_below(random, SIZE);
	}
	if (shape == SORTED)
		qsort(ranges, count, sizeof *ranges, by_offset);
	return count;
}

struct generator {
	const struct torc_range *ranges;
	size_t count, at, ends;
};

static bool generate(struct torc_range *range, void *arg)
{
	struct generator *generator = arg;

	if (generator->at == generator->count) {
		generator->ends++;
		return false;
	}
	*range = generator->ranges[generator->at++];
	return true;
}

static void take_result(struct torc_read_many *many, const struct torc_range *range, size_t index, uint64_t seed)
{
	struct torc_read_result result;
	int r = torc_read_many_next(many, &result);

	HOLDS(r == 1, seed);
	HOLDS(result.index == index, seed);
	HOLDS(result.range.offset == range->offset && result.range.len == range->len, seed);
	HOLDS(result.error == 0, seed);
	HOLDS(result.len == there(range, SIZE), seed);
	HOLDS(pattern_holds(result.data, result.len, range->offset), seed);
}

static void fail_to_take(struct torc_read_many *many)
{
	struct torc_read_result result;

	TORC_SCOPE(late, .deadline = torc_in(-1));
	ck_assert_int_eq(torc_read_many_next(many, &result), -ETIME);
}

static void play(uint64_t seed, struct torc_file *file)
{
	static struct torc_range ranges[RANGES_MOST];
	struct random random = random_seeded(seed);
	size_t count = make_ranges(ranges, &random), taken = 0, stop;
	struct torc_read_many_options options = {
		.size = sizeof options,
		.max_merge = 1 + random_size(&random, 100000),
		.max_gap = 1 + random_size(&random, 10000),
		.no_merge = random_chance(&random, 10),
		.max_reads = 1 + (unsigned)random_size(&random, 64),
		.max_bytes = 1 + random_size(&random, 400000),
	};
	struct generator generator = { ranges, count, 0, 0 };
	struct torc_read_result result;
	struct torc_read_many many;

	stop = random_chance(&random, 80) ? count : random_below(&random, (unsigned)count + 1);
	if (random_chance(&random, 50))
		many_open(&many, file, ranges, count, &options);
	else
		ck_assert_int_eq(torc_read_many_open_from(&many, file, &options, generate, &generator), 0);
	while (taken < stop) {
		if (random_chance(&random, 2))
			fail_to_take(&many);
		take_result(&many, &ranges[taken], taken, seed);
		taken++;
	}
	if (stop == count) {
		struct torc_read_many_stats stats;

		HOLDS(torc_read_many_next(&many, &result) == 0, seed);
		HOLDS(torc_read_many_next(&many, &result) == 0, seed);
		HOLDS(generator.ends <= 1, seed);
		stats = stats_of(&many);
		HOLDS(stats.ranges == count && stats.again == 0, seed);
		HOLDS(stats.reads == reads_expected(ranges, count, torc_file_align(file), options.max_merge,
		                                    options.max_gap, options.no_merge),
		      seed);
	}
	ck_assert_int_eq(torc_read_many_close(&many), 0);
}

static void play_all(bool direct, uint64_t seeds)
{
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, SIZE);
	file_open(&file, scratch.path, O_RDONLY, direct);
	for (uint64_t seed = seed_first(); seed_more(seed, seeds); seed++)
		play(seed, &file);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

TEST_IN_FIBER_TIMEOUT(random_ranges_of_a_buffered_file, 60)
{
	play_all(false, COUNT(1000, 30));
}

TEST_IN_FIBER_TIMEOUT(random_ranges_of_a_direct_file, 60)
{
	play_all(true, COUNT(100, 10));
}

/* --- the rules, one by one --------------------------------------------------------------------- */

static uint64_t reads_of(const struct torc_range *ranges, size_t count, const struct torc_read_many_options *options)
{
	struct torc_read_many_stats stats;
	struct torc_read_many many;
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, SIZE);
	file_open(&file, scratch.path, O_RDONLY, false);
	many_open(&many, &file, ranges, count, options);
	for (size_t i = 0; i < count; i++)
		take_result(&many, &ranges[i], i, 0);
	stats = stats_of(&many);
	ck_assert_int_eq(torc_read_many_close(&many), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
	return stats.reads;
}

#define READS_OF(options, ...)                               \
	reads_of((const struct torc_range[]){ __VA_ARGS__ }, \
	         sizeof((const struct torc_range[]){ __VA_ARGS__ }) / sizeof(struct torc_range), options)

TEST_IN_FIBER(neighbours_are_merged)
{
	static const struct torc_read_many_options options = { .size = sizeof options,
		                                               .max_merge = 1000,
		                                               .max_gap = 10 };

	ck_assert_uint_eq(READS_OF(&options, { 0, 100 }, { 100, 100 }, { 200, 100 }), 1);
	ck_assert_uint_eq(READS_OF(&options, { 0, 100 }, { 110, 100 }), 1);
	ck_assert_uint_eq(READS_OF(&options, { 0, 100 }, { 111, 100 }), 2);
	ck_assert_uint_eq(READS_OF(&options, { 110, 100 }, { 0, 100 }), 1);
	ck_assert_uint_eq(READS_OF(&options, { 111, 100 }, { 0, 100 }), 2);
	ck_assert_uint_eq(READS_OF(&options, { 0, 100 }, { 0, 100 }, { 50, 10 }, { 0, 100 }), 1);
	ck_assert_uint_eq(READS_OF(&options, { 0, 500 }, { 500, 500 }), 1);
	ck_assert_uint_eq(READS_OF(&options, { 0, 500 }, { 500, 501 }), 2);
	ck_assert_uint_eq(READS_OF(&options, { 0, 100 }, { 5000, 0 }, { 100, 100 }), 1);
	ck_assert_uint_eq(READS_OF(&options, { 7, 0 }), 0);
}

TEST_IN_FIBER(a_large_range_is_one_read)
{
	static const struct torc_read_many_options options = { .size = sizeof options,
		                                               .max_merge = 100,
		                                               .max_bytes = 1000 };

	ck_assert_uint_eq(READS_OF(&options, { 0, SIZE }), 1);
	ck_assert_uint_eq(READS_OF(&options, { 0, SIZE }, { 5, 100 }, { 0, SIZE }), 1);
	ck_assert_uint_eq(READS_OF(&options, { 5, 100 }, { 0, SIZE }, { SIZE, 1 }, { 900, 1 }), 4);
}

TEST_IN_FIBER(no_merge_means_none)
{
	static const struct torc_read_many_options options = { .size = sizeof options, .no_merge = true };

	ck_assert_uint_eq(READS_OF(&options, { 0, 100 }, { 0, 100 }, { 50, 0 }, { 100, 100 }), 3);
}

TEST_IN_FIBER(nothing_gives_nothing)
{
	struct torc_read_result result;
	struct torc_read_many many;
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, 0);
	file_open(&file, scratch.path, O_RDONLY, false);
	many_open(&many, &file, NULL, 0, NULL);
	ck_assert_int_eq(torc_read_many_next(&many, &result), 0);
	ck_assert_int_eq(torc_read_many_close(&many), 0);
	many_open(&many, &file, (const struct torc_range[]){ { 0, 10 }, { 1000000, 1 } }, 2, NULL);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(torc_read_many_next(&many, &result), 1);
		ck_assert_uint_eq(result.len, 0);
		ck_assert_int_eq(result.error, 0);
	}
	ck_assert_int_eq(torc_read_many_next(&many, &result), 0);
	ck_assert_int_eq(torc_read_many_close(&many), 0);
	ck_assert_int_eq(torc_read_many_close(&many), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

TEST_IN_FIBER(an_empty_one_says_so)
{
	struct torc_read_many_stats stats = { .size = sizeof stats };
	struct torc_read_many many = { 0 };
	struct torc_file file = { 0 };
	struct torc_read_result result;

	ck_assert_int_eq(torc_read_many_open(&many, &file, NULL, 0, NULL), -EBADF);
	ck_assert_int_eq(torc_read_many_next(&many, &result), -EBADF);
	ck_assert_int_eq(torc_read_many_stats_get(&many, &stats), -EBADF);
	stats.size = 0;
	ck_assert_int_eq(torc_read_many_stats_get(&many, &stats), -EINVAL);
	ck_assert_int_eq(torc_read_many_close(&many), 0);
	ck_assert_int_eq(
		torc_read_many_open(&many, &file, NULL, 0, TORC_OPTIONS(torc_read_many_options, .max_reads = 4097)),
		-EINVAL);
}

/* Closed at once, with all that it started under way. */
TEST_IN_FIBER(close_at_any_time)
{
	struct torc_range ranges[100];
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, SIZE);
	file_open(&file, scratch.path, O_RDONLY, true);
	for (size_t i = 0; i < LENGTH(ranges); i++)
		ranges[i] = (struct torc_range){ i * 2900, 100 };
	for (size_t stop = 0; stop < LENGTH(ranges); stop += COUNT(1, 9)) {
		struct torc_read_many many;

		many_open(&many, &file, ranges, LENGTH(ranges),
		          TORC_OPTIONS(torc_read_many_options, .no_merge = true, .max_reads = 50));
		for (size_t i = 0; i < stop; i++)
			take_result(&many, &ranges[i], i, 0);
		ck_assert_int_eq(torc_read_many_close(&many), 0);
	}
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

TEST_IN_FIBER(closing_the_file_ends_it)
{
	struct torc_range ranges[10];
	struct torc_read_result result;
	struct torc_read_many many;
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, SIZE);
	file_open(&file, scratch.path, O_RDONLY, false);
	for (size_t i = 0; i < LENGTH(ranges); i++)
		ranges[i] = (struct torc_range){ i * 20000, 100 };
	many_open(&many, &file, ranges, LENGTH(ranges), NULL);
	take_result(&many, &ranges[0], 0, 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_int_eq(torc_read_many_next(&many, &result), -EBADF);
	ck_assert_int_eq(torc_read_many_close(&many), 0);
	scratch_remove(&scratch);
}

/* --- errors ------------------------------------------------------------------------------------ */

/* The memory of this process as a file; one page of it can't be read. */
TEST_IN_FIBER(an_error_spoils_no_neighbour)
{
	enum { PAGE = 4096, PAGES = 9, BAD = 4 };
	unsigned char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct torc_range ranges[PAGES * 4];
	struct torc_read_many_stats stats;
	struct torc_read_result result;
	struct torc_read_many many;
	struct torc_file file;

	ck_assert_ptr_ne(memory, MAP_FAILED);
	pattern_fill(memory, PAGES * PAGE, 0);
	ck_assert_int_eq(munmap(memory + BAD * PAGE, PAGE), 0);
	for (size_t i = 0; i < LENGTH(ranges); i++)
		ranges[i] = (struct torc_range){ (uintptr_t)memory + i * PAGE / 4, PAGE / 4 };
	ranges[LENGTH(ranges) - 1].offset = UINT64_MAX - 5;
	file_open(&file, "/proc/self/mem", O_RDONLY, false);
	for (unsigned merge = 1; merge <= PAGES * PAGE; merge = merge * 2 + 100) {
		many_open(&many, &file, ranges, LENGTH(ranges),
		          TORC_OPTIONS(torc_read_many_options, .max_merge = merge, .max_reads = 3));
		for (size_t i = 0; i < LENGTH(ranges); i++) {
			bool last = i == LENGTH(ranges) - 1, bad = i / 4 == BAD || last;

			ck_assert_int_eq(torc_read_many_next(&many, &result), 1);
			ck_assert_uint_eq(result.index, i);
			ck_assert_int_eq(result.error, last ? -EINVAL : bad ? -EIO : 0);
			ck_assert_uint_eq(result.len, bad ? 0 : PAGE / 4);
			ck_assert(pattern_holds(result.data, result.len, i * PAGE / 4));
		}
		ck_assert_int_eq(torc_read_many_next(&many, &result), 0);
		stats = stats_of(&many);
		ck_assert_int_eq(stats.again > 0, merge > PAGE / 2);
		ck_assert_int_eq(torc_read_many_close(&many), 0);
	}
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_int_eq(munmap(memory, BAD * PAGE), 0);
	ck_assert_int_eq(munmap(memory + (BAD + 1) * PAGE, (PAGES - BAD - 1) * PAGE), 0);
}

TEST_IN_FIBER(a_range_with_an_error_in_it_has_what_is_before)
{
	enum { PAGE = 4096 };
	unsigned char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct torc_range range = { (uintptr_t)memory + 100, 2 * PAGE - 100 };
	struct torc_read_result result;
	struct torc_read_many many;
	struct torc_file file;

	ck_assert_ptr_ne(memory, MAP_FAILED);
	pattern_fill(memory, 2 * PAGE, 0);
	ck_assert_int_eq(munmap(memory + PAGE, PAGE), 0);
	file_open(&file, "/proc/self/mem", O_RDONLY, false);
	many_open(&many, &file, &range, 1, NULL);
	ck_assert_int_eq(torc_read_many_next(&many, &result), 1);
	ck_assert_int_eq(result.error, -EIO);
	ck_assert_uint_eq(result.len, PAGE - 100);
	ck_assert(pattern_holds(result.data, result.len, 100));
	ck_assert_int_eq(torc_read_many_close(&many), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_int_eq(munmap(memory, PAGE), 0);
}

/* --- parked ------------------------------------------------------------------------------------ */

struct slow {
	struct torc_file file;
	struct torc_read_many many;
	char path[64];
	int writer, got;
};

/* A FIFO: reading it parks until somebody writes. */
static void slow_open(struct slow *slow)
{
	static const struct torc_range range = { 0, 1 };

	snprintf(slow->path, sizeof slow->path, "/tmp/torc-fifo-%d", getpid());
	unlink(slow->path);
	ck_assert_int_eq(mkfifo(slow->path, 0600), 0);
	slow->writer = open(slow->path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(slow->writer, 0);
	file_open(&slow->file, slow->path, O_RDONLY, false);
	many_open(&slow->many, &slow->file, &range, 1, NULL);
	slow->got = UNSET;
}

static void slow_close(struct slow *slow)
{
	ck_assert_int_eq(torc_file_close(&slow->file), 0);
	ck_assert_int_eq(close(slow->writer), 0);
	ck_assert_int_eq(unlink(slow->path), 0);
}

static int take_one(void *arg)
{
	struct torc_read_result result;
	struct slow *slow = arg;

	slow->got = torc_read_many_next(&slow->many, &result);
	return 0;
}

TEST_IN_FIBER(a_parked_one_can_be_cancelled_and_asked_again)
{
	struct slow slow;

	slow_open(&slow);
	{
		TORC_SCOPE(late, .deadline = torc_in(SOON));
		ck_assert_int_eq(take_one(&slow), 0);
		ck_assert_int_eq(slow.got, -ETIME);
	}
	ck_assert_int_eq(write(slow.writer, "x", 1), 1);
	ck_assert_int_eq(take_one(&slow), 0);
	ck_assert_int_eq(slow.got, 1);
	ck_assert_int_eq(torc_read_many_close(&slow.many), 0);
	slow_close(&slow);
}

TEST_IN_FIBER(close_wakes_who_is_parked)
{
	struct slow slow;

	slow_open(&slow);
	{
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, take_one, &slow), 0);
		torc_yield();
		ck_assert_int_eq(torc_read_many_close(&slow.many), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(slow.got, -EBADF);
	}
	slow_close(&slow);
}

TEST_IN_FIBER_WITH(more_reads_than_the_ring_takes, .ring_entries = 8)
{
	static struct torc_range ranges[3000];
	struct torc_read_many many;
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, SIZE);
	file_open(&file, scratch.path, O_RDONLY, true);
	for (size_t i = 0; i < LENGTH(ranges); i++)
		ranges[i] = (struct torc_range){ i * 100, 90 };
	many_open(&many, &file, ranges, LENGTH(ranges),
	          TORC_OPTIONS(torc_read_many_options, .no_merge = true, .max_reads = 2000));
	for (size_t i = 0; i < LENGTH(ranges); i++)
		take_result(&many, &ranges[i], i, 0);
	ck_assert_int_eq(torc_read_many_close(&many), 0);
	many_open(&many, &file, ranges, LENGTH(ranges),
	          TORC_OPTIONS(torc_read_many_options, .no_merge = true, .max_reads = 2000));
	take_result(&many, &ranges[0], 0, 0);
	ck_assert_int_eq(torc_read_many_close(&many), 0);
	ck_assert_int_eq(torc_read_many_open(&many, &file, ranges, LENGTH(ranges),
	                                     TORC_OPTIONS(torc_read_many_options, .max_bytes = (size_t)1 << 45)),
	                 -ENOMEM);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}
