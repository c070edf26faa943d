/* wait - the one blocking place. What a fiber is parked on is a wait in its frame, which says how to cut it short.
 * Relies on executor. Keeps: a parked fiber has its wait set, a woken one has not; no wait is interrupted twice. */
#ifndef TORC_SRC_WAIT_H
#define TORC_SRC_WAIT_H

#include "executor/executor.h"

struct wait {
	/* The scope was cancelled: bring the end about, now (by waker_wake) or soon. NULL: it is near anyway. */
	void (*interrupt)(struct wait *wait);
	struct fiber *fiber;
	const char *what; /* for dumps */
};

/* Park the running fiber until waker_wake. The caller has looked at its scope (scope_refuses) before. */
static inline void wait_park(struct executor *executor, struct wait *wait)
{
	wait->fiber->wait = wait;
	executor_switch(executor, wait->fiber);
}

/* Cut the wait of a parked fiber short, once. */
static inline void wait_interrupt(struct fiber *fiber)
{
	struct wait *wait = fiber->wait;
	void (*interrupt)(struct wait * wait);

	if (!wait || !wait->interrupt)
		return;
	interrupt = wait->interrupt;
	wait->interrupt = NULL;
	interrupt(wait);
}

#endif
