/* shards - a counter store, one shard a core. No locks, no atomics: a counter is touched by its own core only, and
 * torc_on asks another core. A client sends the 8 bytes of a key and gets the 8 bytes of its count.
 * Try it: 11_shards ADDRESS N CORES serves N clients and ends; port 0 is any free one. */
#include <torc.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 4096, CORES = 64 };

struct store {
	struct torc_listener listener[CORES]; /* one a core, all on one port */
	struct shard {
		_Alignas(64) uint64_t counters[SLOTS];
		struct torc_scope *open; /* its core's; cancelled to end it */
	} shard[CORES];
	long left; /* clients to come; core 0 counts them */
};

struct bump {
	struct store *store;
	uint64_t key, value;
};

static int bump(void *arg) /* runs on the key's core; `arg` is on the asker's stack */
{
	struct bump *bump = arg;

	bump->value = ++bump->store->shard[torc_core()].counters[bump->key % SLOTS];
	return 0;
}

static int close_core(void *arg)
{
	struct store *store = *(struct store **)arg; /* a copy: torc_post moved it here */

	if (store->shard[torc_core()].open)
		torc_scope_cancel(store->shard[torc_core()].open);
	return 0;
}

static int client_is_done(void *arg) /* on core 0 */
{
	struct store *store = arg;
	int r = 0;

	if (--store->left != 0)
		return 0;
	for (unsigned core = 0; core < torc_core_count() && r == 0; core++) {
		struct store *moved = store;

		r = torc_post(core, close_core, moved);
	}
	return r;
}

struct client {
	struct store *store;
	struct torc_stream peer;
};

static int serve_client(void *arg)
{
	struct client *client = arg;
	struct bump request = { .store = client->store };
	int r;

	while ((r = torc_stream_read_exact(&client->peer, &request.key, sizeof request.key)) > 0)
		if ((r = torc_on(torc_core_of(request.key), bump, &request)) < 0 ||
		    (r = torc_stream_write(&client->peer, &request.value, sizeof request.value)) < 0)
			break;
	torc_stream_close(&client->peer);
	return r < 0 ? r : torc_on(0, client_is_done, client->store);
}

static int serve(void *arg) /* on every core */
{
	struct client client = { .store = arg };
	struct torc_listener *listener = &client.store->listener[torc_core()];
	struct shard *shard = &client.store->shard[torc_core()];
	int r;

	TORC_SCOPE(clients, .until = TORC_ALL_DONE, .limit = 10000);
	shard->open = clients;
	for (;;) {
		r = torc_listener_accept(listener, &client.peer);
		if (r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM)
			continue; /* short of something: the next call waits a little */
		if (r < 0)
			break;
		if (torc_give(clients, serve_client, client) < 0)
			torc_stream_close(&client.peer); /* not taken: still ours */
		else
			client.store = arg; /* it moved with the rest */
	}
	shard->open = NULL;
	torc_listener_close(listener);
	return r == -ECANCELED ? 0 : r; /* close_core, as a rule */
}

int main(int argc, char **argv)
{
	static struct store store;
	int cores = argc > 3 ? atoi(argv[3]) : 2;
	struct torc_addr addr;
	int r = torc_addr_parse(&addr, argc > 1 ? argv[1] : "127.0.0.1:7777");

	if (cores < 1 || cores > CORES) {
		fprintf(stderr, "usage: 11_shards [ADDRESS [N [CORES]]], at most %d cores\n", CORES);
		return 2;
	}
	store.left = argc > 2 ? atol(argv[2]) : -1; /* -1: for ever */
	for (int core = 0; core < cores && r == 0; core++) {
		r = torc_tcp_listen_on(&store.listener[core], &addr,
		                       TORC_OPTIONS(torc_listen_options, .share_port = true));
		if (r == 0 && core == 0 && (r = torc_listener_addr(&store.listener[0], &addr)) == 0)
			fprintf(stderr, "shards: listening on port %d\n", torc_addr_port(&addr));
	}
	if (r == 0)
		r = torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = (unsigned)cores), serve, &store);
	if (r < 0)
		fprintf(stderr, "shards: %s\n", strerror(-r));
	return r < 0;
}
