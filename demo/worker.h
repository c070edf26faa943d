/* worker.h - a thread that is in torc_cores_run: how the demo starts its server and its load beside the page, and how it
 * reaches into them. */
#ifndef DEMO_WORKER_H
#define DEMO_WORKER_H

#include <torc.h>

#include <pthread.h>
#include <stdatomic.h>

struct worker {
	const char *name;
	torc_fn *fn;
	void *arg;
	unsigned cores;
	enum torc_placement placement;
	char cpus[1024]; /* as in torc_cores_options; "": all */

	pthread_t thread;
	bool started; /* the starter's own note */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct torc_remote *remote; /* of its first core; NULL before, and for ever if it could not begin */
	bool running;
	_Atomic bool ended;
	int result; /* what torc_cores_run returned; to be read after the join */
};

/* Begin, and wait until it runs or has failed. Returns 0 or -errno of pthread_create(3). */
int worker_start(struct worker *worker);

/* Has torc_cores_run returned? From any thread. */
bool worker_ended(struct worker *worker);

/* Run fn(arg) on its first core, which should make it end; then wait for that and return its result, or the error of
 * torc_cores_run. 0 if it was never started. */
int worker_stop(struct worker *worker, torc_fn *fn, void *arg);

#endif
