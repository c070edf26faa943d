/* files.h - what the tests of files share: a directory of their own, files with a known pattern in it. */
#ifndef TESTS_FILES_H
#define TESTS_FILES_H

#include "api.h"

#include <sys/stat.h>

/* A directory for this test, on a real disk if there is one, and paths in it. Each test is a process: one is enough. */
static char files_home[64];

static inline void files_remove(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf '%s'", files_home);
	if (system(command) != 0)
		fprintf(stderr, "%s stays\n", files_home);
}

static inline void files_begin(void)
{
	strcpy(files_home, "/var/tmp/torc-test-XXXXXX");
	if (!mkdtemp(files_home)) {
		strcpy(files_home, "/tmp/torc-test-XXXXXX");
		ck_assert_ptr_nonnull(mkdtemp(files_home));
	}
}

/* The path of `name` in there; good until the eighth call from now. */
static inline const char *files_path(const char *name)
{
	static char paths[8][PATH_MAX];
	static int next;
	char *path = paths[next++ % 8];

	snprintf(path, PATH_MAX, "%s/%s", files_home, name);
	return path;
}

/* A file that holds the pattern, `len` bytes of it. */
static inline const char *files_make(const char *name, size_t len)
{
	const char *path = files_path(name);
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
	unsigned char piece[4096];

	ck_assert_int_ge(fd, 0);
	for (size_t at = 0; at < len;) {
		size_t n = len - at < sizeof piece ? len - at : sizeof piece;

		pattern_fill(piece, n, at);
		ck_assert_int_eq(write(fd, piece, n), n);
		at += n;
	}
	close(fd);
	return path;
}

/* What libc finds there. */
static inline int64_t files_size(const char *path)
{
	struct stat found;

	return stat(path, &found) < 0 ? -errno : found.st_size;
}

/* A TEST in a fiber with such a directory. */
#define FILE_TEST(name)                FILE_TEST_(TEST(name), name, NULL)
#define FILE_TEST_TIMEOUT(name, limit) FILE_TEST_(TEST_TIMEOUT(name, limit), name, NULL)
#define FILE_TEST_WITH(name, ...)      FILE_TEST_(TEST(name), name, TORC_OPTIONS(torc_run_options, __VA_ARGS__))
#define FILE_TEST_(test, name, ...)                                               \
	static void name##_with_files_(void);                                     \
	static int name##_root_(void *arg)                                        \
	{                                                                         \
		(void)arg;                                                        \
		name##_with_files_();                                             \
		return 0;                                                         \
	}                                                                         \
	test                                                                      \
	{                                                                         \
		files_begin();                                                    \
		ck_assert_int_eq(torc_run((__VA_ARGS__), name##_root_, NULL), 0); \
		files_remove();                                                   \
	}                                                                         \
	static void name##_with_files_(void)

#define DIRECT   TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .direct = true)
#define BUFFERED TORC_OPTIONS(torc_file_options, .flags = O_RDWR)

#endif
