/* sleepable_ring.c - the ring and its ReactorQueue on a simulated machine: what waits, what is counted, what is
 * cancelled, one situation a test. model.c has the same at random. */
#include "reactor/sleepable_ring.h"

#include "fiber/fresh_queues.h"
#include "harness.h"
#include "machine/fake_uring.h"

enum { SQ = 8, CQ = 64, MANY = 3000, BELLS = 4 };

static struct fake_uring fake;
static struct sleepable_ring ring;
static struct task_queue woken;

/* A source, and a fiber that is no more than something to wake. */
struct waiter {
	struct source source;
	struct fiber fiber;
};

static void open_with(unsigned sq, unsigned cq)
{
	fake_init(&fake);
	fresh_queue(&woken);
	ck_assert_int_eq(sleepable_ring_open(&ring, &fake.machine, "test", sq, cq), 0);
}

static void open_ring(void)
{
	open_with(SQ, CQ);
}

static void close_ring(void)
{
	ck_assert(!sleepable_ring_busy(&ring));
	sleepable_ring_close(&ring);
	ck_assert_uint_eq(fake.closes, 1);
}

static void submit_as(struct waiter *waiter, enum source_type type, unsigned opcode, uint64_t mark)
{
	struct io_uring_sqe *sqe;

	memset(waiter, 0, sizeof *waiter);
	source_init(&waiter->source, type, 3);
	waiter->fiber.queue = &woken;
	wakers_add(&waiter->source.inner.wakers, &waiter->fiber);
	sqe = sleepable_ring_sqe(&ring, &waiter->source);
	uring_prepare(sqe, opcode, 3, NULL, 0);
	sqe->off = mark;
	sleepable_ring_submit(&ring, &waiter->source, sqe);
}

static void submit(struct waiter *waiter)
{
	submit_as(waiter, SOURCE_READ, IORING_OP_READ, 0);
}

static void turn(void)
{
	sleepable_ring_turn(&ring, false, INT64_MAX);
}

static bool in_kernel(const struct waiter *waiter)
{
	return waiter->source.inner.id != 0;
}

static bool waits(const struct waiter *waiter)
{
	return waiter->source.inner.id == 0 && !list_empty(&waiter->source.inner.link);
}

/* It has been answered with `result`, and its fiber is the next on the queue. */
static void assert_woken(struct waiter *waiter, int result)
{
	ck_assert(!in_kernel(waiter) && !waits(waiter));
	ck_assert_uint_gt(woken.count, 0);
	ck_assert_ptr_eq(task_queue_pop(&woken), &waiter->fiber);
	ck_assert_int_eq(waiter->source.inner.wakers.result, result);
	ck_assert_ptr_null(waiter->source.inner.wakers.waiting);
}

TEST(a_request_reaches_the_machine_at_the_turn_and_its_answer_wakes_at_the_next)
{
	struct waiter a;

	open_ring();
	submit(&a);
	ck_assert_uint_eq(fake.enters, 0);
	ck_assert(in_kernel(&a));
	turn();
	ck_assert_uint_eq(fake.held_count, 1);
	ck_assert_uint_eq(woken.count, 0);
	fake_answer(&fake, 0, 42, 1 << 16);
	turn();
	assert_woken(&a, 42);
	ck_assert_uint_eq(a.source.inner.cqe_flags, 1 << 16);
	ck_assert_uint_eq(ring.submissions, 1);
	ck_assert_uint_eq(ring.completions, 1);
	close_ring();
}

TEST(a_turn_with_nothing_to_give_or_take_makes_no_system_call)
{
	struct waiter a;

	open_ring();
	turn();
	ck_assert_uint_eq(fake.enters, 0);
	submit(&a);
	turn();
	turn();
	turn();
	ck_assert_uint_eq(fake.enters, 1);
	fake_answer(&fake, 0, 0, 0);
	sleepable_ring_turn(&ring, true, INT64_MAX); /* the answer is there: no wait either */
	ck_assert_uint_eq(fake.enters, 1);
	ck_assert_uint_eq(fake.waits, 0);
	assert_woken(&a, 0);
	close_ring();
}

TEST(answers_are_taken_in_the_order_in_which_they_come)
{
	struct waiter a[3];

	open_ring();
	for (int i = 0; i < 3; i++)
		submit(&a[i]);
	turn();
	fake_answer(&fake, 2, 2, 0);
	fake_answer(&fake, 0, 0, 0);
	fake_answer(&fake, 0, 1, 0);
	turn();
	assert_woken(&a[2], 2);
	assert_woken(&a[0], 0);
	assert_woken(&a[1], 1);
	close_ring();
}

TEST(a_full_submission_queue_is_handed_over_and_goes_on)
{
	struct waiter a[SQ + 1];

	open_ring();
	for (int i = 0; i < SQ; i++)
		submit(&a[i]);
	ck_assert_uint_eq(fake.enters, 0);
	submit(&a[SQ]);
	ck_assert_uint_eq(fake.enters, 1);
	ck_assert_uint_eq(fake.held_count, SQ);
	ck_assert(in_kernel(&a[SQ]));
	ck_assert_uint_eq(ring.queue.count, 0);
	turn();
	ck_assert_uint_eq(fake.held_count, SQ + 1);
	fake.obeys = true;
	sleepable_ring_cancel_all(&ring);
	while (sleepable_ring_busy(&ring))
		turn();
	close_ring();
}

/* -EAGAIN and -EBUSY: what does not fit waits, and is neither lost nor doubled. */
static void refused_enters(int refusal)
{
	struct waiter a[SQ + 3];

	open_ring();
	fake.refusal = refusal;
	fake.refusals = 4;
	for (int i = 0; i < SQ + 3; i++)
		submit_as(&a[i], SOURCE_READ, IORING_OP_READ, (uint64_t)i);
	ck_assert_uint_eq(ring.in_kernel, SQ);
	ck_assert_uint_eq(ring.queue.count, 3);
	for (int i = 0; i < SQ + 3; i++)
		ck_assert(i < SQ ? in_kernel(&a[i]) : waits(&a[i]));
	for (int i = 0; i < 8; i++)
		turn();
	ck_assert_uint_eq(fake.held_count, SQ + 3);
	for (unsigned i = 0; i < SQ + 3; i++) {
		ck_assert_uint_eq(fake.held[0].off, i);
		ck_assert_uint_eq(fake.held[0].user_data, a[i].source.inner.id);
		fake_answer(&fake, 0, (int)i, 0);
	}
	turn();
	for (int i = 0; i < SQ + 3; i++)
		assert_woken(&a[i], i);
	close_ring();
}

TEST(a_kernel_that_says_ebusy_gets_it_all_later)
{
	refused_enters(-EBUSY);
}

TEST(a_kernel_that_says_eagain_gets_it_all_later)
{
	refused_enters(-EAGAIN);
}

TEST(answers_are_taken_even_when_the_enter_was_refused)
{
	struct waiter a, b;

	open_ring();
	submit(&a);
	turn();
	fake_answer(&fake, 0, 7, 0);
	submit(&b);
	fake.refusal = -EBUSY;
	fake.refusals = 1;
	turn();
	assert_woken(&a, 7);
	ck_assert_uint_eq(fake.held_count, 0);
	turn();
	fake_answer(&fake, 0, 8, 0);
	turn();
	assert_woken(&b, 8);
	close_ring();
}

TEST(a_wait_that_ends_for_no_reason_is_no_event)
{
	struct waiter a;

	open_ring();
	submit(&a);
	fake.spurious = 3;
	for (int i = 0; i < 3; i++)
		sleepable_ring_turn(&ring, true, INT64_MAX);
	ck_assert_uint_eq(fake.waits, 3);
	ck_assert_uint_eq(woken.count, 0);
	ck_assert(in_kernel(&a));
	fake_answer(&fake, 0, 1, 0);
	sleepable_ring_turn(&ring, true, INT64_MAX);
	assert_woken(&a, 1);
	close_ring();
}

TEST(withheld_answers_are_fetched_without_being_waited_for)
{
	struct waiter a;

	open_ring();
	fake.withhold = true;
	submit(&a);
	turn();
	fake_answer(&fake, 0, 5, 0);
	ck_assert_uint_eq(fake_unread(&fake), 0);
	ck_assert(uring_withholds(&ring.uring));
	turn();
	ck_assert_uint_eq(fake.enters, 2);
	assert_woken(&a, 5);
	ck_assert(!uring_withholds(&ring.uring));
	close_ring();
}

static struct {
	int count, last_count, sum;
} shots;

static void shot(struct inner_source *source, int result, bool last)
{
	(void)source;
	shots.count++;
	shots.last_count += last;
	shots.sum += result;
}

static void submit_multishot(struct waiter *waiter)
{
	struct io_uring_sqe *sqe;

	memset(waiter, 0, sizeof *waiter);
	source_init(&waiter->source, SOURCE_ACCEPT, 3);
	waiter->source.inner.answer = shot;
	sqe = sleepable_ring_sqe(&ring, &waiter->source);
	uring_prepare(sqe, IORING_OP_ACCEPT, 3, NULL, 0);
	sleepable_ring_submit(&ring, &waiter->source, sqe);
}

TEST(a_multishot_request_stays_until_the_answer_that_has_no_more)
{
	struct waiter a;
	uint64_t id;

	open_ring();
	submit_multishot(&a);
	id = a.source.inner.id;
	turn();
	for (int i = 0; i < 5; i++) {
		fake_answer(&fake, 0, 1, IORING_CQE_F_MORE);
		turn();
		ck_assert_uint_eq(a.source.inner.id, id);
		ck_assert_uint_eq(ring.in_kernel, 1);
	}
	fake_answer(&fake, 0, 10, 0);
	turn();
	ck_assert_int_eq(shots.count, 6);
	ck_assert_int_eq(shots.last_count, 1);
	ck_assert_int_eq(shots.sum, 15);
	ck_assert(!in_kernel(&a));
	close_ring();
}

TEST(more_answers_than_the_completion_queue_holds_all_arrive)
{
	struct waiter a;

	open_ring();
	submit_multishot(&a);
	turn();
	for (int i = 0; i < 5 * CQ; i++)
		fake_answer(&fake, 0, 1, IORING_CQE_F_MORE);
	fake_answer(&fake, 0, 1, 0);
	ck_assert_uint_eq(fake_unread(&fake), CQ);
	for (int i = 0; i < 8; i++)
		turn();
	ck_assert_int_eq(shots.count, 5 * CQ + 1);
	ck_assert_int_eq(shots.last_count, 1);
	close_ring();
}

TEST(no_more_is_in_the_kernel_than_can_be_answered_and_the_rest_keeps_its_order)
{
	struct waiter *a = calloc(MANY, sizeof *a);
	unsigned next = 0;

	open_ring();
	for (unsigned i = 0; i < MANY; i++)
		submit_as(&a[i], SOURCE_READ, IORING_OP_READ, i);
	ck_assert_uint_eq(ring.limit, CQ - CQ / 16 - BELLS);
	ck_assert_uint_eq(ring.in_kernel, ring.limit);
	ck_assert_uint_eq(ring.queue.count, MANY - ring.limit);
	while (next < MANY) {
		turn();
		ck_assert_uint_le(ring.in_kernel, ring.limit);
		ck_assert_uint_le(fake.held_count, ring.limit);
		while (fake.held_count > 0) {
			ck_assert_uint_eq(fake.held[0].off, next++);
			fake_answer(&fake, 0, 1, 0);
		}
	}
	turn();
	for (unsigned i = 0; i < MANY; i++)
		assert_woken(&a[i], 1);
	ck_assert_uint_le(fake.unread_most, CQ);
	ck_assert_uint_eq(fake.taken, MANY);
	close_ring();
	free(a);
}

TEST(what_comes_later_does_not_overtake_what_waits)
{
	struct waiter *a = calloc(CQ + 1, sizeof *a);

	open_ring();
	for (unsigned i = 0; i < CQ; i++)
		submit_as(&a[i], SOURCE_READ, IORING_OP_READ, i);
	turn();
	fake_answer(&fake, 0, 1, 0);
	turn(); /* room for one in the kernel: but not for this one */
	submit_as(&a[CQ], SOURCE_READ, IORING_OP_READ, CQ);
	ck_assert(waits(&a[CQ]));
	turn();
	ck_assert_uint_eq(fake.held[fake.held_count - 1].off, ring.limit);
	fake.obeys = true;
	sleepable_ring_cancel_all(&ring);
	while (sleepable_ring_busy(&ring))
		turn();
	close_ring();
	free(a);
}

TEST(cancelling_what_waits_for_room_answers_at_once)
{
	struct waiter *a = calloc(CQ, sizeof *a);
	struct waiter *waiting = &a[CQ - 1];

	open_ring();
	for (unsigned i = 0; i < CQ; i++)
		submit(&a[i]);
	ck_assert(waits(waiting));
	sleepable_ring_cancel(&ring, &waiting->source.inner);
	assert_woken(waiting, -ECANCELED);
	sleepable_ring_cancel(&ring, &waiting->source.inner); /* it is over: nothing */
	ck_assert_uint_eq(woken.count, 0);
	ck_assert_uint_eq(ring.queue.count, CQ - ring.limit - 1);
	fake.obeys = true;
	sleepable_ring_cancel_all(&ring);
	while (sleepable_ring_busy(&ring))
		turn();
	close_ring();
	free(a);
}

TEST(cancelling_what_is_in_the_kernel_sends_one_request_however_often)
{
	struct waiter a;

	open_ring();
	submit(&a);
	turn();
	for (int i = 0; i < 10; i++) {
		sleepable_ring_cancel(&ring, &a.source.inner);
		turn();
	}
	ck_assert_uint_eq(fake.cancels_taken, 1);
	ck_assert_uint_eq(fake.held_count, 2);
	ck_assert_uint_eq(fake.held[1].addr, a.source.inner.id);
	ck_assert_uint_eq(ring.cancellations, 1);
	ck_assert_uint_eq(woken.count, 0);
	fake_answer(&fake, 1, 0, 0);
	turn();
	ck_assert_uint_eq(woken.count, 0); /* the answer is its own, not that of its cancellation */
	fake_answer(&fake, 0, -ECANCELED, 0);
	turn();
	assert_woken(&a, -ECANCELED);
	close_ring();
}

TEST(a_request_may_be_cancelled_in_the_very_batch_that_submits_it)
{
	struct waiter a;

	open_ring();
	fake.obeys = true;
	submit(&a);
	sleepable_ring_cancel(&ring, &a.source.inner);
	turn();
	ck_assert_uint_eq(fake.enters, 1);
	assert_woken(&a, -ECANCELED);
	close_ring();
}

TEST(the_answers_of_target_and_cancellation_come_in_either_order)
{
	for (int first = 0; first < 2; first++) {
		struct waiter a;

		open_ring();
		fake.obeys = true;
		fake.target_first = first;
		submit(&a);
		turn();
		sleepable_ring_cancel(&ring, &a.source.inner);
		turn();
		assert_woken(&a, -ECANCELED);
		ck_assert_uint_eq(ring.cancels_in_kernel, 0);
		close_ring();
	}
}

TEST(a_result_that_was_in_time_is_kept_and_the_late_cancellation_hits_nobody)
{
	struct waiter a, b;

	open_ring();
	submit(&a);
	turn();
	sleepable_ring_cancel(&ring, &a.source.inner);
	turn();
	fake_answer(&fake, 0, 99, 0); /* done before the cancellation was looked at */
	turn();
	assert_woken(&a, 99);
	ck_assert_uint_eq(ring.cancels_in_kernel, 1);
	ck_assert(sleepable_ring_busy(&ring));
	submit(&b); /* in the same slot of the map */
	turn();
	ck_assert_int_eq((int)(uint32_t)b.source.inner.id, (int)(uint32_t)fake.held[0].addr);
	ck_assert_uint_ne(b.source.inner.id, fake.held[0].addr);
	fake_answer(&fake, 0, -ENOENT, 0);
	turn();
	ck_assert_uint_eq(woken.count, 0);
	ck_assert_uint_eq(ring.cancels_in_kernel, 0);
	fake_answer(&fake, 0, 1, 0);
	turn();
	assert_woken(&b, 1);
	close_ring();
}

TEST(cancellations_have_a_limit_of_their_own_and_wait_in_order)
{
	struct waiter a[32];
	unsigned limit;

	open_ring();
	limit = ring.cancels_limit;
	ck_assert_uint_eq(limit, CQ / 16);
	for (int i = 0; i < 32; i++)
		submit(&a[i]);
	turn();
	for (int i = 0; i < 32; i++)
		sleepable_ring_cancel(&ring, &a[i].source.inner);
	ck_assert_uint_eq(ring.cancels_in_kernel, limit);
	for (unsigned done = 0; done < 32; done += limit) {
		turn();
		ck_assert_uint_eq(fake.cancels_taken, done + limit);
		for (unsigned i = 0; i < limit; i++) {
			int cancel = fake_find_opcode(&fake, IORING_OP_ASYNC_CANCEL);

			ck_assert_uint_eq(fake.held[cancel].addr, a[done + i].source.inner.id);
			fake_answer(&fake, (unsigned)cancel, 0, 0);
			fake_answer(&fake, 0, -ECANCELED, 0);
		}
		turn();
	}
	for (int i = 0; i < 32; i++)
		assert_woken(&a[i], -ECANCELED);
	close_ring();
}

TEST(a_cancellation_that_still_waits_is_dropped_when_its_target_ends)
{
	struct waiter a[32];

	open_ring();
	for (int i = 0; i < 32; i++)
		submit(&a[i]);
	turn();
	for (int i = 0; i < 32; i++)
		sleepable_ring_cancel(&ring, &a[i].source.inner);
	fake_answer(&fake, 31, 5, 0);
	turn();
	assert_woken(&a[31], 5);
	fake.obeys = true;
	while (sleepable_ring_busy(&ring)) {
		int cancel = fake_find_opcode(&fake, IORING_OP_ASYNC_CANCEL);

		if (cancel >= 0) {
			struct io_uring_sqe sqe = fake.held[cancel];

			fake_answer(&fake, (unsigned)cancel, 0, 0);
			fake_answer(&fake, (unsigned)fake_find(&fake, sqe.addr), -ECANCELED, 0);
		}
		turn();
	}
	ck_assert_uint_eq(fake.cancels_taken, 31);
	close_ring();
}

TEST(an_answer_to_what_is_over_wakes_nobody)
{
	struct waiter a, b;
	uint64_t stale;

	open_ring();
	submit(&a);
	stale = a.source.inner.id;
	turn();
	fake_answer(&fake, 0, 1, 0);
	turn();
	assert_woken(&a, 1);
	submit(&b);
	ck_assert_uint_eq((uint32_t)b.source.inner.id, (uint32_t)stale);
	turn();
	fake_post(&fake, stale, 77, 0);
	fake_post(&fake, stale + 1, 77, 0);                               /* a slot never used */
	fake_post(&fake, stale | 0xffffffff, 77, 0);                      /* a slot there is not */
	fake_post(&fake, b.source.inner.id + (UINT64_C(1) << 32), 77, 0); /* a generation to come */
	turn();
	ck_assert_uint_eq(woken.count, 0);
	ck_assert_uint_eq(ring.in_kernel, 1);
	fake_answer(&fake, 0, 2, 0);
	turn();
	assert_woken(&b, 2);
	close_ring();
}

TEST(generations_wrap_without_ever_giving_the_id_of_cancellations)
{
	struct waiter a;

	open_ring();
	for (int i = 0; i < 4; i++) {
		if (i == 1)
			ring.map.slots[0].generation = INT32_MAX;
		submit(&a);
		ck_assert_uint_ne(a.source.inner.id, 0);
		ck_assert_uint_ne(a.source.inner.id >> 32, 0);
		turn();
		fake_answer(&fake, 0, i, 0);
		turn();
		assert_woken(&a, i);
	}
	ck_assert_uint_eq(ring.map.slots[0].generation, 3);
	close_ring();
}

TEST(cancel_all_ends_what_waits_at_once_and_what_is_in_the_kernel_by_and_by)
{
	struct waiter *a = calloc(MANY, sizeof *a);

	open_ring();
	fake.obeys = true;
	for (int i = 0; i < MANY; i++)
		submit(&a[i]);
	sleepable_ring_cancel_all(&ring);
	ck_assert_uint_eq(ring.queue.count, 0);
	ck_assert_uint_eq(woken.count, MANY - ring.limit);
	for (int i = 0; sleepable_ring_busy(&ring); i++) {
		ck_assert_int_lt(i, 1000);
		turn();
	}
	ck_assert_uint_eq(woken.count, MANY);
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(a[i].source.inner.wakers.result, -ECANCELED);
	ck_assert_uint_eq(fake.cancels_taken, ring.limit);
	close_ring();
	free(a);
}

TEST(the_smallest_ring_there_is_does_all_the_same)
{
	struct waiter a[40];

	open_with(1, 8);
	fake.obeys = true;
	ck_assert_uint_eq(ring.limit, 7 - BELLS);
	ck_assert_uint_eq(ring.cancels_limit, 1);
	for (int i = 0; i < 40; i++)
		submit(&a[i]);
	for (int i = 0; i < 20; i++) {
		sleepable_ring_cancel(&ring, &a[i].source.inner);
		turn();
		turn();
	}
	for (int i = 0; i < 100 && sleepable_ring_busy(&ring); i++) {
		if (fake.held_count > 0)
			fake_answer(&fake, 0, 1, 0);
		turn();
	}
	ck_assert_uint_eq(woken.count, 40);
	close_ring();
}

TEST(a_ring_whose_memory_comes_late_is_waited_for)
{
	fake_init(&fake);
	fake.open_refusals = 2;
	ck_assert_int_eq(sleepable_ring_open(&ring, &fake.machine, "test", 64, 256), 0);
	ck_assert_uint_eq(uring_sq_entries(&ring.uring), 64);
	close_ring();
}

TEST(a_ring_that_memory_does_not_allow_is_opened_smaller)
{
	struct waiter a;

	fake_init(&fake);
	fresh_queue(&woken);
	fake.open_most = 8;
	ck_assert_int_eq(sleepable_ring_open(&ring, &fake.machine, "test", 64, 256), 0);
	ck_assert_uint_eq(uring_sq_entries(&ring.uring), 8);
	ck_assert_uint_eq(uring_cq_entries(&ring.uring), 32);
	ck_assert_uint_eq(ring.limit, 30 - BELLS);
	fake.nops = true;
	submit_as(&a, SOURCE_NOP, IORING_OP_NOP, 0);
	turn();
	assert_woken(&a, 0);
	close_ring();

	fake_init(&fake);
	fake.open_most = 7;
	ck_assert_int_eq(sleepable_ring_open(&ring, &fake.machine, "test", 64, 256), -ENOMEM);
	ck_assert_uint_eq(fake.closes, 0);
}

/* --- bells ---------------------------------------------------------------------------------- */

TEST(a_bell_wakes_and_is_no_answer_of_anybody)
{
	struct waiter a;

	open_ring();
	submit(&a);
	turn();
	uring_bell(&ring.uring);
	ck_assert(sleepable_ring_has_answers(&ring));
	sleepable_ring_turn(&ring, true, INT64_MAX);
	ck_assert_uint_eq(woken.count, 0);
	ck_assert_uint_eq(ring.in_kernel, 1);
	fake_answer(&fake, 0, 1, 0);
	turn();
	assert_woken(&a, 1);
	close_ring();
}

TEST(a_ring_rings_another_by_request_within_its_limit)
{
	unsigned rung = 0;

	open_ring();
	ck_assert(!sleepable_ring_bell(&ring, &ring)); /* it can't */
	fake.bells_by_request = true;
	while (sleepable_ring_bell(&ring, &ring))
		rung++;
	ck_assert_uint_eq(rung, CQ / 16);
	ck_assert(sleepable_ring_busy(&ring));
	turn();
	ck_assert_uint_eq(fake.held_count, rung);
	while (fake.held_count > 0) {
		ck_assert_uint_eq(fake.held[0].opcode, IORING_OP_MSG_RING);
		ck_assert_uint_eq(fake.held[0].off, URING_BELL_ID);
		fake_answer(&fake, 0, 0, 0);
	}
	turn();
	ck_assert_uint_eq(woken.count, 0);
	close_ring();
}

TEST(what_ends_listening_is_told_to_the_machine)
{
	open_ring();
	ring.uring.listening = true;
	fake_post(&fake, URING_EVENTFD_ID, 1, 0);
	turn();
	ck_assert(!ring.uring.listening);
	close_ring();
}

/* --- answers that ask for more --------------------------------------------------------------- */

static struct waiter chain[64];
static unsigned chain_next;

static void ask_again(struct inner_source *source, int result, bool last)
{
	struct waiter *waiter;
	struct io_uring_sqe *sqe;

	(void)source, (void)result, (void)last;
	for (int i = 0; i < 2 && chain_next < 64; i++) {
		waiter = &chain[chain_next++];
		source_init(&waiter->source, SOURCE_READ, 3);
		waiter->source.inner.answer = ask_again;
		sqe = sleepable_ring_sqe(&ring, &waiter->source);
		uring_prepare(sqe, IORING_OP_READ, 3, NULL, 0);
		sleepable_ring_submit(&ring, &waiter->source, sqe);
	}
}

TEST(an_answer_may_submit_even_into_a_full_ring)
{
	unsigned answered = 0;

	open_with(1, 8);
	ask_again(NULL, 0, true);
	while (sleepable_ring_busy(&ring)) {
		turn();
		while (fake.held_count > 0) {
			fake_answer(&fake, 0, 0, 0);
			answered++;
		}
	}
	ck_assert_uint_eq(answered, 64);
	close_ring();
}

DEATH(a_ring_with_requests_in_flight_must_not_be_closed, "sleepable_ring_close: .*in_kernel")
{
	struct waiter a;

	open_ring();
	submit(&a);
	sleepable_ring_close(&ring);
}
