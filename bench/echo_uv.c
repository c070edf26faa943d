/*
 * echo_uv PORT: TCP echo on libuv (epoll); same contract as echo_uring.
 * One buffer a connection; uv_try_write first, uv_write for what it left, reading stopped
 * meanwhile.
 *
 * Needs: libuv.
 */
#include <signal.h>
#include <uv.h>

#include "bench.h"

struct connection {
	uv_tcp_t tcp;
	uv_write_t write;
	char buffer[4096];
};

static struct {
	uv_loop_t *loop;
	uv_tcp_t listener;
	uv_signal_t signal;
	uint64_t requests;
} server;

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf);

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct connection *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init(c->buffer, sizeof c->buffer);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void connection_end(struct connection *c)
{
	if (!uv_is_closing((uv_handle_t *)&c->tcp))
		uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void on_written(uv_write_t *write, int status)
{
	struct connection *c = write->data;

	if (status < 0) {
		connection_end(c);
		return;
	}
	server.requests++;
	uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
	struct connection *c = stream->data;
	uv_buf_t out;
	int done;

	if (len < 0) {
		connection_end(c);
		return;
	}
	if (len == 0)
		return;
	out = uv_buf_init(buf->base, (unsigned)len);
	done = uv_try_write(stream, &out, 1);
	if (done == (int)len) {
		server.requests++;
		return;
	}
	if (done < 0 && done != UV_EAGAIN) {
		connection_end(c);
		return;
	}
	if (done > 0)
		out = uv_buf_init(buf->base + done, (unsigned)(len - done));
	uv_read_stop(stream);
	c->write.data = c;
	if (uv_write(&c->write, stream, &out, 1, on_written))
		connection_end(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct connection *c = malloc(sizeof *c);

	if (status < 0 || !c)
		bench_die("no connection");
	uv_tcp_init(server.loop, &c->tcp);
	c->tcp.data = c;
	if (uv_accept(listener, (uv_stream_t *)&c->tcp)) {
		connection_end(c);
		return;
	}
	uv_tcp_nodelay(&c->tcp, 1);
	uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

static void on_signal(uv_signal_t *signal, int number)
{
	(void)signal, (void)number;
	uv_stop(server.loop);
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr;

	if (argc != 2) {
		fprintf(stderr, "usage: echo_uv PORT\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	server.loop = uv_default_loop();
	uv_signal_init(server.loop, &server.signal);
	uv_signal_start(&server.signal, on_signal, SIGTERM);
	uv_tcp_init(server.loop, &server.listener);
	/* libuv sets SO_REUSEADDR by itself */
	if (uv_ip4_addr("127.0.0.1", atoi(argv[1]), &addr) ||
	    uv_tcp_bind(&server.listener, (const struct sockaddr *)&addr, 0) ||
	    uv_listen((uv_stream_t *)&server.listener, 4096, on_connection))
		bench_die("cannot listen");
	printf("ready\n");
	fflush(stdout);
	uv_run(server.loop, UV_RUN_DEFAULT);
	printf("{\"requests\": %llu, \"enters\": null, \"sqes\": null, \"cpu_ns\": %llu}\n",
	       (unsigned long long)server.requests, (unsigned long long)bench_cpu_ns());
	return 0;
}
