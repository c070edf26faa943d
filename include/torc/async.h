/* async.h - any file descriptor, made awaitable: the road for handles that are not torc's own (a client library's
 * socket, a pipe, a device). torc's own streams and listeners embed one.
 *
 * A handle is a small value. Zeroed it is empty. Copying it moves it; it must not be moved while a call on it is
 * parked. It belongs to the core that uses it: between calls it may be handed to another. */
#ifndef TORC_ASYNC_H
#define TORC_ASYNC_H

#include <torc/base.h>
#include <torc/choose.h>

TORC_BEGIN

struct torc_async {
	int inverted_fd_; /* stored inverted, so that {0} holds none */
	uint32_t flags_;
	void *busy_; /* the Sources of the calls that are parked on it */
};

/* Step 1 of 3: take `fd` over and or O_NONBLOCK into its flags (fcntl(2)); other flags survive.
 * O_NONBLOCK belongs to the open file, so who shares it by dup(2) or fork(2) - a terminal, say - sees it as well.
 * Returns 0; -EBADF for what is no descriptor, which stays the caller's, as does any fd after a failure.
 * The handle must be empty or uninitialised: what it held is not closed. */
TORC_API int torc_async_wrap(struct torc_async *async, int fd) TORC_ANYWHERE TORC_MUST;

/* Give the descriptor back, its O_NONBLOCK as it was before wrap. Fibers that are parked on the handle are woken with
 * -EBADF first, and waited for; the handle is empty afterwards. Returns the fd or -EBADF. Is never cancelled. */
TORC_API int torc_async_unwrap(struct torc_async *async) TORC_PARKS TORC_MUST;

/* The descriptor, still owned by the handle; -EBADF for an empty one. */
TORC_API int torc_async_fd(const struct torc_async *async) TORC_ANYWHERE;

/* Steps 2 and 3: park until a read (write) would not block: there is data, room, an end or an error, in the sense
 * of poll(2). A regular file always is, though reading one may block the core all the same. One fiber may wait for
 * reading while another waits for writing.
 * Returns 0; -EBADF if the handle is empty or was closed meanwhile; -ECANCELED, -ETIME. */
TORC_API int torc_async_readable(struct torc_async *async) TORC_PARKS TORC_MUST;
TORC_API int torc_async_writable(struct torc_async *async) TORC_PARKS TORC_MUST;

/* The same as cases for torc_choose (choose.h): readiness is seen, nothing is read or written. -EBADF as above. */
TORC_API struct torc_case torc_case_readable(struct torc_async *async) TORC_LOCAL;
TORC_API struct torc_case torc_case_writable(struct torc_async *async) TORC_LOCAL;

/* An attempt that does not block: returns >= 0, -EAGAIN for "not now", or another -errno. */
typedef int torc_try_fn(int fd, void *arg);

/* Call op(fd, arg) until it returns something else than -EAGAIN, parking until the fd is readable (writable) in
 * between: how a library's non-blocking call becomes one that waits. Where op never has to wait, the calls yield from time
 * to time all the same, as torc_yield_if_needed() does (queue.h). Returns what op returned at last; -EBADF, -ECANCELED,
 * -ETIME without another call to op. */
TORC_API int torc_async_read_with(struct torc_async *async, torc_try_fn *op, void *arg) TORC_PARKS TORC_MUST;
TORC_API int torc_async_write_with(struct torc_async *async, torc_try_fn *op, void *arg) TORC_PARKS TORC_MUST;

/* Close the descriptor. Fibers that are parked on the handle are woken with -EBADF and waited for first: when close
 * returns, nobody is inside. Harmless on an empty handle; always empties it; is never cancelled. Returns 0 or the
 * error of close(2), after which the descriptor is gone all the same. While another fiber is closing the handle: 0, at
 * once. Outside a fiber it closes plainly. */
TORC_API int torc_async_close(struct torc_async *async) TORC_PARKS;

TORC_END
#endif
