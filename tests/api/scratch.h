/* scratch.h - what the tests of streams and bulk reads share: files with known bytes.
 * Relies on api.h. Everything here is small enough to be inline. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include "api.h"
#include "base/random.h"

#include <sys/stat.h>

/* A file system where O_DIRECT has a chance. */
#define SCRATCH_FOLDER "/var/tmp"

struct scratch {
	char path[64];
};

/* A new file with `size` bytes of the pattern. */
static inline void scratch_make(struct scratch *scratch, size_t size)
{
	static unsigned char buf[65536];
	int fd;

	snprintf(scratch->path, sizeof scratch->path, SCRATCH_FOLDER "/torc-test-XXXXXX");
	fd = mkstemp(scratch->path);
	ck_assert_int_ge(fd, 0);
	for (size_t at = 0; at < size;) {
		size_t n = size - at < sizeof buf ? size - at : sizeof buf;

		pattern_fill(buf, n, at);
		ck_assert_int_eq(write(fd, buf, n), (int)n);
		at += n;
	}
	ck_assert_int_eq(close(fd), 0);
}

static inline void scratch_remove(const struct scratch *scratch)
{
	ck_assert_int_eq(unlink(scratch->path), 0);
}

/* The file's bytes, to be freed. */
static inline unsigned char *scratch_load(const struct scratch *scratch, size_t *size)
{
	int fd = open(scratch->path, O_RDONLY | O_CLOEXEC);
	unsigned char *bytes;
	struct stat st;
	size_t got = 0;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	*size = (size_t)st.st_size;
	bytes = malloc(*size + 1);
	ck_assert_ptr_nonnull(bytes);
	while (got < *size) {
		ssize_t n = read(fd, bytes + got, *size - got);

		ck_assert_int_gt(n, 0);
		got += (size_t)n;
	}
	ck_assert_int_eq(close(fd), 0);
	return bytes;
}

static inline size_t scratch_size(const struct scratch *scratch)
{
	struct stat st;

	ck_assert_int_eq(stat(scratch->path, &st), 0);
	return (size_t)st.st_size;
}

static inline void file_open(struct torc_file *file, const char *path, int flags, bool direct)
{
	int r = torc_file_open(file, path,
	                       TORC_OPTIONS(torc_file_options, .flags = flags, .mode = 0600, .direct = direct));

	ck_assert_msg(r == 0, "open %s: %s", path, strerror(-r));
}

/* 0 to limit - 1, small numbers as likely as large ones. */
static inline size_t random_size(struct random *random, size_t limit)
{
	unsigned below = random_chance(random, 50) ? (unsigned)limit : 1 + random_below(random, (unsigned)limit);

	return random_below(random, below);
}

#endif
