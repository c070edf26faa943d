/* fork - in the child of a fork(2) inside torc_run every torc call says so, but for torc_run, which begins anew; the
 * parent notices nothing. */
#include "api.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>

/* In a child of this fiber's process: `body`, whose value is the exit status. */
static int in_child(int (*body)(void *arg), void *arg)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(body(arg));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* --- what panics ------------------------------------------------------------------------------- */

#define IN_FORK(name, ...)                                                                               \
	DEATH_IN_FIBER(name, "torc: [a-z_ ]+: called in the child of a fork\\(2\\) inside torc_run: .*") \
	{                                                                                                \
		pid_t pid = fork();                                                                      \
		if (pid == 0) {                                                                          \
			__VA_ARGS__;                                                                     \
			_exit(0);                                                                        \
		}                                                                                        \
		int status;                                                                              \
		waitpid(pid, &status, 0);                                                                \
		if (WIFSIGNALED(status))                                                                 \
			raise(WTERMSIG(status));                                                         \
	}

IN_FORK(yield, torc_yield())
IN_FORK(sleep, (void)!torc_sleep(1))
IN_FORK(scope, (void)torc_scope_open(&(struct torc_scope){ { 0 } }, NULL))
IN_FORK(status, (void)torc_scope_status(NULL))
IN_FORK(core, (void)torc_core())
IN_FORK(pipe_read, struct torc_stream a, b; char c; (void)!torc_pipe(&a, &b); (void)!torc_stream_read(&a, &c, 1))
IN_FORK(stats, struct torc_stats s = { .size = sizeof s }; (void)!torc_stats_get(&s))
IN_FORK(blocking, (void)!torc_blocking(child_run, NULL))
IN_FORK(on, (void)!torc_on(0, child_run, NULL))

static int fork_and_return(void *arg)
{
	*(pid_t *)arg = fork();
	return 0;
}

DEATH_IN_FIBER(returning_from_the_fiber, "the end of a fiber: called in the child of a fork")
{
	int status;
	pid_t pid = -1;

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, fork_and_return, &pid), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		raise(WTERMSIG(status));
}

static int fork_on_a_thread(void *arg)
{
	return *(pid_t *)arg = fork();
}

DEATH_IN_FIBER(returning_from_a_job, "torc_blocking: a job returned in the child of a fork")
{
	int status;
	pid_t pid = -1;

	ck_assert_int_gt(torc_blocking(fork_on_a_thread, &pid), 0);
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		raise(WTERMSIG(status));
}

static int leave_scope(void *arg)
{
	(void)arg;
	TORC_SCOPE(scope);
	return fork() == 0 ? 0 : torc_sleep(SOON); /* the child's way out leads through torc_scope_leave */
}

DEATH_IN_FIBER(leaving_a_scope, "torc_scope_leave: called in the child of a fork")
{
	int status;

	ck_assert_int_eq(leave_scope(NULL), 0);
	wait(&status);
	if (WIFSIGNALED(status))
		raise(WTERMSIG(status));
}

/* --- what works ---------------------------------------------------------------------------------- */

static int sum_up(void *arg)
{
	struct child children[3] = { { TORC_MS, 1, 0 }, { 2 * TORC_MS, 2, 0 }, { 0, 3, 0 } };

	(void)arg;
	TORC_SCOPE(scope);
	for (int i = 0; i < 3; i++)
		if (torc_go(scope, child_run, &children[i]) < 0)
			return -1;
	return torc_scope_join(scope) == 0 ? 42 : -1;
}

static int run_anew(void *arg)
{
	return torc_run(NULL, sum_up, arg);
}

TEST_IN_FIBER(a_run_in_the_child_works_anew)
{
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(in_child(run_anew, NULL), 42);
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	}
}

static int cores_anew(void *arg)
{
	return torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), sum_up, arg);
}

TEST_IN_FIBER(and_so_do_cores)
{
#ifdef __SANITIZE_THREAD__
	SKIP("ThreadSanitizer starts no threads after a fork");
#endif
	ck_assert_int_eq(in_child(cores_anew, NULL), 0);
}

static int preempt_check(void *arg)
{
	(void)arg;
	return torc_need_yield();
}

TEST_IN_FIBER(a_child_need_not_yield)
{
	ck_assert_int_eq(in_child(preempt_check, NULL), 0);
}

static int rings_open(void *arg)
{
	char path[64], target[64];
	int rings = 0;

	(void)arg;
	for (int fd = 0; fd < 1024; fd++) {
		ssize_t len;

		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		len = readlink(path, target, sizeof target - 1);
		target[len > 0 ? len : 0] = 0;
		rings += strstr(target, "io_uring") != NULL;
	}
	return rings;
}

TEST_IN_FIBER(the_child_has_not_its_parents_ring)
{
	ck_assert_int_eq(rings_open(NULL), 1);
	ck_assert_int_eq(in_child(rings_open, NULL), 0);
	ck_assert_int_eq(rings_open(NULL), 1);
}

static int close_plainly(void *arg)
{
	return torc_stream_close(arg);
}

/* The parent's operations that are under way go on while children come and go. */
TEST_IN_FIBER(the_parent_goes_on)
{
	struct torc_stream reader, writer;
	char byte;

	ck_assert_int_eq(torc_pipe(&reader, &writer), 0);
	ck_assert_int_eq(in_child(close_plainly, &reader), 0);
	ck_assert_int_eq(torc_stream_write(&writer, "x", 1), 1);
	ck_assert_int_eq(torc_stream_read(&reader, &byte, 1), 1);
	torc_stream_close(&reader);
	torc_stream_close(&writer);
}

/* --- handles that the parent's fibers are parked on ------------------------------------------------- */

struct in_use {
	struct torc_stream stream;
	struct torc_async async;
	struct torc_listener listener;
	struct torc_signals signals;
	struct torc_watch watch;
	struct torc_process process;
	int got; /* by the thread's child */
};

static int use_stream(void *arg)
{
	char byte;

	return torc_stream_read(&((struct in_use *)arg)->stream, &byte, 1);
}

static int use_async(void *arg)
{
	return torc_async_readable(&((struct in_use *)arg)->async);
}

static int use_async_as_case(void *arg)
{
	struct torc_case cases[] = { torc_case_readable(&((struct in_use *)arg)->async) };

	return torc_choose(cases, 1) < 0 ? -ECANCELED : cases[0].result;
}

static int use_listener(void *arg)
{
	struct torc_stream peer;

	return torc_listener_accept(&((struct in_use *)arg)->listener, &peer);
}

static int use_signals(void *arg)
{
	return torc_signals_next(&((struct in_use *)arg)->signals, NULL);
}

static int use_watch(void *arg)
{
	struct torc_watch_event event;

	return torc_watch_next(&((struct in_use *)arg)->watch, &event);
}

static int use_process(void *arg)
{
	return torc_process_wait(&((struct in_use *)arg)->process, NULL);
}

static int use_output(void *arg)
{
	char byte;

	return torc_stream_read(&((struct in_use *)arg)->process.out, &byte, 1);
}

static void close_all(struct in_use *used)
{
	torc_stream_close(&used->stream);
	torc_async_close(&used->async);
	torc_listener_close(&used->listener);
	torc_signals_close(&used->signals);
	torc_watch_close(&used->watch);
	torc_process_close(&used->process);
}

/* 0: they are closed, and their descriptors too. */
static int close_used(void *arg)
{
	int fds[] = { torc_async_fd(&((struct in_use *)arg)->stream.async),
		      torc_async_fd(&((struct in_use *)arg)->async),
		      torc_async_fd(&((struct in_use *)arg)->listener.async),
		      torc_async_fd(&((struct in_use *)arg)->signals.async),
		      torc_async_fd(&((struct in_use *)arg)->watch.async),
		      torc_async_fd(&((struct in_use *)arg)->process.out.async) };
	int open = 0;

	close_all(arg);
	for (size_t i = 0; i < LENGTH(fds); i++)
		open += fds[i] < 0 || fd_is_open(fds[i]);
	return open;
}

static int close_used_in_a_run(void *arg)
{
	return torc_run(NULL, close_used, arg);
}

static void *close_used_there(void *arg)
{
	((struct in_use *)arg)->got = in_child(close_used, arg);
	return NULL;
}

TEST_IN_FIBER(a_child_closes_what_its_parents_fibers_are_parked_on)
{
	torc_fn *const uses[] = { use_stream,  use_async, use_async_as_case, use_listener,
		                  use_signals, use_watch, use_process,       use_output };
	struct in_use used = { .got = UNSET };
	struct torc_stream writer, peer;
	pthread_t thread;
	int ends[2], client;
	TORC_SCOPE(scope);

	ck_assert_int_eq(torc_pipe(&used.stream, &writer), 0);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(torc_async_wrap(&used.async, ends[0]), 0);
	ck_assert_int_eq(torc_tcp_listen(&used.listener, "127.0.0.1:0", NULL), 0);
	client = plain_connect(&used.listener);
	ck_assert_int_eq(torc_listener_accept(&used.listener, &peer), 0); /* the kernel accepts more by itself now */
	ck_assert_int_eq(torc_signals_open(&used.signals, SIGUSR1), 0);
	ck_assert_int_eq(torc_watch_open(&used.watch), 0);
	ck_assert_int_eq(torc_process_spawn(&used.process, (const char *const[]){ "sleep", "1000", NULL },
	                                    TORC_OPTIONS(torc_process_options, .out = TORC_CHILD_PIPE)),
	                 0);
	for (size_t i = 0; i < LENGTH(uses); i++)
		ck_assert_int_eq(torc_go(scope, uses[i], &used), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);

	ck_assert_int_eq(in_child(close_used, &used), 0);
	ck_assert_int_eq(in_child(close_used_in_a_run, &used), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, close_used_there, &used), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(used.got, 0);

	/* The parent's go on as if nothing had been. */
	ck_assert_uint_eq(torc_scope_live(scope), LENGTH(uses));
	ck_assert_int_eq(torc_stream_write(&writer, "x", 1), 1);
	ck_assert_int_eq(torc_process_kill(&used.process, 0), 0);
	torc_scope_cancel(scope);
	(void)!torc_scope_join(scope);
	close_all(&used);
	torc_stream_close(&writer);
	torc_stream_close(&peer);
	close(ends[1]);
	close(client);
}

/* What the parent has begun at a file's position is not waited for. */
static int read_the_file(void *arg)
{
	struct torc_stream stream;
	char byte;
	int r = torc_stream_borrow(&stream, *(int *)arg);

	return r < 0 ? r : torc_stream_read(&stream, &byte, 1) == 1 ? 42 : 1;
}

static int read_the_file_anew(void *arg)
{
	return torc_run(NULL, read_the_file, arg);
}

TEST_IN_FIBER(a_child_has_its_own_turn_at_a_files_position)
{
	char path[] = "/tmp/torc-fork-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	unlink(path);
	ck_assert_int_eq(pwrite(fd, "hello", 5, 0), 5);
	TORC_SCOPE(scope);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(torc_go(scope, read_the_file, &fd), 0);
	torc_yield(); /* one has its turn, the other waits for it */
	ck_assert_int_eq(in_child(read_the_file_anew, &fd), 42);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	close(fd);
}

/* --- signals ------------------------------------------------------------------------------------- */

static int die_of_it(void *arg)
{
	raise(*(int *)arg);
	return 7;
}

TEST_IN_FIBER(a_child_has_its_signals_as_they_were)
{
	struct torc_signals set;
	int signal = SIGTERM;

	ck_assert_int_eq(torc_signals_open(&set, SIGTERM), 0);
	ck_assert_int_eq(in_child(die_of_it, &signal), 1000 + SIGTERM);
	raise(SIGTERM);
	ck_assert_int_eq(torc_signals_next(&set, NULL), SIGTERM);
	torc_signals_close(&set);
}

static int blocked_signals(void *arg)
{
	sigset_t blocked;
	int count = 0;

	(void)arg;
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	for (int signal = 1; signal < 65; signal++)
		count += sigismember(&blocked, signal) > 0;
	return count;
}

static int run_and_look(void *arg)
{
	int ran = torc_run(NULL, sum_up, NULL);

	return ran == 42 ? blocked_signals(arg) : 100;
}

/* What torc holds back in its own thread, SIGPIPE perhaps, a program that is executed now relies on. */
TEST_IN_FIBER(a_child_has_no_signal_blocked)
{
	int before = blocked_signals(NULL);

	ck_assert_int_ge(before, 1);
	ck_assert_int_eq(in_child(blocked_signals, NULL), 0);
	ck_assert_int_eq(in_child(run_and_look, NULL), 0);
	ck_assert_int_eq(blocked_signals(NULL), before);
}

static int close_parents_set(void *arg)
{
	struct torc_signals own;

	torc_signals_close(arg);
	if (torc_signals_open(&own, SIGUSR1) < 0)
		return 1;
	raise(SIGUSR1);
	torc_signals_close(&own);
	return 0;
}

TEST_IN_FIBER(a_child_may_close_a_set_and_open_its_own)
{
	struct torc_signals set;

	ck_assert_int_eq(torc_signals_open(&set, SIGTERM), 0);
	ck_assert_int_eq(in_child(close_parents_set, &set), 0);
	raise(SIGTERM);
	ck_assert_int_eq(torc_signals_next(&set, NULL), SIGTERM);
	torc_signals_close(&set);
}

/* --- other threads --------------------------------------------------------------------------------- */

static void *fork_there(void *arg)
{
	*(int *)arg = in_child(run_anew, NULL);
	return NULL;
}

TEST_IN_FIBER(a_thread_that_is_no_executor_may_fork)
{
	pthread_t thread;
	int got = 0;

	ck_assert_int_eq(pthread_create(&thread, NULL, fork_there, &got), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(got, 42);
}

/* What the other threads of the process hold at that moment, the child has for ever, or is to forget. */
struct ringers {
	struct torc_shared_event event;
	bool over;
};

static int set_once(void *arg)
{
	struct ringers *ringers = arg;

	torc_shared_event_set(&ringers->event);
	return torc_shared_event_is_set(&ringers->event) ? 42 : 0;
}

static int wait_in_vain(void *arg)
{
	TORC_SCOPE(scope, .deadline = torc_in(TORC_MS / 10));
	return torc_shared_event_wait(arg);
}

static int wait_anew(void *arg)
{
	struct ringers *ringers = arg;

	torc_shared_event_reset(&ringers->event);
	return torc_run(NULL, wait_in_vain, &ringers->event) == -ETIME ? 42 : 0;
}

static void *set_and_reset(void *arg)
{
	struct ringers *ringers = arg;

	while (!__atomic_load_n(&ringers->over, __ATOMIC_RELAXED)) {
		torc_shared_event_set(&ringers->event);
		torc_shared_event_reset(&ringers->event);
	}
	return NULL;
}

static int wait_and_wait(void *arg)
{
	struct ringers *ringers = arg;
	int r = 0;

	/* No ck_assert: it has a lock of its own, which a child of that moment would find locked. */
	while (!__atomic_load_n(&ringers->over, __ATOMIC_RELAXED) && r == 0)
		r = torc_shared_event_wait(&ringers->event);
	return r;
}

static void *run_who_waits(void *arg)
{
	return (void *)(intptr_t)torc_run(NULL, wait_and_wait, arg);
}

TEST_TIMEOUT(a_child_is_not_locked_out_by_threads_that_it_has_not, 60)
{
	struct ringers ringers = { .over = false };
	pthread_t setter, waiter;
	void *result;

	ck_assert_int_eq(setenv("TORC_DISABLE", "futex", 1), 0);
	ck_assert_int_eq(pthread_create(&setter, NULL, set_and_reset, &ringers), 0);
	ck_assert_int_eq(pthread_create(&waiter, NULL, run_who_waits, &ringers), 0);
	for (int i = 0; i < COUNT(300, 20); i++) {
		ck_assert_int_eq(in_child(set_once, &ringers), 42);
		ck_assert_int_eq(in_child(wait_anew, &ringers), 42);
	}
	__atomic_store_n(&ringers.over, true, __ATOMIC_RELAXED);
	ck_assert_int_eq(pthread_join(setter, NULL), 0);
	torc_shared_event_set(&ringers.event);
	ck_assert_int_eq(pthread_join(waiter, &result), 0);
	ck_assert_ptr_null(result);
}

/* --- ways into the parent ------------------------------------------------------------------------------ */

enum { CHILDREN = 20 };

/* A plain thread forks beside a run; the child has the run's remote, lane and ring, and nobody behind them. */
struct ways {
	struct torc_remote *remote;
	struct torc_lane *lane;
	bool ready, over, heard;
	uint64_t turns;
};

static int note_heard(void *arg)
{
	struct ways *ways = *(struct ways **)arg;

	ways->heard = true;
	return 0;
}

static int try_all_ways(void *arg)
{
	struct ways *ways = arg, *value = ways;

	if (torc_remote_call(ways->remote, note_heard, &value) != -ESHUTDOWN ||
	    torc_remote_post(ways->remote, note_heard, value) != -ESHUTDOWN || value != ways || ways->heard)
		return 1;
	torc_remote_free(ways->remote);
	torc_lane_close(ways->lane);
	return run_anew(NULL);
}

static int wait_on_lane(void *arg)
{
	struct ways *ways = arg;
	char item;

	ck_assert_int_eq(torc_lane_recv(ways->lane, &item), -EPIPE);
	return 0;
}

static int count_turns(void *arg)
{
	struct ways *ways = arg;

	ways->turns = stats_now().turns;
	return 0;
}

static int be_there(void *arg)
{
	struct ways *ways = arg;

	ck_assert_int_eq(torc_remote_new(&ways->remote), 0);
	__atomic_store_n(&ways->ready, true, __ATOMIC_RELEASE);
	return wait_on_lane(arg);
}

static void *run_beside(void *arg)
{
	ck_assert_int_eq(torc_run(NULL, be_there, arg), 0);
	return NULL;
}

static void fork_beside(const char *disabled)
{
	struct ways ways = { 0 };
	pthread_t thread;
	uint64_t before;

	ck_assert_int_eq(setenv("TORC_DISABLE", disabled, 1), 0);
	ck_assert_int_eq(torc_lane_new(&ways.lane, 1, 4, NULL), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_beside, &ways), 0);
	while (!__atomic_load_n(&ways.ready, __ATOMIC_ACQUIRE))
		usleep(1000);
	ck_assert_int_eq(torc_remote_call(ways.remote, count_turns, &ways), 0);
	before = ways.turns;
	for (int i = 0; i < CHILDREN; i++)
		ck_assert_int_eq(in_child(try_all_ways, &ways), 42);
	ck_assert_int_eq(torc_remote_call(ways.remote, count_turns, &ways), 0);
	ck_assert(!ways.heard);
	ck_assert_uint_lt(ways.turns, before + CHILDREN / 2); /* nobody woke it but these two calls */
	torc_lane_close(ways.lane);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	torc_remote_free(ways.remote);
	torc_lane_free(ways.lane);
}

TEST(nothing_leads_from_a_child_into_its_parents_run)
{
	fork_beside("");
}

TEST(nor_through_an_eventfd)
{
	fork_beside("register_msg");
}

/* --- the watchdog ----------------------------------------------------------------------------------- */

static void count_stall(const struct torc_stall *stall, void *arg)
{
	(void)stall;
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_RELAXED);
}

static int stall_until_told(void *arg)
{
	torc_ns late = torc_in(AGES);

	raise(SIGURG); /* of nobody's: nothing happens */
	while (__atomic_load_n((int *)arg, __ATOMIC_RELAXED) == 0 && torc_now() < late)
		;
	return 0;
}

static int stall_anew(void *arg)
{
	int stalls = 0, r;

	(void)arg;
	raise(SIGURG);
	r = torc_run(TORC_OPTIONS(torc_run_options, .stall_limit = 5 * TORC_MS, .on_stall = count_stall,
	                          .on_stall_arg = &stalls),
	             stall_until_told, &stalls);
	raise(SIGURG);
	return r < 0 ? 99 : stalls > 0 ? 42 : 0;
}

static int fork_watched(void *arg)
{
	(void)arg;
	for (int i = 0; i < COUNT(20, 5); i++) {
		ck_assert_int_eq(in_child(stall_anew, NULL), 42);
		ck_assert_int_eq(torc_sleep(TORC_MS), 0); /* so that it does other things when the next comes */
	}
	return 0;
}

TEST_TIMEOUT(a_run_in_the_child_of_a_watched_one_is_watched, 120)
{
	int stalls = 0;

#ifdef __SANITIZE_THREAD__
	SKIP("ThreadSanitizer starts no threads after a fork");
#endif
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .stall_limit = AGES, .on_stall = count_stall,
	                                       .on_stall_arg = &stalls),
	                          fork_watched, NULL),
	                 0);
}
