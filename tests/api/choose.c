/* choose - one of several: which one, that it is one alone, fairness, closing, cancelling, readiness, instants. */
#include "api.h"

static struct torc_chan *new_chan(size_t capacity)
{
	struct torc_chan *chan;

	ck_assert_int_eq(torc_chan_new(&chan, sizeof(int), capacity, NULL), 0);
	return chan;
}

/* A fiber that chooses once among given cases. */
struct chooser {
	struct torc_case *cases;
	size_t count;
	int result;
};

static int choose(void *arg)
{
	struct chooser *chooser = arg;

	chooser->result = UNSET;
	chooser->result = torc_choose(chooser->cases, chooser->count);
	return 0;
}

static void start(struct torc_scope *scope, struct chooser *chooser, struct torc_case *cases, size_t count)
{
	*chooser = (struct chooser){ cases, count, UNSET };
	ck_assert_int_eq(torc_go(scope, choose, chooser), 0);
	torc_yield();
}

TEST_IN_FIBER(the_one_that_is_ready_is_chosen)
{
	struct torc_chan *a = new_chan(1), *b = new_chan(1);
	int from_a = 0, from_b = 0, item = 3;

	for (int i = 0; i < 100; i++) {
		struct torc_case cases[] = { torc_case_recv(a, &from_a), torc_case_recv(b, &from_b) };

		ck_assert_int_eq(torc_chan_send(i % 2 ? a : b, &i), 0);
		ck_assert_int_eq(torc_choose(cases, 2), i % 2 ? 0 : 1);
		ck_assert_int_eq(cases[i % 2 ? 0 : 1].result, 0);
		ck_assert_int_eq(i % 2 ? from_a : from_b, i);
	}
	ck_assert_int_eq(torc_chan_send(a, &item), 0);
	{
		struct torc_case cases[] = { torc_case_send(a, &item), torc_case_send(b, &item) };

		ck_assert_int_eq(torc_choose(cases, 2), 1);
		ck_assert_uint_eq(torc_chan_len(a), 1);
		ck_assert_uint_eq(torc_chan_len(b), 1);
	}
	torc_chan_free(a);
	torc_chan_free(b);
}

TEST_IN_FIBER(a_parked_choice_takes_the_first_that_comes)
{
	struct torc_chan *a = new_chan(0), *b = new_chan(0);
	int from_a = -1, from_b = -1, item = 8;
	struct torc_case cases[] = { torc_case_recv(a, &from_a), torc_case_recv(b, &from_b) };
	struct chooser chooser;

	TORC_SCOPE(scope);
	start(scope, &chooser, cases, 2);
	ck_assert_int_eq(chooser.result, UNSET);
	ck_assert_int_eq(torc_chan_send(b, &item), 0);
	/* It is out of the other queue already, before it ran. */
	ck_assert_int_eq(torc_chan_try_send(a, &item), 0);
	ck_assert_int_eq(torc_chan_try_send(b, &item), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(chooser.result, 1);
	ck_assert_int_eq(from_a, -1);
	ck_assert_int_eq(from_b, 8);
	torc_chan_free(a);
	torc_chan_free(b);
}

TEST_IN_FIBER(ready_ones_are_picked_evenly)
{
	enum { CHANNELS = 7, ROUNDS = 7000 };
	struct torc_chan *chans[CHANNELS];
	struct torc_case cases[CHANNELS];
	int items[CHANNELS], picked[CHANNELS] = { 0 };

	for (int i = 0; i < CHANNELS; i++) {
		chans[i] = new_chan(1);
		ck_assert_int_eq(torc_chan_send(chans[i], &i), 0);
		cases[i] = torc_case_recv(chans[i], &items[i]);
	}
	for (int i = 0; i < ROUNDS; i++) {
		int chosen = torc_choose(cases, CHANNELS);

		ck_assert_int_ge(chosen, 0);
		picked[chosen]++;
		ck_assert_int_eq(torc_chan_send(chans[chosen], &i), 0);
	}
	for (int i = 0; i < CHANNELS; i++) {
		ck_assert_int_gt(picked[i], ROUNDS / CHANNELS / 2);
		ck_assert_int_lt(picked[i], ROUNDS / CHANNELS * 2);
		torc_chan_free(chans[i]);
	}
}

/* Whatever of them is ready, and however many there are beside. The sequence of picks is the same in each run. */
TEST_IN_FIBER(of_any_few_each_is_picked_as_often)
{
	enum { MOST = 6, ROUNDS = 1000 };

	for (unsigned count = 1; count <= MOST; count++) {
		for (unsigned ready = 1; ready < 1u << count; ready++) {
			struct torc_event events[MOST] = { 0 };
			struct torc_case cases[MOST];
			int picked[MOST] = { 0 }, among = __builtin_popcount(ready);

			for (unsigned i = 0; i < count; i++) {
				cases[i] = torc_case_event(&events[i]);
				if (ready & 1u << i)
					torc_event_set(&events[i]);
			}
			for (int i = 0; i < among * ROUNDS; i++)
				picked[torc_choose(cases, count)]++;
			for (unsigned i = 0; i < count; i++) {
				ck_assert_int_ge(picked[i], ready & 1u << i ? ROUNDS * 85 / 100 : 0);
				ck_assert_int_le(picked[i], ready & 1u << i ? ROUNDS * 115 / 100 : 0);
			}
		}
	}
}

TEST_IN_FIBER(neighbours_among_many_are_picked_evenly)
{
	enum { CASES = 300, ROUNDS = 4000 };
	static struct torc_case cases[CASES];
	struct torc_chan *empty = new_chan(1), *ready = new_chan(2);
	int item = 0;

	for (int at = 0; at < CASES - 1; at += 37) {
		int first = 0;

		for (int i = 0; i < CASES; i++)
			cases[i] = torc_case_recv(i == at || i == at + 1 ? ready : empty, &item);
		for (int i = 0; i < ROUNDS; i++) {
			int chosen;

			ck_assert_int_eq(torc_chan_send(ready, &item), 0);
			chosen = torc_choose(cases, CASES);
			ck_assert(chosen == at || chosen == at + 1);
			first += chosen == at;
		}
		ck_assert_int_gt(first, ROUNDS / 4);
		ck_assert_int_lt(first, ROUNDS / 4 * 3);
	}
	torc_chan_free(empty);
	torc_chan_free(ready);
}

TEST_IN_FIBER(hundreds_of_cases_wait_for_one)
{
	enum { CASES = 500 };
	static struct torc_case cases[CASES];
	static struct torc_chan *chans[CASES];
	static int items[CASES];
	struct chooser chooser;

	for (int i = 0; i < CASES; i++)
		chans[i] = new_chan(0);
	for (int at = 0; at < CASES; at += 61) {
		TORC_SCOPE(scope);
		for (int i = 0; i < CASES; i++) {
			items[i] = -1;
			cases[i] = torc_case_recv(chans[i], &items[i]);
		}
		start(scope, &chooser, cases, CASES);
		ck_assert_int_eq(torc_chan_send(chans[at], &at), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(chooser.result, at);
		for (int i = 0; i < CASES; i++) {
			ck_assert_int_eq(items[i], i == at ? at : -1);
			ck_assert_int_eq(torc_chan_try_send(chans[i], &at), 0); /* nobody waits there */
		}
	}
	for (int i = 0; i < CASES; i++)
		torc_chan_free(chans[i]);
}

TEST_IN_FIBER(the_same_channel_twice)
{
	struct torc_chan *chan = new_chan(0);
	int first = -1, second = -1, item = 4;
	struct torc_case cases[] = { torc_case_recv(chan, &first), torc_case_recv(chan, &second) };
	struct chooser chooser;

	TORC_SCOPE(scope);
	start(scope, &chooser, cases, 2);
	ck_assert_int_eq(torc_chan_send(chan, &item), 0);
	ck_assert_int_eq(torc_chan_try_send(chan, &item), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(chooser.result, 0);
	ck_assert_int_eq(first, 4);
	ck_assert_int_eq(second, -1);
	torc_chan_free(chan);
}

TEST_IN_FIBER(a_choice_never_meets_itself)
{
	struct torc_chan *chan = new_chan(0);
	int in = 9, out = -1;
	struct torc_case cases[] = { torc_case_send(chan, &in), torc_case_recv(chan, &out) };

	TORC_SCOPE(scope, .deadline = torc_in(SOON));
	ck_assert_int_eq(torc_choose(cases, 2), -ETIME);
	ck_assert_int_eq(out, -1);
	torc_chan_free(chan);
}

TEST_IN_FIBER(two_that_do_both_meet_each_other)
{
	struct torc_chan *chan = new_chan(0);
	int sends = 0;

	for (int round = 0; round < 50; round++) {
		int in[2] = { 10, 20 }, out[2] = { -1, -1 };
		struct chooser choosers[2];
		struct torc_case cases[2][2] = {
			{ torc_case_send(chan, &in[0]), torc_case_recv(chan, &out[0]) },
			{ torc_case_send(chan, &in[1]), torc_case_recv(chan, &out[1]) },
		};

		TORC_SCOPE(scope);
		start(scope, &choosers[0], cases[0], 2);
		start(scope, &choosers[1], cases[1], 2);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		/* One sent, the other received. */
		ck_assert_int_eq(choosers[0].result + choosers[1].result, 1);
		ck_assert_int_eq(out[0], choosers[0].result == 1 ? 20 : -1);
		ck_assert_int_eq(out[1], choosers[1].result == 1 ? 10 : -1);
		sends += choosers[0].result == 0;
	}
	ck_assert_int_gt(sends, 5);
	ck_assert_int_lt(sends, 45);
	torc_chan_free(chan);
}

TEST_IN_FIBER(a_choice_queues_with_the_others)
{
	struct torc_chan *a = new_chan(0), *b = new_chan(0);
	int item[3] = { -1, -1, -1 }, other, value;
	struct torc_case cases[3][2] = {
		{ torc_case_recv(a, &item[0]), torc_case_recv(b, &other) },
		{ torc_case_recv(b, &other), torc_case_recv(a, &item[1]) },
		{ torc_case_recv(a, &item[2]) },
	};
	struct chooser choosers[3];

	TORC_SCOPE(scope);
	start(scope, &choosers[0], cases[0], 2);
	start(scope, &choosers[1], cases[1], 2);
	start(scope, &choosers[2], cases[2], 1);
	for (value = 0; value < 3; value++)
		ck_assert_int_eq(torc_chan_send(a, &value), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(item[i], i);
		ck_assert_int_eq(choosers[i].result, i % 2);
	}
	torc_chan_free(a);
	torc_chan_free(b);
}

TEST_IN_FIBER(a_closed_channel_is_chosen_with_an_error)
{
	struct torc_chan *chan = new_chan(1), *other = new_chan(0);
	int item = 1, none;
	struct torc_case cases[] = { torc_case_recv(chan, &item), torc_case_recv(other, &none) };
	struct chooser chooser;

	ck_assert_int_eq(torc_chan_send(chan, &item), 0);
	torc_chan_close(chan);
	ck_assert_int_eq(torc_choose(cases, 2), 0); /* what is left */
	ck_assert_int_eq(cases[0].result, 0);
	ck_assert_int_eq(torc_choose(cases, 2), 0); /* the end */
	ck_assert_int_eq(cases[0].result, -EPIPE);
	cases[0] = (struct torc_case){ 0 }; /* off */
	{
		TORC_SCOPE(scope);
		start(scope, &chooser, cases, 2);
		ck_assert_int_eq(chooser.result, UNSET);
		torc_chan_close(other);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(chooser.result, 1);
		ck_assert_int_eq(cases[1].result, -EPIPE);
	}
	cases[0] = torc_case_send(chan, &item);
	ck_assert_int_eq(torc_choose(cases, 1), 0);
	ck_assert_int_eq(cases[0].result, -EPIPE);
	torc_chan_free(chan);
	torc_chan_free(other);
}

TEST_IN_FIBER(with_a_default_it_never_parks)
{
	struct torc_chan *chan = new_chan(1);
	int item = 6;
	struct torc_case cases[] = { torc_case_default(), torc_case_recv(chan, &item) };

	ck_assert_int_eq(torc_choose(cases, 2), 0);
	ck_assert_int_eq(cases[0].result, 0);
	ck_assert_int_eq(torc_choose(cases, 1), 0);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(torc_chan_send(chan, &item), 0);
		ck_assert_int_eq(torc_choose(cases, 2), 1);
	}
	torc_chan_free(chan);
}

TEST_IN_FIBER(no_case_at_all_waits_for_the_scope)
{
	struct torc_case off[2] = { { 0 }, { 0 } };
	struct chooser chooser;

	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_choose(NULL, 0), -ETIME);
	}
	TORC_SCOPE(scope);
	start(scope, &chooser, off, 2);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(chooser.result, -ECANCELED);
}

TEST_IN_FIBER(a_cancelled_choice_has_done_nothing)
{
	struct torc_chan *a = new_chan(0), *b = new_chan(1);
	int out = -1, in = 3;
	struct torc_case cases[] = { torc_case_recv(a, &out), torc_case_send(b, &in),
		                     torc_case_deadline(torc_in(FOREVER)) };
	struct chooser chooser;

	ck_assert_int_eq(torc_chan_send(b, &in), 0);
	TORC_SCOPE(scope);
	start(scope, &chooser, cases, 3);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_chan_try_send(a, &in), 0);
	ck_assert_int_eq(torc_chan_try_recv(b, &out), 1);
	ck_assert_uint_eq(torc_chan_len(b), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(chooser.result, -ECANCELED);
	ck_assert_int_eq(torc_choose(cases, 3), -ECANCELED); /* the level */
	torc_chan_free(a);
	torc_chan_free(b);
}

TEST_IN_FIBER(an_instant_is_a_case)
{
	struct torc_chan *chan = new_chan(0);
	torc_ns begin = torc_now(), instant = begin + SOON;
	int item;
	struct torc_case cases[] = { torc_case_recv(chan, &item), torc_case_deadline(instant),
		                     torc_case_deadline(torc_in(FOREVER)) };

	ck_assert_int_eq(torc_choose(cases, 3), 1);
	ck_assert_int_eq(cases[1].result, 0);
	ck_assert(torc_now() >= instant);
	ck_assert_int_eq(torc_choose(cases, 3), 1); /* passed */
	cases[1] = torc_case_deadline(-5);
	ck_assert_int_eq(torc_choose(cases, 3), 1);
	torc_chan_free(chan);
}

TEST_IN_FIBER(an_event_is_a_case)
{
	struct torc_chan *chan = new_chan(0);
	struct torc_event event = { 0 }, other = { 0 };
	int item = 0;
	struct torc_case cases[] = { torc_case_event(&event), torc_case_recv(chan, &item), torc_case_event(&other),
		                     torc_case_event(&event) };
	struct torc_case pairs[3][2];
	struct chooser choosers[3];

	{
		TORC_SCOPE(scope);
		for (int i = 0; i < 3; i++) {
			pairs[i][0] = cases[0];
			pairs[i][1] = cases[1];
			start(scope, &choosers[i], pairs[i], 2);
		}
		ck_assert_int_eq(torc_chan_send(chan, &item), 0); /* the first */
		torc_event_set(&event);                           /* the others */
		torc_event_reset(&event);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		for (int i = 0; i < 3; i++)
			ck_assert_int_eq(choosers[i].result, i == 0);
	}
	{
		TORC_SCOPE(scope);
		start(scope, &choosers[0], cases, 4);
		torc_event_set(&event);
		torc_event_set(&other);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(choosers[0].result, 0);
		ck_assert_int_eq(cases[0].result, 0);
	}
	ck_assert_int_ne(torc_choose(cases, 4), 1); /* at once */
	torc_event_reset(&event);
	torc_event_reset(&other);
	{
		TORC_SCOPE(scope);
		start(scope, &choosers[0], cases, 4);
		torc_scope_cancel(scope);
		torc_event_set(&event);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(choosers[0].result, -ECANCELED);
	}
	torc_chan_free(chan);
}

TEST_IN_FIBER(a_timer_is_a_case)
{
	struct torc_chan *chan = new_chan(0);
	struct torc_timer timer = { 0 };
	int item = 0;
	struct torc_case cases[] = { torc_case_recv(chan, &item), torc_case_timer(&timer), torc_case_timer(&timer) };
	struct chooser choosers[2];
	torc_ns instant;

	{
		TORC_SCOPE(scope);
		start(scope, &choosers[0], cases, 3);
		torc_timer_set(&timer, torc_in(FOREVER));
		torc_yield();
		ck_assert_int_eq(choosers[0].result, UNSET);
		ck_assert_int_eq(torc_chan_send(chan, &item), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(choosers[0].result, 0);
		torc_timer_set(&timer, torc_in(FOREVER)); /* nobody waits */
	}
	{
		struct torc_case alone = torc_case_timer(&timer);

		TORC_SCOPE(scope);
		start(scope, &choosers[0], cases, 3);
		start(scope, &choosers[1], &alone, 1);
		instant = torc_in(SOON);
		torc_timer_set(&timer, instant); /* sooner */
		ck_assert_int_eq(torc_timer_wait(&timer), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert(torc_now() >= instant);
		ck_assert_int_ge(choosers[0].result, 1);
		ck_assert_int_eq(choosers[1].result, 0);
	}
	ck_assert_int_ge(torc_choose(cases, 3), 1); /* it has come, and stays so */
	torc_timer_set(&timer, 0);
	{
		TORC_SCOPE(scope);
		start(scope, &choosers[0], cases, 3);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(choosers[0].result, -ECANCELED);
	}
	torc_chan_free(chan);
}

/* --- descriptors ----------------------------------------------------------------------------- */

struct tube {
	struct torc_async read, write;
};

static struct tube new_tube(void)
{
	struct tube tube;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(torc_async_wrap(&tube.read, fds[0]), 0);
	ck_assert_int_eq(torc_async_wrap(&tube.write, fds[1]), 0);
	return tube;
}

static void poke(struct tube *tube)
{
	ck_assert_int_eq(write(torc_async_fd(&tube->write), "x", 1), 1);
}

static void free_tube(struct tube *tube)
{
	ck_assert_int_eq(torc_async_close(&tube->read), 0);
	ck_assert_int_eq(torc_async_close(&tube->write), 0);
}

TEST_IN_FIBER(readiness_that_is_there_already)
{
	struct torc_chan *chan = new_chan(0);
	struct tube tube = new_tube();
	int item;
	struct torc_case cases[] = { torc_case_recv(chan, &item), torc_case_readable(&tube.read), torc_case_default() };

	ck_assert_int_eq(torc_choose(cases, 3), 2);
	poke(&tube);
	ck_assert_int_eq(torc_choose(cases, 3), 1);
	ck_assert_int_eq(cases[1].result, 0);
	cases[1] = torc_case_writable(&tube.write);
	ck_assert_int_eq(torc_choose(cases, 2), 1);
	free_tube(&tube);
	torc_chan_free(chan);
}

TEST_IN_FIBER(readiness_that_comes_while_parked)
{
	struct torc_chan *chan = new_chan(0);
	struct tube a = new_tube(), b = new_tube();
	int item = 0;
	struct torc_case cases[] = { torc_case_recv(chan, &item), torc_case_readable(&a.read),
		                     torc_case_readable(&b.read), torc_case_readable(&b.read) };
	struct chooser chooser;

	for (int i = 0; i < 3; i++) {
		char byte;

		TORC_SCOPE(scope);
		start(scope, &chooser, cases, 4);
		poke(i == 1 ? &a : &b);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert(i == 1 ? chooser.result == 1 : chooser.result == 2 || chooser.result == 3);
		ck_assert_int_eq(cases[chooser.result].result, 0);
		ck_assert_int_eq(torc_chan_try_send(chan, &item), 0);
		ck_assert_int_eq(read(torc_async_fd(i == 1 ? &a.read : &b.read), &byte, 1), 1);
	}
	free_tube(&a);
	free_tube(&b);
	torc_chan_free(chan);
}

TEST_IN_FIBER(the_channel_wins_over_descriptors_that_wait)
{
	struct torc_chan *chan = new_chan(0);
	struct tube tubes[5];
	struct torc_case cases[6];
	struct torc_stats before = stats_now(), after;
	int item = -1, value = 5;
	struct chooser chooser;

	for (int i = 0; i < 5; i++) {
		tubes[i] = new_tube();
		cases[i] = torc_case_readable(&tubes[i].read);
	}
	cases[5] = torc_case_recv(chan, &item);
	TORC_SCOPE(scope);
	start(scope, &chooser, cases, 6);
	ck_assert_int_eq(torc_chan_send(chan, &value), 0);
	poke(&tubes[3]); /* too late, and harmless */
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(chooser.result, 5);
	ck_assert_int_eq(item, 5);
	after = stats_now();
	ck_assert_int_eq(after.submissions - before.submissions, 5 + (after.cancellations - before.cancellations));
	for (int i = 0; i < 5; i++)
		free_tube(&tubes[i]);
	torc_chan_free(chan);
}

TEST_IN_FIBER(a_handle_that_is_closed_meanwhile)
{
	for (int twice = 0; twice < 2; twice++) {
		struct torc_chan *chan = new_chan(0);
		struct tube a = new_tube(), b = new_tube();
		int item;
		struct torc_case cases[] = { torc_case_readable(&a.read), torc_case_recv(chan, &item),
			                     torc_case_readable(&b.read), torc_case_readable(&b.read) };
		struct chooser chooser;

		TORC_SCOPE(scope);
		start(scope, &chooser, cases, twice ? 4 : 3);
		ck_assert_int_eq(torc_async_close(&b.read), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_ge(chooser.result, 2);
		ck_assert_int_eq(cases[chooser.result].result, -EBADF);
		ck_assert_int_ge(torc_choose(cases, twice ? 4 : 3), 2); /* at once */
		ck_assert_int_eq(cases[2].result, -EBADF);
		free_tube(&a);
		free_tube(&b);
		torc_chan_free(chan);
	}
}

TEST_IN_FIBER(a_handle_closed_beside_a_send_and_a_receive_of_one_channel)
{
	struct torc_chan *chan = new_chan(0);
	struct tube tube = new_tube();
	int in = 1, out = -1;
	struct torc_case cases[] = { torc_case_send(chan, &in), torc_case_recv(chan, &out),
		                     torc_case_readable(&tube.read) };
	struct chooser chooser;

	TORC_SCOPE(scope);
	start(scope, &chooser, cases, 3);
	ck_assert_int_eq(torc_async_close(&tube.read), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(chooser.result, 2); /* it has not met itself */
	ck_assert_int_eq(cases[2].result, -EBADF);
	ck_assert_int_eq(out, -1);
	free_tube(&tube);
	torc_chan_free(chan);
}

TEST_IN_FIBER(cancel_with_descriptors_armed)
{
	struct tube tubes[3];
	struct torc_case cases[4];
	struct chooser chooser;

	for (int i = 0; i < 3; i++) {
		tubes[i] = new_tube();
		cases[i] = torc_case_readable(&tubes[i].read);
	}
	cases[3] = torc_case_deadline(torc_in(FOREVER));
	{
		TORC_SCOPE(scope);
		start(scope, &chooser, cases, 4);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(chooser.result, -ECANCELED);
	}
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_choose(cases, 4), -ETIME);
	}
	cases[3] = torc_case_deadline(torc_in(SOON));
	ck_assert_int_eq(torc_choose(cases, 4), 3);
	for (int i = 0; i < 3; i++)
		free_tube(&tubes[i]);
}

/* More than the ring has room for, and more than the frame has. */
static int many_descriptors(void *arg)
{
	enum { CASES = 200 };
	static struct tube tubes[CASES];
	static struct torc_case cases[CASES];
	struct chooser chooser;

	(void)arg;
	for (int i = 0; i < CASES; i++) {
		tubes[i] = new_tube();
		cases[i] = torc_case_readable(&tubes[i].read);
	}
	for (int at = 0; at < CASES; at += 33) {
		char byte;

		TORC_SCOPE(scope);
		start(scope, &chooser, cases, CASES);
		poke(&tubes[at]);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(chooser.result, at);
		ck_assert_int_eq(read(torc_async_fd(&tubes[at].read), &byte, 1), 1);
	}
	/* Closed while many of them still wait for room in the ring. */
	{
		TORC_SCOPE(scope);
		chooser = (struct chooser){ cases, CASES, UNSET };
		ck_assert_int_eq(torc_go(scope, choose, &chooser), 0);
		torc_yield();
		ck_assert_int_eq(torc_async_close(&tubes[CASES - 1].read), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(chooser.result, CASES - 1);
		ck_assert_int_eq(cases[CASES - 1].result, -EBADF);
	}
	for (int i = 0; i < CASES; i++)
		free_tube(&tubes[i]);
	return 0;
}

TEST(hundreds_of_descriptors)
{
	if (!feature_is_on("cqsize"))
		SKIP("there may be fewer polls in flight than it wants");
	ck_assert_int_eq(torc_run(NULL, many_descriptors, NULL), 0);
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .ring_entries = 8), many_descriptors, NULL), 0);
}

DEATH(outside_a_run_it_is_misuse, "torc_choose: called outside a fiber")
{
	(void)!torc_choose(NULL, 0);
}
