#include "executor/sleep.h"

#include "machine/clock.h"

#include <torc/interval.h>

#include <errno.h>

int torc_interval_start(struct torc_interval *interval, torc_ns period)
{
	if (period <= 0)
		return -EINVAL;
	interval->next = torc_in(period);
	interval->period = period;
	return 0;
}

int64_t torc_interval_next(struct torc_interval *interval)
{
	struct executor *executor = executor_in_fiber(__func__);
	int64_t ticks, span;
	int r;

	if (interval->period <= 0 || interval->next < 0)
		return -EINVAL;
	r = sleep_until(executor, interval->next);
	if (r < 0)
		return r;
	/* A sleep is never early. The grid is what counts, not when we came here: no drift. */
	ticks = 1 + (clock_now() - interval->next) / interval->period;
	if (__builtin_mul_overflow(ticks, interval->period, &span) ||
	    __builtin_add_overflow(interval->next, span, &interval->next))
		interval->next = INT64_MAX;
	return ticks;
}
