#include "reactor/timers.h"

#include "machine/cpu.h"

/* How many timers of one slot are looked at for the nearest; with more, its beginning will do. */
enum { EXACT_LIMIT = 16, DENSE = 8 };

void timers_init(struct timers *timers, int64_t now)
{
	timers->now = (uint64_t)now >> TIMERS_TICK_SHIFT;
	timers->count = 0;
	list_init(&timers->due);
	for (int level = 0; level < TIMERS_LEVELS; level++) {
		timers->used[level] = 0;
		for (int slot = 0; slot < TIMERS_SLOTS; slot++)
			list_init(&timers->slots[level][slot]);
	}
}

static void place(struct timers *timers, struct timer *timer)
{
	int level, slot;

	if (timer->tick <= timers->now) {
		list_append(&timers->due, &timer->link);
		return;
	}
	level = (63 - __builtin_clzll(timer->tick ^ timers->now)) / TIMERS_DIGIT;
	slot = (int)(timer->tick >> (level * TIMERS_DIGIT)) & (TIMERS_SLOTS - 1);
	timers->used[level] |= UINT64_C(1) << slot;
	list_append(&timers->slots[level][slot], &timer->link);
}

void timers_add(struct timers *timers, struct timer *timer, int64_t deadline)
{
	ASSERT_DEBUG(!timer_pending(timer));
	timer->tick = timers_tick(deadline);
	timers->count++;
	place(timers, timer);
}

void timers_hasten(struct timers *timers, struct timer *timer, int64_t deadline)
{
	if (timer_pending(timer)) {
		if (timer->tick <= timers_tick(deadline))
			return;
		timers_remove(timers, timer);
	}
	timers_add(timers, timer, deadline);
}

void timers_remove(struct timers *timers, struct timer *timer)
{
	struct list *slot = timer->link.next;
	size_t index = (size_t)(slot - &timers->slots[0][0]);

	if (!timer_pending(timer))
		return;
	/* The last one of its slot has the slot on either side; `due` has no bit. */
	if (slot == timer->link.prev && index < (size_t)TIMERS_LEVELS * TIMERS_SLOTS)
		timers->used[index / TIMERS_SLOTS] &= ~(UINT64_C(1) << index % TIMERS_SLOTS);
	list_remove(&timer->link);
	timers->count--;
}

/* The slot that is due first and the tick at which it begins. False: there is none. */
static bool first_slot(const struct timers *timers, int *level, int *slot, uint64_t *begin)
{
	for (*level = 0; *level < TIMERS_LEVELS; ++*level) {
		uint64_t used = timers->used[*level];
		int shift = *level * TIMERS_DIGIT;

		if (used == 0)
			continue;
		*slot = __builtin_ctzll(used);
		*begin = timers->now >> shift >> TIMERS_DIGIT << TIMERS_DIGIT << shift;
		*begin |= (uint64_t)*slot << shift;
		return true;
	}
	return false;
}

static uint64_t nearest(const struct list *slot, uint64_t begin, uint64_t last)
{
	uint64_t nearest = UINT64_MAX;
	int looked_at = 0;

	list_each (node, slot) {
		const struct timer *timer = container_of(node, struct timer, link);

		if (++looked_at > EXACT_LIMIT)
			return begin + last;
		if (timer->tick < nearest)
			nearest = timer->tick;
	}
	return nearest;
}

int64_t timers_next(const struct timers *timers)
{
	int level, slot;
	uint64_t begin;

	if (!list_empty(&timers->due))
		return 0;
	if (!first_slot(timers, &level, &slot, &begin))
		return INT64_MAX;
	/* Where deadlines are dense, one wake-up a level's width (65 us) serves them all. */
	if (level == 0 && __builtin_popcountll(timers->used[0]) > DENSE)
		begin += (uint64_t)(63 - __builtin_clzll(timers->used[0]) - slot);
	else if (level > 0)
		begin = nearest(&timers->slots[level][slot], begin, level == 1 ? TIMERS_SLOTS - 1 : 0);
	return begin > INT64_MAX >> TIMERS_TICK_SHIFT ? INT64_MAX : (int64_t)(begin << TIMERS_TICK_SHIFT);
}

static void fire_due(struct timers *timers)
{
	struct list *node;

	while ((node = list_pop(&timers->due))) { /* ends: `now` stands still, and who fires adds for later */
		struct timer *timer = container_of(node, struct timer, link);

		timers->count--;
		timer->fire(timer);
	}
}

void timers_advance(struct timers *timers, int64_t now)
{
	uint64_t tick = (uint64_t)now >> TIMERS_TICK_SHIFT;
	int level, slot;
	uint64_t begin;

	fire_due(timers);
	while (first_slot(timers, &level, &slot, &begin) && begin <= tick) {
		struct list *list = &timers->slots[level][slot], *node = list->next;

		timers->now = begin;
		timers->used[level] &= ~(UINT64_C(1) << slot);
		list_init(list);
		while (node != list) { /* ends: none comes back into this slot */
			struct list *next = node->next;

			cpu_prefetch(next);
			place(timers, container_of(node, struct timer, link));
			node = next;
		}
		fire_due(timers);
	}
	if (tick > timers->now)
		timers->now = tick;
}
