#include "machine/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int futex_wait(uint32_t *word, uint32_t value, int64_t deadline)
{
	int64_t instant = deadline > 0 ? deadline : 0;
	struct timespec at = { .tv_sec = instant / 1000000000, .tv_nsec = instant % 1000000000 };
	/* Of the two ways to wait this one takes an instant. */
	long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, deadline == INT64_MAX ? NULL : &at, NULL,
	                 FUTEX_BITSET_MATCH_ANY);

	return r < 0 ? -errno : 0;
}

void futex_wake_all(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
