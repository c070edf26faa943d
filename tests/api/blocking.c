/* blocking.c - calls that block a thread, beside the executor. */
#include "api.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <dirent.h>

/* --- what jobs do ---------------------------------------------------------------------------- */

static void nap(torc_ns span)
{
	struct timespec rest = { span / TORC_SEC, span % TORC_SEC };

	while (nanosleep(&rest, &rest) < 0)
		;
}

static int nap_and_give(void *arg)
{
	nap(*(torc_ns *)arg);
	return 7;
}

static int give(void *arg)
{
	return *(int *)arg;
}

/* A job that runs until it is let go, and a way to see that it began. */
struct latch {
	atomic_bool begun, open;
	bool noticed; /* the cancellation */
};

static int wait_for_latch(void *arg)
{
	struct latch *latch = arg;

	atomic_store(&latch->begun, true);
	while (!atomic_load(&latch->open))
		nap(100 * TORC_US);
	return 11;
}

static int wait_for_cancel(void *arg)
{
	struct latch *latch = arg;

	atomic_store(&latch->begun, true);
	while (!torc_blocking_cancelled())
		nap(100 * TORC_US);
	latch->noticed = true;
	return -EINTR;
}

/* A fiber that has a job done. */
struct errand {
	torc_fn *fn;
	void *arg;
	int result;
};

static int run_errand(void *arg)
{
	struct errand *errand = arg;

	errand->result = torc_blocking(errand->fn, errand->arg);
	return 0;
}

static void go(struct torc_scope *scope, struct errand *errand)
{
	ck_assert_int_eq(torc_go(scope, run_errand, errand), 0);
}

static void await(const atomic_bool *flag)
{
	while (!atomic_load(flag))
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
}

/* Threads of this process by that name. */
static int threads_called(const char *name)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int count = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		char path[300], comm[32] = "";
		FILE *file;

		snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fgets(comm, sizeof comm, file) && strncmp(comm, name, strlen(name)) == 0)
			count++;
		fclose(file);
	}
	closedir(dir);
	return count;
}

/* --- results --------------------------------------------------------------------------------- */

TEST_IN_FIBER(a_job_returns_what_its_function_returns)
{
	int values[] = { 0, 1, INT_MAX, -1, -EIO, -EAGAIN, -ECANCELED, INT_MIN };

	for (size_t i = 0; i < LENGTH(values); i++)
		ck_assert_int_eq(torc_blocking(give, &values[i]), values[i]);
}

static int be_elsewhere(void *arg)
{
	return pthread_equal(*(pthread_t *)arg, pthread_self());
}

TEST_IN_FIBER(a_job_runs_on_another_thread)
{
	pthread_t self = pthread_self();

	ck_assert_int_eq(torc_blocking(be_elsewhere, &self), 0);
}

static int use_the_stack(void *arg)
{
	char large[1 << 20];

	memset(large, *(int *)arg, sizeof large);
	return large[*(int *)arg];
}

TEST_IN_FIBER(a_job_has_a_threads_stack)
{
	ck_assert_int_eq(torc_blocking(use_the_stack, &(int){ 9 }), 9);
}

/* --- time ------------------------------------------------------------------------------------ */

struct ticker {
	bool stop;
	atomic_int ticks;
};

static int tick(void *arg)
{
	struct ticker *ticker = arg;

	while (!ticker->stop && torc_sleep(TORC_MS) == 0)
		ticker->ticks++;
	return 0;
}

/* Jobs that end when all of them have begun, and the core has gone on for a while since. */
struct meeting {
	struct ticker ticker;
	atomic_int begun;
};

enum { AT_ONCE = 8, TICKS = 20 };

static int meet(void *arg)
{
	struct meeting *meeting = arg;
	int before;

	meeting->begun++;
	while (meeting->begun < AT_ONCE)
		nap(100 * TORC_US);
	before = meeting->ticker.ticks;
	while (meeting->ticker.ticks - before < TICKS)
		nap(100 * TORC_US);
	return 7;
}

TEST_IN_FIBER_WITH(n_jobs_run_on_n_threads_at_once_and_the_core_goes_on, .blocking_threads = AT_ONCE)
{
	struct meeting meeting = { 0 };
	struct errand errands[AT_ONCE];

	TORC_SCOPE(beside);
	TORC_SCOPE(jobs);
	ck_assert_int_eq(torc_go(beside, tick, &meeting.ticker), 0);
	for (size_t i = 0; i < LENGTH(errands); i++) {
		errands[i] = (struct errand){ meet, &meeting, UNSET };
		go(jobs, &errands[i]);
	}
	ck_assert_int_eq(torc_scope_join(jobs), 0);
	meeting.ticker.stop = true;
	for (size_t i = 0; i < LENGTH(errands); i++)
		ck_assert_int_eq(errands[i].result, 7);
}

TEST_IN_FIBER_WITH(more_jobs_than_threads_wait_their_turn, .blocking_threads = 2)
{
	torc_ns span = 50 * TORC_MS, began = torc_now();
	struct errand errands[6];

	TORC_SCOPE(jobs);
	for (size_t i = 0; i < LENGTH(errands); i++) {
		errands[i] = (struct errand){ nap_and_give, &span, UNSET };
		go(jobs, &errands[i]);
	}
	ck_assert_int_eq(torc_scope_join(jobs), 0);
	ck_assert_int_ge(torc_now() - began, 3 * span);
	ck_assert_int_eq(threads_called("torc-blocking"), 2);
}

struct order {
	int *next;
	int place;
};

static int note_place(void *arg)
{
	struct order *order = arg;

	order->place = (*order->next)++;
	return 0;
}

TEST_IN_FIBER_WITH(jobs_begin_first_in_first_out, .blocking_threads = 1)
{
	struct order orders[100];
	struct errand errands[100];
	int next = 0;

	TORC_SCOPE(jobs);
	for (int i = 0; i < 100; i++) {
		orders[i] = (struct order){ &next, -1 };
		errands[i] = (struct errand){ note_place, &orders[i], UNSET };
		go(jobs, &errands[i]);
	}
	ck_assert_int_eq(torc_scope_join(jobs), 0);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(orders[i].place, i);
}

static int add_one(void *arg)
{
	return atomic_fetch_add((atomic_int *)arg, 1) < 0;
}

TEST_IN_FIBER_TIMEOUT(many_small_jobs, 60)
{
	int count = COUNT(10000, 2000);
	struct errand *errands = calloc((size_t)count, sizeof *errands);
	atomic_int sum = 0;

	ck_assert_ptr_nonnull(errands);
	{
		TORC_SCOPE(jobs);
		for (int i = 0; i < count; i++) {
			errands[i] = (struct errand){ add_one, &sum, UNSET };
			go(jobs, &errands[i]);
		}
		ck_assert_int_eq(torc_scope_join(jobs), 0);
	}
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(errands[i].result, 0);
	ck_assert_int_eq(atomic_load(&sum), count);
	free(errands);
}

TEST_IN_FIBER(one_after_the_other_needs_one_thread)
{
	atomic_int sum = 0;

	for (int i = 0; i < COUNT(2000, 200); i++)
		ck_assert_int_eq(torc_blocking(add_one, &sum), 0);
	ck_assert_int_eq(threads_called("torc-blocking"), 1);
}

/* --- cancellation ---------------------------------------------------------------------------- */

TEST_IN_FIBER(in_a_cancelled_scope_no_job_begins)
{
	struct latch latch = { 0 };

	TORC_SCOPE(scope);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_blocking(wait_for_latch, &latch), -ECANCELED);
	ck_assert(!atomic_load(&latch.begun));
	ck_assert_int_eq(threads_called("torc-blocking"), 0);
}

TEST_IN_FIBER(in_a_scope_past_its_deadline_no_job_begins)
{
	struct latch latch = { 0 };

	TORC_SCOPE(scope, .deadline = torc_now() - 1);
	ck_assert_int_eq(torc_blocking(wait_for_latch, &latch), -ETIME);
	ck_assert(!atomic_load(&latch.begun));
}

TEST_IN_FIBER_WITH(a_job_that_waits_its_turn_is_taken_out, .blocking_threads = 1)
{
	struct latch first = { 0 }, second = { 0 }, third = { 0 };
	struct errand busy = { wait_for_latch, &first, UNSET }, cut = { wait_for_latch, &second, UNSET },
		      last = { wait_for_latch, &third, UNSET };

	TORC_SCOPE(all);
	go(all, &busy);
	await(&first.begun);
	{
		TORC_SCOPE(some);
		go(some, &cut);
		go(all, &last);
		torc_yield();
		torc_scope_cancel(some);
		(void)!torc_scope_join(some); /* does not wait for the one that is busy */
		ck_assert_int_eq(cut.result, -ECANCELED);
		ck_assert_int_eq(busy.result, UNSET);
	}
	atomic_store(&first.open, true);
	atomic_store(&third.open, true);
	ck_assert_int_eq(torc_scope_join(all), 0);
	ck_assert_int_eq(busy.result, 11);
	ck_assert_int_eq(last.result, 11);
	ck_assert(!atomic_load(&second.begun));
}

TEST_IN_FIBER_WITH(a_deadline_takes_a_waiting_job_out, .blocking_threads = 1)
{
	struct latch first = { 0 }, second = { 0 };
	struct errand busy = { wait_for_latch, &first, UNSET };

	TORC_SCOPE(all);
	go(all, &busy);
	await(&first.begun);
	{
		TORC_SCOPE(soon, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_blocking(wait_for_latch, &second), -ETIME);
	}
	atomic_store(&first.open, true);
	ck_assert_int_eq(torc_scope_join(all), 0);
	ck_assert(!atomic_load(&second.begun));
}

TEST_IN_FIBER(a_job_that_runs_is_waited_for_and_its_result_returned)
{
	struct latch latch = { 0 };
	struct errand errand = { wait_for_latch, &latch, UNSET };

	TORC_SCOPE(scope);
	go(scope, &errand);
	await(&latch.begun);
	torc_scope_cancel(scope);
	for (int i = 0; i < 20; i++)
		torc_yield();
	ck_assert_int_eq(errand.result, UNSET);
	atomic_store(&latch.open, true);
	(void)!torc_scope_join(scope);
	ck_assert_int_eq(errand.result, 11);
}

TEST_IN_FIBER(a_job_notices_that_it_is_cancelled)
{
	struct latch latch = { 0 };
	struct errand errand = { wait_for_cancel, &latch, UNSET };

	ck_assert(!torc_blocking_cancelled());
	TORC_SCOPE(scope);
	go(scope, &errand);
	await(&latch.begun);
	torc_scope_cancel(scope);
	(void)!torc_scope_join(scope);
	ck_assert_int_eq(errand.result, -EINTR);
	ck_assert(latch.noticed);
}

TEST_IN_FIBER(a_deadline_is_noticed_too)
{
	torc_ns span = 20 * TORC_MS;
	int r;

	do { /* ends: sooner or later there is time enough for it to begin */
		struct latch latch = { 0 };
		torc_ns due = torc_in(span *= 2);
		TORC_SCOPE(scope, .deadline = due);

		r = torc_blocking(wait_for_cancel, &latch);
		ck_assert_int_ge(torc_now(), due);
		ck_assert_int_eq(r, latch.begun ? -EINTR : -ETIME);
		ck_assert_int_eq(torc_blocking(wait_for_latch, &latch), -ETIME);
	} while (r == -ETIME);
}

TEST_IN_FIBER(the_next_job_of_a_thread_is_not_cancelled)
{
	struct latch latch = { 0 };

	for (int i = 0; i < 3; i++) {
		{
			TORC_SCOPE(scope, .deadline = torc_in(TORC_MS));
			(void)!torc_blocking(wait_for_cancel, &latch);
		}
		atomic_store(&latch.open, true);
		ck_assert_int_eq(torc_blocking(wait_for_latch, &latch), 11);
	}
}

static int is_cancelled(void *arg)
{
	(void)arg;
	return torc_blocking_cancelled();
}

TEST_IN_FIBER(under_a_shield_jobs_run)
{
	TORC_SCOPE(scope);
	torc_scope_cancel(scope);
	TORC_SCOPE(cleanup, .shield = true);
	ck_assert_int_eq(torc_blocking(is_cancelled, NULL), 0);
}

/* Cancel at random moments: begun, about to, over. Under ASan the argument goes as soon as the call returns. */
static int short_job(void *arg)
{
	volatile char *bytes = arg;

	for (int i = 0; i < 64; i++)
		bytes[i]++;
	return 3;
}

static int lend_and_free(void *arg)
{
	char *bytes = calloc(1, 64);
	int r = torc_blocking(short_job, bytes);

	(void)arg;
	ck_assert(r == 3 ? bytes[63] == 1 : r == -ECANCELED && bytes[0] == 0);
	free(bytes);
	return 0;
}

TEST_IN_FIBER_TIMEOUT(cancelled_at_any_moment_the_argument_is_free_when_the_call_returns, 60)
{
	for (int round = 0; round < COUNT(500, 100); round++) {
		TORC_SCOPE(scope);
		for (int i = 0; i < 16; i++)
			ck_assert_int_eq(torc_go(scope, lend_and_free, NULL), 0);
		for (int i = 0; i <= round % 4; i++)
			torc_yield();
		torc_scope_cancel(scope);
	}
}

/* --- threads --------------------------------------------------------------------------------- */

static int use_all(void *arg)
{
	torc_ns span = TORC_MS;
	struct errand errands[4];

	(void)arg;
	TORC_SCOPE(jobs);
	for (size_t i = 0; i < LENGTH(errands); i++) {
		errands[i] = (struct errand){ nap_and_give, &span, UNSET };
		go(jobs, &errands[i]);
	}
	return torc_scope_join(jobs);
}

TEST(no_thread_outlives_the_run)
{
	for (int i = 0; i < COUNT(200, 20); i++) {
		ck_assert_int_eq(torc_run(NULL, use_all, NULL), 0);
		/* Threads that were joined are in /proc for a moment more. */
		for (int tries = 0; threads_called("torc-blocking") > 0; tries++) {
			ck_assert_int_lt(tries, 1000);
			nap(TORC_MS);
		}
	}
}

static int see_signals(void *arg)
{
	sigset_t mask;

	(void)arg;
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
	return sigismember(&mask, SIGINT) && sigismember(&mask, SIGTERM) && sigismember(&mask, SIGCHLD) &&
	       sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGURG) && !sigismember(&mask, SIGSEGV);
}

TEST_IN_FIBER(pool_threads_take_no_signals)
{
	ck_assert_int_eq(torc_blocking(see_signals, NULL), 1);
}

static int see_cpus(void *arg)
{
	cpu_set_t *set = arg;

	return sched_getaffinity(0, sizeof *set, set);
}

struct bound {
	cpu_set_t whole, seen;
	int cpu, result;
};

static int ask_for_cpus(void *arg)
{
	return torc_blocking(see_cpus, arg);
}

static void *run_bound(void *arg)
{
	struct bound *bound = arg;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(bound->cpu, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
	bound->result = torc_run(NULL, ask_for_cpus, &bound->seen);
	return NULL;
}

TEST(pool_threads_are_not_bound_to_the_executors_cpu)
{
	struct bound bound = { .result = UNSET };
	pthread_t thread;

	ck_assert_int_eq(sched_getaffinity(0, sizeof bound.whole, &bound.whole), 0);
	if (CPU_COUNT(&bound.whole) < 2)
		SKIP("there is one CPU");
	while (!CPU_ISSET(bound.cpu, &bound.whole))
		bound.cpu++;
	ck_assert_int_eq(pthread_create(&thread, NULL, run_bound, &bound), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(bound.result, 0);
	ck_assert(CPU_EQUAL(&bound.seen, &bound.whole));
}

static int several_runs(void *arg)
{
	for (int i = 0; i < COUNT(300, 50); i++) {
		int r = torc_blocking(add_one, arg);

		if (r != 0)
			return r;
	}
	return use_all(NULL);
}

static void *run_several(void *arg)
{
	return (void *)(intptr_t)torc_run(NULL, several_runs, arg);
}

TEST_TIMEOUT(executors_beside_each_other_have_pools_of_their_own, 60)
{
	pthread_t threads[6];
	atomic_int sum = 0;

	for (size_t i = 0; i < LENGTH(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run_several, &sum), 0);
	for (size_t i = 0; i < LENGTH(threads); i++) {
		void *result;

		ck_assert_int_eq(pthread_join(threads[i], &result), 0);
		ck_assert_ptr_null(result);
	}
	ck_assert_int_eq(atomic_load(&sum), 6 * COUNT(300, 50));
}

static int block_on_every_core(void *arg)
{
	return several_runs(arg);
}

TEST_TIMEOUT(cores_of_a_group_have_pools_too, 60)
{
	atomic_int sum = 0;

	ck_assert_int_eq(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), block_on_every_core, &sum), 0);
	ck_assert_int_eq(atomic_load(&sum), 2 * COUNT(300, 50));
}

static int run_inside(void *arg)
{
	return torc_run(NULL, use_all, arg);
}

TEST_IN_FIBER(a_job_may_be_a_run_of_its_own)
{
	ck_assert_int_eq(torc_blocking(run_inside, NULL), 0);
}

/* --- limits ---------------------------------------------------------------------------------- */

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

TEST(the_number_of_threads_has_a_bound)
{
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .blocking_threads = 1024), nothing, NULL), 0);
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .blocking_threads = 1025), nothing, NULL), -EINVAL);
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .blocking_threads = UINT_MAX), nothing, NULL),
	                 -EINVAL);
}

/* No thread is to be had: as an ordinary user with no processes left. */
static int ask_in_vain(void *arg)
{
	int value = 5, r;

	(void)arg;
	ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &(struct rlimit){ 0, 0 }), 0);
	ck_assert_int_eq(setuid(65534), 0);
	r = torc_blocking(give, &value);
	if (r != -ENOMEM)
		return 100;
	r = torc_sleep(TORC_MS); /* and nothing else suffers */
	return r < 0 ? 101 : 0;
}

static int without_threads(void *arg)
{
	return torc_run(NULL, ask_in_vain, arg);
}

TEST(without_a_thread_it_is_enomem)
{
	struct outcome outcome;

	if (geteuid() != 0 || harness_slow())
		SKIP("only root can become somebody without processes; sanitizers have threads");
	run_in_process(&outcome, without_threads, NULL);
	assert_exit(&outcome, 0);
}

/* --- misuse ---------------------------------------------------------------------------------- */

static int sleep_in_job(void *arg)
{
	(void)arg;
	return torc_sleep(TORC_MS);
}

DEATH_IN_FIBER(a_job_may_not_park, "torc_sleep: called outside a fiber")
{
	(void)!torc_blocking(sleep_in_job, NULL);
}

static int block_in_job(void *arg)
{
	return torc_blocking(give, arg);
}

DEATH_IN_FIBER(a_job_may_not_ask_for_jobs, "torc_blocking: called outside a fiber")
{
	(void)!torc_blocking(block_in_job, NULL);
}

DEATH(blocking_belongs_into_a_fiber, "torc_blocking: called outside a fiber")
{
	(void)!torc_blocking(give, &(int){ 0 });
}

TEST(nothing_is_cancelled_outside)
{
	ck_assert(!torc_blocking_cancelled());
}
