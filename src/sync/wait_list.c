#include "sync/wait_list.h"

void wait_list_other_core(const char *function)
{
	panic(function, "the object is in use on another core; it belongs to one");
}

void wait_list_holder_ended(const char *function)
{
	panic(function, "the fiber that holds it has ended without giving it back");
}

static void interrupt(struct wait *wait)
{
	struct waiter *waiter = container_of(wait, struct waiter, wait);
	struct torc_waiters_ *list = waiter->list;

	waiter->result = scope_refuses(wait->fiber);
	wait_list_remove(waiter);
	waker_wake(wait->fiber);
	if (waiter->left)
		waiter->left(list);
}

void waiter_init(struct waiter *waiter, struct executor *executor, const char *what)
{
	*waiter = (struct waiter){ .wait = { interrupt, executor->running, what }, .executor = executor };
}

void wait_list_append(struct torc_waiters_ *list, struct waiter *waiter)
{
	struct waiter *first = wait_list_first(list);

	ASSERT(!waiter->list);
	waiter->list = list;
	if (!first) {
		list->first_ = waiter->next = waiter->prev = waiter;
		return;
	}
	waiter->next = first;
	waiter->prev = first->prev;
	first->prev->next = waiter;
	first->prev = waiter;
}

void wait_list_remove(struct waiter *waiter)
{
	struct torc_waiters_ *list = waiter->list;

	if (!list)
		return;
	if (unlikely(!list->first_ || (waiter->next == waiter && list->first_ != waiter)))
		panic("torc", "an object was freed or overwritten while a fiber waits for it (%s)", waiter->wait.what);
	waiter->list = NULL;
	if (waiter->next == waiter) {
		list->first_ = NULL;
		return;
	}
	waiter->prev->next = waiter->next;
	waiter->next->prev = waiter->prev;
	if (list->first_ == waiter)
		list->first_ = waiter->next;
}

int wait_list_park(struct torc_waiters_ *list, struct waiter *waiter, const char *function)
{
	wait_list_check(list, function);
	if (unlikely(scope_refuses(waiter->wait.fiber)))
		return scope_refuses(waiter->wait.fiber);
	wait_list_append(list, waiter);
	wait_park(waiter->executor, &waiter->wait);
	return waiter->result;
}

void wait_list_grant(struct waiter *waiter)
{
	ASSERT(waiter->executor == executor_self);
	wait_list_remove(waiter);
	if (waiter->granted)
		waiter->granted(waiter);
	else
		waker_wake(waiter->wait.fiber);
}

void wait_list_grant_all(struct torc_waiters_ *list)
{
	while (!wait_list_empty(list)) /* ends: nobody joins meanwhile, for no fiber runs */
		wait_list_grant(wait_list_first(list));
}
