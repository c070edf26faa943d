#include "machine/notify.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

static int result(int r)
{
	return r < 0 ? -errno : r;
}

int notify_open(void)
{
	return result(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

int notify_add(int fd, const char *path, uint32_t what)
{
	return result(inotify_add_watch(fd, path, what));
}

int notify_remove(int fd, int id)
{
	return result(inotify_rm_watch(fd, id));
}

int notify_read(int fd, void *buf, size_t len)
{
	return result((int)read(fd, buf, len));
}
