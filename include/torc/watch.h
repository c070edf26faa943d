/* watch.h - what happens to files, as a stream of events: inotify(7).
 *
 *     struct torc_watch watch TORC_CLEANUP(torc_watch_close) = { 0 };
 *     struct torc_watch_event event;
 *
 *     if ((r = torc_watch_open(&watch)) < 0 || (r = torc_watch_add(&watch, "etc", IN_CLOSE_WRITE | IN_MOVED_TO)) < 0)
 *             return r;
 *     while ((r = torc_watch_next(&watch, &event)) >= 0)
 *             reload(event.name);
 *
 * The words for what is watched and what happened are the kernel's, IN_CREATE and so on, from <sys/inotify.h>. */
#ifndef TORC_WATCH_H
#define TORC_WATCH_H

#include <torc/async.h>
#include <sys/inotify.h>

TORC_BEGIN

struct torc_watch {
	struct torc_async async;
	void *events_; /* read and not yet handed out */
	void *reserved_[2];
};

struct torc_watch_event {
	int id;          /* of torc_watch_add; -1 for an overflow                                              */
	uint32_t what;   /* IN_CREATE, IN_MODIFY …; and IN_ISDIR, IN_IGNORED, IN_UNMOUNT, IN_Q_OVERFLOW         */
	uint32_t cookie; /* the same in an IN_MOVED_FROM and its IN_MOVED_TO; else 0                           */
	char name[256];  /* in a directory that is watched, the entry's; "" for what is itself watched         */
};

/* Begin, with nothing watched. Returns 0; -EMFILE (descriptors, or max_user_instances), -ENFILE, -ENOMEM. */
TORC_API int torc_watch_open(struct torc_watch *watch) TORC_ANYWHERE TORC_MUST;

/* Watch a file or a directory, which is its entries and not theirs, for the events in `what`; with IN_ONLYDIR, IN_ONESHOT,
 * IN_DONT_FOLLOW, IN_MASK_ADD and the like as inotify_add_watch(2) has them. Watching the same again replaces its mask.
 * Returns an id, above 0; -ENOENT, -EACCES, -ENOTDIR, -EINVAL (no event), -ENOSPC (max_user_watches), -ENOMEM, -EBADF. */
TORC_API int torc_watch_add(struct torc_watch *watch, const char *path, uint32_t what) TORC_LOCAL TORC_MUST;

/* Watch it no more: an event with IN_IGNORED says so behind those that came before. Returns 0; -EINVAL for an id that is
 * none, or no longer: what is deleted stops being watched by itself. -EBADF. */
TORC_API int torc_watch_remove(struct torc_watch *watch, int id) TORC_LOCAL;

/* Wait for the next event; in order. Of several fibers that wait each event reaches one. Returns 0. When more happens than
 * the kernel keeps (max_queued_events, 16,384 by default), an event with IN_Q_OVERFLOW and id -1 says that some were lost:
 * look for yourself then. Where there is always a next one the calls yield from time to time all the same. Also returns
 * -EBADF (closed meanwhile), -ECANCELED, -ETIME, after which nothing is lost. */
TORC_API int torc_watch_next(struct torc_watch *watch, struct torc_watch_event *event) TORC_PARKS TORC_MUST;

/* Fibers that wait are woken with -EBADF first. Harmless on an empty handle; never cancelled. */
TORC_API void torc_watch_close(struct torc_watch *watch) TORC_PARKS;

TORC_END
#endif
