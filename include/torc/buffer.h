/* buffer.h - memory for direct I/O: aligned, and known to the ring, so that the kernel need not look up and pin its
 * pages for each read and write. Such reads and writes (io_uring's fixed ones) happen by themselves whenever memory that is
 * passed to a call of file.h lies in a buffer; any other memory is accepted as well.
 *
 * Buffers come from an arena of the core, which grows by chunks of 1 to 32 MiB. What the kernel does not let it register,
 * for want of RLIMIT_MEMLOCK say, works unregistered: torc_stats tells how much is (run.h: buffer_bytes,
 * buffer_registered).
 *
 * A handle is a small value: zeroed it is empty; copying it moves it. It belongs to the core that opened it. */
#ifndef TORC_BUFFER_H
#define TORC_BUFFER_H

#include <torc/base.h>

TORC_BEGIN

struct torc_buffer {
	void *data;
	size_t size;   /* as asked for; what lies behind, up to the next page, is nobody's */
	void *origin_; /* where the memory begins that the handle holds, or that a slice is of */
	uint32_t borrowed_;
	uint32_t reserved_;
};

struct torc_buffer_options {
	size_t size;  /* TORC_OPTIONS fills it in                                                      */
	size_t align; /* of the memory: a power of two, at most 1 MiB; default, and at least, 4,096    */
};

/* Take `size` bytes, contents undefined. torc_buffer_open(&buffer, size) is the usual form. Makes no system call but
 * when the arena grows. Returns 0; -EINVAL: size is 0, or an option is out of range; -ENOMEM. */
#define torc_buffer_open(buffer, size) torc_buffer_open_with((buffer), (size), 0)
TORC_API int torc_buffer_open_with(struct torc_buffer *buffer, size_t size,
                                   const struct torc_buffer_options *options) TORC_LOCAL TORC_MUST;

/* `len` bytes of a buffer from byte `from` on, as a handle that borrows: closing it is allowed and does nothing; it is good
 * as long as somebody holds the memory. Reaching beyond the buffer is misuse. */
TORC_API struct torc_buffer torc_buffer_slice(const struct torc_buffer *buffer, size_t from, size_t len) TORC_ANYWHERE;

/* A second handle for the same bytes, of a buffer or a slice, to be closed like the first and in any order: the memory is
 * free again when the last is closed. Nobody should write to what is shared. Sharing an empty handle is misuse. */
TORC_API struct torc_buffer torc_buffer_share(const struct torc_buffer *buffer) TORC_LOCAL;

/* Give the memory back. Harmless on an empty handle, which it leaves. No call may be using the memory, and it must be the
 * core that opened it. What is still open when torc_run ends is freed then, and a line on stderr says so. */
TORC_API void torc_buffer_close(struct torc_buffer *buffer) TORC_LOCAL;

TORC_END
#endif
