#include "io/watch.h"

#include "machine/notify.h"

#include <torc/queue.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct events {
	size_t begin, end;
	struct list waiting; /* for the kernel to have some */
	_Alignas(struct inotify_event) char bytes[8 << 10];
};

int torc_watch_open(struct torc_watch *watch)
{
	struct events *events = malloc(sizeof *events);
	int fd;

	if (!events)
		return -ENOMEM;
	fd = notify_open();
	if (fd < 0) {
		free(events);
		return fd;
	}
	events->begin = events->end = 0;
	list_init(&events->waiting);
	*watch = (struct torc_watch){ .events_ = events };
	async_set(&watch->async, fd, 0);
	return 0;
}

static bool gone(const struct torc_watch *watch)
{
	return async_empty(&watch->async) || (watch->async.flags_ & ASYNC_CLOSING);
}

int torc_watch_add(struct torc_watch *watch, const char *path, uint32_t what)
{
	return gone(watch) ? -EBADF : notify_add(async_fd(&watch->async), path, what);
}

int torc_watch_remove(struct torc_watch *watch, int id)
{
	return gone(watch) ? -EBADF : notify_remove(async_fd(&watch->async), id);
}

static void take(struct events *events, struct torc_watch_event *event)
{
	struct inotify_event head;

	memcpy(&head, events->bytes + events->begin, sizeof head);
	*event = (struct torc_watch_event){ .id = head.wd, .what = head.mask, .cookie = head.cookie };
	if (head.len > 0) /* NULs fill it up */
		memcpy(event->name, events->bytes + events->begin + sizeof head,
		       head.len < sizeof event->name ? head.len : sizeof event->name - 1);
	events->begin += sizeof head + head.len;
}

struct waiter {
	struct list link;
	struct fiber *fiber;
};

/* 0: look again. */
static int await(struct torc_watch *watch, struct events *events, struct fiber *fiber)
{
	struct waiter waiter = { .fiber = fiber };
	int r;

	list_append(&events->waiting, &waiter.link);
	r = async_poll(&watch->async, POLLIN, "torc_watch_next");
	list_remove(&waiter.link);
	return r == -ECANCELED ? 0 : r; /* by pass_on, or by the scope, which is looked at then */
}

/* What one read has got and nobody has taken is for those who wait: the kernel will not wake them for it. */
static void pass_on(struct events *events)
{
	if (events->begin < events->end && !list_empty(&events->waiting))
		wait_interrupt(container_of(events->waiting.next, struct waiter, link)->fiber);
}

static int next_event(struct torc_watch *watch, struct events *events, struct torc_watch_event *event)
{
	const struct executor *executor = executor_self;

	for (;;) { /* ends: each round waits until there is something, which another may take first */
		int r;

		if (gone(watch))
			return -EBADF;
		if (scope_refuses(executor->running))
			return scope_refuses(executor->running);
		if (events->begin < events->end) {
			take(events, event);
			return 0;
		}
		r = notify_read(async_fd(&watch->async), events->bytes, sizeof events->bytes);
		if (r > 0) {
			events->begin = 0;
			events->end = (size_t)r;
		} else if (r != -EAGAIN) {
			return r < 0 ? r : -EIO;
		} else {
			r = await(watch, events, executor->running);
			if (r < 0)
				return r;
		}
	}
}

int torc_watch_next(struct torc_watch *watch, struct torc_watch_event *event)
{
	int r;

	executor_in_fiber(__func__);
	if (gone(watch))
		return -EBADF;
	r = next_event(watch, watch->events_, event);
	pass_on(watch->events_);
	torc_yield_if_needed(); /* with the event in hand: who closes the watch meanwhile does not know of us */
	return r;
}

void torc_watch_close(struct torc_watch *watch)
{
	struct events *events = watch->events_;
	int fd = op_close_handle(&watch->async, __func__);

	if (fd < 0)
		return;
	watch->events_ = NULL;
	free(events);
	op_close_fd(fd);
}
