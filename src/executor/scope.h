/* scope - lifetimes: which fibers end when, and what cancels them. See torc/scope.h for what it promises.
 * Relies on wait and timers. Keeps: a scope's reason is 0, -ETIME or -ECANCELED and only moves in that direction; each
 * scope inside a cancelled one, up to the shields, has a reason too. */
#ifndef TORC_SRC_SCOPE_H
#define TORC_SRC_SCOPE_H

#include "executor/wait.h"

#include <torc/scope.h>

struct scope {
	struct scope *outer;  /* the opener's next one */
	struct fiber *opener; /* NULL: the root scope of an executor */
	struct executor *executor;
	const struct scope *self; /* where it was opened: a copy is none */
	struct task_queue *queue; /* of the children */
	struct list children;     /* fibers, by siblings */
	struct list spawners;     /* parked on the limit */
	struct timer timer;       /* the deadline, or before it (timers_hasten) */
	int64_t deadline;         /* 0: none */
	struct value *values;     /* set in it, the last one first */
	struct scope *worklist;   /* while a cancellation spreads */
	unsigned live, limit;
	int reason;  /* 0: alive; -ETIME or -ECANCELED: cancelled */
	int failure; /* of the first child that failed */
	int success; /* of the first child that did not; -1: none yet */
	uint8_t until;
	bool shield;
	bool joining; /* the opener waits for the last child */
	bool cut;     /* a child obeyed a cancellation */
};

void scope_init(struct scope *scope, struct executor *executor, struct fiber *opener, struct scope *outer,
                const struct torc_scope_options *options);

/* 0, or why a fiber may not wait: -ECANCELED, -ETIME. To be looked at before each wait_park. */
static inline int scope_refuses(const struct fiber *fiber)
{
	return fiber->scope->reason;
}

/* Cancel it and what is inside. */
void scope_cancel(struct scope *scope, int reason);

/* Reserve a child's place; parks while the limit is reached. 0 or why not. */
int scope_await_place(struct scope *scope, struct executor *executor);

static inline int scope_reserve(struct scope *scope, struct executor *executor)
{
	if (likely(!scope->reason && scope->live < scope->limit && list_empty(&scope->spawners))) {
		scope->live++;
		return 0;
	}
	return scope_await_place(scope, executor);
}

/* A place that was reserved is given up, or its child is over. */
void scope_release(struct scope *scope);

void scope_child_ended(struct scope *scope, struct fiber *fiber, int result);

/* Wait until no child is left. */
void scope_await_children(struct scope *scope);

/* The scope of a public handle, which must belong to this core and be where it was opened. */
static inline struct scope *scope_of(const struct torc_scope *handle, const struct executor *executor,
                                     const char *function)
{
	struct scope *scope = (struct scope *)(void *)(uintptr_t)handle;

	if (unlikely(scope->executor != executor || scope->self != scope))
		panic(function, "the scope is not open, was moved, or belongs to another core");
	return scope;
}

#endif
