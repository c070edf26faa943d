#include "io/buffer.h"

#include "base/options.h"
#include "machine/pages.h"
#include "machine/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const size_t reserve_most = (size_t)1 << 36, reserve_least = (size_t)16 << 20;
static const size_t growth_most = (size_t)32 << 20, registered_most = (size_t)1 << 30;
static const size_t idle_most = (size_t)64 << 20;
enum { WORD = 64 };

static struct buffer_arena *make_arena(void)
{
	size_t size = reserve_most;
	char *base = pages_reserve(&size, reserve_least);
	struct buffer_arena *arena;

	if (!base)
		return NULL;
	arena = calloc(1, sizeof *arena + (size >> BUFFER_UNIT_SHIFT) * sizeof *arena->units);
	if (!arena) {
		pages_release(base, size);
		return NULL;
	}
	arena->base = base;
	arena->reserved = size;
	return arena;
}

/* --- chunks ---------------------------------------------------------------------------------- */

/* The first page from `page` on that is used, or is not; chunk->pages: none. */
static uint32_t find_page(const struct buffer_chunk *chunk, uint32_t page, bool used)
{
	while (page < chunk->pages) {
		uint64_t word = (used ? chunk->used[page / WORD] : ~chunk->used[page / WORD]) >> page % WORD;

		if (word) {
			page += (uint32_t)__builtin_ctzll(word);
			break;
		}
		page = (page / WORD + 1) * WORD;
	}
	return page < chunk->pages ? page : chunk->pages;
}

static void mark_pages(struct buffer_chunk *chunk, uint32_t page, uint32_t count, bool used)
{
	for (uint32_t end = page + count; page < end;) {
		uint32_t in_word = WORD - page % WORD < end - page ? WORD - page % WORD : end - page;
		uint64_t bits = (in_word == WORD ? ~UINT64_C(0) : (UINT64_C(1) << in_word) - 1) << page % WORD;

		if (used)
			chunk->used[page / WORD] |= bits;
		else
			chunk->used[page / WORD] &= ~bits;
		page += in_word;
	}
	chunk->free += used ? -count : count;
}

/* `count` pages in a row, beginning at a multiple of `align` pages; first fit. -1: there are none. */
static int64_t find_run(const struct buffer_chunk *chunk, uint32_t count, uint32_t align)
{
	uint32_t page = 0;

	if (!chunk->committed || chunk->free < count)
		return -1;
	for (;;) { /* ends: page grows */
		uint32_t end;

		page = (find_page(chunk, page, false) + align - 1) & ~(align - 1);
		if (page >= chunk->pages || chunk->pages - page < count)
			return -1;
		end = find_page(chunk, page, true);
		if (end - page >= count && end > page)
			return page;
		page = end + (end == page);
	}
}

static void register_chunk(struct executor *executor, struct buffer_arena *arena, struct buffer_chunk *chunk)
{
	unsigned slot = (unsigned)(chunk - arena->chunks);
	size_t size = chunk->end - chunk->from;

	if (size > registered_most ||
	    uring_register_buffer(&executor->reactor.ring.uring, slot, arena->base + chunk->from, size) < 0)
		return;
	chunk->slot = (int)slot;
	arena->registered += size;
}

static void unregister_chunk(struct executor *executor, struct buffer_arena *arena, struct buffer_chunk *chunk)
{
	if (chunk->slot < 0)
		return;
	uring_register_buffer(&executor->reactor.ring.uring, (unsigned)chunk->slot, NULL, 0);
	chunk->slot = -1;
	arena->registered -= chunk->end - chunk->from;
	arena->refused = false;
}

/* Memory for a chunk that has its place. */
static int fill_chunk(struct executor *executor, struct buffer_arena *arena, struct buffer_chunk *chunk)
{
	size_t size = chunk->end - chunk->from;
	int r = pages_commit(arena->base + chunk->from, size);

	if (r < 0)
		return r;
	chunk->committed = true;
	arena->bytes += size;
	register_chunk(executor, arena, chunk);
	sanitize_memory_free(arena->base + chunk->from, size);
	return 0;
}

/* The last places go back to the address space as long as they are empty: a huge one would be in the way for ever. */
static void drop_last(struct buffer_arena *arena)
{
	while (arena->count > 0 && !arena->chunks[arena->count - 1].committed) {
		struct buffer_chunk *chunk = &arena->chunks[--arena->count];

		arena->unused = chunk->from;
		free(chunk->used);
		free(chunk->runs);
	}
}

static void empty_chunk(struct executor *executor, struct buffer_arena *arena, struct buffer_chunk *chunk)
{
	size_t size = chunk->end - chunk->from;

	unregister_chunk(executor, arena, chunk);
	sanitize_memory_taken(arena->base + chunk->from, size);
	pages_decommit(arena->base + chunk->from, size);
	chunk->committed = false;
	arena->bytes -= size;
	drop_last(arena);
}

/* A place behind the others, for `size` bytes. NULL: there is none, or no memory for its records. */
static struct buffer_chunk *add_chunk(struct buffer_arena *arena, size_t size)
{
	size_t align = size >= PAGES_HUGE ? PAGES_HUGE : BUFFER_UNIT;
	size_t from = (arena->unused + align - 1) & ~(align - 1);
	uint32_t pages = (uint32_t)(size / BUFFER_PAGE);
	struct buffer_chunk chunk = { .from = from, .end = from + size, .slot = -1, .pages = pages, .free = pages };

	if (arena->count == BUFFER_CHUNKS || from > arena->reserved || size > arena->reserved - from)
		return NULL;
	chunk.used = calloc(pages / WORD, sizeof *chunk.used);
	chunk.runs = calloc(pages, sizeof *chunk.runs);
	if (!chunk.used || !chunk.runs) {
		free(chunk.used);
		free(chunk.runs);
		return NULL;
	}
	for (size_t at = arena->unused; at < chunk.end; at += BUFFER_UNIT) /* and the gap before it */
		arena->units[at >> BUFFER_UNIT_SHIFT] = (uint16_t)arena->count;
	arena->unused = chunk.end;
	arena->chunks[arena->count] = chunk;
	return &arena->chunks[arena->count++];
}

/* A chunk that had memory once, and is of a size that fits. */
static struct buffer_chunk *find_empty(struct buffer_arena *arena, size_t need, size_t size)
{
	for (unsigned i = 0; i < arena->count; i++) {
		struct buffer_chunk *chunk = &arena->chunks[i];
		size_t has = chunk->end - chunk->from;

		if (!chunk->committed && has >= need && has <= 2 * size)
			return chunk;
	}
	return NULL;
}

/* Another chunk, with room for `need` bytes at least; as large as all the others together, within bounds. */
static struct buffer_chunk *grow(struct executor *executor, struct buffer_arena *arena, size_t need)
{
	size_t size = arena->bytes < growth_most ? arena->bytes : growth_most;
	size_t unregistered = arena->bytes - arena->registered;
	struct buffer_chunk *chunk;

	need = (need + BUFFER_UNIT - 1) & ~(size_t)(BUFFER_UNIT - 1);
	/* Once the limit of what may be pinned has been met, a small chunk may still fit; if none does, small ones would only
	 * use up the places. */
	if (size < need || (unregistered > 0 && !arena->refused))
		size = need;
	chunk = find_empty(arena, need, size);
	if (!chunk)
		chunk = add_chunk(arena, size);
	if (!chunk && size > need)
		chunk = add_chunk(arena, need);
	if (!chunk)
		return NULL;
	if (fill_chunk(executor, arena, chunk) < 0) {
		drop_last(arena);
		return NULL;
	}
	if (chunk->slot < 0 && chunk->end - chunk->from <= need)
		arena->refused = true;
	return chunk;
}

/* --- buffers --------------------------------------------------------------------------------- */

static void take(struct torc_buffer *buffer, struct buffer_arena *arena, struct buffer_chunk *chunk, uint32_t page,
                 uint32_t pages, size_t size)
{
	char *memory = arena->base + chunk->from + (size_t)page * BUFFER_PAGE;

	mark_pages(chunk, page, pages, true);
	chunk->runs[page] = (struct buffer_run){ pages, 1 };
	arena->recent = (unsigned)(chunk - arena->chunks);
	arena->held += (size_t)pages * BUFFER_PAGE;
	sanitize_memory_taken(memory, size);
	*buffer = (struct torc_buffer){ .data = memory, .size = size, .origin_ = memory };
}

/* Look in the chunk that had some last, then in all. */
static bool take_somewhere(struct torc_buffer *buffer, struct buffer_arena *arena, size_t size, uint32_t pages,
                           uint32_t align)
{
	for (unsigned i = 0; i < arena->count; i++) {
		struct buffer_chunk *chunk = &arena->chunks[(arena->recent + i) % arena->count];
		int64_t page = find_run(chunk, pages, align);

		if (page >= 0) {
			take(buffer, arena, chunk, (uint32_t)page, pages, size);
			return true;
		}
	}
	return false;
}

int torc_buffer_open_with(struct torc_buffer *buffer, size_t size, const struct torc_buffer_options *options)
{
	struct executor *executor = executor_self;
	struct torc_buffer_options whole;
	struct buffer_chunk *chunk;
	uint32_t pages;
	size_t align;

	MISUSE(!executor, "called outside torc_run");
	options = OPTIONS(options, whole);
	align = options->align ? options->align : BUFFER_PAGE;
	if (size == 0 || align < BUFFER_PAGE || align > BUFFER_UNIT || (align & (align - 1)) != 0)
		return -EINVAL;
	if (size > reserve_most)
		return -ENOMEM;
	if (!executor->buffers)
		executor->buffers = make_arena();
	if (!executor->buffers)
		return -ENOMEM;
	pages = (uint32_t)((size + BUFFER_PAGE - 1) / BUFFER_PAGE);
	if (take_somewhere(buffer, executor->buffers, size, pages, (uint32_t)(align / BUFFER_PAGE)))
		return 0;
	chunk = grow(executor, executor->buffers, size);
	if (!chunk)
		return -ENOMEM;
	take(buffer, executor->buffers, chunk, 0, pages, size);
	return 0;
}

struct torc_buffer torc_buffer_slice(const struct torc_buffer *buffer, size_t from, size_t len)
{
	struct torc_buffer slice = *buffer;

	MISUSE(from > buffer->size || len > buffer->size - from, "the slice reaches beyond the buffer");
	slice.data = (char *)buffer->data + from;
	slice.size = len;
	slice.borrowed_ = 1;
	return slice;
}

/* The record of what a handle holds. */
static struct buffer_run *run_of(const struct torc_buffer *buffer, struct buffer_chunk **chunk, const char *function)
{
	struct buffer_arena *arena = executor_self ? executor_self->buffers : NULL;
	size_t at = arena ? (size_t)((const char *)buffer->origin_ - arena->base) : 0;
	struct buffer_run *run;

	if (!arena || at >= arena->unused)
		panic(function, "the buffer belongs to another core, or to a run that is over");
	*chunk = &arena->chunks[arena->units[at >> BUFFER_UNIT_SHIFT]];
	run = &(*chunk)->runs[(at - (*chunk)->from) / BUFFER_PAGE];
	if (run->holds == 0)
		panic(function, "the buffer was closed already");
	return run;
}

struct torc_buffer torc_buffer_share(const struct torc_buffer *buffer)
{
	struct torc_buffer shared = *buffer;
	struct buffer_chunk *chunk;

	run_of(buffer, &chunk, __func__)->holds++;
	shared.borrowed_ = 0;
	return shared;
}

void torc_buffer_close(struct torc_buffer *buffer)
{
	struct executor *executor = executor_self;
	struct torc_buffer old = *buffer;
	struct buffer_chunk *chunk;
	struct buffer_run *run;

	*buffer = (struct torc_buffer){ 0 };
	if (!old.origin_ || old.borrowed_)
		return;
	run = run_of(&old, &chunk, __func__);
	if (--run->holds > 0)
		return;
	sanitize_memory_free(old.origin_, (size_t)run->pages * BUFFER_PAGE);
	executor->buffers->held -= (size_t)run->pages * BUFFER_PAGE;
	mark_pages(chunk, (uint32_t)(run - chunk->runs), run->pages, false);
	/* Memory that nobody holds is kept up to a limit, so that who opens and closes in turn makes no system calls. */
	if (chunk->free == chunk->pages && executor->buffers->bytes - executor->buffers->held > idle_most)
		empty_chunk(executor, executor->buffers, chunk);
}

uint64_t buffer_bytes(const struct executor *executor, bool registered)
{
	const struct buffer_arena *arena = executor->buffers;

	return !arena ? 0 : registered ? arena->registered : arena->bytes;
}

void buffer_arena_close(struct executor *executor)
{
	struct buffer_arena *arena = executor->buffers;

	if (!arena)
		return;
	if (arena->held > 0)
		sys_complain("torc: buffers of %zu bytes were not closed before the end of torc_run; they are gone now",
		             arena->held);
	for (unsigned i = 0; i < arena->count; i++) {
		struct buffer_chunk *chunk = &arena->chunks[i];

		unregister_chunk(executor, arena, chunk);
		sanitize_memory_taken(arena->base + chunk->from, chunk->end - chunk->from);
		free(chunk->used);
		free(chunk->runs);
	}
	pages_release(arena->base, arena->reserved);
	executor->buffers = NULL;
	free(arena);
}
