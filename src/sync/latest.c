/* Keeps: who waits has seen the present change. */
#include "base/copy.h"
#include "executor/waitable.h"

#include <torc/latest.h>

#include <stdlib.h>

static const size_t value_most = 1 << 20;

struct torc_latest {
	struct executor *executor;
	size_t size;
	uint64_t changes; /* 0: there is no value yet */
	struct arms waiting;
	bool closed;
	char value[];
};

static inline struct executor *check(const struct torc_latest *latest, size_t size, const char *function)
{
	struct executor *executor = executor_in_fiber(function);

	if (unlikely(latest->executor != executor))
		panic(function, "the value belongs to another core, or is freed");
	if (unlikely(latest->size != size))
		panic(function, "%zu bytes, and a value of %zu", size, latest->size);
	return executor;
}

static int take(struct torc_watcher *watcher, void *value)
{
	const struct torc_latest *latest = watcher->latest;

	copy_item(value, latest->value, latest->size);
	watcher->seen = latest->changes;
	return 0;
}

static int next_now(struct torc_watcher *watcher, void *value)
{
	const struct torc_latest *latest = watcher->latest;

	if (watcher->seen == latest->changes)
		return latest->closed ? -EPIPE : -EAGAIN;
	return take(watcher, value);
}

static int try_next(struct arm *arm)
{
	return next_now(arm->object, arm->item);
}

static void arm_next(struct arm *arm)
{
	arms_append(&((struct torc_watcher *)arm->object)->latest->waiting, arm);
}

static void disarm_next(struct arm *arm)
{
	arms_remove(&((struct torc_watcher *)arm->object)->latest->waiting, arm);
}

static const struct waitable changing = { try_next, arm_next, disarm_next, .what = "a change" };

/* It changed, or changes no more. Not as next_now says: by one watcher several may wait, and all are told. */
static void tell_all(struct torc_latest *latest)
{
	struct arm *arm;

	while ((arm = latest->waiting.first)) { /* ends: no fiber runs meanwhile */
		arms_remove(&latest->waiting, arm);
		choice_decide(arm->choice, arm, latest->closed ? -EPIPE : take(arm->object, arm->item));
	}
}

int torc_latest_new_sized(struct torc_latest **out, const void *value, size_t size)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct torc_latest *latest;

	if (size == 0 || size > value_most)
		return -EINVAL;
	latest = calloc(1, sizeof *latest + size);
	if (!latest)
		return -ENOMEM;
	latest->executor = executor;
	latest->size = size;
	if (value) {
		memcpy(latest->value, value, size);
		latest->changes = 1;
	}
	*out = latest;
	return 0;
}

void torc_latest_free(struct torc_latest *latest)
{
	if (!latest)
		return;
	check(latest, latest->size, __func__);
	MISUSE(latest->waiting.first, "fibers wait for a change: close it, and join them first");
	latest->executor = NULL;
	free(latest);
}

void torc_latest_close(struct torc_latest *latest)
{
	check(latest, latest->size, __func__);
	latest->closed = true;
	tell_all(latest);
}

int torc_latest_set_sized(struct torc_latest *latest, const void *value, size_t size)
{
	check(latest, size, __func__);
	if (latest->closed)
		return -EPIPE;
	copy_item(latest->value, value, size);
	latest->changes++;
	tell_all(latest);
	return 0;
}

int torc_latest_get_sized(const struct torc_latest *latest, void *value, size_t size)
{
	check(latest, size, __func__);
	if (latest->changes == 0)
		return 0;
	copy_item(value, latest->value, size);
	return 1;
}

int torc_watcher_next_sized(struct torc_watcher *watcher, void *value, size_t size)
{
	struct executor *executor = check(watcher->latest, size, __func__);
	int r = scope_refuses(executor->running);

	if (unlikely(r))
		return r;
	r = next_now(watcher, value);
	return r != -EAGAIN ? r : waitable_park(executor, &changing, watcher, value);
}

struct torc_case torc_case_watcher_sized(struct torc_watcher *watcher, void *value, size_t size)
{
	check(watcher->latest, size, __func__);
	return waitable_case(&changing, watcher, value, 0);
}
