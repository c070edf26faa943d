/* wait_group - until nothing is left to do. Relies on wait_list. Keeps: nobody waits for a count of 0. */
#include "sync/wait_list.h"

void torc_wait_group_add(struct torc_wait_group *group, size_t count)
{
	MISUSE(count > SIZE_MAX - group->count_, "too many");
	group->count_ += count;
}

void torc_wait_group_done(struct torc_wait_group *group)
{
	MISUSE(group->count_ == 0, "more are done than were added");
	wait_list_check(&group->waiters_, __func__);
	if (--group->count_ == 0)
		wait_list_grant_all(&group->waiters_);
}

int torc_wait_group_wait(struct torc_wait_group *group)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct waiter waiter;

	if (group->count_ == 0)
		return 0;
	waiter_init(&waiter, executor, "wait group");
	return wait_list_park(&group->waiters_, &waiter, __func__);
}
