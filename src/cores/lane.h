/* lane - bounded rings of items between cores, and the fibers that wait at either end. Relies on mailbox, wait, scope.
 *
 * An end whose fibers wait says so in its bell and then looks at the ring once more; the other end moves an item and then
 * looks at the bell. Whoever takes the bell's flag sends its message, one at a time; only then, or when the flag was
 * taken back, does a last waiting fiber leave. So none is in flight when no fiber is in a call.
 *
 * The ends' order "move, then look" asks for a full fence, which would cost more than all the rest. A single sender puts
 * it off: it looks at once, without a fence, and once more with one in a chore of its loop. The receiver has one at each
 * half lap: who waits for room waits for one of those. (tools/model/lane.pml)
 *
 * Keeps: fibers wait at an end <=> its bell is armed (its flag is set, or its message under way), outside of settle. */
#ifndef TORC_SRC_LANE_H
#define TORC_SRC_LANE_H

#include "cores/mailbox.h"
#include "executor/scope.h"

#include <torc/lane.h>

/* The public calls, in the name of `function`; `from` may be NULL. */
int lane_send(struct torc_lane *lane, const void *item, size_t size, bool parks, const char *function);
int lane_recv(struct torc_lane *lane, unsigned *from, void *item, size_t size, bool parks, const char *function);

#endif
