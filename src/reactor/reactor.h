/* reactor - one per executor: creates sources, registers interest, waits. Relies on sleepable_ring and timers.
 * Keeps: a turn makes at most one system call, which submits, waits until the next deadline and reaps. */
#ifndef TORC_SRC_REACTOR_H
#define TORC_SRC_REACTOR_H

#include "reactor/sleepable_ring.h"
#include "reactor/timers.h"

struct reactor {
	struct sleepable_ring ring;
	struct timers timers;
	struct timer retry; /* of cancellations that the kernel missed */
	int64_t retry_after_ns;
	uint64_t turns;
	struct sleepable_ring *polled; /* for devices with poll queues; NULL: nothing was asked of any so far */
	const struct uring_machine *polled_machine;
};

struct reactor_options {
	const struct uring_machine *machine, *polled_machine; /* NULL: the kernel's */
	const char *name;
	unsigned sq_entries, cq_entries;
};

int reactor_open(struct reactor *reactor, const struct reactor_options *options);
void reactor_close(struct reactor *reactor);

/* The second ring, made when it is first asked for; NULL: it is not to be had. */
struct sleepable_ring *reactor_polled(struct reactor *reactor);

/* Answers have to be looked for: no sleeping. */
static inline bool reactor_polls(const struct reactor *reactor)
{
	return unlikely(reactor->polled) && sleepable_ring_busy(reactor->polled);
}

/* Where to write the request of a source that was initialised; then reactor_submit. */
static inline struct io_uring_sqe *reactor_sqe(struct reactor *reactor, struct source *source)
{
	return sleepable_ring_sqe(&reactor->ring, source);
}

static inline void reactor_submit(struct reactor *reactor, struct source *source, struct io_uring_sqe *sqe)
{
	sleepable_ring_submit(&reactor->ring, source, sqe);
}

/* Hand over now what was submitted: for who goes on computing while it is done. Costs a system call. */
static inline void reactor_flush(struct reactor *reactor)
{
	(void)sleepable_ring_flush(&reactor->ring);
}

static inline void reactor_cancel(struct reactor *reactor, struct source *source)
{
	sleepable_ring_cancel(&reactor->ring, &source->inner);
}

/* A turn that does not wait would do nothing. */
static inline bool reactor_quiet(const struct reactor *reactor)
{
	return reactor->timers.count == 0 && sleepable_ring_quiet(&reactor->ring) && !reactor_polls(reactor);
}

/* The count is read on other threads (cores/watchdog): who reads it sees what was done to fibers before. */
static inline void reactor_publish_turns(struct reactor *reactor, uint64_t turns)
{
	__atomic_store_n(&reactor->turns, turns, __ATOMIC_RELEASE);
}

static inline void reactor_count_turn(struct reactor *reactor)
{
	reactor_publish_turns(reactor, reactor->turns + 1);
}

/* Give and take. With `wait` until something happens: an answer, a deadline, `no_later` (INT64_MAX: open). */
void reactor_turn(struct reactor *reactor, bool wait, int64_t no_later);

#endif
