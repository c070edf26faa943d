#include "machine/stack.h"

#include "base/panic.h"
#include "machine/cpu.h"
#include "machine/feature.h"
#include "machine/sanitize.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL /* Linux 6.13, madvise(2) */
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_POPULATE_READ /* Linux 5.14 */
#define MADV_POPULATE_READ 22
#endif

enum { PAGE_USUAL = 4096, GUARD_LEAST = 16 << 10, FIRST_CHUNK_SLOTS = 32, LARGEST_CHUNK_SLOTS = 1 << 20 };

static size_t in_pages(size_t size, size_t page)
{
	return (size + page - 1) / page * page;
}

void stack_pool_open(struct stack_pool *pool, size_t stack_size)
{
	size_t page = cpu_page_size();

	memset(pool, 0, sizeof *pool);
	pool->stack_size = stack_size;
	/* A frame that is larger than the guard may leap over it, into the stack below: PATH_MAX alone is a page. Of the
	 * guard one page of the usual size is at the cost of the stack. */
	pool->guard_size = in_pages(GUARD_LEAST, page);
	pool->slot_size = in_pages(stack_size - PAGE_USUAL, page) + pool->guard_size;
	/* An odd number of pages: with a power of two between them all stack tops compete for a few sets of the TLB. */
	pool->stride = pool->slot_size | page;
	pool->madvise_guards = feature_on(FEATURE_GUARD_INSTALL);
}

void stack_pool_close(struct stack_pool *pool)
{
	for (unsigned i = 0; i < pool->chunk_count; i++) {
		struct stack_chunk *chunk = &pool->chunks[i];

		/* Whoever gets this address space next must not inherit the marks of dead frames. */
		sanitize_stack_reuse(chunk->memory, chunk->slots * pool->stride);
		munmap(chunk->memory, chunk->slots * pool->stride);
	}
	free(pool->free);
	memset(pool, 0, sizeof *pool);
}

static bool map_chunk(struct stack_pool *pool, size_t slots)
{
	struct stack_chunk *chunk = &pool->chunks[pool->chunk_count];
	size_t size = slots * pool->stride;
	char **list = realloc(pool->free, (pool->total + slots) * sizeof *list);
	void *memory;

	if (!list)
		return false;
	pool->free = list;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1,
	              0);
	if (memory == MAP_FAILED)
		return false;
	/* A huge page would make every idle fiber's neighbour pay for its depth. */
	madvise(memory, size, MADV_NOHUGEPAGE);

	chunk->memory = memory;
	chunk->slots = slots;
	pool->chunk_count++;
	pool->total += slots;
	pool->cut = 0;
	return true;
}

static bool add_chunk(struct stack_pool *pool)
{
	/* Twice the last one, as long as each was. */
	size_t slots = pool->total + FIRST_CHUNK_SLOTS;

	if (pool->chunk_count == STACK_CHUNKS_MAX)
		return false;
	if (slots > LARGEST_CHUNK_SLOTS)
		slots = LARGEST_CHUNK_SLOTS;
	/* When address space is short a smaller chunk may still fit. */
	for (; slots > 0; slots /= 2)
		if (map_chunk(pool, slots))
			return true;
	return false;
}

static bool guard(struct stack_pool *pool, char *slot)
{
	if (pool->madvise_guards) {
		if (madvise(slot, pool->guard_size, MADV_GUARD_INSTALL) == 0)
			return true;
		/* Locked memory (mlockall) refuses it: mprotect does not. */
	}
	return mprotect(slot, pool->guard_size, PROT_NONE) == 0;
}

char *stack_cut(struct stack_pool *pool)
{
	struct stack_chunk *chunk;
	char *slot;

	if (pool->chunk_count == 0 || pool->cut == pool->chunks[pool->chunk_count - 1].slots)
		if (!add_chunk(pool))
			return NULL;
	chunk = &pool->chunks[pool->chunk_count - 1];
	slot = chunk->memory + pool->cut * pool->stride;
	if (!guard(pool, slot))
		return NULL;
	pool->cut++;
	sanitize_stack_register(slot + pool->guard_size, pool->slot_size - pool->guard_size);
	return slot;
}

bool stack_trim(struct stack_pool *pool, unsigned most)
{
	for (; pool->free_count - pool->cold > STACK_WARM && most > 0; most--) {
		char *slot = pool->free[pool->cold++];

		madvise(slot + pool->guard_size, pool->slot_size - pool->guard_size, MADV_DONTNEED);
	}
	return pool->free_count - pool->cold > STACK_WARM;
}

char *stack_find(const struct stack_pool *pool, const void *address)
{
	for (unsigned i = 0; i < pool->chunk_count; i++) {
		const struct stack_chunk *chunk = &pool->chunks[i];
		size_t at = (size_t)((uintptr_t)address - (uintptr_t)chunk->memory);

		if (at < chunk->slots * pool->stride)
			return chunk->memory + at / pool->stride * pool->stride;
	}
	return NULL;
}

bool stack_guards_probe(void)
{
	size_t page = cpu_page_size();
	void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool works;

	if (memory == MAP_FAILED)
		return false;
	/* An emulator may say 0 to what it does not know: a guard is one that cannot be populated. */
	works = madvise(memory, page, MADV_GUARD_INSTALL) == 0 && madvise(memory, page, MADV_POPULATE_READ) < 0;
	munmap(memory, page);
	return works;
}
