/* counts.h - what an operation costs, counted rather than timed: calls of the allocator, system calls, instructions.
 *
 * The program counted runs in a child process. It says where the warm part begins and ends (counting_begin, _end);
 * its calls of malloc and its kin are counted by defining them here, its system calls by ptrace(2) from outside, its
 * instructions by single steps. What the tracer and the child share lies in one mapping.
 *
 * Relies on torc, libc and api.h. Each test begins with COUNTS_MEAN_SOMETHING(). */
#ifndef TESTS_COUNTS_H
#define TESTS_COUNTS_H

#include "api/api.h"
#include "machine/feature.h"
#include "machine/probe.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <linux/ptrace.h>

/* Before calls of the system are counted: is io_uring_enter the only one that waits for a while? */
#define ENTER_KEEPS_THE_TIME()                                          \
	do {                                                            \
		if (probe_once() < 0 || !feature_on(FEATURE_EXT_ARG))   \
			SKIP("without ext_arg poll(2) keeps the time"); \
	} while (0)

/* Sanitizers and valgrind allocate, call and step on their own account. */
#define COUNTS_MEAN_SOMETHING()                                                    \
	do {                                                                       \
		if (harness_slow())                                                \
			SKIP("counts mean nothing under a sanitizer or valgrind"); \
	} while (0)

enum { CALLS_MOST = 1024, OFTEN = 200 };

struct tally {
	atomic_int counting;
	long allocations;
	struct torc_stats before, after;
	/* by the tracer */
	long calls[CALLS_MOST]; /* by number; the vDSO's make none */
	long steps;
};

static struct tally *tally;

/* --- allocations ----------------------------------------------------------------------------- */

static atomic_long allocations;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTS_NO_MALLOC
#endif
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(TORC_VALGRIND) && \
	!defined(COUNTS_NO_MALLOC) && defined(__GLIBC__)

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	allocations++;
	return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	allocations++;
	return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	allocations++;
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
	allocations++;
	*memory = __libc_memalign(alignment, size);
	return *memory ? 0 : ENOMEM;
}

void free(void *memory)
{
	allocations++;
	__libc_free(memory);
}

#endif

/* --- in the child ---------------------------------------------------------------------------- */

/* Where counting goes on: ck_assert allocates. */
#define MUST(fact) ((fact) ? (void)0 : (fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #fact), abort()))

/* From here on, in a fiber. The tracer looks when the next system call is made, so one is made. */
static inline void counting_begin(void)
{
	tally->before = stats_now();
	tally->allocations = -allocations;
	tally->counting = 1;
	syscall(SYS_getppid);
}

static inline void counting_end(void)
{
	tally->counting = 0;
	tally->allocations += allocations;
	tally->after = stats_now();
}

/* --- the tracer ------------------------------------------------------------------------------ */

enum counted { CALLS, INSTRUCTIONS };

static inline void trace_call(pid_t pid)
{
	struct ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	if (tally->counting && info.entry.nr != SYS_getppid && info.entry.nr < CALLS_MOST)
		tally->calls[info.entry.nr]++;
}

/* Until it ends; its wait status. */
static inline int trace_loop(pid_t pid, enum counted counted)
{
	int status;

	for (;;) { /* ends with the child, at the latest by the harness' time limit */
		bool step = counted == INSTRUCTIONS && tally->counting;
		int signal = 0;

		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			return status;
		if (WSTOPSIG(status) == (SIGTRAP | 0x80))
			trace_call(pid);
		else if (WSTOPSIG(status) == SIGTRAP)
			tally->steps += step;
		else if (WSTOPSIG(status) != SIGSTOP)
			signal = WSTOPSIG(status);
		ck_assert_int_eq(ptrace(step ? PTRACE_SINGLESTEP : PTRACE_SYSCALL, pid, 0, signal), 0);
	}
}

/* Run fn as the first fiber of a process of its own, and count. */
static inline void count(enum counted counted, torc_fn *fn, void *arg)
{
	int status;
	pid_t pid;

	tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(tally != MAP_FAILED);
	fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			_exit(77);
		raise(SIGSTOP);
		_exit(torc_run(NULL, fn, arg) == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		munmap(tally, sizeof *tally);
		SKIP("ptrace is forbidden here");
	}
	ck_assert(WIFSTOPPED(status));
	ck_assert_int_eq(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
	ck_assert_int_eq(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
	status = trace_loop(pid, counted);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with status %#x", status);
}

static inline void counted(void)
{
	munmap(tally, sizeof *tally);
}

/* Where the clock is no vDSO's, reading it is a call and none of torc's fault. */
static inline bool is_clock(long call)
{
#ifdef SYS_clock_gettime
	return call == SYS_clock_gettime;
#else
	return (void)call, false;
#endif
}

static inline void assert_no_call_but(long allowed)
{
	for (long call = 0; call < CALLS_MOST; call++)
		ck_assert_msg(tally->calls[call] == 0 || call == allowed || is_clock(call),
		              "%ld times system call number %ld", tally->calls[call], call);
}

static inline void assert_no_allocation(void)
{
	ck_assert_msg(tally->allocations == 0, "%ld calls of malloc, free and their kin", tally->allocations);
}

#endif
