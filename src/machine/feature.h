/* feature - what the kernel may or may not have, by name: the switch in the environment, and what probing found.
 * Relies on machine/probe having run once (torc_run sees to it); afterwards only read, so safe on any thread. */
#ifndef TORC_SRC_FEATURE_H
#define TORC_SRC_FEATURE_H

#include <stdbool.h>
#include <stddef.h>

enum feature {
	FEATURE_SINGLE_ISSUER,
	FEATURE_DEFER_TASKRUN,
	FEATURE_COOP_TASKRUN,
	FEATURE_TASKRUN_FLAG,
	FEATURE_SUBMIT_ALL,
	FEATURE_CQSIZE,
	FEATURE_CLAMP,
	FEATURE_RING_FD,
	FEATURE_EXT_ARG,
	FEATURE_NO_IOWAIT,
	FEATURE_MULTISHOT_ACCEPT,
	FEATURE_POLL_FIRST,
	FEATURE_MSG_RING,
	FEATURE_MSG_RING_FOREIGN,
	FEATURE_FIXED_BUFFERS,
	FEATURE_FUTEX,
	FEATURE_TIMEOUT_REALTIME,
	FEATURE_IOPOLL,
	FEATURE_PATH_OPS,
	FEATURE_FTRUNCATE,
	FEATURE_DIOALIGN,
	FEATURE_DONTCACHE,
	FEATURE_GUARD_INSTALL,
	FEATURE_NOSIGNAL,
	FEATURE_WAITID,
	FEATURE_COUNT,
};

/* Not switched off by TORC_DISABLE. */
bool feature_allowed(enum feature feature);

/* The first word of TORC_DISABLE that names nothing, `*len` long; NULL: there is none. */
const char *feature_unknown(size_t *len);

/* Record what probing found. `works` false needs a reason; an allowed feature that works is on. */
void feature_found(enum feature feature, bool works, const char *why_not);

bool feature_on(enum feature feature);
const char *feature_name(enum feature feature);
const char *feature_what(enum feature feature);
const char *feature_why(enum feature feature);

#endif
