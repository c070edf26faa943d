/* queue - task queues: shares, latency bounds, when a fiber is asked to yield, and every error. */
#include "api.h"

#include <math.h>
#include <sys/eventfd.h>

/* --- workers ------------------------------------------------------------------------------------- */

#define CHUNK  (20 * TORC_US)
#define WINDOW (COUNT(400, 1000) * TORC_MS)
#define OFF_BY COUNT(0.02, 0.05)

/* Fibers that compute until somebody says stop; what they used altogether. */
struct team {
	struct torc_queue *queue;
	torc_ns spent;
	const bool *stop;
	int chunks;
};

static int toil(void *arg)
{
	struct team *team = arg;

	while (!*team->stop) {
		torc_ns before = torc_now();

		busy_until(before + CHUNK);
		team->spent += torc_now() - before;
		team->chunks++;
		torc_yield_if_needed();
	}
	return 0;
}

static struct torc_queue *new_queue(unsigned shares)
{
	struct torc_queue *queue;

	ck_assert_int_eq(torc_queue_new(&queue, TORC_OPTIONS(torc_queue_options, .shares = shares)), 0);
	return queue;
}

static void hire(struct torc_scope *scope, struct team *team, int count)
{
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(torc_go(scope, toil, team), 0);
}

/* What part of the two teams' time the first one has, from now on for a while; by the queues' own account too. */
static void parts_of_first(struct team *teams, torc_ns window, double parts[2])
{
	double spent[2], used[2];

	for (int i = 0; i < 2; i++) {
		spent[i] = (double)-teams[i].spent;
		used[i] = -(double)torc_queue_used(teams[i].queue);
	}
	ck_assert_int_eq(torc_sleep(window), 0);
	for (int i = 0; i < 2; i++) {
		spent[i] += (double)teams[i].spent;
		used[i] += (double)torc_queue_used(teams[i].queue);
	}
	parts[0] = spent[0] / (spent[0] + spent[1]);
	parts[1] = used[0] / (used[0] + used[1]);
}

/* The first team has a of a + b parts. A machine that does other things may take the core from one of the two for long, so
 * there are several windows, each longer: a wrong share is wrong in all. */
static void assert_parts(struct team *teams, unsigned a, unsigned b)
{
	double wanted = (double)a / (a + b), parts[2];

	for (int i = 1; i <= 6; i++) {
		parts_of_first(teams, i * i * WINDOW / 2, parts);
		if (fabs(parts[0] - wanted) <= OFF_BY && fabs(parts[1] - wanted) <= OFF_BY)
			return;
	}
	ck_abort_msg("wanted %.3f of the time, got %.3f, by the queue's account %.3f", wanted, parts[0], parts[1]);
}

/* --- shares ---------------------------------------------------------------------------------------- */

static void divide(unsigned a, int fibers_of_a, unsigned b, int fibers_of_b)
{
	bool stop = false;
	struct team teams[2] = { { new_queue(a), 0, &stop, 0 }, { new_queue(b), 0, &stop, 0 } };

	{
		TORC_SCOPE(first, .queue = teams[0].queue);
		TORC_SCOPE(second, .queue = teams[1].queue);
		hire(first, &teams[0], fibers_of_a);
		hire(second, &teams[1], fibers_of_b);
		ck_assert_int_eq(torc_sleep(20 * TORC_MS), 0);
		assert_parts(teams, a, b);
		stop = true;
		ck_assert_int_eq(torc_scope_join(second), 0);
		ck_assert_int_eq(torc_scope_join(first), 0);
	}
	ck_assert_int_eq(torc_queue_free(teams[0].queue), 0);
	ck_assert_int_eq(torc_queue_free(teams[1].queue), 0);
}

TEST_IN_FIBER_TIMEOUT(equal_shares_are_halves, 120)
{
	divide(1000, 1, 1000, 1);
}

TEST_IN_FIBER_TIMEOUT(however_many_fibers_there_are, 120)
{
	divide(1000, 1, 1000, 100);
}

TEST_IN_FIBER_TIMEOUT(two_to_one, 120)
{
	divide(1000, 10, 500, 10);
}

TEST_IN_FIBER_TIMEOUT(ten_to_one, 120)
{
	divide(1000, 1, 100, 50);
}

TEST_IN_FIBER_TIMEOUT(a_hundred_to_one, 120)
{
	divide(1000, 50, 10, 1);
}

TEST_IN_FIBER_TIMEOUT(shares_set_at_run_time_take_effect, 120)
{
	bool stop = false;
	struct team teams[2] = { { new_queue(1000), 0, &stop, 0 }, { new_queue(1000), 0, &stop, 0 } };
	TORC_SCOPE(first, .queue = teams[0].queue);
	TORC_SCOPE(second, .queue = teams[1].queue);

	hire(first, &teams[0], 3);
	hire(second, &teams[1], 1);
	ck_assert_int_eq(torc_sleep(100 * TORC_MS), 0);
	ck_assert_int_eq(torc_queue_set_shares(teams[1].queue, 100), 0);
	ck_assert_uint_eq(torc_queue_shares(teams[1].queue), 100);
	ck_assert_int_eq(torc_sleep(250 * TORC_MS), 0);
	assert_parts(teams, 1000, 100);
	ck_assert_int_eq(torc_queue_set_shares(teams[0].queue, 50), 0);
	ck_assert_int_eq(torc_sleep(250 * TORC_MS), 0);
	assert_parts(teams, 50, 100);
	stop = true;
}

struct wish {
	unsigned shares, asked;
	struct torc_queue *queue;
};

static unsigned wanted_shares(struct torc_queue *queue, void *arg)
{
	struct wish *wish = arg;

	ck_assert(!wish->queue || queue == wish->queue);
	wish->asked++;
	return wish->shares;
}

TEST_IN_FIBER_TIMEOUT(shares_by_callback_take_effect_within_a_quarter_of_a_second, 120)
{
	bool stop = false;
	struct wish wish = { .shares = 1000 };
	struct team teams[2] = { { new_queue(1000), 0, &stop, 0 }, { NULL, 0, &stop, 0 } };

	ck_assert_int_eq(torc_queue_new(&teams[1].queue, TORC_OPTIONS(torc_queue_options, .shares = 1,
	                                                              .adjust = wanted_shares, .arg = &wish)),
	                 0);
	wish.queue = teams[1].queue;
	TORC_SCOPE(first, .queue = teams[0].queue);
	TORC_SCOPE(second, .queue = teams[1].queue);
	hire(first, &teams[0], 1);
	hire(second, &teams[1], 2);
	ck_assert_int_eq(torc_sleep(COUNT(300, 500) * TORC_MS), 0);
	assert_parts(teams, 1000, 1000);
	wish.shares = 500;
	ck_assert_int_eq(torc_sleep(COUNT(300, 500) * TORC_MS), 0);
	assert_parts(teams, 1000, 500);
	ck_assert_uint_ge(wish.asked, 3);
	wish.shares = 0; /* cut */
	ck_assert_int_eq(torc_sleep(COUNT(300, 500) * TORC_MS), 0);
	ck_assert_uint_eq(torc_queue_shares(teams[1].queue), 1);
	wish.shares = UINT_MAX;
	while (torc_queue_shares(teams[1].queue) == 1)
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_uint_eq(torc_queue_shares(teams[1].queue), 1000);
	stop = true;
}

TEST_IN_FIBER_TIMEOUT(a_queue_that_slept_gets_no_credit, 120)
{
	double parts[2] = { 0 };

	for (int i = 0; i < 6; i++) {
		bool stop = false;
		struct team teams[2] = { { new_queue(1000), 0, &stop, 0 }, { new_queue(1000), 0, &stop, 0 } };
		TORC_SCOPE(first, .queue = teams[0].queue);
		TORC_SCOPE(second, .queue = teams[1].queue);

		hire(first, &teams[0], 1);
		ck_assert_int_eq(torc_sleep(WINDOW), 0);
		hire(second, &teams[1], 1);
		parts_of_first(teams, WINDOW, parts); /* with credit the second would have the whole of it */
		stop = true;
		if (parts[0] > 0.25)
			return;
	}
	ck_abort_msg("the one that had not slept got %.3f of the time", parts[0]);
}

enum { QUEUES = 100 };

static bool all_had_turns(const struct team *teams)
{
	for (int i = 0; i < QUEUES; i++)
		if (teams[i].chunks < 10)
			return false;
	return true;
}

TEST_IN_FIBER_TIMEOUT(a_hundred_queues_all_get_their_turn, 120)
{
	bool stop = false;
	struct team teams[QUEUES];
	struct torc_scope scopes[QUEUES], *scope;
	int sum = 0;

	for (int i = 0; i < QUEUES; i++) {
		teams[i] = (struct team){ new_queue(100), 0, &stop, 0 };
		torc_scope_open(&scopes[i], TORC_OPTIONS(torc_scope_options, .queue = teams[i].queue));
		hire(&scopes[i], &teams[i], 1);
	}
	while (!all_had_turns(teams)) /* ends only if each gets its turns */
		ck_assert_int_eq(torc_sleep(20 * TORC_MS), 0);
	stop = true;
	for (int i = 0; i < QUEUES; i++)
		sum += teams[i].chunks;
	for (int i = 0; i < QUEUES; i++)
		ck_assert_int_le(teams[i].chunks, sum / 5);
	for (int i = QUEUES - 1; i >= 0; i--) {
		scope = &scopes[i];
		ck_assert_int_eq(torc_scope_join(scope), 0);
		torc_scope_leave(&scope);
		ck_assert_int_eq(torc_queue_free(teams[i].queue), 0);
	}
}

/* --- when to yield --------------------------------------------------------------------------------- */

enum { TRIES = 50 };

/* Under valgrind a millisecond holds a few thousand instructions, and what is asked for in time comes too late. */
#ifdef TORC_VALGRIND
#define TIME_MEANS_SOMETHING() SKIP("valgrind is too slow for time slices")
#else
#define TIME_MEANS_SOMETHING() ((void)0)
#endif

/* How long a fiber may go on after a yield: on the clock, and by what it used, in which nobody else takes part. */
struct turn {
	torc_ns wall, cpu;
};

static struct turn until_asked(void)
{
	struct turn turn;

	torc_yield();
	turn = (struct turn){ torc_now(), thread_cpu_now() };
	while (!torc_need_yield())
		ck_assert_int_lt(torc_now() - turn.wall, AGES);
	return (struct turn){ torc_now() - turn.wall, thread_cpu_now() - turn.cpu };
}

static void assert_asked_after(torc_ns least, torc_ns most)
{
	int late = 0;

	busy_until(torc_in(TORC_MS)); /* the counter's pace becomes known */
	(void)until_asked();
	for (int i = 0; i < TRIES; i++) {
		struct turn turn = until_asked();

		ck_assert_int_ge(turn.wall, least);
		late += turn.cpu > most;
	}
	ck_assert_int_lt(late, TRIES / 2);
}

TEST_IN_FIBER(without_a_bound_nobody_is_asked_before_the_slice_ends)
{
	TIME_MEANS_SOMETHING();
	assert_asked_after(900 * TORC_US, 1500 * TORC_US);
}

TEST_IN_FIBER(nor_where_there_are_two_queues)
{
	ck_assert_ptr_nonnull(new_queue(1000));
	TIME_MEANS_SOMETHING();
	assert_asked_after(900 * TORC_US, 1500 * TORC_US);
}

TEST_IN_FIBER(a_latency_bound_of_one_queue_holds_for_all)
{
	struct torc_queue *urgent;

	ck_assert_int_eq(torc_queue_new(&urgent, TORC_OPTIONS(torc_queue_options, .latency = 200 * TORC_US)), 0);
	assert_asked_after(150 * TORC_US, 400 * TORC_US);
	ck_assert_int_eq(torc_queue_free(urgent), 0);
	TIME_MEANS_SOMETHING();
	assert_asked_after(900 * TORC_US, 1500 * TORC_US);
}

TEST_IN_FIBER(the_smallest_bound_there_may_be)
{
	struct torc_queue *urgent;

	ck_assert_int_eq(torc_queue_new(&urgent, TORC_OPTIONS(torc_queue_options, .latency = 10 * TORC_US)), 0);
	assert_asked_after(0, COUNT(60, 1000) * TORC_US);
}

/* A fiber of the urgent queue, which wakes again and again, while others compute and ask. How often it was late is counted
 * in the chunks that they began after it was due. */
struct urgent {
	int rounds, late, due_at, most;
	torc_ns due;
	bool done;
};

static int toil_and_watch(void *arg)
{
	struct urgent *urgent = arg;

	while (!urgent->done) {
		torc_ns before = torc_now();

		urgent->due_at += before > urgent->due;
		busy_until(before + CHUNK);
		torc_yield_if_needed();
	}
	return 0;
}

static int wake_again_and_again(void *arg)
{
	struct urgent *urgent = arg;

	for (int i = 0; i < urgent->rounds; i++) {
		urgent->due_at = 0;
		urgent->due = torc_in(TORC_MS + i % 10 * 100 * TORC_US + 30 * TORC_US);
		ck_assert_int_eq(torc_sleep_until(urgent->due), 0);
		urgent->late += urgent->due_at > urgent->most;
		urgent->due = INT64_MAX;
	}
	urgent->done = true;
	return 0;
}

TEST_IN_FIBER(an_urgent_fiber_waits_for_no_longer_than_the_bound)
{
	/* One of the others goes on for the bound, a chunk, and some. Without a bound it would be a millisecond. */
	struct urgent urgent = { .rounds = COUNT(300, 100), .most = 100 * TORC_US / CHUNK + 2, .due = INT64_MAX };
	struct torc_queue *queue;

	TIME_MEANS_SOMETHING();
	ck_assert_int_eq(
		torc_queue_new(&queue, TORC_OPTIONS(torc_queue_options, .shares = 1000, .latency = 100 * TORC_US)), 0);
	TORC_SCOPE(scope, .queue = queue);
	TORC_SCOPE(others);
	ck_assert_int_eq(torc_go(scope, wake_again_and_again, &urgent), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(torc_go(others, toil_and_watch, &urgent), 0);
	ck_assert_int_eq(torc_scope_join(others), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_msg(urgent.late <= urgent.rounds / 5, "%d times of %d it was late", urgent.late, urgent.rounds);
}

TEST_IN_FIBER(after_a_yield_the_slice_is_a_new_one)
{
	int fresh = 0;

	for (int i = 0; i < TRIES; i++) {
		(void)until_asked();
		torc_yield();
		fresh += !torc_need_yield();
	}
	ck_assert_int_gt(fresh, TRIES / 2);
	for (int i = fresh = 0; i < TRIES; i++) {
		(void)until_asked();
		ck_assert(torc_yield_if_needed());
		fresh += !torc_yield_if_needed();
	}
	ck_assert_int_gt(fresh, TRIES / 2);
}

/* Yields that lead back at once are yields all the same. */
TEST_IN_FIBER(who_yields_often_is_not_asked_to)
{
	torc_ns until = torc_in(COUNT(50, 200) * TORC_MS);
	int asked = 0, yields = 0;

	while (torc_now() < until) {
		torc_yield();
		asked += torc_need_yield();
		yields++;
	}
	ck_assert_msg(asked * 10 < yields, "asked %d times in %d yields", asked, yields);
}

static int read_one(void *arg)
{
	return torc_async_readable(arg);
}

TEST_IN_FIBER(a_completion_asks_before_the_slice_is_over)
{
	struct torc_async async;
	int asked_early = 0, fd;

	TIME_MEANS_SOMETHING();
	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	/* Without, the kernel makes them whenever we enter it, and then its flag is down. */
	if (!feature_is_on("defer_taskrun"))
		SKIP("nothing tells of completions here");
	ck_assert_int_eq(torc_async_wrap(&async, fd), 0);
	for (int i = 0; i < TRIES; i++) {
		torc_ns began;
		eventfd_t value;
		TORC_SCOPE(scope);

		ck_assert_int_eq(torc_go(scope, read_one, &async), 0);
		torc_yield();
		torc_yield();
		began = thread_cpu_now();
		ck_assert_int_eq(eventfd_write(fd, 1), 0);
		while (!torc_need_yield())
			;
		asked_early += thread_cpu_now() - began < 700 * TORC_US;
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(eventfd_read(fd, &value), 0);
	}
	ck_assert_int_gt(asked_early, TRIES / 2);
	ck_assert_int_eq(torc_async_close(&async), 0);
}

TEST(outside_a_run_nobody_is_asked)
{
	ck_assert(!torc_need_yield());
}

/* --- yielding starves nobody ------------------------------------------------------------------------- */

static int only_yield(void *arg)
{
	while (!*(bool *)arg)
		torc_yield();
	return 0;
}

static int echo_once(void *arg)
{
	struct torc_stream *stream = arg;
	char byte;

	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(torc_stream_read(stream, &byte, 1), 1);
		ck_assert_int_eq(torc_stream_write(stream, &byte, 1), 1);
	}
	return 0;
}

/*
 * Yielders get what they get while the others wait, and their share of the rest. Time in which the
 * kernel gave the core to another process is charged as if it were work: so shares that lie a thousand
 * times apart would make seconds of milliseconds here.
 */
static void live_beside_yielders(struct torc_queue *yielders, struct torc_queue *mine, int count)
{
	torc_ns began = thread_cpu_now(), ours = torc_queue_used(mine);
	torc_ns part = (torc_ns)(torc_queue_shares(yielders) / torc_queue_shares(mine));
	struct torc_stream a, b;
	bool stop = false;
	struct child child = { .span = 20 * TORC_MS };
	char byte = 'x';
	TORC_SCOPE(noise, .queue = yielders);
	TORC_SCOPE(scope, .queue = mine);

	stream_pair(&a, &b);
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(torc_go(noise, only_yield, &stop), 0);
	ck_assert_int_eq(torc_go(scope, echo_once, &b), 0);
	ck_assert_int_eq(torc_go(scope, child_run, &child), 0);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(torc_stream_write(&a, &byte, 1), 1);
		ck_assert_int_eq(torc_stream_read(&a, &byte, 1), 1);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
	stop = true;
	ck_assert_int_eq(torc_scope_join(noise), 0);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
	ours = torc_queue_used(mine) - ours;
	ck_assert_int_le(thread_cpu_now() - began, (part + 1) * ours + COUNT(1, 4) * TORC_SEC);
}

TEST_IN_FIBER(who_only_yields_starves_neither_timers_nor_io)
{
	struct torc_queue *mine = torc_queue_current();

	live_beside_yielders(mine, mine, 1);
	live_beside_yielders(mine, mine, 100);
}

TEST_IN_FIBER(nor_those_of_another_queue)
{
	live_beside_yielders(new_queue(1000), new_queue(1000), 10);
	live_beside_yielders(new_queue(1000), new_queue(20), 10);
	live_beside_yielders(new_queue(1), torc_queue_current(), 200);
}

/* --- what is documented ------------------------------------------------------------------------------ */

TEST_IN_FIBER(defaults)
{
	struct torc_queue *queue, *named;

	ck_assert_str_eq(torc_queue_name(torc_queue_current()), "default");
	ck_assert_uint_eq(torc_queue_shares(torc_queue_current()), 100);
	ck_assert_int_eq(torc_queue_new(&queue, NULL), 0);
	ck_assert_str_eq(torc_queue_name(queue), "queue");
	ck_assert_uint_eq(torc_queue_shares(queue), 100);
	ck_assert_uint_eq(torc_queue_used(queue), 0);
	ck_assert_int_eq(torc_queue_new(&named, TORC_OPTIONS(torc_queue_options, .name = "scans", .shares = 7)), 0);
	ck_assert_str_eq(torc_queue_name(named), "scans");
	ck_assert_uint_eq(torc_queue_shares(named), 7);
	ck_assert_int_eq(torc_queue_free(queue), 0);
	ck_assert_int_eq(torc_queue_free(NULL), 0);
	/* the other ends with the run */
}

static void refused(const struct torc_queue_options *options)
{
	struct torc_queue *queue = (void *)&queue;

	ck_assert_int_eq(torc_queue_new(&queue, options), -EINVAL);
	ck_assert_ptr_eq(queue, (void *)&queue);
}

TEST_IN_FIBER(options_out_of_range_are_refused)
{
	refused(TORC_OPTIONS(torc_queue_options, .shares = 1001));
	refused(TORC_OPTIONS(torc_queue_options, .shares = UINT_MAX));
	refused(TORC_OPTIONS(torc_queue_options, .latency = 10 * TORC_US - 1));
	refused(TORC_OPTIONS(torc_queue_options, .latency = -1));
	refused(TORC_OPTIONS(torc_queue_options, .stall_limit = TORC_MS - 1));
}

TEST_IN_FIBER(shares_out_of_range_are_refused)
{
	struct torc_queue *queue = new_queue(10);

	ck_assert_int_eq(torc_queue_set_shares(queue, 0), -EINVAL);
	ck_assert_int_eq(torc_queue_set_shares(queue, 1001), -EINVAL);
	ck_assert_uint_eq(torc_queue_shares(queue), 10);
	ck_assert_int_eq(torc_queue_set_shares(queue, 1), 0);
	ck_assert_int_eq(torc_queue_set_shares(queue, 1000), 0);
	ck_assert_int_eq(torc_queue_set_shares(torc_queue_current(), 1000), 0);
	ck_assert_uint_eq(torc_queue_shares(torc_queue_current()), 1000);
}

struct place {
	struct torc_queue *queue, *inner;
};

static int where(void *arg)
{
	*(struct torc_queue **)arg = torc_queue_current();
	return 0;
}

static int where_nested(void *arg)
{
	struct place *place = arg;

	place->queue = torc_queue_current();
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, where, &place->inner), 0);
	return torc_scope_join(scope);
}

TEST_IN_FIBER(a_scope_names_the_queue_of_its_children)
{
	struct torc_queue *queue = new_queue(10), *mine = torc_queue_current();
	struct place inside = { 0 }, outside = { 0 };
	TORC_SCOPE(named, .queue = queue);
	TORC_SCOPE(plain);

	ck_assert_ptr_eq(torc_queue_current(), mine);
	ck_assert_int_eq(torc_go(named, where_nested, &inside), 0);
	ck_assert_int_eq(torc_go(plain, where_nested, &outside), 0);
	ck_assert_int_eq(torc_scope_join(plain), 0);
	ck_assert_int_eq(torc_scope_join(named), 0);
	ck_assert_ptr_eq(inside.queue, queue);
	ck_assert_ptr_eq(inside.inner, queue);
	ck_assert_ptr_eq(outside.queue, mine);
	ck_assert_ptr_eq(outside.inner, mine);
}

TEST_IN_FIBER(the_first_queue_is_not_freed)
{
	ck_assert_int_eq(torc_queue_free(torc_queue_current()), -EBUSY);
}

TEST_IN_FIBER(a_queue_with_fibers_is_not_freed)
{
	struct torc_queue *queue = new_queue(10);
	struct child child = { .span = FOREVER };

	{
		TORC_SCOPE(scope, .queue = queue);
		ck_assert_int_eq(torc_go(scope, child_run, &child), 0);
		ck_assert_int_eq(torc_queue_free(queue), -EBUSY); /* ready */
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
		ck_assert_int_eq(torc_queue_free(queue), -EBUSY); /* parked */
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_queue_free(queue), -EBUSY); /* ready once more */
		ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	}
	ck_assert_int_eq(torc_queue_free(queue), 0);
}

TEST_IN_FIBER(a_queue_that_an_open_scope_names_is_not_freed)
{
	struct torc_queue *queue = new_queue(10);

	{
		TORC_SCOPE(scope, .queue = queue);
		ck_assert_int_eq(torc_queue_free(queue), -EBUSY);
		(void)scope;
	}
	ck_assert_int_eq(torc_queue_free(queue), 0);
}

TEST_IN_FIBER(used_counts_where_there_is_more_than_one_queue)
{
	struct torc_queue *queue = new_queue(10);
	struct child child = { .span = TORC_SEC };
	bool stop = false;
	struct team team = { queue, 0, &stop, 0 };
	uint64_t used;
	torc_ns began = torc_now();
	TORC_SCOPE(scope, .queue = queue);

	hire(scope, &team, 2);
	ck_assert_int_eq(torc_sleep(50 * TORC_MS), 0);
	stop = true;
	ck_assert_int_eq(torc_scope_join(scope), 0);
	used = torc_queue_used(queue);
	ck_assert_uint_ge(used, (uint64_t)team.spent);
	ck_assert_uint_le(used, (uint64_t)(torc_now() - began));
	ck_assert_int_eq(torc_go(scope, child_run, &child), 0); /* sleeping is not used */
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_uint_lt(torc_queue_used(queue) - used, TORC_SEC / 2);
}

struct rivals {
	int steps_of_a, steps_of_b;
	bool stop;
};

static int make_queues(void *arg)
{
	struct rivals *rivals = arg;

	for (; rivals->steps_of_a < 3000 && rivals->steps_of_b < 10; rivals->steps_of_a++) {
		busy_until(torc_now() + 50 * TORC_US);
		ck_assert_int_eq(torc_queue_free(new_queue(1)), 0);
		torc_yield();
	}
	rivals->stop = true;
	return 0;
}

static int step_along(void *arg)
{
	struct rivals *rivals = arg;

	while (!rivals->stop) {
		rivals->steps_of_b++;
		torc_yield();
	}
	return 0;
}

/* What its fibers used is charged to a queue, and its slice ends, though it makes others all the time. */
TEST_IN_FIBER(who_makes_queues_pays_for_its_time)
{
	struct torc_queue *queues[2] = { new_queue(100), new_queue(100) };
	struct rivals rivals = { 0 };
	uint64_t used = torc_queue_used(queues[0]);
	torc_ns began = torc_now();
	TORC_SCOPE(a, .queue = queues[0]);
	TORC_SCOPE(b, .queue = queues[1]);

	ck_assert_int_eq(torc_go(a, make_queues, &rivals), 0);
	ck_assert_int_eq(torc_go(b, step_along, &rivals), 0);
	ck_assert_int_eq(torc_scope_join(a), 0);
	ck_assert_int_eq(torc_scope_join(b), 0);
	ck_assert_int_ge(rivals.steps_of_b, 10);
	used = torc_queue_used(queues[0]) - used;
	ck_assert_uint_ge(used, (uint64_t)rivals.steps_of_a * 50 * TORC_US);
	ck_assert_uint_le(used, (uint64_t)(torc_now() - began));
}

TEST_IN_FIBER(queues_may_be_made_and_freed_again_and_again)
{
	for (int i = 0; i < COUNT(1000, 100); i++) {
		struct torc_queue *queues[5];

		for (int k = 0; k < 5; k++) {
			struct torc_queue *ran = NULL;
			TORC_SCOPE(scope, .queue = queues[k] = new_queue(1 + (unsigned)k));

			ck_assert_int_eq(torc_go(scope, where, &ran), 0);
			ck_assert_int_eq(torc_scope_join(scope), 0);
			ck_assert_ptr_eq(ran, queues[k]);
		}
		for (int k = 0; k < 5; k++)
			ck_assert_int_eq(torc_queue_free(queues[(k + i) % 5]), 0);
	}
}

static int leave_queues(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++)
		(void)new_queue(1);
	return 0;
}

TEST(queues_that_are_left_end_with_the_run)
{
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(torc_run(NULL, leave_queues, NULL), 0);
}

static unsigned parks(struct torc_queue *queue, void *arg)
{
	(void)queue;
	((void (*)(void))arg)();
	return 1;
}

static void sleep_a_while(void)
{
	(void)!torc_sleep(TORC_MS);
}

static void ask_to_park(void (*call)(void))
{
	struct torc_queue *queue;

	ck_assert_int_eq(torc_queue_new(&queue, TORC_OPTIONS(torc_queue_options, .adjust = parks, .arg = (void *)call)),
	                 0);
	TORC_SCOPE(scope, .queue = queue);
	bool stop = false;
	struct team team = { queue, 0, &stop, 0 };

	hire(scope, &team, 1);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

static int ask_to_sleep(void *arg)
{
	(void)arg;
	ask_to_park(sleep_a_while);
	return 0;
}

static int ask_to_yield(void *arg)
{
	(void)arg;
	ask_to_park(torc_yield);
	return 0;
}

static void run_to_death(torc_fn *fn)
{
	if (harness_slow())
		SKIP("tools have handlers of their own");
	(void)!torc_run(NULL, fn, NULL);
}

DEATH_BY(a_callback_that_sleeps_is_told_so, SIGSEGV, "torc: .* between fibers .torc_shares_fn.: it must not park")
{
	run_to_death(ask_to_sleep);
}

DEATH_BY(a_callback_that_yields_is_told_so, SIGSEGV, "torc: .* between fibers .torc_shares_fn.: it must not park")
{
	run_to_death(ask_to_yield);
}

static int open_scope_there(void *arg)
{
	TORC_SCOPE(scope, .queue = arg);
	return torc_scope_join(scope);
}

static int set_shares_there(void *arg)
{
	return torc_queue_set_shares(arg, 7);
}

static int make_queue_for_core_1(void *fn)
{
	return torc_core() == 0 ? torc_on(1, *(torc_fn **)fn, new_queue(1)) : 0;
}

static void use_on_core_1(torc_fn *fn)
{
	(void)!torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), make_queue_for_core_1, &fn);
}

DEATH(a_scope_with_a_queue_of_another_core, "torc_scope_open: .* belongs to another core")
{
	use_on_core_1(open_scope_there);
}

DEATH(shares_of_a_queue_of_another_core, "torc_queue_set_shares: .* belongs to another core")
{
	use_on_core_1(set_shares_there);
}

DEATH(outside_a_run_there_is_no_queue, "torc_queue_current: .*outside a fiber")
{
	(void)torc_queue_current();
}

TEST(outside_a_run_the_check_looks_at_nothing)
{
	ck_assert_uint_eq(*torc_preempt_.ring, 0);
	ck_assert_uint_eq(*torc_preempt_.mail, 0);
	ck_assert_uint_eq(torc_preempt_.slice, UINT32_MAX);
	ck_assert(!torc_need_yield());
}
