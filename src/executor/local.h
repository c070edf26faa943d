/* local - what fibers have of their own: variables (torc/local.h). Relies on executor. Keeps: nothing is allocated for a
 * fiber that sets none. */
#ifndef TORC_SRC_LOCAL_H
#define TORC_SRC_LOCAL_H

#include "executor/executor.h"

void local_destroy(struct fiber *fiber);

/* fn(arg), and then the end of what it set, in the context of the fiber, which runs: before anybody hears of the result. */
static inline int local_run(struct fiber *fiber, torc_fn *fn, void *arg)
{
	int result = fn(arg);

	if (unlikely(fiber->locals))
		local_destroy(fiber);
	return result;
}

#endif
