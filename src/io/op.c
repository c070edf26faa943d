#include "io/op.h"

#include "machine/sys.h"

#include <errno.h>

static __attribute__((noreturn, cold)) void used_elsewhere(void)
{
	panic("torc", "a handle is in use on two cores at once");
}

void op_enter(struct op *op, struct executor *executor, struct torc_async *async)
{
	struct op *other = async->busy_;

	if (unlikely(other && other->request.executor != executor))
		used_elsewhere();
	op->request.wait.fiber = executor->running;
	op->request.executor = executor;
	op->async = async;
	op->closed = false;
	op->next = other;
	op->link = (struct op **)&async->busy_;
	if (other)
		other->link = &op->next;
	async->busy_ = op;
}

/* The closing fiber waits on the list too, at its end: it goes on when it is alone. */
static inline bool closer_alone(const struct torc_async *async)
{
	return (async->flags_ & ASYNC_CLOSING) && !((const struct op *)async->busy_)->next;
}

void op_attach(struct op *op, struct executor *executor, struct torc_async *async, void (*interrupt)(struct wait *wait))
{
	op_enter(op, executor, async);
	op->request.wait = (struct wait){ interrupt, NULL, "nothing" };
}

void op_leave(struct op *op)
{
	struct torc_async *async = op->async;

	*op->link = op->next;
	if (op->next)
		op->next->link = op->link;
	if (unlikely(async->busy_ && closer_alone(async))) {
		struct fiber *closer = ((struct op *)async->busy_)->request.wait.fiber;

		if (closer->wait) /* else it runs, and finds itself alone */
			waker_wake(closer);
	}
}

static void interrupt(struct op *op)
{
	struct wait *wait = &op->request.wait;

	op->closed = true;
	if (wait->fiber)
		wait_interrupt(wait->fiber);
	else
		wait->interrupt(wait); /* attached: it may leave at once */
}

int op_begin(struct op *op, struct torc_async *async, enum source_type type, struct io_uring_sqe **sqe,
             const char *function)
{
	struct executor *executor = executor_in_fiber(function);

	if (unlikely(async_empty(async) || (async->flags_ & ASYNC_CLOSING)))
		return -EBADF;
	if (unlikely(scope_refuses(executor->running)))
		return scope_refuses(executor->running);
	op_enter(op, executor, async);
	*sqe = request_fill(&op->request, executor, type, async_fd(async), request_interrupt);
	return 0;
}

int op_finish(struct op *op, struct io_uring_sqe *sqe)
{
	return op_settle(op, request_run(&op->request, sqe));
}

int op_settle(struct op *op, int result)
{
	op_leave(op);
	if (!request_was_cut(result))
		return result;
	if (op->closed)
		return -EBADF;
	return scope_refuses(op->request.wait.fiber) ? scope_refuses(op->request.wait.fiber) : result;
}

int op_close_handle(struct torc_async *async, const char *function)
{
	struct op closer, *first = async->busy_;
	int fd = async_fd(async);

	if (async_empty(async) || (async->flags_ & ASYNC_CLOSING))
		return -EBADF;
	async->flags_ |= ASYNC_CLOSING;
	/* In the child of a fork those who are parked are the parent's: here nobody is. */
	if (first && !executor_is_parents(first->request.executor)) {
		struct op **end = (struct op **)&async->busy_, *next;
		struct executor *executor = executor_in_fiber(function);

		if (first->request.executor != executor)
			used_elsewhere();
		closer.request.executor = executor;
		closer.request.wait = (struct wait){ NULL, executor->running, "others to leave a handle" };
		closer.next = NULL;
		while (*end) /* ends: they were counted in by op_enter */
			end = &(*end)->next;
		*end = &closer;
		closer.link = end;
		for (struct op *op = first; op != &closer; op = next) {
			next = op->next;
			interrupt(op);
		}
		if (async->busy_ != &closer)
			wait_park(executor, &closer.request.wait);
	}
	*async = (struct torc_async){ 0 };
	return fd;
}

/* What close(2) says, or the ring's: either way the number is free. An error that says "again" may not be followed by
 * another close, so it is the loss that it stands for. */
static int closed(int result)
{
	return result == -EINTR || result == -EAGAIN ? -EIO : result;
}

int op_close_fd(int fd)
{
	struct executor *executor = executor_self;
	struct io_uring_sqe *sqe;
	struct request request;
	int result;

	if (!executor)
		return closed(sys_close(fd));
	request_begin_shielded(&request, executor, SOURCE_CLOSE, fd, &sqe);
	uring_prepare(sqe, IORING_OP_CLOSE, fd, NULL, 0);
	result = request_run(&request, sqe);
	/* The ring does not close rings. Any other file's own -EBADF means that it is closed, and the number another's. */
	return closed(result == -EBADF && sys_is_ring(fd) ? sys_close(fd) : result);
}
