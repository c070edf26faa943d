/* deadline_queue.h - a task queue that gets as much of the core as it needs to have its work done in time, and no more.
 *
 * Work is declared as jobs: an amount, in any unit that all jobs of one queue share (bytes, rows), and the instant by
 * which it is to be done. Fibers of the queue (torc_scope_options.queue) do the work and report how far they are. Every
 * quarter of a second the speed that was reached since the last time is compared with the speed that is needed, and the
 * queue's shares follow: four times as many at most, half of them at least. The speed needed is that which has all jobs
 * done a quarter of a second early, those with the nearer deadlines first. A job that has come closer than that, or is
 * late, asks for the most; while nothing is declared there are the least.
 *
 * It is a control loop: it wants deadlines of some seconds or more, progress reported many times a second, and work that
 * lacks the core rather than, say, the disk. Deadlines are aimed at, not guaranteed, and nobody is cancelled for being
 * late. The idea is that of Glommio's DeadlineQueue (2020). */
#ifndef TORC_DEADLINE_QUEUE_H
#define TORC_DEADLINE_QUEUE_H

#include <torc/base.h>
#include <torc/queue.h>
#include <torc/time.h>

TORC_BEGIN

struct torc_deadline;

struct torc_deadline_options {
	size_t size;         /* TORC_OPTIONS fills it in                                      */
	const char *name;    /* as of torc_queue_options; default "deadline"                  */
	torc_ns latency;     /* as of torc_queue_options                                      */
	unsigned min_shares; /* 1 to 1000; default 1: what the queue has while nothing is due */
	unsigned max_shares; /* 1 to 1000, min_shares or more; default 1000                   */
};

/* A new queue of this core's executor, steered by what is declared. Returns 0; -EINVAL for an option out of range;
 * -ENOMEM. It must be freed before torc_run ends. */
TORC_API int torc_deadline_new(struct torc_deadline **deadline,
                               const struct torc_deadline_options *options) TORC_LOCAL TORC_MUST;

/* Remove it and its queue. Returns 0; -EBUSY while jobs are declared, and as torc_queue_free. NULL is harmless. */
TORC_API int torc_deadline_free(struct torc_deadline *deadline) TORC_LOCAL;

/* The queue, for scopes. It goes with the controller: never torc_queue_free it. Shares that torc_queue_set_shares gives
 * it last until the next adjustment. */
TORC_API struct torc_queue *torc_deadline_queue(const struct torc_deadline *deadline) TORC_LOCAL;

/* One job. The memory is the caller's and must stay where it is while the job is declared. Zeroed it is no job. */
struct torc_deadline_job {
	void *private_[8];
};

/* Declare a job of `amount` units, all of them still to be done, that is due at the instant `due`; one that has passed is
 * as urgent as can be. The first job of an idle queue begins with 100 shares, as far as min_shares and max_shares allow.
 * `job` must not be declared already. Returns 0; -EINVAL for an amount of 0, or an instant of 0. */
TORC_API int torc_deadline_add(struct torc_deadline *deadline, struct torc_deadline_job *job, uint64_t amount,
                               torc_ns due) TORC_LOCAL TORC_MUST;

/* So many units more have been done. What exceeds the amount that was declared does not count. Costs a few nanoseconds.
 * The job must be declared. */
TORC_API void torc_deadline_progress(struct torc_deadline_job *job, uint64_t units) TORC_LOCAL;

/* The job is over, finished or given up. Zeroes it; harmless for what is no job, so that it fits TORC_CLEANUP. */
TORC_API void torc_deadline_done(struct torc_deadline_job *job) TORC_LOCAL;

TORC_END
#endif
