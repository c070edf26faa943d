/* queue.h - task queues: fibers that share one claim on the core; and when to let others run.
 *
 * Each fiber belongs to a task queue: that of the fiber that opened its scope, unless the scope names another
 * (scope.h, .queue). Queues with something to run get the core in proportion to their shares; inside a queue fibers
 * run first in, first out. A queue that had nothing to run gets no credit for that. Scheduling is cooperative: a fiber
 * that computes for long should ask torc_need_yield() now and then. */
#ifndef TORC_QUEUE_H
#define TORC_QUEUE_H

#include <torc/base.h>
#include <torc/time.h>

TORC_BEGIN

struct torc_queue;

/* Asked every quarter of a second while the queue has something to run, for its shares from now on (cut to 1..1000).
 * Must not park. */
typedef unsigned torc_shares_fn(struct torc_queue *queue, void *arg);

struct torc_queue_options {
	size_t size;            /* TORC_OPTIONS fills it in                                                        */
	const char *name;       /* in statistics and diagnoses; kept, not copied; default "queue"                  */
	unsigned shares;        /* 1 to 1000; default 100, which the executor's first queue has as well            */
	torc_ns latency;        /* while this queue exists no fiber of any queue is to run for longer than this without
	                           being asked to yield (torc_need_yield), and when it is this queue's turn by
	                           shares it does not wait for the end of another's slice. 0: no bound; at least 10 us */
	torc_shares_fn *adjust; /* NULL: shares stay as they are                                                   */
	void *arg;              /* its argument                                                                    */
	torc_ns stall_limit;    /* a fiber of this queue that runs for longer without a parking call is reported
	                           (watchdog.h); 0: as .stall_limit of the run says; below 0: never; at least 1 ms  */
};

/* A new queue of this core's executor. Returns 0; -EINVAL for an option out of range; -ENOMEM. Queues that are not freed
 * end with torc_run. */
TORC_API int torc_queue_new(struct torc_queue **queue, const struct torc_queue_options *options) TORC_LOCAL TORC_MUST;

/* Remove it. Returns 0; -EBUSY while fibers of it are alive or scopes that name it are open, and for the first queue.
 * NULL is harmless. */
TORC_API int torc_queue_free(struct torc_queue *queue) TORC_LOCAL;

/* The queue that the calling fiber belongs to. */
TORC_API struct torc_queue *torc_queue_current(void) TORC_LOCAL;

TORC_API const char *torc_queue_name(const struct torc_queue *queue) TORC_LOCAL;
TORC_API unsigned torc_queue_shares(const struct torc_queue *queue) TORC_LOCAL;

/* Takes effect with the next choice of a queue. Returns 0; -EINVAL for shares out of range. */
TORC_API int torc_queue_set_shares(struct torc_queue *queue, unsigned shares) TORC_LOCAL;

/* How long its fibers have run altogether, in ns. Counted while there is more than one queue; what takes more than a second
 * at once, as when the process is stopped meanwhile, counts as one. */
TORC_API uint64_t torc_queue_used(const struct torc_queue *queue) TORC_LOCAL;

/* What fibers of a queue asked of devices (device.h), all together. */
struct torc_queue_io {
	size_t size;            /* set it to sizeof this struct before the call */
	uint64_t reads, writes; /* requests                                     */
	uint64_t read_bytes, written_bytes;
	uint64_t waits; /* of them, those that had to wait for their turn */
	torc_ns waited; /* how long altogether                            */
};

/* Fill in as much of *io as its size says and this version knows. Returns 0; -EINVAL if the size is none. */
TORC_API int torc_queue_io_get(struct torc_queue_io *io, const struct torc_queue *queue) TORC_LOCAL;

/* Yield if torc_need_yield() says so. Returns whether it did. */
TORC_API bool torc_yield_if_needed(void) TORC_PARKS;

/* What torc_need_yield() looks at. */
struct torc_preempt_ {
	const unsigned *ring;  /* the kernel's flags: completions wait */
	const uint64_t *mail;  /* not 0: another core wants something  */
	uint32_t since, slice; /* in ticks of the processor's counter  */
};
extern TORC_API __thread struct torc_preempt_ torc_preempt_ __attribute__((tls_model("initial-exec")));

static inline uint32_t torc_ticks_(void)
{
#if defined(__x86_64__)
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return low;
#elif defined(__aarch64__)
	uint64_t ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return (uint32_t)ticks;
#endif
}

/* Should a fiber that computes let others run? True once its time slice (1 ms, or the smallest latency bound of any
 * queue) is over, and when completions (where the feature defer_taskrun is on) or messages of other cores wait. A few
 * nanoseconds; no call. Anywhere else than in a fiber: false. */
static inline bool torc_need_yield(void) TORC_ANYWHERE;
static inline bool torc_need_yield(void)
{
	/* IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN */
	if (__builtin_expect((__atomic_load_n(torc_preempt_.ring, __ATOMIC_RELAXED) & 6) != 0, 0) ||
	    __builtin_expect(__atomic_load_n(torc_preempt_.mail, __ATOMIC_RELAXED) != 0, 0))
		return true;
	return __builtin_expect(torc_ticks_() - torc_preempt_.since > torc_preempt_.slice, 0);
}

TORC_END
#endif
