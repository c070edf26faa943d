/* op - one operation on a handle: a request, and who else uses the handle. The way of most parking calls of this floor:
 *
 *     struct op op;
 *     struct io_uring_sqe *sqe;
 *     int r = op_begin(&op, &handle->async, SOURCE_READ, &sqe, __func__);
 *
 *     if (r < 0)
 *             return r;
 *     uring_prepare(sqe, IORING_OP_RECV, op_fd(&op), buf, len);
 *     return op_finish(&op, sqe);
 *
 * Relies on request. Keeps: an op is on its handle's busy list from begin to finish, so that close can find
 * it; the frame outlives the kernel's use of everything in it. */
#ifndef TORC_SRC_OP_H
#define TORC_SRC_OP_H

#include "executor/request.h"

#include <torc/async.h>

/* In torc_async.flags_. */
enum {
	ASYNC_CLOSING = 1 << 0,      /* torc_async_close or unwrap is under way */
	ASYNC_WAS_BLOCKING = 1 << 1, /* wrap set O_NONBLOCK */
	ASYNC_NOTHING_LEFT = 1 << 2, /* the last receive emptied the socket: poll first */
	ASYNC_BORROWED = 1 << 3,     /* the descriptor is not ours to close */
	ASYNC_PLAIN = 1 << 4,        /* no socket: io/plain */
	ASYNC_PIPE = 1 << 5,         /* … but a pipe, */
	ASYNC_TERMINAL = 1 << 6,     /* a terminal, */
	ASYNC_REGULAR = 1 << 7,      /* or a regular file, or a disk: with a position */
	ASYNC_BLOCKS = 1 << 8, /* who submits a read or write would wait for it: a worker thread of the kernel has to */
};

struct op {
	struct op *next, **link; /* on the handle's busy list; the pointer that leads here */
	struct torc_async *async;
	bool closed;            /* the handle was closed under it */
	struct request request; /* last: its own last part is seldom touched, the rest is two cache lines together */
};

static inline int async_fd(const struct torc_async *async)
{
	return ~async->inverted_fd_;
}

static inline bool async_empty(const struct torc_async *async)
{
	return async->inverted_fd_ == 0;
}

/* Nothing may begin on it. Whoever has parked since he looked has to look again. */
static inline bool async_gone(const struct torc_async *async)
{
	return async_empty(async) || (async->flags_ & ASYNC_CLOSING);
}

static inline void async_set(struct torc_async *async, int fd, uint32_t flags)
{
	async->inverted_fd_ = ~fd;
	async->flags_ = flags;
	async->busy_ = NULL;
}

static inline int op_fd(const struct op *op)
{
	return op->request.source.inner.fd;
}

/* 0, and *sqe is where to write the request: nothing that can fail may stand between this and op_finish. Or why not:
 * -EBADF, -ECANCELED, -ETIME. */
int op_begin(struct op *op, struct torc_async *async, enum source_type type, struct io_uring_sqe **sqe,
             const char *function);

/* Submit and park. The CQE's result; -EBADF if the handle was closed meanwhile; -ECANCELED or -ETIME by the scope. */
int op_finish(struct op *op, struct io_uring_sqe *sqe);

/* Is this result no answer yet? -EAGAIN: the descriptor has O_NONBLOCK, or a poll was for nothing. -EINTR, where nobody was
 * cancelled: a worker thread of the kernel was stopped with the process. */
static inline bool op_again(int result)
{
	return unlikely(result == -EAGAIN || result == -EINTR);
}

/* The latter alone, also said by a file system's own server: what is asked of files and names is asked once more. */
static inline bool op_interrupted(int result)
{
	return unlikely(result == -EINTR);
}

/* The second half of op_finish, where the request went another way: what the result that came means. */
int op_settle(struct op *op, int result);

/* For what waits on a handle without a request of its own: join and leave its busy list. */
void op_enter(struct op *op, struct executor *executor, struct torc_async *async);
void op_leave(struct op *op);

/* The same for an object that uses the handle without a fiber parked in it, a stream with its read-ahead: when the handle
 * is closed `interrupt` is called, with .closed set; the descriptor stays open until the object has left. */
void op_attach(struct op *op, struct executor *executor, struct torc_async *async,
               void (*interrupt)(struct wait *wait));

/* End the use of a handle: refuse further operations, wake those parked with -EBADF, wait until all have left.
 * Returns the fd, the handle empty; -EBADF if it is empty or somebody closes it already. */
int op_close_handle(struct torc_async *async, const char *function);

/* Close a descriptor through the ring if in a fiber, plainly elsewhere. Is never cancelled. */
int op_close_fd(int fd);

#endif
