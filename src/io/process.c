#include "io/process.h"

#include "base/options.h"
#include "executor/request.h"
#include "machine/child.h"
#include "machine/feature.h"
#include "machine/sys.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

/* In torc_process.flags_. */
enum {
	PROCESS_REAPED = 1 << 0,
	PROCESS_DUMPED = 1 << 1,
	PROCESS_GROUP = 1 << 2,
	PROCESS_AWAIT = 1 << 3, /* by close, which else kills */
	PROCESS_PIDFD = 1 << 4, /* what end_ holds; else the pid */
	PROCESS_CLOSING = 1 << 5,
	PROCESS_LOST = 1 << 6, /* reaped, but not by us */
};

enum { SIGNAL_BASE = 128, STANDARD = 3 };

/* --- spawn ----------------------------------------------------------------------------------- */

/* Make a pipe for the child's `number`: one end is the stream's, the other the child's. */
static int open_pipe(struct torc_stream *ours, int number, int *theirs)
{
	int ends[2], r = sys_pipe(ends);
	bool child_reads = number == 0;

	if (r < 0)
		return r;
	*ours = (struct torc_stream){ 0 };
	async_set(&ours->async, ends[child_reads], ASYNC_PLAIN | ASYNC_PIPE);
	*theirs = ends[!child_reads];
	return 0;
}

static int choose(enum torc_child_io io, int fd, struct torc_stream *stream, int number, int *chosen)
{
	switch (io) {
	case TORC_CHILD_INHERIT:
		*chosen = CHILD_INHERIT;
		return 0;
	case TORC_CHILD_NULL:
		*chosen = CHILD_NULL;
		return 0;
	case TORC_CHILD_PIPE:
		return open_pipe(stream, number, chosen);
	case TORC_CHILD_FD:
		*chosen = fd;
		return fd < 0 ? -EBADF : 0;
	case TORC_CHILD_AS_OUT:
		break;
	}
	return -EINVAL;
}

static int choose_all(struct torc_process *process, const struct torc_process_options *options, int fds[STANDARD])
{
	int r = choose(options->in, options->in_fd, &process->in, 0, &fds[0]);

	if (r == 0)
		r = choose(options->out, options->out_fd, &process->out, 1, &fds[1]);
	if (r < 0)
		return r;
	if (options->err != TORC_CHILD_AS_OUT)
		return choose(options->err, options->err_fd, &process->err, 2, &fds[2]);
	fds[2] = fds[1] == CHILD_INHERIT ? 1 : fds[1];
	return 0;
}

static void close_pipes(struct torc_process *process)
{
	torc_stream_close(&process->in);
	torc_stream_close(&process->out);
	torc_stream_close(&process->err);
}

/* What end_ holds. */
static int watch(struct torc_process *process)
{
	int fd = process->pid_;

	if (!feature_on(FEATURE_WAITID)) {
		fd = child_pidfd(process->pid_);
		if (fd == -ESRCH) { /* it has ended, and somebody else has reaped it */
			process->flags_ |= PROCESS_REAPED | PROCESS_LOST;
			fd = process->pid_;
		} else {
			process->flags_ |= PROCESS_PIDFD;
		}
	}
	if (fd < 0) {
		struct child_end end;

		child_kill(process->pid_, false, SIGKILL);
		child_reap(process->pid_, &end, true);
		return fd;
	}
	async_set(&process->end_, fd, 0);
	return 0;
}

int torc_process_spawn(struct torc_process *process, const char *const *argv,
                       const struct torc_process_options *options)
{
	struct torc_process_options whole;
	struct torc_process spawned = { 0 };
	struct child_spec spec = { .argv = argv, .fds = { CHILD_INHERIT, CHILD_INHERIT, CHILD_INHERIT } };
	int r;

	options = OPTIONS(options, whole);
	if (!argv || !argv[0] || (unsigned)options->at_close > TORC_CHILD_AWAIT)
		return -EINVAL;
	spec.env = options->env;
	spec.directory = options->directory;
	spec.group = options->group;
	spec.keep_fds = options->keep_fds;
	spawned.owner_ = child_self();
	spawned.flags_ =
		(options->group ? PROCESS_GROUP : 0u) | (options->at_close == TORC_CHILD_AWAIT ? PROCESS_AWAIT : 0u);

	r = choose_all(&spawned, options, spec.fds);
	if (r == 0)
		r = child_spawn(&spawned.pid_, &spec);
	if (options->in == TORC_CHILD_PIPE && !async_empty(&spawned.in.async))
		sys_close(spec.fds[0]);
	if (options->out == TORC_CHILD_PIPE && !async_empty(&spawned.out.async))
		sys_close(spec.fds[1]);
	if (options->err == TORC_CHILD_PIPE && !async_empty(&spawned.err.async))
		sys_close(spec.fds[2]);
	if (r == 0)
		r = watch(&spawned);
	if (r < 0) {
		close_pipes(&spawned);
		return r;
	}
	*process = spawned;
	return 0;
}

/* --- wait ------------------------------------------------------------------------------------ */

/* Ask to be told of its end, which leaves it to be reaped. */
static void prepare(struct io_uring_sqe *sqe, const struct torc_process *process, int pidfd)
{
	if (process->flags_ & PROCESS_PIDFD) {
		uring_prepare(sqe, IORING_OP_POLL_ADD, pidfd, NULL, 0);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		sqe->poll32_events = (unsigned)POLLIN << 16;
#else
		sqe->poll32_events = POLLIN;
#endif
		return;
	}
	uring_prepare(sqe, URING_OP_WAITID, process->pid_, NULL, P_PID);
	sqe->file_index = WEXITED | WNOWAIT;
}

static bool reap(struct torc_process *process, bool wait)
{
	struct child_end end;
	int r;

	if (process->flags_ & PROCESS_REAPED)
		return true;
	r = child_reap(process->pid_, &end, wait);
	if (r == 0)
		return false;
	process->flags_ |= PROCESS_REAPED;
	if (r < 0) {
		process->flags_ |= PROCESS_LOST;
		return true;
	}
	process->status_ = end.status;
	process->signal_ = end.signal;
	process->flags_ |= end.dumped ? PROCESS_DUMPED : 0u;
	return true;
}

static int tell(const struct torc_process *process, struct torc_exit *end)
{
	if (process->flags_ & PROCESS_LOST)
		return -ECHILD;
	if (end)
		*end = (struct torc_exit){ .status = process->status_,
			                   .signal = process->signal_,
			                   .dumped_core = process->flags_ & PROCESS_DUMPED };
	return process->signal_ ? SIGNAL_BASE + process->signal_ : process->status_;
}

int torc_process_wait(struct torc_process *process, struct torc_exit *end)
{
	struct io_uring_sqe *sqe;
	struct op op;
	int r;

	do { /* ends: a round waits until it has ended, or fails */
		if ((process->flags_ & PROCESS_REAPED) && !(process->flags_ & PROCESS_CLOSING))
			return scope_refuses(executor_in_fiber(__func__)->running)
			               ? scope_refuses(executor_in_fiber(__func__)->running)
			               : tell(process, end);
		r = op_begin(&op, &process->end_, SOURCE_CHILD, &sqe, __func__);
		if (r < 0)
			return r;
		prepare(sqe, process, op_fd(&op));
		r = op_finish(&op, sqe);
		if (r < 0 && r != -EINTR && r != -ECHILD)
			return r;
	} while (!reap(process, false));
	return tell(process, end);
}

/* --- kill and close ---------------------------------------------------------------------------- */

int torc_process_kill(struct torc_process *process, int signal)
{
	if (async_empty(&process->end_))
		return -EBADF;
	if (process->flags_ & PROCESS_REAPED)
		return -ESRCH;
	return child_kill(process->pid_, process->flags_ & PROCESS_GROUP, signal);
}

int torc_process_id(const struct torc_process *process)
{
	return async_empty(&process->end_) ? -EBADF : process->pid_;
}

/* Until it has ended, whatever becomes of the scope. */
static void await_end(struct torc_process *process, int pidfd)
{
	struct executor *executor = executor_self;

	while (executor && !reap(process, false)) { /* ends: it was killed, or that is how long it is to take */
		struct io_uring_sqe *sqe;
		struct request request;

		request_begin_shielded(&request, executor, SOURCE_CHILD, pidfd, &sqe);
		prepare(sqe, process, pidfd);
		request_run(&request, sqe);
	}
	reap(process, true);
}

void torc_process_close(struct torc_process *process)
{
	bool ours = process->owner_ == child_self();
	int fd;

	if (async_empty(&process->end_) || (process->flags_ & PROCESS_CLOSING))
		return;
	process->flags_ |= PROCESS_CLOSING;
	fd = op_close_handle(&process->end_, __func__); /* who waits leaves before there is an end to be told of */
	if (ours && !(process->flags_ & (PROCESS_REAPED | PROCESS_AWAIT))) {
		if (process->flags_ & PROCESS_GROUP)
			child_kill(process->pid_, true, SIGKILL);
		child_kill(process->pid_, false,
		           SIGKILL); /* it may have left the group; last, for there it may vanish */
	}
	close_pipes(process);
	if (ours)
		await_end(process, fd);
	if (process->flags_ & PROCESS_PIDFD)
		op_close_fd(fd);
	*process = (struct torc_process){ 0 };
}

int torc_process_run(const char *const *argv, const struct torc_process_options *options)
{
	struct torc_process process;
	int r;

	if (options &&
	    (options->in == TORC_CHILD_PIPE || options->out == TORC_CHILD_PIPE || options->err == TORC_CHILD_PIPE))
		return -EINVAL;
	if (scope_refuses(executor_in_fiber(__func__)->running))
		return scope_refuses(executor_in_fiber(__func__)->running);
	r = torc_process_spawn(&process, argv, options);
	if (r < 0)
		return r;
	r = torc_process_wait(&process, NULL);
	torc_process_close(&process);
	return r;
}
