/* fiber.h - names of fibers, and who is there: for diagnoses. */
#ifndef TORC_FIBER_H
#define TORC_FIBER_H

#include <torc/base.h>

TORC_BEGIN

/* The name of the calling fiber: as set, else "function at file:line" of where it was spawned. */
TORC_API const char *torc_fiber_name(void) TORC_LOCAL;

/* Name the calling fiber, in what torc says of stack overflows, stalls and deadlocks, and in torc_fiber_each. Kept, not
 * copied: the text must stay as it is for as long as the fiber has it, which is until its function returns; it may lie in
 * that function's frame. NULL: as in the beginning. */
TORC_API void torc_fiber_set_name(const char *name) TORC_LOCAL;

/* A fiber, as torc_fiber_each shows it. */
struct torc_fiber_info {
	size_t size;           /* of this struct                                            */
	const char *name;      /* NULL: nobody gave it one                                  */
	const char *from;      /* "function at file:line" of where it was spawned           */
	const char *queue;     /* the name of its task queue                                */
	const char *waits_for; /* what it is parked on, in a word or two; NULL: it is ready, or runs */
	bool running;          /* it is the caller                                          */
	unsigned depth;        /* how many fibers it descends from: 0 for the root fiber    */
};

typedef void torc_fiber_fn(const struct torc_fiber_info *info, void *arg);

/* Call fn for each fiber of this core, each before its children, in the order in which they were spawned into a scope.
 * What *info points to is good until fn returns, which must not park. Allocates nothing. */
TORC_API void torc_fiber_each(torc_fiber_fn *fn, void *arg) TORC_LOCAL;

/* The same as lines on stderr, indented by descent. */
TORC_API void torc_fiber_print_all(void) TORC_LOCAL;

TORC_END
#endif
