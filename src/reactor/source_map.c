#include "reactor/source_map.h"

#include <errno.h>
#include <stdlib.h>

int source_map_open(struct source_map *map, uint32_t size)
{
	*map = (struct source_map){ .free = UINT32_MAX };
	return source_map_grow(map, size);
}

void source_map_close(struct source_map *map)
{
	free(map->slots);
	map->slots = NULL;
}

int source_map_grow(struct source_map *map, uint32_t size)
{
	/* Not zeroed: memory that was never used is never touched. */
	struct source_slot *slots = realloc(map->slots, size * sizeof *slots);

	if (!slots)
		return -ENOMEM;
	map->slots = slots;
	map->size = size;
	return 0;
}
