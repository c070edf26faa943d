/* stream.h - listeners and byte streams.
 *
 * Handles are small values: zeroed they are empty; copying one moves it; it must not be moved while a call on it is
 * parked. One fiber may read a stream while another writes it. A stream has no tie to a core between calls: one that
 * was accepted on one core can be served on another. A listener stays on the core that first accepted from it.
 *
 * Every parking call here also returns -EBADF (the handle is empty or was closed under the caller), -ECANCELED and
 * -ETIME (scope.h). When a call returns, the kernel is done with the memory that was lent to it. No call raises
 * SIGPIPE. */
#ifndef TORC_STREAM_H
#define TORC_STREAM_H

#include <torc/addr.h>
#include <torc/async.h>
#include <sys/uio.h>

TORC_BEGIN

struct torc_listener {
	struct torc_async async;
	void *acceptor_;
	void *reserved_;
};

struct torc_stream {
	struct torc_async async;
	size_t file_; /* of one with a position: which it is */
	void *reserved_;
};

/* A listener of a stream socket that something else has bound: a supervisor that passes sockets on (sd_listen_fds(3)), or
 * this program, of any family. It takes the descriptor over, takes O_NONBLOCK off, and listens with a backlog of 1024 and
 * 64 connections ahead (tcp.h), whatever they were (listen(2)).
 * Returns 0; -EBADF, -ENOTSOCK; -EOPNOTSUPP, -EINVAL for a socket that is of another kind or connected; -ENOMEM. The
 * descriptor is the caller's still after an error. */
TORC_API int torc_listener_wrap(struct torc_listener *listener, int fd) TORC_ANYWHERE TORC_MUST;

/* Wait for a connection and take it; at once if one is there. Callers are served first come, first served.
 * Underneath the kernel accepts ahead where it can (multishot accept): connections that nobody has taken yet are
 * bounded by the listener's .ahead plus its backlog, and closed with the listener.
 * Returns 0; -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS when there is no descriptor or memory to be had: the listener lives
 * on, and calls that follow wait a little (10 ms) before they try again, so that a loop around accept does not spin.
 * Connections that were aborted before they could be taken are passed over. */
TORC_API int torc_listener_accept(struct torc_listener *listener, struct torc_stream *peer) TORC_PARKS TORC_MUST;

/* The address that it listens on: how to learn the port after asking for port 0 (getsockname(2)). Returns 0; -EBADF. */
TORC_API int torc_listener_addr(const struct torc_listener *listener, struct torc_addr *addr) TORC_ANYWHERE;

/* Stop listening. Fibers parked in accept are woken with -EBADF; connections not yet taken are closed. Harmless on an
 * empty handle; never cancelled. */
TORC_API int torc_listener_close(struct torc_listener *listener) TORC_PARKS;

/* Read what there is, at most `len` bytes, at least 1. Returns the count; 0 at the end (or for len 0); -ECONNRESET
 * after the peer's reset. */
TORC_API int torc_stream_read(struct torc_stream *stream, void *buf, size_t len) TORC_PARKS TORC_MUST;

/* Read exactly `len` bytes. Returns 0 at an end before the first byte; -ENODATA at one after it; else as read.
 * After -ECANCELED or -ETIME the bytes read so far are lost. -EINVAL if len exceeds INT_MAX. */
TORC_API int torc_stream_read_exact(struct torc_stream *stream, void *buf, size_t len) TORC_PARKS TORC_MUST;

/* As read, but what was read is still there for the next call (MSG_PEEK, recv(2)). */
TORC_API int torc_stream_peek(struct torc_stream *stream, void *buf, size_t len) TORC_PARKS TORC_MUST;

/* Write all `len` bytes or fail. Returns `len`; -EPIPE or -ECONNRESET when the peer is gone. After a failure some may
 * have been sent: the stream is good for closing only. -EINVAL if len exceeds INT_MAX. */
TORC_API int torc_stream_write(struct torc_stream *stream, const void *buf, size_t len) TORC_PARKS TORC_MUST;

/* The same for `count` pieces in order (sendmsg(2)); the pieces are lent, the array too, and neither is changed.
 * -EINVAL if count is negative, exceeds IOV_MAX (1024), or the sum exceeds INT_MAX. */
TORC_API int torc_stream_writev(struct torc_stream *stream, const struct iovec *pieces, int count) TORC_PARKS TORC_MUST;

enum torc_shutdown { TORC_SHUTDOWN_READ, TORC_SHUTDOWN_WRITE, TORC_SHUTDOWN_BOTH };

/* End one direction or both (shutdown(2)); writing ended, the peer reads 0. Returns 0; -ENOTCONN, -ENOTSOCK. */
TORC_API int torc_stream_shutdown(struct torc_stream *stream, enum torc_shutdown how) TORC_LOCAL;

/* This side's address, and the other's (getsockname(2), getpeername(2)). Returns 0; -EBADF, -ENOTSOCK,
 * -ENOTCONN. One that is no IP address has no text: torc_addr_format says -EAFNOSUPPORT. */
TORC_API int torc_stream_local_addr(const struct torc_stream *stream, struct torc_addr *addr) TORC_ANYWHERE;
TORC_API int torc_stream_peer_addr(const struct torc_stream *stream, struct torc_addr *addr) TORC_ANYWHERE;

/* Make a stream of a descriptor that something else made. The stream owns it afterwards. Returns 0; -EBADF, and fd stays
 * the caller's then.
 * A connected socket loses its O_NONBLOCK: the ring does the waiting. Anything else - a pipe, a terminal, a device, a
 * regular file or a disk, which is read and written at its own position, by one fiber of a core at a time - keeps its
 * flags, whatever they are, since others may share it; there shutdown, peek and the addresses are refused with -ENOTSOCK,
 * the end of one direction is the close of the pipe's end, and writing to a pipe that nobody reads is -EPIPE as on a
 * socket. A read of a terminal gives what the terminal hands out, a line as a rule, and 0 where ^D was typed. What a disk
 * has begun can't be cancelled: it is waited for. */
TORC_API int torc_stream_wrap(struct torc_stream *stream, int fd) TORC_ANYWHERE TORC_MUST;

/* The same for a descriptor that stays the caller's: close ends the stream and no more, and O_NONBLOCK stays on a socket
 * too. Returns 0; -EBADF. */
TORC_API int torc_stream_borrow(struct torc_stream *stream, int fd) TORC_ANYWHERE TORC_MUST;

/* Close. As torc_async_close. */
TORC_API int torc_stream_close(struct torc_stream *stream) TORC_PARKS;

TORC_END
#endif
