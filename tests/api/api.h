/* api.h - what the tests of the public API share: bodies that run in a fiber, sizes, clocks, children, plain sockets.
 * Relies on torc.h, libc and the harness alone. Everything here is small enough to be inline. */
#ifndef TESTS_API_H
#define TESTS_API_H

#include <torc.h>

#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How many of something: `plain` of them, or `slow` under a sanitizer or valgrind. */
#define COUNT(plain, slow) (harness_slow() ? (slow) : (plain))

#define LENGTH(array) (sizeof(array) / sizeof *(array))

/* A TEST whose body is the first fiber of a torc_run. */
#define TEST_IN_FIBER(name)                TEST_IN_(TEST(name), name, NULL)
#define TEST_IN_FIBER_TIMEOUT(name, limit) TEST_IN_(TEST_TIMEOUT(name, limit), name, NULL)
#define DEATH_IN_FIBER(name, regex)        TEST_IN_(DEATH(name, regex), name, NULL)

/* The same with options of the run: TEST_IN_FIBER_WITH(name, .stack_size = 1 << 20) { ... } */
#define TEST_IN_FIBER_WITH(name, ...) TEST_IN_(TEST(name), name, TORC_OPTIONS(torc_run_options, __VA_ARGS__))

#define TEST_IN_(test, name, ...)                                                 \
	static void name##_in_fiber_(void);                                       \
	static int name##_root_(void *arg)                                        \
	{                                                                         \
		(void)arg;                                                        \
		name##_in_fiber_();                                               \
		return 0;                                                         \
	}                                                                         \
	test                                                                      \
	{                                                                         \
		ck_assert_int_eq(torc_run((__VA_ARGS__), name##_root_, NULL), 0); \
	}                                                                         \
	static void name##_in_fiber_(void)

/* What a field holds that a fiber should have set and has not. */
enum { UNSET = 0x5e7 };

/* Far enough away never to come in a test; and so near that a test can wait for it, but not before it got going. */
#define FOREVER (1000 * TORC_SEC)
#define SOON    (COUNT(30, 300) * TORC_MS)

/* How late on a busy machine is what happens at once: that it is not FOREVER is all that can be asked of a clock. What is to
 * be soon is measured in CPU time, in turns or in steps of another fiber, or it is to be so in one of many tries. */
#define AGES (20 * TORC_SEC)

static inline torc_ns cpu_clock(clockid_t id)
{
	struct timespec t;

	ck_assert_int_eq(clock_gettime(id, &t), 0);
	return t.tv_sec * TORC_SEC + t.tv_nsec;
}

/* CPU time that this process has used, user and system, all threads. */
static inline torc_ns cpu_now(void)
{
	return cpu_clock(CLOCK_PROCESS_CPUTIME_ID);
}

/* Compute, without a torc call, until `instant`. */
static inline void busy_until(torc_ns instant)
{
	while (torc_now() < instant)
		;
}

/* --- fibers ---------------------------------------------------------------------------------- */

/* A fiber that sleeps and then ends in `result`, unless the sleep fails. */
struct child {
	torc_ns span;
	int result;
	int got; /* what the sleep returned; UNSET: it has not */
};

static inline int child_run(void *arg)
{
	struct child *child = arg;

	child->got = UNSET;
	child->got = torc_sleep(child->span);
	return child->got < 0 ? child->got : child->result;
}

/* The same, deaf to cancellation: ends in `result` whatever the sleep said. */
static inline int child_run_stubborn(void *arg)
{
	struct child *child = arg;

	child->got = torc_sleep(child->span);
	return child->result;
}

static inline struct torc_stats stats_now(void)
{
	struct torc_stats stats = { .size = sizeof stats };

	ck_assert_int_eq(torc_stats_get(&stats), 0);
	return stats;
}

/* Is a feature on, and not switched off by TORC_DISABLE? The numbers that some tests expect depend on it. */
static inline bool feature_is_on(const char *name)
{
	struct torc_feature features[64];
	int count = torc_probe(features, 64);

	for (int i = 0; i < count && i < 64; i++)
		if (strcmp(features[i].name, name) == 0)
			return features[i].on;
	return false;
}

/* Does it hold in one of many tries? For what a machine that has other things to do may delay, though seldom for so long.
 * What is wrong is wrong each time. */
enum { TRIES_AT_MOST = 100 };

static inline bool once_in_many(bool (*holds)(void *), void *arg)
{
	for (int i = 0; i < TRIES_AT_MOST; i++)
		if (holds(arg))
			return true;
	return false;
}

/* CPU time that this thread has used. */
static inline torc_ns thread_cpu_now(void)
{
	return cpu_clock(CLOCK_THREAD_CPUTIME_ID);
}

static inline int note_turn(void *arg)
{
	*(bool *)arg = true;
	return 0;
}

/* Does a fiber that does this again and again, and never has to wait for it, let others run? */
static inline bool lets_others_run(void (*step)(void *), void *arg)
{
	enum { STEPS = 400 };
	const torc_ns work = 100 * TORC_US;
	bool others_ran = false;

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, note_turn, &others_ran), 0);
	for (int i = 0; i < STEPS && !others_ran; i++) {
		torc_ns begun = thread_cpu_now();

		step(arg);
		while (thread_cpu_now() - begun < work) {
		}
	}
	return others_ran;
}

/* --- children -------------------------------------------------------------------------------- */

/* What became of a process that ran `body`: waitpid's status, and what it wrote to stderr. */
struct outcome {
	int status;
	char text[8192];
};

/* Run body(arg) in a forked process, which ends with the body's value as its exit status. */
static inline void run_in_process(struct outcome *outcome, int (*body)(void *), void *arg)
{
	size_t len = 0;
	int ends[2];
	ssize_t n;
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		_exit(body(arg));
	}
	close(ends[1]);
	while ((n = read(ends[0], outcome->text + len, sizeof outcome->text - 1 - len)) > 0)
		len += (size_t)n;
	outcome->text[len] = 0;
	close(ends[0]);
	ck_assert_int_eq(waitpid(pid, &outcome->status, 0), pid);
}

static inline void assert_exit(const struct outcome *outcome, int status)
{
	ck_assert_msg(WIFEXITED(outcome->status) && WEXITSTATUS(outcome->status) == status,
	              "wanted exit %d, got %s %d; stderr: %s", status, WIFEXITED(outcome->status) ? "exit" : "signal",
	              WIFEXITED(outcome->status) ? WEXITSTATUS(outcome->status) : WTERMSIG(outcome->status),
	              outcome->text);
}

/* --- sockets --------------------------------------------------------------------------------- */

/* A listener of torc's on a free loopback port, and its address as text. */
static inline void listen_here(struct torc_listener *listener, char text[TORC_ADDR_TEXT],
                               const struct torc_listen_options *options)
{
	struct torc_addr addr;

	ck_assert_int_eq(torc_tcp_listen(listener, "127.0.0.1:0", options), 0);
	ck_assert_int_eq(torc_listener_addr(listener, &addr), 0);
	ck_assert_int_gt(torc_addr_port(&addr), 0);
	ck_assert_int_gt(torc_addr_format(&addr, text, TORC_ADDR_TEXT), 0);
}

/* Two connected streams of torc's, in a fiber. */
static inline void stream_pair(struct torc_stream *a, struct torc_stream *b)
{
	struct torc_listener listener;
	char text[TORC_ADDR_TEXT];

	listen_here(&listener, text, NULL);
	ck_assert_int_eq(torc_tcp_connect(a, text), 0);
	ck_assert_int_eq(torc_listener_accept(&listener, b), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

/* A blocking TCP socket of libc's, connected to a listener. */
static inline int plain_connect(const struct torc_listener *listener)
{
	struct torc_addr addr;
	int fd;

	ck_assert_int_eq(torc_listener_addr(listener, &addr), 0);
	fd = socket(addr.sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_msg(connect(fd, (struct sockaddr *)&addr.sockaddr, addr.len) == 0, "connect: %s", strerror(errno));
	return fd;
}

/* A stream of torc's whose peer is a plain blocking socket. */
static inline void stream_and_plain(struct torc_stream *stream, int *plain)
{
	struct torc_listener listener;
	char text[TORC_ADDR_TEXT];

	listen_here(&listener, text, NULL);
	*plain = plain_connect(&listener);
	ck_assert_int_eq(torc_listener_accept(&listener, stream), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

/* Close with a reset instead of a FIN. */
static inline void plain_reset(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	ck_assert_int_eq(close(fd), 0);
}

/* Is the descriptor open? */
static inline bool fd_is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* The byte that stands at `at` in every stream of the tests: no short period, so that a lost or doubled piece shows. */
static inline unsigned char pattern(size_t at)
{
	return (unsigned char)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

static inline void pattern_fill(void *buf, size_t len, size_t from)
{
	unsigned char *bytes = buf;

	for (size_t i = 0; i < len; i++)
		bytes[i] = pattern(from + i);
}

static inline bool pattern_holds(const void *buf, size_t len, size_t from)
{
	const unsigned char *bytes = buf;

	for (size_t i = 0; i < len; i++)
		if (bytes[i] != pattern(from + i))
			return false;
	return true;
}

#endif
