/* blocking.h - calls that block a thread: a library without an asynchronous side, a long computation, a slow system
 * call that io_uring does not know. They run on threads of the executor's own, beside it. */
#ifndef TORC_BLOCKING_H
#define TORC_BLOCKING_H

#include <torc/base.h>

TORC_BEGIN

/* Run fn(arg) on a thread of this executor's pool; the calling fiber is parked until it is over. Returns what fn returns.
 *
 * The pool has at most .blocking_threads threads (run.h), started as they are needed; when all of them are busy, jobs wait
 * their turn, first in, first out. A thread that had nothing to do for some seconds ends, and all have ended when
 * torc_run returns. They may use the CPUs that the process's first thread may, and block every signal.
 *
 * Where the caller is cancelled, a job that has not begun does not begin: -ECANCELED, -ETIME. One that has begun can't be
 * stopped from outside: the call waits for it and returns its result, since until then it uses what `arg` lends. A long
 * job should ask torc_blocking_cancelled() now and then.
 *
 * fn is in no fiber: it may call what is TORC_ANYWHERE and nothing else of torc. It may fork(2), but not return in the child.
 * Also returns -ENOMEM: there is no memory for the pool, or the system refuses it even one thread (see RLIMIT_NPROC in
 * setrlimit(2), pids.max in cgroups(7)). */
TORC_API int torc_blocking(torc_fn *fn, void *arg) TORC_PARKS TORC_MUST;

/* In a job: was the fiber that waits for it cancelled? Anywhere else: false. */
TORC_API bool torc_blocking_cancelled(void) TORC_ANYWHERE;

TORC_END
#endif
