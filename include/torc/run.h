/* run.h - an executor on the calling thread: the fibers of one core, and the ring that they wait on. */
#ifndef TORC_RUN_H
#define TORC_RUN_H

#include <torc/base.h>
#include <torc/time.h>
#include <torc/watchdog.h>

TORC_BEGIN

struct torc_run_options {
	size_t size;           /* TORC_OPTIONS fills it in                                                      */
	const char *name;      /* in diagnoses; kept, not copied; default "torc"                                */
	unsigned ring_entries; /* submission queue entries, a power of two, 8 to 32,768; default 512. The completion
	                          queue has 128 times as many, 65,536 at most, and 15/16 of that is how many operations
	                          can be in flight: what is beyond waits its turn                               */
	torc_ns spin;      /* with nothing to do, look for work so long before sleeping: waking a core that sleeps takes
	                          tens of microseconds, one that looks less than one, at the price of a busy CPU; default 0 */
	size_t stack_size; /* bytes of stack per fiber, 16 KiB to 1 GiB; default 64 KiB. The last 4 KiB are part of its
	                          guard, which goes on for at least 12 KiB below it: a frame of up to 16 KiB that does
	                          not fit is noticed. Memory is used only as far as a stack is                  */
	unsigned blocking_threads; /* how many threads may serve torc_blocking (blocking.h), at most 1,024; default 4 */
	torc_ns stall_limit; /* a fiber that runs for longer without a parking call is reported (watchdog.h); at least
	                          1 ms; default 0: only where its queue says so                                 */
	torc_stall_fn *on_stall; /* what is to become of a report; NULL: lines on stderr                        */
	void *on_stall_arg;
};

/* Run fn(arg) as the first fiber of a new executor on this thread, and return what it returns once it and all that
 * it spawned have ended. May be called again afterwards, and on other threads at the same time.
 * Also returns: -EBUSY inside a run on the same thread; -EINVAL for an option out of range; -ENOMEM; -EMFILE,
 * -ENFILE; and where the kernel refuses io_uring its error (-ENOSYS, -EPERM, -EACCES, -ENOMEM), after a line on stderr that
 * says cause and cure.
 * Panics when every fiber is parked and nothing is under way that could wake one. The first run of a process installs
 * handlers of SIGSEGV and SIGBUS, which stay, as the library does after a dlclose(3): they explain a stack overflow and
 * pass everything on. */
TORC_API int torc_run(const struct torc_run_options *options, torc_fn *fn, void *arg) TORC_ANYWHERE TORC_MUST;

/* What an executor has done since it began, and what it has now. */
struct torc_stats {
	size_t size;                /* set it to sizeof this struct before the call                */
	uint64_t turns;             /* visits to the reactor                                       */
	uint64_t enters;            /* io_uring_enter(2) calls                                     */
	uint64_t submissions;       /* SQEs given to the kernel, cancellations among them          */
	uint64_t completions;       /* CQEs taken                                                  */
	uint64_t cancellations;     /* cancel requests among the submissions                       */
	uint64_t spawned;           /* fibers begun                                                */
	uint64_t fibers;            /* fibers alive now                                            */
	uint64_t in_flight;         /* operations that the kernel holds now                        */
	uint64_t waiting_for_room;  /* operations that wait for room in the ring now               */
	uint64_t timers;            /* sleeps and deadlines pending now                            */
	uint64_t stack_bytes;       /* address space that stacks take                              */
	uint64_t buffer_bytes;      /* memory that buffers (buffer.h) take, in use or not          */
	uint64_t buffer_registered; /* and how much of it the ring knows                           */
};

/* Fill in as much of *stats as its size says and this version knows, for the executor of this thread; another
 * thread asks through a remote (cores.h). Returns 0; -EINVAL if the size is none. */
TORC_API int torc_stats_get(struct torc_stats *stats) TORC_LOCAL;

TORC_END
#endif
