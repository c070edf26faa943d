/* notify - inotify(7): the calls, and the reading of what it says. */
#ifndef TORC_SRC_NOTIFY_H
#define TORC_SRC_NOTIFY_H

#include <stdint.h>
#include <stddef.h>

int notify_open(void); /* a descriptor, close-on-exec, that does not block; or -errno */
int notify_add(int fd, const char *path, uint32_t what);
int notify_remove(int fd, int id);

/* Whole events, at most `len` bytes, at least sizeof(struct inotify_event) + NAME_MAX + 1. -EAGAIN: none. */
int notify_read(int fd, void *buf, size_t len);

#endif
