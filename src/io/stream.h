/* stream - byte streams, by completion: the kernel itself receives and sends, and waits where it must. What is no socket
 * goes by io/plain.
 * Sockets stay blocking: io_uring makes each attempt non-blocking by itself, and would take O_NONBLOCK as the wish
 * to be told -EAGAIN. Relies on op. */
#ifndef TORC_SRC_STREAM_H
#define TORC_SRC_STREAM_H

#include "io/async.h"

#include <torc/stream.h>

#endif
