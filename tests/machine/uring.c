/* uring.c - the kernel's machine: the same behaviour whatever features are there. Each test runs in a process of its own,
 * so each probes anew. */
#include "machine/uring.h"

#include "harness.h"
#include "machine/clock.h"
#include "machine/feature.h"
#include "machine/probe.h"

#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

static const int64_t MS = 1000000;

/* What is to happen soon happens long before this, on a busy machine too. */
static const int64_t AGES = 60000 * 1000000LL;

static struct uring ring;

static void open_without(const char *features)
{
	if (features)
		setenv("TORC_DISABLE", features, 1);
	if (probe_once() < 0)
		SKIP("no io_uring here");
	ck_assert_int_eq(uring_open(&ring, &uring_kernel, 8, 64), 0);
	ck_assert_uint_eq(uring_sq_entries(&ring), 8);
	ck_assert_uint_ge(uring_cq_entries(&ring), 16);
}

static void ask(unsigned opcode, int fd, uint64_t user_data)
{
	struct io_uring_sqe *sqe = uring_next(&ring);

	ck_assert_ptr_nonnull(sqe);
	uring_prepare(sqe, opcode, fd, NULL, 0);
	if (opcode == IORING_OP_POLL_ADD)
		sqe->poll32_events = POLLIN;
	sqe->user_data = user_data;
}

/* Until an answer is there; it must be this one. */
static void expect(uint64_t user_data, int result)
{
	int64_t limit = clock_now() + AGES;

	while (uring_answers(&ring) == 0 && clock_now() < limit)
		ck_assert_int_eq(uring_enter(&ring, true, limit), 0);
	ck_assert_uint_gt(uring_answers(&ring), 0);
	ck_assert_uint_eq(uring_answer(&ring, 0)->user_data, user_data);
	ck_assert_int_eq(uring_answer(&ring, 0)->res, result);
	uring_drop(&ring, 1);
}

static void nops(void)
{
	for (uint64_t batch = 0; batch < 100; batch++) {
		for (uint64_t i = 0; i < 8; i++)
			ask(IORING_OP_NOP, -1, batch * 8 + i);
		ck_assert_ptr_null(uring_next(&ring));
		ck_assert_uint_eq(uring_unsubmitted(&ring), 8);
		ck_assert_int_eq(uring_enter(&ring, true, INT64_MAX), 0);
		ck_assert_uint_eq(uring_unsubmitted(&ring), 0);
		for (uint64_t i = 0; i < 8; i++)
			expect(batch * 8 + i, 0);
	}
}

static void deadlines(void)
{
	static const int64_t spans[] = { 0, 1, 100000, 5000000, 30000000 };
	int64_t begin;

	for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
		begin = clock_now();
		while (clock_now() < begin + spans[i]) /* a wait may end for no reason */
			ck_assert_int_eq(uring_enter(&ring, true, begin + spans[i]), 0);
		ck_assert_int_lt(clock_now() - begin, AGES);
	}
	begin = clock_now();
	ck_assert_int_eq(uring_enter(&ring, true, begin - 1000 * MS), 0);
	ck_assert_int_eq(uring_enter(&ring, true, 0), 0);
	ck_assert_int_lt(clock_now() - begin, AGES);
	ck_assert_uint_eq(uring_answers(&ring), 0);
}

/* What is asked together with a wait is on its way, and ends the wait before its deadline. */
static void an_answer_in_time(void)
{
	int ends[2];
	int64_t begin = clock_now();
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	ask(IORING_OP_POLL_ADD, ends[0], 77);
	ck_assert_int_eq(uring_enter(&ring, true, begin + 3 * MS), 0);
	ck_assert_uint_eq(uring_answers(&ring), 0);
	pid = fork();
	if (pid == 0) {
		usleep(20000);
		_exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
	}
	begin = clock_now();
	while (uring_answers(&ring) == 0 && clock_now() < begin + AGES)
		ck_assert_int_eq(uring_enter(&ring, true, begin + 2 * AGES), 0);
	ck_assert_int_lt(clock_now() - begin, AGES);
	expect(77, POLLIN);
	close(ends[0]);
	close(ends[1]);
}

/* Without a wait an answer is made at the next enter, or before. */
static void an_answer_unwaited_for(void)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ask(IORING_OP_POLL_ADD, ends[0], 78);
	ck_assert_int_eq(uring_enter(&ring, false, INT64_MAX), 0);
	ck_assert_uint_eq(uring_answers(&ring), 0);
	ck_assert_int_eq((int)write(ends[1], "x", 1), 1);
	ck_assert_int_eq(uring_enter(&ring, false, INT64_MAX), 0);
	ck_assert_uint_eq(uring_answers(&ring), 1);
	expect(78, POLLIN);
	close(ends[0]);
	close(ends[1]);
}

static void ticked(int signal)
{
	(void)signal;
}

static void a_signal(void)
{
	/* Again and again: the first may come before the wait. */
	struct itimerval soon = { { 0, 10000 }, { 0, 10000 } }, never = { 0 };
	struct sigaction action = { .sa_handler = ticked };
	int64_t begin = clock_now();

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	ck_assert_int_eq(uring_enter(&ring, true, begin + 2 * AGES), 0);
	ck_assert_int_lt(clock_now() - begin, AGES);
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
}

static void all_of_it(const char *without)
{
	open_without(without);
	nops();
	deadlines();
	an_answer_in_time();
	an_answer_unwaited_for();
	a_signal();
	nops();
	uring_close(&ring);
}

TEST(the_ring_works)
{
	all_of_it(NULL);
}

#define WITHOUT(feature)                       \
	TEST(the_ring_works_without_##feature) \
	{                                      \
		all_of_it(#feature);           \
	}

WITHOUT(single_issuer)
WITHOUT(defer_taskrun)
WITHOUT(coop_taskrun)
WITHOUT(taskrun_flag)
WITHOUT(submit_all)
WITHOUT(cqsize)
WITHOUT(clamp)
WITHOUT(ring_fd)
WITHOUT(ext_arg)
WITHOUT(no_iowait)
WITHOUT(multishot_accept)
WITHOUT(poll_first)
WITHOUT(guard_install)
WITHOUT(all)

TEST(the_ring_works_without_defer_taskrun_and_coop_taskrun)
{
	all_of_it("defer_taskrun,coop_taskrun");
}

TEST(the_ring_works_without_defer_taskrun_and_ext_arg)
{
	all_of_it("defer_taskrun,ext_arg");
}

TEST(with_task_work_deferred_one_load_tells_of_answers)
{
	int ends[2];

	open_without(NULL);
	if (!feature_on(FEATURE_TASKRUN_FLAG) || !feature_on(FEATURE_DEFER_TASKRUN))
		SKIP("no deferred task work");
	ck_assert_int_eq(pipe(ends), 0);
	ask(IORING_OP_POLL_ADD, ends[0], 1);
	ck_assert_int_eq(uring_enter(&ring, false, INT64_MAX), 0);
	ck_assert(!uring_withholds(&ring));
	ck_assert_int_eq((int)write(ends[1], "x", 1), 1);
	ck_assert(uring_withholds(&ring));
	expect(1, POLLIN);
	ck_assert(!uring_withholds(&ring));
	uring_close(&ring);
	close(ends[0]);
	close(ends[1]);
}

/* As nobody: root's rings are not charged. */
static void with_locked_memory(rlim_t bytes)
{
	struct rlimit limit = { bytes, bytes };

	if (getuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		SKIP("cannot become nobody");
	setrlimit(RLIMIT_MEMLOCK, &limit);
}

TEST(whoever_may_lock_little_memory_gets_a_small_ring)
{
	with_locked_memory(64 << 10);
	if (probe_once() < 0)
		SKIP("no io_uring for nobody");
	ck_assert_int_eq(uring_open(&ring, &uring_kernel, 4096, 65536), 0);
	ck_assert_uint_ge(uring_sq_entries(&ring), 8);
	ck_assert_uint_ge(uring_cq_entries(&ring), 16);
	ask(IORING_OP_NOP, -1, 5);
	expect(5, 0);
	uring_close(&ring);
}

TEST(whoever_may_lock_none_is_told_so)
{
	int r;

	if (probe_once() < 0)
		SKIP("no io_uring here");
	with_locked_memory(0);
	r = uring_open(&ring, &uring_kernel, 4096, 65536);
	ck_assert(r == 0 || r == -ENOMEM); /* some kernels charge nothing */
	if (r == 0)
		uring_close(&ring);
}

TEST(rings_come_and_go_without_a_trace)
{
	open_without(NULL);
	uring_close(&ring);
	for (int i = 0; i < (harness_slow() ? 50 : 500); i++) {
		ck_assert_int_eq(uring_open(&ring, &uring_kernel, 8, 64), 0);
		ask(IORING_OP_NOP, -1, 5);
		expect(5, 0);
		uring_close(&ring);
	}
}

TEST(without_descriptors_there_is_no_ring)
{
	struct rlimit old, none;

	open_without(NULL);
	uring_close(&ring);
	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	ck_assert_int_eq(uring_open(&ring, &uring_kernel, 8, 64), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &old);
}

/* --- bells ------------------------------------------------------------------------------------------- */

/* A bell that was rung just before the wait is heard. */
static void bells(void)
{
	for (int i = 0; i < 20; i++) {
		int64_t before = clock_now();

		uring_bell(&ring);
		ck_assert_int_eq(uring_enter(&ring, true, before + 2 * AGES), 0);
		ck_assert_int_lt(clock_now() - before, AGES);
		while (uring_answers(&ring) > 0) {
			if (uring_answer(&ring, 0)->user_data == URING_EVENTFD_ID)
				ring.listening = false;
			uring_drop(&ring, 1);
		}
	}
	uring_close(&ring);
}

TEST_TIMEOUT(a_bell_before_the_wait_is_heard, 60)
{
	open_without(NULL);
	bells();
}

TEST_TIMEOUT(a_bell_before_the_wait_is_heard_through_an_eventfd, 60)
{
	open_without("register_msg");
	bells();
}

TEST_TIMEOUT(a_bell_before_the_wait_is_heard_without_any_feature, 60)
{
	open_without("all");
	bells();
}

/* Those that wait for what may never come fill the queue just when the wait begins: a bell is heard all the same, by an
 * answer or by not waiting. */
static void bells_behind_a_full_queue(void)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	for (int i = 0; i < 3; i++) {
		while (uring_unsubmitted(&ring) < uring_sq_entries(&ring))
			ask(IORING_OP_POLL_ADD, ends[0], 5);
		uring_bell(&ring);
		for (int enters = 0; enters < 2 && uring_answers(&ring) == 0; enters++)
			ck_assert_int_eq(uring_enter(&ring, true, INT64_MAX), 0);
		for (; uring_answers(&ring) > 0; uring_drop(&ring, 1)) {
			ck_assert_uint_ne(uring_answer(&ring, 0)->user_data, 5);
			if (uring_answer(&ring, 0)->user_data == URING_EVENTFD_ID)
				ring.listening = false;
		}
	}
	uring_close(&ring);
	close(ends[0]);
	close(ends[1]);
}

TEST(a_bell_is_heard_behind_a_full_queue)
{
	open_without(NULL);
	bells_behind_a_full_queue();
}

TEST(a_bell_is_heard_behind_a_full_queue_through_an_eventfd)
{
	open_without("register_msg");
	bells_behind_a_full_queue();
}

TEST(a_bell_is_heard_behind_a_full_queue_without_any_feature)
{
	open_without("all");
	bells_behind_a_full_queue();
}

/* --- a kernel that takes few ------------------------------------------------------------------------- */

static unsigned takes_most = UINT32_MAX;

/* In the place of liburing's. A kernel that is short of memory takes some, does not wait, and says how many. */
int io_uring_enter2(unsigned fd, unsigned submit, unsigned wait, unsigned flags, sigset_t *arg, size_t size)
{
	static int (*enter)(unsigned, unsigned, unsigned, unsigned, sigset_t *, size_t);

	if (!enter)
		*(void **)&enter = dlsym(RTLD_NEXT, "io_uring_enter2");
	if (submit <= takes_most)
		return enter(fd, submit, wait, flags, arg, size);
	return enter(fd, takes_most, 0, flags & ~IORING_ENTER_EXT_ARG, NULL, 0);
}

/* What was not taken is not waited for, but handed over again. */
static void taken_by_and_by(void)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ask(IORING_OP_POLL_ADD, ends[0], 5); /* never answered */
	ask(IORING_OP_NOP, -1, 6);
	takes_most = 1;
	for (int enters = 0; enters < 3 && uring_answers(&ring) == 0; enters++)
		ck_assert_int_eq(uring_enter(&ring, true, INT64_MAX), 0);
	takes_most = UINT32_MAX;
	expect(6, 0);
	uring_close(&ring);
	close(ends[0]);
	close(ends[1]);
}

TEST(what_the_kernel_does_not_take_is_not_waited_for)
{
	open_without(NULL);
	taken_by_and_by();
}

TEST(nor_is_it_without_ext_arg)
{
	open_without("ext_arg");
	taken_by_and_by();
}
