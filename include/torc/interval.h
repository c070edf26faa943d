/* interval.h - something every so often, without drift: the ticks lie on a grid, however long the work between them takes.
 *
 *	struct torc_interval beat;
 *
 *	torc_interval_start(&beat, 100 * TORC_MS);
 *	while ((ticks = torc_interval_next(&beat)) > 0)
 *		...
 */
#ifndef TORC_INTERVAL_H
#define TORC_INTERVAL_H

#include <torc/base.h>
#include <torc/time.h>

TORC_BEGIN

/* A value; nothing is to be closed. Both fields may be read, and changed between two calls. */
struct torc_interval {
	torc_ns next;   /* instant of the next tick */
	torc_ns period; /* from tick to tick        */
};

/* Ticks every `period`, the first of them one period from now; set .next for another. Returns 0; -EINVAL for a period <= 0.
 * One that is too long to be added to an instant never ticks. */
TORC_API int torc_interval_start(struct torc_interval *interval, torc_ns period) TORC_ANYWHERE;

/* Park until the next tick, which may have come already: then yield once. Returns how many ticks have come since the last
 * call: 1, and 1 more for each that was missed because the caller was busy; they are not made up for. -ECANCELED or -ETIME
 * by the scope: no tick is lost by that. -EINVAL if the fields are out of range (a zeroed interval: period 0). For one
 * fiber at a time. */
TORC_API int64_t torc_interval_next(struct torc_interval *interval) TORC_PARKS TORC_MUST;

TORC_END
#endif
