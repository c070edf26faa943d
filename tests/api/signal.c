/* signal - signals as events: counted from open on, for each set and each core; none lost between waits; what they did
 * before comes back with the last close. */
#include "api.h"

#include <pthread.h>
#include <signal.h>

/* ThreadSanitizer keeps a signal for the flow that ran when it came, until that flow calls something it knows. */
#ifdef __SANITIZE_THREAD__
#define FROM_OTHER_THREADS() SKIP("ThreadSanitizer holds signals back")
#else
#define FROM_OTHER_THREADS() ((void)0)
#endif

static void raise_here(int signal)
{
	ck_assert_int_eq(kill(getpid(), signal), 0);
}

static void *disposition(int signal)
{
	struct sigaction now;

	ck_assert_int_eq(sigaction(signal, NULL, &now), 0);
	return (void *)(uintptr_t)now.sa_handler;
}

/* --- one fiber ------------------------------------------------------------------------------- */

TEST_IN_FIBER(a_signal_that_came_before_the_wait_is_there)
{
	struct torc_signals set;
	unsigned times = UNSET;

	ck_assert_int_eq(torc_signals_open(&set, SIGUSR1, SIGUSR2), 0);
	raise_here(SIGUSR2);
	ck_assert_int_eq(torc_signals_next(&set, &times), SIGUSR2);
	ck_assert_uint_eq(times, 1);
	raise_here(SIGUSR1);
	raise_here(SIGUSR1);
	raise_here(SIGUSR1);
	ck_assert_int_eq(torc_signals_next(&set, &times), SIGUSR1);
	ck_assert_uint_eq(times, 3); /* each was delivered before the next was sent */
	raise_here(SIGUSR1);
	raise_here(SIGUSR2);
	ck_assert_int_eq(torc_signals_next(&set, NULL), SIGUSR2); /* in turn */
	ck_assert_int_eq(torc_signals_next(&set, NULL), SIGUSR1);
	torc_signals_close(&set);
	torc_signals_close(&set);
	ck_assert_int_eq(torc_signals_next(&set, NULL), -EBADF);
}

TEST_IN_FIBER(real_time_signals_are_counted_exactly)
{
	struct torc_signals set;
	unsigned times, sum = 0;

	ck_assert_int_eq(torc_signals_open(&set, SIGRTMIN, SIGRTMIN + 2), 0);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(sigqueue(getpid(), i % 2 ? SIGRTMIN + 2 : SIGRTMIN, (union sigval){ .sival_int = i }),
		                 0);
	for (int i = 0; i < 2; i++) {
		int signal = torc_signals_next(&set, &times);

		ck_assert(signal == SIGRTMIN || signal == SIGRTMIN + 2);
		sum += times;
	}
	ck_assert_uint_eq(sum, 100);
	torc_signals_close(&set);
}

TEST_IN_FIBER(held_back_signals_are_merged_as_the_kernel_does)
{
	struct torc_signals set;
	unsigned times;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	ck_assert_int_eq(torc_signals_open(&set, SIGUSR1), 0);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	raise_here(SIGUSR1);
	raise_here(SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
	ck_assert_int_eq(torc_signals_next(&set, &times), SIGUSR1);
	ck_assert_uint_eq(times, 1);
	torc_signals_close(&set);
}

/* --- what can't be had ------------------------------------------------------------------------ */

TEST(what_is_no_signal_to_wait_for)
{
	static const int bad[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, -1, 65, 1000, INT_MAX, INT_MIN };
	struct torc_signals set = { 0 };
	void *before = disposition(SIGUSR1);

	for (size_t i = 0; i < LENGTH(bad); i++) {
		ck_assert_int_eq(torc_signals_open(&set, bad[i]), -EINVAL);
		ck_assert_int_eq(torc_signals_open(&set, SIGUSR1, bad[i]), -EINVAL);
	}
	ck_assert_int_eq(torc_signals_open(&set, 32), -EINVAL); /* glibc's own */
	ck_assert_int_eq(torc_signals_open(&set, SIGUSR1, 33), -EINVAL);
	ck_assert_int_eq(torc_signals_open_list(&set, 0), -EINVAL);
	ck_assert_int_eq(torc_async_fd(&set.async), -EBADF);
	ck_assert_ptr_eq(disposition(SIGUSR1), before);
	torc_signals_close(&set);
}

TEST(without_descriptors_or_with_too_many_sets)
{
	static struct torc_signals sets[130];
	struct rlimit before;
	int count = 0, r;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 3, before.rlim_max }), 0);
	ck_assert_int_eq(torc_signals_open(&sets[0], SIGUSR1), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &before);
	while ((r = torc_signals_open(&sets[count], SIGUSR1)) == 0)
		ck_assert_int_lt(++count, 130);
	ck_assert_int_eq(r, -EMFILE);
	ck_assert_int_eq(count, 128);
	raise_here(SIGUSR1);
	for (int i = 0; i < count; i++)
		torc_signals_close(&sets[i]);
	ck_assert_ptr_eq(disposition(SIGUSR1), (void *)SIG_DFL);
}

/* --- dispositions ------------------------------------------------------------------------------ */

static volatile sig_atomic_t handled;

static void count_handled(int signal)
{
	(void)signal;
	handled++;
}

TEST(what_a_signal_did_comes_back_with_the_last_close)
{
	struct torc_signals a, b, c;

	signal(SIGUSR1, count_handled);
	signal(SIGUSR2, SIG_IGN);
	ck_assert_int_eq(torc_signals_open(&a, SIGUSR1, SIGUSR2), 0);
	ck_assert_int_eq(torc_signals_open(&b, SIGUSR1), 0);
	raise_here(SIGUSR1);
	ck_assert_int_eq(handled, 0);
	torc_signals_close(&a);
	ck_assert_ptr_eq(disposition(SIGUSR2), (void *)SIG_IGN);
	raise_here(SIGUSR1);
	ck_assert_int_eq(handled, 0);
	torc_signals_close(&b);
	raise_here(SIGUSR1);
	ck_assert_int_eq(handled, 1);

	/* One that the program put there meanwhile is left alone. */
	ck_assert_int_eq(torc_signals_open(&c, SIGUSR1), 0);
	signal(SIGUSR1, SIG_IGN);
	torc_signals_close(&c);
	ck_assert_ptr_eq(disposition(SIGUSR1), (void *)SIG_IGN);
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

DEATH_BY(after_close_a_signal_kills_again, SIGTERM, "")
{
	struct torc_signals set;

	ck_assert_int_eq(torc_signals_open(&set, SIGTERM), 0);
	raise_here(SIGTERM);
	torc_signals_close(&set);
	raise_here(SIGTERM);
}

/* --- several fibers ------------------------------------------------------------------------------ */

struct waiter {
	struct torc_signals *set;
	int got, signals, errors;
	unsigned times;
};

static int wait_once(void *arg)
{
	struct waiter *waiter = arg;

	waiter->got = torc_signals_next(waiter->set, &waiter->times);
	return 0;
}

static int wait_for_ever(void *arg)
{
	struct waiter *waiter = arg;
	unsigned times;

	while ((waiter->got = torc_signals_next(waiter->set, &times)) > 0)
		waiter->times += times;
	return 0;
}

static void park(struct torc_scope *scope, struct waiter *waiter, struct torc_signals *set, torc_fn *fn)
{
	*waiter = (struct waiter){ .set = set, .got = UNSET };
	ck_assert_int_eq(torc_go(scope, fn, waiter), 0);
	torc_yield();
}

TEST_IN_FIBER(each_signal_wakes_one_of_those_that_wait)
{
	struct torc_signals set;
	struct waiter waiters[3];
	int woken = 0;

	ck_assert_int_eq(torc_signals_open(&set, SIGUSR1, SIGUSR2, SIGHUP), 0);
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	for (int i = 0; i < 3; i++)
		park(scope, &waiters[i], &set, wait_once);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	raise_here(SIGHUP);
	while (torc_scope_live(scope) == 3)
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	for (int i = 0; i < 3; i++)
		woken += waiters[i].got == SIGHUP;
	ck_assert_int_eq(woken, 1);
	/* Two at once: both who are left. */
	raise_here(SIGUSR1);
	raise_here(SIGUSR2);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(waiters[0].got + waiters[1].got + waiters[2].got, SIGHUP + SIGUSR1 + SIGUSR2);
	torc_signals_close(&set);
}

TEST_IN_FIBER(each_set_gets_each_signal)
{
	struct torc_signals sets[3];
	struct waiter waiters[3];

	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(torc_signals_open(&sets[i], SIGUSR1), 0);
		park(scope, &waiters[i], &sets[i], wait_once);
	}
	raise_here(SIGUSR1);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(waiters[i].got, SIGUSR1);
		torc_signals_close(&sets[i]);
	}
}

TEST_IN_FIBER(close_cancel_and_deadline_cut_a_wait)
{
	struct torc_signals set;
	struct waiter waiter;

	ck_assert_int_eq(torc_signals_open(&set, SIGUSR1), 0);
	{
		TORC_SCOPE(scope);
		park(scope, &waiter, &set, wait_once);
	}
	ck_assert_int_eq(waiter.got, -ECANCELED);
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_signals_next(&set, NULL), -ETIME);
		raise_here(SIGUSR1);
		ck_assert_int_eq(torc_signals_next(&set, NULL), -ETIME);
	}
	ck_assert_int_eq(torc_signals_next(&set, NULL), SIGUSR1); /* and is not lost by that */
	{
		TORC_SCOPE(scope);
		park(scope, &waiter, &set, wait_once);
		torc_signals_close(&set);
		ck_assert_int_eq(waiter.got, -EBADF);
	}
}

/* One that waits is cancelled just as a signal comes: somebody gets it, whatever the order. */
TEST_IN_FIBER(a_signal_and_a_cancellation_at_once)
{
	struct torc_signals set;

	ck_assert_int_eq(torc_signals_open(&set, SIGUSR1), 0);
	for (int i = 0; i < COUNT(300, 30); i++) {
		struct waiter cancelled, other;

		TORC_SCOPE(outer, .until = TORC_ALL_DONE);
		{
			TORC_SCOPE(scope);
			park(scope, &cancelled, &set, wait_once);
			park(outer, &other, &set, wait_once);
			ck_assert_int_eq(torc_sleep(i % 3 == 0 ? 0 : 1), 0);
			if (i & 1)
				raise_here(SIGUSR1);
			torc_scope_cancel(scope);
			if (!(i & 1))
				raise_here(SIGUSR1);
		}
		if (cancelled.got == SIGUSR1)
			raise_here(SIGUSR1);
		ck_assert_int_eq(torc_scope_join(outer), 0);
		ck_assert_int_eq(other.got, SIGUSR1);
		ck_assert(cancelled.got == SIGUSR1 || cancelled.got == -ECANCELED);
	}
	torc_signals_close(&set);
}

/* --- threads and cores ------------------------------------------------------------------------------ */

struct storm {
	pthread_t target;
	int count, done;
};

static void *send_storm(void *arg)
{
	struct storm *storm = arg;

	for (int i = 0; i < storm->count; i++) {
		while (pthread_kill(storm->target, SIGRTMIN + 1) != 0) /* too many are queued */
			usleep(100);
		if (i % 16 == 0)
			usleep(100);
	}
	return NULL;
}

TEST_IN_FIBER(a_storm_from_other_threads_is_counted_to_the_last)
{
	struct torc_signals set;
	struct storm storms[2];
	pthread_t threads[2];
	unsigned sum = 0, times;

	FROM_OTHER_THREADS();
	ck_assert_int_eq(torc_signals_open(&set, SIGRTMIN + 1), 0);
	for (int i = 0; i < 2; i++) {
		storms[i] = (struct storm){ pthread_self(), COUNT(2000, 100), 0 };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, send_storm, &storms[i]), 0);
	}
	while (sum < 2u * (unsigned)storms[0].count) {
		ck_assert_int_eq(torc_signals_next(&set, &times), SIGRTMIN + 1);
		sum += times;
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(sum, 2u * (unsigned)storms[0].count);
	torc_signals_close(&set);
}

/* Sets that open and close while signals come: each counts what came in its time, and no descriptor of another's is
 * written to. */
static void send_and_take(void *signals)
{
	raise(SIGUSR1);
	ck_assert_int_eq(torc_signals_next(signals, NULL), SIGUSR1);
}

TEST_IN_FIBER(a_flood_of_signals_does_not_keep_the_core)
{
	struct torc_signals signals;

	ck_assert_int_eq(torc_signals_open(&signals, SIGUSR1), 0);
	ck_assert(lets_others_run(send_and_take, &signals));
	torc_signals_close(&signals);
}

TEST_IN_FIBER(sets_come_and_go_in_a_storm)
{
	struct torc_signals steady;
	struct storm storm = { pthread_self(), COUNT(4000, 200), 0 };
	struct waiter waiter;
	pthread_t thread;

	FROM_OTHER_THREADS();
	ck_assert_int_eq(torc_signals_open(&steady, SIGRTMIN + 1), 0);
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	park(scope, &waiter, &steady, wait_for_ever);
	ck_assert_int_eq(pthread_create(&thread, NULL, send_storm, &storm), 0);
	for (int i = 0; i < COUNT(500, 50); i++) {
		struct torc_signals set;
		int ends[2];
		char byte;

		ck_assert_int_eq(torc_signals_open(&set, SIGRTMIN + 1), 0);
		torc_yield();
		torc_signals_close(&set);
		ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0); /* its number again */
		torc_yield();
		ck_assert_int_eq(read(ends[0], &byte, 1), -1);
		close(ends[0]);
		close(ends[1]);
	}
	pthread_join(thread, NULL);
	while (waiter.times < (unsigned)storm.count)
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_uint_eq(waiter.times, (unsigned)storm.count);
	torc_signals_close(&steady);
}

static unsigned cores_ready;

static int on_each_core(void *arg)
{
	struct torc_signals set;
	int r = torc_signals_open(&set, SIGUSR1);

	(void)arg;
	if (r < 0)
		return r;
	if (__atomic_add_fetch(&cores_ready, 1, __ATOMIC_SEQ_CST) == torc_core_count())
		kill(getpid(), SIGUSR1);
	r = torc_signals_next(&set, NULL);
	torc_signals_close(&set);
	return r;
}

TEST(every_core_gets_it)
{
	int results[3] = { 0 };

	cores_ready = 0;
	ck_assert_int_eq(
		torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 3, .results = results), on_each_core, NULL),
		0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(results[i], SIGUSR1);
}

/* The set of a fiber and .stop_on_signals are two sets: both get it. */
static int beside_stop_on_signals(void *arg)
{
	struct torc_signals set;
	int r = torc_signals_open(&set, SIGTERM);

	(void)arg;
	if (r < 0)
		return r;
	kill(getpid(), SIGTERM);
	{
		TORC_SCOPE(patient, .shield = true);
		r = torc_signals_next(&set, NULL);
	}
	torc_signals_close(&set);
	return r == SIGTERM ? torc_sleep(FOREVER) : -EIO;
}

TEST(beside_a_stop_on_signals)
{
	ck_assert_int_eq(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 1, .stop_on_signals = true),
	                                beside_stop_on_signals, NULL),
	                 -ECANCELED);
}

/* Other system calls of the program are not disturbed. */
static void *read_slowly(void *arg)
{
	char byte;

	return (void *)(intptr_t)read(*(int *)arg, &byte, 1);
}

TEST_IN_FIBER(a_blocking_call_elsewhere_goes_on)
{
	struct torc_signals set;
	pthread_t thread;
	void *got;
	int ends[2];

	FROM_OTHER_THREADS();
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(torc_signals_open(&set, SIGUSR1), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, read_slowly, ends), 0);
	ck_assert_int_eq(torc_sleep(SOON), 0);
	pthread_kill(thread, SIGUSR1);
	ck_assert_int_eq(torc_signals_next(&set, NULL), SIGUSR1);
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	pthread_join(thread, &got);
	ck_assert_int_eq((intptr_t)got, 1);
	torc_signals_close(&set);
	close(ends[0]);
	close(ends[1]);
}
