/*
 * fibers.h: a crowd of torc's fibers for a benchmark: all are begun, their stacks touched, and parked; then they are
 * made ready in an order of the benchmark's choice and run a body each. The clock runs from the first of them that is
 * resumed to the first that is through: the rest follow it in the order of the queue, so by then each has done its
 * share, and neither spawning nor joining is measured.
 *
 * Needs libtorc's internals.
 */
#ifndef BENCH_FIBERS_H
#define BENCH_FIBERS_H

#include "cores/run.h"
#include "executor/wait.h"

#include "bench.h"

struct crowd {
	unsigned count;
	const unsigned *order; /* who is woken first, second ...; NULL: as they were spawned */
	void (*body)(struct crowd *crowd, unsigned self);
	uint64_t ops; /* of all bodies together */
	unsigned ring_entries;
	torc_ns stall_limit;
	struct bench_lap *lap;
	/* private */
	struct fiber **members;
	struct crowd_seat *seats;
	unsigned parked, resumed, through;
};

struct crowd_seat {
	struct crowd *crowd;
	unsigned self;
};

static inline int crowd_member(void *arg)
{
	const struct crowd_seat *seat = arg;
	struct crowd *crowd = seat->crowd;
	struct executor *executor = executor_self;
	struct wait wait = { NULL, executor->running, "the start of a benchmark" };

	crowd->members[seat->self] = executor->running;
	crowd->parked++;
	wait_park(executor, &wait);
	if (crowd->resumed++ == 0)
		bench_begin(crowd->lap);
	crowd->body(crowd, seat->self);
	if (crowd->through++ == 0)
		bench_end(crowd->lap, crowd->ops);
	return 0;
}

static inline int crowd_main(void *arg)
{
	struct crowd *crowd = arg;

	TORC_SCOPE(scope);
	for (unsigned i = 0; i < crowd->count; i++) {
		crowd->seats[i] = (struct crowd_seat){ crowd, i };
		if (torc_go(scope, crowd_member, &crowd->seats[i]) < 0)
			bench_die("no memory for the fibers");
	}
	while (crowd->parked < crowd->count)
		torc_yield();
	for (unsigned i = 0; i < crowd->count; i++)
		waker_wake(crowd->members[crowd->order ? crowd->order[i] : i]);
	return torc_scope_join(scope);
}

/* One lap: an executor, the crowd, and its end. */
static inline void crowd_run(struct bench_lap *lap, struct crowd *crowd)
{
	crowd->lap = lap;
	crowd->parked = crowd->resumed = crowd->through = 0;
	crowd->members = calloc(crowd->count, sizeof *crowd->members);
	crowd->seats = calloc(crowd->count, sizeof *crowd->seats);
	if (!crowd->members || !crowd->seats ||
	    torc_run(TORC_OPTIONS(torc_run_options, .ring_entries = crowd->ring_entries,
	                          .stall_limit = crowd->stall_limit),
	             crowd_main, crowd) < 0)
		bench_die("no crowd");
	free(crowd->members);
	free(crowd->seats);
}

/* ---- the yardstick: contexts in records, stacks and slots as fibers have them, that do nothing but switch ---- */

static inline void bare_main(void *arg)
{
	struct fiber *self = arg;

	for (;;) /* ends with the program's last switch to another */
		context_switch(&self->context, &self->next->context);
}

/* Links them in the given order into a ring. `own`, the program's stack, is one of them, the last to be numbered. */
static inline void bare_ring(struct stack_pool *pool, struct fiber *own, unsigned count, const unsigned *order)
{
	struct fiber **fibers = calloc(count, sizeof *fibers), *last = own;
	unsigned others = count - 1;

	if (!fibers)
		bench_die("no memory");
	for (unsigned i = 0; i < others; i++) {
		char *slot = stack_take(pool);

		if (!slot)
			bench_die("no memory for the stacks");
		fibers[i] = fiber_make(slot, pool->slot_size, pool->guard_size, 0, bare_main);
	}
	for (unsigned i = 0; i < count; i++) {
		unsigned next = order ? order[i] : i;

		if (next == others) /* in whose place the own one stands */
			continue;
		last->next = fibers[next];
		last = fibers[next];
	}
	last->next = own;
	free(fibers);
}

static __attribute__((noinline, unused)) void bare_rounds(struct fiber *own, uint64_t rounds)
{
	while (rounds--)
		context_switch(&own->context, &own->next->context);
}

/* One lap: a ring of `count`, `rounds` times around. */
static inline void bare_run(struct bench_lap *lap, unsigned count, const unsigned *order, uint64_t rounds)
{
	struct stack_pool pool;
	struct fiber own;

	stack_pool_open(&pool, 64 << 10);
	bare_ring(&pool, &own, count, order);
	bare_rounds(&own, 1);
	bench_begin(lap);
	bare_rounds(&own, rounds);
	bench_end(lap, rounds * count);
	stack_pool_close(&pool);
}

/* A permutation of 0 ... count - 1, always the same. To be freed. */
static inline unsigned *bench_permutation(unsigned count)
{
	unsigned *order = calloc(count, sizeof *order);
	uint64_t seed = 1;

	if (!order)
		bench_die("no memory");
	for (unsigned i = 0; i < count; i++)
		order[i] = i;
	for (unsigned i = count - 1; i > 0; i--) {
		unsigned j = (unsigned)(bench_random(&seed) % (i + 1)), tmp = order[i];

		order[i] = order[j];
		order[j] = tmp;
	}
	return order;
}

#endif
