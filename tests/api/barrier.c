/* torc_barrier - rounds; one is told that it completed its round; who is cancelled did not come. */
#include "sync.h"

enum { PARTIES = 3, ROUNDS = 5 };

static int come(void *barrier)
{
	return torc_barrier_wait(barrier, PARTIES);
}

static int rounds[PARTIES], completed;

static int go_round(void *arg)
{
	static struct torc_barrier barrier;
	int me = (int)(intptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		int r;

		rounds[me]++;
		r = torc_barrier_wait(&barrier, PARTIES);
		if (r < 0)
			return r;
		completed += r;
		for (int j = 0; j < PARTIES; j++)
			ck_assert_int_ge(rounds[j], i + 1);
		for (int j = 0; j < me; j++)
			torc_yield();
	}
	return 0;
}

TEST_IN_FIBER(round_after_round)
{
	TORC_SCOPE(scope);
	for (intptr_t i = 0; i < PARTIES; i++)
		ck_assert_int_eq(torc_go(scope, go_round, (void *)i), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(completed, ROUNDS);
}

TEST_IN_FIBER(alone)
{
	struct torc_barrier barrier = { 0 };

	ck_assert_int_eq(torc_barrier_wait(&barrier, 1), 1);
	ck_assert_int_eq(torc_barrier_wait(&barrier, 1), 1);
}

TEST_IN_FIBER(the_last_completes)
{
	struct torc_barrier barrier = { 0 };
	struct caller callers[PARTIES];

	TORC_SCOPE(scope);
	for (int i = 0; i < PARTIES; i++)
		start_call(scope, &callers[i], come, &barrier);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(callers[0].result, 0);
	ck_assert_int_eq(callers[1].result, 0);
	ck_assert_int_eq(callers[2].result, 1);
	ck_assert_int_lt(callers[0].turn, callers[1].turn);
}

TEST_IN_FIBER(who_is_cancelled_did_not_come)
{
	struct torc_barrier barrier = { 0 };
	struct caller stays, goes, comes;

	TORC_SCOPE(scope);
	start_call(scope, &stays, come, &barrier);
	{
		TORC_SCOPE(inner);
		start_call(inner, &goes, come, &barrier);
		torc_scope_cancel(inner);
		ck_assert_int_eq(torc_scope_join(inner), -ECANCELED);
	}
	ck_assert_int_eq(goes.result, -ECANCELED);
	start_call(scope, &comes, come, &barrier);
	settle();
	ck_assert(waits(&stays) && waits(&comes));
	ck_assert_int_eq(call_cancelled(come, &barrier), 1); /* it does not wait */
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(call_cancelled(come, &barrier), -ECANCELED);
	ck_assert_int_eq(call_until_soon(come, &barrier), -ETIME);
	ck_assert_int_eq(torc_barrier_wait(&barrier, 1), 1); /* nobody is left: another number is allowed */
}

TEST_IN_FIBER(complete_then_cancelled_is_a_success)
{
	struct torc_barrier barrier = { 0 };
	struct caller callers[PARTIES - 1];

	TORC_SCOPE(scope);
	for (int i = 0; i < PARTIES - 1; i++)
		start_call(scope, &callers[i], come, &barrier);
	ck_assert_int_eq(come(&barrier), 1);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(callers[0].result, 0);
}

DEATH_IN_FIBER(for_none, "torc_barrier_wait: at least one must come")
{
	struct torc_barrier barrier = { 0 };

	ck_assert_int_eq(torc_barrier_wait(&barrier, 0), 0);
}

DEATH_IN_FIBER(for_another_number, "torc_barrier_wait: for 4 parties, while others wait for 3")
{
	struct torc_barrier barrier = { 0 };
	struct caller caller;

	TORC_SCOPE(scope);
	start_call(scope, &caller, come, &barrier);
	ck_assert_int_eq(torc_barrier_wait(&barrier, 4), 0);
}
