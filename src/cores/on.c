#include "cores/on.h"

#include "executor/local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A torc_on call, in the caller's frame. The caller waits until nobody else knows of it: for the answer to the request
 * and, if it was cancelled, for the receipt of the cancellation. */
struct remote_call {
	/* One cache line, which goes there and back. */
	_Alignas(CACHE_LINE) struct message request; /* there, and back as the answer */
	struct mailbox *caller;
	torc_fn *fn;
	void *arg;
	int result;
	bool cancelled;      /* before it could begin: the other core's, as the next */
	struct scope *scope; /* while fn runs */
	/* The caller's. */
	_Alignas(CACHE_LINE) struct wait wait;
	struct message cancellation; /* there, and back as the receipt */
	unsigned core;
	unsigned awaited; /* messages that have not come back */
};

int on_spawn(struct executor *executor, const struct spawn *spawn)
{
	executor->root->live++;
	return spawn_reserved(executor, executor->root, spawn);
}

static void call_returned(struct executor *caller, struct message *message);
static void cancellation_returned(struct executor *caller, struct message *message);

static void send_back(struct executor *executor, struct remote_call *call, struct message *message, message_fn *deliver)
{
	message->deliver = deliver;
	mailbox_send(executor->mailbox, call->caller->core, message);
}

static int run_call(void *arg)
{
	/* Its caller cancels it, and nobody else: who cleans up under a shield while all cores stop may need it. */
	static const struct torc_scope_options callers = { .size = sizeof callers, .shield = true };
	struct remote_call *call = arg;
	struct executor *executor = executor_self;
	struct fiber *fiber = executor->running;
	struct scope scope;

	scope_init(&scope, executor, fiber, fiber->scope, &callers);
	fiber->scope = &scope;
	call->scope = &scope;
	if (call->cancelled)
		scope_cancel(&scope, -ECANCELED);
	call->result = local_run(fiber, call->fn, call->arg);
	MISUSE(fiber->scope != &scope, "a function that torc_on called returned with a scope still open");
	fiber->scope = scope.outer;
	call->scope = NULL;
	send_back(executor, call, &call->request, call_returned);
	return 0; /* its failure is the caller's, not this core's */
}

static void begin_call(struct executor *executor, struct message *message)
{
	struct remote_call *call = container_of(message, struct remote_call, request);

	call->result = on_spawn(executor, &(struct spawn){ run_call, call, 0, "torc_on" });
	if (call->result < 0)
		send_back(executor, call, message, call_returned);
}

static void cancel_call(struct executor *executor, struct message *message)
{
	struct remote_call *call = container_of(message, struct remote_call, cancellation);

	call->cancelled = true;
	if (call->scope)
		scope_cancel(call->scope, -ECANCELED);
	send_back(executor, call, message, cancellation_returned);
}

static void came_back(struct remote_call *call)
{
	if (--call->awaited == 0)
		waker_wake(call->wait.fiber);
}

static void call_returned(struct executor *caller, struct message *message)
{
	(void)caller;
	came_back(container_of(message, struct remote_call, request));
}

static void cancellation_returned(struct executor *caller, struct message *message)
{
	(void)caller;
	came_back(container_of(message, struct remote_call, cancellation));
}

static void call_interrupt(struct wait *wait)
{
	struct remote_call *call = container_of(wait, struct remote_call, wait);

	call->awaited++;
	call->cancellation.deliver = cancel_call;
	mailbox_send(call->caller, call->core, &call->cancellation);
}

int torc_on(unsigned core, torc_fn *fn, void *arg)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct fiber *fiber = executor->running;
	struct remote_call call = {
		.wait = { call_interrupt, fiber, "another core" },
		.request = { begin_call, NULL },
		.caller = executor->mailbox,
		.core = core,
		.awaited = 1,
		.fn = fn,
		.arg = arg,
	};

	if (core >= executor->mailbox->peers)
		return -EINVAL;
	if (scope_refuses(fiber))
		return scope_refuses(fiber);
	mailbox_send(executor->mailbox, core, &call.request);
	executor->mail.expected++;
	wait_park(executor, &call.wait);
	executor->mail.expected--;
	if (call.result == -ECANCELED && scope_refuses(fiber))
		return scope_refuses(fiber);
	return call.result;
}

struct parcel *parcel_new(torc_fn *fn, const void *value, size_t size, const char *from)
{
	struct parcel *parcel = malloc(sizeof *parcel + size);

	if (!parcel)
		return NULL;
	parcel->fn = fn;
	parcel->from = from;
	parcel->size = size;
	if (size > 0)
		memcpy(parcel->value, value, size);
	return parcel;
}

static int run_parcel(void *arg)
{
	struct parcel *parcel = *(struct parcel **)arg;
	int r = local_run(executor_self->running, parcel->fn, parcel->value);

	free(parcel);
	mailbox_work_ended(executor_self->mailbox, r);
	return r;
}

void parcel_receive(struct executor *executor, struct message *message)
{
	struct parcel *parcel = container_of(message, struct parcel, message);
	int r = on_spawn(executor, &(struct spawn){ run_parcel, &parcel, sizeof parcel, parcel->from });

	if (r == 0)
		return;
	/* Nobody waits for it, so nobody else can be told: the core fails. */
	free(parcel);
	if (!executor->root->failure)
		executor->root->failure = r;
	scope_cancel(executor->root, -ECANCELED);
	mailbox_work_ended(executor->mailbox, r);
}

int torc_post_sized(unsigned core, torc_fn *fn, void *value, size_t size)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct parcel *parcel;

	if (core >= executor->mailbox->peers)
		return -EINVAL;
	if (size > executor->stacks.stack_size / 2)
		return -E2BIG;
	parcel = parcel_new(fn, value, size, "torc_post");
	if (!parcel)
		return -ENOMEM;
	if (size > 0)
		memset(value, 0, size);
	parcel->message.deliver = parcel_receive;
	mailbox_work_begins(executor->mailbox);
	mailbox_send(executor->mailbox, core, &parcel->message);
	return 0;
}

unsigned torc_core(void)
{
	return executor_in_fiber(__func__)->mailbox->core;
}

unsigned torc_core_count(void)
{
	return executor_in_fiber(__func__)->mailbox->peers;
}

unsigned torc_core_of(uint64_t key)
{
	/* The finalizer of splitmix64 spreads the key; the high half of a product maps it without a division. */
	key = (key ^ key >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	key = (key ^ key >> 27) * UINT64_C(0x94d049bb133111eb);
	key ^= key >> 31;
	return (unsigned)((key >> 32) * torc_core_count() >> 32);
}
