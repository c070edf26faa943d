/* signals - signals as events: a handler counts them and rings whoever waits; nothing else happens in it.
 *
 * Why not signalfd(2): it gives only what every thread of the process blocks, and the threads of a program and of its
 * libraries do not ask us. A handler runs on whichever thread the kernel chooses, and needs nobody's consent.
 *
 * Relies on eventfd(2), sigaction(2). Keeps: what a set has seen never exceeds what was counted; no handler writes to a
 * set's descriptor after signals_close; a signal has our handler as long as a set has it, and the one before afterwards. */
#ifndef TORC_SRC_SIGNALS_H
#define TORC_SRC_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

enum { SIGNALS = 65, SIGNAL_SETS = 128 };

struct signals {
	int fd;        /* an eventfd, readable when there may be something new */
	uint64_t mask; /* bit s - 1: signal s */
	unsigned slot, last, era;
	uint32_t seen[SIGNALS];
};

/* Add a signal to a mask. -EINVAL for one that can't be had: none, SIGKILL, SIGSTOP, and those that an instruction causes. */
int signals_add(uint64_t *mask, int signal);

/* Count what comes from now on. 0; -EINVAL for an empty mask, or a signal that libc keeps for itself; -EMFILE (also for
 * too many sets), -ENFILE. */
int signals_open(struct signals *set, uint64_t mask);

/* A signal of the set that came, and how many times since it was last taken; 0: none. On one thread at a time. */
int signals_take(struct signals *set, unsigned *times);
bool signals_any(const struct signals *set);

/* Make the descriptor readable, from any thread; wait until it is, blocking the thread. */
void signals_ring(const struct signals *set);
void signals_await(const struct signals *set);

/* The descriptor stays open: it is for the caller to close. */
void signals_close(struct signals *set);

/* Let the set's signals in on this thread; put the mask back. */
void signals_admit(const struct signals *set, sigset_t *before);
void signals_restore(const sigset_t *before);

#endif
