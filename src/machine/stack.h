/* stack - the stacks of one executor: address space mapped in few large chunks and cut into equal slots, each with a
 * guard at its low end. Relies on mmap and, where the kernel has it, MADV_GUARD_INSTALL, which needs no mapping per
 * guard; mprotect elsewhere. Keeps: a slot is in use or on the free list; memory stays lent to slots that are warm. */
#ifndef TORC_SRC_STACK_H
#define TORC_SRC_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	STACK_CHUNKS_MAX = 32, /* each as large as all before, and some more */
	STACK_WARM = 256,      /* free slots that keep their memory     */
};

struct stack_chunk {
	char *memory;
	size_t slots;
};

struct stack_pool {
	char **free; /* LIFO: [0, cold) hold no memory, [cold, free_count) may */
	size_t free_count;
	size_t cold;
	size_t cut;        /* slots of the newest chunk that were ever handed out    */
	size_t stack_size; /* as asked for */
	size_t slot_size;  /* guard included */
	size_t stride;     /* from slot to slot */
	size_t guard_size;
	size_t total; /* slots mapped   */
	struct stack_chunk chunks[STACK_CHUNKS_MAX];
	unsigned chunk_count;
	bool madvise_guards;
};

/* A stack is as large as asked for, less 4 KiB. */
void stack_pool_open(struct stack_pool *pool, size_t stack_size);
void stack_pool_close(struct stack_pool *pool);

/* A slot from a chunk not yet cut up; maps another chunk if needed. NULL: no memory. */
char *stack_cut(struct stack_pool *pool);

/* The low end of a slot, guard included; NULL: no memory. */
static inline char *stack_take(struct stack_pool *pool)
{
	if (pool->free_count == 0)
		return stack_cut(pool);
	if (--pool->free_count < pool->cold)
		pool->cold = pool->free_count;
	return pool->free[pool->free_count];
}

/* Never fails: the list has room for every slot there is. */
static inline void stack_give(struct stack_pool *pool, char *slot)
{
	pool->free[pool->free_count++] = slot;
}

/* Give memory of at most `most` free slots beyond the warm ones back to the kernel. True if more remains. */
bool stack_trim(struct stack_pool *pool, unsigned most);

/* The slot that an address lies in, or NULL. Safe in a signal handler. */
char *stack_find(const struct stack_pool *pool, const void *address);

/* Tries whether guards need no mapping of their own. */
bool stack_guards_probe(void);

#endif
