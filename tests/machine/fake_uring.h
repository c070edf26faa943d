/* fake_uring.h - a simulated machine: the two rings in plain memory, and behind them a kernel that does what the test
 * says, when the test says it, in any order. It stands where uring_kernel stands:
 *
 *	struct fake_uring fake;
 *
 *	fake_init(&fake);
 *	sleepable_ring_open(&ring, &fake.machine, "test", 8, 64);
 *	...                                          submit
 *	sleepable_ring_turn(&ring, false, INT64_MAX);  now the kernel holds it
 *	fake_answer(&fake, 0, 42, 0);                  oldest request: 42
 *
 * What a real kernel would call an error of ours (a wait that nothing can end) aborts the test. With FAKE_CLOCK defined
 * the executable's clock is fake_now, which moves on when the machine waits, and only then. */
#ifndef TESTS_FAKE_URING_H
#define TESTS_FAKE_URING_H

#include "machine/clock.h"
#include "machine/uring.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct fake_uring {
	struct uring_machine machine;
	struct uring *ring; /* while open */

	/* The kernel's side of the rings. */
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	unsigned sq_khead, sq_ktail, sq_kflags, cq_khead, cq_ktail;

	/* Requests taken and not answered, oldest first. */
	struct io_uring_sqe *held;
	unsigned held_count, held_size;

	/* Answers made that are not in the completion queue: withheld, or it was full. */
	struct io_uring_cqe *inside;
	unsigned inside_count, inside_size;

	/* Orders. */
	unsigned open_refusals;                 /* the next opens fail with -ENOMEM                       */
	unsigned open_most;                     /* so do those of more submission entries; 0: none */
	int refusal;                            /* what refused enters return: -EAGAIN, -EBUSY            */
	unsigned refusals;                      /* how many of the next enters are refused                */
	unsigned spurious;                      /* how many of the next waits end for no reason           */
	bool withhold;                          /* answers come out at an enter only, as with task work   */
	bool nops;                              /* NOP and CLOSE are answered with 0 as they are taken    */
	bool obeys;                             /* a cancel request ends its target as it is taken        */
	bool bells_by_request;                  /* another ring's request can ring the bell of this one   */
	bool target_first;                      /* then the target's answer comes before the cancel's own */
	void (*world)(struct fake_uring *fake); /* a wait found nothing: make something happen */
	void *world_arg;

	/* What was seen. */
	unsigned opens, closes, enters, waits, bells, taken, cancels_taken, held_most, unread_most;
	int64_t deadline; /* of the last wait */
};

static int64_t fake_now __attribute__((unused)) = INT64_C(1000000000000);

static int64_t fake_wall __attribute__((unused)); /* what the time of day is ahead of that */

#ifdef FAKE_CLOCK
/* All of machine/clock.h, so that this is linked instead of the library's. */
int64_t clock_now(void)
{
	return fake_now;
}

int64_t clock_wall(void)
{
	return fake_now + fake_wall;
}

void clock_pause(int64_t ns)
{
	fake_now += ns;
}
#endif

__attribute__((noreturn)) static inline void fake_abort(const char *why)
{
	fprintf(stderr, "fake_uring: %s\n", why);
	abort();
}

static inline unsigned fake_unread(const struct fake_uring *fake)
{
	return fake->cq_ktail - fake->cq_khead;
}

static inline void fake_flags(struct fake_uring *fake)
{
	unsigned flags = 0;

	if (fake->inside_count > 0)
		flags = fake->withhold ? IORING_SQ_TASKRUN : IORING_SQ_CQ_OVERFLOW;
	__atomic_store_n(&fake->sq_kflags, flags, __ATOMIC_RELAXED);
}

static inline void fake_put(struct fake_uring *fake, const struct io_uring_cqe *cqe)
{
	memcpy(&fake->cqes[fake->cq_ktail & fake->ring->cq_mask], cqe, sizeof *cqe);
	__atomic_store_n(&fake->cq_ktail, fake->cq_ktail + 1, __ATOMIC_RELEASE);
	if (fake_unread(fake) > fake->unread_most)
		fake->unread_most = fake_unread(fake);
}

/* An answer from the kernel, to a request or out of the blue. */
static inline void fake_post(struct fake_uring *fake, uint64_t user_data, int result, unsigned flags)
{
	struct io_uring_cqe cqe;

	memset(&cqe, 0, sizeof cqe);
	cqe.user_data = user_data;
	cqe.res = result;
	cqe.flags = flags;
	if (!fake->withhold && fake->inside_count == 0 && fake_unread(fake) <= fake->ring->cq_mask) {
		fake_put(fake, &cqe);
		return;
	}
	if (fake->inside_count == fake->inside_size) {
		fake->inside_size = 2 * fake->inside_size + 16;
		fake->inside = realloc(fake->inside, fake->inside_size * sizeof *fake->inside);
	}
	memcpy(&fake->inside[fake->inside_count++], &cqe, sizeof cqe);
	fake_flags(fake);
}

/* Let out what is inside, as far as there is room. */
static inline void fake_release(struct fake_uring *fake)
{
	unsigned n = 0;

	while (n < fake->inside_count && fake_unread(fake) <= fake->ring->cq_mask)
		fake_put(fake, &fake->inside[n++]);
	fake->inside_count -= n;
	if (n > 0 && fake->inside_count > 0)
		memmove(fake->inside, fake->inside + n, fake->inside_count * sizeof *fake->inside);
	fake_flags(fake);
}

/* Answer the request held at `index`, oldest first. IORING_CQE_F_MORE keeps it held. */
static inline void fake_answer(struct fake_uring *fake, unsigned index, int result, unsigned flags)
{
	uint64_t user_data;

	if (index >= fake->held_count)
		fake_abort("no such request is held");
	user_data = fake->held[index].user_data;
	if (!(flags & IORING_CQE_F_MORE)) {
		fake->held_count--;
		memmove(&fake->held[index], &fake->held[index + 1], (fake->held_count - index) * sizeof *fake->held);
	}
	fake_post(fake, user_data, result, flags);
}

/* The first request held with this user_data, or with this opcode; -1: none. */
static inline int fake_find(const struct fake_uring *fake, uint64_t user_data)
{
	for (unsigned i = 0; i < fake->held_count; i++)
		if (fake->held[i].user_data == user_data)
			return (int)i;
	return -1;
}

static inline int fake_find_opcode(const struct fake_uring *fake, unsigned opcode)
{
	for (unsigned i = 0; i < fake->held_count; i++)
		if (fake->held[i].opcode == opcode)
			return (int)i;
	return -1;
}

static inline void fake_obey(struct fake_uring *fake, const struct io_uring_sqe *cancel)
{
	int target = fake_find(fake, cancel->addr);

	if (target >= 0 && fake->target_first)
		fake_answer(fake, (unsigned)target, -ECANCELED, 0);
	fake_post(fake, cancel->user_data, target >= 0 ? 0 : -ENOENT, 0);
	if (target >= 0 && !fake->target_first)
		fake_answer(fake, (unsigned)target, -ECANCELED, 0);
}

static inline void fake_take(struct fake_uring *fake, const struct io_uring_sqe *sqe)
{
	fake->taken++;
	fake->cancels_taken += sqe->opcode == IORING_OP_ASYNC_CANCEL;
	if (fake->nops && (sqe->opcode == IORING_OP_NOP || sqe->opcode == IORING_OP_CLOSE)) {
		fake_post(fake, sqe->user_data, 0, 0);
		return;
	}
	if (fake->obeys && sqe->opcode == IORING_OP_ASYNC_CANCEL) {
		fake_obey(fake, sqe);
		return;
	}
	if (fake->held_count == fake->held_size) {
		fake->held_size = 2 * fake->held_size + 16;
		fake->held = realloc(fake->held, fake->held_size * sizeof *fake->held);
	}
	memcpy(&fake->held[fake->held_count++], sqe, sizeof *sqe);
	if (fake->held_count > fake->held_most)
		fake->held_most = fake->held_count;
}

static inline void fake_wait(struct fake_uring *fake, int64_t deadline)
{
	fake->waits++;
	fake->deadline = deadline;
	if (fake_unread(fake) > 0)
		return;
	if (fake->spurious > 0) {
		fake->spurious--;
		return;
	}
	if (fake->world)
		fake->world(fake);
	fake_release(fake);
	if (fake_unread(fake) > 0 || fake->world)
		return;
	if (deadline == INT64_MAX)
		fake_abort("this wait would never end");
#ifdef FAKE_CLOCK
	if (fake_now < deadline)
		fake_now = deadline;
#else
	while (clock_now() < deadline)
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
#endif
}

static int fake_enter(struct uring *ring, bool wait, int64_t deadline)
{
	struct fake_uring *fake = ring->machine_state;

	fake->enters++;
	if (fake->refusals > 0) {
		fake->refusals--;
		return fake->refusal;
	}
	while (fake->sq_khead != fake->sq_ktail) {
		struct io_uring_sqe sqe;

		/* The slot may be written anew from here on: what is not copied now would be lost. */
		memcpy(&sqe, &fake->sqes[fake->sq_khead & ring->sq_mask], sizeof sqe);
		memset(&fake->sqes[fake->sq_khead & ring->sq_mask], 0xa5, sizeof sqe);
		__atomic_store_n(&fake->sq_khead, fake->sq_khead + 1, __ATOMIC_RELEASE);
		fake_take(fake, &sqe);
	}
	fake_release(fake);
	if (wait)
		fake_wait(fake, deadline);
	return 0;
}

static int fake_open(struct uring *ring, unsigned sq_entries, unsigned cq_entries)
{
	struct fake_uring *fake = container_of(ring->machine, struct fake_uring, machine);

	fake->opens++;
	if (fake->open_refusals > 0) {
		fake->open_refusals--;
		return -ENOMEM;
	}
	if (fake->open_most && sq_entries > fake->open_most)
		return -ENOMEM;
	fake->ring = ring;
	fake->sqes = calloc(sq_entries, sizeof *fake->sqes);
	fake->cqes = calloc(cq_entries, sizeof *fake->cqes);
	/* Near the end of their range, so that every test sees them wrap. */
	fake->sq_khead = fake->sq_ktail = 0u - 2 * sq_entries;
	fake->cq_khead = fake->cq_ktail = 0u - 2 * cq_entries;
	fake->sq_kflags = 0;

	ring->machine_state = fake;
	ring->sqes = fake->sqes;
	ring->sq_mask = sq_entries - 1;
	ring->sq_tail = fake->sq_ktail;
	ring->sq_khead = &fake->sq_khead;
	ring->sq_ktail = &fake->sq_ktail;
	ring->sq_kflags = &fake->sq_kflags;
	ring->cqes = fake->cqes;
	ring->cq_mask = cq_entries - 1;
	ring->cq_khead = &fake->cq_khead;
	ring->cq_ktail = &fake->cq_ktail;
	return 0;
}

static void fake_close(struct uring *ring)
{
	struct fake_uring *fake = ring->machine_state;

	fake->closes++;
	fake->ring = NULL;
	free(fake->sqes);
	free(fake->cqes);
	free(fake->held);
	free(fake->inside);
	fake->sqes = NULL;
	fake->cqes = NULL;
	fake->held = NULL;
	fake->inside = NULL;
	fake->held_count = fake->held_size = fake->inside_count = fake->inside_size = 0;
}

/* On the thread of the machine itself: a test has no other. */
static void fake_bell(struct uring *ring)
{
	struct fake_uring *fake = ring->machine_state;

	fake->bells++;
	fake_post(fake, URING_BELL_ID, 0, 0);
}

static bool fake_bell_request(struct io_uring_sqe *sqe, struct uring *ring)
{
	const struct fake_uring *fake = ring->machine_state;

	if (!fake->bells_by_request)
		return false;
	uring_prepare(sqe, IORING_OP_MSG_RING, 0, NULL, 0);
	sqe->off = URING_BELL_ID;
	return true;
}

/* A kernel that takes everything and answers nothing by itself. */
static inline void fake_init(struct fake_uring *fake)
{
	memset(fake, 0, sizeof *fake);
	fake->machine = (struct uring_machine){ .name = "fake",
		                                .open = fake_open,
		                                .enter = fake_enter,
		                                .close = fake_close,
		                                .bell = fake_bell,
		                                .bell_request = fake_bell_request };
}

#endif
