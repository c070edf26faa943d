/* file_reader.h - a file read from one end to the other, ahead of who uses it: the next buffers are filled while the
 * present one is worked on. For buffered files and for direct ones, where it does the aligning.
 *
 * A reader is a small value: zeroed it is empty; copying one moves it; it must not be moved while a call on it is parked.
 * It belongs to the core that opened it, and one fiber uses it at a time. The file is lent: it must neither move nor go
 * before the reader is closed; if it is closed first, the reader's calls return -EBADF.
 *
 * Every call that parks also returns -EBADF (the reader is empty, it or its file was closed meanwhile), -ECANCELED and
 * -ETIME (scope.h). A call that was cancelled has taken nothing; what was being read ahead goes on and is kept. */
#ifndef TORC_FILE_READER_H
#define TORC_FILE_READER_H

#include <torc/file.h>

TORC_BEGIN

struct torc_file_reader {
	void *reader_;
	void *reserved_;
};

struct torc_file_reader_options {
	size_t size;
	uint64_t start;     /* of the range, a byte; default 0                                          */
	uint64_t end;       /* the byte after the range; default 0: the file's end, wherever that is when the
	                       reader gets there                                                          */
	size_t buffer_size; /* bytes that one request reads, 1 to 1 GiB; on a direct file a multiple of its alignment;
	                       default 128 KiB, or one block if that is larger                            */
	int read_ahead;     /* how many buffers are read beyond the one in use, at most 1,024; default 4; < 0: none.
	                       Memory is taken for one more                                               */
};

/* Prepare to read `file`, and start to. The reader must be empty or uninitialised. Returns 0; -EINVAL for an option out
 * of range; -ENOMEM; -EBADF for an empty file. Takes no descriptor. */
TORC_API int torc_file_reader_open(struct torc_file_reader *reader, struct torc_file *file,
                                   const struct torc_file_reader_options *options) TORC_PARKS TORC_MUST;

/* Read the next `len` bytes: fewer only before the end, or before an error, which the next call returns. Returns the
 * count; 0 at the end (or for len 0). Whoever asks again at the end looks again: the file may have grown. An error is
 * told at the byte where it is; who asks again there tries again, and torc_file_reader_skip leads past it.
 * At most INT_MAX bytes. */
TORC_API int torc_file_reader_read(struct torc_file_reader *reader, void *buf, size_t len) TORC_PARKS TORC_MUST;

/* Read exactly `len` bytes, or take none. Returns `len`; 0 at an end before the first byte; -ENODATA at one after it;
 * -EINVAL if len exceeds INT_MAX; else as read. */
TORC_API int torc_file_reader_read_exact(struct torc_file_reader *reader, void *buf, size_t len) TORC_PARKS TORC_MUST;

/* Borrow the next bytes where they are, without a copy: *data points at as many as lie there in one piece, at least one.
 * They stay the reader's, and stay as they are until the next call of read, read_exact, peek or close.
 * torc_file_reader_skip takes them. Returns how many; 0 at the end. */
TORC_API int torc_file_reader_peek(struct torc_file_reader *reader, const void **data) TORC_PARKS TORC_MUST;

/* Go `len` bytes on without reading them; at most to the end of the range. Whole buffers in between are not read, except
 * those that are being read already. Returns 0 (also beyond the file's end, where reads give 0); -EBADF. */
TORC_API int torc_file_reader_skip(struct torc_file_reader *reader, uint64_t len) TORC_LOCAL;

/* The byte of the file that comes next; 0 for an empty reader. */
TORC_API uint64_t torc_file_reader_position(const struct torc_file_reader *reader) TORC_ANYWHERE;

/* How many bytes are there already: so many can be read without parking. */
TORC_API size_t torc_file_reader_buffered(const struct torc_file_reader *reader) TORC_LOCAL;

/* End it: what is under way is cancelled and waited for, so the call may park for as long as a read takes; a fiber parked
 * in the reader is woken with -EBADF. The file stays open. Harmless on an empty reader; is never cancelled. Returns 0. */
TORC_API int torc_file_reader_close(struct torc_file_reader *reader) TORC_PARKS;

TORC_END
#endif
