/* options - what a caller hands over is as large as the header that it was compiled with knew it; later versions append
 * fields. So what a caller did not know is zero, which is the default. Relies on nothing. Keeps: what is returned can be
 * read to its end. */
#ifndef TORC_SRC_OPTIONS_H
#define TORC_SRC_OPTIONS_H

#include "base/panic.h"

#include <string.h>

static inline const void *options_whole(const void *given, void *whole, size_t size, const char *function)
{
	size_t known = given ? *(const size_t *)given : 0;

	if (likely(known == size))
		return given;
	if (given && (known < sizeof known || known > size))
		panic(function, "the options' .size is wrong; use TORC_OPTIONS");
	memset(whole, 0, size);
	if (given)
		memcpy(whole, given, known);
	*(size_t *)whole = size;
	return whole;
}

/* The options that were given, all of them: as they are, or completed in `whole`, a variable of their type. */
#define OPTIONS(given, whole) options_whole((given), &(whole), sizeof(whole), __func__)

#endif
