/* op.c - operations on a handle that is closed, cancelled, or answered meanwhile. On a simulated machine, but for the
 * last. */
#include "executor/on_fake.h"
#include "harness.h"

#include <torc/probe.h>

#include <stdlib.h>
#include <unistd.h>

enum { UNSET = 0x5e7 };

static struct torc_async handle;
static int results[8], order[16], order_count;

static void begin(void)
{
	fake_init(&fake);
	fake.nops = true;
	async_set(&handle, 1000, 0);
	for (int i = 0; i < 8; i++)
		results[i] = UNSET;
	order_count = 0;
}

static int reader(void *arg)
{
	results[(uintptr_t)arg] = fake_op(&handle, IORING_OP_READ, (uintptr_t)arg);
	order[order_count++] = (int)(uintptr_t)arg;
	return 0;
}

static int closer(void *arg)
{
	results[(uintptr_t)arg] = torc_async_close(&handle);
	order[order_count++] = (int)(uintptr_t)arg;
	return 0;
}

static void go(struct torc_scope *scope, torc_fn *fn, uintptr_t arg)
{
	ck_assert_int_eq(torc_go(scope, fn, (void *)arg), 0);
}

static int closes_under_three(void *arg)
{
	(void)arg;
	TORC_SCOPE(all);
	for (uintptr_t i = 0; i < 3; i++)
		go(all, reader, i);
	torc_yield();
	ck_assert_ptr_nonnull(handle.busy_);
	go(all, closer, 3);
	ck_assert_int_eq(torc_scope_join(all), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(results[i], -EBADF);
	ck_assert_int_eq(results[3], 0);
	ck_assert_int_eq(order[3], 3); /* close is the last to return */
	ck_assert(async_empty(&handle));
	ck_assert_int_eq(fake_op(&handle, IORING_OP_READ, 0), -EBADF);
	return 0;
}

TEST(closing_wakes_all_who_are_parked_and_waits_for_them)
{
	for (int first = 0; first < 2; first++) {
		begin();
		fake.obeys = true;
		fake.target_first = first;
		ck_assert_int_eq(fake_run(closes_under_three, NULL), 0);
		ck_assert_uint_eq(fake.cancels_taken, 3);
	}
}

static int closes_twice(void *arg)
{
	(void)arg;
	TORC_SCOPE(all);
	go(all, reader, 0);
	torc_yield();
	go(all, closer, 1);
	go(all, closer, 2);
	go(all, reader, 3);
	ck_assert_int_eq(torc_scope_join(all), 0);
	ck_assert_int_eq(results[0], -EBADF);
	ck_assert_int_eq(results[1], 0);
	ck_assert_int_eq(results[2], 0);
	ck_assert_int_eq(results[3], -EBADF);
	ck_assert_int_eq(order[0], 2); /* somebody closes already: at once */
	ck_assert_int_eq(order[1], 3);
	ck_assert_int_eq(order[3], 1);
	return 0;
}

TEST(while_a_handle_is_being_closed_a_second_close_and_new_operations_return_at_once)
{
	begin();
	fake.obeys = true;
	ck_assert_int_eq(fake_run(closes_twice, NULL), 0);
}

/* Everything held is done, whatever has been asked meanwhile; cancellations come too late. */
static void too_late(struct fake_uring *machine)
{
	while (machine->held_count > 0)
		fake_answer(machine, 0, machine->held[0].opcode == IORING_OP_ASYNC_CANCEL ? -ENOENT : 42, 0);
}

static int closes_too_late(void *arg)
{
	(void)arg;
	TORC_SCOPE(all);
	go(all, reader, 0);
	go(all, reader, 1);
	torc_yield();
	go(all, closer, 2);
	ck_assert_int_eq(torc_scope_join(all), 0);
	ck_assert_int_eq(results[0], 42);
	ck_assert_int_eq(results[1], 42);
	ck_assert_int_eq(results[2], 0);
	return 0;
}

TEST(a_result_that_was_in_time_is_returned_though_the_handle_is_closed)
{
	begin();
	fake.world = too_late;
	ck_assert_int_eq(fake_run(closes_too_late, NULL), 0);
}

static int cancels_too_late(void *arg)
{
	(void)arg;
	TORC_SCOPE(all);
	go(all, reader, 0);
	torc_yield();
	torc_scope_cancel(all);
	ck_assert_int_eq(torc_scope_join(all), 0);
	ck_assert_int_eq(results[0], 42);
	return 0;
}

TEST(a_result_that_was_in_time_is_returned_though_the_scope_is_cancelled)
{
	begin();
	fake.world = too_late;
	ck_assert_int_eq(fake_run(cancels_too_late, NULL), 0);
}

static int closes_while_waiting_for_room(void *arg)
{
	struct torc_async others;

	(void)arg;
	async_set(&others, 1001, 0);
	TORC_SCOPE(all);
	for (uintptr_t i = 0; i < 6; i++)
		go(all, reader, i);
	torc_yield();
	ck_assert_uint_gt(fake_executor.reactor.ring.queue.count, 0);
	ck_assert_int_eq(torc_async_close(&handle), 0);
	ck_assert_int_eq(torc_scope_join(all), 0);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(results[i], -EBADF);
	return 0;
}

TEST(closing_also_ends_operations_that_wait_for_room_in_the_ring)
{
	begin();
	fake.obeys = true;
	ck_assert_int_eq(fake_run_sized(1, 8, closes_while_waiting_for_room, NULL), 0);
}

static int closes_when_cancelled(void *arg)
{
	(void)arg;
	TORC_SCOPE(all);
	go(all, reader, 0);
	torc_yield();
	go(all, closer, 1);
	torc_yield();
	torc_scope_cancel(all); /* while close waits for the reader */
	ck_assert_int_eq(torc_scope_join(all), 0);
	ck_assert_int_eq(results[0], -EBADF);
	ck_assert_int_eq(results[1], 0);
	return 0;
}

TEST(close_is_never_cancelled)
{
	begin();
	fake.obeys = true;
	ck_assert_int_eq(fake_run(closes_when_cancelled, NULL), 0);
}

static int refuses(void *arg)
{
	(void)arg;
	TORC_SCOPE(all);
	torc_scope_cancel(all);
	ck_assert_int_eq(fake_op(&handle, IORING_OP_NOP, 0), -ECANCELED);
	ck_assert_uint_eq(fake.taken, 0);
	ck_assert_ptr_null(handle.busy_);
	return 0;
}

TEST(in_a_cancelled_scope_nothing_is_submitted)
{
	begin();
	ck_assert_int_eq(fake_run(refuses, NULL), 0);
}

static int unwraps(void *arg)
{
	int ends[2];

	(void)arg;
	ck_assert_int_eq(pipe(ends), 0);
	TORC_SCOPE(all);
	ck_assert_int_eq(torc_async_wrap(&handle, ends[0]), 0);
	go(all, reader, 0);
	torc_yield();
	ck_assert_int_eq(torc_async_unwrap(&handle), ends[0]);
	ck_assert_int_eq(results[0], -EBADF);
	ck_assert(async_empty(&handle));
	close(ends[0]);
	close(ends[1]);
	return torc_scope_join(all);
}

TEST(unwrapping_waits_for_those_inside_as_well)
{
	begin();
	fake.obeys = true;
	ck_assert_int_eq(fake_run(unwraps, NULL), 0);
}

/* --- on the real machine --------------------------------------------------------------------- */

static int pipe_ends[2];
static bool readable;

static int wait_for_pipe(void *arg)
{
	struct torc_async async;

	(void)arg;
	async_set(&async, pipe_ends[0], 0);
	ck_assert_int_eq(torc_async_readable(&async), 0);
	readable = true;
	return 0;
}

static int spin_until_readable(void *arg)
{
	torc_ns limit = torc_in(2 * TORC_SEC);

	(void)arg;
	ck_assert_int_eq(pipe(pipe_ends), 0);
	TORC_SCOPE(all);
	go(all, wait_for_pipe, 0);
	torc_yield();
	torc_yield();
	ck_assert_int_eq((int)write(pipe_ends[1], "x", 1), 1);
	while (!readable && torc_now() < limit)
		torc_yield();
	ck_assert_msg(readable, "fibers that only yield keep completions out");
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	return torc_scope_join(all);
}

static void spin_without(const char *features)
{
	if (features)
		setenv("TORC_DISABLE", features, 1);
	if (torc_probe(NULL, 0) < 0)
		SKIP("no io_uring here");
	ck_assert_int_eq(torc_run(NULL, spin_until_readable, NULL), 0);
}

TEST(fibers_that_only_yield_do_not_keep_completions_out)
{
	spin_without(NULL);
}

TEST(nor_without_the_flag_that_tells_of_them)
{
	spin_without("taskrun_flag");
}

TEST(nor_without_deferred_task_work)
{
	spin_without("defer_taskrun");
}

TEST(nor_without_deferred_task_work_and_the_flag)
{
	spin_without("defer_taskrun,taskrun_flag");
}

TEST(nor_without_any_feature)
{
	spin_without("all");
}
