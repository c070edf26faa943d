/* interrupt - have a function called on another thread in the midst of what it does, by a signal, and see what that is.
 * Relies on SIGURG, since its default is to be ignored: one that comes late harms nobody. Handlers that were there
 * before get what is not ours. */
#ifndef TORC_SRC_INTERRUPT_H
#define TORC_SRC_INTERRUPT_H

#include "machine/thread.h"

#include <signal.h>

/* In a signal handler: only what is async-signal-safe. */
typedef void interrupt_fn(const void *context);

/* Install the handler, and remove it again, if it is there. */
void interrupt_open(interrupt_fn *fn);
void interrupt_close(void);

/* The calling thread lets itself be interrupted, until it takes that back. */
void interrupt_admit(sigset_t *before);
void interrupt_refuse(const sigset_t *before);

/* Have fn called there, soon. It may be called less often than that, or for no reason. */
void interrupt_send(struct thread thread);

/* In fn: return addresses of what was interrupted, the innermost first. Returns how many. */
unsigned interrupt_backtrace(const void *context, void **frames, unsigned most);

/* Lines on stderr, with symbols. */
void interrupt_print(void *const *frames, unsigned count);

#endif
