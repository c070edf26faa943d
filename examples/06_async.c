/* async - a descriptor that is not torc's own, made awaitable: what inotify(7) reports of a directory, while another
 * fiber makes files there. torc_async_read_with turns a call that says EAGAIN into one that parks. (For inotify itself
 * there is torc/watch.h; it stands here for what torc does not know.)
 * Try it: 06_async, or 06_async DIRECTORY to watch one until a file called "stop" is made in it. */
#include <torc.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

struct events {
	_Alignas(struct inotify_event) char bytes[4096];
};

/* An attempt: it never blocks, since wrap set O_NONBLOCK. -EAGAIN means "park me until there is something". */
static int try_read(int fd, void *arg)
{
	struct events *events = arg;
	ssize_t n = read(fd, events->bytes, sizeof events->bytes);

	return n < 0 ? -errno : (int)n;
}

/* Print the names; true once "stop" is among them. */
static bool print_names(const struct events *events, int len)
{
	const struct inotify_event *event;

	for (int at = 0; at < len; at += (int)(sizeof *event + event->len)) {
		event = (const void *)(events->bytes + at);
		if (event->len == 0)
			continue; /* no entry's: the directory is gone, or more happened than the kernel keeps */
		printf("new: %s\n", event->name);
		if (strcmp(event->name, "stop") == 0)
			return true;
	}
	return false;
}

static int watch(void *directory)
{
	struct torc_async notify TORC_CLEANUP(torc_async_close) = { 0 };
	int fd = inotify_init1(IN_CLOEXEC);
	struct events events;
	int r = torc_async_wrap(&notify, fd); /* fd belongs to the handle now; -EBADF if there is none */

	if (r == 0 && inotify_add_watch(fd, directory, IN_CREATE) < 0)
		r = -errno;
	while (r >= 0) {
		r = torc_async_read_with(&notify, try_read, &events);
		if (r > 0 && print_names(&events, r))
			return 0;
	}
	return r;
}

static int make_files(void *directory)
{
	static const char *const names[] = { "one", "two", "stop" };
	char path[256];
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++) {
		struct torc_file file TORC_CLEANUP(torc_file_close) = { 0 };

		snprintf(path, sizeof path, "%s/%s", (char *)directory, names[i]);
		r = torc_sleep(5 * TORC_MS);
		if (r == 0)
			r = torc_file_open(&file, path,
			                   TORC_OPTIONS(torc_file_options, .flags = O_WRONLY, .create_new = true));
		if (r == 0)
			r = torc_path_unlink(NULL, path);
	}
	return r;
}

static int watch_and_make(void *directory)
{
	TORC_SCOPE(both, .deadline = torc_in(10 * TORC_SEC));
	int r = torc_go(both, watch, directory);

	if (r == 0)
		r = torc_go(both, make_files, directory);
	return r < 0 ? r : torc_scope_join(both);
}

int main(int argc, char **argv)
{
	char directory[] = "/tmp/torc-async-XXXXXX";
	int r;

	if (argc > 1)
		return torc_run(NULL, watch, argv[1]) < 0;
	if (!mkdtemp(directory))
		return 1;
	r = torc_run(NULL, watch_and_make, directory);
	rmdir(directory);
	return r < 0;
}
