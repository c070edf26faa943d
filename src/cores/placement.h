/* placement - which executor gets which CPUs: enum torc_placement, .cpus and .count of torc/cores.h. Choosing is a
 * computation on what machine/topology has read, and so can be tried on machines that nobody has.
 * Relies on topology. Keeps: an executor gets no CPU that the list does not name, and where each gets one no two get the
 * same. */
#ifndef TORC_SRC_PLACEMENT_H
#define TORC_SRC_PLACEMENT_H

#include "machine/topology.h"

#include <torc/cores.h>

enum { PLACEMENT_MOST = 256 }; /* executors */

struct placement {
	unsigned count; /* of executors */
	unsigned each;  /* how many CPUs each of them gets: none (it is not bound), one, or all of the set */
	bool fenced;    /* all get the same */
	unsigned *cpus; /* unless fenced one for each executor, in their order */
};

/* For this machine, as the calling thread may use it. 0; -EINVAL as placement_choose; -ENOMEM; what topology_read says. */
int placement_open(struct placement *placement, const struct torc_cores_options *options);
void placement_close(struct placement *placement);

/* For a machine with these CPUs, `cpu_count` of them, in an order that tells which of two equally good ones to take. A
 * CPU that the list names twice counts once, where it is named first. A count of 0 means one executor for each CPU, up
 * to PLACEMENT_MOST.
 * 0, -ENOMEM; -EINVAL: more executors than PLACEMENT_MOST, or than CPUs where each is to have one; no such placement; a
 * list that is empty or malformed, or names a CPU that is not there. */
int placement_choose(struct placement *placement, const struct topology_cpu *cpus, unsigned cpu_count,
                     const struct torc_cores_options *options);

/* The CPUs of one executor: `placement->each` of them, which is not 0. */
static inline const unsigned *placement_of(const struct placement *placement, unsigned executor)
{
	return placement->fenced ? placement->cpus : &placement->cpus[executor];
}

/* Let the calling thread run where this executor is to. 0, -errno. */
int placement_bind(const struct placement *placement, unsigned executor);

#endif
