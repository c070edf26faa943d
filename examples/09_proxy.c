/* proxy - accept on one address, connect to another, copy both ways until both sides have ended. Two fibers share each
 * stream: one reads it, one writes it; an end in one direction is passed on as a shutdown, the other goes on.
 * Try it: 02_echo & 09_proxy 127.0.0.1:8888 127.0.0.1:7777, and elsewhere: nc 127.0.0.1 8888
 * 09_proxy FROM TO N proxies N connections and ends. */
#include <torc.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct proxy {
	struct torc_addr to;
	long left;
	char *from;
};

struct session {
	struct torc_stream client;
	const struct proxy *proxy;
};

struct way {
	struct torc_stream *from, *to;
};

static int copy(void *arg)
{
	struct way *way = arg;
	char buf[16384];
	int n;

	while ((n = torc_stream_read(way->from, buf, sizeof buf)) > 0)
		if ((n = torc_stream_write(way->to, buf, (size_t)n)) < 0)
			return n;
	return n < 0 ? n : torc_stream_shutdown(way->to, TORC_SHUTDOWN_WRITE);
}

static int converse(struct torc_stream *client, struct torc_stream *server)
{
	struct way there = { client, server }, back = { server, client };
	int r;

	TORC_SCOPE(ways); /* the first way that fails cancels the other */
	if ((r = torc_go(ways, copy, &there)) < 0 || (r = torc_go(ways, copy, &back)) < 0)
		return r;
	return torc_scope_join(ways);
}

static int serve(void *arg)
{
	struct session *session = arg;
	struct torc_stream server TORC_CLEANUP(torc_stream_close) = { 0 };
	int r = torc_tcp_connect_to(&server, &session->proxy->to);

	if (r == 0) {
		torc_tcp_set_nodelay(&server, true); /* pass on small writes as they come */
		torc_tcp_set_nodelay(&session->client, true);
		torc_tcp_set_keepalive(&session->client, 60 * TORC_SEC); /* notice clients that vanished */
		r = converse(&session->client, &server);
	}
	torc_stream_close(&session->client);
	return r;
}

static int run(void *arg)
{
	struct proxy *proxy = arg;
	struct torc_listener listener TORC_CLEANUP(torc_listener_close) = { 0 };
	struct torc_addr addr;
	int r = torc_tcp_listen(&listener, proxy->from, NULL);

	if (r == 0 && (r = torc_listener_addr(&listener, &addr)) == 0)
		fprintf(stderr, "proxy: listening on port %d\n", torc_addr_port(&addr));
	TORC_SCOPE(sessions, .until = TORC_ALL_DONE, .limit = 400); /* of two descriptors each */
	if (r < 0)
		return r;
	while (proxy->left != 0) {
		struct session session = { .proxy = proxy };

		r = torc_listener_accept(&listener, &session.client);
		if (r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM)
			continue; /* no reason to end: the next call waits a little */
		if (r < 0)
			return r;
		if (torc_give(sessions, serve, session) < 0)
			torc_stream_close(&session.client);
		proxy->left -= proxy->left > 0;
	}
	return torc_scope_join(sessions);
}

int main(int argc, char **argv)
{
	struct proxy proxy = { .left = argc > 3 ? atol(argv[3]) : -1, .from = argc > 1 ? argv[1] : NULL };
	int r = argc > 2 ? torc_addr_parse(&proxy.to, argv[2]) : -1;

	if (r < 0) {
		fprintf(stderr, "usage: 09_proxy FROM TO [N], addresses as in 127.0.0.1:80 or [::1]:80\n");
		return 2;
	}
	r = torc_run(NULL, run, &proxy);
	if (r < 0)
		fprintf(stderr, "proxy: %s\n", strerror(-r));
	return r < 0;
}
