#include "sync/mutex.h"

int torc_mutex_lock_slow_(struct torc_mutex *mutex)
{
	struct executor *executor = executor_in_fiber("torc_mutex_lock");
	const struct fiber *owner = mutex->owner_;
	struct waiter waiter;

	if (unlikely(owner == executor->running))
		panic("torc_mutex_lock", "the caller holds the mutex already: locking it is not recursive");
	wait_list_check_holder(owner, executor, "torc_mutex_lock");
	waiter_init(&waiter, executor, "mutex");
	return wait_list_park(&mutex->waiters_, &waiter, "torc_mutex_lock");
}

void torc_mutex_unlock_slow_(struct torc_mutex *mutex)
{
	if (unlikely(!torc_mutex_is_mine(mutex)))
		panic("torc_mutex_unlock", "the caller does not hold the mutex");
	mutex_pass_on(mutex);
}
