/* mailbox.c - messages between executors on threads of their own, and from threads that are none: each arrives once, in
 * order, whoever sleeps, however many are under way. */
#include "cores/mailbox.h"

#include "api/api.h"
#include "cores/run.h"

#include <pthread.h>

enum { CORES_MOST = 4 };

static struct mailbox *members[CORES_MOST];
static struct mailbox_group group;
static pthread_barrier_t barrier;
static torc_fn *program;
static const struct torc_run_options *run_options;

static void *run_one(void *arg)
{
	unsigned core = (unsigned)(uintptr_t)arg;
	struct run *run;
	int r;

	ck_assert_int_eq(run_open(&run, run_options, &group, core), 0);
	pthread_barrier_wait(&barrier);
	r = run_go(run, program, arg);
	pthread_barrier_wait(&barrier);
	run_close(run);
	return (void *)(intptr_t)r;
}

/* Run fn(core) on each of so many cores; each must end in `result`. */
static void run_all(unsigned count, torc_fn *fn, int result)
{
	pthread_t threads[CORES_MOST];

	group = (struct mailbox_group){ members, count, count };
	program = fn;
	ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, count), 0);
	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run_one, (void *)(uintptr_t)i), 0);
	for (unsigned i = 0; i < count; i++) {
		void *r;

		ck_assert_int_eq(pthread_join(threads[i], &r), 0);
		ck_assert_int_eq((int)(intptr_t)r, result);
	}
	pthread_barrier_destroy(&barrier);
}

/* --- order ---------------------------------------------------------------------------------------- */

/* More than a ring holds, at once; and as many again as there are laps. */
enum { BURST = 1000 };

struct letter {
	struct message message;
	unsigned from, number;
	bool sent;
};

static struct letter letters[CORES_MOST][CORES_MOST][BURST]; /* by sender, by receiver */
static unsigned received[CORES_MOST][CORES_MOST];            /* by receiver, by sender: the receiver's alone */
static unsigned arrived[CORES_MOST], bursts, cores;

static void receive(struct executor *receiver, struct message *message)
{
	struct letter *letter = container_of(message, struct letter, message);
	unsigned core = receiver->mailbox->core;

	if (receiver != executor_self || receiver->running != &receiver->loop)
		ck_abort_msg("delivered in a fiber or on another thread");
	if (letter->number != received[core][letter->from]++ % BURST)
		ck_abort_msg("number %u of core %u is out of order", letter->number, letter->from);
	__atomic_fetch_add(&arrived[letter->from], 1, __ATOMIC_RELEASE);
}

static void await_arrived(unsigned from, unsigned count)
{
	while (__atomic_load_n(&arrived[from], __ATOMIC_ACQUIRE) < count)
		ck_assert_int_eq(torc_sleep(TORC_MS / 10), 0);
}

static int send_bursts(void *arg)
{
	unsigned self = (unsigned)(uintptr_t)arg;

	for (unsigned burst = 1; burst <= bursts; burst++) {
		for (unsigned i = 0; i < BURST; i++)
			for (unsigned to = 0; to < cores; to++) {
				struct letter *letter = &letters[self][to][i];

				letter->message.deliver = receive;
				letter->from = self;
				letter->number = i;
				mailbox_send(executor_self->mailbox, to, &letter->message);
			}
		await_arrived(self, burst * BURST * cores);
	}
	ck_assert_uint_eq(executor_self->mail.unsent, 0);
	return 0;
}

static void bursts_between(unsigned count)
{
	cores = count;
	bursts = COUNT(20, 4);
	run_all(cores, send_bursts, 0);
	for (unsigned to = 0; to < cores; to++)
		for (unsigned from = 0; from < cores; from++)
			ck_assert_uint_eq(received[to][from], bursts * BURST);
}

TEST_TIMEOUT(more_than_a_ring_holds_arrives_in_order_in_both_directions, 60)
{
	bursts_between(2);
}

TEST_TIMEOUT(and_between_each_pair_of_four, 60)
{
	bursts_between(4);
}

TEST(a_core_alone_writes_to_itself)
{
	bursts_between(1);
}

/* --- waking ---------------------------------------------------------------------------------------- */

struct ball {
	struct message message;
	struct wait wait;
};

static void wake_player(struct executor *receiver, struct message *message)
{
	(void)receiver;
	waker_wake(container_of(message, struct ball, message)->wait.fiber);
}

static void strike_back(struct executor *receiver, struct message *message)
{
	message->deliver = wake_player;
	mailbox_send(receiver->mailbox, 0, message);
}

static int play(void *arg)
{
	int rounds = COUNT(3000, 300);

	if (arg)
		return 0; /* core 1 has nothing to do but to be woken */
	for (int i = 0; i < rounds; i++) {
		struct ball ball = { { strike_back, NULL }, { NULL, executor_self->running, "the ball" } };

		if (i % 100 == 0)
			ck_assert_int_eq(torc_sleep(TORC_MS), 0);
		mailbox_send(executor_self->mailbox, 1, &ball.message);
		wait_park(executor_self, &ball.wait);
	}
	return 0;
}

#define PLAYED(name, disabled, ...)                                         \
	TEST_TIMEOUT(name, 60)                                              \
	{                                                                   \
		ck_assert_int_eq(setenv("TORC_DISABLE", (disabled), 1), 0); \
		run_options = TORC_OPTIONS(torc_run_options, __VA_ARGS__);  \
		run_all(2, play, 0);                                        \
	}

PLAYED(who_sleeps_is_woken, "", .spin = 0)
PLAYED(who_looks_for_work_finds_it, "", .spin = 200 * TORC_US)
PLAYED(who_looks_for_a_moment_only_is_woken, "", .spin = TORC_US)
PLAYED(who_sleeps_is_woken_without_messages_from_foreign_threads, "register_msg", .spin = 0)
PLAYED(who_sleeps_is_woken_without_messages_between_rings, "msg_ring,register_msg", .spin = 0)
PLAYED(who_sleeps_is_woken_without_any_feature, "all", .spin = 0)
PLAYED(a_tiny_ring_is_enough_to_ring, "", .ring_entries = 8)

/* --- foreign threads --------------------------------------------------------------------------------- */

enum { STRANGERS = 4, DROPS = 2000 };

static struct letter drops[STRANGERS][DROPS];
static unsigned dropped[STRANGERS], all_dropped;

static void receive_drop(struct executor *receiver, struct message *message)
{
	struct letter *letter = container_of(message, struct letter, message);

	if (receiver->running != &receiver->loop || letter->number != dropped[letter->from]++)
		ck_abort_msg("number %u of stranger %u is out of order", letter->number, letter->from);
	__atomic_fetch_add(&all_dropped, 1, __ATOMIC_RELEASE);
}

static void *drop_all(void *arg)
{
	unsigned self = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < DROPS; i++) {
		drops[self][i].message.deliver = receive_drop;
		drops[self][i].from = self;
		drops[self][i].number = i;
		mailbox_drop(members[0], &drops[self][i].message);
		if (i % 100 == 0)
			usleep(100); /* let it fall asleep */
	}
	return NULL;
}

static int await_drops(void *arg)
{
	pthread_t threads[STRANGERS];

	(void)arg;
	for (uintptr_t i = 0; i < STRANGERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, drop_all, (void *)i), 0);
	while (__atomic_load_n(&all_dropped, __ATOMIC_ACQUIRE) < STRANGERS * DROPS)
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	for (int i = 0; i < STRANGERS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	return 0;
}

TEST_TIMEOUT(what_strangers_drop_arrives_in_the_order_of_each, 60)
{
	run_all(1, await_drops, 0);
	for (int i = 0; i < STRANGERS; i++)
		ck_assert_uint_eq(dropped[i], DROPS);
}

/* Nothing else would wake it: the deadlock is none while a stranger may drop. */
struct stranger {
	struct ball ball;
	pthread_t thread;
};

static void *drop_ball(void *arg)
{
	struct stranger *stranger = arg;

	usleep(rand() % 300);
	stranger->ball.message.deliver = wake_player;
	mailbox_drop(members[0], &stranger->ball.message);
	return NULL;
}

static int sleep_until_dropped(void *arg)
{
	(void)arg;
	executor_self->mail.expected++;
	for (int i = 0; i < COUNT(500, 50); i++) {
		struct stranger stranger = { .ball.wait = { NULL, executor_self->running, "the ball" } };

		ck_assert_int_eq(pthread_create(&stranger.thread, NULL, drop_ball, &stranger), 0);
		wait_park(executor_self, &stranger.ball.wait);
		ck_assert_int_eq(pthread_join(stranger.thread, NULL), 0);
	}
	executor_self->mail.expected--;
	return 0;
}

#define DROPPED(name, disabled)                                             \
	TEST_TIMEOUT(name, 60)                                              \
	{                                                                   \
		ck_assert_int_eq(setenv("TORC_DISABLE", (disabled), 1), 0); \
		run_all(1, sleep_until_dropped, 0);                         \
	}

DROPPED(a_stranger_wakes_who_sleeps, "")
DROPPED(a_stranger_wakes_through_an_eventfd, "register_msg")
DROPPED(a_stranger_wakes_without_any_feature, "all")

/* --- the end ------------------------------------------------------------------------------------------ */

static int wait_for_the_end(void *arg)
{
	if (!arg) {
		mailbox_stop_all(&group);
		mailbox_stop_all(&group);
	}
	return torc_sleep(FOREVER);
}

TEST(all_are_stopped_and_twice_is_harmless)
{
	run_all(3, wait_for_the_end, -ECANCELED);
}

static unsigned ended;

static int end_one_after_the_other(void *arg)
{
	unsigned self = (unsigned)(uintptr_t)arg;

	ck_assert_int_eq(torc_sleep(self * 5 * TORC_MS), 0);
	__atomic_fetch_add(&ended, 1, __ATOMIC_RELAXED);
	return 0;
}

TEST(who_ends_first_stays_until_the_last)
{
	run_all(4, end_one_after_the_other, 0);
	ck_assert_uint_eq(ended, 4);
}
