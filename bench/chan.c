/*
 * chan: what does an item cost that goes from one fiber to another on the same core?
 *
 * - A round trip, there and back, between two fibers; the yardstick is what the scheduler needs for that at least: each of
 *   them yields once.
 * - A stream through a channel for 1,024 items; the yardstick is a ring buffer of that size in one loop, which is filled and
 *   emptied by turns, the size of an item known to the compiler.
 * - torc_choose over two channels that both have an item; the yardstick is one receive.
 *
 * Needs: libtorc.
 */
#include <errno.h>

#include <torc.h>

#include "bench.h"

#define TRIPS    200000u
#define ITEMS    2000000u
#define CAPACITY 1024u
#define CHOICES  400u /* times CAPACITY */
#define ROUNDS   21u

static struct bench_lap *lap;

static void check(bool fine, const char *what)
{
	if (!fine)
		bench_die(what);
}

static struct torc_chan *new_chan(size_t capacity)
{
	struct torc_chan *chan = NULL;

	check(torc_chan_new(&chan, sizeof(uint64_t), capacity, NULL) == 0, "no memory");
	return chan;
}

static void in_a_run(torc_fn *fn, void *arg)
{
	check(torc_run(NULL, fn, arg) == 0, "a run failed");
}

/* ---- round trip ---- */

struct pair {
	struct torc_chan *there, *back;
};

static int yield_often(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < TRIPS; i++)
		torc_yield();
	return 0;
}

static int yielders(void *arg)
{
	TORC_SCOPE(scope);
	check(torc_go(scope, yield_often, arg) == 0, "no fiber");
	torc_yield();
	bench_begin(lap);
	yield_often(arg);
	bench_end(lap, TRIPS);
	return torc_scope_join(scope);
}

static int echo(void *arg)
{
	struct pair *pair = arg;
	uint64_t item;
	int r;

	while ((r = torc_chan_recv(pair->there, &item)) == 0 && (r = torc_chan_send(pair->back, &item)) == 0)
		;
	return r == -EPIPE ? 0 : r;
}

static int travel(void *capacity)
{
	struct pair pair = { new_chan(*(size_t *)capacity), new_chan(*(size_t *)capacity) };
	int r;

	{
		TORC_SCOPE(scope);
		check(torc_go(scope, echo, &pair) == 0, "no fiber");
		torc_yield();
		bench_begin(lap);
		for (uint64_t i = 0, item; i < TRIPS; i++)
			check(torc_chan_send(pair.there, &i) == 0 && torc_chan_recv(pair.back, &item) == 0 && item == i,
			      "an item was lost");
		bench_end(lap, TRIPS);
		torc_chan_close(pair.there);
		r = torc_scope_join(scope);
	}
	torc_chan_free(pair.there);
	torc_chan_free(pair.back);
	return r;
}

/* ---- stream ---- */

static int produce(void *arg)
{
	int r = 0;

	for (uint64_t i = 0; i < ITEMS && r == 0; i++)
		r = torc_chan_send((struct torc_chan *)arg, &i);
	torc_chan_close(arg);
	return r;
}

static int stream(void *arg)
{
	struct torc_chan *chan = new_chan(CAPACITY);
	uint64_t item, next = 0;
	int r;

	(void)arg;
	{
		TORC_SCOPE(scope);
		check(torc_go(scope, produce, chan) == 0, "no fiber");
		bench_begin(lap);
		while (torc_chan_recv(chan, &item) == 0)
			check(item == next++, "out of order");
		bench_end(lap, ITEMS);
		check(next == ITEMS, "an item was lost");
		r = torc_scope_join(scope);
	}
	torc_chan_free(chan);
	return r;
}

struct ring {
	uint64_t head, tail;
	uint64_t items[CAPACITY];
};

static inline bool push(struct ring *ring, const uint64_t *item)
{
	if (ring->tail - ring->head == CAPACITY)
		return false;
	ring->items[ring->tail++ % CAPACITY] = *item;
	return true;
}

static inline bool pop(struct ring *ring, uint64_t *item)
{
	if (ring->tail == ring->head)
		return false;
	*item = ring->items[ring->head++ % CAPACITY];
	return true;
}

static void ring_loop(struct bench_lap *own, void *arg)
{
	static struct ring ring;
	struct ring *volatile hidden = &ring; /* the compiler must not know what is in it */
	uint64_t in = 0, out = 0, item;

	(void)arg;
	ring.head = ring.tail = 0;
	bench_begin(own);
	while (out < ITEMS) {
		struct ring *r = hidden;

		while (in < ITEMS && push(r, &in))
			in++;
		while (pop(r, &item))
			check(item == out++, "out of order");
	}
	bench_end(own, ITEMS);
}

/* ---- choose ---- */

static void fill(struct torc_chan *chan)
{
	for (uint64_t i = 0; torc_chan_try_send(chan, &i) == 1; i++)
		;
}

static int receive_one(void *arg)
{
	struct torc_chan *chan = new_chan(CAPACITY);
	uint64_t item;

	(void)arg;
	for (unsigned i = 0; i < CHOICES; i++) {
		fill(chan);
		bench_begin(lap);
		for (unsigned j = 0; j < CAPACITY; j++)
			check(torc_chan_recv(chan, &item) == 0, "no item");
		bench_end(lap, CAPACITY);
	}
	torc_chan_free(chan);
	return 0;
}

static int choose_from_two(void *again)
{
	struct torc_chan *a = new_chan(CAPACITY), *b = new_chan(CAPACITY);
	uint64_t item;
	struct torc_case cases[] = { torc_case_recv(a, &item), torc_case_recv(b, &item) };

	for (unsigned i = 0; i < CHOICES; i++) {
		fill(a);
		fill(b);
		bench_begin(lap);
		for (unsigned j = 0; j < CAPACITY; j++) {
			if (again) {
				cases[0] = torc_case_recv(a, &item);
				cases[1] = torc_case_recv(b, &item);
			}
			check(torc_choose(cases, 2) >= 0, "no item");
		}
		bench_end(lap, CAPACITY);
	}
	torc_chan_free(a);
	torc_chan_free(b);
	return 0;
}

/* ---- */

#define CONTENDER(name, ...)                               \
	static void name(struct bench_lap *own, void *arg) \
	{                                                  \
		lap = own;                                 \
		in_a_run(__VA_ARGS__, arg);                \
	}

CONTENDER(run_yielders, yielders)
CONTENDER(run_travel, travel)
CONTENDER(run_stream, stream)
CONTENDER(run_receive, receive_one)
CONTENDER(run_choose, choose_from_two)

int main(void)
{
	static size_t none = 0, one = 1;
	static const struct bench_contender trips[] = {
		{ .name = "two yields", .run = run_yielders, .yardstick = true },
		{ .name = "unbuffered channels", .run = run_travel, .arg = &none },
		{ .name = "channels for one item", .run = run_travel, .arg = &one },
	};
	static const struct bench_contender streams[] = {
		{ .name = "ring buffer in a loop", .run = ring_loop, .yardstick = true },
		{ .name = "torc_chan", .run = run_stream },
	};
	static const struct bench_contender choices[] = {
		{ .name = "torc_chan_recv", .run = run_receive, .yardstick = true },
		{ .name = "torc_choose", .run = run_choose },
		{ .name = "torc_choose, cases made anew", .run = run_choose, .arg = &one },
	};

	bench_interleave("chan: round trip between two fibers", trips, 3, ROUNDS);
	bench_interleave("chan: stream, capacity 1,024", streams, 2, ROUNDS);
	bench_interleave("chan: choose from 2 ready channels", choices, 3, ROUNDS);
	return 0;
}
