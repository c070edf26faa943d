/* timers - deadlines, intrusive: a timing wheel of 64 slots a level (Varghese & Lauck, "Hashed and hierarchical timing
 * wheels", 1987). A timer lies on the level of the highest 6-bit digit in which its tick differs from now, in the slot
 * that this digit names; so adding and removing cost a few instructions however many there are, lower levels are due
 * before higher ones, and no slot is ever passed that has not been emptied. Relies on the caller for the time.
 * Keeps: never early; late by itself at most one tick (1,024 ns), or one width of the lowest level (65 us) where deadlines
 * are dense, so that one wake-up serves many; timers of one tick fire in any order. */
#ifndef TORC_SRC_TIMERS_H
#define TORC_SRC_TIMERS_H

#include "base/list.h"

enum {
	TIMERS_TICK_SHIFT = 10,
	TIMERS_DIGIT = 6,
	TIMERS_SLOTS = 1 << TIMERS_DIGIT,
	TIMERS_LEVELS = 9, /* 63 bits of nanoseconds less the tick's 10, by 6 */
};

struct timer {
	struct list link;
	uint64_t tick;
	void (*fire)(struct timer *timer); /* the timer is no longer pending then */
};

struct timers {
	uint64_t now; /* in ticks: all up to here have fired */
	uint64_t count;
	uint64_t used[TIMERS_LEVELS]; /* one bit a slot that is not empty */
	struct list slots[TIMERS_LEVELS][TIMERS_SLOTS];
	struct list due;
};

void timers_init(struct timers *timers, int64_t now);

static inline void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
	list_init(&timer->link);
	timer->fire = fire;
}

static inline bool timer_pending(const struct timer *timer)
{
	return !list_empty(&timer->link);
}

void timers_add(struct timers *timers, struct timer *timer, int64_t deadline);

/* The tick at which an instant has come. */
static inline uint64_t timers_tick(int64_t deadline)
{
	uint64_t ns = deadline > 0 ? (uint64_t)deadline : 0;

	return (ns + (1 << TIMERS_TICK_SHIFT) - 1) >> TIMERS_TICK_SHIFT;
}

/* For deadlines that move. See to it that a timer, pending or not, fires no later than at `deadline`. If it does so too
 * early, because the deadline was moved away, timer_early says so, and it is to be added again: so who moves a deadline
 * away all the time, as each message of a connection does, pays a comparison. */
void timers_hasten(struct timers *timers, struct timer *timer, int64_t deadline);

static inline bool timer_early(const struct timer *timer, int64_t deadline)
{
	return timer->tick < timers_tick(deadline);
}

/* Harmless on a timer that is not pending. */
void timers_remove(struct timers *timers, struct timer *timer);

/* The instant at which timers_advance wants to be called: at or before the nearest deadline or, where deadlines are dense,
 * up to 65 us after it, and elsewhere less than a tick; INT64_MAX: none. */
int64_t timers_next(const struct timers *timers);

/* Fire all that are due at `now`. */
void timers_advance(struct timers *timers, int64_t now);

#endif
