/* cores - torc_cores_run: an executor on each of several threads, started together or not at all, ended together.
 * Relies on run, placement, topology, thread. */
#ifndef TORC_SRC_CORES_H
#define TORC_SRC_CORES_H

#include "cores/run.h"

#include <torc/cores.h>

#endif
