/* sys - the few plain system calls, each as the kernel says it: >= 0 or -errno, never errno. */
#ifndef TORC_SRC_SYS_H
#define TORC_SRC_SYS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

int sys_close(int fd);

/* The same open file, not as 0, 1 or 2: those may be closed, but are the program's. fd itself where there is no other. */
int sys_spare_standard(int fd);

/* Read `len` bytes if the kernel's cache has them all: len, or fewer, or -EAGAIN; -EOPNOTSUPP where nothing of that kind is
 * to be had. preadv2(2), RWF_NOWAIT */
int64_t sys_read_cached(int fd, void *buf, size_t len, uint64_t offset);

/* Move the open file's own position, or ask for it: where it is then; -ESPIPE. lseek(2) */
int64_t sys_move(int fd, int64_t by);

/* or `set` into and take `clear` out of the fd's status flags; returns the old ones. fcntl(2) */
int sys_status_flags(int fd, int set, int clear);

/* The fd's kind: S_IFMT of its mode, or -errno. *file tells files apart, nearly always. Asks no server. */
int sys_fd_kind(int fd, size_t *file);
bool sys_is_terminal(int fd);
bool sys_is_ring(int fd);  /* of io_uring_setup(2) */
int sys_pipe(int ends[2]); /* close-on-exec, blocking */

/* What of `events` is so now, or is an error or an end; 0: nothing. poll(2) */
int sys_poll(int fd, short events);

int sys_socket(int domain, int type, int protocol);
int sys_bind(int fd, const struct sockaddr *addr, socklen_t len);
int sys_listen(int fd, int backlog);
int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int sys_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int sys_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int sys_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int sys_shutdown(int fd, int how);
unsigned sys_ifindex(const char *name);       /* 0: no such interface */
char *sys_ifname(unsigned index, char *name); /* NULL: no such interface; name has room for IF_NAMESIZE */

/* What is known of an open file without asking a server for news; never blocks. */
struct statx;
int sys_statx_now(int fd, struct statx *found);

/* What statx says about direct I/O, where it was asked with SYS_STATX_DIOALIGN: known, offset 0 means that there is none. */
#define SYS_STATX_DIOALIGN     0x2000u
#define SYS_STATX_WRITE_ATOMIC 0x10000u
struct statx_alignment {
	bool known;
	uint32_t memory, offset;
	uint32_t atomic_least, atomic_most;
};
struct statx_alignment sys_statx_alignment(const struct statx *found);

int64_t sys_device_size(int fd); /* of a block device */

/* An eventfd(2) of 0, and adding 1 to one. */
int sys_eventfd(void);
void sys_eventfd_ring(int fd);

/* A line of diagnosis on stderr, in one write(2). */
void sys_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
