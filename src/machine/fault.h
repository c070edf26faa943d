/* fault - a touch of a guard page is explained before the process dies of it. Relies on sigaltstack(2): the handler has
 * a stack of its own, since the faulting one is full. Handlers that were installed before are called afterwards. */
#ifndef TORC_SRC_FAULT_H
#define TORC_SRC_FAULT_H

/* Called in a signal handler with the address: says on stderr what it knows of it. */
typedef void fault_explain_fn(const void *address);

struct fault_stack {
	void *memory; /* this thread's alternate stack, if we made it */
};

/* Once per executor thread, always with the same function. Without memory for the stack there is no explanation, and that is all. */
void fault_watch(struct fault_stack *stack, fault_explain_fn *explain);
void fault_unwatch(struct fault_stack *stack);

#endif
