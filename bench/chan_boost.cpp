/*
 * chan_boost: a stream of items from one fiber to another through a channel for 1,024 of them: torc_chan against
 * boost::fibers::buffered_channel, each under its own scheduler on one thread.
 *
 * Needs: libtorc, Boost.Fiber.
 */
#include <boost/fiber/all.hpp>

#include <torc.h>

#include "bench.h"

static constexpr uint64_t ITEMS = 1000000;
static constexpr size_t CAPACITY = 1024, ROUNDS = 15;

static struct bench_lap *lap;

static void check(bool fine, const char *what)
{
	if (!fine)
		bench_die(what);
}

/* ---- torc ---- */

static int produce(void *arg)
{
	torc_chan *chan = static_cast<torc_chan *>(arg);
	int r = 0;

	for (uint64_t i = 0; i < ITEMS && r == 0; i++)
		r = torc_chan_send(chan, &i);
	torc_chan_close(chan);
	return r;
}

static int stream(void *)
{
	torc_chan *chan = nullptr;
	torc_scope space, *scope;
	uint64_t item, next = 0;
	int r;

	check(torc_chan_new(&chan, sizeof item, CAPACITY, nullptr) == 0, "no memory");
	scope = torc_scope_open(&space, nullptr);
	check(torc_go(scope, produce, chan) == 0, "no fiber");
	bench_begin(lap);
	while (torc_chan_recv(chan, &item) == 0)
		check(item == next++, "out of order");
	bench_end(lap, ITEMS);
	check(next == ITEMS, "an item was lost");
	r = torc_scope_join(scope);
	torc_scope_leave(&scope);
	torc_chan_free(chan);
	return r;
}

static void run_torc(struct bench_lap *own, void *)
{
	lap = own;
	check(torc_run(nullptr, stream, nullptr) == 0, "a run failed");
}

/* ---- boost: a channel for one item less than it is made for ---- */

static void run_boost(struct bench_lap *own, void *)
{
	boost::fibers::buffered_channel<uint64_t> chan(CAPACITY);
	uint64_t item, next = 0;

	boost::fibers::fiber producer([&chan] {
		for (uint64_t i = 0; i < ITEMS; i++)
			chan.push(i);
		chan.close();
	});
	bench_begin(own);
	while (chan.pop(item) == boost::fibers::channel_op_status::success)
		check(item == next++, "out of order");
	bench_end(own, ITEMS);
	check(next == ITEMS, "an item was lost");
	producer.join();
}

int main()
{
	const struct bench_contender contenders[] = {
		{ "boost buffered_channel", run_boost, nullptr, true },
		{ "torc_chan", run_torc, nullptr, false },
	};

	bench_interleave("chan_boost: stream, capacity 1,024", contenders, 2, ROUNDS);
	return 0;
}
