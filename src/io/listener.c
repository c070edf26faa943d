#include "io/listener.h"

#include "machine/clock.h"
#include "machine/feature.h"
#include "machine/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

/* After an accept that failed for want of descriptors or memory. */
static const int64_t retry_after_ns = 10000000;

struct acceptor {
	struct executor *executor; /* while armed or waited for; NULL: no core's */
	struct source source;
	int fd;
	bool armed;
	int64_t not_before; /* of the next attempt */
	struct timer retry; /* pending only while fibers wait */
	struct list waiting;
	struct fiber *closer; /* waits for the source's last answer */
	unsigned first, count, ahead, room;
	int store[]; /* a ring of `room` descriptors that nobody has taken */
};

struct accept_call {
	struct op op;
	struct list link;
	int fd; /* -1: none; < -1: -errno + -1 */
};

enum { NONE = -1 };

static void arm(struct acceptor *acceptor);

static void retry(struct timer *timer)
{
	arm(container_of(timer, struct acceptor, retry));
}

int listener_make(struct torc_listener *listener, int fd, unsigned ahead, unsigned backlog)
{
	unsigned room = ahead + backlog;
	struct acceptor *acceptor = calloc(1, sizeof *acceptor + room * sizeof *acceptor->store);

	if (!acceptor)
		return -ENOMEM;
	acceptor->fd = fd;
	acceptor->ahead = ahead;
	acceptor->room = room;
	list_init(&acceptor->waiting);
	timer_init(&acceptor->retry, retry);
	*listener = (struct torc_listener){ .acceptor_ = acceptor };
	async_set(&listener->async, fd, 0);
	return 0;
}

int torc_listener_wrap(struct torc_listener *listener, int fd)
{
	/* The ring waits by itself, unless it is told not to; and how many may come in must be known. */
	int r = sys_status_flags(fd, 0, O_NONBLOCK);

	if (r >= 0)
		r = sys_listen(fd, LISTENER_BACKLOG);
	return r < 0 ? r : listener_make(listener, fd, LISTENER_AHEAD, LISTENER_BACKLOG);
}

static void settle(struct acceptor *acceptor)
{
	if (acceptor->armed || !list_empty(&acceptor->waiting))
		return;
	if (acceptor->executor)
		timers_remove(&acceptor->executor->reactor.timers, &acceptor->retry);
	acceptor->executor = NULL;
}

static void hand_over(struct accept_call *call, int fd)
{
	call->fd = fd;
	list_remove(&call->link);
	waker_wake(call->op.request.wait.fiber);
}

static struct accept_call *first_waiting(struct acceptor *acceptor)
{
	return container_of(acceptor->waiting.next, struct accept_call, link);
}

static void take_in(struct acceptor *acceptor, int fd)
{
	if (!list_empty(&acceptor->waiting)) {
		hand_over(first_waiting(acceptor), fd);
		return;
	}
	if (acceptor->count == acceptor->room) {
		sys_close(fd); /* more came than the backlog held: they are turned away */
		return;
	}
	acceptor->store[(acceptor->first + acceptor->count++) % acceptor->room] = fd;
	if (acceptor->count >= acceptor->ahead)
		reactor_cancel(&acceptor->executor->reactor, &acceptor->source);
}

static bool passing(int error)
{
	/* accept(2): errors of the connection, not of the listener */
	return error == -ECONNABORTED || error == -EPROTO || error == -EINTR || error == -EAGAIN ||
	       error == -ENETDOWN || error == -ENOPROTOOPT || error == -EHOSTDOWN || error == -ENONET ||
	       error == -EHOSTUNREACH || error == -ENETUNREACH || error == -ECANCELED || error == -EPERM;
}

/* Everybody who waits is told; who asks again waits until it is time to try again. */
static void fail(struct acceptor *acceptor, int error)
{
	acceptor->not_before = clock_now() + retry_after_ns;
	while (!list_empty(&acceptor->waiting))
		hand_over(first_waiting(acceptor), error - 1);
}

static void accepted(struct inner_source *inner, int result, bool last)
{
	struct acceptor *acceptor = container_of(inner, struct acceptor, source.inner);

	if (result >= 0)
		take_in(acceptor, result);
	else if (!passing(result))
		fail(acceptor, result);
	if (!last)
		return;
	acceptor->armed = false;
	if (acceptor->closer)
		waker_wake(acceptor->closer);
	else if (!list_empty(&acceptor->waiting))
		arm(acceptor);
	else
		settle(acceptor);
}

static void arm(struct acceptor *acceptor)
{
	struct reactor *reactor = &acceptor->executor->reactor;
	struct io_uring_sqe *sqe;

	source_init(&acceptor->source, SOURCE_ACCEPT, acceptor->fd);
	acceptor->source.inner.answer = accepted;
	sqe = reactor_sqe(reactor, &acceptor->source);
	uring_prepare(sqe, IORING_OP_ACCEPT, acceptor->fd, NULL, 0);
	sqe->accept_flags = SOCK_CLOEXEC;
	if (feature_on(FEATURE_MULTISHOT_ACCEPT))
		sqe->ioprio = IORING_ACCEPT_MULTISHOT;
	reactor_submit(reactor, &acceptor->source, sqe);
	acceptor->armed = true;
}

static void accept_interrupt(struct wait *wait)
{
	struct accept_call *call = container_of(wait, struct accept_call, op.request.wait);

	hand_over(call, NONE);
}

static int await_connection(struct torc_listener *listener, struct executor *executor)
{
	struct acceptor *acceptor = listener->acceptor_;
	struct accept_call call = { .fd = NONE };

	acceptor->executor = executor;
	op_enter(&call.op, executor, &listener->async);
	call.op.request.wait.interrupt = accept_interrupt;
	call.op.request.wait.what = "accept";
	list_append(&acceptor->waiting, &call.link);
	if (!acceptor->armed && !timer_pending(&acceptor->retry)) {
		if (acceptor->not_before > clock_now())
			timers_add(&executor->reactor.timers, &acceptor->retry, acceptor->not_before);
		else
			arm(acceptor);
	}
	wait_park(executor, &call.op.request.wait);
	if (!call.op.closed)
		settle(acceptor);
	op_leave(&call.op);

	if (call.fd != NONE)
		return call.fd < NONE ? call.fd + 1 : call.fd;
	return call.op.closed ? -EBADF : scope_refuses(call.op.request.wait.fiber);
}

int torc_listener_accept(struct torc_listener *listener, struct torc_stream *peer)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct acceptor *acceptor = listener->acceptor_;
	int fd;

	if (async_empty(&listener->async) || (listener->async.flags_ & ASYNC_CLOSING))
		return -EBADF;
	if (scope_refuses(executor->running))
		return scope_refuses(executor->running);
	MISUSE(acceptor->executor && acceptor->executor != executor,
	       "the listener is in use on another core; use one per core, with .share_port");
	if (acceptor->count > 0) {
		fd = acceptor->store[acceptor->first];
		acceptor->first = (acceptor->first + 1) % acceptor->room;
		acceptor->count--;
	} else {
		fd = await_connection(listener, executor);
		if (fd < 0)
			return fd;
	}
	*peer = (struct torc_stream){ 0 };
	async_set(&peer->async, fd, 0);
	return 0;
}

int torc_listener_addr(const struct torc_listener *listener, struct torc_addr *addr)
{
	struct torc_addr found = { .len = sizeof found.sockaddr };
	int r = async_empty(&listener->async)
	                ? -EBADF
	                : sys_getsockname(async_fd(&listener->async), (struct sockaddr *)&found.sockaddr, &found.len);

	if (r == 0)
		*addr = found;
	return r;
}

/* The kernel still accepts: have it stop, and wait for its last word. */
static void disarm(struct acceptor *acceptor)
{
	struct executor *executor = executor_in_fiber("torc_listener_close");
	struct wait wait = { NULL, executor->running, "the last of accept" };

	MISUSE(acceptor->executor != executor, "the listener is in use on another core");
	reactor_cancel(&executor->reactor, &acceptor->source);
	if (!acceptor->armed)
		return; /* it had not got as far as the kernel */
	acceptor->closer = executor->running;
	wait_park(executor, &wait);
}

int torc_listener_close(struct torc_listener *listener)
{
	struct acceptor *acceptor = listener->acceptor_;
	int fd;

	if (async_empty(&listener->async) || (listener->async.flags_ & ASYNC_CLOSING))
		return 0;
	fd = op_close_handle(&listener->async, __func__);
	*listener = (struct torc_listener){ 0 };
	if (acceptor->executor && executor_is_parents(acceptor->executor)) {
		acceptor->executor = NULL;
		acceptor->armed = false;
	}
	if (acceptor->executor)
		timers_remove(&acceptor->executor->reactor.timers, &acceptor->retry);
	if (acceptor->armed)
		disarm(acceptor);
	for (unsigned i = 0; i < acceptor->count; i++)
		sys_close(acceptor->store[(acceptor->first + i) % acceptor->room]);
	free(acceptor);
	return op_close_fd(fd);
}
