/* tcp_faults - listeners and streams where things go wrong: refused, reset, out of descriptors, closed, cancelled and
 * overtaken by deadlines at every point, and that lent memory is never touched afterwards. */
#include "api.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

/* --- connecting ------------------------------------------------------------------------------ */

/* An address at which nobody listens, and that nobody else can take: bound and not listening. */
static int deaf_address(char text[TORC_ADDR_TEXT])
{
	struct torc_addr addr = { .len = sizeof(struct sockaddr_in) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr.sockaddr, &addr.len), 0);
	ck_assert_int_gt(torc_addr_format(&addr, text, TORC_ADDR_TEXT), 0);
	return fd;
}

/* A listener so full that the kernel drops whoever knocks: connecting to it takes minutes. */
struct black_hole {
	int listener, fillers[4];
	char text[TORC_ADDR_TEXT];
};

static void black_hole_open(struct black_hole *hole)
{
	struct torc_addr addr;

	hole->listener = deaf_address(hole->text);
	ck_assert_int_eq(torc_addr_parse(&addr, hole->text), 0);
	ck_assert_int_eq(listen(hole->listener, 0), 0);
	for (size_t i = 0; i < LENGTH(hole->fillers); i++) {
		hole->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		ck_assert_int_ge(hole->fillers[i], 0);
		if (connect(hole->fillers[i], (struct sockaddr *)&addr.sockaddr, addr.len) < 0)
			ck_assert_int_eq(errno, EINPROGRESS);
	}
}

static void black_hole_close(struct black_hole *hole)
{
	for (size_t i = 0; i < LENGTH(hole->fillers); i++)
		close(hole->fillers[i]);
	close(hole->listener);
}

TEST_IN_FIBER(a_refused_connect_is_econnrefused_and_leaves_no_descriptor)
{
	struct torc_stream stream = { .async = { 0 } };
	char text[TORC_ADDR_TEXT];
	int deaf = deaf_address(text);

	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(torc_tcp_connect(&stream, text), -ECONNREFUSED);
		ck_assert_int_eq(torc_async_fd(&stream.async), -EBADF);
	}
	close(deaf);
}

TEST_IN_FIBER(connect_hands_on_what_parse_says)
{
	struct torc_stream stream = { .async = { 0 } };

	ck_assert_int_eq(torc_tcp_connect(&stream, "127.0.0.1"), -EINVAL);
	ck_assert_int_eq(torc_tcp_connect(&stream, "127.0.0.1:65536"), -ERANGE);
	ck_assert_int_eq(torc_tcp_connect(&stream, "localhost:80"), -EOPNOTSUPP);
	ck_assert_int_eq(torc_async_fd(&stream.async), -EBADF);
}

TEST_IN_FIBER(connect_to_an_address_that_is_none_is_an_error)
{
	struct torc_stream stream = { .async = { 0 } };
	struct torc_addr addr = { .len = 0 };

	ck_assert_int_lt(torc_tcp_connect_to(&stream, &addr), 0);
	addr.sockaddr.ss_family = AF_APPLETALK;
	addr.len = sizeof addr.sockaddr;
	ck_assert_int_lt(torc_tcp_connect_to(&stream, &addr), 0);
	ck_assert_int_eq(torc_async_fd(&stream.async), -EBADF);
}

TEST_IN_FIBER(a_connect_that_nobody_answers_ends_in_etime_in_time)
{
	struct black_hole hole;
	struct torc_stream stream = { .async = { 0 } };
	torc_ns due;

	black_hole_open(&hole);
	for (int i = 0; i < 5; i++) {
		TORC_SCOPE(scope, .deadline = due = torc_in(20 * TORC_MS));

		ck_assert_int_eq(torc_tcp_connect(&stream, hole.text), -ETIME);
		ck_assert_int_ge(torc_now(), due);
		ck_assert_int_lt(torc_now() - due, AGES);
		ck_assert_int_eq(torc_async_fd(&stream.async), -EBADF);
	}
	black_hole_close(&hole);
}

struct connector {
	const char *text;
	struct torc_stream stream;
	int got;
};

static int connect_run(void *arg)
{
	struct connector *connector = arg;

	connector->got = torc_tcp_connect(&connector->stream, connector->text);
	return connector->got;
}

TEST_IN_FIBER(a_hundred_connects_that_nobody_answers_are_cancelled_at_once)
{
	static struct connector connectors[100];
	struct black_hole hole;
	torc_ns start;
	TORC_SCOPE(scope);

	black_hole_open(&hole);
	for (size_t i = 0; i < LENGTH(connectors); i++) {
		connectors[i] = (struct connector){ .text = hole.text, .got = UNSET };
		ck_assert_int_eq(torc_go(scope, connect_run, &connectors[i]), 0);
	}
	ck_assert_int_eq(torc_sleep(5 * TORC_MS), 0);
	start = torc_now();
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	ck_assert_int_lt(torc_now() - start, AGES);
	for (size_t i = 0; i < LENGTH(connectors); i++) {
		ck_assert_int_eq(connectors[i].got, -ECANCELED);
		ck_assert_int_eq(torc_async_fd(&connectors[i].stream.async), -EBADF);
	}
	black_hole_close(&hole);
}

/* --- closing and cancelling under those who wait --------------------------------------------- */

struct user {
	struct torc_stream *stream;
	int (*call)(struct torc_stream *stream);
	int got;
};

static int user_run(void *arg)
{
	struct user *user = arg;

	user->got = user->call(user->stream);
	return 0;
}

static int call_read(struct torc_stream *stream)
{
	char byte;

	return torc_stream_read(stream, &byte, 1);
}

static int call_read_exact(struct torc_stream *stream)
{
	char bytes[100];

	return torc_stream_read_exact(stream, bytes, sizeof bytes);
}

static int call_peek(struct torc_stream *stream)
{
	char byte;

	return torc_stream_peek(stream, &byte, 1);
}

/* More than any socket buffer takes. */
static unsigned char plenty[16 << 20];

static int call_write(struct torc_stream *stream)
{
	return torc_stream_write(stream, plenty, sizeof plenty);
}

static int call_writev(struct torc_stream *stream)
{
	struct iovec pieces[16];

	for (size_t i = 0; i < LENGTH(pieces); i++)
		pieces[i] = (struct iovec){ plenty + (i << 20), 1 << 20 };
	return torc_stream_writev(stream, pieces, LENGTH(pieces));
}

static int (*const reading[])(struct torc_stream *) = { call_read, call_read_exact, call_peek };
static int (*const writing[])(struct torc_stream *) = { call_write, call_writev };
static int (*const calls[])(struct torc_stream *) = { call_read, call_read_exact, call_peek, call_write, call_writev };

static void park(struct torc_scope *scope, struct user *user, struct torc_stream *stream,
                 int (*call)(struct torc_stream *stream))
{
	*user = (struct user){ stream, call, UNSET };
	ck_assert_int_eq(torc_go(scope, user_run, user), 0);
	ck_assert_int_eq(torc_sleep(2 * TORC_MS), 0);
	ck_assert_int_eq(user->got, UNSET);
}

TEST_IN_FIBER(close_wakes_whoever_is_parked_with_ebadf)
{
	for (size_t i = 0; i < LENGTH(calls); i++) {
		struct torc_stream a, b;
		struct user user;
		int fd;
		TORC_SCOPE(scope);

		stream_pair(&a, &b);
		fd = torc_async_fd(&a.async);
		park(scope, &user, &a, calls[i]);
		ck_assert_int_eq(torc_stream_close(&a), 0);
		ck_assert_int_eq(user.got, -EBADF);
		ck_assert(!fd_is_open(fd));
		ck_assert_int_eq(torc_async_fd(&a.async), -EBADF);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(torc_stream_close(&b), 0);
	}
}

TEST_IN_FIBER(close_wakes_a_reader_and_a_writer_both)
{
	for (size_t i = 0; i < LENGTH(reading); i++) {
		for (size_t k = 0; k < LENGTH(writing); k++) {
			struct torc_stream a, b;
			struct user reader, writer;
			TORC_SCOPE(scope);

			stream_pair(&a, &b);
			park(scope, &reader, &a, reading[i]);
			park(scope, &writer, &a, writing[k]);
			ck_assert_int_eq(torc_stream_close(&a), 0);
			ck_assert_int_eq(reader.got, -EBADF);
			ck_assert_int_eq(writer.got, -EBADF);
			ck_assert_int_eq(torc_scope_join(scope), 0);
			ck_assert_int_eq(torc_stream_close(&a), 0);
			ck_assert_int_eq(torc_stream_close(&b), 0);
		}
	}
}

TEST_IN_FIBER(a_cancel_ends_every_call)
{
	for (size_t i = 0; i < LENGTH(calls); i++) {
		struct torc_stream a, b;
		struct user user;
		TORC_SCOPE(scope);

		stream_pair(&a, &b);
		park(scope, &user, &a, calls[i]);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(user.got, -ECANCELED);
		ck_assert_int_eq(torc_stream_close(&a), 0);
		ck_assert_int_eq(torc_stream_close(&b), 0);
	}
}

TEST_IN_FIBER(a_deadline_ends_every_call)
{
	for (size_t i = 0; i < LENGTH(calls); i++) {
		struct torc_stream a, b;
		torc_ns due;

		stream_pair(&a, &b);
		{
			TORC_SCOPE(scope, .deadline = due = torc_in(10 * TORC_MS));

			ck_assert_int_eq(calls[i](&a), -ETIME);
			ck_assert_int_ge(torc_now(), due);
			ck_assert_int_lt(torc_now() - due, AGES);
		}
		ck_assert_int_eq(torc_stream_close(&a), 0);
		ck_assert_int_eq(torc_stream_close(&b), 0);
	}
}

TEST_IN_FIBER(a_stream_is_as_good_as_before_after_a_cancelled_read)
{
	struct torc_stream a, b;
	char buf[8];

	stream_pair(&a, &b);
	for (int i = 0; i < 100; i++) {
		struct user user;
		TORC_SCOPE(scope);

		user = (struct user){ &a, i % 2 ? call_peek : call_read, UNSET };
		ck_assert_int_eq(torc_go(scope, user_run, &user), 0);
		torc_yield();
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(user.got, -ECANCELED);
	}
	ck_assert_int_eq(torc_stream_write(&b, "whole", 5), 5);
	ck_assert_int_eq(torc_stream_read_exact(&a, buf, 5), 5); /* no stray read ate a byte */
	ck_assert_mem_eq(buf, "whole", 5);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

/* The byte and the cancel arrive together: either the reader has the byte, or it is still there. */
TEST_IN_FIBER(a_result_that_comes_with_the_cancel_is_not_lost)
{
	struct torc_stream a, b;
	int had = 0, rounds = COUNT(500, 50);

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_tcp_set_nodelay(&b, true), 0);
	for (int i = 0; i < rounds; i++) {
		struct user user = { &a, call_read, UNSET };
		char byte;
		TORC_SCOPE(scope);

		ck_assert_int_eq(torc_go(scope, user_run, &user), 0);
		torc_yield();
		ck_assert_int_eq(send(torc_async_fd(&b.async), "x", 1, MSG_NOSIGNAL), 1);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert(user.got == 1 || user.got == -ECANCELED);
		had += user.got == 1;
		if (user.got != 1) {
			TORC_SCOPE(shield, .shield = true);

			ck_assert_int_eq(torc_stream_read(&a, &byte, 1), 1);
		}
	}
	ck_assert_int_eq(recv(torc_async_fd(&a.async), &had, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

/* The byte and the close arrive together: the reader has the byte or -EBADF, and neither hangs. */
TEST_IN_FIBER(a_close_that_comes_with_the_data_is_survived)
{
	for (int i = 0; i < COUNT(300, 30); i++) {
		struct torc_stream a, b;
		struct user reader = { &a, i % 2 ? call_read : call_peek, UNSET };
		TORC_SCOPE(scope);

		stream_pair(&a, &b);
		ck_assert_int_eq(torc_go(scope, user_run, &reader), 0);
		torc_yield();
		ck_assert_int_eq(send(torc_async_fd(&b.async), "x", 1, MSG_NOSIGNAL), 1);
		if (i % 3 == 0)
			torc_yield();
		ck_assert_int_eq(torc_stream_close(&a), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert(reader.got == 1 || reader.got == -EBADF);
		ck_assert_int_eq(torc_stream_close(&b), 0);
	}
}

/* Worker threads of the kernel are among them. */
static int threads_of_ours(void)
{
	DIR *dir = opendir("/proc/self/task");
	int count = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static int read_one_byte(void *arg)
{
	char byte;

	return torc_stream_read(arg, &byte, 1);
}

static void stop_and_go_on(void)
{
	pid_t self = getpid(), pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		kill(self, SIGSTOP);
		usleep(20000);
		_exit(kill(self, SIGCONT));
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* A receive that was woken for nothing again and again - somebody else was quicker each time - is given to a worker thread,
 * which blocks in it; and when the process is stopped and goes on, the worker's call ends in EINTR. */
TEST_IN_FIBER(a_stop_of_the_process_is_no_error)
{
	struct torc_stream stream;
	int plain, threads = threads_of_ours();
	char byte;

	stream_and_plain(&stream, &plain);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, read_one_byte, &stream), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	for (int i = 0; i < 500 && threads_of_ours() == threads && torc_scope_live(scope) == 1; i++) {
		ck_assert_int_eq(write(plain, "x", 1), 1);
		if (poll(&(struct pollfd){ .fd = torc_async_fd(&stream.async), .events = POLLIN }, 1, 100) != 1 ||
		    recv(torc_async_fd(&stream.async), &byte, 1, MSG_DONTWAIT) < 0)
			break; /* it was quicker */
		ck_assert_int_eq(torc_sleep(TORC_US), 0);
	}
	for (int i = 0; i < 3; i++) {
		stop_and_go_on();
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	}
	ck_assert_int_eq(close(plain), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0); /* of the byte, or of the end */
	torc_stream_close(&stream);
}

struct large {
	struct torc_stream *stream;
	unsigned char *bytes;
	size_t len;
	bool pieces;
};

static int write_large(void *arg)
{
	const struct large *large = arg;
	struct iovec pieces[] = { { large->bytes, 100 }, { large->bytes + 100, large->len - 100 } };
	int r = large->pieces ? torc_stream_writev(large->stream, pieces, 2)
	                      : torc_stream_write(large->stream, large->bytes, large->len);

	return r < 0 ? r : torc_stream_shutdown(large->stream, TORC_SHUTDOWN_WRITE);
}

/* The kernel goes on by itself after each part that there was room for, but not for ever: some hundred times, then a worker
 * thread of its own blocks in the call. A server of many slow clients would have as many threads. */
static void write_to_who_reads_slowly(bool pieces)
{
	const size_t len = COUNT(24, 16) << 20;
	struct torc_stream stream;
	struct large large = { &stream, malloc(len), len, pieces };
	static unsigned char buf[32 << 10];
	int plain, threads = threads_of_ours(), size = 32 << 10;
	size_t got = 0;

	pattern_fill(large.bytes, len, 0);
	stream_and_plain(&stream, &plain);
	ck_assert_int_eq(torc_tcp_set_buffers(&stream, size, 0), 0);
	ck_assert_int_eq(setsockopt(plain, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, write_large, &large), 0);
	for (;;) {
		ssize_t n = recv(plain, buf, sizeof buf, MSG_DONTWAIT);

		if (n == 0)
			break;
		ck_assert(n > 0 || errno == EAGAIN);
		if (n > 0) {
			ck_assert(pattern_holds(buf, (size_t)n, got));
			got += (size_t)n;
		}
		ck_assert_int_eq(torc_sleep(n < 0 ? 20 * TORC_US : 0), 0);
	}
	ck_assert_uint_eq(got, len);
	ck_assert_int_eq(threads_of_ours(), threads);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	torc_stream_close(&stream);
	close(plain);
	free(large.bytes);
}

TEST_IN_FIBER(a_large_write_to_a_slow_peer_takes_no_thread)
{
	write_to_who_reads_slowly(false);
	write_to_who_reads_slowly(true);
}

TEST_IN_FIBER(memory_that_is_not_there_is_efault)
{
	char *hole = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec pieces[] = { { plenty, 10 }, { hole, 10 } };
	struct torc_stream a, b;
	char byte;

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_stream_write(&b, "x", 1), 1);
	ck_assert_int_eq(torc_stream_read(&a, hole, 1), -EFAULT);
	ck_assert_int_eq(torc_stream_write(&a, hole, 1), -EFAULT);
	ck_assert_int_eq(torc_stream_writev(&a, pieces, 2), -EFAULT);
	ck_assert_int_eq(torc_stream_read(&a, &byte, 1), 1); /* it is still there */
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
	ck_assert_int_eq(munmap(hole, 65536), 0);
}

struct acceptor {
	struct torc_listener *listener;
	struct torc_stream peer;
	int got;
};

static int accept_run(void *arg)
{
	struct acceptor *acceptor = arg;

	acceptor->got = torc_listener_accept(acceptor->listener, &acceptor->peer);
	return acceptor->got;
}

TEST_IN_FIBER(closing_a_listener_wakes_all_acceptors_with_ebadf)
{
	static struct acceptor acceptors[128];
	struct torc_listener listener;
	char text[TORC_ADDR_TEXT];
	int fd;
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);

	listen_here(&listener, text, NULL);
	fd = torc_async_fd(&listener.async);
	for (size_t i = 0; i < LENGTH(acceptors); i++) {
		acceptors[i] = (struct acceptor){ .listener = &listener, .got = UNSET };
		ck_assert_int_eq(torc_go(scope, accept_run, &acceptors[i]), 0);
	}
	ck_assert_int_eq(torc_sleep(2 * TORC_MS), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	ck_assert_int_eq(torc_scope_join(scope), -EBADF);
	for (size_t i = 0; i < LENGTH(acceptors); i++) {
		ck_assert_int_eq(acceptors[i].got, -EBADF);
		ck_assert_int_eq(torc_async_fd(&acceptors[i].peer.async), -EBADF);
	}
	ck_assert(!fd_is_open(fd));
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

TEST_IN_FIBER(a_deadline_ends_accept)
{
	struct torc_listener listener;
	struct torc_stream peer = { .async = { 0 } };
	char text[TORC_ADDR_TEXT];
	torc_ns due;

	listen_here(&listener, text, NULL);
	for (int i = 0; i < 5; i++) {
		TORC_SCOPE(scope, .deadline = due = torc_in(5 * TORC_MS));

		ck_assert_int_eq(torc_listener_accept(&listener, &peer), -ETIME);
		ck_assert_int_ge(torc_now(), due);
		ck_assert_int_lt(torc_now() - due, AGES);
		ck_assert_int_eq(torc_async_fd(&peer.async), -EBADF);
	}
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

TEST_IN_FIBER(cancelling_one_acceptor_leaves_its_turn_to_the_next)
{
	struct acceptor first, second;
	struct torc_listener listener;
	char text[TORC_ADDR_TEXT];
	int client;
	TORC_SCOPE(outer);

	listen_here(&listener, text, NULL);
	{
		TORC_SCOPE(inner);

		first = (struct acceptor){ .listener = &listener, .got = UNSET };
		second = (struct acceptor){ .listener = &listener, .got = UNSET };
		ck_assert_int_eq(torc_go(inner, accept_run, &first), 0);
		torc_yield();
		ck_assert_int_eq(torc_go(outer, accept_run, &second), 0);
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
		torc_scope_cancel(inner);
		client = plain_connect(&listener); /* at the very moment of the cancel */
		ck_assert_int_lt(torc_scope_join(inner), 0);
	}
	if (first.got == 0) { /* it was given the connection already, or else: */
		torc_stream_close(&first.peer);
		close(client);
		client = plain_connect(&listener);
	}
	ck_assert_int_eq(torc_scope_join(outer), 0);
	ck_assert_int_eq(second.got, 0);
	ck_assert_int_eq(write(client, "x", 1), 1);
	ck_assert_int_eq(call_read(&second.peer), 1);
	ck_assert_int_eq(torc_stream_close(&second.peer), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	close(client);
}

static int accept_elsewhere(void *arg)
{
	struct torc_stream peer;

	return torc_listener_accept(arg, &peer);
}

static void *run_accept_elsewhere(void *arg)
{
	return torc_run(NULL, accept_elsewhere, arg) < 0 ? arg : NULL;
}

DEATH_IN_FIBER(a_listener_in_use_on_two_cores_at_once_is_misuse, "torc: torc_listener_accept: .*core")
{
	struct torc_listener listener;
	struct acceptor acceptor;
	char text[TORC_ADDR_TEXT];
	pthread_t thread;
	TORC_SCOPE(scope);

	listen_here(&listener, text, NULL);
	acceptor = (struct acceptor){ .listener = &listener, .got = UNSET };
	ck_assert_int_eq(torc_go(scope, accept_run, &acceptor), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_accept_elsewhere, &listener), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* --- resets ---------------------------------------------------------------------------------- */

TEST_IN_FIBER(a_reset_wakes_every_reader_with_econnreset)
{
	for (size_t i = 0; i < LENGTH(reading); i++) {
		struct torc_stream stream;
		struct user user;
		int peer;
		TORC_SCOPE(scope);

		stream_and_plain(&stream, &peer);
		park(scope, &user, &stream, reading[i]);
		if (reading[i] == call_read_exact)
			ck_assert_int_eq(write(peer, "half", 4), 4);
		plain_reset(peer);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(user.got, -ECONNRESET);
		ck_assert_int_eq(torc_stream_close(&stream), 0);
	}
}

TEST_IN_FIBER(a_reset_wakes_every_writer)
{
	for (size_t i = 0; i < LENGTH(writing); i++) {
		struct torc_stream stream;
		struct user user;
		int peer;
		TORC_SCOPE(scope);

		stream_and_plain(&stream, &peer);
		park(scope, &user, &stream, writing[i]);
		plain_reset(peer);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_msg(user.got == -ECONNRESET || user.got == -EPIPE, "got %d", user.got);
		ck_assert_int_eq(torc_stream_write(&stream, "x", 1), -EPIPE);
		ck_assert_int_eq(torc_stream_close(&stream), 0);
	}
}

TEST_IN_FIBER(a_reset_before_the_call_is_told_once_and_then_the_end)
{
	struct torc_stream stream;
	int peer;

	for (size_t i = 0; i < LENGTH(reading); i++) {
		stream_and_plain(&stream, &peer);
		plain_reset(peer);
		ck_assert_int_eq(reading[i](&stream), -ECONNRESET);
		ck_assert_int_eq(reading[i](&stream), 0);
		ck_assert_int_eq(torc_stream_write(&stream, "x", 1), -EPIPE);
		ck_assert_int_eq(torc_stream_shutdown(&stream, TORC_SHUTDOWN_WRITE), -ENOTCONN);
		ck_assert_int_eq(torc_stream_close(&stream), 0);
	}
	for (size_t i = 0; i < LENGTH(writing); i++) {
		int r;

		stream_and_plain(&stream, &peer);
		plain_reset(peer);
		r = writing[i](&stream);
		ck_assert_msg(r == -ECONNRESET || r == -EPIPE, "got %d", r);
		ck_assert_int_eq(writing[i](&stream), -EPIPE);
		ck_assert_int_eq(torc_stream_close(&stream), 0);
	}
}

TEST_IN_FIBER(a_reset_wakes_reader_and_writer_of_one_stream)
{
	struct torc_stream stream;
	struct user reader, writer;
	int peer;
	TORC_SCOPE(scope);

	stream_and_plain(&stream, &peer);
	park(scope, &reader, &stream, call_read);
	park(scope, &writer, &stream, call_write);
	plain_reset(peer);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	/* The kernel tells the reset to one of the two; the other sees what follows it. */
	ck_assert_msg(reader.got == -ECONNRESET || reader.got == 0, "reader got %d", reader.got);
	ck_assert_msg(writer.got == -ECONNRESET || writer.got == -EPIPE, "writer got %d", writer.got);
	ck_assert_int_eq(torc_stream_close(&stream), 0);
}

TEST_IN_FIBER(connections_reset_before_they_were_taken_do_not_hide_the_next)
{
	struct torc_listener listener;
	char text[TORC_ADDR_TEXT], byte;
	int good, aborted = 0;
	bool found = false;

	listen_here(&listener, text, NULL);
	for (int i = 0; i < 20; i++)
		plain_reset(plain_connect(&listener));
	good = plain_connect(&listener);
	ck_assert_int_eq(write(good, "!", 1), 1);
	while (!found) {
		struct torc_stream peer;
		int r;

		ck_assert_int_eq(torc_listener_accept(&listener, &peer), 0);
		r = torc_stream_read(&peer, &byte, 1);
		ck_assert(r == 1 || r == -ECONNRESET);
		found = r == 1;
		aborted += r != 1;
		ck_assert_int_eq(torc_stream_close(&peer), 0);
	}
	ck_assert_int_le(aborted, 20);
	ck_assert_int_eq(byte, '!');
	close(good);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

TEST_IN_FIBER(a_fin_after_data_loses_nothing)
{
	struct torc_stream stream;
	char buf[8];
	int peer;

	stream_and_plain(&stream, &peer);
	ck_assert_int_eq(write(peer, "last", 4), 4);
	ck_assert_int_eq(close(peer), 0);
	ck_assert_int_eq(torc_stream_read(&stream, buf, sizeof buf), 4);
	ck_assert_int_eq(torc_stream_read(&stream, buf, sizeof buf), 0);
	ck_assert_int_eq(torc_stream_close(&stream), 0);
}

TEST_IN_FIBER(writing_to_a_peer_that_is_gone_raises_no_signal)
{
	struct sigaction action;
	struct iovec piece = { plenty, 100 };
	struct torc_stream stream;
	int fds[2], r = 0;

	ck_assert_int_eq(sigaction(SIGPIPE, NULL, &action), 0);
	ck_assert_ptr_eq(action.sa_handler, SIG_DFL); /* it would end this process */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(torc_stream_wrap(&stream, fds[0]), 0);
	ck_assert_int_eq(close(fds[1]), 0);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(torc_stream_write(&stream, "x", 1), -EPIPE);
		ck_assert_int_eq(torc_stream_writev(&stream, &piece, 1), -EPIPE);
		ck_assert_int_eq(call_write(&stream), -EPIPE);
	}
	ck_assert_int_eq(torc_stream_close(&stream), 0);

	stream_and_plain(&stream, &fds[0]);
	ck_assert_int_eq(close(fds[0]), 0);
	for (int i = 0; i < 1000 && r >= 0; i++) {
		r = torc_stream_write(&stream, "x", 1);
		torc_yield();
	}
	ck_assert(r == -EPIPE || r == -ECONNRESET);
	ck_assert_int_eq(torc_stream_write(&stream, "x", 1), -EPIPE);
	ck_assert_int_eq(torc_stream_close(&stream), 0);
	ck_assert_int_eq(sigaction(SIGPIPE, NULL, &action), 0);
	ck_assert_ptr_eq(action.sa_handler, SIG_DFL);
}

TEST(shutdown_of_what_is_not_connected_is_enotconn)
{
	struct torc_stream stream;

	ck_assert_int_eq(torc_stream_wrap(&stream, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), 0);
	ck_assert_int_eq(torc_stream_shutdown(&stream, TORC_SHUTDOWN_BOTH), -ENOTCONN);
	ck_assert_int_eq(torc_stream_close(&stream), 0);
}

/* --- out of descriptors ---------------------------------------------------------------------- */

/* Leave room for a few descriptors only, and take them. The limit is lowered before anything is asked of the kernel, as
 * io_uring looks at it when a request is made and not when it is carried out. */
struct shortage {
	struct rlimit old;
	int fds[32], count;
};

static void shortage_prepare(struct shortage *shortage)
{
	struct rlimit low;
	int lowest = dup(0);

#ifdef TORC_VALGRIND
	SKIP("valgrind keeps RLIMIT_NOFILE to itself: the kernel does not learn of it");
#endif
	ck_assert_int_ge(lowest, 0);
	close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &shortage->old), 0);
	low = shortage->old;
	low.rlim_cur = (rlim_t)lowest + LENGTH(shortage->fds);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
}

static void shortage_begin(struct shortage *shortage)
{
	shortage->count = 0;
	while ((shortage->fds[shortage->count] = dup(0)) >= 0)
		shortage->count++;
	ck_assert_int_eq(errno, EMFILE);
}

static void shortage_end(struct shortage *shortage)
{
	while (shortage->count > 0)
		close(shortage->fds[--shortage->count]);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &shortage->old), 0);
}

/* Accept for `span`, whatever comes of it; returns how many calls failed. All must fail in -EMFILE. */
static int accept_in_vain(struct torc_listener *listener, torc_ns span)
{
	torc_ns end = torc_in(span);
	int failures = 0;

	while (torc_now() < end) {
		struct torc_stream peer = { .async = { 0 } };
		int r = torc_listener_accept(listener, &peer);

		ck_assert_int_eq(r, -EMFILE);
		ck_assert_int_eq(torc_async_fd(&peer.async), -EBADF);
		failures++;
	}
	return failures;
}

static void assert_emfile(bool accepted_before)
{
	enum { CLIENTS = 5 };
	struct torc_listener listener;
	struct torc_stats before, now;
	struct torc_addr addr;
	struct torc_stream peer;
	struct shortage shortage;
	char text[TORC_ADDR_TEXT];
	int clients[CLIENTS], failures, first;
	torc_ns cpu;

	shortage_prepare(&shortage);
	listen_here(&listener, text, NULL);
	ck_assert_int_eq(torc_addr_parse(&addr, text), 0);
	if (accepted_before) {
		first = plain_connect(&listener);
		ck_assert_int_eq(torc_listener_accept(&listener, &peer), 0);
		ck_assert_int_eq(torc_stream_close(&peer), 0);
		close(first);
	}
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	shortage_begin(&shortage);
	for (int i = 0; i < CLIENTS; i++) {
		char number = (char)i;

		ck_assert_int_eq(connect(clients[i], (struct sockaddr *)&addr.sockaddr, addr.len), 0);
		ck_assert_int_eq(write(clients[i], &number, 1), 1);
	}
	before = stats_now();
	cpu = cpu_now();
	failures = accept_in_vain(&listener, 300 * TORC_MS);
	now = stats_now();
	ck_assert_int_ge(failures, 1);
	ck_assert_msg(failures <= 35, "%d failures in 300 ms", failures); /* one in 10 ms */
	ck_assert_uint_le(now.enters - before.enters, 300);
	ck_assert_int_lt(cpu_now() - cpu, COUNT(60, 300) * TORC_MS);

	shortage_end(&shortage);
	for (int i = 0; i < CLIENTS; i++) {
		char number = -1;
		int r;

		/* A failure of before may still be told, once. */
		while ((r = torc_listener_accept(&listener, &peer)) == -EMFILE && i == 0 && failures-- > 0)
			;
		ck_assert_int_eq(r, 0);
		ck_assert_int_eq(torc_stream_read(&peer, &number, 1), 1);
		ck_assert_int_eq(number, i);
		ck_assert_int_eq(torc_stream_close(&peer), 0);
		close(clients[i]);
	}
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

TEST_IN_FIBER(without_descriptors_accept_neither_spins_nor_loses_the_listener)
{
	assert_emfile(false);
}

TEST_IN_FIBER(descriptors_that_run_out_while_the_listener_is_at_work_do_no_harm_either)
{
	assert_emfile(true);
}

TEST_IN_FIBER(without_descriptors_a_parked_acceptor_is_told)
{
	struct torc_listener listener;
	struct acceptor acceptor;
	struct torc_addr addr;
	struct shortage shortage;
	char text[TORC_ADDR_TEXT];
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	TORC_SCOPE(scope);

	shortage_prepare(&shortage);
	listen_here(&listener, text, NULL);
	ck_assert_int_eq(torc_addr_parse(&addr, text), 0);
	acceptor = (struct acceptor){ .listener = &listener, .got = UNSET };
	ck_assert_int_eq(torc_go(scope, accept_run, &acceptor), 0);
	ck_assert_int_eq(torc_sleep(2 * TORC_MS), 0);
	shortage_begin(&shortage);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&addr.sockaddr, addr.len), 0);
	ck_assert_int_eq(torc_scope_join(scope), -EMFILE);
	shortage_end(&shortage);
	close(client);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

TEST_IN_FIBER(without_descriptors_connect_and_listen_are_emfile)
{
	struct torc_listener listener, none = { .async = { 0 } };
	struct torc_stream stream = { .async = { 0 } };
	struct shortage shortage;
	char text[TORC_ADDR_TEXT];

	shortage_prepare(&shortage);
	listen_here(&listener, text, NULL);
	shortage_begin(&shortage);
	ck_assert_int_eq(torc_tcp_connect(&stream, text), -EMFILE);
	ck_assert_int_eq(torc_tcp_listen(&none, "127.0.0.1:0", NULL), -EMFILE);
	shortage_end(&shortage);
	ck_assert_int_eq(torc_tcp_connect(&stream, text), 0);
	ck_assert_int_eq(torc_stream_close(&stream), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

/* --- lent memory ----------------------------------------------------------------------------- */

/* A fiber that reads into (or writes from) a mapping of its own, and replaces that mapping by another at the same address
 * the moment its call has returned. Whoever still touches the memory then is found out by what lies there. */
enum { PAIRS = 100, LENT = 256 * 1024, CANARY = 0xc5 };

struct borrower {
	struct torc_stream stream;
	int peer, got;
	unsigned char *memory;
};

static void borrower_open(struct borrower *borrower)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(torc_stream_wrap(&borrower->stream, fds[0]), 0);
	borrower->peer = fds[1];
	borrower->got = UNSET;
	borrower->memory = mmap(NULL, LENT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(borrower->memory, MAP_FAILED);
	pattern_fill(borrower->memory, LENT, 0);
}

static void replace_memory(struct borrower *borrower)
{
	/* In one step: unmapped first, a sanitizer's own thread might take the place. */
	ck_assert_ptr_eq(
		mmap(borrower->memory, LENT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		borrower->memory);
	memset(borrower->memory, CANARY, LENT);
}

static int borrow_to_read(void *arg)
{
	struct borrower *borrower = arg;

	borrower->got = torc_stream_read_exact(&borrower->stream, borrower->memory, LENT);
	replace_memory(borrower);
	return borrower->got;
}

static int borrow_to_write(void *arg)
{
	struct borrower *borrower = arg;

	do
		borrower->got = torc_stream_write(&borrower->stream, borrower->memory, LENT);
	while (borrower->got == LENT);
	replace_memory(borrower);
	return borrower->got;
}

static void borrower_close(struct borrower *borrower)
{
	size_t touched = 0;

	for (size_t i = 0; i < LENT; i++)
		touched += borrower->memory[i] != CANARY;
	ck_assert_uint_eq(touched, 0);
	ck_assert_int_eq(munmap(borrower->memory, LENT), 0);
	ck_assert_int_eq(torc_stream_close(&borrower->stream), 0);
	ck_assert_int_eq(close(borrower->peer), 0);
}

/* Traffic that keeps the ring busy meanwhile. */
static int chatter(void *arg)
{
	struct torc_stream *ends = arg;
	char byte = 'x';
	int r;

	do {
		r = torc_stream_write(&ends[0], &byte, 1);
		if (r >= 0)
			r = torc_stream_read(&ends[1], &byte, 1);
	} while (r >= 0);
	return r;
}

static void assert_reader_untouched(struct borrower *reader)
{
	char buf[64];

	/* What comes now is nobody's to take but ours. */
	ck_assert_int_eq(reader->got, -ECANCELED);
	ck_assert_int_eq(send(reader->peer, "for the next", 12, MSG_NOSIGNAL), 12);
	ck_assert_int_eq(recv(torc_async_fd(&reader->stream.async), buf, sizeof buf, MSG_DONTWAIT), 12);
	ck_assert_mem_eq(buf, "for the next", 12);
}

static void assert_writer_untouched(struct borrower *writer)
{
	static unsigned char buf[LENT];
	size_t at = 0, wrong = 0;
	ssize_t n;

	/* All that was sent is the pattern, again and again, and nothing of what came after it. */
	ck_assert_int_eq(writer->got, -ECANCELED);
	while ((n = recv(writer->peer, buf, sizeof buf, MSG_DONTWAIT)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			wrong += buf[i] != pattern((at + (size_t)i) % LENT);
		at += (size_t)n;
	}
	ck_assert_uint_gt(at, 0);
	ck_assert_uint_eq(wrong, 0);
}

TEST_IN_FIBER_TIMEOUT(memory_is_ones_own_again_as_soon_as_a_cancelled_call_returned, 30)
{
	static struct borrower readers[PAIRS], writers[PAIRS];
	struct torc_stream chat[8];
	TORC_SCOPE(load, .until = TORC_ALL_DONE);
	{
		TORC_SCOPE(scope, .until = TORC_ALL_DONE);

		for (int i = 0; i < 8; i += 2) {
			stream_pair(&chat[i], &chat[i + 1]);
			ck_assert_int_eq(torc_go(load, chatter, &chat[i]), 0);
		}
		for (int i = 0; i < PAIRS; i++) {
			borrower_open(&readers[i]);
			borrower_open(&writers[i]);
			ck_assert_int_eq(torc_go(scope, borrow_to_read, &readers[i]), 0);
			ck_assert_int_eq(torc_go(scope, borrow_to_write, &writers[i]), 0);
		}
		ck_assert_int_eq(torc_sleep(20 * TORC_MS), 0);
		for (int i = 0; i < PAIRS; i += 3) /* some have half of what they want */
			ck_assert_int_eq(send(readers[i].peer, plenty, 1000, MSG_NOSIGNAL), 1000);
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
		ck_assert_uint_eq(torc_scope_live(scope), 2 * PAIRS);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	}
	for (int i = 0; i < PAIRS; i++) {
		assert_reader_untouched(&readers[i]);
		assert_writer_untouched(&writers[i]);
	}
	ck_assert_int_eq(torc_sleep(5 * TORC_MS), 0);
	for (int i = 0; i < PAIRS; i++) {
		borrower_close(&readers[i]);
		borrower_close(&writers[i]);
	}
	torc_scope_cancel(load);
	ck_assert_int_eq(torc_scope_join(load), -ECANCELED);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(torc_stream_close(&chat[i]), 0);
}

/* Closed instead of cancelled: the same promise. */
TEST_IN_FIBER_TIMEOUT(memory_is_ones_own_again_as_soon_as_a_call_on_a_closed_handle_returned, 30)
{
	static struct borrower readers[PAIRS];
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);

	for (int i = 0; i < PAIRS; i++) {
		borrower_open(&readers[i]);
		ck_assert_int_eq(torc_go(scope, borrow_to_read, &readers[i]), 0);
	}
	ck_assert_int_eq(torc_sleep(5 * TORC_MS), 0);
	for (int i = 0; i < PAIRS; i++)
		ck_assert_int_eq(torc_stream_close(&readers[i].stream), 0);
	ck_assert_int_eq(torc_scope_join(scope), -EBADF);
	for (int i = 0; i < PAIRS; i++) {
		ck_assert_int_eq(readers[i].got, -EBADF);
		borrower_close(&readers[i]);
	}
}

/* --- a run that ends in the middle ----------------------------------------------------------- */

static int leave_everything_pending(void *arg)
{
	static struct torc_listener listener;
	static struct torc_stream a, b;
	static struct user users[2];
	static struct acceptor acceptor;
	char text[TORC_ADDR_TEXT];
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);

	(void)arg;
	listen_here(&listener, text, NULL);
	stream_pair(&a, &b);
	park(scope, &users[0], &a, call_read);
	park(scope, &users[1], &b, call_write);
	acceptor = (struct acceptor){ .listener = &listener, .got = UNSET };
	ck_assert_int_eq(torc_go(scope, accept_run, &acceptor), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	torc_scope_cancel(scope);
	(void)!torc_scope_join(scope);
	ck_assert_int_eq(acceptor.got, -ECANCELED);
	ck_assert_int_eq(users[0].got == -ECANCELED || users[0].got == 1, true);
	torc_stream_close(&a);
	torc_stream_close(&b);
	torc_listener_close(&listener);
	return -ELOOP;
}

TEST(leaving_with_io_pending_leaks_nothing)
{
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(torc_run(NULL, leave_everything_pending, NULL), -ELOOP);
}
