#include "io/async.h"

#include "executor/waitable.h"
#include "machine/sys.h"

#include <torc/queue.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

enum { READABLE = POLLIN | POLLRDHUP | POLLPRI, WRITABLE = POLLOUT };

int torc_async_wrap(struct torc_async *async, int fd)
{
	int flags = sys_status_flags(fd, O_NONBLOCK, 0);

	if (flags < 0)
		return flags;
	async_set(async, fd, flags & O_NONBLOCK ? 0 : ASYNC_WAS_BLOCKING);
	return 0;
}

int torc_async_unwrap(struct torc_async *async)
{
	bool was_blocking = async->flags_ & ASYNC_WAS_BLOCKING;
	int fd = op_close_handle(async, __func__);

	if (fd >= 0 && was_blocking)
		sys_status_flags(fd, 0, O_NONBLOCK); /* whoever closed it behind our back has had his will */
	return fd;
}

int torc_async_fd(const struct torc_async *async)
{
	return async_empty(async) ? -EBADF : async_fd(async);
}

int async_poll(struct torc_async *async, unsigned events, const char *function)
{
	struct io_uring_sqe *sqe;
	struct op op;
	int r = op_begin(&op, async, SOURCE_POLL, &sqe, function);

	if (r < 0)
		return r;
	uring_prepare_poll(sqe, op_fd(&op), events);
	r = op_finish(&op, sqe);
	return r < 0 ? r : 0;
}

int torc_async_readable(struct torc_async *async)
{
	return async_poll(async, READABLE, __func__);
}

int torc_async_writable(struct torc_async *async)
{
	return async_poll(async, WRITABLE, __func__);
}

static int run_with(struct torc_async *async, torc_try_fn *op, void *arg, unsigned events, const char *function)
{
	struct executor *executor = executor_in_fiber(function);

	for (;;) { /* ends when op succeeds or fails, or the wait does */
		int r;

		if (async_empty(async) || (async->flags_ & ASYNC_CLOSING))
			return -EBADF;
		if (scope_refuses(executor->running))
			return scope_refuses(executor->running);
		r = op(async_fd(async), arg);
		if (r != -EAGAIN) {
			torc_yield_if_needed(); /* the handle may be gone then */
			return r;
		}
		r = async_poll(async, events, function);
		if (r < 0)
			return r;
	}
}

int torc_async_read_with(struct torc_async *async, torc_try_fn *op, void *arg)
{
	return run_with(async, op, arg, POLLIN | POLLRDHUP, __func__);
}

int torc_async_write_with(struct torc_async *async, torc_try_fn *op, void *arg)
{
	return run_with(async, op, arg, POLLOUT, __func__);
}

/* --- as a waitable --------------------------------------------------------------------------- */

/* The op is on the busy list, so that close finds the fiber; its request is answered here instead of waking it. */
struct polling {
	struct op op;
	struct arm *arm;
};

static int closed_poll(const struct arm *arm)
{
	const struct torc_async *async = arm->object;

	return async_empty(async) || (async->flags_ & ASYNC_CLOSING) ? -EBADF : 0;
}

static int try_poll(struct arm *arm)
{
	int r = closed_poll(arm);

	if (r == 0)
		r = sys_poll(async_fd(arm->object), (short)arm->detail);
	return r > 0 ? 0 : r == 0 ? -EAGAIN : r;
}

static void polled(struct inner_source *source, int result, bool last)
{
	struct polling *polling = container_of(source, struct polling, op.request.source.inner);
	struct choice *choice = polling->arm->choice;

	(void)last;
	if (!choice->decided) /* else it comes late, or was cancelled */
		choice_decide(choice, polling->arm, result < 0 ? result : 0);
	choice_release(choice);
}

static void arm_poll(struct arm *arm)
{
	struct executor *executor = executor_self;
	struct torc_async *async = arm->object;
	struct polling *polling = arm->room;
	struct io_uring_sqe *sqe;

	polling->arm = arm;
	op_enter(&polling->op, executor, async);
	sqe = request_fill(&polling->op.request, executor, SOURCE_POLL, async_fd(async), NULL);
	polling->op.request.source.inner.answer = polled;
	uring_prepare_poll(sqe, async_fd(async), arm->detail);
	reactor_submit(&executor->reactor, &polling->op.request.source, sqe);
	choice_hold(arm->choice);
}

static void disarm_poll(struct arm *arm)
{
	struct polling *polling = arm->room;

	reactor_cancel(&polling->op.request.executor->reactor, &polling->op.request.source);
}

static void leave_poll(struct arm *arm)
{
	op_leave(&((struct polling *)arm->room)->op);
}

static const struct waitable readiness = { try_poll,   arm_poll,    disarm_poll,
	                                   leave_poll, closed_poll, sizeof(struct polling),
	                                   "readiness" };

struct torc_case torc_case_readable(struct torc_async *async)
{
	return waitable_case(&readiness, async, NULL, READABLE);
}

struct torc_case torc_case_writable(struct torc_async *async)
{
	return waitable_case(&readiness, async, NULL, WRITABLE);
}

int torc_async_close(struct torc_async *async)
{
	int fd;

	if (async_empty(async) || (async->flags_ & ASYNC_CLOSING))
		return 0;
	fd = op_close_handle(async, __func__);
	return op_close_fd(fd);
}
