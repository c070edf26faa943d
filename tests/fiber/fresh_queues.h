/* fresh_queues.h - task queues for tests that have no executor: new ones, and a manager that nobody asks. */
#ifndef TESTS_FRESH_QUEUES_H
#define TESTS_FRESH_QUEUES_H

#include "fiber/task_queue.h"

#include "harness.h"

static struct queue_manager fresh_manager;

/* May be called again and again; what the queues held is forgotten. */
static inline void fresh_queues(struct task_queue *queues, int count)
{
	heap_free(&fresh_manager.heap);
	fresh_manager = (struct queue_manager){ 0 };
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(task_queue_init(&queues[i], &fresh_manager, 100), 0);
}

static inline void fresh_queue(struct task_queue *queue)
{
	fresh_queues(queue, 1);
}

#endif
