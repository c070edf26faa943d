/* immutable.h - immutable files: written once from one end to the other, then sealed, and from then on only read. For what
 * is made once and read often: a table's segments, an index, a cache's objects.
 *
 * As the bytes never change, fibers that want the same ones at the same time can share one read of the device, and one
 * copy of them in memory. Nothing is kept after the last of them is through with it: this is no cache.
 *
 * Handles are small values: zeroed they are empty; copying one moves it; it must not be moved while a call on it is
 * parked. They belong to the core that opened them; any number of its fibers may read one file at once.
 *
 * Every call that parks also returns -EBADF (the handle is empty or was closed meanwhile), -ECANCELED and -ETIME
 * (scope.h). */
#ifndef TORC_IMMUTABLE_H
#define TORC_IMMUTABLE_H

#include <torc/buffer.h>
#include <torc/file.h>

TORC_BEGIN

struct torc_immutable {
	void *file_;
	void *reserved_;
};

/* One that is being written. */
struct torc_immutable_sink {
	void *sink_;
	void *reserved_;
};

struct torc_immutable_options {
	size_t size;
	unsigned mode; /* permissions of a new file, less the umask; default 0444: nobody else opens it for writing */
	bool buffered; /* through the kernel's cache; default: direct, where the file system can                    */
	size_t buffer_size; /* for writing, as in file_writer.h                                                          */
	int write_behind; /* the same                                                                                  */
	struct torc_dir
		*at; /* what a relative path begins at (dir.h); default: the working directory                    */
};

/* Make a file to be filled. -EEXIST if there is something at `path`; else as torc_file_open. */
TORC_API int torc_immutable_create(struct torc_immutable_sink *sink, const char *path,
                                   const struct torc_immutable_options *options) TORC_PARKS TORC_MUST;

/* Append `len` bytes, as torc_file_writer_write does. */
TORC_API int torc_immutable_write(struct torc_immutable_sink *sink, const void *buf, size_t len) TORC_PARKS TORC_MUST;

/* No more is written: bring all of it to the device (fdatasync(2)) and make the sink a file to be read. Its name is on the
 * device after torc_dir_sync of the directory. Returns 0, the sink empty then; or the first error of all writes and of the
 * sync, the sink good for torc_immutable_abandon only. */
TORC_API int torc_immutable_seal(struct torc_immutable_sink *sink, struct torc_immutable *file) TORC_PARKS TORC_MUST;

/* Give a file up that was not sealed. What was written of it stays where it is, unfinished: unlink it. Harmless on an empty
 * sink, so after a seal too; is never cancelled. Returns 0. */
TORC_API int torc_immutable_abandon(struct torc_immutable_sink *sink) TORC_PARKS;

/* Open a file that is finished: nobody may write to it any more. As torc_file_open. */
TORC_API int torc_immutable_open(struct torc_immutable *file, const char *path,
                                 const struct torc_immutable_options *options) TORC_PARKS TORC_MUST;

/* Its size in bytes; 0 for an empty handle. */
TORC_API uint64_t torc_immutable_size(const struct torc_immutable *file) TORC_LOCAL;

/* Read `len` bytes at `offset`, fewer only at the end, without a copy: *bytes becomes a handle for memory that others may
 * read too, so nobody may write to it; it is the caller's to close, also after the file. Returns the count; 0 at or beyond
 * the end (or for len 0), *bytes empty then; -EIO ...; -ENOMEM; -ENODATA: somebody has cut the file off.
 * While a read is under way that begins in the same block and reaches as far, the call waits for that instead of asking
 * the device once more. Whoever is cancelled leaves the others their read; it is cancelled when all who wait are. */
TORC_API int64_t torc_immutable_read(struct torc_immutable *file, struct torc_buffer *bytes, size_t len,
                                     uint64_t offset) TORC_PARKS TORC_MUST;

/* The same, copied into the caller's memory. */
TORC_API int64_t torc_immutable_read_at(struct torc_immutable *file, void *buf, size_t len,
                                        uint64_t offset) TORC_PARKS TORC_MUST;

struct torc_immutable_stats {
	size_t size;           /* set it to sizeof this struct before the call    */
	uint64_t reads;        /* calls of read and read_at that wanted some bytes */
	uint64_t device_reads; /* requests made for them                          */
	uint64_t shared;       /* calls that waited for another's request         */
};

/* What was done so far. Returns 0; -EBADF; -EINVAL if the size is none. */
TORC_API int torc_immutable_stats_get(const struct torc_immutable *file, struct torc_immutable_stats *stats) TORC_LOCAL;

/* Close. Fibers parked in a read are woken with -EBADF and waited for, as are the reads under way; memory that was handed
 * out stays good. Harmless on an empty handle; is never cancelled. Returns 0 or the error of close(2). */
TORC_API int torc_immutable_close(struct torc_immutable *file) TORC_PARKS;

TORC_END
#endif
