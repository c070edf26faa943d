/* local - variables of fibers: one each, destroyed in order at the fiber's end, before anybody hears of it. */
#include "api.h"

static char trace[256];

static void note(const char *word)
{
	strncat(trace, word, sizeof trace - strlen(trace) - 1);
}

static void note_value(void *value)
{
	note(value);
}

static const struct torc_local a = { note_value }, b = { note_value }, c = { note_value };
static const struct torc_local plain = { NULL }, heap = { free };

TEST_IN_FIBER(what_was_not_set_is_null)
{
	ck_assert_ptr_null(torc_local_get(&a));
	ck_assert_int_eq(torc_local_set(&a, NULL), 0);
	ck_assert_ptr_null(torc_local_get(&a));
}

TEST_IN_FIBER(what_was_set_is_there)
{
	int one, two;

	ck_assert_int_eq(torc_local_set(&plain, &one), 0);
	ck_assert_ptr_eq(torc_local_get(&plain), &one);
	torc_yield();
	ck_assert_ptr_eq(torc_local_get(&plain), &one);
	ck_assert_int_eq(torc_local_set(&plain, &two), 0);
	ck_assert_ptr_eq(torc_local_get(&plain), &two);
	ck_assert_int_eq(torc_local_set(&plain, NULL), 0);
	ck_assert_ptr_null(torc_local_get(&plain));
}

static int mine(void *arg)
{
	ck_assert_ptr_null(torc_local_get(&plain));
	ck_assert_int_eq(torc_local_set(&plain, arg), 0);
	for (int i = 0; i < 10; i++) {
		torc_yield();
		ck_assert_ptr_eq(torc_local_get(&plain), arg);
	}
	return 0;
}

TEST_IN_FIBER(each_fiber_has_its_own)
{
	int values[100];

	ck_assert_int_eq(torc_local_set(&plain, values), 0);
	for (int round = 0; round < 2; round++) { /* on stacks of others, too */
		TORC_SCOPE(scope);
		for (int i = 0; i < 100; i++)
			ck_assert_int_eq(torc_go(scope, mine, &values[i]), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	ck_assert_ptr_eq(torc_local_get(&plain), values);
}

static int set_three(void *arg)
{
	ck_assert_int_eq(torc_local_set(&a, "a"), 0);
	ck_assert_int_eq(torc_local_set(&b, "b"), 0);
	ck_assert_int_eq(torc_local_set(&c, "c"), 0);
	ck_assert_int_eq(torc_local_set(&plain, "nobody destroys it"), 0);
	ck_assert_int_eq(torc_local_set(&a, "A"), 0); /* keeps its place */
	note("end ");
	return *(int *)arg;
}

static const char *trace_of(torc_fn *fn, int result)
{
	trace[0] = 0;
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	ck_assert_int_eq(torc_go(scope, fn, &result), 0);
	ck_assert_int_eq(torc_scope_join(scope), result < 0 ? result : 0);
	return trace;
}

TEST_IN_FIBER(they_are_destroyed_in_the_opposite_order)
{
	ck_assert_str_eq(trace_of(set_three, 0), "end cbA");
	ck_assert_str_eq(trace_of(set_three, -EIO), "end cbA"); /* failed or not */
}

static int unset_one(void *arg)
{
	int r = set_three(arg);

	ck_assert_int_eq(torc_local_set(&b, NULL), 0);
	ck_assert_ptr_eq(torc_local_get(&c), "c");
	return r;
}

static int set_again(void *arg)
{
	int r = unset_one(arg);

	ck_assert_int_eq(torc_local_set(&b, "B"), 0); /* after c now */
	return r;
}

TEST_IN_FIBER(what_was_unset_is_not_destroyed)
{
	ck_assert_str_eq(trace_of(unset_one, 0), "end cA");
	ck_assert_str_eq(trace_of(set_again, 0), "end BcA");
}

static int many(void *arg)
{
	enum { MANY = 200 };
	static struct torc_local locals[MANY];
	int values[MANY];

	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(torc_local_set(&locals[i], &values[i]), 0);
		for (int j = 0; j < MANY; j += 7)
			ck_assert_ptr_eq(torc_local_get(&locals[j]), j <= i ? &values[j] : NULL);
	}
	for (int i = 0; i < MANY; i += 2)
		ck_assert_int_eq(torc_local_set(&locals[i], NULL), 0);
	for (int i = 0; i < MANY; i++)
		ck_assert_ptr_eq(torc_local_get(&locals[i]), i % 2 ? &values[i] : NULL);
	return *(int *)arg;
}

TEST_IN_FIBER(there_may_be_many)
{
	ck_assert_str_eq(trace_of(many, 0), "");
}

static int give_to_the_heap(void *arg)
{
	ck_assert_int_eq(torc_local_set(&heap, strdup("freed at the end")), 0);
	return torc_sleep(FOREVER) + *(int *)arg;
}

TEST_IN_FIBER(a_cancelled_fiber_leaves_nothing_behind)
{
	int zero = 0;

	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(torc_go(scope, give_to_the_heap, &zero), 0);
	torc_yield();
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
}

/* --- in destroy functions ------------------------------------------------------------------- */

static void park(void *value)
{
	note("[");
	ck_assert_int_eq(torc_sleep(SOON), *(int *)value < 0 ? -ECANCELED : 0);
	note("]");
}

static const struct torc_local parks = { park };

static int park_at_the_end(void *arg)
{
	ck_assert_int_eq(torc_local_set(&a, "a"), 0);
	ck_assert_int_eq(torc_local_set(&parks, arg), 0);
	ck_assert_int_eq(torc_local_set(&b, "b"), 0);
	return 0;
}

TEST_IN_FIBER(they_may_park_and_who_joins_waits_for_them)
{
	int result = 0;

	ck_assert_str_eq(trace_of(park_at_the_end, 0), "b[]a");
	trace[0] = 0;
	TORC_SCOPE(scope);
	result = -1;
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_go(scope, park_at_the_end, &result), -ECANCELED);
	{
		TORC_SCOPE(inner, .shield = true);
		ck_assert_int_eq(torc_go(inner, park_at_the_end, &result), 0);
		torc_scope_cancel(inner);
		ck_assert_int_eq(torc_scope_join(inner), 0);
	}
	ck_assert_str_eq(trace, "b[]a");
}

static void look_around(void *value)
{
	note(torc_local_get(&a) ? "a" : "-");
	note(torc_local_get(&b) ? "b" : "-");
	note(torc_local_get(&c) ? "c" : "-");
	ck_assert_int_eq(torc_local_set(&c, value), -ESHUTDOWN);
	ck_assert_int_eq(torc_local_set(&a, value), -ESHUTDOWN);
	ck_assert_int_eq(torc_local_set(&c, NULL), 0);
}

static const struct torc_local curious = { look_around };

static int look_around_at_the_end(void *arg)
{
	ck_assert_int_eq(torc_local_set(&a, " A"), 0);
	ck_assert_int_eq(torc_local_set(&curious, arg), 0);
	ck_assert_int_eq(torc_local_set(&c, "C "), 0);
	return 0;
}

TEST_IN_FIBER(they_read_but_do_not_set)
{
	ck_assert_str_eq(trace_of(look_around_at_the_end, 0), "C a-- A");
}

static void forget(void *value)
{
	note(value);
	ck_assert_int_eq(torc_local_set(&a, NULL), 0);
}

static const struct torc_local forgets = { forget };

static int forget_at_the_end(void *arg)
{
	ck_assert_int_eq(torc_local_set(&a, "a"), 0);
	ck_assert_int_eq(torc_local_set(&forgets, "f"), 0);
	return *(int *)arg;
}

TEST_IN_FIBER(they_may_unset_others)
{
	ck_assert_str_eq(trace_of(forget_at_the_end, 0), "f");
}

static struct torc_scope left_open;

static void open_a_scope(void *value)
{
	(void)value;
	torc_scope_open(&left_open, NULL);
}

static const struct torc_local opens = { open_a_scope };

DEATH_IN_FIBER(they_may_not_leave_a_scope_open, "returned with a scope still open")
{
	ck_assert_int_eq(torc_local_set(&opens, "x"), 0);
}

/* --- everywhere ------------------------------------------------------------------------------- */

TEST_IN_FIBER(the_root_fiber_has_some_too)
{
	ck_assert_int_eq(torc_local_set(&heap, strdup("freed with the run")), 0);
}

static int on_the_other_core(void *arg)
{
	(void)arg;
	ck_assert_ptr_null(torc_local_get(&a));
	ck_assert_int_eq(torc_local_set(&a, "there "), 0);
	return 0;
}

static int call_there(void *arg)
{
	(void)arg;
	if (torc_core() != 0)
		return 0;
	ck_assert_int_eq(torc_local_set(&a, "here"), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(torc_on(1, on_the_other_core, NULL), 0);
	ck_assert_str_eq(trace, "there there there "); /* before the call returned */
	return 0;
}

TEST(a_call_on_another_core_has_its_own)
{
	trace[0] = 0;
	ck_assert_int_eq(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), call_there, NULL), 0);
	ck_assert_str_eq(trace, "there there there here");
}

static int answer(void *arg)
{
	*(int *)arg = 1;
	return 0;
}

static void call_late(void *value)
{
	ck_assert_int_eq(torc_sleep(SOON), 0); /* the other core has nothing to do but to serve */
	ck_assert_int_eq(torc_on(1, answer, value), 0);
}

static const struct torc_local late = { call_late };

static int set_late(void *arg)
{
	return torc_core() == 0 ? torc_local_set(&late, arg) : 0;
}

TEST(those_of_the_first_fiber_end_before_the_cores_do)
{
	int answered = 0;

	ck_assert_int_eq(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), set_late, &answered), 0);
	ck_assert_int_eq(answered, 1);
}

struct posted {
	char text[8];
};

static int receive(void *arg)
{
	struct posted *posted = arg;

	return torc_local_set(&a, posted->text); /* which is still there when it is destroyed */
}

static int post(void *arg)
{
	struct posted posted = { "posted" };

	(void)arg;
	return torc_post(torc_core(), receive, posted);
}

TEST(what_was_posted_outlives_them)
{
	trace[0] = 0;
	ck_assert_int_eq(torc_run(NULL, post, NULL), 0);
	ck_assert_str_eq(trace, "posted");
}

static struct block {
	struct block *next;
} * blocks;

static int set_without_memory(void *arg)
{
	static struct torc_local others[64];
	int r = 0, set = 0;

	ck_assert_int_eq(torc_local_set(&a, "a"), 0);
	for (size_t size = 1 << 20; size >= sizeof *blocks; size /= 2)
		for (struct block *block; (block = malloc(size));) {
			block->next = blocks;
			blocks = block;
		}
	while (set < 64 && (r = torc_local_set(&others[set], arg)) == 0)
		set++;
	while (blocks) {
		struct block *next = blocks->next;

		free(blocks);
		blocks = next;
	}
	ck_assert_int_eq(r, -ENOMEM);
	for (int i = 0; i < 64; i++)
		ck_assert_ptr_eq(torc_local_get(&others[i]), i < set ? arg : NULL);
	ck_assert_ptr_eq(torc_local_get(&a), "a");
	ck_assert_int_eq(torc_local_set(&others[set], arg), 0); /* there is some again */
	return 0;
}

TEST(without_memory_nothing_changes)
{
	struct rlimit old;

	if (harness_slow())
		SKIP("shadow memory does not fit a lowered RLIMIT_AS");
	ck_assert_int_eq(getrlimit(RLIMIT_AS, &old), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &(struct rlimit){ 256u << 20, old.rlim_max }), 0);
	trace[0] = 0;
	ck_assert_int_eq(torc_run(NULL, set_without_memory, &old), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &old), 0);
	ck_assert_str_eq(trace, "a");
}

DEATH(outside_a_fiber_nobody_has_any, "torc_local_get: called outside a fiber")
{
	torc_local_get(&a);
}

DEATH(outside_a_fiber_none_is_set, "torc_local_set: called outside a fiber")
{
	if (torc_local_set(&a, "a") == 0)
		abort();
}
