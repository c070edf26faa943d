/*
 * yield: what does the scheduler add to the bare switch of stacks?
 *
 * torc_yield among 2 ... 1,000 fibers in the order in which they were spawned, and among 10,000 in random order. The
 * yardstick: as many contexts in records, stacks and slots of the same kind (stack_take, fiber_make), each of which
 * does nothing but context_switch to the next one; in the same order.
 *
 * Needs: libtorc's internals.
 */
#include "fibers.h"

#define SWITCHES 500000u
#define ROUNDS   21u

struct pattern {
	const char *title;
	unsigned count;
	bool shuffled;
};

static const struct pattern patterns[] = {
	{ "yield: 2 fibers", 2, false },
	{ "yield: 10 fibers", 10, false },
	{ "yield: 100 fibers", 100, false },
	{ "yield: 1,000 fibers", 1000, false },
	{ "yield: 10,000 fibers in random order", 10000, true },
};

struct side {
	unsigned count;
	unsigned *order; /* NULL: as spawned */
	uint64_t rounds;
};

/* ---- bare ---- */

static void bare_yields(struct bench_lap *lap, void *arg)
{
	const struct side *side = arg;

	bare_run(lap, side->count, side->order, side->rounds);
}

/* ---- torc ---- */

static void yield_often(struct crowd *crowd, unsigned self)
{
	uint64_t rounds = crowd->ops / crowd->count;

	(void)self;
	while (rounds--)
		torc_yield();
}

static void torc_yields(struct bench_lap *lap, void *arg)
{
	const struct side *side = arg;
	struct crowd crowd = {
		.count = side->count,
		.order = side->order,
		.body = yield_often,
		.ops = side->rounds * side->count,
	};

	crowd_run(lap, &crowd);
}

static void compare(const struct pattern *pattern)
{
	struct side side = {
		.count = pattern->count,
		.order = pattern->shuffled ? bench_permutation(pattern->count) : NULL,
		.rounds = SWITCHES / pattern->count,
	};
	const struct bench_contender contenders[] = {
		{ .name = "context_switch in a loop", .run = bare_yields, .arg = &side, .yardstick = true },
		{ .name = "torc_yield", .run = torc_yields, .arg = &side },
	};

	bench_interleave(pattern->title, contenders, sizeof contenders / sizeof *contenders, ROUNDS);
	free(side.order);
}

int main(void)
{
	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
		compare(&patterns[i]);
	return 0;
}
