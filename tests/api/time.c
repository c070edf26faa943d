/* time - sleeps and deadlines: never early, not much too late, in order, and cut short by what may cut them short. */
#include "api.h"

/* --- clocks ---------------------------------------------------------------------------------- */

TEST(now_is_clock_monotonic_and_never_goes_back)
{
	torc_ns before = cpu_clock(CLOCK_MONOTONIC), last = torc_now();

	ck_assert_int_ge(last, before);
	for (int i = 0; i < COUNT(100000, 5000); i++) {
		torc_ns now = torc_now();

		ck_assert(now >= last);
		last = now;
	}
	ck_assert_int_ge(cpu_clock(CLOCK_MONOTONIC), last);
}

TEST(in_adds_to_now_and_does_not_overflow)
{
	torc_ns before = torc_now(), in = torc_in(TORC_SEC);

	ck_assert_int_ge(in, before + TORC_SEC);
	ck_assert_int_le(in, torc_now() + TORC_SEC);
	ck_assert_int_eq(torc_in(INT64_MAX), INT64_MAX);
	ck_assert_int_eq(torc_in(INT64_MAX - 1), INT64_MAX);
	ck_assert_int_eq(torc_in(INT64_MAX - torc_now() + TORC_SEC), INT64_MAX);
	ck_assert_int_gt(torc_in(INT64_MAX / 2), INT64_MAX / 2);
}

TEST(in_of_a_span_that_is_not_positive_has_passed_and_is_no_missing_deadline)
{
	torc_ns spans[] = { 0, -1, -TORC_SEC, -FOREVER, -INT64_MAX, INT64_MIN };

	for (size_t i = 0; i < LENGTH(spans); i++) {
		torc_ns in = torc_in(spans[i]);

		ck_assert_int_le(in, torc_now());
		ck_assert_int_ne(in, 0); /* 0 would mean "no deadline" */
	}
}

/* --- sleeping -------------------------------------------------------------------------------- */

/* Sleeps, not too early. Is it in time? */
static bool sleeps_in_time(void *arg)
{
	torc_ns span = *(torc_ns *)arg, due = torc_in(span), woke;

	ck_assert_int_eq(torc_sleep(span), 0);
	woke = torc_now();
	ck_assert_int_ge(woke, due);
	return woke - due < COUNT(2, 20) * TORC_MS;
}

TEST_IN_FIBER(a_sleep_is_never_early_and_not_always_late)
{
	torc_ns spans[] = { 1, TORC_US, 50 * TORC_US, 999999, TORC_MS, 3 * TORC_MS, 20 * TORC_MS };

	for (int round = 0; round < 5; round++)
		for (size_t i = 0; i < LENGTH(spans); i++)
			ck_assert(once_in_many(sleeps_in_time, &spans[i]));
}

static int sleep_for_the_first_time(void *arg)
{
	return sleeps_in_time(arg) ? 0 : 1;
}

static int first_sleep_of_a_process(void *arg)
{
	return torc_run(NULL, sleep_for_the_first_time, arg);
}

static bool first_sleep_is_in_time(void *arg)
{
	struct outcome outcome;

	run_in_process(&outcome, first_sleep_of_a_process, arg);
	ck_assert(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) <= 1);
	return WEXITSTATUS(outcome.status) == 0;
}

TEST(the_first_sleep_of_the_process_is_not_late_either)
{
	ck_assert(once_in_many(first_sleep_is_in_time, &(torc_ns){ 5 * TORC_MS }));
}

static int mark(void *arg)
{
	++*(int *)arg;
	return 0;
}

TEST_IN_FIBER(a_sleep_of_nothing_or_less_yields_once)
{
	torc_ns spans[] = { 0, -1, -TORC_SEC, INT64_MIN };

	for (size_t i = 0; i < LENGTH(spans); i++) {
		int ran = 0;
		torc_ns start = torc_now();
		TORC_SCOPE(scope);

		ck_assert_int_eq(torc_go(scope, mark, &ran), 0);
		ck_assert_int_eq(torc_sleep(spans[i]), 0);
		ck_assert_int_eq(ran, 1);
		ck_assert_int_lt(torc_now() - start, AGES);
	}
}

TEST_IN_FIBER(a_sleep_until_an_instant_that_has_passed_yields_once)
{
	torc_ns instants[] = { 0, 1, -1, INT64_MIN, torc_now() };

	for (size_t i = 0; i < LENGTH(instants); i++) {
		int ran = 0;
		TORC_SCOPE(scope);

		ck_assert_int_eq(torc_go(scope, mark, &ran), 0);
		ck_assert_int_eq(torc_sleep_until(instants[i]), 0);
		ck_assert_int_eq(ran, 1);
	}
}

TEST_IN_FIBER(a_huge_sleep_parks_until_it_is_cancelled)
{
	torc_ns spans[] = { INT64_MAX, INT64_MAX - 1, INT64_MAX / 2, FOREVER };
	struct child sleepers[LENGTH(spans)];
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);

	for (size_t i = 0; i < LENGTH(spans); i++) {
		sleepers[i] = (struct child){ .span = spans[i], .got = UNSET };
		ck_assert_int_eq(torc_go(scope, child_run, &sleepers[i]), 0);
	}
	ck_assert_int_eq(torc_sleep(20 * TORC_MS), 0);
	ck_assert_uint_eq(torc_scope_live(scope), LENGTH(spans));
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	for (size_t i = 0; i < LENGTH(spans); i++)
		ck_assert_int_eq(sleepers[i].got, -ECANCELED);
}

TEST_IN_FIBER(a_huge_sleep_alone_neither_returns_nor_spins)
{
	struct torc_stats before = stats_now(), now;
	torc_ns cpu = cpu_now();
	TORC_SCOPE(scope, .deadline = torc_in(100 * TORC_MS));

	ck_assert_int_eq(torc_sleep_until(INT64_MAX), -ETIME);
	now = stats_now();
	ck_assert_uint_le(now.enters - before.enters, 10);
	ck_assert_int_lt(cpu_now() - cpu, COUNT(20, 500) * TORC_MS);
}

/* --- many ------------------------------------------------------------------------------------ */

struct sleeper {
	torc_ns due;
	struct sleeper **log;
	int *woken;
};

static int sleep_and_log(void *arg)
{
	struct sleeper *sleeper = arg;
	int r = torc_sleep_until(sleeper->due);

	if (torc_now() < sleeper->due)
		return -EPROTO;
	sleeper->log[(*sleeper->woken)++] = sleeper;
	return r;
}

TEST_IN_FIBER_TIMEOUT(ten_thousand_due_at_one_instant_all_wake, 30)
{
	int count = COUNT(10000, 1000), woken = 0;
	struct sleeper *sleepers = calloc((size_t)count, sizeof *sleepers);
	struct sleeper **log = calloc((size_t)count, sizeof *log);
	torc_ns due = torc_in(COUNT(100, 1000) * TORC_MS);
	TORC_SCOPE(scope);

	for (int i = 0; i < count; i++) {
		sleepers[i] = (struct sleeper){ due, log, &woken };
		ck_assert_int_eq(torc_go(scope, sleep_and_log, &sleepers[i]), 0);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(woken, count);
	ck_assert_uint_eq(stats_now().timers, 0);
	free(sleepers);
	free(log);
}

TEST_IN_FIBER_TIMEOUT(a_hundred_thousand_sleepers_wake_in_the_order_of_their_instants, 60)
{
	/* Without guard_install there are mappings for some 30,000 stacks. */
	int count = feature_is_on("guard_install") ? COUNT(100000, 1000) : 1000, woken = 0;
	struct sleeper *sleepers = calloc((size_t)count, sizeof *sleepers);
	struct sleeper **log = calloc((size_t)count, sizeof *log);
	torc_ns base = torc_in(COUNT(1500, 3000) * TORC_MS);
	unsigned seed = 1;
	TORC_SCOPE(scope);

	for (int i = 0; i < count; i++) {
		torc_ns offset = (torc_ns)rand_r(&seed) % (200 * TORC_MS);

		sleepers[i] = (struct sleeper){ base + offset, log, &woken };
		ck_assert_int_eq(torc_go(scope, sleep_and_log, &sleepers[i]), 0);
	}
	torc_yield();
	if (torc_now() > base)
		SKIP("this machine is too slow to park them all in time");
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(woken, count);
	for (int i = 1; i < count; i++)
		ck_assert_msg(log[i]->due >= log[i - 1]->due - 1100,
		              "sleeper %d woke after one that was due %lld ns later", i,
		              (long long)(log[i - 1]->due - log[i]->due));
	free(sleepers);
	free(log);
}

/* --- deadlines ------------------------------------------------------------------------------- */

TEST_IN_FIBER(a_deadline_cuts_a_sleep_short_and_never_early)
{
	for (int i = 0; i < 20; i++) {
		torc_ns due = torc_in(i * 200 * TORC_US), woke;
		TORC_SCOPE(scope, .deadline = due);

		ck_assert_int_eq(torc_sleep(FOREVER), -ETIME);
		woke = torc_now();
		ck_assert_int_ge(woke, due);
		ck_assert_int_lt(woke - due, AGES);
	}
}

TEST_IN_FIBER(a_sleep_that_ends_before_the_deadline_is_not_cut_short)
{
	TORC_SCOPE(scope, .deadline = torc_in(FOREVER));

	ck_assert_int_eq(torc_sleep(2 * TORC_MS), 0);
	ck_assert_int_eq(torc_scope_status(scope), 0);
}

static void assert_nearest(torc_ns outer_span, torc_ns inner_span)
{
	torc_ns start = torc_now(), nearest = outer_span < inner_span ? outer_span : inner_span;
	TORC_SCOPE(outer, .deadline = start + outer_span);
	TORC_SCOPE(inner, .deadline = start + inner_span);

	ck_assert_int_eq(torc_sleep(FOREVER), -ETIME);
	ck_assert_int_ge(torc_now(), start + nearest);
	ck_assert_int_lt(torc_now(), start + nearest + AGES);
	ck_assert_int_eq(torc_scope_status(inner), -ETIME);
	ck_assert_int_eq(torc_scope_status(outer), outer_span == nearest ? -ETIME : 0);
}

TEST_IN_FIBER(of_nested_deadlines_the_nearest_wins)
{
	assert_nearest(5 * TORC_MS, FOREVER);
	assert_nearest(FOREVER, 5 * TORC_MS);
	assert_nearest(5 * TORC_MS, 5 * TORC_MS);
}

TEST_IN_FIBER(when_the_inner_deadline_has_passed_the_outer_scope_lives_on)
{
	TORC_SCOPE(outer, .deadline = torc_in(FOREVER));
	{
		TORC_SCOPE(inner, .deadline = torc_in(TORC_MS));

		ck_assert_int_eq(torc_sleep(FOREVER), -ETIME);
	}
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_int_eq(torc_scope_join(outer), 0);
}

TEST_IN_FIBER(in_a_scope_whose_deadline_has_passed_no_call_parks)
{
	struct torc_stream a, b;
	struct torc_listener listener;
	char text[TORC_ADDR_TEXT], byte;
	torc_ns start;

	stream_pair(&a, &b);
	listen_here(&listener, text, NULL);
	start = torc_now();
	{
		TORC_SCOPE(scope, .deadline = torc_in(-1));
		struct torc_stream peer = { .async = { 0 } };

		ck_assert_int_eq(torc_sleep(FOREVER), -ETIME);
		ck_assert_int_eq(torc_sleep_until(INT64_MAX), -ETIME);
		ck_assert_int_eq(torc_stream_read(&a, &byte, 1), -ETIME);
		ck_assert_int_eq(torc_stream_read_exact(&a, &byte, 1), -ETIME);
		ck_assert_int_eq(torc_stream_peek(&a, &byte, 1), -ETIME);
		ck_assert_int_eq(torc_listener_accept(&listener, &peer), -ETIME);
		ck_assert_int_eq(torc_async_readable(&a.async), -ETIME);
		ck_assert_int_eq(torc_tcp_connect(&peer, text), -ETIME);
		ck_assert_int_eq(torc_async_fd(&peer.async), -EBADF);
	}
	ck_assert_int_lt(torc_now() - start, AGES);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

TEST_IN_FIBER(a_deadline_that_passes_while_computing_is_seen_by_the_next_call)
{
	TORC_SCOPE(scope, .deadline = torc_in(2 * TORC_MS));
	torc_ns start = torc_now();

	busy_until(torc_in(4 * TORC_MS));
	ck_assert_int_eq(torc_sleep(FOREVER), -ETIME);
	ck_assert_int_lt(torc_now() - start, AGES);
}

TEST_IN_FIBER(ten_thousand_deadlines_due_at_once_are_all_delivered)
{
	int count = COUNT(10000, 1000);
	struct child *sleepers = calloc((size_t)count, sizeof *sleepers);
	TORC_SCOPE(scope, .until = TORC_ALL_DONE, .deadline = torc_in(100 * TORC_MS));

	for (int i = 0; i < count; i++) {
		sleepers[i] = (struct child){ .span = FOREVER, .got = UNSET };
		if (torc_go(scope, child_run, &sleepers[i]) == -ETIME)
			count = i;
	}
	ck_assert_int_gt(count, 0);
	ck_assert_int_eq(torc_scope_join(scope), -ETIME);
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(sleepers[i].got, -ETIME);
	ck_assert_uint_eq(stats_now().timers, 0);
	free(sleepers);
}

struct own_deadline {
	torc_ns due;
	int got;
	torc_ns late;
};

static int sleep_in_a_scope_of_its_own(void *arg)
{
	struct own_deadline *own = arg;
	TORC_SCOPE(scope, .deadline = own->due);

	own->got = torc_sleep(FOREVER);
	own->late = torc_now() - own->due;
	return 0;
}

TEST_IN_FIBER(thousands_of_scopes_each_with_a_deadline_of_its_own)
{
	int count = COUNT(10000, 1000);
	struct own_deadline *owns = calloc((size_t)count, sizeof *owns);
	unsigned seed = 7;
	TORC_SCOPE(scope);

	for (int i = 0; i < count; i++) {
		owns[i].due = torc_in(rand_r(&seed) % (200 * TORC_MS));
		ck_assert_int_eq(torc_go(scope, sleep_in_a_scope_of_its_own, &owns[i]), 0);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < count; i++) {
		ck_assert_int_eq(owns[i].got, -ETIME);
		ck_assert_int_ge(owns[i].late, 0);
		ck_assert_int_lt(owns[i].late, AGES);
	}
	free(owns);
}

/* --- cancel and deadline --------------------------------------------------------------------- */

TEST_IN_FIBER(a_cancel_ends_a_sleep_at_once)
{
	struct child child = { .span = FOREVER, .got = UNSET };
	torc_ns start;
	TORC_SCOPE(scope);

	ck_assert_int_eq(torc_go(scope, child_run, &child), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	start = torc_now();
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	ck_assert_int_lt(torc_now() - start, AGES);
	ck_assert_int_eq(child.got, -ECANCELED);
}

TEST_IN_FIBER(a_cancel_outranks_a_deadline_that_passes_later)
{
	TORC_SCOPE(scope, .deadline = torc_in(2 * TORC_MS));

	torc_scope_cancel(scope);
	busy_until(torc_in(4 * TORC_MS));
	torc_yield();
	ck_assert_int_eq(torc_scope_status(scope), -ECANCELED);
	ck_assert_int_eq(torc_sleep(FOREVER), -ECANCELED);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

TEST_IN_FIBER(a_cancel_outranks_a_deadline_of_the_same_moment)
{
	struct child child = { .span = FOREVER, .got = UNSET };
	TORC_SCOPE(scope, .deadline = torc_in(SOON));

	ck_assert_int_eq(torc_go(scope, child_run, &child), 0);
	torc_yield();
	busy_until(torc_in(2 * SOON)); /* both are due before anybody runs again */
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_status(scope), -ECANCELED);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	ck_assert_int_eq(child.got, -ECANCELED);
}

TEST_IN_FIBER(an_outer_cancel_outranks_an_inner_deadline)
{
	TORC_SCOPE(outer);
	TORC_SCOPE(inner, .deadline = torc_in(FOREVER));

	torc_scope_cancel(outer);
	ck_assert_int_eq(torc_scope_status(inner), -ECANCELED);
	ck_assert_int_eq(torc_sleep(FOREVER), -ECANCELED);
}
