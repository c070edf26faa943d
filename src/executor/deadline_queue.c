#include "executor/deadline_queue.h"

#include "base/options.h"
#include "machine/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SHARES_FIRST = 100 };
static const double rise_most = 4, fall_most = 0.5;

/* Be done so much earlier than asked for; and the least time over which a speed says something. */
static const int64_t margin_ns = 250000000, measure_least_ns = 100000000;

static_assert_fits(torc_deadline_job, deadline_job);

static struct deadline_job *job_of(struct torc_deadline_job *job)
{
	return (struct deadline_job *)(void *)job;
}

static void check_core(const struct torc_deadline *deadline, const char *function)
{
	if (unlikely(executor_in_fiber(function) != deadline->executor))
		panic(function, "the queue belongs to another core");
}

static double within(double value, double least, double most)
{
	return value < least ? least : value > most ? most : value;
}

/* The least speed, in units per ns, at which every job is done in time, if those that are due first are done first.
 * False: no speed is enough. */
static bool speed_needed(const struct torc_deadline *deadline, int64_t now, double *needed)
{
	double sum = 0;

	*needed = 0;
	list_each (node, &deadline->jobs) {
		const struct deadline_job *job = container_of(node, struct deadline_job, link);

		if (job->left == 0)
			continue;
		if (job->due <= now + margin_ns)
			return false;
		sum += (double)job->left;
		if (sum > *needed * (double)(job->due - margin_ns - now))
			*needed = sum / (double)(job->due - margin_ns - now);
	}
	return true;
}

/* As long as others want the core too, speed goes with shares: a little less than in proportion, so the next step
 * follows from where this one led. */
static double steer(struct torc_deadline *deadline, int64_t now)
{
	double needed, reached = (double)deadline->processed / (double)(now - deadline->since);

	if (!speed_needed(deadline, now, &needed))
		return deadline->most;
	if (needed > reached * rise_most)
		return deadline->shares * rise_most;
	if (needed <= reached * fall_most)
		return deadline->shares * fall_most;
	return deadline->shares * needed / reached;
}

static unsigned adjust(struct torc_queue *queue, void *arg)
{
	struct torc_deadline *deadline = arg;
	int64_t now = clock_now();

	(void)queue;
	if (!list_empty(&deadline->jobs) && now - deadline->since >= measure_least_ns) {
		deadline->shares = within(steer(deadline, now), deadline->least, deadline->most);
		deadline->processed = 0;
		deadline->since = now;
	}
	return (unsigned)(deadline->shares + 0.5);
}

static void begin_with(struct torc_deadline *deadline, unsigned shares)
{
	deadline->shares = within(shares, deadline->least, deadline->most);
	deadline->processed = 0;
	deadline->since = clock_now();
	torc_queue_set_shares(deadline->queue, (unsigned)deadline->shares);
}

static int open_queue(struct torc_deadline *deadline, const struct torc_deadline_options *options)
{
	struct torc_queue_options queue = {
		.size = sizeof queue,
		.name = options->name ? options->name : "deadline",
		.shares = deadline->least,
		.latency = options->latency,
		.adjust = adjust,
		.arg = deadline,
	};

	if (deadline->least > deadline->most || deadline->most > SHARES_MOST)
		return -EINVAL;
	return torc_queue_new(&deadline->queue, &queue);
}

int torc_deadline_new(struct torc_deadline **out, const struct torc_deadline_options *options)
{
	struct torc_deadline_options whole;
	struct torc_deadline *deadline;
	int r;

	options = OPTIONS(options, whole);
	deadline = calloc(1, sizeof *deadline);
	if (!deadline)
		return -ENOMEM;
	deadline->executor = executor_in_fiber(__func__);
	list_init(&deadline->jobs);
	deadline->least = options->min_shares ? options->min_shares : SHARES_LEAST;
	deadline->most = options->max_shares ? options->max_shares : SHARES_MOST;
	deadline->shares = deadline->least;
	r = open_queue(deadline, options);
	if (r < 0) {
		free(deadline);
		return r;
	}
	*out = deadline;
	return 0;
}

int torc_deadline_free(struct torc_deadline *deadline)
{
	int r;

	if (!deadline)
		return 0;
	check_core(deadline, __func__);
	if (!list_empty(&deadline->jobs))
		return -EBUSY;
	r = torc_queue_free(deadline->queue);
	if (r == 0)
		free(deadline);
	return r;
}

struct torc_queue *torc_deadline_queue(const struct torc_deadline *deadline)
{
	return deadline->queue;
}

int torc_deadline_add(struct torc_deadline *deadline, struct torc_deadline_job *handle, uint64_t amount, torc_ns due)
{
	struct deadline_job *job = job_of(handle);
	struct list *before = deadline->jobs.prev;

	check_core(deadline, __func__);
	if (amount == 0 || due == 0)
		return -EINVAL;
	if (list_empty(&deadline->jobs))
		begin_with(deadline, SHARES_FIRST);
	while (before != &deadline->jobs && container_of(before, struct deadline_job, link)->due > due)
		before = before->prev; /* ends: at the latest with the head */
	job->deadline = deadline;
	job->left = amount;
	job->due = due;
	list_insert(&job->link, before, before->next);
	return 0;
}

void torc_deadline_progress(struct torc_deadline_job *handle, uint64_t units)
{
	struct deadline_job *job = job_of(handle);

	MISUSE(!job->deadline, "the job is not declared, or it is over");
	check_core(job->deadline, __func__);
	if (units > job->left)
		units = job->left;
	job->left -= units;
	job->deadline->processed += units;
}

void torc_deadline_done(struct torc_deadline_job *handle)
{
	struct deadline_job *job = job_of(handle);
	struct torc_deadline *deadline = job->deadline;

	if (!deadline)
		return;
	check_core(deadline, __func__);
	list_unlink(&job->link);
	memset(handle, 0, sizeof *handle);
	if (list_empty(&deadline->jobs))
		begin_with(deadline, deadline->least);
}
