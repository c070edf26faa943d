#include "executor/request.h"
#include "executor/sleep.h"

#include "machine/clock.h"
#include "machine/feature.h"

#include <torc/wall_clock.h>

#include <errno.h>

/* A clock that is set reaches us through the kernel's timer. Without that one: by looking, so often. */
static const int64_t look_every_ns = 1000000000;

/* 0, when the kernel's clock has got there or for no reason; or -errno. */
static int sleep_in_kernel(struct executor *executor, int64_t instant)
{
	struct __kernel_timespec until = { .tv_sec = instant / 1000000000, .tv_nsec = instant % 1000000000 };
	const struct fiber *fiber = executor->running;
	struct io_uring_sqe *sqe;
	struct request request;
	int result;

	if (scope_refuses(fiber))
		return scope_refuses(fiber);
	sqe = request_fill(&request, executor, SOURCE_TIMEOUT, -1, request_interrupt);
	uring_prepare(sqe, IORING_OP_TIMEOUT, -1, &until, 1);
	sqe->timeout_flags = IORING_TIMEOUT_ABS | IORING_TIMEOUT_REALTIME;
	result = request_run(&request, sqe);
	if (result == -ETIME) /* how the kernel says that it is time; a deadline of ours would be a cancellation */
		return 0;
	return request_was_cut(result) ? scope_refuses(fiber) : result;
}

static int sleep_a_while(struct executor *executor, int64_t left)
{
	return sleep_until(executor, torc_in(left < look_every_ns ? left : look_every_ns));
}

int64_t torc_wall_now(void)
{
	return clock_wall();
}

int torc_wall_sleep_until(int64_t instant)
{
	struct executor *executor = executor_in_fiber(__func__);
	int64_t now = clock_wall();
	int r = 0;

	if (now >= instant)
		return sleep_until(executor, 0);
	for (; r == 0 && now < instant; now = clock_wall()) /* again if the clock was set back when it had got there */
		r = feature_on(FEATURE_TIMEOUT_REALTIME) ? sleep_in_kernel(executor, instant)
		                                         : sleep_a_while(executor, instant - now);
	return r;
}
