#include "reactor/reactor.h"

#include "machine/clock.h"

#include <stdlib.h>

enum { POLLED_ENTRIES = 256 };

/* A cancellation that missed is tried again at once, nearly; one that goes on missing is for something that takes its
 * time and can't be cancelled, a disk. */
static const int64_t retry_first_ns = 20000, retry_most_ns = 10000000;

static void retry(struct timer *timer)
{
	struct reactor *reactor = container_of(timer, struct reactor, retry);

	if (list_empty(&reactor->ring.queue.retries))
		reactor->retry_after_ns = retry_first_ns; /* what was waited for has answered */
	sleepable_ring_retry(&reactor->ring);
}

static void see_to_retries(struct reactor *reactor)
{
	if (timer_pending(&reactor->retry))
		return;
	timers_add(&reactor->timers, &reactor->retry, clock_now() + reactor->retry_after_ns);
	reactor->retry_after_ns *= 2;
	if (reactor->retry_after_ns > retry_most_ns)
		reactor->retry_after_ns = retry_most_ns;
}

int reactor_open(struct reactor *reactor, const struct reactor_options *options)
{
	const struct uring_machine *machine = options->machine ? options->machine : &uring_kernel;

	timers_init(&reactor->timers, clock_now());
	timer_init(&reactor->retry, retry);
	reactor->retry_after_ns = retry_first_ns;
	reactor->turns = 0;
	reactor->polled = NULL;
	reactor->polled_machine = options->polled_machine ? options->polled_machine : &uring_kernel_polled;
	return sleepable_ring_open(&reactor->ring, machine, options->name, options->sq_entries, options->cq_entries);
}

void reactor_close(struct reactor *reactor)
{
	timers_remove(&reactor->timers, &reactor->retry);
	ASSERT(reactor->timers.count == 0);
	sleepable_ring_close(&reactor->ring);
	if (reactor->polled)
		sleepable_ring_close(reactor->polled);
	free(reactor->polled);
}

struct sleepable_ring *reactor_polled(struct reactor *reactor)
{
	struct sleepable_ring *ring;

	if (reactor->polled)
		return reactor->polled;
	ring = malloc(sizeof *ring);
	if (!ring)
		return NULL;
	if (sleepable_ring_open(ring, reactor->polled_machine, reactor->ring.name, POLLED_ENTRIES, 4 * POLLED_ENTRIES) <
	    0) {
		free(ring);
		return NULL;
	}
	reactor->polled = ring;
	return ring;
}

void reactor_turn(struct reactor *reactor, bool wait, int64_t no_later)
{
	int64_t deadline = wait ? timers_next(&reactor->timers) : INT64_MAX;
	bool polls = reactor_polls(reactor);

	wait = wait && !polls;
	reactor_count_turn(reactor);
	sleepable_ring_turn(&reactor->ring, wait, deadline < no_later ? deadline : no_later);
	if (unlikely(polls))
		sleepable_ring_poll(reactor->polled);
	if (unlikely(!list_empty(&reactor->ring.queue.retries)))
		see_to_retries(reactor);
	if (reactor->timers.count > 0)
		timers_advance(&reactor->timers, clock_now());
}
