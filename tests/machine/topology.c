/* topology.c - what there is on this machine, and on machines that hwloc makes up. */
#include "machine/topology.h"

#include "harness.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

static unsigned read_all(struct topology_cpu **cpus)
{
	unsigned count = 0;

	ck_assert_int_eq(topology_read(cpus, &count), 0);
	return count;
}

/* --- this machine --------------------------------------------------------------------------------- */

static cpu_set_t affinity(void)
{
	cpu_set_t set;

	ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
	return set;
}

TEST(the_cpus_are_those_of_the_affinity_mask)
{
	struct topology_cpu *cpus;
	cpu_set_t set = affinity();
	unsigned count = read_all(&cpus);

	ck_assert_int_eq(CPU_COUNT(&set), (int)count);
	for (unsigned i = 0; i < count; i++) {
		ck_assert(CPU_ISSET(cpus[i].cpu, &set));
		CPU_CLR(cpus[i].cpu, &set); /* each once */
	}
	free(cpus);
}

TEST(threads_of_a_core_share_all_the_rest)
{
	struct topology_cpu *cpus;
	unsigned count = read_all(&cpus);

	for (unsigned i = 0; i < count; i++) {
		unsigned before = 0;

		for (unsigned j = 0; j < i; j++) {
			if (cpus[j].core != cpus[i].core)
				continue;
			before++;
			ck_assert_uint_eq(cpus[j].node, cpus[i].node);
			ck_assert_uint_eq(cpus[j].package, cpus[i].package);
		}
		ck_assert_uint_eq(cpus[i].sibling, before);
	}
	free(cpus);
}

static void *count_cpus(void *arg)
{
	struct topology_cpu *cpus;

	*(unsigned *)arg = read_all(&cpus);
	free(cpus);
	return NULL;
}

TEST(a_thread_that_is_bound_sees_only_its_cpus)
{
	struct topology_cpu *cpus;
	unsigned count = read_all(&cpus), last = cpus[count - 1].cpu, elsewhere = 0;
	pthread_t thread;
	cpu_set_t set;

	free(cpus);
	ck_assert_int_eq(topology_bind_thread(&last, 1), 0);
	set = affinity();
	ck_assert_int_eq(CPU_COUNT(&set), 1);
	ck_assert(CPU_ISSET(last, &set));
	ck_assert_int_eq(sched_getcpu(), (int)last);
	ck_assert_uint_eq(read_all(&cpus), 1);
	ck_assert_uint_eq(cpus[0].cpu, last);
	ck_assert_uint_eq(cpus[0].sibling, 0); /* the first of those that are here */
	free(cpus);
	ck_assert_int_eq(pthread_create(&thread, NULL, count_cpus, &elsewhere), 0); /* it inherits */
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(elsewhere, 1);
}

TEST(a_thread_may_be_bound_to_several_and_others_stay_as_they_are)
{
	struct topology_cpu *cpus;
	unsigned count = read_all(&cpus), *all = calloc(count, sizeof *all);
	cpu_set_t before = affinity(), after;

	for (unsigned i = 0; i < count; i++)
		all[i] = cpus[i].cpu;
	ck_assert_int_eq(topology_bind_thread(all, 1), 0);
	ck_assert_int_eq(topology_bind_thread(all, count), 0);
	after = affinity();
	ck_assert(CPU_EQUAL(&before, &after));
	free(all);
	free(cpus);
}

TEST(binding_to_what_is_not_there_is_refused)
{
	static const unsigned beyond[] = { UINT_MAX, INT_MAX, 1 << 16 };
	unsigned absent = (1 << 16) - 1, some[2] = { 0, absent };
	cpu_set_t before = affinity(), after;

	ck_assert_int_eq(topology_bind_thread(NULL, 0), -EINVAL);
	ck_assert_int_eq(topology_bind_thread(&absent, 1), -EINVAL);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(topology_bind_thread(&beyond[i], 1), -EINVAL);
	after = affinity();
	ck_assert(CPU_EQUAL(&before, &after));
	while (!CPU_ISSET(some[0], &before))
		some[0]++;
	ck_assert_int_eq(topology_bind_thread(some, 2), 0); /* the one that is there */
	after = affinity();
	ck_assert_int_eq(CPU_COUNT(&after), 1);
}

TEST(reading_again_and_again_leaves_nothing_behind)
{
	struct topology_cpu *cpus;
	unsigned count = read_all(&cpus);

	free(cpus);
	for (int i = 0; i < 20; i++) {
		ck_assert_uint_eq(read_all(&cpus), count);
		free(cpus);
	}
}

/* --- made up -------------------------------------------------------------------------------------- */

/* With nodes in each description: hwloc 2.9 copies over itself where it has to add them, and valgrind tells. */
static struct topology_cpu *read_synthetic(const char *description, unsigned wanted)
{
	struct topology_cpu *cpus;

	ck_assert_int_eq(setenv("HWLOC_SYNTHETIC", description, 1), 0);
	ck_assert_uint_eq(read_all(&cpus), wanted);
	return cpus;
}

TEST(packages_of_nodes_of_cores_of_threads)
{
	struct topology_cpu *cpus = read_synthetic("package:2 numa:2 core:4 pu:2", 32);

	for (unsigned i = 0; i < 32; i++) {
		ck_assert_uint_eq(cpus[i].cpu, i);
		ck_assert_uint_eq(cpus[i].package, i / 16);
		ck_assert_uint_eq(cpus[i].node, i / 8);
		ck_assert_uint_eq(cpus[i].core, i / 2);
		ck_assert_uint_eq(cpus[i].sibling, i % 2);
	}
	free(cpus);
}

TEST(nodes_of_packages)
{
	struct topology_cpu *cpus = read_synthetic("numa:2 package:2 core:1 pu:1", 4);

	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(cpus[i].package, i);
		ck_assert_uint_eq(cpus[i].node, i / 2);
		ck_assert_uint_eq(cpus[i].sibling, 0);
	}
	free(cpus);
}

TEST(numbers_of_the_kernel_in_another_order)
{
	struct topology_cpu *cpus = read_synthetic("numa:1 package:1 core:4 pu:2(indexes=0,4,1,5,2,6,3,7)", 8);

	for (unsigned i = 0; i < 8; i++) {
		ck_assert_uint_eq(cpus[i].cpu, i / 2 + (i % 2) * 4);
		ck_assert_uint_eq(cpus[i].core, i / 2);
		ck_assert_uint_eq(cpus[i].sibling, i % 2);
	}
	free(cpus);
}

TEST(cores_that_have_two_kinds_of_memory)
{
	struct topology_cpu *cpus = read_synthetic("package:2 [numa] [numa] core:2 pu:1", 4);

	ck_assert_uint_eq(cpus[0].node, cpus[1].node);
	ck_assert_uint_eq(cpus[2].node, cpus[3].node);
	ck_assert_uint_ne(cpus[0].node, cpus[2].node);
	free(cpus);
}

TEST(a_machine_that_tells_nothing_has_cores_of_one_thread)
{
	struct topology_cpu *cpus = read_synthetic("numa:1 pu:3", 3);

	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(cpus[i].node, 0);
		ck_assert_uint_eq(cpus[i].package, 0);
		ck_assert_uint_eq(cpus[i].sibling, 0);
		for (unsigned j = 0; j < i; j++)
			ck_assert_uint_ne(cpus[i].core, cpus[j].core);
	}
	free(cpus);
}
