/* wait_list - the fibers that wait for an object, first in, first out; intrusive, and empty when zeroed. A waiter lies in
 * the frame of the fiber that is parked, and leaves the list in one of two ways:
 *
 *     granted    by whoever has what it waits for: it is off the list before its fiber runs, and its scope can't cut it
 *                short any more. So the fiber returns success even if it is cancelled before it runs: what was granted
 *                is used, and nothing has to be handed on.
 *     cancelled  by its scope: it is off the list at once, wherever in it, and `left` tells the object, which may now
 *                have something for those behind.
 *
 * Relies on scope, wait. Keeps: whoever is on a list is parked, or stands there for one that is (`granted`); all of a list
 * belong to one core. */
#ifndef TORC_SRC_WAIT_LIST_H
#define TORC_SRC_WAIT_LIST_H

#include "executor/scope.h"

#include <torc/sync.h>

struct waiter {
	struct wait wait;
	struct executor *executor;
	struct torc_waiters_ *list;                  /* NULL: on none */
	struct waiter *next, *prev;                  /* a circle */
	void (*granted)(struct waiter *waiter);      /* NULL: wakes the fiber */
	void (*left)(struct torc_waiters_ *waiters); /* NULL, or told when one was cancelled */
	int result;
};

static inline bool wait_list_empty(const struct torc_waiters_ *list)
{
	return !list->first_;
}

static inline struct waiter *wait_list_first(const struct torc_waiters_ *list)
{
	return list->first_;
}

/* The running fiber's, on no list yet. It may be cut short, unless `wait.interrupt` is set to NULL. */
void waiter_init(struct waiter *waiter, struct executor *executor, const char *what);

/* All that wait must be of the executor of this thread: panics otherwise, in the name of the public function. */
void wait_list_other_core(const char *function) __attribute__((noreturn, cold));
void wait_list_holder_ended(const char *function) __attribute__((noreturn, cold));

/* The same of the fiber that holds something; and it must not have ended, as far as that can be seen. */
static inline void wait_list_check_holder(const void *holder, const struct executor *executor, const char *function)
{
	const struct scope *scope = ((const struct fiber *)holder)->scope;

	if (unlikely(!scope))
		wait_list_holder_ended(function);
	if (unlikely(scope->executor != executor))
		wait_list_other_core(function);
}

static inline void wait_list_check(const struct torc_waiters_ *list, const char *function)
{
	const struct waiter *first = wait_list_first(list);

	if (unlikely(first && first->executor != executor_self))
		wait_list_other_core(function);
}

void wait_list_append(struct torc_waiters_ *list, struct waiter *waiter);

/* Harmless on a waiter that is on no list. */
void wait_list_remove(struct waiter *waiter);

/* Append and park, unless the scope refuses. The waiter's result, which is 0 unless it was set; -ECANCELED, -ETIME. */
int wait_list_park(struct torc_waiters_ *list, struct waiter *waiter, const char *function);

/* Take a waiter off and let it go. */
void wait_list_grant(struct waiter *waiter);

/* The same with all that are there. */
void wait_list_grant_all(struct torc_waiters_ *list);

#endif
