/* signal - sets of signals that fibers wait for. The counting is machine/signals'; here is a handle around its eventfd.
 * Relies on op. */
#ifndef TORC_SRC_SIGNAL_H
#define TORC_SRC_SIGNAL_H

#include "io/op.h"

#include <torc/signal.h>

#endif
