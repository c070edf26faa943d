/* content - the bytes of a file. Holes stay holes; the kernel copies by itself where it can (copy_file_range(2)). */
#include "cp.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 256 << 10, STREAM_PIECE = 512 << 10 };

static char *buffer(void)
{
	static _Thread_local char bytes[2 * PIECE];

	return bytes;
}

bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* One that is there already. */
static int open_existing(struct ends *ends, int dir, const char *name)
{
	int fd = openat(dir, name, O_RDWR | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == EACCES)
		fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == 0 && same_file(&st, &ends->st)) {
		complain(0, "'%s' and '%s' are the same file", ends->from_name, ends->to_name);
		close(fd);
		return -2;
	}
	ends->regular = S_ISREG(st.st_mode);
	if (ends->regular && ftruncate(fd, 0) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

bool ends_open(struct ends *ends, int from_dir, const char *from, int to_dir, const char *to)
{
	ends->to = -1;
	ends->from = openat(from_dir, from, O_RDONLY | O_CLOEXEC);
	if (ends->from < 0 || fstat(ends->from, &ends->st) < 0)
		return complain(errno, "cannot open '%s'", ends->from_name);
	atomic_init(&ends->end, ends->st.st_size);
	ends->to_dir = to_dir;
	ends->to_path = to;
	ends->to = openat(to_dir, to, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, ends->st.st_mode & 0777);
	ends->made = ends->regular = ends->to >= 0;
	if (ends->to < 0 && errno == EEXIST)
		ends->to = open_existing(ends, to_dir, to);
	if (ends->to == -1)
		return complain(errno, "cannot create '%s'", ends->to_name);
	return ends->to >= 0;
}

/* --- copying ----------------------------------------------------------------------------------- */

static bool write_all(const struct ends *ends, const char *bytes, size_t len, off_t at)
{
	while (len > 0) {
		ssize_t n = pwrite(ends->to, bytes, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return complain(n < 0 ? errno : EIO, "cannot write '%s'", ends->to_name);
		bytes += n;
		len -= (size_t)n;
		at += n;
	}
	return true;
}

static void ends_at(struct ends *ends, off_t at)
{
	long long end = atomic_load(&ends->end);

	while (at < end && !atomic_compare_exchange_weak(&ends->end, &end, at)) /* ends: it becomes less */
		;
}

/* Byte by byte through memory, to `end` or the file's end. */
static bool pass_on(struct ends *ends, off_t at, off_t end)
{
	while (at < end) {
		size_t most = end - at < PIECE ? (size_t)(end - at) : PIECE;
		ssize_t n = pread(ends->from, buffer(), most, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return complain(errno, "cannot read '%s'", ends->from_name);
		if (n == 0) { /* it has shrunk, or is a file of /proc or /sys */
			ends_at(ends, at);
			return true;
		}
		if (torc_blocking_cancelled())
			return false;
		if (!write_all(ends, buffer(), (size_t)n, at))
			return false;
		at += n;
		atomic_fetch_add(&tally.bytes, (unsigned long long)n);
	}
	return true;
}

static bool copy_range(struct ends *ends, off_t at, off_t end)
{
	while (at < end && !torc_blocking_cancelled()) {
		off_t in = at, out = at;
		size_t most = end - at < SEGMENT ? (size_t)(end - at) : SEGMENT;
		ssize_t n = copy_file_range(ends->from, &in, ends->to, &out, most, 0);

		if (n <=
		    0) /* other file systems, kernels, kinds of files; or a true error, which is told in the same way */
			return pass_on(ends, at, end);
		at += n;
		atomic_fetch_add(&tally.bytes, (unsigned long long)n);
	}
	return at >= end;
}

/* The next piece with data in [at, end): false if there is none. */
static bool next_data(int fd, off_t at, off_t end, off_t *from, off_t *to)
{
	*from = lseek(fd, at, SEEK_DATA);
	if (*from < 0) {
		*from = at;
		*to = end;
		return errno != ENXIO && at < end; /* ENXIO: a hole to the end. Else holes are unknown here */
	}
	*to = lseek(fd, *from, SEEK_HOLE);
	if (*to < 0 || *to > end)
		*to = end;
	return *from < end;
}

/* May it have holes that are worth looking for? They are kept where nothing is zeros. */
static bool is_sparse(const struct ends *ends)
{
	return ends->regular && ends->st.st_blocks * 512 < ends->st.st_size;
}

/* The bytes of [at, end), but for holes. */
static bool copy_data(struct ends *ends, off_t at, off_t end)
{
	off_t from, to;

	if (!ends->regular)
		return copy_range(ends, at, end);
	for (; next_data(ends->from, at, end, &from, &to); at = to)
		if (!copy_range(ends, from, to))
			return false;
	return true;
}

bool copy_small(struct ends *ends)
{
	off_t size = ends->st.st_size;

	if (size == 0)
		return pass_on(ends, 0, INT64_MAX); /* a file of /proc says that it is empty */
	if (!is_sparse(ends))
		return size <= PIECE ? pass_on(ends, 0, size) : copy_range(ends, 0, size);
	if (ftruncate(ends->to, size) < 0)
		return complain(errno, "cannot extend '%s'", ends->to_name);
	return copy_data(ends, 0, size);
}

/* --- afterwards -------------------------------------------------------------------------------- */

static ssize_t read_fully(int fd, char *bytes, size_t len, off_t at)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, bytes + got, len - got, at + (off_t)got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return n;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static bool verify(const struct ends *ends, off_t at, off_t end)
{
	while (!torc_blocking_cancelled()) { /* ends: at the end of the files */
		size_t most = end - at < PIECE ? (size_t)(end - at) : PIECE;
		ssize_t a = read_fully(ends->from, buffer(), most, at);
		ssize_t b = read_fully(ends->to, buffer() + PIECE, most, at);

		if (a < 0 || b < 0)
			return complain(errno, "cannot read '%s' again", a < 0 ? ends->from_name : ends->to_name);
		if (a != b || memcmp(buffer(), buffer() + PIECE, (size_t)a) != 0)
			return complain(0, "'%s' differs from '%s'", ends->to_name, ends->from_name);
		if ((size_t)a < most || most == 0)
			return true;
		at += a;
	}
	return false;
}

static bool keep_attributes(const struct ends *ends)
{
	struct timespec times[2] = { ends->st.st_atim, ends->st.st_mtim };
	bool owned = fchown(ends->to, ends->st.st_uid, ends->st.st_gid) == 0, good = true;

	if (!owned && errno != EPERM)
		return complain(errno, "cannot keep the owner of '%s'", ends->to_name);
	if (settings.xattrs) {
		(void)!fchmod(ends->to, 0600); /* those of users are for who may write to the file */
		good = keep_xattrs(ends->from, ends->to, ends->from_name, ends->to_name);
	}
	if (fchmod(ends->to, ends->st.st_mode & (owned ? MODE_ALL : MODE_PLAIN)) < 0 || futimens(ends->to, times) < 0)
		return complain(errno, "cannot keep mode and times of '%s'", ends->to_name);
	return good;
}

/* The file was extended to the size that `from` had, or said that it had. */
static bool cut_off(const struct ends *ends)
{
	off_t end = (off_t)atomic_load(&ends->end);
	struct stat now;

	if (!ends->regular || ends->st.st_size == 0)
		return true;
	if (fstat(ends->from, &now) == 0 && now.st_size < end)
		end = now.st_size;
	if (end < ends->st.st_size && ftruncate(ends->to, end) < 0)
		return complain(errno, "cannot cut '%s' off", ends->to_name);
	return true;
}

static void drop(const struct ends *ends)
{
	if (ends->made)
		(void)!unlinkat(ends->to_dir, ends->to_path, 0);
	else if (ends->regular)
		(void)!ftruncate(ends->to, 0);
}

/* Some file systems tell of a late failure when it is closed: a second descriptor's close asks while the file can still be
 * dropped. */
static bool close_well(const struct ends *ends)
{
	int copy = fcntl(ends->to, F_DUPFD_CLOEXEC, 0);

	return copy >= 0 && close(copy) == 0 ? true : complain(errno, "cannot finish '%s'", ends->to_name);
}

bool ends_finish(struct ends *ends, bool good)
{
	good = good && cut_off(ends) && close_well(ends);
	if (!good && ends->to >= 0)
		drop(ends);
	if (good && settings.verify)
		good = verify(ends, 0, INT64_MAX);
	if (good && settings.preserve)
		good = keep_attributes(ends);
	if (ends->to >= 0 && close(ends->to) < 0 && good)
		good = complain(errno, "cannot finish '%s'", ends->to_name);
	if (ends->from >= 0)
		close(ends->from);
	if (good)
		atomic_fetch_add(&tally.files, 1);
	return good;
}

/* --- large files ------------------------------------------------------------------------------- */

struct torc_semaphore large_files, streams;

struct large {
	const struct pair *pair;
	struct ends ends;
	atomic_bool good;
};

struct segment {
	struct large *large;
	off_t from, to;
};

static int open_job(void *arg)
{
	struct large *large = arg;

	large->ends.from_name = large->pair->from;
	large->ends.to_name = large->pair->to;
	large->good = ends_open(&large->ends, AT_FDCWD, large->pair->from, AT_FDCWD, large->pair->to);
	/* Whatever its blocks say: room that was allocated and not written is a hole, too. */
	if (large->good && large->ends.regular && ftruncate(large->ends.to, large->ends.st.st_size) < 0)
		large->good = complain(errno, "cannot extend '%s'", large->pair->to);
	return 0;
}

static int finish_job(void *arg)
{
	struct large *large = arg;

	large->good = ends_finish(&large->ends, large->good);
	return 0;
}

static int segment_job(void *arg)
{
	struct segment *segment = arg;

	if (!copy_data(&segment->large->ends, segment->from, segment->to))
		segment->large->good = false;
	return 0;
}

/* What goes to the device at a time: blocks are powers of two. */
static size_t piece_of(const struct torc_file *file)
{
	return torc_file_align(file) > STREAM_PIECE ? torc_file_align(file) : STREAM_PIECE;
}

/* Past the kernel's cache: read ahead and written behind by streams, on files of their own. */
static int stream_across(struct ends *ends, struct torc_file *from, struct torc_file *to, off_t at, off_t end)
{
	struct torc_file_reader in TORC_CLEANUP(torc_file_reader_close) = { 0 };
	struct torc_file_writer out TORC_CLEANUP(torc_file_writer_abandon) = { 0 };
	const void *bytes;
	int n, r = torc_file_reader_open(&in, from,
	                                 TORC_OPTIONS(torc_file_reader_options, .start = (uint64_t)at,
	                                              .end = (uint64_t)end, .buffer_size = piece_of(from)));

	if (r == 0)
		r = torc_file_writer_open(
			&out, to,
			TORC_OPTIONS(torc_file_writer_options, .start = (uint64_t)at, .buffer_size = piece_of(to)));
	if (r < 0)
		return r;
	while ((n = torc_file_reader_peek(&in, &bytes)) > 0) {
		r = torc_file_writer_write(&out, bytes, (size_t)n);
		if (r >= 0)
			r = torc_file_reader_skip(&in, (uint64_t)n);
		if (r < 0)
			return r;
		atomic_fetch_add(&tally.bytes, (unsigned long long)n);
	}
	if (n < 0)
		return n;
	if (torc_file_reader_position(&in) < (uint64_t)end)
		ends_at(ends, (off_t)torc_file_reader_position(&in));
	return torc_file_writer_close(&out);
}

static int stream_segment(const struct segment *segment)
{
	struct torc_file from TORC_CLEANUP(torc_file_close) = { 0 }, to TORC_CLEANUP(torc_file_close) = { 0 };
	struct ends *ends = &segment->large->ends;
	off_t at = segment->from, low, high;
	int r = torc_file_open(&from, ends->from_name, TORC_OPTIONS(torc_file_options, .direct = true));

	if (r == 0)
		r = torc_file_open(&to, ends->to_name,
		                   TORC_OPTIONS(torc_file_options, .flags = O_WRONLY, .direct = true));
	while (r == 0 && next_data(ends->from, at, segment->to, &low, &high)) {
		r = stream_across(ends, &from, &to, low, high);
		at = high;
	}
	return r == 0 ? torc_file_close(&to) : r;
}

static int direct_segment(const struct segment *segment)
{
	int r = torc_semaphore_acquire(&streams, 1);

	if (r < 0)
		return r;
	r = stream_segment(segment);
	torc_semaphore_release(&streams, 1);
	return r;
}

static int segment_fiber(void *arg)
{
	struct segment *segment = arg;
	bool direct = settings.direct && segment->large->ends.regular;
	int r = direct ? direct_segment(segment) : torc_blocking(segment_job, segment);

	if (r < 0) {
		complain(-r, "cannot copy '%s' to '%s'", segment->large->pair->from, segment->large->pair->to);
		segment->large->good = false;
	}
	return 0;
}

static bool copy_segments(struct large *large)
{
	/* One reads while another writes; the file's lock, which writers take, lets no more of them be of use. */
	TORC_SCOPE(scope, .until = TORC_ALL_DONE, .limit = settings.jobs < 2 || settings.direct ? settings.jobs : 2);
	off_t size = large->ends.st.st_size;
	int r = 0;

	for (off_t at = 0; r == 0 && large->good && at < size; at += SEGMENT) {
		struct segment segment = { large, at, size - at < SEGMENT ? size : at + SEGMENT };

		r = torc_give(scope, segment_fiber, segment);
	}
	if (r < 0)
		return complain(-r, "cannot copy '%s'", large->pair->from);
	return torc_scope_join(scope) == 0 && large->good;
}

static bool copy_opened(struct large *large)
{
	int r = torc_blocking(open_job, large);

	if (r < 0)
		return complain(-r, "cannot copy '%s'", large->pair->from);
	if (large->good)
		large->good = copy_segments(large);
	TORC_SCOPE(shielded, .shield = true); /* what is open is closed, and what is half is removed */
	r = torc_blocking(finish_job, large);
	return r < 0 ? complain(-r, "cannot finish '%s'", large->pair->to) : large->good;
}

bool copy_large(const struct pair *pair)
{
	struct large large = { .pair = pair };
	int r = torc_semaphore_acquire(&large_files, 1);
	bool good;

	if (r < 0)
		return complain(-r, "cannot copy '%s'", pair->from);
	good = copy_opened(&large);
	torc_semaphore_release(&large_files, 1);
	return good;
}
