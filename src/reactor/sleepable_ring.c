#include "reactor/sleepable_ring.h"

#include <errno.h>

/* In the user_data of a cancel request, beside its source's id, whose generation has 31 bits. */
#define CANCEL_BIT (UINT64_C(1) << 63)
/* Of requests without a source: a generation that is never used. */
#define BELL_SENT_ID UINT64_C(3)

enum {
	BELLS = 4,  /* places in the completion queue for being rung */
	AHEAD = 16, /* answers whose frames are fetched together */
};

int sleepable_ring_open(struct sleepable_ring *ring, const struct uring_machine *machine, const char *name,
                        unsigned sq_entries, unsigned cq_entries)
{
	int r = uring_open(&ring->uring, machine, sq_entries, cq_entries);

	if (r < 0)
		return r;
	/* Each request and each cancellation has one place in the completion queue: a sixteenth for the latter. */
	ring->cancels_limit = (uring_cq_entries(&ring->uring) + 15) / 16;
	ring->limit = uring_cq_entries(&ring->uring) - ring->cancels_limit - BELLS;
	r = source_map_open(&ring->map, ring->limit);
	if (r < 0) {
		uring_close(&ring->uring);
		return r;
	}
	ring->name = name;
	ring->in_kernel = ring->cancels_in_kernel = 0;
	ring->submissions = ring->completions = ring->cancellations = 0;
	list_init(&ring->queue.submissions);
	list_init(&ring->queue.cancellations);
	list_init(&ring->queue.retries);
	ring->queue.count = 0;
	return 0;
}

void sleepable_ring_close(struct sleepable_ring *ring)
{
	ASSERT(ring->in_kernel == 0);
	ASSERT(list_empty(&ring->queue.submissions) && list_empty(&ring->queue.cancellations));
	source_map_close(&ring->map);
	uring_close(&ring->uring);
}

struct io_uring_sqe *sleepable_ring_sqe_aside(struct sleepable_ring *ring, struct source *source)
{
	struct io_uring_sqe *sqe = NULL;

	if (ring->in_kernel < ring->limit && ring->queue.count == 0 && sleepable_ring_flush(ring))
		sqe = uring_next(&ring->uring);
	return sqe ? sqe : &source->deferred;
}

bool sleepable_ring_flush(struct sleepable_ring *ring)
{
	/* -EAGAIN, -EBUSY: it stays where it is until the next turn has taken answers. */
	return uring_enter(&ring->uring, false, INT64_MAX) == 0 &&
	       uring_unsubmitted(&ring->uring) < uring_sq_entries(&ring->uring);
}

static bool submit_cancel(struct sleepable_ring *ring, struct inner_source *source)
{
	struct io_uring_sqe *sqe;

	if (ring->cancels_in_kernel >= ring->cancels_limit)
		return false;
	sqe = uring_next(&ring->uring);
	if (!sqe)
		return false;
	uring_prepare(sqe, IORING_OP_ASYNC_CANCEL, -1, NULL, 0);
	sqe->addr = source->id;
	sqe->user_data = source->id | CANCEL_BIT;
	ring->cancels_in_kernel++;
	ring->submissions++;
	ring->cancellations++;
	return true;
}

bool sleepable_ring_bell(struct sleepable_ring *ring, struct sleepable_ring *sleeper)
{
	struct io_uring_sqe request, *sqe;

	if (ring->cancels_in_kernel >= ring->cancels_limit ||
	    !sleeper->uring.machine->bell_request(&request, &sleeper->uring))
		return false;
	sqe = uring_next(&ring->uring);
	if (!sqe)
		return false;
	*sqe = request;
	sqe->user_data = BELL_SENT_ID;
	ring->cancels_in_kernel++;
	ring->submissions++;
	return true;
}

static inline void answer(struct inner_source *source, int result, bool last)
{
	if (unlikely(source->answer))
		source->answer(source, result, last);
	else
		wakers_answer(&source->wakers, result);
}

void sleepable_ring_cancel(struct sleepable_ring *ring, struct inner_source *source)
{
	if (source->id == 0) {
		if (list_empty(&source->link))
			return; /* over already */
		list_remove(&source->link);
		ring->queue.count--;
		answer(source, -ECANCELED, true);
		return;
	}
	if (source->cancelling)
		return;
	source->cancelling = true;
	if (!list_empty(&ring->queue.cancellations) || !submit_cancel(ring, source))
		list_append(&ring->queue.cancellations, &source->link);
}

void sleepable_ring_cancel_all(struct sleepable_ring *ring)
{
	while (!list_empty(&ring->queue.submissions))
		sleepable_ring_cancel(ring, container_of(ring->queue.submissions.next, struct inner_source, link));
	for (uint32_t slot = 0; slot < ring->map.unused; slot++)
		if (ring->map.slots[slot].source)
			sleepable_ring_cancel(ring, ring->map.slots[slot].source);
}

void sleepable_ring_drain(struct sleepable_ring *ring)
{
	struct io_uring_sqe *sqe;

	while (!list_empty(&ring->queue.cancellations)) {
		struct list *first = ring->queue.cancellations.next;

		if (!submit_cancel(ring, container_of(first, struct inner_source, link)))
			return;
		list_remove(first);
	}
	while (ring->queue.count > 0 && ring->in_kernel < ring->limit && (sqe = uring_next(&ring->uring))) {
		struct list *first = list_pop(&ring->queue.submissions);
		struct source *source = container_of(first, struct source, inner.link);

		ring->queue.count--;
		*sqe = source->deferred;
		sleepable_ring_submit(ring, source, sqe);
	}
}

void sleepable_ring_retry(struct sleepable_ring *ring)
{
	struct list *first;

	while ((first = list_pop(&ring->queue.retries)))
		list_append(&ring->queue.cancellations, first);
}

static void cancel_answered(struct sleepable_ring *ring, uint64_t id, int result)
{
	struct inner_source *source = source_map_get(&ring->map, id);

	ring->cancels_in_kernel--;
	if (source && result < 0)
		list_append(&ring->queue.retries, &source->link);
}

/* An answer that is no source's. */
static __attribute__((noinline)) void complete_other(struct sleepable_ring *ring, uint64_t id, int result)
{
	if (id & CANCEL_BIT)
		cancel_answered(ring, id & ~CANCEL_BIT, result);
	else if (id == BELL_SENT_ID)
		ring->cancels_in_kernel--;
	else if (id == URING_EVENTFD_ID)
		ring->uring.listening = false;
	/* else it answers what is over, or is a bell */
}

static inline void complete(struct sleepable_ring *ring, const struct io_uring_cqe *cqe, struct inner_source *source)
{
	bool last = !(cqe->flags & IORING_CQE_F_MORE);

	if (unlikely(!source)) {
		complete_other(ring, cqe->user_data, cqe->res);
		return;
	}
	source->cqe_flags = cqe->flags;
	if (likely(last)) {
		source_map_remove(&ring->map, source->id);
		source->id = 0;
		ring->in_kernel--;
		if (unlikely(source->cancelling))
			list_remove(&source->link); /* if the request for it waits, that has become needless */
	}
	answer(source, cqe->res, last);
}

static void reap(struct sleepable_ring *ring)
{
	const unsigned count = uring_answers(&ring->uring);

	/* What answers wakes fibers; none runs before the loop is through, so nothing else takes answers meanwhile. */
	for (unsigned i = 0; i < count; i++) {
		const struct io_uring_cqe *cqe = uring_answer(&ring->uring, i);

		complete(ring, cqe, source_map_get(&ring->map, cqe->user_data));
	}
	uring_drop(&ring->uring, count);
	ring->completions += count;
}

/* After a drain: does something wait although the kernel could take it, because the submission queue is full? There is
 * room when that is handed over. */
static inline bool is_crowded(const struct sleepable_ring *ring)
{
	return unlikely(ring->queue.count > 0 || !list_empty(&ring->queue.cancellations)) &&
	       uring_unsubmitted(&ring->uring) == uring_sq_entries(&ring->uring);
}

void sleepable_ring_turn(struct sleepable_ring *ring, bool wait, int64_t deadline)
{
	sleepable_ring_drain(ring);
	if (wait && (uring_answers(&ring->uring) > 0 || is_crowded(ring)))
		wait = false;
	if (wait || uring_unsubmitted(&ring->uring) > 0 || uring_withholds(&ring->uring))
		(void)uring_enter(&ring->uring, wait, deadline); /* -EAGAIN, -EBUSY: answers first, then again */
	reap(ring);
}

void sleepable_ring_poll(struct sleepable_ring *ring)
{
	sleepable_ring_drain(ring);
	(void)uring_enter(&ring->uring, false, INT64_MAX);
	reap(ring);
}
