/* http - a small HTTP/1.1 server: torc reads and writes, http_parser (github.com/nodejs/http-parser) understands. A
 * connection is a loop in a fiber, a client's time is a deadline, an answer is one write of two pieces.
 * Try it: 05_http, and elsewhere: curl -v 127.0.0.1:8080/hello
 * 05_http ADDRESS N serves N connections and ends. */
#include <torc.h>

#include <errno.h>
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct request {
	http_parser parser;
	char path[256];
	size_t path_len;
	bool complete;
};

static int on_url(http_parser *parser, const char *at, size_t len)
{
	struct request *request = parser->data;

	if (len > sizeof request->path - request->path_len)
		return 1; /* refuse it */
	memcpy(request->path + request->path_len, at, len);
	request->path_len += len;
	return 0;
}

static int on_complete(http_parser *parser)
{
	((struct request *)parser->data)->complete = true;
	http_parser_pause(parser, 1); /* what follows in the buffer is the next request */
	return 0;
}

static const http_parser_settings settings = { .on_url = on_url, .on_message_complete = on_complete };

/* buf[0, *len) was read and not yet parsed. 1; 0 at the end; -EBADMSG; an error of read, -ETIME among them. */
static int read_request(struct torc_stream *peer, struct request *request, char *buf, size_t size, size_t *len)
{
	TORC_SCOPE(patience, .deadline = torc_in(10 * TORC_SEC));

	*request = (struct request){ .complete = false };
	http_parser_init(&request->parser, HTTP_REQUEST);
	request->parser.data = request;
	for (;;) {
		size_t used = http_parser_execute(&request->parser, &settings, buf, *len);
		int n;

		memmove(buf, buf + used, *len -= used);
		if (request->complete)
			return 1;
		if (HTTP_PARSER_ERRNO(&request->parser) != HPE_OK)
			return -EBADMSG;
		n = torc_stream_read(peer, buf, size);
		if (n <= 0)
			return n;
		*len = (size_t)n;
	}
}

static int answer(struct torc_stream *peer, const struct request *request)
{
	TORC_SCOPE(patience, .deadline = torc_in(10 * TORC_SEC)); /* it may ask and ask, and read nothing */
	char head[128], body[512];
	int body_len = snprintf(body, sizeof body, "%s %.*s\n", http_method_str(request->parser.method),
	                        (int)request->path_len, request->path);
	int head_len = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", body_len);
	struct iovec pieces[] = { { head, (size_t)head_len }, { body, (size_t)body_len } };

	return torc_stream_writev(peer, pieces, request->parser.method == HTTP_HEAD ? 1 : 2);
}

static int refuse(struct torc_stream *peer)
{
	TORC_SCOPE(patience, .deadline = torc_in(10 * TORC_SEC));
	return torc_stream_write(peer, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 47);
}

static int serve(void *arg)
{
	struct torc_stream *peer = arg;
	struct request request;
	char buf[4096];
	size_t len = 0;
	int r;

	while ((r = read_request(peer, &request, buf, sizeof buf, &len)) > 0)
		if ((r = answer(peer, &request)) < 0 || !http_should_keep_alive(&request.parser))
			break;
	if (r == -EBADMSG)
		r = refuse(peer);
	torc_stream_close(peer);
	return 0; /* what a client does wrong is no failure of the server */
}

static int run(void *arg)
{
	char **args = arg; /* ADDRESS, N */
	long left = args[0] && args[1] ? atol(args[1]) : -1;
	struct torc_listener listener TORC_CLEANUP(torc_listener_close) = { 0 };
	struct torc_addr addr;
	int r = torc_tcp_listen(&listener, args[0] ? args[0] : "127.0.0.1:8080", NULL);

	if (r == 0 && (r = torc_listener_addr(&listener, &addr)) == 0)
		fprintf(stderr, "http: listening on port %d\n", torc_addr_port(&addr));
	TORC_SCOPE(peers, .until = TORC_ALL_DONE, .limit = 500); /* fewer than there are descriptors */
	if (r < 0)
		return r;
	while (left != 0) {
		struct torc_stream peer;

		r = torc_listener_accept(&listener, &peer);
		if (r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM)
			continue; /* no reason to end: the next call waits a little */
		if (r < 0)
			return r;
		if (torc_give(peers, serve, peer) < 0)
			torc_stream_close(&peer);
		left -= left > 0;
	}
	return torc_scope_join(peers);
}

int main(int argc, char **argv)
{
	return torc_run(NULL, run, argv + (argc > 0)) < 0;
}
