#include "io/signal.h"

#include "machine/signals.h"

#include <torc/queue.h>

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

int torc_signals_open_list(struct torc_signals *signals, int first, ...)
{
	struct signals *set;
	uint64_t mask = 0;
	va_list args;
	int r = 0;

	va_start(args, first);
	for (int signal = first; r == 0 && signal != 0; signal = va_arg(args, int))
		r = signals_add(&mask, signal);
	va_end(args);
	if (r < 0)
		return r;
	set = malloc(sizeof *set);
	if (!set)
		return -ENOMEM;
	r = signals_open(set, mask);
	if (r < 0) {
		free(set);
		return r;
	}
	*signals = (struct torc_signals){ .set_ = set };
	async_set(&signals->async, set->fd, 0);
	return 0;
}

/* Park until the set is rung. */
static int await(struct torc_signals *signals)
{
	struct io_uring_sqe *sqe;
	uint64_t rung;
	struct op op;
	int r = op_begin(&op, &signals->async, SOURCE_READ, &sqe, "torc_signals_next");

	if (r < 0)
		return r;
	uring_prepare(sqe, IORING_OP_READ, op_fd(&op), &rung, sizeof rung);
	return op_finish(&op, sqe);
}

int torc_signals_next(struct torc_signals *signals, unsigned *times)
{
	const struct executor *executor = executor_in_fiber(__func__);
	struct signals *set = signals->set_;
	int signal, r;

	if (async_empty(&signals->async) || (signals->async.flags_ & ASYNC_CLOSING))
		return -EBADF;
	if (scope_refuses(executor->running))
		return scope_refuses(executor->running);
	/* Whoever was rung looks, cancelled meanwhile or not: the bell is rung once for all that wait. */
	while ((signal = signals_take(set, times)) == 0) { /* ends: each round waits */
		r = await(signals);
		if (r < 0 && r != -EAGAIN && r != -EINTR)
			return r;
	}
	if (signals->async.busy_ && signals_any(set))
		signals_ring(set);
	torc_yield_if_needed(); /* the set may be gone then */
	return signal;
}

void torc_signals_close(struct torc_signals *signals)
{
	struct signals *set = signals->set_;
	int fd = op_close_handle(&signals->async, __func__);

	if (fd < 0)
		return;
	signals->set_ = NULL;
	signals_close(set);
	free(set);
	op_close_fd(fd);
}
