#include "cores/lane.h"

#include "base/copy.h"
#include "base/options.h"
#include "machine/cpu.h"

#include <torc/queue.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	WORD = 64,
	WORDS = MAILBOX_PEERS / WORD,
	TURN = 16,     /* items from one sender while others wait */
	LOOK = 64,     /* so many items after which a fiber looks whether it should yield; a power of two */
	PATIENCE = 64, /* looks at the ring before a fiber of an idle executor parks */
};
static const size_t item_most = 1 << 20, bytes_most = 1 << 30;

/* A single sender's chore, and torc_lane_free on any thread. */
enum { IDLE, PENDING, ABANDONED };

/* Fibers of one core that wait at one end. */
struct end {
	struct list waiting;
	bool armed;
};

/* Between the two cores. */
struct bell {
	_Alignas(CACHE_LINE) unsigned waits;
	struct message message;
};

struct ring {
	struct torc_lane *lane;
	struct bell room; /* the sender's: rung by the receiver */
	/* The sender's. */
	_Alignas(CACHE_LINE) unsigned tail;
	unsigned seen_head;
	unsigned chore_state;
	struct mailbox *sender;
	struct end senders;
	struct mailbox_chore chore;
	/* The receiver's. */
	_Alignas(CACHE_LINE) unsigned head;
	unsigned seen_tail;
	_Alignas(CACHE_LINE) char items[];
};

struct torc_lane {
	size_t item_size, bytes; /* bytes: of a ring */
	unsigned capacity, mask, half_mask;
	unsigned closed;
	bool many;
	struct mailbox_group *group;
	struct ring **rings; /* many: [MAILBOX_PEERS], by sender; else [1] */
	struct bell items;   /* the receiver's: rung by senders */
	/* The receiver's. */
	_Alignas(CACHE_LINE) struct mailbox *receiver;
	struct end receivers;
	uint64_t active[WORDS];                     /* senders whose rings may hold something */
	unsigned turn, taken;                       /* whose turn it is, and how often it was */
	_Alignas(CACHE_LINE) uint64_t dirty[WORDS]; /* senders that have sent since the receiver looked */
	struct ring *only[1];
};

/* A fiber in a call, in its frame. */
struct waiter {
	struct wait wait;
	struct list link;
	struct torc_lane *lane;
	struct ring *ring; /* to send to; NULL: receives */
	void *item;
	unsigned from;
	int result;
	bool parked, done;
	bool leaving; /* cancelled, but the bell's message is under way */
};

static inline bool is_closed(const struct torc_lane *lane, int order)
{
	return unlikely(__atomic_load_n(&lane->closed, order) != 0);
}

/* --- bells ----------------------------------------------------------------------------------- */

static inline bool take_flag(struct bell *bell)
{
	return __atomic_exchange_n(&bell->waits, 0, __ATOMIC_SEQ_CST) != 0;
}

static __attribute__((noinline)) void ring_bell(struct bell *bell, struct mailbox *from, struct mailbox *const *to)
{
	if (take_flag(bell))
		mailbox_send(from, __atomic_load_n(to, __ATOMIC_RELAXED)->core, &bell->message);
}

/* --- rings ----------------------------------------------------------------------------------- */

static inline bool push(struct torc_lane *lane, struct ring *ring, const void *item)
{
	unsigned tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);

	if (unlikely(tail - ring->seen_head >= lane->capacity)) {
		ring->seen_head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
		if (tail - ring->seen_head >= lane->capacity)
			return false;
	}
	copy_item(ring->items + (tail & lane->mask) * lane->item_size, item, lane->item_size);
	if (lane->many)
		__atomic_store_n(&ring->tail, tail + 1, __ATOMIC_SEQ_CST);
	else
		__atomic_store_n(&ring->tail, tail + 1, __ATOMIC_RELEASE);
	return true;
}

/* After items were pushed. */
static inline void announce(struct torc_lane *lane, struct ring *ring)
{
	struct mailbox *mailbox = ring->sender;
	int order = __ATOMIC_RELAXED;

	if (lane->many) {
		uint64_t *word = &lane->dirty[mailbox->core / WORD], bit = UINT64_C(1) << mailbox->core % WORD;

		order = __ATOMIC_SEQ_CST;
		if (!(__atomic_load_n(word, __ATOMIC_SEQ_CST) & bit))
			__atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST);
	} else if (unlikely(__atomic_load_n(&ring->chore_state, __ATOMIC_RELAXED) == IDLE)) {
		__atomic_store_n(&ring->chore_state, PENDING, __ATOMIC_RELAXED);
		mailbox_later(mailbox, &ring->chore);
	}
	if (unlikely(__atomic_load_n(&lane->items.waits, order)))
		ring_bell(&lane->items, mailbox, &lane->receiver);
}

static inline bool pop(struct torc_lane *lane, struct ring *ring, void *item)
{
	unsigned head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED), waits;

	if (head == ring->seen_tail) {
		/* A sender that finds its bit among the dirty does not set it again: who cleared it since must see
		 * what was pushed before. Hence in the one order of all. */
		ring->seen_tail = __atomic_load_n(&ring->tail, __ATOMIC_SEQ_CST);
		if (head == ring->seen_tail)
			return false;
	}
	copy_item(item, ring->items + (head & lane->mask) * lane->item_size, lane->item_size);
	head++;
	if (unlikely((head & lane->half_mask) == 0)) {
		__atomic_store_n(&ring->head, head, __ATOMIC_SEQ_CST);
		waits = __atomic_load_n(&ring->room.waits, __ATOMIC_SEQ_CST);
	} else {
		__atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
		waits = __atomic_load_n(&ring->room.waits, __ATOMIC_RELAXED);
	}
	if (unlikely(waits) && __atomic_load_n(&ring->tail, __ATOMIC_RELAXED) - head <= lane->capacity / 2)
		ring_bell(&ring->room, lane->receiver, &ring->sender);
	return true;
}

/* Whose turn it is next, from `turn` on; false: nobody's. */
static bool next_turn(struct torc_lane *lane, unsigned turn)
{
	for (unsigned word = 0; word < WORDS; word++)
		if (__atomic_load_n(&lane->dirty[word], __ATOMIC_SEQ_CST))
			lane->active[word] |= __atomic_exchange_n(&lane->dirty[word], 0, __ATOMIC_SEQ_CST);
	for (unsigned i = 0, word = turn / WORD % WORDS; i <= WORDS; i++, word = (word + 1) % WORDS) {
		uint64_t active = lane->active[word];

		if (i == 0)
			active &= ~UINT64_C(0) << turn % WORD;
		if (active) {
			lane->turn = word * WORD + (unsigned)__builtin_ctzll(active);
			lane->taken = 0;
			return true;
		}
	}
	return false;
}

static bool pop_many(struct torc_lane *lane, void *item, unsigned *from)
{
	for (;;) { /* ends: each time a sender is struck off, or an item found */
		unsigned turn = lane->turn;
		uint64_t *word = &lane->active[turn / WORD], bit = UINT64_C(1) << turn % WORD;

		if ((*word & bit) && lane->taken < TURN) {
			if (pop(lane, __atomic_load_n(&lane->rings[turn], __ATOMIC_ACQUIRE), item)) {
				lane->taken++;
				*from = turn;
				return true;
			}
			*word &= ~bit; /* what comes now makes it dirty */
		}
		if (!next_turn(lane, turn + 1))
			return false;
	}
}

static inline bool take(struct torc_lane *lane, void *item, unsigned *from)
{
	if (lane->many)
		return pop_many(lane, item, from);
	*from = 0; /* nobody asks; and the sender's line is better left alone */
	return pop(lane, lane->only[0], item);
}

/* --- fibers that wait ------------------------------------------------------------------------ */

static struct end *end_of(const struct waiter *waiter)
{
	return waiter->ring ? &waiter->ring->senders : &waiter->lane->receivers;
}

static struct bell *bell_of(const struct waiter *waiter)
{
	return waiter->ring ? &waiter->ring->room : &waiter->lane->items;
}

/* 1: done, 0: not now, or why never. */
static int try_receive(struct torc_lane *lane, void *item, unsigned *from)
{
	if (take(lane, item, from))
		return 1;
	if (!is_closed(lane, __ATOMIC_ACQUIRE))
		return 0;
	return take(lane, item, from) ? 1 : -EPIPE; /* it may have come before the end */
}

static int try_send(struct torc_lane *lane, struct ring *ring, const void *item)
{
	if (is_closed(lane, __ATOMIC_RELAXED))
		return -EPIPE;
	if (!push(lane, ring, item))
		return 0;
	announce(lane, ring);
	return 1;
}

static int attempt(struct waiter *waiter)
{
	if (waiter->leaving)
		return scope_refuses(waiter->wait.fiber);
	return waiter->ring ? try_send(waiter->lane, waiter->ring, waiter->item)
	                    : try_receive(waiter->lane, waiter->item, &waiter->from);
}

/* Might an attempt succeed? Ordered behind the bell's flag. */
static bool promising(const struct torc_lane *lane, const struct ring *ring)
{
	if (is_closed(lane, __ATOMIC_SEQ_CST))
		return true;
	if (ring)
		return ring->tail - __atomic_load_n(&ring->head, __ATOMIC_SEQ_CST) < lane->capacity;
	if (!lane->many)
		return __atomic_load_n(&lane->only[0]->tail, __ATOMIC_SEQ_CST) != lane->only[0]->head;
	for (unsigned word = 0; word < WORDS; word++)
		if (lane->active[word] || __atomic_load_n(&lane->dirty[word], __ATOMIC_SEQ_CST))
			return true;
	return false;
}

static void finish(struct waiter *waiter, int result)
{
	list_remove(&waiter->link);
	waiter->result = result;
	waiter->done = true;
	if (waiter->parked)
		waker_wake(waiter->wait.fiber);
}

/* The bell is not armed: serve who waits, as far as possible, and arm it for the others. */
static void settle(struct torc_lane *lane, struct ring *ring)
{
	struct end *end = ring ? &ring->senders : &lane->receivers;
	struct bell *bell = ring ? &ring->room : &lane->items;

	for (;;) { /* ends: goes round again only when the other side moved on */
		while (!list_empty(&end->waiting)) {
			struct waiter *first = container_of(end->waiting.next, struct waiter, link);
			int r = attempt(first);

			if (r == 0)
				break;
			finish(first, r);
		}
		if (list_empty(&end->waiting))
			return;
		end->armed = true;
		__atomic_store_n(&bell->waits, 1, __ATOMIC_SEQ_CST);
		if (!promising(lane, ring) || !take_flag(bell))
			return;
		end->armed = false;
	}
}

static void items_came(struct executor *executor, struct message *message)
{
	struct torc_lane *lane = container_of(message, struct torc_lane, items.message);

	(void)executor;
	lane->receivers.armed = false;
	settle(lane, NULL);
}

static void room_came(struct executor *executor, struct message *message)
{
	struct ring *ring = container_of(message, struct ring, room.message);

	(void)executor;
	ring->senders.armed = false;
	settle(ring->lane, ring);
}

static void interrupt(struct wait *wait)
{
	struct waiter *waiter = container_of(wait, struct waiter, wait);
	struct end *end = end_of(waiter);

	if (end->waiting.next->next == &end->waiting) { /* the last one */
		if (!take_flag(bell_of(waiter))) {
			waiter->leaving = true;
			return;
		}
		end->armed = false;
	}
	finish(waiter, scope_refuses(wait->fiber));
}

/* An executor that spins would do nothing else: look for a while before the fiber is parked. A sender waits for a batch. */
static void look_for_a_while(struct executor *executor, const struct torc_lane *lane, const struct ring *ring)
{
	unsigned enough = lane->capacity - lane->capacity / 2;

	if (executor->spin_ns == 0 || executor->manager.accounts > 1)
		return;
	if (executor->mail.unsent > 0)
		executor->mail.push_waiting(executor);
	for (int i = 0; i < PATIENCE; i++) {
		if (executor->queue->count > 0 || executor->mail.unsent > 0 || executor->mail.bells ||
		    !reactor_quiet(&executor->reactor) || __atomic_load_n(&executor->mail.dirty, __ATOMIC_RELAXED))
			return;
		if (ring ? ring->tail - __atomic_load_n(&ring->head, __ATOMIC_RELAXED) <= enough
		         : promising(lane, NULL))
			return;
		cpu_relax();
	}
}

static __attribute__((noinline)) int wait_for(struct executor *executor, struct waiter *waiter)
{
	struct end *end = end_of(waiter);
	struct fiber *fiber = executor->running;
	bool first = list_empty(&end->waiting);

	if (first)
		look_for_a_while(executor, waiter->lane, waiter->ring);
	waiter->wait = (struct wait){ interrupt, fiber, waiter->ring ? "room in a lane" : "a lane" };
	list_append(&end->waiting, &waiter->link);
	if (first)
		settle(waiter->lane, waiter->ring);
	if (!waiter->done) {
		waiter->parked = true;
		wait_park(executor, &waiter->wait);
	}
	return waiter->result;
}

/* --- ends ------------------------------------------------------------------------------------ */

/* Whose end is it? The first that comes has it. */
static void claim(struct torc_lane *lane, struct mailbox **end, struct mailbox *mailbox, const char *function,
                  const char *rule)
{
	struct mailbox_group *group = NULL;
	struct mailbox *other = NULL;

	if (!__atomic_compare_exchange_n(&lane->group, &group, mailbox->group, false, __ATOMIC_RELAXED,
	                                 __ATOMIC_RELAXED) &&
	    group != mailbox->group)
		panic(function, "a lane serves one run; this is another one");
	/* In one order with `closed`: who closes and finds nobody here is seen by whoever comes. */
	if (!__atomic_compare_exchange_n(end, &other, mailbox, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED) &&
	    other != mailbox)
		panic(function, "%s", rule);
}

static void look_again(struct mailbox *mailbox, struct mailbox_chore *chore)
{
	struct ring *ring = container_of(chore, struct ring, chore);
	struct torc_lane *lane = ring->lane;
	unsigned pending = PENDING;

	/* Written anew for the order's sake: it stands before the look at the bell, for all. */
	__atomic_store_n(&ring->tail, ring->tail, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&lane->items.waits, __ATOMIC_SEQ_CST))
		ring_bell(&lane->items, mailbox, &lane->receiver);
	if (!__atomic_compare_exchange_n(&ring->chore_state, &pending, IDLE, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		torc_lane_free(lane);
}

static struct ring *ring_new(struct torc_lane *lane)
{
	struct ring *ring = aligned_alloc(CACHE_LINE, lane->bytes);

	if (!ring)
		return NULL;
	memset(ring, 0, sizeof *ring);
	ring->lane = lane;
	ring->room.message.deliver = room_came;
	ring->chore.run = look_again;
	list_init(&ring->senders.waiting);
	return ring;
}

/* The sender's ring; NULL: no memory for it. */
static inline struct ring *ring_for(struct torc_lane *lane, struct mailbox *mailbox, const char *function)
{
	struct ring **place = lane->many ? &lane->rings[mailbox->core] : &lane->only[0], *ring = *place;

	if (likely(ring && ring->sender == mailbox))
		return ring;
	if (!ring) {
		ring = ring_new(lane);
		if (!ring)
			return NULL;
		__atomic_store_n(place, ring, __ATOMIC_SEQ_CST); /* as in claim */
	}
	claim(lane, &ring->sender, mailbox, function, "another core sends to this lane; it was made for one");
	return ring;
}

static void check_size(const struct torc_lane *lane, size_t size, const char *function)
{
	if (unlikely(size != lane->item_size))
		panic(function, "an item of %zu bytes; those of this lane have %zu", size, lane->item_size);
}

int lane_send(struct torc_lane *lane, const void *item, size_t size, bool parks, const char *function)
{
	struct executor *executor = executor_in_fiber(function);
	struct ring *ring;
	int r = 0;

	check_size(lane, size, function);
	ring = ring_for(lane, executor->mailbox, function);
	if (unlikely(!ring))
		return -ENOMEM;
	if (parks && unlikely(scope_refuses(executor->running)))
		return scope_refuses(executor->running);
	if (likely(list_empty(&ring->senders.waiting)))
		r = try_send(lane, ring, item);
	if (!parks || r < 0)
		return r;
	if (unlikely(r == 0)) {
		struct waiter waiter = { .lane = lane, .ring = ring, .item = (void *)(uintptr_t)item };

		r = wait_for(executor, &waiter);
		return r < 0 ? r : 0;
	}
	if (unlikely((ring->tail & (LOOK - 1)) == 0))
		torc_yield_if_needed();
	return 0;
}

int lane_recv(struct torc_lane *lane, unsigned *from, void *item, size_t size, bool parks, const char *function)
{
	struct executor *executor = executor_in_fiber(function);
	unsigned sender;
	int r = 0;

	check_size(lane, size, function);
	if (unlikely(__atomic_load_n(&lane->receiver, __ATOMIC_RELAXED) != executor->mailbox))
		claim(lane, &lane->receiver, executor->mailbox, function, "another core receives from this lane");
	if (parks && unlikely(scope_refuses(executor->running)))
		return scope_refuses(executor->running);
	if (likely(list_empty(&lane->receivers.waiting)))
		r = try_receive(lane, item, &sender);
	if (parks && unlikely(r == 0)) {
		struct waiter waiter = { .lane = lane, .item = item };

		r = wait_for(executor, &waiter);
		sender = waiter.from;
	} else if (parks && !lane->many && unlikely((lane->only[0]->head & (LOOK - 1)) == 0)) {
		torc_yield_if_needed();
	} else if (parks && lane->many && unlikely(lane->taken == TURN)) {
		torc_yield_if_needed();
	}
	if (from && r > 0)
		*from = sender;
	return parks && r > 0 ? 0 : r;
}

/* --- the public calls ------------------------------------------------------------------------ */

static int lane_check(size_t item_size, size_t capacity, const struct torc_lane_options *options)
{
	size_t bytes;

	if ((unsigned)options->senders > TORC_MANY_CORES || item_size == 0 || item_size > item_most || capacity == 0 ||
	    capacity > bytes_most || __builtin_mul_overflow(item_size, capacity, &bytes) || bytes > bytes_most)
		return -EINVAL;
	return 0;
}

int torc_lane_new(struct torc_lane **out, size_t item_size, size_t capacity, const struct torc_lane_options *options)
{
	struct torc_lane_options whole;
	struct torc_lane *lane;
	size_t slots = 1;
	int r;

	options = OPTIONS(options, whole);
	r = lane_check(item_size, capacity, options);
	if (r < 0)
		return r;
	lane = aligned_alloc(CACHE_LINE, sizeof *lane);
	if (!lane)
		return -ENOMEM;
	while (slots < capacity) /* ends: the capacity is limited */
		slots *= 2;
	memset(lane, 0, sizeof *lane);
	lane->item_size = item_size;
	lane->capacity = (unsigned)capacity;
	lane->mask = (unsigned)slots - 1;
	while (lane->half_mask * 2 + 2 <= capacity / 2) /* ends: it doubles */
		lane->half_mask = lane->half_mask * 2 + 1;
	lane->bytes = (sizeof(struct ring) + slots * item_size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
	lane->many = options->senders == TORC_MANY_CORES;
	lane->items.message.deliver = items_came;
	list_init(&lane->receivers.waiting);
	if (lane->many) {
		lane->rings = calloc(MAILBOX_PEERS, sizeof(struct ring *));
		r = lane->rings ? 0 : -ENOMEM;
	} else {
		lane->rings = lane->only;
		lane->only[0] = ring_new(lane);
		r = lane->only[0] ? 0 : -ENOMEM;
	}
	if (r < 0) {
		torc_lane_free(lane);
		return r;
	}
	*out = lane;
	return 0;
}

void torc_lane_free(struct torc_lane *lane)
{
	unsigned count;

	if (!lane)
		return;
	/* A single sender's loop may still have to look; then it is the one that frees. */
	if (!lane->many && lane->only[0] &&
	    __atomic_exchange_n(&lane->only[0]->chore_state, ABANDONED, __ATOMIC_ACQ_REL) == PENDING)
		return;
	MISUSE(!list_empty(&lane->receivers.waiting), "fibers still wait on the lane");
	count = lane->rings ? (lane->many ? MAILBOX_PEERS : 1) : 0;
	for (unsigned i = 0; i < count; i++)
		free(lane->rings[i]);
	if (lane->many)
		free(lane->rings);
	free(lane);
}

void torc_lane_close(struct torc_lane *lane)
{
	struct mailbox *to;

	__atomic_store_n(&lane->closed, 1, __ATOMIC_SEQ_CST);
	/* Whoever waits has a mailbox that is open. */
	to = __atomic_load_n(&lane->receiver, __ATOMIC_SEQ_CST);
	if (to && take_flag(&lane->items))
		mailbox_drop_awaited(to, &lane->items.message);
	for (unsigned i = 0; i < (lane->many ? MAILBOX_PEERS : 1); i++) {
		struct ring *ring = __atomic_load_n(&lane->rings[i], __ATOMIC_SEQ_CST);

		if (ring && take_flag(&ring->room))
			mailbox_drop_awaited(__atomic_load_n(&ring->sender, __ATOMIC_RELAXED), &ring->room.message);
	}
}

int torc_lane_send_sized(struct torc_lane *lane, const void *item, size_t size)
{
	return lane_send(lane, item, size, true, __func__);
}

int torc_lane_try_send_sized(struct torc_lane *lane, const void *item, size_t size)
{
	return lane_send(lane, item, size, false, __func__);
}

int torc_lane_recv_sized(struct torc_lane *lane, void *item, size_t size)
{
	return lane_recv(lane, NULL, item, size, true, __func__);
}

int torc_lane_try_recv_sized(struct torc_lane *lane, void *item, size_t size)
{
	return lane_recv(lane, NULL, item, size, false, __func__);
}
