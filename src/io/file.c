#include "io/file.h"

#include "base/options.h"
#include "io/at.h"
#include "io/offload.h"
#include "machine/block.h"
#include "machine/feature.h"
#include "machine/sys.h"
#include "machine/sys_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { CACHED_MOST = 1 << 16 }; /* a copy of ten microseconds or so is no burden to others */
enum {
	PASS_ON = 1 << 18, /* bytes of a detour through a buffer at a time */
	TRIAL = 4096,
	PIECES_MOST = 1024, /* the kernel's UIO_MAXIOV */
	RW_ALL = TORC_RW_DSYNC | TORC_RW_NOWAIT | TORC_RW_APPEND | TORC_RW_ATOMIC | TORC_RW_DONTCACHE,
};

/* --- reads and writes of data ---------------------------------------------------------------- */

int file_refused(const struct torc_file *file, const char *function)
{
	struct executor *executor = executor_in_fiber(function);

	if (async_gone(&file->async))
		return -EBADF;
	return scope_refuses(executor->running);
}

static inline unsigned opcode_of(const struct transfer *transfer, int slot)
{
	bool read = transfer->type == SOURCE_READ;

	if (transfer->vector)
		return read ? IORING_OP_READV : IORING_OP_WRITEV;
	if (slot >= 0)
		return read ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED;
	return read ? IORING_OP_READ : IORING_OP_WRITE;
}

static size_t bytes_of(const struct transfer *transfer)
{
	const struct iovec *pieces = transfer->what;
	size_t sum = 0;

	if (likely(!transfer->vector))
		return transfer->len;
	for (unsigned i = 0; i < transfer->len; i++)
		sum += pieces[i].iov_len;
	return sum;
}

int file_begin(struct device_io *io, struct torc_file *file, const struct transfer *transfer, struct io_uring_sqe **sqe,
               const char *function)
{
	size_t bytes = bytes_of(transfer);
	int slot = -1;
	int r = device_begin(io, file_device(file), &file->async, transfer->type, bytes, sqe, function);

	if (unlikely(r < 0))
		return r;
	file_count(file, transfer->type == SOURCE_WRITE, bytes);
	if (likely(!transfer->vector && !io->polled)) /* the other ring knows no buffers */
		slot = buffer_slot(io->op.request.executor, transfer->what, transfer->len);
	uring_prepare(*sqe, opcode_of(transfer, slot), op_fd(&io->op), transfer->what, transfer->len);
	(*sqe)->off = transfer->offset;
	(*sqe)->rw_flags = transfer->flags;
	if (unlikely(file->async.flags_ & ASYNC_BLOCKS))
		(*sqe)->flags = IOSQE_ASYNC;
	if (slot >= 0)
		(*sqe)->buf_index = (uint16_t)slot;
	return 0;
}

int file_finish(struct device_io *io, const struct transfer *transfer, struct io_uring_sqe *sqe)
{
	int r = device_finish(io, sqe);

	if (unlikely(io->polled && r == -EOPNOTSUPP)) /* now by the other ring */
		return file_transfer(container_of(io->op.async, struct torc_file, async), transfer, "torc_file");
	if (r > 0 && transfer->type == SOURCE_READ && !transfer->vector)
		sanitize_written(transfer->what, (size_t)r);
	return r;
}

/* Of data also -EAGAIN: a device had no room for the request. */
static bool try_again(int result, bool may_wait)
{
	return unlikely(op_again(result) && (may_wait || result != -EAGAIN));
}

int file_transfer(struct torc_file *file, const struct transfer *transfer, const char *function)
{
	struct io_uring_sqe *sqe;
	struct device_io io;
	int r;

	do { /* ends: the scope or the handle does, if the device does not come round */
		r = file_begin(&io, file, transfer, &sqe, function);
		if (unlikely(r < 0))
			return r;
		r = file_finish(&io, transfer, sqe);
	} while (try_again(r, !(transfer->flags & TORC_RW_NOWAIT)));
	return r;
}

static int move(struct torc_file *file, enum source_type type, const void *what, size_t len, uint64_t offset,
                const char *function)
{
	struct transfer transfer = { .type = type, .what = what, .len = (unsigned)len, .offset = offset };

	return file_transfer(file, &transfer, function);
}

/* --- reading --------------------------------------------------------------------------------- */

/* Read what the device would not take, through a buffer: the blocks around it. */
static int64_t read_around(struct torc_file *file, char *buf, size_t len, uint64_t offset, const char *function)
{
	const uint64_t mask = file->offset_mask_;
	struct torc_buffer blocks;
	size_t got = 0, want, n;
	int64_t r;

	want = (size_t)(offset & mask) + (len < PASS_ON ? len : PASS_ON);
	r = torc_buffer_open(&blocks, (want + mask) & ~mask);
	if (r < 0)
		return r;
	do { /* ends: each round reads something or ends it */
		uint64_t from = (offset + got) & ~mask;
		size_t before = (size_t)(offset + got - from);

		want = before + (len - got) < blocks.size ? before + (len - got) : blocks.size;
		want = (want + mask) & ~mask;
		r = move(file, SOURCE_READ, blocks.data, want, from, function);
		if (r < (int64_t)before)
			r = r < 0 ? r : (int64_t)before; /* it ends before */
		if (r < 0)
			break;
		n = (size_t)r - before < len - got ? (size_t)r - before : len - got;
		memcpy(buf + got, (char *)blocks.data + before, n);
		got += n;
	} while (got < len && r == (int64_t)want);
	torc_buffer_close(&blocks);
	return got > 0 ? (int64_t)got : r < 0 ? r : 0;
}

/* What the kernel's cache has is copied at once, without a round through the ring. Not where others want to run: who goes
 * on reading what is there would never let go. -EAGAIN: it goes by the ring. */
static inline int64_t read_cached(struct torc_file *file, void *buf, size_t len, uint64_t offset, const char *function)
{
	int64_t r;

	if (file->offset_mask_ || len > CACHED_MOST || torc_need_yield())
		return -EAGAIN;
	r = file_refused(file, function);
	if (unlikely(r < 0))
		return r;
	r = sys_read_cached(async_fd(&file->async), buf, len, offset);
	if (r != (int64_t)len)
		return -EAGAIN; /* the end, errors and what has to be fetched are the ring's */
	file_count(file, false, len);
	return r;
}

int64_t file_read(struct torc_file *file, void *buf, size_t len, uint64_t offset, const char *function)
{
	const uint64_t end =
		INT64_MAX & ~(uint64_t)file->offset_mask_; /* no file goes further; the kernel says -EINVAL */
	int64_t r;

	if (unlikely(offset > INT64_MAX))
		return -EINVAL;
	if (unlikely(offset >= end || len > end - offset))
		len = offset < end ? (size_t)(end - offset) : 0;
	if (unlikely(len == 0))
		return file_refused(file, function);
	if (unlikely(len > FILE_TRANSFER_MOST))
		len = FILE_TRANSFER_MOST & ~(size_t)file->offset_mask_;
	if (unlikely(!file_aligned(file, buf, len, offset)))
		return read_around(file, buf, len, offset, function);
	r = read_cached(file, buf, len, offset, function);
	if (r != -EAGAIN)
		return r;
	return move(file, SOURCE_READ, buf, len, offset, function);
}

int64_t torc_file_read_at(struct torc_file *file, void *buf, size_t len, uint64_t offset)
{
	return file_read(file, buf, len, offset, __func__);
}

int64_t torc_file_read_exact_at(struct torc_file *file, void *buf, size_t len, uint64_t offset)
{
	size_t got = 0;
	int64_t r;

	if (len > INT64_MAX)
		return -EINVAL;
	do { /* ends: each round reads something or ends it */
		r = file_read(file, (char *)buf + got, len - got, offset + got, __func__);
		if (r < 0)
			return r;
		got += (size_t)r;
	} while (r > 0 && got < len);
	return got == len || got == 0 ? (int64_t)got : -ENODATA;
}

/* --- writing --------------------------------------------------------------------------------- */

/* Memory that the device would not take goes through a buffer. One round. */
static int64_t write_passed_on(struct torc_file *file, const char *buf, size_t len, uint64_t offset,
                               const char *function)
{
	struct torc_buffer blocks;
	size_t most;
	int64_t r;

	most = file_piece(file, PASS_ON);
	len = len < most ? len : most;
	r = torc_buffer_open(&blocks, len);
	if (r < 0)
		return r;
	memcpy(blocks.data, buf, len);
	r = move(file, SOURCE_WRITE, blocks.data, len, offset, function);
	torc_buffer_close(&blocks);
	return r;
}

static int64_t write_some(struct torc_file *file, const char *buf, size_t len, uint64_t offset, const char *function)
{
	if (len > FILE_TRANSFER_MOST)
		len = FILE_TRANSFER_MOST & ~(size_t)file->offset_mask_;
	if (likely(!((uintptr_t)buf & file->memory_mask_)))
		return move(file, SOURCE_WRITE, buf, len, offset, function);
	return write_passed_on(file, buf, len, offset, function);
}

/* 0; why nothing can be written there. */
static int check_range(const struct torc_file *file, size_t len, uint64_t offset)
{
	if (unlikely(offset > INT64_MAX || len > INT64_MAX || ((offset | len) & file->offset_mask_)))
		return -EINVAL;
	return unlikely(len > INT64_MAX - offset) ? -EFBIG : 0;
}

int64_t file_write(struct torc_file *file, const void *buf, size_t len, uint64_t offset, const char *function)
{
	int r = check_range(file, len, offset);
	const char *bytes = buf;
	size_t put = 0;

	if (unlikely(r < 0))
		return r;
	if (unlikely(len == 0))
		return file_refused(file, function);
	while (put < len) { /* ends: each round writes something or fails */
		int64_t n = write_some(file, bytes + put, len - put, offset + put, function);

		if (unlikely(n < 0))
			return n;
		/* A direct write that stops within a block goes on from the block's beginning. */
		n &= ~(int64_t)file->offset_mask_;
		if (unlikely(n == 0))
			return -EIO;
		put += (size_t)n;
	}
	return (int64_t)len;
}

int64_t torc_file_write_at(struct torc_file *file, const void *buf, size_t len, uint64_t offset)
{
	return file_write(file, buf, len, offset, __func__);
}

int64_t torc_file_write_some_at(struct torc_file *file, const void *buf, size_t len, uint64_t offset)
{
	int r = check_range(file, len, offset);

	if (r < 0)
		return r;
	if (len == 0)
		return file_refused(file, __func__);
	return write_some(file, buf, len, offset, __func__);
}

/* --- pieces ---------------------------------------------------------------------------------- */

/* Do they make a request? Their sum. */
static int64_t sum_up(const struct iovec *pieces, int count, uint64_t offset)
{
	size_t sum = 0;

	if (count < 0 || count > PIECES_MOST || offset > INT64_MAX)
		return -EINVAL;
	for (int i = 0; i < count; i++) {
		if (pieces[i].iov_len > FILE_TRANSFER_MOST || (sum += pieces[i].iov_len) > FILE_TRANSFER_MOST)
			return -EINVAL;
	}
	return (int64_t)sum;
}

static bool pieces_aligned(const struct torc_file *file, const struct iovec *pieces, int count, uint64_t offset)
{
	for (int i = 0; i < count; i++)
		if (!file_aligned(file, pieces[i].iov_base, pieces[i].iov_len, offset))
			return false;
	return true;
}

static int transfer_pieces(struct torc_file *file, enum source_type type, const struct iovec *pieces, int count,
                           uint64_t offset, unsigned flags, const char *function)
{
	struct transfer transfer = {
		.type = type, .what = pieces, .len = (unsigned)count, .vector = true, .offset = offset
	};
	int r;

	if ((flags & TORC_RW_DONTCACHE) && !feature_on(FEATURE_DONTCACHE))
		flags &= ~(unsigned)TORC_RW_DONTCACHE;
	transfer.flags = (int)flags;
	r = file_transfer(file, &transfer, function);
	if (r != -EOPNOTSUPP || !(flags & TORC_RW_DONTCACHE))
		return r;
	transfer.flags &= ~TORC_RW_DONTCACHE; /* a wish, which this file system does not know */
	return file_transfer(file, &transfer, function);
}

static int64_t read_one_by_one(struct torc_file *file, const struct iovec *pieces, int count, uint64_t offset,
                               const char *function)
{
	int64_t got = 0;

	for (int i = 0; i < count; i++) {
		int64_t r = file_read(file, pieces[i].iov_base, pieces[i].iov_len, offset + (uint64_t)got, function);

		if (r < 0)
			return got > 0 ? got : r;
		got += r;
		if ((size_t)r < pieces[i].iov_len)
			break;
	}
	return got;
}

/* What the tools don't see. */
static void pieces_written(const struct iovec *pieces, size_t len)
{
	for (; len > 0; pieces++) { /* ends: no more was read than they hold */
		size_t n = pieces->iov_len < len ? pieces->iov_len : len;

		sanitize_written(pieces->iov_base, n);
		len -= n;
	}
}

int64_t torc_file_readv_at(struct torc_file *file, const struct iovec *pieces, int count, uint64_t offset,
                           unsigned flags)
{
	int64_t r = sum_up(pieces, count, offset);

	if (r < 0 || (flags & ~RW_ALL))
		return -EINVAL;
	if (r == 0)
		return file_refused(file, __func__);
	if (!pieces_aligned(file, pieces, count, offset))
		return read_one_by_one(file, pieces, count, offset, __func__);
	r = transfer_pieces(file, SOURCE_READ, pieces, count, offset, flags, __func__);
	if (r > 0)
		pieces_written(pieces, (size_t)r);
	return r;
}

/* What is left after `put` bytes have been written, piece by piece. */
static int64_t write_rest(struct torc_file *file, const struct iovec *pieces, int count, size_t put, uint64_t offset,
                          unsigned flags, const char *function)
{
	for (int i = 0; i < count; i++) {
		struct iovec rest = pieces[i];
		size_t n = put < rest.iov_len ? put : rest.iov_len;

		put -= n;
		rest.iov_base = (char *)rest.iov_base + n;
		rest.iov_len -= n;
		offset += n;
		while (rest.iov_len > 0) { /* ends: each round writes something or fails */
			int r = transfer_pieces(file, SOURCE_WRITE, &rest, 1, offset, flags, function);

			if (r <= 0)
				return r < 0 ? r : -EIO;
			rest.iov_base = (char *)rest.iov_base + r;
			rest.iov_len -= (size_t)r;
			offset += (size_t)r;
		}
	}
	return 0;
}

int64_t torc_file_writev_at(struct torc_file *file, const struct iovec *pieces, int count, uint64_t offset,
                            unsigned flags)
{
	int64_t sum = sum_up(pieces, count, offset), r;

	if (sum < 0 || (flags & ~RW_ALL) || !pieces_aligned(file, pieces, count, offset))
		return -EINVAL;
	if (sum == 0)
		return file_refused(file, __func__);
	r = transfer_pieces(file, SOURCE_WRITE, pieces, count, offset, flags, __func__);
	if (r >= 0 && r < sum)
		r = write_rest(file, pieces, count, (size_t)r, offset, flags, __func__);
	return r < 0 ? r : sum;
}

/* --- about the file -------------------------------------------------------------------------- */

static int64_t in_ns(struct statx_timestamp stamp)
{
	return stamp.tv_sec * INT64_C(1000000000) + stamp.tv_nsec;
}

void file_describe(struct torc_file_info *info, const struct statx *found)
{
	struct statx_alignment alignment = sys_statx_alignment(found);

	*info = (struct torc_file_info){
		.size = (int64_t)found->stx_size,
		.blocks = found->stx_blocks,
		.block_size = found->stx_blksize,
		.mode = found->stx_mode,
		.links = found->stx_nlink,
		.uid = found->stx_uid,
		.gid = found->stx_gid,
		.direct_align = alignment.known ? alignment.offset : 0,
		.memory_align = alignment.known ? alignment.memory : 0,
		.atomic_least = alignment.atomic_least,
		.atomic_most = alignment.atomic_most,
		.inode = found->stx_ino,
		.device = block_number(found->stx_dev_major, found->stx_dev_minor),
		.this_device = block_number(found->stx_rdev_major, found->stx_rdev_minor),
		.accessed = in_ns(found->stx_atime),
		.modified = in_ns(found->stx_mtime),
		.changed = in_ns(found->stx_ctime),
		.created = found->stx_mask & STATX_BTIME ? in_ns(found->stx_btime) : 0,
	};
}

static int stat_file(struct torc_file *file, struct statx *found, const char *function)
{
	struct io_uring_sqe *sqe;
	struct op op;
	int r;

	do { /* ends as file_transfer does */
		r = op_begin(&op, &file->async, SOURCE_FILE, &sqe, function);
		if (r < 0)
			return r;
		uring_prepare(sqe, IORING_OP_STATX, op_fd(&op), "", FILE_STATX_MASK);
		sqe->off = (uintptr_t)found;
		sqe->statx_flags = AT_EMPTY_PATH;
		r = op_finish(&op, sqe);
	} while (op_interrupted(r));
	if (r == 0)
		sanitize_written(found, sizeof *found);
	return r;
}

int torc_file_stat(struct torc_file *file, struct torc_file_info *info)
{
	struct statx found;
	int r = stat_file(file, &found, __func__);

	if (r == 0)
		file_describe(info, &found);
	return r;
}

int64_t torc_file_size(struct torc_file *file)
{
	struct statx found;
	int r = stat_file(file, &found, __func__);

	if (r < 0)
		return r;
	if (S_ISBLK(found.stx_mode))
		return sys_device_size(async_fd(&file->async));
	return (int64_t)found.stx_size;
}

int file_sync(struct torc_async *async, unsigned flags, const char *function)
{
	struct io_uring_sqe *sqe;
	struct op op;
	int r;

	do { /* ends as file_transfer does */
		r = op_begin(&op, async, SOURCE_FILE, &sqe, function);
		if (r < 0)
			return r;
		uring_prepare(sqe, IORING_OP_FSYNC, op_fd(&op), NULL, 0);
		sqe->fsync_flags = flags;
		r = op_finish(&op, sqe);
	} while (op_again(r));
	return r;
}

int torc_file_sync(struct torc_file *file)
{
	return file_sync(&file->async, 0, __func__);
}

int torc_file_datasync(struct torc_file *file)
{
	return file_sync(&file->async, IORING_FSYNC_DATASYNC, __func__);
}

int torc_file_fd(const struct torc_file *file)
{
	return torc_async_fd(&file->async);
}

int torc_file_io_get(struct torc_file_io *io, const struct torc_file *file)
{
	struct torc_file_io all = { .size = io->size,
		                    .reads = file->requests_[0],
		                    .writes = file->requests_[1],
		                    .read_bytes = file->bytes_[0],
		                    .written_bytes = file->bytes_[1] };

	if (io->size < sizeof io->size)
		return -EINVAL;
	if (async_empty(&file->async))
		return -EBADF;
	memcpy(io, &all, io->size < sizeof all ? io->size : sizeof all);
	return 0;
}

bool torc_file_is_direct(const struct torc_file *file)
{
	return file->offset_mask_ > 0;
}

size_t torc_file_align(const struct torc_file *file)
{
	return (size_t)file->offset_mask_ + 1;
}

/* --- opening and closing --------------------------------------------------------------------- */

/* Does the device take reads of this alignment? Nobody knows where the file is empty: no. */
static bool takes(struct torc_file *file, void *memory, uint32_t align, const char *function)
{
	return move(file, SOURCE_READ, memory, align, 0, function) > 0;
}

/* Where statx does not tell. */
static void try_alignments(struct torc_file *file, uint32_t block_size, const char *function)
{
	uint32_t align = TRIAL;
	struct torc_buffer block;

	if (torc_buffer_open(&block, TRIAL) == 0) {
		if (takes(file, block.data, 512, function))
			align = 512;
		else if (!takes(file, block.data, TRIAL, function) && block_size > TRIAL &&
		         !(block_size & (block_size - 1)))
			align = block_size;
		torc_buffer_close(&block);
	}
	file->offset_mask_ = align - 1;
	file->memory_mask_ = (align < TRIAL ? align : TRIAL) - 1; /* more than a page no device wants */
}

static int is_fuse(void *file)
{
	return sys_is_fuse(async_fd(&((struct torc_file *)file)->async));
}

/* Direct I/O was asked for: switched on here rather than by open(2), which may have made the file when it refuses. */
static void go_direct(struct torc_file *file, const struct statx *found, const char *function)
{
	struct statx_alignment alignment = sys_statx_alignment(found);

	if (alignment.known && alignment.offset == 0)
		return; /* the file system says that this file can't */
	if (sys_status_flags(async_fd(&file->async), O_DIRECT, 0) < 0)
		return;
	if (!alignment.known) {
		/* Linux 6.18 takes FUSE for something that is ready at once, and waits for its server within the
		 * submission, as for each write that extends the file. */
		if (offload(&file->async, NULL, is_fuse, file, function) > 0)
			file->async.flags_ |= ASYNC_BLOCKS;
		try_alignments(file, found->stx_blksize, function);
		return;
	}
	file->offset_mask_ = alignment.offset - 1;
	file->memory_mask_ = alignment.memory > 0 ? alignment.memory - 1 : 0;
}

/* A descriptor becomes a file; it is still the caller's if that fails. */
static int adopt(struct torc_file *out, int fd, bool direct, const char *function)
{
	struct torc_file file = { 0 };
	struct statx found;
	int r = sys_statx_now(fd, &found);

	if (r < 0)
		return r;
	if (S_ISDIR(found.stx_mode))
		return -EISDIR;
	async_set(&file.async, fd, 0);
	file.device_ = S_ISBLK(found.stx_mode) ? block_number(found.stx_rdev_major, found.stx_rdev_minor)
	                                       : block_number(found.stx_dev_major, found.stx_dev_minor);
	if (direct)
		go_direct(&file, &found, function);
	*out = file;
	return 0;
}

static int open_flags(const struct torc_file_options *options)
{
	int flags = (options->flags & ~O_DIRECT) | O_CLOEXEC;

	flags |= options->dsync ? O_DSYNC : 0;
	flags |= options->create_new ? O_CREAT | O_EXCL : 0;
	flags |= options->temporary ? O_TMPFILE : 0;
	return flags;
}

static int open_fd(const char *path, const struct torc_file_options *options, const char *function)
{
	int flags = open_flags(options);
	struct io_uring_sqe *sqe;
	struct op op;
	int r;

	do { /* ends as file_transfer does */
		r = at_begin(&op, options->at, SOURCE_OPEN, &sqe, function);
		if (r < 0)
			return r;
		uring_prepare(sqe, IORING_OP_OPENAT, at_fd(options->at), path, 0);
		if (flags & (O_CREAT | O_TMPFILE))
			sqe->len = options->mode ? options->mode : 0666;
		sqe->open_flags = (unsigned)flags;
		r = at_finish(&op, options->at, sqe);
	} while (op_interrupted(r));
	return r;
}

int torc_file_open(struct torc_file *file, const char *path, const struct torc_file_options *options)
{
	struct torc_file_options whole;
	int fd, r;

	options = OPTIONS(options, whole);
	fd = open_fd(path, options, __func__);
	if (fd < 0)
		return fd;
	if (options->flags & O_NONBLOCK) /* it was for the open; reads and writes wait */
		sys_status_flags(fd, 0, O_NONBLOCK);
	r = adopt(file, fd, options->direct || (options->flags & O_DIRECT), __func__);
	if (r < 0)
		op_close_fd(fd);
	return r;
}

int torc_file_wrap(struct torc_file *file, int fd)
{
	int flags;

	executor_in_fiber(__func__);
	flags = sys_status_flags(fd, 0, O_NONBLOCK);
	return flags < 0 ? flags : adopt(file, fd, flags & O_DIRECT, __func__);
}

int torc_file_close(struct torc_file *file)
{
	int r = torc_async_close(&file->async);

	*file = (struct torc_file){ 0 };
	return r;
}
