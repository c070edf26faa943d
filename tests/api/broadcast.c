/* broadcast, latest - one to many: order, lag, patience, closing, cancelling. */
#include "api.h"

static struct torc_broadcast *new_broadcast(size_t capacity, bool patient)
{
	struct torc_broadcast *broadcast;

	ck_assert_int_eq(torc_broadcast_new(&broadcast, sizeof(int), capacity,
	                                    TORC_OPTIONS(torc_broadcast_options, .wait_for_slowest = patient)),
	                 0);
	return broadcast;
}

static void send_range(struct torc_broadcast *broadcast, int from, int to)
{
	for (int i = from; i < to; i++)
		ck_assert_int_eq(torc_broadcast_send(broadcast, &i), 0);
}

static void expect(struct torc_subscriber *subscriber, int item, int missed)
{
	int got = -1;

	ck_assert_int_eq(torc_subscriber_recv(subscriber, &got), missed);
	ck_assert_int_eq(got, item);
}

TEST_IN_FIBER(each_subscriber_sees_what_was_sent_since_it_subscribed)
{
	struct torc_broadcast *broadcast = new_broadcast(10, false);
	struct torc_subscriber early, late;

	send_range(broadcast, 0, 3); /* to nobody */
	torc_subscriber_open(&early, broadcast);
	send_range(broadcast, 3, 5);
	torc_subscriber_open(&late, broadcast);
	send_range(broadcast, 5, 7);
	ck_assert_uint_eq(torc_subscriber_behind(&early), 4);
	ck_assert_uint_eq(torc_subscriber_behind(&late), 2);
	for (int i = 3; i < 7; i++)
		expect(&early, i, 0);
	for (int i = 5; i < 7; i++)
		expect(&late, i, 0);
	torc_subscriber_close(&early);
	torc_subscriber_close(&late);
	torc_subscriber_close(&late);
	torc_broadcast_free(broadcast);
	torc_broadcast_free(NULL);
}

TEST_IN_FIBER(who_lags_is_told_how_many_it_missed)
{
	for (size_t capacity = 1; capacity < 9; capacity++) {
		struct torc_broadcast *broadcast = new_broadcast(capacity, false);
		struct torc_subscriber subscriber;

		torc_subscriber_open(&subscriber, broadcast);
		send_range(broadcast, 0, 100);
		expect(&subscriber, 100 - (int)capacity, 100 - (int)capacity);
		for (int i = 101 - (int)capacity; i < 100; i++)
			expect(&subscriber, i, 0);
		ck_assert_uint_eq(torc_subscriber_behind(&subscriber), 0);
		torc_subscriber_close(&subscriber);
		torc_broadcast_free(broadcast);
	}
}

struct listener {
	struct torc_broadcast *broadcast;
	struct torc_subscriber subscriber;
	int first, count; /* items seen */
	int result;
	int pause; /* yields after each */
};

static int listen_to(void *arg)
{
	struct listener *listener = arg;
	int item, r;

	listener->first = -1;
	while ((r = torc_subscriber_recv(&listener->subscriber, &item)) >= 0) {
		if (listener->first < 0)
			listener->first = item;
		ck_assert_int_eq(r, 0);
		ck_assert_int_eq(item, listener->first + listener->count++);
		for (int i = 0; i < listener->pause; i++)
			torc_yield();
	}
	listener->result = r;
	return 0;
}

static void go_listen(struct torc_scope *scope, struct listener *listener, struct torc_broadcast *broadcast, int pause)
{
	*listener = (struct listener){ .broadcast = broadcast, .pause = pause, .result = UNSET };
	torc_subscriber_open(&listener->subscriber, broadcast);
	ck_assert_int_eq(torc_go(scope, listen_to, listener), 0);
}

TEST_IN_FIBER(the_patient_wait_for_the_slowest)
{
	for (size_t capacity = 1; capacity < 6; capacity++) {
		struct torc_broadcast *broadcast = new_broadcast(capacity, true);
		struct listener listeners[3];

		TORC_SCOPE(scope);
		for (int i = 0; i < 3; i++)
			go_listen(scope, &listeners[i], broadcast, 2 * i);
		send_range(broadcast, 0, 100);
		ck_assert_uint_le(torc_subscriber_behind(&listeners[2].subscriber), capacity);
		torc_broadcast_close(broadcast);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		for (int i = 0; i < 3; i++) {
			ck_assert_int_eq(listeners[i].result, -EPIPE);
			ck_assert_int_eq(listeners[i].count, 100);
			torc_subscriber_close(&listeners[i].subscriber);
		}
		torc_broadcast_free(broadcast);
	}
}

struct speaker {
	struct torc_broadcast *broadcast;
	int item, result;
};

static int speak(void *arg)
{
	struct speaker *speaker = arg;

	speaker->result = UNSET;
	speaker->result = torc_broadcast_send(speaker->broadcast, &speaker->item);
	return 0;
}

TEST_IN_FIBER(parked_senders_in_order_and_cancelled)
{
	struct torc_broadcast *broadcast = new_broadcast(1, true);
	struct torc_subscriber subscriber;
	struct speaker speakers[4];

	torc_subscriber_open(&subscriber, broadcast);
	send_range(broadcast, 0, 1);
	TORC_SCOPE(outer);
	{
		TORC_SCOPE(scope);
		for (int i = 0; i < 4; i++) {
			speakers[i] = (struct speaker){ broadcast, i + 1, UNSET };
			ck_assert_int_eq(torc_go(i == 1 ? scope : outer, speak, &speakers[i]), 0);
		}
		torc_yield();
		ck_assert_int_eq(speakers[0].result, UNSET);
		torc_scope_cancel(scope);
	}
	ck_assert_int_eq(speakers[1].result, -ECANCELED);
	expect(&subscriber, 0, 0);
	expect(&subscriber, 1, 0);
	expect(&subscriber, 3, 0);
	torc_broadcast_close(broadcast); /* 4 is in it already */
	expect(&subscriber, 4, 0);
	ck_assert_int_eq(torc_scope_join(outer), 0);
	ck_assert_int_eq(speakers[0].result, 0);
	ck_assert_int_eq(speakers[3].result, 0);
	ck_assert_int_eq(torc_broadcast_send(broadcast, &speakers[0].item), -EPIPE);
	torc_subscriber_close(&subscriber);
	torc_broadcast_free(broadcast);
}

TEST_IN_FIBER(the_slowest_leaves_and_senders_go_on)
{
	struct torc_broadcast *broadcast = new_broadcast(1, true);
	struct torc_subscriber slow, quick;
	struct speaker speaker = { broadcast, 1, UNSET };

	torc_subscriber_open(&slow, broadcast);
	torc_subscriber_open(&quick, broadcast);
	send_range(broadcast, 0, 1);
	expect(&quick, 0, 0);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, speak, &speaker), 0);
	torc_yield();
	ck_assert_int_eq(speaker.result, UNSET);
	torc_subscriber_close(&slow);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(speaker.result, 0);
	expect(&quick, 1, 0);
	torc_subscriber_close(&quick);
	torc_broadcast_free(broadcast);
}

static int send_two(void *arg)
{
	int item = 1, r = torc_broadcast_send(arg, &item);

	return r < 0 ? r : torc_broadcast_send(arg, &item);
}

/* CPU time of a receive while a sender waits for one of so many subscribers. */
static double cost_beside(int count)
{
	struct torc_subscriber *subscribers = calloc((size_t)count, sizeof *subscribers);
	struct torc_broadcast *broadcast;
	torc_ns cost;
	int item;

	ck_assert_ptr_nonnull(subscribers);
	ck_assert_int_eq(torc_broadcast_new(&broadcast, sizeof item, 1,
	                                    TORC_OPTIONS(torc_broadcast_options, .wait_for_slowest = true)),
	                 0);
	for (int i = 0; i < count; i++)
		torc_subscriber_open(&subscribers[i], broadcast);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, send_two, broadcast), 0);
	torc_yield(); /* one is sent, the other waits */
	cost = thread_cpu_now();
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(torc_subscriber_recv(&subscribers[i], &item), 0);
	cost = thread_cpu_now() - cost;
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < count; i++)
		torc_subscriber_close(&subscribers[i]);
	torc_broadcast_free(broadcast);
	free(subscribers);
	return (double)cost / count;
}

static bool costs_the_same_beside_many(void *arg)
{
	enum { FEW = 100, MANY = 4000, REPEATS = 10 };
	double few = 1e9;

	(void)arg;
	for (int i = 0; i < REPEATS; i++) { /* the least: what disturbs one must not make it look dear */
		double cost = cost_beside(FEW);

		few = cost < few ? cost : few;
	}
	return cost_beside(MANY) < 5 * few;
}

TEST_IN_FIBER(a_receive_costs_the_same_beside_many_subscribers)
{
	ck_assert(once_in_many(costs_the_same_beside_many, NULL));
}

TEST_IN_FIBER(the_end_of_broadcast_subscriber_and_scope)
{
	struct torc_broadcast *broadcast = new_broadcast(4, false);
	struct torc_subscriber subscriber, empty = { 0 };
	struct listener listeners[2];
	int item;

	ck_assert_int_eq(torc_subscriber_recv(&empty, &item), -EBADF);
	ck_assert_uint_eq(torc_subscriber_behind(&empty), 0);
	torc_subscriber_close(&empty);
	torc_subscriber_open(&subscriber, broadcast);
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_subscriber_recv(&subscriber, &item), -ETIME);
	}
	{
		TORC_SCOPE(scope);
		go_listen(scope, &listeners[0], broadcast, 0);
		go_listen(scope, &listeners[1], broadcast, 0);
		torc_yield();
		torc_subscriber_close(&listeners[0].subscriber);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(listeners[0].result, -EBADF);
		ck_assert_int_eq(listeners[1].result, -ECANCELED);
		torc_subscriber_close(&listeners[1].subscriber);
	}
	send_range(broadcast, 0, 1);
	torc_broadcast_close(broadcast);
	torc_broadcast_close(broadcast);
	expect(&subscriber, 0, 0);
	ck_assert_int_eq(torc_subscriber_recv(&subscriber, &item), -EPIPE);
	torc_subscriber_close(&subscriber);
	torc_broadcast_free(broadcast);
}

TEST_IN_FIBER(subscribers_as_cases)
{
	struct torc_broadcast *broadcast = new_broadcast(2, false);
	struct torc_subscriber subscribers[2];
	int items[2] = { -1, -1 }, chosen;
	struct torc_case cases[2];

	for (int i = 0; i < 2; i++) {
		torc_subscriber_open(&subscribers[i], broadcast);
		cases[i] = torc_case_subscriber(&subscribers[i], &items[i]);
	}
	send_range(broadcast, 0, 5);
	chosen = torc_choose(cases, 2);
	ck_assert_int_eq(cases[chosen].result, 3);
	ck_assert_int_eq(items[chosen], 3);
	ck_assert_int_eq(items[!chosen], -1);
	ck_assert_uint_eq(torc_subscriber_behind(&subscribers[!chosen]), 5);
	for (int i = 0; i < 2; i++)
		torc_subscriber_close(&subscribers[i]);
	ck_assert_int_ge(torc_choose(cases, 2), 0);
	ck_assert(cases[0].result == -EBADF || cases[1].result == -EBADF);
	torc_broadcast_free(broadcast);
}

TEST_IN_FIBER(broadcast_options_out_of_range)
{
	struct torc_broadcast *broadcast;

	ck_assert_int_eq(torc_broadcast_new(&broadcast, 0, 1, NULL), -EINVAL);
	ck_assert_int_eq(torc_broadcast_new(&broadcast, 4, 0, NULL), -EINVAL);
	ck_assert_int_eq(torc_broadcast_new(&broadcast, 4, SIZE_MAX, NULL), -EINVAL);
	ck_assert_int_eq(torc_broadcast_new(&broadcast, (1 << 20) + 1, 1, NULL), -EINVAL);
}

DEATH_IN_FIBER(free_under_a_subscriber_is_misuse, "torc_broadcast_free: a subscriber is open")
{
	struct torc_broadcast *broadcast = new_broadcast(1, false);
	struct torc_subscriber subscriber;

	torc_subscriber_open(&subscriber, broadcast);
	torc_broadcast_free(broadcast);
}

DEATH_IN_FIBER(a_broadcast_item_of_another_size, "torc_broadcast_send_sized: an item of 1 bytes")
{
	(void)!torc_broadcast_send(new_broadcast(1, false), "");
}

/* --- latest ---------------------------------------------------------------------------------- */

struct onlooker {
	struct torc_watcher watcher;
	int value, result, changes;
};

static int look(void *arg)
{
	struct onlooker *onlooker = arg;

	while ((onlooker->result = torc_watcher_next(&onlooker->watcher, &onlooker->value)) == 0)
		onlooker->changes++;
	return 0;
}

TEST_IN_FIBER(the_latest_value_and_who_watches)
{
	struct onlooker onlookers[3];
	struct torc_latest *latest;
	int value = 7, got = -1;

	ck_assert_int_eq(torc_latest_new(&latest, (int *)NULL), 0);
	ck_assert_int_eq(torc_latest_get(latest, &got), 0);
	ck_assert_int_eq(got, -1);
	TORC_SCOPE(scope);
	for (int i = 0; i < 3; i++) {
		onlookers[i] = (struct onlooker){ .watcher = { .latest = latest } };
		ck_assert_int_eq(torc_go(scope, look, &onlookers[i]), 0);
	}
	torc_yield();
	ck_assert_int_eq(torc_latest_set(latest, &value), 0); /* this one reaches those that wait */
	value = 8;
	ck_assert_int_eq(torc_latest_set(latest, &value), 0);
	value = 9;
	ck_assert_int_eq(torc_latest_set(latest, &value), 0); /* and this one they find */
	ck_assert_int_eq(onlookers[0].value, 7);
	torc_yield();
	ck_assert_int_eq(torc_latest_get(latest, &got), 1);
	ck_assert_int_eq(got, 9);
	torc_latest_close(latest);
	torc_latest_close(latest);
	ck_assert_int_eq(torc_latest_set(latest, &value), -EPIPE);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(onlookers[i].result, -EPIPE);
		ck_assert_int_eq(onlookers[i].value, 9);
		ck_assert_int_eq(onlookers[i].changes, 2);
	}
	torc_latest_free(latest);
	torc_latest_free(NULL);
}

TEST_IN_FIBER(a_watcher_sees_the_first_value_and_each_change_once)
{
	struct torc_latest *latest;
	struct torc_watcher watcher, copy;
	int value = 1, got = -1;

	ck_assert_int_eq(torc_latest_new(&latest, &value), 0);
	watcher = (struct torc_watcher){ .latest = latest };
	ck_assert_int_eq(torc_watcher_next(&watcher, &got), 0);
	ck_assert_int_eq(got, 1);
	copy = watcher;
	for (value = 2; value < 5; value++)
		ck_assert_int_eq(torc_latest_set(latest, &value), 0);
	ck_assert_int_eq(torc_watcher_next(&watcher, &got), 0);
	ck_assert_int_eq(got, 4);
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_watcher_next(&watcher, &got), -ETIME);
		ck_assert_int_eq(torc_watcher_next(&copy, &got), -ETIME);
	}
	torc_latest_close(latest);
	ck_assert_int_eq(torc_watcher_next(&copy, &got), 0); /* the last value, then the end */
	ck_assert_int_eq(torc_watcher_next(&copy, &got), -EPIPE);
	torc_latest_free(latest);
}

TEST_IN_FIBER(watchers_as_cases)
{
	struct torc_latest *latest;
	int value = 1, got[2] = { -1, -1 };
	struct torc_watcher watchers[2];
	struct torc_case cases[2];

	ck_assert_int_eq(torc_latest_new(&latest, &value), 0);
	for (int i = 0; i < 2; i++) {
		watchers[i] = (struct torc_watcher){ .latest = latest };
		cases[i] = torc_case_watcher(&watchers[i], &got[i]);
	}
	ck_assert_int_eq(torc_choose(cases, 2) + torc_choose(cases, 2), 1); /* each once */
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_choose(cases, 2), -ETIME);
	}
	torc_latest_close(latest);
	ck_assert_int_ge(torc_choose(cases, 2), 0);
	torc_latest_free(latest);
}

struct sharer {
	struct torc_watcher *watcher;
	int value, result;
};

static int share(void *arg)
{
	struct sharer *sharer = arg;

	sharer->result = torc_watcher_next(sharer->watcher, &sharer->value);
	return 0;
}

/* All that wait get the value that is set, those that wait by one watcher among them. */
TEST_IN_FIBER(fibers_may_share_a_watcher)
{
	struct torc_latest *latest;
	struct torc_watcher watcher;
	struct sharer sharers[3];
	int value;

	ck_assert_int_eq(torc_latest_new_sized(&latest, NULL, sizeof value), 0);
	watcher = (struct torc_watcher){ .latest = latest };
	for (value = 1; value < 3; value++) {
		int later = -1;

		TORC_SCOPE(scope);
		for (int i = 0; i < 3; i++) {
			sharers[i] = (struct sharer){ &watcher, UNSET, UNSET };
			ck_assert_int_eq(torc_go(scope, share, &sharers[i]), 0);
		}
		torc_yield();
		if (value == 1)
			ck_assert_int_eq(torc_latest_set(latest, &value), 0);
		else
			torc_latest_close(latest);
		ck_assert_int_eq(torc_latest_set(latest, &later), value == 1 ? 0 : -EPIPE);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		for (int i = 0; i < 3; i++) {
			ck_assert_int_eq(sharers[i].result, value == 1 ? 0 : -EPIPE);
			ck_assert_int_eq(sharers[i].value, value == 1 ? 1 : UNSET);
		}
		if (value == 1)
			ck_assert_int_eq(torc_watcher_next(&watcher, &later), 0);
	}
	torc_latest_free(latest);
}

DEATH_IN_FIBER(a_value_of_another_size, "torc_latest_set_sized: 1 bytes, and a value of 4")
{
	struct torc_latest *latest;
	int value = 1;

	ck_assert_int_eq(torc_latest_new(&latest, &value), 0);
	(void)!torc_latest_set(latest, "");
}
