/* file_descriptors - with few descriptors left, from none on: calls on files and names fail with -EMFILE or succeed; what
 * they promise holds, nothing is lost, and nothing stays open. */
#include "files.h"

#include <dirent.h>
#include <sys/resource.h>

enum { DEPTH = 5 };

static bool failed;
static int stoppers[1000], stoppers_count; /* descriptors that fill gaps */

static bool ok(int64_t r)
{
	ck_assert_msg(r >= 0 || r == -EMFILE, "%lld", (long long)r);
	failed |= r == -EMFILE;
	return r >= 0;
}

static int open_now(void)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count - 1; /* its own */
}

/* So many more than there are may be opened. */
static void leave(int more)
{
	struct rlimit limit;
	int highest = 0;

	for (int fd = 0; fd < 1000; fd++)
		highest = fcntl(fd, F_GETFD) >= 0 ? fd : highest;
	for (int fd = 0; fd < highest; fd++) /* none that is free in between */
		if (fcntl(fd, F_GETFD) < 0) {
			ck_assert_int_eq(open("/dev/null", O_RDONLY | O_CLOEXEC), fd);
			stoppers[stoppers_count++] = fd;
		}
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = more < 0 ? limit.rlim_max : (rlim_t)(highest + 1 + more);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void replace_it(void)
{
	bool done;

	done = ok(torc_file_replace(files_path("file"), "newer", 5, NULL));
	leave(-1);
	ck_assert_int_eq(files_size(files_path("file")), done ? 5 : 3);
	ck_assert_int_eq(torc_file_replace(files_path("file"), "old", 3, NULL), 0);
}

static void seal_it(void)
{
	struct torc_immutable_sink sink = { 0 };
	struct torc_immutable file = { 0 };

	if (ok(torc_immutable_create(&sink, files_path("segment"), NULL))) {
		ck_assert_int_ge(torc_immutable_write(&sink, "bytes", 5), 5); /* takes no descriptor */
		ck_assert_int_eq(torc_immutable_seal(&sink, &file), 0);
		ck_assert_int_eq(torc_immutable_close(&file), 0);
		ck_assert_int_eq(torc_path_unlink(NULL, files_path("segment")), 0);
	}
	ck_assert_int_eq(access(files_path("segment"), F_OK), -1);
}

static void copy_it(void)
{
	struct torc_file from = { 0 }, to = { 0 }, second = { 0 };

	if (ok(torc_file_open(&from, files_path("file"), BUFFERED)) &&
	    ok(torc_file_open(&to, files_path("copy"), TORC_OPTIONS(torc_file_options, .flags = O_RDWR | O_CREAT)))) {
		ck_assert_int_eq(torc_file_copy(&to, 0, &from, 0, 100), 3);
		ck_assert_int_eq(torc_file_lock_try(&to, TORC_LOCK_EXCLUSIVE, 0, 0), 0);
		if (ok(torc_file_dup(&from, &second)))
			ck_assert_int_eq(torc_file_size(&second), 3);
	}
	torc_file_close(&from);
	torc_file_close(&to);
	torc_file_close(&second);
}

static void make_deep(void)
{
	char path[200];
	size_t len = (size_t)snprintf(path, sizeof path, "%s", files_path("tree"));

	for (int i = 0; i < DEPTH; i++) {
		ck_assert(mkdir(path, 0755) == 0 || errno == EEXIST);
		len += (size_t)snprintf(path + len, sizeof path - len, "/%d", i);
	}
}

/* What is too deep is told, and the rest is seen. */
static void walk_it(int more)
{
	struct torc_walk walk = { 0 };
	struct torc_walk_entry entry;
	int r, seen = 0;

	if (!ok(torc_walk_open(&walk, NULL, files_path("tree"), NULL)))
		return;
	while ((r = torc_walk_next(&walk, &entry)) != 0)
		if (ok(r))
			seen++;
	ck_assert_int_eq(seen, more < DEPTH - 1 ? more : DEPTH - 1);
	torc_walk_close(&walk);
}

static void remove_it(int more)
{
	int r = torc_dir_remove_tree(NULL, files_path("tree"));

	ck_assert_int_eq(r, more < DEPTH ? -EMFILE : 0);
	ck_assert_int_eq(access(files_path("tree"), F_OK), r == 0 ? -1 : 0);
}

FILE_TEST(whatever_is_left_of_descriptors)
{
	bool failed_last = true;

#ifdef TORC_VALGRIND
	SKIP("valgrind keeps RLIMIT_NOFILE to itself: the kernel does not learn of it");
#endif
	ck_assert_int_eq(torc_file_replace(files_path("file"), "old", 3, NULL), 0);
	copy_it(); /* whatever is made once for all is there then */
	for (int more = 0; more < 10; more++) {
		int before;

		leave(-1);
		make_deep();
		leave(more);
		before = more >= 1 ? open_now() : 0;
		failed = false;
		replace_it();
		leave(more);
		seal_it();
		copy_it();
		walk_it(more);
		remove_it(more);
		failed_last = failed;
		if (more >= 1)
			ck_assert_int_eq(open_now(), before);
	}
	ck_assert(!failed_last);
	while (stoppers_count > 0)
		close(stoppers[--stoppers_count]);
}
