/* hedge - ask one replica; if it dawdles for 30 ms ask a second one; the first answer wins, the loser is cancelled.
 * Two small replicas on loopback are part of the program; its arguments are their delays in ms.
 * Try it: 04_hedge 200 5, then 04_hedge 5 5, 04_hedge 900 900 */
#include <torc.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct replica {
	struct torc_listener listener;
	struct torc_addr addr;
	torc_ns delay;
	int index;
	const char *fate;
};

struct query {
	struct replica *replica;
	char answer[32];
};

/* Answer one question, unless who asked goes away meanwhile: a read under a deadline notices. */
static int serve(void *arg)
{
	struct replica *replica = arg;
	struct torc_stream peer TORC_CLEANUP(torc_stream_close) = { 0 };
	char question[8], answer[32] = "";
	int r = torc_listener_accept(&replica->listener, &peer);

	if (r == 0)
		r = torc_stream_read_exact(&peer, question, sizeof question);
	if (r <= 0)
		return r; /* nobody asked */
	{
		TORC_SCOPE(thinking, .deadline = torc_in(replica->delay));
		r = torc_stream_peek(&peer, answer, 1);
	}
	replica->fate = r == -ETIME ? "answered" : "was abandoned";
	if (r != -ETIME)
		return r;
	snprintf(answer, sizeof answer, "42, by replica %d", replica->index);
	return torc_stream_write(&peer, answer, sizeof answer);
}

static int ask(void *arg)
{
	struct query *query = arg;
	struct torc_stream stream TORC_CLEANUP(torc_stream_close) = { 0 };
	int r = torc_tcp_connect_to(&stream, &query->replica->addr);

	if (r == 0)
		r = torc_stream_write(&stream, "question", 8);
	if (r > 0)
		r = torc_stream_read_exact(&stream, query->answer, sizeof query->answer);
	return r > 0 ? query->replica->index : r < 0 ? r : -ENODATA;
}

static int lookup(struct query queries[2])
{
	int r;

	TORC_SCOPE(race, .until = TORC_FIRST_SUCCESS, .deadline = torc_in(250 * TORC_MS));
	r = torc_go(race, ask, &queries[0]);
	if (r == 0 && torc_sleep(30 * TORC_MS) == 0) /* cut short if the race is decided meanwhile */
		r = torc_go(race, ask, &queries[1]);
	(void)r;                      /* a failure to spawn shows in the outcome: -ECHILD, or that of the other */
	return torc_scope_join(race); /* the winner's index; the loser has ended, its socket is closed */
}

static int run(void *arg)
{
	char **delays = arg;
	struct replica replicas[2] = { { .index = 0, .fate = "was not asked" },
		                       { .index = 1, .fate = "was not asked" } };
	struct query queries[2] = { { &replicas[0], "" }, { &replicas[1], "" } };
	TORC_SCOPE(servers, .until = TORC_ALL_DONE);
	int r = 0;

	for (int i = 0; i < 2 && r == 0; i++) {
		replicas[i].delay = (delays[0] && delays[1] ? atoi(delays[i]) : i ? 5 : 200) * TORC_MS;
		if ((r = torc_tcp_listen(&replicas[i].listener, "127.0.0.1:0", NULL)) == 0 &&
		    (r = torc_listener_addr(&replicas[i].listener, &replicas[i].addr)) == 0)
			r = torc_go(servers, serve, &replicas[i]);
	}
	r = r < 0 ? r : lookup(queries);
	printf("hedge: %s\n", r < 0 ? strerror(-r) : queries[r].answer);
	torc_sleep(50 * TORC_MS); /* the loser's replica notices that nobody listens any more */
	for (int i = 0; i < 2; i++) {
		printf("replica %d %s\n", i, replicas[i].fate);
		torc_listener_close(&replicas[i].listener);
	}
	return r;
}

int main(int argc, char **argv)
{
	return torc_run(NULL, run, argv + (argc > 0)) < 0;
}
