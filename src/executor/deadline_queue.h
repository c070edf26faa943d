/* deadline_queue - shares that follow deadlines: torc/deadline_queue.h as the .adjust of a task queue.
 * Relies on queue. Keeps: jobs stand in the order of their deadlines. */
#ifndef TORC_SRC_DEADLINE_QUEUE_H
#define TORC_SRC_DEADLINE_QUEUE_H

#include "base/list.h"
#include "executor/queue.h"

#include <torc/deadline_queue.h>

struct torc_deadline {
	struct executor *executor;
	struct torc_queue *queue;
	struct list jobs; /* the nearest deadline first */
	unsigned least, most;
	double shares;      /* with what a whole number leaves out */
	uint64_t processed; /* units of all jobs, */
	int64_t since;      /* since then */
};

struct deadline_job {
	struct list link;
	struct torc_deadline *deadline; /* NULL: it is not declared */
	uint64_t left;
	int64_t due;
};

#endif
