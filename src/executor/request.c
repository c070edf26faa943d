#include "executor/request.h"

#include <errno.h>

void request_interrupt(struct wait *wait)
{
	struct request *request = container_of(wait, struct request, wait);

	reactor_cancel(&request->executor->reactor, &request->source);
}

int request_begin(struct request *request, enum source_type type, int fd, struct io_uring_sqe **sqe,
                  const char *function)
{
	struct executor *executor = executor_in_fiber(function);

	if (unlikely(scope_refuses(executor->running)))
		return scope_refuses(executor->running);
	*sqe = request_fill(request, executor, type, fd, request_interrupt);
	return 0;
}

void request_begin_shielded(struct request *request, struct executor *executor, enum source_type type, int fd,
                            struct io_uring_sqe **sqe)
{
	*sqe = request_fill(request, executor, type, fd, NULL);
}

int request_finish(struct request *request, struct io_uring_sqe *sqe)
{
	int result = request_run(request, sqe);

	if (request_was_cut(result) && scope_refuses(request->wait.fiber))
		return scope_refuses(request->wait.fiber);
	return result;
}
