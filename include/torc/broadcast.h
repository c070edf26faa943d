/* broadcast.h - one to many: each subscriber sees every item that is sent after it subscribed, in order.
 *
 * A broadcast keeps the last `capacity` items for subscribers that are behind. What happens when one is further behind
 * than that is its policy: it misses the oldest and is told how many, or senders wait for the slowest. Items are plain
 * values, copied to each subscriber: if one were to own something, nobody could say who releases it.
 *
 * A broadcast belongs to the core that made it, and to one run; it allocates when it is made and not afterwards. */
#ifndef TORC_BROADCAST_H
#define TORC_BROADCAST_H

#include <torc/base.h>
#include <torc/choose.h>

TORC_BEGIN

struct torc_broadcast;

/* In the frame or the struct of the one who subscribes. Zeroed it is empty; an open one must not be moved. */
struct torc_subscriber {
	void *private_[8];
};

struct torc_broadcast_options {
	size_t size;           /* TORC_OPTIONS fills it in                                                     */
	bool wait_for_slowest; /* sends park while the slowest subscriber is `capacity` items behind, and nobody
	                          misses any. Else sends never park                                            */
};

/* Returns 0; -EINVAL for an item_size or capacity of 0, an item beyond 1 MiB, or more than 1 GiB altogether; -ENOMEM. */
TORC_API int torc_broadcast_new(struct torc_broadcast **broadcast, size_t item_size, size_t capacity,
                                const struct torc_broadcast_options *options) TORC_LOCAL TORC_MUST;

/* All subscribers are closed, and no fiber waits to send. NULL is harmless. */
TORC_API void torc_broadcast_free(struct torc_broadcast *broadcast) TORC_LOCAL;

/* No item is sent any more: sends fail with -EPIPE, those that are parked too. Subscribers get what they have not seen
 * yet, then -EPIPE. Closing twice is harmless. */
TORC_API void torc_broadcast_close(struct torc_broadcast *broadcast) TORC_LOCAL;

/* Send *item to all who are subscribed now; to nobody if there is none. Returns 0; -EPIPE: closed; -ECANCELED, -ETIME. */
#define torc_broadcast_send(broadcast, item) torc_broadcast_send_sized((broadcast), (item), sizeof *(item))
TORC_API int torc_broadcast_send_sized(struct torc_broadcast *broadcast, const void *item,
                                       size_t size) TORC_PARKS TORC_MUST;

/* Subscribe: to what is sent from now on. */
TORC_API void torc_subscriber_open(struct torc_subscriber *subscriber, struct torc_broadcast *broadcast) TORC_LOCAL;

/* Unsubscribe. Fibers that wait on it get -EBADF. Harmless on an empty one. */
TORC_API void torc_subscriber_close(struct torc_subscriber *subscriber) TORC_LOCAL;

/* The next item; parked until there is one. Returns how many were missed right before it: 0 as a rule, and always with
 * .wait_for_slowest; at most INT_MAX. -EPIPE: closed, and all was seen; -EBADF: the subscriber is empty, or closed
 * meanwhile; -ECANCELED, -ETIME. */
#define torc_subscriber_recv(subscriber, item) torc_subscriber_recv_sized((subscriber), (item), sizeof *(item))
TORC_API int torc_subscriber_recv_sized(struct torc_subscriber *subscriber, void *item,
                                        size_t size) TORC_PARKS TORC_MUST;

/* The same as a case for torc_choose (choose.h). */
#define torc_case_subscriber(subscriber, item) torc_case_subscriber_sized((subscriber), (item), sizeof *(item))
TORC_API struct torc_case torc_case_subscriber_sized(struct torc_subscriber *subscriber, void *item,
                                                     size_t size) TORC_LOCAL;

/* How many items are waiting for it, missed ones included. */
TORC_API uint64_t torc_subscriber_behind(const struct torc_subscriber *subscriber) TORC_LOCAL;

TORC_END
#endif
