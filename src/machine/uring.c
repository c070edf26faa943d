#include "machine/uring.h"

#include "machine/clock.h"
#include "machine/feature.h"
#include "machine/forked.h"
#include "machine/sanitize.h"
#include "machine/sys.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SQ_LEAST = 8, RETRIES = 5 };
static const int64_t retry_after_ns = 1000000;

/* Rings are mapped by system calls that the tools don't see, where another thread's have been before. */
static char mappings;

struct kernel_ring {
	struct io_uring ring;
	unsigned enter_fd;
	unsigned enter_flags;
	bool ext_arg;
	bool deferred; /* completions are made by enter only: always ask for them */
	bool buffers;  /* there is a table of registered ones */
	int eventfd;   /* -1, or what wakes us where MSG_RING can't */
	unsigned era;  /* forked_era */
};

static unsigned setup_flags(void)
{
	unsigned flags = 0;

	flags |= feature_on(FEATURE_SUBMIT_ALL) ? IORING_SETUP_SUBMIT_ALL : 0;
	flags |= feature_on(FEATURE_CQSIZE) ? IORING_SETUP_CQSIZE : 0;
	flags |= feature_on(FEATURE_CLAMP) ? IORING_SETUP_CLAMP : 0;
	flags |= feature_on(FEATURE_SINGLE_ISSUER) ? IORING_SETUP_SINGLE_ISSUER : 0;
	if (feature_on(FEATURE_DEFER_TASKRUN))
		flags |= IORING_SETUP_DEFER_TASKRUN;
	else if (feature_on(FEATURE_COOP_TASKRUN))
		flags |= IORING_SETUP_COOP_TASKRUN;
	if (flags & (IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN))
		flags |= IORING_SETUP_TASKRUN_FLAG;
	return flags;
}

static int open_with(struct uring *ring, unsigned sq_entries, unsigned cq_entries, unsigned more_flags)
{
	struct kernel_ring *kernel = calloc(1, sizeof *kernel);
	struct io_uring_params params = { .flags = setup_flags() | more_flags, .cq_entries = cq_entries };
	int r;

	if (!kernel)
		return -ENOMEM;
	r = io_uring_queue_init_params(sq_entries, &kernel->ring, &params);
	sanitize_acquire(&mappings);
	if (r < 0) {
		free(kernel);
		return r;
	}

	kernel->era = forked_era();
	kernel->ring.ring_fd = kernel->ring.enter_ring_fd = sys_spare_standard(kernel->ring.ring_fd);
	kernel->eventfd = -1;
	if (!(more_flags & IORING_SETUP_IOPOLL) &&
	    (!feature_on(FEATURE_MSG_RING) || !feature_on(FEATURE_MSG_RING_FOREIGN))) {
		kernel->eventfd = sys_spare_standard(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
		if (kernel->eventfd < 0) {
			r = -errno;
			io_uring_queue_exit(&kernel->ring);
			free(kernel);
			return r;
		}
	}
	kernel->enter_fd = (unsigned)kernel->ring.ring_fd;
	if (feature_on(FEATURE_RING_FD) && io_uring_register_ring_fd(&kernel->ring) == 1) {
		kernel->enter_fd = (unsigned)kernel->ring.enter_ring_fd;
		kernel->enter_flags |= IORING_ENTER_REGISTERED_RING;
	}
	if (feature_on(FEATURE_NO_IOWAIT))
		kernel->enter_flags |= IORING_ENTER_NO_IOWAIT;
	kernel->ext_arg = feature_on(FEATURE_EXT_ARG);
	kernel->deferred = params.flags & IORING_SETUP_DEFER_TASKRUN;

	ring->machine_state = kernel;
	ring->sqes = kernel->ring.sq.sqes;
	ring->sq_mask = params.sq_entries - 1;
	ring->sq_khead = kernel->ring.sq.khead;
	ring->sq_ktail = kernel->ring.sq.ktail;
	ring->sq_kflags = kernel->ring.sq.kflags;
	ring->sq_tail = *ring->sq_ktail;
	ring->cqes = kernel->ring.cq.cqes;
	ring->cq_mask = params.cq_entries - 1;
	ring->cq_khead = kernel->ring.cq.khead;
	ring->cq_ktail = kernel->ring.cq.ktail;
	/* Entry i of the indirection array is request i, now and for ever. */
	for (unsigned i = 0; i < params.sq_entries; i++)
		kernel->ring.sq.array[i] = i;
	return 0;
}

static int kernel_open(struct uring *ring, unsigned sq_entries, unsigned cq_entries)
{
	return open_with(ring, sq_entries, cq_entries, 0);
}

static int kernel_open_polled(struct uring *ring, unsigned sq_entries, unsigned cq_entries)
{
	return open_with(ring, sq_entries, cq_entries, IORING_SETUP_IOPOLL);
}

/* Where MSG_RING can't: a poll of an eventfd that is under way whenever we wait. True: it was rung, perhaps just now, so
 * there is no waiting for that; or the queue is full of what may never be answered, and has room for it next time. */
static bool listen_for_bell(struct uring *ring)
{
	struct kernel_ring *kernel = ring->machine_state;
	struct io_uring_sqe *sqe = uring_next(ring);
	eventfd_t rung;

	if (!sqe)
		return true;
	uring_prepare(sqe, IORING_OP_POLL_ADD, kernel->eventfd, NULL, 0);
	sqe->poll32_events = POLLIN;
	sqe->user_data = URING_EVENTFD_ID;
	ring->listening = true;
	__atomic_store_n(ring->sq_ktail, ring->sq_tail, __ATOMIC_RELEASE);
	return eventfd_read(kernel->eventfd, &rung) == 0;
}

static bool kernel_bell_request(struct io_uring_sqe *sqe, struct uring *ring)
{
	const struct kernel_ring *kernel = ring->machine_state;

	if (!feature_on(FEATURE_MSG_RING))
		return false;
	uring_prepare(sqe, IORING_OP_MSG_RING, kernel->ring.ring_fd, NULL, 0);
	sqe->off = URING_BELL_ID;
	return true;
}

static void kernel_bell(struct uring *ring)
{
	const struct kernel_ring *kernel = ring->machine_state;
	struct io_uring_sqe sqe;

	if (kernel->era != forked_era()) /* it is the parent's, and so is who sleeps on it */
		return;
	if (kernel->eventfd >= 0) {
		eventfd_write(kernel->eventfd, 1);
		return;
	}
	if (kernel_bell_request(&sqe, ring))
		syscall(__NR_io_uring_register, -1, IORING_REGISTER_SEND_MSG_RING, &sqe, 1);
}

static struct __kernel_timespec until(int64_t deadline)
{
	int64_t span = deadline - clock_now();

	if (span < 0)
		span = 0;
	return (struct __kernel_timespec){ .tv_sec = span / 1000000000, .tv_nsec = span % 1000000000 };
}

static int enter_timed(const struct kernel_ring *kernel, unsigned submit, unsigned flags, int64_t deadline)
{
	struct __kernel_timespec span = until(deadline);
	struct io_uring_getevents_arg arg = { .ts = (uintptr_t)&span };

	return io_uring_enter2(kernel->enter_fd, submit, 1, flags | IORING_ENTER_EXT_ARG, (sigset_t *)&arg, sizeof arg);
}

/* Without EXT_ARG a wait has no time-out: let poll(2) on the ring have it. */
static int enter_polled(struct uring *ring, unsigned submit, unsigned flags, int64_t deadline)
{
	const struct kernel_ring *kernel = ring->machine_state;
	struct pollfd fd = { .fd = kernel->ring.ring_fd, .events = POLLIN };
	struct __kernel_timespec left = until(deadline);
	struct timespec span = { .tv_sec = left.tv_sec, .tv_nsec = left.tv_nsec };
	int r = 0;

	if (submit > 0 || uring_withholds(ring))
		r = io_uring_enter2(kernel->enter_fd, submit, 0, flags, NULL, 0);
	/* Short of memory the kernel takes some: as with EXT_ARG, what is left is not waited for. */
	if (r < (int)submit || uring_answers(ring) > 0)
		return r;
	if (ppoll(&fd, 1, deadline == INT64_MAX ? NULL : &span, NULL) <= 0)
		return 0;
	return io_uring_enter2(kernel->enter_fd, 0, 0, flags, NULL, 0);
}

static int outcome(int r)
{
	if (likely(r >= 0) || r == -ETIME || r == -EINTR)
		return 0;
	/* -EBADR would be an answer lost for want of memory; in flight never exceeds the completion queue. */
	ASSERT(r == -EAGAIN || r == -EBUSY || r == -ENOMEM);
	return r == -ENOMEM ? -EAGAIN : r;
}

#ifdef SANITIZE_TSAN
/* ThreadSanitizer holds signals back until the thread calls something that it knows, which io_uring_enter is not. So
 * while somebody waits for signals nobody sleeps for long, and reading the clock lets them in. */
unsigned uring_naps;
static const int64_t nap_ns = 5000000;

static int64_t nap(int64_t deadline)
{
	int64_t soon = clock_now() + nap_ns;

	return __atomic_load_n(&uring_naps, __ATOMIC_RELAXED) == 0 || deadline < soon ? deadline : soon;
}
#else
static int64_t nap(int64_t deadline)
{
	return deadline;
}
#endif

static int kernel_enter(struct uring *ring, bool wait, int64_t deadline)
{
	const struct kernel_ring *kernel = ring->machine_state;
	unsigned flags = kernel->enter_flags;
	unsigned submit;
	int r;

	if (wait && kernel->eventfd >= 0 && !ring->listening)
		wait = !listen_for_bell(ring);
	if (wait)
		deadline = nap(deadline);
	submit = uring_unsubmitted(ring);

	if (wait || kernel->deferred || uring_withholds(ring))
		flags |= IORING_ENTER_GETEVENTS;
	if (wait && !kernel->ext_arg)
		r = enter_polled(ring, submit, flags, deadline);
	else if (wait && deadline != INT64_MAX)
		r = enter_timed(kernel, submit, flags, deadline);
	else
		r = io_uring_enter2(kernel->enter_fd, submit, wait, flags, NULL, 0);

	return outcome(r);
}

static int kernel_enter_polled(struct uring *ring, bool wait, int64_t deadline)
{
	const struct kernel_ring *kernel = ring->machine_state;

	(void)wait;
	(void)deadline;
	return outcome(io_uring_enter2(kernel->enter_fd, uring_unsubmitted(ring), 0,
	                               kernel->enter_flags | IORING_ENTER_GETEVENTS, NULL, 0));
}

static int kernel_register_buffer(struct uring *ring, unsigned slot, void *memory, size_t size)
{
	struct kernel_ring *kernel = ring->machine_state;
	struct iovec piece = { .iov_base = memory, .iov_len = size };
	int r;

	if (!feature_on(FEATURE_FIXED_BUFFERS))
		return -EOPNOTSUPP;
	if (!kernel->buffers) {
		r = io_uring_register_buffers_sparse(&kernel->ring, URING_BUFFERS);
		if (r < 0)
			return r;
		kernel->buffers = true;
	}
	if (size == 0)
		piece.iov_base = NULL;
	r = io_uring_register_buffers_update_tag(&kernel->ring, slot, &piece, NULL, 1);
	return r < 0 ? r : 0;
}

static void kernel_close(struct uring *ring)
{
	struct kernel_ring *kernel = ring->machine_state;

	sanitize_release(&mappings);
	io_uring_queue_exit(&kernel->ring);
	if (kernel->eventfd >= 0)
		close(kernel->eventfd);
	free(kernel);
}

/* The descriptors alone: the mappings are of no use, and what liburing and malloc know of them is a copy. */
static void kernel_forget(struct uring *ring)
{
	const struct kernel_ring *kernel = ring->machine_state;

	close(kernel->ring.ring_fd);
	if (kernel->eventfd >= 0)
		close(kernel->eventfd);
}

const struct uring_machine uring_kernel = {
	.name = "io_uring",
	.open = kernel_open,
	.enter = kernel_enter,
	.close = kernel_close,
	.bell = kernel_bell,
	.bell_request = kernel_bell_request,
	.register_buffer = kernel_register_buffer,
	.forget = kernel_forget,
};

const struct uring_machine uring_kernel_polled = {
	.name = "io_uring, polled",
	.open = kernel_open_polled,
	.enter = kernel_enter_polled,
	.close = kernel_close,
	.bell = kernel_bell,
	.bell_request = kernel_bell_request,
	.forget = kernel_forget,
};

int uring_open(struct uring *ring, const struct uring_machine *machine, unsigned sq_entries, unsigned cq_entries)
{
	int r;

	memset(ring, 0, sizeof *ring);
	ring->machine = machine;
	/* Rings are charged to RLIMIT_MEMLOCK for those without CAP_IPC_LOCK. What is closed is given back a little
	 * later, so wait for that; then a small ring beats none. */
	r = machine->open(ring, sq_entries, cq_entries);
	for (int i = 0; i < RETRIES && r == -ENOMEM; i++) {
		clock_pause(retry_after_ns);
		r = machine->open(ring, sq_entries, cq_entries);
	}
	while (r == -ENOMEM && sq_entries > SQ_LEAST) {
		sq_entries /= 2;
		cq_entries /= 2;
		r = machine->open(ring, sq_entries, cq_entries);
	}
	return r;
}

void uring_close(struct uring *ring)
{
	ring->machine->close(ring);
	memset(ring, 0, sizeof *ring);
}
