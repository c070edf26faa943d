/* scope - lifetimes: what join returns for every `until`, who is cancelled by what, limits, leaving, giving, depth and
 * breadth, and each misuse. */
#include "api.h"

#include <pthread.h>
#include <sys/mman.h>

static int succeed(void *arg)
{
	return arg == NULL ? 0 : *(int *)arg;
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int must_not_run(void *arg)
{
	(void)arg;
	ck_abort_msg("a fiber ran that must not");
	return 0;
}

static void spawn(struct torc_scope *scope, struct child *child, torc_ns span, int result)
{
	*child = (struct child){ .span = span, .result = result, .got = UNSET };
	ck_assert_int_eq(torc_go(scope, child_run, child), 0);
}

static void spawn_stubborn(struct torc_scope *scope, struct child *child, torc_ns span, int result)
{
	*child = (struct child){ .span = span, .result = result, .got = UNSET };
	ck_assert_int_eq(torc_go(scope, child_run_stubborn, child), 0);
}

/* --- outcomes: TORC_FIRST_ERROR -------------------------------------------------------------- */

TEST_IN_FIBER(an_empty_scope_joins_with_zero)
{
	TORC_SCOPE(empty);
	TORC_SCOPE(all, .until = TORC_ALL_DONE);

	ck_assert_int_eq(torc_scope_join(all), 0);
	ck_assert_int_eq(torc_scope_join(empty), 0);
	ck_assert_int_eq(torc_scope_status(empty), 0);
}

TEST_IN_FIBER(first_error_is_zero_when_all_succeed)
{
	struct child children[3];
	TORC_SCOPE(scope, .until = TORC_FIRST_ERROR);

	for (int i = 0; i < 3; i++)
		spawn(scope, &children[i], (3 - i) * TORC_MS, i * 100);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(children[i].got, 0);
	ck_assert_int_eq(torc_scope_status(scope), 0);
}

TEST_IN_FIBER(first_error_cancels_the_rest)
{
	struct child failing, patient[10];
	torc_ns start = torc_now();
	TORC_SCOPE(scope);

	for (int i = 0; i < 10; i++)
		spawn(scope, &patient[i], FOREVER, 0);
	spawn(scope, &failing, TORC_MS, -EIO);
	ck_assert_int_eq(torc_scope_join(scope), -EIO);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(patient[i].got, -ECANCELED);
	ck_assert_int_lt(torc_now() - start, AGES);
	ck_assert_int_eq(torc_scope_status(scope), -ECANCELED);
}

TEST_IN_FIBER(the_first_of_two_errors_is_told)
{
	struct child first, second;
	TORC_SCOPE(scope);

	spawn_stubborn(scope, &second, FOREVER, -EPIPE);
	spawn(scope, &first, TORC_MS, -ENOSPC);
	ck_assert_int_eq(torc_scope_join(scope), -ENOSPC);
	ck_assert_int_eq(second.got, -ECANCELED);
}

TEST_IN_FIBER(a_child_that_ends_in_ecanceled_uncancelled_has_failed)
{
	struct child failing, patient;
	TORC_SCOPE(scope);

	spawn(scope, &failing, TORC_MS, -ECANCELED);
	spawn(scope, &patient, FOREVER, 0);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	ck_assert_int_eq(patient.got, -ECANCELED);
}

TEST_IN_FIBER(a_failure_after_the_cancel_is_told)
{
	struct child obeying, failing;
	TORC_SCOPE(scope);

	spawn(scope, &obeying, FOREVER, 0);
	spawn_stubborn(scope, &failing, FOREVER, -ENOLINK);
	torc_yield();
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ENOLINK);
	ck_assert_int_eq(obeying.got, -ECANCELED);
}

/* --- outcomes: TORC_ALL_DONE ----------------------------------------------------------------- */

TEST_IN_FIBER(all_done_waits_for_everybody_and_tells_the_first_failure)
{
	struct child children[4];
	int results[] = { 5, -EIO, -EPIPE, 0 };
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);

	for (int i = 0; i < 4; i++)
		spawn(scope, &children[i], (i == 2 ? 2 : i == 1 ? 1 : 5) * TORC_MS, results[i]);
	ck_assert_int_eq(torc_scope_join(scope), -EIO);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(children[i].got, 0);
	ck_assert_int_eq(torc_scope_status(scope), 0);
}

TEST_IN_FIBER(all_done_is_zero_when_all_succeed)
{
	struct child children[3];
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);

	for (int i = 0; i < 3; i++)
		spawn(scope, &children[i], i * TORC_MS, i);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

/* --- outcomes: TORC_FIRST_SUCCESS ------------------------------------------------------------ */

TEST_IN_FIBER(first_success_cancels_the_rest_and_is_told)
{
	struct child slow, quick, failing;
	TORC_SCOPE(scope, .until = TORC_FIRST_SUCCESS);

	spawn(scope, &slow, FOREVER, 1);
	spawn(scope, &failing, TORC_MS, -EIO);
	spawn(scope, &quick, 5 * TORC_MS, 42);
	ck_assert_int_eq(torc_scope_join(scope), 42);
	ck_assert_int_eq(slow.got, -ECANCELED);
	ck_assert_int_eq(failing.got, 0);
	ck_assert_int_eq(torc_scope_status(scope), -ECANCELED);
}

TEST_IN_FIBER(zero_is_a_success_too)
{
	struct child slow, quick;
	TORC_SCOPE(scope, .until = TORC_FIRST_SUCCESS);

	spawn(scope, &slow, FOREVER, 1);
	spawn(scope, &quick, TORC_MS, 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(slow.got, -ECANCELED);
}

TEST_IN_FIBER(the_first_of_two_successes_is_told)
{
	struct child first, second;
	TORC_SCOPE(scope, .until = TORC_FIRST_SUCCESS);

	spawn_stubborn(scope, &second, FOREVER, 2);
	spawn(scope, &first, TORC_MS, 1);
	ck_assert_int_eq(torc_scope_join(scope), 1);
	ck_assert_int_eq(second.got, -ECANCELED);
}

TEST_IN_FIBER(first_success_without_any_is_a_failure)
{
	struct child children[3];
	int r;
	TORC_SCOPE(scope, .until = TORC_FIRST_SUCCESS);

	for (int i = 0; i < 3; i++)
		spawn(scope, &children[i], i * TORC_MS, -EIO - i);
	r = torc_scope_join(scope);
	ck_assert(r == -EIO || r == -EIO - 1 || r == -EIO - 2);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(children[i].got, 0);
}

TEST_IN_FIBER(first_success_without_any_child_is_echild)
{
	TORC_SCOPE(scope, .until = TORC_FIRST_SUCCESS);

	ck_assert_int_eq(torc_scope_join(scope), -ECHILD);
}

/* --- outcomes: cancel and deadline, whatever `until` ----------------------------------------- */

static void assert_cancel(enum torc_until until)
{
	struct child children[5];
	TORC_SCOPE(scope, .until = until);

	for (int i = 0; i < 5; i++)
		spawn(scope, &children[i], FOREVER, 0);
	torc_yield();
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_status(scope), -ECANCELED);
	ck_assert_uint_eq(torc_scope_live(scope), 5);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(children[i].got, -ECANCELED);
	ck_assert_uint_eq(torc_scope_live(scope), 0);
}

static void assert_deadline(enum torc_until until)
{
	torc_ns due = torc_in(SOON);
	struct child children[5];
	TORC_SCOPE(scope, .until = until, .deadline = due);

	for (int i = 0; i < 5; i++)
		spawn(scope, &children[i], FOREVER, 0);
	ck_assert_int_eq(torc_scope_status(scope), 0);
	ck_assert_int_eq(torc_scope_join(scope), -ETIME);
	ck_assert_int_ge(torc_now(), due);
	ck_assert_int_eq(torc_scope_status(scope), -ETIME);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(children[i].got, -ETIME);
}

/* The scope inside is cancelled with the one outside; its own status tells why. */
static void assert_nested(enum torc_until until, bool by_deadline)
{
	int why = by_deadline ? -ETIME : -ECANCELED;
	struct child children[5];
	TORC_SCOPE(outer, .deadline = by_deadline ? torc_in(SOON) : 0);
	TORC_SCOPE(inner, .until = until);

	for (int i = 0; i < 5; i++)
		spawn(inner, &children[i], FOREVER, 0);
	torc_yield();
	if (!by_deadline)
		torc_scope_cancel(outer);
	ck_assert_int_eq(torc_scope_join(inner), why);
	ck_assert_int_eq(torc_scope_status(inner), why);
	ck_assert_int_eq(torc_scope_status(outer), why);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(children[i].got, why);
}

/* A shield keeps the outer cancel from the children; they end by themselves. */
static void assert_shield(enum torc_until until)
{
	struct child children[3];
	TORC_SCOPE(outer);
	TORC_SCOPE(inner, .until = until, .shield = true, .deadline = torc_in(FOREVER));

	for (int i = 0; i < 3; i++)
		spawn(inner, &children[i], 5 * TORC_MS, 0);
	torc_yield();
	torc_scope_cancel(outer);
	ck_assert_int_eq(torc_scope_status(inner), 0);
	ck_assert_int_eq(torc_scope_join(inner), 0);
	ck_assert_int_eq(torc_scope_status(outer), -ECANCELED);
	ck_assert_int_eq(children[0].got, 0);
}

/* A shield's own cancel and deadline work as any scope's. */
static void assert_shield_ends(enum torc_until until, bool by_deadline)
{
	int why = by_deadline ? -ETIME : -ECANCELED;
	struct child child;
	TORC_SCOPE(outer);
	TORC_SCOPE(inner, .until = until, .shield = true, .deadline = torc_in(by_deadline ? SOON : FOREVER));

	torc_scope_cancel(outer);
	spawn(inner, &child, FOREVER, 0);
	torc_yield();
	if (!by_deadline)
		torc_scope_cancel(inner);
	ck_assert_int_eq(torc_scope_join(inner), why);
	ck_assert_int_eq(child.got, why);
}

static const enum torc_until all_untils[] = { TORC_FIRST_ERROR, TORC_ALL_DONE, TORC_FIRST_SUCCESS };

TEST_IN_FIBER(cancel_ends_every_kind_of_scope_with_ecanceled)
{
	for (size_t i = 0; i < LENGTH(all_untils); i++)
		assert_cancel(all_untils[i]);
}

TEST_IN_FIBER(a_deadline_ends_every_kind_of_scope_with_etime)
{
	for (size_t i = 0; i < LENGTH(all_untils); i++)
		assert_deadline(all_untils[i]);
}

TEST_IN_FIBER(an_outer_cancel_ends_every_kind_of_inner_scope)
{
	for (size_t i = 0; i < LENGTH(all_untils); i++)
		assert_nested(all_untils[i], false);
}

TEST_IN_FIBER(an_outer_deadline_ends_every_kind_of_inner_scope)
{
	for (size_t i = 0; i < LENGTH(all_untils); i++)
		assert_nested(all_untils[i], true);
}

TEST_IN_FIBER(a_shield_keeps_an_outer_cancel_from_every_kind_of_scope)
{
	for (size_t i = 0; i < LENGTH(all_untils); i++)
		assert_shield(all_untils[i]);
}

TEST_IN_FIBER(a_shields_own_deadline_ends_it)
{
	for (size_t i = 0; i < LENGTH(all_untils); i++)
		assert_shield_ends(all_untils[i], true);
}

TEST_IN_FIBER(a_shields_own_cancel_ends_it)
{
	for (size_t i = 0; i < LENGTH(all_untils); i++)
		assert_shield_ends(all_untils[i], false);
}

TEST_IN_FIBER(a_shield_keeps_an_outer_deadline_out)
{
	struct child child;
	TORC_SCOPE(outer, .deadline = torc_in(2 * TORC_MS));
	{
		TORC_SCOPE(inner, .shield = true);

		spawn(inner, &child, 20 * TORC_MS, 0);
		ck_assert_int_eq(torc_sleep(10 * TORC_MS), 0);
		ck_assert_int_eq(torc_scope_status(outer), -ETIME);
		ck_assert_int_eq(torc_scope_status(NULL), 0);
		ck_assert_int_eq(torc_scope_join(inner), 0);
		ck_assert_int_eq(child.got, 0);
	}
	ck_assert_int_eq(torc_sleep(FOREVER), -ETIME);
}

TEST_IN_FIBER(a_scope_inside_a_shield_lives_although_all_outside_is_cancelled)
{
	struct child child;
	TORC_SCOPE(outer);

	torc_scope_cancel(outer);
	ck_assert_int_eq(torc_sleep(1), -ECANCELED);
	{
		TORC_SCOPE(shield, .shield = true, .deadline = torc_in(FOREVER));
		TORC_SCOPE(inner);

		ck_assert_int_eq(torc_scope_status(inner), 0);
		spawn(inner, &child, TORC_MS, 9);
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
		ck_assert_int_eq(torc_scope_join(inner), 0);
		ck_assert_int_eq(child.got, 0);
		torc_scope_cancel(shield);
		ck_assert_int_eq(torc_scope_status(inner), -ECANCELED);
		ck_assert_int_eq(torc_sleep(FOREVER), -ECANCELED);
	}
	ck_assert_int_eq(torc_sleep(1), -ECANCELED);
}

static int clean_up(void *arg)
{
	struct torc_stream *stream = arg;
	char byte = 'x';
	int r = torc_sleep(FOREVER);

	ck_assert_int_eq(torc_stream_write(stream, "bye", 3), -ECANCELED);
	TORC_SCOPE(tidy, .shield = true, .deadline = torc_in(5 * TORC_SEC));
	ck_assert_int_eq(torc_stream_write(stream, "bye", 3), 3);
	ck_assert_int_eq(torc_stream_read(stream, &byte, 1), 1);
	ck_assert_int_eq(byte, '!');
	return r;
}

TEST_IN_FIBER(clean_up_io_runs_in_a_shield_of_a_cancelled_fiber)
{
	struct torc_stream a, b;
	char text[3];
	TORC_SCOPE(scope);

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_go(scope, clean_up, &a), 0);
	torc_yield();
	torc_scope_cancel(scope);
	{
		TORC_SCOPE(shield, .shield = true);

		ck_assert_int_eq(torc_stream_read_exact(&b, text, 3), 3);
		ck_assert_mem_eq(text, "bye", 3);
		ck_assert_int_eq(torc_stream_write(&b, "!", 1), 1);
	}
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	torc_stream_close(&a);
	torc_stream_close(&b);
}

/* --- cancelling ------------------------------------------------------------------------------ */

TEST_IN_FIBER(a_cancelled_scope_reaches_its_opener_until_it_is_left)
{
	{
		TORC_SCOPE(scope);

		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_scope_status(NULL), -ECANCELED);
		ck_assert_int_eq(torc_sleep(0), -ECANCELED);
		ck_assert_int_eq(torc_sleep(FOREVER), -ECANCELED);
		torc_yield();
	}
	ck_assert_int_eq(torc_scope_status(NULL), 0);
	ck_assert_int_eq(torc_sleep(1), 0);
}

TEST_IN_FIBER(cancelling_twice_does_nothing)
{
	struct child child;
	TORC_SCOPE(scope);

	spawn(scope, &child, FOREVER, 0);
	torc_scope_cancel(scope);
	torc_scope_cancel(scope);
	torc_yield();
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_status(scope), -ECANCELED);
}

TEST_IN_FIBER(a_fiber_cancelled_before_it_began_still_runs_and_parks_nowhere)
{
	struct child child;
	TORC_SCOPE(scope);

	spawn(scope, &child, FOREVER, 0);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	ck_assert_int_eq(child.got, -ECANCELED);
}

static int cancel_it(void *arg)
{
	torc_scope_cancel(arg);
	return torc_sleep(FOREVER);
}

TEST_IN_FIBER(a_child_may_cancel_its_own_scope)
{
	struct child child;
	TORC_SCOPE(scope);

	spawn(scope, &child, FOREVER, 0);
	ck_assert_int_eq(torc_go(scope, cancel_it, scope), 0);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	ck_assert_int_eq(child.got, -ECANCELED);
}

TEST_IN_FIBER(a_fiber_may_cancel_a_scope_it_has_no_part_in)
{
	struct child child;
	TORC_SCOPE(outer, .until = TORC_ALL_DONE);
	{
		TORC_SCOPE(inner);

		spawn(inner, &child, FOREVER, 0);
		ck_assert_int_eq(torc_go(outer, cancel_it, inner), 0);
		ck_assert_int_eq(torc_scope_join(inner), -ECANCELED);
	}
	ck_assert_int_eq(torc_scope_status(outer), 0);
	torc_scope_cancel(outer);
	ck_assert_int_eq(torc_scope_join(outer), -ECANCELED);
}

TEST_IN_FIBER(cancelling_an_inner_scope_does_not_reach_the_outer)
{
	struct child outside, inside;
	TORC_SCOPE(outer);

	spawn(outer, &outside, 5 * TORC_MS, 0);
	{
		TORC_SCOPE(inner);

		spawn(inner, &inside, FOREVER, 0);
		torc_scope_cancel(inner);
		ck_assert_int_eq(torc_scope_join(inner), -ECANCELED);
		ck_assert_int_eq(torc_sleep(0), -ECANCELED);
	}
	ck_assert_int_eq(torc_scope_status(outer), 0);
	ck_assert_int_eq(torc_sleep(0), 0);
	ck_assert_int_eq(torc_scope_join(outer), 0);
	ck_assert_int_eq(outside.got, 0);
}

TEST_IN_FIBER(a_child_error_in_an_inner_scope_is_the_joiners_to_hand_on)
{
	struct child outside, inside;
	TORC_SCOPE(outer);

	spawn(outer, &outside, 5 * TORC_MS, 0);
	{
		TORC_SCOPE(inner);

		spawn(inner, &inside, 0, -EIO);
		ck_assert_int_eq(torc_scope_join(inner), -EIO);
	}
	ck_assert_int_eq(torc_scope_join(outer), 0);
}

TEST_IN_FIBER(a_scope_inside_a_cancelled_one_is_cancelled_from_the_start)
{
	TORC_SCOPE(outer);

	torc_scope_cancel(outer);
	TORC_SCOPE(inner);
	ck_assert_int_eq(torc_scope_status(inner), -ECANCELED);
	ck_assert_int_eq(torc_go(inner, must_not_run, NULL), -ECANCELED);
	ck_assert_int_eq(torc_sleep(FOREVER), -ECANCELED);
}

TEST_IN_FIBER(a_scope_whose_deadline_has_passed_is_cancelled_from_the_start)
{
	torc_ns passed[] = { torc_now(), 1, torc_in(0), torc_in(-TORC_SEC), torc_now() - TORC_SEC };

	for (size_t i = 0; i < LENGTH(passed); i++) {
		TORC_SCOPE(scope, .deadline = passed[i]);

		ck_assert_int_eq(torc_scope_status(scope), -ETIME);
		ck_assert_int_eq(torc_go(scope, must_not_run, NULL), -ETIME);
		ck_assert_int_eq(torc_sleep(FOREVER), -ETIME);
	}
}

TEST_IN_FIBER(a_loop_without_a_parking_call_sees_its_deadline_in_the_status)
{
	torc_ns due = torc_in(5 * TORC_MS), limit = torc_in(AGES);
	TORC_SCOPE(outer, .deadline = due);
	TORC_SCOPE(inner);

	while (torc_scope_status(NULL) == 0 && torc_now() < limit)
		;
	ck_assert_int_eq(torc_scope_status(NULL), -ETIME);
	ck_assert_int_ge(torc_now(), due);
	ck_assert_int_lt(torc_now(), limit);
	ck_assert_int_eq(torc_scope_status(inner), -ETIME);
	ck_assert_int_eq(torc_scope_status(outer), -ETIME);
}

static int status_of(void *arg)
{
	return torc_scope_status(arg);
}

TEST_IN_FIBER(status_without_a_scope_is_that_of_the_fibers_own)
{
	ck_assert_int_eq(torc_scope_status(NULL), 0);

	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	ck_assert_int_eq(torc_go(scope, status_of, NULL), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(torc_go(scope, status_of, NULL), 0);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_status(NULL), -ECANCELED);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
}

/* --- joining, leaving ------------------------------------------------------------------------ */

TEST_IN_FIBER(a_scope_can_be_joined_again_and_given_more)
{
	struct child children[3];
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);

	ck_assert_int_eq(torc_scope_join(scope), 0);
	spawn(scope, &children[0], TORC_MS, 5);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	spawn(scope, &children[1], TORC_MS, -EIO);
	ck_assert_int_eq(torc_scope_join(scope), -EIO);
	ck_assert_int_eq(torc_scope_status(scope), 0);
	spawn(scope, &children[2], TORC_MS, 0);
	ck_assert_int_eq(torc_scope_join(scope), -EIO); /* still the first failure */
	ck_assert_int_eq(children[2].got, 0);
}

TEST_IN_FIBER(join_tells_a_failure_as_often_as_it_is_asked)
{
	struct child child;
	TORC_SCOPE(scope);

	spawn(scope, &child, 0, -EIO);
	ck_assert_int_eq(torc_scope_join(scope), -EIO);
	ck_assert_int_eq(torc_scope_join(scope), -EIO);
	ck_assert_int_eq(torc_go(scope, must_not_run, NULL), -ECANCELED);
}

static int join_a_cancelled_one(void *arg)
{
	struct child *children = arg;
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);

	spawn(scope, &children[0], FOREVER, 0);
	spawn_stubborn(scope, &children[1], FOREVER, 3);
	return torc_scope_join(scope);
}

TEST_IN_FIBER(a_join_is_not_cut_short_by_a_cancel)
{
	struct child children[2];
	TORC_SCOPE(outer);

	ck_assert_int_eq(torc_go(outer, join_a_cancelled_one, children), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	torc_scope_cancel(outer);
	ck_assert_int_eq(torc_scope_join(outer), -ECANCELED);
	ck_assert_int_eq(children[0].got, -ECANCELED);
	ck_assert_int_eq(children[1].got, -ECANCELED);
}

struct left {
	struct child children[4];
	int how;
};

static int leave_somehow(struct left *left)
{
	for (;;) {
		TORC_SCOPE(scope);

		for (int i = 0; i < 4; i++)
			spawn(scope, &left->children[i], FOREVER, 0);
		torc_yield();
		if (left->how == 0)
			return 1;
		if (left->how == 1)
			break;
		if (left->how == 2)
			goto out;
		if (left->how == 3) {
			left->how = 0;
			continue;
		}
		if (left->how == 4)
			return torc_sleep(1);
	}
out:
	return 1;
}

TEST_IN_FIBER(leaving_by_return_break_goto_or_continue_cancels_and_waits)
{
	for (int how = 0; how < 5; how++) {
		struct left left = { .how = how };

		ck_assert_int_eq(leave_somehow(&left), how == 4 ? 0 : 1);
		for (int i = 0; i < 4; i++)
			ck_assert_int_eq(left.children[i].got, -ECANCELED);
		ck_assert_int_eq(torc_scope_status(NULL), 0);
	}
}

TEST_IN_FIBER(leaving_waits_for_a_child_that_takes_its_time)
{
	struct child child;
	torc_ns start = torc_now();

	child = (struct child){ .span = 0 };
	{
		TORC_SCOPE(outer);
		{
			TORC_SCOPE(inner);

			spawn_stubborn(inner, &child, FOREVER, -EIO);
		}
	}
	ck_assert_int_eq(child.got, -ECANCELED);
	ck_assert_int_lt(torc_now() - start, AGES);
}

TEST_IN_FIBER(a_scope_opened_by_hand_is_left_by_hand)
{
	struct torc_scope memory, *scope = torc_scope_open(&memory, NULL);
	struct child child;

	ck_assert_ptr_eq(scope, &memory);
	spawn(scope, &child, FOREVER, 0);
	torc_yield();
	torc_scope_leave(&scope);
	ck_assert_int_eq(child.got, -ECANCELED);
	ck_assert_int_eq(torc_scope_status(NULL), 0);

	scope = torc_scope_open(&memory, TORC_OPTIONS(torc_scope_options, .until = TORC_FIRST_SUCCESS));
	ck_assert_int_eq(torc_scope_join(scope), -ECHILD);
	torc_scope_leave(&scope);
}

TEST_IN_FIBER(live_counts_children)
{
	struct child children[3];
	TORC_SCOPE(scope);

	ck_assert_uint_eq(torc_scope_live(scope), 0);
	for (int i = 0; i < 3; i++) {
		spawn(scope, &children[i], (i + 1) * 5 * TORC_MS, 0);
		ck_assert_uint_eq(torc_scope_live(scope), (unsigned)i + 1);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_uint_eq(torc_scope_live(scope), 0);
}

TEST_IN_FIBER(yield_works_in_a_cancelled_scope)
{
	struct child child = { .span = 0, .got = UNSET };
	TORC_SCOPE(outer);

	ck_assert_int_eq(torc_go(outer, child_run, &child), 0);
	torc_scope_cancel(outer);
	torc_yield();
	ck_assert_int_eq(child.got, -ECANCELED);
}

/* --- limit ----------------------------------------------------------------------------------- */

struct gauge {
	unsigned living, most, ran;
};

static int be_counted(void *arg)
{
	struct gauge *gauge = arg;
	int r;

	gauge->ran++;
	if (++gauge->living > gauge->most)
		gauge->most = gauge->living;
	r = torc_sleep(gauge->ran % 3 * 100 * TORC_US);
	gauge->living--;
	return r;
}

TEST_IN_FIBER(a_limit_parks_the_spawner)
{
	struct gauge gauge = { 0 };
	TORC_SCOPE(scope, .limit = 3);

	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(torc_go(scope, be_counted, &gauge), 0);
		ck_assert_uint_le(torc_scope_live(scope), 3);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_uint_eq(gauge.ran, 200);
	ck_assert_uint_eq(gauge.most, 3);
}

TEST_IN_FIBER(a_limit_of_one_runs_one_after_the_other)
{
	struct gauge gauge = { 0 };
	TORC_SCOPE(scope, .limit = 1);

	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(torc_go(scope, be_counted, &gauge), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_uint_eq(gauge.ran, 50);
	ck_assert_uint_eq(gauge.most, 1);
}

struct spawner {
	struct torc_scope *scope;
	struct gauge *gauge;
	int count, got;
};

static int spawn_many(void *arg)
{
	struct spawner *spawner = arg;

	for (int i = 0; i < spawner->count; i++) {
		spawner->got = torc_go(spawner->scope, be_counted, spawner->gauge);
		if (spawner->got < 0)
			return spawner->got;
	}
	return 0;
}

TEST_IN_FIBER(several_spawners_share_one_limit)
{
	struct spawner spawners[5];
	struct gauge gauge = { 0 };
	TORC_SCOPE(limited, .limit = 4);
	TORC_SCOPE(feeding);

	for (int i = 0; i < 5; i++) {
		spawners[i] = (struct spawner){ limited, &gauge, 40, UNSET };
		ck_assert_int_eq(torc_go(feeding, spawn_many, &spawners[i]), 0);
	}
	ck_assert_int_eq(torc_scope_join(feeding), 0);
	while (torc_scope_live(limited) > 0)
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_uint_eq(gauge.ran, 200);
	ck_assert_uint_eq(gauge.most, 4);
}

TEST_IN_FIBER(a_spawner_parked_at_the_limit_is_woken_by_a_failure)
{
	struct child failing;
	TORC_SCOPE(scope, .limit = 1);

	spawn(scope, &failing, 5 * TORC_MS, -EIO);
	ck_assert_int_eq(torc_go(scope, must_not_run, NULL), -ECANCELED);
	ck_assert_int_eq(torc_scope_join(scope), -EIO);
}

TEST_IN_FIBER(a_spawner_parked_at_the_limit_is_woken_by_the_deadline)
{
	struct child patient;
	TORC_SCOPE(scope, .limit = 1, .deadline = torc_in(SOON));

	spawn(scope, &patient, FOREVER, 0);
	ck_assert_int_eq(torc_go(scope, must_not_run, NULL), -ETIME);
	ck_assert_int_eq(torc_scope_join(scope), -ETIME);
}

TEST_IN_FIBER(a_spawner_parked_at_the_limit_is_woken_by_a_cancel_of_its_own_scope)
{
	struct child patient;
	struct gauge gauge = { 0 };
	struct spawner spawner;
	TORC_SCOPE(limited, .limit = 1);
	TORC_SCOPE(feeding);

	spawn(limited, &patient, FOREVER, 0);
	spawner = (struct spawner){ limited, &gauge, 1, UNSET };
	ck_assert_int_eq(torc_go(feeding, spawn_many, &spawner), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_int_eq(spawner.got, UNSET);
	torc_scope_cancel(feeding);
	ck_assert_int_eq(torc_scope_join(feeding), -ECANCELED);
	ck_assert_int_eq(spawner.got, -ECANCELED);
	ck_assert_uint_eq(gauge.ran, 0);
	ck_assert_int_eq(torc_scope_status(limited), 0);
	ck_assert_int_eq(patient.got, UNSET);
}

/* --- spawning: who, where, with what --------------------------------------------------------- */

struct grower {
	struct torc_scope *scope;
	int *count, levels;
};

static int grow(void *arg)
{
	struct grower *grower = arg;

	++*grower->count;
	if (grower->levels == 0)
		return torc_sleep(TORC_MS);
	for (int i = 0; i < 2; i++) {
		struct grower next = { grower->scope, grower->count, grower->levels - 1 };

		ck_assert_int_eq(torc_give(grower->scope, grow, next), 0);
	}
	return 0;
}

TEST_IN_FIBER(children_spawn_siblings_while_the_opener_joins)
{
	int count = 0;
	TORC_SCOPE(scope);
	struct grower root = { scope, &count, 9 };

	ck_assert_int_eq(torc_give(scope, grow, root), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(count, 1023);
}

TEST_IN_FIBER(spawning_into_a_cancelled_scope_is_refused)
{
	TORC_SCOPE(scope);
	int value = 5;

	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_go(scope, must_not_run, NULL), -ECANCELED);
	ck_assert_int_eq(torc_give(scope, must_not_run, value), -ECANCELED);
	ck_assert_int_eq(value, 5);
	ck_assert_uint_eq(torc_scope_live(scope), 0);
	{
		TORC_SCOPE(shield, .shield = true);

		/* The caller is safe here, the scope asked for is cancelled all the same. */
		ck_assert_int_eq(torc_go(scope, must_not_run, NULL), -ECANCELED);
	}
}

struct gift {
	uint64_t words[32];
	void *self;
};

static int take_gift(void *arg)
{
	struct gift *gift = arg;

	ck_assert_uint_eq((uintptr_t)arg % 16, 0);
	for (size_t i = 0; i < LENGTH(gift->words); i++)
		ck_assert_uint_eq(gift->words[i], i * i);
	ck_assert_ptr_ne(gift->self, gift);
	torc_yield();
	ck_assert_uint_eq(gift->words[31], 31 * 31);
	return 0;
}

TEST_IN_FIBER(give_moves_the_value_and_zeroes_the_givers)
{
	TORC_SCOPE(scope);

	for (int n = 0; n < 50; n++) {
		struct gift gift;
		const struct gift zero = { .self = NULL };

		for (size_t i = 0; i < LENGTH(gift.words); i++)
			gift.words[i] = i * i;
		gift.self = &gift;
		ck_assert_int_eq(torc_give(scope, take_gift, gift), 0);
		ck_assert_mem_eq(&gift, &zero, sizeof gift);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

struct byte {
	char value;
};

static int take_byte(void *arg)
{
	return ((struct byte *)arg)->value;
}

TEST_IN_FIBER(give_takes_things_of_any_size_down_to_one_byte)
{
	struct byte byte = { 77 };
	TORC_SCOPE(scope, .until = TORC_FIRST_SUCCESS);

	ck_assert_int_eq(torc_give(scope, take_byte, byte), 0);
	ck_assert_int_eq(byte.value, 0);
	ck_assert_int_eq(torc_scope_join(scope), 77);
}

static int check_large(void *arg)
{
	size_t *size = arg;

	return pattern_holds(size + 1, *size - sizeof *size, 0) ? 0 : -EILSEQ;
}

TEST_IN_FIBER(a_gift_larger_than_half_a_stack_is_refused_and_stays)
{
	const size_t half = 65536 / 2, sizes[] = { half + 1, half + 64, 65536, 1 << 20 };
	TORC_SCOPE(scope);
	size_t *value = malloc(1 << 20);

	for (size_t i = 0; i < LENGTH(sizes); i++) {
		value[0] = sizes[i];
		pattern_fill(value + 1, sizes[i] - sizeof *value, 0);
		ck_assert_int_eq(torc_give_from(scope, must_not_run, value, sizes[i], "too large"), -E2BIG);
		ck_assert_uint_eq(value[0], sizes[i]);
		ck_assert(pattern_holds(value + 1, sizes[i] - sizeof *value, 0));
	}
	ck_assert_uint_eq(torc_scope_live(scope), 0);

	value[0] = half;
	pattern_fill(value + 1, half - sizeof *value, 0);
	ck_assert_int_eq(torc_give_from(scope, check_large, value, half, "just right"), 0);
	ck_assert_uint_eq(value[0], 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	free(value);
}

TEST_IN_FIBER(a_gift_refused_at_the_limit_stays)
{
	struct byte byte = { 55 };
	struct child patient;
	TORC_SCOPE(scope, .limit = 1, .deadline = torc_in(SOON));

	spawn(scope, &patient, FOREVER, 0);
	ck_assert_int_eq(torc_give(scope, must_not_run, byte), -ETIME);
	ck_assert_int_eq(byte.value, 55);
}

static int spawn_until_refused(struct child *children)
{
	int spawned = 0, r = 0;
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);

	while (spawned < 100000 && r == 0) {
		children[spawned] = (struct child){ .span = FOREVER, .got = UNSET };
		r = torc_go(scope, child_run, &children[spawned]);
		if (r == 0)
			spawned++;
	}
	ck_assert_int_eq(r, -ENOMEM);
	ck_assert_int_eq(torc_go(scope, must_not_run, NULL), -ENOMEM);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_uint_eq(torc_scope_live(scope), (unsigned)spawned);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	for (int i = 0; i < spawned; i++)
		ck_assert_int_eq(children[i].got, -ECANCELED);
	return spawned;
}

static int spawn_until_memory_is_short(void *arg)
{
	int spawned = spawn_until_refused(arg);
	TORC_SCOPE(scope);

	/* What has ended made room. */
	ck_assert_int_eq(torc_go(scope, nothing, NULL), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	return spawned;
}

TEST(running_out_of_stacks_is_a_code_and_harms_nothing_else)
{
	struct child *children = calloc(100001, sizeof *children);
	struct rlimit old, low;
	int spawned;

	if (harness_slow())
		SKIP("shadow memory does not fit a lowered RLIMIT_AS");
	ck_assert_int_eq(getrlimit(RLIMIT_AS, &old), 0);
	low = old;
	low.rlim_cur = 512u << 20;
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &low), 0);
	spawned =
		torc_run(TORC_OPTIONS(torc_run_options, .stack_size = 1 << 20), spawn_until_memory_is_short, children);
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &old), 0);
	ck_assert_msg(spawned > 20 && spawned < 512, "%d stacks of 1 MiB in 512 MiB", spawned);
	free(children);
}

/* --- depth and breadth ----------------------------------------------------------------------- */

static int nest_scopes(int levels)
{
	if (levels == 0)
		return torc_sleep(TORC_MS);

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_scope_status(scope), 0);
	return nest_scopes(levels - 1);
}

TEST_IN_FIBER_WITH(thousands_of_scopes_nest_in_one_fiber, .stack_size = 16 << 20)
{
	ck_assert_int_eq(nest_scopes(COUNT(5000, 2000)), 0);
}

static int nest_scopes_and_cancel(struct torc_scope *outermost, int levels)
{
	if (levels == 0) {
		torc_scope_cancel(outermost);
		return torc_sleep(FOREVER);
	}

	TORC_SCOPE(scope);
	int r = nest_scopes_and_cancel(outermost, levels - 1);

	ck_assert_int_eq(torc_scope_status(scope), -ECANCELED);
	return r;
}

TEST_IN_FIBER_WITH(a_cancel_reaches_through_thousands_of_scopes, .stack_size = 16 << 20)
{
	TORC_SCOPE(scope);

	ck_assert_int_eq(nest_scopes_and_cancel(scope, COUNT(5000, 2000)), -ECANCELED);
}

struct descent {
	int levels, *reached;
};

static int descend(void *arg)
{
	struct descent *descent = arg, next = { descent->levels - 1, descent->reached };
	TORC_SCOPE(scope);

	++*descent->reached;
	if (descent->levels == 0)
		return torc_sleep(FOREVER);
	ck_assert_int_eq(torc_go(scope, descend, &next), 0);
	return torc_scope_join(scope);
}

TEST_IN_FIBER(a_cancel_reaches_through_thousands_of_nested_fibers)
{
	int reached = 0;
	struct descent root = { COUNT(5000, 1000), &reached };
	TORC_SCOPE(scope);

	ck_assert_int_eq(torc_go(scope, descend, &root), 0);
	while (reached <= root.levels)
		torc_yield();
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	ck_assert_uint_eq(stats_now().fibers, 1);
}

struct tree {
	int levels, *parked, *ended;
};

enum { FAN = 10 };

static int branch(void *arg)
{
	struct tree *tree = arg, next = { tree->levels - 1, tree->parked, tree->ended };
	int r;
	TORC_SCOPE(scope);

	if (tree->levels == 0) {
		++*tree->parked;
		r = torc_sleep(FOREVER);
		++*tree->ended;
		return r;
	}
	for (int i = 0; i < FAN; i++)
		ck_assert_int_eq(torc_go(scope, branch, &next), 0);
	return torc_scope_join(scope);
}

TEST_IN_FIBER(a_cancel_ends_a_tree_of_ten_thousand_fibers)
{
	int parked = 0, ended = 0, leaves = COUNT(10000, 1000);
	struct tree root = { COUNT(4, 3), &parked, &ended };
	TORC_SCOPE(scope);

	ck_assert_int_eq(torc_go(scope, branch, &root), 0);
	while (parked < leaves)
		torc_yield();
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	ck_assert_int_eq(parked, leaves);
	ck_assert_int_eq(ended, leaves);
	ck_assert_uint_eq(stats_now().fibers, 1);
	ck_assert_uint_eq(stats_now().timers, 0);
}

TEST_IN_FIBER(a_failing_leaf_ends_a_tree_by_joins_alone)
{
	struct child patient[100], failing;
	TORC_SCOPE(outer);

	for (int i = 0; i < 100; i++)
		spawn(outer, &patient[i], FOREVER, 0);
	spawn(outer, &failing, TORC_MS, -ENOTTY);
	ck_assert_int_eq(torc_scope_join(outer), -ENOTTY);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(patient[i].got, -ECANCELED);
}

TEST_IN_FIBER(a_hundred_thousand_short_fibers_come_and_go)
{
	int value = 0, count = COUNT(100000, 5000);
	TORC_SCOPE(scope, .limit = 100);

	for (int i = 0; i < count; i++)
		ck_assert_int_eq(torc_go(scope, succeed, &value), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_uint_ge(stats_now().spawned, (uint64_t)count);
}

TEST_IN_FIBER(a_child_error_corrupts_nothing)
{
	for (int i = 0; i < 1000; i++) {
		struct child good, bad;
		TORC_SCOPE(scope);

		spawn(scope, &good, 10 * TORC_US, 1);
		spawn(scope, &bad, 10 * TORC_US, -EIO);
		ck_assert_int_eq(torc_scope_join(scope), -EIO);
		ck_assert_int_ne(good.got, UNSET);
		ck_assert_int_eq(bad.got, 0);
	}
}

/* --- misuse ---------------------------------------------------------------------------------- */

DEATH(sleeping_outside_a_fiber_is_misuse, "torc: torc_sleep: .*fiber")
{
	torc_sleep(1);
}

DEATH(yielding_outside_a_fiber_is_misuse, "torc: torc_yield: .*fiber")
{
	torc_yield();
}

DEATH(opening_a_scope_outside_a_fiber_is_misuse, "torc: torc_scope_open: .*fiber")
{
	TORC_SCOPE(scope);
}

DEATH(asking_the_status_outside_a_fiber_is_misuse, "torc: torc_scope_status: .*fiber")
{
	torc_scope_status(NULL);
}

DEATH(reading_outside_a_fiber_is_misuse, "torc: torc_stream_read: .*fiber")
{
	struct torc_stream stream;
	int fds[2];
	char byte;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(torc_stream_wrap(&stream, fds[0]), 0);
	ck_assert_int_eq(torc_stream_read(&stream, &byte, 1), 0);
}

DEATH_IN_FIBER(an_until_that_does_not_exist_is_misuse, "torc: torc_scope_open: .*until")
{
	TORC_SCOPE(scope, .until = (enum torc_until)77);
}

static int fill_the_limit(void *arg)
{
	return torc_go(arg, nothing, NULL);
}

/* The only child waits for room that only its own end could make. */
DEATH_IN_FIBER(waiting_for_what_can_never_come_is_told, "torc: torc_run: deadlock")
{
	TORC_SCOPE(scope, .limit = 1);

	ck_assert_int_eq(torc_go(scope, fill_the_limit, scope), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

static int join_the_parents(void *arg)
{
	return torc_scope_join(arg);
}

DEATH_IN_FIBER(joining_another_fibers_scope_is_misuse, "torc: torc_scope_join: .*opened")
{
	TORC_SCOPE(scope);

	ck_assert_int_eq(torc_go(scope, join_the_parents, scope), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

static int leave_the_parents(void *arg)
{
	struct torc_scope *scope = arg;

	torc_scope_leave(&scope);
	return 0;
}

DEATH_IN_FIBER(leaving_another_fibers_scope_is_misuse, "torc: torc_scope_leave: .*")
{
	TORC_SCOPE(scope);

	ck_assert_int_eq(torc_go(scope, leave_the_parents, scope), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

DEATH_IN_FIBER(leaving_out_of_order_is_misuse, "torc: torc_scope_leave: .*(inner|order)")
{
	struct torc_scope outer, inner, *scope;

	torc_scope_open(&outer, NULL);
	torc_scope_open(&inner, NULL);
	scope = &outer;
	torc_scope_leave(&scope);
}

DEATH_IN_FIBER(opening_twice_is_misuse, "torc: torc_scope_open: the scope is open already")
{
	struct torc_scope scope;

	torc_scope_open(&scope, NULL);
	torc_scope_open(&scope, NULL);
	(void)torc_scope_deadline(&scope);
}

DEATH_IN_FIBER(leaving_twice_is_misuse, "torc: torc_scope_leave: .*")
{
	struct torc_scope memory, *scope = torc_scope_open(&memory, NULL);

	torc_scope_leave(&scope);
	torc_scope_leave(&scope);
}

/* The copy of an open scope, while the original has a child and is not touched. */
static struct torc_scope *moved(void)
{
	static struct torc_scope original, copy;

	torc_scope_open(&original, NULL);
	ck_assert_int_eq(torc_go(&original, nothing, NULL), 0);
	copy = original;
	return &copy;
}

DEATH_IN_FIBER(spawning_into_a_moved_scope_is_misuse, "torc: torc_go(_from)?: the scope .*moved")
{
	ck_assert_int_eq(torc_go(moved(), nothing, NULL), 0);
}

DEATH_IN_FIBER(joining_a_moved_scope_is_misuse, "torc: torc_scope_join: the scope .*moved")
{
	ck_assert_int_eq(torc_scope_join(moved()), 0);
}

DEATH_IN_FIBER(cancelling_a_moved_scope_is_misuse, "torc: torc_scope_cancel: the scope .*moved")
{
	torc_scope_cancel(moved());
}

DEATH_IN_FIBER(leaving_a_moved_scope_is_misuse, "torc: torc_scope_leave: the scope .*moved")
{
	struct torc_scope *scope = moved();

	torc_scope_leave(&scope);
}

/* Static, so that what the panic looks at is still there when the fiber has returned. */
static struct torc_scope forgotten;

static int forget_a_scope(void *arg)
{
	(void)arg;
	torc_scope_open(&forgotten, NULL);
	return 0;
}

DEATH_IN_FIBER(a_fiber_that_returns_with_a_scope_open_is_misuse, "torc: .*scope.*open|open.*scope")
{
	TORC_SCOPE(scope);

	ck_assert_int_eq(torc_go(scope, forget_a_scope, NULL), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

DEATH(a_root_that_returns_with_a_scope_open_is_misuse, "torc: .*scope.*open|open.*scope")
{
	ck_assert_int_eq(torc_run(NULL, forget_a_scope, NULL), 0);
}

static int cancel_and_return(void *arg)
{
	torc_scope_cancel(arg);
	return 0;
}

static int go_and_return(void *arg)
{
	return torc_go(arg, nothing, NULL);
}

static int join_and_return(void *arg)
{
	return torc_scope_join(arg);
}

static void *plain_cancel(void *arg)
{
	torc_scope_cancel(arg);
	return NULL;
}

struct elsewhere {
	torc_fn *fn;
	void *arg;
};

static void *run_elsewhere(void *arg)
{
	struct elsewhere *elsewhere = arg;

	ck_assert_int_eq(torc_run(NULL, elsewhere->fn, elsewhere->arg), 0);
	return NULL;
}

static void use_on_another_thread(torc_fn *fn)
{
	TORC_SCOPE(scope);
	struct elsewhere elsewhere = { fn, scope };
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, run_elsewhere, &elsewhere), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

DEATH_IN_FIBER(cancelling_a_scope_of_another_executor_is_misuse, "torc: torc_scope_cancel: .*")
{
	use_on_another_thread(cancel_and_return);
}

DEATH_IN_FIBER(spawning_into_a_scope_of_another_executor_is_misuse, "torc: torc_go(_from)?: .*")
{
	use_on_another_thread(go_and_return);
}

DEATH_IN_FIBER(joining_a_scope_of_another_executor_is_misuse, "torc: torc_scope_join: .*")
{
	use_on_another_thread(join_and_return);
}

DEATH_IN_FIBER(cancelling_a_scope_from_a_plain_thread_is_misuse, "torc: torc_scope_cancel: .*")
{
	TORC_SCOPE(scope);
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, plain_cancel, scope), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
