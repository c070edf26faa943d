/* pages - address space, and memory in it. Relies on nothing. Keeps: what is reserved costs nothing until committed. */
#ifndef TORC_SRC_PAGES_H
#define TORC_SRC_PAGES_H

#include <stdbool.h>
#include <stddef.h>

enum { PAGES_HUGE = 2 << 20 };

/* Address space, aligned to PAGES_HUGE: *size bytes or, where the system gives less, a half, a quarter ... of it, down to
 * `least`, *size then saying what. NULL: not even that. */
char *pages_reserve(size_t *size, size_t least);
void pages_release(char *memory, size_t size);

/* Make reserved pages memory, zeroed; in huge pages if the system likes. 0, -ENOMEM. */
int pages_commit(char *memory, size_t size);

/* And back: the contents are gone. */
void pages_decommit(char *memory, size_t size);

#endif
