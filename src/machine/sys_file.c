#include "machine/sys_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static int result(long r)
{
	return r < 0 ? -errno : (int)r;
}

int sys_ftruncate(int fd, int64_t size)
{
	return result(ftruncate(fd, size));
}

int64_t sys_copy_range(int from, int64_t from_offset, int to, int64_t to_offset, size_t len)
{
	ssize_t r = copy_file_range(from, &from_offset, to, &to_offset, len, 0);

	return r < 0 ? -errno : r;
}

int sys_advise(int fd, int64_t offset, int64_t len, int advice)
{
	return -posix_fadvise(fd, offset, len, advice);
}

int sys_sync_range(int fd, int64_t offset, int64_t len, unsigned flags)
{
	return result(sync_file_range(fd, offset, len, flags));
}

bool sys_is_fuse(int fd)
{
	struct statfs found;

	return fstatfs(fd, &found) == 0 && found.f_type == FUSE_SUPER_MAGIC;
}

int sys_dup(int fd)
{
	return result(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

int sys_chmod(int fd, unsigned mode)
{
	return result(fchmod(fd, mode));
}

int sys_lock(int fd, enum sys_lock lock, int64_t offset, int64_t len)
{
	static const short types[] = {
		[SYS_UNLOCK] = F_UNLCK, [SYS_LOCK_SHARED] = F_RDLCK, [SYS_LOCK_EXCLUSIVE] = F_WRLCK
	};
	struct flock range = { .l_type = types[lock], .l_whence = SEEK_SET, .l_start = offset, .l_len = len };

	return result(fcntl(fd, F_OFD_SETLK, &range));
}

int sys_entries(int fd, void *batch, size_t size)
{
	return result(syscall(SYS_getdents64, fd, batch, size));
}

int sys_rewind(int fd)
{
	return result(lseek(fd, 0, SEEK_SET));
}

int sys_readlink(int at, const char *path, char *buf, size_t size)
{
	return result(readlinkat(at, path, buf, size));
}

int sys_rename(int at, const char *path, int to, const char *new_path, unsigned flags)
{
	return result(renameat2(at, path, to, new_path, flags));
}

int sys_unlink(int at, const char *path, int flags)
{
	return result(unlinkat(at, path, flags));
}

int sys_mkdir(int at, const char *path, unsigned mode)
{
	return result(mkdirat(at, path, mode));
}

int sys_symlink(const char *target, int at, const char *path)
{
	return result(symlinkat(target, at, path));
}

int sys_link(int at, const char *path, int to, const char *new_path, int flags)
{
	return result(linkat(at, path, to, new_path, flags));
}
