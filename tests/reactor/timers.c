/* timers.c - the wheel against a plain array: at random, and where it could go wrong. */
#include "reactor/timers.h"

#include "base/random.h"
#include "harness.h"

#include <stdlib.h>

enum { MODEL = 60, TICK = 1 << TIMERS_TICK_SHIFT };

static struct timers timers;

struct alarm {
	struct timer timer;
	int64_t deadline;
	bool expected; /* is pending, says the model */
	int64_t fired_at;
};

static struct alarm alarms[MODEL];
static int64_t now;
static uint64_t seed;
static struct random chance;
static unsigned pending;
static bool in_advance, nest;

#define MUST(fact) HOLDS(fact, seed)

static void alarm_fire(struct timer *timer);

static int64_t some_deadline(void)
{
	int64_t span;

	switch (random_below(&chance, 10)) {
	case 0:
		return INT64_MAX - (int64_t)random_below(&chance, 2000);
	case 1:
		return now;
	case 2:
		return now - (int64_t)random_below(&chance, 5000);
	case 3:
		return random_chance(&chance, 50) ? 0 : INT64_MIN;
	default:
		/* near and far alike, and around the edges of slots */
		span = (int64_t)(random_next(&chance) >> (1 + random_below(&chance, 62)));
		if (random_chance(&chance, 30))
			span = (int64_t)1 << random_below(&chance, 62);
		span += (int64_t)random_below(&chance, 3) - 1;
		return span > INT64_MAX - now ? INT64_MAX : now + span;
	}
}

static void alarm_add(struct alarm *alarm, int64_t deadline)
{
	timer_init(&alarm->timer, alarm_fire);
	alarm->deadline = deadline;
	alarm->expected = true;
	pending++;
	timers_add(&timers, &alarm->timer, deadline);
	MUST(timer_pending(&alarm->timer));
}

/* Move it, or add it. */
static void alarm_move(struct alarm *alarm, int64_t deadline)
{
	if (!alarm->expected)
		timer_init(&alarm->timer, alarm_fire);
	pending += !alarm->expected;
	alarm->deadline = deadline;
	alarm->expected = true;
	timers_hasten(&timers, &alarm->timer, deadline);
	MUST(timer_pending(&alarm->timer));
}

static void alarm_remove(struct alarm *alarm)
{
	timers_remove(&timers, &alarm->timer);
	pending -= alarm->expected;
	alarm->expected = false;
	MUST(!timer_pending(&alarm->timer));
}

static void alarm_fire(struct timer *timer)
{
	struct alarm *alarm = container_of(timer, struct alarm, timer);

	MUST(in_advance);
	MUST(alarm->expected);
	MUST(!timer_pending(timer));
	if (timer_early(timer, alarm->deadline)) { /* it was moved away since */
		timers_add(&timers, timer, alarm->deadline);
		return;
	}
	MUST(alarm->deadline <= now); /* never early */
	alarm->expected = false;
	pending--;
	if (!nest)
		return;
	if (random_chance(&chance, 30)) {
		int64_t deadline = some_deadline();

		/* for later, as the contract wants it */
		alarm_add(alarm, deadline > now ? deadline : now + 1 + (int64_t)random_below(&chance, 100000));
	}
	if (random_chance(&chance, 30)) /* whatever it is: pending, in the due list, or neither */
		alarm_remove(&alarms[random_below(&chance, MODEL)]);
}

static int64_t nearest(void)
{
	int64_t nearest = INT64_MAX;

	for (int i = 0; i < MODEL; i++)
		if (alarms[i].expected && alarms[i].deadline < nearest)
			nearest = alarms[i].deadline;
	return nearest;
}

static void check(void)
{
	unsigned there = 0;

	MUST(timers.count == pending);
	for (int i = 0; i < MODEL; i++)
		there += timer_pending(&alarms[i].timer);
	MUST(there == pending);
	for (int level = 0; level < TIMERS_LEVELS; level++)
		for (int slot = 0; slot < TIMERS_SLOTS; slot++)
			MUST(list_empty(&timers.slots[level][slot]) == !(timers.used[level] >> slot & 1));
	if (pending == 0)
		MUST(timers_next(&timers) == INT64_MAX);
	/* A tick is as fine as it gets: the deadline, rounded up to one. */
	else if (nearest() < INT64_MAX - TICK)
		MUST(timers_next(&timers) < (nearest() > 0 ? nearest() : 0) + TICK);
}

static void advance(int64_t to)
{
	now = to;
	in_advance = true;
	timers_advance(&timers, now);
	in_advance = false;
	/* All that is left is for later, but for what is less than a tick ago. */
	MUST(nearest() > now - TICK);
	MUST(timers_next(&timers) > now || pending == 0);
}

static void step(void)
{
	struct alarm *alarm = &alarms[random_below(&chance, MODEL)];
	int64_t next;

	switch (random_below(&chance, 9)) {
	case 0:
		alarm_move(alarm, some_deadline());
		break;
	case 1:
	case 2:
	case 3:
		if (!alarm->expected)
			alarm_add(alarm, some_deadline());
		break;
	case 4:
		if (!alarm->expected)
			alarm_add(alarm, some_deadline());
		break;
	case 5:
		alarm_remove(alarm);
		break;
	case 6:
		advance(now + (int64_t)random_below(&chance, 3000));
		break;
	case 7:
		next = (int64_t)(random_next(&chance) >> (4 + random_below(&chance, 59)));
		if (next < INT64_MAX / 2 - now)
			advance(now + next);
		break;
	default:
		next = timers_next(&timers);
		if (next > now && next < INT64_MAX / 2)
			advance(next);
	}
	check();
}

static void model(uint64_t count, int steps, bool nesting)
{
	for (seed = seed_first(); seed_more(seed, count); seed++) {
		chance = random_seeded(seed);
		now = random_chance(&chance, 20) ? 0
		                                 : (int64_t)(random_next(&chance) >> (2 + random_below(&chance, 40)));
		pending = 0;
		nest = nesting;
		timers_init(&timers, now);
		for (int i = 0; i < MODEL; i++) {
			timer_init(&alarms[i].timer, alarm_fire);
			alarms[i].expected = false;
		}
		for (int i = 0; i < steps; i++)
			step();
		for (int i = 0; i < MODEL; i++)
			alarm_remove(&alarms[i]);
		check();
	}
}

TEST_TIMEOUT(at_random_every_timer_fires_once_never_early_never_a_tick_late, 30)
{
	model(harness_slow() ? 100 : 3000, 300, false);
}

TEST_TIMEOUT(also_when_those_that_fire_add_and_remove_others, 30)
{
	model(harness_slow() ? 100 : 3000, 300, true);
}

/* --- one thing at a time --------------------------------------------------------------------- */

static int fired;
static struct timer *fired_last;

static void count(struct timer *timer)
{
	fired++;
	fired_last = timer;
}

static void one(struct timer *timer, int64_t deadline)
{
	timer_init(timer, count);
	timers_add(&timers, timer, deadline);
}

TEST(following_timers_next_reaches_any_deadline_in_a_step_a_level)
{
	for (int bits = 1; bits < 62; bits++) {
		for (int64_t start = 0; start < INT64_C(1) << 50; start = start * 5 + 12345) {
			struct timer timer;
			int64_t deadline = start + (INT64_C(1) << bits) + 77;
			int steps = 0;

			fired = 0;
			timers_init(&timers, start);
			one(&timer, deadline);
			for (; !fired; steps++) {
				int64_t next = timers_next(&timers);

				ck_assert_int_gt(next, start);
				ck_assert_int_lt(next, deadline + TICK);
				timers_advance(&timers, next);
			}
			ck_assert_int_le(steps, TIMERS_LEVELS);
		}
	}
}

TEST(also_among_so_many_that_only_their_slot_is_known)
{
	enum { CROWD = 500 };
	static struct timer crowd[CROWD];
	int64_t base = INT64_C(1) << 45, last = 0;
	int steps = 0;

	timers_init(&timers, 5);
	for (int i = 0; i < CROWD; i++)
		one(&crowd[i], base + i * INT64_C(100000));
	while (fired < CROWD) {
		int64_t next = timers_next(&timers);

		ck_assert_int_gt(next, last);
		ck_assert_int_lt(next, base + fired * INT64_C(100000) + TICK);
		timers_advance(&timers, next);
		last = next;
		steps++;
	}
	ck_assert_int_le(steps, 2 * CROWD + TIMERS_LEVELS);
	ck_assert_int_lt(last, base + CROWD * INT64_C(100000));
}

TEST(an_empty_wheel_has_nothing_to_wait_for)
{
	timers_init(&timers, 123456789);
	ck_assert_int_eq(timers_next(&timers), INT64_MAX);
	timers_advance(&timers, INT64_MAX);
	ck_assert_int_eq(timers_next(&timers), INT64_MAX);
}

TEST(the_end_of_time_does_not_come)
{
	struct timer timer;

	timers_init(&timers, 1000);
	one(&timer, INT64_MAX);
	ck_assert_int_eq(timers_next(&timers), INT64_MAX);
	timers_advance(&timers, INT64_C(1) << 62);
	ck_assert_int_eq(fired, 0);
	timers_remove(&timers, &timer);
	ck_assert_uint_eq(timers.count, 0);
}

TEST(what_is_past_when_it_is_added_fires_at_the_next_advance)
{
	struct timer timer;

	timers_init(&timers, 1000000);
	one(&timer, 10);
	ck_assert_int_eq(timers_next(&timers), 0);
	ck_assert_int_eq(fired, 0);
	timers_advance(&timers, 1000000);
	ck_assert_int_eq(fired, 1);
	one(&timer, INT64_MIN);
	timers_advance(&timers, 1000000);
	ck_assert_int_eq(fired, 2);
}

TEST(removing_twice_is_harmless)
{
	struct timer a, b;

	timers_init(&timers, 0);
	one(&a, 5000000);
	one(&b, 5000000);
	timers_remove(&timers, &a);
	timers_remove(&timers, &a);
	ck_assert_uint_eq(timers.count, 1);
	timers_advance(&timers, 6000000);
	ck_assert_int_eq(fired, 1);
	ck_assert_ptr_eq(fired_last, &b);
	timers_remove(&timers, &b);
	ck_assert_uint_eq(timers.count, 0);
}

TEST(a_clock_that_steps_back_does_no_harm)
{
	struct timer timer;

	timers_init(&timers, 1000000);
	one(&timer, 2000000);
	timers_advance(&timers, 1500000);
	timers_advance(&timers, 1200000);
	ck_assert_int_eq(fired, 0);
	timers_advance(&timers, 2000000 + TICK);
	ck_assert_int_eq(fired, 1);
}

static int64_t last_deadline;
static uint64_t wheel_of_many;

struct many {
	struct timer timer;
	int64_t deadline;
};

static void in_order(struct timer *timer)
{
	struct many *many = container_of(timer, struct many, timer);

	HOLDS(many->deadline > last_deadline - TICK, 1);
	last_deadline = many->deadline;
	wheel_of_many--;
}

TEST_TIMEOUT(a_million_timers_fire_in_order, 30)
{
	size_t total = harness_slow() ? 50000 : 1000000;
	struct many *all = calloc(total, sizeof *all);
	struct random random = random_seeded(1);
	int64_t at = 0;

	timers_init(&timers, 0);
	for (size_t i = 0; i < total; i++) {
		timer_init(&all[i].timer, in_order);
		all[i].deadline = (int64_t)(random_next(&random) % 10000000000);
		timers_add(&timers, &all[i].timer, all[i].deadline);
	}
	wheel_of_many = total;
	for (size_t i = 0; i < total; i += 3) {
		timers_remove(&timers, &all[i].timer);
		wheel_of_many--;
	}
	ck_assert_uint_eq(timers.count, wheel_of_many);
	while (timers.count > 0) {
		at += (int64_t)random_below(&random, 1000000);
		timers_advance(&timers, at);
		HOLDS(timers.count == wheel_of_many, 1);
	}
	ck_assert_int_lt(last_deadline, 10000000000);
	free(all);
}
