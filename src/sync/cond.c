/* cond - waiting for what a mutex protects. Relies on mutex. Keeps: who waits and is signalled, or cancelled, moves from
 * the condition to its mutex and is woken as its holder, once. */
#include "sync/mutex.h"

struct cond_waiter {
	struct waiter waiter;
	struct torc_mutex *mutex;
};

/* It is off the condition. From here on it waits for the mutex, and nothing cuts that short. */
static void take_mutex(struct cond_waiter *waiter)
{
	struct torc_mutex *mutex = waiter->mutex;

	waiter->waiter.granted = NULL;
	waiter->waiter.wait.interrupt = NULL;
	waiter->waiter.wait.what = "mutex of a condition";
	if (mutex->owner_) {
		wait_list_append(&mutex->waiters_, &waiter->waiter);
		return;
	}
	mutex->owner_ = waiter->waiter.wait.fiber;
	waker_wake(waiter->waiter.wait.fiber);
}

static void signalled(struct waiter *waiter)
{
	take_mutex(container_of(waiter, struct cond_waiter, waiter));
}

static void cancelled(struct wait *wait)
{
	struct cond_waiter *waiter = container_of(wait, struct cond_waiter, waiter.wait);

	waiter->waiter.result = scope_refuses(wait->fiber);
	wait_list_remove(&waiter->waiter);
	take_mutex(waiter);
}

int torc_cond_wait(struct torc_cond *cond, struct torc_mutex *mutex)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct cond_waiter waiter;

	MISUSE(!torc_mutex_is_mine(mutex), "the caller does not hold the mutex");
	wait_list_check(&cond->waiters_, __func__);
	if (unlikely(scope_refuses(executor->running)))
		return scope_refuses(executor->running);
	waiter_init(&waiter.waiter, executor, "condition");
	waiter.waiter.granted = signalled;
	waiter.waiter.wait.interrupt = cancelled;
	waiter.mutex = mutex;
	wait_list_append(&cond->waiters_, &waiter.waiter);
	mutex_pass_on(mutex);
	wait_park(executor, &waiter.waiter.wait);
	return waiter.waiter.result;
}

void torc_cond_signal(struct torc_cond *cond)
{
	wait_list_check(&cond->waiters_, __func__);
	if (!wait_list_empty(&cond->waiters_))
		wait_list_grant(wait_list_first(&cond->waiters_));
}

void torc_cond_broadcast(struct torc_cond *cond)
{
	wait_list_check(&cond->waiters_, __func__);
	wait_list_grant_all(&cond->waiters_);
}
