/* latest_model - a value that changes, and fibers that watch it, against a reference: who waits gets the first value that is
 * set after it began to, whatever happens before it runs; who does not wait gets the present one; a cancellation takes
 * nothing away. Thousands of seeds. */
#include "api/api.h"
#include "base/random.h"

enum { WATCHERS = 5, STEPS = 120, NONE = INT_MIN };

struct world;

struct watching {
	struct world *world;
	struct torc_watcher handle;
	struct torc_scope *scope; /* of its call; NULL: it makes none */
	bool waits;               /* by the reference: nothing has come yet */
	uint64_t seen;
	int expected;
};

struct world {
	struct torc_latest *latest;
	struct watching watchers[WATCHERS];
	struct random random;
	uint64_t seed, version;
	int value, calls;
	bool closed;
};

/* What the call that comes next is to return. */
static void foretell(struct watching *watching)
{
	const struct world *world = watching->world;

	watching->waits = false;
	if (watching->seen != world->version) {
		watching->seen = world->version;
		watching->expected = world->value;
	} else if (world->closed) {
		watching->expected = -EPIPE;
	} else {
		watching->waits = true;
		watching->expected = NONE;
	}
}

static int watch(void *arg)
{
	struct watching *watching = arg;
	struct world *world = watching->world;

	for (int got = 0; got != -EPIPE;) { /* ends: it is closed */
		int value = NONE;

		TORC_SCOPE(scope);
		foretell(watching);
		watching->scope = scope;
		got = torc_watcher_next(&watching->handle, &value);
		watching->scope = NULL;
		if (got == 0)
			got = value;
		HOLDS(!watching->waits && got == watching->expected, world->seed);
		world->calls++;
		for (uint64_t i = random_below(&world->random, 3); i > 0; i--)
			torc_yield();
	}
	return 0;
}

/* All that wait are told. */
static void tell(struct world *world, int what)
{
	for (int i = 0; i < WATCHERS; i++) {
		struct watching *watching = &world->watchers[i];

		if (!watching->waits)
			continue;
		watching->waits = false;
		watching->expected = what;
		watching->seen = world->version;
	}
}

static void set(struct world *world)
{
	int next = world->value + 1, read = NONE;

	HOLDS(torc_latest_set(world->latest, &next) == 0, world->seed);
	world->value = next;
	world->version++;
	tell(world, next);
	HOLDS(torc_latest_get(world->latest, &read) == 1 && read == next, world->seed);
}

static void cancel(struct world *world)
{
	struct watching *watching = &world->watchers[random_below(&world->random, WATCHERS)];

	if (!watching->scope)
		return;
	torc_scope_cancel(watching->scope);
	if (watching->waits)
		watching->expected = -ECANCELED;
	watching->waits = false;
}

static void live(struct world *world)
{
	int refused = 1;

	TORC_SCOPE(watchers, .until = TORC_ALL_DONE);
	for (int i = 0; i < WATCHERS; i++) {
		world->watchers[i] = (struct watching){ .world = world, .handle = { .latest = world->latest } };
		ck_assert_int_eq(torc_go(watchers, watch, &world->watchers[i]), 0);
	}
	for (int i = 0; i < STEPS; i++) {
		uint64_t dice = random_below(&world->random, 10);

		if (dice < 4)
			set(world);
		else if (dice < 6)
			cancel(world);
		else
			torc_yield();
	}
	torc_latest_close(world->latest);
	world->closed = true;
	tell(world, -EPIPE);
	HOLDS(torc_latest_set(world->latest, &refused) == -EPIPE, world->seed);
	HOLDS(torc_scope_join(watchers) == 0, world->seed);
}

static int all_seeds(void *arg)
{
	int calls = 0;

	(void)arg;
	for (uint64_t seed = seed_first(); seed_more(seed, harness_slow() ? 50 : 3000); seed++) {
		struct world world = { .random = random_seeded(seed), .seed = seed };

		ck_assert_int_eq(torc_latest_new_sized(&world.latest, NULL, sizeof(int)), 0);
		live(&world);
		calls += world.calls;
		torc_latest_free(world.latest);
	}
	ck_assert_int_gt(calls, 500);
	return 0;
}

TEST_TIMEOUT(whoever_watches_sees_what_the_reference_says, 60)
{
	ck_assert_int_eq(torc_run(NULL, all_seeds, NULL), 0);
}
