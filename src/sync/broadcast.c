/* Keeps: a subscriber with an arm has seen all that was sent; who waits to send finds the slowest `capacity` behind. */
#include "base/copy.h"
#include "base/options.h"
#include "executor/waitable.h"

#include <torc/broadcast.h>

#include <limits.h>
#include <stdlib.h>

static const size_t item_most = 1 << 20, bytes_most = 1 << 30;

struct torc_broadcast {
	struct executor *executor;
	size_t item_size, capacity;
	size_t mask;      /* slots - 1; slots: a power of two */
	uint64_t sent;    /* ever; an item's place is its number modulo the slots */
	uint64_t slowest; /* at most what the slowest subscriber has passed; found anew when that is not enough */
	size_t laggards;  /* subscribers that have passed just that */
	struct arms senders;
	struct list subscribers;
	bool patient, closed;
	char items[];
};

struct subscriber {
	struct torc_broadcast *broadcast; /* NULL: empty */
	uint64_t passed;                  /* the number of its next item */
	struct arms receivers;
	struct list link;
};

static_assert_fits(torc_subscriber, subscriber);

static inline void *slot(struct torc_broadcast *broadcast, uint64_t at)
{
	return broadcast->items + (at & broadcast->mask) * broadcast->item_size;
}

static inline struct executor *check(const struct torc_broadcast *broadcast, const char *function)
{
	struct executor *executor = executor_in_fiber(function);

	if (unlikely(broadcast->executor != executor))
		panic(function, "the broadcast belongs to another core, or is freed");
	return executor;
}

static inline struct executor *check_size(const struct torc_broadcast *broadcast, size_t size, const char *function)
{
	if (unlikely(broadcast->item_size != size))
		panic(function, "an item of %zu bytes, and a broadcast of items of %zu", size, broadcast->item_size);
	return check(broadcast, function);
}

/* --- sending --------------------------------------------------------------------------------- */

/* It is about to go on, or to go. */
static inline void leave_place(struct torc_broadcast *broadcast, const struct subscriber *subscriber)
{
	broadcast->laggards -= subscriber->passed == broadcast->slowest;
}

static bool has_room(struct torc_broadcast *broadcast)
{
	if (!broadcast->patient || broadcast->sent - broadcast->slowest < broadcast->capacity)
		return true;
	if (broadcast->laggards > 0)
		return false;
	broadcast->slowest = broadcast->sent;
	list_each (node, &broadcast->subscribers) {
		const struct subscriber *subscriber = container_of(node, struct subscriber, link);

		if (subscriber->passed < broadcast->slowest) {
			broadcast->slowest = subscriber->passed;
			broadcast->laggards = 0;
		}
		broadcast->laggards += subscriber->passed == broadcast->slowest;
	}
	return broadcast->sent - broadcast->slowest < broadcast->capacity;
}

/* Into its slot, and into the hands of those who wait. No subscriber comes or goes meanwhile, for no fiber runs. */
static void publish(struct torc_broadcast *broadcast, const void *item)
{
	copy_item(slot(broadcast, broadcast->sent++), item, broadcast->item_size);
	list_each (node, &broadcast->subscribers) {
		struct subscriber *subscriber = container_of(node, struct subscriber, link);
		struct arm *receiver = subscriber->receivers.first;

		if (!receiver)
			continue;
		arms_remove(&subscriber->receivers, receiver);
		copy_item(receiver->item, item, broadcast->item_size);
		leave_place(broadcast, subscriber);
		subscriber->passed = broadcast->sent;
		choice_decide(receiver->choice, receiver, 0);
	}
}

static int send_now(struct torc_broadcast *broadcast, const void *item)
{
	if (broadcast->closed)
		return -EPIPE;
	if (broadcast->senders.first || !has_room(broadcast))
		return -EAGAIN;
	publish(broadcast, item);
	return 0;
}

/* A subscriber went on, or went. */
static void let_senders_go_on(struct torc_broadcast *broadcast)
{
	struct arm *sender;

	while ((sender = broadcast->senders.first) && has_room(broadcast)) { /* ends: each leaves the queue */
		arms_remove(&broadcast->senders, sender);
		publish(broadcast, sender->item);
		choice_decide(sender->choice, sender, 0);
	}
}

static int try_send(struct arm *arm)
{
	return send_now(arm->object, arm->item);
}

static void arm_send(struct arm *arm)
{
	arms_append(&((struct torc_broadcast *)arm->object)->senders, arm);
}

/* It takes no place that another could have: whether there is room does not depend on it. */
static void disarm_send(struct arm *arm)
{
	arms_remove(&((struct torc_broadcast *)arm->object)->senders, arm);
}

static const struct waitable sending = { try_send, arm_send, disarm_send, .what = "send to a broadcast" };

/* --- receiving ------------------------------------------------------------------------------- */

static int recv_now(struct subscriber *subscriber, void *item)
{
	struct torc_broadcast *broadcast = subscriber->broadcast;
	uint64_t behind, missed;

	if (!broadcast)
		return -EBADF;
	behind = broadcast->sent - subscriber->passed;
	if (behind == 0)
		return broadcast->closed ? -EPIPE : -EAGAIN;
	missed = behind > broadcast->capacity ? behind - broadcast->capacity : 0;
	leave_place(broadcast, subscriber);
	subscriber->passed += missed;
	copy_item(item, slot(broadcast, subscriber->passed), broadcast->item_size);
	subscriber->passed++;
	if (broadcast->senders.first)
		let_senders_go_on(broadcast);
	return missed > INT_MAX ? INT_MAX : (int)missed;
}

static int try_recv(struct arm *arm)
{
	return recv_now(arm->object, arm->item);
}

static void arm_recv(struct arm *arm)
{
	arms_append(&((struct subscriber *)arm->object)->receivers, arm);
}

static void disarm_recv(struct arm *arm)
{
	arms_remove(&((struct subscriber *)arm->object)->receivers, arm);
}

static const struct waitable receiving = { try_recv, arm_recv, disarm_recv, .what = "receive from a broadcast" };

/* --- the calls ------------------------------------------------------------------------------- */

int torc_broadcast_new(struct torc_broadcast **out, size_t item_size, size_t capacity,
                       const struct torc_broadcast_options *options)
{
	struct torc_broadcast_options whole;
	struct executor *executor = executor_in_fiber(__func__);
	struct torc_broadcast *broadcast;
	size_t slots = 1;

	options = OPTIONS(options, whole);
	if (item_size == 0 || item_size > item_most || capacity == 0 || capacity > bytes_most / item_size)
		return -EINVAL;
	while (slots < capacity)
		slots *= 2;
	broadcast = malloc(sizeof *broadcast + slots * item_size);
	if (!broadcast)
		return -ENOMEM;
	*broadcast = (struct torc_broadcast){
		.executor = executor,
		.item_size = item_size,
		.capacity = capacity,
		.mask = slots - 1,
		.patient = options->wait_for_slowest,
	};
	list_init(&broadcast->subscribers);
	*out = broadcast;
	return 0;
}

void torc_broadcast_free(struct torc_broadcast *broadcast)
{
	if (!broadcast)
		return;
	check(broadcast, __func__);
	MISUSE(!list_empty(&broadcast->subscribers), "a subscriber is open");
	MISUSE(broadcast->senders.first, "fibers wait to send: close it, and join them first");
	broadcast->executor = NULL;
	free(broadcast);
}

static void end_all(struct arms *arms, int result)
{
	struct arm *arm;

	while ((arm = arms->first)) { /* ends: no fiber runs meanwhile */
		arms_remove(arms, arm);
		choice_decide(arm->choice, arm, result);
	}
}

void torc_broadcast_close(struct torc_broadcast *broadcast)
{
	check(broadcast, __func__);
	broadcast->closed = true;
	end_all(&broadcast->senders, -EPIPE);
	list_each (node, &broadcast->subscribers)
		end_all(&container_of(node, struct subscriber, link)->receivers, -EPIPE);
}

int torc_broadcast_send_sized(struct torc_broadcast *broadcast, const void *item, size_t size)
{
	struct executor *executor = check_size(broadcast, size, __func__);
	int r = scope_refuses(executor->running);

	if (unlikely(r))
		return r;
	r = send_now(broadcast, item);
	return r != -EAGAIN ? r : waitable_park(executor, &sending, broadcast, (void *)(uintptr_t)item);
}

void torc_subscriber_open(struct torc_subscriber *handle, struct torc_broadcast *broadcast)
{
	struct subscriber *subscriber = (struct subscriber *)(void *)handle;

	check(broadcast, __func__);
	*subscriber = (struct subscriber){ .broadcast = broadcast, .passed = broadcast->sent };
	list_append(&broadcast->subscribers, &subscriber->link);
	broadcast->laggards += subscriber->passed == broadcast->slowest;
}

void torc_subscriber_close(struct torc_subscriber *handle)
{
	struct subscriber *subscriber = (struct subscriber *)(void *)handle;
	struct torc_broadcast *broadcast = subscriber->broadcast;

	if (!broadcast)
		return;
	check(broadcast, __func__);
	subscriber->broadcast = NULL;
	leave_place(broadcast, subscriber);
	list_unlink(&subscriber->link);
	end_all(&subscriber->receivers, -EBADF);
	let_senders_go_on(broadcast);
}

int torc_subscriber_recv_sized(struct torc_subscriber *handle, void *item, size_t size)
{
	struct subscriber *subscriber = (struct subscriber *)(void *)handle;
	struct executor *executor = executor_in_fiber(__func__);
	int r = scope_refuses(executor->running);

	if (!subscriber->broadcast)
		return -EBADF;
	check_size(subscriber->broadcast, size, __func__);
	if (unlikely(r))
		return r;
	r = recv_now(subscriber, item);
	return r != -EAGAIN ? r : waitable_park(executor, &receiving, subscriber, item);
}

struct torc_case torc_case_subscriber_sized(struct torc_subscriber *handle, void *item, size_t size)
{
	struct subscriber *subscriber = (struct subscriber *)(void *)handle;

	if (subscriber->broadcast)
		check_size(subscriber->broadcast, size, __func__);
	return waitable_case(&receiving, subscriber, item, 0);
}

uint64_t torc_subscriber_behind(const struct torc_subscriber *handle)
{
	const struct subscriber *subscriber = (const struct subscriber *)(const void *)handle;

	return subscriber->broadcast ? subscriber->broadcast->sent - subscriber->passed : 0;
}
