/* Proof that the harness can fail: each hidden test below breaks one rule, and a visible one
 * runs it in a process of its own and wants to see it reported. */
#include "harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* --- what must be caught --------------------------------------------------------------------- */

TEST_HIDDEN(bad_assertion, 10)
{
	ck_assert_int_eq(1, 2);
}

static ucontext_t main_context, other_context;

static void fail_elsewhere(void)
{
	ck_assert_int_eq(3, 4);
}

TEST_HIDDEN(bad_assertion_on_other_stack, 10)
{
	static char stack[256 * 1024];

	getcontext(&other_context);
	other_context.uc_stack.ss_sp = stack;
	other_context.uc_stack.ss_size = sizeof stack;
	other_context.uc_link = &main_context;
	makecontext(&other_context, fail_elsewhere, 0);
	swapcontext(&main_context, &other_context);
}

static void *fail_in_thread(void *arg)
{
	ck_assert_int_eq(5, 6);
	return arg;
}

TEST_HIDDEN(bad_assertion_in_thread, 10)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, fail_in_thread, NULL), 0);
	pthread_join(thread, NULL);
}

TEST_HIDDEN(bad_fd, 10)
{
	ck_assert_int_ge(open("/dev/null", O_RDONLY), 0);
}

TEST_HIDDEN(bad_lost_fd, 10)
{
	close(STDIN_FILENO);
}

TEST_HIDDEN(bad_mapping, 10)
{
	void *memory = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert_ptr_ne(memory, MAP_FAILED);
}

static void *sleep_forever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

TEST_HIDDEN(bad_thread, 10)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, sleep_forever, NULL), 0);
}

TEST_HIDDEN(bad_early_exit, 10)
{
	exit(0);
}

TEST_HIDDEN(bad_crash, 10)
{
	raise(SIGSEGV);
}

TEST_HIDDEN(bad_timeout, 1)
{
	sleep_forever(NULL);
}

DEATH_HIDDEN(bad_death_message, "expected words")
{
	fputs("other words\n", stderr);
	abort();
}

DEATH_HIDDEN(bad_survivor, "expected words")
{
	fputs("expected words\n", stderr);
}

DEATH_HIDDEN(bad_death_signal, "expected words")
{
	fputs("expected words\n", stderr);
	raise(SIGTERM);
}

TEST_HIDDEN(skips, 10)
{
	SKIP("no such device");
}

/* --- catching it ----------------------------------------------------------------------------- */

static char output[32 * 1024];

/* Run one hidden test; its output is in `output`, its exit status returned. */
static int run(const char *name)
{
	char command[700], self[512] = "";
	size_t len;
	FILE *pipe;

	ck_assert_int_gt(readlink("/proc/self/exe", self, sizeof self - 1), 0);
	snprintf(command, sizeof command, "unset HARNESS_NO_FORK; HARNESS_TIMEOUT_SCALE=1 exec '%s' %s 2>&1", self,
	         name);
	pipe = popen(command, "re");
	ck_assert_ptr_nonnull(pipe);
	len = fread(output, 1, sizeof output - 1, pipe);
	output[len] = 0;
	return WEXITSTATUS(pclose(pipe));
}

static void expect_failure(const char *name, const char *words)
{
	ck_assert_int_eq(run(name), 1);
	ck_assert_msg(strstr(output, words) != NULL, "no \"%s\" in: %s", words, output);
	ck_assert_msg(strstr(output, "harness: 0 passed, 1 failed, 0 skipped\n") != NULL, "no count in: %s", output);
}

TEST(failed_assertion_fails)
{
	expect_failure("bad_assertion", "1 == 2");
}

TEST(failed_assertion_on_another_stack_fails)
{
	expect_failure("bad_assertion_on_other_stack", "3 == 4");
}

TEST(failed_assertion_in_another_thread_fails)
{
	expect_failure("bad_assertion_in_thread", "5 == 6");
}

TEST(leaked_fd_is_named)
{
	expect_failure("bad_fd", "(/dev/null)");
}

TEST(lost_fd_is_named)
{
	expect_failure("bad_lost_fd", "lost fd 0");
}

TEST(leaked_mapping_is_named)
{
	if (harness_slow())
		SKIP("sanitizers map memory of their own");
	expect_failure("bad_mapping", "1048576 new bytes");
}

TEST(leaked_thread_is_counted)
{
	expect_failure("bad_thread", " threads: ");
}

TEST(early_exit_is_no_pass)
{
	expect_failure("bad_early_exit", "ended before the test did");
}

TEST(crash_fails)
{
	expect_failure("bad_crash", "ignal");
}

TEST(timeout_fails)
{
	expect_failure("bad_timeout", "imeout");
}

TEST(death_with_other_words_fails)
{
	expect_failure("bad_death_message", "does not match");
}

TEST(survivor_fails)
{
	expect_failure("bad_survivor", "wanted signal 6, got exit status 0");
}

TEST(death_by_another_signal_fails)
{
	expect_failure("bad_death_signal", "wanted signal 6, got signal 15");
}

TEST(skip_is_counted)
{
	ck_assert_int_eq(run("skips"), 77);
	ck_assert_ptr_nonnull(strstr(output, "no such device"));
	ck_assert_ptr_nonnull(strstr(output, "harness: 0 passed, 0 failed, 1 skipped\n"));
}

TEST(unknown_name_is_refused)
{
	ck_assert_int_eq(run("no_such_test"), 2);
}

/* --- what must not be caught ----------------------------------------------------------------- */

static void *touch(void *arg)
{
	free(malloc(1 << 20));
	return arg;
}

TEST(threads_and_memory_given_back_are_fine)
{
	pthread_t threads[4];
	void *memory = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *block = malloc(4 << 20);

	ck_assert_ptr_ne(memory, MAP_FAILED);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, touch, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	memset(block, 1, 4 << 20);
	free(block);
	munmap(memory, 1 << 20);
}

DEATH(abort_with_the_words_is_fine, "^some .*words$")
{
	fputs("some expected words", stderr);
	abort();
}
