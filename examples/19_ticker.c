/* ticker - two kinds of time: a talker that says something at every tick of an interval, without drift; and a listener
 * whose deadline moves away with each word, until the talker falls silent.
 * Try it: 19_ticker, then 19_ticker 3 100 for three words and 100 ms of patience */
#include <torc.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct talk {
	struct torc_stream *to;
	int words;
};

static int talk(void *arg)
{
	const struct talk *talk = arg;
	struct torc_interval beat;

	torc_interval_start(&beat, 10 * TORC_MS);
	for (int word = 1; word <= talk->words; word++) {
		int64_t ticks = torc_interval_next(&beat); /* 1, or more if we came late: the grid stays */
		char text[32];
		int len = snprintf(text, sizeof text, "word %d", word), r;

		if (ticks < 0)
			return (int)ticks;
		if ((r = torc_stream_write(talk->to, text, (size_t)len)) < 0)
			return r;
	}
	return torc_sleep(INT64_MAX); /* silence */
}

static int listen_to(struct torc_stream *from, torc_ns patience)
{
	char text[32];
	int n;

	TORC_SCOPE(idle, .deadline = torc_in(patience));
	while ((n = torc_stream_read(from, text, sizeof text)) > 0) {
		torc_scope_set_deadline(idle, torc_in(patience)); /* heard something: it starts again */
		printf("heard %.*s\n", n, text);
	}
	return n;
}

static int run(void *arg)
{
	char **args = arg;
	struct torc_stream reader TORC_CLEANUP(torc_stream_close) = { 0 };
	struct torc_stream writer TORC_CLEANUP(torc_stream_close) = { 0 };
	struct talk words = { &writer, args[0] ? atoi(args[0]) : 5 };
	torc_ns patience = (args[0] && args[1] ? atoi(args[1]) : 300) * TORC_MS;
	int r;

	if ((r = torc_pipe(&reader, &writer)) < 0)
		return r;
	TORC_SCOPE(scope);
	if ((r = torc_go(scope, talk, &words)) < 0)
		return r;
	r = listen_to(&reader, patience);
	printf("then: %s\n", strerror(-r));
	return r == -ETIME ? 0 : r;
}

int main(int argc, char **argv)
{
	return torc_run(NULL, run, argv + (argc > 0)) < 0;
}
