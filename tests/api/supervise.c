/* supervise - its edges, through torc.h: order, cancellation, trees, refusals. What it decides when is compared with a model
 * in kit/supervise. */
#include "api.h"

static char trace[512];

static void note(const char *word)
{
	strncat(trace, word, sizeof trace - strlen(trace) - 1);
}

/* Runs until it is stopped; says so in small letters, after some clean-up in capitals. */
static int serve(void *arg)
{
	const char *name = arg;
	int r;

	note((char[]){ name[0], 0 });
	r = torc_sleep(FOREVER);
	note((char[]){ '-', name[0], 0 });
	{
		TORC_SCOPE(shield, .shield = true);
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	}
	note((char[]){ name[1], 0 });
	return r;
}

static int crash(void *arg)
{
	(void)arg;
	return -EIO;
}

static int succeed(void *arg)
{
	(void)arg;
	return 7;
}

struct crew {
	struct torc_child *children;
	unsigned count;
	const struct torc_supervise_options *options;
	int got;
};

static int supervise(void *arg)
{
	struct crew *crew = arg;

	crew->got = UNSET;
	crew->got = torc_supervise(crew->children, crew->count, crew->options);
	return crew->got;
}

/* --- what is refused -------------------------------------------------------------------------- */

TEST_IN_FIBER(options_out_of_range)
{
	struct torc_child child = { .fn = succeed, .restart = TORC_TEMPORARY };
	struct torc_supervise_options wrong[] = {
		{ .strategy = (enum torc_strategy)3 },
		{ .strategy = (enum torc_strategy) - 1 },
		{ .restarts = TORC_RESTARTS_MOST + 1 },
		{ .restarts = UINT_MAX - 1 },
		{ .window = -1 },
		{ .backoff = -1 },
		{ .backoff_most = INT64_MIN },
		{ .jitter = 101 },
		{ .stop_limit = -1 },
	};

	for (size_t i = 0; i < LENGTH(wrong); i++) {
		wrong[i].size = sizeof *wrong;
		ck_assert_int_eq(torc_supervise(&child, 1, &wrong[i]), -EINVAL);
	}
	ck_assert_uint_eq(child.starts, 0);
}

TEST_IN_FIBER(children_out_of_range)
{
	struct torc_child children[2] = { { .fn = succeed, .restart = TORC_TEMPORARY } };

	ck_assert_int_eq(torc_supervise(children, 2, NULL), -EINVAL); /* no function */
	children[1] = (struct torc_child){ .fn = succeed, .restart = (enum torc_restart)3 };
	ck_assert_int_eq(torc_supervise(children, 2, NULL), -EINVAL);
	ck_assert_uint_eq(children[0].starts, 0); /* all or nothing */
	ck_assert_int_eq(children[0].state, TORC_CHILD_IDLE);
}

TEST_IN_FIBER(nobody_to_run)
{
	ck_assert_int_eq(torc_supervise(NULL, 0, NULL), 0);
}

DEATH(outside_a_fiber_there_is_no_supervision, "called outside a fiber")
{
	struct torc_child child = { .fn = succeed };

	if (torc_supervise(&child, 1, NULL) == 0)
		abort();
}

/* --- ends ------------------------------------------------------------------------------------- */

TEST_IN_FIBER(each_kind_has_its_own_end)
{
	struct {
		enum torc_restart restart;
		torc_fn *fn;
		int outcome, result;
		unsigned starts;
	} cases[] = {
		{ TORC_TEMPORARY, succeed, 0, 7, 1 },       { TORC_TEMPORARY, crash, 0, -EIO, 1 },
		{ TORC_TRANSIENT, succeed, 0, 7, 1 },       { TORC_TRANSIENT, crash, -EIO, -EIO, 4 },
		{ TORC_PERMANENT, succeed, -ECHILD, 7, 4 }, { TORC_PERMANENT, crash, -EIO, -EIO, 4 },
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct torc_child child = { .fn = cases[i].fn, .restart = cases[i].restart };

		for (int twice = 0; twice < 2; twice++) { /* an array may be used again */
			ck_assert_int_eq(torc_supervise(&child, 1, NULL), cases[i].outcome);
			ck_assert_uint_eq(child.starts, cases[i].starts);
			ck_assert_uint_eq(child.restarts, cases[i].starts - 1);
			ck_assert_int_eq(child.result, cases[i].result);
			ck_assert_int_eq(child.state, TORC_CHILD_IDLE);
		}
	}
}

TEST_IN_FIBER(one_that_gives_up_stops_the_others_the_last_one_first)
{
	struct torc_child children[] = {
		{ .fn = serve, .arg = "aA" },
		{ .fn = serve, .arg = "bB" },
		{ .fn = crash },
		{ .fn = serve, .arg = "cC" },
	};

	ck_assert_int_eq(torc_supervise(children, 4, NULL), -EIO);
	ck_assert_str_eq(trace, "abc-cC-bB-aA");
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(children[i].result, i == 2 ? -EIO : -ECANCELED);
}

TEST_IN_FIBER(one_for_all_and_rest_for_one)
{
	for (int rest = 0; rest < 2; rest++) {
		struct torc_child children[] = {
			{ .fn = serve, .arg = "aA" },
			{ .fn = crash, .restart = TORC_TRANSIENT },
			{ .fn = serve, .arg = "cC" },
			{ .fn = serve, .arg = "dD", .restart = TORC_TEMPORARY },
		};

		trace[0] = 0;
		ck_assert_int_eq(torc_supervise(children, 4,
		                                TORC_OPTIONS(torc_supervise_options, .restarts = 1,
		                                             .strategy = rest ? TORC_REST_FOR_ONE : TORC_ONE_FOR_ALL)),
		                 -EIO);
		ck_assert_str_eq(trace, rest ? "acd-dD-cCc-cC-aA" : "acd-dD-cC-aAac-cC-aA");
		ck_assert_uint_eq(children[3].starts, 1); /* temporary: not again */
	}
}

/* --- cancellation ----------------------------------------------------------------------------- */

TEST_IN_FIBER(in_a_cancelled_scope_nobody_starts)
{
	struct torc_child child = { .fn = serve, .arg = "aA" };

	TORC_SCOPE(scope, .deadline = torc_in(-1));
	ck_assert_int_eq(torc_supervise(&child, 1, NULL), -ETIME);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_supervise(&child, 1, NULL), -ECANCELED);
	ck_assert_uint_eq(child.starts, 0);
	ck_assert_int_eq(child.state, TORC_CHILD_IDLE);
}

TEST_IN_FIBER(cancelled_it_stops_them_in_order)
{
	for (int by_deadline = 0; by_deadline < 2; by_deadline++) {
		struct torc_child children[] = { { .fn = serve, .arg = "aA" },
			                         { .fn = serve, .arg = "bB" },
			                         { .fn = serve, .arg = "cC" } };
		struct crew crew = { children, 3, NULL, 0 };

		trace[0] = 0;
		TORC_SCOPE(scope, .deadline = by_deadline ? torc_in(SOON) : 0);
		ck_assert_int_eq(torc_go(scope, supervise, &crew), 0);
		while (strlen(trace) < 3 && torc_scope_status(scope) == 0) /* ends: by the deadline at the latest */
			torc_yield();
		if (!by_deadline) {
			for (int i = 0; i < 3; i++)
				ck_assert_int_eq(children[i].state, TORC_CHILD_RUNNING);
			torc_scope_cancel(scope);
		}
		ck_assert_int_eq(torc_scope_join(scope), by_deadline ? -ETIME : -ECANCELED);
		ck_assert_int_eq(crew.got, by_deadline ? -ETIME : -ECANCELED);
		ck_assert_str_eq(trace, "abc-cC-bB-aA");
	}
}

static void cancelled_in_a_pause_of(torc_ns pause)
{
	struct torc_child children[] = { { .fn = crash }, { .fn = serve, .arg = "bB" } };
	struct crew crew = { children, 2, TORC_OPTIONS(torc_supervise_options, .backoff = pause, .backoff_most = pause),
		             0 };

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, supervise, &crew), 0);
	while (children[0].state != TORC_CHILD_WAITING || children[0].starts == 0) /* ends: it fails at once */
		torc_yield();
	ck_assert_uint_eq(children[0].starts, 1);
	ck_assert_uint_eq(children[0].restarts, 1);
	for (int i = 0; i < 10; i++)
		torc_yield();
	ck_assert_uint_eq(children[0].starts, 1);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	ck_assert_str_eq(trace, "b-bB");
	ck_assert_int_eq(children[0].state, TORC_CHILD_IDLE);
	ck_assert_int_eq(stats_now().timers, 0);
}

TEST_IN_FIBER(cancelled_while_one_waits_for_its_next_start)
{
	cancelled_in_a_pause_of(FOREVER);
}

TEST_IN_FIBER(cancelled_while_one_waits_for_the_end_of_all_time)
{
	cancelled_in_a_pause_of(INT64_MAX);
}

static int cancel_it(void *arg)
{
	torc_scope_cancel(arg);
	return torc_sleep(FOREVER);
}

TEST_IN_FIBER(a_child_may_cancel_the_scope_around)
{
	TORC_SCOPE(scope);
	struct torc_child children[] = { { .fn = serve, .arg = "aA" }, { .fn = cancel_it, .arg = scope } };

	ck_assert_int_eq(torc_supervise(children, 2, NULL), -ECANCELED);
	ck_assert_str_eq(trace, "a-aA");
}

/* Deaf until somebody lets it go. */
static int be_deaf(void *arg)
{
	struct torc_timer *released = arg;

	note("d");
	torc_timer_set(released, 0);
	{
		TORC_SCOPE(shield, .shield = true);
		ck_assert_int_eq(torc_timer_wait(released), 0);
	}
	note("D");
	return 0;
}

static int release_when_stopped(void *arg)
{
	int r = serve("rR");

	torc_timer_set(arg, 1);
	return r;
}

TEST_IN_FIBER(one_that_takes_too_long_is_not_waited_for_at_once)
{
	struct torc_timer released = { 0 };
	struct torc_child children[] = {
		{ .fn = release_when_stopped, .arg = &released }, /* told second, and without it the first never ends */
		{ .fn = be_deaf, .arg = &released },
		{ .fn = crash, .restart = TORC_PERMANENT },
	};

	ck_assert_int_eq(torc_supervise(children, 3,
	                                TORC_OPTIONS(torc_supervise_options, .restarts = 1,
	                                             .strategy = TORC_ONE_FOR_ALL, .stop_limit = TORC_MS)),
	                 -EIO);
	ck_assert_str_eq(trace, "rd-rRDrd-rRD");
	ck_assert_int_eq(children[1].result, 0);
}

/* --- trees ------------------------------------------------------------------------------------ */

struct branch {
	struct torc_child children[3];
	unsigned count;
};

static int be_a_branch(void *arg)
{
	struct branch *branch = arg;

	return torc_supervise(branch->children, branch->count, TORC_OPTIONS(torc_supervise_options, .restarts = 1));
}

TEST_IN_FIBER(a_branch_that_fails_is_a_child_that_fails)
{
	struct branch branch = { { { .fn = serve, .arg = "aA" }, { .fn = crash } }, 2 };
	struct torc_child children[] = { { .fn = serve, .arg = "xX" },
		                         { .fn = be_a_branch, .arg = &branch, .restart = TORC_TRANSIENT } };

	ck_assert_int_eq(torc_supervise(children, 2, TORC_OPTIONS(torc_supervise_options, .restarts = 2)), -EIO);
	ck_assert_str_eq(trace, "xa-aAa-aAa-aA-xX"); /* three times two failures */
	ck_assert_uint_eq(children[1].starts, 3);
	ck_assert_int_eq(children[1].result, -EIO);
}

TEST_IN_FIBER(stopping_goes_down_the_tree_in_order)
{
	struct branch twigs = { { { .fn = serve, .arg = "cC" }, { .fn = serve, .arg = "dD" } }, 2 };
	struct branch branch = {
		{ { .fn = serve, .arg = "bB" }, { .fn = be_a_branch, .arg = &twigs }, { .fn = serve, .arg = "eE" } }, 3
	};
	struct torc_child children[] = { { .fn = serve, .arg = "aA" },
		                         { .fn = be_a_branch, .arg = &branch },
		                         { .fn = serve, .arg = "fF" } };
	struct crew crew = { children, 3, NULL, 0 };

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, supervise, &crew), 0);
	while (strlen(trace) < 6) /* ends: all are started */
		torc_yield();
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	ck_assert_str_eq(trace + 6, "-fF-eE-dD-cC-bB-aA");
}

/* --- what a child finds ----------------------------------------------------------------------- */

static const struct torc_key key = { "key" };

static int look_around(void *arg)
{
	ck_assert_str_eq(torc_fiber_name(), arg ? (const char *)arg : "a supervised child");
	ck_assert_ptr_eq(torc_value_get(&key), &key);
	ck_assert_int_eq(torc_scope_status(NULL), 0);
	ck_assert_int_eq(torc_scope_deadline(NULL), 0); /* its supervisor has one, and sees to it */
	return 0;
}

TEST_IN_FIBER(a_child_has_a_name_and_inherits_values)
{
	struct torc_child children[] = { { .fn = look_around, .restart = TORC_TRANSIENT },
		                         { .fn = look_around, .restart = TORC_TRANSIENT, .arg = "n", .name = "n" } };
	struct torc_value value;

	TORC_SCOPE(scope, .deadline = torc_in(FOREVER));
	torc_value_set(scope, &value, &key, (void *)(uintptr_t)&key);
	ck_assert_int_eq(torc_supervise(children, 2, NULL), 0);
}

static int spawn_and_return(void *arg)
{
	struct child *child = arg;

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, child_run, child), 0);
	torc_yield();
	return -EIO; /* leaves the scope: the child's own child is cancelled */
}

TEST_IN_FIBER(what_a_child_spawned_has_ended_before_it_is_started_again)
{
	struct child grandchild = { FOREVER, 0, UNSET };
	struct torc_child child = { .fn = spawn_and_return, .arg = &grandchild };
	uint64_t fibers = stats_now().fibers;

	ck_assert_int_eq(torc_supervise(&child, 1, NULL), -EIO);
	ck_assert_int_eq(grandchild.got, -ECANCELED);
	ck_assert_uint_eq(stats_now().fibers, fibers);
}

TEST_IN_FIBER(many_children_and_several_supervisors)
{
	enum { CREWS = 10, EACH = 20 };
	static struct torc_child children[CREWS][EACH];
	struct torc_supervise_options options[CREWS];
	struct crew crews[CREWS];

	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	for (int i = 0; i < CREWS; i++) {
		for (int j = 0; j < EACH; j++)
			children[i][j] =
				(struct torc_child){ .fn = j % 2 ? crash : succeed, .restart = TORC_TRANSIENT };
		options[i] = *TORC_OPTIONS(torc_supervise_options, .restarts = TORC_RESTARTS_MOST, .window = FOREVER,
		                           .strategy = (enum torc_strategy)(i % 2 * 2));
		crews[i] = (struct crew){ children[i], EACH, &options[i], 0 };
		ck_assert_int_eq(torc_go(scope, supervise, &crews[i]), 0);
	}
	ck_assert_int_eq(torc_scope_join(scope), -EIO);
	for (int i = 0; i < CREWS; i++) {
		unsigned restarts = 0;

		for (int j = 0; j < EACH; j++)
			restarts += children[i][j].restarts;
		ck_assert_uint_eq(restarts, TORC_RESTARTS_MOST);
	}
}

static int fill_up_and_supervise(void *arg)
{
	struct child *children = arg;
	struct torc_child child = { .fn = succeed };
	int r = 0;

	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	for (int i = 0; i < 100000 && r == 0; i++) {
		children[i] = (struct child){ FOREVER, 0, UNSET };
		r = torc_go(scope, child_run, &children[i]);
	}
	ck_assert_int_eq(r, -ENOMEM);
	ck_assert_int_eq(torc_supervise(&child, 1, NULL), -ENOMEM);
	ck_assert_uint_eq(child.starts, 4);
	ck_assert_int_eq(child.result, -ENOMEM);
	return 0;
}

TEST(without_memory_a_child_fails_to_start)
{
	struct child *children = calloc(100001, sizeof *children);
	struct rlimit old;

	if (harness_slow())
		SKIP("shadow memory does not fit a lowered RLIMIT_AS");
	ck_assert_int_eq(getrlimit(RLIMIT_AS, &old), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &(struct rlimit){ 512u << 20, old.rlim_max }), 0);
	ck_assert_int_eq(
		torc_run(TORC_OPTIONS(torc_run_options, .stack_size = 1 << 20), fill_up_and_supervise, children), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &old), 0);
	free(children);
}
