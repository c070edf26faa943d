/* topology - which CPUs there are and how they lie to each other, by hwloc; and which of them a thread is bound to.
 * Relies on libhwloc, which knows the kernel's files and the hypervisors' lies. Nothing is remembered between calls. */
#ifndef TORC_SRC_TOPOLOGY_H
#define TORC_SRC_TOPOLOGY_H

/* The numbers other than `cpu` are logical: equal for two CPUs that share the thing, different otherwise. */
struct topology_cpu {
	unsigned cpu; /* the kernel's number */
	unsigned node, package, core;
	unsigned sibling; /* which thread of its core, among those that are here; from 0 */
};

/* The CPUs that the calling thread may use: online, allowed by the cgroup, and in its affinity mask. Neighbours stand
 * next to each other. `*cpus` is the caller's to free. 0, -errno. */
int topology_read(struct topology_cpu **cpus, unsigned *count);

/* Let the calling thread run on these CPUs only. Returns 0; -EINVAL for an empty list, a number beyond all machines, or
 * when none of them may be used; what does not exist beside others is ignored, as sched_setaffinity(2) does. */
int topology_bind_thread(const unsigned *cpus, unsigned count);

#endif
