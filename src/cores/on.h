/* on - fibers on other cores: torc_on, torc_post. Relies on mailbox, spawn. */
#ifndef TORC_SRC_ON_H
#define TORC_SRC_ON_H

#include "cores/mailbox.h"
#include "executor/spawn.h"

#include <torc/cores.h>

/* A fiber for fn(arg) in this executor's root scope, on behalf of somebody elsewhere; `from` names it. 0, -ENOMEM. */
int on_spawn(struct executor *executor, const struct spawn *spawn);

/* A value on its way to a core, and what to do with it there. When it arrives it is counted in the group's work already. */
struct parcel {
	struct message message;
	torc_fn *fn;
	const char *from; /* its fiber's name */
	size_t size;
	_Alignas(16) char value[];
};

/* NULL: -ENOMEM. */
struct parcel *parcel_new(torc_fn *fn, const void *value, size_t size, const char *from);

/* It has arrived: a fiber for it. */
void parcel_receive(struct executor *executor, struct message *message);

#endif
