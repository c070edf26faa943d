/* spsc - a ring of pointers between two threads: one pushes, one pops. Relies on nothing. A place that is NULL is free, so
 * neither side reads the other's index, and an item costs the transfer of one cache line. (FastForward: Giacomoni, Moseley
 * & Vachharajani, 2008.) Whether a place is free is asked for a line of them at a time, of its last one, for they become
 * free in order: a line that is to be written need not be fetched twice, to be looked at before. So a few places may stay
 * unused in a ring that says it is full. */
#ifndef TORC_SRC_SPSC_H
#define TORC_SRC_SPSC_H

#include "base/panic.h"

enum { SPSC_ROOM = 256, SPSC_LINE = 64 / sizeof(void *) }; /* powers of two */

struct spsc {
	_Alignas(64) unsigned tail; /* the pusher's */
	_Alignas(64) unsigned head; /* the popper's */
	_Alignas(64) void *items[SPSC_ROOM];
};

/* False: full. */
static inline bool spsc_push(struct spsc *ring, void *item)
{
	void **place = &ring->items[ring->tail % SPSC_ROOM];

	if (unlikely(ring->tail % SPSC_LINE == 0) && unlikely(__atomic_load_n(place + SPSC_LINE - 1, __ATOMIC_ACQUIRE)))
		return false;
	__atomic_store_n(place, item, __ATOMIC_RELEASE);
	ring->tail++;
	return true;
}

/* NULL: empty. */
static inline void *spsc_pop(struct spsc *ring)
{
	void **place = &ring->items[ring->head % SPSC_ROOM];
	void *item = __atomic_load_n(place, __ATOMIC_ACQUIRE);

	if (!item)
		return NULL;
	__atomic_store_n(place, NULL, __ATOMIC_RELEASE);
	ring->head++;
	return item;
}

#endif
