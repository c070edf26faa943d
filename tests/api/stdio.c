/* stdio - pipes, terminals, files and the standard streams as torc streams: what is read is what was written, nobody
 * blocks the core, no flag of what is shared changes, and no SIGPIPE is raised. */
#include "api.h"

#include <signal.h>
#include <sys/stat.h>

static int flags_of(int fd)
{
	return fcntl(fd, F_GETFL);
}

/* --- pipes ----------------------------------------------------------------------------------- */

TEST_IN_FIBER(pipe_carries_bytes_and_ends)
{
	struct torc_stream reader, writer;
	char buf[16] = "";

	ck_assert_int_eq(torc_pipe(&reader, &writer), 0);
	ck_assert_int_eq(fcntl(torc_async_fd(&reader.async), F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(torc_async_fd(&writer.async), F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(torc_stream_write(&writer, "hello", 5), 5);
	ck_assert_int_eq(torc_stream_read(&reader, buf, sizeof buf), 5);
	ck_assert_str_eq(buf, "hello");
	ck_assert_int_eq(torc_stream_write(&writer, "", 0), 0);
	ck_assert_int_eq(torc_stream_writev(&writer, (struct iovec[]){ { "ab", 2 }, { "", 0 }, { "cd", 2 } }, 3), 4);
	ck_assert_int_eq(torc_stream_read_exact(&reader, buf, 3), 3);
	ck_assert_int_eq(torc_stream_close(&writer), 0);
	ck_assert_int_eq(torc_stream_read_exact(&reader, buf, 3), -ENODATA);
	ck_assert_int_eq(torc_stream_read(&reader, buf, 3), 0);
	ck_assert_int_eq(torc_stream_read(&reader, buf, 0), 0);
	ck_assert_int_eq(torc_stream_close(&reader), 0);
	ck_assert_int_eq(torc_stream_close(&reader), 0);
	ck_assert_int_eq(torc_stream_read(&reader, buf, 3), -EBADF);
	ck_assert_int_eq(torc_stream_write(&writer, buf, 3), -EBADF);
}

TEST_IN_FIBER(pipe_refuses_what_is_for_sockets)
{
	struct torc_stream reader, writer;
	struct torc_addr addr;
	char byte;

	ck_assert_int_eq(torc_pipe(&reader, &writer), 0);
	ck_assert_int_eq(torc_stream_peek(&reader, &byte, 1), -ENOTSOCK);
	ck_assert_int_eq(torc_stream_shutdown(&writer, TORC_SHUTDOWN_WRITE), -ENOTSOCK);
	ck_assert_int_eq(torc_stream_local_addr(&reader, &addr), -ENOTSOCK);
	ck_assert_int_eq(torc_stream_peer_addr(&reader, &addr), -ENOTSOCK);
	ck_assert_int_eq(torc_stream_read(&writer, &byte, 1), -EBADF);
	ck_assert_int_eq(torc_stream_write(&reader, &byte, 1), -EBADF);
	torc_stream_close(&reader);
	torc_stream_close(&writer);
}

TEST(pipe_without_descriptors)
{
	struct torc_stream reader = { 0 }, writer = { 0 };
	struct rlimit before;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 3, before.rlim_max }), 0);
	ck_assert_int_eq(torc_pipe(&reader, &writer), -EMFILE);
	ck_assert_int_eq(torc_async_fd(&reader.async), -EBADF);
	setrlimit(RLIMIT_NOFILE, &before);
}

struct copy {
	struct torc_stream *stream;
	size_t len, piece;
	int ticks;
	bool vector;
	int got;
};

static int write_pattern(void *arg)
{
	struct copy *copy = arg;
	unsigned char *bytes = malloc(copy->len);

	pattern_fill(bytes, copy->len, 0);
	if (copy->vector) {
		struct iovec pieces[7];
		size_t at = 0;

		for (int i = 0; i < 7; i++) {
			size_t len = i < 6 ? copy->len / 7 : copy->len - at;

			pieces[i] = (struct iovec){ bytes + at, len };
			at += len;
		}
		copy->got = torc_stream_writev(copy->stream, pieces, 7);
	} else {
		copy->got = torc_stream_write(copy->stream, bytes, copy->len);
	}
	free(bytes);
	return copy->got < 0 ? copy->got : torc_stream_close(copy->stream);
}

static void more_than_a_pipe_holds(bool vector, bool nonblock)
{
	struct torc_stream reader, writer;
	struct copy copy = { .stream = &writer, .len = 1 << 20, .vector = vector };
	unsigned char buf[5000];
	size_t got = 0;
	int n;

	ck_assert_int_eq(torc_pipe(&reader, &writer), 0);
	for (int i = 0; nonblock && i < 2; i++)
		ck_assert_int_eq(fcntl(torc_async_fd(i ? &reader.async : &writer.async), F_SETFL, O_NONBLOCK), 0);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, write_pattern, &copy), 0);
	while ((n = torc_stream_read(&reader, buf, sizeof buf)) > 0) {
		ck_assert(pattern_holds(buf, (size_t)n, got));
		got += (size_t)n;
		if (got % 3 == 0)
			torc_yield();
	}
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(got, copy.len);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(copy.got, 1 << 20);
	torc_stream_close(&reader);
}

TEST_IN_FIBER(a_write_larger_than_the_pipe_waits_for_its_reader)
{
	more_than_a_pipe_holds(false, false);
	more_than_a_pipe_holds(true, false);
}

TEST_IN_FIBER(a_pipe_with_nonblock_is_the_same)
{
	more_than_a_pipe_holds(false, true);
	more_than_a_pipe_holds(true, true);
}

static int read_to_the_end(void *reader)
{
	unsigned char buf[5000];
	int n, sum = 0;

	while ((n = torc_stream_read(reader, buf, sizeof buf)) > 0)
		sum += n;
	return n < 0 ? n : sum;
}

/* The kernel takes a part of the first piece; what is left then is nothing but empty pieces. */
TEST_IN_FIBER(empty_pieces_behind_what_a_pipe_holds)
{
	struct torc_stream reader, writer;
	unsigned char *bytes = calloc(1, 1 << 20);

	ck_assert_int_eq(torc_pipe(&reader, &writer), 0);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, read_to_the_end, &reader), 0);
	ck_assert_int_eq(torc_stream_writev(&writer, (struct iovec[]){ { bytes, 1 << 20 }, { "", 0 }, { "", 0 } }, 3),
	                 1 << 20);
	ck_assert_int_eq(torc_stream_close(&writer), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	torc_stream_close(&reader);
	free(bytes);
}

/* --- SIGPIPE --------------------------------------------------------------------------------- */

static void write_to_nobody(void)
{
	struct torc_stream reader, writer;

	ck_assert_int_eq(torc_pipe(&reader, &writer), 0);
	ck_assert_int_eq(torc_stream_close(&reader), 0);
	ck_assert_int_eq(torc_stream_write(&writer, "x", 1), -EPIPE);
	ck_assert_int_eq(torc_stream_writev(&writer, &(struct iovec){ "x", 1 }, 1), -EPIPE);
	ck_assert_int_eq(torc_stream_close(&writer), 0);
}

TEST_IN_FIBER(writing_to_nobody_is_an_error_and_no_signal)
{
	write_to_nobody();
}

static int write_to_nobody_run(void *arg)
{
	(void)arg;
	write_to_nobody();
	return 0;
}

TEST(without_nosignal_neither_and_the_mask_is_as_it_was)
{
	sigset_t mask, pending;

	setenv("TORC_DISABLE", "nosignal", 1);
	ck_assert_int_eq(torc_run(NULL, write_to_nobody_run, NULL), 0);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
	ck_assert(!sigismember(&mask, SIGPIPE));
	sigpending(&pending);
	ck_assert(!sigismember(&pending, SIGPIPE));

	/* One that was held back before is neither lost nor let go. */
	sigemptyset(&mask);
	sigaddset(&mask, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	raise(SIGPIPE);
	ck_assert_int_eq(torc_run(NULL, write_to_nobody_run, NULL), 0);
	sigpending(&pending);
	ck_assert(sigismember(&pending, SIGPIPE));
	ck_assert_int_eq(sigtimedwait(&mask, NULL, &(struct timespec){ 0, 0 }), SIGPIPE);
	pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
}

static int blocked_write(void *arg)
{
	struct copy *copy = arg;
	static char zeros[1 << 20];

	copy->got = torc_stream_write(copy->stream, zeros, sizeof zeros);
	return 0;
}

TEST_IN_FIBER(a_reader_that_goes_away_fails_a_write_under_way)
{
	struct torc_stream reader, writer;
	struct copy copy = { .stream = &writer, .got = UNSET };

	ck_assert_int_eq(torc_pipe(&reader, &writer), 0);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, blocked_write, &copy), 0);
	ck_assert_int_eq(torc_sleep(SOON), 0);
	ck_assert_int_eq(copy.got, UNSET);
	torc_stream_close(&reader);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(copy.got, -EPIPE);
	torc_stream_close(&writer);
}

/* --- cut short ------------------------------------------------------------------------------- */

static int parked_read(void *arg)
{
	struct copy *copy = arg;
	char byte;

	copy->got = torc_stream_read(copy->stream, &byte, 1);
	return 0;
}

static void cut(int (*fn)(void *arg), bool reads, int how)
{
	struct torc_stream reader, writer;
	struct copy copy = { .stream = reads ? &reader : &writer, .got = UNSET };
	int want[] = { -EBADF, -ECANCELED, -ETIME };

	ck_assert_int_eq(torc_pipe(&reader, &writer), 0);
	{
		TORC_SCOPE(scope, .until = TORC_ALL_DONE, .deadline = how == 2 ? torc_in(SOON) : 0);
		ck_assert_int_eq(torc_go(scope, fn, &copy), 0);
		if (how == 2) {
			int r = torc_scope_join(scope);

			ck_assert(r == 0 || r == -ETIME);
		} else {
			ck_assert_int_eq(torc_sleep(TORC_MS), 0);
			if (how == 0)
				ck_assert_int_eq(torc_stream_close(copy.stream), 0);
			else
				torc_scope_cancel(scope);
		}
	}
	ck_assert_int_eq(copy.got, want[how]);
	torc_stream_close(&reader);
	torc_stream_close(&writer);
}

TEST_IN_FIBER(close_cancel_and_deadline_cut_a_read)
{
	for (int how = 0; how < 3; how++)
		cut(parked_read, true, how);
}

TEST_IN_FIBER(close_cancel_and_deadline_cut_a_write)
{
	for (int how = 0; how < 3; how++)
		cut(blocked_write, false, how);
}

TEST_IN_FIBER(in_a_cancelled_scope_nothing_begins)
{
	struct torc_stream reader, writer;
	char byte;

	ck_assert_int_eq(torc_pipe(&reader, &writer), 0);
	ck_assert_int_eq(torc_stream_write(&writer, "x", 1), 1);
	{
		TORC_SCOPE(scope);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_stream_read(&reader, &byte, 1), -ECANCELED);
		ck_assert_int_eq(torc_stream_write(&writer, "x", 1), -ECANCELED);
		ck_assert_int_eq(torc_stream_read(&reader, &byte, 0), -ECANCELED);
	}
	ck_assert_int_eq(torc_stream_read(&reader, &byte, 1), 1);
	torc_stream_close(&reader);
	torc_stream_close(&writer);
}

/* --- files ----------------------------------------------------------------------------------- */

static int temporary(void)
{
	char path[] = "/tmp/torc-stdio-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	unlink(path);
	return fd;
}

TEST_IN_FIBER(a_regular_file_is_read_and_written_at_its_position)
{
	struct torc_stream stream;
	int fd = temporary();
	char buf[16] = "";

	ck_assert_int_eq(torc_stream_wrap(&stream, fd), 0);
	ck_assert_int_eq(torc_stream_write(&stream, "hello ", 6), 6);
	ck_assert_int_eq(torc_stream_writev(&stream, (struct iovec[]){ { "wor", 3 }, { "ld", 2 } }, 2), 5);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 11);
	ck_assert_int_eq(torc_stream_read(&stream, buf, sizeof buf), 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	ck_assert_int_eq(torc_stream_read(&stream, buf, 5), 5);
	ck_assert_str_eq(buf, "hello");
	ck_assert_int_eq(torc_stream_read_exact(&stream, buf, 7), -ENODATA);
	ck_assert_int_eq(torc_stream_close(&stream), 0);
	ck_assert(!fd_is_open(fd));
}

struct writer {
	struct torc_stream stream;
	char letter;
};

static int write_lines(void *arg)
{
	struct writer *writer = arg;
	char line[64];

	memset(line, writer->letter, sizeof line - 1);
	line[sizeof line - 1] = '\n';
	for (int i = 0; i < 20; i++) {
		int r = torc_stream_write(&writer->stream, line, sizeof line);

		if (r < 0)
			return r;
	}
	return 0;
}

TEST_IN_FIBER(many_writers_of_one_file_lose_nothing)
{
	struct writer writers[8];
	int fd = temporary(), counts[8] = { 0 };
	char line[64];

	{
		TORC_SCOPE(scope);
		for (int i = 0; i < 8; i++) {
			writers[i].letter = (char)('a' + i);
			ck_assert_int_eq(torc_stream_borrow(&writers[i].stream, fd), 0);
			ck_assert_int_eq(torc_go(scope, write_lines, &writers[i]), 0);
		}
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	for (int i = 0; i < 8 * 20; i++) {
		ck_assert_int_eq(read(fd, line, sizeof line), sizeof line);
		ck_assert_int_eq(line[0], line[62]);
		counts[line[0] - 'a']++;
	}
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(counts[i], 20);
	close(fd);
}

struct read_four {
	struct torc_stream *stream;
	char buf[4];
	int got;
};

static int read_four(void *arg)
{
	struct read_four *read = arg;

	read->got = torc_stream_read(read->stream, read->buf, sizeof read->buf);
	return 0;
}

/* A fiber that waits for its turn at a file's position is parked on its stream as well as one that reads: nobody is
 * inside when close returns, and the handle may be another file's. */
static void closed_in_the_queue(bool cancel)
{
	int fd = temporary(), other = temporary();
	struct torc_stream streams[2];
	struct read_four reads[2] = { { .stream = &streams[0] }, { .stream = &streams[1], .got = UNSET } };

	ck_assert_int_eq(pwrite(fd, "aaaabbbb", 8, 0), 8);
	ck_assert_int_eq(pwrite(other, "cccc", 4, 0), 4);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(torc_stream_borrow(&streams[i], fd), 0);
	{
		TORC_SCOPE(scope);
		TORC_SCOPE(second);
		ck_assert_int_eq(torc_go(scope, read_four, &reads[0]), 0);
		ck_assert_int_eq(torc_go(second, read_four, &reads[1]), 0);
		torc_yield();
		if (cancel) {
			torc_scope_cancel(second);
			torc_yield();
		}
		ck_assert_int_eq(torc_stream_close(&streams[1]), 0);
		ck_assert_int_eq(reads[1].got, cancel ? -ECANCELED : -EBADF);
		ck_assert_int_eq(torc_stream_borrow(&streams[1], other), 0);
		ck_assert_int_eq(torc_scope_join(second), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	ck_assert_int_eq(reads[0].got, 4);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 4);
	ck_assert_int_eq(lseek(other, 0, SEEK_CUR), 0);
	ck_assert_int_eq(torc_stream_read(&streams[1], reads[1].buf, 4), 4);
	for (int i = 0; i < 2; i++)
		torc_stream_close(&streams[i]);
	close(fd);
	close(other);
}

TEST_IN_FIBER(closing_ends_who_waits_for_a_files_position)
{
	closed_in_the_queue(false);
	closed_in_the_queue(true);
}

TEST_IN_FIBER(devices)
{
	struct torc_stream null, zero, full;
	char buf[100];

	ck_assert_int_eq(torc_stream_wrap(&null, open("/dev/null", O_RDWR | O_CLOEXEC)), 0);
	ck_assert_int_eq(torc_stream_wrap(&zero, open("/dev/zero", O_RDWR | O_CLOEXEC)), 0);
	ck_assert_int_eq(torc_stream_wrap(&full, open("/dev/full", O_RDWR | O_CLOEXEC)), 0);
	ck_assert_int_eq(torc_stream_read(&null, buf, sizeof buf), 0);
	ck_assert_int_eq(torc_stream_write(&null, buf, sizeof buf), sizeof buf);
	memset(buf, 1, sizeof buf);
	ck_assert_int_eq(torc_stream_read_exact(&zero, buf, sizeof buf), sizeof buf);
	ck_assert_int_eq(buf[99], 0);
	ck_assert_int_eq(torc_stream_write(&full, buf, sizeof buf), -ENOSPC);
	torc_stream_close(&null);
	torc_stream_close(&zero);
	torc_stream_close(&full);
}

TEST_IN_FIBER(a_directory_is_no_stream)
{
	struct torc_stream stream;
	char byte;

	ck_assert_int_eq(torc_stream_wrap(&stream, open("/tmp", O_RDONLY | O_CLOEXEC | O_DIRECTORY)), 0);
	ck_assert_int_eq(torc_stream_read(&stream, &byte, 1), -EISDIR);
	torc_stream_close(&stream);
	ck_assert_int_eq(torc_stream_wrap(&stream, -1), -EBADF);
	ck_assert_int_eq(torc_stream_borrow(&stream, 19999), -EBADF);
}

/* --- terminals ------------------------------------------------------------------------------- */

static int open_terminal(int *other)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0)
		SKIP("no pseudo-terminals here");
	*other = open(ptsname(fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(*other, 0);
	return fd;
}

TEST_IN_FIBER(a_terminal_gives_lines_and_keeps_its_flags)
{
	struct torc_stream stream;
	int terminal, keyboard = open_terminal(&terminal), before = flags_of(terminal);
	struct copy copy = { .stream = &stream, .got = UNSET };
	char buf[64];

	ck_assert_int_eq(torc_stream_wrap(&stream, terminal), 0);
	ck_assert_int_eq(flags_of(terminal), before);
	ck_assert_int_eq(write(keyboard, "typed\n", 6), 6);
	ck_assert_int_eq(torc_stream_read(&stream, buf, sizeof buf), 6);
	ck_assert_int_eq(memcmp(buf, "typed\n", 6), 0);
	ck_assert_int_eq(torc_stream_write(&stream, "shown", 5), 5);
	ck_assert_int_eq(write(keyboard, "\x04", 1), 1);
	ck_assert_int_eq(torc_stream_read(&stream, buf, sizeof buf), 0);
	{
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, parked_read, &copy), 0);
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
		ck_assert_int_eq(flags_of(terminal), before);
	}
	ck_assert_int_eq(copy.got, -ECANCELED);
	ck_assert_int_eq(flags_of(terminal), before);
	torc_stream_close(&stream);
	close(keyboard);
}

TEST_IN_FIBER(a_stopped_terminal_does_not_stop_the_core)
{
	struct torc_stream stream;
	int terminal, keyboard = open_terminal(&terminal);
	struct copy copy = { .stream = &stream, .got = UNSET };

	ck_assert_int_eq(torc_stream_wrap(&stream, terminal), 0);
	{
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, blocked_write, &copy), 0); /* nobody reads the other side */
		ck_assert_int_eq(torc_sleep(SOON), 0);
		ck_assert_int_eq(copy.got, UNSET);
	}
	ck_assert_int_eq(copy.got, -ECANCELED);
	torc_stream_close(&stream);
	close(keyboard);
}

/* --- stdin, stdout, stderr ------------------------------------------------------------------- */

TEST_IN_FIBER(standard_streams_are_lent_and_stay_open)
{
	int ends[2], saved[3];
	struct torc_stream in, out, err;
	char buf[16] = "";

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	fflush(NULL);
	for (int i = 0; i < 3; i++)
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
	dup2(ends[0], 0);
	dup2(ends[1], 1);
	dup2(ends[1], 2);
	ck_assert_int_eq(torc_stdin(&in), 0);
	ck_assert_int_eq(torc_stdout(&out), 0);
	ck_assert_int_eq(torc_stderr(&err), 0);
	ck_assert_int_eq(torc_stream_write(&out, "to ", 3), 3);
	ck_assert_int_eq(torc_stream_write(&err, "you", 3), 3);
	ck_assert_int_eq(torc_stream_read(&in, buf, sizeof buf), 6);
	ck_assert_str_eq(buf, "to you");
	ck_assert_int_eq(torc_stream_close(&in), 0);
	ck_assert_int_eq(torc_stream_close(&out), 0);
	ck_assert_int_eq(torc_stream_close(&err), 0);
	ck_assert_int_eq(torc_stream_read(&in, buf, 1), -EBADF);
	for (int i = 0; i < 3; i++) {
		ck_assert(fd_is_open(i));
		ck_assert_int_eq(flags_of(i) & O_NONBLOCK, 0);
		dup2(saved[i], i);
		close(saved[i]);
	}
	close(ends[0]);
	close(ends[1]);
}

TEST_IN_FIBER(a_standard_stream_that_is_closed)
{
	struct torc_stream in;
	int saved = fcntl(0, F_DUPFD_CLOEXEC, 10);

	close(0);
	ck_assert_int_eq(torc_stdin(&in), -EBADF);
	if (saved >= 0) {
		dup2(saved, 0);
		close(saved);
	}
}

/* What torc itself opens has none of their numbers. */
static int look_at_standard(void *arg)
{
	int (*const calls[])(struct torc_stream *) = { torc_stdin, torc_stdout, torc_stderr };
	const int *open = arg;
	struct torc_signals signals;
	int wrong = 0;

	if (torc_signals_open(&signals, SIGUSR1) < 0)
		return 100;
	for (int i = 0; i < 3; i++) {
		struct torc_stream stream = { 0 };
		int r = calls[i](&stream);

		wrong += r != (*open >> i & 1 ? 0 : -EBADF);
		torc_stream_close(&stream);
	}
	torc_signals_close(&signals);
	return wrong;
}

static int start_without(void *arg)
{
	int open = *(int *)arg;

	for (int i = 0; i < 3; i++)
		if (!(open >> i & 1))
			close(i);
	return torc_run(NULL, look_at_standard, &open);
}

TEST(a_program_that_is_started_without_standard_streams)
{
	for (int open = 0; open < 8; open++) {
		struct outcome outcome;

		run_in_process(&outcome, start_without, &open);
		assert_exit(&outcome, 0);
	}
}

/* A socket that somebody has set non-blocking, and that is not ours to change. */
static void a_borrowed_socket(void)
{
	struct torc_stream stream;
	struct copy copy = { .stream = &stream, .got = UNSET };
	int fds[2];
	char byte;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	ck_assert_int_eq(torc_stream_borrow(&stream, fds[0]), 0);
	{
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, parked_read, &copy), 0);
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
		ck_assert_int_eq(copy.got, UNSET);
		ck_assert_int_eq(write(fds[1], "x", 1), 1);
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	ck_assert_int_eq(copy.got, 1);
	ck_assert_int_eq(torc_stream_write(&stream, "y", 1), 1);
	ck_assert_int_eq(read(fds[1], &byte, 1), 1);
	ck_assert_int_ne(flags_of(fds[0]) & O_NONBLOCK, 0);
	ck_assert_int_eq(torc_stream_close(&stream), 0);
	ck_assert(fd_is_open(fds[0]));
	close(fds[0]);
	close(fds[1]);
}

TEST_IN_FIBER(a_borrowed_socket_keeps_its_nonblock)
{
	a_borrowed_socket();
}

static int borrow_run(void *arg)
{
	(void)arg;
	a_borrowed_socket();
	return 0;
}

TEST(and_without_poll_first)
{
	setenv("TORC_DISABLE", "poll_first", 1);
	ck_assert_int_eq(torc_run(NULL, borrow_run, NULL), 0);
}
