/* waker.c - an answer puts those that wait for it on their task queues, first come first woken. */
#include "fiber/waker.h"

#include "fiber/fresh_queues.h"
#include "harness.h"

static struct task_queue queues[2];
static struct fiber fibers[10];
static struct wakers wakers;

static void begin(void)
{
	fresh_queues(queues, 2);
	for (int i = 0; i < 10; i++) {
		fibers[i].queue = &queues[0];
		fibers[i].wait = (struct wait *)&fibers[i]; /* parked on something */
	}
	wakers_init(&wakers);
}

TEST(waking_makes_ready_and_no_longer_parked)
{
	begin();
	waker_wake(&fibers[3]);
	ck_assert_ptr_null(fibers[3].wait);
	ck_assert_uint_eq(queues[0].count, 1);
	ck_assert_ptr_eq(task_queue_pop(&queues[0]), &fibers[3]);
}

TEST(an_answer_that_nobody_waits_for_is_kept)
{
	begin();
	wakers_answer(&wakers, 42);
	ck_assert_int_eq(wakers.result, 42);
	ck_assert_uint_eq(queues[0].count, 0);
}

TEST(an_answer_wakes_all_in_the_order_in_which_they_came)
{
	begin();
	for (int i = 9; i >= 0; i--)
		wakers_add(&wakers, &fibers[i]);
	wakers_answer(&wakers, -5);
	ck_assert_int_eq(wakers.result, -5);
	ck_assert_ptr_null(wakers.waiting);
	ck_assert_uint_eq(queues[0].count, 10);
	for (int i = 9; i >= 0; i--)
		ck_assert_ptr_eq(task_queue_pop(&queues[0]), &fibers[i]);
}

TEST(each_goes_to_its_own_queue)
{
	begin();
	fibers[1].queue = &queues[1];
	for (int i = 0; i < 3; i++)
		wakers_add(&wakers, &fibers[i]);
	wakers_answer(&wakers, 1);
	ck_assert_uint_eq(queues[0].count, 2);
	ck_assert_uint_eq(queues[1].count, 1);
	ck_assert_ptr_eq(task_queue_pop(&queues[1]), &fibers[1]);
}

TEST(an_answer_wakes_once)
{
	begin();
	wakers_add(&wakers, &fibers[0]);
	wakers_answer(&wakers, 1);
	wakers_answer(&wakers, 2);
	ck_assert_uint_eq(queues[0].count, 1);
	ck_assert_int_eq(wakers.result, 2);
}
