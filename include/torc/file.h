/* file.h - files: positioned reads and writes, direct (O_DIRECT) or through the kernel's cache; several fibers may use one
 * handle at once.
 *
 * Handles are small values: zeroed they are empty; copying one moves it; it must not be moved while a call on it is
 * parked. A file has no tie to a core between calls.
 *
 * Every parking call here also returns -EBADF (the handle is empty, was closed under the caller, or was not opened for
 * this), -ECANCELED and -ETIME (scope.h). A call that is cancelled while the device works waits until it is done with the
 * memory, and then says what came of it if it was done in time. */
#ifndef TORC_FILE_H
#define TORC_FILE_H

#include <torc/async.h>
#include <torc/buffer.h>
#include <torc/time.h>
#include <sys/uio.h>

TORC_BEGIN

struct torc_dir;

struct torc_file {
	struct torc_async async;
	uint32_t offset_mask_, memory_mask_; /* bits that must be 0 for direct I/O; 0: any are good */
	uint64_t device_;
	uint64_t requests_[2], bytes_[2]; /* of reads, of writes */
	uint32_t buffered_;               /* writes under way with O_DIRECT off (file_writer.h) */
	uint32_t reserved0_;
	void *reserved_;
};

struct torc_file_options {
	size_t size;         /* TORC_OPTIONS fills it in                                                          */
	int flags;           /* of open(2): O_RDONLY, the default, O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND ...;
	                        O_CLOEXEC is always set                                                           */
	unsigned mode;       /* permissions of a new file, less the umask; default 0666                           */
	bool direct;         /* past the kernel's cache, where the file system can (torc_file_is_direct)           */
	bool dsync;          /* each write is on the device when it returns (O_DSYNC)                             */
	bool create_new;     /* make the file; -EEXIST if there is something (O_CREAT | O_EXCL)                   */
	bool temporary;      /* `path` is a directory: a file without a name in it, gone with its last handle,
	                        unless torc_file_link gives it one (O_TMPFILE); to be opened for writing           */
	struct torc_dir *at; /* what a relative path begins at (dir.h); default: the working directory             */
};

/* Open a file. Returns 0; -ENOENT, -EACCES, -EISDIR, -EEXIST, -EMFILE ... as open(2) does, and -EISDIR for a directory
 * however it is opened: that is torc_dir_open's. */
TORC_API int torc_file_open(struct torc_file *file, const char *path,
                            const struct torc_file_options *options) TORC_PARKS TORC_MUST;

/* Make a file of a descriptor that something else opened: a regular file or a block device, perhaps with O_DIRECT. The file
 * owns fd afterwards. Returns 0; -EBADF, -EISDIR; fd stays the caller's then. */
TORC_API int torc_file_wrap(struct torc_file *file, int fd) TORC_PARKS TORC_MUST;

/* The descriptor, still owned by the file; -EBADF for an empty handle. */
TORC_API int torc_file_fd(const struct torc_file *file) TORC_ANYWHERE;

/* What reads and writes asked of a file through this handle, those of streams and bulk reads on it included. */
struct torc_file_io {
	size_t size;            /* set it to sizeof this struct before the call */
	uint64_t reads, writes; /* requests                                     */
	uint64_t read_bytes, written_bytes;
};

/* Fill in as much of *io as its size says and this version knows. Returns 0; -EINVAL if the size is none; -EBADF for an
 * empty handle. */
TORC_API int torc_file_io_get(struct torc_file_io *io, const struct torc_file *file) TORC_LOCAL;

/* Was .direct granted? Otherwise reads and writes go through the kernel's cache, as on a file system that knows nothing
 * else. */
TORC_API bool torc_file_is_direct(const struct torc_file *file) TORC_ANYWHERE;

/* What offsets and lengths of direct I/O have to be multiples of; 1 where any will do. */
TORC_API size_t torc_file_align(const struct torc_file *file) TORC_ANYWHERE;

/* Read what there is, at most `len` bytes from `offset` on. Returns the count; 0 at or after the end (or for len 0);
 * -EIO, -EISDIR ... (pread(2)). On a direct file a request that is not aligned goes through a buffer of torc's and returns
 * the same bytes, a little slower. At most 2,147,479,552 bytes a call, the kernel's limit. */
TORC_API int64_t torc_file_read_at(struct torc_file *file, void *buf, size_t len, uint64_t offset) TORC_PARKS TORC_MUST;

/* Read exactly `len` bytes, however many. Returns len; 0 at or after the end; -ENODATA: the file ends in between. */
TORC_API int64_t torc_file_read_exact_at(struct torc_file *file, void *buf, size_t len,
                                         uint64_t offset) TORC_PARKS TORC_MUST;

/* Write all `len` bytes, however many, at `offset`, or fail; a gap before it reads as zeros. Returns len; -ENOSPC, -EDQUOT,
 * -EIO, -EFBIG (beyond RLIMIT_FSIZE or what the file system can have; no SIGXFSZ ends the process) ... (pwrite(2)). After a
 * failure some may have been written. On a direct file offset and len must be aligned, -EINVAL otherwise; memory that is not
 * goes through a buffer of torc's. With O_APPEND it goes to the end, whatever the offset. */
TORC_API int64_t torc_file_write_at(struct torc_file *file, const void *buf, size_t len,
                                    uint64_t offset) TORC_PARKS TORC_MUST;

/* Flags of one transfer (RWF_* of preadv2(2)). */
enum torc_rw {
	TORC_RW_DSYNC = 0x02,     /* on the device when the call returns                                       */
	TORC_RW_NOWAIT = 0x08,    /* do not wait for what the cache lacks, or for locks: -EAGAIN instead, the one
	                             call that says so; -EOPNOTSUPP where the file system can't (tmpfs)      */
	TORC_RW_APPEND = 0x10,    /* at the end, whatever the offset                                            */
	TORC_RW_ATOMIC = 0x40,    /* all or nothing, should the power fail: one piece, direct, of a size that
	                             torc_file_stat tells; else -EINVAL or -EOPNOTSUPP (Linux 6.11)             */
	TORC_RW_DONTCACHE = 0x80, /* through the cache, but do not leave it there; where the kernel can't it is
	                             as without (Linux 6.14)                                                    */
};

/* readv: what there is into `count` pieces, in order. writev: all of them, or fail. write_some: what there is room for. The
 * array is lent, and not changed. `flags`: torc_rw. Return the count of bytes; -EINVAL if count is negative or exceeds IOV_MAX
 * (1024), or the sum 2,147,479,552; otherwise as above. On a direct file pieces that are not aligned are read one by one,
 * without the flags; writing them is -EINVAL. torc_file_write_some_at stops where the device does, short of `len` perhaps, and
 * says how far it got: what to use to know how much of a write went in before -ENOSPC. */
TORC_API int64_t torc_file_readv_at(struct torc_file *file, const struct iovec *pieces, int count, uint64_t offset,
                                    unsigned flags) TORC_PARKS TORC_MUST;
TORC_API int64_t torc_file_writev_at(struct torc_file *file, const struct iovec *pieces, int count, uint64_t offset,
                                     unsigned flags) TORC_PARKS TORC_MUST;
TORC_API int64_t torc_file_write_some_at(struct torc_file *file, const void *buf, size_t len,
                                         uint64_t offset) TORC_PARKS TORC_MUST;

/* How large it is, in bytes; of a block device as well. */
TORC_API int64_t torc_file_size(struct torc_file *file) TORC_PARKS TORC_MUST;

struct torc_file_info {
	int64_t size;
	uint64_t blocks;     /* of 512 bytes that it takes                     */
	uint32_t block_size; /* a good size for reads and writes               */
	uint32_t mode;       /* type and permissions: S_ISREG(mode) (inode(7)) */
	uint32_t links, uid, gid;
	uint32_t direct_align;              /* offsets and lengths for direct I/O; 0: unknown, or there is none */
	uint32_t memory_align;              /* and memory */
	uint32_t atomic_least, atomic_most; /* sizes that TORC_RW_ATOMIC takes; 0: none */
	uint32_t reserved0_;
	uint64_t inode;
	uint64_t device;                              /* that it lies on: makedev(3) */
	uint64_t this_device;                         /* that it is, if it is a device */
	int64_t accessed, modified, changed, created; /* nanoseconds since 1970; 0: unknown */
	uint64_t reserved_[8];
};

/* What the file system knows about it (statx(2)). Returns 0. */
TORC_API int torc_file_stat(struct torc_file *file, struct torc_file_info *stat) TORC_PARKS TORC_MUST;

/* Have all that was written, and what is needed to find it again, on the device (fsync(2)); datasync leaves out times and
 * such. Returns 0; -EIO, -ENOSPC, -EDQUOT: something that was written since the last call is lost, and no later call says so
 * again. It is the only call that tells of a device that fails after a write has returned. -EIO, too, if one page was written
 * through the cache and, by a direct file, past it at the same time: which of them holds is undefined. */
TORC_API int torc_file_sync(struct torc_file *file) TORC_PARKS TORC_MUST;
TORC_API int torc_file_datasync(struct torc_file *file) TORC_PARKS TORC_MUST;

/* Start writing a part of what the cache holds to the device, and wait for it (sync_file_range(2)); `len` 0: to the end.
 * It bounds what a later sync has to do; it promises nothing, for sizes and places may not be on the device. */
TORC_API int torc_file_sync_range(struct torc_file *file, uint64_t offset, uint64_t len) TORC_PARKS TORC_MUST;

/* Make it `size` bytes long; what is new reads as zeros (ftruncate(2)). Returns 0; -EFBIG; -EINVAL, also if it was not opened
 * for writing. */
TORC_API int torc_file_truncate(struct torc_file *file, uint64_t size) TORC_PARKS TORC_MUST;

/* Have room on the device from `offset` on, so that writing there does not fail for want of it. `mode` as for fallocate(2):
 * 0 makes the file as large as that, FALLOC_FL_KEEP_SIZE does not, FALLOC_FL_ZERO_RANGE makes it zeros ... Returns 0;
 * -ENOSPC, -EOPNOTSUPP, -EINVAL: len is 0. */
TORC_API int torc_file_allocate(struct torc_file *file, uint64_t offset, uint64_t len, int mode) TORC_PARKS TORC_MUST;

/* Give room back: the range reads as zeros, the size stays. */
TORC_API int torc_file_punch_hole(struct torc_file *file, uint64_t offset, uint64_t len) TORC_PARKS TORC_MUST;

/* Copy `len` bytes from one file to another, or within one, without bringing them here where the kernel can: by sharing
 * blocks, or by copying in itself (copy_file_range(2)); by reading and writing otherwise. Returns how many were copied, fewer
 * where `from` ends; -EINVAL: the ranges overlap, or direct files are not aligned. After a failure some may be copied. */
TORC_API int64_t torc_file_copy(struct torc_file *to, uint64_t to_offset, struct torc_file *from, uint64_t from_offset,
                                uint64_t len) TORC_PARKS TORC_MUST;

/* What to expect of a part of the file, for the cache (posix_fadvise(2)); `len` 0: to the end. */
enum torc_advice {
	TORC_ADVICE_NORMAL = 0,
	TORC_ADVICE_RANDOM = 1,
	TORC_ADVICE_SEQUENTIAL = 2,
	TORC_ADVICE_WILLNEED = 3, /* begins to read it */
	TORC_ADVICE_DONTNEED = 4, /* drops what is on the device already */
	TORC_ADVICE_NOREUSE = 5,
};
TORC_API int torc_file_advise(struct torc_file *file, enum torc_advice advice, uint64_t offset,
                              uint64_t len) TORC_PARKS TORC_MUST;

/* A second handle of the same open file: one that may be handed to another core. Returns 0; -EMFILE. */
TORC_API int torc_file_dup(const struct torc_file *file, struct torc_file *copy) TORC_LOCAL TORC_MUST;

/* Give it a name, another one or, if it was opened as .temporary, the first; `at` as in the options. Returns 0; -EEXIST: it
 * never replaces (torc_file_replace does); -EXDEV: not on that file system; -ENOENT: its last name is gone, or there is no
 * /proc. */
TORC_API int torc_file_link(struct torc_file *file, struct torc_dir *at, const char *path) TORC_PARKS TORC_MUST;

/* Advisory locks: of parts, among all who ask; `len` 0: to the end, however far that moves. They belong to the open file
 * (F_OFD_SETLK, fcntl(2)): handles of one torc_file_open share them, and those of two exclude each other, be it in one
 * process; they end when the last handle is closed. A lock over one that the same file holds replaces it.
 *
 * torc_file_lock waits as long as it takes, by asking again after 1, 2, 4 ... 50 ms: it is not told when a lock ends, and not
 * served in order. torc_file_lock_try: -EBUSY instead. Also -EBADF: a shared lock needs the file open for reading, an
 * exclusive one for writing; -ENOLCK. */
enum torc_lock { TORC_LOCK_SHARED = 1, TORC_LOCK_EXCLUSIVE = 2 };
TORC_API int torc_file_lock(struct torc_file *file, enum torc_lock lock, uint64_t offset,
                            uint64_t len) TORC_PARKS TORC_MUST;
TORC_API int torc_file_lock_try(struct torc_file *file, enum torc_lock lock, uint64_t offset,
                                uint64_t len) TORC_PARKS TORC_MUST;
TORC_API int torc_file_unlock(struct torc_file *file, uint64_t offset, uint64_t len) TORC_PARKS;

/* Close. As torc_async_close: wakes who is parked on it with -EBADF, is never cancelled, empties the handle; harmless on an
 * empty one. Returns 0, or the error of close(2), which network file systems and quotas use to tell of a late failure (-EIO
 * where that is EINTR: it is closed, and something was not done); it does not wait for the device: sync first where that
 * matters. */
TORC_API int torc_file_close(struct torc_file *file) TORC_PARKS;

struct torc_replace_options {
	size_t size;         /* TORC_OPTIONS fills it in                                              */
	unsigned mode;       /* permissions, less the umask; default: of what is replaced, else 0666.
	                        Its owner, set-ID bits, ACL and other attributes are not kept         */
	struct torc_dir *at; /* what a relative path begins at                                        */
};

/* Have a file at `path` with these contents, or the one that was there: whatever happens meanwhile, be it kill -9 or a power
 * failure, whoever looks finds all of the old or all of the new. Written beside under another name, synced, renamed, the
 * directory synced: it is on the device when the call returns. A symbolic link at `path` is itself replaced. A call that is
 * cut off by kill -9 may leave a file .NAME.torc-* behind, in a very small span of time where the file system has O_TMPFILE;
 * nothing else does. Returns 0; whatever the steps return; after a failure the old file is there, except that one of the
 * last step, the sync of the directory, leaves the new; where the file system syncs no directories that is left out. */
TORC_API int torc_file_replace(const char *path, const void *data, size_t len,
                               const struct torc_replace_options *options) TORC_PARKS TORC_MUST;

TORC_END
#endif
