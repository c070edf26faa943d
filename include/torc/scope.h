/* scope.h - a lifetime for fibers: children, a deadline and a cancel switch in one.
 *
 * A fiber belongs to one scope, a scope to the fiber that opened it, and scopes nest like braces: when a scope is
 * left, every fiber in it has ended. Cancellation is a level, not an event: in a cancelled scope no call waits
 * again, in the opener and in the children alike, and all scopes inside are cancelled with it, but for those that
 * were opened with .shield. The idea is Martin Sústrik's and Nathaniel J. Smith's: "Notes on structured
 * concurrency, or: Go statement considered harmful", 2018. */
#ifndef TORC_SCOPE_H
#define TORC_SCOPE_H

#include <torc/base.h>
#include <torc/time.h>

TORC_BEGIN

/* When a scope is decided, and what torc_scope_join returns then. */
enum torc_until {
	TORC_FIRST_ERROR,   /* one failure cancels the rest: that failure, or 0                      */
	TORC_ALL_DONE,      /* nobody cancels anybody: the first failure, or 0                        */
	TORC_FIRST_SUCCESS, /* one success (a result >= 0) cancels the rest: that result, or a failure */
};

struct torc_queue;

struct torc_scope_options {
	size_t size;              /* sizeof this struct; TORC_SCOPE and TORC_OPTIONS fill it in          */
	enum torc_until until;    /* see above                                                           */
	torc_ns deadline;         /* instant at which the scope is cancelled, with -ETIME; 0: none       */
	unsigned limit;           /* torc_go parks while this many children live; 0: no limit            */
	struct torc_queue *queue; /* whose fibers the children are (queue.h); NULL: the opener's       */
	bool shield;              /* cancellation and deadlines from outside do not enter; a deadline of
	                          its own should then be set: it is how long clean-up may take        */
};

/* Lives on its opener's stack. Never copy or move an open one. */
struct torc_scope {
	void *private_[24];
};

/* Declare and open a scope that cannot be forgotten: leaving the block without having joined cancels the children
 * and waits for them, be it by return, break, goto or the closing brace.
 *   TORC_SCOPE(peers, .until = TORC_ALL_DONE, .deadline = torc_in(5 * TORC_SEC));
 * For C: in C++ let a constructor call torc_scope_open and its destructor torc_scope_leave. */
#define TORC_SCOPE(...) TORC_SCOPE_(__VA_ARGS__, .size = sizeof(struct torc_scope_options))
#define TORC_SCOPE_(name, ...)                                                             \
	struct torc_scope name##_scope_;                                                   \
	struct torc_scope *const name __attribute__((cleanup(torc_scope_leave), unused)) = \
		torc_scope_open(&name##_scope_, &(const struct torc_scope_options){ __VA_ARGS__ })

/* Open a scope in the calling fiber, inside its innermost one. `options` may be NULL. A scope inside a cancelled
 * one is cancelled from the start, and so is one whose deadline has passed. Returns `scope`. Each scope that is
 * opened must be left. */
TORC_API struct torc_scope *torc_scope_open(struct torc_scope *scope,
                                            const struct torc_scope_options *options) TORC_LOCAL;

/* Wait until every child has ended and return the outcome as `until` defines it. The wait itself is not cut short:
 * when the scope is cancelled the children are, and they end. A child that ends in -ECANCELED or -ETIME after the
 * scope was cancelled has obeyed, not failed; if that is all there is to tell, the outcome is -ECANCELED (or -ETIME,
 * if it was the deadline; a cancel outranks it). With TORC_FIRST_SUCCESS and no success a cancellation or deadline
 * outranks the failures, and -ECHILD says that there was no child. The scope remains open: it may be given more children
 * and joined again; but one that was decided by a first error or success is cancelled, so the opener's own calls in it
 * return -ECANCELED until it is left. For the opener only. */
TORC_API int torc_scope_join(struct torc_scope *scope) TORC_PARKS TORC_MUST;

/* Cancel the scope and all that is inside it. Returns at once; a second call does nothing. From any fiber of the
 * same core. */
TORC_API void torc_scope_cancel(struct torc_scope *scope) TORC_LOCAL;

/* Move the scope's deadline: nearer, farther away, or with 0 to none. The fibers that are parked in it stay parked; one
 * that has passed cancels them now. Costs next to nothing where the deadline moves away, as an idle time-out does with
 * each message. An outer scope's deadline holds as before. Returns 0; -ETIME if the scope is over by that; and -ECANCELED
 * or -ETIME, with nothing changed, if it was cancelled before: a scope does not come back to life. From any fiber of the
 * same core. */
TORC_API int torc_scope_set_deadline(struct torc_scope *scope, torc_ns deadline) TORC_LOCAL;

/* The instant by which what is in the scope must end: the nearest deadline of it and of the scopes around it, up to the
 * innermost shield, those of the fibers that it was spawned from included; it may have passed. 0: there is none. NULL asks
 * for the scope that the calling fiber is in: what to tell another machine, whose clock is to stop too. Of another core's
 * scopes it knows nothing: what torc_on runs is cancelled with its caller, but does not see the caller's deadline. */
TORC_API torc_ns torc_scope_deadline(const struct torc_scope *scope) TORC_LOCAL;

/* 0 while the scope is alive, -ECANCELED or -ETIME once it is cancelled. NULL asks for the scope that the calling
 * fiber is in: what a loop without a parking call should look at. */
TORC_API int torc_scope_status(const struct torc_scope *scope) TORC_LOCAL;

/* How many children are alive. */
TORC_API unsigned torc_scope_live(const struct torc_scope *scope) TORC_LOCAL;

/* Close the scope: cancels what still runs and waits for it. The innermost scope of the calling fiber must be left
 * first, or the process panics. TORC_SCOPE calls it; its argument is what attribute cleanup passes. */
TORC_API void torc_scope_leave(struct torc_scope *const *scope) TORC_PARKS;

/* Run fn(arg) as a new fiber of `scope`, after those that are ready already; any fiber of the same core may do so. The
 * argument is lent: it must outlive the scope. Parks only while the scope's limit is reached.
 * Returns 0; -ECANCELED or -ETIME if the scope is cancelled (or the caller's, while parked); -ENOMEM when there is
 * no stack to be had, which harms nothing else. */
#define torc_go(scope, fn, arg) torc_go_from((scope), (fn), (arg), TORC_FROM_(fn))

/* The same, but `lvalue` moves onto the new fiber's stack, where fn gets its address, and is zeroed here; on success
 * only: after a failure it is still yours. -E2BIG if it is larger than half a stack. Keeps an alignment of up to 64 bytes. */
#define torc_give(scope, fn, lvalue) torc_give_from((scope), (fn), &(lvalue), sizeof(lvalue), TORC_FROM_(fn))

/* What torc_go and torc_give expand to. `from` names the fiber in diagnoses ("function at file:line"); it is kept,
 * not copied. */
TORC_API int torc_go_from(struct torc_scope *scope, torc_fn *fn, void *arg, const char *from) TORC_PARKS TORC_MUST;
TORC_API int torc_give_from(struct torc_scope *scope, torc_fn *fn, void *value, size_t size,
                            const char *from) TORC_PARKS TORC_MUST;

#define TORC_FROM_(fn)      #fn " at " __FILE__ ":" TORC_TEXT_(__LINE__)
#define TORC_TEXT_(line)    TORC_TEXT_OF_(line)
#define TORC_TEXT_OF_(line) #line

/* Let every fiber that is ready run, and completed I/O and due timers in, before the caller runs again: those of its own
 * task queue, that is; whether other queues run in between is for their shares to say (queue.h). Also in a cancelled
 * scope. */
TORC_API void torc_yield(void) TORC_PARKS;

TORC_END
#endif
