/* file_ops - what is done to a file beside reading and writing its data: room, copies, advice, locks, names. By the ring
 * where it has the request, by offload elsewhere. Relies on file, offload, path. */
#include "io/file.h"
#include "io/offload.h"
#include "io/path.h"

#include "executor/sleep.h"
#include "machine/clock.h"
#include "machine/feature.h"
#include "machine/sys_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { COPY_STEP = 64 << 20, COPY_PIECE = 256 << 10, FD_PATH = 32 };
static const int64_t ask_again_first_ns = 1000000, ask_again_most_ns = 50000000;

/* A request that has offset and length, and something in `flags`. */
static int ranged(struct torc_file *file, unsigned opcode, uint64_t offset, unsigned len, unsigned flags,
                  const char *function)
{
	struct io_uring_sqe *sqe;
	struct op op;
	int r;

	do { /* ends: the scope or the handle does, if the answer does not change */
		r = op_begin(&op, &file->async, SOURCE_FILE, &sqe, function);
		if (r < 0)
			return r;
		uring_prepare(sqe, opcode, op_fd(&op), NULL, len);
		sqe->off = offset;
		sqe->sync_range_flags = flags; /* or fadvise_advice: they are one field */
		r = op_finish(&op, sqe);
	} while (op_interrupted(r));
	return r;
}

struct range {
	int fd;
	uint64_t offset, len;
	unsigned opcode, flags;
};

static int range_plainly(void *arg)
{
	const struct range *range = arg;
	int64_t offset = (int64_t)range->offset, len = (int64_t)range->len;

	return range->opcode == IORING_OP_FADVISE ? sys_advise(range->fd, offset, len, (int)range->flags)
	                                          : sys_sync_range(range->fd, offset, len, range->flags);
}

/* The same for a length that may not fit into a request. 0: to the end. */
static int ranged_long(struct torc_file *file, unsigned opcode, uint64_t offset, uint64_t len, unsigned flags,
                       const char *function)
{
	struct range range = { async_fd(&file->async), offset, len, opcode, flags };

	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return -EINVAL;
	if (len <= UINT32_MAX)
		return ranged(file, opcode, offset, (unsigned)len, flags, function);
	return offload(&file->async, NULL, range_plainly, &range, function);
}

int torc_file_sync_range(struct torc_file *file, uint64_t offset, uint64_t len)
{
	return ranged_long(file, IORING_OP_SYNC_FILE_RANGE, offset, len,
	                   SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER, __func__);
}

int torc_file_advise(struct torc_file *file, enum torc_advice advice, uint64_t offset, uint64_t len)
{
	return ranged_long(file, IORING_OP_FADVISE, offset, len, (unsigned)advice, __func__);
}

/* --- room ------------------------------------------------------------------------------------ */

struct truncate {
	int fd;
	int64_t size;
};

static int truncate_plainly(void *arg)
{
	const struct truncate *call = arg;

	return sys_ftruncate(call->fd, call->size);
}

int torc_file_truncate(struct torc_file *file, uint64_t size)
{
	struct truncate call = { async_fd(&file->async), (int64_t)size };

	if (size > INT64_MAX)
		return -EINVAL;
	if (feature_on(FEATURE_FTRUNCATE))
		return ranged(file, URING_OP_FTRUNCATE, size, 0, 0, __func__);
	return offload(&file->async, NULL, truncate_plainly, &call, __func__);
}

static int allocate(struct torc_file *file, uint64_t offset, uint64_t len, int mode, const char *function)
{
	struct io_uring_sqe *sqe;
	struct op op;
	int r;

	do { /* ends as ranged does */
		r = op_begin(&op, &file->async, SOURCE_FILE, &sqe, function);
		if (r < 0)
			return r;
		uring_prepare(sqe, IORING_OP_FALLOCATE, op_fd(&op), NULL, (unsigned)mode);
		sqe->off = offset;
		sqe->addr = len;
		r = op_finish(&op, sqe);
	} while (op_interrupted(r));
	return r;
}

int torc_file_allocate(struct torc_file *file, uint64_t offset, uint64_t len, int mode)
{
	return allocate(file, offset, len, mode, __func__);
}

int torc_file_punch_hole(struct torc_file *file, uint64_t offset, uint64_t len)
{
	return allocate(file, offset, len, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, __func__);
}

/* --- copying --------------------------------------------------------------------------------- */

struct copy {
	int from, to;
	int64_t from_offset, to_offset;
	size_t len;
	int64_t copied;
};

static int copy_plainly(void *arg)
{
	struct copy *copy = arg;

	copy->copied = sys_copy_range(copy->from, copy->from_offset, copy->to, copy->to_offset, copy->len);
	return copy->copied < 0 ? (int)copy->copied : 0;
}

static bool one_file(const struct copy *copy)
{
	struct statx from, to;

	return sys_statx_now(copy->from, &from) == 0 && sys_statx_now(copy->to, &to) == 0 &&
	       from.stx_ino == to.stx_ino && from.stx_dev_major == to.stx_dev_major &&
	       from.stx_dev_minor == to.stx_dev_minor;
}

/* What the kernel says where it can't. -EINVAL within one file is about the ranges. */
static bool cannot_copy(const struct copy *copy, int error)
{
	return error == -EXDEV || error == -ENOSYS || error == -EOPNOTSUPP || (error == -EINVAL && !one_file(copy));
}

/* A step of reading and writing. */
static int64_t copy_piece(struct torc_file *to, uint64_t to_offset, struct torc_file *from, uint64_t from_offset,
                          size_t len, const char *function)
{
	size_t most = file_piece(to, COPY_PIECE);
	struct torc_buffer buffer;
	int64_t r;

	len = len < most ? len : most;
	r = torc_buffer_open(&buffer, len);
	if (r < 0)
		return r;
	r = file_read(from, buffer.data, len, from_offset, function);
	if (r > 0)
		r = file_write(to, buffer.data, (size_t)r, to_offset, function);
	torc_buffer_close(&buffer);
	return r;
}

static int64_t copy_step(struct torc_file *to, uint64_t to_offset, struct torc_file *from, uint64_t from_offset,
                         uint64_t len, bool *by_hand, const char *function)
{
	struct copy copy = { async_fd(&from->async),
		             async_fd(&to->async),
		             (int64_t)from_offset,
		             (int64_t)to_offset,
		             len < COPY_STEP ? (size_t)len : COPY_STEP,
		             0 };
	int r;

	if (!*by_hand) {
		r = offload(&from->async, to == from ? NULL : &to->async, copy_plainly, &copy, function);
		if (!cannot_copy(&copy, r))
			return r < 0 ? r : copy.copied;
		*by_hand = true;
	}
	return copy_piece(to, to_offset, from, from_offset, copy.len, function);
}

/* Two handles may be of one file. The kernel sees an overlap of single steps only. */
static bool overlap(const struct torc_file *to, uint64_t to_offset, const struct torc_file *from, uint64_t from_offset,
                    uint64_t len)
{
	struct copy copy = { .from = async_fd(&from->async), .to = async_fd(&to->async) };
	uint64_t apart = to_offset > from_offset ? to_offset - from_offset : from_offset - to_offset;

	return apart < len && (to == from || one_file(&copy));
}

static int64_t copy_all(struct torc_file *to, uint64_t to_offset, struct torc_file *from, uint64_t from_offset,
                        uint64_t len, const char *function)
{
	bool by_hand = false;
	uint64_t copied = 0;

	while (copied < len) { /* ends: each round copies something or ends it */
		int64_t r =
			copy_step(to, to_offset + copied, from, from_offset + copied, len - copied, &by_hand, function);

		if (r < 0)
			return r;
		if (r == 0)
			break;
		copied += (uint64_t)r;
	}
	return (int64_t)copied;
}

int64_t torc_file_copy(struct torc_file *to, uint64_t to_offset, struct torc_file *from, uint64_t from_offset,
                       uint64_t len)
{
	struct hold hold; /* each step asks one of them at a time, and what is asked next must be what it was */
	int64_t r;

	if (to_offset > INT64_MAX || from_offset > INT64_MAX || len > INT64_MAX - to_offset ||
	    len > INT64_MAX - from_offset)
		return -EINVAL;
	r = file_refused(to, __func__);
	if (r == 0)
		r = file_refused(from, __func__);
	if (r < 0)
		return r;
	if (overlap(to, to_offset, from, from_offset, len))
		return -EINVAL;
	hold_begin(&hold, &to->async, __func__);
	r = copy_all(to, to_offset, from, from_offset, len, __func__);
	if (request_was_cut((int)r) && hold.op.closed)
		r = -EBADF;
	hold_end(&hold);
	return r;
}

/* --- names and handles ----------------------------------------------------------------------- */

int torc_file_dup(const struct torc_file *file, struct torc_file *copy)
{
	struct torc_file second = *file;
	int fd = torc_async_fd(&file->async);

	if (fd >= 0)
		fd = sys_dup(fd);
	if (fd < 0)
		return fd;
	async_set(&second.async, fd, file->async.flags_ & ASYNC_BLOCKS);
	second.buffered_ = 0;
	*copy = second;
	return 0;
}

int torc_file_link(struct torc_file *file, struct torc_dir *at, const char *path)
{
	char name[FD_PATH];
	struct path_call call = { .opcode = IORING_OP_LINKAT, .path = name, .to = path, .flags = AT_SYMLINK_FOLLOW };
	struct hold hold;
	int r = hold_begin(&hold, &file->async, __func__);

	if (r < 0)
		return r;
	/* Not by AT_EMPTY_PATH, which is for the privileged. */
	snprintf(name, sizeof name, "/proc/self/fd/%d", async_fd(&file->async));
	r = path_run(NULL, at, &call, __func__);
	if (request_was_cut(r) && hold.op.closed)
		r = -EBADF;
	hold_end(&hold);
	return r;
}

/* --- locks ----------------------------------------------------------------------------------- */

struct lock {
	int fd;
	enum sys_lock lock;
	int64_t offset, len;
};

static int lock_plainly(void *arg)
{
	const struct lock *call = arg;

	return sys_lock(call->fd, call->lock, call->offset, call->len);
}

/* One attempt; a thread's, for a network file system asks its server. */
static int try_lock(struct torc_file *file, enum sys_lock lock, uint64_t offset, uint64_t len, const char *function)
{
	struct lock call = { async_fd(&file->async), lock, (int64_t)offset, (int64_t)len };
	int r;

	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return -EINVAL;
	r = offload(&file->async, NULL, lock_plainly, &call, function);
	return r == -EAGAIN || r == -EACCES ? -EBUSY : r;
}

static enum sys_lock lock_kind(enum torc_lock lock)
{
	return lock == TORC_LOCK_SHARED ? SYS_LOCK_SHARED : SYS_LOCK_EXCLUSIVE;
}

int torc_file_lock_try(struct torc_file *file, enum torc_lock lock, uint64_t offset, uint64_t len)
{
	return try_lock(file, lock_kind(lock), offset, len, __func__);
}

int torc_file_lock(struct torc_file *file, enum torc_lock lock, uint64_t offset, uint64_t len)
{
	int64_t pause = ask_again_first_ns;
	struct hold hold; /* while it sleeps, too */
	int r = hold_begin(&hold, &file->async, __func__);

	if (r < 0)
		return r;
	while ((r = try_lock(file, lock_kind(lock), offset, len, __func__)) ==
	       -EBUSY) { /* ends with the other's lock */
		r = sleep_until(executor_self, clock_now() + pause);
		if (r < 0)
			break;
		pause = 2 * pause < ask_again_most_ns ? 2 * pause : ask_again_most_ns;
	}
	hold_end(&hold);
	return r;
}

int torc_file_unlock(struct torc_file *file, uint64_t offset, uint64_t len)
{
	return try_lock(file, SYS_UNLOCK, offset, len, __func__);
}
