/* lane.h - bounded channels of fixed-size items from fibers of one core, or of many, to fibers of one core.
 *
 * A lane is made on any thread, before the run or in it, and serves one run: all that use it are fibers of one
 * torc_cores_run (or of one torc_run, where both ends are one core). The first core that receives is its receiving core;
 * unless the lane is for many senders, the first that sends is its sending core. Any other core that tries breaks a
 * rule, which ends the process. Several fibers of these cores may send and receive at once: fibers that wait are served
 * in the order in which they came.
 *
 * Items are copied in and out. Each is received once, and those of one sending core in the order in which they were
 * sent. A call that is cancelled or comes too late has not moved its item; one that has moved it says so.
 *
 * A stream ends when either side closes the lane, or when a scope is cancelled: a run lasts until its fibers have ended,
 * so a fiber that waits on a lane which nobody will feed, drain or close keeps it from ending; where nothing else is under
 * way in a torc_run, that is a deadlock (run.h). A thread from outside that is to close it makes itself known by a
 * torc_remote.
 *
 * A receiver that waits is woken by the next item. Not before the sending fiber parks or yields, though, where its core
 * sleeps; nor, unless another item is sent, where it begins to wait in the very nanoseconds in which this one is. Sending
 * and receiving without end yield from time to time, as torc_yield_if_needed() does. */
#ifndef TORC_LANE_H
#define TORC_LANE_H

#include <torc/base.h>

TORC_BEGIN

struct torc_lane;

enum torc_lane_senders {
	TORC_ONE_CORE,   /* fibers of one core send: the fastest                                */
	TORC_MANY_CORES, /* of any, the receiving one included; each gets a ring of its own, and
	                    order is kept for each. They are received from in turn              */
};

struct torc_lane_options {
	size_t size;                    /* TORC_OPTIONS fills it in */
	enum torc_lane_senders senders; /* default TORC_ONE_CORE    */
};

/* A lane for `capacity` items (for each sending core) of item_size bytes. Returns 0; -EINVAL for an item_size or capacity
 * of 0, an item beyond 1 MiB, more than 1 GiB altogether, or an option out of range; -ENOMEM. */
TORC_API int torc_lane_new(struct torc_lane **lane, size_t item_size, size_t capacity,
                           const struct torc_lane_options *options) TORC_ANYWHERE TORC_MUST;

/* Every call on it has returned, and none will be made. What was not received is dropped. NULL is harmless. */
TORC_API void torc_lane_free(struct torc_lane *lane) TORC_ANYWHERE;

/* No item is sent any more: who sends, or waits to, gets -EPIPE, and so do receivers once they have received what is
 * there. An item sent while the other side closes may be left over. Closing twice is harmless. */
TORC_API void torc_lane_close(struct torc_lane *lane) TORC_ANYWHERE;

/* Send *item, parked while the lane is full. A sender that had to park goes on when half of the room is free again.
 * Returns 0; -EPIPE: closed; -ECANCELED, -ETIME; -ENOMEM, by a core's first item to a lane for many senders. */
#define torc_lane_send(lane, item) torc_lane_send_sized((lane), (item), sizeof *(item))
TORC_API int torc_lane_send_sized(struct torc_lane *lane, const void *item, size_t size) TORC_PARKS TORC_MUST;

/* Receive into *item, parked while there is none. Returns 0; -EPIPE: closed, and all has been received (not 0, which
 * would be taken for an item); -ECANCELED, -ETIME. */
#define torc_lane_recv(lane, item) torc_lane_recv_sized((lane), (item), sizeof *(item))
TORC_API int torc_lane_recv_sized(struct torc_lane *lane, void *item, size_t size) TORC_PARKS TORC_MUST;

/* The same without parking: 1 when the item was moved; 0 when the lane is full, or empty, or others wait already;
 * -EPIPE, -ENOMEM as above. They do not look at the scope. */
#define torc_lane_try_send(lane, item) torc_lane_try_send_sized((lane), (item), sizeof *(item))
#define torc_lane_try_recv(lane, item) torc_lane_try_recv_sized((lane), (item), sizeof *(item))
TORC_API int torc_lane_try_send_sized(struct torc_lane *lane, const void *item, size_t size) TORC_LOCAL TORC_MUST;
TORC_API int torc_lane_try_recv_sized(struct torc_lane *lane, void *item, size_t size) TORC_LOCAL TORC_MUST;

TORC_END
#endif
