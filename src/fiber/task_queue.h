/* task_queue - the fibers that are ready, first in, first out, and their common claim on the core. Intrusive: pushing
 * never allocates, never fails. Relies on queue_manager. Keeps: a queue with a ready fiber is active. */
#ifndef TORC_SRC_TASK_QUEUE_H
#define TORC_SRC_TASK_QUEUE_H

#include "base/list.h"
#include "fiber/fiber.h"
#include "fiber/queue_manager.h"
#include "machine/cpu.h"

/* What a floor above keeps of a queue, for each device say: what the queue asked of it, and how to end it. */
struct queue_io {
	struct queue_io *next;
	void *owner;
	void (*drop)(struct queue_io *io); /* the queue ends */
	uint64_t reads, writes, read_bytes, written_bytes;
	uint64_t waits;
	int64_t waited_ns;
};

struct task_queue {
	struct fiber *head;
	struct fiber **end;
	unsigned count;
	struct queue_account account;
	struct queue_manager *manager;
	uint64_t members;   /* fibers alive whose queue this is, and scopes open whose children it takes */
	int64_t latency_ns; /* 0: no bound */
	int64_t stall_ns;   /* the watchdog's; 0: as for the executor; below 0: never */
	void (*adjust)(struct task_queue *queue); /* NULL, or called every quarter of a second while it runs */
	struct queue_io *io;                      /* the one used last comes first */
	const char *name;
	struct list link; /* among the executor's */
};

/* 0 or -ENOMEM. */
static inline int task_queue_init(struct task_queue *queue, struct queue_manager *manager, unsigned shares)
{
	queue->head = NULL;
	queue->end = &queue->head;
	queue->count = 0;
	queue->manager = manager;
	queue->members = 0;
	queue->latency_ns = 0;
	queue->stall_ns = 0;
	queue->adjust = NULL;
	queue->io = NULL;
	queue->name = "default";
	return queue_manager_register(manager, &queue->account, shares);
}

static inline void task_queue_push(struct task_queue *queue, struct fiber *fiber)
{
	fiber->next = NULL;
	*queue->end = fiber;
	queue->end = &fiber->next;
	queue->count++;
	if (unlikely(!queue->account.active))
		queue_manager_activate(queue->manager, &queue->account);
}

/* The queue must not be empty. */
static inline struct fiber *task_queue_pop(struct task_queue *queue)
{
	struct fiber *fiber = queue->head;
	struct fiber *head = fiber->next;

	queue->head = head;
	queue->count--;
	if (!head) {
		queue->end = &queue->head;
		return fiber;
	}
	/* With thousands of fibers each is cold when its turn comes: fetch the stack of the next one, whose record
	 * was fetched when it was next but one. */
	cpu_prefetch(head->context.sp);
	cpu_prefetch(head->next);
	return fiber;
}

#endif
