/* copy - items whose size is known at run time only, and is mostly one of a few. Relies on nothing. */
#ifndef TORC_SRC_COPY_H
#define TORC_SRC_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* False: the size is none of the usual ones, and nothing was copied. */
static inline bool copy_usual(void *to, const void *from, size_t size)
{
	if (__builtin_expect(size == 8, 1)) {
		memcpy(to, from, 8);
		return true;
	}
	switch (size) {
	case 4:
		memcpy(to, from, 4);
		return true;
	case 16:
		memcpy(to, from, 16);
		return true;
	case 32:
		memcpy(to, from, 32);
		return true;
	case 64:
		memcpy(to, from, 64);
		return true;
	default:
		return false;
	}
}

static inline void copy_item(void *to, const void *from, size_t size)
{
	if (!copy_usual(to, from, size))
		memcpy(to, from, size);
}

#endif
