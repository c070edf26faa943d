/* torc_shared_event - set and waited for by fibers of several cores and by plain threads; cancelled in every state; with
 * and without the kernel's futex requests (.ci/run switches them off). */
#include "sync.h"

#include <pthread.h>
#include <sys/resource.h>

static int wait_for(void *event)
{
	return torc_shared_event_wait(event);
}

static void *set_soon(void *event)
{
	usleep(2000);
	torc_shared_event_set(event);
	return NULL;
}

static void *block_on(void *event)
{
	return (void *)(intptr_t)torc_shared_event_block(event, INT64_MAX);
}

static pthread_t thread_of(void *(*main)(void *arg), void *arg)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, main, arg), 0);
	return thread;
}

static intptr_t end_of(pthread_t thread)
{
	void *result;

	ck_assert_int_eq(pthread_join(thread, &result), 0);
	return (intptr_t)result;
}

TEST_IN_FIBER(set_it_lasts)
{
	struct torc_shared_event event = { 0 };

	ck_assert(!torc_shared_event_is_set(&event));
	torc_shared_event_reset(&event);
	torc_shared_event_set(&event);
	torc_shared_event_set(&event);
	ck_assert(torc_shared_event_is_set(&event));
	ck_assert_int_eq(torc_shared_event_wait(&event), 0);
	ck_assert_int_eq(call_cancelled(wait_for, &event), 0);
	torc_shared_event_reset(&event);
	ck_assert(!torc_shared_event_is_set(&event));
	ck_assert_int_eq(call_cancelled(wait_for, &event), -ECANCELED);
	ck_assert_int_eq(call_until_soon(wait_for, &event), -ETIME);
}

TEST(threads_need_no_run)
{
	struct torc_shared_event event = { 0 };
	pthread_t thread = thread_of(set_soon, &event);

	ck_assert_int_eq(torc_shared_event_block(&event, INT64_MAX), 0);
	ck_assert_int_eq(end_of(thread), 0);
	ck_assert_int_eq(torc_shared_event_block(&event, 0), 0);
	torc_shared_event_reset(&event);
	ck_assert_int_eq(torc_shared_event_block(&event, 0), -ETIME);
	ck_assert_int_eq(torc_shared_event_block(&event, -1), -ETIME);
	ck_assert_int_eq(torc_shared_event_block(&event, INT64_MIN), -ETIME);
	ck_assert_int_eq(torc_shared_event_block(&event, torc_in(TORC_MS)), -ETIME);
}

static void interrupted(int number)
{
	(void)number;
}

TEST(signals_do_not_end_a_wait)
{
	struct sigaction action = { .sa_handler = interrupted }; /* without SA_RESTART */
	struct torc_shared_event event = { 0 };
	pthread_t thread;

	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	thread = thread_of(block_on, &event);
	for (int i = 0; i < 20; i++) {
		usleep(200);
		ck_assert_int_eq(pthread_kill(thread, SIGUSR1), 0);
	}
	ck_assert(!torc_shared_event_is_set(&event));
	torc_shared_event_set(&event);
	ck_assert_int_eq(end_of(thread), 0);
}

static void wait_and_reset(void *event)
{
	torc_shared_event_set(event); /* as another thread may, again and again */
	ck_assert_int_eq(torc_shared_event_wait(event), 0);
	torc_shared_event_reset(event);
}

TEST_IN_FIBER(one_that_is_set_again_and_again_does_not_keep_the_core)
{
	ck_assert(lets_others_run(wait_and_reset, &(struct torc_shared_event){ 0 }));
}

TEST_IN_FIBER(a_thread_wakes_a_fiber)
{
	struct torc_shared_event event = { 0 };
	pthread_t thread = thread_of(set_soon, &event);

	ck_assert_int_eq(torc_shared_event_wait(&event), 0);
	ck_assert_int_eq(end_of(thread), 0);
}

TEST_IN_FIBER(a_fiber_wakes_threads_and_fibers_though_it_resets_at_once)
{
	struct torc_shared_event event = { 0 };
	struct caller callers[3];
	pthread_t threads[2];

	TORC_SCOPE(scope);
	for (int i = 0; i < 2; i++)
		threads[i] = thread_of(block_on, &event);
	for (int i = 0; i < 3; i++)
		start_call(scope, &callers[i], wait_for, &event);
	ck_assert_int_eq(torc_sleep(SOON), 0);
	for (int i = 0; i < 3; i++)
		ck_assert(waits(&callers[i]));
	torc_shared_event_set(&event);
	torc_shared_event_reset(&event);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	torc_shared_event_set(&event); /* a thread that began late */
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(end_of(threads[i]), 0);
}

static void count_those_who_wait(const struct torc_fiber_info *info, void *arg)
{
	if (info->waits_for && strcmp(info->waits_for, "a shared event") == 0)
		++*(int *)arg;
}

TEST_IN_FIBER(diagnoses_call_it_by_its_name)
{
	struct torc_shared_event event = { 0 };
	struct caller waits;
	int count = 0;

	TORC_SCOPE(scope);
	start_call(scope, &waits, wait_for, &event);
	torc_fiber_each(count_those_who_wait, &count);
	ck_assert_int_eq(count, 1);
	torc_shared_event_set(&event);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

TEST_IN_FIBER(cancelled_while_parked)
{
	struct torc_shared_event event = { 0 };
	struct caller callers[3];

	{
		TORC_SCOPE(scope, .until = TORC_ALL_DONE);
		for (int i = 0; i < 3; i++)
			start_call(scope, &callers[i], wait_for, &event);
		ck_assert_int_eq(torc_sleep(SOON), 0);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	}
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(callers[i].result, -ECANCELED);
	torc_shared_event_set(&event); /* nobody is there any more */
	ck_assert_int_eq(torc_shared_event_wait(&event), 0);
}

TEST_IN_FIBER(some_are_cancelled_and_the_others_wait_on)
{
	struct torc_shared_event event = { 0 };
	struct caller stay[2], go[2];

	TORC_SCOPE(scope);
	{
		TORC_SCOPE(inner, .until = TORC_ALL_DONE);
		for (int i = 0; i < 2; i++) {
			start_call(scope, &stay[i], wait_for, &event);
			start_call(inner, &go[i], wait_for, &event);
		}
		ck_assert_int_eq(torc_sleep(SOON), 0);
		torc_scope_cancel(inner);
		ck_assert_int_eq(torc_scope_join(inner), -ECANCELED);
	}
	ck_assert(waits(&stay[0]) && waits(&stay[1]));
	torc_shared_event_set(&event);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

TEST_IN_FIBER(set_then_cancelled_is_a_success)
{
	struct torc_shared_event event = { 0 };
	struct caller caller;

	TORC_SCOPE(scope);
	start_call(scope, &caller, wait_for, &event);
	torc_shared_event_set(&event);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(caller.result, 0);
}

TEST_IN_FIBER(want_of_descriptors_is_told)
{
	struct torc_shared_event event = { 0 };
	struct rlimit limit, none;

	if (feature_is_on("futex"))
		SKIP("a wait takes no descriptor");
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(torc_shared_event_wait(&event), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	torc_shared_event_set(&event);
	ck_assert_int_eq(torc_shared_event_wait(&event), 0);
}

DEATH(waited_for_outside_a_fiber, "torc_shared_event_wait: called outside a fiber")
{
	struct torc_shared_event event = { 0 };

	ck_assert_int_eq(torc_shared_event_wait(&event), 0);
}

DEATH_IN_FIBER(blocked_on_in_a_fiber, "torc_shared_event_block: called on the thread of an executor")
{
	struct torc_shared_event event = { 0 };

	ck_assert_int_eq(torc_shared_event_block(&event, 0), 0);
}

/* --- many rounds, between cores and threads -------------------------------------------------- */

enum { CORES = 2, WAITERS = 2 };

/* A relay: the number of a round is passed on from one event to the next, and back. */
static struct torc_shared_event there, back;
static long rounds_made, rounds_wanted;

static int answer(void *arg)
{
	(void)arg;
	for (long i = 0; i < rounds_wanted; i++) {
		int r = torc_shared_event_wait(&there);

		if (r < 0)
			return r;
		torc_shared_event_reset(&there);
		ck_assert_int_eq(rounds_made, i + 1);
		torc_shared_event_set(&back);
	}
	return 0;
}

static int ask(void)
{
	for (long i = 0; i < rounds_wanted; i++) {
		int r;

		rounds_made++;
		torc_shared_event_set(&there);
		r = torc_shared_event_wait(&back);
		if (r < 0)
			return r;
		torc_shared_event_reset(&back);
	}
	return 0;
}

static int relay(void *arg)
{
	return torc_core() == 0 ? ask() : answer(arg);
}

TEST_TIMEOUT(between_two_cores, 60)
{
	rounds_wanted = COUNT(5000, 200);
	ck_assert_int_eq(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = CORES), relay, NULL), 0);
	ck_assert_int_eq(rounds_made, rounds_wanted);
}

static void *answer_on_thread(void *arg)
{
	(void)arg;
	for (long i = 0; i < rounds_wanted; i++) {
		ck_assert_int_eq(torc_shared_event_block(&there, INT64_MAX), 0);
		torc_shared_event_reset(&there);
		ck_assert_int_eq(rounds_made, i + 1);
		torc_shared_event_set(&back);
	}
	return NULL;
}

static int ask_fiber(void *arg)
{
	(void)arg;
	return ask();
}

TEST_TIMEOUT(between_a_core_and_a_thread, 60)
{
	pthread_t thread;

	rounds_wanted = COUNT(5000, 200);
	thread = thread_of(answer_on_thread, NULL);
	ck_assert_int_eq(torc_run(NULL, ask_fiber, NULL), 0);
	ck_assert_int_eq(end_of(thread), 0);
}

/* Fibers of two cores wait for events that a thread sets and frees at once; each wait may be cancelled meanwhile. */
static struct torc_shared_event *current[CORES][WAITERS];
static long let_go, cut_short;

static void *set_what_is_there(void *arg)
{
	bool *over = arg;

	while (!__atomic_load_n(over, __ATOMIC_ACQUIRE))
		for (int i = 0; i < CORES * WAITERS; i++) {
			struct torc_shared_event *event =
				__atomic_exchange_n(&current[i / WAITERS][i % WAITERS], NULL, __ATOMIC_ACQ_REL);

			if (event)
				torc_shared_event_set(event);
		}
	return NULL;
}

static int wait_and_free(void *arg)
{
	struct torc_shared_event **mine = arg;

	for (int i = 0; i < COUNT(1000, 50); i++) {
		struct torc_shared_event *event = calloc(1, sizeof *event);
		int r;

		ck_assert_ptr_nonnull(event);
		{
			TORC_SCOPE(scope, .deadline = torc_in(i % 50 * TORC_US));
			__atomic_store_n(mine, event, __ATOMIC_RELEASE);
			r = torc_shared_event_wait(event);
		}
		ck_assert(r == 0 || r == -ETIME);
		__atomic_fetch_add(r == 0 ? &let_go : &cut_short, 1, __ATOMIC_RELAXED);
		if (r < 0 && __atomic_exchange_n(mine, NULL, __ATOMIC_ACQ_REL) != event)
			ck_assert_int_eq(torc_shared_event_wait(event), 0); /* the thread has it, and will set it */
		free(event);
	}
	return 0;
}

static int wait_on_core(void *arg)
{
	(void)arg;
	TORC_SCOPE(scope);
	for (int i = 0; i < WAITERS; i++)
		if (torc_go(scope, wait_and_free, &current[torc_core()][i]) < 0)
			return -ENOMEM;
	return torc_scope_join(scope);
}

TEST_TIMEOUT(freed_by_who_was_let_go, 60)
{
	bool over = false;
	pthread_t thread = thread_of(set_what_is_there, &over);

	ck_assert_int_eq(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = CORES), wait_on_core, NULL), 0);
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	ck_assert_int_eq(end_of(thread), 0);
	ck_assert_int_eq(let_go + cut_short, CORES * WAITERS * COUNT(1000, 50));
}
