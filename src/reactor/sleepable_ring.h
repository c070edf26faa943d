/* sleepable_ring - owns the io_uring instance, what of it is in the kernel, and the ReactorQueue of what must wait for
 * room. Relies on uring and source_map. Keeps: requests in the kernel and cancellations in the kernel are together no
 * more than the completion queue holds, so it never overflows by our doing; nothing is dropped, nothing allocates. */
#ifndef TORC_SRC_SLEEPABLE_RING_H
#define TORC_SRC_SLEEPABLE_RING_H

#include "machine/uring.h"
#include "reactor/source_map.h"

/* The ReactorQueue: sources whose submission, or whose cancellation, waits for room. Linked through the sources. */
struct reactor_queue {
	struct list submissions;
	struct list cancellations;
	struct list retries; /* cancellations that found nothing to cancel */
	unsigned count;      /* of submissions */
};

struct sleepable_ring {
	struct uring uring;
	unsigned in_kernel; /* sources; each has an id in the map */
	unsigned limit;     /* of in_kernel */
	unsigned cancels_in_kernel;
	unsigned cancels_limit;
	struct source_map map;
	struct reactor_queue queue;
	const char *name;
	uint64_t submissions, completions, cancellations;
};

int sleepable_ring_open(struct sleepable_ring *ring, const struct uring_machine *machine, const char *name,
                        unsigned sq_entries, unsigned cq_entries);

/* Nothing may be in flight. */
void sleepable_ring_close(struct sleepable_ring *ring);

/* Make room in a full submission queue by handing it over now. False: the kernel takes nothing at present. */
bool sleepable_ring_flush(struct sleepable_ring *ring);

/* The same where there was no room at first. */
struct io_uring_sqe *sleepable_ring_sqe_aside(struct sleepable_ring *ring, struct source *source)
	__attribute__((noinline, cold));

/* Where to write the request for `source`: into the ring, or aside if it has to wait for room. To be filled in whole
 * and given to sleepable_ring_submit before anything else is asked of the ring. */
static inline struct io_uring_sqe *sleepable_ring_sqe(struct sleepable_ring *ring, struct source *source)
{
	if (likely(ring->in_kernel < ring->limit && ring->queue.count == 0)) {
		struct io_uring_sqe *sqe = uring_next(&ring->uring);

		if (likely(sqe))
			return sqe;
	}
	return sleepable_ring_sqe_aside(ring, source);
}

static inline void sleepable_ring_submit(struct sleepable_ring *ring, struct source *source, struct io_uring_sqe *sqe)
{
	if (unlikely(sqe == &source->deferred)) {
		list_append(&ring->queue.submissions, &source->inner.link);
		ring->queue.count++;
		return;
	}
	source->inner.id = source_map_add(&ring->map, &source->inner);
	sqe->user_data = source->inner.id;
	ring->in_kernel++;
	ring->submissions++;
}

/* Ask for the source's end; its answer still comes, -ECANCELED or what it was in time for. A second time: nothing.
 *
 * The kernel may miss: a request is in no list of its while it travels from one to another - one whose poll was ready at
 * once, say, is work for later, and may then arm its poll again - and ASYNC_CANCEL says -ENOENT, or -EALREADY. So as
 * long as the source has not answered the cancellation is tried again (queue.retries, sleepable_ring_retry). */
void sleepable_ring_cancel(struct sleepable_ring *ring, struct inner_source *source);

/* Let the cancellations that failed be tried again. */
void sleepable_ring_retry(struct sleepable_ring *ring);

/* Cancel whatever is in flight or waits to be. */
void sleepable_ring_cancel_all(struct sleepable_ring *ring);

static inline bool sleepable_ring_busy(const struct sleepable_ring *ring)
{
	return ring->in_kernel > 0 || ring->cancels_in_kernel > 0 || ring->queue.count > 0;
}

/* Write a request that wakes the executor behind another ring. False: no room, or the kernel has none; ring otherwise. */
bool sleepable_ring_bell(struct sleepable_ring *ring, struct sleepable_ring *sleeper);

static inline bool sleepable_ring_has_answers(const struct sleepable_ring *ring)
{
	return uring_answers(&ring->uring) > 0 || uring_withholds(&ring->uring);
}

/* Nothing to hand over, to take or to fetch. */
static inline bool sleepable_ring_quiet(const struct sleepable_ring *ring)
{
	return uring_unsubmitted(&ring->uring) == 0 && !sleepable_ring_has_answers(ring) && ring->queue.count == 0 &&
	       list_empty(&ring->queue.cancellations);
}

/* Move what waits for room into the ring, as far as there is room. */
void sleepable_ring_drain(struct sleepable_ring *ring);

/* Hand over what was submitted, take the answers that are there, fire their wakers; wait for one if `wait`, until
 * `deadline`. At most one system call; none if there is nothing to hand over, to wait for or to fetch. */
void sleepable_ring_turn(struct sleepable_ring *ring, bool wait, int64_t deadline);

/* The same of a polled ring, where answers come only if looked for: one system call, which never waits. */
void sleepable_ring_poll(struct sleepable_ring *ring);

#endif
