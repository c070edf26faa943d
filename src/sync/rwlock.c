/* rwlock - many readers or one writer, in order of arrival. Relies on wait_list. Keeps: the first that waits is one that
 * can't go in at present. */
#include "sync/wait_list.h"

struct rwlock_waiter {
	struct waiter waiter;
	bool writes;
};

/* Let in those at the head that can go in: one writer, or readers until the next writer. */
static void let_in(struct torc_waiters_ *waiters)
{
	struct torc_rwlock *rwlock = container_of(waiters, struct torc_rwlock, waiters_);
	struct waiter *first;

	while (!rwlock->writer_ && (first = wait_list_first(waiters))) { /* ends with the list, or with a writer */
		if (!container_of(first, struct rwlock_waiter, waiter)->writes) {
			rwlock->readers_++;
		} else {
			if (rwlock->readers_ > 0)
				return;
			rwlock->writer_ = first->wait.fiber;
		}
		wait_list_grant(first);
	}
}

static int wait_for(struct torc_rwlock *rwlock, struct executor *executor, bool writes, const char *function)
{
	struct rwlock_waiter waiter;

	if (unlikely(rwlock->writer_ == executor->running))
		panic(function, "the caller holds the lock already, for writing");
	if (rwlock->writer_)
		wait_list_check_holder(rwlock->writer_, executor, function);
	waiter_init(&waiter.waiter, executor, writes ? "rwlock, to write" : "rwlock, to read");
	waiter.waiter.left = let_in;
	waiter.writes = writes;
	return wait_list_park(&rwlock->waiters_, &waiter.waiter, function);
}

bool torc_rwlock_try_lock_read(struct torc_rwlock *rwlock)
{
	if (rwlock->writer_ || !wait_list_empty(&rwlock->waiters_))
		return false;
	rwlock->readers_++;
	return true;
}

bool torc_rwlock_try_lock_write(struct torc_rwlock *rwlock)
{
	struct executor *executor = executor_in_fiber(__func__);

	if (rwlock->writer_ || rwlock->readers_ > 0 || !wait_list_empty(&rwlock->waiters_))
		return false;
	rwlock->writer_ = executor->running;
	return true;
}

int torc_rwlock_lock_read(struct torc_rwlock *rwlock)
{
	struct executor *executor = executor_in_fiber(__func__);

	return torc_rwlock_try_lock_read(rwlock) ? 0 : wait_for(rwlock, executor, false, __func__);
}

int torc_rwlock_lock_write(struct torc_rwlock *rwlock)
{
	struct executor *executor = executor_in_fiber(__func__);

	return torc_rwlock_try_lock_write(rwlock) ? 0 : wait_for(rwlock, executor, true, __func__);
}

void torc_rwlock_unlock_read(struct torc_rwlock *rwlock)
{
	MISUSE(rwlock->readers_ == 0, "nobody holds the lock for reading");
	wait_list_check(&rwlock->waiters_, __func__);
	rwlock->readers_--;
	let_in(&rwlock->waiters_);
}

void torc_rwlock_unlock_write(struct torc_rwlock *rwlock)
{
	MISUSE(!rwlock->writer_ || rwlock->writer_ != *torc_running_, "the caller does not hold the lock for writing");
	rwlock->writer_ = NULL;
	let_in(&rwlock->waiters_);
}
