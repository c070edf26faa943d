/* pipeline - three stages on three cores: read lines, count their words, add up. Lanes between them hold a few lines each:
 * a slow stage slows the one before it down, instead of filling the memory. Who is through closes the lane to the next.
 * The reader's call blocks, and so goes to a thread.
 * Try it: 12_pipeline */
#include <torc.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { READER, COUNTER, ADDER, STAGES };
enum { LINES = 100, ON_THEIR_WAY = 8 };

struct line {
	unsigned number, words;
};

struct pipeline {
	struct torc_lane *raw, *counted; /* READER to COUNTER to ADDER */
	unsigned lines, words;           /* the ADDER's; nobody else touches them before the end */
};

/* A call that blocks, on a thread of the pool. It may not use torc's lanes, nor need it hurry. */
static int read_slowly(void *arg)
{
	struct line *line = arg;

	usleep(100);
	line->words = 0;
	return torc_blocking_cancelled() ? -ECANCELED : 0;
}

static int read_lines(struct pipeline *pipeline)
{
	int r = 0;

	for (struct line line = { 0 }; line.number < LINES && r == 0; line.number++)
		if ((r = torc_blocking(read_slowly, &line)) == 0)
			r = torc_lane_send(pipeline->raw, &line); /* a copy; parks while the lane is full */
	torc_lane_close(pipeline->raw);
	return r;
}

static int count_words(struct pipeline *pipeline)
{
	struct line line;
	int r;

	while ((r = torc_lane_recv(pipeline->raw, &line)) == 0) {
		line.words = line.number % 10; /* stands for work that a core has its hands full with */
		if ((r = torc_lane_send(pipeline->counted, &line)) < 0)
			break;
	}
	torc_lane_close(pipeline->counted);
	return r == -EPIPE ? 0 : r; /* closed, and all received: the reader is through */
}

static int add_up(struct pipeline *pipeline)
{
	struct line line;
	int r;

	while ((r = torc_lane_recv(pipeline->counted, &line)) == 0) {
		pipeline->lines++;
		pipeline->words += line.words;
	}
	return r == -EPIPE ? 0 : r;
}

static int stage(void *pipeline)
{
	return torc_core() == READER    ? read_lines(pipeline)
	       : torc_core() == COUNTER ? count_words(pipeline)
	                                : add_up(pipeline);
}

int main(void)
{
	struct pipeline pipeline = { 0 };
	int r = torc_lane_new(&pipeline.raw, sizeof(struct line), ON_THEIR_WAY, NULL);

	if (r == 0)
		r = torc_lane_new(&pipeline.counted, sizeof(struct line), ON_THEIR_WAY, NULL);
	if (r == 0)
		r = torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = STAGES), stage, &pipeline);
	torc_lane_free(pipeline.raw);
	torc_lane_free(pipeline.counted);
	printf("%u lines, %u words: %s\n", pipeline.lines, pipeline.words, strerror(-r));
	return r < 0;
}
