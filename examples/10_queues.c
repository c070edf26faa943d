/* queues - three task queues share a core 1 : 3 : 6 while all of them compute, and what a queue leaves the others get.
 * And a queue that is steered: it gets as much as it needs to have its work done by a deadline.
 * Try it: 10_queues */
#include <torc.h>

#include <inttypes.h>
#include <stdio.h>

struct worker {
	struct torc_queue *queue;
	unsigned shares;
	uint64_t used; /* in the time that was measured */
};

/* Computes for ever; it is asked to yield once a millisecond, or when somebody else's I/O is there. */
static int compute(void *unused)
{
	volatile uint64_t sum = 0;

	(void)unused;
	while (torc_scope_status(NULL) == 0) {
		for (int i = 0; i < 1000; i++)
			sum = sum + (uint64_t)i;
		torc_yield_if_needed();
	}
	return 0;
}

/* A scope names the queue of its children; this fiber lives in it only to hold that scope. */
static int keep_busy(void *arg)
{
	struct worker *worker = arg;

	TORC_SCOPE(busy, .queue = worker->queue);
	int r = torc_go(busy, compute, NULL);

	return r < 0 ? r : torc_scope_join(busy);
}

static int share(void *unused)
{
	static const char *const names[] = { "small", "middle", "large" };
	struct worker workers[3] = { { .shares = 100 }, { .shares = 300 }, { .shares = 600 } };
	uint64_t sum = 0;
	int r = 0;

	(void)unused;
	for (int i = 0; i < 3 && r == 0; i++)
		r = torc_queue_new(&workers[i].queue,
		                   TORC_OPTIONS(torc_queue_options, .name = names[i], .shares = workers[i].shares));
	if (r < 0)
		return r;
	{
		TORC_SCOPE(all);
		for (int i = 0; i < 3; i++)
			if ((r = torc_go(all, keep_busy, &workers[i])) < 0)
				return r;
		r = torc_sleep(500 * TORC_MS);
		for (int i = 0; i < 3; i++)
			sum += workers[i].used = torc_queue_used(workers[i].queue);
	} /* all have ended */
	for (int i = 0; i < 3; i++) {
		printf("%-6s wants %u0 %%, got %.0f %%\n", torc_queue_name(workers[i].queue),
		       torc_queue_shares(workers[i].queue) / 100, 100.0 * (double)workers[i].used / (double)sum);
		if ((r = torc_queue_free(workers[i].queue)) < 0)
			return r;
	}
	return r;
}

/* 300 steps of a millisecond or so, and two seconds for them. */
static int work_off(void *arg)
{
	struct torc_deadline_job *job = arg;

	for (int step = 0; step < 300; step++) {
		for (torc_ns end = torc_in(TORC_MS); torc_now() < end;)
			torc_yield_if_needed();
		torc_deadline_progress(job, 1);
	}
	return 0;
}

static int meet_deadline(void *unused)
{
	struct torc_deadline_job job TORC_CLEANUP(torc_deadline_done) = { 0 };
	struct torc_deadline *deadline;
	torc_ns due = torc_in(2 * TORC_SEC);
	int r = torc_deadline_new(&deadline, TORC_OPTIONS(torc_deadline_options, .name = "report"));

	(void)unused;
	if (r < 0)
		return r;
	{
		TORC_SCOPE(rivals);
		TORC_SCOPE(report, .queue = torc_deadline_queue(deadline));
		if ((r = torc_deadline_add(deadline, &job, 300, due)) == 0 &&
		    (r = torc_go(rivals, compute, NULL)) == 0 && (r = torc_go(report, work_off, &job)) == 0)
			r = torc_scope_join(report);
	}
	printf("the report is %s\n", torc_now() < due ? "in time" : "late");
	torc_deadline_done(&job);
	return torc_deadline_free(deadline) < 0 ? -1 : r;
}

int main(void)
{
	return torc_run(NULL, share, NULL) < 0 || torc_run(NULL, meet_deadline, NULL) < 0;
}
