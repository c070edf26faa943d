/*
 * spawn: what does a fiber cost that is begun, run and joined, beside one switch of stacks?
 * The fiber's function returns at once. The yardstick is the switch to the next of 100 contexts. That between two, from
 * two call sites, is shown as well: a loop so small that the processor overlaps its rounds, five times faster.
 *
 * Needs: libtorc's internals.
 */
#include "fibers.h"

#define SPAWNS   50000u
#define SWITCHES 500000u
#define BATCH    1000u
#define ROUNDS   21u

/* ---- one way of a switch ---- */

static void bare_switches(struct bench_lap *lap, void *arg)
{
	const unsigned *contexts = arg;

	bare_run(lap, *contexts, NULL, SWITCHES / *contexts);
}

/* ---- torc ---- */

static int empty(void *arg)
{
	(void)arg;
	return 0;
}

static void go(struct torc_scope *scope)
{
	if (torc_go(scope, empty, NULL) < 0)
		bench_die("no memory for a fiber");
}

static int scopes(void *arg)
{
	for (unsigned i = 0; i <= SPAWNS; i++) {
		TORC_SCOPE(scope);
		go(scope);
		if (torc_scope_join(scope) < 0)
			bench_die("join");
		if (i == 0)
			bench_begin(arg);
	}
	bench_end(arg, SPAWNS);
	return 0;
}

static int joins(void *arg)
{
	TORC_SCOPE(scope);
	for (unsigned i = 0; i <= SPAWNS; i++) {
		go(scope);
		if (torc_scope_join(scope) < 0)
			bench_die("join");
		if (i == 0)
			bench_begin(arg);
	}
	bench_end(arg, SPAWNS);
	return 0;
}

static int batches(void *arg)
{
	TORC_SCOPE(scope);
	for (unsigned i = 0; i <= SPAWNS / BATCH; i++) {
		for (unsigned j = 0; j < BATCH; j++)
			go(scope);
		if (torc_scope_join(scope) < 0)
			bench_die("join");
		if (i == 0)
			bench_begin(arg);
	}
	bench_end(arg, SPAWNS);
	return 0;
}

static void torc_scopes(struct bench_lap *lap, void *arg)
{
	(void)arg;
	if (torc_run(NULL, scopes, lap) < 0)
		bench_die("torc_run");
}

static void torc_joins(struct bench_lap *lap, void *arg)
{
	(void)arg;
	if (torc_run(NULL, joins, lap) < 0)
		bench_die("torc_run");
}

static void torc_batches(struct bench_lap *lap, void *arg)
{
	(void)arg;
	if (torc_run(NULL, batches, lap) < 0)
		bench_die("torc_run");
}

int main(void)
{
	unsigned many = 100, two = 2;
	const struct bench_contender contenders[] = {
		{ .name = "switch among 100 contexts", .run = bare_switches, .arg = &many, .yardstick = true },
		{ .name = "switch between 2 contexts", .run = bare_switches, .arg = &two },
		{ .name = "go + join in one scope", .run = torc_joins },
		{ .name = "open + go + join + leave", .run = torc_scopes },
		{ .name = "1,000 x go, then join", .run = torc_batches },
	};

	bench_interleave("spawn: begin, run and join an empty fiber", contenders,
	                 sizeof contenders / sizeof *contenders, ROUNDS);
	return 0;
}
