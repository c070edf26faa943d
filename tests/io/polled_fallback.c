/* polled_fallback - a device that is taken for one with poll queues and has none, with the kernel's own two rings: the read
 * comes all the same. */
#include "harness.h"
#include "io/device.h"

#include <torc.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 4096 };

static char path[64];

static int read_it(void *arg)
{
	struct torc_buffer buffer;
	struct torc_file file;
	struct device *device;

	(void)arg;
	ck_assert_int_eq(torc_file_open(&file, path, TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .direct = true)),
	                 0);
	ck_assert_int_eq(torc_buffer_open(&buffer, BLOCK), 0);
	if (torc_file_is_direct(&file)) {
		device = device_get(executor_self, file.device_);
		ck_assert_ptr_nonnull(device);
		device->polls = true;
	}
	for (int i = 0; i < 3; i++) {
		memset(buffer.data, 'a' + i, BLOCK);
		ck_assert_int_eq(torc_file_write_at(&file, buffer.data, BLOCK, 0), BLOCK);
		memset(buffer.data, 0, BLOCK);
		ck_assert_int_eq(torc_file_read_at(&file, buffer.data, BLOCK, 0), BLOCK);
		ck_assert_int_eq(((const char *)buffer.data)[BLOCK - 1], 'a' + i);
	}
	torc_buffer_close(&buffer);
	ck_assert_int_eq(torc_file_close(&file), 0);
	return 0;
}

TEST(a_device_without_poll_queues_is_read_by_the_first_ring)
{
	int fd;

	strcpy(path, "/var/tmp/torc-test-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0) {
		strcpy(path, "/tmp/torc-test-XXXXXX");
		fd = mkstemp(path);
	}
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(torc_run(NULL, read_it, NULL), 0);
	unlink(path);
}
