/* child - spawn, signal, reap, without a ring. */
#include "machine/child.h"

#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static pid_t spawn(const char *script, struct child_spec spec)
{
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };
	pid_t pid = -1;

	spec.argv = argv;
	ck_assert_int_eq(child_spawn(&pid, &spec), 0);
	ck_assert_int_gt(pid, 0);
	return pid;
}

#define SPEC(...) ((struct child_spec){ .fds = { CHILD_NULL, CHILD_INHERIT, CHILD_INHERIT }, __VA_ARGS__ })

TEST(the_end_of_a_child)
{
	struct child_end end;
	pid_t pid = spawn("exit 3", SPEC());

	ck_assert_int_eq(child_reap(pid, &end, true), 1);
	ck_assert_int_eq(end.status, 3);
	ck_assert_int_eq(end.signal, 0);
	ck_assert_int_eq(child_reap(pid, &end, true), -ECHILD);
	ck_assert_int_eq(child_reap(getpid(), &end, false), -ECHILD);
}

TEST(a_pidfd_tells_the_end)
{
	pid_t pid = spawn("exec sleep 1000", SPEC());
	struct pollfd fd = { .fd = child_pidfd(pid), .events = POLLIN };
	struct child_end end;

	if (fd.fd == -ENOSYS) {
		child_kill(pid, false, SIGKILL);
		child_reap(pid, &end, true);
		SKIP("no pidfds here"); /* valgrind */
	}
	ck_assert_int_ge(fd.fd, 0);
	ck_assert_int_eq(poll(&fd, 1, 0), 0);
	ck_assert_int_eq(child_reap(pid, &end, false), 0);
	ck_assert_int_eq(child_kill(pid, false, SIGTERM), 0);
	ck_assert_int_eq(poll(&fd, 1, -1), 1);
	ck_assert_int_eq(child_reap(pid, &end, false), 1);
	ck_assert_int_eq(end.signal, SIGTERM);
	close(fd.fd);
}

TEST(a_group_is_killed_whole)
{
	int ends[2];
	char byte;
	struct child_spec spec;
	struct child_end end;
	pid_t pid;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	spec = SPEC(.group = true);
	spec.fds[1] = ends[1];
	pid = spawn("sleep 1000 & echo; wait", spec);
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], &byte, 1), 1);
	ck_assert_int_eq(child_kill(pid, true, SIGKILL), 0);
	ck_assert_int_eq(read(ends[0], &byte, 1), 0); /* the grandchild had it too */
	ck_assert_int_eq(child_reap(pid, &end, true), 1);
	ck_assert_int_eq(end.signal, SIGKILL);
	close(ends[0]);
}

TEST(exec_fails_here_and_not_there)
{
	const char *const argv[] = { "/no/such/program", NULL };
	struct child_spec spec = SPEC(.argv = argv);
	struct child_end end;
	pid_t pid = -1;
	int r = child_spawn(&pid, &spec);

	if (r == 0) {
		child_reap(pid, &end, true);
		SKIP("vfork is a fork here"); /* valgrind */
	}
	ck_assert_int_eq(r, -ENOENT);
	spec.fds[1] = 19999;
	ck_assert_int_eq(child_spawn(&pid, &spec), -EBADF);
}
