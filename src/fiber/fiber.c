#include "fiber/fiber.h"

/* By hand: this runs in signal handlers too. */
static size_t append(char *text, size_t size, size_t len, const char *more)
{
	for (; *more && len + 1 < size; more++)
		text[len++] = *more;
	text[len] = 0;
	return len;
}

void fiber_describe(const struct fiber *fiber, char *text, size_t size)
{
	size_t len = 0;

	if (fiber->name != fiber->from) {
		len = append(text, size, len, fiber->name);
		len = append(text, size, len, " (");
	}
	len = append(text, size, len, fiber->from);
	if (fiber->name != fiber->from)
		append(text, size, len, ")");
}
