/* clock - the one clock, CLOCK_MONOTONIC in nanoseconds; beside it the time of day. Relies on the vDSO. */
#ifndef TORC_SRC_CLOCK_H
#define TORC_SRC_CLOCK_H

#include <stdint.h>

int64_t clock_now(void);

/* CLOCK_REALTIME, which is set at times. */
int64_t clock_wall(void);

/* Block the thread for a while: for set-up, never in a fiber. */
void clock_pause(int64_t ns);

#endif
