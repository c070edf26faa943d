/* heap - a binary min-heap of pointers in a fixed array, ordered by a signed difference of 64-bit keys, so that keys may
 * wrap around. Relies on nothing. Each element knows its place, so any can be taken out. */
#ifndef TORC_SRC_HEAP_H
#define TORC_SRC_HEAP_H

#include "base/panic.h"

struct heap_node {
	uint64_t key;
	unsigned place; /* 1-based; 0: in no heap */
};

struct heap {
	struct heap_node **nodes; /* [1 .. count] */
	unsigned count, room;
};

static inline bool heap_before(const struct heap_node *a, const struct heap_node *b)
{
	return (int64_t)(a->key - b->key) < 0;
}

/* Room for `room` nodes altogether; 0 or -ENOMEM, which changes nothing. */
int heap_reserve(struct heap *heap, unsigned room);
void heap_free(struct heap *heap);

/* There must be room. */
void heap_insert(struct heap *heap, struct heap_node *node);
void heap_remove(struct heap *heap, struct heap_node *node);

static inline struct heap_node *heap_first(const struct heap *heap)
{
	return heap->count > 0 ? heap->nodes[1] : NULL;
}

#endif
