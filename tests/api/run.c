/* run - an executor's life: what torc_run returns and refuses, in which order fibers run, what it costs when idle, what
 * it leaves behind, and the counters. */
#include "api.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/time.h>

static int give_back(void *arg)
{
	return *(int *)arg;
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* --- results and refusals -------------------------------------------------------------------- */

TEST(run_returns_what_its_root_returns)
{
	int values[] = { 0, 1, 42, INT_MAX, -1, -EIO, -ECANCELED, -ETIME, INT_MIN };

	for (size_t i = 0; i < LENGTH(values); i++)
		ck_assert_int_eq(torc_run(NULL, give_back, &values[i]), values[i]);
}

static int see_the_argument(void *arg)
{
	return arg == NULL ? 7 : 8;
}

TEST(run_hands_the_argument_on)
{
	ck_assert_int_eq(torc_run(NULL, see_the_argument, NULL), 7);
	ck_assert_int_eq(torc_run(NULL, see_the_argument, &(int){ 0 }), 8);
}

static int count_after_a_while(void *arg)
{
	int *ended = arg;
	int r = torc_sleep(2 * TORC_MS);

	++*ended;
	return r;
}

static int spawn_and_join(void *arg)
{
	TORC_SCOPE(children);

	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(torc_go(children, count_after_a_while, arg), 0);
	return torc_scope_join(children);
}

static int spawn_and_leave(void *arg)
{
	TORC_SCOPE(children);

	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(torc_go(children, count_after_a_while, arg), 0);
	return 5;
}

TEST(all_that_a_run_spawned_has_ended_when_it_returns)
{
	int ended = 0;

	ck_assert_int_eq(torc_run(NULL, spawn_and_join, &ended), 0);
	ck_assert_int_eq(ended, 100);
	ck_assert_int_eq(torc_run(NULL, spawn_and_leave, &ended), 5);
	ck_assert_int_eq(ended, 200);
}

static int run_inside(void *arg)
{
	int value = 3;

	(void)arg;
	ck_assert_int_eq(torc_run(NULL, give_back, &value), -EBUSY);
	return 0;
}

TEST_IN_FIBER(a_run_inside_a_run_is_refused_and_the_outer_one_goes_on)
{
	run_inside(NULL);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);

	TORC_SCOPE(children);
	ck_assert_int_eq(torc_go(children, run_inside, NULL), 0);
	ck_assert_int_eq(torc_scope_join(children), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
}

TEST(every_option_has_a_default)
{
	int value = 11;
	struct torc_run_options zero = { .size = sizeof zero };

	ck_assert_int_eq(torc_run(NULL, give_back, &value), 11);
	ck_assert_int_eq(torc_run(&zero, give_back, &value), 11);
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, ), give_back, &value), 11);
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .name = "x"), give_back, &value), 11);
}

TEST(ring_entries_out_of_range_are_refused)
{
	unsigned bad[] = { 1, 7, 9, 100, 513, 32769, 65536, UINT_MAX };
	unsigned good[] = { 8, 16, 512, 4096, 32768 };
	int value = 12;

	for (size_t i = 0; i < LENGTH(bad); i++)
		ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .ring_entries = bad[i]), give_back, &value),
		                 -EINVAL);
	for (size_t i = 0; i < LENGTH(good); i++)
		ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .ring_entries = good[i]), give_back, &value),
		                 12);
}

TEST(stack_sizes_out_of_range_are_refused)
{
	size_t bad[] = { 1, 4096, 16383, ((size_t)1 << 30) + 1, (size_t)1 << 40, SIZE_MAX };
	size_t good[] = { 65536, 65537, 100000, 1 << 20, (size_t)1 << 30 };
	int value = 13;

	for (size_t i = 0; i < LENGTH(bad); i++)
		ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .stack_size = bad[i]), give_back, &value),
		                 -EINVAL);
	for (size_t i = 0; i < LENGTH(good); i++)
		ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .stack_size = good[i]), give_back, &value),
		                 13);
}

TEST(the_smallest_stack_runs_fibers_too)
{
	int ended = 0;

	if (harness_slow())
		SKIP("instrumented frames are larger");
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .stack_size = 16384), spawn_and_join, &ended), 0);
	ck_assert_int_eq(ended, 100);
}

/* --- order ----------------------------------------------------------------------------------- */

enum { RACERS = 10, ROUNDS = 20 };

struct racer {
	int id, rounds;
	struct {
		int ids[RACERS * ROUNDS], count;
	} * log;
};

static int race(void *arg)
{
	struct racer *racer = arg;

	for (int i = 0; i < racer->rounds; i++) {
		if (i > 0)
			torc_yield();
		racer->log->ids[racer->log->count++] = racer->id;
	}
	return 0;
}

static void assert_round_robin(int rounds)
{
	__typeof__(*((struct racer *)0)->log) log = { .count = 0 };
	struct racer racers[RACERS];
	TORC_SCOPE(track);

	for (int i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){ .id = i, .rounds = rounds, .log = (void *)&log };
		ck_assert_int_eq(torc_go(track, race, &racers[i]), 0);
	}
	ck_assert_int_eq(log.count, 0); /* torc_go does not run the fiber itself */
	ck_assert_int_eq(torc_scope_join(track), 0);
	ck_assert_int_eq(log.count, RACERS * rounds);
	for (int i = 0; i < log.count; i++)
		ck_assert_int_eq(log.ids[i], i % RACERS);
}

TEST_IN_FIBER(fibers_start_first_in_first_out)
{
	assert_round_robin(1);
}

TEST_IN_FIBER(yielding_fibers_run_round_robin)
{
	assert_round_robin(ROUNDS);
}

struct ticker {
	bool done;
	int64_t yields;
};

static int yield_until_done(void *arg)
{
	struct ticker *ticker = arg;

	while (!ticker->done) {
		torc_yield();
		ticker->yields++;
	}
	return 0;
}

static int done_after_a_while(void *arg)
{
	struct ticker *ticker = arg;
	torc_ns due = torc_in(20 * TORC_MS);
	int r = torc_sleep_until(due);

	ck_assert_int_lt(torc_now() - due, AGES);
	ticker->done = true;
	return r;
}

TEST_IN_FIBER(a_fiber_that_only_yields_does_not_starve_timers)
{
	struct ticker ticker = { .done = false };
	TORC_SCOPE(children);

	ck_assert_int_eq(torc_go(children, yield_until_done, &ticker), 0);
	ck_assert_int_eq(torc_go(children, yield_until_done, &ticker), 0);
	ck_assert_int_eq(torc_go(children, done_after_a_while, &ticker), 0);
	ck_assert_int_eq(torc_scope_join(children), 0);
	ck_assert_int_gt(ticker.yields, COUNT(1000, 10));
}

struct pipe_ticker {
	struct ticker ticker;
	int ends[2];
};

static int done_when_readable(void *arg)
{
	struct pipe_ticker *pipe_ticker = arg;
	struct torc_async async;
	int r = torc_async_wrap(&async, pipe_ticker->ends[0]);

	if (r == 0)
		r = torc_async_readable(&async);
	pipe_ticker->ticker.done = true;
	torc_async_close(&async);
	return r;
}

static void *write_after_a_while(void *arg)
{
	struct pipe_ticker *pipe_ticker = arg;

	usleep(20 * 1000);
	ck_assert_int_eq(write(pipe_ticker->ends[1], "x", 1), 1);
	return NULL;
}

TEST_IN_FIBER(a_fiber_that_only_yields_does_not_starve_io)
{
	struct pipe_ticker pipe_ticker = { .ticker = { .done = false } };
	pthread_t thread;

	ck_assert_int_eq(pipe(pipe_ticker.ends), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_after_a_while, &pipe_ticker), 0);

	TORC_SCOPE(children);
	ck_assert_int_eq(torc_go(children, yield_until_done, &pipe_ticker.ticker), 0);
	ck_assert_int_eq(torc_go(children, done_when_readable, &pipe_ticker), 0);
	ck_assert_int_eq(torc_scope_join(children), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(close(pipe_ticker.ends[1]), 0);
}

/* --- signals --------------------------------------------------------------------------------- */

static volatile int signals;

static void count_signal(int signal)
{
	(void)signal;
	signals++;
}

static void alarm_every(long us)
{
	struct itimerval interval = { { 0, us }, { 0, us } };

	ck_assert_int_eq(setitimer(ITIMER_REAL, &interval, NULL), 0);
}

/* Ping and pong, sleeps and deadlines, while a signal arrives every half millisecond. */
TEST_IN_FIBER(signals_interrupt_nothing)
{
	struct sigaction action = { .sa_handler = count_signal }, old; /* no SA_RESTART */
	struct torc_stream a, b;
	torc_ns end;
	char byte = 'x';

	stream_pair(&a, &b);
	ck_assert_int_eq(sigaction(SIGALRM, &action, &old), 0);
	alarm_every(500);
	for (end = torc_in(200 * TORC_MS); torc_now() < end;) {
		torc_ns due = torc_in(3 * TORC_MS);

		ck_assert_int_eq(torc_sleep_until(due), 0);
		ck_assert_int_ge(torc_now(), due);
		ck_assert_int_eq(torc_stream_write(&a, &byte, 1), 1);
		ck_assert_int_eq(torc_stream_read(&b, &byte, 1), 1);
		due = torc_in(3 * TORC_MS);
		TORC_SCOPE(scope, .deadline = due);
		ck_assert_int_eq(torc_stream_read(&b, &byte, 1), -ETIME);
		ck_assert_int_ge(torc_now(), due);
	}
	alarm_every(0);
	ck_assert_int_eq(sigaction(SIGALRM, &old, NULL), 0);
	ck_assert_int_gt(signals, 20);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

/* --- what idling costs ----------------------------------------------------------------------- */

TEST_IN_FIBER(a_sleeping_executor_uses_no_cpu)
{
	torc_ns before = cpu_now();

	ck_assert_int_eq(torc_sleep(TORC_SEC), 0);
	ck_assert_int_lt(cpu_now() - before, COUNT(10, 200) * TORC_MS);
}

static void *write_after_a_second(void *arg)
{
	usleep(1000 * 1000);
	ck_assert_int_eq(write(*(int *)arg, "x", 1), 1);
	return NULL;
}

TEST_IN_FIBER(an_executor_that_waits_for_io_alone_uses_no_cpu)
{
	struct torc_stats stats = stats_now();
	torc_ns before = cpu_now();
	struct torc_async async;
	pthread_t thread;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_after_a_second, &ends[1]), 0);
	ck_assert_int_eq(torc_async_wrap(&async, ends[0]), 0);
	ck_assert_int_eq(torc_async_readable(&async), 0);
	ck_assert_int_lt(cpu_now() - before, COUNT(10, 200) * TORC_MS);
	ck_assert_uint_le(stats_now().enters - stats.enters, 5);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(torc_async_close(&async), 0);
	ck_assert_int_eq(close(ends[1]), 0);
}

/* --- many ------------------------------------------------------------------------------------ */

TEST(a_second_run_on_the_same_thread_works)
{
	for (int i = 0; i < 10; i++) {
		int ended = 0;

		ck_assert_int_eq(torc_run(NULL, spawn_and_join, &ended), 0);
		ck_assert_int_eq(ended, 100);
	}
}

enum { THREADS = 8, HOPS = 50 };

struct thread_run {
	pthread_t thread;
	int id, hops, result;
	struct torc_stream ends[2];
};

static int reply(void *arg)
{
	struct torc_stream *end = arg;
	unsigned char byte;
	int r;

	while ((r = torc_stream_read(end, &byte, 1)) == 1) {
		byte++;
		r = torc_stream_write(end, &byte, 1);
		if (r < 0)
			return r;
	}
	return r;
}

/* A byte goes to and fro, one larger each time, with sleeps and spawns in between. */
static int hop(void *arg)
{
	struct thread_run *run = arg;
	unsigned char byte = (unsigned char)run->id;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(torc_stream_wrap(&run->ends[i], fds[i]), 0);

	TORC_SCOPE(children);
	ck_assert_int_eq(torc_go(children, reply, &run->ends[1]), 0);
	for (int i = 0; i < HOPS; i++) {
		ck_assert_int_eq(torc_stream_write(&run->ends[0], &byte, 1), 1);
		ck_assert_int_eq(torc_stream_read(&run->ends[0], &byte, 1), 1);
		ck_assert_int_eq(torc_sleep(i % 10 == 0 ? TORC_MS : 0), 0);
		ck_assert_int_eq(torc_go(children, nothing, NULL), 0);
		run->hops++;
	}
	ck_assert_int_eq(torc_stream_close(&run->ends[0]), 0);
	ck_assert_int_eq(torc_scope_join(children), 0);
	ck_assert_int_eq(torc_stream_close(&run->ends[1]), 0);
	return byte;
}

static void *run_on_a_thread(void *arg)
{
	struct thread_run *run = arg;

	run->result = torc_run(TORC_OPTIONS(torc_run_options, .ring_entries = 64), hop, run);
	return NULL;
}

TEST(runs_on_several_threads_at_once_do_not_meet)
{
	struct thread_run runs[THREADS];

	memset(runs, 0, sizeof runs);
	for (int i = 0; i < THREADS; i++) {
		runs[i].id = i * 10;
		ck_assert_int_eq(pthread_create(&runs[i].thread, NULL, run_on_a_thread, &runs[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(runs[i].thread, NULL), 0);
		ck_assert_int_eq(runs[i].result, i * 10 + HOPS);
		ck_assert_int_eq(runs[i].hops, HOPS);
	}
}

static int touch_everything(void *arg)
{
	int *value = arg;
	TORC_SCOPE(children);

	ck_assert_int_eq(torc_go(children, nothing, NULL), 0);
	if (*value % 16 == 0)
		ck_assert_int_eq(torc_sleep(1), 0);
	ck_assert_int_eq(torc_scope_join(children), 0);
	return *value;
}

TEST_TIMEOUT(ten_thousand_runs_leave_nothing_behind, 60)
{
	int count = COUNT(10000, 300);

	for (int i = 0; i < count; i++) {
		unsigned entries = i % 8 == 0 ? 0 : 8;

		ck_assert_int_eq(
			torc_run(TORC_OPTIONS(torc_run_options, .ring_entries = entries), touch_everything, &i), i);
	}
}

static int leave_in_a_hurry(void *arg)
{
	struct child sleepers[20];
	TORC_SCOPE(children);

	(void)arg;
	for (size_t i = 0; i < LENGTH(sleepers); i++) {
		sleepers[i] = (struct child){ .span = FOREVER };
		ck_assert_int_eq(torc_go(children, child_run, &sleepers[i]), 0);
	}
	torc_yield();
	return -EXDEV;
}

TEST(leaving_with_timers_and_fibers_pending_leaks_nothing)
{
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(torc_run(NULL, leave_in_a_hurry, NULL), -EXDEV);
}

/* --- counters -------------------------------------------------------------------------------- */

TEST_IN_FIBER(statistics_without_a_size_are_refused)
{
	struct torc_stats stats = { .size = 0, .turns = 99 };

	ck_assert_int_eq(torc_stats_get(&stats), -EINVAL);
	ck_assert_uint_eq(stats.turns, 99);
}

TEST_IN_FIBER(statistics_fill_what_the_size_says_and_no_more)
{
	struct torc_stats stats;

	ck_assert_int_eq(torc_sleep(50 * TORC_MS), 0);
	memset(&stats, 0xee, sizeof stats);
	stats.size = offsetof(struct torc_stats, submissions);
	ck_assert_int_eq(torc_stats_get(&stats), 0);
	ck_assert_uint_lt(stats.turns, 1000);
	ck_assert_uint_gt(stats.turns, 0);
	ck_assert_uint_gt(stats.enters, 0);
	ck_assert_uint_eq(stats.submissions, UINT64_C(0xeeeeeeeeeeeeeeee));
	ck_assert_uint_eq(stats.stack_bytes, UINT64_C(0xeeeeeeeeeeeeeeee));
}

TEST_IN_FIBER(statistics_of_a_newer_program_are_filled_as_far_as_known)
{
	struct {
		struct torc_stats stats;
		uint64_t future[4];
	} newer;

	memset(&newer, 0, sizeof newer);
	newer.stats.size = sizeof newer;
	ck_assert_int_eq(torc_stats_get(&newer.stats), 0);
	ck_assert_uint_ge(newer.stats.fibers, 1);
	for (size_t i = 0; i < LENGTH(newer.future); i++)
		ck_assert_uint_eq(newer.future[i], 0);
}

static void assert_not_less(const struct torc_stats *now, const struct torc_stats *before)
{
	ck_assert_uint_ge(now->turns, before->turns);
	ck_assert_uint_ge(now->enters, before->enters);
	ck_assert_uint_ge(now->submissions, before->submissions);
	ck_assert_uint_ge(now->completions, before->completions);
	ck_assert_uint_ge(now->cancellations, before->cancellations);
	ck_assert_uint_ge(now->spawned, before->spawned);
}

TEST_IN_FIBER(counters_never_go_back)
{
	struct torc_stats before = stats_now();

	for (int i = 0; i < 100; i++) {
		TORC_SCOPE(children);
		struct torc_stats now;
		int ended = 0;

		if (i % 2 == 0)
			ck_assert_int_eq(torc_go(children, count_after_a_while, &ended), 0);
		torc_yield();
		if (i % 4 == 0)
			torc_scope_cancel(children);
		torc_yield();
		now = stats_now();
		assert_not_less(&now, &before);
		before = now;
	}
}

static int read_them(void *stats)
{
	return torc_stats_get(stats);
}

struct monitor {
	struct torc_remote *remote;
	struct torc_stats seen[100];
	int failed;
	atomic_bool over;
};

static void *read_from_outside(void *arg)
{
	struct monitor *monitor = arg;

	for (size_t i = 0; i < LENGTH(monitor->seen); i++) {
		monitor->seen[i].size = sizeof monitor->seen[i];
		monitor->failed |= torc_remote_call(monitor->remote, read_them, &monitor->seen[i]);
	}
	monitor->over = true;
	return NULL;
}

TEST_IN_FIBER(another_thread_reads_them_while_the_executor_works)
{
	struct monitor monitor = { .over = false };
	struct torc_stats before = stats_now();
	pthread_t thread;

	ck_assert_int_eq(torc_remote_new(&monitor.remote), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, read_from_outside, &monitor), 0);
	while (!monitor.over)
		torc_yield();
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	torc_remote_free(monitor.remote);
	ck_assert_int_eq(monitor.failed, 0);
	assert_not_less(&monitor.seen[0], &before);
	for (size_t i = 1; i < LENGTH(monitor.seen); i++)
		assert_not_less(&monitor.seen[i], &monitor.seen[i - 1]);
}

TEST_IN_FIBER(spawned_and_living_fibers_are_counted_exactly)
{
	struct torc_stats before = stats_now(), now;
	struct child sleepers[77];
	TORC_SCOPE(children);

	ck_assert_uint_eq(before.fibers, 1);
	for (size_t i = 0; i < LENGTH(sleepers); i++) {
		sleepers[i] = (struct child){ .span = FOREVER };
		ck_assert_int_eq(torc_go(children, child_run, &sleepers[i]), 0);
	}
	torc_yield();
	now = stats_now();
	ck_assert_uint_eq(now.spawned - before.spawned, LENGTH(sleepers));
	ck_assert_uint_eq(now.fibers, 1 + LENGTH(sleepers));
	ck_assert_uint_eq(now.timers - before.timers, LENGTH(sleepers));
	ck_assert_uint_eq(now.submissions, before.submissions); /* a sleep needs no SQE */
	ck_assert_uint_ge(now.stack_bytes, (1 + LENGTH(sleepers)) * 65536);

	torc_scope_cancel(children);
	ck_assert_int_eq(torc_scope_join(children), -ECANCELED);
	now = stats_now();
	ck_assert_uint_eq(now.fibers, 1);
	ck_assert_uint_eq(now.timers, before.timers);
	ck_assert_uint_eq(now.cancellations, before.cancellations);
}

TEST_IN_FIBER(yields_without_io_do_not_enter_the_kernel_each_time)
{
	struct torc_stats before, now;

	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	before = stats_now();
	for (int i = 0; i < 1000; i++)
		torc_yield();
	now = stats_now();
	ck_assert_uint_eq(now.submissions, before.submissions);
	ck_assert_uint_eq(now.completions, before.completions);
	ck_assert_uint_le(now.enters - before.enters, 100);
}

/* However long: it looks for work all the time and never sleeps in the kernel. */
TEST_IN_FIBER_WITH(who_spins_for_ever_never_sleeps, .spin = INT64_MAX)
{
	struct torc_stats before = stats_now(), now;

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	now = stats_now();
	ck_assert_uint_eq(now.enters, before.enters);
}

static int read_a_byte(void *arg)
{
	struct torc_stream *stream = arg;
	char byte;

	return torc_stream_read(stream, &byte, 1);
}

enum { READERS = 50 };

static void socket_streams(struct torc_stream *streams, int *peers, int count)
{
	for (int i = 0; i < count; i++) {
		int fds[2];

		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		ck_assert_int_eq(torc_stream_wrap(&streams[i], fds[0]), 0);
		peers[i] = fds[1];
	}
}

static void streams_close(struct torc_stream *streams, int *peers, int count)
{
	for (int i = 0; i < count; i++) {
		ck_assert_int_eq(torc_stream_close(&streams[i]), 0);
		ck_assert_int_eq(close(peers[i]), 0);
	}
}

TEST_IN_FIBER(submissions_completions_and_cancellations_are_counted_exactly)
{
	struct torc_stream streams[READERS];
	int peers[READERS];
	struct torc_stats before, now;
	TORC_SCOPE(readers);

	socket_streams(streams, peers, READERS);
	before = stats_now();
	for (int i = 0; i < READERS; i++)
		ck_assert_int_eq(torc_go(readers, read_a_byte, &streams[i]), 0);
	ck_assert_int_eq(torc_sleep(2 * TORC_MS), 0);
	now = stats_now();
	ck_assert_uint_eq(now.submissions - before.submissions, READERS);
	ck_assert_uint_eq(now.completions - before.completions, 0);
	ck_assert_uint_eq(now.in_flight - before.in_flight, READERS);
	ck_assert_uint_eq(now.waiting_for_room, 0);

	torc_scope_cancel(readers);
	ck_assert_int_eq(torc_scope_join(readers), -ECANCELED);
	now = stats_now();
	ck_assert_uint_eq(now.cancellations - before.cancellations, READERS);
	ck_assert_uint_eq(now.submissions - before.submissions, 2 * READERS);
	ck_assert_uint_eq(now.in_flight, before.in_flight);
	streams_close(streams, peers, READERS);
}

TEST_IN_FIBER(one_enter_serves_all_who_are_ready)
{
	struct torc_stream streams[READERS];
	int peers[READERS];
	struct torc_stats before, now;
	TORC_SCOPE(readers);

	socket_streams(streams, peers, READERS);
	before = stats_now();
	for (int i = 0; i < READERS; i++)
		ck_assert_int_eq(torc_go(readers, read_a_byte, &streams[i]), 0);
	ck_assert_int_eq(torc_sleep(2 * TORC_MS), 0);
	for (int i = 0; i < READERS; i++)
		ck_assert_int_eq(write(peers[i], "x", 1), 1);
	ck_assert_int_eq(torc_scope_join(readers), 0);
	now = stats_now();
	ck_assert_uint_eq(now.submissions - before.submissions, READERS);
	ck_assert_uint_eq(now.completions - before.completions, READERS);
	ck_assert_uint_le(now.enters - before.enters, 10);
	streams_close(streams, peers, READERS);
}

/* --- a full ring ----------------------------------------------------------------------------- */

enum { WAITERS = 1200 };

/* 15/16 of a completion queue, less 4 for other cores to ring; it has 128 times the entries of the submission queue, or
 * twice as many where its size cannot be chosen. */
static unsigned ring_room(void)
{
	return feature_is_on("cqsize") ? 8 * 128 / 16 * 15 - 4 : 8 * 2 / 16 * 15 - 4;
}

static int wait_readable(void *arg)
{
	return torc_async_readable(arg);
}

static void wrap_eventfds(struct torc_async *asyncs)
{
	for (int i = 0; i < WAITERS; i++)
		ck_assert_int_eq(torc_async_wrap(&asyncs[i], eventfd(0, EFD_CLOEXEC)), 0);
}

TEST_IN_FIBER_WITH(what_does_not_fit_the_ring_waits_its_turn, .ring_entries = 8)
{
	static struct torc_async asyncs[WAITERS];
	struct torc_stats now;
	TORC_SCOPE(waiters);

	wrap_eventfds(asyncs);
	for (int i = 0; i < WAITERS; i++)
		ck_assert_int_eq(torc_go(waiters, wait_readable, &asyncs[i]), 0);
	ck_assert_int_eq(torc_sleep(5 * TORC_MS), 0);
	now = stats_now();
	ck_assert_uint_eq(now.in_flight, ring_room());
	ck_assert_uint_eq(now.waiting_for_room, WAITERS - ring_room());
	for (int i = WAITERS - 1; i >= 0; i--)
		ck_assert_int_eq(eventfd_write(torc_async_fd(&asyncs[i]), 1), 0);
	ck_assert_int_eq(torc_scope_join(waiters), 0);
	now = stats_now();
	ck_assert_uint_eq(now.waiting_for_room, 0);
	for (int i = 0; i < WAITERS; i++)
		ck_assert_int_eq(torc_async_close(&asyncs[i]), 0);
}

TEST_IN_FIBER_WITH(what_waits_for_room_can_be_cancelled, .ring_entries = 8)
{
	static struct torc_async asyncs[WAITERS];
	TORC_SCOPE(waiters, .until = TORC_ALL_DONE);

	wrap_eventfds(asyncs);
	for (int i = 0; i < WAITERS; i++)
		ck_assert_int_eq(torc_go(waiters, wait_readable, &asyncs[i]), 0);
	ck_assert_int_eq(torc_sleep(5 * TORC_MS), 0);
	torc_scope_cancel(waiters);
	ck_assert_int_eq(torc_scope_join(waiters), -ECANCELED);
	ck_assert_uint_eq(stats_now().waiting_for_room, 0);
	for (int i = 0; i < WAITERS; i++)
		ck_assert_int_eq(torc_async_close(&asyncs[i]), 0);
}
