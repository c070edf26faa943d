/* inotify - what happens to files, as events: in order, with names, none lost but by an overflow, which is said. */
#include "api.h"

#include <sys/stat.h>

/* A directory of the test's own; removed with what is in it. */
struct place {
	char path[64];
};

static void place_make(struct place *place)
{
	strcpy(place->path, "/tmp/torc-watch-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(place->path));
}

static const char *at(const struct place *place, const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s", place->path, name);
	return path;
}

static void place_remove(const struct place *place)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf %s", place->path);
	ck_assert_int_eq(system(command), 0);
}

static void write_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "x", 1), 1);
	close(fd);
}

static void expect(struct torc_watch *watch, int id, uint32_t what, const char *name)
{
	struct torc_watch_event event;

	ck_assert_int_eq(torc_watch_next(watch, &event), 0);
	ck_assert_int_eq(event.id, id);
	ck_assert_uint_eq(event.what, what);
	ck_assert_str_eq(event.name, name);
}

TEST_IN_FIBER(events_come_in_order_with_their_names)
{
	struct torc_watch watch;
	struct torc_watch_event from, to;
	struct place place;
	int id, other;

	place_make(&place);
	ck_assert_int_eq(torc_watch_open(&watch), 0);
	id = torc_watch_add(&watch, place.path, IN_CREATE | IN_CLOSE_WRITE | IN_MOVE | IN_DELETE);
	ck_assert_int_gt(id, 0);
	write_file(at(&place, "one"));
	expect(&watch, id, IN_CREATE, "one");
	expect(&watch, id, IN_CLOSE_WRITE, "one");
	ck_assert_int_eq(rename(at(&place, "one"), at(&place, "two")), 0);
	ck_assert_int_eq(torc_watch_next(&watch, &from), 0);
	ck_assert_int_eq(torc_watch_next(&watch, &to), 0);
	ck_assert_uint_eq(from.what, IN_MOVED_FROM);
	ck_assert_uint_eq(to.what, IN_MOVED_TO);
	ck_assert_uint_eq(from.cookie, to.cookie);
	ck_assert_str_eq(from.name, "one");
	ck_assert_str_eq(to.name, "two");
	ck_assert_int_eq(mkdir(at(&place, "dir"), 0700), 0);
	expect(&watch, id, IN_CREATE | IN_ISDIR, "dir");

	/* A file of its own; what is deleted is no longer watched. */
	other = torc_watch_add(&watch, at(&place, "two"), IN_DELETE_SELF);
	ck_assert_int_gt(other, 0);
	ck_assert_int_ne(other, id);
	ck_assert_int_eq(unlink(at(&place, "two")), 0);
	expect(&watch, other, IN_DELETE_SELF, "");
	expect(&watch, other, IN_IGNORED, "");
	expect(&watch, id, IN_DELETE, "two");
	ck_assert_int_eq(torc_watch_remove(&watch, other), -EINVAL);

	ck_assert_int_eq(torc_watch_remove(&watch, id), 0);
	expect(&watch, id, IN_IGNORED, "");
	write_file(at(&place, "unseen"));
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_watch_next(&watch, &from), -ETIME);
	}
	torc_watch_close(&watch);
	torc_watch_close(&watch);
	place_remove(&place);
}

TEST_IN_FIBER(names_of_any_length)
{
	struct torc_watch watch;
	struct place place;
	char name[NAME_MAX + 1];
	int id;

	place_make(&place);
	ck_assert_int_eq(torc_watch_open(&watch), 0);
	id = torc_watch_add(&watch, place.path, IN_CREATE);
	for (size_t len = 1; len <= NAME_MAX; len += 127) {
		memset(name, 'n', len);
		name[len] = 0;
		write_file(at(&place, name));
		expect(&watch, id, IN_CREATE, name);
	}
	torc_watch_close(&watch);
	place_remove(&place);
}

TEST_IN_FIBER(what_cannot_be_watched)
{
	struct torc_watch watch = { 0 };
	struct torc_watch_event event;

	ck_assert_int_eq(torc_watch_add(&watch, "/tmp", IN_CREATE), -EBADF);
	ck_assert_int_eq(torc_watch_remove(&watch, 1), -EBADF);
	ck_assert_int_eq(torc_watch_next(&watch, &event), -EBADF);
	torc_watch_close(&watch);
	ck_assert_int_eq(torc_watch_open(&watch), 0);
	ck_assert_int_eq(fcntl(torc_async_fd(&watch.async), F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(torc_watch_add(&watch, "/no/such/place", IN_CREATE), -ENOENT);
	ck_assert_int_eq(torc_watch_add(&watch, "/etc/passwd", IN_CREATE | IN_ONLYDIR), -ENOTDIR);
	ck_assert_int_eq(torc_watch_add(&watch, "/tmp", 0), -EINVAL);
	ck_assert_int_eq(torc_watch_remove(&watch, 12345), -EINVAL);
	torc_watch_close(&watch);
}

TEST(without_descriptors)
{
	struct torc_watch watch = { 0 };
	struct rlimit before;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 3, before.rlim_max }), 0);
	ck_assert_int_eq(torc_watch_open(&watch), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &before);
	ck_assert_int_eq(torc_async_fd(&watch.async), -EBADF);
}

struct waiter {
	struct torc_watch *watch;
	struct torc_watch_event event;
	int got;
};

static int wait_run(void *arg)
{
	struct waiter *waiter = arg;

	waiter->got = torc_watch_next(waiter->watch, &waiter->event);
	return 0;
}

static void park(struct torc_scope *scope, struct waiter *waiter, struct torc_watch *watch)
{
	*waiter = (struct waiter){ .watch = watch, .got = UNSET };
	ck_assert_int_eq(torc_go(scope, wait_run, waiter), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_int_eq(waiter->got, UNSET);
}

TEST_IN_FIBER(close_and_cancel_cut_a_wait)
{
	struct torc_watch watch;
	struct waiter waiter;
	struct place place;
	int id;

	place_make(&place);
	ck_assert_int_eq(torc_watch_open(&watch), 0);
	id = torc_watch_add(&watch, place.path, IN_CREATE);
	{
		TORC_SCOPE(scope);
		park(scope, &waiter, &watch);
	}
	ck_assert_int_eq(waiter.got, -ECANCELED);
	write_file(at(&place, "seen"));
	{
		TORC_SCOPE(scope);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_watch_next(&watch, &waiter.event), -ECANCELED);
	}
	expect(&watch, id, IN_CREATE, "seen");
	{
		TORC_SCOPE(scope);
		park(scope, &waiter, &watch);
		torc_watch_close(&watch);
		ck_assert_int_eq(waiter.got, -EBADF);
	}
	place_remove(&place);
}

TEST_IN_FIBER(several_wait_and_each_event_reaches_one)
{
	struct torc_watch watch;
	struct waiter waiters[4];
	struct place place;
	unsigned seen = 0;

	place_make(&place);
	ck_assert_int_eq(torc_watch_open(&watch), 0);
	ck_assert_int_gt(torc_watch_add(&watch, place.path, IN_CREATE), 0);
	TORC_SCOPE(scope);
	for (int i = 0; i < 4; i++)
		park(scope, &waiters[i], &watch);
	for (int i = 0; i < 4; i++)
		write_file(at(&place, (char[]){ (char)('0' + i), 0 }));
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(waiters[i].got, 0);
		seen |= 1u << (waiters[i].event.name[0] - '0');
	}
	ck_assert_uint_eq(seen, 15);
	torc_watch_close(&watch);
	place_remove(&place);
}

/* One read gets all that is there. Who makes it takes the first event, and for the others the kernel wakes nobody. */
TEST_IN_FIBER(what_one_has_read_reaches_those_who_wait)
{
	enum { WAITERS = 3 };
	struct torc_watch watch;
	struct torc_watch_event event;
	struct waiter waiters[WAITERS];
	struct place place;
	unsigned seen = 0;

	place_make(&place);
	ck_assert_int_eq(torc_watch_open(&watch), 0);
	ck_assert_int_gt(torc_watch_add(&watch, place.path, IN_CREATE), 0);
	TORC_SCOPE(scope, .deadline = torc_in(AGES));
	for (int i = 0; i < WAITERS; i++)
		park(scope, &waiters[i], &watch);
	for (int i = 0; i <= WAITERS; i++)
		write_file(at(&place, (char[]){ (char)('0' + i), 0 }));
	ck_assert_int_eq(torc_watch_next(&watch, &event), 0);
	ck_assert_str_eq(event.name, "0");
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < WAITERS; i++) {
		ck_assert_int_eq(waiters[i].got, 0);
		seen |= 1u << (waiters[i].event.name[0] - '0');
	}
	ck_assert_uint_eq(seen, 14);
	torc_watch_close(&watch);
	place_remove(&place);
}

/* One of them is cancelled at this very moment: the next one gets what it leaves. */
TEST_IN_FIBER(or_those_behind_who_is_cancelled)
{
	struct torc_watch watch;
	struct torc_watch_event event;
	struct waiter waiters[2];
	struct place place;

	place_make(&place);
	ck_assert_int_eq(torc_watch_open(&watch), 0);
	ck_assert_int_gt(torc_watch_add(&watch, place.path, IN_CREATE), 0);
	TORC_SCOPE(scope, .deadline = torc_in(AGES));
	TORC_SCOPE(cancelled, .until = TORC_ALL_DONE);
	park(cancelled, &waiters[0], &watch);
	park(scope, &waiters[1], &watch);
	write_file(at(&place, "0"));
	write_file(at(&place, "1"));
	ck_assert_int_eq(torc_watch_next(&watch, &event), 0);
	torc_scope_cancel(cancelled);
	(void)!torc_scope_join(cancelled);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(waiters[0].got, -ECANCELED);
	ck_assert_int_eq(waiters[1].got, 0);
	ck_assert_str_eq(waiters[1].event.name, "1");
	torc_watch_close(&watch);
	place_remove(&place);
}

static void take_event(void *watch)
{
	struct torc_watch_event event;

	ck_assert_int_eq(torc_watch_next(watch, &event), 0);
}

TEST_IN_FIBER(a_flood_of_events_does_not_keep_the_core)
{
	struct torc_watch watch;
	struct place place;

	place_make(&place);
	ck_assert_int_eq(torc_watch_open(&watch), 0);
	ck_assert_int_gt(torc_watch_add(&watch, place.path, IN_CREATE | IN_DELETE), 0);
	for (int i = 0; i < 250; i++) {
		write_file(at(&place, "file"));
		ck_assert_int_eq(unlink(at(&place, "file")), 0);
	}
	ck_assert(lets_others_run(take_event, &watch));
	torc_watch_close(&watch);
	place_remove(&place);
}

TEST_IN_FIBER(an_overflow_is_said)
{
	struct torc_watch watch;
	struct torc_watch_event event;
	struct place place;
	int events = 0, r, most = 16384;
	FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
	bool overflow = false;

	if (limit && fscanf(limit, "%d", &most) != 1)
		most = 16384;
	if (limit)
		fclose(limit);
	if (most > 40000 || harness_slow())
		SKIP("the queue is too long to fill it here");
	place_make(&place);
	ck_assert_int_eq(torc_watch_open(&watch), 0);
	ck_assert_int_gt(torc_watch_add(&watch, place.path, IN_ATTRIB), 0);
	write_file(at(&place, "a"));
	write_file(at(&place, "b"));
	for (int i = 0; i <= most + 10; i++) /* one twice in a row would be one event */
		ck_assert_int_eq(chmod(at(&place, i & 1 ? "a" : "b"), 0600), 0);
	do {
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		r = torc_watch_next(&watch, &event);
		events += r == 0;
		if (r == 0 && (event.what & IN_Q_OVERFLOW)) {
			ck_assert_int_eq(event.id, -1);
			overflow = true;
		}
	} while (r == 0);
	ck_assert(overflow);
	ck_assert_int_gt(events, 1000);
	/* And it goes on. */
	ck_assert_int_eq(chmod(at(&place, "a"), 0600), 0);
	ck_assert_int_eq(torc_watch_next(&watch, &event), 0);
	ck_assert_str_eq(event.name, "a");
	torc_watch_close(&watch);
	place_remove(&place);
}
