#include "base/panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void panic(const char *function, const char *format, ...)
{
	char line[512];
	int len = snprintf(line, sizeof line, "torc: %.100s: ", function);
	va_list args;

	va_start(args, format);
	len += vsnprintf(line + len, sizeof line - (size_t)len, format, args);
	va_end(args);
	if (len > (int)sizeof line - 2)
		len = sizeof line - 2;
	line[len++] = '\n';

	/* Straight to the descriptor: stdio may be what is broken, or locked by this very thread. */
	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		abort();
	abort();
}
