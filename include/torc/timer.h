/* timer.h - an instant that fibers wait for and others move meanwhile: an idle time-out is one that each message moves
 * away. (Where the work itself is to be cancelled there is no need of one: torc_scope_set_deadline, scope.h.) */
#ifndef TORC_TIMER_H
#define TORC_TIMER_H

#include <torc/base.h>
#include <torc/choose.h>
#include <torc/time.h>

TORC_BEGIN

/* Valid when zeroed: not set. Needs no clean-up. Belongs to the core whose fibers wait for it; not to be moved in memory
 * meanwhile. */
struct torc_timer {
	void *private_[4];
};

/* Set it, or move it, to an instant; 0: to none. One that has passed lets those who wait go on. Allocates nothing, and
 * costs next to nothing where it moves away. */
TORC_API void torc_timer_set(struct torc_timer *timer, torc_ns instant) TORC_LOCAL;

/* The instant that it is set to, past or future; 0: none. */
TORC_API torc_ns torc_timer_instant(const struct torc_timer *timer) TORC_LOCAL;

/* Park until the timer's instant has come, whatever it is moved to meanwhile, and for as long as it is not set; yield once
 * if it has come. Once it has come it stays so, until somebody sets it to a later one. Any number of fibers may wait.
 * Never returns early: 0 says that the instant has passed and had not been moved away when the fiber ran.
 * Returns 0; -ECANCELED or -ETIME by the scope. */
TORC_API int torc_timer_wait(struct torc_timer *timer) TORC_PARKS TORC_MUST;

/* As one of several things to wait for (choose.h): happens when its instant comes, wherever it is moved until then. */
TORC_API struct torc_case torc_case_timer(struct torc_timer *timer) TORC_LOCAL;

TORC_END
#endif
