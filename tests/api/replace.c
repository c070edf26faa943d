/* replace - the name leads to all of the old contents or all of the new, wherever the process is killed. */
#include "faultfs.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

enum { LEN = 20000, ROUNDS = 40 };

static unsigned char contents[2][LEN];

static void fill_contents(void)
{
	pattern_fill(contents[0], LEN, 0);
	pattern_fill(contents[1], LEN, 12345);
}

/* Which of the two is there; -1: neither. */
static int which_is_there(const char *path, int len)
{
	static unsigned char found[LEN + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, found, sizeof found);
	close(fd);
	for (int i = 0; i < 2; i++)
		if (n == len && memcmp(found, contents[i], (size_t)len) == 0)
			return i;
	return -1;
}

static int entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int count = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)))
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(dir);
	return count;
}

FILE_TEST(replace_makes_and_replaces)
{
	const char *path = files_path("a");
	struct stat found;

	fill_contents();
	ck_assert_int_eq(torc_file_replace(path, contents[0], LEN, NULL), 0);
	ck_assert_int_eq(which_is_there(path, LEN), 0);
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(torc_file_replace(path, contents[1], LEN, NULL), 0);
	ck_assert_int_eq(which_is_there(path, LEN), 1);
	ck_assert_int_eq(stat(path, &found), 0);
	ck_assert_uint_eq(found.st_mode & 07777, 0666); /* kept, whatever the umask */
	ck_assert_int_eq(torc_file_replace(path, contents[1], LEN, TORC_OPTIONS(torc_replace_options, .mode = 0600)),
	                 0);
	ck_assert_int_eq(stat(path, &found), 0);
	ck_assert_uint_eq(found.st_mode & 07777, 0600);
	ck_assert_int_eq(torc_file_replace(path, "", 0, NULL), 0);
	ck_assert_int_eq(files_size(path), 0);
	ck_assert_int_eq(entries(files_home), 1);
}

FILE_TEST(replace_begins_at_a_directory)
{
	struct torc_dir dir;

	fill_contents();
	ck_assert_int_eq(torc_dir_open(&dir, NULL, files_home), 0);
	ck_assert_int_eq(torc_file_replace("a", contents[0], LEN, TORC_OPTIONS(torc_replace_options, .at = &dir)), 0);
	ck_assert_int_eq(which_is_there(files_path("a"), LEN), 0);
	ck_assert_int_eq(torc_dir_close(&dir), 0);
	ck_assert_int_eq(torc_file_replace("a", contents[0], LEN, TORC_OPTIONS(torc_replace_options, .at = &dir)),
	                 -EBADF);
}

/* A link is replaced itself, wherever it leads: to a file, whose permissions count, to nothing, or round and round. */
FILE_TEST(replace_takes_the_place_of_any_link)
{
	static const char *const targets[] = { "there", "nowhere", "link", "there/inside" };
	struct stat st;

	umask(022);
	ck_assert_int_eq(
		torc_file_replace(files_path("there"), "old", 3, TORC_OPTIONS(torc_replace_options, .mode = 0640)), 0);
	for (int i = 0; i < 4; i++) {
		unlink(files_path("link"));
		ck_assert_int_eq(symlink(targets[i], files_path("link")), 0);
		ck_assert_int_eq(torc_file_replace(files_path("link"), "news", 4, NULL), 0);
		ck_assert_int_eq(lstat(files_path("link"), &st), 0);
		ck_assert(S_ISREG(st.st_mode) && st.st_size == 4);
		ck_assert_int_eq(st.st_mode & 0777, i == 0 ? 0640 : 0644);
	}
	ck_assert_int_eq(files_size(files_path("there")), 3);
}

/* Who replaces another's file owns the new one: nobody is to run new contents as him, or as his group. */
FILE_TEST(replace_keeps_no_set_id_bits)
{
	const char *path = files_path("a");
	struct stat st;

	ck_assert_int_eq(torc_file_replace(path, "old", 3, NULL), 0);
	ck_assert_int_eq(chmod(path, 06755), 0);
	ck_assert_int_eq(torc_file_replace(path, "new", 3, NULL), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0755);
}

FILE_TEST(replace_refuses_what_is_no_name)
{
	char name[300];

	ck_assert_int_eq(torc_file_replace("", "a", 1, NULL), -ENOENT);
	ck_assert_int_eq(torc_file_replace(files_path("none/a"), "a", 1, NULL), -ENOENT);
	ck_assert_int_eq(torc_file_replace(files_path("a/"), "a", 1, NULL), -EISDIR);
	ck_assert_int_eq(mkdir(files_path("d"), 0755), 0);
	ck_assert_int_eq(torc_file_replace(files_path("d"), "a", 1, NULL), -EISDIR);
	memset(name, 'n', sizeof name);
	name[255] = 0; /* the longest there is */
	ck_assert_int_eq(torc_file_replace(files_path(name), "a", 1, NULL), 0);
	name[255] = 'n';
	name[256] = 0;
	ck_assert_int_eq(torc_file_replace(files_path(name), "a", 1, NULL), -ENAMETOOLONG);
	ck_assert_int_eq(entries(files_home), 2);
}

FILE_TEST(cancelled_replace_leaves_the_old)
{
	fill_contents();
	ck_assert_int_eq(torc_file_replace(files_path("a"), contents[0], LEN, NULL), 0);
	TORC_SCOPE(scope);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_file_replace(files_path("a"), contents[1], LEN, NULL), -ECANCELED);
	ck_assert_int_eq(which_is_there(files_path("a"), LEN), 0);
	ck_assert_int_eq(entries(files_home), 1);
}

/* A deadline at every moment of it: old or new, and nothing beside. */
FILE_TEST(replace_cut_off_at_any_time_is_old_or_new)
{
	int now = 0;

	fill_contents();
	ck_assert_int_eq(torc_file_replace(files_path("a"), contents[0], LEN, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		int there, r;
		{
			TORC_SCOPE(scope, .deadline = torc_in(i * 50 * TORC_US));
			r = torc_file_replace(files_path("a"), contents[!now], LEN, NULL);
		}
		there = which_is_there(files_path("a"), LEN);
		ck_assert_int_ge(there, 0);
		if (r == 0)
			ck_assert_int_eq(there, !now);
		ck_assert_int_eq(entries(files_home), 1);
		now = there;
	}
}

/* --- kill -9 --------------------------------------------------------------------------------- */

static int replace_once(void *path)
{
	return torc_file_replace(path, contents[1], LEN, NULL);
}

/* Stop the process at its `at`th stop (each system call is two), and kill it there. True: it ended before. */
static bool killed_at(const char *path, int at)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(torc_run(NULL, replace_once, (void *)(uintptr_t)path) != 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL);
	for (int i = 0; i < at; i++) {
		ck_assert_int_eq(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			ck_assert_int_eq(WEXITSTATUS(status), 0);
			return true;
		}
	}
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return false;
}

static void put_old(const char *path)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, contents[0], LEN), LEN);
	close(fd);
}

/* Take away what killed calls left beside. */
static int remove_litter(void)
{
	DIR *dir = opendir(files_home);
	struct dirent *entry;
	int count = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, ".a.torc-", 8) != 0)
			continue;
		ck_assert_int_eq(unlink(files_path(entry->d_name)), 0);
		count++;
	}
	closedir(dir);
	return count;
}

static void kill_at_each_system_call(void)
{
	int seen[2] = { 0, 0 }, there, litter = 0;
	char path[PATH_MAX];
	bool over = false;

	fill_contents();
	strcpy(path, files_path("a"));
	for (int at = 1; !over; at++) { /* ends: it makes only so many */
		put_old(path);
		over = killed_at(path, at);
		there = which_is_there(path, LEN);
		ck_assert_msg(there >= 0, "neither old nor new after %d stops", at);
		seen[there]++;
		litter += remove_litter();
		ck_assert_int_le(litter, at); /* a file a call at most */
	}
	ck_assert_int_eq(which_is_there(path, LEN), 1);
	ck_assert_int_gt(seen[0], 10);
	ck_assert_int_gt(seen[1], 0);
}

TEST_TIMEOUT(killed_at_each_system_call_it_is_old_or_new, 120)
{
	if (harness_slow())
		SKIP("the tools' own system calls would be killed at");
	files_begin();
	kill_at_each_system_call();
	files_remove();
}

/* On a file system without O_TMPFILE the new contents have a name from the beginning. */
TEST_TIMEOUT(killed_at_each_system_call_with_a_name_beside_it_is_old_or_new, 120)
{
	if (harness_slow())
		SKIP("the tools' own system calls would be killed at");
	faultfs_begin();
	kill_at_each_system_call();
	faultfs_end();
}

static int replace_for_ever(void *path)
{
	for (int i = 0;; i++) {
		int r = torc_file_replace(path, contents[i & 1], LEN, NULL);

		if (r < 0)
			return r;
	}
}

static void kill_at_any_time(void)
{
	const int rounds = COUNT(40, 5);
	char path[PATH_MAX];
	unsigned seed = 1;

	fill_contents();
	strcpy(path, files_path("a"));
	put_old(path);
	for (int i = 0; i < rounds; i++) {
		pid_t pid = fork();
		int status;

		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			_exit(torc_run(NULL, replace_for_ever, path) != 0);
		seed = seed * 1103515245 + 12345;
		usleep(5000 + (seed >> 16) % 20000);
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert(WIFSIGNALED(status));
		ck_assert_int_ge(which_is_there(path, LEN), 0);
	}
	ck_assert_int_le(remove_litter(), rounds);
}

TEST_TIMEOUT(killed_at_any_time_it_is_old_or_new, 60)
{
	files_begin();
	kill_at_any_time();
	files_remove();
}

TEST_TIMEOUT(killed_at_any_time_with_a_name_beside_it_is_old_or_new, 60)
{
	faultfs_begin();
	kill_at_any_time();
	faultfs_end();
}

/* --- on a device that fails ------------------------------------------------------------------ */

static void check_old(const char *path)
{
	ck_assert_int_eq(which_is_there(path, LEN), 0);
	ck_assert_int_eq(entries(files_home), 1); /* nothing beside */
}

FAULTFS_TEST(replace_without_nameless_files)
{
	struct stat found;
	char path[PATH_MAX];

	fill_contents();
	strcpy(path, files_path("a"));
	ck_assert_int_eq(torc_file_replace(path, contents[0], LEN, NULL), 0);
	check_old(path);
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(torc_file_replace(path, contents[1], LEN, NULL), 0);
	ck_assert_int_eq(which_is_there(path, LEN), 1);
	ck_assert_int_eq(stat(path, &found), 0);
	ck_assert_uint_eq(found.st_mode & 07777, 0666); /* kept, whatever the umask */
	ck_assert_int_eq(torc_file_replace(path, contents[0], LEN, TORC_OPTIONS(torc_replace_options, .mode = 0600)),
	                 0);
	ck_assert_int_eq(stat(path, &found), 0);
	ck_assert_uint_eq(found.st_mode & 07777, 0600);
	ck_assert_int_eq(torc_file_replace(path, "", 0, NULL), 0);
	ck_assert_int_eq(files_size(path), 0);
	ck_assert_int_eq(entries(files_home), 1);
	ck_assert_int_gt(faultfs_count("rename"), 3);
	ck_assert_int_gt(faultfs_count("fsync"), 3);
	ck_assert_int_gt(faultfs_count("fsyncdir"), 3);
}

/* Whatever step fails, the old is there and nothing beside; but after the rename it is the new. */
FAULTFS_TEST(replace_tells_what_the_device_says_and_leaves_the_old)
{
	static const char *const steps[] = { "create", "write", "fsync", "flush", "rename" };
	static const int errors[] = { EIO, EDQUOT, ENOSPC };
	char path[PATH_MAX];

	fill_contents();
	strcpy(path, files_path("a"));
	ck_assert_int_eq(torc_file_replace(path, contents[0], LEN, NULL), 0);
	for (size_t i = 0; i < LENGTH(steps); i++)
		for (size_t j = 0; j < LENGTH(errors); j++) {
			faultfs("fail %s %d 0 1", steps[i], errors[j]);
			ck_assert_msg(torc_file_replace(path, contents[1], LEN, NULL) == -errors[j], "%s: %s", steps[i],
			              strerror(errors[j]));
			check_old(path);
		}
	faultfs("cached"); /* for a short write */
	faultfs("quota %d", LEN + LEN / 2);
	ck_assert_int_eq(torc_file_replace(path, contents[1], LEN, NULL), -EDQUOT);
	check_old(path);
	faultfs("quota %d", 10 * LEN);
	faultfs("fail fsyncdir %d 0 1", EIO);
	ck_assert_int_eq(torc_file_replace(path, contents[1], LEN, NULL), -EIO);
	ck_assert_int_eq(which_is_there(path, LEN), 1);
	faultfs("fail fsyncdir %d 0 1", EINVAL); /* so a file system that can't */
	ck_assert_int_eq(torc_file_replace(path, contents[0], LEN, NULL), 0);
	ck_assert_int_eq(which_is_there(path, LEN), 0);
	ck_assert_int_eq(entries(files_home), 1);
}

static int replace_in_fiber(void *result)
{
	return *(int *)result = torc_file_replace(files_path("a"), contents[1], LEN, NULL);
}

static int release_soon(void *unused)
{
	(void)unused;
	ck_assert_int_eq(torc_sleep(SOON), 0);
	faultfs("release");
	return 0;
}

/* Cut off while the file system is at a step of it, be it that it goes on or that it gives up. */
static void cut_off_at(const char *step, bool interruptible)
{
	int result = UNSET, there;

	faultfs("%s %s", interruptible ? "hold-interruptible" : "hold", step);
	TORC_SCOPE(outer);
	{
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, replace_in_fiber, &result), 0);
		faultfs_await("held", 1);
		ck_assert_int_eq(torc_go(outer, release_soon, NULL), 0);
		torc_scope_cancel(scope);
	}
	ck_assert_int_eq(torc_scope_join(outer), 0);
	there = which_is_there(files_path("a"), LEN);
	ck_assert_msg(result == -ECANCELED || (result == 0 && there == 1), "%s: %d", step, result);
	ck_assert_int_ge(there, 0);
	ck_assert_msg(entries(files_home) == 1, "%s: something is left", step);
}

FAULTFS_TEST(replace_cut_off_at_any_step_is_old_or_new)
{
	static const char *const steps[] = { "getattr", "create", "setattr", "write",
		                             "fsync",   "flush",  "rename",  "fsyncdir" };

	fill_contents();
	for (size_t i = 0; i < LENGTH(steps); i++)
		for (int interruptible = 0; interruptible < 2; interruptible++) {
			if (harness_slow() && strcmp(steps[i], "setattr") == 0)
				continue; /* valgrind lets no thread run while one is in fchmod(2) */
			ck_assert_int_eq(torc_file_replace(files_path("a"), contents[0], LEN, NULL), 0);
			cut_off_at(steps[i], interruptible);
		}
}
