/* reactor.c - a turn: at most one system call, which waits for the nearest deadline; then due timers. On a simulated
 * machine and a simulated clock. */
#define FAKE_CLOCK
#include "reactor/reactor.h"

#include "harness.h"
#include "machine/fake_uring.h"

static struct fake_uring fake;
static struct reactor reactor;
static int fired;

static void count(struct timer *timer)
{
	(void)timer;
	fired++;
}

static void open_reactor(void)
{
	fake_init(&fake);
	ck_assert_int_eq(reactor_open(&reactor, &(struct reactor_options){ .machine = &fake.machine,
	                                                                   .name = "test",
	                                                                   .sq_entries = 8,
	                                                                   .cq_entries = 32 }),
	                 0);
}

TEST(a_turn_waits_for_the_nearest_deadline_and_fires_it)
{
	struct timer near, far;
	int64_t start = fake_now;

	open_reactor();
	timer_init(&near, count);
	timer_init(&far, count);
	timers_add(&reactor.timers, &far, start + 1000000000);
	timers_add(&reactor.timers, &near, start + 1000000);
	for (int i = 0; fired == 0; i++) {
		ck_assert_int_lt(i, 4);
		reactor_turn(&reactor, true, INT64_MAX);
	}
	ck_assert_int_eq(fired, 1);
	ck_assert_int_ge(fake_now, start + 1000000);
	ck_assert_int_lt(fake_now, start + 1000000 + 2048);
	ck_assert(timer_pending(&far));
	timers_remove(&reactor.timers, &far);
	reactor_close(&reactor);
}

TEST(a_turn_that_is_not_to_wait_does_not)
{
	struct timer timer;

	open_reactor();
	timer_init(&timer, count);
	timers_add(&reactor.timers, &timer, fake_now + 1000000);
	reactor_turn(&reactor, false, INT64_MAX);
	ck_assert_uint_eq(fake.enters, 0);
	ck_assert_int_eq(fired, 0);
	fake_now += 2000000;
	reactor_turn(&reactor, false, INT64_MAX);
	ck_assert_uint_eq(fake.enters, 0);
	ck_assert_int_eq(fired, 1);
	ck_assert_uint_eq(reactor.turns, 2);
	reactor_close(&reactor);
}

TEST(no_later_cuts_a_wait_short)
{
	struct timer timer;
	int64_t start = fake_now;

	open_reactor();
	timer_init(&timer, count);
	timers_add(&reactor.timers, &timer, start + 1000000000);
	reactor_turn(&reactor, true, start + 5000);
	ck_assert_int_eq(fake.deadline, start + 5000);
	ck_assert_int_eq(fired, 0);
	timers_remove(&reactor.timers, &timer);
	reactor_turn(&reactor, true, start + 9000); /* no timer at all */
	ck_assert_int_eq(fake.deadline, start + 9000);
	reactor_close(&reactor);
}

TEST(a_timer_that_is_due_keeps_a_turn_from_waiting_for_long)
{
	struct timer timer;
	int64_t start = fake_now;

	open_reactor();
	timer_init(&timer, count);
	timers_add(&reactor.timers, &timer, start - 5000000);
	reactor_turn(&reactor, true, INT64_MAX);
	ck_assert_int_eq(fired, 1);
	ck_assert_int_eq(fake_now, start);
	reactor_close(&reactor);
}

TEST(an_answer_and_a_timer_come_in_one_turn)
{
	struct source source;
	struct io_uring_sqe *sqe;
	struct timer timer;

	open_reactor();
	fake.nops = true;
	timer_init(&timer, count);
	timers_add(&reactor.timers, &timer, fake_now);
	source_init(&source, SOURCE_NOP, -1);
	sqe = reactor_sqe(&reactor, &source);
	uring_prepare(sqe, IORING_OP_NOP, -1, NULL, 0);
	reactor_submit(&reactor, &source, sqe);
	fake_now += 5000;
	reactor_turn(&reactor, true, INT64_MAX);
	ck_assert_int_eq(fired, 1);
	ck_assert_uint_eq(source.inner.id, 0);
	ck_assert_uint_eq(fake.enters, 1);
	reactor_close(&reactor);
}

TEST(spurious_wakes_fire_nothing_early)
{
	struct timer timer;
	int64_t start = fake_now;

	open_reactor();
	fake.spurious = 100;
	timer_init(&timer, count);
	timers_add(&reactor.timers, &timer, start + 1000000);
	for (int i = 0; i < 100; i++)
		reactor_turn(&reactor, true, INT64_MAX);
	ck_assert_int_eq(fired, 0);
	for (int i = 0; i < 4 && !fired; i++)
		reactor_turn(&reactor, true, INT64_MAX);
	ck_assert_int_eq(fired, 1);
	reactor_close(&reactor);
}

DEATH(a_reactor_with_timers_pending_must_not_be_closed, "reactor_close: .*timers")
{
	struct timer timer;

	open_reactor();
	timer_init(&timer, count);
	timers_add(&reactor.timers, &timer, INT64_MAX);
	reactor_close(&reactor);
}
