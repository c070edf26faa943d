/* choose.h - wait for the first of several things: receives and sends on channels, events, descriptors, an instant.
 *
 *   struct torc_case cases[] = {
 *           torc_case_recv(jobs, &job),                     // chan.h
 *           torc_case_readable(&async),                     // async.h
 *           torc_case_deadline(torc_in(5 * TORC_SEC)),
 *   };
 *
 *   switch (torc_choose(cases, 3)) {
 *   case 0: if (cases[0].result == 0) ... a job; -EPIPE: closed
 *   case 1: ...
 *   case 2: ... too late
 *   default: ... -ECANCELED, -ETIME
 *   }
 *
 * What can be a case says so in its own header, by a function torc_case_*() that describes the operation and does
 * nothing: the array may be used again and again. */
#ifndef TORC_CHOOSE_H
#define TORC_CHOOSE_H

#include <torc/base.h>
#include <torc/time.h>

TORC_BEGIN

/* One of the things to choose from. Zeroed it never happens: how to switch one off. */
struct torc_case {
	int result; /* if it happened: what the plain call would have returned; otherwise untouched */
	uint32_t detail_;
	const void *waitable_;
	void *object_;
	void *item_;
	void *private_[4]; /* while it waits */
};

/* Wait until one of `count` cases can happen, and have it happen: exactly one does, and of the others nothing has
 * happened. If some can at once, one of them is picked at random, each with about the same chance; the call does not
 * park then: a loop in which some always can, a descriptor that others keep filling, say, lets other fibers run by
 * torc_yield_if_needed() (queue.h). If none can, the first that can is it; who waits here for a channel or an event
 * stands in the same queue, first come first served, as who waits for it alone.
 *
 * A case that fails has happened: a receive from a channel that is closed and drained is chosen with result -EPIPE, a
 * descriptor that is closed with -EBADF. Look at .result, and switch such a case off before the next call.
 *
 * The same channel may occur several times; a send and a receive of one call never meet each other. The cases and what
 * they point to are lent until the call returns. With no case at all it waits for the end of the scope.
 *
 * Returns the index of the case that happened; -ECANCELED, -ETIME: the scope is over, and nothing has happened. -ENOMEM,
 * only where more than some twenty cases that are descriptors, instants, timers or events have to wait: those need memory,
 * fewer need none, nor do any number of the others. */
TORC_API int torc_choose(struct torc_case *cases, size_t count) TORC_PARKS TORC_MUST;

/* Happens at an instant; at once if it has passed. */
TORC_API struct torc_case torc_case_deadline(torc_ns instant) TORC_LOCAL;

/* Happens if no other case can at once: with it among the cases torc_choose never parks. */
TORC_API struct torc_case torc_case_default(void) TORC_LOCAL;

TORC_END
#endif
