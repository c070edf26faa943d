#include "io/dir.h"

#include "base/options.h"
#include "io/file.h"
#include "io/offload.h"
#include "machine/sys_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 32 << 10 };

struct listing {
	int fd;
	bool busy;
	unsigned at, len; /* within the batch */
	_Alignas(8) char batch[BATCH];
};

int torc_dir_open(struct torc_dir *dir, struct torc_dir *at, const char *path)
{
	return dir_open(dir, at, path, 0, __func__);
}

int dir_open(struct torc_dir *dir, struct torc_dir *at, const char *path, int flags, const char *function)
{
	struct io_uring_sqe *sqe;
	struct op op;
	int fd;

	do { /* ends: the scope or the handle does, if the answer does not change */
		fd = at_begin(&op, at, SOURCE_OPEN, &sqe, function);
		if (fd < 0)
			return fd;
		uring_prepare(sqe, IORING_OP_OPENAT, at_fd(at), path, 0);
		sqe->open_flags = (unsigned)(O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
		fd = at_finish(&op, at, sqe);
	} while (op_interrupted(fd));
	if (fd < 0)
		return fd;
	*dir = (struct torc_dir){ 0 };
	async_set(&dir->async, fd, 0);
	return 0;
}

int torc_dir_close(struct torc_dir *dir)
{
	struct listing *list = dir->list_;
	int r;

	if (async_empty(&dir->async) || (dir->async.flags_ & ASYNC_CLOSING))
		return 0;
	r = torc_async_close(&dir->async);
	*dir = (struct torc_dir){ 0 };
	free(list);
	return r;
}

int torc_dir_sync(struct torc_dir *dir)
{
	return file_sync(&dir->async, 0, __func__);
}

/* --- reading --------------------------------------------------------------------------------- */

static int fill_plainly(void *arg)
{
	struct listing *list = arg;

	return sys_entries(list->fd, list->batch, sizeof list->batch);
}

static int rewind_plainly(void *arg)
{
	const struct listing *list = arg;

	return sys_rewind(list->fd);
}

/* A call of the kernel's that moves the position of the directory. */
static int with_list(struct torc_dir *dir, int (*fn)(void *), const char *function)
{
	struct listing *list = dir->list_;
	int r;

	if (list && list->busy)
		panic(function, "two fibers read one directory at once");
	if (async_empty(&dir->async) || (dir->async.flags_ & ASYNC_CLOSING))
		return -EBADF;
	if (!list) {
		list = dir->list_ = malloc(sizeof *list);
		if (!list)
			return -ENOMEM;
		list->at = list->len = 0;
	}
	list->fd = async_fd(&dir->async);
	list->busy = true;
	r = offload(&dir->async, NULL, fn, list, function);
	list->busy = false;
	return r;
}

static int next_entry(struct torc_dir *dir, struct sys_entry **entry, const char *function)
{
	struct listing *list = dir->list_;

	if (!list || list->at == list->len) {
		int r = with_list(dir, fill_plainly, function);

		if (r <= 0)
			return r;
		list = dir->list_;
		list->at = 0;
		list->len = (unsigned)r;
	}
	*entry = (struct sys_entry *)(void *)(list->batch + list->at);
	list->at += (*entry)->len;
	return 1;
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

int dir_read(struct torc_dir *dir, struct torc_dir_entry *entry, const char *function)
{
	struct sys_entry *found;
	struct statx details;
	int r;

	if (async_empty(&dir->async) || (dir->async.flags_ & ASYNC_CLOSING))
		return -EBADF;
	for (;;) { /* ends with the directory */
		r = next_entry(dir, &found, function);
		if (r <= 0)
			return r;
		if (is_dots(found->name))
			continue;
		if (found->type != DT_UNKNOWN)
			break;
		r = path_statx(dir, found->name, AT_SYMLINK_NOFOLLOW, &details, function);
		if (r == 0)
			found->type = (uint8_t)IFTODT(details.stx_mode);
		if (r != -ENOENT)
			break;
	}
	if (r == -ECANCELED || r == -ETIME) /* the next call gets it; any other error is its own */
		((struct listing *)dir->list_)->at -= found->len;
	if (r < 0)
		return r;
	*entry = (struct torc_dir_entry){ found->name, found->type, found->inode };
	return 1;
}

int torc_dir_read(struct torc_dir *dir, struct torc_dir_entry *entry)
{
	struct executor *executor = executor_in_fiber(__func__);

	if (scope_refuses(executor->running))
		return scope_refuses(executor->running);
	return dir_read(dir, entry, __func__);
}

int torc_dir_rewind(struct torc_dir *dir)
{
	int r = with_list(dir, rewind_plainly, __func__);
	struct listing *list = dir->list_;

	if (r < 0)
		return r;
	list->at = list->len = 0;
	return 0;
}

/* --- making and removing --------------------------------------------------------------------- */

static int make(struct torc_dir *at, const char *path, unsigned mode, const char *function)
{
	return path_run(at, NULL, &(struct path_call){ .opcode = IORING_OP_MKDIRAT, .path = path, .flags = mode },
	                function);
}

/* Is it a directory, made by us or not? */
static int check_there(struct torc_dir *at, const char *path, const char *function)
{
	struct statx found;
	int r = path_statx(at, path, 0, &found, function);

	return r < 0 ? r : S_ISDIR(found.stx_mode) ? 0 : -EEXIST;
}

/* From the first part of the path to the last: each is there, or made. */
static int make_parents(struct torc_dir *at, char *path, unsigned mode, const char *function)
{
	char *end = path;
	int r = 0;

	while (r == 0 && *end) { /* ends with the path */
		char after;
		bool last;

		end += strspn(end, "/");
		end += strcspn(end, "/");
		last = end[strspn(end, "/")] == 0;
		after = *end;
		*end = 0;
		r = make(at, path, last ? mode : 0777, function);
		if (r == -EEXIST)
			r = check_there(at, path, function);
		*end = after;
		if (last)
			break;
	}
	return r;
}

int torc_dir_create(struct torc_dir *at, const char *path, const struct torc_dir_options *options)
{
	struct torc_dir_options whole;
	unsigned mode;
	char *copy;
	int r;

	options = OPTIONS(options, whole);
	mode = options->mode ? options->mode : 0777;
	r = make(at, path, mode, __func__);
	if (!options->parents || (r != -ENOENT && r != -EEXIST) || path[0] == 0)
		return r;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	r = make_parents(at, copy, mode, __func__);
	free(copy);
	return r;
}

int torc_dir_remove(struct torc_dir *at, const char *path)
{
	return path_run(at, NULL,
	                &(struct path_call){ .opcode = IORING_OP_UNLINKAT, .path = path, .flags = AT_REMOVEDIR },
	                __func__);
}
