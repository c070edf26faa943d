/* co.h - two flows of control and nothing else: what a test of context needs. Tells the sanitizers. */
#ifndef TESTS_CO_H
#define TESTS_CO_H

#include "machine/context.h"
#include "machine/sanitize.h"

#include <stdlib.h>

enum { CO_STACK = 64 << 10 };

struct co {
	struct context context, caller;
	struct sanitize sanitize, thread;
	void (*body)(struct co *co);
	void *arg;
	bool done;
	char *stack;
};

/* Into the flow, until it yields or is done. */
static inline __attribute__((always_inline)) void co_resume(struct co *co)
{
	sanitize_thread(&co->thread);
	sanitize_leave(&co->thread, &co->sanitize, false);
	context_switch(&co->caller, &co->context);
	sanitize_arrive(&co->thread, &co->thread);
}

/* Back to whom resumed it. */
static inline __attribute__((always_inline)) void co_yield (struct co *co)
{
	sanitize_leave(&co->sanitize, &co->thread, false);
	context_switch(&co->context, &co->caller);
	sanitize_arrive(&co->sanitize, &co->thread);
}

static void co_main(void *arg)
{
	struct co *co = arg;

	sanitize_arrive(&co->sanitize, &co->thread);
	co->body(co);
	co->done = true;
	sanitize_leave(&co->sanitize, &co->thread, true);
	context_jump(&co->caller);
}

static inline void co_open(struct co *co, void (*body)(struct co *co), void *arg)
{
	*co = (struct co){ .body = body, .arg = arg, .stack = aligned_alloc(4096, CO_STACK) };
	(void)sanitize_stack_register(co->stack, CO_STACK);
	context_make(&co->context, co->stack + CO_STACK, co_main, co);
	sanitize_fiber_begin(&co->sanitize, co->stack, CO_STACK);
}

static inline void co_close(struct co *co)
{
	sanitize_fiber_end(&co->sanitize);
	sanitize_stack_reuse(co->stack, CO_STACK);
	free(co->stack);
}

#endif
