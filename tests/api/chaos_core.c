/* chaos_core - what fibers of one core wait for each other with, all of it at once and at random: objects of every kind,
 * alone and as cases of one choice, while scopes are cancelled, deadlines pass and move, channels fill and subscribers come
 * and go. Each call returns what its header says and nothing else; nothing hangs, nothing is left. */
#include "api.h"

#include <dlfcn.h>
#include <signal.h>

enum { FIBERS = 40, CASES = 12, SHORT = 300 * TORC_US };

static struct {
	unsigned seed;
	long left, done, chosen;

	struct torc_mutex mutex;
	struct torc_cond cond;
	struct torc_rwlock rwlock;
	struct torc_semaphore semaphore;
	struct torc_event events[2];
	struct torc_barrier barrier;
	struct torc_once once;
	struct torc_timer timers[2];
	struct torc_shared_event shared;
	struct torc_chan *chans[3];
	struct torc_broadcast *broadcasts[2];
	struct torc_latest *latest;
	struct torc_async ends[2];
	int fds[2];

	/* Of each fiber. */
	struct torc_scope *scopes[FIBERS];
	struct torc_subscriber subscribers[FIBERS][2];
	struct torc_watcher watchers[FIBERS];
} chaos;

static unsigned dice(unsigned sides)
{
	return (unsigned)rand_r(&chaos.seed) % sides;
}

/* Did it succeed? Of errors these are all that a call may give here. */
static bool ok(int r)
{
	ck_assert_msg(r >= 0 || r == -ECANCELED || r == -ETIME || r == -EPIPE || r == -EBADF, "%s", strerror(-r));
	return r >= 0;
}

static void linger(void)
{
	if (dice(2))
		torc_yield();
	else
		(void)ok(torc_sleep(dice(SHORT / 4)));
}

static struct torc_subscriber *any_subscriber(void)
{
	return &chaos.subscribers[dice(FIBERS)][dice(2)];
}

/* --- a kernel that is short of everything ---------------------------------------------------- */

static bool rude;

int io_uring_enter2(unsigned fd, unsigned submit, unsigned wait, unsigned flags, sigset_t *arg, size_t size);

/* In the place of liburing's, which libtorc calls: it refuses, is interrupted, or takes only some and does not wait. */
int io_uring_enter2(unsigned fd, unsigned submit, unsigned wait, unsigned flags, sigset_t *arg, size_t size)
{
	static const int refusals[] = { -EAGAIN, -EBUSY, -EINTR, -ENOMEM };
	static int (*enter)(unsigned, unsigned, unsigned, unsigned, sigset_t *, size_t);
	const unsigned ext_arg = 1 << 3; /* IORING_ENTER_EXT_ARG */

	if (!enter)
		*(void **)&enter = dlsym(RTLD_NEXT, "io_uring_enter2");
	if (rude && dice(4) == 0)
		return refusals[dice(4)];
	if (rude && submit > 1 && dice(3) == 0)
		return enter(fd, 1 + dice(submit - 1), 0, flags & ~ext_arg, NULL, 0);
	return enter(fd, submit, wait, flags, arg, size);
}

/* --- what a fiber does ----------------------------------------------------------------------- */

static void hold_mutex(void)
{
	if (!ok(torc_mutex_lock(&chaos.mutex)))
		return;
	if (dice(2))
		linger();
	if (dice(2))
		(void)ok(torc_cond_wait(&chaos.cond, &chaos.mutex));
	torc_mutex_unlock(&chaos.mutex);
}

static void signal_cond(void)
{
	if (dice(2))
		torc_cond_signal(&chaos.cond);
	else
		torc_cond_broadcast(&chaos.cond);
}

static void hold_rwlock(void)
{
	bool writes = dice(3) == 0;

	if (!ok(writes ? torc_rwlock_lock_write(&chaos.rwlock) : torc_rwlock_lock_read(&chaos.rwlock)))
		return;
	linger();
	if (writes)
		torc_rwlock_unlock_write(&chaos.rwlock);
	else
		torc_rwlock_unlock_read(&chaos.rwlock);
}

static void hold_units(void)
{
	size_t units = dice(4);

	if (!ok(torc_semaphore_acquire(&chaos.semaphore, units)))
		return;
	linger();
	ck_assert_int_eq(torc_semaphore_release(&chaos.semaphore, units), 0);
}

static void use_event(void)
{
	struct torc_event *event = &chaos.events[dice(2)];

	if (dice(2)) {
		(void)ok(torc_event_wait(event));
	} else {
		torc_event_set(event);
		torc_event_reset(event);
	}
}

static void use_shared_event(void)
{
	if (dice(2)) {
		(void)ok(torc_shared_event_wait(&chaos.shared));
	} else {
		torc_shared_event_set(&chaos.shared);
		torc_shared_event_reset(&chaos.shared);
	}
}

static void come_to_barrier(void)
{
	(void)ok(torc_barrier_wait(&chaos.barrier, 3));
}

static int run_once(void *arg)
{
	(void)arg;
	linger();
	return dice(2) ? -EPIPE : 7;
}

static void use_once(void)
{
	if (ok(torc_once_run(&chaos.once, run_once, NULL)))
		chaos.once.done_ = false; /* once more */
}

static void use_chan(void)
{
	struct torc_chan *chan = chaos.chans[dice(3)];
	int item = 0;

	(void)ok(dice(2) ? torc_chan_send(chan, &item) : torc_chan_recv(chan, &item));
}

static void use_broadcast(void)
{
	int item = 0;

	(void)ok(dice(2) ? torc_broadcast_send(chaos.broadcasts[dice(2)], &item)
	                 : torc_subscriber_recv(any_subscriber(), &item));
}

static void subscribe_anew(void)
{
	unsigned which = dice(2);
	struct torc_subscriber *subscriber = &chaos.subscribers[dice(FIBERS)][which];

	torc_subscriber_close(subscriber);
	if (dice(4) > 0)
		torc_subscriber_open(subscriber, chaos.broadcasts[which]);
}

static void use_latest(void)
{
	int value = 0;

	(void)ok(dice(2) ? torc_latest_set(chaos.latest, &value)
	                 : torc_watcher_next(&chaos.watchers[dice(FIBERS / 2)], &value)); /* some share theirs */
}

static void use_timer(void)
{
	struct torc_timer *timer = &chaos.timers[dice(2)];

	if (dice(2))
		(void)ok(torc_timer_wait(timer));
	else
		torc_timer_set(timer, dice(4) ? torc_in(dice(SHORT)) : 0);
}

static void use_pipe(void)
{
	char byte = 0;

	(void)!(dice(2) ? write(chaos.fds[1], &byte, 1) : read(chaos.fds[0], &byte, 1));
	(void)ok(dice(2) ? torc_async_readable(&chaos.ends[0]) : torc_async_writable(&chaos.ends[1]));
}

static int short_lived(void *arg)
{
	int r = torc_sleep(dice(SHORT / 4));

	(void)arg;
	return dice(5) ? r : -EPIPE;
}

static void have_children(void)
{
	TORC_SCOPE(scope, .until = (enum torc_until)dice(3), .limit = dice(3), .shield = dice(6) == 0);

	for (unsigned i = dice(5); i > 0; i--)
		(void)ok(torc_go(scope, short_lived, NULL));
	if (dice(2)) {
		int r = torc_scope_join(scope);

		(void)ok(r == -ECHILD ? 0 : r);
	}
}

static void meddle(void)
{
	struct torc_scope *scope = chaos.scopes[dice(FIBERS)];

	if (!scope)
		return;
	switch (dice(3)) {
	case 0:
		torc_scope_cancel(scope);
		break;
	case 1:
		(void)ok(torc_go(scope, short_lived, NULL));
		break;
	default:
		(void)ok(torc_scope_set_deadline(scope, torc_in(dice(SHORT))));
	}
}

static struct torc_case any_case(int *item)
{
	switch (dice(9)) {
	case 0:
		return torc_case_send(chaos.chans[dice(3)], item);
	case 1:
		return torc_case_recv(chaos.chans[dice(3)], item);
	case 2:
		return torc_case_event(&chaos.events[dice(2)]);
	case 3:
		return torc_case_deadline(torc_in(dice(SHORT)));
	case 4:
		return torc_case_timer(&chaos.timers[dice(2)]);
	case 5:
		return torc_case_subscriber(any_subscriber(), item);
	case 6:
		return torc_case_watcher(&chaos.watchers[dice(FIBERS)], item);
	case 7:
		return dice(2) ? torc_case_readable(&chaos.ends[0]) : torc_case_writable(&chaos.ends[1]);
	default:
		return dice(4) ? (struct torc_case){ 0 } : torc_case_default();
	}
}

/* What has not happened is untouched. */
static void choose(void)
{
	struct torc_case cases[CASES];
	size_t count = 1 + dice(CASES);
	int items[CASES], chosen;

	for (size_t i = 0; i < count; i++) {
		items[i] = UNSET;
		cases[i] = any_case(&items[i]);
		cases[i].result = UNSET;
	}
	chosen = torc_choose(cases, count);
	if (ok(chosen)) {
		ck_assert_uint_lt((size_t)chosen, count);
		(void)ok(cases[chosen].result);
		chaos.chosen++;
	}
	for (size_t i = 0; i < count; i++)
		ck_assert((int)i == chosen || (items[i] == UNSET && cases[i].result == UNSET));
}

static void (*const deeds[])(void) = {
	hold_mutex,      signal_cond, hold_rwlock, hold_units,    use_event,      use_shared_event,
	come_to_barrier, use_once,    use_chan,    use_broadcast, subscribe_anew, use_latest,
	use_timer,       use_pipe,    choose,      have_children, meddle,         choose,
};

static int live(void *arg)
{
	struct torc_scope **mine = arg;

	while (chaos.left-- > 0) {
		TORC_SCOPE(scope, .deadline = torc_in(dice(8) ? dice(SHORT) : 10 * SHORT));
		*mine = scope;
		deeds[dice(LENGTH(deeds))]();
		chaos.done++;
		*mine = NULL;
	}
	return 0;
}

/* --- a history ------------------------------------------------------------------------------- */

static void set_up(void)
{
	chaos.semaphore.units_ = 3;
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(torc_chan_new(&chaos.chans[i], sizeof(int), i == 1 ? 3 : 0,
		                               TORC_OPTIONS(torc_chan_options, .unbounded = i == 2)),
		                 0);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(torc_broadcast_new(&chaos.broadcasts[i], sizeof(int), 2,
		                                    TORC_OPTIONS(torc_broadcast_options, .wait_for_slowest = i)),
		                 0);
	ck_assert_int_eq(torc_latest_new_sized(&chaos.latest, NULL, sizeof(int)), 0);
	for (unsigned i = 0; i < FIBERS; i++)
		chaos.watchers[i].latest = chaos.latest;
	ck_assert_int_eq(pipe2(chaos.fds, O_NONBLOCK | O_CLOEXEC), 0);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(torc_async_wrap(&chaos.ends[i], chaos.fds[i]), 0);
}

static void tear_down(void)
{
	for (unsigned i = 0; i < FIBERS; i++)
		for (unsigned k = 0; k < 2; k++)
			torc_subscriber_close(&chaos.subscribers[i][k]);
	for (unsigned i = 0; i < 3; i++)
		torc_chan_free(chaos.chans[i]);
	for (unsigned i = 0; i < 2; i++) {
		torc_broadcast_free(chaos.broadcasts[i]);
		ck_assert_int_eq(torc_async_close(&chaos.ends[i]), 0);
	}
	torc_latest_free(chaos.latest);
}

static int history(void *arg)
{
	(void)arg;
	set_up();
	{
		TORC_SCOPE(all);
		for (unsigned i = 0; i < FIBERS; i++)
			ck_assert_int_eq(torc_go(all, live, &chaos.scopes[i]), 0);
		ck_assert_int_eq(torc_scope_join(all), 0);
	}
	/* Nobody holds anything any more. */
	ck_assert(torc_mutex_try_lock(&chaos.mutex));
	ck_assert(torc_rwlock_try_lock_write(&chaos.rwlock));
	ck_assert_uint_eq(torc_semaphore_units(&chaos.semaphore), 3);
	ck_assert_uint_eq(chaos.barrier.arrived_, 0);
	tear_down();
	return 0;
}

static void run_chaos(unsigned seed, unsigned ring_entries)
{
	memset(&chaos, 0, sizeof chaos);
	chaos.seed = seed;
	chaos.left = COUNT(20000, 3000);
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .ring_entries = ring_entries), history, NULL), 0);
	ck_assert_int_gt(chaos.done, COUNT(19000, 2900));
	ck_assert_int_gt(chaos.chosen, chaos.done / 50);
}

TEST_TIMEOUT(everything_at_once, 120)
{
	for (unsigned seed = 1; seed <= 3; seed++)
		run_chaos(seed, 0);
}

TEST_TIMEOUT(everything_at_once_in_the_smallest_ring, 120)
{
	for (unsigned seed = 1; seed <= 3; seed++)
		run_chaos(seed, 8);
}

TEST_TIMEOUT(everything_at_once_on_a_kernel_that_refuses, 120)
{
	rude = true;
	run_chaos(1, 0);
	run_chaos(2, 8);
}

TEST_TIMEOUT(the_same_without_ext_arg, 120)
{
	rude = true;
	setenv("TORC_DISABLE", "ext_arg", 1);
	run_chaos(1, 0);
	run_chaos(2, 8);
}
