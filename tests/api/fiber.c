/* fiber - names, where they show, and the roll of all fibers. */
#include "api.h"

TEST_IN_FIBER(the_root_fiber_has_a_name)
{
	ck_assert_str_eq(torc_fiber_name(), "the root fiber");
	torc_fiber_set_name("main");
	ck_assert_str_eq(torc_fiber_name(), "main");
	torc_yield();
	ck_assert_str_eq(torc_fiber_name(), "main");
	torc_fiber_set_name(NULL);
	ck_assert_str_eq(torc_fiber_name(), "the root fiber");
	torc_fiber_set_name("");
	ck_assert_str_eq(torc_fiber_name(), "");
}

static int name_itself(void *arg)
{
	ck_assert_ptr_nonnull(strstr(torc_fiber_name(), "name_itself at "));
	torc_fiber_set_name(arg);
	torc_yield();
	ck_assert_ptr_eq(torc_fiber_name(), arg);
	return torc_sleep(FOREVER);
}

TEST_IN_FIBER(each_has_its_own)
{
	char names[10][8];

	for (int round = 0; round < 2; round++) { /* on the stacks of others: their names are gone */
		TORC_SCOPE(scope, .until = TORC_ALL_DONE);
		for (int i = 0; i < 10; i++)
			ck_assert_int_eq(torc_go(scope, name_itself, names[i]), 0);
		ck_assert_int_eq(torc_sleep(SOON), 0);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	}
}

static char name_at_the_end[64];

static void say_name(void *value)
{
	(void)value;
	torc_yield();
	snprintf(name_at_the_end, sizeof name_at_the_end, "%s", torc_fiber_name());
}

static const struct torc_local says_name = { say_name };

static int call_itself_by_a_local(void *arg)
{
	char name[] = "in a frame";

	torc_fiber_set_name(name); /* until we return */
	return torc_local_set(&says_name, arg);
}

/* What its function called it may lie in the function's frame, and is not looked at when that is gone. */
TEST_IN_FIBER(the_name_ends_with_the_function)
{
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, call_itself_by_a_local, name_at_the_end), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_ptr_nonnull(strstr(name_at_the_end, "call_itself_by_a_local at "));
}

/* --- the roll --------------------------------------------------------------------------------- */

static char roll[4096];

static void write_down(const struct torc_fiber_info *info, void *arg)
{
	size_t len = strlen(roll);

	++*(int *)arg;
	ck_assert_uint_eq(info->size, sizeof *info);
	snprintf(roll + len, sizeof roll - len, "%u %s %s%s\n", info->depth, info->name ? info->name : "?",
	         info->running     ? "runs"
	         : info->waits_for ? info->waits_for
	                           : "ready",
	         strcmp(info->queue, "default") == 0 ? "" : info->queue);
}

static int call_the_roll(void)
{
	int count = 0;

	roll[0] = 0;
	torc_fiber_each(write_down, &count);
	ck_assert_uint_eq((unsigned)count, stats_now().fibers);
	return count;
}

static int nap(void *arg)
{
	torc_fiber_set_name(arg);
	return torc_sleep(FOREVER);
}

static int have_children(void *arg)
{
	torc_fiber_set_name(arg);
	TORC_SCOPE(outer);
	ck_assert_int_eq(torc_go(outer, nap, "outer one"), 0);
	TORC_SCOPE(inner);
	ck_assert_int_eq(torc_go(inner, nap, "inner one"), 0);
	ck_assert_int_eq(torc_go(inner, nap, "inner two"), 0);
	return torc_scope_join(inner);
}

TEST_IN_FIBER(all_are_on_it)
{
	torc_fiber_set_name("main");
	ck_assert_int_eq(call_the_roll(), 1);
	ck_assert_str_eq(roll, "0 main runs\n");
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	ck_assert_int_eq(torc_go(scope, nap, "first"), 0);
	ck_assert_int_eq(torc_go(scope, have_children, "parent"), 0);
	ck_assert_int_eq(torc_go(scope, nap, "last"), 0);
	ck_assert_int_eq(torc_sleep(SOON), 0);
	ck_assert_int_eq(torc_go(scope, nap, "new"), 0);
	ck_assert_int_eq(call_the_roll(), 8);
	ck_assert_str_eq(roll, "0 main runs\n"
	                       "1 first sleep\n"
	                       "1 parent children\n"
	                       "2 inner one sleep\n"
	                       "2 inner two sleep\n"
	                       "2 outer one sleep\n"
	                       "1 last sleep\n"
	                       "1 ? ready\n");
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	ck_assert_int_eq(call_the_roll(), 1);
}

static int go_deep(void *arg)
{
	if (--*(int *)arg == 0)
		return torc_sleep(FOREVER);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, go_deep, arg), 0);
	return torc_scope_join(scope);
}

/* Random trees: the roll has as many as there are, and each but the first is one deeper than its parent at most. */
static int grow_at_random(void *arg)
{
	unsigned *random = arg;
	TORC_SCOPE(outer);
	TORC_SCOPE(inner);

	int r = 0;

	for (int i = rand_r(random) % 4; r == 0 && i > 0 && stats_now().fibers < 300; i--)
		r = torc_go(rand_r(random) % 2 ? inner : outer, grow_at_random, random);
	ck_assert(r == 0 || r == -ECANCELED); /* some begin when all is over */
	return torc_sleep(FOREVER);
}

TEST_IN_FIBER(random_trees)
{
	for (unsigned seed = 1; seed <= (unsigned)COUNT(200, 20); seed++) {
		unsigned random = seed;

		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, grow_at_random, &random), 0);
		for (int i = 0; i < 10; i++) {
			torc_yield();
			call_the_roll(); /* asserts the number */
		}
	}
}

TEST_IN_FIBER(it_may_be_deeper_than_any_stack)
{
	int levels = COUNT(20000, 1000), count = levels + 1;

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, go_deep, &levels), 0);
	while (levels > 0) /* ends: one a round */
		torc_yield();
	ck_assert_int_eq(call_the_roll(), count);
}

static int print_all(void *arg)
{
	(void)arg;
	torc_fiber_set_name("main");
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, nap, "napper"), 0);
	torc_yield();
	torc_fiber_print_all();
	return 0;
}

static int run_print_all(void *arg)
{
	return torc_run(NULL, print_all, arg) < 0;
}

TEST(it_can_be_printed)
{
	struct outcome outcome;

	run_in_process(&outcome, run_print_all, NULL);
	assert_exit(&outcome, 0);
	ck_assert_msg(strstr(outcome.text, "torc: main (the root fiber): runs\n") != NULL, "%s", outcome.text);
	ck_assert_msg(strstr(outcome.text, "torc:   napper (nap at ") != NULL, "%s", outcome.text);
	ck_assert_msg(strstr(outcome.text, "): waits for sleep\n") != NULL, "%s", outcome.text);
}

static void yield_at(const struct torc_fiber_info *info, void *arg)
{
	(void)info, (void)arg;
	torc_yield();
}

DEATH_IN_FIBER(who_is_called_for_each_must_not_park, "torc_fiber_each: the function parked")
{
	struct child child = { .span = FOREVER };

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, child_run, &child), 0);
	torc_fiber_each(yield_at, NULL);
}

/* --- where names show ------------------------------------------------------------------------- */

static int wait_for_nobody(void *arg)
{
	struct torc_timer timer = { 0 };

	torc_fiber_set_name(arg);
	return torc_timer_wait(&timer);
}

DEATH_IN_FIBER(a_deadlock_says_who_waits_for_what,
               "fiber main .the root fiber. waits for children\n"
               "torc: fiber the lost one .wait_for_nobody at .*fiber.c:[0-9]+. waits for a timer\n"
               "torc: torc_run: deadlock: 2 fibers")
{
	torc_fiber_set_name("main");
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, wait_for_nobody, "the lost one"), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

DEATH_IN_FIBER(of_many_the_first_are_told, "and others\ntorc: torc_run: deadlock: 51 fibers")
{
	TORC_SCOPE(scope);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(torc_go(scope, wait_for_nobody, "lost"), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

static int overflow(int levels)
{
	volatile char frame[512];

	frame[0] = frame[511] = (char)levels;
	return levels == 0 ? 0 : overflow(levels - 1) + frame[0] - frame[511];
}

static int overflow_named(void *arg)
{
	torc_fiber_set_name("glutton");
	return overflow(*(volatile int *)arg);
}

DEATH_BY(an_overflow_names_it, SIGSEGV, "torc: stack overflow in fiber glutton .the root fiber.: its ")
{
	volatile int levels = 1000000;

	if (harness_slow())
		SKIP("tools look at the stack in their own way");
	(void)!torc_run(NULL, overflow_named, (void *)&levels);
}

static char stalled[200];

static void write_down_stall(const struct torc_stall *stall, void *arg)
{
	if (!__atomic_load_n((bool *)arg, __ATOMIC_ACQUIRE))
		snprintf(stalled, sizeof stalled, "%s", stall->fiber);
	__atomic_store_n((bool *)arg, true, __ATOMIC_RELEASE);
}

static int stall(void *arg)
{
	torc_fiber_set_name("busy");
	for (torc_ns until = torc_in(20 * TORC_SEC); torc_now() < until;)
		if (__atomic_load_n((bool *)arg, __ATOMIC_ACQUIRE))
			break;
	return 0;
}

TEST_TIMEOUT(a_stall_names_it, 60)
{
	bool told = false;

	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .stall_limit = 5 * TORC_MS,
	                                       .on_stall = write_down_stall, .on_stall_arg = &told),
	                          stall, &told),
	                 0);
	if (!told)
		SKIP("the watchdog did not get a CPU");
	/* From outside, where the thread did not answer in time, only where it was spawned is known. */
	ck_assert_msg(strcmp(stalled, "busy (the root fiber)") == 0 || strcmp(stalled, "the root fiber") == 0, "%s",
	              stalled);
}

DEATH(outside_a_fiber_nobody_has_a_name, "torc_fiber_name: called outside a fiber")
{
	torc_fiber_name();
}

DEATH(outside_a_fiber_nobody_gets_one, "torc_fiber_set_name: called outside a fiber")
{
	torc_fiber_set_name("x");
}

DEATH(outside_a_fiber_there_is_no_roll, "torc_fiber_each: called outside a fiber")
{
	int count = 0;

	torc_fiber_each(write_down, &count);
}
