/* buffer - the arena of a core: pages for direct I/O, in chunks that are registered with the ring. All chunks lie in one
 * reserved piece of address space, so whether memory is a buffer's, and which chunk's, is a subtraction and two loads.
 * Relies on pages and uring. Keeps: a bit is set for each page that somebody holds; a chunk with a slot is in the ring's
 * table as long as it has memory. */
#ifndef TORC_SRC_BUFFER_H
#define TORC_SRC_BUFFER_H

#include "executor/executor.h"

#include <torc/buffer.h>

enum {
	BUFFER_PAGE = 4096,
	BUFFER_UNIT_SHIFT = 20, /* chunks are some units long, and begin on one */
	BUFFER_UNIT = 1 << BUFFER_UNIT_SHIFT,
	BUFFER_CHUNKS = URING_BUFFERS,
};

/* The memory that is held together, at its first page. */
struct buffer_run {
	uint32_t pages, holds;
};

struct buffer_chunk {
	size_t from, end; /* within the arena */
	int slot;         /* in the ring's table; -1: unregistered */
	bool committed;
	uint32_t pages, free;
	uint64_t *used;
	struct buffer_run *runs;
};

struct buffer_arena {
	char *base;
	size_t reserved, unused; /* address space; where nothing has been so far */
	struct buffer_chunk chunks[BUFFER_CHUNKS];
	unsigned count, recent;
	size_t bytes, registered, held;
	bool refused;     /* not even a small chunk could be registered, when that was last tried */
	uint16_t units[]; /* whose unit is it */
};

/* Where in the ring's table `len` bytes are to be found; -1: nowhere. */
static inline int buffer_slot(const struct executor *executor, const void *memory, size_t len)
{
	const struct buffer_arena *arena = executor->buffers;
	const struct buffer_chunk *chunk;
	size_t at;

	if (!arena)
		return -1;
	at = (size_t)((const char *)memory - arena->base);
	if (at >= arena->unused)
		return -1;
	chunk = &arena->chunks[arena->units[at >> BUFFER_UNIT_SHIFT]];
	return at >= chunk->from && len <= chunk->end - at ? chunk->slot : -1;
}

/* Memory of the chunks, or of those that are registered. */
uint64_t buffer_bytes(const struct executor *executor, bool registered);

/* After the loop: all of it goes, what is still held as well, which is said. */
void buffer_arena_close(struct executor *executor);

#endif
