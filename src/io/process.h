/* process - children as handles. Where the kernel knows WAITID, a child needs no descriptor of ours: the handle's number is
 * its pid, which stays its own until it is reaped, and nobody reaps but torc_process_wait and close. Elsewhere the handle
 * holds a pidfd, which is polled. Relies on op, plain. Keeps: each child is reaped once, and signalled only before. */
#ifndef TORC_SRC_PROCESS_H
#define TORC_SRC_PROCESS_H

#include "io/stream.h"

#include <torc/process.h>

#endif
