#include "machine/topology.h"

#include <errno.h>
#include <hwloc.h>
#include <sched.h>
#include <stdlib.h>

enum { CPUS_MOST = 1 << 16 }; /* eight times what the kernel can be built for */

/* hwloc says why in errno, mostly. */
static int failure(void)
{
	return errno > 0 ? -errno : -EIO;
}

/* No caches, whose search takes long; devices are not looked for by default. To leave out Groups as well would save
 * little, and hwloc (2.9) then hangs all NUMA nodes on the whole machine. */
static int load(hwloc_topology_t topology)
{
	if (hwloc_topology_set_cache_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE) < 0 ||
	    hwloc_topology_set_icache_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE) < 0 ||
	    hwloc_topology_load(topology) < 0)
		return failure();
	return 0;
}

static struct topology_cpu describe(hwloc_topology_t topology, hwloc_obj_t pu)
{
	hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
	hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_PACKAGE, pu);
	hwloc_obj_t node = hwloc_get_numanode_obj_by_os_index(topology, (unsigned)hwloc_bitmap_first(pu->nodeset));
	unsigned cores = (unsigned)hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE);

	return (struct topology_cpu){
		.cpu = pu->os_index,
		.node = node ? node->logical_index : 0,
		.package = package ? package->logical_index : 0,
		.core = core ? core->logical_index : cores + pu->logical_index, /* of unknown core: one by itself */
	};
}

/* The threads of a core are neighbours in hwloc's order. Returns how many. */
static unsigned list_usable(hwloc_topology_t topology, hwloc_const_bitmap_t usable, struct topology_cpu *cpus)
{
	hwloc_obj_t pu = NULL;
	unsigned count = 0;

	while ((pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu))) {
		if (!hwloc_bitmap_isset(usable, pu->os_index))
			continue;
		cpus[count] = describe(topology, pu);
		if (count > 0 && cpus[count].core == cpus[count - 1].core)
			cpus[count].sibling = cpus[count - 1].sibling + 1;
		count++;
	}
	return count;
}

static int read_usable(hwloc_topology_t topology, hwloc_bitmap_t usable, struct topology_cpu **out, unsigned *count)
{
	int all, r = load(topology);

	if (r < 0)
		return r;
	/* Of a machine that is only described (HWLOC_SYNTHETIC) hwloc says that each CPU may be used. */
	if (hwloc_get_cpubind(topology, usable, HWLOC_CPUBIND_THREAD) < 0)
		return failure();
	hwloc_bitmap_and(usable, usable, hwloc_topology_get_allowed_cpuset(topology));
	all = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
	if (all <= 0)
		return -ENODEV;
	*out = malloc((size_t)all * sizeof **out);
	if (!*out)
		return -ENOMEM;
	*count = list_usable(topology, usable, *out);
	return 0;
}

int topology_read(struct topology_cpu **cpus, unsigned *count)
{
	hwloc_bitmap_t usable = hwloc_bitmap_alloc();
	hwloc_topology_t topology;
	int r;

	if (!usable)
		return -ENOMEM;
	errno = 0;
	if (hwloc_topology_init(&topology) < 0) {
		r = failure();
	} else {
		r = read_usable(topology, usable, cpus, count);
		hwloc_topology_destroy(topology);
	}
	hwloc_bitmap_free(usable);
	return r;
}

int topology_bind_thread(const unsigned *cpus, unsigned count)
{
	unsigned most = 0;
	cpu_set_t *set;
	size_t size;
	int r;

	for (unsigned i = 0; i < count; i++)
		most = cpus[i] > most ? cpus[i] : most;
	if (count == 0 || most >= CPUS_MOST)
		return -EINVAL;
	set = CPU_ALLOC(most + 1);
	if (!set)
		return -ENOMEM;
	size = CPU_ALLOC_SIZE(most + 1);
	CPU_ZERO_S(size, set);
	for (unsigned i = 0; i < count; i++)
		CPU_SET_S(cpus[i], size, set);
	r = sched_setaffinity(0, size, set) < 0 ? -errno : 0;
	CPU_FREE(set);
	return r;
}
