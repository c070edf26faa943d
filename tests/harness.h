/* harness.h - tests on top of check.
 *
 * A TEST runs in a forked child. After its body a census compares open file descriptors,
 * mappings and threads with what was there before; what is left over fails the test by name.
 * Every executable ends with one line for machines:
 *
 *	harness: 12 passed, 0 failed, 1 skipped
 *
 * Run one test with `./test_x name`, list them with `./test_x --list`. HARNESS_NO_FORK=1 keeps
 * everything in one process (debuggers), HARNESS_TIMEOUT_SCALE=n stretches the time limits. */
#ifndef HARNESS_H
#define HARNESS_H
#include <check.h>
#include <signal.h>

/* TEST(listener_survives_emfile) { ... ck_assert_int_eq(r, 0); }
 * ck_assert may fail on any stack and on any thread. */
#define TEST(name)                HARNESS_TEST_(name, .seconds = HARNESS_SECONDS)
#define TEST_TIMEOUT(name, limit) HARNESS_TEST_(name, .seconds = (limit))

/* DEATH(left_out_of_order, "torc_scope_join: .*order") { ... }
 * The body must end in SIGABRT (DEATH_BY: in that signal) and say so on stderr: an extended
 * regular expression. The body runs in a child of its own, without a census. */
#define DEATH(name, regex) DEATH_BY(name, SIGABRT, regex)
#define DEATH_BY(name, signal, regex) \
	HARNESS_TEST_(name, .seconds = HARNESS_SECONDS, .death = (signal), .message = (regex))

/* Runs only when named on the command line. */
#define TEST_HIDDEN(name, limit) HARNESS_TEST_(name, .seconds = (limit), .hidden = 1)
#define DEATH_HIDDEN(name, regex) \
	HARNESS_TEST_(name, .seconds = HARNESS_SECONDS, .death = SIGABRT, .message = (regex), .hidden = 1)

/* End this test here, counted as skipped. In a body or below it, on any stack. */
#define SKIP(why) harness_skip(__FILE__, __LINE__, (why))

/* This build runs many times slower than usual (sanitizer, valgrind): for choosing sizes. */
int harness_slow(void);

void harness_skip(const char *file, int line, const char *why) __attribute__((noreturn));

/* --- private ------------------------------------------------------------------------------- */

/* For one that hangs: the machine may be busy with other things. */
#define HARNESS_SECONDS 30

struct harness_test {
	const char *name;
	const char *file;
	int line;
	void (*body)(void);
	int seconds;
	int death;
	int hidden;
	const char *message;
	struct harness_test *next;
	struct harness_outcome *outcome;
	TTest ttest;
};

void harness_add(struct harness_test *test);

#define HARNESS_TEST_(id, ...)                                                                           \
	static void id##_body_(void);                                                                    \
	__attribute__((constructor)) static void id##_add_(void)                                         \
	{                                                                                                \
		static struct harness_test test = {                                                      \
			.name = #id, .file = __FILE__, .line = __LINE__, .body = id##_body_, __VA_ARGS__ \
		};                                                                                       \
		harness_add(&test);                                                                      \
	}                                                                                                \
	static void id##_body_(void)

#endif
