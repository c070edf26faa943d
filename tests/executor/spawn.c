/* spawn.c - a spawn that fails for want of memory harms nothing. */
#include "executor/on_fake.h"
#include "harness.h"

#include <sys/resource.h>

static int ran;

static int child(void *arg)
{
	ran++;
	return arg ? *(const int *)arg : 0;
}

static int fill_address_space(void *arg)
{
	struct rlimit old, none;
	int spawned = 0, r = 0, value = 0;

	(void)arg;
	TORC_SCOPE(all);
	getrlimit(RLIMIT_AS, &old);
	none = old;
	none.rlim_cur = 1 << 20; /* less than there is: nothing more is mapped */
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &none), 0);
	while (spawned < 1000 && (r = torc_go(all, child, NULL)) == 0)
		spawned++;
	value = 7;
	ck_assert_int_eq(torc_give(all, child, value), -ENOMEM);
	setrlimit(RLIMIT_AS, &old);
	ck_assert_int_eq(r, -ENOMEM);
	ck_assert_int_eq(value, 7);    /* still the caller's */
	ck_assert_int_eq(spawned, 31); /* what the chunk had left beside the root */
	ck_assert_uint_eq(torc_scope_live(all), 31);
	ck_assert_int_eq(torc_scope_join(all), 0);
	ck_assert_int_eq(ran, 31);

	/* All is well again afterwards. */
	for (int i = 0; i < 500; i++)
		ck_assert_int_eq(torc_go(all, child, NULL), 0);
	ck_assert_int_eq(torc_scope_join(all), 0);
	ck_assert_int_eq(ran, 531);
	return 0;
}

TEST(a_spawn_without_memory_fails_and_leaves_all_intact)
{
	if (harness_slow())
		SKIP("the sanitizer needs the address space");
	fake_init(&fake);
	ck_assert_int_eq(fake_run(fill_address_space, NULL), 0);
}

static int limited(void *arg)
{
	struct rlimit old, none;
	int r;

	(void)arg;
	TORC_SCOPE(all, .limit = 2);
	for (int i = 0; i < 30; i++)
		ck_assert_int_eq(torc_go(all, child, NULL), 0);
	ck_assert_int_eq(torc_scope_join(all), 0);
	/* With every stack in use elsewhere the place in the scope is given back. */
	TORC_SCOPE(others);
	for (uint64_t i = fake_executor.live; i < fake_executor.stacks.total; i++)
		ck_assert_int_eq(torc_go(others, child, NULL), 0);
	getrlimit(RLIMIT_AS, &old);
	none = old;
	none.rlim_cur = 1 << 20;
	setrlimit(RLIMIT_AS, &none);
	for (int i = 0; i < 5; i++) {
		r = torc_go(all, child, NULL);
		if (r != -ENOMEM)
			break;
	}
	setrlimit(RLIMIT_AS, &old);
	ck_assert_int_eq(r, -ENOMEM);
	ck_assert_uint_eq(torc_scope_live(all), 0);
	ck_assert_int_eq(torc_scope_join(others), 0);
	return torc_go(all, child, NULL);
}

TEST(a_place_under_a_limit_is_given_back_when_there_is_no_stack)
{
	if (harness_slow())
		SKIP("the sanitizer needs the address space");
	fake_init(&fake);
	ck_assert_int_eq(fake_run(limited, NULL), 0);
}

struct large {
	char bytes[20000];
};

static int check_large(void *arg)
{
	struct large *large = arg;

	for (size_t i = 0; i < sizeof large->bytes; i++)
		if (large->bytes[i] != (char)i)
			return -EBADMSG;
	ran++;
	return 0;
}

static int gives(void *arg)
{
	struct large large;

	(void)arg;
	TORC_SCOPE(all);
	for (int round = 0; round < 100; round++) {
		for (size_t i = 0; i < sizeof large.bytes; i++)
			large.bytes[i] = (char)i;
		ck_assert_int_eq(torc_give(all, check_large, large), 0);
		ck_assert_int_eq(large.bytes[77], 0);
		ck_assert_int_eq(large.bytes[19999], 0);
	}
	return torc_scope_join(all);
}

TEST(what_is_given_moves_whole)
{
	fake_init(&fake);
	ck_assert_int_eq(fake_run(gives, NULL), 0);
	ck_assert_int_eq(ran, 100);
}

static int wave(void *arg)
{
	(void)arg;
	TORC_SCOPE(all);
	for (int i = 0; i < (harness_slow() ? 200 : 5000); i++)
		ck_assert_int_eq(torc_go(all, child, NULL), 0);
	return torc_scope_join(all);
}

static int waves(void *arg)
{
	uint64_t total = 0;

	(void)arg;
	for (int i = 0; i < 20; i++) {
		int r = wave(NULL);

		ck_assert_int_eq(r, 0);
		ck_assert(total == 0 || total == fake_executor.stacks.total); /* stacks are used again */
		total = fake_executor.stacks.total;
	}
	return 0;
}

TEST(fibers_that_ended_leave_their_stacks_to_those_that_come)
{
	fake_init(&fake);
	ck_assert_int_eq(fake_run(waves, NULL), 0);
}
