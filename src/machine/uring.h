/* uring - the kernel interface (IoUring): a ring of requests, a ring of answers, and one call that gives and takes.
 *
 * The two rings in memory are the interface, for the floors above and for whoever stands below: a machine fills in
 * struct uring and answers enter(). The kernel's is uring_kernel, over liburing; another can be put in its place
 * (an epoll one where io_uring is forbidden, a simulated one in tests) without a change above this floor.
 *
 * Relies on being used by the thread that opened it. Keeps: a request is written at sq_tail and seen by the machine
 * at the next enter, in order; an answer is seen once. io_uring(7), io_uring_enter(2). */
#ifndef TORC_SRC_URING_H
#define TORC_SRC_URING_H

#include "base/panic.h"
#include "machine/uring_abi.h"

#include <errno.h>
#include <string.h>

struct uring;

struct uring_machine {
	const char *name;
	/* Make rings of about these sizes; the real ones are in *ring then. */
	int (*open)(struct uring *ring, unsigned sq_entries, unsigned cq_entries);
	/* Take the requests up to sq_tail; make answers that wait to be made; if `wait`, return only when there is an
	 * answer, or at `deadline` (CLOCK_MONOTONIC, INT64_MAX: none), or for no reason (a signal).
	 * 0, or -EAGAIN, -EBUSY: nothing was taken for want of memory or because answers pile up. */
	int (*enter)(struct uring *ring, bool wait, int64_t deadline);
	void (*close)(struct uring *ring);
	/* Wake the one that waits in enter, by an answer URING_BELL_ID; from any thread. Works once at least, also just
	 * before it waits. */
	void (*bell)(struct uring *ring);
	/* Write a request that does the same for another ring, or say that it can't. */
	bool (*bell_request)(struct io_uring_sqe *sqe, struct uring *ring);
	/* Have memory known for READ_FIXED and WRITE_FIXED as buffer `slot`, or no longer if `size` is 0; on the ring's own
	 * thread. 0; -ENOMEM: too much to be pinned; another -errno. NULL, the member: this machine can't. */
	int (*register_buffer)(struct uring *ring, unsigned slot, void *memory, size_t size);
	/* In a forked child: drop what it has of its parent's ring, which goes on. NULL: nothing. */
	void (*forget)(struct uring *ring);
};

enum { URING_BUFFERS = 1024 }; /* slots for register_buffer */

/* user_data of an answer that comes from a bell, and of one that comes from listening for it: `listening` ends then. */
#define URING_BELL_ID    UINT64_C(1)
#define URING_EVENTFD_ID UINT64_C(2)

struct uring {
	struct io_uring_sqe *sqes;
	unsigned sq_tail; /* ours; published by enter */
	unsigned sq_mask;
	unsigned *sq_khead, *sq_ktail, *sq_kflags;

	struct io_uring_cqe *cqes;
	unsigned cq_mask;
	unsigned *cq_khead, *cq_ktail;

	bool listening;
	const struct uring_machine *machine;
	void *machine_state;
	uint64_t enters;
};

extern const struct uring_machine uring_kernel;
extern unsigned uring_naps; /* with ThreadSanitizer alone: how many wait for signals */

/* A ring for direct I/O on devices with poll queues (IORING_SETUP_IOPOLL): its answers are there when somebody looks, which
 * enter does; no interrupt makes them, so nobody waits on it, and nothing else can be asked of it. */
extern const struct uring_machine uring_kernel_polled;

/* 0 or -errno; sizes are cut, down to a few entries, where memory (RLIMIT_MEMLOCK) does not allow more. */
int uring_open(struct uring *ring, const struct uring_machine *machine, unsigned sq_entries, unsigned cq_entries);
void uring_close(struct uring *ring);

static inline unsigned uring_sq_entries(const struct uring *ring)
{
	return ring->sq_mask + 1;
}

static inline unsigned uring_cq_entries(const struct uring *ring)
{
	return ring->cq_mask + 1;
}

/* Requests written and not yet taken. */
static inline unsigned uring_unsubmitted(const struct uring *ring)
{
	return ring->sq_tail - __atomic_load_n(ring->sq_khead, __ATOMIC_ACQUIRE);
}

/* The next request to fill in, or NULL: full until the next enter. All of its 64 bytes are the caller's to set. */
static inline struct io_uring_sqe *uring_next(struct uring *ring)
{
	if (unlikely(uring_unsubmitted(ring) > ring->sq_mask))
		return NULL;
	return &ring->sqes[ring->sq_tail++ & ring->sq_mask];
}

static inline void uring_prepare(struct io_uring_sqe *sqe, unsigned opcode, int fd, const void *addr, unsigned len)
{
	memset(sqe, 0, sizeof *sqe);
	sqe->opcode = (uint8_t)opcode;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)addr;
	sqe->len = len;
}

/* Ask for poll(2)'s events. */
static inline void uring_prepare_poll(struct io_uring_sqe *sqe, int fd, unsigned events)
{
	uring_prepare(sqe, IORING_OP_POLL_ADD, fd, NULL, 0);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	events = events << 16 | events >> 16;
#endif
	sqe->poll32_events = events;
}

/* How many answers are there to be seen with uring_answer(0), (1) … and then dropped together. */
static inline unsigned uring_answers(const struct uring *ring)
{
	return __atomic_load_n(ring->cq_ktail, __ATOMIC_ACQUIRE) - *ring->cq_khead;
}

static inline const struct io_uring_cqe *uring_answer(const struct uring *ring, unsigned i)
{
	return &ring->cqes[(*ring->cq_khead + i) & ring->cq_mask];
}

static inline void uring_drop(struct uring *ring, unsigned count)
{
	__atomic_store_n(ring->cq_khead, *ring->cq_khead + count, __ATOMIC_RELEASE);
}

/* Answers wait inside the machine and want an enter to come out. */
static inline bool uring_withholds(const struct uring *ring)
{
	return __atomic_load_n(ring->sq_kflags, __ATOMIC_RELAXED) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static inline void uring_bell(struct uring *ring)
{
	ring->machine->bell(ring);
}

static inline int uring_register_buffer(struct uring *ring, unsigned slot, void *memory, size_t size)
{
	if (!ring->machine->register_buffer)
		return -EOPNOTSUPP;
	return ring->machine->register_buffer(ring, slot, memory, size);
}

static inline void uring_forget(struct uring *ring)
{
	if (ring->machine->forget)
		ring->machine->forget(ring);
}

static inline int uring_enter(struct uring *ring, bool wait, int64_t deadline)
{
	__atomic_store_n(ring->sq_ktail, ring->sq_tail, __ATOMIC_RELEASE);
	ring->enters++;
	return ring->machine->enter(ring, wait, deadline);
}

#endif
