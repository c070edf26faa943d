/* refused - where the kernel or the limits refuse a ring: torc_run returns the code, a line on stderr names cause and
 * cure, nothing is left behind. Each case runs in a process of its own, as filters and identities cannot be put back. */
#include "api.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif

static int program(void *arg)
{
	int *ran = arg;
	int r;

	++*ran;
	r = torc_sleep(TORC_MS);
	return r < 0 ? r : 23;
}

/* Let io_uring_setup(2) fail in `error` from here on, in this process for good. */
static void forbid_io_uring(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { LENGTH(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
		_exit(99);
}

static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 1000; fd++)
		count += fd_is_open(fd);
	return count;
}

/* Exit status: 0 when torc_run says what it should, twice, and leaves nothing open. */
static int run_forbidden(void *arg)
{
	int error = *(int *)arg, ran = 0, before = count_fds();
	struct torc_feature features[4];

	forbid_io_uring(error);
	for (int i = 0; i < 2; i++)
		if (torc_run(NULL, program, &ran) != -error)
			return 1;
	if (torc_probe(features, 4) != -error)
		return 2;
	if (ran != 0)
		return 3;
	return count_fds() == before ? 0 : 4;
}

static void assert_line(const char *text, const char *word)
{
	ck_assert_msg(strstr(text, word) != NULL, "\"%s\" is not said on stderr: %s", word, text);
}

static void skip_if_no_filter(const struct outcome *outcome)
{
	if (WIFEXITED(outcome->status) && WEXITSTATUS(outcome->status) == 99)
		SKIP("no seccomp filters here");
}

TEST(a_filter_that_says_eperm_is_named_with_its_cure)
{
	struct outcome outcome;

	run_in_process(&outcome, run_forbidden, &(int){ EPERM });
	skip_if_no_filter(&outcome);
	assert_exit(&outcome, 0);
	assert_line(outcome.text, "torc_run");
	assert_line(outcome.text, "seccomp");
	assert_line(outcome.text, "kernel.io_uring_disabled");
}

TEST(a_kernel_without_io_uring_is_named_with_its_cure)
{
	struct outcome outcome;

	run_in_process(&outcome, run_forbidden, &(int){ ENOSYS });
	skip_if_no_filter(&outcome);
	assert_exit(&outcome, 0);
	assert_line(outcome.text, "torc_run");
	assert_line(outcome.text, "kernel");
	assert_line(outcome.text, "Linux");
}

TEST(the_explanation_is_the_same_sentence)
{
	struct outcome outcome;
	int errors[] = { EPERM, ENOSYS };

	for (size_t i = 0; i < LENGTH(errors); i++) {
		run_in_process(&outcome, run_forbidden, &errors[i]);
		skip_if_no_filter(&outcome);
		assert_line(outcome.text, torc_probe_explain(-errors[i]));
	}
}

/* --- locked memory --------------------------------------------------------------------------- */

/* Give up all privileges, under a number that nobody else has: locked memory is counted by user, and the kernel takes its
 * time to give back what rings of processes that have ended held. */
static void become_nobody(rlim_t memlock)
{
	struct rlimit limit = { memlock, memlock };
	unsigned id = 1000000 + (unsigned)getpid();

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || setgid(id) < 0 || setuid(id) < 0)
		_exit(98);
}

struct memlock_case {
	rlim_t memlock;
	unsigned ring_entries;
};

static int echo_once(void *arg)
{
	struct torc_stream a, b;
	char buf[8];

	(void)arg;
	stream_pair(&a, &b);
	ck_assert_int_eq(torc_stream_write(&a, "hello", 5), 5);
	ck_assert_int_eq(torc_stream_read_exact(&b, buf, 5), 5);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
	return 0;
}

/* Exit status: 0 when it worked, 1 when it was refused with -ENOMEM, 2 for anything else. */
static int run_with_little_memory(void *arg)
{
	const struct memlock_case *c = arg;
	int r;

	become_nobody(c->memlock);
	r = torc_run(TORC_OPTIONS(torc_run_options, .ring_entries = c->ring_entries), echo_once, NULL);
	return r == 0 ? 0 : r == -ENOMEM ? 1 : 2;
}

static void assert_works_or_explains(rlim_t memlock, unsigned ring_entries, bool must_work)
{
	struct memlock_case c = { memlock, ring_entries };
	struct outcome outcome;

	run_in_process(&outcome, run_with_little_memory, &c);
	if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 98)
		SKIP("this user cannot become nobody");
	ck_assert_msg(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) <= (must_work ? 0 : 1),
	              "memlock %lu, %u entries: status %x; stderr: %s", (unsigned long)memlock, ring_entries,
	              (unsigned)outcome.status, outcome.text);
	if (WEXITSTATUS(outcome.status) == 1) {
		assert_line(outcome.text, "RLIMIT_MEMLOCK");
		assert_line(outcome.text, "ulimit -l");
	}
}

TEST(where_locked_memory_is_short_the_ring_shrinks_or_the_error_says_so)
{
	const rlim_t limits[] = { 0, 4096, 16384, 65536, 256 << 10, 1 << 20 };

	for (size_t i = 0; i < LENGTH(limits); i++) {
		assert_works_or_explains(limits[i], 0, false);
		assert_works_or_explains(limits[i], 8, false);
		assert_works_or_explains(limits[i], 32768, false);
	}
}

TEST(a_shrunken_ring_works_with_the_locked_memory_that_distributions_allow)
{
	assert_works_or_explains(8 << 20, 0, true);
	assert_works_or_explains(8 << 20, 32768, true);
	assert_works_or_explains(64 << 10, 8, true);
}

static int run_without_descriptors(void *arg)
{
	struct rlimit none = { 0, 0 };
	int ran = 0;

	(void)arg;
	if (setrlimit(RLIMIT_NOFILE, &none) < 0)
		return 98;
	return torc_run(NULL, program, &ran) == -EMFILE && ran == 0 ? 0 : 1;
}

TEST(without_a_descriptor_for_the_ring_run_is_emfile_and_says_so)
{
	struct outcome outcome;

	run_in_process(&outcome, run_without_descriptors, NULL);
	if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 98)
		SKIP("the limit cannot be lowered here, as under valgrind");
	assert_exit(&outcome, 0);
	assert_line(outcome.text, "RLIMIT_NOFILE");
	assert_line(outcome.text, "ulimit -n");
}

static int run_again_with_descriptors(void *arg)
{
	struct rlimit old, none;
	int ran = 0;

	(void)arg;
	if (getrlimit(RLIMIT_NOFILE, &old) < 0)
		return 98;
	none = (struct rlimit){ 0, old.rlim_max };
	if (setrlimit(RLIMIT_NOFILE, &none) < 0 || torc_run(NULL, program, &ran) != -EMFILE)
		return 1;
	if (setrlimit(RLIMIT_NOFILE, &old) < 0)
		return 98;
	return torc_run(NULL, program, &ran) == 23 && ran == 1 ? 0 : 2;
}

TEST(a_refusal_for_want_of_descriptors_does_not_last)
{
	struct outcome outcome;

	run_in_process(&outcome, run_again_with_descriptors, NULL);
	assert_exit(&outcome, 0);
}

TEST(a_run_that_works_says_nothing)
{
	struct memlock_case c = { 8 << 20, 0 };
	struct outcome outcome;

	run_in_process(&outcome, run_with_little_memory, &c);
	if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 98)
		SKIP("this user cannot become nobody");
	assert_exit(&outcome, 0);
	ck_assert_str_eq(outcome.text, "");
}
