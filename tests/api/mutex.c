/* torc_mutex - order, hand-over, cancellation in every state, misuse. */
#include "sync.h"

enum { FIBERS = 5 };

static int lock(void *mutex)
{
	return torc_mutex_lock(mutex);
}

static int lock_and_unlock(void *mutex)
{
	int r = torc_mutex_lock(mutex);

	if (r == 0)
		torc_mutex_unlock(mutex);
	return r;
}

TEST_IN_FIBER(zeroed_is_free)
{
	struct torc_mutex mutex = { 0 };

	ck_assert(!torc_mutex_is_mine(&mutex));
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(torc_mutex_lock(&mutex), 0);
		ck_assert(torc_mutex_is_mine(&mutex));
		ck_assert(!torc_mutex_try_lock(&mutex));
		torc_mutex_unlock(&mutex);
		ck_assert(torc_mutex_try_lock(&mutex));
		torc_mutex_unlock(&mutex);
	}
}

TEST_IN_FIBER(first_come_first_served)
{
	struct torc_mutex mutex = { 0 };
	struct caller callers[FIBERS];

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_mutex_lock(&mutex), 0);
	for (int i = 0; i < FIBERS; i++)
		start_call(scope, &callers[i], lock_and_unlock, &mutex);
	for (int i = 0; i < FIBERS; i++)
		ck_assert(waits(&callers[i]));
	torc_mutex_unlock(&mutex);
	ck_assert(!torc_mutex_try_lock(&mutex)); /* it is the first one's already: nobody overtakes */
	ck_assert_int_eq(lock_and_unlock(&mutex), 0);
	for (int i = 0; i < FIBERS; i++)
		ck_assert_int_eq(callers[i].turn, i + 1);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

static int guarded;

static int hold_while_parked(void *mutex)
{
	for (int i = 0; i < 20; i++) {
		int r = torc_mutex_lock(mutex);

		if (r < 0)
			return r;
		ck_assert_int_eq(guarded++, 0);
		torc_yield();
		ck_assert_int_eq(guarded--, 1);
		torc_mutex_unlock(mutex);
	}
	return 0;
}

TEST_IN_FIBER(one_at_a_time)
{
	struct torc_mutex mutex = { 0 };

	TORC_SCOPE(scope);
	for (int i = 0; i < FIBERS; i++)
		ck_assert_int_eq(torc_go(scope, hold_while_parked, &mutex), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert(torc_mutex_try_lock(&mutex));
	torc_mutex_unlock(&mutex);
}

static int lock_and_keep(void *mutex)
{
	int r = torc_mutex_lock(mutex);

	if (r == 0) {
		r = torc_sleep(AGES);
		torc_mutex_unlock(mutex);
	}
	return r;
}

TEST_IN_FIBER(in_a_cancelled_scope_only_a_free_one)
{
	struct torc_mutex mutex = { 0 };
	struct caller holder;

	ck_assert_int_eq(call_cancelled(lock_and_unlock, &mutex), 0);
	TORC_SCOPE(scope);
	start_call(scope, &holder, lock_and_keep, &mutex);
	ck_assert_int_eq(call_cancelled(lock, &mutex), -ECANCELED);
	ck_assert_int_eq(call_until_soon(lock, &mutex), -ETIME);
}

TEST_IN_FIBER(a_cancelled_one_leaves_the_queue)
{
	struct torc_mutex mutex = { 0 };
	struct caller before, cancelled, after;

	TORC_SCOPE(scope);
	TORC_SCOPE(inner);
	ck_assert_int_eq(torc_mutex_lock(&mutex), 0);
	start_call(scope, &before, lock_and_unlock, &mutex);
	start_call(inner, &cancelled, lock_and_unlock, &mutex);
	start_call(scope, &after, lock_and_unlock, &mutex);
	torc_scope_cancel(inner);
	ck_assert_int_eq(torc_scope_join(inner), -ECANCELED);
	ck_assert_int_eq(cancelled.result, -ECANCELED);
	ck_assert(waits(&before) && waits(&after));
	torc_mutex_unlock(&mutex);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(before.result, 0);
	ck_assert_int_eq(after.result, 0);
}

TEST_IN_FIBER(handed_over_then_cancelled_is_held)
{
	struct torc_mutex mutex = { 0 };
	struct caller next, after;

	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	ck_assert_int_eq(torc_mutex_lock(&mutex), 0);
	start_call(scope, &next, lock_and_unlock, &mutex);
	start_call(scope, &after, lock_and_unlock, &mutex);
	torc_mutex_unlock(&mutex);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	ck_assert_int_eq(next.result, 0); /* and it unlocked, so nothing is lost */
	ck_assert_int_eq(after.result, -ECANCELED);
	ck_assert(torc_mutex_try_lock(&mutex));
	torc_mutex_unlock(&mutex);
}

DEATH_IN_FIBER(twice, "torc_mutex_lock: the caller holds the mutex already: locking it is not recursive")
{
	struct torc_mutex mutex = { 0 };

	ck_assert_int_eq(torc_mutex_lock(&mutex), 0);
	ck_assert_int_eq(torc_mutex_lock(&mutex), 0);
}

DEATH_IN_FIBER(unlocked_twice, "torc_mutex_unlock: the caller does not hold the mutex")
{
	struct torc_mutex mutex = { 0 };

	ck_assert_int_eq(torc_mutex_lock(&mutex), 0);
	torc_mutex_unlock(&mutex);
	torc_mutex_unlock(&mutex);
}

DEATH_IN_FIBER(its_holder_has_ended, "torc_mutex_lock: the fiber that holds it has ended without giving it back")
{
	struct torc_mutex mutex = { 0 };

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, lock, &mutex), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(torc_mutex_lock(&mutex), 0);
}

static int just_unlock(void *mutex)
{
	torc_mutex_unlock(mutex);
	return 0;
}

DEATH_IN_FIBER(unlocked_by_another, "torc_mutex_unlock: the caller does not hold the mutex")
{
	struct torc_mutex mutex = { 0 };
	struct caller other;

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_mutex_lock(&mutex), 0);
	start_call(scope, &other, just_unlock, &mutex);
}

DEATH_IN_FIBER(unlocked_by_another_while_one_waits, "torc_mutex_unlock: the caller does not hold the mutex")
{
	struct torc_mutex mutex = { 0 };
	struct caller waiting, other;

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_mutex_lock(&mutex), 0);
	start_call(scope, &waiting, lock, &mutex);
	start_call(scope, &other, just_unlock, &mutex);
}

DEATH(locked_outside_a_fiber, "torc_mutex_lock: called outside a fiber")
{
	struct torc_mutex mutex = { 0 };

	ck_assert_int_eq(torc_mutex_lock(&mutex), 0);
}

DEATH(unlocked_outside_a_fiber, "torc_mutex_unlock: the caller does not hold the mutex")
{
	struct torc_mutex mutex = { 0 };

	torc_mutex_unlock(&mutex);
}

static struct torc_mutex on_core_0;

static int lock_on_both(void *arg)
{
	if (torc_core() != 0)
		return 0;
	(void)arg;
	ck_assert_int_eq(torc_mutex_lock(&on_core_0), 0);
	return torc_on(1, lock, &on_core_0);
}

DEATH(locked_on_another_core, "torc_mutex_lock: the object is in use on another core")
{
	ck_assert_int_eq(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), lock_on_both, NULL), 0);
}
