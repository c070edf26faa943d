/* wall_clock.c - a time of day that is set while fibers wait for it: on a simulated machine and simulated clocks, both by
 * a kernel that has timers of that clock and by one that has none. */
#define FAKE_CLOCK
#include "base/random.h"
#include "executor/on_fake.h"
#include "harness.h"
#include "machine/feature.h"

#include <torc/wall_clock.h>

#include <limits.h>

static const int64_t hour = 3600 * TORC_SEC, noon = 1700000000 * TORC_SEC;

/* When the clock is to be set, on the other one, and by how much. */
static struct {
	int64_t at, by;
} sets[4];
static unsigned set_count, seen;

static int64_t wall_of(const struct io_uring_sqe *sqe)
{
	const struct __kernel_timespec *until = (const void *)(uintptr_t)sqe->addr;

	HOLDS(sqe->timeout_flags == (IORING_TIMEOUT_ABS | IORING_TIMEOUT_REALTIME), 0);
	HOLDS(sqe->len == 1 && sqe->off == 0, 0);
	HOLDS(until->tv_nsec >= 0 && until->tv_nsec < TORC_SEC, 0);
	return until->tv_sec * TORC_SEC + until->tv_nsec;
}

/* Answer those whose time has come. */
static bool expire(struct fake_uring *machine)
{
	bool any = false;

	for (int i = (int)machine->held_count - 1; i >= 0; i--) {
		if (machine->held[i].opcode != IORING_OP_TIMEOUT || wall_of(&machine->held[i]) > clock_wall())
			continue;
		fake_answer(machine, (unsigned)i, -ETIME, 0);
		seen++;
		any = true;
	}
	return any;
}

/* What a kernel does while nothing runs: time passes until something is due, or the clock is set. */
static void pass_time(struct fake_uring *machine)
{
	int64_t next = machine->deadline;

	if (expire(machine))
		return;
	for (unsigned i = 0; i < machine->held_count; i++)
		if (machine->held[i].opcode == IORING_OP_TIMEOUT) {
			int64_t left = wall_of(&machine->held[i]) - clock_wall();

			if (left < next - fake_now)
				next = fake_now + left;
		}
	if (set_count > 0 && sets[0].at <= next) {
		fake_now = sets[0].at > fake_now ? sets[0].at : fake_now;
		fake_wall += sets[0].by;
		memmove(&sets[0], &sets[1], sizeof sets - sizeof sets[0]);
		set_count--;
	} else {
		HOLDS(next < INT64_MAX, 0); /* something will happen */
		fake_now = next;
	}
	expire(machine);
}

/* With the feature or without. */
static void begin(bool on)
{
	fake_init(&fake);
	fake.obeys = true;
	fake.world = pass_time;
	fake_wall = noon - fake_now;
	set_count = seen = 0;
	unsetenv("TORC_DISABLE");
	feature_found(FEATURE_TIMEOUT_REALTIME, on, "the test says so");
}

static void set_clock(int64_t in, int64_t by)
{
	sets[set_count].at = fake_now + in;
	sets[set_count++].by = by;
}

static int until(void *arg)
{
	return torc_wall_sleep_until(*(int64_t *)arg);
}

/* How long it took, on the clock that nobody sets. */
static int64_t sleep_through(int64_t instant)
{
	int64_t began = fake_now;

	ck_assert_int_eq(fake_run(until, &instant), 0);
	ck_assert_int_ge(clock_wall(), instant);
	return fake_now - began;
}

TEST(a_clock_that_nobody_sets)
{
	for (int on = 0; on < 2; on++) {
		int64_t took;

		begin(on);
		took = sleep_through(noon + hour);
		ck_assert_int_ge(took, hour);
		ck_assert_int_le(took, hour + TORC_MS);
		ck_assert_uint_eq(seen, on);
	}
}

TEST(set_forward_it_returns_at_once)
{
	for (int on = 0; on < 2; on++) {
		int64_t took;

		begin(on);
		set_clock(hour / 4, 2 * hour);
		took = sleep_through(noon + hour);
		ck_assert_int_ge(took, hour / 4);
		ck_assert_int_le(took, hour / 4 + (on ? 0 : TORC_SEC + TORC_MS));
	}
}

TEST(set_back_it_waits_for_longer)
{
	for (int on = 0; on < 2; on++) {
		int64_t took;

		begin(on);
		set_clock(hour / 4, -2 * hour);
		took = sleep_through(noon + hour);
		ck_assert_int_ge(took, 3 * hour);
		ck_assert_int_le(took, 3 * hour + TORC_MS);
	}
}

TEST(set_several_times)
{
	for (int on = 0; on < 2; on++) {
		int64_t took;

		begin(on);
		set_clock(hour / 4, hour / 4);
		set_clock(hour / 2, -hour);
		set_clock(3 * hour / 4, hour / 8);
		took = sleep_through(noon + hour);
		ck_assert_int_ge(took, hour + 5 * hour / 8);
		ck_assert_int_le(took, hour + 5 * hour / 8 + TORC_MS);
	}
}

/* The kernel's timer fires, and before the fiber has run the clock is set back: it has to ask once more. */
static void set_back_after_the_answer(struct fake_uring *machine)
{
	pass_time(machine);
	if (seen == 1) {
		fake_wall -= hour;
		machine->world = pass_time;
	}
}

TEST(set_back_when_it_had_just_got_there)
{
	int64_t took;

	begin(true);
	fake.world = set_back_after_the_answer;
	took = sleep_through(noon + hour);
	ck_assert_int_ge(took, 2 * hour);
	ck_assert_uint_eq(seen, 2);
}

static int under_a_deadline(void *arg)
{
	TORC_SCOPE(scope, .deadline = torc_in(hour / 2));
	return until(arg);
}

TEST(deadlines_are_of_the_other_clock)
{
	for (int on = 0; on < 2; on++) {
		int64_t instant = noon + hour, began = fake_now;

		begin(on);
		set_clock(hour / 4, -hour); /* does not touch the deadline */
		ck_assert_int_eq(fake_run(under_a_deadline, &instant), -ETIME);
		ck_assert_int_ge(fake_now, began + hour / 2);
		ck_assert_int_le(fake_now, began + hour / 2 + TORC_MS);
		ck_assert_uint_eq(fake.cancels_taken, on);
	}
}

static void refuse(struct fake_uring *machine)
{
	fake_answer(machine, 0, -ENOMEM, 0);
}

TEST(what_else_the_kernel_says_is_told)
{
	int64_t instant = noon + hour;

	begin(true);
	fake.world = refuse;
	ck_assert_int_eq(fake_run(until, &instant), -ENOMEM);
}

TEST(the_farthest_instant_is_asked_for_as_it_is)
{
	int64_t instant = INT64_MAX;

	for (int on = 0; on < 2; on++) {
		begin(on);
		ck_assert_int_eq(fake_run(under_a_deadline, &instant), -ETIME);
	}
}
