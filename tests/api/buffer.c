/* buffer - memory for direct I/O: taken, sliced, shared, given back; with and without the ring's knowing of it. */
#include "files.h"

enum { MANY = 2000 };

static bool aligned(const void *memory, size_t align)
{
	return ((uintptr_t)memory & (align - 1)) == 0;
}

TEST_IN_FIBER(buffer_is_aligned_and_as_large_as_asked_for)
{
	static const size_t sizes[] = {
		1, 511, 4096, 4097, 12288, 131072, 1048575, 1048576, 1048577, 5000000, 40000000
	};

	for (size_t i = 0; i < LENGTH(sizes); i++) {
		struct torc_buffer buffer;

		ck_assert_int_eq(torc_buffer_open(&buffer, sizes[i]), 0);
		ck_assert_uint_eq(buffer.size, sizes[i]);
		ck_assert(aligned(buffer.data, 4096));
		memset(buffer.data, (int)i, sizes[i]);
		torc_buffer_close(&buffer);
		ck_assert_ptr_null(buffer.data);
		ck_assert_uint_eq(buffer.size, 0);
		torc_buffer_close(&buffer); /* harmless */
	}
}

TEST_IN_FIBER(buffer_can_be_aligned_to_more)
{
	struct torc_buffer small, large;

	for (size_t align = 4096; align <= 1 << 20; align *= 2) {
		ck_assert_int_eq(torc_buffer_open(&small, 100), 0);
		ck_assert_int_eq(torc_buffer_open_with(&large, 5000, TORC_OPTIONS(torc_buffer_options, .align = align)),
		                 0);
		ck_assert(aligned(large.data, align));
		torc_buffer_close(&small);
		torc_buffer_close(&large);
	}
	ck_assert_int_eq(torc_buffer_open_with(&large, 1, TORC_OPTIONS(torc_buffer_options, .align = 512)), -EINVAL);
	ck_assert_int_eq(torc_buffer_open_with(&large, 1, TORC_OPTIONS(torc_buffer_options, .align = 12288)), -EINVAL);
	ck_assert_int_eq(torc_buffer_open_with(&large, 1, TORC_OPTIONS(torc_buffer_options, .align = 2 << 20)),
	                 -EINVAL);
	ck_assert_int_eq(torc_buffer_open(&large, 0), -EINVAL);
	ck_assert_int_eq(torc_buffer_open(&large, SIZE_MAX), -ENOMEM);
	ck_assert_int_eq(torc_buffer_open(&large, (size_t)1 << 40), -ENOMEM);
}

TEST_IN_FIBER(buffers_do_not_overlap_whatever_comes_and_goes)
{
	static struct torc_buffer buffers[64];
	unsigned seed = 1;

	for (int round = 0; round < COUNT(20000, 1000); round++) {
		unsigned i = (seed = seed * 1103515245 + 12345) >> 16 & 63;
		size_t size = 1 + (seed >> 8) % 70000;

		if (buffers[i].data) {
			ck_assert_int_eq(*(unsigned char *)buffers[i].data, i);
			ck_assert_int_eq(((unsigned char *)buffers[i].data)[buffers[i].size - 1], i);
			torc_buffer_close(&buffers[i]);
			continue;
		}
		ck_assert_int_eq(torc_buffer_open(&buffers[i], size), 0);
		memset(buffers[i].data, (int)i, size);
	}
	for (unsigned i = 0; i < 64; i++)
		torc_buffer_close(&buffers[i]);
	ck_assert_uint_le(stats_now().buffer_bytes, 16 << 20);
}

TEST_IN_FIBER(buffer_memory_is_used_again)
{
	static struct torc_buffer buffers[MANY];
	uint64_t bytes = 0;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++)
			ck_assert_int_eq(torc_buffer_open(&buffers[i], 4096), 0);
		for (int i = 0; i < MANY; i++)
			torc_buffer_close(&buffers[(i * 7 + round) % MANY]);
		if (round == 0)
			bytes = stats_now().buffer_bytes;
		ck_assert_uint_eq(stats_now().buffer_bytes, bytes);
	}
}

TEST_IN_FIBER(buffer_memory_goes_back_where_much_is_idle)
{
	struct torc_buffer large, small;

	ck_assert_int_eq(torc_buffer_open(&small, 1), 0);
	ck_assert_int_eq(torc_buffer_open(&large, 200 << 20), 0);
	ck_assert_uint_ge(stats_now().buffer_bytes, 200 << 20);
	torc_buffer_close(&large);
	ck_assert_uint_le(stats_now().buffer_bytes, 2 << 20);
	ck_assert_int_eq(torc_buffer_open(&large, 150 << 20), 0);
	torc_buffer_close(&large);
	torc_buffer_close(&small);
}

/* Its place in the arena's address space is free again, whether there was memory for it or not. */
TEST_IN_FIBER(a_huge_buffer_does_not_stay_in_the_way)
{
	const size_t gib = (size_t)1 << 30;
	struct torc_buffer huge = { 0 }, small, large;

	if (harness_slow())
		SKIP("the shadow of that is more than there is");
	for (int i = 0; i < 3; i++) {
		int r = torc_buffer_open(&huge, 62 * gib);

		ck_assert_msg(r == 0 || r == -ENOMEM, "%d", r);
		if (r == 0)
			((char *)huge.data)[62 * gib - 1] = 1;
		torc_buffer_close(&huge);
		ck_assert_int_eq(torc_buffer_open(&large, 3 * gib), 0);
		ck_assert_int_eq(torc_buffer_open(&small, 1), 0);
		memset(small.data, 1, 1);
		torc_buffer_close(&large);
		torc_buffer_close(&small);
	}
}

TEST_IN_FIBER(slice_borrows)
{
	struct torc_buffer buffer, slice, part;

	ck_assert_int_eq(torc_buffer_open(&buffer, 10000), 0);
	pattern_fill(buffer.data, 10000, 0);
	slice = torc_buffer_slice(&buffer, 4096, 5904);
	ck_assert_uint_eq(slice.size, 5904);
	ck_assert(pattern_holds(slice.data, slice.size, 4096));
	part = torc_buffer_slice(&slice, 5904, 0);
	ck_assert_uint_eq(part.size, 0);
	torc_buffer_close(&part);
	torc_buffer_close(&slice);
	ck_assert_ptr_null(slice.data);
	ck_assert(pattern_holds(buffer.data, 10000, 0));
	torc_buffer_close(&buffer);
}

TEST_IN_FIBER(share_holds_until_the_last_is_closed)
{
	struct torc_buffer first, second, third, other;
	void *where;

	ck_assert_int_eq(torc_buffer_open(&first, 8192), 0);
	where = first.data;
	pattern_fill(first.data, 8192, 0);
	second = torc_buffer_share(&first);
	third = torc_buffer_slice(&first, 100, 200);
	third = torc_buffer_share(&third);
	torc_buffer_close(&first);
	torc_buffer_close(&second);
	ck_assert(pattern_holds(third.data, 200, 100));
	ck_assert_int_eq(torc_buffer_open(&other, 8192), 0);
	ck_assert_ptr_ne(other.data, where);
	torc_buffer_close(&third);
	torc_buffer_close(&other);
	ck_assert_int_eq(torc_buffer_open(&other, 8192), 0);
	ck_assert_ptr_eq(other.data, where);
	torc_buffer_close(&other);
}

TEST_IN_FIBER(arena_is_registered_where_the_kernel_can)
{
	struct torc_buffer buffer;
	struct torc_stats stats;

	ck_assert_uint_eq(stats_now().buffer_bytes, 0);
	ck_assert_int_eq(torc_buffer_open(&buffer, 4096), 0);
	stats = stats_now();
	ck_assert_uint_ge(stats.buffer_bytes, 4096);
	if (!feature_is_on("fixed_buffers"))
		ck_assert_uint_eq(stats.buffer_registered, 0);
	torc_buffer_close(&buffer);
}

static int leak(void *arg)
{
	struct torc_buffer buffer;

	(void)arg;
	return torc_buffer_open(&buffer, 5000);
}

static int run_and_leak(void *arg)
{
	return torc_run(NULL, leak, arg);
}

TEST(what_is_not_closed_is_freed_and_said)
{
	struct outcome outcome;

	ck_assert_int_eq(torc_run(NULL, leak, NULL), 0); /* and the census finds nothing */
	run_in_process(&outcome, run_and_leak, NULL);
	assert_exit(&outcome, 0);
	ck_assert_ptr_nonnull(strstr(outcome.text, "8192 bytes were not closed"));
}

/* An unprivileged user who may lock little: buffers work all the same. */
static int poor(void *arg)
{
	struct torc_buffer buffers[8];
	struct torc_stats stats = { .size = sizeof stats };
	int r = 0;

	(void)arg;
	for (int i = 0; r == 0 && i < 8; i++) {
		r = torc_buffer_open(&buffers[i], 3 << 20);
		if (r == 0)
			memset(buffers[i].data, i, 3 << 20);
	}
	torc_stats_get(&stats);
	fprintf(stderr, "registered %llu of %llu\n", (unsigned long long)stats.buffer_registered,
	        (unsigned long long)stats.buffer_bytes);
	if (r == 0 && stats.buffer_registered >= stats.buffer_bytes)
		r = 9;
	for (int i = 0; i < 8; i++)
		torc_buffer_close(&buffers[i]);
	return r;
}

/* More than the ring has places for chunks. */
static int many(void *arg)
{
	enum { BUFFERS = 1100 };
	static struct torc_buffer buffers[BUFFERS];
	int r = 0;

	(void)arg;
	for (int i = 0; r == 0 && i < BUFFERS; i++)
		r = torc_buffer_open(&buffers[i], 1 << 20);
	for (int i = 0; i < BUFFERS; i++)
		torc_buffer_close(&buffers[i]);
	return r;
}

static int run_poor(void *fn)
{
	if (setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ 8 << 20, 8 << 20 }) < 0 || setuid(65534) < 0)
		return 77;
	return torc_run(NULL, *(torc_fn **)fn, NULL) < 0 ? 1 : 0;
}

TEST(arena_is_as_large_where_no_more_may_be_locked)
{
	struct outcome outcome;
	torc_fn *fn = many;

	run_in_process(&outcome, run_poor, &fn);
	if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 77)
		SKIP("needs to be root, to become somebody else");
	assert_exit(&outcome, 0);
}

TEST(arena_goes_on_unregistered_where_no_more_may_be_locked)
{
	struct outcome outcome;
	torc_fn *fn = poor;

	run_in_process(&outcome, run_poor, &fn);
	if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 77)
		SKIP("needs to be root, to become somebody else");
	assert_exit(&outcome, 0);
	ck_assert_ptr_nonnull(strstr(outcome.text, "registered "));
}

DEATH_IN_FIBER(closed_twice_by_a_copy, "torc_buffer_close: the buffer was closed already")
{
	struct torc_buffer buffer, copy;

	ck_assert_int_eq(torc_buffer_open(&buffer, 1), 0);
	copy = buffer;
	torc_buffer_close(&buffer);
	torc_buffer_close(&copy);
}

DEATH_IN_FIBER(slice_beyond_the_end, "torc_buffer_slice: .*beyond")
{
	struct torc_buffer buffer;

	ck_assert_int_eq(torc_buffer_open(&buffer, 100), 0);
	buffer = torc_buffer_slice(&buffer, 50, 51);
}

DEATH(buffer_outside_a_run, "torc_buffer_open_with: called outside")
{
	struct torc_buffer buffer;

	ck_assert_int_eq(torc_buffer_open(&buffer, 100), 0);
}
