/* cpu - what depends on the processor beside the context switch. */
#ifndef TORC_SRC_CPU_H
#define TORC_SRC_CPU_H

#include <stddef.h>

enum { CACHE_LINE = 64 };

/* Ask for a line early; a wrong address does no harm. */
static inline void cpu_prefetch(const void *line)
{
	__builtin_prefetch(line, 1, 3);
}

/* In a loop that waits for another core. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__asm__ volatile("pause");
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

size_t cpu_page_size(void);

#endif
