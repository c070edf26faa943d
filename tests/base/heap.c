/* heap.c - the least comes out first, whatever was put in and taken out in between, and however large the keys. */
#include "base/heap.h"

#include "base/random.h"
#include "harness.h"

#include <string.h>

enum { NODES = 200 };

static struct heap heap;
static struct heap_node nodes[NODES];

static void begin(unsigned room)
{
	heap_free(&heap);
	memset(nodes, 0, sizeof nodes);
	ck_assert_int_eq(heap_reserve(&heap, room), 0);
}

static void insert(int i, uint64_t key)
{
	nodes[i].key = key;
	heap_insert(&heap, &nodes[i]);
}

static struct heap_node *take(void)
{
	struct heap_node *first = heap_first(&heap);

	heap_remove(&heap, first);
	return first;
}

TEST(an_empty_heap_has_no_first)
{
	ck_assert_ptr_null(heap_first(&heap));
	begin(1);
	ck_assert_ptr_null(heap_first(&heap));
	insert(0, 7);
	ck_assert_ptr_eq(take(), &nodes[0]);
	ck_assert_uint_eq(nodes[0].place, 0);
	ck_assert_ptr_null(heap_first(&heap));
	heap_free(&heap);
	heap_free(&heap);
}

TEST(the_least_comes_first)
{
	begin(NODES);
	for (int i = 0; i < NODES; i++)
		insert(i, (uint64_t)(i * 73 % NODES));
	for (unsigned i = 0; i < NODES; i++)
		ck_assert_uint_eq(take()->key, i);
	heap_free(&heap);
}

TEST(room_grows_and_what_is_inside_stays)
{
	begin(1);
	for (int i = 0; i < NODES; i++) {
		ck_assert_int_eq(heap_reserve(&heap, (unsigned)i + 1), 0);
		insert(i, (uint64_t)(NODES - i));
	}
	ck_assert_int_eq(heap_reserve(&heap, 1), 0); /* never shrinks */
	ck_assert_uint_ge(heap.room, NODES);
	for (int i = NODES - 1; i >= 0; i--)
		ck_assert_ptr_eq(take(), &nodes[i]);
	heap_free(&heap);
}

TEST(keys_wrap_around)
{
	const uint64_t base = UINT64_MAX - NODES / 2;

	begin(NODES);
	for (int i = NODES - 1; i >= 0; i--)
		insert(i, base + (uint64_t)i);
	for (int i = 0; i < NODES; i++)
		ck_assert_ptr_eq(take(), &nodes[i]);
	heap_free(&heap);
}

DEATH(more_than_there_is_room_for_panics, "heap_insert|count < heap->room")
{
	begin(1);
	heap.room = 1;
	insert(0, 0);
	insert(1, 1);
}

DEATH(what_is_inside_is_not_put_in_again, "heap_insert|place == 0")
{
	begin(2);
	insert(0, 0);
	insert(0, 1);
}

/* --- at random --------------------------------------------------------------------------------- */

/* Each knows its place, and no child comes before its parent. */
static bool sound(void)
{
	for (unsigned i = 1; i <= heap.count; i++)
		if (heap.nodes[i]->place != i || (i > 1 && heap_before(heap.nodes[i], heap.nodes[i / 2])))
			return false;
	return true;
}

/* Of those inside, none comes before the first. */
static bool first_is_least(unsigned inside)
{
	const struct heap_node *first = heap_first(&heap);
	unsigned count = 0;

	for (int i = 0; i < NODES; i++) {
		count += nodes[i].place > 0;
		if (nodes[i].place > 0 && heap_before(&nodes[i], first))
			return false;
	}
	return count == inside && heap.count == inside && !first == !inside;
}

TEST(at_random_any_may_be_taken_out_and_the_first_is_the_least)
{
	for (uint64_t seed = seed_first(); seed_more(seed, 50); seed++) {
		struct random random = random_seeded(seed);
		uint64_t base = random_next(&random);
		unsigned inside = 0, spread = 1 + random_below(&random, 1000);

		begin(NODES);
		for (int step = 0; step < 1000; step++) {
			struct heap_node *node = &nodes[random_below(&random, NODES)];

			if (node->place == 0) {
				node->key = base + random_below(&random, spread); /* equals among them */
				heap_insert(&heap, node);
				inside++;
			} else {
				heap_remove(&heap, node);
				inside--;
				HOLDS(node->place == 0, seed);
			}
			base += random_below(&random, 3);
			HOLDS(sound() && first_is_least(inside), seed);
		}
		heap_free(&heap);
	}
}
