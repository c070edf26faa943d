/* shared_event_model - fibers wait for a shared event that is set and reset, and are cancelled, at random. The kernel lets
 * them go in its own time, so the reference is a bound: nobody returns 0 without a set, nor a cancellation unless it was
 * cancelled, and who waits for an event that stays set returns. Hundreds of seeds. */
#include "api/api.h"
#include "base/random.h"

enum { WAITERS = 5, STEPS = 40 };

struct world;

struct waiting {
	struct world *world;
	struct torc_scope *scope; /* of its call; NULL: it makes none */
	bool cancelled;
};

struct world {
	struct torc_shared_event event;
	struct waiting waiters[WAITERS];
	struct random random;
	uint64_t seed, sets;
	int calls;
	bool over;
};

static int await(void *arg)
{
	struct waiting *waiting = arg;
	struct world *world = waiting->world;

	while (!world->over) {
		bool was_set = torc_shared_event_is_set(&world->event);
		uint64_t sets = world->sets;
		int r;

		TORC_SCOPE(scope);
		waiting->cancelled = false;
		waiting->scope = scope;
		r = torc_shared_event_wait(&world->event);
		waiting->scope = NULL;
		HOLDS(r == 0 || (r == -ECANCELED && waiting->cancelled), world->seed);
		HOLDS(r != 0 || was_set || world->sets > sets, world->seed);
		world->calls++;
		torc_yield();
	}
	return 0;
}

static void step(struct world *world)
{
	struct waiting *waiting = &world->waiters[random_below(&world->random, WAITERS)];

	switch (random_below(&world->random, 6)) {
	case 0:
		torc_shared_event_set(&world->event);
		world->sets++;
		HOLDS(torc_shared_event_is_set(&world->event), world->seed);
		break;
	case 1:
		torc_shared_event_reset(&world->event);
		HOLDS(!torc_shared_event_is_set(&world->event), world->seed);
		break;
	case 2:
		if (!waiting->scope)
			break;
		torc_scope_cancel(waiting->scope);
		waiting->cancelled = true;
		break;
	default:
		torc_yield();
	}
}

static void live(struct world *world)
{
	TORC_SCOPE(waiters, .until = TORC_ALL_DONE);
	for (int i = 0; i < WAITERS; i++) {
		world->waiters[i].world = world;
		ck_assert_int_eq(torc_go(waiters, await, &world->waiters[i]), 0);
	}
	for (int i = 0; i < STEPS; i++)
		step(world);
	world->over = true;
	torc_shared_event_set(&world->event);
	world->sets++;
	HOLDS(torc_scope_join(waiters) == 0, world->seed); /* all return */
}

static int all_seeds(void *arg)
{
	int calls = 0;

	(void)arg;
	for (uint64_t seed = seed_first(); seed_more(seed, harness_slow() ? 20 : 400); seed++) {
		struct world world = { .random = random_seeded(seed), .seed = seed };

		live(&world);
		calls += world.calls;
	}
	ck_assert_int_gt(calls, 100);
	return 0;
}

TEST_TIMEOUT(nobody_returns_without_a_reason_and_all_do_with_one, 60)
{
	ck_assert_int_eq(torc_run(NULL, all_seeds, NULL), 0);
}
