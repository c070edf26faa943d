/* file_writer.h - a file written from one end to the other, behind the back of who fills it: full buffers are on their way
 * to the file while the next one is filled. For buffered files and for direct ones, where it does the aligning: the file
 * gets exactly the bytes that were written, whatever their number.
 *
 * A writer is a small value: zeroed it is empty; copying one moves it; it must not be moved while a call on it is parked.
 * It belongs to the core that opened it, and one fiber uses it at a time. The file is lent: it must neither move nor go
 * before the writer is closed.
 *
 * What was written may fail later: the first error (-ENOSPC, -EDQUOT, -EIO, -EFBIG ...) is returned by the next call of
 * write, flush or sync and by every one after it, and by close. torc_file_writer_flushed tells how far the file is good.
 *
 * Every call that parks also returns -EBADF (the writer is empty, it or its file was closed meanwhile), -ECANCELED and
 * -ETIME (scope.h). */
#ifndef TORC_FILE_WRITER_H
#define TORC_FILE_WRITER_H

#include <torc/file.h>

TORC_BEGIN

struct torc_file_writer {
	void *writer_;
	void *reserved_;
};

struct torc_file_writer_options {
	size_t size;
	uint64_t start; /* where the first byte goes, any; default 0. What the file has before, and beyond the last byte
	                       that is written, stays                                                     */
	size_t buffer_size; /* bytes that one request writes, 1 to 1 GiB; on a direct file a multiple of its alignment,
	                       and of 4,096 where several writers write parts of it at once; default 128 KiB, or
	                       one block if that is larger                                                */
	int write_behind; /* how many buffers may be on their way while another is filled, at most 1,024; default 4; < 0:
	                       none, so that a full buffer is waited for before the next byte is taken    */
};

/* Prepare to write `file`. The writer must be empty or uninitialised. Returns 0; -EINVAL for an option out of range, and for
 * a file that was opened with O_APPEND, which has no places; -ENOMEM; -EBADF for an empty file. Takes no descriptor. */
TORC_API int torc_file_writer_open(struct torc_file_writer *writer, struct torc_file *file,
                                   const struct torc_file_writer_options *options) TORC_LOCAL TORC_MUST;

/* Take `len` bytes; they are copied, and `buf` is the caller's again. Parks while all buffers are on their way. Returns
 * `len`, or an error, an earlier one perhaps; how much was taken is what the position tells then. -EINVAL if len exceeds
 * INT_MAX. */
TORC_API int torc_file_writer_write(struct torc_file_writer *writer, const void *buf, size_t len) TORC_PARKS TORC_MUST;

/* The same without a copy: *data points at room for as many bytes as the call returns, at least one; put them there and
 * say with commit how many they are, at most that. The room is good until the next call on the writer. */
TORC_API int torc_file_writer_reserve(struct torc_file_writer *writer, void **data) TORC_PARKS TORC_MUST;
TORC_API int torc_file_writer_commit(struct torc_file_writer *writer, size_t len) TORC_PARKS TORC_MUST;

/* Bring all that was taken into the file, and wait until it is there: who reads the file sees it. Returns 0 or an error.
 * The unaligned tail of a direct file goes through the page cache. */
TORC_API int torc_file_writer_flush(struct torc_file_writer *writer) TORC_PARKS TORC_MUST;

/* Flush, and have the device keep it (fdatasync(2)): what was written before survives a crash. Returns 0 or an error. */
TORC_API int torc_file_writer_sync(struct torc_file_writer *writer) TORC_PARKS TORC_MUST;

/* Where the next byte goes; 0 for an empty writer. */
TORC_API uint64_t torc_file_writer_position(const struct torc_file_writer *writer) TORC_ANYWHERE;

/* All that was taken before this byte is in the file. Never beyond the position; after an error, never beyond that. */
TORC_API uint64_t torc_file_writer_flushed(const struct torc_file_writer *writer) TORC_LOCAL;

/* Flush and end it: the file, which stays open, has exactly what was written. It does not sync. Returns 0, or the first
 * error of all writes, of which it is the last chance to hear. Is never cancelled; parks for as long as the writes take. A
 * fiber parked in the writer is woken with -EBADF. Harmless on an empty writer, so a second time too. */
TORC_API int torc_file_writer_close(struct torc_file_writer *writer) TORC_PARKS;

/* End it without a flush: what is on its way is cancelled and waited for. Which of the bytes beyond
 * torc_file_writer_flushed are in the file is undefined. Harmless on an empty writer. Returns 0. */
TORC_API int torc_file_writer_abandon(struct torc_file_writer *writer) TORC_PARKS;

TORC_END
#endif
