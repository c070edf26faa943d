/* torc_wait_group - counts, and waits for none. */
#include "sync.h"

static int wait_for_none(void *group)
{
	return torc_wait_group_wait(group);
}

TEST_IN_FIBER(zeroed_there_is_nothing_to_wait_for)
{
	struct torc_wait_group group = { 0 };

	ck_assert_int_eq(torc_wait_group_wait(&group), 0);
	torc_wait_group_add(&group, 0);
	ck_assert_int_eq(call_cancelled(wait_for_none, &group), 0);
}

TEST_IN_FIBER(all_go_when_the_last_is_done)
{
	struct torc_wait_group group = { 0 };
	struct caller callers[3];

	TORC_SCOPE(scope);
	torc_wait_group_add(&group, 2);
	for (int i = 0; i < 3; i++)
		start_call(scope, &callers[i], wait_for_none, &group);
	torc_wait_group_done(&group);
	torc_wait_group_add(&group, 1);
	torc_wait_group_done(&group);
	settle();
	ck_assert(waits(&callers[0]));
	torc_wait_group_done(&group);
	torc_wait_group_add(&group, 1); /* the next round, which is none of theirs */
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(callers[i].turn, i + 1);
}

TEST_IN_FIBER(cancelled_in_every_state)
{
	struct torc_wait_group group = { 0 };
	struct caller caller;

	torc_wait_group_add(&group, 1);
	ck_assert_int_eq(call_cancelled(wait_for_none, &group), -ECANCELED);
	ck_assert_int_eq(call_until_soon(wait_for_none, &group), -ETIME);
	TORC_SCOPE(scope);
	start_call(scope, &caller, wait_for_none, &group);
	torc_wait_group_done(&group);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(caller.result, 0);
}

DEATH_IN_FIBER(more_than_were_added, "torc_wait_group_done: more are done than were added")
{
	struct torc_wait_group group = { 0 };

	torc_wait_group_add(&group, 1);
	torc_wait_group_done(&group);
	torc_wait_group_done(&group);
}

DEATH_IN_FIBER(more_than_can_be_counted, "torc_wait_group_add: too many")
{
	struct torc_wait_group group = { 0 };

	torc_wait_group_add(&group, SIZE_MAX);
	torc_wait_group_add(&group, 1);
}
