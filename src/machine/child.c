#include "machine/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STANDARD = 3 };

static int negative(int error)
{
	return error == EAGAIN ? -ENOMEM : -error; /* RLIMIT_NPROC, pids.max: not a matter of trying again */
}

/* What one of the child's three is to be. What lies among the three itself is first moved out of the way, to `moved`. */
static int set_standard(posix_spawn_file_actions_t *actions, int target, int fd, int *moved)
{
	if (fd == CHILD_INHERIT)
		return 0;
	if (fd == CHILD_NULL)
		return negative(posix_spawn_file_actions_addopen(actions, target, "/dev/null", O_RDWR, 0));
	if (fd < STANDARD) {
		fd = *moved = fcntl(fd, F_DUPFD_CLOEXEC, STANDARD);
		if (fd < 0)
			return -errno;
	}
	return negative(posix_spawn_file_actions_adddup2(actions, fd, target));
}

static int set_actions(posix_spawn_file_actions_t *actions, const struct child_spec *spec, int moved[STANDARD])
{
	int r = 0;

	for (int i = 0; i < STANDARD && r == 0; i++)
		r = set_standard(actions, i, spec->fds[i], &moved[i]);
	if (r == 0 && !spec->keep_fds)
		r = negative(posix_spawn_file_actions_addclosefrom_np(actions, STANDARD));
	if (r == 0 && spec->directory)
		r = negative(posix_spawn_file_actions_addchdir_np(actions, spec->directory));
	return r;
}

static void set_attributes(posix_spawnattr_t *attributes, const struct child_spec *spec)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(attributes, &none);
	posix_spawnattr_setsigdefault(attributes, &all);
	if (spec->group) {
		flags |= POSIX_SPAWN_SETPGROUP;
		posix_spawnattr_setpgroup(attributes, 0);
	}
	posix_spawnattr_setflags(attributes, flags);
}

int child_spawn(pid_t *pid, const struct child_spec *spec)
{
	int moved[STANDARD] = { -1, -1, -1 };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r = negative(posix_spawn_file_actions_init(&actions));

	if (r < 0)
		return r;
	posix_spawnattr_init(&attributes);
	set_attributes(&attributes, spec);
	r = set_actions(&actions, spec, moved);
	if (r == 0)
		r = negative(posix_spawnp(pid, spec->argv[0], &actions, &attributes, (char **)(uintptr_t)spec->argv,
		                          spec->env ? (char **)(uintptr_t)spec->env : environ));
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	for (int i = 0; i < STANDARD; i++)
		if (moved[i] >= 0)
			close(moved[i]);
	return r;
}

int child_pidfd(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

int child_reap(pid_t pid, struct child_end *end, bool wait)
{
	siginfo_t info = { 0 };
	int r;

	do
		r = waitid(P_PID, (id_t)pid, &info, WEXITED | (wait ? 0 : WNOHANG));
	while (r < 0 && errno == EINTR); /* ends: signals are finite */
	if (r < 0)
		return -errno;
	if (info.si_pid == 0)
		return 0;
	*end = (struct child_end){ 0 };
	if (info.si_code == CLD_EXITED)
		end->status = info.si_status;
	else
		end->signal = info.si_status;
	end->dumped = info.si_code == CLD_DUMPED;
	return 1;
}

int child_kill(pid_t pid, bool group, int signal)
{
	siginfo_t info;

	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return errno == ECHILD ? -ESRCH : -errno;
	return kill(group ? -pid : pid, signal) < 0 ? -errno : 0;
}

pid_t child_self(void)
{
	return getpid();
}
