/* process - children: what they get and what they don't, how they end and how that is told, and that none is left behind. */
#include "api.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#define ARGV(...)    ((const char *const[]){ __VA_ARGS__, NULL })
#define SH(script)   ARGV("/bin/sh", "-c", script)
#define OPTIONS(...) TORC_OPTIONS(torc_process_options, __VA_ARGS__)

/* No child, dead or alive. */
static void no_child_is_left(void)
{
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}

static void read_all_of(struct torc_stream *stream, char *text, size_t size)
{
	size_t len = 0;
	int n;

	while ((n = torc_stream_read(stream, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	ck_assert_int_eq(n, 0);
	text[len] = 0;
}

/* Valgrind makes a fork of every vfork, and then the error of an exec stays in the child. */
static bool errors_of_exec_are_seen(void)
{
	struct torc_process process = { 0 };
	int r = torc_process_spawn(&process, ARGV("/no/such/program"), NULL);

	torc_process_close(&process);
	return r < 0;
}

/* Valgrind knows no pidfds. */
static bool pidfds_are_known(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* What a child writes to its stdout. */
static int output_of(const char *const *argv, char *text, size_t size, struct torc_process_options options)
{
	struct torc_process process;
	int r;

	options.size = sizeof options;
	options.out = TORC_CHILD_PIPE;
	r = torc_process_spawn(&process, argv, &options);
	if (r < 0)
		return r;
	read_all_of(&process.out, text, size);
	r = torc_process_wait(&process, NULL);
	torc_process_close(&process);
	return r;
}

#define OUTPUT(argv, text, ...) output_of(argv, text, sizeof text, (struct torc_process_options){ __VA_ARGS__ })

/* --- ends -------------------------------------------------------------------------------------- */

static void ends(void)
{
	static const struct {
		const char *script;
		int want, status, signal;
	} cases[] = {
		{ "exit 0", 0, 0, 0 },
		{ "exit 1", 1, 1, 0 },
		{ "exit 255", 255, 255, 0 },
		{ "kill -TERM $$", 128 + SIGTERM, 0, SIGTERM },
		{ "kill -KILL $$", 128 + SIGKILL, 0, SIGKILL },
		{ "exit 137", 137, 137, 0 },
		{ "sleep 0.02; exit 3", 3, 3, 0 },
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct torc_exit end = { UNSET, UNSET, true };
		struct torc_process process;

		ck_assert_int_eq(torc_process_spawn(&process, SH(cases[i].script), NULL), 0);
		ck_assert_int_gt(torc_process_id(&process), 0);
		ck_assert_int_eq(torc_process_wait(&process, &end), cases[i].want);
		ck_assert_int_eq(end.status, cases[i].status);
		ck_assert_int_eq(end.signal, cases[i].signal);
		ck_assert(!end.dumped_core);
		ck_assert_int_eq(torc_process_wait(&process, NULL), cases[i].want); /* again */
		ck_assert_int_eq(torc_process_kill(&process, SIGTERM), -ESRCH);
		torc_process_close(&process);
		torc_process_close(&process);
		ck_assert_int_eq(torc_process_wait(&process, NULL), -EBADF);
		ck_assert_int_eq(torc_process_kill(&process, SIGTERM), -EBADF);
		ck_assert_int_eq(torc_process_id(&process), -EBADF);
		no_child_is_left();
	}
}

TEST_IN_FIBER(how_it_ended_is_told)
{
	ends();
}

TEST_IN_FIBER(run_does_it_all)
{
	ck_assert_int_eq(torc_process_run(SH("exit 7"), NULL), 7);
	ck_assert_int_eq(torc_process_run(ARGV("true"), NULL), 0);
	if (!harness_slow() || errors_of_exec_are_seen())
		ck_assert_int_eq(torc_process_run(ARGV("no-such-program"), NULL), -ENOENT);
	ck_assert_int_eq(torc_process_run(ARGV("cat"), OPTIONS(.in = TORC_CHILD_PIPE)), -EINVAL);
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_process_run(ARGV("sleep", "1000"), NULL), -ETIME);
		ck_assert_int_eq(torc_process_run(ARGV("sleep", "1000"), NULL), -ETIME);
	}
	no_child_is_left();
}

/* --- what can't be run -------------------------------------------------------------------------- */

static void refuses(const char *const *argv, const struct torc_process_options *options, int want)
{
	struct torc_process process = { 0 };

	ck_assert_int_eq(torc_process_spawn(&process, argv, options), want);
	ck_assert_int_eq(torc_process_id(&process), -EBADF);
	torc_process_close(&process);
	no_child_is_left();
}

TEST_IN_FIBER(errors_of_exec_are_errors_of_spawn)
{
	static char huge[3 << 20];

	if (harness_slow() && !errors_of_exec_are_seen())
		SKIP("vfork is a fork here");
	memset(huge, 'x', sizeof huge - 1);
	refuses(ARGV("no-such-program"), NULL, -ENOENT);
	refuses(ARGV("/no/such/program"), NULL, -ENOENT);
	refuses(ARGV("/etc/passwd"), NULL, -EACCES);
	refuses(ARGV("/tmp"), NULL, -EACCES);
	refuses(ARGV("true", huge), NULL, -E2BIG);
	refuses(ARGV("true"), OPTIONS(.directory = "/no/such/place"), -ENOENT);
	refuses(ARGV("true"), OPTIONS(.directory = "/etc/passwd"), -ENOTDIR);
	for (int i = 0; i < 8; i++) /* with pipes, which must not stay open */
		refuses(ARGV("no-such-program"),
		        OPTIONS(.in = TORC_CHILD_PIPE, .out = TORC_CHILD_PIPE, .err = TORC_CHILD_PIPE), -ENOENT);
}

TEST_IN_FIBER(nonsense)
{
	refuses(NULL, NULL, -EINVAL);
	refuses((const char *const[]){ NULL }, NULL, -EINVAL);
	refuses(ARGV("true"), OPTIONS(.out = TORC_CHILD_AS_OUT), -EINVAL);
	refuses(ARGV("true"), OPTIONS(.in = (enum torc_child_io)17), -EINVAL);
	refuses(ARGV("true"), OPTIONS(.in = TORC_CHILD_PIPE, .err = (enum torc_child_io)17), -EINVAL);
	refuses(ARGV("true"), OPTIONS(.at_close = (enum torc_child_close)17), -EINVAL);
	refuses(ARGV("true"), OPTIONS(.out = TORC_CHILD_FD, .out_fd = -1), -EBADF);
	refuses(ARGV("true"), OPTIONS(.in = TORC_CHILD_PIPE, .out = TORC_CHILD_FD, .out_fd = 19999), -EBADF);
}

/* With so many descriptors left and no more. */
static int lower_limit(int left, struct rlimit *before)
{
	int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(lowest, 0);
	close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, before), 0);
	return setrlimit(RLIMIT_NOFILE, &(struct rlimit){ (rlim_t)(lowest + left), before->rlim_max });
}

static int open_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void without_descriptors(void)
{
	int before_count = open_count(), failures = 0;

	for (int left = 0; left < 10; left++) {
		struct torc_process process = { 0 };
		struct rlimit before;
		int r;

		ck_assert_int_eq(lower_limit(left, &before), 0);
		r = torc_process_spawn(
			&process, ARGV("true"),
			OPTIONS(.in = TORC_CHILD_PIPE, .out = TORC_CHILD_PIPE, .err = TORC_CHILD_FD, .err_fd = 2));
		setrlimit(RLIMIT_NOFILE, &before);
		ck_assert(r == 0 || r == -EMFILE);
		failures += r < 0;
		if (r == 0)
			ck_assert_int_eq(torc_process_wait(&process, NULL), 0);
		torc_process_close(&process);
		ck_assert_int_eq(open_count(), before_count);
		no_child_is_left();
	}
	ck_assert_int_ge(failures, 4);
	ck_assert_int_lt(failures, 10);
}

TEST_IN_FIBER(without_descriptors_nothing_leaks)
{
	without_descriptors();
}

static int as_somebody_with_no_more_processes(void *arg)
{
	struct torc_process process;

	(void)arg;
	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0 ||
	    setrlimit(RLIMIT_NPROC, &(struct rlimit){ 0, 0 }) < 0)
		return 77;
	return torc_process_spawn(&process, ARGV("true"), OPTIONS(.out = TORC_CHILD_PIPE)) == -ENOMEM ? 0 : 1;
}

TEST(too_many_processes)
{
	struct outcome outcome;

	run_in_process(&outcome, as_somebody_with_no_more_processes, NULL);
	if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 77)
		SKIP("not root");
	assert_exit(&outcome, 0);
}

/* --- what the child has --------------------------------------------------------------------------- */

TEST_IN_FIBER(arguments_environment_directory)
{
	char text[4096];

	ck_assert_int_eq(OUTPUT(ARGV("printf", "%s|", "a b", "", "c"), text, .in = TORC_CHILD_NULL), 0);
	ck_assert_str_eq(text, "a b||c|");
	ck_assert_int_eq(OUTPUT(ARGV("env"), text, .env = ARGV("A=1", "B=two words")), 0);
	ck_assert_str_eq(text, "A=1\nB=two words\n");
	setenv("TORC_TEST_INHERITED", "yes", 1);
	ck_assert_int_eq(OUTPUT(SH("echo $TORC_TEST_INHERITED"), text, .in = TORC_CHILD_NULL), 0);
	ck_assert_str_eq(text, "yes\n");
	ck_assert_int_eq(OUTPUT(ARGV("pwd"), text, .directory = "/"), 0);
	ck_assert_str_eq(text, "/\n");
	ck_assert_int_eq(OUTPUT(ARGV("bin/echo", "there"), text, .directory = "/"), 0);
	ck_assert_str_eq(text, "there\n");
}

TEST_IN_FIBER(each_stream_goes_where_it_was_told)
{
	struct torc_process process;
	char text[64];
	int fds[2];

	/* All three by pipes. */
	ck_assert_int_eq(
		torc_process_spawn(&process, SH("cat; echo err >&2"),
	                           OPTIONS(.in = TORC_CHILD_PIPE, .out = TORC_CHILD_PIPE, .err = TORC_CHILD_PIPE)),
		0);
	ck_assert_int_eq(torc_stream_write(&process.in, "in", 2), 2);
	torc_stream_close(&process.in);
	read_all_of(&process.out, text, sizeof text);
	ck_assert_str_eq(text, "in");
	read_all_of(&process.err, text, sizeof text);
	ck_assert_str_eq(text, "err\n");
	ck_assert_int_eq(torc_process_wait(&process, NULL), 0);
	torc_process_close(&process);

	/* Nothing to read, 2>&1, a descriptor of ours. */
	ck_assert_int_eq(
		OUTPUT(SH("cat; echo out; echo err >&2"), text, .in = TORC_CHILD_NULL, .err = TORC_CHILD_AS_OUT), 0);
	ck_assert_str_eq(text, "out\nerr\n");
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(torc_process_run(SH("echo out; echo err >&2"),
	                                  OPTIONS(.out = TORC_CHILD_FD, .out_fd = fds[1], .err = TORC_CHILD_AS_OUT)),
	                 0);
	ck_assert_int_eq(read(fds[0], text, sizeof text), 8);
	ck_assert(fd_is_open(fds[1]));
	close(fds[0]);
	close(fds[1]);
}

/* The child's stdout is our stderr and the other way round. */
TEST_IN_FIBER(standard_descriptors_can_be_exchanged)
{
	int saved[2] = { fcntl(1, F_DUPFD_CLOEXEC, 10), fcntl(2, F_DUPFD_CLOEXEC, 10) };
	char text[16] = "";
	int out[2], err[2], r;

	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(err, O_CLOEXEC), 0);
	fflush(NULL);
	dup2(out[1], 1);
	dup2(err[1], 2);
	r = torc_process_run(SH("echo to-out; echo to-err >&2"),
	                     OPTIONS(.out = TORC_CHILD_FD, .out_fd = 2, .err = TORC_CHILD_FD, .err_fd = 1));
	dup2(saved[0], 1);
	dup2(saved[1], 2);
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(read(err[0], text, sizeof text), 7);
	ck_assert(memcmp(text, "to-out\n", 7) == 0);
	ck_assert_int_eq(read(out[0], text, sizeof text), 7);
	ck_assert(memcmp(text, "to-err\n", 7) == 0);
	for (int i = 0; i < 2; i++) {
		close(saved[i]);
		close(out[i]);
		close(err[i]);
	}
}

TEST_IN_FIBER(no_descriptor_leaks_into_it)
{
	static const char *const list[] = { "/bin/sh", "-c",
		                            "for n in $(seq 3 60); do [ ! -e /proc/$$/fd/$n ] || printf '%s ' $n; done",
		                            NULL };
	int leaky = open("/dev/null", O_RDONLY); /* not close-on-exec */
	int number = fcntl(leaky, F_DUPFD, 57);
	char text[256], want[64];

	close(leaky);
	ck_assert_int_eq(OUTPUT(list, text, .in = TORC_CHILD_NULL), 0);
	ck_assert_str_eq(text, "");
	ck_assert_int_eq(OUTPUT(list, text, .in = TORC_CHILD_NULL, .keep_fds = true), 0);
	snprintf(want, sizeof want, "%d ", number);
	ck_assert_ptr_nonnull(strstr(text, want));
	ck_assert_int_eq(fcntl(number, F_SETFD, FD_CLOEXEC), 0);
	ck_assert_int_eq(OUTPUT(list, text, .in = TORC_CHILD_NULL, .keep_fds = true), 0);
	ck_assert_ptr_null(strstr(text, want)); /* and torc's own are all like that */
	close(number);
}

/* A set of signals from /proc; without the two that libc keeps for itself. */
static unsigned long long signals_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	ck_assert_ptr_nonnull(at);
	return strtoull(at + strlen(name), NULL, 16) & ~0x180000000ull;
}

TEST_IN_FIBER(signals_are_as_after_login)
{
	struct torc_signals set;
	sigset_t mask, before;
	char text[4096];

	sigfillset(&mask);
	pthread_sigmask(SIG_BLOCK, &mask, &before);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(torc_signals_open(&set, SIGTERM), 0);
	ck_assert_int_eq(OUTPUT(ARGV("cat", "/proc/self/status"), text, .in = TORC_CHILD_NULL), 0);
	torc_signals_close(&set);
	signal(SIGHUP, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	ck_assert_uint_eq(signals_of(text, "SigBlk:"), 0);
	ck_assert_uint_eq(signals_of(text, "SigIgn:"), 0);
	ck_assert_uint_eq(signals_of(text, "SigCgt:"), 0);
}

TEST_IN_FIBER(a_group_of_its_own)
{
	struct torc_process process;
	char text[64];
	int n;

	/* A grandchild that keeps the pipe open: killed with its group, or the pipe never ends. */
	ck_assert_int_eq(torc_process_spawn(&process, SH("sleep 1000 & echo $$; wait"),
	                                    OPTIONS(.out = TORC_CHILD_PIPE, .group = true)),
	                 0);
	n = torc_stream_read(&process.out, text, sizeof text - 1);
	ck_assert_int_gt(n, 0);
	text[n] = 0;
	ck_assert_int_eq(atoi(text), torc_process_id(&process));
	ck_assert_int_eq(getpgid(torc_process_id(&process)), torc_process_id(&process));
	ck_assert_int_eq(torc_process_kill(&process, SIGTERM), 0);
	read_all_of(&process.out, text, sizeof text);
	ck_assert_int_eq(torc_process_wait(&process, NULL), 128 + SIGTERM);
	torc_process_close(&process);
}

/* --- much data ------------------------------------------------------------------------------------- */

struct feeder {
	struct torc_stream *stream;
	size_t len;
};

static int feed(void *arg)
{
	struct feeder *feeder = arg;
	static char zeros[10000];
	int r = 0;

	for (size_t at = 0; at < feeder->len && r >= 0; at += sizeof zeros)
		r = torc_stream_write(feeder->stream, zeros, sizeof zeros);
	torc_stream_close(feeder->stream);
	return r < 0 ? r : 0;
}

static int count_bytes(void *arg)
{
	struct feeder *feeder = arg;
	char buf[4096];
	int n;

	while ((n = torc_stream_read(feeder->stream, buf, sizeof buf)) > 0)
		feeder->len += (size_t)n;
	return n;
}

TEST_IN_FIBER(more_than_pipes_hold_goes_through_a_child)
{
	struct torc_process process;
	struct feeder in = { .len = COUNT(2000000, 300000) }, out = { 0 };

	ck_assert_int_eq(
		torc_process_spawn(&process, ARGV("cat"), OPTIONS(.in = TORC_CHILD_PIPE, .out = TORC_CHILD_PIPE)), 0);
	in.stream = &process.in;
	out.stream = &process.out;
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, feed, &in), 0);
	ck_assert_int_eq(torc_go(scope, count_bytes, &out), 0);
	ck_assert_int_eq(torc_process_wait(&process, NULL), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_uint_eq(out.len, in.len);
	torc_process_close(&process);
}

TEST_IN_FIBER(a_child_that_does_not_read_is_no_signal)
{
	struct torc_process process;
	struct feeder in = { .stream = &process.in, .len = 1000000 };

	ck_assert_int_eq(torc_process_spawn(&process, ARGV("true"), OPTIONS(.in = TORC_CHILD_PIPE)), 0);
	ck_assert_int_eq(feed(&in), -EPIPE);
	ck_assert_int_eq(torc_process_wait(&process, NULL), 0);
	torc_process_close(&process);
}

/* --- waiting, cut short ------------------------------------------------------------------------------- */

struct waiter {
	struct torc_process *process;
	int got;
};

static int wait_run(void *arg)
{
	struct waiter *waiter = arg;

	waiter->got = torc_process_wait(waiter->process, NULL);
	return 0;
}

static void park(struct torc_scope *scope, struct waiter *waiter, struct torc_process *process)
{
	*waiter = (struct waiter){ process, UNSET };
	ck_assert_int_eq(torc_go(scope, wait_run, waiter), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_int_eq(waiter->got, UNSET);
}

static void cut_short(void)
{
	struct torc_process process;
	struct waiter waiter, other;

	ck_assert_int_eq(torc_process_spawn(&process, ARGV("sleep", "1000"), NULL), 0);
	{
		TORC_SCOPE(scope);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_process_wait(&process, NULL), -ECANCELED);
	}
	{
		TORC_SCOPE(scope);
		park(scope, &waiter, &process);
	}
	ck_assert_int_eq(waiter.got, -ECANCELED);
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_process_wait(&process, NULL), -ETIME);
	}
	ck_assert_int_eq(torc_process_kill(&process, 0), 0); /* it runs on */
	ck_assert_int_eq(torc_process_kill(&process, 1000), -EINVAL);
	{
		/* Two wait, and both are told. */
		TORC_SCOPE(scope);
		park(scope, &waiter, &process);
		park(scope, &other, &process);
		ck_assert_int_eq(torc_process_kill(&process, SIGINT), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	ck_assert_int_eq(waiter.got, 128 + SIGINT);
	ck_assert_int_eq(other.got, 128 + SIGINT);
	torc_process_close(&process);
	no_child_is_left();

	/* Closed under who waits. */
	ck_assert_int_eq(torc_process_spawn(&process, ARGV("sleep", "1000"), NULL), 0);
	{
		TORC_SCOPE(scope);
		park(scope, &waiter, &process);
		torc_process_close(&process);
		ck_assert_int_eq(waiter.got, -EBADF);
	}
	no_child_is_left();
}

TEST_IN_FIBER(a_wait_is_cut_short_and_the_child_runs_on)
{
	cut_short();
}

/* --- close ----------------------------------------------------------------------------------------------- */

TEST_IN_FIBER(close_kills_and_reaps)
{
	for (int i = 0; i < COUNT(20, 4); i++) {
		struct torc_process process TORC_CLEANUP(torc_process_close) = { 0 };

		ck_assert_int_eq(torc_process_spawn(&process, SH("trap '' TERM INT; exec sleep 1000"),
		                                    OPTIONS(.in = TORC_CHILD_PIPE, .out = TORC_CHILD_PIPE)),
		                 0);
	}
	no_child_is_left();
}

TEST_IN_FIBER(close_in_a_cancelled_scope_too)
{
	struct torc_process process;

	ck_assert_int_eq(torc_process_spawn(&process, ARGV("sleep", "1000"), NULL), 0);
	{
		TORC_SCOPE(scope);
		torc_scope_cancel(scope);
		torc_process_close(&process);
	}
	no_child_is_left();
}

TEST_IN_FIBER(or_it_waits_if_asked)
{
	char path[] = "/tmp/torc-process-XXXXXX", script[256];
	struct torc_process process;
	int fd = mkstemp(path);

	close(fd);
	snprintf(script, sizeof script, "cat >/dev/null; sleep 0.05; echo done > %s", path);
	ck_assert_int_eq(
		torc_process_spawn(&process, SH(script), OPTIONS(.in = TORC_CHILD_PIPE, .at_close = TORC_CHILD_AWAIT)),
		0);
	torc_process_close(&process);
	no_child_is_left();
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(read(fd, script, sizeof script), 5);
	close(fd);
	unlink(path);
}

/* A handle from before a run is good in it, and after it. */
static int wait_in_run(void *arg)
{
	return torc_process_wait(arg, NULL);
}

TEST(outside_a_run)
{
	struct torc_process process;

	if (!pidfds_are_known())
		SKIP("no pidfds here");
	ck_assert_int_eq(torc_process_spawn(&process, SH("exit 9"), NULL), 0);
	ck_assert_int_eq(torc_run(NULL, wait_in_run, &process), 9);
	torc_process_close(&process);
	ck_assert_int_eq(torc_process_spawn(&process, ARGV("sleep", "1000"), NULL), 0);
	torc_process_close(&process);
	no_child_is_left();
}

static int close_in_child(void *arg)
{
	torc_process_close(arg);
	return 0;
}

TEST_IN_FIBER(a_forked_child_does_not_kill_its_parents_child)
{
	struct torc_process process;
	int status;
	pid_t pid;

	ck_assert_int_eq(
		torc_process_spawn(&process, ARGV("cat"), OPTIONS(.in = TORC_CHILD_PIPE, .out = TORC_CHILD_PIPE)), 0);
	pid = fork();
	if (pid == 0)
		_exit(close_in_child(&process));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	torc_stream_close(&process.in);
	ck_assert_int_eq(torc_process_wait(&process, NULL), 0);
	torc_process_close(&process);
}

TEST_IN_FIBER(reaped_by_somebody_else)
{
	struct torc_process process;

	ck_assert_int_eq(torc_process_spawn(&process, ARGV("true"), NULL), 0);
	ck_assert_int_eq(waitpid(torc_process_id(&process), NULL, 0), torc_process_id(&process));
	ck_assert_int_eq(torc_process_wait(&process, NULL), -ECHILD);
	ck_assert_int_eq(torc_process_kill(&process, SIGKILL), -ESRCH);
	torc_process_close(&process);
}

enum { NOT_PERMITTED = 77, KILLED = 78 };

/* Give the next process that is made here this number. */
static bool set_next_pid(pid_t pid)
{
	FILE *last = fopen("/proc/sys/kernel/ns_last_pid", "we");

	return last && fprintf(last, "%d", pid - 1) > 0 && fclose(last) == 0;
}

/* A process with this number, but not of our children. It writes a byte to `up`, and ends when it can read one from
 * `hold`. */
static pid_t take_pid(pid_t wanted, int up, int hold)
{
	pid_t between = fork(), pid;
	int status;
	char byte;

	ck_assert_int_ge(between, 0);
	if (between > 0)
		return between;
	signal(SIGCHLD, SIG_DFL);
	if (!set_next_pid(wanted) || (pid = fork()) < 0)
		_exit(NOT_PERMITTED);
	if (pid == 0)
		_exit(getpid() != wanted || write(up, "", 1) != 1 || read(hold, &byte, 1) != 1 ? NOT_PERMITTED : 0);
	close(up);
	_exit(waitpid(pid, &status, 0) != pid ? NOT_PERMITTED : WIFSIGNALED(status) ? KILLED : WEXITSTATUS(status));
}

/* Whether there is time to look at it before it is gone or not. */
TEST_IN_FIBER(reaped_by_the_kernel)
{
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < COUNT(100, 10); i++) {
		struct torc_process process;

		ck_assert_int_eq(torc_process_spawn(&process, ARGV("true"), NULL), 0);
		ck_assert_int_gt(torc_process_id(&process), 0);
		ck_assert_int_eq(torc_process_wait(&process, NULL), -ECHILD);
		ck_assert_int_eq(torc_process_wait(&process, NULL), -ECHILD);
		ck_assert_int_eq(torc_process_kill(&process, SIGKILL), -ESRCH);
		torc_process_close(&process);
	}
	signal(SIGCHLD, SIG_DFL);
}

/* The first process of a world of its own, where numbers can be chosen. */
static int reuse_pid(bool group)
{
	struct torc_process process;
	int up[2], hold[2], status;
	pid_t pid, between;
	char byte;

	signal(SIGCHLD, SIG_IGN); /* the kernel reaps by itself */
	ck_assert_int_eq(pipe2(up, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(hold, O_CLOEXEC), 0);
	ck_assert_int_eq(torc_process_spawn(&process, ARGV("true"), OPTIONS(.group = group)), 0);
	pid = torc_process_id(&process);
	while (kill(pid, 0) == 0)
		usleep(1000);
	signal(SIGCHLD, SIG_DFL);
	between = take_pid(pid, up[1], hold[0]);
	close(up[1]);
	if (read(up[0], &byte, 1) != 1)
		return NOT_PERMITTED;
	ck_assert_int_eq(torc_process_kill(&process, SIGKILL), -ESRCH);
	torc_process_close(&process);
	ck_assert_int_eq(write(hold[1], "", 1), 1);
	return waitpid(between, &status, 0) == between && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int in_a_world_of_its_own(void *group)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
		return NOT_PERMITTED;
	pid = fork();
	if (pid == 0)
		_exit(reuse_pid(group));
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Its number may be a stranger's by then. */
TEST(who_was_reaped_by_the_kernel_is_not_signalled)
{
	if (!pidfds_are_known()) /* the child of a fork has no ring to wait by */
		SKIP("no pidfds here");
	for (int group = 0; group < 2; group++) {
		struct outcome outcome;

		run_in_process(&outcome, in_a_world_of_its_own, group ? &group : NULL);
		if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == NOT_PERMITTED)
			SKIP("process numbers can't be chosen here");
		assert_exit(&outcome, 0);
	}
}

/* --- many ---------------------------------------------------------------------------------------------------- */

static int run_true(void *arg)
{
	int r = torc_process_run(SH("exit 5"), NULL);

	*(int *)arg += r == 5;
	return r < 0 ? r : 0;
}

TEST_IN_FIBER_TIMEOUT(many_at_once, 60)
{
	int count = COUNT(100, 10), good = 0;

	TORC_SCOPE(scope, .limit = 16);
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(torc_go(scope, run_true, &good), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(good, count);
	no_child_is_left();
}

static int on_each_core(void *arg)
{
	int good = 0;

	(void)arg;
	for (int i = 0; i < 10; i++)
		if (run_true(&good) < 0)
			return -EIO;
	return good == 10 ? 0 : -EIO;
}

TEST(on_several_cores)
{
	ck_assert_int_eq(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 3), on_each_core, NULL), 0);
	no_child_is_left();
}

/* --- without WAITID ------------------------------------------------------------------------------------------- */

static int all_again(void *arg)
{
	(void)arg;
	ends();
	cut_short();
	without_descriptors();
	return 0;
}

TEST(by_pidfds_it_is_the_same)
{
	if (!pidfds_are_known())
		SKIP("no pidfds here");
	setenv("TORC_DISABLE", "waitid", 1);
	ck_assert_int_eq(torc_run(NULL, all_again, NULL), 0);
}
