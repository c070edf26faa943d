/* replace - new contents for a name, all or none of them: written beside, synced, renamed, the directory synced. Relies on
 * file, path, dir. Keeps: the name leads to a file that is whole on the device, at every moment. */
#include "io/dir.h"
#include "io/file.h"

#include "base/options.h"
#include "io/offload.h"
#include "machine/clock.h"
#include "machine/sys_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 100 };

struct replace {
	struct torc_dir dir; /* that the name is in */
	int fd;              /* of the new contents */
	const char *name;
	char beside[NAME_MAX + 1];
	bool made; /* there is a file of that name, ours */
	unsigned mode;
	bool keep_mode; /* whatever the umask */
};

/* The directory that the path's last part is in, open; it is synced in the end, so it is needed anyhow. */
static int open_parent(struct replace *replace, struct torc_dir *at, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent;
	int r;

	replace->name = slash ? slash + 1 : path;
	if (*replace->name == 0)
		return *path == 0 ? -ENOENT : -EISDIR;
	if (!slash)
		return torc_dir_open(&replace->dir, at, ".");
	parent = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (!parent)
		return -ENOMEM;
	r = torc_dir_open(&replace->dir, at, parent);
	free(parent);
	return r;
}

/* Another name that hardly anybody has. */
static void name_beside(struct replace *replace)
{
	static uint32_t count;
	uint64_t word = (uint64_t)clock_now() * 0x9e3779b97f4a7c15 + __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);
	int keep = NAME_MAX - 24; /* of a long name: the rest of ours is shorter than that */

	word ^= (uintptr_t)replace;
	snprintf(replace->beside, sizeof replace->beside, ".%.*s.torc-%012llx", keep, replace->name,
	         (unsigned long long)(word >> 16 & 0xffffffffffff));
}

/* Where the permissions are to be those of what is there. */
static int choose_mode(struct replace *replace)
{
	struct torc_file_info old;
	int r;

	if (replace->mode != 0)
		return 0;
	r = torc_path_stat(&replace->dir, replace->name, &old);
	if (r < 0 && torc_path_lstat(&replace->dir, replace->name, &old) == 0 && S_ISLNK(old.mode))
		r = -ENOENT; /* a link that leads nowhere, or in a circle: it is replaced itself */
	replace->keep_mode = r == 0;
	replace->mode = r == 0 ? old.mode & 0777 : 0666; /* no set-ID bits: they were for other contents */
	return r == -ENOENT ? 0 : r;
}

static int change_mode(void *arg)
{
	const struct replace *replace = arg;

	return sys_chmod(replace->fd, replace->mode);
}

/* After all that was done to it. A file system may tell of a late failure now, quotas and networks do: then it is not whole. */
static int close_file(struct torc_file *file, int result)
{
	int r = torc_file_close(file);

	return result < 0 ? result : r;
}

static int fill(struct replace *replace, struct torc_file *file, const void *data, size_t len)
{
	int64_t r = 0;

	replace->fd = torc_file_fd(file);
	if (replace->keep_mode)
		r = offload(&file->async, NULL, change_mode, replace, __func__);
	if (r == 0)
		r = torc_file_write_at(file, data, len, 0);
	return r < 0 ? (int)r : torc_file_sync(file);
}

/* A file without a name until it is whole. -EOPNOTSUPP and others: not here. */
static int make_nameless(struct replace *replace, const void *data, size_t len)
{
	struct torc_file file;
	int r = torc_file_open(&file, ".",
	                       TORC_OPTIONS(torc_file_options, .flags = O_WRONLY, .temporary = true,
	                                    .mode = replace->mode, .at = &replace->dir));

	if (r < 0)
		return r == -EISDIR || r == -EINVAL || r == -ENOENT ? -EOPNOTSUPP : r;
	r = fill(replace, &file, data, len);
	if (r == 0)
		r = -EEXIST;
	for (int i = 0; r == -EEXIST && i < TRIES; i++) {
		name_beside(replace);
		r = torc_file_link(&file, &replace->dir, replace->beside);
	}
	replace->made = r == 0;
	r = r == -ENOENT ? -EOPNOTSUPP : r; /* no /proc */
	return close_file(&file, r);
}

static int make_named(struct replace *replace, const void *data, size_t len)
{
	struct torc_file file;
	int r = -EEXIST;

	for (int i = 0; r == -EEXIST && i < TRIES; i++) {
		name_beside(replace);
		r = torc_file_open(&file, replace->beside,
		                   TORC_OPTIONS(torc_file_options, .flags = O_WRONLY, .create_new = true,
		                                .mode = replace->mode, .at = &replace->dir));
	}
	if (r < 0)
		return r;
	replace->made = true;
	r = fill(replace, &file, data, len);
	return close_file(&file, r);
}

/* Take what was made beside away, cancelled or not. */
static void drop_beside(struct replace *replace)
{
	TORC_SCOPE(shielded, .shield = true, .deadline = torc_in(10 * TORC_SEC));
	(void)!torc_path_unlink(&replace->dir, replace->beside);
}

static int replace_in(struct replace *replace, const void *data, size_t len)
{
	int r = choose_mode(replace);

	if (r < 0)
		return r;
	r = make_nameless(replace, data, len);
	if (r == -EOPNOTSUPP && !replace->made)
		r = make_named(replace, data, len);
	if (r == 0)
		r = torc_path_rename(&replace->dir, replace->beside, &replace->dir, replace->name, 0);
	if (r < 0) {
		if (replace->made)
			drop_beside(replace);
		return r;
	}
	r = torc_dir_sync(&replace->dir);
	return r == -EINVAL ? 0 : r; /* how the kernel says that this file system syncs no directories */
}

int torc_file_replace(const char *path, const void *data, size_t len, const struct torc_replace_options *options)
{
	struct torc_replace_options whole;
	struct replace replace = { 0 };
	int r;

	options = OPTIONS(options, whole);
	replace.mode = options->mode;
	r = open_parent(&replace, options->at, path);
	if (r < 0)
		return r;
	r = replace_in(&replace, data, len);
	torc_dir_close(&replace.dir);
	return r;
}
