/* watchdog.h - fibers that run for too long without a parking call are reported, with where they are.
 *
 * Scheduling is cooperative: while one fiber computes, or blocks in a system call of its own, all others of its core
 * wait, timers and I/O among them. Where .stall_limit is set (torc_run_options, torc_queue_options) a thread beside the
 * executors, one for all of the process, looks at each of them four times per limit. A fiber that has been running for
 * longer than the limit of its queue is reported, once, and again each time that the span has doubled. It is never cut
 * short. What is parked is never reported, nor is an executor that has nothing to do. The span is time by the clock: on
 * a machine with more threads than CPUs it includes what the kernel gave to others; not, though, that in which the whole
 * process stood still.
 *
 * To learn where the fiber is, the watchdog sends its thread the signal SIGURG, the handler of which notes the call
 * stack; a system call that the fiber blocks in is restarted, or ends with EINTR if it is one of those that never are
 * (signal(7)). The handler is there only while an executor is watched; SIGURG from elsewhere goes on to the handler that
 * was there before. Nothing is sent to a thread that does not stall.
 *
 * An executor that is watched costs its fibers nothing, and a CPU some microseconds per look. */
#ifndef TORC_WATCHDOG_H
#define TORC_WATCHDOG_H

#include <torc/base.h>
#include <torc/time.h>

TORC_BEGIN

struct torc_stall {
	size_t size;          /* of this struct                                                          */
	const char *executor; /* .name of the run                                                        */
	const char *queue;    /* .name of the fiber's queue                                              */
	const char *fiber;    /* "function at file:line" of where it was spawned, after its name if it has one */
	unsigned core;        /* torc_core() there                                                       */
	torc_ns span;         /* for how long it has been running, at least                              */
	torc_ns limit;        /* how long it may                                                         */
	void *const *frames;  /* return addresses, the innermost first, for backtrace_symbols(3)          */
	unsigned frame_count; /* 0: the thread did not answer in 100 ms, as in a system call that takes no signal */
};

/* Called on the watchdog's thread, for one stall at a time; all that *stall points to is gone afterwards. May call what
 * is TORC_ANYWHERE. Until it returns nobody is looked at, and the run that it tells of does not end: so it must not wait for
 * that. */
typedef void torc_stall_fn(const struct torc_stall *stall, void *arg);

/* What happens to a report by default: a line on stderr, and one for each frame, with names as far as the dynamic
 * linker knows them (link with -rdynamic). For a torc_stall_fn that wants that besides. */
TORC_API void torc_stall_print(const struct torc_stall *stall) TORC_ANYWHERE;

TORC_END
#endif
