/* lane.c - bounded channels between cores. */
#include "api.h"

#include <pthread.h>
#include <stdatomic.h>

enum { SENDER, RECEIVER };

static const struct torc_lane_options many = { .size = sizeof many, .senders = TORC_MANY_CORES };

static void run_cores(unsigned count, torc_ns spin, torc_fn *fn, void *arg)
{
	ck_assert_int_eq(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = count,
	                                             .run = TORC_OPTIONS(torc_run_options, .spin = spin)),
	                                fn, arg),
	                 0);
}

static void new_lane(struct torc_lane **lane, size_t item_size, size_t capacity)
{
	ck_assert_int_eq(torc_lane_new(lane, item_size, capacity, NULL), 0);
}

/* --- a stream from core 0 to core 1 ---------------------------------------------------------- */

struct stream {
	struct torc_lane *lane;
	size_t item_size;
	uint64_t count;
	torc_ns late[2];   /* how long a side sleeps before it begins */
	uint64_t pause[2]; /* a side sleeps after so many items; 0: never */
	unsigned closer;
	uint64_t got;
};

static void pause_after(const struct stream *stream, unsigned side, uint64_t i)
{
	if (stream->pause[side] && i % stream->pause[side] == 0)
		ck_assert_int_eq(torc_sleep(i / stream->pause[side] % 3 * 100 * TORC_US), 0);
}

static int stream_send(struct stream *stream)
{
	unsigned char item[4096];

	for (uint64_t i = 0; i < stream->count; i++) {
		pattern_fill(item, stream->item_size, i * 7);
		ck_assert_int_eq(torc_lane_send_sized(stream->lane, item, stream->item_size), 0);
		pause_after(stream, SENDER, i);
	}
	torc_lane_close(stream->lane);
	ck_assert_int_eq(torc_lane_send_sized(stream->lane, item, stream->item_size), -EPIPE);
	return 0;
}

static int stream_recv(struct stream *stream)
{
	unsigned char item[4096];
	int r;

	while ((r = torc_lane_recv_sized(stream->lane, item, stream->item_size)) == 0) {
		ck_assert(pattern_holds(item, stream->item_size, stream->got * 7));
		stream->got++;
		pause_after(stream, RECEIVER, stream->got);
	}
	ck_assert_int_eq(r, -EPIPE);
	ck_assert_int_eq(torc_lane_try_recv_sized(stream->lane, item, stream->item_size), -EPIPE);
	return 0;
}

static int stream_core(void *arg)
{
	struct stream *stream = arg;
	unsigned side = torc_core();

	if (stream->late[side])
		ck_assert_int_eq(torc_sleep(stream->late[side]), 0);
	return side == SENDER ? stream_send(stream) : stream_recv(stream);
}

static void run_stream(struct stream stream, size_t capacity, torc_ns spin)
{
	new_lane(&stream.lane, stream.item_size, capacity);
	run_cores(2, spin, stream_core, &stream);
	ck_assert_uint_eq(stream.got, stream.count);
	torc_lane_free(stream.lane);
}

TEST_TIMEOUT(a_stream_arrives_whole_and_in_order, 60)
{
	run_stream((struct stream){ .item_size = 8, .count = COUNT(200000, 30000) }, 1024, TORC_MS);
	run_stream((struct stream){ .item_size = 8, .count = COUNT(20000, 5000) }, 100, 0);
}

TEST_TIMEOUT(items_of_many_sizes, 60)
{
	static const size_t sizes[] = { 1, 3, 4, 8, 16, 24, 32, 64, 65, 4096 };

	for (size_t i = 0; i < LENGTH(sizes); i++)
		for (torc_ns spin = 0; spin <= TORC_MS; spin += TORC_MS)
			run_stream((struct stream){ .item_size = sizes[i], .count = COUNT(1500, 300) }, 10, spin);
}

TEST_TIMEOUT(small_lanes_park_both_sides, 120)
{
	for (size_t capacity = 1; capacity < 10; capacity++)
		for (torc_ns spin = 0; spin <= TORC_MS; spin += TORC_MS)
			run_stream((struct stream){ .item_size = 8, .count = COUNT(1000, 300) }, capacity, spin);
}

TEST(either_side_first)
{
	run_stream((struct stream){ .item_size = 8, .count = 100, .late = { 20 * TORC_MS, 0 } }, 10, 0);
	run_stream((struct stream){ .item_size = 8, .count = 100, .late = { 0, 20 * TORC_MS } }, 10, 0);
	run_stream((struct stream){ .item_size = 8, .count = 100, .late = { 0, 20 * TORC_MS } }, 1000, TORC_MS);
	run_stream((struct stream){ .item_size = 8, .count = 0, .late = { 20 * TORC_MS, 0 } }, 1, TORC_MS);
}

TEST_TIMEOUT(sides_that_sleep, 60)
{
	for (torc_ns spin = 0; spin <= TORC_MS; spin += TORC_MS) {
		run_stream((struct stream){ .item_size = 8, .count = 2000, .pause = { 7, 0 } }, 16, spin);
		run_stream((struct stream){ .item_size = 8, .count = 2000, .pause = { 0, 7 } }, 16, spin);
		run_stream((struct stream){ .item_size = 8, .count = 2000, .pause = { 11, 7 } }, 16, spin);
	}
}

/* --- there and back: each item wakes a sleeper ------------------------------------------------ */

static struct torc_lane *there, *back;

static int ping_pong(void *arg)
{
	uint64_t count = *(const uint64_t *)arg, item;

	for (uint64_t i = 0; i < count; i++) {
		if (torc_core() == 0) {
			ck_assert_int_eq(torc_lane_send(there, &i), 0);
			ck_assert_int_eq(torc_lane_recv(back, &item), 0);
			ck_assert_uint_eq(item, i + 1);
		} else {
			ck_assert_int_eq(torc_lane_recv(there, &item), 0);
			item++;
			ck_assert_int_eq(torc_lane_send(back, &item), 0);
		}
	}
	return 0;
}

TEST_TIMEOUT(no_wake_up_is_lost, 60)
{
	for (torc_ns spin = 0; spin <= TORC_MS; spin += TORC_MS) {
		uint64_t count = COUNT(2000, 500);

		new_lane(&there, sizeof(uint64_t), 1);
		new_lane(&back, sizeof(uint64_t), 64);
		run_cores(2, spin, ping_pong, &count);
		torc_lane_free(there);
		torc_lane_free(back);
	}
}

/* --- many fibers, calls that are cut short ----------------------------------------------------- */

enum { FIBERS = 8 };

struct crowd {
	struct torc_lane *lane;
	unsigned cores; /* all send; core 0 receives */
	uint64_t per_fiber;
	bool impatient;      /* every call has a deadline */
	atomic_uint senders; /* that have not ended */
	uint64_t last[16][FIBERS];
	uint64_t got, cut;
	_Atomic uint64_t cut_there;
};

struct tagged {
	uint32_t core, fiber;
	uint64_t number;
};

static int send_in_time(struct crowd *crowd, const struct tagged *item, torc_ns span)
{
	TORC_SCOPE(scope, .deadline = torc_in(span));
	return torc_lane_send(crowd->lane, item);
}

static int recv_in_time(struct crowd *crowd, struct tagged *item, torc_ns span)
{
	TORC_SCOPE(scope, .deadline = torc_in(span));
	return torc_lane_recv(crowd->lane, item);
}

struct one {
	struct crowd *crowd;
	unsigned fiber;
};

static int crowd_send(void *arg)
{
	struct one *one = arg;
	struct crowd *crowd = one->crowd;
	struct tagged item = { torc_core(), one->fiber, 0 };

	for (item.number = 1; item.number <= crowd->per_fiber; item.number++) {
		int r;

		do {
			torc_ns span = (torc_ns)(item.number * 7 % 50) * COUNT(1, 20) * TORC_US + TORC_US;

			r = crowd->impatient ? send_in_time(crowd, &item, span) : torc_lane_send(crowd->lane, &item);
			if (r < 0) {
				ck_assert_int_eq(r, -ETIME);
				atomic_fetch_add(&crowd->cut_there, 1);
			}
		} while (r < 0);
	}
	if (atomic_fetch_sub(&crowd->senders, 1) == 1)
		torc_lane_close(crowd->lane);
	return 0;
}

static int crowd_recv(void *arg)
{
	struct crowd *crowd = ((struct one *)arg)->crowd;
	struct tagged item;

	for (uint64_t i = 0;; i++) {
		int r = crowd->impatient
		                ? recv_in_time(crowd, &item, (torc_ns)(i * 5 % 40) * COUNT(1, 20) * TORC_US + TORC_US)
		                : torc_lane_recv(crowd->lane, &item);

		if (r == -EPIPE)
			return 0;
		if (r < 0) {
			ck_assert_int_eq(r, -ETIME);
			crowd->cut++;
			continue;
		}
		/* Handed over in order, though the fibers that got them may run later. */
		crowd->last[item.core][item.fiber] += item.number;
		crowd->got++;
	}
}

static int crowd_core(void *arg)
{
	struct crowd *crowd = arg;
	struct one ones[FIBERS];

	TORC_SCOPE(all);
	for (unsigned i = 0; i < FIBERS; i++) {
		ones[i] = (struct one){ crowd, i };
		if (torc_core() > 0 || crowd->cores == 1)
			ck_assert_int_eq(torc_go(all, crowd_send, &ones[i]), 0);
		if (torc_core() == 0)
			ck_assert_int_eq(torc_go(all, crowd_recv, &ones[i]), 0);
	}
	return torc_scope_join(all);
}

static void run_crowd(unsigned cores, bool impatient, size_t capacity, torc_ns spin)
{
	struct crowd crowd = { .cores = cores,
		               .per_fiber = impatient ? COUNT(40, 20) : COUNT(150, 50),
		               .impatient = impatient };
	unsigned senders = cores > 1 ? cores - 1 : 1;
	uint64_t sum = crowd.per_fiber * (crowd.per_fiber + 1) / 2;

	crowd.senders = senders * FIBERS;
	ck_assert_int_eq(torc_lane_new(&crowd.lane, sizeof(struct tagged), capacity, cores > 2 ? &many : NULL), 0);
	run_cores(cores, spin, crowd_core, &crowd);
	ck_assert_uint_eq(crowd.got, senders * FIBERS * crowd.per_fiber);
	for (unsigned core = cores > 1; core < cores; core++)
		for (unsigned fiber = 0; fiber < FIBERS; fiber++)
			ck_assert_uint_eq(crowd.last[core][fiber], sum);
	torc_lane_free(crowd.lane);
}

TEST_TIMEOUT(many_fibers_at_both_ends, 60)
{
	for (size_t capacity = 1; capacity <= 64; capacity *= 8) {
		run_crowd(2, false, capacity, 0);
		run_crowd(2, false, capacity, TORC_MS);
		run_crowd(5, false, capacity, 0);
		run_crowd(1, false, capacity, 0);
	}
}

TEST_TIMEOUT(deadlines_lose_and_double_nothing, 120)
{
	for (size_t capacity = 1; capacity <= 64; capacity *= 8) {
		run_crowd(2, true, capacity, 0);
		run_crowd(2, true, capacity, TORC_MS);
		run_crowd(4, true, capacity, 0);
	}
}

/* Order for each sender, with one fiber to receive. */
static int ordered_core(void *arg)
{
	struct crowd *crowd = arg;
	struct tagged item = { torc_core(), 0, 0 };

	if (torc_core() > 0)
		return crowd_send(&(struct one){ crowd, 0 });
	while (torc_lane_recv(crowd->lane, &item) == 0) {
		ck_assert_uint_eq(item.number, crowd->last[item.core][0] + 1);
		crowd->last[item.core][0]++;
		crowd->got++;
	}
	return 0;
}

TEST_TIMEOUT(many_cores_each_in_order, 60)
{
	for (torc_ns spin = 0; spin <= TORC_MS; spin += TORC_MS) {
		struct crowd crowd = { .cores = 6, .per_fiber = COUNT(5000, 1000), .senders = 5 };

		ck_assert_int_eq(torc_lane_new(&crowd.lane, sizeof(struct tagged), 32, &many), 0);
		run_cores(6, spin, ordered_core, &crowd);
		ck_assert_uint_eq(crowd.got, 5 * crowd.per_fiber);
		torc_lane_free(crowd.lane);
	}
}

/* --- cancellation, closing --------------------------------------------------------------------- */

static int recv_forever(void *lane)
{
	uint64_t item;

	return torc_lane_recv((struct torc_lane *)lane, &item);
}

static int send_forever(void *lane)
{
	uint64_t item = 1;
	int r;

	while ((r = torc_lane_send((struct torc_lane *)lane, &item)) == 0)
		item++;
	return r;
}

static void late(struct torc_lane *lane, torc_fn *fn)
{
	TORC_SCOPE(scope, .deadline = torc_in(SOON));
	ck_assert_int_eq(fn(lane), -ETIME);
	ck_assert_int_eq(fn(lane), -ETIME);
	torc_scope_cancel(scope);
	ck_assert_int_eq(fn(lane), -ECANCELED);
}

TEST_IN_FIBER(late_at_both_ends)
{
	struct torc_lane *lane;
	uint64_t item;

	new_lane(&lane, sizeof item, 3);
	late(lane, recv_forever);
	late(lane, send_forever);
	for (uint64_t i = 1; i <= 3; i++) {
		ck_assert_int_eq(torc_lane_recv(lane, &item), 0);
		ck_assert_uint_eq(item, i);
	}
	ck_assert_int_eq(torc_lane_try_recv(lane, &item), 0);
	torc_lane_free(lane);
}

static int cancel_core(void *lane)
{
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(torc_go(scope, torc_core() == 0 ? send_forever : recv_forever, lane), 0);
	ck_assert_int_eq(torc_sleep(SOON), 0);
	torc_scope_cancel(scope);
	/* Each receiver takes one item. */
	ck_assert_int_eq(torc_scope_join(scope), torc_core() == 0 ? -ECANCELED : 0);
	return 0;
}

static int close_core(void *lane)
{
	torc_fn *fn = torc_core() == 0 ? send_forever : recv_forever;

	if (torc_core() == 2) {
		ck_assert_int_eq(torc_sleep(SOON), 0);
		torc_lane_close(lane);
		torc_lane_close(lane);
		return 0;
	}
	ck_assert_int_eq(fn(lane), torc_core() == 0 ? -EPIPE : 0);
	return 0;
}

static int close_empty_core(void *lane)
{
	if (torc_core() == 1) {
		ck_assert_int_eq(recv_forever(lane), -EPIPE);
	} else if (torc_core() == 0) {
		ck_assert_int_eq(torc_sleep(SOON), 0);
		torc_lane_close(lane);
	}
	return 0;
}

TEST(a_cancelled_side_lets_go)
{
	for (int i = 0; i < COUNT(20, 3); i++) {
		struct torc_lane *lane;

		new_lane(&lane, sizeof(uint64_t), 4);
		run_cores(2, 0, cancel_core, lane);
		torc_lane_free(lane);
	}
}

TEST(closing_wakes_both_sides)
{
	for (int i = 0; i < 2; i++) {
		struct torc_lane *lane;

		ck_assert_int_eq(torc_lane_new(&lane, sizeof(uint64_t), 4, i ? &many : NULL), 0);
		run_cores(3, 0, close_core, lane);
		torc_lane_free(lane);
		ck_assert_int_eq(torc_lane_new(&lane, sizeof(uint64_t), 4, i ? &many : NULL), 0);
		run_cores(3, 0, close_empty_core, lane);
		torc_lane_free(lane);
	}
}

/* A plain thread closes it, and that is all that the run has waited for. */
struct outsider {
	struct torc_lane *lane;
	struct torc_remote *remote; /* so that it is no deadlock */
	bool sends;
	atomic_bool begun;
	int delay;
};

static void *close_from_outside(void *arg)
{
	struct outsider *outsider = arg;

	while (!outsider->begun)
		sched_yield();
	for (volatile int i = 0; i < outsider->delay; i++)
		;
	torc_lane_close(outsider->lane);
	return NULL;
}

static int wait_for_outsider(void *arg)
{
	struct outsider *outsider = arg;
	uint64_t item = 0;
	int r = 0;

	ck_assert_int_eq(torc_remote_new(&outsider->remote), 0);
	outsider->begun = true;
	while (r == 0)
		r = outsider->sends ? torc_lane_send(outsider->lane, &item) : torc_lane_recv(outsider->lane, &item);
	return r;
}

TEST_TIMEOUT(closed_from_outside_as_the_run_ends, 60)
{
	for (int i = 0; i < COUNT(2000, 100); i++) {
		struct outsider outsider = { .sends = i & 1, .delay = i * 37 % 3000 };
		pthread_t thread;

		ck_assert_int_eq(torc_lane_new(&outsider.lane, sizeof(uint64_t), 4, i & 2 ? &many : NULL), 0);
		ck_assert_int_eq(pthread_create(&thread, NULL, close_from_outside, &outsider), 0);
		ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .spin = i & 4 ? TORC_MS : 0),
		                          wait_for_outsider, &outsider),
		                 -EPIPE);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		torc_remote_free(outsider.remote);
		torc_lane_free(outsider.lane);
	}
}

TEST_IN_FIBER(what_was_sent_before_the_end_arrives)
{
	struct torc_lane *lane;
	uint64_t item;

	new_lane(&lane, sizeof item, 4);
	for (item = 0; item < 3; item++)
		ck_assert_int_eq(torc_lane_send(lane, &item), 0);
	torc_lane_close(lane);
	ck_assert_int_eq(torc_lane_send(lane, &item), -EPIPE);
	ck_assert_int_eq(torc_lane_try_send(lane, &item), -EPIPE);
	for (uint64_t i = 0; i < 3; i++) {
		ck_assert_int_eq(torc_lane_recv(lane, &item), 0);
		ck_assert_uint_eq(item, i);
	}
	ck_assert_int_eq(torc_lane_recv(lane, &item), -EPIPE);
	torc_lane_free(lane); /* while the loop has not yet looked again */
}

TEST_IN_FIBER(trying)
{
	struct torc_lane *lane;
	uint32_t item = 0, got = 77;

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(torc_lane_new(&lane, sizeof item, 5, i ? &many : NULL), 0);
		ck_assert_int_eq(torc_lane_try_recv(lane, &got), 0);
		ck_assert_uint_eq(got, 77);
		for (int lap = 0; lap < 10; lap++) {
			for (item = 0; torc_lane_try_send(lane, &item) == 1; item++)
				;
			ck_assert_uint_eq(item, 5);
			for (uint32_t j = 0; j < 5; j++) {
				ck_assert_int_eq(torc_lane_try_recv(lane, &got), 1);
				ck_assert_uint_eq(got, j);
			}
			ck_assert_int_eq(torc_lane_try_recv(lane, &got), 0);
		}
		got = 77;
		torc_lane_free(lane);
	}
}

/* --- what is refused --------------------------------------------------------------------------- */

TEST(options_out_of_range)
{
	struct torc_lane *lane = NULL;

	ck_assert_int_eq(torc_lane_new(&lane, 0, 1, NULL), -EINVAL);
	ck_assert_int_eq(torc_lane_new(&lane, 1, 0, NULL), -EINVAL);
	ck_assert_int_eq(torc_lane_new(&lane, (1 << 20) + 1, 1, NULL), -EINVAL);
	ck_assert_int_eq(torc_lane_new(&lane, 8, SIZE_MAX / 4, NULL), -EINVAL);
	ck_assert_int_eq(torc_lane_new(&lane, 8, 1 << 28, NULL), -EINVAL);
	ck_assert_int_eq(torc_lane_new(&lane, 8, 1, TORC_OPTIONS(torc_lane_options, .senders = 2)), -EINVAL);
	ck_assert_ptr_null(lane);
	torc_lane_free(NULL);
	new_lane(&lane, 8, 1);
	torc_lane_close(lane);
	torc_lane_free(lane);
}

DEATH_IN_FIBER(an_item_of_another_size, "torc_lane_send_sized: an item of 4 bytes; those of this lane have 8")
{
	struct torc_lane *lane;
	uint32_t item = 0;

	new_lane(&lane, 8, 1);
	(void)!torc_lane_send(lane, &item);
}

DEATH(sent_outside_a_fiber, "torc_lane_send_sized: called outside a fiber")
{
	struct torc_lane *lane;
	uint64_t item = 0;

	new_lane(&lane, 8, 1);
	(void)!torc_lane_send(lane, &item);
}

static int send_in_turn(void *lane)
{
	uint64_t item = 0;

	(void)!torc_sleep(torc_core() * 20 * TORC_MS);
	(void)!torc_lane_send((struct torc_lane *)lane, &item);
	return 0;
}

static int recv_in_turn(void *lane)
{
	uint64_t item = 0;

	(void)!torc_sleep(torc_core() * 20 * TORC_MS);
	(void)!torc_lane_try_recv((struct torc_lane *)lane, &item);
	return 0;
}

DEATH(two_sending_cores, "torc_lane_send_sized: another core sends to this lane; it was made for one")
{
	struct torc_lane *lane;

	new_lane(&lane, 8, 4);
	run_cores(2, 0, send_in_turn, lane);
}

DEATH(two_receiving_cores, "torc_lane_try_recv_sized: another core receives from this lane")
{
	struct torc_lane *lane;

	new_lane(&lane, 8, 4);
	run_cores(2, 0, recv_in_turn, lane);
}
