/* request - one operation that the kernel is asked for: a Source on this fiber's stack, submitted, waited for until its
 * last CQE. What belongs to a handle goes by io/op, which adds who else uses the handle; this alone is for what belongs
 * to none:
 *
 *     struct request request;
 *     struct io_uring_sqe *sqe;
 *     int r = request_begin(&request, SOURCE_OPEN, AT_FDCWD, &sqe, __func__);
 *
 *     if (r < 0)
 *             return r;
 *     uring_prepare(sqe, IORING_OP_OPENAT, AT_FDCWD, path, mode);
 *     return request_finish(&request, sqe);
 *
 * Relies on reactor, scope, wait. Keeps: the frame outlives the kernel's use of everything in it. */
#ifndef TORC_SRC_REQUEST_H
#define TORC_SRC_REQUEST_H

#include "executor/scope.h"
#include "reactor/reactor.h"

#include <errno.h>

struct request {
	struct wait wait;
	struct executor *executor;
	struct source source;
};

/* 0, and *sqe is where to write the request: nothing that can fail may stand between this and request_finish. Or why not:
 * -ECANCELED, -ETIME. */
int request_begin(struct request *request, enum source_type type, int fd, struct io_uring_sqe **sqe,
                  const char *function);

/* The same, never refused and never cut short: for what must come to its end, such as close. */
void request_begin_shielded(struct request *request, struct executor *executor, enum source_type type, int fd,
                            struct io_uring_sqe **sqe);

/* Submit and park. The CQE's result, which a cancellation that came too late does not change; -ECANCELED or -ETIME by
 * the scope. */
int request_finish(struct request *request, struct io_uring_sqe *sqe);

/* The halves that io/op shares: a request with its fiber and what interrupts it; submit and park, for the raw result. */
static inline struct io_uring_sqe *request_fill(struct request *request, struct executor *executor,
                                                enum source_type type, int fd, void (*interrupt)(struct wait *wait))
{
	request->wait = (struct wait){ interrupt, executor->running, source_type_name(type) };
	request->executor = executor;
	source_init(&request->source, type, fd);
	return reactor_sqe(&executor->reactor, &request->source);
}

static inline int request_run(struct request *request, struct io_uring_sqe *sqe)
{
	request->source.inner.wakers.waiting = request->wait.fiber;
	request->wait.fiber->next = NULL;
	reactor_submit(&request->executor->reactor, &request->source, sqe);
	wait_park(request->executor, &request->wait);
	return request->source.inner.wakers.result;
}

/* Cut the request of a parked fiber short: its last CQE still comes. */
void request_interrupt(struct wait *wait);

/* Did the kernel end it because it was asked to? -EINTR is how a worker thread of the kernel reports that. */
static inline bool request_was_cut(int result)
{
	return unlikely(result == -ECANCELED || result == -EINTR);
}

#endif
