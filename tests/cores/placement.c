/* placement.c - which executor gets which CPUs, on machines made up for the purpose. */
#include "cores/placement.h"

#include "harness.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))

/* 2 packages of 2 NUMA nodes of 4 cores of 2 threads, numbered as Linux does on such machines: the first threads of all
 * cores, 0 to 15, then their siblings, 16 to 31. In the order of topology_read. */
static struct topology_cpu big[32];

__attribute__((constructor)) static void make_big(void)
{
	for (unsigned i = 0; i < 32; i++)
		big[i] = (struct topology_cpu){
			.cpu = i / 2 + (i % 2) * 16, .node = i / 8, .package = i / 16, .core = i / 2, .sibling = i % 2
		};
}

/* A package with a small node (one core of two threads) and one with a large node (three cores of one thread, as some
 * processors mix them). CPU 3 is offline. */
static const struct topology_cpu odd[] = {
	{ .cpu = 0, .node = 0, .package = 0, .core = 0, .sibling = 0 },
	{ .cpu = 1, .node = 0, .package = 0, .core = 0, .sibling = 1 },
	{ .cpu = 2, .node = 1, .package = 1, .core = 1, .sibling = 0 },
	{ .cpu = 4, .node = 1, .package = 1, .core = 2, .sibling = 0 },
	{ .cpu = 5, .node = 1, .package = 1, .core = 3, .sibling = 0 },
};

/* One NUMA node over two packages, listed out of order. */
static const struct topology_cpu flat[] = {
	{ .cpu = 7, .node = 0, .package = 1, .core = 3 },
	{ .cpu = 3, .node = 0, .package = 0, .core = 1 },
	{ .cpu = 5, .node = 0, .package = 1, .core = 2 },
	{ .cpu = 1, .node = 0, .package = 0, .core = 0 },
};

#define ON(machine) (machine), LENGTH(machine)

/* "0 16 1": what one executor after the other gets; "0,1" if it is more than one CPU; "-" if none. */
static void assert_placement(const struct topology_cpu *cpus, size_t count, const struct torc_cores_options *options,
                             const char *wanted)
{
	struct placement placement;
	char text[4096] = "";
	int len = 0;

	ck_assert_int_eq(placement_choose(&placement, cpus, (unsigned)count, options), 0);
	for (unsigned i = 0; i < placement.count; i++) {
		len += snprintf(text + len, sizeof text - (size_t)len, "%s%s", i ? " " : "", placement.each ? "" : "-");
		for (unsigned j = 0; j < placement.each; j++)
			len += snprintf(text + len, sizeof text - (size_t)len, "%s%u", j ? "," : "",
			                placement_of(&placement, i)[j]);
	}
	ck_assert_str_eq(text, wanted);
	placement_close(&placement);
	placement_close(&placement);
}

static int refusal(const struct topology_cpu *cpus, size_t count, const struct torc_cores_options *options)
{
	struct placement placement, before;
	int r;

	memset(&placement, 0xa5, sizeof placement);
	before = placement;
	r = placement_choose(&placement, cpus, (unsigned)count, options);
	ck_assert_int_lt(r, 0);
	ck_assert_mem_eq(&placement, &before, sizeof before);
	return r;
}

#define GIVES(machine, wanted, ...) assert_placement(ON(machine), TORC_OPTIONS(torc_cores_options, __VA_ARGS__), wanted)
#define REFUSES(machine, error, ...) \
	ck_assert_int_eq(refusal(ON(machine), TORC_OPTIONS(torc_cores_options, __VA_ARGS__)), error)

/* --- spread --------------------------------------------------------------------------------------- */

TEST(spread_takes_nodes_of_different_packages_first)
{
	GIVES(big, "0", .placement = TORC_SPREAD, .count = 1);
	GIVES(big, "0 8", .placement = TORC_SPREAD, .count = 2);
	GIVES(big, "0 8 4 12", .placement = TORC_SPREAD, .count = 4);
}

TEST(spread_then_takes_other_cores_evenly)
{
	GIVES(big, "0 8 4 12 1 9 5 13", .placement = TORC_SPREAD, .count = 8);
}

TEST(spread_takes_siblings_when_there_is_no_core_left)
{
	GIVES(big, "0 8 4 12 1 9 5 13 2 10 6 14 3 11 7 15 16 24 20 28", .placement = TORC_SPREAD, .count = 20);
}

TEST(spread_over_everything_uses_each_cpu_once)
{
	struct placement placement;
	unsigned seen = 0;

	ck_assert_int_eq(
		placement_choose(&placement, ON(big), TORC_OPTIONS(torc_cores_options, .placement = TORC_SPREAD)), 0);
	ck_assert_uint_eq(placement.count, 32);
	for (unsigned i = 0; i < 32; i++)
		seen |= 1u << *placement_of(&placement, i);
	ck_assert_uint_eq(seen, UINT32_MAX);
	placement_close(&placement);
}

TEST(spread_prefers_a_free_core_to_an_even_number_a_node)
{
	GIVES(odd, "0 2 4 5 1", .placement = TORC_SPREAD);
}

TEST(spread_uses_packages_where_they_share_a_node)
{
	GIVES(flat, "7 3 5 1", .placement = TORC_SPREAD);
}

TEST(spread_keeps_to_the_list)
{
	GIVES(big, "0 2 16", .placement = TORC_SPREAD, .cpus = "16,0,2");
	GIVES(big, "17 25", .placement = TORC_SPREAD, .cpus = "17-19,25", .count = 2);
}

/* --- pack ----------------------------------------------------------------------------------------- */

TEST(pack_takes_siblings_then_neighbours)
{
	GIVES(big, "0 16", .placement = TORC_PACK, .count = 2);
	GIVES(big, "0 16 1 17 2 18 3 19 4 20", .placement = TORC_PACK, .count = 10);
	GIVES(big, "0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23 8 24", .placement = TORC_PACK, .count = 18);
}

TEST(pack_on_odd_machines)
{
	GIVES(odd, "0 1 2 4 5", .placement = TORC_PACK);
	GIVES(flat, "7 5 3 1", .placement = TORC_PACK);
}

TEST(pack_keeps_to_the_list)
{
	GIVES(big, "3 4 8 24", .placement = TORC_PACK, .cpus = "24,8,4,3");
	GIVES(big, "1 17 5 9", .placement = TORC_PACK, .cpus = "1,9,5,17");
}

TEST(pack_finds_neighbours_in_any_order_of_the_machine)
{
	static const struct topology_cpu mixed[] = {
		{ .cpu = 0, .node = 0, .package = 0, .core = 0 }, { .cpu = 1, .node = 2, .package = 1, .core = 2 },
		{ .cpu = 2, .node = 1, .package = 0, .core = 1 }, { .cpu = 3, .node = 2, .package = 1, .core = 3 },
		{ .cpu = 4, .node = 0, .package = 0, .core = 4 }, { .cpu = 5, .node = 0, .package = 0, .core = 0 },
	};

	GIVES(mixed, "0 5 4 2 1 3", .placement = TORC_PACK);
}

/* --- fixed, fenced, unbound ----------------------------------------------------------------------- */

TEST(fixed_keeps_the_order_of_the_list)
{
	GIVES(big, "5 3 9 10 11 0", .placement = TORC_FIXED, .cpus = "5,3,9-11,0");
	GIVES(big, "5 3", .placement = TORC_FIXED, .cpus = "5,3,9-11,0", .count = 2);
	GIVES(flat, "1 7", .placement = TORC_FIXED, .cpus = "1,7");
}

TEST(fixed_without_a_list_keeps_the_order_of_the_machine)
{
	GIVES(odd, "0 1 2 4 5", .placement = TORC_FIXED);
	GIVES(odd, "0 1", .placement = TORC_FIXED, .cpus = "all", .count = 2);
}

TEST(fenced_gives_each_the_whole_set)
{
	GIVES(odd, "0,1,2,4,5 0,1,2,4,5 0,1,2,4,5 0,1,2,4,5 0,1,2,4,5", .placement = TORC_FENCED);
	GIVES(big, "2,3 2,3 2,3", .placement = TORC_FENCED, .cpus = "3,2", .count = 3);
	GIVES(big, "7 7", .placement = TORC_FENCED, .cpus = "7", .count = 2);
}

TEST(unbound_gives_none_and_counts)
{
	GIVES(odd, "- - - - -", .count = 0);
	GIVES(odd, "- -", .cpus = "0,5");
	GIVES(odd, "- - - - - - -", .count = 7, .cpus = "0,5");
}

/* --- lists ---------------------------------------------------------------------------------------- */

TEST(a_list_may_have_blanks)
{
	GIVES(big, "1 2 3 7", .placement = TORC_FIXED, .cpus = " 1 - 3 ,\t7 \n");
	GIVES(big, "0 8", .placement = TORC_FIXED, .cpus = "00,008");
}

TEST(a_cpu_named_twice_counts_once)
{
	GIVES(big, "3 1 2 4", .placement = TORC_FIXED, .cpus = "3,1-4,2-3,3");
	REFUSES(big, -EINVAL, .placement = TORC_FIXED, .cpus = "1,1", .count = 2);
}

TEST(a_malformed_list_is_refused)
{
	static const char *const lists[] = {
		"",      " ",    ",",    "1,",   ",1",    "1,,2", "-",    "1-",      "-1",    "1--2",
		"1-2-3", "1 2",  "a",    "1a",   "0x1",   "+1",   "1.0",  "1;2",     "all,1", "1,all",
		"ALL",   " all", "all ", "1-\n", "0-3:2", "1-,2", "\xff", "1 - - 2", "*",
	};

	for (size_t i = 0; i < LENGTH(lists); i++) {
		struct torc_cores_options options = { .size = sizeof options, .cpus = lists[i], .count = 1 };

		for (enum torc_placement how = TORC_UNBOUND; how <= TORC_FIXED; how++) {
			options.placement = how;
			ck_assert_msg(refusal(ON(big), &options) == -EINVAL, "\"%s\"", lists[i]);
		}
	}
}

TEST(a_range_that_runs_backwards_is_refused)
{
	REFUSES(big, -EINVAL, .cpus = "3-1");
	REFUSES(big, -EINVAL, .cpus = "0,2-1");
	GIVES(big, "-", .cpus = "1-1");
}

TEST(a_cpu_that_is_not_there_is_refused)
{
	REFUSES(big, -EINVAL, .cpus = "32");
	REFUSES(big, -EINVAL, .cpus = "30-32");
	REFUSES(odd, -EINVAL, .cpus = "3");
	REFUSES(odd, -EINVAL, .placement = TORC_SPREAD, .cpus = "0-5");
}

TEST(huge_numbers_are_refused_at_once)
{
	REFUSES(big, -EINVAL, .cpus = "4294967296"); /* not CPU 0 */
	REFUSES(big, -EINVAL, .cpus = "0-4294967295");
	REFUSES(big, -EINVAL, .cpus = "0-18446744073709551615");
	REFUSES(big, -EINVAL, .cpus = "18446744073709551616-18446744073709551617");
	REFUSES(big, -EINVAL, .cpus = "99999999999999999999999999999999999999999999");
	REFUSES(big, -EINVAL, .cpus = "31-99999999999999999999999999999999999999999999");
}

TEST(a_long_list_is_read_to_its_end)
{
	char *list = malloc(60001);

	for (int i = 0; i < 10000; i++)
		memcpy(list + 6 * i, " 0-31,", 6);
	list[59999] = 0;
	assert_placement(ON(big), TORC_OPTIONS(torc_cores_options, .placement = TORC_FIXED, .cpus = list, .count = 3),
	                 "0 1 2");
	memcpy(list + 59994, ",32", 4);
	ck_assert_int_eq(refusal(ON(big), TORC_OPTIONS(torc_cores_options, .cpus = list)), -EINVAL);
	free(list);
}

/* --- counts --------------------------------------------------------------------------------------- */

TEST(more_executors_than_cpus_are_refused_where_each_is_to_have_one)
{
	REFUSES(odd, -EINVAL, .placement = TORC_SPREAD, .count = 6);
	REFUSES(odd, -EINVAL, .placement = TORC_PACK, .count = 6);
	REFUSES(odd, -EINVAL, .placement = TORC_FIXED, .count = 6);
	REFUSES(odd, -EINVAL, .placement = TORC_FIXED, .cpus = "0", .count = 2);
	GIVES(odd, "0 0 0 0 0 0", .placement = TORC_FENCED, .cpus = "0", .count = 6);
	GIVES(odd, "- - - - - -", .count = 6);
}

TEST(more_than_256_executors_are_refused)
{
	struct placement placement;

	for (enum torc_placement how = TORC_UNBOUND; how <= TORC_FIXED; how++) {
		REFUSES(big, -EINVAL, .count = 257, .placement = how);
		REFUSES(big, -EINVAL, .count = UINT32_MAX, .placement = how);
	}
	ck_assert_int_eq(placement_choose(&placement, ON(big), TORC_OPTIONS(torc_cores_options, .count = 256)), 0);
	ck_assert_uint_eq(placement.count, 256);
	placement_close(&placement);
}

TEST(one_for_each_cpu_ends_at_256)
{
	static struct topology_cpu huge[1024];

	for (unsigned i = 0; i < 1024; i++)
		huge[i] = (struct topology_cpu){ .cpu = i, .node = i / 64, .package = i / 128, .core = i / 2 };
	for (enum torc_placement how = TORC_UNBOUND; how <= TORC_FIXED; how++) {
		struct placement placement;

		ck_assert_int_eq(
			placement_choose(&placement, ON(huge), TORC_OPTIONS(torc_cores_options, .placement = how)), 0);
		ck_assert_uint_eq(placement.count, 256);
		if (how == TORC_FENCED)
			ck_assert_uint_eq(placement.each, 1024);
		placement_close(&placement);
	}
}

TEST(no_such_placement_is_refused)
{
	REFUSES(big, -EINVAL, .placement = TORC_FIXED + 1);
	REFUSES(big, -EINVAL, .placement = (enum torc_placement)77);
	REFUSES(big, -EINVAL, .placement = (enum torc_placement) - 1);
}

/* --- this machine --------------------------------------------------------------------------------- */

static void assert_bound(const unsigned *cpus, unsigned count)
{
	cpu_set_t set;

	ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
	ck_assert_int_eq(CPU_COUNT(&set), (int)count);
	for (unsigned i = 0; i < count; i++)
		ck_assert(CPU_ISSET(cpus[i], &set));
}

TEST(a_thread_runs_where_its_executor_is_to)
{
	struct placement each, fenced, unbound;

	ck_assert_int_eq(placement_open(&each, TORC_OPTIONS(torc_cores_options, .placement = TORC_SPREAD)), 0);
	ck_assert_int_eq(
		placement_open(&fenced, TORC_OPTIONS(torc_cores_options, .placement = TORC_FENCED, .count = 2)), 0);
	ck_assert_int_eq(placement_open(&unbound, TORC_OPTIONS(torc_cores_options, .count = 2)), 0);
	ck_assert_uint_eq(fenced.each, each.count);
	for (unsigned i = 0; i < each.count; i++) {
		ck_assert_int_eq(placement_bind(&each, i), 0);
		assert_bound(placement_of(&each, i), 1);
		ck_assert_int_eq(placement_bind(&unbound, 1), 0);
		assert_bound(placement_of(&each, i), 1);
	}
	ck_assert_int_eq(placement_bind(&fenced, 1), 0);
	assert_bound(fenced.cpus, fenced.each);
	placement_close(&each);
	placement_close(&fenced);
	placement_close(&unbound);
}

TEST(what_the_thread_may_not_use_is_refused)
{
	struct placement placement;
	cpu_set_t set;
	char other[16];
	unsigned first = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
	if (CPU_COUNT(&set) < 2)
		SKIP("there is but one CPU");
	while (!CPU_ISSET(first, &set))
		first++;
	CPU_CLR(first, &set);
	snprintf(other, sizeof other, "%u", first);
	ck_assert_int_eq(sched_setaffinity(0, sizeof set, &set), 0);
	ck_assert_int_eq(placement_open(&placement, TORC_OPTIONS(torc_cores_options, .cpus = other)), -EINVAL);
	ck_assert_int_eq(placement_open(&placement, TORC_OPTIONS(torc_cores_options, .placement = TORC_FIXED)), 0);
	ck_assert_uint_eq(placement.count, (unsigned)CPU_COUNT(&set));
	ck_assert_uint_ne(placement.cpus[0], first);
	placement_close(&placement);
}
