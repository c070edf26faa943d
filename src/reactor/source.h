/* source - the bridge between an executor and a handle, for the time of one operation. It lies in the frame of the
 * fiber that waits, so an operation allocates nothing; and it lives until its last CQE, so the frame does too.
 *
 * The InnerSource is the half that the reactor and the SourceMap know; the Source adds what the side of the handle
 * needs. Relies on wakers. Keeps: an InnerSource with an id is in the SourceMap; one without is not in the kernel. */
#ifndef TORC_SRC_SOURCE_H
#define TORC_SRC_SOURCE_H

#include "base/list.h"
#include "fiber/waker.h"
#include "machine/uring.h"

enum source_type {
	SOURCE_NOP,
	SOURCE_POLL,
	SOURCE_ACCEPT,
	SOURCE_CONNECT,
	SOURCE_READ,
	SOURCE_WRITE,
	SOURCE_CLOSE,
	SOURCE_OPEN,
	SOURCE_FILE,
	SOURCE_FUTEX,
	SOURCE_TIMEOUT,
	SOURCE_CHILD,
};

extern const char *const source_type_names[] __attribute__((visibility("hidden")));
static inline const char *source_type_name(enum source_type type)
{
	return source_type_names[type];
}

struct inner_source;

/* For an operation with more than one answer: called for each instead of the wakers. */
typedef void source_answer_fn(struct inner_source *source, int result, bool last);

struct inner_source {
	struct wakers wakers;
	uint64_t id; /* user_data of its SQE; 0: not in the kernel */
	int fd;
	uint32_t cqe_flags;
	uint8_t type;     /* enum source_type */
	bool cancelling;  /* its cancellation is under way */
	struct list link; /* in the ReactorQueue: waits for room, or its cancellation does, for room or its next try */
	source_answer_fn *answer; /* NULL: one answer, to the wakers */
};

struct source {
	struct inner_source inner;
	struct io_uring_sqe deferred; /* its SQE, while there is no room for it in the ring; not touched before */
};

static inline void source_init(struct source *source, enum source_type type, int fd)
{
	struct inner_source *inner = &source->inner;

	wakers_init(&inner->wakers);
	inner->id = 0;
	inner->fd = fd;
	inner->cqe_flags = 0;
	inner->type = (uint8_t)type;
	inner->cancelling = false;
	list_init(&inner->link);
	inner->answer = NULL;
}

#endif
