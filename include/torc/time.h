/* time.h - instants and spans: both int64_t nanoseconds; instants on CLOCK_MONOTONIC (clock_gettime(2)), which stands still
 * while the machine is suspended. */
#ifndef TORC_TIME_H
#define TORC_TIME_H

#include <torc/base.h>

TORC_BEGIN

typedef int64_t torc_ns;

#define TORC_US  INT64_C(1000)
#define TORC_MS  (1000 * TORC_US)
#define TORC_SEC (1000 * TORC_MS)

/* The instant now. Costs one read of the vDSO clock, some twenty nanoseconds. */
TORC_API torc_ns torc_now(void) TORC_ANYWHERE;

/* The instant `span` from now, which is what .deadline wants: torc_now() + span, and the farthest instant there
 * is where that would overflow. A span <= 0 gives an instant that has passed. */
TORC_API torc_ns torc_in(torc_ns span) TORC_ANYWHERE;

/* Park for at least `span`; a span <= 0 yields once. Never ends early, and ends late by the time that the
 * kernel's timer and the fibers before this one need.
 * Returns 0; -ECANCELED or -ETIME as soon as the scope is cancelled or its deadline passes. */
TORC_API int torc_sleep(torc_ns span) TORC_PARKS;

/* The same until an instant; one that has passed yields once. */
TORC_API int torc_sleep_until(torc_ns instant) TORC_PARKS;

TORC_END
#endif
