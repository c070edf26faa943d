/* torc_semaphore - units, order, limits. */
#include "sync.h"

struct want {
	struct torc_semaphore *semaphore;
	size_t units;
};

static int acquire(void *arg)
{
	struct want *want = arg;

	return torc_semaphore_acquire(want->semaphore, want->units);
}

TEST_IN_FIBER(zeroed_has_none)
{
	struct torc_semaphore semaphore = { 0 }, two = TORC_SEMAPHORE(2);

	ck_assert_uint_eq(torc_semaphore_units(&semaphore), 0);
	ck_assert(!torc_semaphore_try_acquire(&semaphore, 1));
	ck_assert(torc_semaphore_try_acquire(&semaphore, 0));
	ck_assert_int_eq(torc_semaphore_acquire(&semaphore, 0), 0);
	ck_assert_int_eq(torc_semaphore_release(&semaphore, 0), 0);
	ck_assert_int_eq(torc_semaphore_release(&semaphore, 3), 0);
	ck_assert(!torc_semaphore_try_acquire(&semaphore, 4));
	ck_assert(torc_semaphore_try_acquire(&semaphore, 2));
	ck_assert_int_eq(torc_semaphore_acquire(&semaphore, 1), 0);
	ck_assert_uint_eq(torc_semaphore_units(&semaphore), 0);
	ck_assert_uint_eq(torc_semaphore_units(&two), 2);
}

TEST_IN_FIBER(more_than_there_can_be)
{
	struct torc_semaphore semaphore = TORC_SEMAPHORE(SIZE_MAX);
	struct want all = { &semaphore, SIZE_MAX };
	struct caller caller;

	ck_assert_int_eq(torc_semaphore_release(&semaphore, 1), -EOVERFLOW);
	ck_assert_int_eq(torc_semaphore_release(&semaphore, SIZE_MAX), -EOVERFLOW);
	ck_assert_int_eq(torc_semaphore_acquire(&semaphore, SIZE_MAX), 0);
	ck_assert_int_eq(torc_semaphore_release(&semaphore, SIZE_MAX - 1), 0);
	TORC_SCOPE(scope);
	start_call(scope, &caller, acquire, &all);
	ck_assert(waits(&caller));
	ck_assert_int_eq(torc_semaphore_release(&semaphore, 2), -EOVERFLOW); /* also while one waits */
	ck_assert_int_eq(torc_semaphore_release(&semaphore, 1), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

TEST_IN_FIBER(few_do_not_overtake_many)
{
	struct torc_semaphore semaphore = TORC_SEMAPHORE(2);
	struct want many = { &semaphore, 5 }, few = { &semaphore, 1 };
	struct caller first, second;

	TORC_SCOPE(scope);
	start_call(scope, &first, acquire, &many);
	start_call(scope, &second, acquire, &few);
	ck_assert(!torc_semaphore_try_acquire(&semaphore, 1));
	ck_assert(torc_semaphore_try_acquire(&semaphore, 0));
	ck_assert_int_eq(torc_semaphore_acquire(&semaphore, 0), 0);
	ck_assert_int_eq(torc_semaphore_release(&semaphore, 2), 0);
	settle();
	ck_assert(waits(&first) && waits(&second));
	ck_assert_int_eq(torc_semaphore_release(&semaphore, 2), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(first.turn, 1);
	ck_assert_int_eq(second.turn, 2);
	ck_assert_uint_eq(torc_semaphore_units(&semaphore), 0);
}

TEST_IN_FIBER(one_release_serves_many)
{
	struct torc_semaphore semaphore = { 0 };
	struct want want[3] = { { &semaphore, 1 }, { &semaphore, 2 }, { &semaphore, 3 } };
	struct caller callers[3];

	TORC_SCOPE(scope);
	for (int i = 0; i < 3; i++)
		start_call(scope, &callers[i], acquire, &want[i]);
	ck_assert_int_eq(torc_semaphore_release(&semaphore, 4), 0);
	settle();
	ck_assert(!waits(&callers[0]) && !waits(&callers[1]) && waits(&callers[2]));
	ck_assert_uint_eq(torc_semaphore_units(&semaphore), 1);
}

TEST_IN_FIBER(a_cancelled_one_makes_way)
{
	struct torc_semaphore semaphore = TORC_SEMAPHORE(1);
	struct want many = { &semaphore, 5 }, few = { &semaphore, 1 };
	struct caller cancelled, next;

	TORC_SCOPE(scope);
	TORC_SCOPE(inner);
	start_call(inner, &cancelled, acquire, &many);
	start_call(scope, &next, acquire, &few);
	ck_assert(waits(&next));
	torc_scope_cancel(inner);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(next.result, 0);
	ck_assert_int_eq(torc_scope_join(inner), -ECANCELED);
	ck_assert_int_eq(cancelled.result, -ECANCELED);
}

TEST_IN_FIBER(granted_then_cancelled_has_them)
{
	struct torc_semaphore semaphore = { 0 };
	struct want want = { &semaphore, 2 };
	struct caller caller;

	TORC_SCOPE(scope);
	start_call(scope, &caller, acquire, &want);
	ck_assert_int_eq(torc_semaphore_release(&semaphore, 2), 0);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(caller.result, 0);
	ck_assert_uint_eq(torc_semaphore_units(&semaphore), 0);
}

TEST_IN_FIBER(cancelled_before_and_past_its_deadline)
{
	struct torc_semaphore semaphore = TORC_SEMAPHORE(1);
	struct want one = { &semaphore, 1 }, two = { &semaphore, 2 };

	ck_assert_int_eq(call_cancelled(acquire, &two), -ECANCELED);
	ck_assert_int_eq(call_until_soon(acquire, &two), -ETIME);
	ck_assert_int_eq(call_cancelled(acquire, &one), 0);
}

DEATH(waited_for_outside_a_fiber, "torc_semaphore_acquire: called outside a fiber")
{
	struct torc_semaphore semaphore = { 0 };

	ck_assert_int_eq(torc_semaphore_acquire(&semaphore, 1), 0);
}

static struct torc_semaphore on_core_0;

static int release(void *arg)
{
	(void)arg;
	return torc_semaphore_release(&on_core_0, 1);
}

static int release_from_core_1(void *arg)
{
	struct want want = { &on_core_0, 1 };
	struct caller caller;

	(void)arg;
	if (torc_core() != 0)
		return 0;
	TORC_SCOPE(scope);
	start_call(scope, &caller, acquire, &want);
	return torc_on(1, release, NULL);
}

DEATH(released_on_another_core, "torc_semaphore_release: the object is in use on another core")
{
	ck_assert_int_eq(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), release_from_core_1, NULL), 0);
}
