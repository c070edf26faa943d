#include "executor/scope.h"

#include "base/options.h"
#include "machine/clock.h"

#include <errno.h>

static_assert_fits(torc_scope, scope);

/* A fiber in torc_go, waiting for room under the limit. */
struct spawner {
	struct wait wait;
	struct list link;
	int result;
};

static void spawner_done(struct spawner *spawner, int result)
{
	list_remove(&spawner->link);
	spawner->result = result;
	waker_wake(spawner->wait.fiber);
}

static void spawner_interrupt(struct wait *wait)
{
	spawner_done(container_of(wait, struct spawner, wait), scope_refuses(wait->fiber));
}

static void deadline_passed(struct timer *timer)
{
	struct scope *scope = container_of(timer, struct scope, timer);

	if (timer_early(timer, scope->deadline))
		timers_add(&scope->executor->reactor.timers, timer, scope->deadline);
	else
		scope_cancel(scope, -ETIME);
}

static int initial_reason(const struct scope *outer, const struct torc_scope_options *options)
{
	if (outer && outer->reason && !options->shield)
		return outer->reason;
	return options->deadline && options->deadline <= clock_now() ? -ETIME : 0;
}

void scope_init(struct scope *scope, struct executor *executor, struct fiber *opener, struct scope *outer,
                const struct torc_scope_options *options)
{
	scope->outer = outer;
	scope->opener = opener;
	scope->executor = executor;
	scope->self = scope;
	scope->queue = options->queue ? (struct task_queue *)options->queue : opener ? opener->queue : &executor->first;
	list_init(&scope->children);
	list_init(&scope->spawners);
	timer_init(&scope->timer, deadline_passed);
	scope->deadline = options->deadline;
	scope->values = NULL;
	scope->live = 0;
	scope->limit = options->limit ? options->limit : UINT32_MAX;
	scope->reason = initial_reason(outer, options);
	scope->failure = 0;
	scope->success = -1;
	scope->until = (uint8_t)options->until;
	scope->shield = options->shield;
	scope->joining = scope->cut = false;
	if (options->deadline && !scope->reason)
		timers_add(&executor->reactor.timers, &scope->timer, options->deadline);
}

/* Give a scope its reason and put it on the worklist, unless it has as good a reason already. */
static void condemn(struct scope *scope, int reason, struct scope **worklist)
{
	if (scope->reason == reason || scope->reason == -ECANCELED)
		return;
	scope->reason = reason;
	scope->worklist = *worklist;
	*worklist = scope;
}

/* The scopes of one fiber that lie inside `scope`: a shield keeps itself and what is inside it. */
static void spread(const struct scope *scope, struct fiber *fiber, int reason, struct scope **worklist)
{
	struct scope *exposed = fiber->scope;

	for (struct scope *s = fiber->scope; s != scope; s = s->outer)
		if (s->shield)
			exposed = s->outer;
	for (struct scope *s = exposed; s != scope; s = s->outer)
		condemn(s, reason, worklist);
	if (exposed == fiber->scope)
		wait_interrupt(fiber);
}

/* Without recursion: the tree may be deeper than the canceller's stack. Ends: a scope enters the list once. */
void scope_cancel(struct scope *scope, int reason)
{
	struct scope *worklist = NULL;

	condemn(scope, reason, &worklist);
	if (worklist && scope->opener)
		spread(scope, scope->opener, reason, &worklist);
	while (worklist) {
		struct scope *next = worklist;

		worklist = next->worklist;
		while (!list_empty(&next->spawners))
			spawner_done(container_of(next->spawners.next, struct spawner, link), next->reason);
		list_each (node, &next->children)
			spread(next, container_of(node, struct fiber, siblings), reason, &worklist);
	}
}

static int await_room(struct scope *scope, struct executor *executor)
{
	struct fiber *fiber = executor->running;
	struct spawner spawner = { .wait = { spawner_interrupt, fiber, "room in a scope" } };

	if (scope_refuses(fiber))
		return scope_refuses(fiber);
	list_append(&scope->spawners, &spawner.link);
	wait_park(executor, &spawner.wait);
	return spawner.result;
}

int scope_await_place(struct scope *scope, struct executor *executor)
{
	int r;

	if (scope->reason)
		return scope->reason;
	r = await_room(scope, executor);
	if (r < 0)
		return r; /* the scope may be gone */
	/* The place is ours, so the scope stands; but it may have been cancelled before we ran. */
	if (scope->reason) {
		r = scope->reason;
		scope_release(scope);
	}
	return r;
}

void scope_release(struct scope *scope)
{
	if (unlikely(!list_empty(&scope->spawners)) && scope->live <= scope->limit) {
		/* The place goes to the first who waits for one. */
		spawner_done(container_of(scope->spawners.next, struct spawner, link), 0);
		return;
	}
	if (--scope->live == 0 && scope->joining) {
		scope->joining = false;
		waker_wake(scope->opener);
	}
}

void scope_child_ended(struct scope *scope, struct fiber *fiber, int result)
{
	list_unlink(&fiber->siblings);
	if (result >= 0) {
		if (scope->until == TORC_FIRST_SUCCESS && scope->success < 0) {
			scope->success = result;
			scope_cancel(scope, -ECANCELED);
		}
	} else if (scope->reason && (result == -ECANCELED || result == -ETIME)) {
		scope->cut = true;
	} else if (!scope->failure) {
		scope->failure = result;
		if (scope->until == TORC_FIRST_ERROR)
			scope_cancel(scope, -ECANCELED);
	}
	scope_release(scope);
}

void scope_await_children(struct scope *scope)
{
	while (scope->live > 0) { /* ends when they do; somebody may spawn while we are ready but do not run yet */
		struct wait wait = { NULL, scope->opener, "children" };

		scope->joining = true;
		wait_park(scope->executor, &wait);
	}
}

static int outcome(const struct scope *scope)
{
	if (scope->until == TORC_FIRST_SUCCESS) {
		if (scope->success >= 0)
			return scope->success;
		if (scope->reason)
			return scope->reason;
		return scope->failure ? scope->failure : -ECHILD;
	}
	if (scope->failure)
		return scope->failure;
	return scope->cut ? scope->reason : 0;
}

struct torc_scope *torc_scope_open(struct torc_scope *handle, const struct torc_scope_options *options)
{
	struct torc_scope_options whole;
	struct executor *executor = executor_in_fiber(__func__);
	struct fiber *fiber = executor->running;
	struct scope *scope = (struct scope *)(void *)handle;

	options = OPTIONS(options, whole);
	MISUSE(scope == fiber->scope, "the scope is open already");
	MISUSE((unsigned)options->until > TORC_FIRST_SUCCESS, "no such .until: %u", (unsigned)options->until);
	MISUSE(options->queue && ((struct task_queue *)options->queue)->manager != &executor->manager,
	       "the queue belongs to another core");
	scope_init(scope, executor, fiber, fiber->scope, options);
	scope->queue->members++;
	fiber->scope = scope;
	return handle;
}

int torc_scope_join(struct torc_scope *handle)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct scope *scope = scope_of(handle, executor, __func__);

	MISUSE(scope->opener != executor->running, "only the fiber that opened a scope may join it");
	scope_await_children(scope);
	return outcome(scope);
}

void torc_scope_cancel(struct torc_scope *handle)
{
	scope_cancel(scope_of(handle, executor_in_fiber(__func__), __func__), -ECANCELED);
}

int torc_scope_set_deadline(struct torc_scope *handle, torc_ns deadline)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct scope *scope = scope_of(handle, executor, __func__);

	if (scope->reason)
		return scope->reason;
	scope->deadline = deadline;
	if (!deadline)
		timers_remove(&executor->reactor.timers, &scope->timer);
	else if (deadline <= clock_now())
		scope_cancel(scope, -ETIME);
	else
		timers_hasten(&executor->reactor.timers, &scope->timer, deadline);
	return scope->reason;
}

torc_ns torc_scope_deadline(const struct torc_scope *handle)
{
	struct executor *executor = executor_in_fiber(__func__);
	const struct scope *scope = handle ? scope_of(handle, executor, __func__) : executor->running->scope;
	torc_ns nearest = 0;

	for (; scope; scope = scope->shield ? NULL : scope->outer) /* ends: at the root scope */
		if (scope->deadline && (!nearest || scope->deadline < nearest))
			nearest = scope->deadline;
	return nearest;
}

int torc_scope_status(const struct torc_scope *handle)
{
	struct executor *executor = executor_in_fiber(__func__);

	/* Who asks may not have parked for long: a deadline may have passed that no turn has seen. */
	if (executor->reactor.timers.count > 0)
		timers_advance(&executor->reactor.timers, clock_now());
	return handle ? scope_of(handle, executor, __func__)->reason : scope_refuses(executor->running);
}

unsigned torc_scope_live(const struct torc_scope *handle)
{
	return scope_of(handle, executor_in_fiber(__func__), __func__)->live;
}

void torc_scope_leave(struct torc_scope *const *handle)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct scope *scope = scope_of(*handle, executor, __func__);
	struct fiber *fiber = executor->running;

	MISUSE(scope->opener != fiber, "only the fiber that opened a scope may leave it");
	MISUSE(fiber->scope != scope, "scope left out of order: the innermost one must be left first");
	if (scope->live > 0 || !list_empty(&scope->spawners)) {
		scope_cancel(scope, -ECANCELED);
		scope_await_children(scope);
	}
	timers_remove(&executor->reactor.timers, &scope->timer);
	scope->queue->members--;
	fiber->scope = scope->outer;
	scope->executor = NULL; /* whoever still uses the handle is told so */
}
