#include "executor/local.h"

#include <torc/local.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LOCALS_AT_FIRST = 4 };

struct entry {
	const struct torc_local *local;
	void *value;
};

/* In the order in which they were set for the first time. */
struct locals {
	unsigned count, size;
	bool ending;
	struct entry entries[];
};

static struct entry *find(struct locals *locals, const struct torc_local *local)
{
	for (unsigned i = 0; locals && i < locals->count; i++)
		if (locals->entries[i].local == local)
			return &locals->entries[i];
	return NULL;
}

static void drop(struct locals *locals, struct entry *entry)
{
	size_t behind = (size_t)(locals->entries + locals->count - (entry + 1));

	memmove(entry, entry + 1, behind * sizeof *entry);
	locals->count--;
}

/* Room for one more. */
static struct locals *grow(struct locals *locals)
{
	unsigned count = locals ? locals->count : 0, size = locals ? 2 * locals->size : LOCALS_AT_FIRST;

	if (locals && count < locals->size)
		return locals;
	locals = realloc(locals, sizeof *locals + size * sizeof *locals->entries);
	if (!locals)
		return NULL;
	locals->count = count;
	locals->size = size;
	locals->ending = false;
	return locals;
}

void local_destroy(struct fiber *fiber)
{
	struct locals *locals = fiber->locals;

	fiber->name = fiber->from; /* what it was called may lie in the frame that is gone */
	locals->ending = true;
	while (locals->count > 0) { /* ends: none is added any more */
		struct entry last = locals->entries[--locals->count];

		if (last.local->destroy)
			last.local->destroy(last.value);
	}
	fiber->locals = NULL;
	free(locals);
}

void *torc_local_get(const struct torc_local *local)
{
	const struct entry *entry = find(executor_in_fiber(__func__)->running->locals, local);

	return entry ? entry->value : NULL;
}

int torc_local_set(const struct torc_local *local, void *value)
{
	struct fiber *fiber = executor_in_fiber(__func__)->running;
	struct entry *entry = find(fiber->locals, local);
	struct locals *locals;

	if (!value) {
		if (entry)
			drop(fiber->locals, entry);
		return 0;
	}
	if (fiber->locals && fiber->locals->ending)
		return -ESHUTDOWN;
	if (entry) {
		entry->value = value;
		return 0;
	}
	locals = grow(fiber->locals);
	if (!locals)
		return -ENOMEM;
	locals->entries[locals->count++] = (struct entry){ local, value };
	fiber->locals = locals;
	return 0;
}
