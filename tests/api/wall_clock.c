/* wall_clock - sleeping until a time of day, on the real clock. What happens when that is set is in executor/wall_clock. */
#include "api.h"

TEST(now_is_the_time_of_day)
{
	torc_ns before = cpu_clock(CLOCK_REALTIME);
	int64_t now = torc_wall_now();

	ck_assert_int_ge(now, before);
	ck_assert_int_le(now, cpu_clock(CLOCK_REALTIME));
	ck_assert_int_gt(now / TORC_SEC, 1700000000); /* after 2023 */
}

TEST_IN_FIBER(it_is_never_early)
{
	for (int i = 0; i < 10; i++) {
		int64_t due = torc_wall_now() + i * 300 * TORC_US;

		ck_assert_int_eq(torc_wall_sleep_until(due), 0);
		ck_assert_int_ge(torc_wall_now(), due);
	}
	ck_assert_int_eq(stats_now().in_flight, 0);
}

static int until(void *arg)
{
	return torc_wall_sleep_until(*(int64_t *)arg);
}

TEST_IN_FIBER(many_sleep_at_once)
{
	int64_t due[100];

	TORC_SCOPE(scope);
	for (int i = 0; i < 100; i++) {
		due[i] = torc_wall_now() + i % 10 * TORC_MS;
		ck_assert_int_eq(torc_go(scope, until, &due[i]), 0);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < 100; i++)
		ck_assert_int_ge(torc_wall_now(), due[i]);
}

TEST_IN_FIBER(what_has_passed_yields_once)
{
	int64_t past[] = { torc_wall_now(), 1, 0, -1, INT64_MIN };

	for (size_t i = 0; i < LENGTH(past); i++) {
		struct child other = { 0, 0, UNSET };

		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, child_run, &other), 0);
		ck_assert_int_eq(torc_wall_sleep_until(past[i]), 0);
		ck_assert_int_eq(other.got, UNSET); /* it has begun, and yields as well */
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	ck_assert_int_eq(stats_now().submissions, 0);
}

TEST_IN_FIBER(cancelled_before_and_while_it_sleeps)
{
	int64_t far[] = { torc_wall_now() + FOREVER, INT64_MAX };

	for (size_t i = 0; i < LENGTH(far); i++) {
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, until, &far[i]), 0);
		ck_assert_int_eq(torc_sleep(SOON), 0);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_wall_sleep_until(far[i]), -ECANCELED);
		ck_assert_int_eq(torc_wall_sleep_until(0), -ECANCELED);
		ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	}
	ck_assert_int_eq(stats_now().in_flight, 0);
}

TEST_IN_FIBER(a_deadline_is_one_of_the_other_clock)
{
	torc_ns due = torc_in(SOON);

	TORC_SCOPE(scope, .deadline = due);
	ck_assert_int_eq(torc_wall_sleep_until(torc_wall_now() + FOREVER), -ETIME);
	ck_assert_int_ge(torc_now(), due);
}

DEATH(outside_a_fiber_nobody_sleeps, "torc_wall_sleep_until: called outside a fiber")
{
	if (torc_wall_sleep_until(0) == 0)
		abort();
}
