/* signal.h - signals as events: a fiber waits for them as it waits for anything else, and no code runs in a handler.
 *
 *     struct torc_signals stop TORC_CLEANUP(torc_signals_close) = { 0 };
 *
 *     if ((r = torc_signals_open(&stop, SIGINT, SIGTERM)) < 0 || (r = torc_signals_next(&stop, NULL)) < 0)
 *             return r;
 *     torc_scope_cancel(everything);
 *
 * A set counts its signals from open on, whether somebody waits or not: none is lost between two waits. As ever, the
 * kernel itself merges signals below SIGRTMIN that are sent again before they are delivered (signal(7)); for those from
 * SIGRTMIN up the count is exact. Sets are independent: a signal reaches each set that has it, on whichever core that is.
 *
 * Underneath is a handler (SA_RESTART) of the process. So a signal must be unblocked in some thread: executors that
 * torc_cores_run starts block all signals, and the thread that called it takes them. */
#ifndef TORC_SIGNAL_H
#define TORC_SIGNAL_H

#include <torc/async.h>
#include <signal.h>

TORC_BEGIN

struct torc_signals {
	struct torc_async async;
	void *set_;
	void *reserved_[2];
};

/* Take hold of signals: from now on they do not do what they did (end the process, as a rule), but are counted.
 * torc_signals_open(&set, SIGHUP, SIGUSR1). Returns 0; -EINVAL for what is no signal, and for those that can't be waited
 * for: SIGKILL, SIGSTOP, and SIGSEGV, SIGBUS, SIGFPE, SIGILL; -EMFILE (also beyond 128 sets), -ENFILE, -ENOMEM.
 * The function form takes the list with a 0 at its end. */
#define torc_signals_open(signals, ...) torc_signals_open_list((signals), __VA_ARGS__, 0)
TORC_API int torc_signals_open_list(struct torc_signals *signals, int first, ...) TORC_ANYWHERE TORC_MUST;

/* Wait for the next signal of the set, and return its number. `times`, if not NULL, is how often it came since it was
 * last returned; a signal that comes in floods keeps neither the others waiting nor, for the call yields from time to
 * time, the core's other fibers. Of several fibers that wait on one set each signal wakes one. Also returns -EBADF (closed
 * meanwhile), -ECANCELED, -ETIME. */
TORC_API int torc_signals_next(struct torc_signals *signals, unsigned *times) TORC_PARKS TORC_MUST;

/* Let go. Fibers that wait are woken with -EBADF first. When the last set with a signal closes, the signal does again
 * what it did before; what came and nobody took is forgotten. Harmless on an empty set; never cancelled. */
TORC_API void torc_signals_close(struct torc_signals *signals) TORC_PARKS;

TORC_END
#endif
