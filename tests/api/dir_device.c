/* dir_device - directories of a file system that fails, is late, and does not tell the types of its entries (faultfs). */
#include "faultfs.h"

#include <dirent.h>

enum { FILES = 300, LEVELS = 3 };

/* a/0 a/1 ... with FILES names in all, and LEVELS directories below each other in it: a/d, a/d/d ... with two files each. */
static void make_tree(void)
{
	char name[64] = "a", file[80];

	ck_assert_int_eq(mkdir(files_path("a"), 0755), 0);
	for (int i = 0; i < FILES; i++) {
		snprintf(file, sizeof file, "a/%d", i);
		files_make(file, 1);
	}
	for (int i = 0; i < LEVELS; i++) {
		strcat(name, "/d");
		ck_assert_int_eq(mkdir(files_path(name), 0755), 0);
		for (int k = 0; k < 2; k++) {
			snprintf(file, sizeof file, "%s/%d", name, k);
			files_make(file, 1);
		}
	}
}

static bool is_there(const char *name)
{
	return access(files_path(name), F_OK) == 0;
}

/* --- types ----------------------------------------------------------------------------------- */

FAULTFS_TEST(types_are_found_where_the_listing_does_not_tell)
{
	struct torc_walk_entry found;
	struct torc_dir_entry entry;
	struct torc_walk walk;
	struct torc_dir dir;
	int files = 0, dirs = 0, r;

	make_tree();
	faultfs("typeless");
	ck_assert_int_eq(torc_dir_open(&dir, NULL, files_path("a")), 0);
	while ((r = torc_dir_read(&dir, &entry)) == 1) {
		ck_assert_uint_eq(entry.type, strcmp(entry.name, "d") == 0 ? DT_DIR : DT_REG);
		files++;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(files, FILES + 1);
	ck_assert_int_eq(torc_dir_close(&dir), 0);

	files = 0;
	ck_assert_int_eq(torc_walk_open(&walk, NULL, files_path("a"), NULL), 0);
	while ((r = torc_walk_next(&walk, &found)) == 1)
		(*(found.type == DT_DIR ? &dirs : &files))++;
	ck_assert_int_eq(r, 0);
	torc_walk_close(&walk);
	ck_assert_int_eq(files, FILES + 2 * LEVELS);
	ck_assert_int_eq(dirs, LEVELS);

	ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("a")), 0);
	ck_assert(!is_there("a"));
}

static int release_soon(void *unused)
{
	(void)unused;
	ck_assert_int_eq(torc_sleep(2 * SOON), 0);
	faultfs("release");
	return 0;
}

/* A call that is cut off, be it at the listing or at what its type is, has taken no entry. */
FAULTFS_TEST(reading_that_is_cut_off_takes_no_entry)
{
	static const char *const steps[] = { "readdir", "lookup", "getattr" };

	make_tree();
	faultfs("typeless");
	for (size_t i = 0; i < LENGTH(steps); i++) {
		struct torc_dir_entry entry;
		struct torc_dir dir;
		int count = 0, r;

		ck_assert_int_eq(torc_dir_open(&dir, NULL, files_path("a")), 0);
		for (int k = 0; k < 10 && i > 0; k++, count++)
			ck_assert_int_eq(torc_dir_read(&dir, &entry), 1);
		faultfs("hold-interruptible %s", steps[i]);
		TORC_SCOPE(outer);
		ck_assert_int_eq(torc_go(outer, release_soon, NULL), 0);
		{
			TORC_SCOPE(scope, .deadline = torc_in(SOON));
			r = torc_dir_read(&dir, &entry);
			ck_assert_msg(r == 1 || r == -ETIME, "%s: %d", steps[i], r);
			count += r == 1;
		}
		ck_assert_int_eq(torc_scope_join(outer), 0);
		while ((r = torc_dir_read(&dir, &entry)) == 1)
			count++;
		ck_assert_int_eq(r, 0);
		ck_assert_msg(count == FILES + 1, "%s: %d", steps[i], count);
		ck_assert_int_eq(torc_dir_close(&dir), 0);
	}
}

/* --- errors ---------------------------------------------------------------------------------- */

FAULTFS_TEST(listing_that_fails_says_so)
{
	struct torc_walk_entry found;
	struct torc_dir_entry entry;
	struct torc_walk walk;
	struct torc_dir dir;
	int count = 0, r, errors = 0;

	make_tree();
	faultfs("fail readdir %d 1 1", EIO);
	ck_assert_int_eq(torc_dir_open(&dir, NULL, files_path("a")), 0);
	while ((r = torc_dir_read(&dir, &entry)) == 1)
		count++;
	ck_assert_int_eq(r, -EIO);
	while ((r = torc_dir_read(&dir, &entry)) == 1) /* asked again, it can */
		count++;
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(count, FILES + 1);
	ck_assert_int_eq(torc_dir_close(&dir), 0);

	faultfs("fail opendir %d 2 1", EIO); /* a, a/d, and not a/d/d */
	count = 0;
	ck_assert_int_eq(torc_walk_open(&walk, NULL, files_path("a"), NULL), 0);
	while ((r = torc_walk_next(&walk, &found)) != 0) {
		ck_assert(r == 1 || r == -EIO);
		errors += r < 0;
		count += r == 1;
	}
	torc_walk_close(&walk);
	ck_assert_int_eq(errors, 1);
	ck_assert_int_eq(count, FILES + 1 + 3);
}

FAULTFS_TEST(removing_a_tree_stops_at_the_first_error)
{
	static const char *const steps[] = { "unlink", "rmdir", "opendir", "readdir" };

	for (size_t i = 0; i < LENGTH(steps); i++) {
		make_tree();
		faultfs("fail %s %d 1 1", steps[i], EIO);
		ck_assert_msg(torc_dir_remove_tree(NULL, files_path("a")) == -EIO, "%s", steps[i]);
		ck_assert(is_there("a"));
		ck_assert_int_eq(torc_dir_remove_tree(NULL, files_path("a")), 0);
		ck_assert(!is_there("a"));
	}
}

FAULTFS_TEST(calls_on_names_tell_what_the_device_says)
{
	struct torc_file_info info;
	struct torc_file file;
	struct torc_dir dir;

	ck_assert_int_eq(torc_dir_open(&dir, NULL, files_home), 0);
	faultfs("fail mkdir %d 0 1", EDQUOT);
	ck_assert_int_eq(torc_dir_create(&dir, "a", NULL), -EDQUOT);
	faultfs("fail mkdir %d 1 1", ENOSPC);
	ck_assert_int_eq(torc_dir_create(&dir, "a/b/c", TORC_OPTIONS(torc_dir_options, .parents = true)), -ENOSPC);
	ck_assert(!is_there("a/b/c"));
	faultfs("fail mkdir 0");
	ck_assert_int_eq(torc_dir_create(&dir, "a/b/c", TORC_OPTIONS(torc_dir_options, .parents = true)), 0);
	files_make("f", 10);
	faultfs("fail rename %d 0 1", EXDEV);
	ck_assert_int_eq(torc_path_rename(&dir, "f", &dir, "g", 0), -EXDEV);
	faultfs("fail link %d 0 1", EMLINK);
	ck_assert_int_eq(torc_path_link(&dir, "f", &dir, "g"), -EMLINK);
	faultfs("fail unlink %d 0 1", EBUSY);
	ck_assert_int_eq(torc_path_unlink(&dir, "f"), -EBUSY);
	faultfs("fail rmdir %d 0 1", EROFS);
	ck_assert_int_eq(torc_dir_remove(&dir, "a/b/c"), -EROFS);
	faultfs("fail lookup %d 0 2", EIO); /* what the kernel knows, and anew */
	ck_assert_int_eq(torc_path_stat(&dir, "f", &info), -EIO);
	faultfs("fail open %d 0 1", EACCES);
	ck_assert_int_eq(torc_file_open(&file, "f", TORC_OPTIONS(torc_file_options, .at = &dir)), -EACCES);
	faultfs("fail fsyncdir %d 0 1", EIO);
	ck_assert_int_eq(torc_dir_sync(&dir), -EIO);
	ck_assert_int_eq(torc_dir_sync(&dir), 0);
	faultfs("fail fsyncdir %d 0 2", EINTR);
	ck_assert_int_eq(torc_dir_sync(&dir), 0);
	ck_assert(is_there("f") && is_there("a/b/c") && !is_there("g"));
	ck_assert_int_eq(torc_dir_close(&dir), 0);
}

/* --- late ------------------------------------------------------------------------------------ */

struct step {
	const char *name;
	int (*call)(struct torc_dir *dir);
	const char *made, *gone; /* what is there when it has been done, and what is not */
};

static int call_mkdir(struct torc_dir *dir)
{
	return torc_dir_create(dir, "new", NULL);
}

static int call_rename(struct torc_dir *dir)
{
	return torc_path_rename(dir, "f", dir, "new", 0);
}

static int call_link(struct torc_dir *dir)
{
	return torc_path_link(dir, "f", dir, "new");
}

static int call_unlink(struct torc_dir *dir)
{
	return torc_path_unlink(dir, "f");
}

struct late {
	const struct step *step;
	struct torc_dir *dir;
	int result;
};

static int call_late(void *arg)
{
	struct late *late = arg;

	return late->result = late->step->call(late->dir);
}

/* Cut off, it has been done, and says so, or has not. */
static void cut_off(struct torc_dir *dir, const struct step *step, bool interruptible)
{
	struct late late = { step, dir, UNSET };
	bool done;

	files_make("f", 10);
	faultfs("%s %s", interruptible ? "hold-interruptible" : "hold", step->name);
	TORC_SCOPE(outer);
	{
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, call_late, &late), 0);
		faultfs_await("held", 1);
		ck_assert_int_eq(torc_go(outer, release_soon, NULL), 0);
		torc_scope_cancel(scope);
	}
	ck_assert_int_eq(torc_scope_join(outer), 0);
	done = (!step->made || is_there(step->made)) && (!step->gone || !is_there(step->gone));
	ck_assert_msg(late.result == (done ? 0 : -ECANCELED), "%s, %d: %d, but %s", step->name, interruptible,
	              late.result, done ? "done" : "not done");
	ck_assert_int_eq(torc_dir_remove_tree(dir, "new"), 0);
	unlink(files_path("f"));
}

FAULTFS_TEST(call_on_a_name_that_is_cut_off_is_done_or_not)
{
	static const struct step steps[] = { { "mkdir", call_mkdir, "new", NULL },
		                             { "rename", call_rename, "new", "f" },
		                             { "link", call_link, "new", NULL },
		                             { "unlink", call_unlink, NULL, "f" } };
	struct torc_dir dir;

	ck_assert_int_eq(torc_dir_open(&dir, NULL, files_home), 0);
	for (size_t i = 0; i < LENGTH(steps); i++)
		for (int interruptible = 0; interruptible < 2; interruptible++)
			cut_off(&dir, &steps[i], interruptible);
	ck_assert_int_eq(torc_dir_close(&dir), 0);
}
