/* shared_event.h - an event between threads: fibers of any core, and plain threads, set it and wait for it. The event of
 * one core, which costs less, is in sync.h. */
#ifndef TORC_SHARED_EVENT_H
#define TORC_SHARED_EVENT_H

#include <torc/base.h>
#include <torc/time.h>

TORC_BEGIN

/* Set or not; not, when zeroed. It needs no end, and may be forgotten or freed as soon as nobody is in a wait any more, nor
 * about to be: of those that the very call that set it let go, the last to return may do so. It works between the threads
 * of one process. */
struct torc_shared_event {
	uint32_t word_;
	uint32_t reserved_;
	void *listed_;
};

/* Set it, until it is reset. All that wait are let go, even if it is reset before they run, and see what the caller did
 * before. Never blocks for long; a system call only if somebody waits. Not in signal handlers: it may take a lock. */
TORC_API void torc_shared_event_set(struct torc_shared_event *event) TORC_ANYWHERE;
TORC_API void torc_shared_event_reset(struct torc_shared_event *event) TORC_ANYWHERE;
TORC_API bool torc_shared_event_is_set(const struct torc_shared_event *event) TORC_ANYWHERE;

/* Wait in a fiber until it is set; parks unless it is, and yields then from time to time, as torc_yield_if_needed() does
 * (queue.h). Returns 0; -ECANCELED, -ETIME; -ENOMEM; and where the kernel has no futex requests (before Linux 6.7), so that
 * each wait takes a descriptor, -EMFILE, -ENFILE. eventfd(2) */
TORC_API int torc_shared_event_wait(struct torc_shared_event *event) TORC_PARKS TORC_MUST;

/* Wait on a thread that is no executor: block it until the event is set, or until `deadline` (INT64_MAX: none).
 * 0, -ETIME. On an executor's thread it would stop the core, which is a panic. futex(2) */
TORC_API int torc_shared_event_block(struct torc_shared_event *event, torc_ns deadline) TORC_ANYWHERE TORC_MUST;

TORC_END
#endif
