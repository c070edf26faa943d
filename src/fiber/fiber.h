/* fiber - a task: a flow of control with a stack of its own, and the record of it, which sits at the top of that stack
 * so that an idle fiber costs one page. Relies on context and sanitize. Keeps: a fiber is running, or on one task queue,
 * or parked on one wait; it never leaves the thread that made it. */
#ifndef TORC_SRC_FIBER_H
#define TORC_SRC_FIBER_H

#include "base/list.h"
#include "machine/context.h"
#include "machine/cpu.h"
#include "machine/sanitize.h"

#include <torc/base.h>

enum { FIBER_COLOURS = 48 };

struct task_queue;
struct scope;
struct wait;
struct locals;

struct fiber {
	/* What parking and waking touch: one cache line. */
	struct context context;
	struct fiber *next;       /* behind it on a task queue, or among the waiters of a Wakers */
	struct task_queue *queue; /* where it is put when it becomes ready */
	struct wait *wait;        /* what it is parked on; NULL: ready or running */
	struct scope *scope;      /* the innermost it is in */
	char *slot;               /* of its stack */

	torc_fn *fn;
	void *arg;
	struct list siblings; /* the children of its home scope */
	struct scope *home;
	const char *from;      /* "function at file:line" of where it was spawned */
	const char *name;      /* as set, else the same */
	struct locals *locals; /* its own variables; NULL: none so far */
	struct sanitize sanitize;
};

/* Where the record of a slot's fiber is. */
static inline struct fiber *fiber_in_slot(char *slot, size_t slot_size)
{
	/* Stack tops at the same offset of every page would compete for the same few cache sets: colour them. Slots are an
	 * odd number of pages apart (stack_pool_open), so the page's number takes all colours in turn. */
	size_t colour = ((uintptr_t)slot >> 12) % FIBER_COLOURS;
	size_t record = (sizeof(struct fiber) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;

	return (struct fiber *)(void *)(slot + slot_size - record - colour * CACHE_LINE);
}

static inline void *fiber_room(struct fiber *fiber, size_t room)
{
	return (char *)fiber - (room + 15) / 16 * 16;
}

/* The record of a new fiber in a fresh stack slot, its stack ready to enter `entry(fiber)`; `room` bytes are left
 * free right below the record for the argument of torc_give, found at fiber_room(). */
static inline struct fiber *fiber_make(char *slot, size_t slot_size, size_t guard_size, size_t room,
                                       void (*entry)(void *fiber))
{
	struct fiber *fiber;

	sanitize_stack_reuse(slot + guard_size, slot_size - guard_size);
	fiber = fiber_in_slot(slot, slot_size);
	fiber->slot = slot;
	fiber->wait = NULL;
	context_make(&fiber->context, fiber_room(fiber, room), entry, fiber);
	sanitize_fiber_begin(&fiber->sanitize, slot + guard_size, slot_size - guard_size);
	return fiber;
}

/* "name (function at file:line)", or the latter alone where nobody gave a name, cut to what fits. */
void fiber_describe(const struct fiber *fiber, char *text, size_t size);

static inline void fiber_switch(struct fiber *from, struct fiber *to, struct fiber *thread)
{
	(void)thread;
	sanitize_leave(&from->sanitize, &to->sanitize, false);
	context_switch(&from->context, &to->context);
	sanitize_arrive(&from->sanitize, &thread->sanitize);
}

#endif
