/* executor.c - order, passes, time, deadlock: on a simulated machine and a simulated clock. */
#define FAKE_CLOCK
#include "base/random.h"
#include "executor/on_fake.h"
#include "harness.h"

static char trace[4096];
static size_t trace_len;

static void note(char c)
{
	ck_assert_uint_lt(trace_len, sizeof trace - 1);
	trace[trace_len++] = c;
}

static void begin(void)
{
	fake_init(&fake);
	memset(trace, 0, sizeof trace);
	trace_len = 0;
}

static int letter(void *arg)
{
	note(*(const char *)arg);
	return 0;
}

static int starts(void *arg)
{
	(void)arg;
	TORC_SCOPE(all);
	for (const char *c = "abcdefg"; *c; c++)
		ck_assert_int_eq(torc_go(all, letter, (void *)(uintptr_t)c), 0);
	ck_assert_str_eq(trace, ""); /* spawning runs nobody */
	return torc_scope_join(all);
}

TEST(fibers_start_in_the_order_in_which_they_were_spawned)
{
	begin();
	ck_assert_int_eq(fake_run(starts, NULL), 0);
	ck_assert_str_eq(trace, "abcdefg");
	ck_assert_uint_eq(fake.enters, 0); /* nothing to ask the machine for */
	ck_assert_uint_eq(fake.opens, 1);
	ck_assert_uint_eq(fake.closes, 1);
}

static int thrice(void *arg)
{
	for (int i = 0; i < 3; i++) {
		note(*(const char *)arg);
		torc_yield();
	}
	return 0;
}

static int yields(void *arg)
{
	(void)arg;
	TORC_SCOPE(all);
	for (const char *c = "abc"; *c; c++)
		ck_assert_int_eq(torc_go(all, thrice, (void *)(uintptr_t)c), 0);
	return torc_scope_join(all);
}

TEST(who_yields_goes_behind_the_others)
{
	begin();
	ck_assert_int_eq(fake_run(yields, NULL), 0);
	ck_assert_str_eq(trace, "abcabcabc");
}

static struct torc_scope *family;
static uint64_t turns_seen[4];

static int child_of_pass(void *arg)
{
	turns_seen[(uintptr_t)arg] = fake_executor.reactor.turns;
	if ((uintptr_t)arg < 3)
		ck_assert_int_eq(torc_go(family, child_of_pass, (char *)arg + 1), 0);
	return 0;
}

static int passes(void *arg)
{
	(void)arg;
	TORC_SCOPE(all);
	family = all;
	ck_assert_int_eq(torc_go(all, child_of_pass, NULL), 0);
	return torc_scope_join(all);
}

TEST(what_becomes_ready_in_a_pass_runs_in_the_next)
{
	begin();
	ck_assert_int_eq(fake_run(passes, NULL), 0);
	for (int i = 1; i < 4; i++)
		ck_assert_uint_eq(turns_seen[i], turns_seen[i - 1] + 1); /* the reactor had its turn in between */
}

static int spinning;

static int spinner(void *arg)
{
	(void)arg;
	while (spinning) {
		spinning++;
		torc_yield();
	}
	return 0;
}

static int op_among_spinners(void *arg)
{
	struct torc_async async;
	int r;

	(void)arg;
	async_set(&async, 3, 0);
	spinning = 1;
	TORC_SCOPE(all);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(torc_go(all, spinner, NULL), 0);
	r = fake_op(&async, IORING_OP_NOP, 0);
	ck_assert_int_lt(spinning, 1 + 4 * 5);
	spinning = 0;
	ck_assert_int_eq(torc_scope_join(all), 0);
	return r;
}

TEST(fibers_that_never_park_do_not_keep_answers_out)
{
	begin();
	fake.nops = true;
	ck_assert_int_eq(fake_run(op_among_spinners, NULL), 0);
	begin();
	fake.nops = fake.withhold = true;
	ck_assert_int_eq(fake_run(op_among_spinners, NULL), 0);
}

/* --- time ------------------------------------------------------------------------------------ */

static int sleeper(void *arg)
{
	torc_ns begin = torc_now(), span = *(const torc_ns *)arg;
	int r = torc_sleep(span);

	ck_assert_int_ge(torc_now() - begin, span);
	ck_assert_int_le(torc_now() - begin, span + 2048); /* a tick, and one of a neighbour */
	note((char)('0' + (span / TORC_SEC) % 10));
	return r;
}

static int sleepers(void *arg)
{
	static const torc_ns spans[] = { 9 * TORC_SEC, 1 * TORC_SEC, 5 * TORC_SEC, 3 * TORC_SEC + 1,
		                         86400 * 8 * TORC_SEC };

	(void)arg;
	TORC_SCOPE(all);
	for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
		ck_assert_int_eq(torc_go(all, sleeper, (void *)(uintptr_t)&spans[i]), 0);
	return torc_scope_join(all);
}

TEST(sleepers_wake_in_the_order_of_their_deadlines_and_on_time)
{
	begin();
	ck_assert_int_eq(fake_run(sleepers, NULL), 0);
	ck_assert_str_eq(trace, "13590");
	ck_assert_uint_lt(fake.waits, 64);
}

TEST(also_when_waits_end_for_no_reason)
{
	begin();
	fake.spurious = 1000;
	ck_assert_int_eq(fake_run(sleepers, NULL), 0);
	ck_assert_str_eq(trace, "13590");
}

static int waits_with_deadline(void *arg)
{
	struct torc_async async;
	torc_ns begin = torc_now();
	int r;

	(void)arg;
	async_set(&async, 3, 0);
	TORC_SCOPE(all, .deadline = torc_in(10 * TORC_SEC));
	r = fake_op(&async, IORING_OP_READ, 0);
	ck_assert_int_ge(torc_now() - begin, 10 * TORC_SEC);
	ck_assert_int_lt(torc_now() - begin, 10 * TORC_SEC + 4096);
	ck_assert_int_eq(fake_op(&async, IORING_OP_READ, 0), -ETIME);
	return r;
}

TEST(a_deadline_cancels_an_operation_in_the_kernel)
{
	begin();
	fake.obeys = true;
	ck_assert_int_eq(fake_run(waits_with_deadline, NULL), -ETIME);
	ck_assert_uint_eq(fake.cancels_taken, 1);
	begin();
	fake.obeys = fake.target_first = fake.withhold = true;
	ck_assert_int_eq(fake_run(waits_with_deadline, NULL), -ETIME);
}

/* --- operations ------------------------------------------------------------------------------ */

enum { CALLERS = 700 };

static int caller(void *arg)
{
	struct torc_async async;
	int r;

	async_set(&async, 3, 0);
	for (unsigned i = 0; i < 3; i++) {
		r = fake_op(&async, IORING_OP_READ, (uintptr_t)arg * 3 + i);
		if (r != (int)((uintptr_t)arg * 3 + i))
			return -EBADMSG;
	}
	return 0;
}

static int callers(void *arg)
{
	(void)arg;
	TORC_SCOPE(all);
	for (uintptr_t i = 0; i < CALLERS; i++)
		ck_assert_int_eq(torc_go(all, caller, (void *)i), 0);
	return torc_scope_join(all);
}

/* Answers some of what it holds, at random, each with its own mark. */
static void answer_some(struct fake_uring *machine)
{
	struct random *random = machine->world_arg;
	unsigned count = 1 + random_below(random, 20);

	machine->withhold = random_chance(random, 30);
	if (random_chance(random, 10)) {
		machine->refusal = random_chance(random, 50) ? -EBUSY : -EAGAIN;
		machine->refusals = 1;
	}
	while (count-- > 0 && machine->held_count > 0) {
		unsigned index = random_below(random, machine->held_count);

		fake_answer(machine, index, (int)machine->held[index].off, 0);
	}
}

TEST(more_operations_than_the_ring_holds_all_get_their_own_answer)
{
	struct random random = random_seeded(1);

	begin();
	fake.world = answer_some;
	fake.world_arg = &random;
	ck_assert_int_eq(fake_run_sized(8, 32, callers, NULL), 0);
	ck_assert_uint_eq(fake.taken, 3 * CALLERS);
	ck_assert_uint_le(fake.held_most, 26);
	ck_assert_uint_le(fake.unread_most, 32);
}

static int victim(void *arg)
{
	struct torc_async async;

	(void)arg;
	async_set(&async, 3, 0);
	return fake_op(&async, IORING_OP_READ, 0) == -ECANCELED ? 0 : -EBADMSG;
}

static int cancels(void *arg)
{
	(void)arg;
	TORC_SCOPE(all, .until = TORC_ALL_DONE);
	for (uintptr_t i = 0; i < CALLERS; i++)
		ck_assert_int_eq(torc_go(all, victim, NULL), 0);
	torc_yield();
	torc_scope_cancel(all);
	return torc_scope_join(all);
}

TEST(cancelling_more_operations_than_the_ring_holds_ends_them_all)
{
	begin();
	fake.obeys = true;
	ck_assert_int_eq(fake_run_sized(8, 32, cancels, NULL), 0);
	ck_assert_uint_eq(fake.cancels_taken, 26); /* the rest never came so far */
	begin();
	fake.obeys = fake.target_first = fake.withhold = true;
	ck_assert_int_eq(fake_run_sized(1, 8, cancels, NULL), 0);
}

/* --- ends ------------------------------------------------------------------------------------ */

static int parks_for_ever(void *arg)
{
	struct wait wait = { NULL, executor_self->running, "nothing at all" };

	(void)arg;
	wait_park(executor_self, &wait);
	return 0;
}

DEATH(a_program_in_which_nothing_can_happen_any_more_is_told_so, "^torc: torc_run: deadlock: 1 fibers? ")
{
	begin();
	(void)!fake_run(parks_for_ever, NULL);
}

DEATH(a_parking_call_outside_a_run_is_misuse, "^torc: torc_sleep: called outside a fiber")
{
	(void)!torc_sleep(1);
}

static struct source lasting;
static int lasting_result;

static void lasting_answer(struct inner_source *source, int result, bool last)
{
	(void)source;
	ck_assert(last);
	lasting_result = result;
}

static int leaves_something(void *arg)
{
	struct reactor *reactor = &executor_self->reactor;
	struct io_uring_sqe *sqe;

	(void)arg;
	source_init(&lasting, SOURCE_ACCEPT, 3);
	lasting.inner.answer = lasting_answer;
	sqe = reactor_sqe(reactor, &lasting);
	uring_prepare(sqe, IORING_OP_ACCEPT, 3, NULL, 0);
	reactor_submit(reactor, &lasting, sqe);
	return 0;
}

TEST(what_is_in_flight_when_the_last_fiber_ends_is_cancelled_and_awaited)
{
	begin();
	fake.obeys = true;
	ck_assert_int_eq(fake_run(leaves_something, NULL), 0);
	ck_assert_int_eq(lasting_result, -ECANCELED);
	ck_assert_uint_eq(lasting.inner.id, 0);
}

TEST(the_answer_to_a_cancel_request_is_awaited_too)
{
	begin();
	fake.obeys = fake.target_first = fake.withhold = true;
	ck_assert_int_eq(fake_run(leaves_something, NULL), 0);
	ck_assert_uint_eq(fake.closes, 1);
}

TEST(an_executor_that_gets_no_ring_leaves_nothing_behind)
{
	begin();
	fake.open_refusals = 100;
	ck_assert_int_eq(fake_run(starts, NULL), -ENOMEM);
	ck_assert_ptr_null(executor_self);
}

/* --- queues ---------------------------------------------------------------------------------- */

struct rival {
	int64_t first; /* how long the first step takes */
	long steps;
	bool *stop;
	struct rival *other;
	long others_steps; /* when the second one begins */
};

static int step_along(void *arg)
{
	struct rival *rival = arg;

	fake_now += rival->first;
	do { /* ends: the one whose first step was long says so */
		torc_yield();
		if (rival->steps++ == 0)
			rival->others_steps = rival->other->steps;
		fake_now += 100 * TORC_US;
		if (rival->first && rival->steps == 3)
			*rival->stop = true;
	} while (!*rival->stop);
	return 0;
}

static int rival_queues(void *arg)
{
	struct torc_queue *queues[2];
	bool stop = false;
	struct rival rivals[2] = { { .first = 3600 * TORC_SEC, .stop = &stop }, { .stop = &stop } };

	(void)arg;
	for (int i = 0; i < 2; i++) {
		rivals[i].other = &rivals[!i];
		ck_assert_int_eq(torc_queue_new(&queues[i], NULL), 0);
	}
	{
		TORC_SCOPE(a, .queue = queues[0]);
		TORC_SCOPE(b, .queue = queues[1]);
		ck_assert_int_eq(torc_go(a, step_along, &rivals[0]), 0);
		ck_assert_int_eq(torc_go(b, step_along, &rivals[1]), 0);
		ck_assert_int_eq(torc_scope_join(a), 0);
		ck_assert_int_eq(torc_scope_join(b), 0);
	}
	ck_assert_int_ge(rivals[0].others_steps, 1000);  /* it was long for what it used, too, */
	ck_assert_int_le(rivals[0].others_steps, 20000); /* but nobody owes an hour */
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(torc_queue_free(queues[i]), 0);
	return 0;
}

/* A process that was stopped, or whose machine was: time passed, but nobody used it. */
TEST(who_ran_while_the_clock_leapt_does_not_pay_for_it_all)
{
	begin();
	ck_assert_int_eq(fake_run(rival_queues, NULL), 0);
}

/* --- many ------------------------------------------------------------------------------------ */

static struct random mix;
static unsigned alive, alive_most;

static int busy_child(void *arg)
{
	struct torc_async async;

	if (++alive > alive_most)
		alive_most = alive;
	async_set(&async, 3, 0);
	for (unsigned i = random_below(&mix, 6); i > 0; i--) {
		int r = 0;

		switch (random_below(&mix, 4)) {
		case 0:
			torc_yield();
			break;
		case 1:
			r = torc_sleep((torc_ns)random_below(&mix, 1000000));
			break;
		case 2:
			r = fake_op(&async, IORING_OP_READ, 5);
			break;
		default:
			if ((uintptr_t)arg > 0) {
				TORC_SCOPE(inner, .until = TORC_ALL_DONE,
				           .deadline = torc_in(random_below(&mix, 3000000)));
				for (int k = 0; k < 3 && r == 0; k++)
					r = torc_go(inner, busy_child, (char *)arg - 1);
				if (random_chance(&mix, 20))
					torc_scope_cancel(inner);
				if (random_chance(&mix, 70))
					r = torc_scope_join(inner);
			}
		}
		ck_assert(r >= 0 || r == -ETIME || r == -ECANCELED);
		if (r < 0 && random_chance(&mix, 50))
			break;
	}
	alive--;
	return 0;
}

static int mixture(void *arg)
{
	(void)arg;
	TORC_SCOPE(all, .until = TORC_ALL_DONE);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(torc_go(all, busy_child, (void *)(uintptr_t)4), 0);
	return torc_scope_join(all);
}

/* A world that sometimes answers and sometimes lets time pass. */
static void whatever(struct fake_uring *machine)
{
	if (random_chance(machine->world_arg, 70))
		answer_some(machine);
	while (random_chance(machine->world_arg, 50) && fake_find_opcode(machine, IORING_OP_ASYNC_CANCEL) >= 0) {
		struct io_uring_sqe sqe;
		int index = fake_find_opcode(machine, IORING_OP_ASYNC_CANCEL), target;

		memcpy(&sqe, &machine->held[index], sizeof sqe);
		target = fake_find(machine, sqe.addr);
		fake_answer(machine, (unsigned)index, target >= 0 ? 0 : -ENOENT, 0);
		target = fake_find(machine, sqe.addr);
		if (target >= 0)
			fake_answer(machine, (unsigned)target, -ECANCELED, 0);
	}
	fake_now += (int64_t)random_below(machine->world_arg, 200000);
}

TEST_TIMEOUT(sleeps_scopes_deadlines_and_operations_mixed_at_random_all_end, 30)
{
	for (uint64_t seed = seed_first(); seed_more(seed, harness_slow() ? 30 : 1000); seed++) {
		struct random random = random_seeded(seed);

		begin();
		mix = random_seeded(seed + 1000000);
		fake.world = whatever;
		fake.world_arg = &random;
		fake.target_first = random_chance(&random, 50);
		HOLDS(fake_run_sized(4, 16, mixture, NULL) == 0, seed);
		HOLDS(alive == 0, seed);
	}
	ck_assert_uint_gt(alive_most, 50);
}
