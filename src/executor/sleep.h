/* sleep - time for fibers: torc_now, torc_in, torc_sleep, torc_yield. Relies on wait, scope, timers. */
#ifndef TORC_SRC_SLEEP_H
#define TORC_SRC_SLEEP_H

#include "executor/scope.h"

/* Park the running fiber until an instant. 0, -ECANCELED, -ETIME. */
int sleep_until(struct executor *executor, int64_t instant);

#endif
