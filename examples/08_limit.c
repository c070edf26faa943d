/* limit - many jobs, few at a time: a scope with .limit parks whoever spawns while it is full. And the counters of an
 * executor.
 * Try it: 08_limit, or 08_limit JOBS LIMIT */
#include <torc.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
	struct torc_scope *scope;
	unsigned *most;
	int number;
};

/* Stands for work that waits: a request to another server. Job 7 fails. */
static int work(void *arg)
{
	struct job *job = arg; /* a copy of our own: torc_give */
	unsigned live = torc_scope_live(job->scope);
	int r = torc_sleep(2 * TORC_MS);

	if (live > *job->most)
		*job->most = live;
	return r < 0 ? r : job->number == 7 ? -EIO : 0;
}

static int run(void *arg)
{
	char **args = arg;
	int jobs = args[0] ? atoi(args[0]) : 100, limit = args[0] && args[1] ? atoi(args[1]) : 10, r = 0;
	struct torc_stats stats = { .size = sizeof stats };
	torc_ns begin = torc_now();
	unsigned most = 0;

	if (limit < 1)
		return -EINVAL;

	TORC_SCOPE(works, .until = TORC_ALL_DONE, .limit = (unsigned)limit);
	for (int i = 0; i < jobs && r == 0; i++) {
		struct job job = { works, &most, i };

		r = torc_give(works, work, job); /* parks while `limit` of them live */
	}
	if (r < 0)
		return r;
	r = torc_scope_join(works); /* nobody cancelled anybody, and the failure is not lost */
	printf("%d jobs, %u at once at most, outcome: %s\n", jobs, most, strerror(-r));
	printf("took at least %d rounds of 2 ms: %s\n", jobs / limit,
	       torc_now() - begin >= jobs / limit * 2 * TORC_MS ? "yes" : "no");

	r = torc_stats_get(&stats);
	printf("fibers begun: %llu, alive now: %llu\n", (unsigned long long)stats.spawned,
	       (unsigned long long)stats.fibers);
	fprintf(stderr, "turns of the reactor: %llu, system calls for them: %llu\n", (unsigned long long)stats.turns,
	        (unsigned long long)stats.enters);
	return r;
}

int main(int argc, char **argv)
{
	return torc_run(NULL, run, argv + (argc > 0)) < 0;
}
