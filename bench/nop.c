/*
 * nop: what does one operation cost when the kernel's own work is nothing?
 * A bare liburing loop fills the SQ with 1,000 NOPs, enters once and reaps them all.
 *
 * torc: as many fibers, each of which submits a NOP through the whole road of an operation (op, source, map, ring,
 * waker, task queue) and parks until it is answered.
 *
 * Needs: liburing, libtorc's internals.
 */
#include <liburing.h>
#include <unistd.h>

#include "io/op.h"

#include "fibers.h"

#define BATCH   1000u
#define BATCHES 200u
#define ROUNDS  51u

static void bare_open(struct io_uring *ring)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		         IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = 4096,
	};

	if (io_uring_queue_init_params(1024, ring, &params) < 0)
		bench_die("io_uring_queue_init_params failed");
	if (io_uring_register_ring_fd(ring) != 1)
		bench_die("io_uring_register_ring_fd failed");
}

/* one batch; returns how many were reaped */
static unsigned bare_batch(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;

	for (unsigned i = 0; i < BATCH; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data64(sqe, i);
	}
	if (io_uring_submit_and_wait(ring, BATCH) != (int)BATCH)
		bench_die("short submission");
	io_uring_for_each_cqe (ring, head, cqe) {
		if (cqe->res < 0)
			bench_die("a NOP failed");
		seen++;
	}
	io_uring_cq_advance(ring, seen);
	return seen;
}

static void bare_nops(struct bench_lap *lap, void *arg)
{
	struct io_uring *ring = arg;
	uint64_t ops = 0;

	bench_begin(lap);
	for (unsigned i = 0; i < BATCHES; i++)
		ops += bare_batch(ring);
	bench_end(lap, ops);
}

/* ---- torc: 1,000 fibers, each doing NOPs on a handle of its own, one after the other ---- */

static struct torc_async handles[BATCH];

static int nop(struct torc_async *handle)
{
	struct io_uring_sqe *sqe;
	struct op op;
	int r = op_begin(&op, handle, SOURCE_NOP, &sqe, __func__);

	if (r < 0)
		return r;
	uring_prepare(sqe, IORING_OP_NOP, -1, NULL, 0);
	return op_finish(&op, sqe);
}

static void nop_often(struct crowd *crowd, unsigned self)
{
	(void)crowd;
	for (unsigned i = 0; i < BATCHES; i++)
		if (nop(&handles[self]) < 0)
			bench_die("a NOP failed");
}

static void torc_nops(struct bench_lap *lap, void *arg)
{
	struct crowd crowd = {
		.count = BATCH,
		.body = nop_often,
		.ops = (uint64_t)BATCH * BATCHES,
		.ring_entries = 1024,
	};

	(void)arg;
	crowd_run(lap, &crowd);
}

int main(void)
{
	struct io_uring ring;

	bare_open(&ring);
	for (unsigned i = 0; i < BATCH; i++)
		async_set(&handles[i], STDIN_FILENO, 0);
	struct bench_contender contenders[] = {
		{ .name = "bare liburing", .run = bare_nops, .arg = &ring, .yardstick = true },
		{ .name = "torc", .run = torc_nops },
	};

	bench_interleave("nop: batches of 1,000 NOPs", contenders, sizeof contenders / sizeof *contenders, ROUNDS);
	io_uring_queue_exit(&ring);
	return 0;
}
