/* sys_file - the system calls on files that the ring has not, or has not everywhere, as the kernel says it: >= 0 or -errno.
 * They block; so they are made on threads beside the executor. */
#ifndef TORC_SRC_SYS_FILE_H
#define TORC_SRC_SYS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int sys_ftruncate(int fd, int64_t size);
int64_t sys_copy_range(int from, int64_t from_offset, int to, int64_t to_offset, size_t len);
int sys_advise(int fd, int64_t offset, int64_t len, int advice);
int sys_sync_range(int fd, int64_t offset, int64_t len, unsigned flags);
int sys_dup(int fd);
bool sys_is_fuse(int fd); /* does it lie on such a file system? fstatfs(2), which asks its server */
int sys_chmod(int fd, unsigned mode);

enum sys_lock { SYS_UNLOCK, SYS_LOCK_SHARED, SYS_LOCK_EXCLUSIVE };

/* A lock of the open file's (F_OFD_SETLK), without waiting. */
int sys_lock(int fd, enum sys_lock lock, int64_t offset, int64_t len);

/* Entries of a directory, as getdents64(2) writes them. */
struct sys_entry {
	uint64_t inode;
	int64_t next;
	uint16_t len;
	uint8_t type;
	char name[];
};
int sys_entries(int fd, void *batch, size_t size);
int sys_rewind(int fd);

int sys_readlink(int at, const char *path, char *buf, size_t size);
int sys_rename(int at, const char *path, int to, const char *new_path, unsigned flags);
int sys_unlink(int at, const char *path, int flags);
int sys_mkdir(int at, const char *path, unsigned mode);
int sys_symlink(const char *target, int at, const char *path);
int sys_link(int at, const char *path, int to, const char *new_path, int flags);

#endif
