/* task_queue.c - first in, first out. */
#include "fiber/task_queue.h"

#include "base/random.h"
#include "fiber/fresh_queues.h"
#include "harness.h"

#include <string.h>

static struct task_queue queue;
static struct fiber fibers[100];

TEST(fibers_come_out_in_the_order_in_which_they_went_in)
{
	fresh_queue(&queue);
	for (int i = 0; i < 100; i++)
		task_queue_push(&queue, &fibers[i]);
	ck_assert_uint_eq(queue.count, 100);
	for (int i = 0; i < 100; i++)
		ck_assert_ptr_eq(task_queue_pop(&queue), &fibers[i]);
	ck_assert_uint_eq(queue.count, 0);
}

TEST(a_queue_that_ran_empty_takes_more)
{
	fresh_queue(&queue);
	for (int i = 0; i < 10; i++) {
		task_queue_push(&queue, &fibers[i]);
		ck_assert_ptr_eq(task_queue_pop(&queue), &fibers[i]);
		ck_assert_uint_eq(queue.count, 0);
		ck_assert_ptr_null(queue.head);
	}
}

TEST(a_fiber_may_go_behind_the_others_again_and_again)
{
	fresh_queue(&queue);
	for (int i = 0; i < 3; i++)
		task_queue_push(&queue, &fibers[i]);
	for (int i = 0; i < 300; i++) {
		struct fiber *fiber = task_queue_pop(&queue);

		ck_assert_ptr_eq(fiber, &fibers[i % 3]);
		task_queue_push(&queue, fiber);
	}
}

TEST(what_a_fiber_says_was_behind_it_does_not_matter)
{
	fresh_queue(&queue);
	memset(fibers, 0xa5, sizeof fibers);
	task_queue_push(&queue, &fibers[0]);
	task_queue_push(&queue, &fibers[1]);
	ck_assert_ptr_null(fibers[1].next);
	fibers[0].context.sp = fibers[1].context.sp = NULL; /* it is prefetched */
	ck_assert_ptr_eq(task_queue_pop(&queue), &fibers[0]);
	ck_assert_ptr_eq(task_queue_pop(&queue), &fibers[1]);
}

TEST(at_random_it_counts_and_keeps_the_order)
{
	for (uint64_t seed = seed_first(); seed_more(seed, 100); seed++) {
		struct random random = random_seeded(seed);
		unsigned in = 0, out = 0;

		fresh_queue(&queue);
		for (int step = 0; step < 1000; step++) {
			if (random_chance(&random, 50) && in - out < 100)
				task_queue_push(&queue, &fibers[in++ % 100]);
			else if (in > out)
				HOLDS(task_queue_pop(&queue) == &fibers[out++ % 100], seed);
			HOLDS(queue.count == in - out, seed);
		}
	}
}
