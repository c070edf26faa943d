#include "executor/waitable.h"

#include "machine/clock.h"

#include <torc/timer.h>

/* What a torc_timer is. All zero: not set, nobody waits. */
struct movable {
	int64_t instant;
	struct arms arms;
};

static_assert_fits(torc_timer, movable);

/* Each who waits has a timer in its own frame, so that a torc_timer needs no clean-up: at the instant, or before it
 * (timers_hasten). */
struct due {
	struct timer timer;
	struct arm *arm;
};

static bool has_come(const struct movable *movable)
{
	return movable->instant && movable->instant <= clock_now();
}

static int try_timer(struct arm *arm)
{
	return has_come(arm->object) ? 0 : -EAGAIN;
}

static void timer_due(struct timer *timer)
{
	struct arm *arm = container_of(timer, struct due, timer)->arm;
	struct movable *movable = arm->object;

	if (timer_early(timer, movable->instant)) {
		timers_add(&executor_self->reactor.timers, timer, movable->instant);
		return;
	}
	arms_remove(&movable->arms, arm);
	choice_decide(arm->choice, arm, 0);
}

static void aim(struct executor *executor, const struct arm *arm)
{
	const struct movable *movable = arm->object;
	struct due *due = arm->room;

	if (movable->instant)
		timers_hasten(&executor->reactor.timers, &due->timer, movable->instant);
	else
		timers_remove(&executor->reactor.timers, &due->timer);
}

static void check_core(const struct movable *movable, const struct executor *executor, const char *function)
{
	const struct arm *first = movable->arms.first;

	if (unlikely(first && first->choice->wait.fiber->scope->executor != executor))
		panic(function, "fibers of another core wait for the timer");
}

static void arm_timer(struct arm *arm)
{
	struct movable *movable = arm->object;
	struct due *due = arm->room;

	due->arm = arm;
	timer_init(&due->timer, timer_due);
	arms_append(&movable->arms, arm);
	aim(executor_self, arm);
}

static void disarm_timer(struct arm *arm)
{
	timers_remove(&executor_self->reactor.timers, &((struct due *)arm->room)->timer);
	arms_remove(&((struct movable *)arm->object)->arms, arm);
}

static void arm_case(struct arm *arm)
{
	check_core(arm->object, executor_self, "torc_choose");
	arm_timer(arm);
}

static const struct waitable timer_comes = { try_timer, arm_case, disarm_timer, .room = sizeof(struct due),
	                                     .what = "a timer" };

static int wait_for(struct executor *executor, struct movable *movable)
{
	struct choice choice;
	struct due due;
	struct arm arm = { .waitable = &timer_comes, .object = movable, .choice = &choice, .room = &due };

	if (scope_refuses(executor->running))
		return scope_refuses(executor->running);
	check_core(movable, executor, "torc_timer_wait");
	choice_init(&choice, executor, &arm, 1, timer_comes.what);
	arm_timer(&arm);
	wait_park(executor, &choice.wait);
	return choice.result;
}

void torc_timer_set(struct torc_timer *timer, torc_ns instant)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct movable *movable = (struct movable *)timer;

	check_core(movable, executor, __func__);
	movable->instant = instant;
	for (const struct arm *arm = movable->arms.first; arm; arm = arm->next)
		aim(executor, arm);
}

torc_ns torc_timer_instant(const struct torc_timer *timer)
{
	return ((const struct movable *)timer)->instant;
}

int torc_timer_wait(struct torc_timer *timer)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct movable *movable = (struct movable *)timer;
	int r = scope_refuses(executor->running);

	if (r == 0 && has_come(movable))
		torc_yield();
	while (r == 0 && !has_come(movable)) /* again if it was moved after it woke us */
		r = wait_for(executor, movable);
	return r;
}

struct torc_case torc_case_timer(struct torc_timer *timer)
{
	return waitable_case(&timer_comes, timer, NULL, 0);
}
