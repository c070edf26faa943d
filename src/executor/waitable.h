/* waitable - what can be waited for: one small interface (try, arm, disarm) that sync and io both implement, so that
 * choosing among several needs neither to know the other; and the one record, the arm, by which a fiber stands in the
 * queue of such a thing, be it alone there or one of several. See torc/choose.h.
 *
 * Who makes the thing happen takes the arm out of its queue, does for it what it waits for (moves the item, say) and
 * decides its choice. At this moment it has happened: all other arms of the choice are disarmed before anybody else runs.
 * What cannot be disarmed at once, since the kernel has it, holds the choice: its fiber stays parked until the last of
 * these is released.
 *
 * Relies on wait, scope. Keeps: a choice is decided once; an arm is in a queue only while its choice is undecided; nobody
 * knows the frame of a choice that was left. */
#ifndef TORC_SRC_WAITABLE_H
#define TORC_SRC_WAITABLE_H

#include "executor/scope.h"

#include <torc/choose.h>

#include <errno.h>

struct arm;

struct waitable {
	/* Make it happen now: what the plain call returns; -EAGAIN: it would have to park. */
	int (*try_now)(struct arm *arm);
	/* try_now just said -EAGAIN. Into the queue, or ask the kernel: choice_decide() is to be called when it happens. */
	void (*arm)(struct arm *arm);
	/* Something else happened: out of the queue. */
	void (*disarm)(struct arm *arm);
	/* NULL, or called in the fiber of the choice before it goes on, for each arm that was armed. */
	void (*leave)(struct arm *arm);
	/* NULL, or for what interrupts the fiber when it is closed: 0, or why the arm can't happen any more. */
	int (*closed)(const struct arm *arm);
	/* Bytes that arm->room is to point to while it is armed. */
	size_t room;
	const char *what;
};

/* The private half of a torc_case. */
struct arm {
	int result;
	uint32_t detail;
	const struct waitable *waitable;
	void *object;
	void *item;
	struct arm *next, *prev; /* in the queue of its object */
	struct choice *choice;
	void *room;
};

_Static_assert(sizeof(struct arm) == sizeof(struct torc_case) &&
                       offsetof(struct arm, result) == offsetof(struct torc_case, result),
               "a torc_case is an arm");

/* What the fiber is parked on. */
struct choice {
	struct wait wait;
	struct arm *arms;
	size_t count;
	struct arm *chosen; /* NULL: the scope is over */
	int result;
	unsigned held;
	bool decided;
};

/* A queue of arms, first in, first out. Zeroed it is empty. */
struct arms {
	struct arm *first, *last;
};

static inline void arms_append(struct arms *arms, struct arm *arm)
{
	arm->next = NULL;
	arm->prev = arms->last;
	if (arms->last)
		arms->last->next = arm;
	else
		arms->first = arm;
	arms->last = arm;
}

/* The arm is in this queue. */
static inline void arms_remove(struct arms *arms, struct arm *arm)
{
	if (arm->next)
		arm->next->prev = arm->prev;
	else
		arms->last = arm->prev;
	if (arm->prev)
		arm->prev->next = arm->next;
	else
		arms->first = arm->next;
}

/* The fiber's scope was cancelled, or something that it waits for was closed. */
void choice_interrupt(struct wait *wait);

/* Disarm all but one. */
void choice_disarm(struct choice *choice, const struct arm *chosen);

static inline void choice_init(struct choice *choice, struct executor *executor, struct arm *arms, size_t count,
                               const char *what)
{
	choice->wait = (struct wait){ choice_interrupt, executor->running, what };
	choice->arms = arms;
	choice->count = count;
	choice->held = 0;
	choice->decided = false;
}

/* An arm, which is out of its queue, has happened; or none will: NULL and why. */
static inline void choice_decide(struct choice *choice, struct arm *chosen, int result)
{
	choice->decided = true;
	choice->chosen = chosen;
	choice->result = result;
	choice->wait.interrupt = NULL;
	if (unlikely(choice->count > 1))
		choice_disarm(choice, chosen);
	if (likely(choice->held == 0))
		waker_wake(choice->wait.fiber);
}

/* The kernel has an arm; it has it no longer. */
static inline void choice_hold(struct choice *choice)
{
	choice->held++;
}

static inline void choice_release(struct choice *choice)
{
	if (--choice->held == 0 && choice->decided)
		waker_wake(choice->wait.fiber);
}

/* For a plain call, whose scope was looked at and whose try said -EAGAIN: park until it happens, alone. */
static inline int waitable_park(struct executor *executor, const struct waitable *waitable, void *object, void *item)
{
	struct choice choice;
	struct arm arm;

	arm.waitable = waitable;
	arm.object = object;
	arm.item = item;
	arm.choice = &choice;
	choice_init(&choice, executor, &arm, 1, waitable->what);
	waitable->arm(&arm);
	wait_park(executor, &choice.wait);
	return choice.result;
}

/* The description of a case. */
static inline struct torc_case waitable_case(const struct waitable *waitable, void *object, void *item, uint32_t detail)
{
	return (struct torc_case){ .detail_ = detail, .waitable_ = waitable, .object_ = object, .item_ = item };
}

#endif
