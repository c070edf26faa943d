/* torc_event - set, reset, wait; cancelled before, while and after; on the wrong core. */
#include "api/api.h"

enum { FIBERS = 4 };

struct waits {
	struct torc_event *event;
	struct torc_scope *scope; /* cancelled before it waits; or NULL */
	int number, result;
	int *order;
};

static int order;

static int wait_for_it(void *arg)
{
	struct waits *waits = arg;

	waits->result = torc_event_wait(waits->event);
	waits->number = order++;
	return waits->result;
}

TEST_IN_FIBER(zeroed_is_unset_and_set_lasts)
{
	struct torc_event event = { 0 };

	ck_assert(!torc_event_is_set(&event));
	torc_event_reset(&event);
	torc_event_set(&event);
	torc_event_set(&event);
	ck_assert(torc_event_is_set(&event));
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(torc_event_wait(&event), 0);
	torc_event_reset(&event);
	ck_assert(!torc_event_is_set(&event));
}

TEST_IN_FIBER(all_go_in_order_though_it_is_reset_at_once)
{
	struct torc_event event = { 0 };
	struct waits waits[FIBERS];

	TORC_SCOPE(scope);
	for (int i = 0; i < FIBERS; i++) {
		waits[i] = (struct waits){ .event = &event, .result = UNSET };
		ck_assert_int_eq(torc_go(scope, wait_for_it, &waits[i]), 0);
	}
	torc_yield();
	for (int i = 0; i < FIBERS; i++)
		ck_assert_int_eq(waits[i].result, UNSET);
	torc_event_set(&event);
	torc_event_reset(&event);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < FIBERS; i++)
		ck_assert_int_eq(waits[i].number, i);
}

TEST_IN_FIBER(a_deadline_ends_the_wait)
{
	struct torc_event event = { 0 };

	TORC_SCOPE(scope, .deadline = torc_in(SOON));
	ck_assert_int_eq(torc_event_wait(&event), -ETIME);
	ck_assert_int_eq(torc_event_wait(&event), -ETIME);
}

TEST_IN_FIBER(in_a_cancelled_scope_only_what_is_there)
{
	struct torc_event event = { 0 };

	TORC_SCOPE(scope);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_event_wait(&event), -ECANCELED);
	torc_event_set(&event);
	ck_assert_int_eq(torc_event_wait(&event), 0);
}

TEST_IN_FIBER(set_then_cancelled_is_a_success)
{
	struct torc_event event = { 0 };
	struct waits waits = { .event = &event, .result = UNSET };

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, wait_for_it, &waits), 0);
	torc_yield();
	torc_event_set(&event);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(waits.result, 0);
}

TEST_IN_FIBER(cancelled_then_set_is_not)
{
	struct torc_event event = { 0 };
	struct waits waits = { .event = &event, .result = UNSET };

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, wait_for_it, &waits), 0);
	torc_yield();
	torc_scope_cancel(scope);
	torc_event_set(&event);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	ck_assert_int_eq(waits.result, -ECANCELED);
}

DEATH(outside_a_fiber, "torc_event_wait: called outside a fiber")
{
	struct torc_event event = { 0 };

	ck_assert_int_eq(torc_event_wait(&event), 0);
}

static struct torc_event shared;

static int set_shared(void *arg)
{
	(void)arg;
	torc_event_set(&shared);
	return 0;
}

static int wait_on_core_0(void *arg)
{
	struct waits waits = { .event = &shared };

	(void)arg;
	if (torc_core() != 0)
		return 0;
	TORC_SCOPE(scope);
	if (torc_go(scope, wait_for_it, &waits) < 0)
		return -ENOMEM;
	torc_yield();
	return torc_on(1, set_shared, NULL);
}

DEATH(on_another_core, "torc_event_set: the object is in use on another core")
{
	ck_assert_int_eq(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), wait_on_core_0, NULL), 0);
}
