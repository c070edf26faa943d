/* roll - who is there: the fibers of an executor, found through the scopes that they are in. Relies on scope. Keeps: no
 * list is kept for it; walking allocates nothing and recurses nowhere, however deep the tree. */
#ifndef TORC_SRC_ROLL_H
#define TORC_SRC_ROLL_H

#include "executor/scope.h"

struct roll {
	struct fiber *fiber; /* NULL: that was the last */
	unsigned depth;
};

/* for (struct roll roll = roll_first(executor); roll.fiber; roll_next(&roll)): each before its children. No fiber may
 * begin or end meanwhile. */
struct roll roll_first(const struct executor *executor);
void roll_next(struct roll *roll);

/* The first of those that are parked, and on what, on stderr. */
void roll_tell_stuck(const struct executor *executor);

#endif
