/* Writes of several fibers to one regular file or disk, at its own position: two of them could find the same one, and one was
 * lost, since the kernel runs requests that it hands to its worker threads side by side. */
#include "api/api.h"

#include <linux/loop.h>
#include <sys/ioctl.h>

enum { WRITERS = 8, LINES = 20, SIZE = 64 };

static int write_lines(void *arg)
{
	char line[SIZE] = { 0 };
	int r = 0;

	for (int i = 0; i < LINES && r >= 0; i++)
		r = torc_stream_write(arg, line, sizeof line);
	return r < 0 ? r : 0;
}

static int temporary(void)
{
	char path[] = "/tmp/torc-test-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(unlink(path), 0);
	return fd;
}

static void write_side_by_side(int fd)
{
	struct torc_stream streams[WRITERS];
	TORC_SCOPE(scope);

	for (int i = 0; i < WRITERS; i++) {
		ck_assert_int_eq(torc_stream_borrow(&streams[i], fd), 0);
		ck_assert_int_eq(torc_go(scope, write_lines, &streams[i]), 0);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), WRITERS * LINES * SIZE);
}

TEST_IN_FIBER_TIMEOUT(none_is_lost, 60)
{
	for (int i = 0; i < COUNT(300, 20); i++) {
		int fd = temporary();

		write_side_by_side(fd);
		ck_assert_int_eq(lseek(fd, 0, SEEK_END), WRITERS * LINES * SIZE);
		ck_assert_int_eq(close(fd), 0);
	}
}

/* A disk that is a file of a mebibyte, gone when it is closed; -1 where there are none. */
static int make_disk(void)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), file = temporary(), disk = -1;
	struct loop_config config = { .fd = (uint32_t)file, .info = { .lo_flags = LO_FLAGS_AUTOCLEAR } };
	int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	char path[32];

	ck_assert_int_eq(ftruncate(file, 1 << 20), 0);
	snprintf(path, sizeof path, "/dev/loop%d", number);
	if (number >= 0)
		disk = open(path, O_RDWR | O_CLOEXEC);
	if (disk >= 0 && ioctl(disk, LOOP_CONFIGURE, &config) < 0) {
		close(disk);
		disk = -1;
	}
	if (control >= 0)
		close(control);
	close(file);
	return disk;
}

/* A disk has a position, too. */
TEST_IN_FIBER_TIMEOUT(nor_on_a_disk, 60)
{
	int disk = make_disk();

	if (disk < 0)
		SKIP("needs a loop device");
	for (int i = 0; i < COUNT(30, 5); i++) {
		ck_assert_int_eq(lseek(disk, 0, SEEK_SET), 0);
		write_side_by_side(disk);
	}
	ck_assert_int_eq(close(disk), 0);
}

/* Whoever waits for its turn may be cancelled, and those behind it have theirs. */
TEST_IN_FIBER(who_waits_may_be_cancelled)
{
	struct torc_stream streams[WRITERS];
	int fd = temporary();

	for (int i = 0; i < WRITERS; i++)
		ck_assert_int_eq(torc_stream_borrow(&streams[i], fd), 0);
	for (int round = 0; round < 50; round++) {
		TORC_SCOPE(staying);
		TORC_SCOPE(going, .until = TORC_ALL_DONE);

		for (int i = 0; i < WRITERS; i++)
			ck_assert_int_eq(torc_go(i % 2 ? going : staying, write_lines, &streams[i]), 0);
		for (int i = 0; i < round % 5; i++)
			torc_yield();
		torc_scope_cancel(going);
		(void)!torc_scope_join(going);
		ck_assert_int_eq(torc_scope_join(staying), 0);
	}
	ck_assert_int_ge(lseek(fd, 0, SEEK_END), 50 * WRITERS / 2 * LINES * SIZE);
	ck_assert_int_eq(close(fd), 0);
}
