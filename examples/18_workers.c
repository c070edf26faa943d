/* workers - a pool of workers that take jobs from one list. Some jobs kill their worker; a supervisor starts it again, until
 * that happens too often. Arguments: how many jobs, and how many restarts within a second are borne.
 * Try it: 18_workers, then 18_workers 30 2 */
#include <torc.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 4 };

/* All on one core, so nobody locks. */
struct pool {
	int next, jobs, done, lost;
};

/* A worker. 0: no job is left; below 0: a job was too much for it. */
static int work(void *arg)
{
	struct pool *pool = arg;

	while (pool->next < pool->jobs) {
		int job = pool->next++, r = torc_sleep(TORC_MS); /* the work */

		if (r < 0)
			return r; /* we are stopped */
		if (job % 7 == 3) {
			pool->lost++;
			return -EIO;
		}
		pool->done++;
	}
	return 0;
}

static int run(void *arg)
{
	char **args = arg;
	struct pool pool = { .jobs = args[0] ? atoi(args[0]) : 30 };
	unsigned bearable = args[0] && args[1] ? (unsigned)atoi(args[1]) : 10, restarts = 0;
	struct torc_child workers[WORKERS];
	int r;

	for (int i = 0; i < WORKERS; i++)
		workers[i] =
			(struct torc_child){ .fn = work, .arg = &pool, .name = "worker", .restart = TORC_TRANSIENT };
	r = torc_supervise(workers, WORKERS,
	                   TORC_OPTIONS(torc_supervise_options, .restarts = bearable, .window = TORC_SEC,
	                                .backoff = TORC_MS, .backoff_most = 20 * TORC_MS, .jitter = 50));
	for (int i = 0; i < WORKERS; i++)
		restarts += workers[i].restarts;
	if (r == 0)
		printf("%d jobs done, %d lost, workers started again: %u\n", pool.done, pool.lost, restarts);
	else
		printf("gave up after %u restarts: %s\n", restarts, strerror(-r));
	return r;
}

int main(int argc, char **argv)
{
	return torc_run(NULL, run, argv + (argc > 0)) < 0;
}
