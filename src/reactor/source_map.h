/* source_map - unique id <-> Source. The id is the SQE's user_data: slot in the low half, the slot's generation in the
 * high one (31 bits), never a pointer; so a look-up is one load, and an answer to something that is over is recognised and
 * dropped. What is in the map is what the kernel holds. Relies on nothing. Keeps: an id is never 0. */
#ifndef TORC_SRC_SOURCE_MAP_H
#define TORC_SRC_SOURCE_MAP_H

#include "reactor/source.h"

struct source_slot {
	struct inner_source *source; /* NULL: free */
	uint32_t generation;         /* of the next or present use */
	uint32_t next_free;
};

struct source_map {
	struct source_slot *slots;
	uint32_t size;
	uint32_t free;   /* last in, first out: few slots stay in the cache; `size`: none */
	uint32_t unused; /* slots from here on were never used */
	uint32_t count;
};

int source_map_open(struct source_map *map, uint32_t size);
void source_map_close(struct source_map *map);

/* Room for more; ids stay as they are. -ENOMEM changes nothing. */
int source_map_grow(struct source_map *map, uint32_t size);

/* The map must not be full. */
static inline uint64_t source_map_add(struct source_map *map, struct inner_source *source)
{
	uint32_t slot = map->free;
	struct source_slot *entry;

	if (slot == UINT32_MAX) {
		slot = map->unused++;
		entry = &map->slots[slot];
		entry->generation = 1;
	} else {
		entry = &map->slots[slot];
		map->free = entry->next_free;
	}
	entry->source = source;
	map->count++;
	return (uint64_t)entry->generation << 32 | slot;
}

/* NULL for an id that is over. */
static inline struct inner_source *source_map_get(const struct source_map *map, uint64_t id)
{
	uint32_t slot = (uint32_t)id;

	if (slot >= map->unused || map->slots[slot].generation != id >> 32)
		return NULL;
	return map->slots[slot].source;
}

static inline void source_map_remove(struct source_map *map, uint64_t id)
{
	uint32_t slot = (uint32_t)id;
	struct source_slot *entry = &map->slots[slot];

	entry->source = NULL;
	if (++entry->generation > INT32_MAX)
		entry->generation = 1;
	entry->next_free = map->free;
	map->free = slot;
	map->count--;
}

#endif
