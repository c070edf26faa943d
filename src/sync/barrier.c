/* barrier - until all have come. Relies on wait_list. Keeps: those that have arrived are those on the list. */
#include "sync/wait_list.h"

static void give_up(struct torc_waiters_ *waiters)
{
	container_of(waiters, struct torc_barrier, waiters_)->arrived_--;
}

static int wait_for_the_rest(struct torc_barrier *barrier, struct executor *executor, const char *function)
{
	struct waiter waiter;

	if (unlikely(scope_refuses(executor->running)))
		return scope_refuses(executor->running);
	waiter_init(&waiter, executor, "barrier");
	waiter.left = give_up;
	barrier->arrived_++;
	return wait_list_park(&barrier->waiters_, &waiter, function);
}

int torc_barrier_wait(struct torc_barrier *barrier, size_t parties)
{
	struct executor *executor = executor_in_fiber(__func__);

	MISUSE(parties == 0, "at least one must come");
	MISUSE(barrier->arrived_ > 0 && parties != barrier->parties_, "for %zu parties, while others wait for %zu",
	       parties, barrier->parties_);
	wait_list_check(&barrier->waiters_, __func__);
	barrier->parties_ = parties;
	if (barrier->arrived_ + 1 < parties)
		return wait_for_the_rest(barrier, executor, __func__);
	barrier->arrived_ = 0;
	wait_list_grant_all(&barrier->waiters_);
	return 1;
}
