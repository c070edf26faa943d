#include "machine/sys.h"

#include "machine/feature.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int result(int r)
{
	return r < 0 ? -errno : r;
}

int sys_close(int fd)
{
	return result(close(fd));
}

int sys_spare_standard(int fd)
{
	int spare;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	spare = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (spare < 0)
		return fd;
	close(fd);
	return spare;
}

int64_t sys_read_cached(int fd, void *buf, size_t len, uint64_t offset)
{
	struct iovec piece = { buf, len };
	ssize_t n = preadv2(fd, &piece, 1, (off_t)offset, RWF_NOWAIT);

	return n < 0 ? -errno : n;
}

int64_t sys_move(int fd, int64_t by)
{
	off_t position = lseek(fd, (off_t)by, SEEK_CUR);

	return position < 0 ? -errno : position;
}

int sys_status_flags(int fd, int set, int clear)
{
	int old = fcntl(fd, F_GETFL);
	int wanted = (old | set) & ~clear;

	if (old < 0)
		return -errno;
	if (wanted != old && fcntl(fd, F_SETFL, wanted) < 0)
		return -errno;
	return old;
}

int sys_fd_kind(int fd, size_t *file)
{
	struct statx found;
	int r = sys_statx_now(fd, &found);

	if (r < 0)
		return r;
	*file = (size_t)found.stx_ino ^ (size_t)found.stx_dev_major << 44 ^ (size_t)found.stx_dev_minor << 24;
	return found.stx_mode & S_IFMT;
}

bool sys_is_ring(int fd)
{
	/* It asks for nothing, which a ring refuses in one of its own ways. */
	return syscall(__NR_io_uring_register, fd, IORING_REGISTER_PROBE, NULL, 0) >= 0 ||
	       (errno != EBADF && errno != EOPNOTSUPP);
}

bool sys_is_terminal(int fd)
{
	return isatty(fd);
}

int sys_pipe(int ends[2])
{
	return result(pipe2(ends, O_CLOEXEC));
}

int sys_poll(int fd, short events)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	int r = result(poll(&poll_fd, 1, 0));

	if (r == -EINTR) /* nothing so far */
		return 0;
	if (r <= 0)
		return r;
	return poll_fd.revents & POLLNVAL ? -EBADF : poll_fd.revents;
}

int sys_socket(int domain, int type, int protocol)
{
	return result(socket(domain, type, protocol));
}

int sys_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return result(bind(fd, addr, len));
}

int sys_listen(int fd, int backlog)
{
	return result(listen(fd, backlog));
}

int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	return result(setsockopt(fd, level, name, value, len));
}

int sys_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	return result(getsockopt(fd, level, name, value, len));
}

int sys_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	return result(getsockname(fd, addr, len));
}

int sys_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return result(getpeername(fd, addr, len));
}

int sys_shutdown(int fd, int how)
{
	return result(shutdown(fd, how));
}

unsigned sys_ifindex(const char *name)
{
	return if_nametoindex(name);
}

char *sys_ifname(unsigned index, char *name)
{
	return if_indextoname(index, name);
}

int sys_statx_now(int fd, struct statx *found)
{
	return result(statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS | SYS_STATX_DIOALIGN, found));
}

struct statx_alignment sys_statx_alignment(const struct statx *found)
{
	/* glibc's struct may be older than the kernel's, whose size is the same: two words behind stx_mnt_id, at 152. */
	struct statx_alignment alignment = { .known = found->stx_mask & SYS_STATX_DIOALIGN };

	memcpy(&alignment.memory, (const char *)found + 152, sizeof alignment.memory);
	memcpy(&alignment.offset, (const char *)found + 156, sizeof alignment.offset);
	if (!feature_on(FEATURE_DIOALIGN))
		alignment.known = false;
	if (found->stx_mask & SYS_STATX_WRITE_ATOMIC) {
		memcpy(&alignment.atomic_least, (const char *)found + 168, sizeof alignment.atomic_least);
		memcpy(&alignment.atomic_most, (const char *)found + 172, sizeof alignment.atomic_most);
	}
	return alignment;
}

int64_t sys_device_size(int fd)
{
	uint64_t size;
	int r = result(ioctl(fd, BLKGETSIZE64, &size));

	return r < 0 ? r : (int64_t)size;
}

int sys_eventfd(void)
{
	return result(sys_spare_standard(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
}

void sys_eventfd_ring(int fd)
{
	(void)eventfd_write(fd, 1); /* fails when it has been rung 2^64 - 2 times */
}

void sys_complain(const char *format, ...)
{
	char line[512];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (len > (int)sizeof line - 1)
		len = sizeof line - 1;
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		return; /* nowhere to complain to */
}
