#include "io/path.h"

#include "io/file.h"
#include "io/offload.h"
#include "machine/feature.h"
#include "machine/sys_file.h"

#include <errno.h>
#include <string.h>

static int call_plainly(void *arg)
{
	const struct path_call *call = arg;

	switch (call->opcode) {
	case IORING_OP_RENAMEAT:
		return sys_rename(call->fd, call->path, call->to_fd, call->to, call->flags);
	case IORING_OP_UNLINKAT:
		return sys_unlink(call->fd, call->path, (int)call->flags);
	case IORING_OP_MKDIRAT:
		return sys_mkdir(call->fd, call->path, call->flags);
	case IORING_OP_SYMLINKAT:
		return sys_symlink(call->to, call->fd, call->path);
	default:
		return sys_link(call->fd, call->path, call->to_fd, call->to, (int)call->flags);
	}
}

static void prepare(struct io_uring_sqe *sqe, const struct path_call *call)
{
	uring_prepare(sqe, call->opcode, call->fd, call->path, 0);
	switch (call->opcode) {
	case IORING_OP_RENAMEAT:
	case IORING_OP_LINKAT:
		sqe->len = (unsigned)call->to_fd;
		sqe->addr2 = (uintptr_t)call->to;
		sqe->rename_flags = call->flags;
		break;
	case IORING_OP_UNLINKAT:
		sqe->unlink_flags = call->flags;
		break;
	case IORING_OP_MKDIRAT:
		sqe->len = call->flags;
		break;
	default: /* SYMLINKAT: first what it says, then where it is */
		sqe->addr = (uintptr_t)call->to;
		sqe->addr2 = (uintptr_t)call->path;
	}
}

static int by_ring(struct torc_dir *at, struct torc_dir *to_at, const struct path_call *call, const char *function)
{
	struct io_uring_sqe *sqe;
	struct hold hold;
	struct op op;
	int r = hold_begin(&hold, to_at == at ? NULL : at_async(to_at), function);

	if (r < 0)
		return r;
	r = at_begin(&op, at, SOURCE_FILE, &sqe, function);
	if (r == 0) {
		prepare(sqe, call);
		r = at_finish(&op, at, sqe);
		if (request_was_cut(r) && hold.op.closed)
			r = -EBADF;
	}
	hold_end(&hold);
	return r;
}

int path_run(struct torc_dir *at, struct torc_dir *to_at, struct path_call *call, const char *function)
{
	call->fd = at_fd(at);
	call->to_fd = at_fd(to_at);
	if (feature_on(FEATURE_PATH_OPS)) {
		int r;

		do /* ends: the scope or a handle does, if the answer does not change */
			r = by_ring(at, to_at, call, function);
		while (op_interrupted(r));
		return r;
	}
	return offload(at_async(at), to_at == at ? NULL : at_async(to_at), call_plainly, call, function);
}

int torc_path_rename(struct torc_dir *at, const char *path, struct torc_dir *to_at, const char *to, unsigned flags)
{
	return path_run(at, to_at,
	                &(struct path_call){ .opcode = IORING_OP_RENAMEAT, .path = path, .to = to, .flags = flags },
	                __func__);
}

int torc_path_unlink(struct torc_dir *at, const char *path)
{
	return path_run(at, NULL, &(struct path_call){ .opcode = IORING_OP_UNLINKAT, .path = path }, __func__);
}

int torc_path_link(struct torc_dir *at, const char *path, struct torc_dir *to_at, const char *to)
{
	return path_run(at, to_at, &(struct path_call){ .opcode = IORING_OP_LINKAT, .path = path, .to = to }, __func__);
}

int torc_path_symlink(struct torc_dir *at, const char *path, const char *target)
{
	return path_run(at, NULL, &(struct path_call){ .opcode = IORING_OP_SYMLINKAT, .path = path, .to = target },
	                __func__);
}

struct readlink {
	int fd;
	const char *path;
	char *buf;
	size_t size;
};

static int read_plainly(void *arg)
{
	const struct readlink *call = arg;

	return sys_readlink(call->fd, call->path, call->buf, call->size);
}

int torc_path_readlink(struct torc_dir *at, const char *path, char *buf, size_t size)
{
	struct readlink call = { at_fd(at), path, buf, size };
	int r;

	if (size == 0)
		return -ENAMETOOLONG;
	r = offload(at_async(at), NULL, read_plainly, &call, __func__);
	if (r < 0)
		return r;
	if ((size_t)r >= size)
		return -ENAMETOOLONG;
	buf[r] = 0;
	return r;
}

int path_statx(struct torc_dir *at, const char *path, int flags, struct statx *found, const char *function)
{
	struct io_uring_sqe *sqe;
	struct op op;
	int r;

	do { /* ends as path_run does */
		r = at_begin(&op, at, SOURCE_FILE, &sqe, function);
		if (r < 0)
			return r;
		uring_prepare(sqe, IORING_OP_STATX, at_fd(at), path, FILE_STATX_MASK);
		sqe->off = (uintptr_t)found;
		sqe->statx_flags = (unsigned)flags;
		r = at_finish(&op, at, sqe);
	} while (op_interrupted(r));
	if (r == 0)
		sanitize_written(found, sizeof *found);
	return r;
}

static int describe(struct torc_dir *at, const char *path, int flags, struct torc_file_info *info, const char *function)
{
	struct statx found;
	int r = path_statx(at, path, flags, &found, function);

	if (r == 0)
		file_describe(info, &found);
	return r;
}

int torc_path_stat(struct torc_dir *at, const char *path, struct torc_file_info *info)
{
	return describe(at, path, 0, info, __func__);
}

int torc_path_lstat(struct torc_dir *at, const char *path, struct torc_file_info *info)
{
	return describe(at, path, AT_SYMLINK_NOFOLLOW, info, __func__);
}
