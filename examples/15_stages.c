/* stages - a pipeline within one core: a source, three workers, a collector, with channels in between; the collector
 * chooses between results and a deadline. Closing goes down the line: who is through closes what it fed.
 * Try it: 15_stages */
#include <torc.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { JOBS = 12, WORKERS = 3, AHEAD = 4 };

struct job {
	int number, square;
};

struct stages {
	struct torc_chan *jobs, *results; /* source to workers, workers to collector */
	int workers;                      /* that are not through yet */
};

static int source(void *arg)
{
	struct stages *stages = arg;
	int r = 0;

	for (struct job job = { .number = 1 }; job.number <= JOBS && r == 0; job.number++)
		r = torc_chan_send(stages->jobs, &job); /* parks while the workers are AHEAD behind */
	torc_chan_close(stages->jobs);
	return r;
}

static int work(void *arg)
{
	struct stages *stages = arg;
	struct job job;
	int r;

	while ((r = torc_chan_recv(stages->jobs, &job)) == 0) {
		job.square = job.number * job.number;
		if ((r = torc_sleep(job.number % 3 * TORC_MS)) < 0 || (r = torc_chan_send(stages->results, &job)) < 0)
			break;
	}
	if (--stages->workers == 0) /* the last one turns off the light */
		torc_chan_close(stages->results);
	return r == -EPIPE ? 0 : r;
}

static int collect(struct stages *stages)
{
	int sum = 0, count = 0;
	struct job job;
	struct torc_case cases[] = {
		torc_case_recv(stages->results, &job),
		torc_case_deadline(torc_in(10 * TORC_SEC)),
	};

	for (;;) {
		switch (torc_choose(cases, 2)) {
		case 0:
			if (cases[0].result == -EPIPE) { /* closed, and all received */
				printf("%d squares, their sum is %d\n", count, sum);
				return 0;
			}
			sum += job.square;
			count++;
			break;
		case 1:
			return -ETIMEDOUT;
		default:
			return -ECANCELED;
		}
	}
}

static int run(void *arg)
{
	struct stages stages = { .workers = WORKERS };
	int r;

	(void)arg;
	if ((r = torc_chan_new(&stages.jobs, sizeof(struct job), AHEAD, NULL)) == 0 &&
	    (r = torc_chan_new(&stages.results, sizeof(struct job), 0, NULL)) == 0) {
		TORC_SCOPE(scope); /* left before the channels are freed */
		r = torc_go(scope, source, &stages);
		for (int i = 0; i < WORKERS && r == 0; i++)
			r = torc_go(scope, work, &stages);
		if (r == 0)
			r = collect(&stages);
		if (r == 0)
			r = torc_scope_join(scope);
	}
	torc_chan_free(stages.results);
	torc_chan_free(stages.jobs);
	return r;
}

int main(void)
{
	int r = torc_run(NULL, run, NULL);

	if (r < 0)
		fprintf(stderr, "stages: %s\n", strerror(-r));
	return r < 0;
}
