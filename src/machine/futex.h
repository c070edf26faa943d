/* futex - sleep until a word in memory changes, and wake those that do; between threads of one process. futex(2) */
#ifndef TORC_SRC_FUTEX_H
#define TORC_SRC_FUTEX_H

#include <stdint.h>

/* Sleep if *word is `value`, until woken, or until `deadline` (CLOCK_MONOTONIC, INT64_MAX: none), or for no reason.
 * 0; -EAGAIN: it is not; -ETIMEDOUT; -EINTR. */
int futex_wait(uint32_t *word, uint32_t value, int64_t deadline);

/* All that sleep on it, fibers through a ring as well. The word itself is not looked at. */
void futex_wake_all(uint32_t *word);

#endif
