/* process.h - other programs, run as children: begun, talked to, waited for, killed.
 *
 *     struct torc_process sort TORC_CLEANUP(torc_process_close) = { 0 };
 *     struct torc_exit end;
 *
 *     r = torc_process_spawn(&sort, (const char *const[]){ "sort", "-n", NULL },
 *                            TORC_OPTIONS(torc_process_options, .in = TORC_CHILD_PIPE, .out = TORC_CHILD_PIPE));
 *     ... write sort.in, close it, read sort.out ...
 *     r = torc_process_wait(&sort, &end);
 *
 * A child does not outlive its handle: close kills what still runs and reaps it, so no process is left behind, not even a
 * dead one (a zombie), whichever way the scope is left. */
#ifndef TORC_PROCESS_H
#define TORC_PROCESS_H

#include <torc/stream.h>

TORC_BEGIN

/* What the child has as its stdin, stdout or stderr. */
enum torc_child_io {
	TORC_CHILD_INHERIT, /* the same as this program                                                         */
	TORC_CHILD_NULL,    /* /dev/null                                                                       */
	TORC_CHILD_PIPE,    /* a pipe, whose other end is the process's .in, .out or .err                      */
	TORC_CHILD_FD,      /* a descriptor of the caller's, .in_fd, .out_fd or .err_fd, which stays the caller's */
	TORC_CHILD_AS_OUT,  /* for .err alone: wherever stdout goes, as 2>&1 in a shell                        */
};

/* What close does to a child that runs. */
enum torc_child_close {
	TORC_CHILD_KILL,  /* SIGKILL                                                                     */
	TORC_CHILD_AWAIT, /* close its pipes and wait, however long it takes; not cut short by cancellation */
};

struct torc_process_options {
	size_t size;                     /* TORC_OPTIONS fills it in                                            */
	const char *const *env;          /* "NAME=value" strings, ended by NULL; NULL: this program's           */
	const char *directory;           /* where it runs; NULL: where this program does                        */
	enum torc_child_io in, out, err; /* see above                                                       */
	int in_fd, out_fd, err_fd;       /* for TORC_CHILD_FD                                                */
	enum torc_child_close at_close;  /* see above                                                        */
	bool group;                      /* it leads a process group of its own: torc_process_kill and close signal all
	                                     of it, its own children too; the terminal's Ctrl-C no longer reaches it */
	bool keep_fds;                   /* descriptors beyond 2 that are not close-on-exec stay open in the child;
	                                     default: it gets its three, and no other                           */
};

/* A small value, as other handles: zeroed it is empty. */
struct torc_process {
	struct torc_stream in, out, err; /* of the pipes that were asked for: in is written, out and err are read */
	struct torc_async end_;
	int pid_, owner_;
	int status_, signal_;
	uint32_t flags_;
	void *reserved_[2];
};

/* How it ended. */
struct torc_exit {
	int status; /* what it returned from main or gave to exit(3), 0 to 255                           */
	int signal; /* the signal that killed it; 0: none, it exited                                     */
	bool dumped_core;
};

/* Run the program argv[0], which is looked for in this program's PATH unless it contains a slash (a relative path begins at
 * .directory then), with the arguments argv, ended by NULL. Signals in the child are as after login: none is blocked, and each has its default action.
 * Returns 0; -ENOENT, -EACCES, -ENOEXEC, -E2BIG and whatever else execve(2) or chdir(2) says - a program that can't be run
 * is an error here, and no exit status; -EMFILE, -ENFILE; -ENOMEM, also where no more processes are allowed
 * (RLIMIT_NPROC); -EBADF for a descriptor that is none; -EINVAL: no argv[0], or an option out of range. After a failure
 * nothing is left of it. The thread stands still until the exec, about a millisecond. posix_spawn(3) */
TORC_API int torc_process_spawn(struct torc_process *process, const char *const *argv,
                                const struct torc_process_options *options) TORC_ANYWHERE TORC_MUST;

/* Wait until it has ended. Returns its exit status, 0 to 255, or 128 + the number of the signal that killed it, as shells
 * say; *end (NULL: not wanted) tells one from the other. May be called again, and by several fibers. It does not read the
 * child's pipes: a child that writes more than a pipe holds ends only if somebody does.
 * Also returns -EBADF (closed meanwhile), -ECANCELED, -ETIME, after which the child runs on; -ECHILD: somebody else has
 * reaped it - a wait(2) for any child, or a SIGCHLD that is ignored. */
TORC_API int torc_process_wait(struct torc_process *process, struct torc_exit *end) TORC_PARKS TORC_MUST;

/* Send it a signal, or its group if it has one. Returns 0, also if it has ended and nobody waited yet; -ESRCH after it was
 * waited for, by whomever: its number, and its group's, may be another's then; -EPERM for one that has made itself another
 * user's; -EINVAL for what is no signal; -EBADF. kill(2) */
TORC_API int torc_process_kill(struct torc_process *process, int signal) TORC_LOCAL;

/* Its process id, which is its own until it was waited for; -EBADF for an empty handle. */
TORC_API int torc_process_id(const struct torc_process *process) TORC_ANYWHERE;

/* Close its pipes; if it has not been waited for, kill it or wait for it, as .at_close says, and reap it: one that has made
 * itself another user's can't be killed, so it is waited for. Fibers that wait for it are woken with -EBADF first.
 * Harmless on an empty handle; never cancelled. In the child of a fork(2) it only closes what is open. */
TORC_API void torc_process_close(struct torc_process *process) TORC_PARKS;

/* Spawn, wait, close: what torc_process_wait returns, or why it could not be begun. When the caller is cancelled the child
 * is killed. -EINVAL if a pipe is asked for. */
TORC_API int torc_process_run(const char *const *argv, const struct torc_process_options *options) TORC_PARKS TORC_MUST;

TORC_END
#endif
