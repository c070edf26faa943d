/* child - processes of ours: begun by posix_spawn(3), signalled, reaped.
 *
 * posix_spawn and not fork: it shares the parent's memory until the exec, so a large process spawns as fast as a small one,
 * runs nothing of ours in the child, and returns the error of exec itself. It takes about a millisecond, in which the thread
 * stands still. Relies on the caller to reap each child once. */
#ifndef TORC_SRC_CHILD_H
#define TORC_SRC_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

enum { CHILD_INHERIT = -1, CHILD_NULL = -2 };

struct child_spec {
	const char *const *argv, *const *env; /* env NULL: ours */
	const char *directory;                /* NULL: ours */
	int fds[3];                           /* for the child's 0, 1 and 2; or one of the enum */
	bool group;                           /* the child leads a process group */
	bool keep_fds;                        /* descriptors beyond 2 that are not close-on-exec stay open */
};

/* 0 and its pid; or -errno: of exec, of memory (-ENOMEM, too many processes as well), of descriptors. Signals are as after
 * login: none blocked, each with its default. */
int child_spawn(pid_t *pid, const struct child_spec *spec);

/* A descriptor that is readable once it has ended. pidfd_open(2) */
int child_pidfd(pid_t pid);

struct child_end {
	int status, signal; /* of exit(3); or what killed it, else 0 */
	bool dumped;
};

/* 1: it has ended and is gone; 0: it runs, unless `wait`; -ECHILD: somebody else has taken it. */
int child_reap(pid_t pid, struct child_end *end, bool wait);

/* To the process, or to its whole group. -ESRCH if somebody else has reaped it: the number may be another's by now. */
int child_kill(pid_t pid, bool group, int signal);

/* Is this the process that it was? For what a forked child must not do. */
pid_t child_self(void);

#endif
