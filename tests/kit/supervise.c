/* supervise.c - against a reference model: children that run, end, fail and stop as chance says, under each strategy, on a
 * simulated machine and clock. The model knows no fibers: it computes from the same plan what must be started, stopped
 * and returned, and at which instant; both logs must be the same, line by line. */
#define FAKE_CLOCK
#include "base/random.h"
#include "executor/on_fake.h"
#include "harness.h"

#include <torc/supervise.h>

/* Timers are exact for multiples of their tick, so time is counted in these. */
static const int64_t tick = 1024;

enum { CHILDREN = 5, EVENTS = 4096 };

enum what { START, END, STOP, RETURN };

struct event {
	enum what what;
	int child, result;
	int64_t at;
};

struct log {
	struct event events[EVENTS];
	unsigned count;
};

static struct log real, expected;
static struct torc_supervise_options options;
static struct torc_child children[CHILDREN];
static unsigned count;
static int64_t cancel_at;
static uint64_t seed;

static void note(struct log *log, enum what what, int child, int result, int64_t at)
{
	if (log->count < EVENTS)
		log->events[log->count++] = (struct event){ what, child, result, at };
}

/* What a child does when it is started for the nth time. */
struct plan {
	int64_t span; /* how long it runs; INT64_MAX: until it is stopped */
	int result;
	int64_t stopping; /* how long that takes */
};

static int64_t some_span(struct random *random)
{
	return (int64_t)(1 + random_below(random, 1 << (4 + random_below(random, 16)))) * tick;
}

static struct plan plan_of(int child, unsigned nth)
{
	struct random random = random_seeded(seed * 1000 + (uint64_t)child * 100000007 + nth);
	struct plan plan;

	random_next(&random);
	plan.span = some_span(&random);
	if (random_chance(&random, 20))
		plan.span = INT64_MAX;
	else if (random_chance(&random, 15))
		plan.span = 0;
	plan.result = random_chance(&random, 50) ? -1 - (int)random_below(&random, 50) : (int)random_below(&random, 3);
	plan.stopping = random_chance(&random, 50) ? some_span(&random) : 0;
	return plan;
}

/* --- as it is --------------------------------------------------------------------------------- */

static int run_by_plan(void *arg)
{
	struct torc_child *child = arg;
	int index = (int)(child - children), r = 0;
	struct plan plan = plan_of(index, child->starts);

	HOLDS(child->state == TORC_CHILD_RUNNING, seed);
	note(&real, START, index, 0, fake_now);
	if (plan.span > 0)
		r = plan.span == INT64_MAX ? torc_sleep_until(INT64_MAX) : torc_sleep(plan.span);
	if (r == 0) {
		note(&real, END, index, plan.result, fake_now);
		return plan.result;
	}
	HOLDS(r == -ECANCELED && child->state == TORC_CHILD_STOPPING, seed);
	note(&real, STOP, index, 0, fake_now);
	if (plan.stopping > 0) {
		TORC_SCOPE(shield, .shield = true);
		HOLDS(torc_sleep(plan.stopping) == 0, seed);
	}
	note(&real, END, index, r, fake_now);
	return r;
}

static int supervise_by_plan(void *arg)
{
	int r;

	(void)arg;
	TORC_SCOPE(scope, .deadline = cancel_at);
	r = torc_supervise(children, count, &options);
	note(&real, RETURN, 0, r, fake_now);
	HOLDS(torc_scope_live(scope) == 0, seed);
	return 0;
}

/* --- as it must be ---------------------------------------------------------------------------- */

static struct model {
	int64_t now;
	struct {
		enum { IDLE, WAITS, RUNS } state;
		unsigned starts, streak, restarts;
		int64_t began, due, ends;
		int result;
	} child[CHILDREN];
	int fifo[CHILDREN]; /* who has ended by itself */
	unsigned ended;
	int64_t restarts[1000];
	unsigned restart_count;
	bool tie; /* two things at one instant: either may come first */
} model;

static void model_end(int i, int result)
{
	model.child[i].state = IDLE;
	model.child[i].result = result;
	note(&expected, END, i, result, model.now);
}

static void model_start_due(void)
{
	for (int i = 0; i < (int)count; i++) {
		struct plan plan;

		if (model.child[i].state != WAITS || model.child[i].due > model.now)
			continue;
		plan = plan_of(i, ++model.child[i].starts);
		note(&expected, START, i, 0, model.now);
		model.child[i].state = RUNS;
		model.child[i].began = model.now;
		model.child[i].ends = plan.span == INT64_MAX ? INT64_MAX : model.now + plan.span;
		if (plan.span == 0) {
			model_end(i, plan.result);
			model.fifo[model.ended++] = i;
		}
	}
}

/* The running child that ends first; -1: none. */
static int model_first_to_end(void)
{
	int first = -1;

	for (int i = 0; i < (int)count; i++) {
		if (model.child[i].state != RUNS || model.child[i].ends == INT64_MAX)
			continue;
		if (first >= 0 && model.child[i].ends == model.child[first].ends)
			model.tie = true;
		if (first < 0 || model.child[i].ends < model.child[first].ends)
			first = i;
	}
	return first;
}

static void model_end_first(int i)
{
	model.now = model.child[i].ends;
	model_end(i, plan_of(i, model.child[i].starts).result);
	model.fifo[model.ended++] = i;
}

static void model_forget(int i)
{
	unsigned kept = 0;

	for (unsigned j = 0; j < model.ended; j++)
		if (model.fifo[j] != i)
			model.fifo[kept++] = model.fifo[j];
	model.ended = kept;
}

static void model_stop(int first)
{
	for (int i = (int)count - 1; i >= first; i--) {
		int64_t until;
		int other;

		if (model.child[i].state == RUNS) {
			note(&expected, STOP, i, 0, model.now);
			until = model.now + plan_of(i, model.child[i].starts).stopping;
			model.child[i].state = IDLE;
			while ((other = model_first_to_end()) >= 0 && model.child[other].ends <= until) {
				model.tie |= model.child[other].ends == until;
				model_end_first(other);
			}
			model.now = until;
			model_end(i, -ECANCELED);
		}
	}
	for (int i = first; i < (int)count; i++) {
		model.child[i].state = IDLE;
		model_forget(i);
	}
}

/* 0, or what torc_supervise is to return. */
static int model_see_to(int i)
{
	int result = model.child[i].result, first = i;
	int64_t due, pause = options.backoff;
	unsigned recent = 0;

	if (children[i].restart == TORC_TEMPORARY || (children[i].restart == TORC_TRANSIENT && result >= 0))
		return 0;
	for (unsigned j = 0; j < model.restart_count; j++)
		recent += model.now - model.restarts[j] < options.window;
	if (recent >= options.restarts)
		return result < 0 ? result : -ECHILD;
	HOLDS(model.restart_count < 1000, seed);
	model.restarts[model.restart_count++] = model.now;
	model.child[i].restarts++;
	if (model.now - model.child[i].began >= options.window)
		model.child[i].streak = 0;
	for (unsigned j = 0; j < model.child[i].streak; j++)
		pause = 2 * pause < options.backoff_most ? 2 * pause : options.backoff_most;
	model.child[i].streak++;
	due = model.now + pause;
	if (options.strategy != TORC_ONE_FOR_ONE) {
		if (options.strategy == TORC_ONE_FOR_ALL)
			first = 0;
		for (int j = first; j < (int)count; j++)
			if (model.child[j].state == WAITS && model.child[j].due > due)
				due = model.child[j].due;
		model_stop(first);
	}
	for (int j = first; j < (int)count; j++) {
		if (j > i && options.strategy == TORC_ONE_FOR_ONE)
			break;
		if (children[j].restart == TORC_TEMPORARY)
			continue;
		model.child[j].state = WAITS;
		model.child[j].due = due;
	}
	return 0;
}

/* Until something happens. False: nothing can any more. */
static bool model_pass_time(void)
{
	int first = model_first_to_end();
	int64_t end = first >= 0 ? model.child[first].ends : INT64_MAX, due = INT64_MAX;
	bool busy = false;

	for (int i = 0; i < (int)count; i++) {
		busy |= model.child[i].state != IDLE;
		if (model.child[i].state == WAITS && model.child[i].due < due)
			due = model.child[i].due;
	}
	if (model.ended > 0)
		return true;
	if (!busy)
		return false;
	model.tie |= end == due && end != INT64_MAX;
	model.tie |= cancel_at == end || cancel_at == due;
	if (cancel_at < end && cancel_at < due)
		model.now = cancel_at;
	else if (end < due)
		model_end_first(first);
	else
		model.now = due;
	return true;
}

static int model_run(void)
{
	int r = 0;

	for (;;) { /* ends: at cancel_at */
		model_start_due();
		if (!model_pass_time())
			return 0;
		if (model.now >= cancel_at)
			return -ETIME;
		while (model.ended > 0) {
			int i = model.fifo[0];

			model_forget(i);
			r = model_see_to(i);
			if (r < 0)
				return r;
			if (model.now >= cancel_at)
				return -ETIME;
		}
	}
}

static void predict(void)
{
	int r;

	memset(&model, 0, sizeof model);
	expected.count = 0;
	model.now = fake_now;
	for (unsigned i = 0; i < count; i++)
		model.child[i].state = WAITS;
	r = model_run();
	model_stop(0);
	note(&expected, RETURN, 0, r, model.now);
}

/* --- both ------------------------------------------------------------------------------------- */

static void draw(void)
{
	struct random random = random_seeded(seed);

	count = 1 + random_below(&random, CHILDREN);
	memset(children, 0, sizeof children);
	for (unsigned i = 0; i < count; i++) {
		children[i].fn = run_by_plan;
		children[i].arg = &children[i];
		children[i].restart = (enum torc_restart)random_below(&random, 3);
	}
	options = (struct torc_supervise_options){ .size = sizeof options };
	options.strategy = (enum torc_strategy)random_below(&random, 3);
	options.restarts = 1 + random_below(&random, random_chance(&random, 50) ? 4 : 60);
	options.window = some_span(&random) * (1 + random_below(&random, 8));
	options.backoff = random_chance(&random, 60) ? some_span(&random) / 16 / tick * tick : 0;
	options.backoff_most = options.backoff * (1 + random_below(&random, 20)) + tick;
	cancel_at = fake_now + some_span(&random) * (1 + random_below(&random, 100));
}

static const char *name_of(const struct event *event)
{
	static const char *const names[] = { "start", "end", "stop", "return" };
	static char text[2][100];
	static int turn;
	char *line = text[turn ^= 1];

	snprintf(line, sizeof *text, "%s %d %d at %lld", names[event->what], event->child, event->result,
	         (long long)event->at);
	return line;
}

static void compare(void)
{
	HOLDS(expected.count < EVENTS, seed);
	for (unsigned i = 0; i < real.count && i < expected.count; i++)
		if (memcmp(&real.events[i], &expected.events[i], sizeof *real.events) != 0)
			ck_abort_msg("SEED=%llu, event %u: %s instead of %s", (unsigned long long)seed, i,
			             name_of(&real.events[i]), name_of(&expected.events[i]));
	HOLDS(real.count == expected.count, seed);
	for (unsigned i = 0; i < count; i++) {
		HOLDS(children[i].state == TORC_CHILD_IDLE, seed);
		HOLDS(children[i].starts == model.child[i].starts, seed);
		HOLDS(children[i].restarts == model.child[i].restarts, seed);
		HOLDS(children[i].result == model.child[i].result, seed);
	}
}

TEST_TIMEOUT(thousands_of_random_crews_do_what_the_model_says, 120)
{
	uint64_t all = harness_slow() ? 300 : 6000;
	unsigned compared = 0, events = 0, gave_up = 0, finished = 0;

	for (seed = seed_first(); seed_more(seed, all); seed++) {
		draw();
		predict();
		if (model.tie || expected.count == EVENTS)
			continue;
		real.count = 0;
		fake_init(&fake);
		HOLDS(fake_run(supervise_by_plan, NULL) == 0, seed);
		compare();
		compared++;
		events += real.count;
		gave_up += real.events[real.count - 1].result != -ETIME;
		finished += real.events[real.count - 1].result == 0;
	}
	fprintf(stderr, "%u crews, %u events; %u ended before their deadline, %u of them in peace\n", compared, events,
	        gave_up, finished);
	if (all == seed - 1)
		ck_assert_uint_gt(compared, (unsigned)all / 2);
}

/* --- pauses ----------------------------------------------------------------------------------- */

static int64_t began[64];
static unsigned began_count;

static int fail_at_once(void *arg)
{
	(void)arg;
	began[began_count++] = fake_now;
	return -EIO;
}

static int supervise_failure(void *arg)
{
	struct torc_child child = { .fn = fail_at_once };
	int r = torc_supervise(&child, 1, arg);

	HOLDS(child.starts == began_count && child.restarts + 1 == child.starts, 0);
	return r;
}

static void fail_repeatedly(const struct torc_supervise_options *how)
{
	fake_init(&fake);
	began_count = 0;
	ck_assert_int_eq(fake_run(supervise_failure, (void *)(uintptr_t)how), -EIO);
}

TEST(pauses_double_up_to_the_most)
{
	fail_repeatedly(TORC_OPTIONS(torc_supervise_options, .restarts = 8, .window = 10000 * TORC_SEC,
	                             .backoff = 1000 * tick, .backoff_most = 10000 * tick));
	ck_assert_uint_eq(began_count, 9);
	for (unsigned i = 1; i < began_count; i++)
		ck_assert_int_eq(began[i] - began[i - 1], i < 5 ? 500 * (1 << i) * tick : 10000 * tick);
}

TEST(pauses_that_are_huge_do_not_overflow)
{
	fail_repeatedly(TORC_OPTIONS(torc_supervise_options, .restarts = 2, .window = INT64_MAX, .backoff = 1,
	                             .backoff_most = INT64_MAX));
	ck_assert_uint_eq(began_count, 3);
}

TEST(chance_shortens_them_within_bounds)
{
	int64_t sum = 0, first[20];

	for (uint64_t s = 1; s <= 20; s++) {
		fail_repeatedly(TORC_OPTIONS(torc_supervise_options, .restarts = 20, .window = 10000 * TORC_SEC,
		                             .backoff = 1000 * tick, .backoff_most = 1000 * tick, .jitter = 40,
		                             .seed = s));
		ck_assert_uint_eq(began_count, 21);
		for (unsigned i = 1; i < began_count; i++) {
			int64_t pause = began[i] - began[i - 1];

			ck_assert_int_ge(pause, 600 * tick - tick);
			ck_assert_int_le(pause, 1000 * tick);
			sum += pause;
		}
		first[s - 1] = began[1] - began[0];
	}
	/* 400 of them: the mean is 800, give or take 6 standard deviations */
	ck_assert_int_gt(sum / 400, 765 * tick);
	ck_assert_int_lt(sum / 400, 835 * tick);
	ck_assert(first[0] != first[1] || first[1] != first[2]);
}

TEST(without_a_pause_it_is_at_once_and_three_times_by_default)
{
	fail_repeatedly(NULL);
	ck_assert_uint_eq(began_count, 4);
	ck_assert_int_eq(began[3], began[0]);
}

static int fail_for_a_while(const struct torc_supervise_options *how)
{
	cancel_at = fake_now + 40000 * tick;
	fake_init(&fake);
	began_count = 0;
	memset(children, 0, sizeof children);
	children[0].fn = fail_at_once;
	count = 1;
	real.count = 0;
	options = *how;
	ck_assert_int_eq(fake_run(supervise_by_plan, NULL), 0);
	return real.events[0].result;
}

TEST(three_in_a_window_are_borne_and_four_are_not)
{
	/* One each 1,000 ticks: the first of four is just outside, or just inside. */
	ck_assert_int_eq(fail_for_a_while(TORC_OPTIONS(torc_supervise_options, .restarts = 3, .window = 3000 * tick,
	                                               .backoff = 1000 * tick, .backoff_most = 1000 * tick)),
	                 -ETIME);
	ck_assert_uint_eq(began_count, 40);
	ck_assert_int_eq(fail_for_a_while(TORC_OPTIONS(torc_supervise_options, .restarts = 3, .window = 3000 * tick + 1,
	                                               .backoff = 1000 * tick, .backoff_most = 1000 * tick)),
	                 -EIO);
	ck_assert_uint_eq(began_count, 4);
}

TEST(any_number_can_be_borne)
{
	ck_assert_int_eq(fail_for_a_while(TORC_OPTIONS(torc_supervise_options, .restarts = TORC_RESTARTS_UNLIMITED,
	                                               .backoff = 1000 * tick, .backoff_most = 1000 * tick)),
	                 -ETIME);
	ck_assert_uint_eq(began_count, 40);
}
