/* spsc.c - a ring between two threads: nothing is lost, doubled or overtaken, and what a pointer leads to is there. */
#include "base/spsc.h"

#include "harness.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

static struct spsc ring;
static int items[3 * SPSC_ROOM];

static void begin(unsigned at)
{
	memset(&ring, 0, sizeof ring);
	ring.head = ring.tail = at;
}

TEST(what_goes_in_comes_out_in_order)
{
	begin(0);
	ck_assert_ptr_null(spsc_pop(&ring));
	for (int i = 0; i < SPSC_ROOM; i++)
		ck_assert(spsc_push(&ring, &items[i]));
	for (int i = 0; i < SPSC_ROOM; i++)
		ck_assert_ptr_eq(spsc_pop(&ring), &items[i]);
	ck_assert_ptr_null(spsc_pop(&ring));
}

TEST(a_full_ring_refuses_until_a_line_of_it_is_taken)
{
	begin(0);
	for (int i = 0; i < SPSC_ROOM; i++)
		ck_assert(spsc_push(&ring, &items[i]));
	for (int i = 0; i < 3 * SPSC_ROOM; i += SPSC_LINE) {
		for (int k = 0; k < SPSC_LINE; k++) {
			ck_assert(!spsc_push(&ring, &items[0]));
			ck_assert_ptr_eq(spsc_pop(&ring), &items[(i + k) % SPSC_ROOM]);
		}
		for (int k = 0; k < SPSC_LINE; k++)
			ck_assert(spsc_push(&ring, &items[(i + k) % SPSC_ROOM]));
	}
}

TEST(whatever_is_in_it_nothing_is_overwritten)
{
	for (unsigned at = 0; at < SPSC_LINE; at++) {
		unsigned pushed = 0, popped = 0;

		begin(at);
		for (unsigned step = 0; step < 20 * SPSC_ROOM; step++) {
			/* Runs of all lengths, more in than out for a while, then the other way round. */
			bool fill = step / SPSC_ROOM % 2 == 0;

			for (unsigned i = 0; i < step % 13 + (fill ? 3 : 0); i++)
				pushed += spsc_push(&ring, &items[pushed % SPSC_ROOM]);
			for (unsigned i = 0; i < step % 11 + (fill ? 0 : 3); i++) {
				void *item = spsc_pop(&ring);

				ck_assert_ptr_eq(item, popped < pushed ? &items[popped % SPSC_ROOM] : NULL);
				popped += item != NULL;
			}
			ck_assert_uint_le(pushed - popped, SPSC_ROOM);
		}
		ck_assert_uint_gt(popped, 10 * SPSC_ROOM);
	}
}

TEST(indices_wrap_around)
{
	begin(0u - SPSC_ROOM / 2);
	for (int i = 0; i < SPSC_ROOM; i++)
		ck_assert(spsc_push(&ring, &items[i]));
	ck_assert(!spsc_push(&ring, &items[0]));
	for (int i = 0; i < SPSC_ROOM; i++)
		ck_assert_ptr_eq(spsc_pop(&ring), &items[i]);
	ck_assert_ptr_null(spsc_pop(&ring));
}

/* --- two threads --------------------------------------------------------------------------------- */

enum { CELLS = 1024 };

struct cell {
	unsigned long number;
};

static struct cell cells[CELLS];

/* A cell is written anew only when it was popped long ago: CELLS > 2 * SPSC_ROOM. */
static void *push_all(void *arg)
{
	unsigned long count = *(unsigned long *)arg;

	for (unsigned long i = 1; i <= count; i++) {
		struct cell *cell = &cells[i % CELLS];

		__atomic_store_n(&cell->number, i, __ATOMIC_RELAXED);
		while (!spsc_push(&ring, cell)) /* ends: the other thread pops */
			sched_yield();
	}
	return NULL;
}

TEST_TIMEOUT(between_two_threads_all_comes_over_in_order, 60)
{
	unsigned long count = harness_slow() ? 100000 : 2000000;
	pthread_t pusher;

	begin(0u - 1000);
	ck_assert_int_eq(pthread_create(&pusher, NULL, push_all, &count), 0);
	for (unsigned long i = 1; i <= count;) {
		struct cell *cell = spsc_pop(&ring);

		if (!cell) {
			sched_yield();
			continue;
		}
		if (cell != &cells[i % CELLS] || __atomic_load_n(&cell->number, __ATOMIC_RELAXED) != i)
			ck_abort_msg("number %lu came out of order", i);
		i++;
	}
	ck_assert_int_eq(pthread_join(pusher, NULL), 0);
	ck_assert_ptr_null(spsc_pop(&ring));
}

static struct cell plain[SPSC_ROOM];

static void *push_plain(void *arg)
{
	(void)arg;
	for (int i = 0; i < SPSC_ROOM; i++) {
		plain[i].number = (unsigned long)i + 1;
		ck_assert(spsc_push(&ring, &plain[i]));
	}
	return NULL;
}

/* Without atomics on what is passed: the ring alone orders it, which TSan would deny if it did not. */
TEST(what_was_written_before_the_push_is_read_after_the_pop)
{
	pthread_t pusher;

	begin(0);
	ck_assert_int_eq(pthread_create(&pusher, NULL, push_plain, NULL), 0);
	for (unsigned long i = 1; i <= SPSC_ROOM;) {
		struct cell *cell = spsc_pop(&ring);

		if (!cell) {
			sched_yield();
			continue;
		}
		ck_assert_uint_eq(cell->number, i++);
	}
	ck_assert_int_eq(pthread_join(pusher, NULL), 0);
}
