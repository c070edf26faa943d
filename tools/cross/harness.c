/* harness.c - runs the tests of one executable where there is no check: a process a test, a time limit, deaths; no
 * census. Its last line is that of tests/harness.c. */
#include "harness.h"

#include <regex.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SLOWNESS = 20, SKIPPED = 77, FAILED = 78 }; /* an emulator runs so many times slower */

static struct harness_test *tests, **tests_end = &tests;

void harness_add(struct harness_test *test)
{
	*tests_end = test;
	tests_end = &test->next;
}

int harness_slow(void)
{
	return 1;
}

void harness_skip(const char *file, int line, const char *why)
{
	printf("SKIP %s:%d: %s\n", file, line, why);
	fflush(stdout);
	_exit(SKIPPED);
}

void check_failed(const char *file, int line, const char *format, ...)
{
	va_list args;

	printf("%s:%d: ", file, line);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(FAILED);
}

/* The exit status of the body's process as waitpid has it; what it wrote to stderr, if it is to die. */
static int run(const struct harness_test *test, char *text, size_t size)
{
	int ends[2], status;
	size_t len = 0;
	char *end;
	ssize_t n;
	pid_t pid;

	if (pipe(ends) < 0 || (pid = fork()) < 0)
		abort();
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		alarm((unsigned)(test->seconds * SLOWNESS));
		if (test->death)
			dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		test->body();
		fflush(stdout);
		_exit(0);
	}
	close(ends[1]);
	while ((n = read(ends[0], text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(ends[0]);
	end = strstr(text, "qemu: uncaught"); /* the emulator adds a word of its own */
	if (end)
		*end = '\0';
	waitpid(pid, &status, 0);
	return status;
}

static bool matches(const char *text, const char *pattern)
{
	regex_t regex;
	bool found;

	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	found = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return found;
}

int main(void)
{
	static char text[8192];
	int passed = 0, failed = 0, skipped = 0;

	for (const struct harness_test *test = tests; test; test = test->next) {
		int status;

		if (test->hidden)
			continue;
		fflush(stdout);
		status = run(test, text, sizeof text);
		if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
			skipped++;
		} else if (test->death ? WIFSIGNALED(status) && WTERMSIG(status) == test->death &&
		                                 matches(text, test->message)
		                       : status == 0) {
			passed++;
		} else {
			failed++;
			printf("FAIL %s: wait status %#x%s%s\n", test->name, (unsigned)status,
			       test->death ? "; stderr: " : "", test->death ? text : "");
		}
	}
	printf("harness: %d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed > 0;
}
