/* torc_once - one run, the others wait; a run that fails is tried again by the next. */
#include "sync.h"

static int runs, ended;

struct
try {
	struct torc_once *once;
	int value; /* what its run returns */
};

static int slowly(void *arg)
{
	int r;

	runs++;
	r = torc_sleep(SOON);
	ended++;
	return r < 0 ? r : ((struct try *)arg)->value;
}

static int at_once(void *arg)
{
	runs++;
	return ((struct try *)arg)->value;
}

static int try_it(void *arg)
{
	struct try *try = arg;

	return torc_once_run(try->once, slowly, try);
}

TEST_IN_FIBER(one_runs_and_all_have_its_result)
{
	struct torc_once once = { 0 };
	struct try tries[3] = { { &once, 7 }, { &once, 8 }, { &once, 9 } };
	struct caller callers[3];

	TORC_SCOPE(scope);
	for (int i = 0; i < 3; i++)
		start_call(scope, &callers[i], try_it, &tries[i]);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(runs, 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(callers[i].result, 7);
	ck_assert_int_eq(torc_once_run(&once, at_once, &tries[1]), 7);
	ck_assert_int_eq(call_cancelled(try_it, &tries[1]), 7);
	ck_assert_int_eq(runs, 1);
}

static torc_fiber_ second;

static int wait_for_first(void *arg)
{
	second = *torc_running_;
	return try_it(arg);
}

static int run_and_forget(void *arg)
{
	struct try *try = arg;
	int r = try_it(try);

	*try->once = (struct torc_once){ .runner_ = second };
	return r;
}

/* When the run is over all have been let go: the memory may be something else before they run. */
TEST_IN_FIBER(it_may_be_forgotten_when_the_run_is_over)
{
	struct torc_once once = { 0 };
	struct try tries[2] = { { &once, 7 }, { &once, 8 } };
	struct caller callers[2];

	TORC_SCOPE(scope);
	start_call(scope, &callers[0], run_and_forget, &tries[0]);
	start_call(scope, &callers[1], wait_for_first, &tries[1]);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(callers[0].result, 7);
	ck_assert_int_eq(callers[1].result, 7);
	ck_assert_int_eq(runs, 1);
}

TEST_IN_FIBER(a_failure_is_tried_again)
{
	struct torc_once once = { 0 };
	struct try tries[3] = { { &once, -EIO }, { &once, -ENOENT }, { &once, 9 } };
	struct caller callers[3];

	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	for (int i = 0; i < 3; i++)
		start_call(scope, &callers[i], try_it, &tries[i]);
	ck_assert_int_eq(torc_scope_join(scope), -EIO);
	ck_assert_int_eq(runs, 3);
	ck_assert_int_eq(callers[0].result, -EIO);
	ck_assert_int_eq(callers[1].result, -ENOENT);
	ck_assert_int_eq(callers[2].result, 9);
	ck_assert_int_eq(torc_once_run(&once, at_once, &tries[0]), 9);
}

TEST_IN_FIBER(a_cancelled_run_is_taken_over)
{
	struct torc_once once = { 0 };
	struct try tries[2] = { { &once, 1 }, { &once, 2 } };
	struct caller callers[2];

	TORC_SCOPE(scope);
	TORC_SCOPE(inner);
	start_call(inner, &callers[0], try_it, &tries[0]);
	start_call(scope, &callers[1], try_it, &tries[1]);
	torc_scope_cancel(inner);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(torc_scope_join(inner), -ECANCELED);
	ck_assert_int_eq(callers[1].result, 2);
	ck_assert_int_eq(ended, 2);
}

TEST_IN_FIBER(a_cancelled_waiter_goes)
{
	struct torc_once once = { 0 };
	struct try try = { &once, 1 }, short_try = { &once, 2 };
	struct caller runner, waiter;

	TORC_SCOPE(scope);
	TORC_SCOPE(inner);
	start_call(scope, &runner, try_it, &try);
	start_call(inner, &waiter, try_it, &short_try);
	torc_scope_cancel(inner);
	ck_assert_int_eq(torc_scope_join(inner), -ECANCELED);
	ck_assert_int_eq(waiter.result, -ECANCELED);
	ck_assert_int_eq(call_cancelled(try_it, &short_try), -ECANCELED);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(runner.result, 1);
	ck_assert_int_eq(runs, 1);
}

TEST_IN_FIBER(the_last_run_fails_and_nobody_waits)
{
	struct torc_once once = { 0 };
	struct try try = { &once, -EIO };

	ck_assert_int_eq(torc_once_run(&once, at_once, &try), -EIO);
	try.value = 0;
	ck_assert_int_eq(torc_once_run(&once, at_once, &try), 0);
	try.value = 5;
	ck_assert_int_eq(torc_once_run(&once, at_once, &try), 0);
}

static int in_itself(void *arg)
{
	return torc_once_run(arg, in_itself, arg);
}

DEATH_IN_FIBER(inside_itself, "torc_once_run: called in the very function")
{
	struct torc_once once = { 0 };

	ck_assert_int_eq(torc_once_run(&once, in_itself, &once), 0);
}
