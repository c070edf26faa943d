/* value - what a scope says, everything inside inherits; the innermost word counts. */
#include "api.h"

static const struct torc_key request = { "request" }, budget = { "budget" };

TEST_IN_FIBER(what_nobody_said_is_null)
{
	ck_assert_ptr_null(torc_value_get(&request));
	TORC_SCOPE(scope);
	ck_assert_ptr_null(torc_value_get(&request));
}

TEST_IN_FIBER(it_holds_from_when_it_is_set_until_the_scope_is_left)
{
	int one = 1;

	{
		struct torc_value value;

		TORC_SCOPE(scope);
		torc_value_set(scope, &value, &request, &one);
		ck_assert_ptr_eq(torc_value_get(&request), &one);
		ck_assert_ptr_null(torc_value_get(&budget));
		torc_scope_cancel(scope);
		ck_assert_ptr_eq(torc_value_get(&request), &one); /* for clean-up as well */
	}
	ck_assert_ptr_null(torc_value_get(&request));
}

TEST_IN_FIBER(the_innermost_word_counts)
{
	int one = 1, two = 2, three = 3;
	struct torc_value values[4];

	TORC_SCOPE(outer);
	torc_value_set(outer, &values[0], &request, &one);
	torc_value_set(outer, &values[1], &budget, &three);
	{
		TORC_SCOPE(inner, .shield = true); /* a shield keeps cancellation out, not this */
		ck_assert_ptr_eq(torc_value_get(&request), &one);
		torc_value_set(inner, &values[2], &request, &two);
		ck_assert_ptr_eq(torc_value_get(&request), &two);
		ck_assert_ptr_eq(torc_value_get(&budget), &three);
		torc_value_set(inner, &values[3], &budget, NULL); /* nothing, on purpose */
		ck_assert_ptr_null(torc_value_get(&budget));
	}
	ck_assert_ptr_eq(torc_value_get(&request), &one);
	ck_assert_ptr_eq(torc_value_get(&budget), &three);
}

TEST_IN_FIBER(a_second_one_in_the_same_scope_replaces_the_first)
{
	int one = 1, two = 2;
	struct torc_value values[2];

	TORC_SCOPE(scope);
	torc_value_set(scope, &values[0], &request, &one);
	torc_value_set(scope, &values[1], &request, &two);
	ck_assert_ptr_eq(torc_value_get(&request), &two);
}

TEST_IN_FIBER(an_outer_scope_may_be_told_when_inner_ones_are_open)
{
	int one = 1;
	struct torc_value value;

	TORC_SCOPE(outer);
	TORC_SCOPE(inner);
	torc_value_set(outer, &value, &request, &one);
	ck_assert_ptr_eq(torc_value_get(&request), &one);
}

/* --- inherited -------------------------------------------------------------------------------- */

struct seen {
	int *request;
	int levels;
};

static int see(void *arg)
{
	struct seen *seen = arg;

	seen->request = torc_value_get(&request);
	return 0;
}

static int see_below(void *arg)
{
	struct seen *seen = arg;

	if (seen->levels-- == 0)
		return see(seen);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, see_below, seen), 0);
	return torc_scope_join(scope);
}

TEST_IN_FIBER(children_and_theirs_inherit)
{
	for (int levels = 0; levels < 50; levels += 7) {
		struct seen seen = { NULL, levels };
		struct torc_value value;
		int one = 1;

		TORC_SCOPE(scope);
		torc_value_set(scope, &value, &request, &one);
		ck_assert_int_eq(torc_go(scope, see_below, &seen), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_ptr_eq(seen.request, &one);
	}
}

struct elsewhere {
	struct torc_scope *scope;
	struct seen seen;
};

/* Has a value of its own, and spawns into a scope of its parent's. */
static int spawn_elsewhere(void *arg)
{
	struct elsewhere *elsewhere = arg;
	struct torc_value value;
	int two = 2;

	TORC_SCOPE(own);
	torc_value_set(own, &value, &request, &two);
	return torc_go(elsewhere->scope, see, &elsewhere->seen);
}

TEST_IN_FIBER(the_scope_counts_and_not_who_spawned)
{
	struct elsewhere elsewhere = { 0 };
	struct torc_value value;
	int one = 1;

	TORC_SCOPE(scope);
	torc_value_set(scope, &value, &request, &one);
	elsewhere.scope = scope;
	ck_assert_int_eq(torc_go(scope, spawn_elsewhere, &elsewhere), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_ptr_eq(elsewhere.seen.request, &one);
}

static int serve_one(void *arg)
{
	int *number = arg;
	struct torc_value value;

	TORC_SCOPE(scope);
	torc_value_set(scope, &value, &request, number);
	for (int i = 0; i < 20; i++) {
		struct seen seen = { NULL, i % 3 };

		ck_assert_int_eq(torc_go(scope, see_below, &seen), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_ptr_eq(seen.request, number);
	}
	return 0;
}

TEST_IN_FIBER(requests_side_by_side_do_not_mix)
{
	int numbers[50];

	TORC_SCOPE(scope);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(torc_go(scope, serve_one, &numbers[i]), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

static int call_others(void *arg)
{
	struct seen seen = { arg, 0 };
	struct torc_value value;
	int one = 1;

	if (torc_core() != 0)
		return 0;
	TORC_SCOPE(scope);
	torc_value_set(scope, &value, &request, &one);
	for (unsigned core = 0; core < 2; core++) {
		seen.request = arg;
		ck_assert_int_eq(torc_on(core, see, &seen), 0);
		ck_assert_ptr_null(seen.request);
	}
	return 0;
}

TEST(a_call_on_a_core_does_not_inherit_not_even_on_the_same)
{
	int other;

	ck_assert_int_eq(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), call_others, &other), 0);
}

/* --- misuse ----------------------------------------------------------------------------------- */

static int set_in_anothers(void *arg)
{
	struct torc_value value;

	torc_value_set(arg, &value, &request, arg);
	return 0;
}

DEATH_IN_FIBER(in_anothers_scope, "torc_value_set: only the fiber that opened a scope may set its values")
{
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, set_in_anothers, scope), 0);
	(void)!torc_scope_join(scope);
}

DEATH_IN_FIBER(one_record_for_two_values, "torc_value_set: the record is in use")
{
	struct torc_value value;

	TORC_SCOPE(scope);
	torc_value_set(scope, &value, &request, &value);
	torc_value_set(scope, &value, &budget, &value);
}

DEATH_IN_FIBER(in_a_scope_that_was_left, "torc_value_set: the scope is not open")
{
	struct torc_scope scope, *handle = torc_scope_open(&scope, NULL);
	struct torc_value value;

	torc_scope_leave(&handle);
	torc_value_set(handle, &value, &request, &value);
}

DEATH(outside_a_fiber_nobody_says_anything, "torc_value_get: called outside a fiber")
{
	torc_value_get(&request);
}
