/* timer - instants that move while fibers wait for them: torc_timer, and deadlines of scopes. */
#include "api.h"

/* --- torc_timer ------------------------------------------------------------------------------ */

struct waiting {
	struct torc_timer *timer;
	int got;
	torc_ns woke;
	int *order;
	int place;
};

static int wait_for_it(void *arg)
{
	struct waiting *waiting = arg;

	waiting->got = UNSET;
	waiting->got = torc_timer_wait(waiting->timer);
	waiting->woke = torc_now();
	if (waiting->got == 0) { /* whatever it was moved to meanwhile */
		ck_assert_int_ne(torc_timer_instant(waiting->timer), 0);
		ck_assert_int_ge(waiting->woke, torc_timer_instant(waiting->timer));
	}
	if (waiting->order)
		waiting->place = ++*waiting->order;
	return waiting->got;
}

TEST_IN_FIBER(a_timer_that_has_come_yields_and_stays_so)
{
	struct torc_timer timer = { 0 };
	struct child other = { 0, 0, UNSET };

	ck_assert_int_eq(torc_timer_instant(&timer), 0);
	torc_timer_set(&timer, 1);
	ck_assert_int_eq(torc_timer_instant(&timer), 1);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, child_run, &other), 0);
	ck_assert_int_eq(torc_timer_wait(&timer), 0);
	ck_assert_int_eq(torc_timer_wait(&timer), 0);
	ck_assert_int_eq(other.got, 0); /* it ran meanwhile */
	torc_timer_set(&timer, INT64_MIN);
	ck_assert_int_eq(torc_timer_wait(&timer), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

TEST_IN_FIBER(a_timer_is_never_early)
{
	struct torc_timer timer = { 0 };

	for (int i = 0; i < 10; i++) {
		torc_ns due = torc_in(i * 300 * TORC_US);

		torc_timer_set(&timer, due);
		ck_assert_int_eq(torc_timer_wait(&timer), 0);
		ck_assert_int_ge(torc_now(), due);
	}
}

TEST_IN_FIBER(all_who_wait_go_on_in_order)
{
	enum { COUNT_OF_THEM = 50 };
	struct torc_timer timer = { 0 };
	struct waiting waiting[COUNT_OF_THEM];
	torc_ns due;
	int order = 0;

	TORC_SCOPE(scope);
	for (int i = 0; i < COUNT_OF_THEM; i++) {
		waiting[i] = (struct waiting){ .timer = &timer, .order = &order };
		ck_assert_int_eq(torc_go(scope, wait_for_it, &waiting[i]), 0);
	}
	torc_yield();
	ck_assert_int_eq(order, 0); /* not set: nobody goes on */
	due = torc_in(SOON);
	torc_timer_set(&timer, due);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < COUNT_OF_THEM; i++) {
		ck_assert_int_eq(waiting[i].got, 0);
		ck_assert_int_ge(waiting[i].woke, due);
		ck_assert_int_eq(waiting[i].place, i + 1);
	}
}

TEST_IN_FIBER(moved_away_it_comes_later)
{
	struct torc_timer timer = { 0 };
	struct waiting waiting = { .timer = &timer };
	torc_ns due = torc_in(SOON);

	torc_timer_set(&timer, due);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, wait_for_it, &waiting), 0);
	for (int i = 0; i < 20; i++) { /* beyond the first instant, in steps */
		ck_assert_int_eq(torc_sleep(SOON / 4), 0);
		if (waiting.got != UNSET)
			break; /* we came too late to move it */
		due = torc_in(SOON);
		torc_timer_set(&timer, due);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_ge(waiting.woke, due);
}

TEST_IN_FIBER(moved_nearer_it_comes_sooner)
{
	struct torc_timer timer = { 0 };
	struct waiting waiting = { .timer = &timer };
	torc_ns due = torc_in(FOREVER);

	torc_timer_set(&timer, due);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, wait_for_it, &waiting), 0);
	torc_yield();
	torc_timer_set(&timer, torc_in(SOON));
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(waiting.got, 0);
	ck_assert_int_lt(waiting.woke, due);
}

TEST_IN_FIBER(unset_nobody_goes_on_and_set_again_they_do)
{
	struct torc_timer timer = { 0 };
	struct waiting waiting = { .timer = &timer };

	torc_timer_set(&timer, torc_in(SOON));
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, wait_for_it, &waiting), 0);
	torc_yield();
	torc_timer_set(&timer, 0);
	ck_assert_int_eq(torc_sleep(2 * SOON), 0);
	ck_assert_int_eq(waiting.got, UNSET);
	torc_timer_set(&timer, torc_now());
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(waiting.got, 0);
}

static int move_away_when_it_comes(void *arg)
{
	struct torc_timer *timer = arg;
	int r = torc_timer_wait(timer);

	if (r == 0)
		torc_timer_set(timer, torc_in(SOON));
	return r;
}

/* Both are woken by the first instant, and the first moves it before the second has run. */
TEST_IN_FIBER(moved_away_after_the_wake_up_is_in_time)
{
	struct torc_timer timer = { 0 };
	struct waiting waiting = { .timer = &timer };

	torc_timer_set(&timer, torc_in(SOON));
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, move_away_when_it_comes, &timer), 0);
	ck_assert_int_eq(torc_go(scope, wait_for_it, &waiting), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(waiting.got, 0);
	ck_assert_int_ge(waiting.woke, torc_timer_instant(&timer));
}

TEST_IN_FIBER(cancelled_before_and_while_waiting)
{
	struct torc_timer timer = { 0 };
	struct waiting waiting[3] = { { .timer = &timer }, { .timer = &timer }, { .timer = &timer } };

	for (int set = 0; set < 2; set++) { /* with a timer in the wheel, and without */
		TORC_SCOPE(scope, .until = TORC_ALL_DONE);
		torc_timer_set(&timer, set ? torc_in(FOREVER) : 0);
		for (int i = 0; i < 3; i++)
			ck_assert_int_eq(torc_go(scope, wait_for_it, &waiting[i]), 0);
		torc_yield();
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_timer_wait(&timer), -ECANCELED);
		torc_timer_set(&timer, 1);
		ck_assert_int_eq(torc_timer_wait(&timer), -ECANCELED); /* has come, but no call goes on */
		ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
		for (int i = 0; i < 3; i++)
			ck_assert_int_eq(waiting[i].got, -ECANCELED);
	}
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		torc_timer_set(&timer, 0);
		ck_assert_int_eq(torc_timer_wait(&timer), -ETIME);
	}
	ck_assert_int_eq(stats_now().timers, 0); /* none is left in the wheel */
}

/* Of three the first, middle or last one is cancelled; the others go on. */
TEST_IN_FIBER(one_that_is_cancelled_leaves_the_others)
{
	for (int which = 0; which < 3; which++) {
		struct torc_timer timer = { 0 };
		struct waiting waiting[3] = { { .timer = &timer }, { .timer = &timer }, { .timer = &timer } };
		struct torc_scope scopes[3], *handles[3];

		for (int i = 0; i < 3; i++) {
			handles[i] = torc_scope_open(&scopes[i], NULL);
			ck_assert_int_eq(torc_go(handles[i], wait_for_it, &waiting[i]), 0);
		}
		torc_yield();
		torc_scope_cancel(handles[which]); /* and those inside: opened later */
		torc_timer_set(&timer, torc_now());
		for (int i = 2; i >= 0; i--) {
			int r = torc_scope_join(handles[i]);

			ck_assert_int_eq(r, i >= which ? -ECANCELED : 0);
			ck_assert_int_eq(waiting[i].got, r);
			torc_scope_leave(&handles[i]);
		}
	}
}

DEATH_IN_FIBER(a_timer_that_nobody_sets_is_a_deadlock, "deadlock")
{
	struct torc_timer timer = { 0 };

	if (torc_timer_wait(&timer) == 0)
		abort();
}

DEATH(outside_a_fiber_nothing_is_set, "torc_timer_set: called outside a fiber")
{
	torc_timer_set(&(struct torc_timer){ 0 }, 1);
}

static int set_from_there(void *arg)
{
	int r = torc_sleep(SOON);

	torc_timer_set(arg, 1);
	return r;
}

static int wait_on_core_0(void *arg)
{
	struct torc_timer *timer = arg;

	if (torc_core() == 0)
		return torc_timer_wait(timer);
	return set_from_there(timer);
}

DEATH(another_core_may_not_set_it, "torc_timer_set: fibers of another core wait for the timer")
{
	struct torc_timer timer = { 0 };

	if (torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), wait_on_core_0, &timer) == 0)
		abort();
}

static int wait_on_both(void *arg)
{
	if (torc_core() == 1 && torc_sleep(SOON) < 0) /* not both at once: neither would see the other */
		abort();
	return torc_timer_wait(arg);
}

DEATH(another_core_may_not_wait_for_it, "torc_timer_wait: fibers of another core wait for the timer")
{
	struct torc_timer timer = { 0 };

	if (torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), wait_on_both, &timer) == 0)
		abort();
}

static int choose_it(void *arg)
{
	struct torc_case timer = torc_case_timer(arg);

	if (torc_core() == 1 && torc_sleep(SOON) < 0)
		abort();
	return torc_choose(&timer, 1);
}

DEATH(another_core_may_not_choose_it, "torc_choose: fibers of another core wait for the timer")
{
	struct torc_timer timer = { 0 };

	if (torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), choose_it, &timer) == 0)
		abort();
}

/* Fibers that wait, are cancelled, and a timer that is moved at random: none is early, all are answered. */
TEST_IN_FIBER_TIMEOUT(random_moves, 60)
{
	enum { WAITERS = 8 };

	for (unsigned seed = 1; seed <= (unsigned)COUNT(200, 20); seed++) {
		struct torc_timer timer = { 0 };
		struct waiting waiting[WAITERS];
		unsigned random = seed;

		TORC_SCOPE(scope, .until = TORC_ALL_DONE);
		for (int i = 0; i < WAITERS; i++) {
			waiting[i] = (struct waiting){ .timer = &timer };
			ck_assert_int_eq(torc_go(scope, wait_for_it, &waiting[i]), 0);
			if (rand_r(&random) % 2)
				torc_yield();
			if (rand_r(&random) % 2)
				torc_timer_set(&timer,
				               rand_r(&random) % 4 ? torc_in(rand_r(&random) % (int)TORC_MS) : 0);
			if (rand_r(&random) % 4 == 0)
				ck_assert_int_eq(torc_sleep(rand_r(&random) % (int)(200 * TORC_US)), 0);
		}
		if (rand_r(&random) % 4 == 0)
			torc_scope_cancel(scope);
		else
			torc_timer_set(&timer, torc_in(rand_r(&random) % (int)TORC_MS));
		(void)!torc_scope_join(scope);
		for (int i = 0; i < WAITERS; i++)
			ck_assert_msg(waiting[i].got == 0 || waiting[i].got == -ECANCELED, "seed %u: %d", seed,
			              waiting[i].got);
		ck_assert_int_eq(stats_now().timers, 0);
	}
}

/* --- among the cases of torc_choose ----------------------------------------------------------- */

TEST_IN_FIBER(a_timer_is_a_case)
{
	struct torc_timer timers[3] = { { { 0 } } };
	struct torc_case cases[] = { torc_case_timer(&timers[0]), torc_case_timer(&timers[1]),
		                     torc_case_timer(&timers[2]) };

	torc_timer_set(&timers[1], 1);
	ck_assert_int_eq(torc_choose(cases, 3), 1); /* has come already */
	ck_assert_int_eq(cases[1].result, 0);
	torc_timer_set(&timers[1], torc_in(FOREVER));
	torc_timer_set(&timers[2], torc_in(SOON));
	ck_assert_int_eq(torc_choose(cases, 3), 2);
	ck_assert_int_ge(torc_now(), torc_timer_instant(&timers[2]));
	ck_assert_int_eq(stats_now().timers, 0);
	torc_timer_set(&timers[2], 0); /* nobody is in its queue any more */
}

struct choosing {
	struct torc_timer *timers;
	int got;
};

static int choose_timer(void *arg)
{
	struct choosing *choosing = arg;
	struct torc_case cases[] = { torc_case_timer(&choosing->timers[0]), torc_case_timer(&choosing->timers[1]) };

	choosing->got = UNSET;
	return choosing->got = torc_choose(cases, 2);
}

TEST_IN_FIBER(a_case_that_is_moved_comes_when_it_is_moved_to)
{
	struct torc_timer timers[2] = { { { 0 } } };
	struct choosing choosing = { timers, UNSET };
	struct waiting waiting = { .timer = &timers[1] };
	torc_ns due = torc_in(FOREVER);

	torc_timer_set(&timers[1], due);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, choose_timer, &choosing), 0);
	ck_assert_int_eq(torc_go(scope, wait_for_it, &waiting), 0); /* stands in the same queue */
	torc_yield();
	torc_timer_set(&timers[0], torc_in(2 * FOREVER));
	torc_timer_set(&timers[1], torc_in(SOON));
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(choosing.got, 1);
	ck_assert_int_eq(waiting.got, 0);
	ck_assert_int_lt(torc_now(), due);
	ck_assert_int_eq(stats_now().timers, 0);
}

TEST_IN_FIBER(a_case_that_is_cancelled_leaves_the_queue)
{
	struct torc_timer timers[2] = { { { 0 } } };
	struct choosing choosing = { timers, UNSET };

	{
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, choose_timer, &choosing), 0);
		torc_yield();
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	}
	ck_assert_int_eq(choosing.got, -ECANCELED);
	torc_timer_set(&timers[0], 1);
	torc_timer_set(&timers[1], torc_in(FOREVER));
	ck_assert_int_eq(stats_now().timers, 0);
}

/* --- deadlines that move ---------------------------------------------------------------------- */

TEST_IN_FIBER(a_deadline_can_be_moved_away)
{
	struct child child = { FOREVER, 0, UNSET };
	torc_ns due = torc_in(SOON);

	TORC_SCOPE(scope, .deadline = due);
	ck_assert_int_eq(torc_go(scope, child_run, &child), 0);
	for (int i = 0; i < 12 && torc_sleep(SOON / 4) == 0; i++) {
		torc_ns later = torc_in(SOON);

		if (torc_scope_set_deadline(scope, later) == 0)
			due = later;
	}
	ck_assert_int_eq(torc_scope_join(scope), -ETIME);
	ck_assert_int_eq(child.got, -ETIME);
	ck_assert_int_ge(torc_now(), due);
	ck_assert_int_eq(torc_scope_deadline(scope), due);
}

TEST_IN_FIBER(a_deadline_can_be_moved_nearer_and_be_set_late)
{
	torc_ns far[] = { 0, torc_in(FOREVER) };

	for (size_t i = 0; i < LENGTH(far); i++) {
		struct child child = { FOREVER, 0, UNSET };
		torc_ns due = torc_in(SOON);

		TORC_SCOPE(scope, .deadline = far[i]);
		ck_assert_int_eq(torc_go(scope, child_run, &child), 0);
		torc_yield();
		ck_assert_int_eq(torc_scope_set_deadline(scope, due), 0);
		ck_assert_int_eq(torc_scope_join(scope), -ETIME);
		ck_assert_int_ge(torc_now(), due);
	}
	ck_assert_int_eq(stats_now().timers, 0);
}

TEST_IN_FIBER(a_deadline_can_be_taken_away)
{
	struct child child = { 4 * SOON, 0, UNSET };

	TORC_SCOPE(scope, .deadline = torc_in(2 * SOON));
	ck_assert_int_eq(torc_go(scope, child_run, &child), 0);
	ck_assert_int_eq(torc_scope_set_deadline(scope, 0), 0);
	ck_assert_int_eq(torc_scope_deadline(scope), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(child.got, 0);
	ck_assert_int_eq(stats_now().timers, 0);
}

TEST_IN_FIBER(a_deadline_that_has_passed_cancels_at_once)
{
	struct child child = { FOREVER, 0, UNSET };
	torc_ns passed[] = { torc_now(), 1, -1, INT64_MIN };

	for (size_t i = 0; i < LENGTH(passed); i++) {
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, child_run, &child), 0);
		torc_yield();
		ck_assert_int_eq(torc_scope_set_deadline(scope, passed[i]), -ETIME);
		ck_assert_int_eq(torc_scope_status(scope), -ETIME);
		ck_assert_int_eq(torc_sleep(0), -ETIME); /* we are in it, too */
		ck_assert_int_eq(torc_scope_join(scope), -ETIME);
	}
}

TEST_IN_FIBER(what_is_cancelled_does_not_come_back)
{
	TORC_SCOPE(scope, .deadline = torc_in(FOREVER));
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_set_deadline(scope, torc_in(2 * FOREVER)), -ECANCELED);
	ck_assert_int_eq(torc_scope_set_deadline(scope, 0), -ECANCELED);
	ck_assert_int_eq(torc_scope_set_deadline(scope, 1), -ECANCELED);
	ck_assert_int_eq(torc_scope_status(scope), -ECANCELED);
}

static int shorten(void *arg)
{
	return torc_scope_set_deadline(arg, torc_in(SOON)); /* of its own scope, from inside */
}

TEST_IN_FIBER(another_fiber_may_move_it)
{
	TORC_SCOPE(scope, .deadline = torc_in(FOREVER));
	ck_assert_int_eq(torc_go(scope, shorten, scope), 0);
	ck_assert_int_eq(torc_sleep(FOREVER), -ETIME);
	ck_assert_int_eq(torc_scope_join(scope), 0); /* the child was done before */
}

static int tell_deadline(void *arg)
{
	*(torc_ns *)arg = torc_scope_deadline(NULL);
	return 0;
}

TEST_IN_FIBER(deadlines_are_inherited_up_to_a_shield)
{
	torc_ns near = torc_in(FOREVER), far = torc_in(2 * FOREVER), told = UNSET;

	ck_assert_int_eq(torc_scope_deadline(NULL), 0);
	TORC_SCOPE(outer, .deadline = near);
	ck_assert_int_eq(torc_scope_deadline(NULL), near);
	{
		TORC_SCOPE(inner, .deadline = far);
		ck_assert_int_eq(torc_scope_deadline(inner), near); /* the nearest wins */
		ck_assert_int_eq(torc_go(inner, tell_deadline, &told), 0);
		ck_assert_int_eq(torc_scope_join(inner), 0);
		ck_assert_int_eq(told, near); /* in a child as well */
	}
	{
		TORC_SCOPE(shield, .shield = true);
		ck_assert_int_eq(torc_scope_deadline(NULL), 0);
		ck_assert_int_eq(torc_scope_set_deadline(shield, far), 0);
		TORC_SCOPE(inside);
		ck_assert_int_eq(torc_scope_deadline(NULL), far);
	}
	ck_assert_int_eq(torc_scope_set_deadline(outer, far), 0);
	ck_assert_int_eq(torc_scope_deadline(outer), far);
}

TEST_IN_FIBER(an_outer_deadline_holds_whatever_the_inner_one_is)
{
	torc_ns due = torc_in(SOON);

	TORC_SCOPE(outer, .deadline = due);
	TORC_SCOPE(inner, .deadline = torc_in(SOON / 2));
	ck_assert_int_eq(torc_scope_set_deadline(inner, torc_in(FOREVER)), 0);
	ck_assert_int_eq(torc_sleep(FOREVER), -ETIME);
	ck_assert_int_ge(torc_now(), due);
	ck_assert_int_eq(torc_scope_status(outer), -ETIME);
}

DEATH_IN_FIBER(a_scope_that_was_left_has_no_deadline, "torc_scope_set_deadline: the scope is not open")
{
	struct torc_scope scope, *handle = torc_scope_open(&scope, NULL);

	torc_scope_leave(&handle);
	torc_scope_set_deadline(handle, 1);
}
