#include "io/stream.h"

#include "io/plain.h"
#include "machine/feature.h"
#include "machine/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

enum {
	PIECES_MOST = 1024,   /* the kernel's UIO_MAXIOV */
	WHOLE_MOST = 1 << 20, /* that the kernel is to send to the last byte by itself */
};

/* Why no operation may begin, for those that have nothing to do; 0: it may. */
static int refused(const struct torc_stream *stream, const char *function)
{
	struct executor *executor = executor_in_fiber(function);

	if (async_empty(&stream->async) || (stream->async.flags_ & ASYNC_CLOSING))
		return -EBADF;
	return scope_refuses(executor->running);
}

/* A socket whose last receive emptied it is polled first, which spares an attempt that would find nothing. */
static void note_rest(const struct op *op, bool peek)
{
	struct torc_async *async = op->async;

	if (op->closed)
		return;
	if (peek || (op->request.source.inner.cqe_flags & IORING_CQE_F_SOCK_NONEMPTY))
		async->flags_ &= ~(uint32_t)ASYNC_NOTHING_LEFT;
	else
		async->flags_ |= ASYNC_NOTHING_LEFT;
}

static int receive(struct torc_stream *stream, void *buf, size_t len, unsigned flags, const char *function)
{
	struct io_uring_sqe *sqe;
	struct op op;
	int r;

	if (unlikely(len == 0))
		return refused(stream, function);
	if (unlikely(stream->async.flags_ & ASYNC_PLAIN))
		return flags & MSG_PEEK ? -ENOTSOCK : plain_read(stream, buf, len, function);
	do { /* ends: after -EAGAIN it is polled first */
		r = op_begin(&op, &stream->async, SOURCE_READ, &sqe, function);
		if (unlikely(r < 0))
			return r;
		uring_prepare(sqe, IORING_OP_RECV, op_fd(&op), buf, len > INT_MAX ? INT_MAX : (unsigned)len);
		sqe->msg_flags = flags;
		if ((stream->async.flags_ & ASYNC_NOTHING_LEFT) && feature_on(FEATURE_POLL_FIRST))
			sqe->ioprio = IORING_RECVSEND_POLL_FIRST;
		r = op_finish(&op, sqe);
		note_rest(&op, (flags & MSG_PEEK) && r > 0);
		if (op_again(r) && !feature_on(FEATURE_POLL_FIRST)) {
			int polled = async_poll(&stream->async, POLLIN | POLLRDHUP, function);

			if (polled < 0)
				return polled;
		}
	} while (op_again(r));
	if (r > 0)
		sanitize_written(buf, (size_t)r);
	return r;
}

int torc_stream_read(struct torc_stream *stream, void *buf, size_t len)
{
	return receive(stream, buf, len, 0, __func__);
}

int torc_stream_peek(struct torc_stream *stream, void *buf, size_t len)
{
	return receive(stream, buf, len, MSG_PEEK, __func__);
}

int torc_stream_read_exact(struct torc_stream *stream, void *buf, size_t len)
{
	size_t got = 0;
	int r;

	if (len > INT_MAX)
		return -EINVAL;
	/* Not by MSG_WAITALL: the kernel's own rounds swallow a reset that comes after the first bytes. */
	do {
		r = receive(stream, (char *)buf + got, len - got, 0, __func__);
		if (r < 0)
			return r;
		got += (size_t)r;
	} while (r > 0 && got < len);
	return got == len || got == 0 ? (int)got : -ENODATA;
}

/* One attempt to send: the kernel goes on by itself after a partial one, if the `total` is not too much. When it has waited
 * for room a hundred times and more it gives the request to a worker thread, which blocks in it: one for each slow peer. */
static int send_some(struct torc_stream *stream, unsigned opcode, const void *what, unsigned len, size_t total,
                     const char *function)
{
	struct io_uring_sqe *sqe;
	struct op op;
	int r;

	if (unlikely(stream->async.flags_ & ASYNC_PLAIN))
		return plain_write(stream, opcode, what, len, function);
	r = op_begin(&op, &stream->async, SOURCE_WRITE, &sqe, function);
	if (unlikely(r < 0))
		return r;
	uring_prepare(sqe, opcode, op_fd(&op), what, len);
	sqe->msg_flags = MSG_NOSIGNAL | (total <= WHOLE_MOST ? MSG_WAITALL : 0);
	return op_finish(&op, sqe);
}

/* Send all of `len` bytes. */
static int send_all(struct torc_stream *stream, const char *buf, size_t len, const char *function)
{
	size_t sent = 0;

	while (sent < len) { /* ends: each round sends something or fails */
		size_t most = stream->async.flags_ & ASYNC_PLAIN ? len : WHOLE_MOST;
		size_t next = len - sent < most ? len - sent : most;
		int r = send_some(stream, IORING_OP_SEND, buf + sent, (unsigned)next, next, function);

		if (op_again(r))
			r = async_poll(&stream->async, POLLOUT, function);
		if (unlikely(r < 0))
			return r;
		sent += (size_t)r;
	}
	return (int)len;
}

int torc_stream_write(struct torc_stream *stream, const void *buf, size_t len)
{
	if (unlikely(len > INT_MAX))
		return -EINVAL;
	if (unlikely(len == 0))
		return refused(stream, __func__);
	return send_all(stream, buf, len, __func__);
}

/* Leave `sent` bytes of the list behind: how many pieces are gone, and how much of the next one. */
static int pass_over(const struct iovec *pieces, int count, size_t sent, size_t *within)
{
	int i = 0;

	while (i < count && sent >= pieces[i].iov_len)
		sent -= pieces[i++].iov_len;
	*within = sent;
	return i;
}

static int send_pieces(struct torc_stream *stream, const struct iovec *pieces, int count, size_t total,
                       const char *function)
{
	while (total > 0) { /* ends: each round sends something or fails */
		struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)count };
		size_t within;
		int i, r = send_some(stream, IORING_OP_SENDMSG, &message, 1, total, function);

		if (op_again(r))
			r = async_poll(&stream->async, POLLOUT, function);
		if (r < 0)
			return r;
		total -= (size_t)r;
		i = pass_over(pieces, count, (size_t)r, &within);
		if (within > 0) {
			r = send_all(stream, (const char *)pieces[i].iov_base + within, pieces[i].iov_len - within,
			             function);
			if (r < 0)
				return r;
			total -= (size_t)r;
			i++;
		}
		pieces += i;
		count -= i;
	}
	return 0;
}

int torc_stream_writev(struct torc_stream *stream, const struct iovec *pieces, int count)
{
	size_t total = 0;
	int r;

	if (count < 0 || count > PIECES_MOST)
		return -EINVAL;
	for (int i = 0; i < count; i++)
		if (pieces[i].iov_len > INT_MAX || (total += pieces[i].iov_len) > INT_MAX)
			return -EINVAL;
	r = total == 0 ? refused(stream, __func__) : send_pieces(stream, pieces, count, total, __func__);
	return r < 0 ? r : (int)total;
}

int torc_stream_shutdown(struct torc_stream *stream, enum torc_shutdown how)
{
	if (async_empty(&stream->async) || (stream->async.flags_ & ASYNC_CLOSING))
		return -EBADF;
	switch (how) {
	case TORC_SHUTDOWN_READ:
		return sys_shutdown(async_fd(&stream->async), SHUT_RD);
	case TORC_SHUTDOWN_WRITE:
		return sys_shutdown(async_fd(&stream->async), SHUT_WR);
	case TORC_SHUTDOWN_BOTH:
		return sys_shutdown(async_fd(&stream->async), SHUT_RDWR);
	}
	return -EINVAL;
}

typedef int name_fn(int fd, struct sockaddr *addr, socklen_t *len);

static int stream_addr(const struct torc_stream *stream, struct torc_addr *addr, name_fn *name)
{
	struct torc_addr found = { .len = sizeof found.sockaddr };
	int r = async_empty(&stream->async)
	                ? -EBADF
	                : name(async_fd(&stream->async), (struct sockaddr *)&found.sockaddr, &found.len);

	if (r == 0)
		*addr = found;
	return r;
}

int torc_stream_local_addr(const struct torc_stream *stream, struct torc_addr *addr)
{
	return stream_addr(stream, addr, sys_getsockname);
}

int torc_stream_peer_addr(const struct torc_stream *stream, struct torc_addr *addr)
{
	return stream_addr(stream, addr, sys_getpeername);
}

/* A handle for the descriptor, whatever that is. -errno. */
static int make(struct torc_stream *stream, int fd)
{
	size_t file;
	int kind = sys_fd_kind(fd, &file);

	if (kind < 0)
		return kind;
	*stream = (struct torc_stream){ .file_ = file };
	async_set(&stream->async, fd, S_ISSOCK((unsigned)kind) ? 0 : plain_kind(fd, (unsigned)kind));
	return 0;
}

int torc_stream_wrap(struct torc_stream *stream, int fd)
{
	struct torc_stream wrapped;
	int r = make(&wrapped, fd);

	if (r == 0 && !(wrapped.async.flags_ & ASYNC_PLAIN))
		r = sys_status_flags(fd, 0, O_NONBLOCK);
	if (r < 0)
		return r;
	*stream = wrapped;
	return 0;
}

int torc_stream_borrow(struct torc_stream *stream, int fd)
{
	int r = make(stream, fd);

	if (r == 0)
		stream->async.flags_ |= ASYNC_BORROWED;
	return r;
}

int torc_stream_close(struct torc_stream *stream)
{
	if (stream->async.flags_ & ASYNC_BORROWED) {
		op_close_handle(&stream->async, __func__);
		return 0;
	}
	return torc_async_close(&stream->async);
}
