/* torc_choose. The waiting itself is executor/waitable's. */
#include "executor/waitable.h"
#include "machine/clock.h"

#include <limits.h>
#include <stdlib.h>

/* In the chooser's frame, for arms that need it. */
enum { ROOM = 4096, ALIGNMENT = 16 };
enum { FEW = 16 }; /* hexadecimal digits of 64 bits */

static __thread uint64_t random_state __attribute__((tls_model("initial-exec")));

/* --- instants -------------------------------------------------------------------------------- */

struct alarm {
	struct timer timer;
	struct arm *arm;
};

static inline int64_t instant(const struct arm *arm)
{
	return (int64_t)(intptr_t)arm->object;
}

static int try_deadline(struct arm *arm)
{
	return instant(arm) <= clock_now() ? 0 : -EAGAIN;
}

static void alarm_due(struct timer *timer)
{
	struct arm *arm = container_of(timer, struct alarm, timer)->arm;

	choice_decide(arm->choice, arm, 0);
}

static void arm_deadline(struct arm *arm)
{
	struct alarm *alarm = arm->room;

	alarm->arm = arm;
	timer_init(&alarm->timer, alarm_due);
	timers_add(&executor_self->reactor.timers, &alarm->timer, instant(arm));
}

static void disarm_deadline(struct arm *arm)
{
	timers_remove(&executor_self->reactor.timers, &((struct alarm *)arm->room)->timer);
}

static const struct waitable at_instant = { try_deadline, arm_deadline, disarm_deadline, .room = sizeof(struct alarm),
	                                    .what = "a deadline" };

struct torc_case torc_case_deadline(torc_ns when)
{
	return waitable_case(&at_instant, (void *)(intptr_t)when, NULL, 0);
}

/* --- if nothing else ------------------------------------------------------------------------- */

static int never_now(struct arm *arm)
{
	(void)arm;
	return -EAGAIN;
}

static const struct waitable otherwise = { .try_now = never_now };

struct torc_case torc_case_default(void)
{
	return waitable_case(&otherwise, NULL, NULL, 0);
}

/* --- choosing -------------------------------------------------------------------------------- */

/* A number below `limit`, each as likely; 0 below 0. The upper half of a linear congruential generator's state. */
static inline size_t chance_below(size_t limit)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (random_state >> 32) * limit >> 32;
}

static inline int try_at(struct arm *arms, size_t count, size_t at)
{
	struct arm *arm = &arms[at];
	int result;

	if (unlikely(at >= count || !arm->waitable))
		return -EAGAIN;
	result = arm->waitable->try_now(arm);
	if (result == -EAGAIN)
		return -EAGAIN;
	arm->result = result;
	return (int)at;
}

static int park(struct executor *executor, struct arm *arms, size_t count, char *room)
{
	struct choice choice;

	choice_init(&choice, executor, arms, count, "the first of several");
	for (size_t i = 0; i < count; i++) {
		struct arm *arm = &arms[i];

		if (!arm->waitable)
			continue;
		arm->choice = &choice;
		arm->room = room;
		room += (arm->waitable->room + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
		arm->waitable->arm(arm);
	}
	wait_park(executor, &choice.wait);
	for (size_t i = 0; i < count; i++)
		if (arms[i].waitable && arms[i].waitable->leave)
			arms[i].waitable->leave(&arms[i]);
	if (!choice.chosen)
		return choice.result;
	choice.chosen->result = choice.result;
	return (int)(choice.chosen - arms);
}

static __attribute__((noinline)) int park_in_frame(struct executor *executor, struct arm *arms, size_t count)
{
	_Alignas(ALIGNMENT) char room[ROOM];

	return park(executor, arms, count, room);
}

static int park_on_heap(struct executor *executor, struct arm *arms, size_t count, size_t size)
{
	char *room = malloc(size);
	int r;

	if (!room)
		return -ENOMEM;
	r = park(executor, arms, count, room);
	free(room);
	return r;
}

static int wait_for_first(struct executor *executor, struct arm *arms, size_t count)
{
	size_t room = 0;

	for (size_t i = 0; i < count; i++)
		if (arms[i].waitable)
			room += (arms[i].waitable->room + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (room == 0)
		return park(executor, arms, count, NULL);
	return room <= ROOM ? park_in_frame(executor, arms, count) : park_on_heap(executor, arms, count, room);
}

/* The others than `first` in any order, each as likely: what was not tried yet stands in a number's digits. */
static int try_few(struct arm *arms, size_t count, size_t first)
{
	uint64_t digits = UINT64_C(0xfedcba9876543210);
	int r = -EAGAIN;

	for (size_t at = first, left = count; r == -EAGAIN && left > 1;) {
		uint64_t last = digits >> 4 * --left & 15, chosen = digits >> 4 * at & 15;

		digits ^= (last ^ chosen) << 4 * at;
		at = chance_below(left);
		r = try_at(arms, count, digits >> 4 * at & 15);
	}
	return r;
}

/* In one of many orders: that of a linear congruential generator, which visits each number below a power of two once
 * (Hull & Dobell, 1962). */
static int try_many(struct arm *arms, size_t count, size_t first)
{
	size_t step = chance_below(UINT32_MAX) | 1, mask = SIZE_MAX >> __builtin_clzl(count - 1);
	int r = -EAGAIN;

	for (size_t at = first, visits = 0; r == -EAGAIN && visits < mask; visits++) {
		at = (at * 5 + step) & mask;
		r = try_at(arms, count, at);
	}
	return r;
}

/* The first to be tried could not happen. */
static __attribute__((noinline)) int try_others(struct executor *executor, struct arm *arms, size_t count, size_t first)
{
	int r = count <= FEW ? try_few(arms, count, first) : try_many(arms, count, first);

	if (r != -EAGAIN)
		return r;
	for (size_t i = 0; i < count; i++)
		if (arms[i].waitable == &otherwise) {
			arms[i].result = 0;
			return (int)i;
		}
	return wait_for_first(executor, arms, count);
}

int torc_choose(struct torc_case *cases, size_t count)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct arm *arms = (struct arm *)(void *)cases;
	int r = scope_refuses(executor->running);
	size_t first;

	MISUSE(count > INT_MAX, "more cases than an int counts");
	if (unlikely(r))
		return r;
	first = chance_below(count);
	r = try_at(arms, count, first);
	return r != -EAGAIN ? r : try_others(executor, arms, count, first);
}
