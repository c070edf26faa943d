/*
 * timers: what do creating and cancelling a timer, and firing one, cost beside libev (4-ary heap)
 * and libuv (binary heap)?
 *
 * Two kinds of pairs: a timer created and cancelled at once, which a heap finds where it has just
 * put it; and a random one of those pending cancelled and created anew, which is what the timeouts
 * of many connections do.
 *
 * Both round a wait up to whole milliseconds and so fire in batches: a contender with finer
 * deadlines wakes up more often and fires less late. Read the lateness below the table with it.
 *
 * torc's timers.h takes the time from its caller, as the peers take it from their loop's cache; deadlines are in ticks
 * of 1,024 ns, so it wakes up far more often where deadlines are dense, and fires that much less late.
 *
 * Needs: libev, libuv, libtorc's internals.
 */
#include <ev.h>
#include <uv.h>

#include <torc.h>

#include "executor/wait.h"
#include "fiber/waker.h"
#include "machine/clock.h"
#include "machine/probe.h"
#include "reactor/reactor.h"

#include "bench.h"

#define PAIRS       100000u
#define FIRED       100000u
#define FIRE_LEAD   0.060 /* seconds from the beginning of arming to the first deadline */
#define FIRE_SPREAD 0.050 /* seconds */
#define ROUNDS      15u

/* uniform in [0, 1) */
static double fraction(uint64_t *seed)
{
	return (double)(bench_random(seed) >> 11) * 0x1p-53;
}

/* seconds from now: between one and two hours, so that nothing fires during the benchmark */
static double far_away(uint64_t *seed)
{
	return 3600.0 * (1.0 + fraction(seed));
}

/* how late deadlines were by their loop's own (cached) clock, over all laps of one contender */
struct lateness {
	uint64_t count, wakes;
	double sum_ns, max_ns, last_seen_ns;
};

static void late(struct lateness *l, double now_ns, double due_ns)
{
	double by = now_ns - due_ns;

	l->count++;
	l->sum_ns += by;
	l->max_ns = by > l->max_ns ? by : l->max_ns;
	if (now_ns != l->last_seen_ns)
		l->wakes++;
	l->last_seen_ns = now_ns;
}

static void late_print(const char *name, const struct lateness *l)
{
	printf("  %-30s mean %.0f us late, worst %.0f us, %.0f deadlines a clock reading\n", name,
	       l->sum_ns / (double)l->count / 1e3, l->max_ns / 1e3, (double)l->count / (double)l->wakes);
}

static void ignore_ev(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)timer, (void)events;
}

static void ignore_uv(uv_timer_t *timer)
{
	(void)timer;
}

/* ---- libev ---- */

struct ev_side {
	struct ev_loop *loop;
	size_t count;
	ev_timer *timers;
	double *due_ns;
	uint64_t seed;
	struct lateness lateness;
};

static void ev_side_open(struct ev_side *side, size_t pending, size_t spare)
{
	*side = (struct ev_side){
		.loop = ev_loop_new(EVFLAG_AUTO),
		.count = pending,
		.timers = calloc(pending + spare, sizeof *side->timers),
		.due_ns = calloc(pending + spare, sizeof *side->due_ns),
		.seed = 1,
	};
	if (!side->loop || !side->timers || !side->due_ns)
		bench_die("no libev loop");
}

static void ev_side_close(struct ev_side *side)
{
	ev_loop_destroy(side->loop);
	free(side->timers);
	free(side->due_ns);
}

static void ev_side_fill(struct ev_side *side)
{
	for (size_t i = 0; i < side->count; i++) {
		ev_timer_init(&side->timers[i], ignore_ev, far_away(&side->seed), 0);
		ev_timer_start(side->loop, &side->timers[i]);
	}
}

static void ev_pairs(struct bench_lap *lap, void *arg)
{
	struct ev_side *side = arg;
	ev_timer *timer = &side->timers[side->count];

	bench_begin(lap);
	for (unsigned i = 0; i < PAIRS; i++) {
		ev_timer_init(timer, ignore_ev, far_away(&side->seed), 0);
		ev_timer_start(side->loop, timer);
		ev_timer_stop(side->loop, timer);
	}
	bench_end(lap, PAIRS);
}

static void ev_renews(struct bench_lap *lap, void *arg)
{
	struct ev_side *side = arg;

	bench_begin(lap);
	for (unsigned i = 0; i < PAIRS; i++) {
		ev_timer *timer = &side->timers[bench_random(&side->seed) % side->count];

		ev_timer_stop(side->loop, timer);
		ev_timer_init(timer, ignore_ev, far_away(&side->seed), 0);
		ev_timer_start(side->loop, timer);
	}
	bench_end(lap, PAIRS);
}

static void ev_fired(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct ev_side *side = ev_userdata(loop);

	(void)events;
	late(&side->lateness, ev_now(loop) * 1e9, side->due_ns[timer - side->timers]);
}

static void ev_fires(struct bench_lap *lap, void *arg)
{
	struct ev_side *side = arg;

	ev_set_userdata(side->loop, side);
	ev_now_update(side->loop);
	for (size_t i = 0; i < side->count; i++) {
		double in = FIRE_LEAD + FIRE_SPREAD * fraction(&side->seed);

		side->due_ns[i] = (ev_now(side->loop) + in) * 1e9;
		ev_timer_init(&side->timers[i], ev_fired, in, 0);
		ev_timer_start(side->loop, &side->timers[i]);
	}
	bench_begin(lap);
	ev_run(side->loop, 0);
	bench_end(lap, side->count);
}

/* ---- libuv ---- */

struct uv_side {
	uv_loop_t loop;
	size_t count;
	uv_timer_t *timers;
	double *due_ns;
	uint64_t seed;
	struct lateness lateness;
};

static void uv_side_open(struct uv_side *side, size_t pending, size_t spare)
{
	*side = (struct uv_side){
		.count = pending,
		.timers = calloc(pending + spare, sizeof *side->timers),
		.due_ns = calloc(pending + spare, sizeof *side->due_ns),
		.seed = 1,
	};
	if (uv_loop_init(&side->loop) || !side->timers || !side->due_ns)
		bench_die("no libuv loop");
	for (size_t i = 0; i < pending + spare; i++)
		uv_timer_init(&side->loop, &side->timers[i]);
}

static void uv_side_close(struct uv_side *side, size_t spare)
{
	for (size_t i = 0; i < side->count + spare; i++)
		uv_close((uv_handle_t *)&side->timers[i], NULL);
	uv_run(&side->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&side->loop))
		bench_die("libuv loop still in use");
	free(side->timers);
	free(side->due_ns);
}

static void uv_side_fill(struct uv_side *side)
{
	for (size_t i = 0; i < side->count; i++)
		uv_timer_start(&side->timers[i], ignore_uv, (uint64_t)(far_away(&side->seed) * 1e3), 0);
}

/*
 * Start and stop of one handle: init and close would belong to it, but a handle cannot be
 * initialised again before a turn of the loop has closed it; libuv gets the benefit.
 */
static void uv_pairs(struct bench_lap *lap, void *arg)
{
	struct uv_side *side = arg;
	uv_timer_t *timer = &side->timers[side->count];

	bench_begin(lap);
	for (unsigned i = 0; i < PAIRS; i++) {
		uv_timer_start(timer, ignore_uv, (uint64_t)(far_away(&side->seed) * 1e3), 0);
		uv_timer_stop(timer);
	}
	bench_end(lap, PAIRS);
}

static void uv_renews(struct bench_lap *lap, void *arg)
{
	struct uv_side *side = arg;

	bench_begin(lap);
	for (unsigned i = 0; i < PAIRS; i++) {
		uv_timer_t *timer = &side->timers[bench_random(&side->seed) % side->count];

		uv_timer_stop(timer);
		uv_timer_start(timer, ignore_uv, (uint64_t)(far_away(&side->seed) * 1e3), 0);
	}
	bench_end(lap, PAIRS);
}

static void uv_fired(uv_timer_t *timer)
{
	struct uv_side *side = timer->loop->data;

	late(&side->lateness, (double)uv_now(timer->loop) * 1e6, side->due_ns[timer - side->timers]);
}

static void uv_fires(struct bench_lap *lap, void *arg)
{
	struct uv_side *side = arg;

	side->loop.data = side;
	uv_update_time(&side->loop);
	for (size_t i = 0; i < side->count; i++) {
		double in = FIRE_LEAD + FIRE_SPREAD * fraction(&side->seed);

		/* due as asked for: the rounding to milliseconds counts as lateness */
		side->due_ns[i] = (double)uv_now(&side->loop) * 1e6 + in * 1e9;
		uv_timer_start(&side->timers[i], uv_fired, (uint64_t)(in * 1e3) + 1, 0);
	}
	bench_begin(lap);
	uv_run(&side->loop, UV_RUN_DEFAULT);
	bench_end(lap, side->count);
}

/* ---- torc: the reactor's timers, with a cached clock as the others have it ---- */

struct torc_sleeper {
	struct timer timer;
	struct torc_side *side;
};

struct torc_side {
	struct reactor reactor;
	int64_t now;
	size_t count;
	struct torc_sleeper *timers;
	double *due_ns;
	uint64_t seed;
	struct lateness lateness;
};

static void ignore_torc(struct timer *timer)
{
	(void)timer;
}

static void torc_side_open(struct torc_side *side, size_t pending, size_t spare)
{
	*side = (struct torc_side){
		.count = pending,
		.timers = calloc(pending + spare, sizeof *side->timers),
		.due_ns = calloc(pending + spare, sizeof *side->due_ns),
		.seed = 1,
	};
	if (!side->timers || !side->due_ns || probe_once() < 0 ||
	    reactor_open(&side->reactor, &(struct reactor_options){ .sq_entries = 64, .cq_entries = 4096 }) < 0)
		bench_die("no reactor");
	side->now = clock_now();
	for (size_t i = 0; i < pending + spare; i++) {
		timer_init(&side->timers[i].timer, ignore_torc);
		side->timers[i].side = side;
	}
}

static void torc_side_close(struct torc_side *side, size_t spare)
{
	for (size_t i = 0; i < side->count + spare; i++)
		timers_remove(&side->reactor.timers, &side->timers[i].timer);
	reactor_close(&side->reactor);
	free(side->timers);
	free(side->due_ns);
}

static int64_t torc_far_away(struct torc_side *side)
{
	return side->now + (int64_t)(far_away(&side->seed) * 1e9);
}

static void torc_side_fill(struct torc_side *side)
{
	for (size_t i = 0; i < side->count; i++)
		timers_add(&side->reactor.timers, &side->timers[i].timer, torc_far_away(side));
}

static void torc_pairs(struct bench_lap *lap, void *arg)
{
	struct torc_side *side = arg;
	struct timer *timer = &side->timers[side->count].timer;

	bench_begin(lap);
	for (unsigned i = 0; i < PAIRS; i++) {
		timer_init(timer, ignore_torc);
		timers_add(&side->reactor.timers, timer, torc_far_away(side));
		timers_remove(&side->reactor.timers, timer);
	}
	bench_end(lap, PAIRS);
}

static void torc_renews(struct bench_lap *lap, void *arg)
{
	struct torc_side *side = arg;

	bench_begin(lap);
	for (unsigned i = 0; i < PAIRS; i++) {
		struct timer *timer = &side->timers[bench_random(&side->seed) % side->count].timer;

		timers_remove(&side->reactor.timers, timer);
		timer_init(timer, ignore_torc);
		timers_add(&side->reactor.timers, timer, torc_far_away(side));
	}
	bench_end(lap, PAIRS);
}

static void torc_fired(struct timer *timer)
{
	struct torc_sleeper *fired = container_of(timer, struct torc_sleeper, timer);
	struct torc_side *side = fired->side;

	late(&side->lateness, (double)side->now, side->due_ns[fired - side->timers]);
}

static void torc_fires(struct bench_lap *lap, void *arg)
{
	struct torc_side *side = arg;

	side->now = clock_now();
	for (size_t i = 0; i < side->count; i++) {
		double in = FIRE_LEAD + FIRE_SPREAD * fraction(&side->seed);
		int64_t due = side->now + (int64_t)(in * 1e9);

		side->due_ns[i] = (double)due;
		timer_init(&side->timers[i].timer, torc_fired);
		timers_add(&side->reactor.timers, &side->timers[i].timer, due);
	}
	bench_begin(lap);
	while (side->reactor.timers.count > 0) { /* as reactor_turn does it, but that we see the clock */
		sleepable_ring_turn(&side->reactor.ring, true, timers_next(&side->reactor.timers));
		side->now = clock_now();
		timers_advance(&side->reactor.timers, side->now);
	}
	bench_end(lap, side->count);
}

/* ---- for information: as many fibers in torc_sleep_until; their deadlines, wake-ups, switches and ends ---- */

struct sleepers {
	struct bench_lap *lap;
	struct lateness lateness;
	uint64_t seed;
	struct fiber **fibers;
	unsigned parked;
	int64_t begin;
};

static struct sleepers *sleepers;

static int sleep_once(void *arg)
{
	double in = FIRE_LEAD + FIRE_SPREAD * fraction(&sleepers->seed);
	struct wait wait = { NULL, executor_self->running, "the start of a benchmark" };
	int64_t due;

	(void)arg;
	sleepers->fibers[sleepers->parked++] = executor_self->running;
	wait_park(executor_self, &wait);
	due = sleepers->begin + (int64_t)(in * 1e9);
	if (torc_sleep_until(due) < 0)
		bench_die("a sleep failed");
	late(&sleepers->lateness, (double)torc_now(), (double)due);
	return 0;
}

/* As in the others the deadlines are made before the clock is started. */
static int sleepers_main(void *arg)
{
	(void)arg;
	TORC_SCOPE(scope);
	for (unsigned i = 0; i < FIRED; i++)
		if (torc_go(scope, sleep_once, NULL) < 0)
			bench_die("no memory for the fibers");
	while (sleepers->parked < FIRED)
		torc_yield();
	sleepers->begin = torc_now();
	for (unsigned i = 0; i < FIRED; i++)
		waker_wake(sleepers->fibers[i]);
	torc_yield();
	bench_begin(sleepers->lap);
	if (torc_scope_join(scope) < 0)
		bench_die("a sleep failed");
	bench_end(sleepers->lap, FIRED);
	return 0;
}

static void fiber_fires(struct bench_lap *lap, void *arg)
{
	sleepers = arg;
	sleepers->lap = lap;
	sleepers->parked = 0;
	sleepers->fibers = calloc(FIRED, sizeof *sleepers->fibers);
	if (!sleepers->fibers)
		bench_die("no memory");
	if (torc_run(NULL, sleepers_main, NULL) < 0)
		bench_die("torc_run");
	free(sleepers->fibers);
}

static void pairs(size_t pending)
{
	struct ev_side ev;
	struct uv_side uv;
	struct torc_side torc;
	struct bench_contender at_once[] = {
		{ .name = "libev", .run = ev_pairs, .arg = &ev, .yardstick = true },
		{ .name = "libuv", .run = uv_pairs, .arg = &uv, .yardstick = true },
		{ .name = "torc", .run = torc_pairs, .arg = &torc },
	};
	struct bench_contender renewed[] = {
		{ .name = "libev", .run = ev_renews, .arg = &ev, .yardstick = true },
		{ .name = "libuv", .run = uv_renews, .arg = &uv, .yardstick = true },
		{ .name = "torc", .run = torc_renews, .arg = &torc },
	};
	char title[80];

	ev_side_open(&ev, pending, 1);
	uv_side_open(&uv, pending, 1);
	torc_side_open(&torc, pending, 1);
	ev_side_fill(&ev);
	uv_side_fill(&uv);
	torc_side_fill(&torc);
	snprintf(title, sizeof title, "timers: create + cancel, %zu pending", pending);
	bench_interleave(title, at_once, sizeof at_once / sizeof *at_once, ROUNDS);
	snprintf(title, sizeof title, "timers: cancel + create a random one of %zu", pending);
	bench_interleave(title, renewed, sizeof renewed / sizeof *renewed, ROUNDS);
	torc_side_close(&torc, 1);
	uv_side_close(&uv, 1);
	ev_side_close(&ev);
}

static void fires(void)
{
	struct ev_side ev;
	struct uv_side uv;
	struct torc_side torc;
	struct sleepers asleep = { .seed = 1 };
	struct bench_contender contenders[] = {
		{ .name = "libev", .run = ev_fires, .arg = &ev, .yardstick = true },
		{ .name = "libuv", .run = uv_fires, .arg = &uv, .yardstick = true },
		{ .name = "torc", .run = torc_fires, .arg = &torc },
		{ .name = "torc_sleep_until, fibers", .run = fiber_fires, .arg = &asleep },
	};

	ev_side_open(&ev, FIRED, 0);
	uv_side_open(&uv, FIRED, 0);
	torc_side_open(&torc, FIRED, 0);
	bench_interleave("timers: fire 100,000 deadlines within 50 ms (read the cpu column)", contenders,
	                 sizeof contenders / sizeof *contenders, ROUNDS);
	late_print("libev", &ev.lateness);
	late_print("libuv", &uv.lateness);
	late_print("torc", &torc.lateness);
	late_print("torc_sleep_until, fibers", &asleep.lateness);
	torc_side_close(&torc, 0);
	uv_side_close(&uv, 0);
	ev_side_close(&ev);
}

int main(void)
{
	pairs(10000);
	pairs(1000000);
	fires();
	return 0;
}
