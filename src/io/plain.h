/* plain - bytes to and from a descriptor that is no socket: a pipe, a terminal, a regular file at its own position, a
 * device. Its status flags are left alone, since others may share the open file: where somebody has set O_NONBLOCK the
 * kernel says -EAGAIN, and a poll waits. Relies on async. */
#ifndef TORC_SRC_PLAIN_H
#define TORC_SRC_PLAIN_H

#include "io/async.h"

#include <torc/stream.h>

/* Flags of a handle for a descriptor of this kind (S_IFMT of its mode). */
uint32_t plain_kind(int fd, unsigned kind);

/* What there is, as torc_stream_read says. */
int plain_read(struct torc_stream *stream, void *buf, size_t len, const char *function);

/* Some of it, at least one byte. The request as for a socket: IORING_OP_SEND of `len` bytes at `what`, or
 * IORING_OP_SENDMSG of a msghdr. */
int plain_write(struct torc_stream *stream, unsigned opcode, const void *what, unsigned len, const char *function);

#endif
