/* once - run by the first who needs it. Relies on wait_list. Keeps: nobody waits where nobody runs; when a run fails the
 * first that waits is the next runner. */
#include "sync/wait_list.h"

#include <limits.h>

/* The result of a waiter that is the next runner. Others have the run's, and do not look at what may be gone by then. */
enum { YOUR_TURN = INT_MIN };

static int run(struct torc_once *once, torc_fn *fn, void *arg)
{
	int result = fn(arg);
	struct waiter *next = wait_list_first(&once->waiters_);

	once->runner_ = NULL;
	if (result >= 0) {
		once->done_ = true;
		once->result_ = result;
		for (; next; next = wait_list_first(&once->waiters_)) {
			next->result = result;
			wait_list_grant(next);
		}
	} else if (next) {
		once->runner_ = next->wait.fiber;
		next->result = YOUR_TURN;
		wait_list_grant(next);
	}
	return result;
}

int torc_once_run(struct torc_once *once, torc_fn *fn, void *arg)
{
	struct executor *executor = executor_in_fiber(__func__);

	if (likely(once->done_))
		return once->result_;
	MISUSE(once->runner_ == executor->running, "called in the very function that is being run");
	if (once->runner_) {
		struct waiter waiter;
		int r;

		wait_list_check_holder(once->runner_, executor, __func__);
		waiter_init(&waiter, executor, "once");
		r = wait_list_park(&once->waiters_, &waiter, __func__);
		if (r != YOUR_TURN)
			return r;
	}
	once->runner_ = executor->running;
	return run(once, fn, arg);
}
