#include "machine/probe.h"

#include "base/panic.h"
#include "machine/clock.h"
#include "machine/feature.h"
#include "machine/forked.h"
#include "machine/sanitize.h"
#include "machine/stack.h"
#include "machine/sys.h"
#include "machine/uring_abi.h"

#include <torc/probe.h>

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool probed;

static const struct {
	enum feature feature;
	unsigned flags; /* it and what it needs */
	const char *since;
} setups[] = {
	{ FEATURE_CQSIZE, IORING_SETUP_CQSIZE, "setup says EINVAL (Linux 5.5)" },
	{ FEATURE_CLAMP, IORING_SETUP_CLAMP, "setup says EINVAL (Linux 5.6)" },
	{ FEATURE_SUBMIT_ALL, IORING_SETUP_SUBMIT_ALL, "setup says EINVAL (Linux 5.18)" },
	{ FEATURE_COOP_TASKRUN, IORING_SETUP_COOP_TASKRUN, "setup says EINVAL (Linux 5.19)" },
	{ FEATURE_TASKRUN_FLAG, IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN,
	  "setup says EINVAL (Linux 5.19)" },
	{ FEATURE_IOPOLL, IORING_SETUP_IOPOLL, "setup says EINVAL" },
	{ FEATURE_SINGLE_ISSUER, IORING_SETUP_SINGLE_ISSUER, "setup says EINVAL (Linux 6.0)" },
	{ FEATURE_DEFER_TASKRUN, IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
	  "setup says EINVAL (Linux 6.1)" },
};

enum { RETRIES = 5 };
static const int64_t retry_after_ns = 1000000;

/* What was missing when the kernel was asked, which is no answer; 0: nothing. */
static int missing;

static void note_missing(int error)
{
	if (error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EAGAIN)
		missing = error;
}

static int setup(struct io_uring *ring, unsigned flags)
{
	int r = -ENOMEM;

	for (int i = 0; i <= RETRIES && r == -ENOMEM; i++) {
		struct io_uring_params params = { .flags = flags, .cq_entries = 16 };

		if (i > 0)
			clock_pause(retry_after_ns);
		r = io_uring_queue_init_params(8, ring, &params);
	}
	note_missing(r);
	return r;
}

/* As a rule the kernel has them all, and one ring shows it: rings are charged to RLIMIT_MEMLOCK, and given back late. */
static unsigned all_setups(void)
{
	unsigned flags = 0;

	for (size_t i = 0; i < sizeof setups / sizeof *setups; i++)
		flags |= setups[i].flags;
	/* COOP_TASKRUN is older than, and excluded by, DEFER_TASKRUN. */
	return flags & ~(unsigned)IORING_SETUP_COOP_TASKRUN;
}

static bool setup_works(unsigned flags)
{
	struct io_uring ring;

	if (setup(&ring, flags) < 0)
		return false;
	io_uring_queue_exit(&ring);
	return true;
}

static void probe_setups(void)
{
	bool all = setup_works(all_setups());

	for (size_t i = 0; i < sizeof setups / sizeof *setups; i++)
		feature_found(setups[i].feature, all || setup_works(setups[i].flags), setups[i].since);
	/* The kernel takes DEFER_TASKRUN from a single issuer only; and poll(2), which waits where EXT_ARG is missing, is not
	 * woken by completions that are deferred. */
	if (!feature_on(FEATURE_SINGLE_ISSUER))
		feature_found(FEATURE_DEFER_TASKRUN, false, "needs single_issuer");
	else if (!feature_on(FEATURE_EXT_ARG))
		feature_found(FEATURE_DEFER_TASKRUN, false, "needs ext_arg");
	/* What is put off until we ask must be seen to wait: fibers that only yield would keep it out. */
	if (!feature_on(FEATURE_TASKRUN_FLAG)) {
		feature_found(FEATURE_DEFER_TASKRUN, false, "needs taskrun_flag");
		feature_found(FEATURE_COOP_TASKRUN, false, "needs taskrun_flag");
	}
}

/* Does the kernel know this flag of this operation? What it does not know it refuses (EINVAL) before it looks at the
 * descriptor, which is none (EBADF). */
static bool knows(struct io_uring *ring, unsigned opcode, unsigned flags)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int result;

	if (!sqe)
		return false;
	memset(sqe, 0, sizeof *sqe);
	sqe->opcode = (uint8_t)opcode;
	sqe->fd = -1;
	sqe->ioprio = (uint16_t)flags;
	if (io_uring_submit_and_wait(ring, 1) < 0 || io_uring_peek_cqe(ring, &cqe) < 0)
		return false;
	result = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return result == -EBADF;
}

/* Until an instant that has passed, by the clock that is set. */
static bool times_by_wall_clock(struct io_uring *ring)
{
	struct __kernel_timespec past = { .tv_sec = 1 };
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int result;

	if (!sqe)
		return false;
	memset(sqe, 0, sizeof *sqe);
	sqe->opcode = IORING_OP_TIMEOUT;
	sqe->addr = (uintptr_t)&past;
	sqe->len = 1;
	sqe->timeout_flags = IORING_TIMEOUT_ABS | IORING_TIMEOUT_REALTIME;
	if (io_uring_submit_and_wait(ring, 1) < 0 || io_uring_peek_cqe(ring, &cqe) < 0)
		return false;
	result = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return result == -ETIME;
}

/* A message to itself: one answer for it, and one that it brings. */
static bool rings(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int answers = 0;

	if (!sqe)
		return false;
	memset(sqe, 0, sizeof *sqe);
	sqe->opcode = IORING_OP_MSG_RING;
	sqe->fd = ring->ring_fd;
	io_uring_submit(ring);
	for (; io_uring_peek_cqe(ring, &cqe) == 0; answers++) {
		if (cqe->res < 0)
			answers = -2;
		io_uring_cqe_seen(ring, cqe);
	}
	return answers == 2;
}

static bool rings_from_outside(struct io_uring *ring)
{
	struct io_uring_sqe sqe = { .opcode = IORING_OP_MSG_RING, .fd = ring->ring_fd };
	struct io_uring_cqe *cqe;

	if (syscall(__NR_io_uring_register, -1, IORING_REGISTER_SEND_MSG_RING, &sqe, 1) != 0 ||
	    io_uring_peek_cqe(ring, &cqe) < 0)
		return false;
	io_uring_cqe_seen(ring, cqe);
	return true;
}

/* Into a pipe that nobody reads: a kernel that does not know the flag refuses it before it writes. */
static bool writes_without_signal(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int ends[2], result = 0;

	if (!sqe)
		return false;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		note_missing(-errno);
		return false;
	}
	close(ends[0]);
	io_uring_prep_write(sqe, ends[1], "", 1, (uint64_t)-1);
	sqe->rw_flags = RWF_NOSIGNAL;
	if (io_uring_submit_and_wait(ring, 1) >= 0 && io_uring_peek_cqe(ring, &cqe) == 0) {
		result = cqe->res;
		io_uring_cqe_seen(ring, cqe);
	}
	close(ends[1]);
	return result == -EPIPE;
}

/* Of a process that is no child of ours. */
static bool waits_for_children(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	siginfo_t info;
	int result = 0;

	if (!sqe)
		return false;
	memset(sqe, 0, sizeof *sqe);
	sqe->opcode = URING_OP_WAITID;
	sqe->fd = getpid();
	sqe->len = P_PID;
	sqe->file_index = WEXITED;
	sqe->addr2 = (uintptr_t)&info;
	if (io_uring_submit_and_wait(ring, 1) >= 0 && io_uring_peek_cqe(ring, &cqe) == 0) {
		result = cqe->res;
		io_uring_cqe_seen(ring, cqe);
	}
	return result == -ECHILD;
}

/* A table without buffers, which one is put into and taken out of. */
static bool registers_buffers(struct io_uring *ring)
{
	static char memory[64];
	struct iovec piece = { .iov_base = memory, .iov_len = sizeof memory };
	bool works;

	if (io_uring_register_buffers_sparse(ring, 1) < 0)
		return false;
	works = io_uring_register_buffers_update_tag(ring, 0, &piece, NULL, 1) == 1;
	io_uring_unregister_buffers(ring);
	return works;
}

/* On a word that has another value already: -EAGAIN. */
static bool sleeps_on_words(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	uint32_t word = 0;
	int result;

	if (!sqe)
		return false;
	memset(sqe, 0, sizeof *sqe);
	sqe->opcode = URING_OP_FUTEX_WAIT;
	sqe->fd = URING_FUTEX_PRIVATE_32;
	sqe->addr = (uintptr_t)&word;
	sqe->addr2 = 1;
	sqe->addr3 = UINT32_MAX;
	if (io_uring_submit_and_wait(ring, 1) < 0 || io_uring_peek_cqe(ring, &cqe) < 0)
		return false;
	result = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return result == -EAGAIN;
}

static void probe_file_operations(const struct io_uring_probe *probe)
{
	static const uint8_t paths[] = { IORING_OP_RENAMEAT, IORING_OP_UNLINKAT, IORING_OP_MKDIRAT, IORING_OP_SYMLINKAT,
		                         IORING_OP_LINKAT };
	bool all = true;

	for (size_t i = 0; i < sizeof paths; i++)
		all = all && io_uring_opcode_supported(probe, paths[i]);
	feature_found(FEATURE_PATH_OPS, all, "not among the ring's operations (Linux 5.15)");
	feature_found(FEATURE_FTRUNCATE, io_uring_opcode_supported(probe, URING_OP_FTRUNCATE),
	              "not among the ring's operations (Linux 6.9)");
}

/* Of this program's file, as good as any. */
static bool tells_alignment(void)
{
	struct statx found;

	return statx(AT_FDCWD, "/proc/self/exe", 0, SYS_STATX_DIOALIGN, &found) == 0 &&
	       (found.stx_mask & SYS_STATX_DIOALIGN);
}

static int probe_operations(struct io_uring *ring)
{
	static const uint8_t needed[] = { IORING_OP_NOP,        IORING_OP_POLL_ADD,    IORING_OP_ASYNC_CANCEL,
		                          IORING_OP_ACCEPT,     IORING_OP_CONNECT,     IORING_OP_SEND,
		                          IORING_OP_SENDMSG,    IORING_OP_RECV,        IORING_OP_CLOSE,
		                          IORING_OP_OPENAT,     IORING_OP_STATX,       IORING_OP_READ,
		                          IORING_OP_WRITE,      IORING_OP_READV,       IORING_OP_WRITEV,
		                          IORING_OP_FSYNC,      IORING_OP_FALLOCATE,   IORING_OP_FADVISE,
		                          IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED, IORING_OP_SYNC_FILE_RANGE };
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	int r = probe ? 0 : -ENOSYS;

	for (size_t i = 0; r == 0 && i < sizeof needed; i++)
		if (!io_uring_opcode_supported(probe, needed[i]))
			r = -ENOSYS;
	if (r == 0)
		probe_file_operations(probe);
	if (probe)
		io_uring_free_probe(probe);
	return r;
}

static void probe_ring(struct io_uring *ring)
{
	/* Valgrind runs one thread at a time and does not know that io_uring_enter may block; poll it knows. */
	feature_found(FEATURE_EXT_ARG, (ring->features & IORING_FEAT_EXT_ARG) && !SANITIZE_VALGRIND,
	              SANITIZE_VALGRIND ? "not under valgrind" : "not among the ring's features (Linux 5.11)");
	feature_found(FEATURE_NO_IOWAIT, ring->features & IORING_FEAT_NO_IOWAIT,
	              "not among the ring's features (Linux 6.15)");
	feature_found(FEATURE_MULTISHOT_ACCEPT, knows(ring, IORING_OP_ACCEPT, IORING_ACCEPT_MULTISHOT),
	              "accept refuses the flag (Linux 5.19)");
	feature_found(FEATURE_POLL_FIRST, knows(ring, IORING_OP_RECV, IORING_RECVSEND_POLL_FIRST),
	              "receive refuses the flag (Linux 5.19)");
	feature_found(FEATURE_TIMEOUT_REALTIME, times_by_wall_clock(ring), "timeout refuses the flag (Linux 5.15)");
	feature_found(FEATURE_MSG_RING, rings(ring), "the operation fails (Linux 5.18)");
	feature_found(FEATURE_MSG_RING_FOREIGN, rings_from_outside(ring), "register refuses it (Linux 6.13)");
	feature_found(FEATURE_NOSIGNAL, writes_without_signal(ring), "write refuses the flag (Linux 6.18)");
	feature_found(FEATURE_WAITID, waits_for_children(ring), "the operation fails (Linux 6.7)");
	feature_found(FEATURE_DIOALIGN, tells_alignment(), "statx does not tell of this program's file (Linux 6.1)");
	feature_found(FEATURE_DONTCACHE, true, ""); /* a file system has it or not (Linux 6.14): tried each time */
	feature_found(FEATURE_FIXED_BUFFERS, registers_buffers(ring), "register refuses it (Linux 5.19)");
	feature_found(FEATURE_FUTEX, sleeps_on_words(ring), "the operation fails (Linux 6.7)");
	feature_found(FEATURE_RING_FD, io_uring_register_ring_fd(ring) == 1, "register refuses it (Linux 5.18)");
}

static int probe(void)
{
	struct io_uring ring;
	const char *word;
	size_t len;
	int r;

	word = feature_unknown(&len);
	if (word)
		sys_complain("torc: TORC_DISABLE: there is no feature %.*s", (int)len, word);
	for (int i = 0; i < FEATURE_COUNT; i++)
		feature_found((enum feature)i, false, "no ring to be had");
	feature_found(FEATURE_GUARD_INSTALL, stack_guards_probe(), "madvise says EINVAL (Linux 6.13)");

	missing = 0;
	r = setup(&ring, 0);
	if (r < 0)
		return r;
	r = probe_operations(&ring);
	if (r == 0)
		probe_ring(&ring);
	io_uring_queue_exit(&ring);
	if (r == 0)
		probe_setups();
	return r == 0 ? missing : r;
}

static void forget_lock(void)
{
	pthread_mutex_init(&lock, NULL);
}

int probe_once(void)
{
	static bool watched;
	int r = 0;

	forked_call(&watched, forget_lock);
	pthread_mutex_lock(&lock);
	if (!probed) {
		r = probe();
		probed = r == 0; /* a refusal may pass: descriptors and memory come back */
	}
	pthread_mutex_unlock(&lock);
	return r;
}

int torc_probe(struct torc_feature *features, int count)
{
	int r = probe_once();

	for (int i = 0; i < count && i < FEATURE_COUNT; i++)
		features[i] = (struct torc_feature){ .name = feature_name((enum feature)i),
			                             .what = feature_what((enum feature)i),
			                             .why = feature_why((enum feature)i),
			                             .on = feature_on((enum feature)i) };
	return r < 0 ? r : FEATURE_COUNT;
}

const char *torc_probe_explain(int error)
{
	switch (error < 0 ? -(unsigned)error : (unsigned)error) {
	case 0:
		return "io_uring is available";
	case ENOSYS:
		return "this kernel has no io_uring, or one older than Linux 5.6: a newer kernel has it, "
		       "if built with CONFIG_IO_URING";
	case EPERM:
	case EACCES:
		return "io_uring is forbidden here: by the sysctl kernel.io_uring_disabled (0 allows it, 1 allows it to "
		       "kernel.io_uring_group), or by a seccomp filter or security module, as containers set up "
		       "(docker: --security-opt seccomp=PROFILE)";
	case ENOMEM:
		return "the ring does not fit into the locked memory allowed: raise RLIMIT_MEMLOCK (ulimit -l, "
		       "LimitMEMLOCK=), grant CAP_IPC_LOCK, or ask for fewer ring_entries";
	case EMFILE:
	case ENFILE:
		return "no file descriptor is left for the ring: raise RLIMIT_NOFILE (ulimit -n, LimitNOFILE=)";
	case EBUSY:
		return "an executor runs on this thread already";
	case EINVAL:
		return "an option is out of range";
	default:
		return strerror((int)(error < 0 ? -(unsigned)error : (unsigned)error));
	}
}
