/* faultfs.h - a file system that fails as the test says (tests/faultfs.c), mounted over the test's directory of files.h.
 *
 * It is seen by this process and its children alone, and gone with them: the mount lies in a namespace of its own, and the
 * server is killed with who started it. So a test that fails or is killed leaves nothing. */
#ifndef TESTS_FAULTFS_H
#define TESTS_FAULTFS_H

#include "files.h"

#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/prctl.h>

static pid_t faultfs_server;

/* Beside the test's own program; a program, so that no tool that the test runs under follows it. */
static inline void faultfs_program(char path[PATH_MAX])
{
	ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 16);

	ck_assert_int_gt(len, 0);
	path[len] = 0;
	strcpy(strrchr(path, '/') + 1, "faultfs");
}

static inline void faultfs_serve(const char *program, int device)
{
	char place[32];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(place, sizeof place, "/dev/fd/%d", device);
	fcntl(device, F_SETFD, 0);
	execl(program, program, place, NULL);
	_exit(127);
}

static inline void faultfs_begin(void)
{
	char program[PATH_MAX], options[100];
	int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (device < 0)
		SKIP("needs /dev/fuse");
	faultfs_program(program);
	if (access(program, X_OK) < 0)
		SKIP("needs the program faultfs, which was left out: libfuse3 is missing (tools/setup test)");
	files_begin();
	snprintf(options, sizeof options, "fd=%d,rootmode=%o,user_id=%d,group_id=%d", device, S_IFDIR, getuid(),
	         getgid());
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("faultfs", files_home, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
		files_remove();
		SKIP("needs to be root, to mount a file system by FUSE");
	}
	faultfs_server = fork();
	ck_assert_int_ge(faultfs_server, 0);
	if (faultfs_server == 0)
		faultfs_serve(program, device);
	close(device);
}

static inline void faultfs_end(void)
{
	int status = 0;

	ck_assert_int_eq(umount2(files_home, MNT_DETACH), 0);
	if (faultfs_server > 0) /* nobody has a file of it open: it ends */
		ck_assert_int_eq(waitpid(faultfs_server, &status, 0), faultfs_server);
	ck_assert_int_eq(status, 0);
	files_remove();
}

/* The device is gone, under whatever is under way. */
static inline void faultfs_unplug(void)
{
	ck_assert_int_eq(kill(faultfs_server, SIGKILL), 0);
	ck_assert_int_eq(waitpid(faultfs_server, NULL, 0), faultfs_server);
	faultfs_server = 0;
}

/* Give it a command: faultfs("fail write %d 2 1", EIO). */
__attribute__((format(printf, 1, 2))) static inline void faultfs(const char *format, ...)
{
	int fd = open(files_path(".faults"), O_RDWR | O_CLOEXEC);
	char command[100];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(command, sizeof command, format, args);
	va_end(args);
	ck_assert_int_ge(fd, 0);
	ck_assert_msg(write(fd, command, (size_t)len) == len, "faultfs does not know: %s", command);
	close(fd);
}

/* How many requests of that name it has had so far; or how many are "held", or were "interrupted". */
static inline int faultfs_count(const char *what)
{
	int fd = open(files_path(".faults"), O_RDWR | O_CLOEXEC);
	char text[2048], line[32];
	const char *found;
	ssize_t len;

	ck_assert_int_ge(fd, 0);
	len = read(fd, text + 1, sizeof text - 2);
	close(fd);
	ck_assert_int_gt(len, 0);
	text[0] = '\n';
	text[len + 1] = 0;
	snprintf(line, sizeof line, "\n%s ", what);
	found = strstr(text, line);
	ck_assert_ptr_nonnull(found);
	return atoi(found + strlen(line));
}

/* Let others run until there have been so many. */
static inline void faultfs_await(const char *what, int count)
{
	while (faultfs_count(what) < count) /* ends, or the test's time does */
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
}

/* A TEST in a fiber with such a file system. */
#define FAULTFS_TEST(name)                FAULTFS_TEST_(TEST(name), name)
#define FAULTFS_TEST_TIMEOUT(name, limit) FAULTFS_TEST_(TEST_TIMEOUT(name, limit), name)
#define FAULTFS_TEST_(test, name)                                        \
	static void name##_with_faults_(void);                           \
	static int name##_root_(void *arg)                               \
	{                                                                \
		(void)arg;                                               \
		name##_with_faults_();                                   \
		return 0;                                                \
	}                                                                \
	test                                                             \
	{                                                                \
		faultfs_begin();                                         \
		ck_assert_int_eq(torc_run(NULL, name##_root_, NULL), 0); \
		faultfs_end();                                           \
	}                                                                \
	static void name##_with_faults_(void)

#endif
