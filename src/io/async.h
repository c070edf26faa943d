/* async - Async: the wrapper around any I/O handle, and the three steps made visible: make the handle non-blocking
 * (wrap); perform the operation and, where it would block, register interest by an SQE; be resumed by the completion.
 * Relies on op. Keeps: flags of the descriptor other than O_NONBLOCK survive. */
#ifndef TORC_SRC_ASYNC_H
#define TORC_SRC_ASYNC_H

#include "io/op.h"

/* Park until poll(2) would report one of `events`. */
int async_poll(struct torc_async *async, unsigned events, const char *function);

#endif
