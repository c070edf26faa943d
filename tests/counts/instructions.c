/* instructions - how many a switch of stacks takes, and a yield through the scheduler: counted by single steps, the
 * loop around them included. */
#include "counts.h"

#include "io/op.h"
#include "machine/context.h"

enum { SWITCHES = 1000, YIELDS = 30, FIBERS = 10 };

static struct context one, other;

static void go_back(void *arg)
{
	(void)arg;
	for (;;) /* ends with the last switch to it */
		context_switch(&other, &one);
}

static int switch_often(void *arg)
{
	static char stack[64 << 10] __attribute__((aligned(16)));

	(void)arg;
	context_make(&other, stack + sizeof stack, go_back, NULL);
	context_switch(&one, &other);
	counting_begin();
	for (int i = 0; i < SWITCHES / 2; i++)
		context_switch(&one, &other);
	counting_end();
	return 0;
}

TEST_TIMEOUT(a_switch_is_at_most_20_instructions, 60)
{
	COUNTS_MEAN_SOMETHING();
	count(INSTRUCTIONS, switch_often, NULL);
	fprintf(stderr, "%ld instructions a switch\n", tally->steps / SWITCHES);
	ck_assert_int_ge(tally->steps, 5 * SWITCHES);
	ck_assert_int_le(tally->steps, 20 * SWITCHES);
	counted();
}

static int yield_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < YIELDS + 10; i++)
		torc_yield();
	return 0;
}

static int yield_among_others(void *arg)
{
	(void)arg;
	TORC_SCOPE(scope);
	for (int i = 1; i < FIBERS; i++)
		ck_assert_int_eq(torc_go(scope, yield_often, NULL), 0);
	torc_yield();
	counting_begin();
	for (int i = 0; i < YIELDS; i++)
		torc_yield();
	counting_end();
	return torc_scope_join(scope);
}

/* The reactor's visit after each pass of ten included. */
TEST_TIMEOUT(a_yield_is_at_most_80_instructions, 60)
{
	COUNTS_MEAN_SOMETHING();
	count(INSTRUCTIONS, yield_among_others, NULL);
	fprintf(stderr, "%ld instructions a yield\n", tally->steps / (YIELDS * FIBERS));
	ck_assert_int_ge(tally->steps, 10 * YIELDS * FIBERS);
	ck_assert_int_le(tally->steps, 80 * YIELDS * FIBERS);
	counted();
}

/* arg: NULL, or that this is the one who begins and ends the count. */
static int nop_often(void *arg)
{
	struct torc_async handle;

	async_set(&handle, STDIN_FILENO, 0);
	for (int i = 0; i < YIELDS; i++) {
		struct io_uring_sqe *sqe;
		struct op op;

		MUST(op_begin(&op, &handle, SOURCE_NOP, &sqe, __func__) == 0);
		uring_prepare(sqe, IORING_OP_NOP, -1, NULL, 0);
		MUST(op_finish(&op, sqe) == 0);
		if (arg && i == 10)
			counting_begin();
		if (arg && i == YIELDS - 10)
			counting_end();
	}
	return 0;
}

static int nop_among_others(void *arg)
{
	bool count = !arg;

	TORC_SCOPE(scope);
	for (int i = 0; i < FIBERS; i++)
		MUST(torc_go(scope, nop_often, i == 0 ? &count : arg) == 0);
	return torc_scope_join(scope);
}

/* From the call until it is back with the answer: source, ring, map, switch, the reactor's share, waker, switch. */
TEST_TIMEOUT(an_operation_is_at_most_320_instructions, 60)
{
	const long ops = FIBERS * (YIELDS - 20);

	COUNTS_MEAN_SOMETHING();
	count(INSTRUCTIONS, nop_among_others, NULL);
	fprintf(stderr, "%ld instructions an operation\n", tally->steps / ops);
	ck_assert_int_ge(tally->steps, 50 * ops);
	ck_assert_int_le(tally->steps, (getenv("TORC_DISABLE") ? 360 : 320) * ops); /* fallbacks may cost a little */
	counted();
}

enum { CHECKS = 1000 };

static __attribute__((noinline)) bool check(void)
{
	return torc_need_yield();
}

static int check_often(void *arg)
{
	int asked = 0;

	(void)arg;
	counting_begin();
	for (int i = 0; i < CHECKS; i++)
		asked += check();
	counting_end();
	return asked < 0;
}

TEST_TIMEOUT(a_preempt_check_is_at_most_12_instructions, 60)
{
	const long overhead = 6; /* of the loop, the call and the return */

	COUNTS_MEAN_SOMETHING();
	count(INSTRUCTIONS, check_often, NULL);
	fprintf(stderr, "%ld instructions a check, loop and call included\n", tally->steps / CHECKS);
	ck_assert_int_le(tally->steps, (12 + overhead) * CHECKS);
	counted();
}
