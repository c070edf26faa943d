/* watchdog.c - fibers that run for too long are reported, others are not. */
#include "api.h"

#include <dirent.h>
#include <execinfo.h>
#include <pthread.h>
#include <regex.h>
#include <signal.h>
#include <stdatomic.h>

#define LIMIT (COUNT(20, 60) * TORC_MS)

/* --- what is reported ------------------------------------------------------------------------- */

/* The watchdog's thread writes, a fiber reads: one after the other, but nobody tells them so. */
struct record {
	char executor[32], queue[32], fiber[100], symbols[4000];
	unsigned core, frame_count;
	torc_ns span, limit;
};

struct reports {
	pthread_mutex_t mutex;
	int count;
	struct record list[64];
};

static void note(const struct torc_stall *stall, void *arg)
{
	struct reports *reports = arg;
	struct record *record;
	char **symbols = backtrace_symbols(stall->frames, (int)stall->frame_count);

	pthread_mutex_lock(&reports->mutex);
	ck_assert_int_lt(reports->count, (int)LENGTH(reports->list));
	record = &reports->list[reports->count++];
	snprintf(record->executor, sizeof record->executor, "%s", stall->executor);
	snprintf(record->queue, sizeof record->queue, "%s", stall->queue);
	snprintf(record->fiber, sizeof record->fiber, "%s", stall->fiber);
	record->core = stall->core;
	record->frame_count = stall->frame_count;
	record->span = stall->span;
	record->limit = stall->limit;
	for (unsigned i = 0; i < stall->frame_count; i++) {
		size_t len = strlen(record->symbols);

		snprintf(record->symbols + len, sizeof record->symbols - len, "%s\n", symbols[i]);
	}
	pthread_mutex_unlock(&reports->mutex);
	free(symbols);
}

static int count_of(struct reports *reports)
{
	int count;

	pthread_mutex_lock(&reports->mutex);
	count = reports->count;
	pthread_mutex_unlock(&reports->mutex);
	return count;
}

/* A body, run with reports; it is over when they are looked at. */
#define WATCHED(test, span)                                                                                        \
	static void test##_watched_(struct reports *reports);                                                      \
	static int test##_root_(void *arg)                                                                         \
	{                                                                                                          \
		test##_watched_(arg);                                                                              \
		return 0;                                                                                          \
	}                                                                                                          \
	TEST_TIMEOUT(test, 30)                                                                                     \
	{                                                                                                          \
		static struct reports reports = { .mutex = PTHREAD_MUTEX_INITIALIZER };                            \
                                                                                                                   \
		ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .name = "watched", .stall_limit = (span), \
		                                       .on_stall = note, .on_stall_arg = &reports),                \
		                          test##_root_, &reports),                                                 \
		                 0);                                                                               \
	}                                                                                                          \
	static void test##_watched_(struct reports *reports)

/* How long a fiber computes: a while, or until there are so many reports; the watchdog is late on a busy machine. How long
 * that was on the clock: on a busy machine it may be longer than was wanted, and the report right. */
struct stall {
	torc_ns span;
	struct reports *reports;
	int wanted;
	torc_ns took;
};

/* Not static, and not inlined: the linker is to know its name. */
int compute_without_yielding(void *arg);
__attribute__((noinline)) int compute_without_yielding(void *arg)
{
	struct stall *stall = arg;
	torc_ns began = torc_now();

	for (torc_ns end = began + stall->span; torc_now() < end;)
		if (stall->reports && count_of(stall->reports) >= stall->wanted)
			break;
	stall->took = torc_now() - began;
	return 0;
}

static torc_ns stall_in(struct torc_queue *queue, struct stall stall)
{
	TORC_SCOPE(scope, .queue = queue);
	ck_assert_int_eq(torc_go(scope, compute_without_yielding, &stall), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(torc_sleep(LIMIT), 0); /* a report that is under way arrives */
	return stall.took;
}

/* Not reported, unless it took as long as it may not. */
static void assert_unreported(struct torc_queue *queue, torc_ns span, struct reports *reports, torc_ns limit)
{
	int before = count_of(reports);
	torc_ns took = stall_in(queue, (struct stall){ .span = span });

	if (took < limit)
		ck_assert_int_eq(count_of(reports), before);
}

/* Until one more is reported, or several. It has been going on for as long as it is said to, and no longer. */
static void stall_until_reported(struct torc_queue *queue, struct reports *reports, int more)
{
	int before = count_of(reports);
	torc_ns took = stall_in(queue, (struct stall){ .span = FOREVER, reports, before + more });

	ck_assert_int_ge(count_of(reports), before + more);
	for (int i = before; i < count_of(reports); i++) {
		ck_assert_int_ge(reports->list[i].span, reports->list[i].limit << (i - before));
		ck_assert_int_le(reports->list[i].span, took + AGES);
	}
}

/* The same, in the calling fiber. */
static void stall_here(struct reports *reports)
{
	compute_without_yielding(&(struct stall){ .span = FOREVER, reports, 1 });
}

/* The watchdog is there no more. A thread that was joined is in /proc for a moment longer. */
static bool watchdog_goes(void)
{
	for (int tries = 0; tries < 1000; tries++) {
		DIR *dir = opendir("/proc/self/task");
		int count = 0;

		ck_assert_ptr_nonnull(dir);
		for (struct dirent *entry; (entry = readdir(dir));) {
			char path[300], name[32] = "";
			FILE *file;

			snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
			file = fopen(path, "re");
			if (!file)
				continue;
			count += fgets(name, sizeof name, file) && strcmp(name, "torc-watchdog\n") == 0;
			fclose(file);
		}
		closedir(dir);
		if (count == 0)
			return true;
		usleep(1000);
	}
	return false;
}

/* --- stalls ---------------------------------------------------------------------------------- */

WATCHED(a_fiber_that_computes_is_reported_by_name_and_place, LIMIT)
{
	const struct record *record = reports->list;

	stall_until_reported(NULL, reports, 1);
	ck_assert_str_eq(record->executor, "watched");
	ck_assert_str_eq(record->queue, "default");
	ck_assert_int_eq((int)record->core, 0);
	ck_assert_msg(strncmp(record->fiber, "compute_without_yielding at ", 28) == 0 &&
	                      strstr(record->fiber, "watchdog.c:"),
	              "%s", record->fiber);
	ck_assert_int_eq(record->limit, LIMIT);
	ck_assert_int_ge(record->span, LIMIT);
	ck_assert_msg(strstr(record->symbols, "compute_without_yielding"), "%s", record->symbols);
}

WATCHED(the_root_fiber_has_a_name_too, LIMIT)
{
	stall_here(reports);
	ck_assert_int_ge(count_of(reports), 1);
	ck_assert_str_eq(reports->list[0].fiber, "the root fiber");
}

WATCHED(a_stall_is_reported_once_and_again_when_it_has_doubled, LIMIT)
{
	stall_until_reported(NULL, reports, 3);
}

WATCHED(each_stall_is_one_of_its_own, LIMIT)
{
	for (int i = 0; i < 3; i++)
		stall_until_reported(NULL, reports, 1);
}

/* The whole of it on stderr: what a program sees that asks for nothing else. */
static int stall_with_defaults(void *arg)
{
	/* Time enough, unless the watchdog starves. */
	stall_in(NULL, (struct stall){ .span = *(torc_ns *)arg });
	return 0;
}

static int run_with_defaults(void *arg)
{
	return torc_run(TORC_OPTIONS(torc_run_options, .stall_limit = LIMIT), stall_with_defaults, arg);
}

TEST(by_default_a_report_goes_to_stderr)
{
	struct outcome outcome;
	regex_t regex;

	ck_assert_int_eq(regcomp(&regex,
	                         "torc: stall: fiber compute_without_yielding at .*watchdog.c:[0-9]+ .queue default, "
	                         "core 0 of torc. has been running for [0-9]+ ms; it may for [0-9]+ ms, and is here:\n"
	                         "(.*\n)*.*compute_without_yielding",
	                         REG_EXTENDED | REG_NOSUB),
	                 0);
	for (torc_ns span = 10 * LIMIT; span < FOREVER / 10; span *= 4) {
		run_in_process(&outcome, run_with_defaults, &span);
		assert_exit(&outcome, 0);
		if (outcome.text[0])
			break;
	}
	ck_assert_msg(regexec(&regex, outcome.text, 0, NULL, 0) == 0, "%s", outcome.text);
	regfree(&regex);
}

/* A system call that blocks the thread, and is restarted after the watchdog's signal. */
struct late_writer {
	struct reports *reports;
	int ends[2];
};

static void *write_later(void *arg)
{
	struct late_writer *writer = arg;

	while (count_of(writer->reports) == 0)
		usleep(1000);
	ck_assert_int_eq(write(writer->ends[1], "x", 1), 1);
	return NULL;
}

WATCHED(a_fiber_that_blocks_its_thread_is_reported, LIMIT)
{
	struct late_writer writer = { .reports = reports };
	pthread_t thread;
	char byte;

	ck_assert_int_eq(pipe(writer.ends), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_later, &writer), 0);
	ck_assert_int_eq(read(writer.ends[0], &byte, 1), 1);
	pthread_join(thread, NULL);
	close(writer.ends[0]);
	close(writer.ends[1]);
	ck_assert_int_ge(count_of(reports), 1);
	ck_assert_str_eq(reports->list[0].fiber, "the root fiber");
}

/* Almost nothing is left of the stack: the handler must not need any. */
static int compute_deep_down(void *arg)
{
	volatile char most[9000];

	most[0] = most[sizeof most - 1] = 1;
	return compute_without_yielding(arg);
}

static int run_deep_down(void *arg)
{
	struct stall stall = { .span = FOREVER, arg, 1 };

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, compute_deep_down, &stall), 0);
	return torc_scope_join(scope);
}

TEST(the_handler_needs_no_room_on_the_fibers_stack)
{
	static struct reports reports = { .mutex = PTHREAD_MUTEX_INITIALIZER };

	if (harness_slow())
		SKIP("a sanitizer itself needs more than that");
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .stall_limit = LIMIT, .on_stall = note,
	                                       .on_stall_arg = &reports, .stack_size = 16 << 10),
	                          run_deep_down, &reports),
	                 0);
	ck_assert_int_ge(count_of(&reports), 1);
	ck_assert_msg(strstr(reports.list[0].symbols, "compute_without_yielding"), "%s", reports.list[0].symbols);
}

/* --- what is no stall ------------------------------------------------------------------------ */

/* Fibers that take turns, and the longest that one of them went without a yield: longer than meant where the machine has
 * other things to do, and then a report is right. */
struct turns {
	torc_ns span, longest;
};

static int compute_and_yield(void *arg)
{
	struct turns *turns = arg;

	for (torc_ns now = torc_now(), end = now + turns->span, last = now; now < end; last = now) {
		busy_until(now + LIMIT / 20);
		torc_yield();
		now = torc_now();
		if (now - last > turns->longest)
			turns->longest = now - last;
	}
	return 0;
}

WATCHED(a_fiber_that_yields_is_not_reported, 5 * LIMIT)
{
	struct turns turns = { .span = 20 * LIMIT };

	compute_and_yield(&turns);
	{
		TORC_SCOPE(several);
		for (int i = 0; i < 4; i++)
			ck_assert_int_eq(torc_go(several, compute_and_yield, &turns), 0);
		ck_assert_int_eq(torc_scope_join(several), 0);
	}
	if (turns.longest < 5 * LIMIT)
		ck_assert_int_eq(count_of(reports), 0);
}

static int nap(void *arg)
{
	struct timespec rest = { 0, *(torc_ns *)arg };

	return nanosleep(&rest, NULL);
}

WATCHED(an_idle_executor_is_not_reported, LIMIT)
{
	torc_ns span = 8 * LIMIT;

	ck_assert_int_eq(torc_sleep(span), 0);
	ck_assert_int_eq(torc_blocking(nap, &span), 0);
	ck_assert_int_eq(count_of(reports), 0);
}

WATCHED(a_computation_below_the_limit_is_not_reported, 20 * LIMIT)
{
	assert_unreported(NULL, 5 * LIMIT, reports, 20 * LIMIT);
}

/* A process that was stopped for a while has not stalled for that while. Another program may take the core for as long, but
 * does not each time. */
static int yield_while_stopped(void *arg)
{
	struct turns turns = { .span = COUNT(600, 1500) * TORC_MS };

	(void)arg;
	return compute_and_yield(&turns);
}

static int count_stalls_while_stopped(void *arg)
{
	static struct reports reports = { .mutex = PTHREAD_MUTEX_INITIALIZER };

	(void)arg;
	(void)!torc_run(
		TORC_OPTIONS(torc_run_options, .stall_limit = 5 * LIMIT, .on_stall = note, .on_stall_arg = &reports),
		yield_while_stopped, NULL);
	return count_of(&reports);
}

static bool is_silent_about_a_stop(void *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(count_stalls_while_stopped(arg));
	nap(&(torc_ns){ 150 * TORC_MS });
	kill(pid, SIGSTOP);
	nap(&(torc_ns){ 7 * LIMIT });
	kill(pid, SIGCONT);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status) == 0;
}

TEST_TIMEOUT(time_in_which_the_process_stood_still_does_not_count, 60)
{
	ck_assert(once_in_many(is_silent_about_a_stop, NULL));
}

/* --- queues ---------------------------------------------------------------------------------- */

static struct torc_queue *queue_with(const char *name, torc_ns limit)
{
	struct torc_queue *queue;

	ck_assert_int_eq(torc_queue_new(&queue, TORC_OPTIONS(torc_queue_options, .name = name, .stall_limit = limit)),
	                 0);
	return queue;
}

WATCHED(a_queue_has_a_limit_of_its_own, 10 * LIMIT)
{
	struct torc_queue *strict = queue_with("strict", LIMIT), *lax = queue_with("lax", 30 * LIMIT),
			  *never = queue_with("never", -1), *usual = queue_with("usual", 0);
	int before;

	assert_unreported(lax, 3 * LIMIT, reports, 30 * LIMIT);
	assert_unreported(usual, 3 * LIMIT, reports, 10 * LIMIT);
	assert_unreported(never, 30 * LIMIT, reports, FOREVER);
	before = count_of(reports);
	stall_until_reported(strict, reports, 1);
	ck_assert_str_eq(reports->list[before].queue, "strict");
	ck_assert_int_eq(reports->list[before].limit, LIMIT);
	before = count_of(reports);
	stall_until_reported(usual, reports, 1);
	ck_assert_str_eq(reports->list[before].queue, "usual");
	ck_assert_int_eq(reports->list[before].limit, 10 * LIMIT);
}

WATCHED(a_queue_may_be_watched_where_the_run_is_not, 0)
{
	struct torc_queue *strict = queue_with("strict", LIMIT);

	assert_unreported(NULL, 3 * LIMIT, reports, FOREVER);
	stall_until_reported(strict, reports, 1);
	ck_assert_int_eq(torc_queue_free(strict), 0);
	assert_unreported(NULL, 3 * LIMIT, reports, FOREVER);
}

/* --- coming and going ------------------------------------------------------------------------ */

static int nothing(void *arg)
{
	return arg != NULL;
}

TEST(a_limit_is_at_least_a_millisecond)
{
	torc_ns limits[] = { 1, TORC_MS - 1, -1, INT64_MIN };

	for (size_t i = 0; i < LENGTH(limits); i++)
		ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .stall_limit = limits[i]), nothing, NULL),
		                 -EINVAL);
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .stall_limit = TORC_MS), nothing, NULL), 0);
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .stall_limit = INT64_MAX), nothing, NULL), 0);
}

TEST_IN_FIBER(and_so_is_that_of_a_queue)
{
	struct torc_queue *queue;

	ck_assert_int_eq(torc_queue_new(&queue, TORC_OPTIONS(torc_queue_options, .stall_limit = 1000)), -EINVAL);
}

TEST_TIMEOUT(it_comes_and_goes_with_those_who_ask_for_it, 60)
{
	struct sigaction action;

	for (int i = 0; i < COUNT(1000, 100); i++) {
		ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .stall_limit = LIMIT), nothing, NULL), 0);
		ck_assert(watchdog_goes());
	}
	ck_assert_int_eq(sigaction(SIGURG, NULL, &action), 0);
	ck_assert(action.sa_handler == SIG_DFL);
}

static int compute_in_turn(void *arg)
{
	struct reports *reports = arg;

	for (int i = 0; i < 5; i++) {
		busy_until(torc_now() + LIMIT / 10);
		torc_yield();
	}
	stall_here(reports);
	return 0;
}

static void *run_watched(void *arg)
{
	return (void *)(intptr_t)torc_run(
		TORC_OPTIONS(torc_run_options, .stall_limit = LIMIT, .on_stall = note, .on_stall_arg = arg),
		compute_in_turn, arg);
}

TEST_TIMEOUT(one_watches_over_several_executors, 60)
{
	static struct reports reports[4];
	pthread_t thread[4];

	for (size_t i = 0; i < LENGTH(thread); i++) {
		pthread_mutex_init(&reports[i].mutex, NULL);
		ck_assert_int_eq(pthread_create(&thread[i], NULL, run_watched, &reports[i]), 0);
	}
	for (size_t i = 0; i < LENGTH(thread); i++) {
		void *result;

		ck_assert_int_eq(pthread_join(thread[i], &result), 0);
		ck_assert_ptr_null(result);
		ck_assert_int_ge(reports[i].count, 1);
		ck_assert_str_eq(reports[i].list[0].fiber, "the root fiber");
	}
}

static void *come_and_go(void *arg)
{
	for (int i = 0; i < COUNT(200, 30); i++)
		ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .stall_limit = TORC_MS), nothing, NULL), 0);
	return arg;
}

TEST_TIMEOUT(several_come_and_go_at_once, 60)
{
	pthread_t thread[4];

	for (size_t i = 0; i < LENGTH(thread); i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, come_and_go, NULL), 0);
	for (size_t i = 0; i < LENGTH(thread); i++)
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
}

static int stall_on_core_one(void *arg)
{
	if (torc_core() == 1)
		stall_here(arg);
	return 0;
}

TEST_TIMEOUT(the_core_is_told, 60)
{
	static struct reports reports = { .mutex = PTHREAD_MUTEX_INITIALIZER };
	const struct torc_run_options *run =
		TORC_OPTIONS(torc_run_options, .stall_limit = LIMIT, .on_stall = note, .on_stall_arg = &reports);

	ck_assert_int_eq(
		torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2, .run = run), stall_on_core_one, &reports),
		0);
	ck_assert_int_ge(reports.count, 1);
	for (int i = 0; i < reports.count; i++)
		ck_assert_int_eq((int)reports.list[i].core, 1);
}

/* --- the handler ----------------------------------------------------------------------------- */

static struct torc_remote *stalled_core;
static _Atomic int calls, runs, handled;
static bool asked;

static int be_asked(void *arg)
{
	(void)arg;
	asked = true;
	return 0;
}

/* Both want what the handler's thread must not hold: a core to be watched more closely, a run to begin and end. */
static void call_back(const struct torc_stall *stall, void *arg)
{
	if (atomic_fetch_add(&calls, 1) > 0)
		return;
	ck_assert_int_eq(torc_remote_call(stalled_core, be_asked, NULL), 0);
	while (atomic_load(&runs) == 0)
		usleep(100);
	ck_assert_str_eq(stall->executor, "stalled");
	atomic_store(&handled, 1);
	(void)arg;
}

static int stall_until_called(void *arg)
{
	struct torc_queue *queue;

	ck_assert_int_eq(torc_remote_new(&stalled_core), 0);
	while (atomic_load(&calls) == 0) {
	}
	ck_assert_int_eq(torc_queue_new(&queue, TORC_OPTIONS(torc_queue_options, .stall_limit = TORC_MS)), 0);
	while (!asked)
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	(void)arg;
	return 0;
}

static void *run_meanwhile(void *arg)
{
	while (atomic_load(&calls) == 0)
		usleep(100);
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .stall_limit = TORC_SEC), nothing, NULL), 0);
	atomic_store(&runs, 1);
	return arg;
}

TEST_TIMEOUT(a_handler_may_take_its_time_and_call_the_core_that_stalled, 30)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, run_meanwhile, NULL), 0);
	ck_assert_int_eq(
		torc_run(TORC_OPTIONS(torc_run_options, .name = "stalled", .stall_limit = LIMIT, .on_stall = call_back),
	                 stall_until_called, NULL),
		0);
	ck_assert_int_eq(handled, 1); /* what it was told of was there as long */
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	torc_remote_free(stalled_core);
}

/* --- signals --------------------------------------------------------------------------------- */

static void *run_with_signals_blocked(void *arg)
{
	sigset_t all, mask;
	void *result;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	result = run_watched(arg);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	ck_assert(sigismember(&mask, SIGURG));
	return result;
}

TEST(a_thread_that_blocks_signals_is_watched_all_the_same)
{
	static struct reports reports = { .mutex = PTHREAD_MUTEX_INITIALIZER };
	pthread_t thread;
	void *result;

	ck_assert_int_eq(pthread_create(&thread, NULL, run_with_signals_blocked, &reports), 0);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_ptr_null(result);
	ck_assert_int_ge(reports.count, 1);
	ck_assert_int_gt((int)reports.list[0].frame_count, 0);
}

WATCHED(a_fiber_that_blocks_the_signal_is_reported_without_a_place, LIMIT)
{
	sigset_t urgent, before;
	int seen;

	if (harness_slow())
		SKIP("TSan answers late, if at all");
	sigemptyset(&urgent);
	sigaddset(&urgent, SIGURG);
	pthread_sigmask(SIG_BLOCK, &urgent, &before);
	stall_until_reported(NULL, reports, 1);
	seen = count_of(reports);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	ck_assert_int_eq((int)reports->list[0].frame_count, 0);
	ck_assert(strncmp(reports->list[0].fiber, "compute_without_yielding at ", 28) == 0);
	stall_until_reported(NULL, reports, 1); /* and then all is as before */
	ck_assert_int_gt((int)reports->list[seen].frame_count, 0);
}

static volatile sig_atomic_t foreign;

static void foreign_handler(int signal)
{
	(void)signal;
	foreign++;
}

static int raise_urgent(void *arg)
{
	ck_assert_int_eq(raise(SIGURG), 0);
	stall_here(arg);
	ck_assert_int_eq(raise(SIGURG), 0);
	return 0;
}

TEST(the_signal_of_others_goes_to_their_handler)
{
	static struct reports reports = { .mutex = PTHREAD_MUTEX_INITIALIZER };
	struct sigaction action;

	signal(SIGURG, foreign_handler);
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .stall_limit = LIMIT, .on_stall = note,
	                                       .on_stall_arg = &reports),
	                          raise_urgent, &reports),
	                 0);
	ck_assert_int_eq(foreign, 2);
	ck_assert_int_ge(reports.count, 1);
	ck_assert_int_eq(sigaction(SIGURG, NULL, &action), 0);
	ck_assert(action.sa_handler == foreign_handler);
}

TEST(a_report_can_be_printed_by_hand)
{
	static const struct torc_stall stall = {
		.executor = "here", .fiber = "somebody at somewhere", .queue = "default", .span = 5, .limit = 3
	};

	torc_stall_print(&stall);
}
