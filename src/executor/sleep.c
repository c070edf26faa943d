#include "executor/sleep.h"

#include "machine/clock.h"

#include <torc/time.h>

struct sleeper {
	struct wait wait;
	struct timer timer;
	int result;
};

static void sleeper_due(struct timer *timer)
{
	waker_wake(container_of(timer, struct sleeper, timer)->wait.fiber);
}

static void sleeper_interrupt(struct wait *wait)
{
	struct sleeper *sleeper = container_of(wait, struct sleeper, wait);

	timers_remove(&executor_self->reactor.timers, &sleeper->timer);
	sleeper->result = scope_refuses(wait->fiber);
	waker_wake(wait->fiber);
}

static void yield(struct executor *executor)
{
	struct fiber *fiber = executor->running;

	task_queue_push(fiber->queue, fiber);
	executor_switch(executor, fiber);
}

int sleep_until(struct executor *executor, int64_t instant)
{
	struct fiber *fiber = executor->running;
	struct sleeper sleeper = { .wait = { sleeper_interrupt, fiber, "sleep" } };

	if (scope_refuses(fiber))
		return scope_refuses(fiber);
	if (instant <= 0 || instant <= clock_now()) {
		yield(executor);
		return 0;
	}
	timer_init(&sleeper.timer, sleeper_due);
	timers_add(&executor->reactor.timers, &sleeper.timer, instant);
	wait_park(executor, &sleeper.wait);
	return sleeper.result;
}

torc_ns torc_now(void)
{
	return clock_now();
}

torc_ns torc_in(torc_ns span)
{
	torc_ns instant;

	return __builtin_add_overflow(clock_now(), span, &instant) ? INT64_MAX : instant;
}

int torc_sleep_until(torc_ns instant)
{
	return sleep_until(executor_in_fiber(__func__), instant);
}

int torc_sleep(torc_ns span)
{
	return sleep_until(executor_in_fiber(__func__), span > 0 ? torc_in(span) : 0);
}

void torc_yield(void)
{
	yield(executor_in_fiber(__func__));
}
