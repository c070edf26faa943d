/* file_faults - what goes wrong with files: no room, no quota, no descriptor, a broken device, limits, cancellation with the
 * memory gone right after. An error each, nothing lost, nothing touched late. */
#include "faultfs.h"

#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { PIECE = 4096, FLIGHT = 200 };

/* --- small file systems ---------------------------------------------------------------------- */

/* A tmpfs of our own over the test's directory; gone with the process. */
static void mount_small(const char *options)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", files_home, "tmpfs", 0, options) < 0)
		SKIP("needs to be root, to mount a small file system");
}

static int64_t write_until_it_fails(struct torc_file *file, int64_t *written)
{
	static unsigned char piece[PIECE];

	for (*written = 0;;) {
		int64_t r;

		pattern_fill(piece, PIECE, (size_t)*written);
		r = torc_file_write_at(file, piece, PIECE, (uint64_t)*written);
		if (r < 0)
			return r;
		*written += r;
	}
}

static void check_pattern(struct torc_file *file, int64_t len)
{
	static unsigned char piece[PIECE];

	for (int64_t at = 0; at < len; at += PIECE) {
		int64_t n = len - at < PIECE ? len - at : PIECE;

		ck_assert_int_ge(torc_file_read_at(file, piece, PIECE, (uint64_t)at), n);
		ck_assert(pattern_holds(piece, (size_t)n, (size_t)at));
	}
}

static int fill_up(void *arg)
{
	const int *expected = arg;
	struct torc_file file;
	int64_t written;
	int r = torc_file_open(&file, files_path("a"),
	                       TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .create_new = true));

	if (r < 0)
		return r;
	ck_assert_int_eq(write_until_it_fails(&file, &written), *expected);
	ck_assert_int_gt(written, 0);
	check_pattern(&file, written);
	r = torc_file_truncate(&file, PIECE);
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(torc_file_write_at(&file, "more", 4, PIECE), 4); /* there is room again */
	ck_assert_int_eq(torc_file_replace(files_path("b"), "b", 1, NULL), 0);
	return torc_file_close(&file);
}

TEST(no_room_is_enospc_and_nothing_is_lost)
{
	files_begin();
	mount_small("size=256k");
	ck_assert_int_eq(torc_run(NULL, fill_up, &(int){ -ENOSPC }), 0);
	ck_assert_int_eq(umount2(files_home, MNT_DETACH), 0);
	files_remove();
}

TEST(no_quota_is_edquot)
{
	faultfs_begin();
	faultfs("quota %d", 64 * PIECE);
	ck_assert_int_eq(torc_run(NULL, fill_up, &(int){ -EDQUOT }), 0);
	faultfs_end();
}

static int replace_without_room(void *arg)
{
	static unsigned char large[300000];
	char old[3];
	int fd;

	(void)arg;
	ck_assert_int_eq(torc_file_replace(files_path("a"), "old", 3, NULL), 0);
	ck_assert_int_eq(torc_file_replace(files_path("a"), large, sizeof large, NULL), -ENOSPC);
	fd = open(files_path("a"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(read(fd, old, 3), 3);
	ck_assert_mem_eq(old, "old", 3);
	close(fd);
	ck_assert_int_eq(torc_file_replace(files_path("a"), large, 200000, NULL), 0); /* nothing was left beside */
	return 0;
}

TEST(replace_without_room_leaves_the_old)
{
	files_begin();
	mount_small("size=256k");
	ck_assert_int_eq(torc_run(NULL, replace_without_room, NULL), 0);
	ck_assert_int_eq(umount2(files_home, MNT_DETACH), 0);
	files_remove();
}

/* --- broken devices -------------------------------------------------------------------------- */

TEST_IN_FIBER(full_device_is_enospc)
{
	struct torc_file file;
	char byte = 1;

	ck_assert_int_eq(torc_file_open(&file, "/dev/full", TORC_OPTIONS(torc_file_options, .flags = O_RDWR)), 0);
	ck_assert_int_eq(torc_file_write_at(&file, &byte, 1, 0), -ENOSPC);
	ck_assert_int_eq(torc_file_write_some_at(&file, &byte, 1, 0), -ENOSPC);
	ck_assert_int_eq(torc_file_read_at(&file, &byte, 1, 0), 1);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* Address 0 of this process: nothing is there, and reading says so. */
TEST_IN_FIBER(unreadable_is_eio)
{
	struct torc_file file;
	char bytes[16];

	ck_assert_int_eq(torc_file_open(&file, "/proc/self/mem", TORC_OPTIONS(torc_file_options, .flags = O_RDWR)), 0);
	ck_assert_int_eq(torc_file_read_at(&file, bytes, 16, 0), -EIO);
	ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, 16, 0), -EIO);
	ck_assert_int_eq(torc_file_write_at(&file, bytes, 16, 0), -EIO);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* A read that begins in what there is and ends in what there isn't gives the first part; the next call says why. */
TEST_IN_FIBER(short_read_is_what_there_is)
{
	char *pages = mmap(NULL, 2 * PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static unsigned char bytes[2 * PIECE];
	struct torc_file file;

	ck_assert_ptr_ne(pages, MAP_FAILED);
	pattern_fill(pages, PIECE, 0);
	munmap(pages + PIECE, PIECE);
	ck_assert_int_eq(torc_file_open(&file, "/proc/self/mem", NULL), 0);
	ck_assert_int_eq(torc_file_read_at(&file, bytes, sizeof bytes, (uintptr_t)pages), PIECE);
	ck_assert(pattern_holds(bytes, PIECE, 0));
	ck_assert_int_eq(torc_file_read_exact_at(&file, bytes, sizeof bytes, (uintptr_t)pages), -EIO);
	ck_assert_int_eq(torc_file_close(&file), 0);
	munmap(pages, PIECE);
}

/* A loop device over a file that becomes shorter under it. */
static int open_loop(const char *backing, char path[32])
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), fd = open(backing, O_RDWR | O_CLOEXEC), loop = -1;
	struct loop_config config = { .fd = (uint32_t)fd,
		                      .info = { .lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO } };
	int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);

	if (number >= 0) {
		snprintf(path, 32, "/dev/loop%d", number);
		loop = open(path, O_RDWR | O_CLOEXEC);
	}
	if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) < 0) {
		close(loop);
		loop = -1;
	}
	if (control >= 0)
		close(control);
	close(fd);
	return loop;
}

FILE_TEST(broken_device_is_eio)
{
	const char *backing = files_make("backing", 1 << 20);
	static unsigned char bytes[PIECE];
	struct torc_file file;
	char path[32];
	int loop = open_loop(backing, path);

	if (loop < 0)
		SKIP("needs a loop device");
	ck_assert_int_eq(torc_file_open(&file, path, TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .direct = true)),
	                 0);
	ck_assert_int_eq(torc_file_size(&file), 1 << 20);
	ck_assert(torc_file_is_direct(&file));
	ck_assert_int_eq(torc_file_read_at(&file, bytes, 100, 8200), 100);
	ck_assert(pattern_holds(bytes, 100, 8200));
	ck_assert_int_eq(truncate(backing, 65536), 0);
	ck_assert_int_eq(torc_file_read_at(&file, bytes, PIECE, 0), PIECE);
	ck_assert_int_eq(torc_file_read_at(&file, bytes, PIECE, 1 << 19), -EIO);
	ck_assert_int_eq(torc_file_close(&file), 0);
	close(loop);
}

/* --- limits ---------------------------------------------------------------------------------- */

FILE_TEST(beyond_the_limit_of_size_is_efbig_and_no_signal)
{
	struct rlimit before;
	struct torc_file file;
	static unsigned char bytes[3 * PIECE];

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	ck_assert_int_eq(torc_file_open(&file, files_make("a", 0), BUFFERED), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 2 * PIECE, before.rlim_max }), 0);
	ck_assert_int_eq(torc_file_write_some_at(&file, bytes, 3 * PIECE, 0), 2 * PIECE); /* short */
	ck_assert_int_eq(torc_file_write_at(&file, bytes, 3 * PIECE, 0), -EFBIG);
	ck_assert_int_eq(torc_file_write_at(&file, bytes, 1, 2 * PIECE), -EFBIG);
	ck_assert_int_eq(torc_file_truncate(&file, 3 * PIECE), -EFBIG);
	ck_assert_int_eq(torc_file_size(&file), 2 * PIECE);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(no_descriptor_is_emfile_and_passes)
{
	const char *path = files_make("a", 10);
	struct rlimit before;
	struct torc_file file, copy;
	struct torc_dir dir;
	int next;

	if (harness_slow())
		SKIP("valgrind keeps the limit to itself: the ring does not know it");
	next = dup(0);
	close(next);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(torc_file_open(&file, path, NULL), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ (rlim_t)next + 1, before.rlim_max }), 0);
	ck_assert_int_eq(torc_file_open(&copy, path, NULL), -EMFILE);
	ck_assert_int_eq(torc_file_dup(&file, &copy), -EMFILE);
	ck_assert_int_eq(torc_dir_open(&dir, NULL, "/"), -EMFILE);
	ck_assert_int_eq(torc_dir_remove_tree(NULL, files_home), -EMFILE);
	ck_assert_int_eq(torc_file_replace(path, "", 0, NULL), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(torc_file_open(&copy, path, NULL), 0);
	ck_assert_int_eq(torc_file_close(&copy), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_int_eq(files_size(path), 10);
}

/* --- cancelling ------------------------------------------------------------------------------ */

struct flight {
	struct torc_file *file;
	int number;
	int64_t result;
};

static int read_and_unmap(void *arg)
{
	struct flight *flight = arg;
	size_t len = 16 * PIECE;
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(memory, MAP_FAILED);
	flight->result = torc_file_read_at(flight->file, memory, len, (uint64_t)flight->number * len % (8 << 20));
	munmap(memory, len);
	return flight->result < 0 ? (int)flight->result : 0;
}

/* Into a buffer of torc's, which is free for others right after. */
static int read_and_give_back(void *arg)
{
	struct flight *flight = arg;
	struct torc_buffer buffer;
	size_t len = 16 * PIECE;

	ck_assert_int_eq(torc_buffer_open(&buffer, len), 0);
	flight->result = torc_file_read_at(flight->file, buffer.data, len, (uint64_t)flight->number * len % (8 << 20));
	torc_buffer_close(&buffer);
	return flight->result < 0 ? (int)flight->result : 0;
}

static void cancel_in_flight(torc_fn *fn, torc_ns after)
{
	static struct flight flights[FLIGHT];
	struct torc_file file;

	ck_assert_int_eq(torc_file_open(&file, files_path("large"), TORC_OPTIONS(torc_file_options, .direct = true)),
	                 0);
	{
		TORC_SCOPE(scope);
		for (int i = 0; i < FLIGHT; i++) {
			flights[i] = (struct flight){ &file, i, UNSET };
			ck_assert_int_eq(torc_go(scope, fn, &flights[i]), 0);
		}
		if (after > 0)
			ck_assert_int_eq(torc_sleep(after), 0);
		else
			torc_yield();
		torc_scope_cancel(scope);
	}
	for (int i = 0; i < FLIGHT; i++)
		ck_assert(flights[i].result == 16 * PIECE || flights[i].result == -ECANCELED);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST_TIMEOUT(two_hundred_reads_cancelled_with_their_memory_gone, 30)
{
	files_make("large", 8 << 20);
	for (int i = 0; i < 3; i++) {
		cancel_in_flight(read_and_unmap, i * TORC_MS);
		cancel_in_flight(read_and_give_back, i * TORC_MS);
	}
}

FILE_TEST_TIMEOUT(two_hundred_reads_and_the_file_closed_under_them, 30)
{
	static struct flight flights[FLIGHT];
	struct torc_file file;

	files_make("large", 8 << 20);
	ck_assert_int_eq(torc_file_open(&file, files_path("large"), TORC_OPTIONS(torc_file_options, .direct = true)),
	                 0);
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	for (int i = 0; i < FLIGHT; i++) {
		flights[i] = (struct flight){ &file, i, UNSET };
		ck_assert_int_eq(torc_go(scope, read_and_unmap, &flights[i]), 0);
	}
	torc_yield();
	ck_assert_int_eq(torc_file_close(&file), 0);
	(void)!torc_scope_join(scope);
	for (int i = 0; i < FLIGHT; i++)
		ck_assert(flights[i].result == 16 * PIECE || flights[i].result == -EBADF);
}

/* --- without what this kernel has ------------------------------------------------------------ */

static int run_without(void *features)
{
	char program[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", program, sizeof program - 16);
	char *name;

	if (len < 0)
		return 98;
	program[len] = 0;
	name = strrchr(program, '/') + 1;
	strcpy(name, "test_api_file");
	setenv("TORC_DISABLE", features, 1);
	execl(program, program, NULL);
	return 99;
}

static void works_without(const char *features)
{
	struct outcome outcome;

	if (getenv("TORC_DISABLE"))
		SKIP("something is switched off already");
	if (harness_slow())
		SKIP("once is enough");
	run_in_process(&outcome, run_without, (void *)(uintptr_t)features);
	assert_exit(&outcome, 0);
}

TEST_TIMEOUT(files_work_without_alignment_told, 60)
{
	works_without("dioalign");
}

TEST_TIMEOUT(files_work_without_the_rest, 60)
{
	works_without("fixed_buffers,ftruncate,path_ops,dontcache");
}
