/* mutex - one holder at a time. Relies on wait_list. Keeps: nobody waits for one that nobody holds; unlocking hands it to
 * the first that waits. */
#ifndef TORC_SRC_MUTEX_H
#define TORC_SRC_MUTEX_H

#include "sync/wait_list.h"

/* The running fiber, which holds it, lets go. */
static inline void mutex_pass_on(struct torc_mutex *mutex)
{
	struct waiter *next = wait_list_first(&mutex->waiters_);

	mutex->owner_ = next ? next->wait.fiber : NULL;
	if (next)
		wait_list_grant(next);
}

#endif
