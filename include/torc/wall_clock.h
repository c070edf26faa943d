/* wall_clock.h - the time of day: instants on CLOCK_REALTIME, in nanoseconds since 1970 (UTC). Clocks of this kind are
 * set, by people and by NTP; so these are no torc_ns instants, and no deadline is ever one. What is to happen at nine
 * o'clock waits here; what is to happen in an hour uses torc_sleep (time.h). time(7) */
#ifndef TORC_WALL_CLOCK_H
#define TORC_WALL_CLOCK_H

#include <torc/base.h>
#include <torc/time.h>

TORC_BEGIN

/* The time of day now. mktime(3) and timegm(3) make such instants, in seconds, from a date. */
TORC_API int64_t torc_wall_now(void) TORC_ANYWHERE;

/* Park until the time of day is `instant` or later; one that has passed yields once. The clock may be set meanwhile: set
 * forward beyond the instant, the call returns at once; set back, it waits for longer. Where the kernel lacks
 * timeout_realtime (torc-probe) a clock that was set forward is noticed within a second. When it returns 0 the clock has
 * said so: it is never early, by this clock. Returns 0; -ECANCELED or -ETIME by the scope; -ENOMEM from the kernel. */
TORC_API int torc_wall_sleep_until(int64_t instant) TORC_PARKS TORC_MUST;

TORC_END
#endif
