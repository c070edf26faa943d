/* echo - send every byte back; one fiber a connection.
 * Try it: 02_echo, and elsewhere: nc 127.0.0.1 7777
 * 02_echo ADDRESS N serves N connections and ends; port 0 is any free one. */
#include <torc.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int echo(void *arg)
{
	struct torc_stream *peer = arg; /* ours: torc_give moved it onto this stack */
	char buf[4096];
	int n;

	while ((n = torc_stream_read(peer, buf, sizeof buf)) > 0)
		if ((n = torc_stream_write(peer, buf, (size_t)n)) < 0)
			break;
	torc_stream_close(peer);
	return n;
}

static void announce(const struct torc_listener *listener)
{
	char text[TORC_ADDR_TEXT];
	struct torc_addr addr;

	if (torc_listener_addr(listener, &addr) == 0 && torc_addr_format(&addr, text, sizeof text) > 0)
		fprintf(stderr, "echo: listening on %s\n", text);
}

static int serve(void *arg)
{
	char **args = arg; /* ADDRESS, N */
	struct torc_listener listener TORC_CLEANUP(torc_listener_close) = { 0 };
	long left = args[0] && args[1] ? atol(args[1]) : -1; /* -1: for ever */
	int r = torc_tcp_listen(&listener, args[0] ? args[0] : "127.0.0.1:7777", NULL);

	if (r < 0)
		return r;
	announce(&listener);

	TORC_SCOPE(peers, .until = TORC_ALL_DONE);
	while (left != 0) {
		struct torc_stream peer;

		r = torc_listener_accept(&listener, &peer);
		if (r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM)
			continue; /* short of something: the next call waits a little */
		if (r < 0)
			return r;
		if (torc_give(peers, echo, peer) < 0)
			torc_stream_close(&peer); /* not taken: still ours */
		left -= left > 0;
	}
	return torc_scope_join(peers); /* the first connection that failed, or 0 */
}

int main(int argc, char **argv)
{
	int r = torc_run(NULL, serve, argv + (argc > 0));

	if (r < 0)
		fprintf(stderr, "echo: %s\n", strerror(-r));
	return r < 0;
}
