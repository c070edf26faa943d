/* local.h - variables of which each fiber has its own: for libraries that keep state per flow of control. (Thread-local
 * variables are per core here: all its fibers share them.) What is to be known below a certain call, in children as well,
 * is better a value of a scope (value.h). */
#ifndef TORC_LOCAL_H
#define TORC_LOCAL_H

#include <torc/base.h>

TORC_BEGIN

/* Declares the variable; its address is what tells it from others. To be static, and the same for all fibers:
 *   static const struct torc_local buffer = { .destroy = free }; */
struct torc_local {
	void (*destroy)(
		void *value); /* called with what is set, not NULL, when a fiber ends; NULL: nothing is to be done */
};

/* What the calling fiber has set, and NULL if it has not. A look-up compares with each variable that the fiber has. */
TORC_API void *torc_local_get(const struct torc_local *local) TORC_LOCAL;

/* Set it in the calling fiber; NULL makes it unset. What was set before is not destroyed: it is the caller's again.
 * Allocates, the first time in each fiber, and as their number grows. Returns 0; -ENOMEM, and then nothing has changed.
 *
 * When the fiber's function has returned, and before anybody can know that the fiber has ended, what is still set is
 * destroyed in its own context: what was set first for the first time goes last. A destroy function may park, in a
 * cancelled scope as little as any other call; may read variables, those destroyed already as NULL; may not set any:
 * -ESHUTDOWN. It may not return with a scope open. */
TORC_API int torc_local_set(const struct torc_local *local, void *value) TORC_LOCAL TORC_MUST;

TORC_END
#endif
