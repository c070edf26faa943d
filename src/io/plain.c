#include "io/plain.h"

#include "machine/feature.h"
#include "machine/sys.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

static const uint64_t own_position = UINT64_MAX; /* of the open file, which moves with it */

uint32_t plain_kind(int fd, unsigned kind)
{
	if (S_ISFIFO(kind))
		return ASYNC_PLAIN | ASYNC_PIPE;
	if (S_ISREG(kind) || S_ISBLK(kind))
		return ASYNC_PLAIN | ASYNC_REGULAR;
	if (S_ISCHR(kind) && sys_is_terminal(fd))
		return ASYNC_PLAIN | ASYNC_TERMINAL;
	return ASYNC_PLAIN;
}

enum { TURNS = 64 };

/* The kernel reads a file's position when it begins a request and stores it when it ends it, also in worker threads, two
 * of which may find the same position. So requests that move one go one at a time on this core: here are those that are
 * made or want to be, in lists by their file, in the order in which they came. The first of its file has its turn. */
static _Thread_local struct {
	const struct executor *executor; /* whose these are: in the child of a fork they are the parent's */
	struct list lists[TURNS];
} turns;

struct turn {
	struct list link;
	size_t file;
	bool waits;
	struct op op; /* while it waits, which is to be parked on the handle as well as reading it is */
};

static struct list *turns_of(const struct executor *executor, size_t file)
{
	if (unlikely(turns.executor != executor)) {
		turns.executor = executor;
		for (int i = 0; i < TURNS; i++)
			list_init(&turns.lists[i]);
	}
	return &turns.lists[file % TURNS];
}

/* NULL: none of this file. */
static struct turn *first_turn(struct list *list, size_t file)
{
	list_each (node, list) { /* ends: they are as many as fibers that make such calls */
		struct turn *turn = container_of(node, struct turn, link);

		if (turn->file == file)
			return turn;
	}
	return NULL;
}

static void turn_leave(struct list *list, struct turn *turn)
{
	struct turn *next;

	list_remove(&turn->link);
	next = first_turn(list, turn->file);
	if (!next || !next->waits)
		return;
	next->waits = false;
	waker_wake(next->op.request.wait.fiber);
}

static void turn_interrupt(struct wait *wait)
{
	list_remove(&container_of(wait, struct turn, op.request.wait)->link);
	waker_wake(wait->fiber);
}

/* 0; -EBADF, -ECANCELED, -ETIME. */
static int turn_await(struct turn *turn, struct executor *executor, struct torc_async *async)
{
	op_enter(&turn->op, executor, async);
	turn->op.request.wait.interrupt = turn_interrupt;
	turn->op.request.wait.what = "its turn at a file's position";
	wait_park(executor, &turn->op.request.wait);
	op_leave(&turn->op);
	if (!turn->waits)
		return 0;
	return turn->op.closed ? -EBADF : scope_refuses(executor->running);
}

static int turn_take(struct list *list, struct turn *turn, struct executor *executor, struct torc_stream *stream)
{
	if (async_empty(&stream->async) || (stream->async.flags_ & ASYNC_CLOSING))
		return -EBADF;
	if (scope_refuses(executor->running))
		return scope_refuses(executor->running);
	turn->file = stream->file_;
	turn->waits = first_turn(list, turn->file);
	list_append(list, &turn->link);
	return turn->waits ? turn_await(turn, executor, &stream->async) : 0;
}

/* One attempt. */
static int attempt(struct torc_async *async, unsigned opcode, const void *what, unsigned len, const char *function)
{
	bool write = opcode != IORING_OP_READ;
	struct io_uring_sqe *sqe;
	struct op op;
	int r = op_begin(&op, async, write ? SOURCE_WRITE : SOURCE_READ, &sqe, function);

	if (unlikely(r < 0))
		return r;
	uring_prepare(sqe, opcode, op_fd(&op), what, len);
	sqe->off = own_position;
	if ((async->flags_ & ASYNC_PIPE) && write && feature_on(FEATURE_NOSIGNAL))
		sqe->rw_flags = RWF_NOSIGNAL;
	/* A terminal may block whoever finds it stopped, or what he polled for taken by another process: a worker thread
	 * of the kernel then, not us. */
	if (async->flags_ & ASYNC_TERMINAL)
		sqe->flags = IOSQE_ASYNC;
	return op_finish(&op, sqe);
}

/* Repeat until there is an answer. Ends: -EAGAIN is followed by a wait until it is worth a try; -EINTR, where it was no
 * cancellation, says that the process was stopped for touching its terminal from the background. */
static int insist(struct torc_async *async, unsigned opcode, const void *what, unsigned len, const char *function)
{
	unsigned events = opcode == IORING_OP_READ ? POLLIN : POLLOUT;
	int r;

	do {
		r = attempt(async, opcode, what, len, function);
		if (r == -EAGAIN) {
			int polled = async_poll(async, events, function);

			if (polled < 0)
				return polled;
		}
	} while (op_again(r));
	return r;
}

/* What the kernel does while it is asked moves the position; what it leaves to a device and answers later - O_DIRECT does
 * that, and FUSE - does not (Linux 6.18), and the next request would begin where this one did. */
static void move_on(int fd, int64_t before, int moved)
{
	if (before >= 0 && moved > 0 && sys_move(fd, 0) == before)
		sys_move(fd, moved);
}

static int run_in_turn(struct torc_stream *stream, unsigned opcode, const void *what, unsigned len,
                       const char *function)
{
	struct executor *executor = executor_in_fiber(function);
	struct list *list = turns_of(executor, stream->file_);
	struct torc_async *async = &stream->async;
	struct turn turn;
	int64_t before;
	int r = turn_take(list, &turn, executor, stream), fd = async_fd(async);

	if (r < 0)
		return r;
	before = sys_move(fd, 0);
	r = insist(async, opcode, what, len, function);
	move_on(fd, before, r);
	turn_leave(list, &turn);
	return r;
}

static int run(struct torc_stream *stream, unsigned opcode, const void *what, unsigned len, const char *function)
{
	return stream->async.flags_ & ASYNC_REGULAR ? run_in_turn(stream, opcode, what, len, function)
	                                            : insist(&stream->async, opcode, what, len, function);
}

int plain_read(struct torc_stream *stream, void *buf, size_t len, const char *function)
{
	int r;

	/* No worker thread is to wait for somebody who types. */
	if (stream->async.flags_ & ASYNC_TERMINAL) {
		r = async_poll(&stream->async, POLLIN, function);
		if (r < 0)
			return r;
	}
	r = run(stream, IORING_OP_READ, buf, len > INT_MAX ? INT_MAX : (unsigned)len, function);
	if (r > 0)
		sanitize_written(buf, (size_t)r);
	return r;
}

int plain_write(struct torc_stream *stream, unsigned opcode, const void *what, unsigned len, const char *function)
{
	const struct msghdr *message = what;
	int r = opcode == IORING_OP_SENDMSG
	                ? run(stream, IORING_OP_WRITEV, message->msg_iov, (unsigned)message->msg_iovlen, function)
	                : run(stream, IORING_OP_WRITE, what, len, function);

	return r == 0 ? -EIO : r; /* it would be so for ever */
}
