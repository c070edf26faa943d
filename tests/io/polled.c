/* polled - direct I/O on a device with poll queues goes by the second ring: the executor looks instead of sleeping. Both
 * rings are simulated ones. */
#define FAKE_CLOCK
#include "executor/on_fake.h"
#include "harness.h"
#include "io/device.h"

#include <stdlib.h>
#include <string.h>

enum { DEV = 0x801, BLOCK = 4096, MOST = 2000 };

static struct torc_async handle;
static struct fake_uring polled;
static unsigned looks, looks_needed; /* an answer is there at every so-many-th look */
static int answer;
static int results[MOST];

static int look(struct uring *ring, bool wait, int64_t deadline)
{
	int r = fake_enter(ring, false, deadline);

	ck_assert(!wait);
	fake_now += 1000;
	looks++;
	if (polled.held_count > 0 && looks % looks_needed == 0) {
		fake_answer(&polled, 0, answer, 0);
		fake_release(&polled);
	}
	return r;
}

static void begin(void)
{
	fake_init(&fake);
	fake.nops = true;
	fake_init(&polled);
	polled.machine.enter = look;
	fake_polled = &polled.machine;
	async_set(&handle, 1000, 0);
	looks = 0;
	looks_needed = 3;
	answer = BLOCK;
	for (int i = 0; i < MOST; i++)
		results[i] = 0x5e7;
}

static int io(bool *went_polled)
{
	struct io_uring_sqe *sqe;
	struct device_io request;
	int r = device_begin(&request, DEV, &handle, SOURCE_READ, BLOCK, &sqe, __func__);

	if (r < 0)
		return r;
	*went_polled = request.polled;
	uring_prepare(sqe, request.polled ? IORING_OP_READ : IORING_OP_NOP, op_fd(&request.op), NULL, 0);
	return device_finish(&request, sqe);
}

static void have_poll_queues(void)
{
	device_get(&fake_executor, DEV)->polls = true;
}

static int reader(void *arg)
{
	bool went_polled;

	results[(uintptr_t)arg] = io(&went_polled);
	return 0;
}

static void go(struct torc_scope *scope, uintptr_t from, uintptr_t to)
{
	for (uintptr_t i = from; i < to; i++)
		ck_assert_int_eq(torc_go(scope, reader, (void *)i), 0);
}

static int reads(void *arg)
{
	(void)arg;
	have_poll_queues();
	{
		TORC_SCOPE(all);
		go(all, 0, 20);
		ck_assert_int_eq(torc_sleep(10 * TORC_US), 0); /* timers go on */
		ck_assert_uint_gt(polled.held_count, 0);
		ck_assert_int_eq(torc_scope_join(all), 0);
	}
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(results[i], BLOCK);
	ck_assert_uint_eq(fake.waits, 0);
	ck_assert_uint_ge(looks, 60);
	ck_assert_uint_eq(polled.taken, 20);
	device_close_all(&fake_executor);
	return 0;
}

TEST(the_executor_looks_instead_of_sleeping)
{
	begin();
	ck_assert_int_eq(fake_run(reads, NULL), 0);
	ck_assert_uint_eq(polled.opens, 1);
	ck_assert_uint_eq(polled.closes, 1);
}

static int nothing(void *arg)
{
	(void)arg;
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	return 0;
}

TEST(no_second_ring_is_made_that_nobody_needs)
{
	begin();
	ck_assert_int_eq(fake_run(nothing, NULL), 0);
	ck_assert_uint_eq(polled.opens, 0);
}

/* What the device has can't be cancelled, and what waits for room in the ring can. */
static int cancels(void *arg)
{
	int got = 0, cut = 0;

	(void)arg;
	have_poll_queues();
	looks_needed = 1;
	{
		TORC_SCOPE(all);
		go(all, 0, MOST);
		torc_yield();
		torc_scope_cancel(all);
		ck_assert_int_eq(torc_scope_join(all), 0);
	}
	for (int i = 0; i < MOST; i++) {
		got += results[i] == BLOCK;
		cut += results[i] == -ECANCELED;
	}
	ck_assert_int_eq(got + cut, MOST);
	ck_assert_int_gt(got, 0);
	ck_assert_int_gt(cut, 0);
	ck_assert_uint_eq(polled.cancels_taken, 0);
	ck_assert_uint_eq(polled.held_count, 0);
	device_close_all(&fake_executor);
	return 0;
}

TEST(only_what_waits_for_room_can_be_cancelled)
{
	begin();
	ck_assert_int_eq(fake_run(cancels, NULL), 0);
}

static int closes(void *arg)
{
	(void)arg;
	have_poll_queues();
	{
		TORC_SCOPE(all);
		go(all, 0, 5);
		torc_yield();
		ck_assert_int_eq(torc_async_close(&handle), 0);
		ck_assert_int_eq(torc_scope_join(all), 0);
	}
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(results[i], BLOCK);
	device_close_all(&fake_executor);
	return 0;
}

TEST(close_waits_for_what_the_device_has)
{
	begin();
	ck_assert_int_eq(fake_run(closes, NULL), 0);
}

static int refused(void *arg)
{
	bool went_polled;

	(void)arg;
	have_poll_queues();
	answer = -EOPNOTSUPP;
	ck_assert_int_eq(io(&went_polled), -EOPNOTSUPP);
	ck_assert(went_polled);
	ck_assert_int_eq(io(&went_polled), 0);
	ck_assert(!went_polled);
	device_close_all(&fake_executor);
	return 0;
}

TEST(a_device_that_refuses_is_not_asked_again)
{
	begin();
	ck_assert_int_eq(fake_run(refused, NULL), 0);
}

static int no_ring(void *arg)
{
	bool went_polled;

	(void)arg;
	have_poll_queues();
	polled.open_refusals = 1000;
	ck_assert_int_eq(io(&went_polled), 0);
	ck_assert(!went_polled);
	device_close_all(&fake_executor);
	return 0;
}

TEST(without_a_second_ring_the_first_does_it)
{
	begin();
	ck_assert_int_eq(fake_run(no_ring, NULL), 0);
}

/* --- the kernel's ------------------------------------------------------------------------------------------- */

TEST(disks_are_found)
{
	struct torc_probe_device devices[64];
	int count = torc_probe_devices(devices, 64);

	ck_assert_int_ge(count, 0);
	ck_assert_int_eq(torc_probe_devices(NULL, 0), count);
	for (int i = 0; i < count && i < 64; i++)
		ck_assert_uint_gt(strlen(devices[i].name), 0);
}
