#include "io/offload.h"

#include <errno.h>

struct job {
	int (*fn)(void *);
	void *arg;
	bool ran;
};

static int run(void *arg)
{
	struct job *job = arg;

	job->ran = true;
	return job->fn(job->arg);
}

int hold_begin(struct hold *hold, struct torc_async *async, const char *function)
{
	struct executor *executor = executor_in_fiber(function);

	hold->held = false;
	hold->op.closed = false;
	if (!async)
		return 0;
	if (async_empty(async) || (async->flags_ & ASYNC_CLOSING))
		return -EBADF;
	op_enter(&hold->op, executor, async);
	hold->held = true;
	return 0;
}

void hold_end(struct hold *hold)
{
	if (hold->held)
		op_leave(&hold->op);
}

int offload(struct torc_async *async, struct torc_async *other, int (*fn)(void *), void *arg, const char *function)
{
	struct job job = { fn, arg, false };
	struct hold first, second;
	int r = hold_begin(&first, async, function);

	if (r < 0)
		return r;
	r = hold_begin(&second, other, function);
	if (r == 0) {
		do { /* ends: the scope or a handle does, if the answer does not change */
			job.ran = false;
			r = executor_self->offload(run, &job);
		} while (job.ran && op_interrupted(r) && !first.op.closed && !second.op.closed);
		if (!job.ran && r >= 0) /* the wait was cut short, and not by the scope */
			r = first.op.closed || second.op.closed ? -EBADF : -ECANCELED;
		hold_end(&second);
	}
	hold_end(&first);
	return r;
}
