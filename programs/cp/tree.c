/* tree - directories: a fiber each, whose jobs list it, copy what is small in it, and set its times when all is done. */
#include "cp.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ACTIVE = 256 };

static unsigned active; /* directories that are being copied */

struct names {
	char **items;
	size_t count, room;
};

struct directory {
	const struct pair *pair;
	struct names files, folders, large; /* large: files that get fibers of their own */
	pthread_mutex_t lock;               /* of large: jobs find them */
	atomic_bool good;
	bool made;
};

struct batch {
	struct directory *directory;
	size_t first, end; /* of directory->files */
};

char *path_join(const char *folder, const char *name)
{
	size_t len = strlen(folder);
	char *path = malloc(len + strlen(name) + 2);

	if (!path)
		abort();
	sprintf(path, len > 0 && folder[len - 1] == '/' ? "%s%s" : "%s/%s", folder, name);
	return path;
}

static void names_add(struct names *names, const char *name)
{
	if (names->count == names->room) {
		names->room = names->room ? 2 * names->room : 64;
		names->items = realloc(names->items, names->room * sizeof *names->items);
		if (!names->items)
			abort();
	}
	names->items[names->count] = strdup(name);
	if (!names->items[names->count++])
		abort();
}

static void names_free(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->items[i]);
	free(names->items);
}

/* --- what is no file and no directory ----------------------------------------------------------- */

static bool keep_times(int dir, const char *name, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };

	(void)!fchownat(dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW);
	return utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Is the link what stands where its copy is to be, or would its copy take the place of what it leads to? */
static bool is_in_its_own_way(int from_dir, const char *name, int to_dir, const char *to, const struct stat *st)
{
	struct stat there, target;

	return fstatat(to_dir, to, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (same_file(&there, st) || (fstatat(from_dir, name, &target, 0) == 0 && same_file(&there, &target)));
}

static bool copy_link(int from_dir, const char *name, int to_dir, const char *to, const struct stat *st,
                      const char *from_name, const char *to_name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from_dir, name, target, sizeof target - 1);
	int r;

	if (n < 0)
		return complain(errno, "cannot read the link '%s'", from_name);
	target[n] = 0;
	r = symlinkat(target, to_dir, to);
	if (r < 0 && errno == EEXIST) {
		if (is_in_its_own_way(from_dir, name, to_dir, to, st))
			return complain(0, "'%s' and '%s' are the same file", from_name, to_name);
		r = unlinkat(to_dir, to, 0);
		if (r == 0)
			r = symlinkat(target, to_dir, to);
	}
	if (r < 0)
		return complain(errno, "cannot make the link '%s'", to_name);
	if (settings.preserve && !keep_times(to_dir, to, st))
		return complain(errno, "cannot keep the times of '%s'", to_name);
	atomic_fetch_add(&tally.files, 1);
	return true;
}

static bool is_pipe(int dir, const char *name)
{
	struct stat st;
	bool is = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISFIFO(st.st_mode);

	errno = EEXIST;
	return is;
}

static bool copy_special(int to_dir, const char *to, const struct stat *st, const char *from_name, const char *to_name)
{
	if (!S_ISFIFO(st->st_mode))
		return complain(0, "'%s' is a device or a socket: not copied", from_name);
	if (mkfifoat(to_dir, to, st->st_mode & 0777) < 0 && !(errno == EEXIST && is_pipe(to_dir, to)))
		return complain(errno, "cannot make the pipe '%s'", to_name);
	if (settings.preserve && (!keep_times(to_dir, to, st) || fchmodat(to_dir, to, st->st_mode & MODE_ALL, 0) < 0))
		return complain(errno, "cannot keep mode and times of '%s'", to_name);
	atomic_fetch_add(&tally.files, 1);
	return true;
}

/* --- jobs --------------------------------------------------------------------------------------- */

/* One entry; false if it failed. A large file is only put on the list. */
static bool copy_entry(struct directory *directory, int from_dir, int to_dir, const char *name)
{
	char *from = path_join(directory->pair->from, name), *to = path_join(directory->pair->to, name);
	struct ends ends = { .from = -1, .to = -1, .from_name = from, .to_name = to };
	bool good = true;
	struct stat st;

	if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		good = complain(errno, "cannot look at '%s'", from);
	} else if (S_ISLNK(st.st_mode)) {
		good = copy_link(from_dir, name, to_dir, name, &st, from, to);
	} else if (!S_ISREG(st.st_mode)) {
		good = copy_special(to_dir, name, &st, from, to);
	} else {
		atomic_fetch_add(&tally.bytes_found, (unsigned long long)st.st_size);
		if (st.st_size > SMALL || (settings.direct && st.st_size > 0)) {
			pthread_mutex_lock(&directory->lock);
			names_add(&directory->large, name);
			pthread_mutex_unlock(&directory->lock);
		} else {
			good = ends_open(&ends, from_dir, name, to_dir, name) && copy_small(&ends);
			good = ends_finish(&ends, good);
		}
	}
	free(from);
	free(to);
	return good;
}

static int batch_job(void *arg)
{
	struct batch *batch = arg;
	struct directory *directory = batch->directory;
	int from = open(directory->pair->from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int to = open(directory->pair->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (from < 0 || to < 0)
		directory->good =
			complain(errno, "cannot open '%s'", from < 0 ? directory->pair->from : directory->pair->to);
	else
		for (size_t i = batch->first; i < batch->end; i++)
			if (torc_blocking_cancelled() || !copy_entry(directory, from, to, directory->files.items[i]))
				directory->good = false;
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return 0;
}

static bool is_folder(DIR *dir, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static bool list(struct directory *directory)
{
	DIR *dir = opendir(directory->pair->from);
	const struct dirent *entry;

	if (!dir)
		return complain(errno, "cannot open '%s'", directory->pair->from);
	errno = 0;
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			names_add(is_folder(dir, entry) ? &directory->folders : &directory->files, entry->d_name);
		errno = 0;
	}
	if (errno)
		complain(errno, "cannot read '%s'", directory->pair->from);
	closedir(dir);
	atomic_fetch_add(&tally.files_found, directory->files.count);
	return errno == 0;
}

/* A link to one is none, as for cp(1): a tree does not go where some link in the destination leads. */
static bool is_there(const char *folder)
{
	struct stat st;

	return lstat(folder, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Make it, list it, and copy the first files of it. */
static int begin_job(void *arg)
{
	struct directory *directory = arg;
	const struct pair *pair = directory->pair;
	struct batch first = { directory, 0, 0 };

	if (mkdir(pair->to, (pair->st.st_mode & MODE_PLAIN) | 0700) == 0)
		directory->made = true;
	else if (errno != EEXIST)
		return complain(errno, "cannot make the directory '%s'", pair->to) - 1;
	else if (!is_there(pair->to))
		return complain(0, "'%s' is no directory, '%s' is", pair->to, pair->from) - 1;
	directory->good = list(directory);
	first.end = directory->files.count < BATCH ? directory->files.count : BATCH;
	return first.end > 0 ? batch_job(&first) : 0;
}

static bool keep_folder_xattrs(const struct pair *pair)
{
	int from = open(pair->from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int to = from < 0 ? -1 : open(pair->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = to >= 0 ? keep_xattrs(from, to, pair->from, pair->to)
	                    : complain(errno, "cannot open '%s'", from < 0 ? pair->from : pair->to);

	if (to >= 0)
		close(to);
	if (from >= 0)
		close(from);
	return good;
}

/* The mode that it needed while it was filled, and the times that this changed. */
static int end_job(void *arg)
{
	struct directory *directory = arg;
	const struct pair *pair = directory->pair;
	struct timespec times[2] = { pair->st.st_atim, pair->st.st_mtim };
	mode_t mode = pair->st.st_mode & MODE_PLAIN;

	if (!settings.preserve) {
		if (directory->made && (mode & 0700) != 0700 && chmod(pair->to, mode & ~settings.umask) < 0)
			directory->good = complain(errno, "cannot set the mode of '%s'", pair->to);
		return 0;
	}
	if (chown(pair->to, pair->st.st_uid, pair->st.st_gid) == 0)
		mode = pair->st.st_mode & MODE_ALL;
	else if (errno != EPERM)
		directory->good = complain(errno, "cannot keep the owner of '%s'", pair->to);
	if (settings.xattrs && !keep_folder_xattrs(pair))
		directory->good = false;
	if (chmod(pair->to, mode) < 0 || utimensat(AT_FDCWD, pair->to, times, 0) < 0)
		directory->good = complain(errno, "cannot keep mode and times of '%s'", pair->to);
	return 0;
}

/* --- fibers ------------------------------------------------------------------------------------- */

static int batch_fiber(void *arg)
{
	return torc_blocking(batch_job, arg);
}

struct inside {
	struct directory *directory;
	const char *name;
};

static int stat_job(void *arg)
{
	struct pair *pair = arg;

	return lstat(pair->from, &pair->st) < 0 ? complain(errno, "cannot look at '%s'", pair->from) - 1 : 0;
}

/* A subdirectory or a large file. */
static int inside_fiber(void *arg)
{
	const struct inside *inside = arg;
	struct pair pair = { path_join(inside->directory->pair->from, inside->name),
		             path_join(inside->directory->pair->to, inside->name),
		             { 0 } };

	if (torc_blocking(stat_job, &pair) < 0 || !copy_any(&pair))
		inside->directory->good = false;
	free(pair.from);
	free(pair.to);
	return 0;
}

static int spawn_inside(struct torc_scope *scope, struct directory *directory, const struct names *names)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < names->count; i++) {
		struct inside inside = { directory, names->items[i] };

		r = torc_give(scope, inside_fiber, inside);
	}
	return r;
}

static bool copy_contents(struct directory *directory)
{
	/* As wide as the tree is in the beginning, in depth once there is enough to do: each takes some memory. */
	unsigned limit = active < ACTIVE ? 64 : 1;
	int r = 0;

	{
		TORC_SCOPE(scope, .until = TORC_ALL_DONE, .limit = limit);
		for (size_t i = BATCH; r == 0 && i < directory->files.count; i += BATCH) {
			struct batch batch = { directory, i, i + BATCH };

			if (batch.end > directory->files.count)
				batch.end = directory->files.count;
			r = torc_give(scope, batch_fiber, batch);
		}
		if (r == 0)
			r = spawn_inside(scope, directory, &directory->folders);
		if (r == 0)
			r = torc_scope_join(scope);
	}
	if (r == 0) {                                                   /* all that the jobs have found */
		TORC_SCOPE(scope, .until = TORC_ALL_DONE, .limit = 16); /* and see large_files */
		r = spawn_inside(scope, directory, &directory->large);
		if (r == 0)
			r = torc_scope_join(scope);
	}
	return r < 0 ? complain(-r, "cannot copy all of '%s'", directory->pair->from) : directory->good;
}

static bool copy_directory(const struct pair *pair)
{
	struct directory directory = { .pair = pair };
	bool good = false;

	active++;
	pthread_mutex_init(&directory.lock, NULL);
	if (torc_blocking(begin_job, &directory) == 0) {
		good = copy_contents(&directory);
		good = torc_blocking(end_job, &directory) == 0 && directory.good && good;
	}
	names_free(&directory.files);
	names_free(&directory.folders);
	names_free(&directory.large);
	pthread_mutex_destroy(&directory.lock);
	active--;
	return good;
}

struct single {
	const struct pair *pair;
	bool good;
};

static int single_job(void *arg)
{
	struct single *single = arg;
	const struct pair *pair = single->pair;
	struct ends ends = { .from = -1, .to = -1, .from_name = pair->from, .to_name = pair->to };

	if (S_ISLNK(pair->st.st_mode)) {
		single->good = copy_link(AT_FDCWD, pair->from, AT_FDCWD, pair->to, &pair->st, pair->from, pair->to);
	} else if (!S_ISREG(pair->st.st_mode) && settings.recursive) {
		single->good = copy_special(AT_FDCWD, pair->to, &pair->st, pair->from, pair->to);
	} else {
		single->good = ends_open(&ends, AT_FDCWD, pair->from, AT_FDCWD, pair->to) && copy_small(&ends);
		single->good = ends_finish(&ends, single->good);
	}
	return 0;
}

bool copy_any(const struct pair *pair)
{
	struct single single = { .pair = pair };
	int r;

	if (S_ISDIR(pair->st.st_mode))
		return copy_directory(pair);
	if (S_ISREG(pair->st.st_mode) && (pair->st.st_size > SMALL || (settings.direct && pair->st.st_size > 0)))
		return copy_large(pair);
	r = torc_blocking(single_job, &single);
	return r < 0 ? complain(-r, "cannot copy '%s'", pair->from) : single.good;
}
