/* forked - what is to be forgotten in the child of a fork(2): what belongs to threads that it has not, locks that they held
 * among it. Relies on pthread_atfork(3): children made by clone(2), vfork(2) or posix_spawn(3), which are to exec, are not
 * told. */
#ifndef TORC_SRC_FORKED_H
#define TORC_SRC_FORKED_H

#include <stdbool.h>

/* Have `forget` called in each child from now on, on the thread that forked. *watched, false at first, remembers that. */
void forked_call(bool *watched, void (*forget)(void));

/* Which process this is: another number in a child, if its parent had asked before. */
unsigned forked_era(void);

#endif
