/* spawn - a new fiber in a scope. Relies on scope. */
#ifndef TORC_SRC_SPAWN_H
#define TORC_SRC_SPAWN_H

#include "executor/scope.h"

/* The arguments of a spawn. If `size` is not 0, `size` bytes at `arg` move onto the new stack. */
struct spawn {
	torc_fn *fn;
	void *arg;
	size_t size;
	const char *from;
};

/* Into a scope with a place reserved, which is given back on failure. 0 or -ENOMEM. */
int spawn_reserved(struct executor *executor, struct scope *scope, const struct spawn *spawn);

#endif
