/* file - reads and writes of a file. All data, in and out, passes file_begin and file_finish: there is the place for what
 * concerns each of them: which fixed buffer, whose turn at the device, which ring. Relies on device and buffer. */
#ifndef TORC_SRC_FILE_H
#define TORC_SRC_FILE_H

#include "io/buffer.h"
#include "io/device.h"
#include "io/op.h"
#include "machine/sys.h"

#include <torc/file.h>

#include <sys/stat.h>

enum { FILE_TRANSFER_MOST = 0x7ffff000 }; /* of one request: the kernel's MAX_RW_COUNT */

/* One read or write. */
struct transfer {
	enum source_type type; /* SOURCE_READ, SOURCE_WRITE */
	int flags;             /* RWF_* */
	const void *what;      /* memory, or pieces */
	unsigned len;          /* of it; how many pieces there are */
	bool vector;
	uint64_t offset;
};

/* Whose turns its reads and writes wait for; 0: nobody's. What goes through the kernel's cache uses a device when the
 * kernel sees fit: only direct I/O can be shared out. */
static inline uint64_t file_device(const struct torc_file *file)
{
	return file->offset_mask_ ? file->device_ : 0;
}

static inline void file_count(struct torc_file *file, bool write, size_t len)
{
	file->requests_[write]++;
	file->bytes_[write] += len;
}

/* As device_begin; the request is filled in. Nothing that can fail may stand between this and file_finish. */
int file_begin(struct device_io *io, struct torc_file *file, const struct transfer *transfer, struct io_uring_sqe **sqe,
               const char *function);
int file_finish(struct device_io *io, const struct transfer *transfer, struct io_uring_sqe *sqe);

/* What torc_file_info has of what statx found, when asked for FILE_STATX_MASK. */
#define FILE_STATX_MASK (STATX_BASIC_STATS | STATX_BTIME | SYS_STATX_DIOALIGN | SYS_STATX_WRITE_ATOMIC)
void file_describe(struct torc_file_info *info, const struct statx *found);

/* So much at a time, or a block where that is larger; `usual` is a power of two, as blocks are. */
static inline size_t file_piece(const struct torc_file *file, size_t usual)
{
	return usual > file->offset_mask_ ? usual : (size_t)file->offset_mask_ + 1;
}

/* As torc_file_read_at, torc_file_write_at. */
int64_t file_read(struct torc_file *file, void *buf, size_t len, uint64_t offset, const char *function);
int64_t file_write(struct torc_file *file, const void *buf, size_t len, uint64_t offset, const char *function);

/* Both: the count, or -errno. */
int file_transfer(struct torc_file *file, const struct transfer *transfer, const char *function);

/* As torc_file_sync, of whatever handle; `flags`: IORING_FSYNC_DATASYNC. */
int file_sync(struct torc_async *async, unsigned flags, const char *function);

/* Why no operation may begin, for those that have nothing to do; 0: it may. */
int file_refused(const struct torc_file *file, const char *function);

/* Would the device take it as it is? */
static inline bool file_aligned(const struct torc_file *file, const void *memory, size_t len, uint64_t offset)
{
	return !(((uintptr_t)memory & file->memory_mask_) | ((len | offset) & file->offset_mask_));
}

#endif
