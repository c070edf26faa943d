/* echo_torc - the contender: a TCP echo server as a user of torc would write it. Needs: libtorc.
 * echo_torc PORT; prints "ready", and on SIGTERM a line of JSON. See bench/echo. */
#include <torc.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

struct server {
	const char *address;
	uint64_t requests;
};

struct peer {
	struct torc_stream stream;
	struct server *server;
};

static int echo(void *arg)
{
	struct peer *peer = arg;
	char buf[4096];
	int n;

	while ((n = torc_stream_read(&peer->stream, buf, sizeof buf)) > 0) {
		n = torc_stream_write(&peer->stream, buf, (size_t)n);
		if (n < 0)
			break;
		peer->server->requests++;
	}
	torc_stream_close(&peer->stream);
	return n;
}

static int serve(void *arg)
{
	struct server *server = arg;
	struct torc_listener listener TORC_CLEANUP(torc_listener_close) = { 0 };
	int r = torc_tcp_listen(&listener, server->address, TORC_OPTIONS(torc_listen_options, .nodelay = true));

	if (r < 0)
		return r;
	puts("ready");
	fflush(stdout);

	TORC_SCOPE(peers, .until = TORC_ALL_DONE);
	for (;;) {
		struct peer peer = { .server = server };

		r = torc_listener_accept(&listener, &peer.stream);
		if (r < 0)
			return r;
		if (torc_give(peers, echo, peer) < 0)
			torc_stream_close(&peer.stream);
	}
}

static int await_sigterm(void)
{
	struct torc_async signals TORC_CLEANUP(torc_async_close) = { 0 };
	sigset_t mask;
	int r;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	r = torc_async_wrap(&signals, signalfd(-1, &mask, SFD_CLOEXEC));
	return r < 0 ? r : torc_async_readable(&signals);
}

static void report(const struct server *server)
{
	struct torc_stats stats = { .size = sizeof stats };
	struct timespec cpu;

	torc_stats_get(&stats);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	printf("{\"requests\": %" PRIu64 ", \"enters\": %" PRIu64 ", \"sqes\": %" PRIu64 ", \"cpu_ns\": %" PRIu64 "}\n",
	       server->requests, stats.enters, stats.submissions,
	       (uint64_t)cpu.tv_sec * 1000000000 + (uint64_t)cpu.tv_nsec);
}

static int server_main(void *arg)
{
	int r;

	TORC_SCOPE(scope);
	r = torc_go(scope, serve, arg);
	if (r == 0)
		r = await_sigterm();
	report(arg);
	return r;
}

int main(int argc, char **argv)
{
	char address[32];
	struct server server = { .address = address };
	int r;

	if (argc != 2)
		return fprintf(stderr, "usage: echo_torc PORT\n"), 2;
	snprintf(address, sizeof address, "127.0.0.1:%s", argv[1]);
	r = torc_run(NULL, server_main, &server);
	if (r < 0)
		fprintf(stderr, "echo_torc: %s\n", strerror(-r));
	return r < 0;
}
