/* queue_manager.c - who runs next, with time that the test makes: proportions, sleepers, late comers, the wrap-around. */
#include "fiber/queue_manager.h"

#include "base/random.h"
#include "harness.h"

#include <string.h>

enum { MOST = 20 };
static const int64_t slice_ns = 1000000;

static struct queue_manager manager;
static struct queue_account accounts[MOST];

static void begin(int count, const unsigned *shares)
{
	heap_free(&manager.heap);
	memset(&manager, 0, sizeof manager);
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(queue_manager_register(&manager, &accounts[i], shares[i]), 0);
}

static void end(int count)
{
	for (int i = 0; i < count; i++) {
		if (accounts[i].active) {
			heap_remove(&manager.heap, &accounts[i].node);
			accounts[i].active = false;
		}
		queue_manager_unregister(&manager, &accounts[i]);
	}
	ck_assert_uint_eq(manager.accounts, 0);
	ck_assert_ptr_null(manager.heap.nodes);
}

static void activate(int i)
{
	queue_manager_activate(&manager, &accounts[i]);
}

/* One turn of `ns`; who had it. */
static int turn(int64_t ns, bool more)
{
	struct queue_account *account = queue_manager_next(&manager);

	if (!account || !account->active)
		ck_abort_msg("nobody is active");
	queue_manager_charge(&manager, account, ns);
	queue_manager_put_back(&manager, account, more);
	return (int)(account - accounts);
}

static double part_of(int i, int count)
{
	uint64_t sum = 0;

	for (int k = 0; k < count; k++)
		sum += accounts[k].used;
	return (double)accounts[i].used / (double)sum;
}

TEST(nobody_is_next_where_nobody_is_active)
{
	begin(2, (unsigned[]){ 100, 100 });
	ck_assert_ptr_null(queue_manager_next(&manager));
	activate(1);
	ck_assert_int_eq(turn(slice_ns, false), 1);
	ck_assert(!accounts[1].active);
	ck_assert_ptr_null(queue_manager_next(&manager));
	end(2);
}

TEST(equal_shares_take_turns)
{
	int last = -1;

	begin(2, (unsigned[]){ 100, 100 });
	activate(0);
	activate(1);
	for (int i = 0; i < 100; i++) {
		int now = turn(slice_ns, true);

		ck_assert_int_ne(now, last);
		last = now;
	}
	end(2);
}

TEST(the_core_is_divided_by_shares)
{
	static const unsigned shares[][2] = { { 1000, 1000 }, { 1000, 500 }, { 1000, 100 }, { 1000, 10 }, { 1, 1000 } };

	for (unsigned pair = 0; pair < sizeof shares / sizeof *shares; pair++) {
		double wanted = (double)shares[pair][0] / (shares[pair][0] + shares[pair][1]);

		begin(2, shares[pair]);
		activate(0);
		activate(1);
		for (int i = 0; i < 20000; i++)
			turn(slice_ns, true);
		ck_assert_double_eq_tol(part_of(0, 2), wanted, 0.002);
		end(2);
	}
}

TEST(many_queues_and_slices_of_any_length_come_to_the_same)
{
	for (uint64_t seed = seed_first(); seed_more(seed, 20); seed++) {
		struct random random = random_seeded(seed);
		int count = 2 + (int)random_below(&random, MOST - 2);
		unsigned shares[MOST], sum = 0;

		for (int i = 0; i < count; i++)
			sum += shares[i] = 1 + random_below(&random, 1000);
		begin(count, shares);
		for (int i = 0; i < count; i++)
			activate(i);
		for (int i = 0; i < 50000; i++)
			turn(1 + random_below(&random, 2 * (unsigned)slice_ns), true);
		for (int i = 0; i < count; i++) {
			double off = part_of(i, count) - (double)shares[i] / sum;

			HOLDS(off < 0.005 && off > -0.005, seed);
		}
		end(count);
	}
}

TEST(new_shares_count_from_the_next_charge)
{
	uint64_t before;

	begin(2, (unsigned[]){ 1000, 1000 });
	activate(0);
	activate(1);
	for (int i = 0; i < 1000; i++)
		turn(slice_ns, true);
	accounts[1].shares = 100;
	before = accounts[1].used;
	for (int i = 0; i < 1100; i++)
		turn(slice_ns, true);
	ck_assert_int_le((int64_t)(accounts[1].used - before) / slice_ns, 105);
	ck_assert_int_ge((int64_t)(accounts[1].used - before) / slice_ns, 95);
	end(2);
}

TEST(who_slept_gets_no_credit)
{
	uint64_t before;
	int mine = 0;

	begin(2, (unsigned[]){ 100, 100 });
	activate(0);
	for (int i = 0; i < 10000; i++)
		ck_assert_int_eq(turn(slice_ns, true), 0);
	activate(1);
	before = accounts[0].used;
	for (int i = 0; i < 100; i++)
		mine += turn(slice_ns, true);
	ck_assert_int_ge(mine, 49);
	ck_assert_int_le(mine, 51);
	ck_assert_uint_ge(accounts[0].used - before, 49 * (uint64_t)slice_ns);
	end(2);
}

TEST(who_comes_late_gets_none_either)
{
	int mine = 0;

	begin(1, (unsigned[]){ 100 });
	activate(0);
	for (int i = 0; i < 10000; i++)
		turn(slice_ns, true);
	ck_assert_int_eq(queue_manager_register(&manager, &accounts[1], 100), 0);
	activate(1);
	for (int i = 0; i < 100; i++)
		mine += turn(slice_ns, true);
	ck_assert_int_ge(mine, 49);
	ck_assert_int_le(mine, 51);
	end(2);
}

/* Sleeping for a moment neither wins nor loses: an account that has run ahead stays ahead. */
TEST(who_slept_briefly_still_owes)
{
	int second = 0;

	begin(2, (unsigned[]){ 10, 1000 });
	activate(0);
	activate(1);
	while (turn(slice_ns, true) != 0)
		continue; /* ends: equal at first */
	heap_remove(&manager.heap, &accounts[0].node);
	accounts[0].active = false;
	turn(slice_ns, true);
	activate(0);
	for (int i = 0; i < 90; i++)
		second += turn(slice_ns, true);
	ck_assert_int_ge(second, 88);
	end(2);
}

/* One that wakes again and again for less than its part is served at once, almost. */
TEST(who_asks_for_little_gets_it_before_the_others_next_slice)
{
	begin(2, (unsigned[]){ 1000, 1000 });
	activate(0);
	for (int i = 0; i < 1000; i++) {
		activate(1);
		if (heap_first(&manager.heap) == &accounts[0].node)
			turn(slice_ns, true);
		ck_assert_int_eq(turn(slice_ns / 10, false), 1);
		ck_assert_int_eq(turn(slice_ns, true), 0);
	}
	end(2);
}

TEST(virtual_time_wraps_around)
{
	begin(3, (unsigned[]){ 1000, 500, 500 });
	manager.time = UINT64_MAX - 100 * (uint64_t)slice_ns;
	for (int i = 0; i < 3; i++) {
		accounts[i].node.key = manager.time;
		activate(i);
	}
	for (int i = 0; i < 20000; i++)
		turn(slice_ns, true);
	ck_assert_uint_lt(manager.time, UINT64_MAX / 2);
	ck_assert_double_eq_tol(part_of(0, 3), 0.5, 0.002);
	ck_assert_double_eq_tol(part_of(1, 3), 0.25, 0.002);
	end(3);
}

TEST(of_many_that_wake_at_once_each_gets_a_turn_before_any_gets_a_second)
{
	unsigned shares[MOST];
	bool had[MOST] = { false };

	for (int i = 0; i < MOST; i++)
		shares[i] = 100;
	begin(MOST, shares);
	for (int i = 0; i < MOST; i++)
		activate(i);
	for (int i = 0; i < MOST; i++) {
		int now = turn(slice_ns, true);

		ck_assert(!had[now]);
		had[now] = true;
	}
	end(MOST);
}

DEATH(an_account_that_is_active_is_not_unregistered, "queue_manager_unregister|active")
{
	begin(1, (unsigned[]){ 100 });
	activate(0);
	queue_manager_unregister(&manager, &accounts[0]);
}
