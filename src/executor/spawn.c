#include "executor/spawn.h"

#include "executor/local.h"

#include <errno.h>
#include <string.h>

static void fiber_main(void *arg)
{
	struct fiber *fiber = arg;
	struct executor *executor = executor_self;
	int result;

	sanitize_arrive(&fiber->sanitize, &executor->loop.sanitize);
	result = local_run(fiber, fiber->fn, fiber->arg);
	if (unlikely(executor_self != executor))
		executor_none("the end of a fiber");
	if (unlikely(fiber->scope != fiber->home))
		panic("torc_scope_open", "fiber %s returned with a scope still open: each must be left", fiber->from);
	scope_child_ended(fiber->home, fiber, result);
	executor_end_fiber(executor, fiber);
}

/* Inline, so that nothing of *spawn that is known at the call is looked at again. */
static inline __attribute__((always_inline)) int begin(struct executor *executor, struct scope *scope,
                                                       const struct spawn *spawn)
{
	struct fiber *fiber = executor_make_fiber(executor, scope->queue, spawn->size, fiber_main);

	if (unlikely(!fiber)) {
		scope_release(scope);
		return -ENOMEM;
	}
	fiber->scope = fiber->home = scope;
	fiber->fn = spawn->fn;
	fiber->arg = spawn->arg;
	fiber->from = fiber->name = spawn->from;
	fiber->locals = NULL;
	if (spawn->size > 0) {
		fiber->arg = fiber_room(fiber, spawn->size);
		memcpy(fiber->arg, spawn->arg, spawn->size);
	}
	list_append(&scope->children, &fiber->siblings);
	task_queue_push(fiber->queue, fiber);
	return 0;
}

int spawn_reserved(struct executor *executor, struct scope *scope, const struct spawn *spawn)
{
	return begin(executor, scope, spawn);
}

int torc_go_from(struct torc_scope *handle, torc_fn *fn, void *arg, const char *from)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct scope *scope = scope_of(handle, executor, __func__);
	int r = scope_reserve(scope, executor);

	if (unlikely(r < 0))
		return r;
	return begin(executor, scope, &(struct spawn){ fn, arg, 0, from });
}

int torc_give_from(struct torc_scope *handle, torc_fn *fn, void *value, size_t size, const char *from)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct scope *scope = scope_of(handle, executor, __func__);
	int r;

	if (size > executor->stacks.stack_size / 2)
		return -E2BIG;
	r = scope_reserve(scope, executor);
	if (r < 0)
		return r;
	r = spawn_reserved(executor, scope, &(struct spawn){ fn, value, size, from });
	if (r == 0)
		memset(value, 0, size);
	return r;
}
