/* torc_cond - signal, broadcast, and the mutex, which the caller holds again whatever happened. */
#include "sync.h"

enum { FIBERS = 4 };

struct state {
	struct torc_mutex mutex;
	struct torc_cond cond;
	int items;
};

static int take(void *arg)
{
	struct state *state = arg;
	int r = torc_mutex_lock(&state->mutex);

	if (r < 0)
		return r;
	while (r == 0 && state->items == 0)
		r = torc_cond_wait(&state->cond, &state->mutex);
	ck_assert(torc_mutex_is_mine(&state->mutex));
	if (r == 0)
		state->items--;
	torc_mutex_unlock(&state->mutex);
	return r;
}

/* Without asking again. */
static int wait_once(void *arg)
{
	struct state *state = arg;
	int r = torc_mutex_lock(&state->mutex);

	if (r < 0)
		return r;
	r = torc_cond_wait(&state->cond, &state->mutex);
	ck_assert(torc_mutex_is_mine(&state->mutex));
	torc_mutex_unlock(&state->mutex);
	return r;
}

TEST_IN_FIBER(nobody_there_nothing_happens)
{
	struct state state = { 0 };
	struct caller caller;

	torc_cond_signal(&state.cond);
	torc_cond_broadcast(&state.cond);
	TORC_SCOPE(scope);
	start_call(scope, &caller, wait_once, &state);
	settle();
	ck_assert(waits(&caller)); /* a signal is not kept */
}

TEST_IN_FIBER(a_signal_is_for_the_first)
{
	struct state state = { 0 };
	struct caller callers[FIBERS];

	TORC_SCOPE(scope);
	for (int i = 0; i < FIBERS; i++)
		start_call(scope, &callers[i], wait_once, &state);
	for (int i = 0; i < FIBERS; i++) {
		torc_cond_signal(&state.cond);
		settle();
		for (int j = 0; j < FIBERS; j++)
			ck_assert_int_eq(waits(&callers[j]), j > i);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

TEST_IN_FIBER(a_broadcast_is_for_all_one_after_the_other)
{
	struct state state = { 0 };
	struct caller callers[FIBERS];

	TORC_SCOPE(scope);
	for (int i = 0; i < FIBERS; i++)
		start_call(scope, &callers[i], take, &state);
	ck_assert_int_eq(torc_mutex_lock(&state.mutex), 0);
	state.items = 2;
	torc_cond_broadcast(&state.cond);
	settle();
	for (int i = 0; i < FIBERS; i++)
		ck_assert(waits(&callers[i])); /* the mutex is ours */
	torc_mutex_unlock(&state.mutex);
	settle();
	for (int i = 0; i < FIBERS; i++)
		ck_assert_int_eq(waits(&callers[i]), i >= 2);
	ck_assert_int_eq(callers[1].turn, 2);
	state.items = 2;
	torc_cond_signal(&state.cond);
	torc_cond_signal(&state.cond);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(state.items, 0);
}

TEST_IN_FIBER(a_cancelled_one_holds_the_mutex)
{
	struct state state = { 0 };
	struct caller caller;

	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	start_call(scope, &caller, wait_once, &state);
	ck_assert_int_eq(torc_mutex_lock(&state.mutex), 0);
	torc_scope_cancel(scope);
	settle();
	ck_assert(waits(&caller)); /* for the mutex, which nothing cuts short */
	torc_mutex_unlock(&state.mutex);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	ck_assert_int_eq(caller.result, -ECANCELED);
	ck_assert(torc_mutex_try_lock(&state.mutex));
	torc_mutex_unlock(&state.mutex);
}

TEST_IN_FIBER(a_signal_is_not_lost_on_a_cancelled_one)
{
	struct state state = { 0 };
	struct caller cancelled, next;

	TORC_SCOPE(scope);
	TORC_SCOPE(inner);
	start_call(inner, &cancelled, wait_once, &state);
	start_call(scope, &next, wait_once, &state);
	torc_scope_cancel(inner);
	torc_cond_signal(&state.cond);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(torc_scope_join(inner), -ECANCELED);
	ck_assert_int_eq(next.result, 0);
}

TEST_IN_FIBER(signalled_then_cancelled_is_a_success)
{
	struct state state = { 0 };
	struct caller caller;

	TORC_SCOPE(scope);
	start_call(scope, &caller, wait_once, &state);
	torc_cond_signal(&state.cond);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(caller.result, 0);
}

TEST_IN_FIBER(cancelled_before_and_past_its_deadline)
{
	struct state state = { 0 };

	ck_assert_int_eq(call_cancelled(wait_once, &state), -ECANCELED);
	ck_assert_int_eq(call_until_soon(wait_once, &state), -ETIME);
	ck_assert(torc_mutex_try_lock(&state.mutex));
	torc_mutex_unlock(&state.mutex);
}

DEATH_IN_FIBER(without_the_mutex, "torc_cond_wait: the caller does not hold the mutex")
{
	struct state state = { 0 };

	ck_assert_int_eq(torc_cond_wait(&state.cond, &state.mutex), 0);
}
