/* device.c - turns at a device: who goes next, who need not wait, who gives up. On a simulated machine and in simulated
 * time, in which a device of one request a millisecond is easily had. */
#define FAKE_CLOCK
#include "base/random.h"
#include "executor/on_fake.h"
#include "executor/queue.h"
#include "harness.h"
#include "io/device.h"

#include <stdlib.h>
#include <string.h>

enum { DEV = 0x801, OTHER = 0x802, BLOCK = 4096, MOST = 64 };

static struct torc_async handle;
static uint64_t served[4]; /* by who asked */
static unsigned held_most;
static int64_t service_ns; /* how long the device takes for a request; it serves one after the other */
static bool stop;

/* The device: a wait is over when it has served the oldest. */
static void serve(struct fake_uring *machine)
{
	fake_now += service_ns;
	if (machine->held_count > held_most)
		held_most = machine->held_count;
	if (machine->held_count > 0)
		fake_answer(machine, 0, BLOCK, 0);
}

static void begin(void)
{
	fake_init(&fake);
	fake.nops = true;
	fake.obeys = true;
	fake.world = serve;
	async_set(&handle, 1000, 0);
	memset(served, 0, sizeof served);
	held_most = 0;
	service_ns = 1000000;
	stop = false;
}

static int io(uint64_t dev, enum source_type type, size_t len)
{
	struct io_uring_sqe *sqe;
	struct device_io request;
	int r = device_begin(&request, dev, &handle, type, len, &sqe, __func__);

	if (r < 0)
		return r;
	uring_prepare(sqe, IORING_OP_READ, op_fd(&request.op), NULL, 0);
	return device_finish(&request, sqe);
}

static int reader(void *arg)
{
	uintptr_t who = (uintptr_t)arg;

	while (!stop) {
		int r = io(DEV, SOURCE_READ, BLOCK);

		if (r < 0)
			return r;
		served[who]++;
	}
	return 0;
}

static struct torc_queue *new_queue(unsigned shares, torc_ns latency)
{
	struct torc_queue *queue;

	ck_assert_int_eq(torc_queue_new(&queue, TORC_OPTIONS(torc_queue_options, .shares = shares, .latency = latency)),
	                 0);
	return queue;
}

static void hire(struct torc_scope *scope, unsigned count, uintptr_t who)
{
	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(torc_go(scope, reader, (void *)who), 0);
}

static struct torc_device_stats stats(void)
{
	struct torc_device_stats now = { .size = sizeof now };

	ck_assert_int_eq(torc_device_stats_get(&now, DEV), 0);
	return now;
}

static void run(torc_fn *fn)
{
	begin();
	ck_assert_int_eq(fake_run_sized(64, 512, fn, NULL), 0);
}

/* What torc_run does at its end, for the executor of on_fake. */
static void tidy(void)
{
	device_close_all(&fake_executor);
	queue_free_all(&fake_executor);
}

static int one_alone(void *arg)
{
	(void)arg;
	{
		TORC_SCOPE(all);
		hire(all, 50, 0);
		ck_assert_int_eq(torc_sleep(20 * TORC_MS), 0);
		stop = true;
		ck_assert_uint_eq(stats().in_flight, 50);
		ck_assert_uint_eq(stats().bytes_in_flight, 50 * BLOCK);
		ck_assert_int_eq(stats().limit, 0);
	}
	ck_assert_uint_eq(held_most, 50);
	ck_assert_uint_eq(stats().in_flight, 0);
	ck_assert_uint_eq(stats().waits, 0);
	ck_assert_uint_eq(stats().reads, served[0] + 50); /* those that the end of the scope cancelled */
	ck_assert_uint_eq(stats().read_bytes, stats().reads * BLOCK);
	ck_assert_uint_eq(stats().writes, 0);
	tidy();
	return 0;
}

TEST(who_is_alone_is_not_limited)
{
	run(one_alone);
}

/* What part of the device the first of two queues has. */
static void divide(unsigned a, unsigned fibers_of_a, unsigned b, unsigned fibers_of_b)
{
	struct torc_queue *queues[2] = { new_queue(a, 0), new_queue(b, 0) };
	double part;

	{
		TORC_SCOPE(first, .queue = queues[0]);
		TORC_SCOPE(second, .queue = queues[1]);
		hire(first, fibers_of_a, 0);
		hire(second, fibers_of_b, 1);
		ck_assert_int_eq(torc_sleep(500 * TORC_MS), 0);
		served[0] = served[1] = 0;
		ck_assert_int_eq(torc_sleep(5 * TORC_SEC), 0);
		part = (double)served[0] / (double)(served[0] + served[1]);
		ck_assert_double_eq_tol(part, (double)a / (a + b), 0.02);
		ck_assert_int_gt(stats().limit, 0);
		ck_assert_uint_gt(stats().waiting, 0);
		ck_assert_int_gt(stats().waited, 0);
		stop = true;
	}
	for (int i = 0; i < 2; i++) {
		struct torc_queue_io io_of = { .size = sizeof io_of };

		ck_assert_int_eq(torc_queue_io_get(&io_of, queues[i]), 0);
		ck_assert_uint_gt(io_of.reads, served[i]);
		ck_assert_uint_eq(io_of.read_bytes, io_of.reads * BLOCK);
		ck_assert_uint_gt(io_of.waits, 0);
		ck_assert_int_gt(io_of.waited, 0);
		ck_assert_int_eq(torc_queue_free(queues[i]), 0);
	}
	ck_assert_uint_ge(stats().reads, served[0] + served[1]); /* what a queue that is gone did still counts */
	tidy();
}

static int halves(void *arg)
{
	(void)arg;
	divide(100, 40, 100, 40);
	return 0;
}

static int however_many(void *arg)
{
	(void)arg;
	divide(100, 30, 100, 90);
	return 0;
}

static int four_to_one(void *arg)
{
	(void)arg;
	divide(400, 40, 100, 40);
	return 0;
}

static int fifty_to_one(void *arg)
{
	(void)arg;
	divide(1000, 60, 20, 60);
	return 0;
}

TEST(shares_divide_the_device)
{
	run(halves);
	run(however_many);
	run(four_to_one);
	run(fifty_to_one);
}

static int shares_change(void *arg)
{
	struct torc_queue *queues[2] = { new_queue(100, 0), new_queue(100, 0) };

	(void)arg;
	{
		TORC_SCOPE(first, .queue = queues[0]);
		TORC_SCOPE(second, .queue = queues[1]);
		hire(first, 40, 0);
		hire(second, 40, 1);
		ck_assert_int_eq(torc_sleep(500 * TORC_MS), 0);
		ck_assert_int_eq(torc_queue_set_shares(queues[0], 900), 0);
		ck_assert_int_eq(torc_sleep(500 * TORC_MS), 0);
		served[0] = served[1] = 0;
		ck_assert_int_eq(torc_sleep(5 * TORC_SEC), 0);
		ck_assert_double_eq_tol((double)served[0] / (double)(served[0] + served[1]), 0.9, 0.03);
		stop = true;
	}
	tidy();
	return 0;
}

TEST(new_shares_take_effect)
{
	run(shares_change);
}

struct visit {
	torc_ns longest;
	int count;
};

static int visit(void *arg)
{
	struct visit *visit = arg;

	visit->longest = 0;
	for (int i = 0; i < visit->count; i++) {
		torc_ns before = torc_now();

		ck_assert_int_eq(io(DEV, SOURCE_READ, BLOCK), BLOCK);
		if (i > 20 && torc_now() - before > visit->longest) /* first the device's queue has to shrink */
			visit->longest = torc_now() - before;
		ck_assert_int_eq(torc_sleep(5 * TORC_MS), 0);
	}
	return 0;
}

/* How long one who comes now and then waits beside 60 who always do. */
static torc_ns visit_beside_a_crowd(unsigned shares, torc_ns latency)
{
	struct torc_queue *crowd = new_queue(100, 0), *few = new_queue(shares, latency);
	struct visit guest = { .count = 200 };

	service_ns = 100000;
	{
		TORC_SCOPE(first, .queue = crowd);
		TORC_SCOPE(second, .queue = few);
		hire(first, 60, 0);
		ck_assert_int_eq(torc_sleep(100 * TORC_MS), 0);
		ck_assert_int_eq(torc_go(second, visit, &guest), 0);
		ck_assert_int_eq(torc_scope_join(second), 0);
		stop = true;
	}
	tidy();
	return guest.longest;
}

static int guests(void *arg)
{
	torc_ns plain = visit_beside_a_crowd(100, 0), urgent;

	(void)arg;
	stop = false;
	urgent = visit_beside_a_crowd(1000, 100 * TORC_US);
	ck_assert_int_le(plain, 6 * TORC_MS / 2); /* all 60 before it would be 6 ms */
	ck_assert_int_le(urgent, 6 * TORC_MS / 2);
	return 0;
}

TEST(a_guest_waits_for_what_is_in_flight_at_most)
{
	run(guests);
}

/* Beyond its shares a latency-bound queue waits like any other: it cannot starve the rest. */
static int greedy(void *arg)
{
	struct torc_queue *queues[2] = { new_queue(100, 50 * TORC_US), new_queue(100, 0) };

	(void)arg;
	{
		TORC_SCOPE(first, .queue = queues[0]);
		TORC_SCOPE(second, .queue = queues[1]);
		hire(first, 40, 0);
		hire(second, 40, 1);
		ck_assert_int_eq(torc_sleep(500 * TORC_MS), 0);
		served[0] = served[1] = 0;
		ck_assert_int_eq(torc_sleep(5 * TORC_SEC), 0);
		ck_assert_double_eq_tol((double)served[0] / (double)(served[0] + served[1]), 0.5, 0.1);
		stop = true;
	}
	tidy();
	return 0;
}

TEST(a_latency_bound_is_no_licence)
{
	run(greedy);
}

/* A second, and another queue has become used to being alone. */
static int alone_again(void *arg)
{
	struct torc_queue *once = new_queue(100, 0);
	struct visit guest = { .count = 1 };

	(void)arg;
	{
		TORC_SCOPE(all);
		hire(all, 50, 0);
		ck_assert_int_eq(torc_sleep(20 * TORC_MS), 0);
		{
			TORC_SCOPE(brief, .queue = once);
			ck_assert_int_eq(torc_go(brief, visit, &guest), 0);
			ck_assert_int_eq(torc_scope_join(brief), 0);
		}
		ck_assert_int_gt(stats().limit, 0);
		ck_assert_int_eq(torc_sleep(3 * TORC_SEC), 0);
		ck_assert_int_eq(stats().limit, 0);
		ck_assert_uint_eq(stats().waiting, 0);
		stop = true;
	}
	tidy();
	return 0;
}

TEST(the_limit_goes_when_the_others_have_gone)
{
	run(alone_again);
}

/* The device is quick: more may be in flight than the model says; then it is slow. */
static int follows(void *arg)
{
	struct torc_queue *queues[2] = { new_queue(100, 0), new_queue(100, 0) };
	torc_ns quick;

	(void)arg;
	service_ns = 2000;
	{
		TORC_SCOPE(first, .queue = queues[0]);
		TORC_SCOPE(second, .queue = queues[1]);
		hire(first, 100, 0);
		hire(second, 100, 1);
		ck_assert_int_eq(torc_sleep(2 * TORC_SEC), 0);
		quick = stats().limit;
		ck_assert_int_gt(quick, 2 * 500 * TORC_US);
		service_ns = 100000;
		ck_assert_int_eq(torc_sleep(10 * TORC_SEC), 0);
		ck_assert_int_lt(stats().limit, quick / 2);
		ck_assert_int_gt(stats().limit, 0);
		ck_assert_uint_ge(stats().in_flight, 1);
		stop = true;
	}
	tidy();
	return 0;
}

TEST(the_limit_follows_the_device)
{
	run(follows);
}

static int bounded(void *arg)
{
	(void)arg;
	ck_assert_int_eq(torc_device_model_set(DEV, TORC_OPTIONS(torc_device_model, .bytes_in_flight = 10 * BLOCK)), 0);
	{
		TORC_SCOPE(all);
		hire(all, 50, 0);
		ck_assert_int_eq(torc_sleep(20 * TORC_MS), 0);
		ck_assert_uint_eq(stats().in_flight, 10);
		ck_assert_uint_eq(stats().waiting, 40);
		stop = true;
	}
	ck_assert_uint_eq(held_most, 10);
	/* What is larger than the bound goes by itself. */
	ck_assert_int_eq(io(DEV, SOURCE_WRITE, 100 * BLOCK), BLOCK);
	ck_assert_uint_eq(stats().writes, 1);
	ck_assert_uint_eq(stats().written_bytes, 100 * BLOCK);
	/* Another device is another matter. */
	ck_assert_int_eq(io(OTHER, SOURCE_READ, BLOCK), BLOCK);
	ck_assert_int_eq(io(0, SOURCE_READ, BLOCK), BLOCK);
	ck_assert_uint_eq(stats().in_flight, 0);
	tidy();
	return 0;
}

TEST(bytes_in_flight_are_bounded)
{
	run(bounded);
}

/* --- giving up ------------------------------------------------------------------------------------------ */

static int results[MOST];

static int once(void *arg)
{
	results[(uintptr_t)arg] = io(DEV, SOURCE_READ, BLOCK);
	return 0;
}

static void queue_up(struct torc_scope *scope, uintptr_t from, uintptr_t to)
{
	for (uintptr_t i = from; i < to; i++)
		ck_assert_int_eq(torc_go(scope, once, (void *)i), 0);
	torc_yield();
}

static void narrow(void)
{
	ck_assert_int_eq(torc_device_model_set(DEV, TORC_OPTIONS(torc_device_model, .bytes_in_flight = 2 * BLOCK)), 0);
	for (int i = 0; i < MOST; i++)
		results[i] = 0x5e7;
}

static int cancelled(void *arg)
{
	(void)arg;
	narrow();
	{
		TORC_SCOPE(stays);
		queue_up(stays, 0, 4);
		{
			TORC_SCOPE(goes);
			queue_up(goes, 10, 20);
			ck_assert_uint_eq(stats().waiting, 12);
			torc_scope_cancel(goes);
			ck_assert_int_eq(torc_scope_join(goes), 0);
		}
		ck_assert_uint_eq(stats().waiting, 2);
		{
			TORC_SCOPE(late, .deadline = torc_in(500 * TORC_US));
			queue_up(late, 20, 22);
			ck_assert_int_le(torc_scope_join(late), 0);
		}
		ck_assert_int_eq(torc_scope_join(stays), 0);
	}
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(results[i], BLOCK);
	for (int i = 10; i < 20; i++)
		ck_assert_int_eq(results[i], -ECANCELED);
	for (int i = 20; i < 22; i++)
		ck_assert(results[i] == -ETIME || results[i] == -ECANCELED);
	ck_assert_uint_eq(stats().in_flight, 0);
	ck_assert_uint_eq(stats().waiting, 0);
	ck_assert_uint_eq(fake.cancels_taken, 0); /* none of them had reached the kernel */
	tidy();
	return 0;
}

TEST(who_waits_can_be_cancelled)
{
	run(cancelled);
}

static int cancelled_before(void *arg)
{
	(void)arg;
	narrow();
	{
		TORC_SCOPE(scope);
		queue_up(scope, 0, 3);
		{
			TORC_SCOPE(over, .deadline = torc_now() - 1);
			ck_assert_int_eq(io(DEV, SOURCE_READ, BLOCK), -ETIME);
		}
		torc_scope_cancel(scope);
		ck_assert_int_eq(io(DEV, SOURCE_READ, BLOCK), -ECANCELED);
	}
	ck_assert_uint_eq(stats().in_flight, 0);
	tidy();
	return 0;
}

TEST(in_a_cancelled_scope_nobody_waits)
{
	run(cancelled_before);
}

static int closed(void *arg)
{
	(void)arg;
	narrow();
	{
		TORC_SCOPE(all);
		queue_up(all, 0, 6);
		ck_assert_uint_eq(stats().waiting, 4);
		ck_assert_int_eq(torc_async_close(&handle), 0);
		ck_assert_int_eq(torc_scope_join(all), 0);
	}
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(results[i], -EBADF);
	ck_assert_int_eq(io(DEV, SOURCE_READ, BLOCK), -EBADF);
	ck_assert_uint_eq(stats().in_flight, 0);
	ck_assert_uint_eq(stats().waiting, 0);
	tidy();
	return 0;
}

TEST(close_wakes_who_waits)
{
	run(closed);
}

/* --- what is told and what is refused --------------------------------------------------------------------- */

static int options(void *arg)
{
	struct torc_device_model model = { .size = sizeof model };
	struct torc_device_stats now = { .size = sizeof now };

	(void)arg;
	ck_assert_int_eq(torc_device_stats_get(&now, DEV), -ENODEV);
	ck_assert_int_eq(torc_device_model_get(&model, DEV), 0);
	ck_assert_uint_eq(model.read_iops, 60000);
	ck_assert_uint_eq(model.write_iops, 60000);
	ck_assert_int_eq(model.goal, 500 * TORC_US);
	model.read_bytes = 5;
	model.write_bytes = 0;
	ck_assert_int_eq(torc_device_model_set(DEV, &model), 0);
	ck_assert_int_eq(torc_device_model_get(&model, DEV), 0);
	ck_assert_uint_eq(model.read_bytes, 5);
	ck_assert_uint_eq(model.write_bytes, 5);
	ck_assert_int_eq(torc_device_stats_get(&now, DEV), 0);
	ck_assert_uint_eq(now.reads, 0);
	model.goal = 1;
	ck_assert_int_eq(torc_device_model_set(DEV, &model), -EINVAL);
	model.goal = INT64_MAX;
	ck_assert_int_eq(torc_device_model_set(DEV, &model), -EINVAL);
	model.size = 3;
	ck_assert_int_eq(torc_device_model_set(DEV, &model), -EINVAL);
	ck_assert_int_eq(torc_device_model_get(&model, DEV), -EINVAL);
	now.size = 1;
	ck_assert_int_eq(torc_device_stats_get(&now, DEV), -EINVAL);
	ck_assert_int_eq(torc_queue_io_get(&(struct torc_queue_io){ .size = 2 }, torc_queue_current()), -EINVAL);
	tidy();
	return 0;
}

TEST(options_and_figures)
{
	run(options);
}

static int environment(void *arg)
{
	struct torc_device_model model = { .size = sizeof model };

	(void)arg;
	ck_assert_int_eq(torc_device_model_get(&model, DEV), 0);
	ck_assert_uint_eq(model.read_iops, 1000);
	ck_assert_uint_eq(model.read_bytes, 2000);
	ck_assert_uint_eq(model.write_iops, 3000);
	ck_assert_uint_eq(model.write_bytes, 4000);
	ck_assert_int_eq(torc_device_model_get(&model, OTHER), 0);
	ck_assert_uint_eq(model.read_iops, 7);
	ck_assert_uint_eq(model.write_iops, 7);
	ck_assert_uint_eq(model.read_bytes, 1000000000);
	ck_assert_int_eq(torc_device_model_get(&model, 0x9999), 0);
	ck_assert_uint_eq(model.read_iops, 60000);
	tidy();
	return 0;
}

TEST(models_in_the_environment)
{
	setenv("TORC_DEVICE", "8:1=1000,2000,3000,4000;;nonsense;8:2=7;1:1=", 1);
	run(environment);
	unsetenv("TORC_DEVICE");
}

/* --- everything at once --------------------------------------------------------------------------------- */

static struct random chance;

static uint64_t any_figure(void)
{
	static const uint64_t figures[] = { 0, 1, 1000, 60000, 1000000000, UINT64_MAX };

	return figures[random_below(&chance, 6)];
}

static void any_model(uint64_t dev)
{
	struct torc_device_model model = { .size = sizeof model };

	model.read_iops = any_figure();
	model.read_bytes = any_figure();
	model.write_iops = any_figure();
	model.write_bytes = any_figure();
	model.goal = random_chance(&chance, 50) ? 0 : 10000 + random_below(&chance, 1000000000 - 10000);
	model.bytes_in_flight = random_chance(&chance, 50) ? 0 : 1 + random_below(&chance, 100 * BLOCK);
	ck_assert_int_eq(torc_device_model_set(dev, &model), 0);
}

static int any_requests(void *arg)
{
	(void)arg;
	for (unsigned i = random_below(&chance, 8); i > 0; i--) {
		size_t len = random_chance(&chance, 10) ? (size_t)1 << random_below(&chance, 36)
		                                        : 1 + random_below(&chance, 9 * BLOCK);
		int r = io(random_chance(&chance, 80) ? DEV : OTHER,
		           random_chance(&chance, 70) ? SOURCE_READ : SOURCE_WRITE, len);

		if (r < 0)
			return r;
		if (random_chance(&chance, 20) && torc_sleep(random_below(&chance, 3000000)) < 0)
			return 0;
	}
	return 0;
}

/* Some of a queue's fibers, until they are through, or out of time. */
static int any_queue(void *arg)
{
	struct torc_queue *queue = new_queue(1 + random_below(&chance, 1000), random_chance(&chance, 30) ? TORC_MS : 0);

	(void)arg;
	{
		TORC_SCOPE(scope, .queue = queue, .until = TORC_ALL_DONE,
		           .deadline = torc_in(random_chance(&chance, 50) ? 1000 * TORC_SEC
		                                                          : (torc_ns)random_below(&chance, 30000000)));
		for (unsigned i = random_below(&chance, 12); i > 0; i--)
			ck_assert_int_eq(torc_go(scope, any_requests, NULL), 0);
		if (random_chance(&chance, 20))
			(void)!torc_queue_set_shares(queue, 1 + random_below(&chance, 1000));
		(void)!torc_scope_join(scope);
	}
	ck_assert_int_eq(torc_queue_free(queue), 0);
	return 0;
}

static void check_idle(uint64_t dev)
{
	struct torc_device_stats now = { .size = sizeof now };

	if (torc_device_stats_get(&now, dev) < 0)
		return;
	HOLDS(now.in_flight == 0 && now.bytes_in_flight == 0 && now.waiting == 0, chance.seed);
	HOLDS(device_get(&fake_executor, dev)->in_flight_ns == 0, chance.seed);
	HOLDS(device_get(&fake_executor, dev)->manager.heap.count == 0, chance.seed);
}

static int chaos(void *arg)
{
	(void)arg;
	for (int round = 0; round < 6; round++) {
		TORC_SCOPE(all, .until = TORC_ALL_DONE);
		for (int i = 0; i < 20; i++) {
			ck_assert_int_eq(torc_go(all, any_queue, NULL), 0);
			if (random_chance(&chance, 20))
				any_model(random_chance(&chance, 80) ? DEV : OTHER);
			if (random_chance(&chance, 60))
				ck_assert_int_eq(torc_sleep(random_below(&chance, 8000000)), 0);
		}
		ck_assert_int_eq(torc_scope_join(all), 0);
		check_idle(DEV);
		check_idle(OTHER);
	}
	tidy();
	return 0;
}

TEST_TIMEOUT(whatever_comes_and_goes_the_books_are_straight, 60)
{
	for (uint64_t seed = seed_first(); seed_more(seed, harness_slow() ? 20 : 200); seed++) {
		chance = random_seeded(seed);
		begin();
		service_ns = 1 + random_below(&chance, 2000000);
		ck_assert_int_eq(fake_run_sized(64, 512, chaos, NULL), 0);
	}
}
