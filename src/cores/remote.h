/* remote - a way in for threads that are no executors: a lock, behind which the executor is or is not there any more.
 * Relies on mailbox, on, thread. Keeps: who holds the lock and sees a mailbox may drop into it. */
#ifndef TORC_SRC_REMOTE_H
#define TORC_SRC_REMOTE_H

#include "cores/on.h"

/* The loop is over: no remote leads here any more, what came through is turned back, what was freed is gone. */
void remote_shut_all(struct executor *executor);

#endif
