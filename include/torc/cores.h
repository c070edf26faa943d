/* cores.h - one executor per core, and calls between them. Nothing is shared between cores but messages: a fiber, a
 * scope, a queue or a parked handle belongs to the core that made it. */
#ifndef TORC_CORES_H
#define TORC_CORES_H

#include <torc/base.h>
#include <torc/run.h>

TORC_BEGIN

/* Which CPUs the executors get, of those that .cpus names or, without it, those that the calling thread may use. */
enum torc_placement {
	TORC_UNBOUND, /* none of their own: the scheduler of the kernel moves them                          */
	TORC_FENCED,  /* each may run on any CPU of the set, and on no other                                */
	TORC_SPREAD,  /* one CPU each: different NUMA nodes, packages and physical cores first, then siblings */
	TORC_PACK,    /* one CPU each: siblings first, then neighbours                                      */
	TORC_FIXED,   /* one CPU each, in the order in which .cpus names them                               */
};

struct torc_cores_options {
	size_t size;                        /* TORC_OPTIONS fills it in                                            */
	unsigned count;                     /* executors, at most 256; 0: one for each CPU of the set              */
	enum torc_placement placement;      /* default TORC_UNBOUND                                                */
	const char *cpus;                   /* "0-3,8": numbers and ranges as in cpuset(7); NULL or "all": what the
	                                  calling thread may use                                              */
	bool stop_on_signals;               /* SIGINT and SIGTERM cancel every core's root scope                   */
	int *results;                       /* NULL, or room for `count` results, in order of cores                */
	const struct torc_run_options *run; /* of each executor; NULL: defaults                               */
};

/* Run fn(arg) as the first fiber on every core, each on a thread of its own, and return when all have ended: 0, or the
 * first failure in order of cores; -ECANCELED, as of a core that obeyed, only where no other is to be told. A core that
 * fails cancels the others' root scopes. A core whose first fiber has returned goes on serving torc_on until all have.
 * All or nothing: where one executor can't start no fn has run, and the error of torc_run is returned. Affinity is set
 * before a thread touches memory of its own. -EINVAL: an option out of range, a CPU that does not exist or is not
 * allowed, more executors than CPUs where each is to have one; -EBUSY inside a run. sched_setaffinity(2) */
TORC_API int torc_cores_run(const struct torc_cores_options *options, torc_fn *fn, void *arg) TORC_ANYWHERE TORC_MUST;

/* This core's number, from 0, and how many there are; 0 and 1 inside a plain torc_run. */
TORC_API unsigned torc_core(void) TORC_LOCAL;
TORC_API unsigned torc_core_count(void) TORC_LOCAL;

/* Which core answers for a key: the same for the same key and number of cores, spread evenly. */
TORC_API unsigned torc_core_of(uint64_t key) TORC_LOCAL;

/* Run fn(arg) as a fiber of another core (or of this one) and return what it returns. The caller is parked meanwhile, so
 * the argument may lie on its stack. If the caller is cancelled so is the call, and its end is awaited all the same. Nothing
 * else cancels it: under a shield (scope.h) it goes on, and may begin, when the cores are told to stop.
 * Also returns -EINVAL for a core that does not exist; -ENOMEM where no stack is to be had there; -ECANCELED, -ETIME. */
TORC_API int torc_on(unsigned core, torc_fn *fn, void *arg) TORC_PARKS TORC_MUST;

/* Run fn on another core and do not wait: `value` (at most half a stack) is moved there and zeroed here, on success
 * only; fn gets its address. A core that sleeps is woken when the caller parks or yields next (torc_need_yield in queue.h),
 * one call of the kernel for all that was posted since. What fn returns below 0 fails that core, as does the want of a stack
 * for it there. Returns 0, -EINVAL, -E2BIG, -ENOMEM. */
#define torc_post(core, fn, lvalue) torc_post_sized((core), (fn), &(lvalue), sizeof(lvalue))
TORC_API int torc_post_sized(unsigned core, torc_fn *fn, void *value, size_t size) TORC_LOCAL TORC_MUST;

/* A way in for threads that are no executors: what torc_remote_new() makes may be used on any thread while the executor
 * runs, and refuses with -ESHUTDOWN afterwards, until it is freed: when every call on it has returned, on any thread. In the
 * child of a fork(2) it refuses, too. */
struct torc_remote;
TORC_API int torc_remote_new(struct torc_remote **remote) TORC_LOCAL TORC_MUST; /* 0, -ENOMEM */
TORC_API void torc_remote_free(struct torc_remote *remote) TORC_ANYWHERE;

/* Run fn(arg) as a fiber of the remote's core, and block the calling thread until it returns. Returns what it returns;
 * -ESHUTDOWN if the run has ended, or ends before fn began: it lasts until what has begun is over; -ENOMEM. Not in a
 * fiber of that core: -EDEADLK. */
TORC_API int torc_remote_call(struct torc_remote *remote, torc_fn *fn, void *arg) TORC_ANYWHERE TORC_MUST;

/* As torc_post: `value` is moved, and nobody waits. One that arrives when the run is ending is dropped, for that can't be
 * told any more. 0, -ESHUTDOWN, -ENOMEM, -E2BIG. */
TORC_API int torc_remote_post_sized(struct torc_remote *remote, torc_fn *fn, void *value,
                                    size_t size) TORC_ANYWHERE TORC_MUST;
#define torc_remote_post(remote, fn, lvalue) torc_remote_post_sized((remote), (fn), &(lvalue), sizeof(lvalue))

TORC_END
#endif
