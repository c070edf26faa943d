/* waker - the one road upward: who has an answer puts the fibers that wait for it on their task queues. */
#ifndef TORC_SRC_WAKER_H
#define TORC_SRC_WAKER_H

#include "fiber/task_queue.h"

/* The fiber is parked and becomes ready. */
static inline void waker_wake(struct fiber *fiber)
{
	fiber->wait = NULL;
	task_queue_push(fiber->queue, fiber);
}

/* Wakers: an answer, and the fibers waiting for it, first come first woken. */
struct wakers {
	struct fiber *waiting;
	int result;
};

static inline void wakers_init(struct wakers *wakers)
{
	wakers->waiting = NULL;
	wakers->result = 0;
}

static inline void wakers_add(struct wakers *wakers, struct fiber *fiber)
{
	struct fiber **end = &wakers->waiting;

	while (*end) /* ends: seldom is there more than one */
		end = &(*end)->next;
	fiber->next = NULL;
	*end = fiber;
}

static inline void wakers_answer(struct wakers *wakers, int result)
{
	struct fiber *fiber = wakers->waiting;

	wakers->result = result;
	wakers->waiting = NULL;
	while (fiber) {
		struct fiber *next = fiber->next;

		waker_wake(fiber);
		fiber = next;
	}
}

#endif
