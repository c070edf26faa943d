/* scope_model - trees of scopes against a reference: fibers that are told what to do open and leave scopes with and without
 * shields, deadlines and limits, spawn into any of them, park, join and end in every result, while others cancel and move
 * deadlines. After each step each scope has the reason, and each fiber the answer, that the reference says. On simulated
 * time. */
#define FAKE_CLOCK
#include "base/random.h"
#include "executor/on_fake.h"
#include "harness.h"

#include <limits.h>

enum { PUPPETS = 20, DEPTH = 4, SCOPES = 1 + PUPPETS * DEPTH, STEPS = 500, NONE = -1, PENDING = 1 << 20 };

enum deed { WAIT_FOR_ORDERS, OPEN, LEAVE, SPAWN, PARK, JOIN, SET_DEADLINE, RETURN };

struct puppet {
	struct wait wait; /* for orders: nothing cuts that short */
	bool alive;
	enum deed deed;
	int answer; /* of the last deed; PENDING: it is under way */
	/* What goes with the deed. */
	int scope, child, result;
	struct torc_scope *handle; /* of the scope */
	struct torc_scope_options options;
	struct torc_scope frames[DEPTH];
	/* The reference's. */
	enum deed ordered;
	int expected, home, innermost, depth;
};

struct model_scope {
	struct torc_scope *handle; /* NULL: not open */
	int outer, owner;          /* owner NONE: the root fiber's */
	bool shield;
	enum torc_until until;
	torc_ns deadline;
	unsigned live, limit;
	int reason, failure, success;
	bool cut;
	int spawners[PUPPETS], spawner_count; /* puppets whose SPAWN waits for room */
};

static struct puppet puppets[PUPPETS];
static struct model_scope scopes[SCOPES];
static struct random chance;

#define MUST(fact) HOLDS(fact, chance.seed)

/* --- puppets --------------------------------------------------------------------------------- */

static int live(void *arg);

static int obey(struct puppet *puppet)
{
	struct torc_scope *scope = puppet->handle;

	switch (puppet->deed) {
	case OPEN:
		scopes[puppet->scope].handle = torc_scope_open(&puppet->frames[puppet->depth], &puppet->options);
		return 0;
	case LEAVE:
		torc_scope_leave(&scope);
		return 0;
	case SPAWN:
		return torc_go(scope, live, &puppets[puppet->child]);
	case PARK:
		return torc_sleep(INT64_MAX);
	case JOIN:
		return torc_scope_join(scope);
	case SET_DEADLINE:
		return torc_scope_set_deadline(scope, puppet->options.deadline);
	default:
		MUST(puppet->deed == RETURN); /* else nobody gave orders: who woke it? */
		return 0;
	}
}

static int live(void *arg)
{
	struct executor *executor = executor_self;
	struct puppet *puppet = arg;

	do { /* ends: all are told to return in the end */
		puppet->deed = WAIT_FOR_ORDERS;
		puppet->wait = (struct wait){ NULL, executor->running, "orders" };
		wait_park(executor, &puppet->wait);
		puppet->answer = obey(puppet);
	} while (puppet->deed != RETURN);
	puppet->alive = false;
	return puppet->result;
}

static void settle(void)
{
	for (int i = 0; i < 6; i++)
		torc_yield();
}

static void order(struct puppet *puppet, enum deed deed)
{
	puppet->deed = puppet->ordered = deed;
	puppet->answer = PENDING;
	puppet->handle = puppet->scope == NONE ? NULL : scopes[puppet->scope].handle;
	waker_wake(puppet->wait.fiber);
}

/* --- the reference --------------------------------------------------------------------------- */

static bool is_inside(int s, int outer)
{
	for (; s != outer; s = scopes[s].outer)
		if (s == NONE || scopes[s].shield)
			return false;
	return true;
}

static int reason_of(const struct puppet *puppet)
{
	return scopes[puppet->innermost].reason;
}

static void no_longer_spawns(int p, int answer)
{
	struct model_scope *scope = &scopes[puppets[p].scope];
	int kept = 0;

	puppets[p].expected = answer;
	for (int i = 0; i < scope->spawner_count; i++)
		if (scope->spawners[i] != p)
			scope->spawners[kept++] = scope->spawners[i];
	scope->spawner_count = kept;
}

static void model_cancel(int cancelled, int reason)
{
	for (int s = 0; s < SCOPES; s++) {
		if (!scopes[s].handle || !is_inside(s, cancelled))
			continue;
		if (scopes[s].reason != -ECANCELED)
			scopes[s].reason = reason;
		while (scopes[s].spawner_count > 0)
			no_longer_spawns(scopes[s].spawners[0], scopes[s].reason);
	}
	for (int p = 0; p < PUPPETS; p++) {
		if (!puppets[p].alive || puppets[p].expected != PENDING || !reason_of(&puppets[p]))
			continue;
		if (puppets[p].ordered == PARK)
			puppets[p].expected = reason_of(&puppets[p]);
		if (puppets[p].ordered == SPAWN)
			no_longer_spawns(p, reason_of(&puppets[p]));
	}
}

static int outcome(const struct model_scope *scope)
{
	if (scope->until == TORC_FIRST_SUCCESS) {
		if (scope->success >= 0)
			return scope->success;
		return scope->reason ? scope->reason : scope->failure ? scope->failure : -ECHILD;
	}
	return scope->failure ? scope->failure : scope->cut ? scope->reason : 0;
}

static void close_model(int s)
{
	struct puppet *owner = &puppets[scopes[s].owner];

	scopes[s].handle = NULL;
	owner->innermost = scopes[s].outer;
	owner->depth--;
}

static void nobody_left(int s)
{
	struct puppet *owner = scopes[s].owner == NONE ? NULL : &puppets[scopes[s].owner];

	if (!owner || owner->expected != PENDING || owner->scope != s)
		return;
	if (owner->ordered == JOIN) {
		owner->expected = outcome(&scopes[s]);
	} else if (owner->ordered == LEAVE) {
		owner->expected = 0;
		close_model(s);
	}
}

static void begin_life(int p, int home)
{
	puppets[p].alive = true;
	puppets[p].expected = puppets[p].answer = 0;
	puppets[p].home = puppets[p].innermost = home;
	puppets[p].depth = 0;
}

static void child_ends(int s, int result)
{
	struct model_scope *scope = &scopes[s];

	if (result >= 0) {
		if (scope->until == TORC_FIRST_SUCCESS && scope->success < 0) {
			scope->success = result;
			model_cancel(s, -ECANCELED);
		}
	} else if (scope->reason && (result == -ECANCELED || result == -ETIME)) {
		scope->cut = true;
	} else if (!scope->failure) {
		scope->failure = result;
		if (scope->until == TORC_FIRST_ERROR)
			model_cancel(s, -ECANCELED);
	}
	if (scope->spawner_count > 0) {
		int p = scope->spawners[0];

		no_longer_spawns(p, 0);
		begin_life(puppets[p].child, s);
	} else if (--scope->live == 0) {
		nobody_left(s);
	}
}

static void time_passes(torc_ns until)
{
	for (int s = 0; s < SCOPES; s++)
		if (scopes[s].handle && !scopes[s].reason && scopes[s].deadline && scopes[s].deadline <= until)
			model_cancel(s, -ETIME);
}

/* --- steps ----------------------------------------------------------------------------------- */

static bool is_idle(const struct puppet *puppet)
{
	return puppet->alive && puppet->expected != PENDING;
}

static int any_scope(void)
{
	int s;

	do /* ends: the first one is open */
		s = (int)random_below(&chance, SCOPES);
	while (!scopes[s].handle);
	return s;
}

/* One in which a limit is reached, if there is any: more may wait there. */
static int popular_scope(void)
{
	for (int s = 1; s < SCOPES; s++)
		if (scopes[s].handle && !scopes[s].reason && scopes[s].live >= scopes[s].limit)
			return s;
	return any_scope();
}

static int dead_puppet(void)
{
	for (int p = 0; p < PUPPETS; p++) {
		bool asked_for = puppets[p].alive;

		for (int q = 0; q < PUPPETS; q++)
			asked_for |= puppets[q].alive && puppets[q].expected == PENDING &&
			             puppets[q].ordered == SPAWN && puppets[q].child == p;
		if (!asked_for)
			return p;
	}
	return NONE;
}

/* An instant at which nothing else happens: all are whole milliseconds, and the steps are taken in between. */
static torc_ns random_deadline(void)
{
	return (fake_now / TORC_MS + 1 + (torc_ns)random_below(&chance, 20)) * TORC_MS;
}

static void step_open(int p)
{
	struct puppet *puppet = &puppets[p];
	const struct model_scope *outer = &scopes[puppet->innermost];
	int s = 1 + p * DEPTH + puppet->depth;
	struct torc_scope_options options = { .size = sizeof options,
		                              .until = (enum torc_until)random_below(&chance, 3),
		                              .limit = random_chance(&chance, 40) ? 1 + random_below(&chance, 2) : 0,
		                              .shield = random_chance(&chance, 25) };

	if (random_chance(&chance, 40))
		options.deadline = random_chance(&chance, 85) ? random_deadline() : fake_now - TORC_MS;
	puppet->scope = s;
	puppet->options = options;
	order(puppet, OPEN);
	settle();
	scopes[s] = (struct model_scope){ .handle = scopes[s].handle,
		                          .outer = puppet->innermost,
		                          .owner = p,
		                          .shield = options.shield,
		                          .until = options.until,
		                          .deadline = options.deadline,
		                          .limit = options.limit ? options.limit : UINT_MAX,
		                          .success = -1 };
	if (outer->reason && !options.shield)
		scopes[s].reason = outer->reason;
	else if (options.deadline && options.deadline <= fake_now)
		scopes[s].reason = -ETIME;
	puppet->innermost = s;
	puppet->depth++;
	puppet->expected = 0;
}

static void step_leave(int p)
{
	struct puppet *puppet = &puppets[p];
	int s = puppet->scope = puppet->innermost;

	puppet->expected = PENDING;
	order(puppet, LEAVE);
	if (scopes[s].live > 0) {
		model_cancel(s, -ECANCELED);
	} else {
		puppet->expected = 0;
		close_model(s);
	}
}

static void step_spawn(int p)
{
	struct puppet *puppet = &puppets[p];
	struct model_scope *scope;

	puppet->child = dead_puppet();
	if (puppet->child == NONE)
		return;
	puppet->scope = random_chance(&chance, 70) ? popular_scope() : any_scope();
	scope = &scopes[puppet->scope];
	if (scope->reason) {
		puppet->expected = scope->reason;
	} else if (scope->live < scope->limit && scope->spawner_count == 0) {
		scope->live++;
		puppet->expected = 0;
		begin_life(puppet->child, puppet->scope);
	} else if (reason_of(puppet)) {
		puppet->expected = reason_of(puppet);
	} else {
		puppet->expected = PENDING;
		scope->spawners[scope->spawner_count++] = p;
	}
	order(puppet, SPAWN);
}

static void step_park(int p)
{
	puppets[p].scope = NONE;
	puppets[p].expected = reason_of(&puppets[p]) ? reason_of(&puppets[p]) : PENDING;
	order(&puppets[p], PARK);
}

static void step_join(int p)
{
	struct puppet *puppet = &puppets[p];
	int s = puppet->innermost;

	for (unsigned up = random_below(&chance, (unsigned)puppet->depth); up > 0; up--)
		s = scopes[s].outer;
	puppet->scope = s;
	puppet->expected = scopes[s].live > 0 ? PENDING : outcome(&scopes[s]);
	order(puppet, JOIN);
}

static void step_deadline(int p)
{
	struct puppet *puppet = &puppets[p];
	unsigned dice = random_below(&chance, 10);
	int s = any_scope();

	if (s == 0) /* the one that the steps are taken in */
		return;
	puppet->scope = s;
	puppet->options.deadline = dice < 2 ? 0 : dice < 4 ? fake_now - TORC_MS : random_deadline();
	order(puppet, SET_DEADLINE);
	puppet->expected = scopes[s].reason;
	if (scopes[s].reason)
		return;
	scopes[s].deadline = puppet->options.deadline;
	if (scopes[s].deadline && scopes[s].deadline <= fake_now) {
		puppet->expected = -ETIME;
		model_cancel(s, -ETIME);
	}
}

static void step_return(int p)
{
	static const int results[] = { 0, 5, -EIO, -ECANCELED, -ETIME };
	struct puppet *puppet = &puppets[p];
	int home = puppet->home;

	puppet->result = results[random_below(&chance, 5)];
	puppet->scope = NONE;
	puppet->expected = 0;
	order(puppet, RETURN);
	settle();
	child_ends(home, puppet->result);
}

/* A child of a full scope ends, so that the first who waits for room has a place; before it runs the scope is cancelled.
 * So it spawns nothing, and the place is given back. */
static void step_race(void)
{
	for (int p = 0; p < PUPPETS; p++) {
		struct puppet *puppet = &puppets[p], *spawner;
		struct model_scope *scope = &scopes[puppet->home];
		int reason = random_chance(&chance, 50) ? -ECANCELED : -ETIME;

		if (!is_idle(puppet) || puppet->depth > 0 || scope->reason || scope->spawner_count == 0)
			continue;
		spawner = &puppets[scope->spawners[0]];
		puppet->result = 0;
		puppet->scope = NONE;
		puppet->expected = 0;
		order(puppet, RETURN);
		torc_yield();
		child_ends(puppet->home, 0);
		if (scope->reason) /* that was the success */
			return;
		puppets[spawner->child].alive = false;
		scope_cancel((struct scope *)(void *)scope->handle, reason);
		model_cancel(puppet->home, reason);
		spawner->expected = reason;
		if (--scope->live == 0)
			nobody_left(puppet->home);
		return;
	}
}

static void compare(void)
{
	settle();
	for (int s = 0; s < SCOPES; s++) {
		if (!scopes[s].handle)
			continue;
		MUST(torc_scope_status(scopes[s].handle) == scopes[s].reason);
		MUST(torc_scope_live(scopes[s].handle) == scopes[s].live);
	}
	for (int p = 0; p < PUPPETS; p++) {
		if (!puppets[p].alive)
			continue;
		MUST(puppets[p].answer == puppets[p].expected);
		MUST((puppets[p].deed == WAIT_FOR_ORDERS) == (puppets[p].expected != PENDING));
	}
}

static void birth(void)
{
	int p = dead_puppet();

	scopes[0].live++;
	begin_life(p, 0);
	MUST(torc_go(scopes[0].handle, live, &puppets[p]) == 0);
}

/* One that can be told something; NONE: there is none. */
static int idle_puppet(void)
{
	int first = (int)random_below(&chance, PUPPETS);

	for (int i = 0; i < PUPPETS; i++)
		if (is_idle(&puppets[(first + i) % PUPPETS]))
			return (first + i) % PUPPETS;
	return NONE;
}

static void one_step(void)
{
	int p = idle_puppet();
	unsigned dice = random_below(&chance, 100);

	if (p == NONE && dead_puppet() != NONE) {
		birth();
	} else if (dice < 4) {
		int s = any_scope();

		if (s > 0) {
			torc_scope_cancel(scopes[s].handle);
			model_cancel(s, -ECANCELED);
		}
	} else if (dice < 8) {
		torc_ns until = (fake_now / TORC_MS + 1 + (torc_ns)random_below(&chance, 3)) * TORC_MS + TORC_MS / 2;

		MUST(torc_sleep_until(until) == 0);
		time_passes(fake_now);
	} else if (dice < 12) {
		step_race();
	} else if (p == NONE) {
		return;
	} else if (dice < 35) {
		if (puppets[p].depth < DEPTH)
			step_open(p);
	} else if (dice < 42) {
		if (puppets[p].depth > 0)
			step_leave(p);
	} else if (dice < 70) {
		step_spawn(p);
	} else if (dice < 80) {
		step_park(p);
	} else if (dice < 86) {
		if (puppets[p].depth > 0)
			step_join(p);
	} else if (dice < 92) {
		step_deadline(p);
	} else if (puppets[p].depth == 0) {
		step_return(p);
	}
	compare();
}

/* Everybody goes home: those that wait are let go by a cancel, or by the end of those that they wait for. */
static void wind_up(void)
{
	torc_scope_cancel(scopes[0].handle);
	model_cancel(0, -ECANCELED);
	for (int s = 1; s < SCOPES; s++)
		if (scopes[s].handle && scopes[s].shield) {
			torc_scope_cancel(scopes[s].handle);
			model_cancel(s, -ECANCELED);
		}
	compare();
	for (bool any = true; any;) { /* ends: each turn one leaves a scope, or ends */
		any = false;
		for (int p = 0; p < PUPPETS; p++) {
			if (!puppets[p].alive)
				continue;
			any = true;
			if (!is_idle(&puppets[p]))
				continue;
			if (puppets[p].depth > 0)
				step_leave(p);
			else
				step_return(p);
			compare();
		}
	}
}

static int history(void *arg)
{
	(void)arg;
	memset(puppets, 0, sizeof puppets);
	memset(scopes, 0, sizeof scopes);
	TORC_SCOPE(base, .until = TORC_ALL_DONE);
	scopes[0] = (struct model_scope){
		.handle = base, .outer = NONE, .owner = NONE, .until = TORC_ALL_DONE, .limit = UINT_MAX, .success = -1
	};
	for (int i = 0; i < 3; i++)
		birth();
	settle();
	for (int i = 0; i < STEPS; i++)
		one_step();
	wind_up();
	return torc_scope_join(base) == outcome(&scopes[0]) ? 0 : -EPROTO;
}

TEST_TIMEOUT(scopes_do_what_the_reference_says, 120)
{
	for (uint64_t seed = seed_first(); seed_more(seed, harness_slow() ? 60 : 1500); seed++) {
		chance = random_seeded(seed);
		fake_init(&fake);
		HOLDS(fake_run(history, NULL) == 0, seed);
	}
}
