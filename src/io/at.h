/* at - operations on names: on the handle of the directory that they begin at, or on none. Relies on op. */
#ifndef TORC_SRC_AT_H
#define TORC_SRC_AT_H

#include "io/op.h"

#include <torc/dir.h>

#include <fcntl.h>

static inline struct torc_async *at_async(struct torc_dir *at)
{
	return at ? &at->async : NULL;
}

static inline int at_fd(const struct torc_dir *at)
{
	return at ? async_fd(&at->async) : AT_FDCWD;
}

/* As op_begin and op_finish; without a directory as request_begin and request_finish. */
static inline int at_begin(struct op *op, struct torc_dir *at, enum source_type type, struct io_uring_sqe **sqe,
                           const char *function)
{
	if (at)
		return op_begin(op, &at->async, type, sqe, function);
	return request_begin(&op->request, type, AT_FDCWD, sqe, function);
}

static inline int at_finish(struct op *op, const struct torc_dir *at, struct io_uring_sqe *sqe)
{
	return at ? op_finish(op, sqe) : request_finish(&op->request, sqe);
}

#endif
