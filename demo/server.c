/* server.c - on every core: accept, and give each connection a fiber of its own.
 *
 * The shape is the whole idea: server_main opens a scope with two doors in it, each door a scope with its guests.
 * When server_main returns, all of them have been cancelled and have ended, whatever they were waiting for. That scope
 * names the queue that serves, and all that is opened inside belongs to it, but for the batch. */
#include "server.h"
#include "batch.h"
#include "http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ECHO_BUFFER = 4096 };

struct guest {
	struct server *server;
	struct torc_stream stream;
};

static int attend_echo(void *arg)
{
	struct guest *guest = arg; /* ours: torc_give moved it onto this stack */
	struct figures *figures = &guest->server->figures;
	char buf[ECHO_BUFFER];
	int n;

	figures->connections++;
	while ((n = torc_stream_read(&guest->stream, buf, sizeof buf)) > 0) {
		n = torc_stream_write(&guest->stream, buf, (size_t)n);
		if (n < 0)
			break;
		figures->echo_requests++;
		server_count_hit(guest->server);
	}
	torc_stream_close(&guest->stream);
	figures->connections--;
	return n;
}

static int attend_http(void *arg)
{
	struct guest *guest = arg;
	int r;

	guest->server->figures.connections++;
	r = http_serve(guest->server, &guest->stream);
	torc_stream_close(&guest->stream);
	guest->server->figures.connections--;
	return r;
}

static int accept_guest(struct door *door, struct torc_scope *guests)
{
	struct guest guest = { .server = door->server };
	int r = torc_listener_accept(&door->listener, &guest.stream);

	if (r < 0)
		return r;
	door->server->figures.accepted++;
	torc_tcp_set_nodelay(&guest.stream, true);
	r = torc_give(guests, door->attend, guest);
	if (r < 0)
		torc_stream_close(&guest.stream); /* not taken: still ours */
	return r;
}

/* Want of descriptors or memory passes, and accept does not spin meanwhile (stream.h). */
static bool passes(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;
}

static int keep_door(void *arg)
{
	struct door *door = arg;
	int r;

	TORC_SCOPE(guests, .until = TORC_ALL_DONE); /* one guest's trouble is no other's */
	for (;;) {
		r = accept_guest(door, guests);
		if (r < 0 && !passes(r))
			break;
		if (r < 0)
			door->server->figures.turned_away++;
	}
	torc_listener_close(&door->listener);
	return r;
}

/* --- what a core does besides ------------------------------------------------------------------ */

static void renew_date(struct server *server)
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(server->date, sizeof server->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

static int keep_count(void *arg)
{
	struct server *server = arg;

	do {
		renew_date(server);
		server_publish(server);
	} while (torc_sleep(SERVER_TICK) == 0);
	return 0;
}

void server_publish(struct server *server)
{
	struct torc_stats stats = { .size = sizeof stats };
	struct figures *figures = &server->figures;
	struct timespec cpu = { 0 };

	torc_stats_get(&stats);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	figures->cpu_ns = (uint64_t)cpu.tv_sec * TORC_SEC + (uint64_t)cpu.tv_nsec;
	figures->serving_ns = torc_queue_used(server->serving);
	figures->batch_ns = server->batch ? torc_queue_used(server->batch) : 0;
	figures->enters = stats.enters;
	figures->submissions = stats.submissions;
	figures->fibers = stats.fibers;
	figures->in_flight = stats.in_flight;
	board_publish(server->board, figures);
}

struct hit {
	struct servers *servers;
	uint64_t key;
	uint64_t count; /* the answer */
};

/* On the core that answers for the key, so there is nothing to lock. */
static int count_here(void *arg)
{
	struct hit *hit = arg; /* on the stack of the fiber that asks */

	hit->count = ++hit->servers->core[torc_core()].hits[hit->key];
	return 0;
}

void server_count_hit(struct server *server)
{
	struct figures *figures = &server->figures;
	uint64_t number = figures->http_requests + figures->echo_requests;
	struct hit hit = { .servers = server->all, .key = number / ASK_EVERY % SERVER_KEYS };

	if (number % ASK_EVERY == 0 && torc_on(torc_core_of(hit.key), count_here, &hit) == 0)
		figures->calls++; /* a cancelled one is not counted; the caller's next call tells why */
}

/* --- one core from beginning to end ------------------------------------------------------------ */

static int make_queues(struct server *server)
{
	int r = torc_queue_new(&server->serving, TORC_OPTIONS(torc_queue_options, .name = "serving",
	                                                      .shares = SERVER_SHARES, .latency = SERVER_LATENCY));

	if (r == 0 && server->all->batch)
		r = torc_queue_new(&server->batch,
		                   TORC_OPTIONS(torc_queue_options, .name = "batch", .shares = BATCH_SHARES));
	return r;
}

static int begin(struct server *server, struct torc_scope *scope)
{
	int r = torc_go(scope, keep_door, &server->http);

	if (r >= 0)
		r = torc_go(scope, keep_door, &server->echo);
	if (r >= 0)
		r = torc_go(scope, keep_count, server);
	if (r >= 0 && server->batch)
		r = torc_go(scope, batch_main, server);
	return r;
}

int server_main(void *arg)
{
	struct servers *servers = arg;
	struct server *server = &servers->core[torc_core()];
	int r = make_queues(server);

	if (r < 0)
		return r;
	TORC_SCOPE(open, .queue = server->serving); /* leaving it, by whatever way, sees every guest out */
	if (server->stopped)
		return 0;
	server->open = open;
	r = begin(server, open);
	if (r >= 0)
		r = torc_scope_join(open);
	server->open = NULL;
	return r == -ECANCELED ? 0 : r; /* called off: by server_stop, or since another core has failed */
}

static int stop_here(void *arg)
{
	struct servers *servers = arg;
	struct server *server = &servers->core[torc_core()];

	server->stopped = true;
	if (server->open)
		torc_scope_cancel(server->open);
	return 0;
}

int server_stop(void *arg)
{
	struct servers *servers = arg;
	int r = 0;

	for (unsigned core = 0; core < torc_core_count() && r == 0; core++)
		r = torc_on(core, stop_here, servers);
	return r;
}

/* --- listeners, one on each core and port ------------------------------------------------------ */

static int listen_at(struct door *door, const char *host_port, bool share, struct torc_addr *addr)
{
	int r = torc_tcp_listen(&door->listener, host_port, TORC_OPTIONS(torc_listen_options, .share_port = share));

	return r < 0 ? r : torc_listener_addr(&door->listener, addr);
}

/* A demo should start, whatever else runs on the machine: a port that is taken is no reason not to. Whether one is can
 * be told only by a listener that does not share: one that does would take half of another demo's connections. */
static int choose_port(int port, struct torc_addr *addr)
{
	char text[TORC_ADDR_TEXT];
	struct door trial = { 0 };
	int r;

	snprintf(text, sizeof text, "127.0.0.1:%d", port);
	r = listen_at(&trial, text, false, addr);
	if (r == -EADDRINUSE || r == -EACCES)
		r = listen_at(&trial, "127.0.0.1:0", false, addr);
	torc_listener_close(&trial.listener);
	return r;
}

static int open_door(struct door *door, struct server *server, const struct torc_addr *addr, torc_fn *attend)
{
	door->server = server;
	door->attend = attend;
	return torc_tcp_listen_on(&door->listener, addr, TORC_OPTIONS(torc_listen_options, .share_port = true));
}

static int open_core(struct servers *servers, unsigned core)
{
	struct server *server = &servers->core[core];
	int r;

	server->all = servers;
	server->board = &servers->boards.board[core];
	r = open_door(&server->http, server, &servers->http, attend_http);
	return r < 0 ? r : open_door(&server->echo, server, &servers->echo, attend_echo);
}

static void *zeroed(size_t count, size_t size)
{
	void *memory = aligned_alloc(64, count * size); /* both are multiples of 64 */

	return memory ? memset(memory, 0, count * size) : NULL;
}

int server_open(struct servers *servers, unsigned count, int http_port, int echo_port)
{
	int r;

	http_init();
	servers->core = zeroed(count, sizeof *servers->core);
	servers->boards.board = zeroed(count, sizeof *servers->boards.board);
	if (!servers->core || !servers->boards.board)
		return -ENOMEM;
	servers->count = servers->boards.count = count;
	if ((r = choose_port(http_port, &servers->http)) < 0 || (r = choose_port(echo_port, &servers->echo)) < 0)
		return r;
	for (unsigned core = 0; core < count && r >= 0; core++)
		r = open_core(servers, core);
	return r;
}

void server_close(struct servers *servers)
{
	for (unsigned core = 0; core < servers->count; core++) {
		torc_listener_close(&servers->core[core].http.listener);
		torc_listener_close(&servers->core[core].echo.listener);
	}
	free(servers->core);
	free(servers->boards.board);
	*servers = (struct servers){ 0 };
}
