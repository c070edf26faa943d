/* watch - inotify as a stream of events. Reading never blocks, so it is done at once, by whichever fiber finds nothing left;
 * waiting is a poll. Relies on async. */
#ifndef TORC_SRC_WATCH_H
#define TORC_SRC_WATCH_H

#include "io/async.h"

#include <torc/watch.h>

#endif
