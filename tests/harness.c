/* harness.c - registration, the census, deaths, and main(). See harness.h.
 *
 * check forks a child for every test and enforces the time limit; what a child must tell its
 * parent beyond check's own verdict (finished? skipped?) lies in one shared mapping, so that a
 * test which calls exit(0) halfway counts as failed and not as passed. */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define SLOWNESS 5
#elif defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
#define SLOWNESS 6
#elif defined(TORC_VALGRIND)
#define SLOWNESS 6
#else
#define SLOWNESS 1
#endif

enum { RANGES = 4096, FDS = 1024, SMALL = 64 * 1024, REPORT = 1024 };

struct harness_outcome {
	enum { UNTOUCHED, FINISHED, SKIPPED } end;
	char why[200];
};

struct range {
	uintptr_t start, end;
	size_t least; /* less than this, when new, is noise */
	char name[64];
};

struct census {
	int fd_count, range_count, thread_count;
	struct {
		int fd;
		char target[80];
	} fds[FDS];
	struct range ranges[RANGES];
};

static struct harness_test *tests, **tests_end = &tests;
static struct harness_test *current;
static struct harness_test **selected;
static struct census before, after;
static jmp_buf skip_jump;
static bool forking = true;

void harness_add(struct harness_test *test)
{
	*tests_end = test;
	tests_end = &test->next;
}

int harness_slow(void)
{
	return SLOWNESS > 1;
}

void harness_skip(const char *file, int line, const char *why)
{
	current->outcome->end = SKIPPED;
	snprintf(current->outcome->why, sizeof current->outcome->why, "%s:%d: %s", file, line, why);
	if (forking)
		_exit(0);
	longjmp(skip_jump, 1);
}

/* For the harness itself; no ck_assert, which would move the place that check last saw. */
static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "harness: %s failed: %s\n", what, strerror(errno));
	abort();
}

/* --- census ---------------------------------------------------------------------------------- */

static void count_fds(struct census *census)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	census->fd_count = 0;
	must(dir != NULL, "opendir");
	while ((entry = readdir(dir)) != NULL) {
		int fd = atoi(entry->d_name), n = census->fd_count;
		char path[300];
		ssize_t len;

		if (entry->d_name[0] == '.' || fd == dirfd(dir) || n == FDS)
			continue;
		snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
		len = readlink(path, census->fds[n].target, sizeof census->fds[n].target - 1);
		census->fds[n].target[len < 0 ? 0 : len] = 0;
		census->fds[n].fd = fd;
		census->fd_count++;
	}
	closedir(dir);
}

/* Threads except the kernel's helpers for io_uring, which linger for seconds by design. */
static void count_threads(struct census *census)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;

	census->thread_count = 0;
	must(dir != NULL, "opendir");
	while ((entry = readdir(dir)) != NULL) {
		char path[300], name[32] = "";
		FILE *comm;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
		comm = fopen(path, "re");
		if (comm == NULL)
			continue; /* ended meanwhile */
		if (fgets(name, sizeof name, comm) != NULL && strncmp(name, "iou-", 4) != 0)
			census->thread_count++;
		fclose(comm);
	}
	closedir(dir);
}

/* Which mappings count, and from what size on. Anonymous memory below 64 KiB is malloc's and
 * libc's; a sanitizer or valgrind maps and unmaps anonymous memory as it likes. */
static size_t mapping_least(const char *name)
{
	if (name[0] == 0)
		return SLOWNESS > 1 ? SIZE_MAX : SMALL;
	if (strncmp(name, "anon_inode:", 11) == 0)
		return 1;
	if (SLOWNESS > 1)
		return SIZE_MAX;
	if (strncmp(name, "/memfd:", 7) == 0 || strncmp(name, "/dev/zero", 9) == 0 || strncmp(name, "[anon", 5) == 0)
		return 1;
	return SIZE_MAX;
}

static void count_mappings(struct census *census)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	census->range_count = 0;
	must(maps != NULL, "/proc/self/maps");
	while (fgets(line, sizeof line, maps) != NULL && census->range_count < RANGES) {
		struct range *range = &census->ranges[census->range_count];
		int name_at = 0;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %n", &range->start, &range->end, &name_at) <
		    2)
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(range->name, sizeof range->name, "%.60s", name_at ? line + name_at : "");
		range->least = mapping_least(range->name);
		census->range_count++;
	}
	fclose(maps);
}

static void census_take(struct census *census)
{
	count_fds(census);
	count_threads(census);
	count_mappings(census);
}

__attribute__((format(printf, 2, 3))) static void report(char *text, const char *format, ...)
{
	size_t len = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + len, REPORT - len, format, args);
	va_end(args);
}

static bool has_fd(const struct census *census, int fd)
{
	for (int i = 0; i < census->fd_count; i++)
		if (census->fds[i].fd == fd)
			return true;
	return false;
}

/* The bytes of a mapping that were mapped before as well: neighbours merge, so addresses are
 * compared and not lines. An io_uring that is new at an old address shows by its fd. */
static size_t covered_before(const struct range *range)
{
	size_t covered = 0;

	for (int i = 0; i < before.range_count; i++) {
		const struct range *old = &before.ranges[i];
		uintptr_t start = old->start > range->start ? old->start : range->start;
		uintptr_t end = old->end < range->end ? old->end : range->end;

		if (start < end)
			covered += end - start;
	}
	return covered;
}

/* What is there now and was not before, in words; empty when nothing. */
static void census_compare(char *text)
{
	text[0] = 0;
	for (int i = 0; i < after.fd_count; i++)
		if (!has_fd(&before, after.fds[i].fd))
			report(text, " leaked fd %d (%s);", after.fds[i].fd, after.fds[i].target);
	for (int i = 0; i < before.fd_count; i++)
		if (!has_fd(&after, before.fds[i].fd))
			report(text, " lost fd %d (%s);", before.fds[i].fd, before.fds[i].target);
	for (int i = 0; i < after.range_count; i++) {
		const struct range *range = &after.ranges[i];
		size_t fresh = range->end - range->start - covered_before(range);

		if (fresh >= range->least)
			report(text, " leaked mapping %" PRIxPTR "-%" PRIxPTR " (%zu new bytes, %s);", range->start,
			       range->end, fresh, range->name[0] ? range->name : "anonymous");
	}
	/* Fewer: a helper of the kernel's that had not yet taken its name before. */
	if (after.thread_count > before.thread_count)
		report(text, " threads: %d before, %d after;", before.thread_count, after.thread_count);
}

/* A joined thread is gone from /proc only a moment after pthread_join(): look again for a while. */
static void census_check(char *text)
{
	struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };

	for (int i = 0; i < 200 * (SLOWNESS > 1 ? 3 : 1); i++) {
		census_take(&after);
		census_compare(text);
		if (text[0] == 0)
			return;
		nanosleep(&pause, NULL);
	}
}

static void *nothing(void *arg)
{
	return arg;
}

/* Whatever libc or a sanitizer sets up once, let it do so before the first census. */
static void warm_up(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, nothing, NULL) == 0)
		pthread_join(thread, NULL);
	census_take(&before);
}

/* --- one test -------------------------------------------------------------------------------- */

static void run_with_census(struct harness_test *test)
{
	static char text[REPORT];

	warm_up();
	census_take(&before);
	test->body();
	fflush(stdout);
	census_check(text);
	if (text[0] != 0)
		_ck_assert_failed(test->file, test->line, "census", "%s:%s", test->name, text);
	test->outcome->end = FINISHED;
}

static pid_t spawn_death(struct harness_test *test, int *from_child)
{
	int ends[2];
	pid_t pid;

	must(pipe(ends) == 0, "pipe");
	fflush(NULL);
	pid = fork();
	must(pid >= 0, "fork");
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		test->body();
		_exit(0);
	}
	close(ends[1]);
	*from_child = ends[0];
	return pid;
}

static void read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	char spill[512];
	ssize_t n;

	do {
		bool room = len + 1 < size;

		n = room ? read(fd, text + len, size - 1 - len) : read(fd, spill, sizeof spill);
		if (n > 0 && room)
			len += n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	text[len] = 0;
}

static void run_death(struct harness_test *test)
{
	static char text[16 * 1024], ended[64];
	int fd, status;
	regex_t regex;
	pid_t pid;

	must(regcomp(&regex, test->message, REG_EXTENDED | REG_NOSUB) == 0, test->message);
	pid = spawn_death(test, &fd);
	read_all(fd, text, sizeof text);
	close(fd);
	must(waitpid(pid, &status, 0) == pid, "waitpid");

	if (current->outcome->end == SKIPPED)
		_exit(0);
	if (WIFSIGNALED(status))
		snprintf(ended, sizeof ended, "signal %d", WTERMSIG(status));
	else
		snprintf(ended, sizeof ended, "exit status %d", WEXITSTATUS(status));
	if (!WIFSIGNALED(status) || WTERMSIG(status) != test->death)
		_ck_assert_failed(test->file, test->line, "death", "%s: wanted signal %d, got %s; stderr: %s",
		                  test->name, test->death, ended, text);
	if (regexec(&regex, text, 0, NULL, 0) != 0)
		_ck_assert_failed(test->file, test->line, "death", "%s: stderr does not match \"%s\": %s", test->name,
		                  test->message, text);
	regfree(&regex);
	test->outcome->end = FINISHED;
}

/* check calls this with the index of one selected test. */
static void run_one(int index)
{
	current = selected[index];
	if (forking) { /* check's own handlers are for the parent */
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		signal(SIGALRM, SIG_DFL);
	}
	if (setjmp(skip_jump) != 0)
		return;
	if (current->death)
		run_death(current);
	else
		run_with_census(current);
}

/* --- all of them ----------------------------------------------------------------------------- */

static int time_scale(void)
{
	const char *text = getenv("HARNESS_TIMEOUT_SCALE");
	int scale = text ? atoi(text) : 0;

	return scale > 0 ? scale : SLOWNESS;
}

static bool wanted(const struct harness_test *test, char **names)
{
	if (*names == NULL)
		return !test->hidden;
	for (; *names != NULL; names++)
		if (strcmp(*names, test->name) == 0)
			return true;
	return false;
}

static int select_tests(char **names)
{
	int count = 0;

	for (struct harness_test *test = tests; test != NULL; test = test->next) {
		if (!wanted(test, names))
			continue;
		selected = realloc(selected, (count + 1) * sizeof *selected);
		selected[count++] = test;
	}
	for (char **name = names; *name != NULL; name++) {
		bool known = false;

		for (int i = 0; i < count; i++)
			known = known || strcmp(selected[i]->name, *name) == 0;
		if (!known) {
			fprintf(stderr, "no test is called %s\n", *name);
			exit(2);
		}
	}
	return count;
}

static SRunner *make_runner(int count)
{
	struct harness_outcome *outcomes =
		mmap(NULL, (count + 1) * sizeof *outcomes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	Suite *suite = suite_create("");

	for (int i = 0; i < count; i++) {
		TCase *tcase = tcase_create(selected[i]->name);
		TTest *ttest = &selected[i]->ttest;

		selected[i]->outcome = &outcomes[i];
		ttest->name = selected[i]->name;
		ttest->fn = run_one;
		ttest->file = selected[i]->file;
		ttest->line = selected[i]->line;
		tcase_set_timeout(tcase, selected[i]->seconds * time_scale());
		tcase_add_loop_test(tcase, ttest, i, i + 1);
		suite_add_tcase(suite, tcase);
	}
	return srunner_create(suite);
}

/* check's verdicts, corrected by what the children wrote down. */
static int count_and_print(SRunner *runner, int count)
{
	TestResult **results = srunner_results(runner);
	int passed = 0, failed = 0, skipped = 0;

	for (int i = 0; i < count; i++) {
		const struct harness_outcome *outcome = selected[i]->outcome;

		if (tr_rtype(results[i]) != CK_PASS) {
			failed++;
			printf("FAIL %s: %s:%d: %s\n", selected[i]->name, tr_lfile(results[i]), tr_lno(results[i]),
			       tr_msg(results[i]));
		} else if (outcome->end == SKIPPED) {
			skipped++;
			printf("SKIP %s: %s\n", selected[i]->name, outcome->why);
		} else if (outcome->end == UNTOUCHED) {
			failed++;
			printf("FAIL %s: the process ended before the test did\n", selected[i]->name);
		} else {
			passed++;
		}
	}
	free(results);
	printf("harness: %d passed, %d failed, %d skipped\n", passed, failed, skipped);
	if (failed > 0 || count == 0)
		return 1;
	return passed == 0 ? 77 : 0; /* 77: Meson's "skipped" */
}

/* Threads that have ended leave their stack and their malloc arena mapped, which no census
 * could tell from a leak. glibc has a switch for both, read when a program starts. */
static void tame_libc(char **argv)
{
	const char *tunables = "glibc.malloc.arena_max=1:glibc.pthread.stack_cache_size=0";

#ifdef TORC_VALGRIND
	return; /* an exec would leave valgrind behind */
#endif
	if (getenv("GLIBC_TUNABLES") != NULL)
		return;
	setenv("GLIBC_TUNABLES", tunables, 1);
	execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
	SRunner *runner;
	int count, r;

	(void)argc;
	tame_libc(argv);
	if (argv[1] != NULL && strcmp(argv[1], "--list") == 0) {
		for (struct harness_test *test = tests; test != NULL; test = test->next)
			if (!test->hidden)
				puts(test->name);
		return 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	forking = getenv("HARNESS_NO_FORK") == NULL;
	count = select_tests(argv + 1);
	runner = make_runner(count);
	srunner_set_fork_status(runner, forking ? CK_FORK : CK_NOFORK);
	srunner_run_all(runner, CK_SILENT);
	r = count_and_print(runner, count);
	srunner_free(runner);
	return r;
}
