/* timeout - no call takes a time-out: a deadline is a scope's, and holds for all that happens inside. What ends a
 * wait, a deadline (-ETIME) or a cancel (-ECANCELED), and what is left afterwards.
 * Try it: 03_timeout */
#include <torc.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void tell(const char *what, int r)
{
	printf("%-34s %s\n", what, r < 0 ? strerror(-r) : "done");
}

/* A read that may take 20 ms. The scope ends with the function, so its deadline binds nobody else. */
static int read_in_time(struct torc_stream *stream)
{
	char byte;

	TORC_SCOPE(limit, .deadline = torc_in(20 * TORC_MS));
	return torc_stream_read(stream, &byte, 1);
}

/* The nearest deadline wins, whichever scope it belongs to. */
static void nest(struct torc_stream *stream)
{
	TORC_SCOPE(outer, .deadline = torc_in(20 * TORC_MS));
	{
		TORC_SCOPE(inner, .deadline = torc_in(3600 * TORC_SEC));
		char byte;

		tell("inner scope, outer's deadline:", torc_stream_read(stream, &byte, 1));
	}
	tell("outer scope, next call:", torc_sleep(TORC_SEC)); /* returns at once: it is a level */
	torc_scope_cancel(outer);
	tell("outer scope, after a cancel:", torc_scope_status(outer)); /* a cancel outranks a deadline */
}

static int read_patiently(void *stream)
{
	char byte;
	int r = torc_stream_read(stream, &byte, 1);

	tell("another fiber's read:", r);
	return r;
}

static int cancel(struct torc_stream *stream)
{
	TORC_SCOPE(scope);
	int r = torc_go(scope, read_patiently, stream);

	if (r == 0)
		r = torc_sleep(5 * TORC_MS);
	torc_scope_cancel(scope);
	return r < 0 ? r : torc_scope_join(scope); /* its child obeyed: -ECANCELED */
}

static int run(void *unused)
{
	struct torc_stream near TORC_CLEANUP(torc_stream_close) = { 0 };
	int ends[2], r;
	char buf[4];

	(void)unused;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	r = torc_stream_wrap(&near, ends[0]); /* a socket that something else made becomes a stream */
	if (r == 0) {
		tell("a read that nobody answers:", read_in_time(&near));
		nest(&near);
		tell("join of a cancelled scope:", cancel(&near));

		/* Only waits were cut short: the stream is as good as before. */
		r = write(ends[1], "late", 4) < 0 ? -errno : torc_stream_read_exact(&near, buf, sizeof buf);
		tell("the same stream, out of all scopes:", r);
	}
	close(ends[1]);
	return r;
}

int main(void)
{
	return torc_run(NULL, run, NULL) < 0;
}
