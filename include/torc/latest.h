/* latest.h - a value that changes, and fibers that want to know (elsewhere called a watch): a configuration, a state, a
 * progress. Only the latest value is kept: who looks seldom sees few of the changes, but always the last one.
 *
 * It belongs to the core that made it, and to one run. Setting and waiting allocate nothing. Values are plain, and
 * copied. */
#ifndef TORC_LATEST_H
#define TORC_LATEST_H

#include <torc/base.h>
#include <torc/choose.h>

TORC_BEGIN

struct torc_latest;

/* Of one who watches: which change it has seen. { .latest = latest } has seen none, so it gets the present value first. A
 * copy watches on its own from where the original was. */
struct torc_watcher {
	struct torc_latest *latest;
	uint64_t seen;
};

/* `value` is the first one; NULL: there is none until it is set. Returns 0; -EINVAL for a size of 0 or beyond 1 MiB;
 * -ENOMEM. */
#define torc_latest_new(latest, value) torc_latest_new_sized((latest), (value), sizeof *(value))
TORC_API int torc_latest_new_sized(struct torc_latest **latest, const void *value, size_t size) TORC_LOCAL TORC_MUST;

/* No fiber may wait for it. NULL is harmless. */
TORC_API void torc_latest_free(struct torc_latest *latest) TORC_LOCAL;

/* It changes no more. Closing twice is harmless. */
TORC_API void torc_latest_close(struct torc_latest *latest) TORC_LOCAL;

/* Set it, also if it is what it was. All that wait get this value, even if it is set again before they run. Never parks.
 * Returns 0; -EPIPE: closed. */
#define torc_latest_set(latest, value) torc_latest_set_sized((latest), (value), sizeof *(value))
TORC_API int torc_latest_set_sized(struct torc_latest *latest, const void *value, size_t size) TORC_LOCAL TORC_MUST;

/* Look without waiting. Returns whether there is a value: 1, 0. */
#define torc_latest_get(latest, value) torc_latest_get_sized((latest), (value), sizeof *(value))
TORC_API int torc_latest_get_sized(const struct torc_latest *latest, void *value, size_t size) TORC_LOCAL TORC_MUST;

/* The latest value, once it is another than the watcher has seen; parked until then. Returns 0; -EPIPE: closed, and the
 * last value was seen; -ECANCELED, -ETIME. */
#define torc_watcher_next(watcher, value) torc_watcher_next_sized((watcher), (value), sizeof *(value))
TORC_API int torc_watcher_next_sized(struct torc_watcher *watcher, void *value, size_t size) TORC_PARKS TORC_MUST;

/* The same as a case for torc_choose (choose.h). */
#define torc_case_watcher(watcher, value) torc_case_watcher_sized((watcher), (value), sizeof *(value))
TORC_API struct torc_case torc_case_watcher_sized(struct torc_watcher *watcher, void *value, size_t size) TORC_LOCAL;

TORC_END
#endif
