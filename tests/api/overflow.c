/* overflow - a fiber that uses up its stack ends the process with a message that names it; and what a stack costs that is
 * hardly used: a hundred thousand, a million of them. */
#include "api.h"

#include <regex.h>
#include <signal.h>

/* --- too deep -------------------------------------------------------------------------------- */

static int overflow_deeply(int levels)
{
	volatile char frame[512];

	frame[0] = (char)levels;
	frame[511] = frame[0];
	if (levels == 0)
		return frame[511];
	return overflow_deeply(levels - 1) + frame[0] - frame[511];
}

static int overflowing_fiber(void *arg)
{
	return overflow_deeply(*(volatile int *)arg);
}

static int spawn_overflowing(void *arg)
{
	TORC_SCOPE(scope);

	ck_assert_int_eq(torc_go(scope, overflowing_fiber, arg), 0);
	return torc_scope_join(scope);
}

static int run_overflowing(void *arg)
{
	int forever = 1 << 30;

	return torc_run(TORC_OPTIONS(torc_run_options, .stack_size = *(size_t *)arg), spawn_overflowing, &forever);
}

static void assert_overflow(size_t stack_size)
{
	struct outcome outcome;
	regmatch_t match[2];
	regex_t regex;
	size_t said;

	run_in_process(&outcome, run_overflowing, &stack_size);
	ck_assert_msg(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGSEGV, "status %d; stderr: %s",
	              outcome.status, outcome.text);
	ck_assert_int_eq(regcomp(&regex,
	                         "^torc: stack overflow in fiber overflowing_fiber at "
	                         ".*overflow\\.c:[0-9]+: its ([0-9]+) bytes",
	                         REG_EXTENDED | REG_NEWLINE),
	                 0);
	ck_assert_msg(regexec(&regex, outcome.text, 2, match, 0) == 0, "stderr: %s", outcome.text);
	said = strtoul(outcome.text + match[1].rm_so, NULL, 10);
	ck_assert_uint_le(said, stack_size);
	ck_assert_uint_ge(said, stack_size - 8192);
	regfree(&regex);
}

TEST(a_stack_overflow_names_the_fiber_and_its_size)
{
	if (harness_slow())
		SKIP("the sanitizer handles SIGSEGV itself");
	assert_overflow(64 * 1024);
	assert_overflow(16 * 1024);
	assert_overflow(1 << 20);
}

/* With frames of such a size, of which little is touched. */
static __attribute__((noinline)) int leap(size_t frame, int levels)
{
	volatile char *room = __builtin_alloca(frame);

	room[0] = (char)levels;
	return levels == 0 ? room[0] : leap(frame, levels - 1) + room[0];
}

static int leaper(void *arg)
{
	size_t frame = *(size_t *)arg;

	return leap(frame, (int)(65536 / frame)) & 1; /* two frames too many */
}

static int bystander(void *arg)
{
	(void)arg;
	return torc_sleep(FOREVER);
}

static int leap_among_others(void *arg)
{
	TORC_SCOPE(scope);

	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(torc_go(scope, bystander, NULL), 0);
	ck_assert_int_eq(torc_go(scope, leaper, arg), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	return 0;
}

static int run_leaping(void *arg)
{
	return torc_run(NULL, leap_among_others, arg);
}

TEST(nobody_leaps_over_the_guard_with_a_larger_frame)
{
	if (harness_slow())
		SKIP("the sanitizer handles SIGSEGV itself");
	for (size_t frame = 2000; frame <= 16000; frame += 500) {
		struct outcome outcome;

		run_in_process(&outcome, run_leaping, &frame);
		ck_assert_msg(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGSEGV,
		              "frames of %zu bytes: status %x", frame, (unsigned)outcome.status);
		ck_assert_msg(strstr(outcome.text, "torc: stack overflow in fiber leaper "), "frames of %zu bytes: %s",
		              frame, outcome.text);
	}
}

static int overflowing_root(void *arg)
{
	return overflow_deeply(*(volatile int *)arg);
}

static int run_overflowing_root(void *arg)
{
	return torc_run(NULL, overflowing_root, arg);
}

TEST(a_stack_overflow_of_the_root_is_told_too)
{
	struct outcome outcome;
	int forever = 1 << 30;

	if (harness_slow())
		SKIP("the sanitizer handles SIGSEGV itself");
	run_in_process(&outcome, run_overflowing_root, &forever);
	ck_assert(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGSEGV);
	ck_assert_msg(strstr(outcome.text, "torc: stack overflow in fiber ") != NULL, "stderr: %s", outcome.text);
}

static int touch_null(void *arg)
{
	int *volatile null = NULL;

	(void)arg;
	return *null;
}

static int run_touching_null(void *arg)
{
	return torc_run(NULL, touch_null, arg);
}

TEST(another_fault_is_not_mistaken_for_an_overflow)
{
	struct outcome outcome;

	if (harness_slow())
		SKIP("the sanitizer handles SIGSEGV itself");
	run_in_process(&outcome, run_touching_null, NULL);
	ck_assert(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGSEGV);
	ck_assert_msg(strstr(outcome.text, "overflow") == NULL, "stderr: %s", outcome.text);
}

static int send_segv(void *arg)
{
	(void)arg;
	kill(getpid(), SIGSEGV);
	return 0;
}

static int run_sending_segv(void *arg)
{
	return torc_run(NULL, send_segv, arg);
}

TEST(a_segv_that_somebody_sends_ends_the_process_as_well)
{
	struct outcome outcome;

	if (harness_slow())
		SKIP("the sanitizer handles SIGSEGV itself");
	run_in_process(&outcome, run_sending_segv, NULL);
	ck_assert_msg(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGSEGV, "status %x",
	              (unsigned)outcome.status);
	ck_assert_msg(strstr(outcome.text, "overflow") == NULL, "stderr: %s", outcome.text);
}

static void own_handler(int signal)
{
	(void)signal;
	_exit(77);
}

static int run_with_own_handler(void *arg)
{
	struct sigaction action = { .sa_handler = own_handler, .sa_flags = SA_ONSTACK };

	ck_assert_int_eq(sigaction(SIGSEGV, &action, NULL), 0);
	return torc_run(NULL, touch_null, arg);
}

TEST(a_programs_own_handler_is_called_all_the_same)
{
	struct outcome outcome;

	if (harness_slow())
		SKIP("the sanitizer handles SIGSEGV itself");
	run_in_process(&outcome, run_with_own_handler, NULL);
	assert_exit(&outcome, 77);
}

static int use_most_of_it(void *arg)
{
	return overflow_deeply(*(volatile int *)arg);
}

TEST_IN_FIBER(a_stack_holds_what_was_asked_for)
{
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	int levels = 40000 / 600; /* a frame is 512 bytes and some: 40 of 64 KiB */

	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(torc_go(scope, use_most_of_it, &levels), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
}

/* --- too many? ------------------------------------------------------------------------------- */

static size_t field_kib(const char *path, const char *name)
{
	FILE *file = fopen(path, "re");
	size_t kib = 0;
	char line[256];

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			kib = strtoul(line + strlen(name), NULL, 10);
	fclose(file);
	return kib;
}

static int park_forever(void *arg)
{
	(void)arg;
	return torc_sleep(FOREVER);
}

/* What each of `count` parked fibers adds to the process' resident memory, and to its page tables. */
static void assert_memory_of(int count)
{
	size_t page_kib = (size_t)sysconf(_SC_PAGESIZE) / 1024, rss, tables, fibers_kib = (size_t)count * page_kib;
	int r = 0;
	TORC_SCOPE(scope);

	rss = field_kib("/proc/self/smaps_rollup", "Rss:");
	tables = field_kib("/proc/self/status", "VmPTE:");
	for (int i = 0; i < count && r == 0; i++)
		r = torc_go(scope, park_forever, NULL);
	ck_assert_int_eq(r, 0);
	torc_yield();
	ck_assert_uint_eq(stats_now().fibers, (uint64_t)count + 1);
	rss = field_kib("/proc/self/smaps_rollup", "Rss:") - rss;
	tables = field_kib("/proc/self/status", "VmPTE:") - tables;
	ck_assert_msg(rss <= fibers_kib + fibers_kib / 10, "%d fibers take %zu KiB", count, rss);
	ck_assert_uint_ge(rss, fibers_kib); /* or this test measures nothing */
	/* A table page of 512 entries maps 32 stacks of 64 KiB. */
	ck_assert_msg(tables <= fibers_kib / 32 + fibers_kib / 100 + 256, "%zu KiB of page tables", tables);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	ck_assert_uint_eq(stats_now().fibers, 1);
}

TEST_IN_FIBER_TIMEOUT(a_hundred_thousand_parked_fibers_take_a_page_each, 60)
{
	if (harness_slow())
		SKIP("shadow memory counts as well");
	if (!feature_is_on("guard_install"))
		SKIP("each stack takes a mapping here, of which there are some 65,530");
	assert_memory_of(100000);
}

TEST_IN_FIBER_TIMEOUT(a_million_parked_fibers_take_a_page_each, 120)
{
	if (harness_slow())
		SKIP("shadow memory counts as well");
	if (!feature_is_on("guard_install"))
		SKIP("each stack takes a mapping here, of which there are some 65,530");
	if (field_kib("/proc/meminfo", "MemAvailable:") < 8u << 20)
		SKIP("less than 8 GiB of memory are free");
	assert_memory_of(1000000);
}

static int sleep_a_moment(void *arg)
{
	(void)arg;
	return torc_sleep(TORC_MS);
}

TEST_IN_FIBER_TIMEOUT(stacks_are_used_again, 60)
{
	uint64_t bytes = 0;

	for (int round = 0; round < 10; round++) {
		TORC_SCOPE(scope);

		for (int i = 0; i < COUNT(10000, 500); i++)
			ck_assert_int_eq(torc_go(scope, sleep_a_moment, NULL), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		if (round == 0)
			bytes = stats_now().stack_bytes;
		ck_assert_uint_eq(stats_now().stack_bytes, bytes);
	}
}
