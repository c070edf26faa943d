/* semaphore - units that are taken and given back. Relies on wait_list. Keeps: the first that waits wants more than there
 * is. */
#include "sync/wait_list.h"

#include <errno.h>

struct semaphore_waiter {
	struct waiter waiter;
	size_t units;
};

static void hand_out(struct torc_waiters_ *waiters)
{
	struct torc_semaphore *semaphore = container_of(waiters, struct torc_semaphore, waiters_);
	struct waiter *first;

	while ((first = wait_list_first(waiters))) { /* ends with the list, or when there is too little */
		size_t units = container_of(first, struct semaphore_waiter, waiter)->units;

		if (units > semaphore->units_)
			return;
		semaphore->units_ -= units;
		wait_list_grant(first);
	}
}

int torc_semaphore_acquire_slow_(struct torc_semaphore *semaphore, size_t units)
{
	struct executor *executor = executor_in_fiber("torc_semaphore_acquire");
	struct semaphore_waiter waiter;

	if (units == 0)
		return 0;
	waiter_init(&waiter.waiter, executor, "semaphore");
	waiter.waiter.left = hand_out;
	waiter.units = units;
	return wait_list_park(&semaphore->waiters_, &waiter.waiter, "torc_semaphore_acquire");
}

int torc_semaphore_release_slow_(struct torc_semaphore *semaphore, size_t units)
{
	wait_list_check(&semaphore->waiters_, "torc_semaphore_release");
	if (units > SIZE_MAX - semaphore->units_)
		return -EOVERFLOW;
	semaphore->units_ += units;
	hand_out(&semaphore->waiters_);
	return 0;
}
