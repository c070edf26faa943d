/* sigwrite - a write that can't be is an error and not a signal: the thread holds SIGXFSZ back while it runs an executor
 * (a file beyond RLIMIT_FSIZE), and SIGPIPE where the kernel does not leave that out for each write (FEATURE_NOSIGNAL).
 * The child of a fork does not. Relies on feature, forked. */
#ifndef TORC_SRC_SIGWRITE_H
#define TORC_SRC_SIGWRITE_H

#include <stdbool.h>

enum { SIGWRITE_PIPE = 1 << 0, SIGWRITE_FILE_SIZE = 1 << 1 };

struct sigwrite {
	unsigned held, pending; /* held: by us. pending: it was so before */
};

void sigwrite_hold(struct sigwrite *sigwrite);

/* On the same thread. What came meanwhile was ours and is forgotten. */
void sigwrite_release(const struct sigwrite *sigwrite);

#endif
