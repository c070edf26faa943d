/* on_fake.h - an executor on the simulated machine and, with FAKE_CLOCK, on simulated time: a run that takes hours takes
 * no time, and is the same each time. */
#ifndef TESTS_ON_FAKE_H
#define TESTS_ON_FAKE_H

#include "executor/sleep.h"
#include "executor/spawn.h"
#include "io/op.h"
#include "machine/fake_uring.h"

#include <torc.h>

static struct fake_uring fake;
static struct executor fake_executor;
static const struct uring_machine *fake_polled; /* NULL: the kernel's */

struct fake_program {
	torc_fn *fn;
	void *arg;
	int result;
};

static int fake_main(void *arg)
{
	struct fake_program *program = arg;

	program->result = program->fn(program->arg);
	return 0;
}

/* What torc_run does, with rings of these sizes. The caller has set `fake` up. */
static inline int fake_run_sized(unsigned sq, unsigned cq, torc_fn *fn, void *arg)
{
	static const struct torc_scope_options lasting = { .size = sizeof lasting };
	struct executor_options options = {
		.name = "test",
		.stack_size = 64 << 10,
		.reactor = { .machine = &fake.machine,
		             .polled_machine = fake_polled,
		             .name = "test",
		             .sq_entries = sq,
		             .cq_entries = cq },
	};
	struct fake_program program = { fn, arg, 0 };
	struct scope root;
	int r = executor_open(&fake_executor, &options);

	if (r < 0)
		return r;
	scope_init(&root, &fake_executor, NULL, NULL, &lasting);
	root.live = 1;
	r = spawn_reserved(&fake_executor, &root, &(struct spawn){ fake_main, &program, 0, "the root fiber" });
	if (r == 0)
		executor_loop(&fake_executor);
	executor_close(&fake_executor);
	return r < 0 ? r : program.result;
}

static inline int fake_run(torc_fn *fn, void *arg)
{
	return fake_run_sized(16, 128, fn, arg);
}

/* One operation, as io does it: park until the machine answers. */
static inline int fake_op(struct torc_async *async, unsigned opcode, uint64_t mark)
{
	struct io_uring_sqe *sqe;
	struct op op;
	int r = op_begin(&op, async, SOURCE_READ, &sqe, __func__);

	if (r < 0)
		return r;
	uring_prepare(sqe, opcode, op_fd(&op), NULL, 0);
	sqe->off = mark;
	return op_finish(&op, sqe);
}

#endif
