/* gate - closes when all have left. Relies on wait_list. Keeps: nobody waits for an empty one. */
#include "sync/wait_list.h"

#include <errno.h>

int torc_gate_enter(struct torc_gate *gate)
{
	if (gate->closed_)
		return -ESHUTDOWN;
	gate->inside_++;
	return 0;
}

void torc_gate_leave(struct torc_gate *gate)
{
	MISUSE(gate->inside_ == 0, "nobody is inside the gate");
	wait_list_check(&gate->waiters_, __func__);
	if (--gate->inside_ == 0)
		wait_list_grant_all(&gate->waiters_);
}

int torc_gate_close(struct torc_gate *gate)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct waiter waiter;

	gate->closed_ = true;
	if (gate->inside_ == 0)
		return 0;
	waiter_init(&waiter, executor, "others to leave a gate");
	return wait_list_park(&gate->waiters_, &waiter, __func__);
}
