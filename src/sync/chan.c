/* Keeps: who waits to receive finds no item, and no sender but its own (one torc_choose may do both); who waits to send
 * finds no room. So an operation that cannot happen now depends on one that is yet to come. */
#include "base/copy.h"
#include "base/options.h"
#include "executor/waitable.h"

#include <torc/chan.h>

#include <stdlib.h>

static const size_t item_most = 1 << 20, bytes_most = 1 << 30;

struct torc_chan {
	struct executor *executor;
	size_t item_size;
	size_t head, tail; /* count up for ever; an item's place is that modulo the slots */
	size_t capacity;
	size_t mask; /* slots - 1; slots: a power of two, or none */
	char *items;
	struct arms senders, receivers;
	torc_destroy_fn *destroy;
	bool closed, unbounded;
};

static inline void *slot(const struct torc_chan *chan, size_t at)
{
	return chan->items + (at & chan->mask) * chan->item_size;
}

static __attribute__((noreturn, cold, noinline)) void misused(const struct torc_chan *chan, const char *function)
{
	(void)executor_in_fiber(function);
	(void)chan;
	panic(function, "the channel belongs to another core, or is freed");
}

static __attribute__((noreturn, cold, noinline)) void misfit(const struct torc_chan *chan, size_t size,
                                                             const char *function)
{
	panic(function, "an item of %zu bytes, and a channel for items of %zu", size, chan->item_size);
}

static inline struct executor *check(const struct torc_chan *chan, const char *function)
{
	struct executor *executor = executor_self;

	if (unlikely(chan->executor != executor))
		misused(chan, function);
	return executor;
}

static inline struct executor *check_size(const struct torc_chan *chan, size_t size, const char *function)
{
	struct executor *executor = check(chan, function);

	if (unlikely(chan->item_size != size))
		misfit(chan, size, function);
	return executor;
}

/* --- the operations -------------------------------------------------------------------------- */

/* Twice the room, or -ENOMEM. */
static __attribute__((noinline)) int grow(struct torc_chan *chan)
{
	size_t slots = chan->items ? chan->mask + 1 : 0, more = slots ? 2 * slots : 8, count = chan->tail - chan->head;
	char *items = more > SIZE_MAX / 2 / chan->item_size ? NULL : malloc(more * chan->item_size);

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		memcpy(items + i * chan->item_size, slot(chan, chan->head + i), chan->item_size);
	free(chan->items);
	chan->items = items;
	chan->mask = more - 1;
	chan->head = 0;
	chan->tail = count;
	chan->capacity = more;
	return 0;
}

static inline bool is_empty(const struct torc_chan *chan)
{
	return chan->tail == chan->head;
}

static inline bool has_room(const struct torc_chan *chan)
{
	return chan->tail - chan->head < chan->capacity;
}

static inline void put(struct torc_chan *chan, const void *item)
{
	copy_item(slot(chan, chan->tail), item, chan->item_size);
	chan->tail++;
}

static inline void take(struct torc_chan *chan, void *item)
{
	copy_item(item, slot(chan, chan->head), chan->item_size);
	chan->head++;
}

/* What an operation does most often is in send_now and recv_now; the rest is apart, since a function that calls others
 * saves registers. */

static __attribute__((noinline)) int put_unusual(struct torc_chan *chan, const void *item)
{
	put(chan, item);
	return 0;
}

static __attribute__((noinline)) int take_unusual(struct torc_chan *chan, void *item)
{
	take(chan, item);
	return 0;
}

/* Straight from a sender to a receiver that waits. */
static __attribute__((noinline)) int send_to_receiver(struct torc_chan *chan, const void *item)
{
	struct arm *receiver = chan->receivers.first;

	arms_remove(&chan->receivers, receiver);
	copy_item(receiver->item, item, chan->item_size);
	choice_decide(receiver->choice, receiver, 0);
	return 0;
}

/* What was taken makes room for a sender that waits; or the item is the sender's own. */
static __attribute__((noinline)) int recv_from_sender(struct torc_chan *chan, void *item)
{
	struct arm *sender = chan->senders.first;

	arms_remove(&chan->senders, sender);
	if (is_empty(chan)) {
		copy_item(item, sender->item, chan->item_size);
	} else {
		take(chan, item);
		put(chan, sender->item);
	}
	choice_decide(sender->choice, sender, 0);
	return 0;
}

static __attribute__((noinline)) int send_to_full(struct torc_chan *chan, const void *item)
{
	if (!chan->unbounded)
		return -EAGAIN;
	if (grow(chan) < 0)
		return -ENOMEM;
	put(chan, item);
	return 0;
}

static inline int send_now(struct torc_chan *chan, const void *item)
{
	if (unlikely(chan->closed))
		return -EPIPE;
	if (chan->receivers.first)
		return send_to_receiver(chan, item);
	if (unlikely(!has_room(chan)))
		return send_to_full(chan, item);
	if (unlikely(!copy_usual(slot(chan, chan->tail), item, chan->item_size)))
		return put_unusual(chan, item);
	chan->tail++;
	return 0;
}

static inline int recv_now(struct torc_chan *chan, void *item)
{
	if (chan->senders.first)
		return recv_from_sender(chan, item);
	if (is_empty(chan))
		return chan->closed ? -EPIPE : -EAGAIN;
	if (unlikely(!copy_usual(item, slot(chan, chan->head), chan->item_size)))
		return take_unusual(chan, item);
	chan->head++;
	return 0;
}

/* --- as waitables ---------------------------------------------------------------------------- */

static int try_send(struct arm *arm)
{
	return send_now(arm->object, arm->item);
}

static int try_recv(struct arm *arm)
{
	return recv_now(arm->object, arm->item);
}

static void arm_send(struct arm *arm)
{
	arms_append(&((struct torc_chan *)arm->object)->senders, arm);
}

static void arm_recv(struct arm *arm)
{
	arms_append(&((struct torc_chan *)arm->object)->receivers, arm);
}

static void disarm_send(struct arm *arm)
{
	arms_remove(&((struct torc_chan *)arm->object)->senders, arm);
}

static void disarm_recv(struct arm *arm)
{
	arms_remove(&((struct torc_chan *)arm->object)->receivers, arm);
}

static const struct waitable sending = { try_send, arm_send, disarm_send, .what = "send to a channel" };
static const struct waitable receiving = { try_recv, arm_recv, disarm_recv, .what = "receive from a channel" };

/* --- the calls ------------------------------------------------------------------------------- */

static size_t slots_for(size_t capacity)
{
	size_t slots = 1;

	while (slots < capacity)
		slots *= 2;
	return slots;
}

int torc_chan_new(struct torc_chan **out, size_t item_size, size_t capacity, const struct torc_chan_options *options)
{
	struct torc_chan_options whole;
	struct executor *executor = executor_in_fiber(__func__);
	struct torc_chan *chan;

	options = OPTIONS(options, whole);
	if (item_size == 0 || item_size > item_most || capacity > bytes_most / item_size)
		return -EINVAL;
	chan = calloc(1, sizeof *chan);
	if (!chan)
		return -ENOMEM;
	if (capacity > 0) {
		chan->mask = slots_for(capacity) - 1;
		chan->items = malloc((chan->mask + 1) * item_size);
		if (!chan->items) {
			free(chan);
			return -ENOMEM;
		}
	}
	chan->executor = executor;
	chan->item_size = item_size;
	chan->unbounded = options->unbounded;
	chan->capacity = chan->unbounded && capacity > 0 ? chan->mask + 1 : capacity;
	chan->destroy = options->destroy;
	*out = chan;
	return 0;
}

void torc_chan_free(struct torc_chan *chan)
{
	if (!chan)
		return;
	check(chan, __func__);
	MISUSE(chan->senders.first || chan->receivers.first,
	       "fibers wait on the channel: close it, and join them first");
	chan->closed = true;
	while (chan->destroy && chan->head != chan->tail)
		chan->destroy(slot(chan, chan->head++));
	chan->executor = NULL;
	free(chan->items);
	free(chan);
}

static void end_all(struct arms *arms)
{
	struct arm *arm;

	while ((arm = arms->first)) { /* ends: none comes to a closed channel */
		arms_remove(arms, arm);
		choice_decide(arm->choice, arm, -EPIPE);
	}
}

void torc_chan_close(struct torc_chan *chan)
{
	check(chan, __func__);
	chan->closed = true;
	end_all(&chan->senders);
	end_all(&chan->receivers);
}

static __attribute__((noinline)) int park_sender(struct torc_chan *chan, const void *item)
{
	return waitable_park(chan->executor, &sending, chan, (void *)(uintptr_t)item);
}

static __attribute__((noinline)) int park_receiver(struct torc_chan *chan, void *item)
{
	return waitable_park(chan->executor, &receiving, chan, item);
}

int torc_chan_send_sized(struct torc_chan *chan, const void *item, size_t size)
{
	int r = scope_refuses(check_size(chan, size, __func__)->running);

	if (unlikely(r))
		return r;
	if (unlikely(!has_room(chan)) && !chan->receivers.first && !chan->closed && !chan->unbounded)
		return park_sender(chan, item);
	return send_now(chan, item);
}

int torc_chan_recv_sized(struct torc_chan *chan, void *item, size_t size)
{
	int r = scope_refuses(check_size(chan, size, __func__)->running);

	if (unlikely(r))
		return r;
	if (unlikely(is_empty(chan)) && !chan->senders.first && !chan->closed)
		return park_receiver(chan, item);
	return recv_now(chan, item);
}

static int tried(int result)
{
	return result == 0 ? 1 : result == -EAGAIN ? 0 : result;
}

int torc_chan_try_send_sized(struct torc_chan *chan, const void *item, size_t size)
{
	check_size(chan, size, __func__);
	return tried(send_now(chan, item));
}

int torc_chan_try_recv_sized(struct torc_chan *chan, void *item, size_t size)
{
	check_size(chan, size, __func__);
	return tried(recv_now(chan, item));
}

struct torc_case torc_case_send_sized(struct torc_chan *chan, const void *item, size_t size)
{
	check_size(chan, size, __func__);
	return waitable_case(&sending, chan, (void *)(uintptr_t)item, 0);
}

struct torc_case torc_case_recv_sized(struct torc_chan *chan, void *item, size_t size)
{
	check_size(chan, size, __func__);
	return waitable_case(&receiving, chan, item, 0);
}

size_t torc_chan_len(const struct torc_chan *chan)
{
	check(chan, __func__);
	return chan->tail - chan->head;
}

size_t torc_chan_capacity(const struct torc_chan *chan)
{
	check(chan, __func__);
	return chan->unbounded ? SIZE_MAX : chan->capacity;
}
