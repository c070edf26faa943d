/* sync.h - what the tests of torc/sync.h share: fibers that make one call each, and the order in which they get through.
 * Relies on api.h. */
#ifndef TESTS_API_SYNC_H
#define TESTS_API_SYNC_H

#include "api.h"

/* A fiber that makes one call that may wait. */
struct caller {
	int (*call)(void *object);
	void *object;
	int result; /* UNSET: it waits */
	int turn;   /* the how-manieth it was to get through; 0: it waits */
};

/* Turns are counted from here on. */
static int turns;

static inline int make_call(void *arg)
{
	struct caller *caller = arg;
	int r = caller->call(caller->object);

	caller->result = r;
	caller->turn = ++turns;
	return r < 0 ? r : 0;
}

static inline void start_call(struct torc_scope *scope, struct caller *caller, int (*call)(void *object), void *object)
{
	*caller = (struct caller){ call, object, UNSET, 0 };
	ck_assert_int_eq(torc_go(scope, make_call, caller), 0);
	torc_yield();
}

static inline bool waits(const struct caller *caller)
{
	return caller->result == UNSET;
}

/* Have all that are ready run. */
static inline void settle(void)
{
	for (int i = 0; i < 3; i++)
		torc_yield();
}

/* One call in a scope that is cancelled before. */
static inline int call_cancelled(int (*call)(void *object), void *object)
{
	TORC_SCOPE(scope);
	torc_scope_cancel(scope);
	return call(object);
}

/* And in one whose deadline comes. */
static inline int call_until_soon(int (*call)(void *object), void *object)
{
	TORC_SCOPE(scope, .deadline = torc_in(SOON));
	return call(object);
}

#endif
