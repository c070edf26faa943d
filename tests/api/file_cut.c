/* file_cut - streams and bulk reads whose every call may be cut short by a deadline, wherever it is then: what was taken is
 * what the position says, and nothing is lost, doubled or moved by it. Models, seeded. */
#include "scratch.h"

enum { MOST = 300000, CUT_NS = 200000 };

static int cut(int r)
{
	return r == -ETIME ? 0 : r;
}

/* --- written ----------------------------------------------------------------------------------- */

struct writing {
	struct torc_file_writer writer;
	struct torc_file file;
	struct random random;
	uint64_t start, position; /* what it must be now */
};

static unsigned cuts; /* of writes: some have to be */

static void fill(const struct writing *writing, void *bytes, size_t len)
{
	pattern_fill(bytes, len, writing->position - writing->start + writing->random.seed);
}

/* What a call says, and what the position says it has taken: all of it, or a part if it was cut. */
static void took(struct writing *writing, int r, uint64_t most, bool all)
{
	uint64_t position = torc_file_writer_position(&writing->writer);

	HOLDS(r >= 0 || r == -ETIME, writing->random.seed);
	HOLDS(position >= writing->position && position - writing->position <= most, writing->random.seed);
	HOLDS(r < 0 || !all || position - writing->position == most, writing->random.seed);
	HOLDS(torc_file_writer_flushed(&writing->writer) <= position, writing->random.seed);
	writing->position = position;
	cuts += r == -ETIME;
}

static void write_step(struct writing *writing)
{
	static unsigned char bytes[MOST];
	torc_ns span =
		random_chance(&writing->random, 60) ? (torc_ns)random_below(&writing->random, CUT_NS) : TORC_SEC * 100;
	size_t len = random_size(&writing->random, 60000);
	void *room;
	int r;

	TORC_SCOPE(scope, .deadline = torc_in(span));
	switch (random_below(&writing->random, 6)) {
	case 0:
		r = torc_file_writer_flush(&writing->writer);
		took(writing, r, 0, true);
		HOLDS(r < 0 || torc_file_writer_flushed(&writing->writer) == writing->position, writing->random.seed);
		break;
	case 1:
		took(writing, cut(torc_file_writer_sync(&writing->writer)), 0, true);
		break;
	case 2:
		r = torc_file_writer_reserve(&writing->writer, &room);
		took(writing, r, 0, true);
		if (r <= 0)
			break;
		if (len > (size_t)r)
			len = (size_t)r;
		fill(writing, room, len);
		r = torc_file_writer_commit(&writing->writer, len);
		took(writing, r, len, true);
		break;
	default:
		fill(writing, bytes, len);
		r = torc_file_writer_write(&writing->writer, bytes, len);
		memset(bytes, 0xee, len);
		took(writing, r, len, true);
	}
}

static void write_one(uint64_t seed, bool direct)
{
	static unsigned char before[MOST];
	struct writing writing = { .random = random_seeded(seed) };
	size_t size, kept = random_below(&writing.random, 2) ? 0 : 100000;
	struct torc_file_writer_options options = { .size = sizeof options };
	struct scratch scratch;
	unsigned char *bytes;

	scratch_make(&scratch, kept);
	file_open(&writing.file, scratch.path, O_RDWR, direct);
	options.start = random_below(&writing.random, 3) ? random_below(&writing.random, 9000) : 0;
	options.buffer_size =
		4096 * (1 + random_below(&writing.random, 6)) - (direct ? 0 : random_below(&writing.random, 4000));
	options.write_behind = (int)random_below(&writing.random, 5) - 1;
	writing.start = writing.position = options.start;
	ck_assert_int_eq(torc_file_writer_open(&writing.writer, &writing.file, &options), 0);
	for (unsigned steps = random_below(&writing.random, 30); steps > 0 && writing.position < MOST - 100000; steps--)
		write_step(&writing);
	if (random_chance(&writing.random, 50)) {
		TORC_SCOPE(scope, .deadline = torc_in(random_below(&writing.random, CUT_NS)));
		HOLDS(torc_file_writer_close(&writing.writer) == 0, seed); /* never cut */
	} else {
		HOLDS(torc_file_writer_close(&writing.writer) == 0, seed);
	}
	ck_assert_int_eq(torc_file_close(&writing.file), 0);
	bytes = scratch_load(&scratch, &size);
	HOLDS(size == (kept > writing.position || writing.position == writing.start ? kept : writing.position), seed);
	pattern_fill(before, kept, 0);
	HOLDS(memcmp(bytes, before, kept < writing.start ? kept : writing.start) == 0, seed);
	if (writing.position > writing.start)
		HOLDS(pattern_holds(bytes + writing.start, writing.position - writing.start, seed), seed);
	if (kept > writing.position)
		HOLDS(memcmp(bytes + writing.position, before + writing.position, kept - writing.position) == 0, seed);
	free(bytes);
	scratch_remove(&scratch);
}

TEST_IN_FIBER_TIMEOUT(writers_whose_calls_are_cut, 100)
{
	for (uint64_t seed = seed_first(); seed_more(seed, (uint64_t)COUNT(150, 20)); seed++)
		write_one(seed, seed % 2);
	ck_assert_uint_gt(cuts, 0);
}

/* --- read -------------------------------------------------------------------------------------- */

static void read_one(uint64_t seed, struct torc_file *file, size_t size)
{
	static unsigned char bytes[MOST];
	struct random random = random_seeded(seed);
	struct torc_file_reader_options options = { .size = sizeof options };
	struct torc_file_reader reader;
	size_t position = random_below(&random, 9000);

	options.start = position;
	options.buffer_size = 4096 * (1 + random_below(&random, 6));
	options.read_ahead = (int)random_below(&random, 5) - 1;
	ck_assert_int_eq(torc_file_reader_open(&reader, file, &options), 0);
	for (int steps = 0; steps < 60; steps++) {
		size_t len = random_size(&random, 60000), left = position < size ? size - position : 0;
		bool exact = random_chance(&random, 30);
		int r;

		TORC_SCOPE(scope, .deadline = torc_in(random_below(&random, CUT_NS)));
		r = exact ? torc_file_reader_read_exact(&reader, bytes, len)
		          : torc_file_reader_read(&reader, bytes, len);
		if (r > 0) {
			HOLDS(!exact || (size_t)r == len, seed);
			HOLDS((size_t)r <= left && pattern_holds(bytes, (size_t)r, position), seed);
			position += (size_t)r;
		} else {
			HOLDS(r == -ETIME || len == 0 || left == 0 || (exact && r == -ENODATA && left < len), seed);
		}
		HOLDS(torc_file_reader_position(&reader) == position, seed);
	}
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
}

static void read_many_ranges(uint64_t seed, struct torc_file *file, size_t size)
{
	struct random random = random_seeded(seed);
	struct torc_range ranges[200];
	struct torc_read_many_options options = { .size = sizeof options };
	struct torc_read_result result;
	struct torc_read_many many;
	unsigned at = 0;
	int r;

	for (int i = 0; i < 200; i++)
		ranges[i] = (struct torc_range){ random_below(&random, (unsigned)size + 9000),
			                         random_size(&random, 30000) };
	options.max_bytes = 1 + random_size(&random, 100000);
	options.max_reads = 1 + random_below(&random, 20);
	options.max_gap = 1 + random_size(&random, 50000);
	ck_assert_int_eq(torc_read_many_open(&many, file, ranges, 200, &options), 0);
	for (;;) { /* ends: 1 in 4 is not cut */
		TORC_SCOPE(scope,
		           .deadline = torc_in(random_chance(&random, 25) ? 100 * TORC_SEC
		                                                          : (torc_ns)random_below(&random, CUT_NS)));
		r = torc_read_many_next(&many, &result);
		if (r == 0)
			break;
		if (r < 0) {
			HOLDS(r == -ETIME, seed);
			continue;
		}
		HOLDS(result.index == at && result.error == 0 && result.range.offset == ranges[at].offset, seed);
		HOLDS(result.len == (ranges[at].offset >= size                   ? 0
		                     : ranges[at].len < size - ranges[at].offset ? ranges[at].len
		                                                                 : size - ranges[at].offset),
		      seed);
		HOLDS(pattern_holds(result.data, result.len, ranges[at].offset), seed);
		at++;
	}
	HOLDS(at == 200, seed);
	ck_assert_int_eq(torc_read_many_close(&many), 0);
}

static void read_all(void (*one)(uint64_t, struct torc_file *, size_t), uint64_t seeds)
{
	static const size_t sizes[] = { 0, 4096, 100001, 250000 };

	for (size_t i = 0; i < 8; i++) {
		struct scratch scratch;
		struct torc_file file;

		scratch_make(&scratch, sizes[i / 2]);
		file_open(&file, scratch.path, O_RDONLY, i % 2);
		for (uint64_t seed = seed_first(); seed_more(seed, seeds); seed++)
			one(seed, &file, sizes[i / 2]);
		ck_assert_int_eq(torc_file_close(&file), 0);
		scratch_remove(&scratch);
	}
}

TEST_IN_FIBER_TIMEOUT(readers_whose_calls_are_cut, 100)
{
	read_all(read_one, (uint64_t)COUNT(60, 6));
}

TEST_IN_FIBER_TIMEOUT(bulk_reads_whose_calls_are_cut, 100)
{
	read_all(read_many_ranges, (uint64_t)COUNT(30, 4));
}
