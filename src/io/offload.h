/* offload - a system call that the ring has not, on a thread beside (executor.offload), while the handles that it uses
 * can't be closed. Relies on op. */
#ifndef TORC_SRC_OFFLOAD_H
#define TORC_SRC_OFFLOAD_H

#include "io/op.h"

/* Run fn(arg) there and return what it returns; -EBADF, -ECANCELED, -ETIME where it did not run. Either handle may be
 * NULL. */
int offload(struct torc_async *async, struct torc_async *other, int (*fn)(void *), void *arg, const char *function);

/* Hold a second handle open, beside the one of an op, between its begin and its finish. `async` NULL: nothing. */
struct hold {
	struct op op;
	bool held;
};
int hold_begin(struct hold *hold, struct torc_async *async, const char *function);
void hold_end(struct hold *hold);

#endif
