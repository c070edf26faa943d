/* watchdog - one thread that looks at all executors which are watched, and reports fibers that run for too long. A fiber
 * runs once per pass, and after each pass the reactor turns: so who sees the same fiber running in the same turn, twice,
 * knows that it ran all the time in between, and the executors have nothing to count or to lock.
 * Relies on interrupt, thread, mailbox. Keeps: whom it looks at is alive, for executors take themselves out, under the
 * mutex under which it looks; there is a thread, and a signal handler, only while there is somebody to look at. */
#ifndef TORC_SRC_WATCHDOG_H
#define TORC_SRC_WATCHDOG_H

#include "cores/mailbox.h"

#include <torc/run.h>
#include <torc/watchdog.h>

/* Is it a limit, or 0? */
bool watchdog_accepts(torc_ns limit);

/* On the executor's own thread, at its beginning; `options` may be NULL. Watches if they ask for it; a queue may do so
 * later. 0, -ENOMEM. */
int watchdog_open(struct executor *executor, const struct torc_run_options *options);

/* The same thread, at its end. Nothing to do if it was not watched. */
void watchdog_unwatch(struct executor *executor);

#endif
