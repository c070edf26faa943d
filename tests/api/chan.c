/* chan - channels on one core: order, room, closing, cancelling, ownership. */
#include "api.h"

static struct torc_chan *new_chan(size_t capacity)
{
	struct torc_chan *chan;

	ck_assert_int_eq(torc_chan_new(&chan, sizeof(int), capacity, NULL), 0);
	return chan;
}

/* A fiber that sends or receives once. */
struct peer {
	struct torc_chan *chan;
	int item;
	int result;
	int order; /* when it was through: 1, 2 ... */
};

static int through;

static int send_one(void *arg)
{
	struct peer *peer = arg;

	peer->result = UNSET;
	peer->result = torc_chan_send(peer->chan, &peer->item);
	peer->order = ++through;
	return 0;
}

static int recv_one(void *arg)
{
	struct peer *peer = arg;

	peer->result = UNSET;
	peer->result = torc_chan_recv(peer->chan, &peer->item);
	peer->order = ++through;
	return 0;
}

/* Start `count` of them and let each run until it parks. */
static void start(struct torc_scope *scope, torc_fn *fn, struct peer *peers, int count, struct torc_chan *chan)
{
	for (int i = 0; i < count; i++) {
		peers[i] = (struct peer){ chan, 100 + i, UNSET, 0 };
		ck_assert_int_eq(torc_go(scope, fn, &peers[i]), 0);
	}
	torc_yield();
}

TEST_IN_FIBER(items_come_out_as_they_went_in)
{
	struct torc_chan *chan = new_chan(4);
	int item;

	ck_assert_uint_eq(torc_chan_capacity(chan), 4);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(torc_chan_send(chan, &i), 0);
	ck_assert_uint_eq(torc_chan_len(chan), 4);
	item = 4;
	ck_assert_int_eq(torc_chan_try_send(chan, &item), 0);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(torc_chan_recv(chan, &item), 0);
		ck_assert_int_eq(item, i);
	}
	ck_assert_int_eq(torc_chan_try_recv(chan, &item), 0);
	ck_assert_int_eq(item, 3);
	torc_chan_free(chan);
}

TEST_IN_FIBER(any_capacity_holds_what_it_says)
{
	for (size_t capacity = 0; capacity < 40; capacity++) {
		struct torc_chan *chan = new_chan(capacity);
		int in = 0, out = 0, item;

		for (int round = 0; round < 3; round++) {
			while (torc_chan_try_send(chan, &in) == 1)
				in++;
			ck_assert_int_eq(in - out, (int)capacity);
			ck_assert_uint_eq(torc_chan_len(chan), capacity);
			for (size_t i = 0; i < capacity / 2 + 1 && torc_chan_try_recv(chan, &item) == 1; i++)
				ck_assert_int_eq(item, out++);
		}
		torc_chan_free(chan);
	}
}

TEST_IN_FIBER(items_of_every_size_arrive_whole)
{
	static const size_t sizes[] = { 1, 3, 4, 8, 15, 16, 32, 33, 64, 100, 4096, 1 << 20 };
	static unsigned char in[1 << 20], out[1 << 20];

	for (size_t s = 0; s < LENGTH(sizes); s++) {
		struct torc_chan *chan;

		ck_assert_int_eq(torc_chan_new(&chan, sizes[s], 3, NULL), 0);
		for (int i = 0; i < 8; i++) {
			pattern_fill(in, sizes[s], (size_t)i);
			ck_assert_int_eq(torc_chan_send_sized(chan, in, sizes[s]), 0);
			ck_assert_int_eq(torc_chan_recv_sized(chan, out, sizes[s]), 0);
			ck_assert(pattern_holds(out, sizes[s], (size_t)i));
		}
		torc_chan_free(chan);
	}
}

TEST_IN_FIBER(options_out_of_range_are_refused)
{
	struct torc_chan *chan = (void *)&chan;

	ck_assert_int_eq(torc_chan_new(&chan, 0, 1, NULL), -EINVAL);
	ck_assert_int_eq(torc_chan_new(&chan, (1 << 20) + 1, 1, NULL), -EINVAL);
	ck_assert_int_eq(torc_chan_new(&chan, 8, SIZE_MAX, NULL), -EINVAL);
	ck_assert_int_eq(torc_chan_new(&chan, 1 << 20, 1025, NULL), -EINVAL);
	ck_assert_ptr_eq(chan, &chan);
	torc_chan_free(NULL);
}

TEST_IN_FIBER(rendezvous_hands_over_in_both_directions)
{
	struct torc_chan *chan = new_chan(0);
	struct peer peers[3];
	int item = 7;

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_chan_try_send(chan, &item), 0);
	ck_assert_int_eq(torc_chan_try_recv(chan, &item), 0);
	start(scope, send_one, peers, 3, chan);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(peers[i].result, UNSET);
		ck_assert_int_eq(torc_chan_recv(chan, &item), 0);
		ck_assert_int_eq(item, 100 + i);
	}
	ck_assert_int_eq(torc_chan_try_recv(chan, &item), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(peers[i].result, 0);
	start(scope, recv_one, peers, 3, chan);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(torc_chan_send(chan, &i), 0);
	ck_assert_int_eq(torc_chan_try_send(chan, &item), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(peers[i].item, i);
	torc_chan_free(chan);
}

TEST_IN_FIBER(parked_senders_keep_their_order)
{
	struct torc_chan *chan = new_chan(2);
	struct peer peers[6];
	int item;

	TORC_SCOPE(scope);
	through = 0;
	start(scope, send_one, peers, 6, chan);
	for (int i = 0; i < 6; i++) {
		int overtaker = 99;

		/* Who waits has the place that becomes free. */
		ck_assert_int_eq(torc_chan_try_send(chan, &overtaker), i < 5 ? 0 : 1);
		ck_assert_int_eq(torc_chan_recv(chan, &item), 0);
		ck_assert_int_eq(item, 100 + i);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(peers[i].order, i + 1);
	torc_chan_free(chan);
}

TEST_IN_FIBER(parked_receivers_are_served_first_come_first)
{
	struct torc_chan *chan = new_chan(8);
	struct peer peers[5];
	int item;

	TORC_SCOPE(scope);
	start(scope, recv_one, peers, 5, chan);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(torc_chan_send(chan, &i), 0);
	/* Five are in their hands already: nobody can snatch them. */
	ck_assert_uint_eq(torc_chan_len(chan), 1);
	ck_assert_int_eq(torc_chan_recv(chan, &item), 0);
	ck_assert_int_eq(item, 5);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(peers[i].item, i);
	torc_chan_free(chan);
}

TEST_IN_FIBER(close_lets_receivers_drain)
{
	struct torc_chan *chan = new_chan(3);
	int item = 1;

	ck_assert_int_eq(torc_chan_send(chan, &item), 0);
	item = 2;
	ck_assert_int_eq(torc_chan_send(chan, &item), 0);
	torc_chan_close(chan);
	torc_chan_close(chan);
	ck_assert_int_eq(torc_chan_send(chan, &item), -EPIPE);
	ck_assert_int_eq(torc_chan_try_send(chan, &item), -EPIPE);
	ck_assert_int_eq(torc_chan_recv(chan, &item), 0);
	ck_assert_int_eq(item, 1);
	ck_assert_int_eq(torc_chan_try_recv(chan, &item), 1);
	ck_assert_int_eq(item, 2);
	ck_assert_int_eq(torc_chan_recv(chan, &item), -EPIPE);
	ck_assert_int_eq(torc_chan_try_recv(chan, &item), -EPIPE);
	ck_assert_int_eq(item, 2);
	torc_chan_free(chan);
}

TEST_IN_FIBER(close_wakes_all_who_wait)
{
	for (int round = 0; round < 2; round++) {
		struct torc_chan *chan = new_chan(0);
		struct peer peers[4];

		TORC_SCOPE(scope);
		start(scope, round ? recv_one : send_one, peers, 4, chan);
		torc_chan_close(chan);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		for (int i = 0; i < 4; i++) {
			ck_assert_int_eq(peers[i].result, -EPIPE);
			ck_assert_int_eq(peers[i].item, 100 + i);
		}
		torc_chan_free(chan);
	}
}

TEST_IN_FIBER(a_cancelled_sender_keeps_its_item)
{
	struct torc_chan *chan = new_chan(1);
	struct peer peers[3];
	int item = 0;

	TORC_SCOPE(outer);
	ck_assert_int_eq(torc_chan_send(chan, &item), 0);
	{
		TORC_SCOPE(scope);
		start(scope, send_one, &peers[0], 1, chan);
		start(outer, send_one, &peers[1], 1, chan);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	ck_assert_int_eq(peers[0].result, -ECANCELED);
	ck_assert_int_eq(torc_chan_recv(chan, &item), 0);
	ck_assert_int_eq(torc_chan_recv(chan, &item), 0);
	ck_assert_int_eq(item, 100);
	ck_assert_int_eq(torc_chan_try_recv(chan, &item), 0);
	ck_assert_int_eq(torc_scope_join(outer), 0);
	ck_assert_int_eq(peers[1].result, 0);
	torc_chan_free(chan);
}

TEST_IN_FIBER(a_cancelled_receiver_loses_nothing)
{
	struct torc_chan *chan = new_chan(0);
	struct peer peers[2];
	int item = 5;

	TORC_SCOPE(outer);
	{
		TORC_SCOPE(scope);
		start(scope, recv_one, &peers[0], 1, chan);
		start(outer, recv_one, &peers[1], 1, chan);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_chan_try_send(chan, &item), 1);
	}
	ck_assert_int_eq(torc_scope_join(outer), 0);
	ck_assert_int_eq(peers[0].result, -ECANCELED);
	ck_assert_int_eq(peers[0].item, 100);
	ck_assert_int_eq(peers[1].result, 0);
	ck_assert_int_eq(peers[1].item, 5);
	torc_chan_free(chan);
}

TEST_IN_FIBER(what_was_handed_over_counts_though_the_scope_is_cancelled)
{
	struct torc_chan *chan = new_chan(0);
	struct peer peer;
	int item = 5;

	TORC_SCOPE(scope);
	start(scope, recv_one, &peer, 1, chan);
	ck_assert_int_eq(torc_chan_send(chan, &item), 0);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(peer.result, 0);
	ck_assert_int_eq(peer.item, 5);
	torc_chan_free(chan);
}

TEST_IN_FIBER(a_cancelled_scope_refuses_before_anything_moves)
{
	struct torc_chan *chan = new_chan(2);
	int item = 1;

	ck_assert_int_eq(torc_chan_send(chan, &item), 0);
	{
		TORC_SCOPE(scope);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_chan_send(chan, &item), -ECANCELED);
		ck_assert_int_eq(torc_chan_recv(chan, &item), -ECANCELED);
		/* These do not ask. */
		ck_assert_int_eq(torc_chan_try_recv(chan, &item), 1);
		ck_assert_int_eq(torc_chan_try_send(chan, &item), 1);
	}
	ck_assert_uint_eq(torc_chan_len(chan), 1);
	torc_chan_free(chan);
}

TEST_IN_FIBER(a_deadline_ends_the_wait)
{
	struct torc_chan *chan = new_chan(0);
	int item = 1;

	TORC_SCOPE(scope, .deadline = torc_in(SOON));
	ck_assert_int_eq(torc_chan_recv(chan, &item), -ETIME);
	ck_assert_int_eq(torc_chan_send(chan, &item), -ETIME);
	torc_chan_free(chan);
}

TEST_IN_FIBER(an_unbounded_channel_never_parks)
{
	enum { ITEMS = 1000 };

	for (size_t capacity = 0; capacity < 20; capacity += 3) {
		struct torc_chan *chan;
		int out = 0, item;

		ck_assert_int_eq(
			torc_chan_new(&chan, sizeof(int), capacity, TORC_OPTIONS(torc_chan_options, .unbounded = true)),
			0);
		ck_assert_uint_eq(torc_chan_capacity(chan), SIZE_MAX);
		for (int i = 0; i < ITEMS; i++) {
			ck_assert_int_eq(i % 2 ? torc_chan_try_send(chan, &i) : torc_chan_send(chan, &i), i % 2);
			if (i % 3 == 0) {
				ck_assert_int_eq(torc_chan_recv(chan, &item), 0);
				ck_assert_int_eq(item, out++);
			}
		}
		ck_assert_uint_eq(torc_chan_len(chan), (size_t)(ITEMS - out));
		while (torc_chan_try_recv(chan, &item) == 1)
			ck_assert_int_eq(item, out++);
		ck_assert_int_eq(out, ITEMS);
		torc_chan_free(chan);
	}
}

/* Runs with little memory allowed, in a process of its own. */
static int grow_until_refused(void *arg)
{
	static char item[1 << 20];
	struct torc_chan *chan;
	size_t sent = 0;
	int r;

	(void)arg;
	if (torc_chan_new(&chan, sizeof item, 1, TORC_OPTIONS(torc_chan_options, .unbounded = true)) < 0)
		return 1;
	setrlimit(RLIMIT_AS, &(struct rlimit){ 1 << 30, 1 << 30 });
	while ((r = torc_chan_send(chan, &item)) == 0 && sent < 2000)
		item[0] = (char)++sent;
	if (r != -ENOMEM || torc_chan_len(chan) != sent || torc_chan_try_send(chan, &item) != -ENOMEM)
		return 2;
	/* It is as it was, and works on. */
	for (size_t i = 0; i < 10; i++)
		if (torc_chan_recv(chan, &item) < 0 || item[0] != (char)i)
			return 3;
	if (torc_chan_send(chan, &item) < 0)
		return 4;
	torc_chan_free(chan);
	return 0;
}

static int grow_in_a_run(void *arg)
{
	return torc_run(NULL, grow_until_refused, arg);
}

TEST_TIMEOUT(an_unbounded_channel_that_cannot_grow_says_so, 60)
{
	struct outcome outcome;

	if (harness_slow())
		SKIP("an address space of a sanitizer or valgrind can't be limited");
	run_in_process(&outcome, grow_in_a_run, NULL);
	assert_exit(&outcome, 0);
}

/* --- ownership ------------------------------------------------------------------------------- */

static int destroyed, last_destroyed;

static void destroy(void *item)
{
	int value = *(int *)item;

	ck_assert_int_gt(value, last_destroyed);
	last_destroyed = value;
	destroyed++;
}

TEST_IN_FIBER(what_is_left_is_destroyed_once_and_in_order)
{
	for (int kind = 0; kind < 2; kind++) {
		struct torc_chan *chan;
		int item;

		destroyed = last_destroyed = 0;
		ck_assert_int_eq(torc_chan_new(&chan, sizeof(int), 8,
		                               TORC_OPTIONS(torc_chan_options, .unbounded = kind, .destroy = destroy)),
		                 0);
		for (int i = 1; i <= 8; i++)
			ck_assert_int_eq(torc_chan_send(chan, &i), 0);
		for (int i = 1; i <= 3; i++)
			ck_assert_int_eq(torc_chan_recv(chan, &item), 0);
		for (int i = 9; i <= 11; i++)
			ck_assert_int_eq(torc_chan_send(chan, &i), 0);
		torc_chan_close(chan);
		ck_assert_int_eq(destroyed, 0);
		torc_chan_free(chan);
		ck_assert_int_eq(destroyed, 8);
		ck_assert_int_eq(last_destroyed, 11);
	}
}

static void close_stream(void *item)
{
	torc_stream_close(item);
}

TEST_IN_FIBER(streams_left_in_a_channel_are_closed)
{
	struct torc_stream a, b;
	struct torc_chan *chan;
	char byte;

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_chan_new(&chan, sizeof a, 1, TORC_OPTIONS(torc_chan_options, .destroy = close_stream)),
	                 0);
	ck_assert_int_eq(torc_chan_send(chan, &a), 0);
	torc_chan_free(chan);
	ck_assert_int_eq(torc_stream_read(&b, &byte, 1), 0);
	torc_stream_close(&b);
}

/* --- misuse ---------------------------------------------------------------------------------- */

DEATH_IN_FIBER(an_item_of_another_size_is_misuse, "torc_chan_send_sized: an item of 8 bytes.*of 4")
{
	int64_t item = 0;

	(void)!torc_chan_send(new_chan(1), &item);
}

DEATH_IN_FIBER(so_it_is_for_a_receive, "torc_chan_try_recv_sized: an item of 1 bytes.*of 4")
{
	char item;

	(void)!torc_chan_try_recv(new_chan(1), &item);
}

DEATH(a_channel_outside_a_run_is_misuse, "torc_chan_new: called outside a fiber")
{
	new_chan(1);
}

DEATH_IN_FIBER(free_under_a_waiter_is_misuse, "torc_chan_free: fibers wait")
{
	struct torc_chan *chan = new_chan(0);
	struct peer peer;

	TORC_SCOPE(scope);
	start(scope, recv_one, &peer, 1, chan);
	torc_chan_free(chan);
}

static int use_elsewhere(void *arg)
{
	int item = 1;

	return torc_chan_send((struct torc_chan *)arg, &item);
}

static int lend_to_another_core(void *arg)
{
	(void)arg;
	return torc_core() == 0 ? torc_on(1, use_elsewhere, new_chan(1)) : torc_sleep(FOREVER);
}

DEATH(another_core_is_misuse, "torc_chan_send_sized: the channel belongs to another core")
{
	(void)!torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), lend_to_another_core, NULL);
}

/* --- many ------------------------------------------------------------------------------------ */

enum { FLOW = 2000, SIDES = 4 };

struct flow {
	struct torc_chan *chan;
	int sent, senders;
	int got[FLOW];
};

static int pump(void *arg)
{
	struct flow *flow = arg;
	int r = 0;

	while (r == 0 && flow->sent < FLOW) {
		int item = flow->sent++;

		r = torc_chan_send(flow->chan, &item);
	}
	if (--flow->senders == 0)
		torc_chan_close(flow->chan);
	return r;
}

static int drink(void *arg)
{
	struct flow *flow = arg;
	int item, r;

	while ((r = torc_chan_recv(flow->chan, &item)) == 0)
		flow->got[item]++;
	return r == -EPIPE ? 0 : r;
}

TEST_IN_FIBER(several_to_several_each_item_once)
{
	static const size_t capacities[] = { 0, 1, 2, 7, 64 };

	for (size_t c = 0; c < LENGTH(capacities); c++) {
		static struct flow flow;

		flow = (struct flow){ .chan = new_chan(capacities[c]), .senders = SIDES };
		TORC_SCOPE(scope);
		for (int i = 0; i < SIDES; i++) {
			ck_assert_int_eq(torc_go(scope, pump, &flow), 0);
			ck_assert_int_eq(torc_go(scope, drink, &flow), 0);
		}
		ck_assert_int_eq(torc_scope_join(scope), 0);
		for (int i = 0; i < FLOW; i++)
			ck_assert_int_eq(flow.got[i], 1);
		torc_chan_free(flow.chan);
	}
}
