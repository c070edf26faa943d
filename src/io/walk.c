/* walk - all that is below a directory, by a stack of open directories: a name that is swapped for a symbolic link
 * meanwhile leads nowhere else, for each step begins at an open directory and follows none. Relies on dir. */
#include "io/dir.h"

#include "base/options.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A directory that is open, in the middle of being read. */
struct level {
	struct torc_dir dir;
	size_t path_len; /* of the walk's path: up to this directory */
	uint64_t inode;
};

struct walk {
	struct level *levels;
	unsigned depth, room; /* levels that are open, and that there is memory for */
	char *path;
	size_t path_room, name;        /* where the last part begins */
	bool leaving, descend;         /* as in the options; what was returned last is a directory to go into */
	uint64_t inode;                /* of that */
	struct fiber *inside, *closer; /* in torc_walk_next; in torc_walk_close, until that is over */
};

static int grow_levels(struct walk *walk)
{
	unsigned room = walk->room ? 2 * walk->room : 8;
	struct level *levels;

	if (walk->depth < walk->room)
		return 0;
	levels = realloc(walk->levels, room * sizeof *levels);
	if (!levels)
		return -ENOMEM;
	walk->levels = levels;
	walk->room = room;
	return 0;
}

/* The path becomes what it is of the innermost directory, and `name`. */
static int set_path(struct walk *walk, const char *name)
{
	size_t from = walk->levels[walk->depth - 1].path_len, len = strlen(name);
	size_t need = from + 1 + len + 1;

	if (need > walk->path_room) {
		char *path = realloc(walk->path, 2 * need);

		if (!path)
			return -ENOMEM;
		walk->path = path;
		walk->path_room = 2 * need;
	}
	if (from > 0)
		walk->path[from++] = '/';
	memcpy(walk->path + from, name, len + 1);
	walk->name = from;
	return 0;
}

static int push(struct walk *walk, struct torc_dir *at, const char *path, int flags, const char *function)
{
	struct level *level;
	int r = grow_levels(walk);

	if (r < 0)
		return r;
	level = &walk->levels[walk->depth];
	r = dir_open(&level->dir, at, path, flags, function);
	if (r < 0)
		return r;
	level->path_len = walk->depth > 0 ? strlen(walk->path) : 0;
	level->inode = walk->inode;
	walk->depth++;
	return 0;
}

/* Into the directory that was returned last. 0 as well where it is gone, or is none any more. */
static int go_down(struct walk *walk, const char *function)
{
	struct torc_dir *inner = &walk->levels[walk->depth - 1].dir;
	int r = grow_levels(walk);

	walk->descend = false;
	if (r < 0)
		return r;
	inner = &walk->levels[walk->depth - 1].dir; /* they may have moved */
	r = push(walk, inner, walk->path + walk->name, O_NOFOLLOW, function);
	walk->descend = r == -ECANCELED || r == -ETIME; /* the next call goes down */
	return r == -ENOENT || r == -ELOOP || r == -ENOTDIR ? 0 : r;
}

static void fill_in(const struct walk *walk, struct torc_walk_entry *entry, unsigned type, uint64_t inode, bool leaving)
{
	*entry = (struct torc_walk_entry){
		.path = walk->path,
		.name = walk->path + walk->name,
		.dir = &walk->levels[walk->depth - 1].dir,
		.type = type,
		.depth = walk->depth - 1,
		.inode = inode,
		.leaving = leaving,
	};
}

/* Out of the innermost directory. 1: that is to be told. */
static int go_up(struct walk *walk, struct torc_walk_entry *entry)
{
	struct level *level = &walk->levels[walk->depth - 1];
	const char *slash;

	torc_dir_close(&level->dir);
	if (--walk->depth == 0 || !walk->leaving)
		return 0;
	walk->path[level->path_len] = 0;
	slash = strrchr(walk->path, '/');
	walk->name = slash ? (size_t)(slash + 1 - walk->path) : 0;
	fill_in(walk, entry, DT_DIR, level->inode, true);
	return 1;
}

static int walk_next(struct walk *walk, struct torc_walk_entry *entry, const char *function)
{
	int r = walk->descend ? go_down(walk, function) : 0;

	if (r < 0)
		return r;
	while (walk->depth > 0) { /* ends with the tree */
		struct torc_dir_entry found;

		r = dir_read(&walk->levels[walk->depth - 1].dir, &found, function);
		if (r == 0 || r == -ENOENT) { /* the second: it was removed meanwhile */
			if (go_up(walk, entry))
				return 1;
			continue;
		}
		if (r < 0) {
			if (r != -ECANCELED && r != -ETIME)
				go_up(walk, entry); /* it can't be read: behind it */
			return r;
		}
		r = set_path(walk, found.name);
		if (r < 0)
			return r;
		walk->descend = found.type == DT_DIR;
		walk->inode = found.inode;
		fill_in(walk, entry, found.type, found.inode, false);
		return 1;
	}
	return 0;
}

int torc_walk_next(struct torc_walk *handle, struct torc_walk_entry *entry)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct walk *walk = handle->walk_;
	struct torc_walk_entry next;
	int r;

	if (!walk)
		return -EBADF;
	if (scope_refuses(executor->running))
		return scope_refuses(executor->running);
	MISUSE(walk->inside, "two fibers walk at once");
	walk->inside = executor->running;
	r = walk_next(walk, &next, __func__);
	walk->inside = NULL;
	if (walk->closer) {
		waker_wake(walk->closer);
		return -EBADF;
	}
	if (r == 1)
		*entry = next;
	return r;
}

void torc_walk_skip(struct torc_walk *handle)
{
	struct walk *walk = handle->walk_;

	if (walk)
		walk->descend = false;
}

static int walk_open(struct torc_walk *handle, struct torc_dir *at, const char *path, bool leaving, int flags,
                     const char *function)
{
	struct walk *walk = calloc(1, sizeof *walk);
	int r = walk ? push(walk, at, path, flags, function) : -ENOMEM;

	if (r < 0) {
		if (walk)
			free(walk->levels);
		free(walk);
		return r;
	}
	walk->leaving = leaving;
	*handle = (struct torc_walk){ .walk_ = walk };
	return 0;
}

int torc_walk_open(struct torc_walk *handle, struct torc_dir *at, const char *path,
                   const struct torc_walk_options *options)
{
	struct torc_walk_options whole;

	options = OPTIONS(options, whole);
	return walk_open(handle, at, path, options->leaving, 0, __func__);
}

/* Have the fiber that is in there leave. */
static void evict(struct walk *walk)
{
	struct executor *executor = executor_self;
	struct wait wait = { NULL, executor->running, "another fiber to leave a walk" };

	walk->closer = executor->running;
	wait_interrupt(walk->inside);
	wait_park(executor, &wait);
}

void torc_walk_close(struct torc_walk *handle)
{
	struct walk *walk = handle->walk_;

	if (!walk)
		return;
	*handle = (struct torc_walk){ 0 };
	if (walk->inside)
		evict(walk);
	while (walk->depth > 0)
		torc_dir_close(&walk->levels[--walk->depth].dir);
	free(walk->levels);
	free(walk->path);
	free(walk);
}

/* --- removing a tree ------------------------------------------------------------------------- */

static int remove_name(struct torc_dir *at, const char *name, bool directory, const char *function)
{
	struct path_call call = { .opcode = IORING_OP_UNLINKAT, .path = name, .flags = directory ? AT_REMOVEDIR : 0 };
	int r = path_run(at, NULL, &call, function);

	return r == -ENOENT ? 0 : r;
}

static int remove_below(struct torc_walk *walk, const char *function)
{
	struct torc_walk_entry entry;
	int r;

	while ((r = walk_next(walk->walk_, &entry, function)) > 0) { /* ends with the tree */
		if (entry.type == DT_DIR && !entry.leaving)
			continue;
		r = remove_name(entry.dir, entry.name, entry.leaving, function);
		if (r < 0)
			return r;
	}
	return r;
}

/* `folder`: it may be nothing else. */
static int remove_tree(struct torc_dir *at, const char *path, bool folder, const char *function)
{
	struct torc_walk walk;
	int r = walk_open(&walk, at, path, true, O_NOFOLLOW, function);

	if (r == -ENOENT)
		return 0;
	if ((r == -ELOOP || r == -ENOTDIR) && !folder)
		return remove_name(at, path, false, function);
	if (r < 0)
		return r == -ELOOP ? -ENOTDIR : r;
	r = remove_below(&walk, function);
	torc_walk_close(&walk);
	return r < 0 ? r : remove_name(at, path, true, function);
}

/* What rmdir(2) refuses, however empty it is: . and .. and the root. */
static bool is_unremovable(const char *path, size_t len)
{
	return len == 0 || (path[len - 1] == '.' && (len == 1 || path[len - 2] == '/' ||
	                                             (path[len - 2] == '.' && (len == 2 || path[len - 3] == '/'))));
}

int torc_dir_remove_tree(struct torc_dir *at, const char *path)
{
	size_t len = strlen(path);
	char *name;
	int r;

	if (len == 0)
		return 0;
	while (len > 0 && path[len - 1] == '/')
		len--;
	if (is_unremovable(path, len))
		return -EINVAL;
	if (path[len] == 0)
		return remove_tree(at, path, false, __func__);
	name = strndup(path, len); /* a slash at the end has open(2) follow a link in spite of O_NOFOLLOW */
	if (!name)
		return -ENOMEM;
	r = remove_tree(at, name, true, __func__);
	free(name);
	return r;
}
