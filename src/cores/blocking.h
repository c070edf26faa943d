/* blocking - jobs on threads beside the executor. The threads and the executor meet under one mutex, which is held for
 * the moving of a link only; what a job came to travels back through the executor's mailbox. Jobs are records in the
 * frames of the fibers that wait for them, so queueing never allocates.
 * Relies on thread, mailbox, scope. Keeps: a job is queued, or begun and its fiber parked until it is over; threads run
 * only while their executor's loop does. */
#ifndef TORC_SRC_BLOCKING_H
#define TORC_SRC_BLOCKING_H

#include "cores/mailbox.h"

#include <torc/blocking.h>

enum { BLOCKING_THREADS = 4, BLOCKING_THREADS_MOST = 1024 };

/* After the loop, when no fiber is left: end the threads. Nothing to do if there was no job. */
void blocking_close(struct executor *executor);

#endif
