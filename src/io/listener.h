/* listener - connections coming in. One acceptor per listener keeps a multishot accept armed where the kernel has it, a
 * single one where not; connections go to the fibers that wait, first come first served, else into a bounded store.
 * Relies on op. Keeps: a connection is in the kernel, in the store, or handed to exactly one fiber; the store never
 * exceeds its room; an acceptor that is armed, or has fibers waiting, stays on its core. */
#ifndef TORC_SRC_LISTENER_H
#define TORC_SRC_LISTENER_H

#include "io/op.h"

#include <torc/stream.h>

enum { LISTENER_BACKLOG = 1024, LISTENER_AHEAD = 64 }; /* defaults */

/* Make a handle of a listening socket; `ahead` connections are accepted beyond those that fibers wait for, and there is
 * room for `backlog` more, which may come in before the kernel heeds us. 0 or -ENOMEM; fd stays the caller's then. */
int listener_make(struct torc_listener *listener, int fd, unsigned ahead, unsigned backlog);

#endif
