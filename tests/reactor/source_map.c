/* source_map.c - ids: unique, never 0, stale after their time. */
#include "reactor/source_map.h"

#include "base/random.h"
#include "harness.h"

#include <errno.h>
#include <stdlib.h>

TEST(an_id_finds_its_source_until_it_is_removed)
{
	struct source_map map;
	struct inner_source source;
	uint64_t id;

	ck_assert_int_eq(source_map_open(&map, 4), 0);
	id = source_map_add(&map, &source);
	ck_assert_uint_ne(id, 0);
	ck_assert_ptr_eq(source_map_get(&map, id), &source);
	ck_assert_uint_eq(map.count, 1);
	source_map_remove(&map, id);
	ck_assert_ptr_null(source_map_get(&map, id));
	ck_assert_uint_eq(map.count, 0);
	source_map_close(&map);
}

TEST(an_id_that_nobody_was_given_finds_nothing)
{
	struct source_map map;
	struct inner_source source;
	uint64_t id;

	ck_assert_int_eq(source_map_open(&map, 4), 0);
	ck_assert_ptr_null(source_map_get(&map, 0));
	ck_assert_ptr_null(source_map_get(&map, UINT64_MAX));
	id = source_map_add(&map, &source);
	ck_assert_ptr_null(source_map_get(&map, 0));
	ck_assert_ptr_null(source_map_get(&map, id + 1));
	ck_assert_ptr_null(source_map_get(&map, id ^ UINT64_C(1) << 63));
	ck_assert_ptr_null(source_map_get(&map, (uint32_t)id));
	source_map_close(&map);
}

TEST(a_slot_that_is_used_again_gives_another_id)
{
	struct source_map map;
	struct inner_source a, b;
	uint64_t old, new;

	ck_assert_int_eq(source_map_open(&map, 1), 0);
	old = source_map_add(&map, &a);
	for (int i = 0; i < 1000; i++) {
		source_map_remove(&map, old);
		new = source_map_add(&map, &b);
		ck_assert_uint_ne(old, new);
		ck_assert_ptr_null(source_map_get(&map, old));
		ck_assert_ptr_eq(source_map_get(&map, new), &b);
		old = new;
	}
	source_map_close(&map);
}

TEST(the_generation_skips_zero_when_it_wraps)
{
	struct source_map map;
	struct inner_source source;
	uint64_t id;

	ck_assert_int_eq(source_map_open(&map, 1), 0);
	id = source_map_add(&map, &source);
	source_map_remove(&map, id);
	map.slots[0].generation = INT32_MAX;
	id = source_map_add(&map, &source);
	ck_assert_uint_eq(id, UINT64_C(0x7fffffff00000000));
	source_map_remove(&map, id);
	ck_assert_uint_eq(source_map_add(&map, &source), UINT64_C(1) << 32);
	source_map_close(&map);
}

TEST(slots_are_used_last_in_first_out)
{
	struct source_map map;
	struct inner_source source;
	uint64_t id[8];

	ck_assert_int_eq(source_map_open(&map, 8), 0);
	for (int i = 0; i < 8; i++)
		id[i] = source_map_add(&map, &source);
	source_map_remove(&map, id[2]);
	source_map_remove(&map, id[5]);
	ck_assert_uint_eq((uint32_t)source_map_add(&map, &source), (uint32_t)id[5]);
	ck_assert_uint_eq((uint32_t)source_map_add(&map, &source), (uint32_t)id[2]);
	source_map_close(&map);
}

TEST(growth_keeps_ids_and_gives_room)
{
	struct source_map map;
	struct inner_source sources[64];
	uint64_t id[64];

	ck_assert_int_eq(source_map_open(&map, 4), 0);
	for (uint32_t i = 0; i < 64; i++) {
		if (map.count == map.size)
			ck_assert_int_eq(source_map_grow(&map, 2 * map.size), 0);
		id[i] = source_map_add(&map, &sources[i]);
	}
	for (int i = 0; i < 64; i++)
		ck_assert_ptr_eq(source_map_get(&map, id[i]), &sources[i]);
	source_map_close(&map);
}

TEST(ids_are_unique_and_right_whatever_comes_and_goes)
{
	enum { SLOTS = 37 };

	for (uint64_t seed = seed_first(); seed_more(seed, 200); seed++) {
		struct random random = random_seeded(seed);
		struct inner_source sources[SLOTS];
		uint64_t id[SLOTS] = { 0 }, old[64] = { 0 };
		struct source_map map;
		unsigned count = 0;

		ck_assert_int_eq(source_map_open(&map, SLOTS), 0);
		for (int step = 0; step < 1000; step++) {
			unsigned i = random_below(&random, SLOTS);

			if (id[i]) {
				source_map_remove(&map, id[i]);
				old[step % 64] = id[i];
				id[i] = 0;
				count--;
			} else {
				id[i] = source_map_add(&map, &sources[i]);
				count++;
			}
			HOLDS(map.count == count && map.unused <= SLOTS, seed);
			for (int k = 0; k < SLOTS; k++)
				HOLDS(!id[k] || source_map_get(&map, id[k]) == &sources[k], seed);
			for (int k = 0; k < 64; k++)
				HOLDS(!source_map_get(&map, old[k]), seed);
		}
		source_map_close(&map);
	}
}
