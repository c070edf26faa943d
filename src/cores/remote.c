#include "cores/remote.h"

#include "executor/local.h"

#include "machine/forked.h"
#include "machine/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct torc_remote {
	struct thread_mutex lock;
	struct thread_cond answered;
	size_t post_most;        /* bytes of a value: half a stack */
	unsigned era;            /* forked_era */
	struct mailbox *mailbox; /* NULL: the executor has ended */
	struct list link;        /* the executor's remotes */
	struct message farewell; /* its user has freed it: now the executor is to */
};

/* In the frame of a foreign thread, which blocks until it is done. */
struct remote_call {
	struct message message;
	struct torc_remote *remote;
	torc_fn *fn;
	void *arg;
	int result;
	bool done;
};

/* In the child of a fork there is no executor behind it; who knows whether somebody had the lock. */
static bool is_parents(const struct torc_remote *remote)
{
	return remote->era != forked_era();
}

static void remote_destroy(struct torc_remote *remote)
{
	thread_cond_destroy(&remote->answered);
	thread_mutex_destroy(&remote->lock);
	free(remote);
}

/* On the executor, which is the last to know of it. */
static void forget(struct executor *executor, struct message *message)
{
	struct torc_remote *remote = container_of(message, struct torc_remote, farewell);

	list_remove(&remote->link);
	executor->mail.expected--;
	thread_lock(&remote->lock); /* who freed it may still be about to let go of the lock */
	thread_unlock(&remote->lock);
	remote_destroy(remote);
}

int torc_remote_new(struct torc_remote **out)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct torc_remote *remote = malloc(sizeof *remote);

	if (!remote)
		return -ENOMEM;
	thread_mutex_init(&remote->lock);
	thread_cond_init(&remote->answered);
	remote->post_most = executor->stacks.stack_size / 2;
	remote->era = forked_era();
	remote->mailbox = executor->mailbox;
	remote->farewell.deliver = forget;
	list_append(&executor->remotes, &remote->link);
	executor->mail.expected++;
	*out = remote;
	return 0;
}

void torc_remote_free(struct torc_remote *remote)
{
	bool open;

	if (!remote)
		return;
	if (is_parents(remote)) {
		free(remote);
		return;
	}
	thread_lock(&remote->lock);
	open = remote->mailbox;
	if (open)
		mailbox_drop(remote->mailbox, &remote->farewell);
	thread_unlock(&remote->lock);
	if (!open)
		remote_destroy(remote);
}

void remote_shut_all(struct executor *executor)
{
	struct list *node;

	while ((node = list_pop(&executor->remotes))) {
		struct torc_remote *remote = container_of(node, struct torc_remote, link);

		thread_lock(&remote->lock);
		remote->mailbox = NULL;
		thread_unlock(&remote->lock);
	}
	mailbox_collect(executor->mailbox);
}

static void call_done(struct remote_call *call, int result)
{
	struct torc_remote *remote = call->remote;

	thread_lock(&remote->lock);
	call->result = result;
	call->done = true;
	thread_notify_all(&remote->answered);
	thread_unlock(&remote->lock);
}

static int run_remote_call(void *arg)
{
	struct remote_call *call = arg;

	call_done(call, local_run(executor_self->running, call->fn, call->arg));
	mailbox_work_ended(executor_self->mailbox, 0); /* its failure is the caller's */
	return 0;
}

static void begin_remote_call(struct executor *executor, struct message *message)
{
	struct remote_call *call = container_of(message, struct remote_call, message);
	int r;

	if (!mailbox_work_admitted(executor->mailbox)) {
		call_done(call, -ESHUTDOWN);
		return;
	}
	r = on_spawn(executor, &(struct spawn){ run_remote_call, call, 0, "torc_remote_call" });
	if (r < 0) {
		call_done(call, r);
		mailbox_work_ended(executor->mailbox, 0);
	}
}

int torc_remote_call(struct torc_remote *remote, torc_fn *fn, void *arg)
{
	struct remote_call call = { .message = { begin_remote_call, NULL }, .remote = remote, .fn = fn, .arg = arg };

	if (is_parents(remote))
		return -ESHUTDOWN;
	thread_lock(&remote->lock);
	if (!remote->mailbox) {
		call.result = -ESHUTDOWN;
	} else if (executor_self && executor_self->mailbox == remote->mailbox) {
		call.result = -EDEADLK;
	} else {
		mailbox_drop(remote->mailbox, &call.message);
		while (!call.done)
			thread_wait(&remote->answered, &remote->lock, INT64_MAX);
	}
	thread_unlock(&remote->lock);
	return call.result;
}

static void receive_remote_parcel(struct executor *executor, struct message *message)
{
	if (mailbox_work_admitted(executor->mailbox))
		parcel_receive(executor, message);
	else
		free(container_of(message, struct parcel, message));
}

int torc_remote_post_sized(struct torc_remote *remote, torc_fn *fn, void *value, size_t size)
{
	struct parcel *parcel;
	bool open;

	if (size > remote->post_most)
		return -E2BIG;
	if (is_parents(remote))
		return -ESHUTDOWN;
	parcel = parcel_new(fn, value, size, "torc_remote_post");
	if (!parcel)
		return -ENOMEM;
	parcel->message.deliver = receive_remote_parcel;
	thread_lock(&remote->lock);
	open = remote->mailbox;
	if (open)
		mailbox_drop(remote->mailbox, &parcel->message);
	thread_unlock(&remote->lock);
	if (!open) {
		free(parcel);
		return -ESHUTDOWN;
	}
	if (size > 0)
		memset(value, 0, size);
	return 0;
}
