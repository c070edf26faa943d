#include "machine/pages.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

static char *reserve(size_t size)
{
	char *memory = mmap(NULL, size + PAGES_HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before;

	if (memory == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)memory & (PAGES_HUGE - 1);
	if (before > 0)
		munmap(memory, before);
	munmap(memory + before + size, PAGES_HUGE - before);
	return memory + before;
}

char *pages_reserve(size_t *size, size_t least)
{
	for (size_t want = *size; want >= least; want /= 2) {
		char *memory = reserve(want);

		if (memory) {
			*size = want;
			return memory;
		}
	}
	return NULL;
}

void pages_release(char *memory, size_t size)
{
	munmap(memory, size);
}

int pages_commit(char *memory, size_t size)
{
	if (mprotect(memory, size, PROT_READ | PROT_WRITE) < 0)
		return -ENOMEM;
	if (size >= PAGES_HUGE)
		madvise(memory, size, MADV_HUGEPAGE);
	return 0;
}

void pages_decommit(char *memory, size_t size)
{
	/* A new mapping rather than advice: it also takes back what was promised, where the system counts that. */
	if (mmap(memory, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		madvise(memory, size, MADV_DONTNEED);
}
