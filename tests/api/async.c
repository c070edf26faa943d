/* async - any fd made awaitable: flags, waiting for every kind of fd, retried operations, and what happens to those who
 * are parked when the handle is closed, taken back, cancelled or overtaken by a deadline. */
#include "api.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

static int flags_of(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	ck_assert_int_ge(flags, 0);
	return flags;
}

static void wrapped_pipe(struct torc_async *reader, struct torc_async *writer)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(torc_async_wrap(reader, ends[0]), 0);
	ck_assert_int_eq(torc_async_wrap(writer, ends[1]), 0);
}

static void wrapped_sockets(struct torc_async *a, struct torc_async *b)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(torc_async_wrap(a, fds[0]), 0);
	ck_assert_int_eq(torc_async_wrap(b, fds[1]), 0);
}

/* Write until the fd would block; returns how much fitted. */
static size_t fill(const struct torc_async *async)
{
	static const char zeros[4096];
	size_t sum = 0;
	ssize_t n;

	while ((n = write(torc_async_fd(async), zeros, sizeof zeros)) > 0)
		sum += (size_t)n;
	ck_assert_int_eq(errno, EAGAIN);
	return sum;
}

static void drain(const struct torc_async *async)
{
	char buf[4096];

	while (read(torc_async_fd(async), buf, sizeof buf) > 0)
		;
}

/* A fiber in one call on one handle. */
struct wait {
	struct torc_async *async;
	int (*call)(struct torc_async *async);
	int got;
};

static int wait_run(void *arg)
{
	struct wait *wait = arg;

	wait->got = wait->call(wait->async);
	return 0;
}

static void park(struct torc_scope *scope, struct wait *wait, struct torc_async *async,
                 int (*call)(struct torc_async *async))
{
	*wait = (struct wait){ async, call, UNSET };
	ck_assert_int_eq(torc_go(scope, wait_run, wait), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_int_eq(wait->got, UNSET);
}

/* --- flags and ownership --------------------------------------------------------------------- */

TEST(wrap_adds_nonblock_and_unwrap_restores_each_flag)
{
	int kinds[] = { O_RDWR, O_RDWR | O_APPEND, O_RDWR | O_NONBLOCK, O_RDWR | O_APPEND | O_NONBLOCK };

	for (size_t i = 0; i < LENGTH(kinds); i++) {
		int fd = open("/dev/null", kinds[i] | O_CLOEXEC), before = flags_of(fd);
		struct torc_async async;

		ck_assert_int_eq(torc_async_wrap(&async, fd), 0);
		ck_assert_int_eq(torc_async_fd(&async), fd);
		ck_assert_int_eq(flags_of(fd), before | O_NONBLOCK);
		ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
		ck_assert_int_eq(torc_async_close(&async), 0);
		ck_assert(!fd_is_open(fd));
	}
}

TEST_IN_FIBER(unwrap_gives_the_descriptor_back_as_it_was)
{
	int kinds[] = { O_RDWR, O_RDWR | O_APPEND, O_RDWR | O_NONBLOCK, O_RDWR | O_APPEND | O_NONBLOCK };

	for (size_t i = 0; i < LENGTH(kinds); i++) {
		int fd = open("/dev/null", kinds[i] | O_CLOEXEC), before = flags_of(fd);
		struct torc_async async;

		ck_assert_int_eq(torc_async_wrap(&async, fd), 0);
		ck_assert_int_eq(torc_async_unwrap(&async), fd);
		ck_assert_int_eq(flags_of(fd), before);
		ck_assert_int_eq(torc_async_fd(&async), -EBADF);
		ck_assert_int_eq(torc_async_unwrap(&async), -EBADF);
		ck_assert_int_eq(torc_async_close(&async), 0);
		ck_assert(fd_is_open(fd));
		ck_assert_int_eq(close(fd), 0);
	}
}

TEST_IN_FIBER(flags_that_others_set_meanwhile_survive_unwrap)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct torc_async async;

	ck_assert_int_eq(torc_async_wrap(&async, fd), 0);
	ck_assert_int_eq(fcntl(fd, F_SETFL, flags_of(fd) | O_APPEND), 0);
	ck_assert_int_eq(torc_async_unwrap(&async), fd);
	ck_assert_int_eq(flags_of(fd) & (O_APPEND | O_NONBLOCK), O_APPEND);
	ck_assert_int_eq(close(fd), 0);
}

TEST(wrap_refuses_what_is_no_descriptor)
{
	int bad[] = { -1, -EBADF, INT_MIN, INT_MAX, 19999 };

	for (size_t i = 0; i < LENGTH(bad); i++) {
		struct torc_async async = { 0 };

		ck_assert_int_eq(torc_async_wrap(&async, bad[i]), -EBADF);
		ck_assert_int_eq(torc_async_fd(&async), -EBADF);
	}
}

TEST(wrap_does_not_care_what_the_handle_held)
{
	struct torc_async async;
	int ends[2];

	memset(&async, 0xa5, sizeof async);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(torc_async_wrap(&async, ends[0]), 0);
	ck_assert_int_eq(torc_async_fd(&async), ends[0]);
	ck_assert_int_eq(torc_async_close(&async), 0);
	ck_assert_int_eq(close(ends[1]), 0);
}

static int never_called(int fd, void *arg)
{
	(void)fd;
	(void)arg;
	ck_abort_msg("called on an empty handle");
	return 0;
}

TEST_IN_FIBER(an_empty_handle_is_ebadf_everywhere_and_closes)
{
	struct torc_async empty = { 0 };

	ck_assert_int_eq(torc_async_fd(&empty), -EBADF);
	ck_assert_int_eq(torc_async_readable(&empty), -EBADF);
	ck_assert_int_eq(torc_async_writable(&empty), -EBADF);
	ck_assert_int_eq(torc_async_read_with(&empty, never_called, NULL), -EBADF);
	ck_assert_int_eq(torc_async_write_with(&empty, never_called, NULL), -EBADF);
	ck_assert_int_eq(torc_async_unwrap(&empty), -EBADF);
	ck_assert_int_eq(torc_async_close(&empty), 0);
	ck_assert_int_eq(torc_async_close(&empty), 0);
	ck_assert(fd_is_open(0));
}

TEST(an_empty_handle_closes_outside_a_fiber)
{
	struct torc_async empty = { 0 };

	ck_assert_int_eq(torc_async_fd(&empty), -EBADF);
	ck_assert_int_eq(torc_async_close(&empty), 0);
}

TEST(close_outside_a_fiber_closes_plainly)
{
	struct torc_async async;
	int fd = eventfd(0, EFD_CLOEXEC);

	ck_assert_int_eq(torc_async_wrap(&async, fd), 0);
	ck_assert_int_eq(torc_async_close(&async), 0);
	ck_assert(!fd_is_open(fd));
	ck_assert_int_eq(torc_async_fd(&async), -EBADF);
	ck_assert_int_eq(torc_async_close(&async), 0);
}

TEST_IN_FIBER(closing_twice_closes_once)
{
	struct torc_async async;
	int fd = eventfd(0, EFD_CLOEXEC), other;

	ck_assert_int_eq(torc_async_wrap(&async, fd), 0);
	ck_assert_int_eq(torc_async_close(&async), 0);
	other = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(other, fd); /* the number is free again, and now somebody else's */
	ck_assert_int_eq(torc_async_close(&async), 0);
	ck_assert(fd_is_open(other));
	ck_assert_int_eq(close(other), 0);
}

TEST_IN_FIBER(close_of_a_descriptor_closed_behind_torcs_back_tells_and_empties)
{
	struct torc_async async;
	int fd = eventfd(0, EFD_CLOEXEC);

	ck_assert_int_eq(torc_async_wrap(&async, fd), 0);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(torc_async_close(&async), -EBADF);
	ck_assert_int_eq(torc_async_fd(&async), -EBADF);
	ck_assert_int_eq(torc_async_close(&async), 0);
}

TEST_IN_FIBER(waiting_on_a_descriptor_closed_behind_torcs_back_is_ebadf)
{
	struct torc_async async;
	int fd = eventfd(0, EFD_CLOEXEC);

	ck_assert_int_eq(torc_async_wrap(&async, fd), 0);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(torc_async_readable(&async), -EBADF);
	ck_assert_int_eq(torc_async_writable(&async), -EBADF);
	torc_async_close(&async);
}

/* The ring of a library that uses io_uring by itself is a descriptor that can be waited for like any other. */
TEST_IN_FIBER(another_ring_is_waited_for_and_closed)
{
	struct io_uring_params params = { .flags = 0 };
	struct torc_async async;
	int fd = (int)syscall(SYS_io_uring_setup, 8, &params);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(torc_async_wrap(&async, fd), 0);
	{
		TORC_SCOPE(scope, .deadline = torc_in(2 * TORC_MS));

		ck_assert_int_eq(torc_async_readable(&async), -ETIME);
	}
	ck_assert_int_eq(torc_async_close(&async), 0);
	ck_assert(!fd_is_open(fd));
}

TEST_IN_FIBER(a_copy_moves_the_handle)
{
	struct torc_async first, second;
	int fd = eventfd(1, EFD_CLOEXEC);

	ck_assert_int_eq(torc_async_wrap(&first, fd), 0);
	ck_assert_int_eq(torc_async_readable(&first), 0);
	second = first;
	memset(&first, 0, sizeof first);
	ck_assert_int_eq(torc_async_readable(&second), 0);
	ck_assert_int_eq(torc_async_fd(&second), fd);
	ck_assert_int_eq(torc_async_close(&first), 0);
	ck_assert(fd_is_open(fd));
	ck_assert_int_eq(torc_async_unwrap(&second), fd);
	ck_assert_int_eq(flags_of(fd) & O_NONBLOCK, 0);
	ck_assert_int_eq(close(fd), 0);
}

/* --- every kind of descriptor ---------------------------------------------------------------- */

TEST_IN_FIBER(a_pipe_is_waited_for_in_both_directions)
{
	struct torc_async reader, writer;
	struct wait wait;
	TORC_SCOPE(scope);

	wrapped_pipe(&reader, &writer);
	ck_assert_int_eq(torc_async_writable(&writer), 0);
	park(scope, &wait, &reader, torc_async_readable);
	ck_assert_int_eq(write(torc_async_fd(&writer), "x", 1), 1);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(wait.got, 0);
	ck_assert_int_eq(torc_async_readable(&reader), 0); /* the byte is still there */

	fill(&writer);
	park(scope, &wait, &writer, torc_async_writable);
	drain(&reader);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(wait.got, 0);
	ck_assert_int_eq(torc_async_close(&reader), 0);
	ck_assert_int_eq(torc_async_close(&writer), 0);
}

TEST_IN_FIBER(a_socketpair_is_waited_for_in_both_directions)
{
	struct torc_async a, b;
	struct wait wait;
	TORC_SCOPE(scope);

	wrapped_sockets(&a, &b);
	park(scope, &wait, &a, torc_async_readable);
	ck_assert_int_eq(write(torc_async_fd(&b), "x", 1), 1);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(wait.got, 0);
	fill(&a);
	park(scope, &wait, &a, torc_async_writable);
	drain(&b);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(wait.got, 0);
	ck_assert_int_eq(torc_async_close(&a), 0);
	ck_assert_int_eq(torc_async_close(&b), 0);
}

TEST_IN_FIBER(an_eventfd_is_waited_for_again_and_again)
{
	struct torc_async async;
	struct wait wait;
	eventfd_t value;
	TORC_SCOPE(scope);

	ck_assert_int_eq(torc_async_wrap(&async, eventfd(0, EFD_CLOEXEC)), 0);
	for (int i = 0; i < 20; i++) {
		park(scope, &wait, &async, torc_async_readable);
		ck_assert_int_eq(eventfd_write(torc_async_fd(&async), 1), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(wait.got, 0);
		ck_assert_int_eq(eventfd_read(torc_async_fd(&async), &value), 0);
		ck_assert_uint_eq(value, 1);
	}
	ck_assert_int_eq(torc_async_close(&async), 0);
}

TEST_IN_FIBER(a_timerfd_is_waited_for)
{
	struct itimerspec in_5_ms = { .it_value = { .tv_nsec = 5 * TORC_MS } };
	struct torc_async async;
	torc_ns start = torc_now();
	uint64_t expirations;

	ck_assert_int_eq(torc_async_wrap(&async, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)), 0);
	ck_assert_int_eq(timerfd_settime(torc_async_fd(&async), 0, &in_5_ms, NULL), 0);
	ck_assert_int_eq(torc_async_readable(&async), 0);
	ck_assert_int_ge(torc_now() - start, 5 * TORC_MS);
	ck_assert_int_eq(read(torc_async_fd(&async), &expirations, sizeof expirations), 8);
	ck_assert_int_eq(torc_async_close(&async), 0);
}

TEST_IN_FIBER(a_regular_file_is_always_ready)
{
	struct torc_async async;
	int fd = memfd_create("file", MFD_CLOEXEC);

	ck_assert_int_eq(torc_async_wrap(&async, fd), 0);
	ck_assert_int_eq(torc_async_readable(&async), 0);
	ck_assert_int_eq(torc_async_writable(&async), 0);
	ck_assert_int_eq(write(fd, "abc", 3), 3);
	ck_assert_int_eq(torc_async_readable(&async), 0); /* at its end, too */
	ck_assert_int_eq(torc_async_close(&async), 0);

	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(torc_async_wrap(&async, fd), 0);
	ck_assert_int_eq(torc_async_readable(&async), 0);
	ck_assert_int_eq(torc_async_close(&async), 0);
}

TEST_IN_FIBER(a_hang_up_makes_readable)
{
	struct torc_async reader, writer;
	struct wait wait;
	char byte;
	TORC_SCOPE(scope);

	wrapped_pipe(&reader, &writer);
	park(scope, &wait, &reader, torc_async_readable);
	ck_assert_int_eq(torc_async_close(&writer), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(wait.got, 0);
	ck_assert_int_eq(read(torc_async_fd(&reader), &byte, 1), 0);
	ck_assert_int_eq(torc_async_readable(&reader), 0);
	ck_assert_int_eq(torc_async_close(&reader), 0);
}

TEST_IN_FIBER(a_hang_up_makes_writable)
{
	struct torc_async a, b;
	struct wait wait;
	TORC_SCOPE(scope);

	wrapped_sockets(&a, &b);
	fill(&a);
	park(scope, &wait, &a, torc_async_writable);
	ck_assert_int_eq(torc_async_close(&b), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(wait.got, 0);
	ck_assert_int_eq(send(torc_async_fd(&a), "x", 1, MSG_NOSIGNAL), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_int_eq(torc_async_close(&a), 0);
}

TEST_IN_FIBER(a_plain_non_blocking_connect_ends_in_writable)
{
	struct torc_listener listener;
	struct torc_stream peer;
	struct torc_async async;
	struct torc_addr addr;
	char text[TORC_ADDR_TEXT];
	socklen_t len = sizeof(int);
	int error = -1;

	listen_here(&listener, text, NULL);
	ck_assert_int_eq(torc_addr_parse(&addr, text), 0);
	ck_assert_int_eq(torc_async_wrap(&async, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), 0);
	if (connect(torc_async_fd(&async), (struct sockaddr *)&addr.sockaddr, addr.len) < 0)
		ck_assert_int_eq(errno, EINPROGRESS);
	ck_assert_int_eq(torc_async_writable(&async), 0);
	ck_assert_int_eq(getsockopt(torc_async_fd(&async), SOL_SOCKET, SO_ERROR, &error, &len), 0);
	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(torc_listener_accept(&listener, &peer), 0);
	ck_assert_int_eq(torc_stream_close(&peer), 0);
	ck_assert_int_eq(torc_async_close(&async), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

/* --- two at once ----------------------------------------------------------------------------- */

TEST_IN_FIBER(a_reader_and_a_writer_wait_on_one_handle)
{
	struct torc_async a, b;
	struct wait reader, writer;
	TORC_SCOPE(scope);

	wrapped_sockets(&a, &b);
	fill(&a);
	park(scope, &reader, &a, torc_async_readable);
	park(scope, &writer, &a, torc_async_writable);

	ck_assert_int_eq(write(torc_async_fd(&b), "x", 1), 1);
	while (torc_scope_live(scope) > 1)
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_int_eq(reader.got, 0);
	ck_assert_int_eq(writer.got, UNSET); /* only the reader's wish came true */

	drain(&b);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(writer.got, 0);
	ck_assert_int_eq(torc_async_close(&a), 0);
	ck_assert_int_eq(torc_async_close(&b), 0);
}

static void assert_parked_get_ebadf(bool unwrap)
{
	struct torc_async a, b;
	struct wait reader, writer;
	int fd;
	TORC_SCOPE(scope);

	wrapped_sockets(&a, &b);
	fd = torc_async_fd(&a);
	fill(&a);
	park(scope, &reader, &a, torc_async_readable);
	park(scope, &writer, &a, torc_async_writable);
	ck_assert_int_eq(unwrap ? torc_async_unwrap(&a) : torc_async_close(&a), unwrap ? fd : 0);
	ck_assert_int_eq(torc_async_fd(&a), -EBADF);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(reader.got, -EBADF);
	ck_assert_int_eq(writer.got, -EBADF);
	ck_assert(fd_is_open(fd) == unwrap);
	if (unwrap) {
		ck_assert_int_eq(flags_of(fd) & O_NONBLOCK, 0);
		ck_assert_int_eq(close(fd), 0);
	}
	ck_assert_uint_eq(stats_now().in_flight, 0);
	ck_assert_int_eq(torc_async_close(&b), 0);
}

TEST_IN_FIBER(close_wakes_both_who_are_parked)
{
	assert_parked_get_ebadf(false);
}

TEST_IN_FIBER(unwrap_wakes_both_who_are_parked)
{
	assert_parked_get_ebadf(true);
}

/* The handle lies on the heap and is freed as soon as close has returned: the sanitizer sees who is still inside. */
TEST_IN_FIBER(nobody_is_inside_when_close_returns)
{
	for (int i = 0; i < 50; i++) {
		struct torc_async *a = malloc(sizeof *a), b;
		struct wait reader, writer;
		TORC_SCOPE(scope);

		wrapped_sockets(a, &b);
		fill(a);
		park(scope, &reader, a, torc_async_readable);
		park(scope, &writer, a, torc_async_writable);
		ck_assert_int_eq(torc_async_close(a), 0);
		ck_assert_int_eq(reader.got, -EBADF);
		ck_assert_int_eq(writer.got, -EBADF);
		memset(a, 0xff, sizeof *a);
		free(a);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(torc_async_close(&b), 0);
	}
}

TEST_IN_FIBER(close_of_one_handle_leaves_others_parked)
{
	struct torc_async a, b, c, d;
	struct wait first, second;
	TORC_SCOPE(scope);

	wrapped_sockets(&a, &b);
	wrapped_sockets(&c, &d);
	park(scope, &first, &a, torc_async_readable);
	park(scope, &second, &c, torc_async_readable);
	ck_assert_int_eq(torc_async_close(&a), 0);
	ck_assert_int_eq(torc_sleep(2 * TORC_MS), 0);
	ck_assert_int_eq(first.got, -EBADF);
	ck_assert_int_eq(second.got, UNSET);
	ck_assert_int_eq(write(torc_async_fd(&d), "x", 1), 1);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(second.got, 0);
	torc_async_close(&b);
	torc_async_close(&c);
	torc_async_close(&d);
}

TEST_IN_FIBER(close_and_unwrap_are_never_cancelled)
{
	struct torc_async a, b;
	int fd;
	TORC_SCOPE(scope);

	wrapped_sockets(&a, &b);
	fd = torc_async_fd(&b);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_async_close(&a), 0);
	ck_assert_int_eq(torc_async_fd(&a), -EBADF);
	ck_assert_int_eq(torc_async_unwrap(&b), fd);
	ck_assert_int_eq(close(fd), 0);
}

static int close_in_a_cancelled_scope(void *arg)
{
	TORC_SCOPE(scope);

	torc_scope_cancel(scope);
	return torc_async_close(arg);
}

TEST_IN_FIBER(close_in_a_cancelled_scope_still_waits_for_the_parked)
{
	struct torc_async a, b;
	struct wait reader;
	TORC_SCOPE(scope);

	wrapped_sockets(&a, &b);
	park(scope, &reader, &a, torc_async_readable);
	ck_assert_int_eq(close_in_a_cancelled_scope(&a), 0);
	ck_assert_int_eq(reader.got, -EBADF);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(torc_async_close(&b), 0);
}

static int close_it(struct torc_async *async)
{
	return torc_async_close(async);
}

TEST_IN_FIBER(two_fibers_close_one_handle_at_once)
{
	struct torc_async a, b;
	struct wait reader, closers[2];
	TORC_SCOPE(scope);

	wrapped_sockets(&a, &b);
	park(scope, &reader, &a, torc_async_readable);
	for (int i = 0; i < 2; i++) {
		closers[i] = (struct wait){ &a, close_it, UNSET };
		ck_assert_int_eq(torc_go(scope, wait_run, &closers[i]), 0);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(reader.got, -EBADF);
	ck_assert_int_eq(closers[0].got, 0);
	ck_assert_int_eq(closers[1].got, 0);
	ck_assert_int_eq(torc_async_close(&b), 0);
}

/* --- cut short ------------------------------------------------------------------------------- */

static void assert_cut_short(bool by_deadline)
{
	int why = by_deadline ? -ETIME : -ECANCELED;
	struct torc_async a, b;
	struct wait reader, writer;
	struct torc_scope memory, *scope;

	wrapped_sockets(&a, &b);
	fill(&a);
	scope = torc_scope_open(
		&memory,
		TORC_OPTIONS(torc_scope_options, .deadline = by_deadline ? torc_in(COUNT(200, 500) * TORC_MS) : 0));
	reader = (struct wait){ &a, torc_async_readable, UNSET };
	writer = (struct wait){ &a, torc_async_writable, UNSET };
	ck_assert_int_eq(torc_go(scope, wait_run, &reader), 0);
	ck_assert_int_eq(torc_go(scope, wait_run, &writer), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	if (!by_deadline)
		torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), 0); /* the fibers themselves ended in 0 */
	torc_scope_leave(&scope);
	ck_assert_int_eq(reader.got, why);
	ck_assert_int_eq(writer.got, why);

	/* The handle is as good as before. */
	ck_assert_int_eq(write(torc_async_fd(&b), "x", 1), 1);
	ck_assert_int_eq(torc_async_readable(&a), 0);
	drain(&b);
	ck_assert_int_eq(torc_async_writable(&a), 0);
	ck_assert_int_eq(torc_async_close(&a), 0);
	ck_assert_int_eq(torc_async_close(&b), 0);
}

TEST_IN_FIBER(a_cancel_ends_both_waits)
{
	assert_cut_short(false);
}

TEST_IN_FIBER(a_deadline_ends_both_waits)
{
	assert_cut_short(true);
}

static int always_again(int fd, void *arg)
{
	(void)fd;
	++*(int *)arg;
	return -EAGAIN;
}

TEST_IN_FIBER(in_a_cancelled_scope_no_wait_parks)
{
	struct torc_async a, b;
	int calls = 0;
	TORC_SCOPE(scope);

	wrapped_sockets(&a, &b);
	fill(&a);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_async_readable(&a), -ECANCELED);
	ck_assert_int_eq(torc_async_writable(&a), -ECANCELED);
	ck_assert_int_eq(torc_async_read_with(&a, always_again, &calls), -ECANCELED);
	ck_assert_int_eq(torc_async_write_with(&a, always_again, &calls), -ECANCELED);
	ck_assert_int_le(calls, 2);
	ck_assert_int_eq(torc_async_close(&a), 0);
	ck_assert_int_eq(torc_async_close(&b), 0);
}

/* --- read_with, write_with ------------------------------------------------------------------- */

struct attempt {
	int calls, fd;
	int results[8];
};

static int say_next(int fd, void *arg)
{
	struct attempt *attempt = arg;

	attempt->fd = fd;
	return attempt->results[attempt->calls++];
}

TEST_IN_FIBER(an_operation_that_succeeds_is_called_once)
{
	int results[] = { 0, 1, 4711, INT_MAX };
	struct torc_async a, b;

	wrapped_sockets(&a, &b);
	for (size_t i = 0; i < LENGTH(results); i++) {
		struct attempt attempt = { .results = { results[i] } };

		ck_assert_int_eq(torc_async_read_with(&a, say_next, &attempt), results[i]);
		ck_assert_int_eq(torc_async_write_with(&b, say_next, &(struct attempt){ .results = { results[i] } }),
		                 results[i]);
		ck_assert_int_eq(attempt.calls, 1);
		ck_assert_int_eq(attempt.fd, torc_async_fd(&a));
	}
	ck_assert_int_eq(torc_async_close(&a), 0);
	ck_assert_int_eq(torc_async_close(&b), 0);
}

TEST_IN_FIBER(an_error_of_the_operation_is_handed_through)
{
	int results[] = { -EIO, -EPIPE, -ECONNRESET, -ECANCELED, -ETIME, -EBADF, INT_MIN };
	struct torc_async a, b;

	wrapped_sockets(&a, &b);
	for (size_t i = 0; i < LENGTH(results); i++) {
		struct attempt attempt = { .results = { results[i] } };

		ck_assert_int_eq(torc_async_read_with(&a, say_next, &attempt), results[i]);
		ck_assert_int_eq(attempt.calls, 1);
	}
	ck_assert_int_eq(torc_async_close(&a), 0);
	ck_assert_int_eq(torc_async_close(&b), 0);
}

static void succeed_at_once(void *async)
{
	ck_assert_int_eq(torc_async_read_with(async, say_next, &(struct attempt){ .results = { 1 } }), 1);
	ck_assert_int_eq(torc_async_write_with(async, say_next, &(struct attempt){ .results = { 1 } }), 1);
}

TEST_IN_FIBER(operations_that_always_succeed_do_not_keep_the_core)
{
	struct torc_async a, b;

	wrapped_sockets(&a, &b);
	ck_assert(lets_others_run(succeed_at_once, &a));
	ck_assert_int_eq(torc_async_close(&a), 0);
	ck_assert_int_eq(torc_async_close(&b), 0);
}

TEST_IN_FIBER(again_means_wait_and_call_again)
{
	struct attempt reading = { .results = { -EAGAIN, -EAGAIN, -EAGAIN, 17 } };
	struct attempt writing = { .results = { -EAGAIN, -EAGAIN, 18 } };
	struct torc_async a, b;

	wrapped_sockets(&a, &b);
	ck_assert_int_eq(write(torc_async_fd(&b), "x", 1), 1); /* readable all the time */
	ck_assert_int_eq(torc_async_read_with(&a, say_next, &reading), 17);
	ck_assert_int_eq(reading.calls, 4);
	ck_assert_int_eq(torc_async_write_with(&a, say_next, &writing), 18);
	ck_assert_int_eq(writing.calls, 3);
	ck_assert_int_eq(torc_async_close(&a), 0);
	ck_assert_int_eq(torc_async_close(&b), 0);
}

struct retried {
	struct torc_async *async;
	bool writing;
	int calls, got;
};

static int again_until_cut(void *arg)
{
	struct retried *retried = arg;

	retried->got = retried->writing ? torc_async_write_with(retried->async, always_again, &retried->calls)
	                                : torc_async_read_with(retried->async, always_again, &retried->calls);
	return 0;
}

TEST_IN_FIBER(a_wait_between_two_attempts_that_is_cut_short_calls_no_more)
{
	for (int how = 0; how < 6; how++) {
		const int whys[] = { -ECANCELED, -ETIME, -EBADF };
		struct torc_async a, b;
		struct retried retried = { &a, how >= 3, 0, UNSET };
		TORC_SCOPE(scope, .deadline = how % 3 == 1 ? torc_in(COUNT(200, 500) * TORC_MS) : 0);

		wrapped_sockets(&a, &b);
		fill(&a);
		ck_assert_int_eq(torc_go(scope, again_until_cut, &retried), 0);
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
		ck_assert_int_eq(retried.calls, 1);
		if (how % 3 == 0)
			torc_scope_cancel(scope);
		if (how % 3 == 2)
			ck_assert_int_eq(torc_async_close(&a), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(retried.got, whys[how % 3]);
		ck_assert_int_eq(retried.calls, 1);
		ck_assert_int_eq(torc_async_close(&a), 0);
		ck_assert_int_eq(torc_async_close(&b), 0);
	}
}

struct transfer {
	struct torc_async *async;
	unsigned char *buf;
	size_t len, done;
	int calls;
};

static int write_some(int fd, void *arg)
{
	struct transfer *transfer = arg;
	ssize_t n;

	transfer->calls++;
	while (transfer->done < transfer->len) {
		n = write(fd, transfer->buf + transfer->done, transfer->len - transfer->done);
		if (n < 0)
			return -errno;
		transfer->done += (size_t)n;
	}
	return 0;
}

static int read_some(int fd, void *arg)
{
	struct transfer *transfer = arg;
	ssize_t n;

	transfer->calls++;
	while (transfer->done < transfer->len) {
		n = read(fd, transfer->buf + transfer->done, transfer->len - transfer->done);
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		transfer->done += (size_t)n;
	}
	return 0;
}

static int write_all(void *arg)
{
	struct transfer *transfer = arg;

	return torc_async_write_with(transfer->async, write_some, transfer);
}

static int read_all(void *arg)
{
	struct transfer *transfer = arg;

	return torc_async_read_with(transfer->async, read_some, transfer);
}

TEST_IN_FIBER(a_large_transfer_goes_through_a_small_pipe)
{
	size_t len = 4 << 20;
	struct torc_async reader, writer;
	struct transfer in = { &reader, malloc(len), len, 0, 0 };
	struct transfer out = { &writer, malloc(len), len, 0, 0 };
	TORC_SCOPE(scope);

	wrapped_pipe(&reader, &writer);
	pattern_fill(out.buf, len, 0);
	ck_assert_int_eq(torc_go(scope, read_all, &in), 0);
	ck_assert_int_eq(torc_go(scope, write_all, &out), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_uint_eq(in.done, len);
	ck_assert(pattern_holds(in.buf, len, 0));
	ck_assert_int_gt(out.calls, 1);
	ck_assert_int_gt(in.calls, 1);
	ck_assert_int_eq(torc_async_close(&reader), 0);
	ck_assert_int_eq(torc_async_close(&writer), 0);
	free(in.buf);
	free(out.buf);
}

static int take_one(int fd, void *arg)
{
	char byte;

	(void)arg;
	return read(fd, &byte, 1) == 1 ? 1 : -errno;
}

struct thief {
	struct torc_async async;
	int taken;
};

static int take_until_cancelled(void *arg)
{
	struct thief *thief = arg;
	int r;

	while ((r = torc_async_read_with(&thief->async, take_one, NULL)) == 1)
		thief->taken++;
	return r;
}

/* All are woken by one byte and only one gets it: the others go back to waiting. */
TEST_IN_FIBER(readers_of_one_pipe_through_several_handles_share_its_bytes)
{
	struct thief thieves[4] = { { .taken = 0 } };
	int ends[2], sum = 0;
	TORC_SCOPE(scope);

	ck_assert_int_eq(pipe(ends), 0);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(torc_async_wrap(&thieves[i].async, dup(ends[0])), 0);
		ck_assert_int_eq(torc_go(scope, take_until_cancelled, &thieves[i]), 0);
	}
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(write(ends[1], "x", 1), 1);
		torc_yield();
	}
	for (int i = 0; i < 1000 && sum < 200; i++) {
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
		sum = 0;
		for (int k = 0; k < 4; k++)
			sum += thieves[k].taken;
	}
	ck_assert_int_eq(sum, 200);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(torc_async_close(&thieves[i].async), 0);
	close(ends[0]);
	close(ends[1]);
}

/* --- misuse ---------------------------------------------------------------------------------- */

static int wait_and_tell(void *arg)
{
	return torc_async_readable(arg);
}

static void *run_wait_and_tell(void *arg)
{
	return torc_run(NULL, wait_and_tell, arg) < 0 ? arg : NULL;
}

DEATH_IN_FIBER(a_handle_in_use_on_two_cores_at_once_is_misuse, "torc: .*handle.* two cores")
{
	struct torc_async a, b;
	struct wait wait;
	pthread_t thread;
	TORC_SCOPE(scope);

	wrapped_sockets(&a, &b);
	park(scope, &wait, &a, torc_async_readable);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_wait_and_tell, &a), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static int close_and_tell(void *arg)
{
	return torc_async_close(arg);
}

static void *run_close_and_tell(void *arg)
{
	return torc_run(NULL, close_and_tell, arg) < 0 ? arg : NULL;
}

/* Who is parked would have to be woken from another core's thread. */
DEATH_IN_FIBER(and_so_is_closing_one_that_is_in_use_elsewhere, "torc: .*handle.* two cores")
{
	struct torc_async a, b;
	struct wait wait;
	pthread_t thread;
	TORC_SCOPE(scope);

	wrapped_sockets(&a, &b);
	park(scope, &wait, &a, torc_async_readable);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_close_and_tell, &a), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

DEATH(waiting_outside_a_fiber_is_misuse, "torc: torc_async_readable: .*fiber")
{
	struct torc_async async;

	ck_assert_int_eq(torc_async_wrap(&async, eventfd(0, EFD_CLOEXEC)), 0);
	ck_assert_int_eq(torc_async_readable(&async), 0);
}

/* --- many, and other threads ----------------------------------------------------------------- */

enum { EVENTS = 1000 };

struct ringer {
	int fds[EVENTS];
};

static void *ring_all(void *arg)
{
	struct ringer *ringer = arg;

	for (int i = 0; i < EVENTS; i++)
		ck_assert_int_eq(eventfd_write(ringer->fds[(i * 7) % EVENTS], 1), 0);
	return NULL;
}

TEST_IN_FIBER(a_thousand_handles_are_rung_by_another_thread)
{
	static struct torc_async asyncs[EVENTS];
	static struct wait waits[EVENTS];
	static struct ringer ringer;
	pthread_t thread;
	TORC_SCOPE(scope);

	for (int i = 0; i < EVENTS; i++) {
		ringer.fds[i] = eventfd(0, EFD_CLOEXEC);
		ck_assert_int_eq(torc_async_wrap(&asyncs[i], ringer.fds[i]), 0);
		waits[i] = (struct wait){ &asyncs[i], torc_async_readable, UNSET };
		ck_assert_int_eq(torc_go(scope, wait_run, &waits[i]), 0);
	}
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, ring_all, &ringer), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	for (int i = 0; i < EVENTS; i++) {
		ck_assert_int_eq(waits[i].got, 0);
		ck_assert_int_eq(torc_async_close(&asyncs[i]), 0);
	}
}

static int wait_and_read(void *arg)
{
	eventfd_t value = 0;
	int r = torc_async_readable(arg);

	if (r < 0)
		return r;
	ck_assert_int_eq(eventfd_read(torc_async_fd(arg), &value), 0);
	return (int)value;
}

static void *run_wait_and_read(void *arg)
{
	return (void *)(intptr_t)torc_run(NULL, wait_and_read, arg);
}

TEST(a_handle_may_be_handed_to_another_core_between_calls)
{
	struct torc_async async;
	pthread_t thread;
	void *result;

	ck_assert_int_eq(torc_async_wrap(&async, eventfd(0, EFD_CLOEXEC)), 0);
	for (int i = 1; i <= 5; i++) {
		ck_assert_int_eq(eventfd_write(torc_async_fd(&async), (eventfd_t)i), 0);
		ck_assert_int_eq(torc_run(NULL, wait_and_read, &async), i);
		ck_assert_int_eq(pthread_create(&thread, NULL, run_wait_and_read, &async), 0);
		ck_assert_int_eq(eventfd_write(torc_async_fd(&async), (eventfd_t)i + 100), 0);
		ck_assert_int_eq(pthread_join(thread, &result), 0);
		ck_assert_int_eq((int)(intptr_t)result, i + 100);
	}
	ck_assert_int_eq(torc_async_close(&async), 0);
}
