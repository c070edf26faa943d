/* interval - ticks on a grid: never early, no drift, what was missed is counted, nothing is lost by a cancellation. */
#include "api.h"

static const torc_ns period = 2 * TORC_MS;

TEST(a_period_must_be_positive)
{
	struct torc_interval interval = { .next = 5, .period = 7 };

	ck_assert_int_eq(torc_interval_start(&interval, 0), -EINVAL);
	ck_assert_int_eq(torc_interval_start(&interval, -1), -EINVAL);
	ck_assert_int_eq(torc_interval_start(&interval, INT64_MIN), -EINVAL);
	ck_assert_int_eq(interval.next, 5); /* untouched */
	ck_assert_int_eq(interval.period, 7);
}

TEST(the_first_tick_is_a_period_from_now)
{
	struct torc_interval interval;
	torc_ns before = torc_now();

	ck_assert_int_eq(torc_interval_start(&interval, period), 0);
	ck_assert_int_ge(interval.next, before + period);
	ck_assert_int_le(interval.next, torc_now() + period);
	ck_assert_int_eq(interval.period, period);
}

TEST_IN_FIBER(ticks_lie_on_a_grid_and_are_all_counted)
{
	struct torc_interval interval;
	torc_ns first;
	int64_t sum = 0;

	ck_assert_int_eq(torc_interval_start(&interval, period), 0);
	first = interval.next;
	for (int i = 0; i < 20; i++) {
		torc_ns due = interval.next;
		int64_t ticks = torc_interval_next(&interval);

		ck_assert_int_ge(ticks, 1);
		ck_assert_int_ge(torc_now(), due + (ticks - 1) * period); /* none is early */
		sum += ticks;
		ck_assert_int_eq(interval.next, first + sum * period);
		ck_assert_int_gt(interval.next, due);
		if (i % 3 == 0)
			busy_until(torc_in(period / 2)); /* work of any length shifts nothing */
	}
}

TEST_IN_FIBER(missed_ticks_are_told_and_not_made_up_for)
{
	struct torc_interval interval;
	torc_ns due;
	int64_t ticks;

	ck_assert_int_eq(torc_interval_start(&interval, period), 0);
	due = interval.next;
	busy_until(due + 5 * period);
	ticks = torc_interval_next(&interval);
	ck_assert_int_ge(ticks, 6);
	ck_assert_int_ge(torc_now(), due + (ticks - 1) * period);
	ck_assert_int_eq(interval.next, due + ticks * period);
}

static int count_turns(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		++*(int *)arg;
		torc_yield();
	}
	return 0;
}

TEST_IN_FIBER(one_that_is_late_yields_all_the_same)
{
	struct torc_interval interval;
	int turns = 0;

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, count_turns, &turns), 0);
	ck_assert_int_eq(torc_interval_start(&interval, 1), 0);
	for (int i = 1; i <= 100; i++) {
		ck_assert_int_ge(torc_interval_next(&interval), 1); /* every nanosecond: always late */
		ck_assert_int_ge(turns, i);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

TEST_IN_FIBER(a_huge_period_never_ticks)
{
	struct torc_interval interval;

	ck_assert_int_eq(torc_interval_start(&interval, INT64_MAX), 0);
	ck_assert_int_eq(interval.next, INT64_MAX);
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_interval_next(&interval), -ETIME);
	}
	ck_assert_int_eq(interval.next, INT64_MAX);
}

TEST_IN_FIBER(the_tick_after_a_huge_one_does_not_overflow)
{
	struct torc_interval interval = { .next = torc_now(), .period = INT64_MAX };

	ck_assert_int_eq(torc_interval_next(&interval), 1);
	ck_assert_int_eq(interval.next, INT64_MAX);
	interval = (struct torc_interval){ .next = torc_now(), .period = INT64_MAX - torc_now() - TORC_SEC };
	ck_assert_int_eq(torc_interval_next(&interval), 1);
	ck_assert_int_gt(interval.next, INT64_MAX / 2);
}

TEST_IN_FIBER(a_first_tick_in_the_past_is_counted_by_the_grid)
{
	torc_ns now = torc_now();
	struct torc_interval interval = { .next = now - 10 * TORC_SEC, .period = TORC_SEC };

	ck_assert_int_ge(torc_interval_next(&interval), 11);
	ck_assert_int_eq((interval.next - now) % TORC_SEC, 0);
	interval = (struct torc_interval){ .next = 0, .period = 1 };
	ck_assert_int_gt(torc_interval_next(&interval), now);
}

TEST_IN_FIBER(fields_out_of_range_are_refused)
{
	struct torc_interval interval = { 0 };

	ck_assert_int_eq(torc_interval_next(&interval), -EINVAL);
	interval = (struct torc_interval){ .next = 5, .period = -1 };
	ck_assert_int_eq(torc_interval_next(&interval), -EINVAL);
	interval = (struct torc_interval){ .next = -1, .period = 1 };
	ck_assert_int_eq(torc_interval_next(&interval), -EINVAL);
}

TEST_IN_FIBER(a_cancellation_loses_no_tick)
{
	struct torc_interval interval;
	torc_ns next;

	ck_assert_int_eq(torc_interval_start(&interval, period), 0);
	next = interval.next;
	{
		TORC_SCOPE(scope, .deadline = torc_in(-1));
		ck_assert_int_eq(torc_interval_next(&interval), -ETIME);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_interval_next(&interval), -ECANCELED);
	}
	ck_assert_int_eq(interval.next, next);
	ck_assert_int_ge(torc_interval_next(&interval), 1);
}

TEST_IN_FIBER(a_changed_period_holds_from_the_next_tick)
{
	struct torc_interval interval;
	torc_ns next;
	int64_t ticks;

	ck_assert_int_eq(torc_interval_start(&interval, period), 0);
	interval.period = 3 * period;
	next = interval.next;
	ticks = torc_interval_next(&interval);
	ck_assert_int_ge(ticks, 1);
	ck_assert_int_eq(interval.next, next + ticks * 3 * period);
}

DEATH(outside_a_fiber_there_are_no_ticks, "torc_interval_next: called outside a fiber")
{
	struct torc_interval interval = { .period = 1 };

	if (torc_interval_next(&interval) > 0)
		abort();
}
