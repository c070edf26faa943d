/* stack.c - the pool of stacks: reuse, guards that bite, growth, trimming, and failure that harms nothing. */
#include "machine/stack.h"

#include "harness.h"
#include "machine/cpu.h"
#include "machine/faults.h"
#include "machine/feature.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct stack_pool pool;

static void open_pool(bool madvise_guards, size_t slot_size)
{
	if (!madvise_guards)
		setenv("TORC_DISABLE", "guard_install", 1);
	feature_found(FEATURE_GUARD_INSTALL, stack_guards_probe(), "no");
	if (madvise_guards && !feature_on(FEATURE_GUARD_INSTALL))
		SKIP("no MADV_GUARD_INSTALL here");
	stack_pool_open(&pool, slot_size);
	ck_assert(pool.madvise_guards == madvise_guards);
}

static void open_any(size_t slot_size)
{
	feature_found(FEATURE_GUARD_INSTALL, stack_guards_probe(), "no");
	stack_pool_open(&pool, slot_size);
}

/* Does a byte at this address kill? */
static bool deadly(char *address)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		signal(SIGSEGV, SIG_DFL);
		faults_expected();
		*(volatile char *)address = 1;
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

/* Mappings that come and go without us: a sanitizer's, mostly. */
#define NOISE (harness_slow() ? 200u : 2u)

static unsigned mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned count = 0;

	for (int c; (c = getc(maps)) != EOF;)
		count += c == '\n';
	fclose(maps);
	return count;
}

static bool resident(const char *at)
{
	unsigned char in_core;

	ck_assert_int_eq(mincore((void *)((uintptr_t)at & ~(cpu_page_size() - 1)), 1, &in_core), 0);
	return in_core & 1;
}

TEST(the_slot_given_last_is_taken_first)
{
	char *a, *b;

	open_any(65536);
	a = stack_take(&pool);
	b = stack_take(&pool);
	ck_assert_ptr_ne(a, b);
	stack_give(&pool, a);
	stack_give(&pool, b);
	ck_assert_ptr_eq(stack_take(&pool), b);
	ck_assert_ptr_eq(stack_take(&pool), a);
	stack_pool_close(&pool);
}

TEST(slots_are_pages_and_do_not_overlap)
{
	enum { COUNT = 500 };
	static char *slots[COUNT];
	size_t page = cpu_page_size();

	open_any(16385); /* rounded up */
	ck_assert_uint_eq(pool.slot_size % page, 0);
	ck_assert_uint_ge(pool.slot_size, 16385);
	for (int i = 0; i < COUNT; i++) {
		slots[i] = stack_take(&pool);
		ck_assert_ptr_nonnull(slots[i]);
		ck_assert_uint_eq((uintptr_t)slots[i] % page, 0);
		memset(slots[i] + pool.guard_size, i, pool.slot_size - pool.guard_size);
	}
	for (int i = 0; i < COUNT; i++) {
		ck_assert_int_eq(slots[i][pool.guard_size], (char)i);
		ck_assert_int_eq(slots[i][pool.slot_size - 1], (char)i);
	}
	stack_pool_close(&pool);
}

static void guards(bool madvise_guards)
{
	char *a, *b;

	open_pool(madvise_guards, 65536);
	a = stack_take(&pool);
	b = stack_take(&pool);
	for (int i = 0; i < 2; i++) {
		ck_assert(deadly(a));
		ck_assert(deadly(a + pool.guard_size - 1));
		ck_assert(!deadly(a + pool.guard_size));
		ck_assert(!deadly(a + pool.slot_size - 1));
		ck_assert(deadly(b));
		ck_assert(!deadly(b + pool.slot_size - 1));
		/* The guard stays when the slot is used anew. */
		stack_give(&pool, b);
		b = stack_take(&pool);
	}
	stack_pool_close(&pool);
}

TEST(a_guard_kills_who_touches_it)
{
	guards(true);
}

TEST(so_does_one_made_by_mprotect)
{
	guards(false);
}

TEST(a_guard_survives_a_trim)
{
	char *slots[STACK_WARM + 10];

	open_any(32768);
	for (int i = 0; i < STACK_WARM + 10; i++)
		slots[i] = stack_take(&pool);
	for (int i = 0; i < STACK_WARM + 10; i++)
		stack_give(&pool, slots[i]);
	while (stack_trim(&pool, 1000))
		;
	ck_assert(deadly(slots[0]));
	ck_assert(deadly(slots[STACK_WARM + 9]));
	stack_pool_close(&pool);
}

TEST(chunks_double_and_every_slot_is_found)
{
	enum { COUNT = 32 + 64 + 128 + 1 };

	open_any(32768);
	ck_assert_uint_eq(pool.chunk_count, 0);
	for (int i = 0; i < COUNT; i++) {
		char *slot = stack_take(&pool);

		ck_assert_ptr_eq(stack_find(&pool, slot), slot);
		ck_assert_ptr_eq(stack_find(&pool, slot + pool.slot_size - 1), slot);
		ck_assert_ptr_eq(stack_find(&pool, slot + pool.slot_size / 2), slot);
	}
	ck_assert_uint_eq(pool.chunk_count, 4);
	ck_assert_uint_eq(pool.total, 32 + 64 + 128 + 256);
	stack_pool_close(&pool);
}

TEST(what_is_no_stack_is_not_found)
{
	static char elsewhere;
	char here;

	open_any(32768);
	ck_assert_ptr_null(stack_find(&pool, &here));
	stack_take(&pool);
	ck_assert_ptr_null(stack_find(&pool, &here));
	ck_assert_ptr_null(stack_find(&pool, &elsewhere));
	ck_assert_ptr_null(stack_find(&pool, NULL));
	ck_assert_ptr_null(stack_find(&pool, (void *)UINTPTR_MAX));
	ck_assert_ptr_null(stack_find(&pool, pool.chunks[0].memory - 1));
	ck_assert_ptr_null(stack_find(&pool, pool.chunks[0].memory + 32 * pool.stride));
	stack_pool_close(&pool);
}

TEST(trimming_gives_memory_back_but_keeps_the_warm_ones)
{
	enum { COUNT = STACK_WARM + 200 };
	static char *slots[COUNT];
	unsigned cold = 0;

	open_any(32768);
	for (int i = 0; i < COUNT; i++) {
		slots[i] = stack_take(&pool);
		memset(slots[i] + pool.guard_size, 1, pool.slot_size - pool.guard_size);
	}
	ck_assert(!stack_trim(&pool, 1000)); /* none is free */
	for (int i = 0; i < COUNT; i++)
		stack_give(&pool, slots[i]);
	ck_assert(stack_trim(&pool, 50));
	for (int i = 0; i < COUNT; i++)
		cold += !resident(slots[i] + pool.slot_size - 1);
	ck_assert_uint_eq(cold, 50);
	ck_assert(stack_trim(&pool, 149));
	ck_assert(!stack_trim(&pool, 1000));
	ck_assert(!stack_trim(&pool, 1000));
	cold = 0;
	for (int i = 0; i < COUNT; i++) {
		cold += !resident(slots[i] + pool.guard_size);
		ck_assert(resident(slots[i] + pool.guard_size) == (i >= 200)); /* those given first */
	}
	ck_assert_uint_eq(cold, 200);
	/* All are good for use again, the warm ones first. */
	for (int i = 0; i < COUNT; i++) {
		char *slot = stack_take(&pool);

		ck_assert_ptr_eq(slot, slots[COUNT - 1 - i]);
		memset(slot + pool.guard_size, 2, pool.slot_size - pool.guard_size);
	}
	ck_assert_uint_eq(pool.free_count, 0);
	ck_assert_uint_eq(pool.cold, 0);
	stack_pool_close(&pool);
}

static void many(bool madvise_guards, int count, unsigned most)
{
	unsigned before = mappings();

	open_pool(madvise_guards, 16384);
	for (int i = 0; i < count; i++)
		if (!stack_take(&pool))
			ck_abort_msg("no stack %d", i);
	ck_assert_uint_le(mappings() - before, most + NOISE);
	stack_pool_close(&pool);
	ck_assert_uint_le(mappings(), before + NOISE);
}

TEST(a_hundred_thousand_guarded_stacks_take_few_mappings)
{
	many(true, harness_slow() ? 10000 : 100000, 40);
}

TEST(without_guard_install_each_takes_two)
{
	many(false, 5000, 10050);
}

TEST(when_mappings_run_out_there_is_no_stack_and_no_harm)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	int limit = 0, count = 0;
	char *first, *slot;

	if (!file || fscanf(file, "%d", &limit) != 1 || limit > 100000 || harness_slow())
		SKIP("vm.max_map_count is too large to reach");
	fclose(file);
	open_pool(false, 16384);
	first = stack_take(&pool);
	while ((slot = stack_take(&pool)) && count <= limit)
		count++;
	ck_assert_int_gt(count, limit / 4);
	ck_assert_int_lt(count, limit);
	ck_assert_ptr_null(stack_take(&pool));
	stack_give(&pool, first);
	ck_assert_ptr_eq(stack_take(&pool), first);
	ck_assert(deadly(first));
	stack_pool_close(&pool);
}

TEST(when_address_space_runs_out_there_is_no_stack_and_no_harm)
{
	struct rlimit old, limit;
	char *slots[64], *slot;
	int count = 0;

	if (harness_slow())
		SKIP("the sanitizer needs the address space");
	open_any(1 << 20);
	for (int i = 0; i < 32; i++)
		slots[i] = stack_take(&pool);
	getrlimit(RLIMIT_AS, &old);
	limit = old;
	limit.rlim_cur = 1 << 20; /* less than there is: nothing more is mapped */
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
	slot = stack_take(&pool);
	setrlimit(RLIMIT_AS, &old);
	ck_assert_ptr_null(slot);
	ck_assert_uint_eq(pool.chunk_count, 1);
	ck_assert_uint_eq(pool.total, 32);
	for (int i = 0; i < 32; i++) {
		slots[i][pool.slot_size - 1] = 1;
		stack_give(&pool, slots[i]);
	}
	/* Afterwards it grows as ever. */
	while (count < 64 && (slots[count] = stack_take(&pool)))
		count++;
	ck_assert_int_eq(count, 64);
	for (int i = 0; i < 64; i++)
		stack_give(&pool, slots[i]);
	stack_pool_close(&pool);
}

static size_t address_space(void)
{
	char text[64] = "";
	FILE *statm = fopen("/proc/self/statm", "re");

	ck_assert_ptr_nonnull(fgets(text, sizeof text, statm));
	fclose(statm);
	return strtoul(text, NULL, 10) * cpu_page_size();
}

TEST(a_chunk_that_does_not_fit_is_made_smaller)
{
	struct rlimit old, limit;
	char *slot;

	if (harness_slow())
		SKIP("the sanitizer needs the address space");
	open_any(64 << 20);
	getrlimit(RLIMIT_AS, &old);
	limit = old;
	limit.rlim_cur = address_space() + (600u << 20); /* 9 of them, and not 32 */
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
	slot = stack_take(&pool);
	setrlimit(RLIMIT_AS, &old);
	ck_assert_ptr_nonnull(slot);
	ck_assert_uint_eq(pool.total, 8);
	stack_pool_close(&pool);
}

/* Chunks are limited in number: those that could not be larger must not be the measure of those that come later. */
TEST(after_a_time_of_small_chunks_it_grows_as_ever)
{
	enum { SMALL = STACK_CHUNKS_MAX - 12, MANY = 20000 };
	static char *slots[SMALL + MANY];
	struct rlimit old, limit;
	int count = 0;

	if (harness_slow())
		SKIP("the sanitizer needs the address space");
	open_any(65536);
	getrlimit(RLIMIT_AS, &old);
	while (count < SMALL) {
		limit = old;
		limit.rlim_cur = address_space() + 2 * pool.stride - cpu_page_size(); /* there is room for one */
		ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
		slots[count++] = stack_take(&pool);
		setrlimit(RLIMIT_AS, &old);
		ck_assert_ptr_nonnull(slots[count - 1]);
		ck_assert_uint_eq(pool.total, count);
	}
	for (; count < SMALL + MANY; count++) {
		slots[count] = stack_take(&pool);
		ck_assert_ptr_nonnull(slots[count]);
	}
	while (count > 0)
		stack_give(&pool, slots[--count]);
	stack_pool_close(&pool);
}

TEST(closing_gives_all_back)
{
	unsigned before;

	open_any(65536);
	stack_pool_close(&pool);
	before = mappings();
	for (int round = 0; round < 50; round++) {
		open_any(65536);
		for (int i = 0; i < 200; i++)
			stack_take(&pool);
		stack_pool_close(&pool);
	}
	ck_assert_uint_le(mappings(), before + NOISE);
}
