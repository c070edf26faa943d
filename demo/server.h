/* server.h - the server: on each core an HTTP and an echo listener, one fiber per connection, and a batch that computes
 * in what time is left. The cores share nothing but two ports and the boards; a hit counter is spread over them. */
#ifndef DEMO_SERVER_H
#define DEMO_SERVER_H

#include "figures.h"

#include <torc.h>

/* How often each core publishes its figures. */
#define SERVER_TICK (20 * TORC_MS)

enum {
	SERVER_SHARES = 1000, /* of the queue that serves   */
	BATCH_SHARES = 10,    /* of the queue that computes */
	SERVER_KEYS = 1024,   /* hit counters, each on the core that answers for it         */
	ASK_EVERY = 8,        /* each so many requests the core asks another for its counter */
};

/* How long a computing fiber may go on before it should let those that serve run. */
#define SERVER_LATENCY (200 * TORC_US)

struct server;
struct servers;

struct door { /* a listener, and who looks after those that come in */
	struct server *server;
	struct torc_listener listener;
	torc_fn *attend;
};

/* One core's. Touched by that core only, but for what server_open and server_close do before and after. */
struct server {
	_Alignas(64) struct servers *all;
	struct board *board;
	struct door http, echo;
	struct torc_queue *serving, *batch;
	struct torc_scope *open; /* all that runs here; NULL before and after */
	bool stopped;

	struct figures figures;
	char date[32]; /* now, as HTTP writes it; renewed every tick */
	uint64_t next_number;
	uint64_t hits[SERVER_KEYS]; /* of the keys that this core answers for */
};

struct servers {
	struct server *core;
	unsigned count;
	bool batch;                  /* compute beside the serving         */
	struct torc_addr http, echo; /* where they stand                  */
	struct boards boards;        /* for any thread                     */
};

/* Listen with `count` cores on these ports of 127.0.0.1, or on any free one where a port is taken: servers->http and .echo
 * say which it became. Returns 0 or -errno; close afterwards in either case. From any thread. */
int server_open(struct servers *servers, unsigned count, int http_port, int echo_port);

/* Serve until stopped: what torc_cores_run is to run on each core, with a struct servers * as its argument. */
int server_main(void *servers);

/* Stop all cores. On one of them: the main thread calls it through a remote (worker_stop). Parks. */
int server_stop(void *servers);

/* A request was answered: now and then one is counted under its key, on the core that answers for that. Parks. */
void server_count_hit(struct server *server);

/* Bring the figures up to date, and the board. On its core. */
void server_publish(struct server *server);

/* Give everything back. From any thread. */
void server_close(struct servers *servers);

#endif
