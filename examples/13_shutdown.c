/* shutdown - SIGINT and SIGTERM end a server gracefully: it accepts nobody any more, what is being answered is finished,
 * and who takes too long is hung up on.
 * Try it: 13_shutdown, then: nc 127.0.0.1 7777, type a word, and Ctrl-C the server before the answer comes.
 * 13_shutdown ADDRESS MS: what an answer takes. Port 0 is any free one. */
#include <torc.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 1000 }; /* how long who is being answered may take to finish */

struct config {
	struct torc_listener listener;
	torc_ns work;
};

struct client {
	struct config *config;
	struct torc_stream peer;
};

/* Stands for work and its answer. In here no cancellation from outside enters, for as long as it declares. */
static int answer(struct client *client, char *text, size_t len)
{
	TORC_SCOPE(finish, .shield = true, .deadline = torc_in(PATIENCE_MS * TORC_MS));
	int r = torc_sleep(client->config->work);

	for (size_t i = 0; i < len; i++)
		text[i] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 32 : text[i]);
	return r < 0 ? r : torc_stream_write(&client->peer, text, len);
}

static int serve_client(void *arg)
{
	struct client *client = arg;
	char text[256];
	int n;

	/* Waiting for a request is what cancellation cuts short. */
	while ((n = torc_stream_read(&client->peer, text, sizeof text)) > 0)
		if ((n = answer(client, text, (size_t)n)) < 0)
			break;
	torc_stream_close(&client->peer);
	printf("client: %s\n", n == -ECANCELED ? "said goodbye to"
	                       : n == -ETIME   ? "hung up on"
	                       : n < 0         ? strerror(-n)
	                                       : "left");
	return 0;
}

static int serve(void *arg)
{
	struct client client = { .config = arg };
	int r;

	TORC_SCOPE(clients, .until = TORC_ALL_DONE);
	for (;;) {
		r = torc_listener_accept(&client.config->listener, &client.peer);
		if (r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM)
			continue; /* short of something: the next call waits a little */
		if (r < 0)
			break; /* -ECANCELED: a signal came; the clients were told as well */
		if (torc_give(clients, serve_client, client) < 0)
			torc_stream_close(&client.peer);
		client.config = arg;
	}
	torc_listener_close(&client.config->listener); /* whoever comes now is refused, not kept waiting */
	/* Waits, but no longer than PATIENCE_MS, which is what a shield allows. How clients fared they have said. */
	(void)!torc_scope_join(clients);
	if (r != -ECANCELED)
		return r;
	printf("stopped by a signal\n");
	return 0;
}

int main(int argc, char **argv)
{
	struct config config = { .work = (argc > 2 ? atoi(argv[2]) : 3000) * TORC_MS };
	struct torc_addr addr;
	int r = torc_tcp_listen(&config.listener, argc > 1 ? argv[1] : "127.0.0.1:7777", NULL);

	if (r == 0 && (r = torc_listener_addr(&config.listener, &addr)) == 0) {
		fprintf(stderr, "shutdown: listening on port %d\n", torc_addr_port(&addr));
		r = torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 1, .stop_on_signals = true), serve,
		                   &config);
	}
	if (r < 0)
		fprintf(stderr, "shutdown: %s\n", strerror(-r));
	return r < 0;
}
