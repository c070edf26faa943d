/* file_device - a device that fails, falls short, is late: by a file system that does so when told (faultfs). Whatever
 * goes through a file says so once, loses nothing that went before, and touches no memory afterwards. */
#include "faultfs.h"

#include <dirent.h>
#include <sys/mman.h>

enum { PIECE = 4096, LEN = 10 * PIECE };

static unsigned char bytes[LEN];

static void open_at(struct torc_file *file, const char *path, const struct torc_file_options *options)
{
	ck_assert_int_eq(torc_file_open(file, path, options), 0);
}

/* A file with the pattern in it, and in `bytes` the same. */
static void open_made(struct torc_file *file, const char *name, const struct torc_file_options *options)
{
	open_at(file, files_make(name, LEN), options);
	pattern_fill(bytes, LEN, 0);
}

static bool holds_pattern(const char *path, size_t len)
{
	static unsigned char found[LEN + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1, got = 0;

	ck_assert_int_ge(fd, 0);
	while (got < LEN + 1 && (n = read(fd, found + got, (size_t)(LEN + 1 - got))) > 0)
		got += n;
	close(fd);
	return n == 0 && (size_t)got == len && pattern_holds(found, len, 0);
}

/* --- short ----------------------------------------------------------------------------------- */

/* This and the kernel's own retries: what comes is the right bytes, and at least those of one answer. */
FAULTFS_TEST(short_reads_go_on)
{
	struct iovec pieces[3] = { { bytes, 5000 }, { bytes + 5000, 0 }, { bytes + 5000, LEN - 5000 } };
	struct torc_file file;
	int64_t r;

	open_made(&file, "a", BUFFERED);
	memset(bytes, 0, LEN);
	faultfs("most read 1000");
	r = torc_file_read_at(&file, bytes, LEN, 10);
	ck_assert_int_ge(r, 1000);
	ck_assert(pattern_holds(bytes, (size_t)r, 10));
	ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, LEN, 0), LEN);
	ck_assert(pattern_holds(bytes, LEN, 0));
	ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, LEN, 10), -ENODATA);
	r = torc_file_readv_at(&file, pieces, 3, LEN - 7500, 0);
	ck_assert_int_ge(r, 1000);
	ck_assert(pattern_holds(bytes, (size_t)r, LEN - 7500));
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* Through the kernel's cache: without it FUSE makes EIO of a short write that did not come by write(2). */
FAULTFS_TEST(short_writes_go_on)
{
	struct iovec pieces[3] = { { bytes, 5000 }, { bytes + 5000, 0 }, { bytes + 5000, LEN - 5000 } };
	struct torc_file file;

	faultfs("cached");
	open_made(&file, "a", BUFFERED);
	faultfs("most write 1000");
	ck_assert_int_eq(torc_file_write_some_at(&file, bytes, LEN, 0), 1000);
	ck_assert_int_eq(truncate(files_path("a"), 0), 0);
	ck_assert_int_eq(torc_file_write_at(&file, bytes, LEN, 0), LEN);
	ck_assert(holds_pattern(files_path("a"), LEN));
	ck_assert_int_eq(truncate(files_path("a"), 0), 0);
	ck_assert_int_eq(torc_file_writev_at(&file, pieces, 3, 0, 0), LEN);
	ck_assert(holds_pattern(files_path("a"), LEN));
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* Answers that end within a block, where direct I/O can't go on. */
FAULTFS_TEST(short_direct_reads_go_on)
{
	struct torc_file file;
	size_t align;

	open_made(&file, "a", DIRECT);
	if (!torc_file_is_direct(&file))
		SKIP("this kernel's FUSE has no O_DIRECT");
	align = torc_file_align(&file);
	ck_assert_int_eq(LEN % align, 0);
	memset(bytes, 0, LEN);
	faultfs("most read %zu", align + 100);
	ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, LEN, 0), LEN);
	ck_assert(pattern_holds(bytes, LEN, 0));
	ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, 5000, 333), 5000);
	ck_assert(pattern_holds(bytes, 5000, 333));
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* --- errors ---------------------------------------------------------------------------------- */

FAULTFS_TEST(error_in_the_middle_of_reading)
{
	struct torc_file file;

	open_made(&file, "a", BUFFERED);
	faultfs("most read 1000");
	faultfs("fail read %d 3 1", EIO);
	ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, LEN, 0), -EIO);
	ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, LEN, 0), LEN); /* it was once */
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FAULTFS_TEST(error_in_the_middle_of_writing)
{
	struct torc_file file;

	faultfs("cached");
	open_made(&file, "a", BUFFERED);
	ck_assert_int_eq(truncate(files_path("a"), 0), 0);
	faultfs("most write 1000");
	faultfs("fail write %d 3 1", ENOSPC);
	ck_assert_int_eq(torc_file_write_at(&file, bytes, LEN, 0), -ENOSPC);
	ck_assert_int_eq(files_size(files_path("a")), 3000);
	ck_assert(holds_pattern(files_path("a"), 3000));
	ck_assert_int_eq(torc_file_write_at(&file, bytes + 3000, LEN - 3000, 3000), LEN - 3000);
	ck_assert(holds_pattern(files_path("a"), LEN));
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FAULTFS_TEST(quota_takes_what_fits)
{
	struct torc_file file;

	faultfs("cached");
	faultfs("quota 5000");
	pattern_fill(bytes, LEN, 0);
	open_at(&file, files_make("a", 0), BUFFERED);
	ck_assert_int_eq(torc_file_write_some_at(&file, bytes, LEN, 0), 5000);
	ck_assert_int_eq(torc_file_write_some_at(&file, bytes, 1, 5000), -EDQUOT);
	ck_assert_int_eq(torc_file_write_at(&file, bytes, LEN, 0), -EDQUOT);
	ck_assert_int_eq(torc_file_truncate(&file, LEN), -EDQUOT);
	ck_assert_int_eq(torc_file_sync(&file), 0);
	ck_assert(holds_pattern(files_path("a"), 5000));
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* What a signal or want of memory in the server may answer; torc's calls promise neither. */
FAULTFS_TEST(interrupted_and_not_now_are_tried_again)
{
	static const int errors[] = { EINTR, EAGAIN };
	struct iovec piece = { bytes, LEN };
	struct torc_file file;

	open_made(&file, "a", BUFFERED);
	for (size_t i = 0; i < LENGTH(errors); i++) {
		faultfs("fail read %d 0 2", errors[i]);
		ck_assert_int_eq(torc_file_read_at(&file, bytes, LEN, 0), LEN);
		faultfs("fail read %d 0 2", errors[i]);
		ck_assert_int_eq(torc_file_readv_at(&file, &piece, 1, 0, 0), LEN);
		faultfs("fail write %d 0 2", errors[i]);
		ck_assert_int_eq(torc_file_write_at(&file, bytes, LEN, 0), LEN);
		faultfs("fail write %d 0 2", errors[i]);
		ck_assert_int_eq(torc_file_writev_at(&file, &piece, 1, 0, 0), LEN);
		faultfs("fail fsync %d 0 2", errors[i]);
		ck_assert_int_eq(torc_file_sync(&file), 0);
		ck_assert_int_eq(torc_file_datasync(&file), 0);
	}
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* A device that never comes round: others run, and the scope ends it. */
FAULTFS_TEST(not_now_for_ever_is_ended_by_the_scope)
{
	struct torc_file_reader reader;
	struct torc_file file;

	open_made(&file, "a", BUFFERED);
	faultfs("fail read %d", EAGAIN);
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_file_read_at(&file, bytes, LEN, 0), -ETIME);
	}
	ck_assert_int_eq(torc_file_reader_open(&reader, &file, NULL), 0);
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_file_reader_read(&reader, bytes, LEN), -ETIME);
	}
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* O_NONBLOCK says how to open - here a pipe without a reader - and nothing of how to read. */
FILE_TEST(non_blocking_file_waits)
{
	struct torc_file file;

	ck_assert_int_eq(mkfifo(files_path("pipe"), 0600), 0);
	open_at(&file, files_path("pipe"), TORC_OPTIONS(torc_file_options, .flags = O_RDWR | O_NONBLOCK));
	ck_assert_int_eq(fcntl(torc_file_fd(&file), F_GETFL) & O_NONBLOCK, 0);
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_file_read_at(&file, bytes, LEN, 0), -ETIME);
	}
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FAULTFS_TEST(sync_tells_what_the_device_says)
{
	struct torc_file file;

	open_made(&file, "a", BUFFERED);
	faultfs("fail fsync %d 0 1", EIO);
	ck_assert_int_eq(torc_file_sync(&file), -EIO);
	ck_assert_int_eq(torc_file_sync(&file), 0);
	faultfs("fail fsync %d 0 1", ENOSPC);
	ck_assert_int_eq(torc_file_datasync(&file), -ENOSPC);
	ck_assert_int_eq(torc_file_datasync(&file), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* O_DSYNC: the write itself says that it did not get there. */
FAULTFS_TEST(synchronous_write_tells_what_the_sync_says)
{
	struct torc_file file;

	faultfs("cached");
	open_made(&file, "a", TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .dsync = true));
	faultfs("fail fsync %d 0 1", EIO);
	ck_assert_int_eq(torc_file_write_at(&file, bytes, PIECE, 0), -EIO);
	ck_assert_int_eq(torc_file_write_at(&file, bytes, PIECE, 0), PIECE);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* Whatever it is, it is told, the descriptor is closed, once, and nobody else's. */
FAULTFS_TEST(close_tells_what_the_device_says)
{
	static const int errors[] = { EIO, EDQUOT, ENOSPC, EINTR, EAGAIN };

	for (size_t i = 0; i < LENGTH(errors); i++) {
		struct torc_file file;
		int fd, flushes;

		open_made(&file, "a", BUFFERED);
		fd = torc_file_fd(&file);
		flushes = faultfs_count("flush");
		faultfs("fail flush %d", errors[i]);
		ck_assert_int_eq(torc_file_close(&file), errors[i] == EINTR || errors[i] == EAGAIN ? -EIO : -errors[i]);
		ck_assert(!fd_is_open(fd));
		ck_assert_int_eq(faultfs_count("flush"), flushes + 1);
		ck_assert_int_eq(torc_file_close(&file), 0);
		faultfs("fail flush 0");
	}
}

static int close_it(void *file)
{
	return torc_file_close(file);
}

/* The number is free as soon as the kernel has begun to close; whoever has got it meanwhile keeps it. */
FAULTFS_TEST(bad_descriptor_of_the_device_closes_nothing_else)
{
	struct torc_file file;
	int fd;

	open_made(&file, "a", BUFFERED);
	fd = torc_file_fd(&file);
	faultfs("hold flush");
	faultfs("fail flush %d", EBADF);
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	ck_assert_int_eq(torc_go(scope, close_it, &file), 0);
	faultfs_await("held", 1);
	ck_assert_int_eq(fcntl(1, F_DUPFD_CLOEXEC, fd), fd);
	faultfs("release");
	ck_assert_int_eq(torc_scope_join(scope), -EBADF);
	ck_assert(fd_is_open(fd));
	close(fd);
}

FAULTFS_TEST(stream_over_a_file_tells_what_the_device_says)
{
	struct torc_stream stream;
	int fd;

	files_make("a", LEN);
	fd = open(files_path("a"), O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(torc_stream_wrap(&stream, fd), 0);
	faultfs("most read 1000");
	ck_assert_int_eq(torc_stream_read(&stream, bytes, LEN), 1000);
	ck_assert_int_eq(torc_stream_read_exact(&stream, bytes, 5000), 5000);
	ck_assert(pattern_holds(bytes, 5000, 1000));
	faultfs("fail read %d 0 1", EIO);
	ck_assert_int_eq(torc_stream_read(&stream, bytes, LEN), -EIO);
	ck_assert_int_eq(torc_stream_read(&stream, bytes, LEN), 1000);
	pattern_fill(bytes, 3500, 7000);
	ck_assert_int_eq(torc_stream_write(&stream, bytes, 3500), 3500);
	ck_assert(holds_pattern(files_path("a"), LEN));
	faultfs("fail write %d 0 1", EDQUOT);
	ck_assert_int_eq(torc_stream_write(&stream, bytes, 3500), -EDQUOT);
	faultfs("fail flush %d", EIO);
	ck_assert_int_eq(torc_stream_close(&stream), -EIO);
	ck_assert(!fd_is_open(fd));
}

struct stream_read {
	struct torc_stream stream;
	int got;
};

static int stream_read(void *arg)
{
	struct stream_read *read = arg;
	char byte;

	read->got = UNSET;
	read->got = torc_stream_read(&read->stream, &byte, 1);
	return 0;
}

/* Calls that move a position go one at a time, but only those of the same file. */
FAULTFS_TEST(a_stream_whose_device_hangs_keeps_no_other_from_its_file)
{
	struct stream_read held, behind, other;

	files_make("a", LEN);
	files_make("b", LEN);
	ck_assert_int_eq(torc_stream_wrap(&held.stream, open(files_path("a"), O_RDONLY | O_CLOEXEC)), 0);
	ck_assert_int_eq(torc_stream_wrap(&behind.stream, open(files_path("a"), O_RDONLY | O_CLOEXEC)), 0);
	ck_assert_int_eq(torc_stream_wrap(&other.stream, open("/proc/self/exe", O_RDONLY | O_CLOEXEC)), 0);
	faultfs("hold read");
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, stream_read, &held), 0);
	ck_assert_int_eq(torc_go(scope, stream_read, &behind), 0);
	faultfs_await("held", 1);
	{
		TORC_SCOPE(soon, .deadline = torc_in(AGES));
		ck_assert_int_eq(stream_read(&other), 0);
		ck_assert_int_eq(other.got, 1);
	}
	ck_assert_int_eq(held.got, UNSET);
	ck_assert_int_eq(behind.got, UNSET);
	faultfs("release");
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(held.got, 1);
	ck_assert_int_eq(behind.got, 1);
	ck_assert_int_eq(torc_stream_close(&held.stream), 0);
	ck_assert_int_eq(torc_stream_close(&behind.stream), 0);
	ck_assert_int_eq(torc_stream_close(&other.stream), 0);
}

/* --- what it can't --------------------------------------------------------------------------- */

FAULTFS_TEST(no_room_is_kept_where_it_cannot)
{
	struct torc_file file;

	open_made(&file, "a", BUFFERED);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(torc_file_allocate(&file, 0, 2 * LEN, 0), -EOPNOTSUPP);
		ck_assert_int_eq(torc_file_punch_hole(&file, 0, PIECE), -EOPNOTSUPP);
	}
	ck_assert_int_eq(
		torc_file_open(&file, files_home, TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .temporary = true)),
		-EOPNOTSUPP);
	ck_assert(holds_pattern(files_path("a"), LEN));
	ck_assert_int_eq(torc_file_close(&file), 0);
}

static int64_t copy_to_new(uint64_t len)
{
	struct torc_file from, to;
	int64_t r;

	open_at(&from, files_path("a"), BUFFERED);
	open_at(&to, files_make("b", 0), BUFFERED);
	r = torc_file_copy(&to, 0, &from, 0, len);
	ck_assert_int_eq(torc_file_close(&from), 0);
	ck_assert_int_eq(torc_file_close(&to), 0);
	return r;
}

FAULTFS_TEST(copy_by_the_file_system_and_without)
{
	static const int cannot[] = { 0, EXDEV, EOPNOTSUPP, ENOSYS };

	files_make("a", LEN);
	for (size_t i = 0; i < LENGTH(cannot); i++) {
		faultfs("fail copy %d", cannot[i]);
		ck_assert_int_eq(copy_to_new(LEN), LEN);
		ck_assert(holds_pattern(files_path("b"), LEN));
		ck_assert_int_eq(copy_to_new(2 * LEN), LEN); /* it ends before */
		ck_assert(holds_pattern(files_path("b"), LEN));
	}
	ck_assert_int_gt(faultfs_count("copy"), 4); /* it was asked */
}

FAULTFS_TEST(copy_by_the_file_system_falls_short_and_fails)
{
	files_make("a", LEN);
	faultfs("most write 1000");
	ck_assert_int_eq(copy_to_new(2 * LEN), LEN);
	ck_assert(holds_pattern(files_path("b"), LEN));
	faultfs("fail copy %d 3 1", EIO);
	ck_assert_int_eq(copy_to_new(LEN), -EIO);
	ck_assert(holds_pattern(files_path("b"), 3000));
	faultfs("quota %d", LEN + 5500);
	ck_assert_int_eq(copy_to_new(LEN), -EDQUOT);
	ck_assert(holds_pattern(files_path("b"), 5500));
}

/* Between two kinds of file systems the kernel does not copy. */
FAULTFS_TEST(copy_by_hand_falls_short_and_fails)
{
	struct torc_file here, memory;

	ck_assert_int_eq(torc_file_wrap(&memory, memfd_create("copy", MFD_CLOEXEC)), 0);
	open_made(&here, "a", BUFFERED);
	faultfs("most read 1000");
	ck_assert_int_eq(torc_file_copy(&memory, 0, &here, 0, 2 * LEN), LEN);
	memset(bytes, 0, LEN);
	ck_assert_int_eq(torc_file_read_at(&memory, bytes, LEN, 0), LEN);
	ck_assert(pattern_holds(bytes, LEN, 0));
	ck_assert_int_eq(torc_file_truncate(&memory, 0), 0);
	faultfs("fail read %d 3 1", EIO);
	ck_assert_int_eq(torc_file_copy(&memory, 0, &here, 0, LEN), -EIO);
	ck_assert_int_eq(torc_file_size(&memory), 3000);
	ck_assert_int_eq(torc_file_close(&here), 0);

	ck_assert_int_eq(torc_file_write_at(&memory, bytes, LEN, 0), LEN);
	faultfs("most read 0");
	faultfs("cached"); /* for short writes */
	open_at(&here, files_make("b", 0), BUFFERED);
	faultfs("most write 1000");
	ck_assert_int_eq(torc_file_copy(&here, 0, &memory, 0, 2 * LEN), LEN);
	ck_assert(holds_pattern(files_path("b"), LEN));
	faultfs("quota %d", LEN + LEN / 2);
	ck_assert_int_eq(torc_file_copy(&here, LEN, &memory, 0, LEN), -EDQUOT);
	ck_assert_int_eq(torc_file_close(&here), 0);
	ck_assert_int_eq(torc_file_close(&memory), 0);
}

/* --- late ------------------------------------------------------------------------------------ */

enum { FLIGHT = 20 };

struct late {
	struct torc_file *file;
	int number;
	bool write;
	int64_t result;
};

static struct late flights[FLIGHT];
static int returned;

/* Into memory that is gone as soon as the call has returned. */
static int move_and_unmap(void *arg)
{
	struct late *late = arg;
	size_t at = (size_t)late->number % 5 * 2 * PIECE;
	void *memory = mmap(NULL, 2 * PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(memory, MAP_FAILED);
	if (late->write)
		pattern_fill(memory, 2 * PIECE, at);
	late->result = late->write ? torc_file_write_at(late->file, memory, 2 * PIECE, at)
	                           : torc_file_read_at(late->file, memory, 2 * PIECE, at);
	returned++;
	if (late->result > 0)
		ck_assert(pattern_holds(memory, (size_t)late->result, at));
	munmap(memory, 2 * PIECE);
	return late->result < 0 ? (int)late->result : 0;
}

static void start(struct torc_scope *scope, struct torc_file *file, bool write)
{
	returned = 0;
	for (int i = 0; i < FLIGHT; i++) {
		flights[i] = (struct late){ file, i, write, UNSET };
		ck_assert_int_eq(torc_go(scope, move_and_unmap, &flights[i]), 0);
	}
	faultfs_await("held", 2);
}

/* Nobody has returned whose memory the kernel still has. */
static int check_and_release(void *unused)
{
	(void)unused;
	ck_assert_int_eq(torc_sleep(SOON), 0);
	ck_assert_int_ge(faultfs_count("held"), 2);
	ck_assert_int_le(returned, FLIGHT - faultfs_count("held"));
	faultfs("release");
	return 0;
}

static void check_results(int cut)
{
	ck_assert_int_eq(returned, FLIGHT);
	for (int i = 0; i < FLIGHT; i++)
		ck_assert_msg(flights[i].result == 2 * PIECE || flights[i].result == cut, "%d: %d", i,
		              (int)flights[i].result);
}

static void cancel_held(const struct torc_file_options *options, bool write)
{
	struct torc_file file;

	open_made(&file, "a", options);
	faultfs("hold %s", write ? "write" : "read");
	TORC_SCOPE(outer);
	{
		TORC_SCOPE(scope);
		start(scope, &file, write);
		ck_assert_int_eq(torc_go(outer, check_and_release, NULL), 0);
		torc_scope_cancel(scope);
	}
	check_results(-ECANCELED);
	ck_assert_int_eq(torc_scope_join(outer), 0);
	ck_assert(holds_pattern(files_path("a"), LEN));
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FAULTFS_TEST(cancelled_while_the_device_has_the_memory)
{
	for (int write = 0; write < 2; write++) {
		cancel_held(BUFFERED, write);
		cancel_held(DIRECT, write);
	}
}

FAULTFS_TEST(closed_while_the_device_has_the_memory)
{
	struct torc_file file;

	open_made(&file, "a", BUFFERED);
	faultfs("hold read");
	TORC_SCOPE(outer);
	{
		TORC_SCOPE(scope, .until = TORC_ALL_DONE);
		start(scope, &file, false);
		ck_assert_int_eq(torc_go(outer, check_and_release, NULL), 0);
		ck_assert_int_eq(torc_file_close(&file), 0);
		(void)!torc_scope_join(scope);
	}
	check_results(-EBADF);
	ck_assert_int_eq(torc_scope_join(outer), 0);
}

/* A server that lets go of what is interrupted: nothing is released, all come back. */
FAULTFS_TEST(deadline_while_the_server_listens)
{
	struct torc_file file;

	faultfs("cached"); /* else it is asynchronous, and nobody can interrupt it */
	open_made(&file, "a", BUFFERED);
	faultfs("hold-interruptible write");
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON), .until = TORC_ALL_DONE);
		for (int i = 0; i < FLIGHT; i++) {
			flights[i] = (struct late){ &file, i, true, UNSET };
			ck_assert_int_eq(torc_go(scope, move_and_unmap, &flights[i]), 0);
		}
		ck_assert_int_eq(torc_scope_join(scope), -ETIME);
	}
	for (int i = 0; i < FLIGHT; i++)
		ck_assert_int_eq(flights[i].result, -ETIME);
	ck_assert_int_eq(faultfs_count("held"), 0);
	faultfs("release");
	ck_assert_int_eq(torc_file_close(&file), 0);
}

static int write_late(void *arg)
{
	struct late *late = arg;

	late->result = torc_file_write_at(late->file, bytes, LEN, (uint64_t)late->number * LEN);
	return 0;
}

/* The kernel waits itself for what it can't do asynchronously: in a thread of its own, not in ours. */
static void write_at_the_end(struct torc_file *file)
{
	struct late late = { file, 1, true, UNSET };

	ck_assert_int_eq(torc_file_truncate(file, LEN), 0);
	faultfs("hold write");
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	ck_assert_int_eq(torc_go(scope, write_late, &late), 0);
	faultfs_await("held", 1); /* a fiber that runs meanwhile */
	ck_assert_int_eq(late.result, UNSET);
	faultfs("release");
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(late.result, LEN);
	ck_assert_int_eq(torc_file_size(file), 2 * LEN);
}

FAULTFS_TEST(direct_write_at_the_end_lets_others_run)
{
	struct torc_file file, copy;

	open_made(&file, "a", DIRECT);
	write_at_the_end(&file);
	ck_assert_int_eq(torc_file_dup(&file, &copy), 0);
	write_at_the_end(&copy);
	ck_assert_int_eq(torc_file_close(&copy), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

struct opening {
	struct torc_file_options options;
	struct torc_file file;
	int result;
};

static int open_late(void *arg)
{
	struct opening *opening = arg;

	opening->result = torc_file_open(&opening->file, files_path("new"), &opening->options);
	return opening->result;
}

static int release_soon(void *unused)
{
	(void)unused;
	ck_assert_int_eq(torc_sleep(SOON), 0);
	faultfs("release");
	return 0;
}

/* An open that is cut off too late has opened: then it says so, and the descriptor is the caller's. */
FAULTFS_TEST(open_is_cancelled_or_done)
{
	for (int i = 0; i < 4; i++) {
		struct opening opening = { .options = { .size = sizeof opening.options, .flags = O_RDWR } };
		bool interruptible = i & 1;

		if (i & 2)
			files_make("new", 100);
		else
			opening.options.create_new = true;
		faultfs("%s %s", interruptible ? "hold-interruptible" : "hold", i & 2 ? "open" : "create");
		TORC_SCOPE(outer);
		{
			TORC_SCOPE(scope);
			ck_assert_int_eq(torc_go(scope, open_late, &opening), 0);
			faultfs_await("held", 1);
			if (!interruptible)
				ck_assert_int_eq(torc_go(outer, release_soon, NULL), 0);
			torc_scope_cancel(scope);
		}
		ck_assert_int_eq(torc_scope_join(outer), 0);
		faultfs("release");
		ck_assert_int_eq(opening.result, interruptible ? -ECANCELED : 0);
		ck_assert_int_eq(files_size(files_path("new")), i & 2 ? 100 : interruptible ? -ENOENT : 0);
		ck_assert_int_eq(torc_file_close(&opening.file), 0);
		unlink(files_path("new"));
	}
}

/* --- beside others --------------------------------------------------------------------------- */

static struct torc_file subject, second;
static struct torc_dir folder;

static int call_open(void)
{
	struct torc_file file;
	int r = torc_file_open(&file, "a", TORC_OPTIONS(torc_file_options, .at = &folder));

	return r < 0 ? r : torc_file_close(&file);
}

static int call_open_new(void)
{
	struct torc_file file;
	int r = torc_file_open(&file, "new",
	                       TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .create_new = true, .at = &folder));

	return r < 0 ? r : torc_file_close(&file);
}

static int call_open_directory(void)
{
	struct torc_dir dir;
	int r = torc_dir_open(&dir, &folder, "made");

	return r < 0 ? r : torc_dir_close(&dir);
}

static int call_list(void)
{
	struct torc_dir_entry entry;

	return torc_dir_read(&folder, &entry);
}

static int call_read(void)
{
	return (int)torc_file_read_at(&subject, bytes, LEN, 0);
}

static int call_write(void)
{
	return (int)torc_file_write_at(&subject, bytes, LEN, 0);
}

static int call_copy(void)
{
	return (int)torc_file_copy(&second, 0, &subject, 0, LEN);
}

static int call_size(void)
{
	return (int)torc_file_size(&subject);
}

static int call_truncate(void)
{
	return torc_file_truncate(&subject, LEN);
}

static int call_sync(void)
{
	return torc_file_sync(&subject);
}

static int call_sync_directory(void)
{
	return torc_dir_sync(&folder);
}

static int call_stat(void)
{
	struct torc_file_info info;

	return torc_path_stat(&folder, "a", &info);
}

static int call_make_directory(void)
{
	return torc_dir_create(&folder, "made", NULL);
}

static int call_remove_directory(void)
{
	return torc_dir_remove(&folder, "made");
}

static int call_rename(void)
{
	return torc_path_rename(&folder, "new", &folder, "newer", 0);
}

static int call_link(void)
{
	return torc_path_link(&folder, "newer", &folder, "newest");
}

static int call_unlink(void)
{
	return torc_path_unlink(&folder, "newest");
}

static int call_close(void)
{
	return torc_file_close(&second);
}

/* In this order. */
static const struct call {
	const char *request;
	int (*fn)(void);
} calls[] = {
	{ "lookup", call_open },
	{ "open", call_open },
	{ "flush", call_open },
	{ "create", call_open_new },
	{ "readdir", call_list },
	{ "read", call_read },
	{ "write", call_write },
	{ "copy", call_copy },
	{ "getattr", call_size },
	{ "setattr", call_truncate },
	{ "fsync", call_sync },
	{ "fsyncdir", call_sync_directory },
	{ "lookup", call_stat },
	{ "mkdir", call_make_directory },
	{ "opendir", call_open_directory },
	{ "rmdir", call_remove_directory },
	{ "rename", call_rename },
	{ "link", call_link },
	{ "unlink", call_unlink },
	{ "flush", call_close },
};

static int make_call(void *call)
{
	return ((const struct call *)call)->fn();
}

static void prepare_calls(void)
{
	open_made(&subject, "a", BUFFERED);
	open_at(&second, files_make("b", LEN), BUFFERED);
	ck_assert_int_eq(torc_dir_open(&folder, NULL, files_home), 0);
}

static void end_calls(void)
{
	ck_assert_int_eq(torc_dir_close(&folder), 0);
	ck_assert_int_eq(torc_file_close(&subject), 0);
}

/* The server was interrupted, and not by us: it is asked once more. But nobody may close again. */
FAULTFS_TEST(no_call_tells_of_an_interruption)
{
	prepare_calls();
	for (size_t i = 0; i < LENGTH(calls); i++) {
		int r;

		if (strcmp(calls[i].request, "flush") != 0)
			faultfs("fail %s %d 0 2", calls[i].request, EINTR);
		r = calls[i].fn();
		ck_assert_msg(r >= 0, "%s: %s", calls[i].request, strerror(-r));
	}
	end_calls();
}

/* Whatever the server takes its time for, others run meanwhile: it is they who let it go on. */
FAULTFS_TEST(no_call_keeps_the_core_while_the_server_is_late)
{
	if (harness_slow())
		SKIP("valgrind lets no thread run while one is in some calls");
	prepare_calls();
	for (size_t i = 0; i < LENGTH(calls); i++) {
		faultfs("hold %s", calls[i].request);
		TORC_SCOPE(scope, .until = TORC_ALL_DONE);
		ck_assert_int_eq(torc_go(scope, make_call, (void *)(uintptr_t)&calls[i]), 0);
		faultfs_await("held", 1);
		faultfs("release");
		ck_assert_msg(torc_scope_join(scope) >= 0, "%s: %s", calls[i].request,
		              strerror(-torc_scope_join(scope)));
	}
	end_calls();
}

/* What is known of an open file is not asked for again where nobody could wait. */
FAULTFS_TEST(descriptors_are_wrapped_without_the_server)
{
	int fd = open(files_make("a", LEN), O_RDWR | O_CLOEXEC);
	struct torc_stream stream;
	struct torc_file file, copy;
	int asked;

	ck_assert_int_ge(fd, 0);
	asked = faultfs_count("getattr");
	ck_assert_int_eq(torc_file_wrap(&file, fd), 0);
	ck_assert_int_eq(torc_file_dup(&file, &copy), 0);
	ck_assert_int_eq(torc_stream_wrap(&stream, dup(fd)), 0);
	ck_assert_int_eq(faultfs_count("getattr"), asked);
	ck_assert_int_eq(torc_stream_close(&stream), 0);
	ck_assert_int_eq(torc_file_close(&copy), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* --- gone ------------------------------------------------------------------------------------ */

static bool is_gone(int64_t result)
{
	return result == -ENOTCONN || result == -ECONNABORTED;
}

/* Nothing hangs and nothing is left: what was under way fails, and what comes after it. */
FAULTFS_TEST(device_that_is_unplugged)
{
	const char *path = files_path("a");
	struct torc_file_info info;
	struct torc_file file, other;
	struct torc_dir dir;

	open_made(&file, "a", BUFFERED);
	ck_assert_int_eq(torc_dir_open(&dir, NULL, files_home), 0);
	faultfs("hold read");
	{
		TORC_SCOPE(scope, .until = TORC_ALL_DONE);
		start(scope, &file, false);
		faultfs_unplug();
		ck_assert(is_gone(torc_scope_join(scope)));
	}
	ck_assert_int_eq(returned, FLIGHT);
	for (int i = 0; i < FLIGHT; i++)
		ck_assert(is_gone(flights[i].result));
	ck_assert(is_gone(torc_file_read_at(&file, bytes, LEN, 0)));
	ck_assert(is_gone(torc_file_write_at(&file, bytes, LEN, 0)));
	ck_assert(is_gone(torc_file_sync(&file)));
	ck_assert(is_gone(torc_file_stat(&file, &info)));
	ck_assert(is_gone(torc_file_truncate(&file, 0)));
	ck_assert(is_gone(torc_file_open(&other, path, NULL)));
	ck_assert(is_gone(torc_file_replace(path, "new", 3, NULL)));
	ck_assert(is_gone(torc_path_unlink(&dir, "a")));
	ck_assert(is_gone(torc_dir_sync(&dir)));
	ck_assert_int_eq(torc_dir_close(&dir), 0);
	ck_assert(is_gone(torc_file_close(&file)));
}
