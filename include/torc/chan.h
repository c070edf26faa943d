/* chan.h - channels between fibers of one core: items of a fixed size, handed from fiber to fiber, first in, first out.
 * (lane.h is the kind between cores.)
 *
 * A channel has room for `capacity` items; with none a send and a receive meet (rendezvous). Items are copied in and
 * out: who sends a pointer or a handle gives away what it stands for. Several fibers may send and receive at once; those
 * that wait are served in the order in which they came, each by the one who lets it go on, so nobody overtakes and an item
 * never goes to a fiber that does not take it.
 *
 * A send that is cancelled, closed or too late has not moved its item: it is still the caller's. A receive that is
 * cancelled has taken none. A call that has moved one says so, whatever happened meanwhile. Only a send to an unbounded
 * channel that has to grow allocates.
 *
 * A channel belongs to the core that made it, and to one run. Another core that uses it, or an item of another size,
 * breaks a rule, which ends the process. */
#ifndef TORC_CHAN_H
#define TORC_CHAN_H

#include <torc/base.h>
#include <torc/choose.h>

TORC_BEGIN

struct torc_chan;

/* What becomes of an item that nobody will receive, where items own something. *item is a copy of its own. */
typedef void torc_destroy_fn(void *item);

struct torc_chan_options {
	size_t size;    /* TORC_OPTIONS fills it in                                                     */
	bool unbounded; /* sends never park: the channel grows, and keeps what it has grown to; the capacity is
	                             what it has room for from the start                                          */
	torc_destroy_fn *destroy; /* called by torc_chan_free for each item left in the channel; NULL: nothing is */
};

/* A channel for `capacity` items of item_size bytes. Returns 0; -EINVAL for an item_size of 0, an item beyond 1 MiB, or
 * more than 1 GiB altogether; -ENOMEM. */
TORC_API int torc_chan_new(struct torc_chan **chan, size_t item_size, size_t capacity,
                           const struct torc_chan_options *options) TORC_LOCAL TORC_MUST;

/* Destroy what was not received, in order, and the channel. No fiber may wait on it. NULL is harmless. Parks only if
 * .destroy does. */
TORC_API void torc_chan_free(struct torc_chan *chan) TORC_LOCAL;

/* No item is sent any more: sends fail with -EPIPE, those that are parked too. Receivers get what is there, then
 * -EPIPE. Closing twice is harmless. */
TORC_API void torc_chan_close(struct torc_chan *chan) TORC_LOCAL;

/* Send *item: to a receiver that waits, or into the channel; parked while there is neither a receiver nor room.
 * Returns 0; -EPIPE: closed; -ECANCELED, -ETIME; -ENOMEM: an unbounded channel can't grow, and is as it was. */
#define torc_chan_send(chan, item) torc_chan_send_sized((chan), (item), sizeof *(item))
TORC_API int torc_chan_send_sized(struct torc_chan *chan, const void *item, size_t size) TORC_PARKS TORC_MUST;

/* Receive into *item; parked while there is none. Returns 0; -EPIPE: closed, and all has been received (not 0, which would
 * be taken for an item); -ECANCELED, -ETIME. */
#define torc_chan_recv(chan, item) torc_chan_recv_sized((chan), (item), sizeof *(item))
TORC_API int torc_chan_recv_sized(struct torc_chan *chan, void *item, size_t size) TORC_PARKS TORC_MUST;

/* The same without parking: 1 when the item was moved; 0 when it would have parked; -EPIPE, -ENOMEM as above. They do
 * not look at the scope. */
#define torc_chan_try_send(chan, item) torc_chan_try_send_sized((chan), (item), sizeof *(item))
#define torc_chan_try_recv(chan, item) torc_chan_try_recv_sized((chan), (item), sizeof *(item))
TORC_API int torc_chan_try_send_sized(struct torc_chan *chan, const void *item, size_t size) TORC_LOCAL TORC_MUST;
TORC_API int torc_chan_try_recv_sized(struct torc_chan *chan, void *item, size_t size) TORC_LOCAL TORC_MUST;

/* For torc_choose: a send of *item, a receive into *item. */
#define torc_case_send(chan, item) torc_case_send_sized((chan), (item), sizeof *(item))
#define torc_case_recv(chan, item) torc_case_recv_sized((chan), (item), sizeof *(item))
TORC_API struct torc_case torc_case_send_sized(struct torc_chan *chan, const void *item, size_t size) TORC_LOCAL;
TORC_API struct torc_case torc_case_recv_sized(struct torc_chan *chan, void *item, size_t size) TORC_LOCAL;

/* Items that are in it now, and how many it has room for: SIZE_MAX if it is unbounded. */
TORC_API size_t torc_chan_len(const struct torc_chan *chan) TORC_LOCAL;
TORC_API size_t torc_chan_capacity(const struct torc_chan *chan) TORC_LOCAL;

TORC_END
#endif
