/* dir - directories and names: each call, its errors, and that what it says is what libc finds. */
#include "files.h"

#include <dirent.h>
#include <linux/fs.h>
#include <pthread.h>

enum { MANY = 600 };

static void make_file(const char *name)
{
	files_make(name, 1);
}

static void make_dir(const char *name)
{
	ck_assert_int_eq(mkdir(files_path(name), 0755), 0);
}

static bool there(const char *name)
{
	struct stat found;

	return lstat(files_path(name), &found) == 0;
}

FILE_TEST(open_wants_a_directory)
{
	struct torc_dir dir = { 0 };

	make_file("a");
	ck_assert_int_eq(torc_dir_open(&dir, NULL, files_path("none")), -ENOENT);
	ck_assert_int_eq(torc_dir_open(&dir, NULL, files_path("a")), -ENOTDIR);
	ck_assert_int_eq(torc_dir_close(&dir), 0); /* harmless */
	ck_assert_int_eq(torc_dir_open(&dir, NULL, files_home), 0);
	ck_assert_int_eq(torc_dir_sync(&dir), 0);
	ck_assert_int_eq(torc_dir_close(&dir), 0);
	ck_assert_int_eq(torc_dir_sync(&dir), -EBADF);
}

FILE_TEST(paths_begin_at_a_handle)
{
	struct torc_dir home, inner;
	struct torc_file file;
	struct torc_file_info info;

	ck_assert_int_eq(torc_dir_open(&home, NULL, files_home), 0);
	ck_assert_int_eq(torc_dir_create(&home, "d", NULL), 0);
	ck_assert_int_eq(torc_dir_open(&inner, &home, "d"), 0);
	ck_assert_int_eq(torc_path_rename(&home, "d", &home, "e", 0), 0); /* the handle stays good */
	ck_assert_int_eq(
		torc_file_open(&file, "f",
	                       TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .create_new = true, .at = &inner)),
		0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert(there("e/f"));
	ck_assert_int_eq(torc_path_stat(&inner, "f", &info), 0);
	ck_assert_int_eq(info.size, 0);
	ck_assert_int_eq(torc_dir_close(&inner), 0);
	ck_assert_int_eq(torc_file_open(&file, "f", TORC_OPTIONS(torc_file_options, .at = &inner)), -EBADF);
	ck_assert_int_eq(torc_path_unlink(&inner, "f"), -EBADF);
	ck_assert_int_eq(torc_path_rename(&home, "e", &inner, "x", 0), -EBADF);
	ck_assert_int_eq(torc_dir_create(&inner, "f", NULL), -EBADF);
	ck_assert_int_eq(torc_dir_close(&home), 0);
}

FILE_TEST(names_come_and_go)
{
	char said[16];
	struct torc_file_info info;
	struct torc_dir home;

	ck_assert_int_eq(torc_dir_open(&home, NULL, files_home), 0);
	make_file("a");
	ck_assert_int_eq(torc_path_link(&home, "a", &home, "b"), 0);
	ck_assert_int_eq(torc_path_link(&home, "a", &home, "b"), -EEXIST);
	ck_assert_int_eq(torc_path_stat(&home, "b", &info), 0);
	ck_assert_uint_eq(info.links, 2);
	ck_assert_int_eq(torc_path_symlink(&home, "s", "nowhere"), 0);
	ck_assert_int_eq(torc_path_stat(&home, "s", &info), -ENOENT);
	ck_assert_int_eq(torc_path_lstat(&home, "s", &info), 0);
	ck_assert(S_ISLNK(info.mode));
	ck_assert_int_eq(torc_path_readlink(&home, "s", said, sizeof said), 7);
	ck_assert_str_eq(said, "nowhere");
	ck_assert_int_eq(torc_path_readlink(&home, "s", said, 7), -ENAMETOOLONG);
	ck_assert_int_eq(torc_path_readlink(&home, "s", said, 0), -ENAMETOOLONG);
	ck_assert_int_eq(torc_path_readlink(&home, "a", said, sizeof said), -EINVAL);
	ck_assert_int_eq(torc_path_rename(&home, "a", &home, "b", RENAME_NOREPLACE), -EEXIST);
	ck_assert_int_eq(torc_path_rename(NULL, files_path("s"), &home, "t", 0), 0);
	ck_assert(!there("s") && there("t"));
	ck_assert_int_eq(torc_path_unlink(&home, "t"), 0);
	ck_assert_int_eq(torc_path_unlink(&home, "t"), -ENOENT);
	ck_assert_int_eq(torc_path_unlink(NULL, files_home), -EISDIR);
	ck_assert_int_eq(torc_dir_close(&home), 0);
}

FILE_TEST(directories_come_and_go)
{
	const struct torc_dir_options *parents = TORC_OPTIONS(torc_dir_options, .mode = 0700, .parents = true);
	struct torc_file_info info;

	ck_assert_int_eq(torc_dir_create(NULL, files_path("x/y"), NULL), -ENOENT);
	ck_assert_int_eq(torc_dir_create(NULL, files_path("x/y/z"), parents), 0);
	ck_assert_int_eq(torc_dir_create(NULL, files_path("x/y/z"), parents), 0);
	ck_assert_int_eq(torc_dir_create(NULL, files_path("x/y/z//w///"), parents), 0);
	ck_assert_int_eq(torc_path_stat(NULL, files_path("x/y/z/w"), &info), 0);
	ck_assert_uint_eq(info.mode & 0777, 0700);
	ck_assert_int_eq(torc_dir_create(NULL, files_path("x"), NULL), -EEXIST);
	make_file("f");
	ck_assert_int_eq(torc_dir_create(NULL, files_path("f"), parents), -EEXIST);
	ck_assert_int_eq(torc_dir_create(NULL, files_path("f/g"), parents), -ENOTDIR);
	ck_assert_int_eq(torc_dir_create(NULL, "", parents), -ENOENT);
	ck_assert_int_eq(torc_dir_remove(NULL, files_path("x")), -ENOTEMPTY);
	ck_assert_int_eq(torc_dir_remove(NULL, files_path("x/y/z/w")), 0);
	ck_assert_int_eq(torc_dir_remove(NULL, files_path("f")), -ENOTDIR);
}

static int count_entries(struct torc_dir *dir, bool seen[MANY])
{
	struct torc_dir_entry entry;
	int count = 0, r;

	while ((r = torc_dir_read(dir, &entry)) > 0) {
		int i = atoi(entry.name + 1);

		ck_assert_int_eq(entry.name[0], 'n');
		ck_assert_uint_eq(entry.type, DT_REG);
		ck_assert_uint_ne(entry.inode, 0);
		ck_assert(!seen[i]);
		seen[i] = true;
		count++;
	}
	ck_assert_int_eq(r, 0);
	return count;
}

FILE_TEST_TIMEOUT(read_lists_each_once_and_rewinds, 30)
{
	static bool seen[MANY];
	const int many = COUNT(MANY, 100);
	struct torc_dir_entry entry;
	struct torc_dir dir;
	char name[16];

	ck_assert_int_eq(torc_dir_open(&dir, NULL, files_home), 0);
	ck_assert_int_eq(torc_dir_read(&dir, &entry), 0); /* empty */
	for (int i = 0; i < many; i++) {
		snprintf(name, sizeof name, "n%d", i);
		make_file(name);
	}
	for (int round = 0; round < 2; round++) {
		ck_assert_int_eq(torc_dir_rewind(&dir), 0);
		memset(seen, 0, sizeof seen);
		ck_assert_int_eq(count_entries(&dir, seen), many);
	}
	ck_assert_int_eq(torc_dir_close(&dir), 0);
	ck_assert_int_eq(torc_dir_read(&dir, &entry), -EBADF);
	ck_assert_int_eq(torc_dir_rewind(&dir), -EBADF);
}

static void make_tree(void)
{
	make_dir("t");
	make_dir("t/a");
	make_dir("t/a/b");
	make_file("t/a/b/f");
	make_file("t/a/g");
	make_dir("t/c");
	make_file("t/h");
	ck_assert_int_eq(symlink("..", files_path("t/c/up")), 0);
}

FILE_TEST(walk_tells_all_a_directory_before_what_is_in_it)
{
	struct torc_walk walk = { 0 };
	struct torc_walk_entry entry;
	char all[400] = "";
	int r;

	make_tree();
	ck_assert_int_eq(torc_walk_next(&walk, &entry), -EBADF);
	ck_assert_int_eq(torc_walk_open(&walk, NULL, files_path("none"), NULL), -ENOENT);
	ck_assert_int_eq(torc_walk_open(&walk, NULL, files_path("t"), TORC_OPTIONS(torc_walk_options, .leaving = true)),
	                 0);
	while ((r = torc_walk_next(&walk, &entry)) > 0) {
		struct torc_file_info info;

		ck_assert_int_eq(torc_path_lstat(entry.dir, entry.name, &info), 0);
		ck_assert_uint_eq(info.inode, entry.inode);
		ck_assert_uint_eq(IFTODT(info.mode), entry.type);
		strcat(strcat(strcat(all, entry.leaving ? "<" : " "), entry.path), entry.depth == 2 ? "2" : "");
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(torc_walk_next(&walk, &entry), 0);
	torc_walk_close(&walk);
	torc_walk_close(&walk);
	strcat(all, " ");
	ck_assert_uint_eq(strlen(all), strlen(" a a/b a/b/f2<a/b a/g<a c c/up<c h "));
	ck_assert_ptr_nonnull(strstr(all, " a/b a/b/f2<a/b"));
	ck_assert_ptr_nonnull(strstr(all, " c c/up<c"));
	ck_assert_ptr_nonnull(strstr(all, "<a"));
	ck_assert(strstr(all, " a/g") < strstr(all, "<a "));
}

FILE_TEST(walk_skips_what_it_is_told)
{
	struct torc_walk walk;
	struct torc_walk_entry entry;
	int count = 0;

	make_tree();
	ck_assert_int_eq(torc_walk_open(&walk, NULL, files_path("t"), NULL), 0);
	while (torc_walk_next(&walk, &entry) > 0) {
		count++;
		if (strcmp(entry.path, "a") == 0)
			torc_walk_skip(&walk);
	}
	ck_assert_int_eq(count, 4); /* a c c/up h */
	torc_walk_close(&walk);
}

FILE_TEST(walk_survives_what_goes_meanwhile)
{
	struct torc_walk walk;
	struct torc_walk_entry entry;
	int r;

	make_tree();
	ck_assert_int_eq(torc_walk_open(&walk, NULL, files_path("t"), NULL), 0);
	while ((r = torc_walk_next(&walk, &entry)) > 0)
		if (entry.type == DT_DIR)
			ck_assert_int_eq(torc_dir_remove_tree(entry.dir, entry.name), 0);
	ck_assert_int_eq(r, 0);
	torc_walk_close(&walk);
}

FILE_TEST(remove_tree_removes_what_is_below_and_nothing_else)
{
	make_tree();
	make_dir("kept");
	make_file("kept/f");
	ck_assert_int_eq(symlink("../../kept", files_path("t/a/trap")), 0);
	ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("t")), 0);
	ck_assert(!there("t"));
	ck_assert(there("kept/f"));
	ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("t")), 0); /* nothing is there */
	ck_assert_int_eq(symlink("kept", files_path("s")), 0);
	ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("s")), 0);
	ck_assert(!there("s") && there("kept/f"));
	ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("kept/f")), 0);
	ck_assert(!there("kept/f") && there("kept"));
}

/* A slash at the end makes open(2) follow the link, whatever its flags say. */
FILE_TEST(remove_tree_follows_no_link_with_a_slash_at_its_end)
{
	make_dir("kept");
	make_file("kept/f");
	make_dir("t");
	make_file("t/g");
	ck_assert_int_eq(symlink("kept", files_path("s")), 0);
	ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("s/")), -ENOTDIR);
	ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("s//")), -ENOTDIR);
	ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("t/g/")), -ENOTDIR);
	ck_assert(there("s") && there("kept/f") && there("t/g"));
	ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("none/")), 0);
	ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("t//")), 0);
	ck_assert(!there("t"));
}

/* What can't be removed itself is not emptied either. */
FILE_TEST(remove_tree_wants_a_name)
{
	struct torc_dir dir;

	make_tree();
	ck_assert_int_eq(torc_dir_open(&dir, NULL, files_path("t/a")), 0);
	ck_assert_int_eq(torc_dir_remove_tree(&dir, "."), -EINVAL);
	ck_assert_int_eq(torc_dir_remove_tree(&dir, ".."), -EINVAL);
	ck_assert_int_eq(torc_dir_remove_tree(&dir, "b/../"), -EINVAL);
	ck_assert_int_eq(torc_dir_remove_tree(&dir, "b/."), -EINVAL);
	ck_assert_int_eq(torc_dir_remove_tree(&dir, ""), 0); /* nothing is there */
	ck_assert(there("t/a/b/f") && there("t/a/g") && there("t/h"));
	ck_assert_int_eq(torc_dir_close(&dir), 0);
}

static int remove_tree(void *arg)
{
	return torc_dir_remove_tree(NULL, arg);
}

/* Each finds that the others were quicker here and there. */
FILE_TEST_TIMEOUT(many_may_remove_one_tree, 60)
{
	const int rounds = COUNT(40, 4);

	for (int i = 0; i < rounds; i++) {
		make_tree();
		TORC_SCOPE(scope);
		for (int j = 0; j < 5; j++)
			ck_assert_int_eq(torc_go(scope, remove_tree, (void *)(uintptr_t)files_path("t")), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert(!there("t"));
	}
}

FILE_TEST(a_directory_that_goes_while_it_is_walked_is_passed_over)
{
	struct torc_walk walk;
	struct torc_walk_entry entry;
	bool after = false;
	int r;

	make_tree();
	ck_assert_int_eq(torc_walk_open(&walk, NULL, files_path("t"), NULL), 0);
	while ((r = torc_walk_next(&walk, &entry)) > 0) {
		if (entry.depth > 0)
			ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path(entry.path[0] == 'a' ? "t/a" : "t/c")),
			                 0);
		after |= strcmp(entry.path, "h") == 0;
	}
	ck_assert_int_eq(r, 0);
	ck_assert(after && !there("t/a") && !there("t/c"));
	torc_walk_close(&walk);
}

static int walk_on(void *arg)
{
	struct torc_walk_entry entry;
	int r;

	while ((r = torc_walk_next(arg, &entry)) > 0)
		;
	return r == -EBADF ? 0 : r;
}

/* At each of its steps. */
FILE_TEST_TIMEOUT(a_walk_can_be_closed_under_the_walker, 60)
{
	make_tree();
	for (int steps = 0; steps < COUNT(60, 10); steps++) {
		struct torc_walk walk;

		ck_assert_int_eq(
			torc_walk_open(&walk, NULL, files_path("t"), TORC_OPTIONS(torc_walk_options, .leaving = true)),
			0);
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, walk_on, &walk), 0);
		for (int i = 0; i < steps; i++)
			torc_yield();
		torc_walk_close(&walk);
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
}

static int walk_one(void *arg)
{
	struct torc_walk_entry entry;

	return torc_walk_next(arg, &entry);
}

DEATH_IN_FIBER(walked_by_two, "torc_walk_next: two fibers")
{
	struct torc_walk walk;

	ck_assert_int_eq(torc_walk_open(&walk, NULL, "/", NULL), 0);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, walk_one, &walk), 0);
	torc_yield();
	walk_one(&walk);
}

FILE_TEST(remove_tree_of_many_levels)
{
	const int depth = COUNT(200, 20);
	char path[PATH_MAX];
	size_t len = (size_t)snprintf(path, sizeof path, "%s", files_path("deep"));

	ck_assert_int_eq(mkdir(path, 0755), 0);
	for (int i = 0; i < depth; i++) {
		len += (size_t)snprintf(path + len, sizeof path - len, "/level");
		ck_assert_int_eq(mkdir(path, 0755), 0);
	}
	ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("deep")), 0);
	ck_assert(!there("deep"));
}

/* Longer than any path that the kernel takes, of names with all that a name may have. */
FILE_TEST_TIMEOUT(trees_of_any_depth_and_names, 60)
{
	const int depth = 40;
	char name[NAME_MAX + 1];
	struct torc_walk_entry entry;
	struct torc_walk walk;
	int dir = open(files_home, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r, seen = 0;

	for (int i = 0; i < NAME_MAX; i++)
		name[i] = (char)((i + 1) % 256 == '/' ? 1 : (i + 1) % 256);
	name[NAME_MAX] = 0;
	ck_assert_int_eq(mkdirat(dir, "t", 0755), 0);
	for (int i = 0; i <= depth; i++) {
		int inner = openat(dir, i == 0 ? "t" : name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		close(dir);
		dir = inner;
		ck_assert_int_eq(i == depth ? 0 : mkdirat(dir, name, 0755), 0);
		ck_assert_int_eq(symlinkat("..", dir, "\n"), 0);
	}
	close(dir);
	ck_assert_int_eq(torc_walk_open(&walk, NULL, files_path("t"), TORC_OPTIONS(torc_walk_options, .leaving = true)),
	                 0);
	while ((r = torc_walk_next(&walk, &entry)) > 0) {
		ck_assert_str_eq(entry.name, entry.type == DT_DIR ? name : "\n");
		ck_assert_uint_eq(strlen(entry.path), entry.depth * (NAME_MAX + 1) + strlen(entry.name));
		seen++;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(seen, 2 * depth + depth + 1);
	torc_walk_close(&walk);
	ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("t")), 0);
	ck_assert(!there("t"));
}

/* In a thread: the directory and a link that leads out of the tree are exchanged all the time. */
struct swap {
	char inside[100], outside[100];
	bool stop;
	unsigned done;
};

static void *swap_links(void *arg)
{
	struct swap *swap = arg;

	while (!__atomic_load_n(&swap->stop, __ATOMIC_RELAXED))
		swap->done += renameat2(AT_FDCWD, swap->inside, AT_FDCWD, swap->outside, RENAME_EXCHANGE) == 0;
	return NULL;
}

FILE_TEST_TIMEOUT(remove_tree_is_not_led_out_of_the_tree, 60)
{
	const int rounds = COUNT(200, 20);
	struct swap swap = { .stop = false };
	unsigned done = 0;

	make_dir("kept");
	make_file("kept/f");
	strcpy(swap.inside, files_path("t/d"));
	strcpy(swap.outside, files_path("link"));
	for (int i = 0; i < rounds; i++) {
		pthread_t thread;
		int r;

		ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("link")), 0);
		make_dir("t");
		make_dir("t/d");
		make_dir("t/d/e");
		make_file("t/d/e/f");
		ck_assert_int_eq(symlink("kept", files_path("link")), 0);
		swap.stop = false;
		ck_assert_int_eq(pthread_create(&thread, NULL, swap_links, &swap), 0);
		do { /* ends: once t/d is gone nothing is exchanged */
			r = torc_dir_remove_tree(NULL, files_path("t"));
		} while (r == -ENOTEMPTY);
		__atomic_store_n(&swap.stop, true, __ATOMIC_RELAXED);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		done += swap.done;
		ck_assert_msg(r == 0 || r == -ENOTDIR || r == -EISDIR, "%d", r); /* what it was when it was looked at */
		ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("t")), 0);
		ck_assert(there("kept/f") && !there("t"));
	}
	ck_assert_uint_gt(done, 0);
}

enum { WAITING = 1000 };

static int wait_for_pipe(void *arg)
{
	return torc_async_readable(arg);
}

struct walking {
	struct torc_walk *walk;
	int result;
};

static int walk_once(void *arg)
{
	struct walking *walking = arg;
	struct torc_walk_entry entry;

	walking->result = torc_walk_next(walking->walk, &entry);
	return 0;
}

/* Its opening waits for room in the ring, of which others have all: so it can be cancelled. */
FILE_TEST_WITH(a_walk_that_was_cut_goes_on_where_it_was, .ring_entries = 8)
{
	struct torc_walk_entry entry;
	struct torc_async async;
	struct torc_walk walk;
	struct walking walking = { &walk, UNSET };
	int ends[2];

	make_dir("t");
	make_dir("t/a");
	make_file("t/a/f");
	ck_assert_int_eq(torc_walk_open(&walk, NULL, files_path("t"), NULL), 0);
	ck_assert_int_eq(torc_walk_next(&walk, &entry), 1);
	ck_assert_str_eq(entry.path, "a");
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(torc_async_wrap(&async, ends[0]), 0);
	TORC_SCOPE(others);
	for (int i = 0; i < WAITING; i++)
		ck_assert_int_eq(torc_go(others, wait_for_pipe, &async), 0);
	torc_yield();
	{
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, walk_once, &walking), 0);
		torc_yield();
		torc_scope_cancel(scope);
		(void)!torc_scope_join(scope);
	}
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	(void)!torc_scope_join(others);
	ck_assert_int_eq(walking.result, -ECANCELED);
	ck_assert_int_eq(torc_walk_next(&walk, &entry), 1);
	ck_assert_str_eq(entry.path, "a/f");
	torc_walk_close(&walk);
	ck_assert_int_eq(torc_async_close(&async), 0);
	close(ends[1]);
}

FILE_TEST(cancelled_names_stay)
{
	struct torc_dir dir;
	struct torc_dir_entry entry;
	struct torc_file_info info;
	char said[8];

	make_file("a");
	ck_assert_int_eq(torc_dir_open(&dir, NULL, files_home), 0);
	{
		TORC_SCOPE(scope);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_path_unlink(&dir, "a"), -ECANCELED);
		ck_assert_int_eq(torc_path_rename(&dir, "a", &dir, "b", 0), -ECANCELED);
		ck_assert_int_eq(torc_path_readlink(&dir, "a", said, 8), -ECANCELED);
		ck_assert_int_eq(torc_path_stat(&dir, "a", &info), -ECANCELED);
		ck_assert_int_eq(torc_dir_read(&dir, &entry), -ECANCELED);
		ck_assert_int_eq(torc_dir_sync(&dir), -ECANCELED);
		ck_assert_int_eq(torc_dir_create(NULL, files_path("d"), NULL), -ECANCELED);
		ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("a")), -ECANCELED);
	}
	ck_assert(there("a") && !there("b") && !there("d"));
	ck_assert_int_eq(torc_dir_close(&dir), 0);
}

struct linking {
	struct torc_file file;
	int result;
};

static int keep_the_thread(void *arg)
{
	while (!__atomic_load_n((bool *)arg, __ATOMIC_ACQUIRE))
		usleep(100);
	return 0;
}

static int block_a_thread(void *arg)
{
	return torc_blocking(keep_the_thread, arg);
}

static int link_it(void *arg)
{
	struct linking *linking = arg;

	linking->result = torc_file_link(&linking->file, NULL, files_path("b"));
	return 0;
}

static int let_go(void *arg)
{
	torc_yield();
	__atomic_store_n((bool *)arg, true, __ATOMIC_RELEASE);
	return 0;
}

/* Without the ring's operations the call waits for a thread then. */
FILE_TEST_WITH(a_name_that_was_not_given_is_not_told, .blocking_threads = 1)
{
	struct linking linking;
	bool over = false;

	make_file("a");
	ck_assert_int_eq(torc_file_open(&linking.file, files_path("a"), NULL), 0);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, block_a_thread, &over), 0);
	ck_assert_int_eq(torc_go(scope, link_it, &linking), 0);
	torc_yield();
	ck_assert_int_eq(torc_go(scope, let_go, &over), 0);
	ck_assert_int_eq(torc_file_close(&linking.file), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_msg(linking.result == (there("b") ? 0 : -EBADF), "%d", linking.result);
}

static int read_one(void *arg)
{
	struct torc_dir_entry entry;

	return torc_dir_read(arg, &entry);
}

DEATH_IN_FIBER(read_by_two, "torc_dir_read: two fibers")
{
	struct torc_dir dir;

	ck_assert_int_eq(torc_dir_open(&dir, NULL, "/"), 0);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, read_one, &dir), 0);
	torc_yield();
	read_one(&dir);
}

/* The fallbacks: the same tests, in a process where what they use is switched off. */
static int run_self_without(void *features)
{
	setenv("TORC_DISABLE", features, 1);
	execl("/proc/self/exe", "test", NULL);
	return 99;
}

TEST_TIMEOUT(all_of_it_without_the_rings_operations, 60)
{
	struct outcome outcome;

	if (getenv("TORC_DISABLE"))
		SKIP("something is switched off already");
	if (harness_slow())
		SKIP("valgrind can't be executed anew this way, and once is enough");
	run_in_process(&outcome, run_self_without, "path_ops");
	assert_exit(&outcome, 0);
}

/* --- none blocks the core -------------------------------------------------------------------- */

static unsigned others_ran;

static int bystander(void *arg)
{
	while (!*(bool *)arg) {
		others_ran++;
		torc_yield();
	}
	return 0;
}

/* While the call is under way another fiber runs: it waits in the ring, or on a thread, but not here. */
#define LETS_OTHERS_RUN(call)                                                  \
	do {                                                                   \
		unsigned before = others_ran;                                  \
		ck_assert_int_ge((call), 0);                                   \
		ck_assert_msg(others_ran > before, "%s kept the core", #call); \
	} while (0)

FILE_TEST(no_call_about_files_or_names_blocks_the_core)
{
	const char *path = files_make("a", 100000);
	struct torc_dir_entry entry;
	struct torc_file_info info;
	struct torc_file file, copy;
	struct torc_dir dir;
	bool over = false;

	TORC_SCOPE(beside);
	ck_assert_int_eq(torc_go(beside, bystander, &over), 0);
	LETS_OTHERS_RUN(torc_file_open(&file, path, BUFFERED));
	LETS_OTHERS_RUN(torc_file_open(&copy, files_path("b"),
	                               TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .create_new = true)));
	LETS_OTHERS_RUN(torc_file_copy(&copy, 0, &file, 0, 100000));
	LETS_OTHERS_RUN(torc_file_stat(&file, &info));
	LETS_OTHERS_RUN(torc_file_truncate(&file, 50000));
	LETS_OTHERS_RUN(torc_file_allocate(&file, 0, 200000, 0));
	LETS_OTHERS_RUN(torc_file_punch_hole(&file, 4096, 4096));
	LETS_OTHERS_RUN(torc_file_sync(&file));
	LETS_OTHERS_RUN(torc_file_datasync(&file));
	LETS_OTHERS_RUN(torc_file_close(&copy));
	LETS_OTHERS_RUN(torc_file_close(&file));
	LETS_OTHERS_RUN(torc_dir_open(&dir, NULL, files_home));
	LETS_OTHERS_RUN(torc_dir_create(&dir, "sub", NULL));
	LETS_OTHERS_RUN(torc_path_rename(&dir, "b", &dir, "sub/b", 0));
	LETS_OTHERS_RUN(torc_path_link(&dir, "a", &dir, "c"));
	LETS_OTHERS_RUN(torc_path_stat(&dir, "c", &info));
	LETS_OTHERS_RUN(torc_dir_read(&dir, &entry)); /* the first one lists; others are there then */
	LETS_OTHERS_RUN(torc_dir_sync(&dir));
	LETS_OTHERS_RUN(torc_path_unlink(&dir, "c"));
	LETS_OTHERS_RUN(torc_dir_remove_tree(&dir, "sub"));
	LETS_OTHERS_RUN(torc_dir_close(&dir));
	over = true;
	ck_assert_int_eq(torc_scope_join(beside), 0);
}
