/* list.c - intrusive lists. */
#include "base/list.h"

#include "base/random.h"
#include "harness.h"

struct item {
	struct list link;
	int value;
};

static struct list head;
static struct item items[64];

static int value_of(const struct list *node)
{
	return container_of(node, struct item, link)->value;
}

/* The list holds these values, read in either direction. */
static void assert_holds(int count, const int *values)
{
	const struct list *back = head.prev;
	int i = 0;

	list_each (node, &head) {
		ck_assert_int_lt(i, count);
		ck_assert_int_eq(value_of(node), values[i++]);
	}
	ck_assert_int_eq(i, count);
	for (; back != &head; back = back->prev)
		ck_assert_int_eq(value_of(back), values[--i]);
	ck_assert_int_eq(i, 0);
}

static void begin(void)
{
	list_init(&head);
	for (int i = 0; i < 64; i++) {
		items[i].value = i;
		list_init(&items[i].link);
	}
}

TEST(a_new_list_is_empty)
{
	begin();
	ck_assert(list_empty(&head));
	ck_assert_ptr_null(list_pop(&head));
	assert_holds(0, NULL);
}

TEST(append_adds_at_the_end_and_prepend_at_the_front)
{
	begin();
	list_append(&head, &items[1].link);
	list_append(&head, &items[2].link);
	list_prepend(&head, &items[0].link);
	assert_holds(3, (int[]){ 0, 1, 2 });
	ck_assert(!list_empty(&head));
}

TEST(removing_takes_out_of_the_middle_and_twice_is_harmless)
{
	begin();
	for (int i = 0; i < 3; i++)
		list_append(&head, &items[i].link);
	list_remove(&items[1].link);
	ck_assert(list_empty(&items[1].link));
	list_remove(&items[1].link);
	assert_holds(2, (int[]){ 0, 2 });
}

TEST(what_was_unlinked_may_be_thrown_away)
{
	begin();
	for (int i = 0; i < 3; i++)
		list_append(&head, &items[i].link);
	list_unlink(&items[0].link);
	list_unlink(&items[2].link);
	items[0].link = items[2].link = (struct list){ NULL, NULL };
	assert_holds(1, (int[]){ 1 });
}

TEST(pop_takes_in_order_and_leaves_each_in_no_list)
{
	begin();
	for (int i = 0; i < 3; i++)
		list_append(&head, &items[i].link);
	for (int i = 0; i < 3; i++) {
		struct list *node = list_pop(&head);

		ck_assert_int_eq(value_of(node), i);
		ck_assert(list_empty(node));
	}
	ck_assert(list_empty(&head));
}

TEST(at_random_it_is_what_an_array_would_be)
{
	for (uint64_t seed = seed_first(); seed_more(seed, 300); seed++) {
		struct random random = random_seeded(seed);
		int model[64], count = 0;

		begin();
		for (int step = 0; step < 200; step++) {
			int i = (int)random_below(&random, 64), at;
			bool front = random_chance(&random, 50);

			for (at = 0; at < count && model[at] != i; at++)
				;
			if (at < count) {
				list_remove(&items[i].link);
				for (count--; at < count; at++)
					model[at] = model[at + 1];
			} else if (front) {
				list_prepend(&head, &items[i].link);
				for (at = count++; at > 0; at--)
					model[at] = model[at - 1];
				model[0] = i;
			} else {
				list_append(&head, &items[i].link);
				model[count++] = i;
			}
			at = 0;
			list_each (node, &head)
				HOLDS(value_of(node) == model[at++], seed);
			HOLDS(at == count, seed);
		}
	}
}
