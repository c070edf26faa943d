/* warm - what an operation costs once its road is warm: no allocation, and no system call but io_uring_enter; where
 * nothing is asked of the kernel, none at all. */
#include "counts.h"

#include <sys/eventfd.h>

enum { NONE = -1 };

static void assert_only_enters(void)
{
	assert_no_allocation();
	assert_no_call_but(SYS_io_uring_enter);
	ck_assert_int_gt(tally->calls[SYS_io_uring_enter], 0);
	ck_assert_int_eq(tally->calls[SYS_io_uring_enter], (long)(tally->after.enters - tally->before.enters));
	counted();
}

static void assert_no_call(void)
{
	assert_no_allocation();
	assert_no_call_but(NONE);
	counted();
}

/* --- the count counts ------------------------------------------------------------------------ */

static int misbehave(void *arg)
{
	void *volatile memory;

	(void)arg;
	counting_begin();
	memory = malloc(10);
	free(memory);
	syscall(SYS_getuid);
	counting_end();
	return 0;
}

TEST(what_should_not_be_there_would_be_seen)
{
	COUNTS_MEAN_SOMETHING();
	count(CALLS, misbehave, NULL);
	ck_assert_int_eq(tally->allocations, 2);
	ck_assert_int_eq(tally->calls[SYS_getuid], 1);
	counted();
}

/* --- with the kernel ------------------------------------------------------------------------- */

static int echo(void *arg)
{
	struct torc_stream *stream = arg;
	char buf[64];
	int n;

	while ((n = torc_stream_read(stream, buf, sizeof buf)) > 0)
		MUST(torc_stream_write(stream, buf, (size_t)n) == n);
	return n;
}

static int ping_pong(void *arg)
{
	struct torc_stream near = { 0 }, far = { 0 };
	char buf[64] = "ping";

	(void)arg;
	stream_pair(&near, &far);
	TORC_SCOPE(scope);
	MUST(torc_go(scope, echo, &far) == 0);
	for (int i = 0; i <= OFTEN; i++) {
		MUST(torc_stream_write(&near, buf, sizeof buf) == sizeof buf);
		MUST(torc_stream_read_exact(&near, buf, sizeof buf) == sizeof buf);
		if (i == 0)
			counting_begin();
	}
	counting_end();
	torc_stream_close(&near);
	MUST(torc_scope_join(scope) == 0);
	torc_stream_close(&far);
	return 0;
}

TEST(a_read_and_a_write_only_enter)
{
	COUNTS_MEAN_SOMETHING();
	count(CALLS, ping_pong, NULL);
	/* And each is one request. */
	ck_assert_int_eq(tally->after.submissions - tally->before.submissions, 4 * OFTEN);
	ck_assert_int_eq(tally->after.completions - tally->before.completions, 4 * OFTEN);
	assert_only_enters();
}

static int accept_and_close(void *arg)
{
	struct torc_listener listener;
	char text[TORC_ADDR_TEXT];
	int peers[OFTEN / 4 + 1];

	(void)arg;
	listen_here(&listener, text, NULL);
	for (size_t i = 0; i < LENGTH(peers); i++)
		peers[i] = plain_connect(&listener);
	for (size_t i = 0; i < LENGTH(peers); i++) {
		struct torc_stream stream;

		MUST(torc_listener_accept(&listener, &stream) == 0);
		MUST(torc_stream_close(&stream) == 0);
		if (i == 0)
			counting_begin();
	}
	counting_end();
	for (size_t i = 0; i < LENGTH(peers); i++)
		close(peers[i]);
	return torc_listener_close(&listener);
}

TEST(an_accept_and_a_close_only_enter)
{
	COUNTS_MEAN_SOMETHING();
	count(CALLS, accept_and_close, NULL);
	assert_only_enters();
}

static int await_readable(void *arg)
{
	struct torc_async async;

	(void)arg;
	MUST(torc_async_wrap(&async, eventfd(1, EFD_CLOEXEC)) == 0);
	for (int i = 0; i <= OFTEN; i++) {
		MUST(torc_async_readable(&async) == 0);
		MUST(torc_async_writable(&async) == 0);
		if (i == 0)
			counting_begin();
	}
	counting_end();
	return torc_async_close(&async);
}

TEST(waiting_for_a_foreign_fd_only_enters)
{
	COUNTS_MEAN_SOMETHING();
	count(CALLS, await_readable, NULL);
	ck_assert_int_eq(tally->after.submissions - tally->before.submissions, 2 * OFTEN);
	assert_only_enters();
}

static int sleep_often(void *arg)
{
	(void)arg;
	for (int i = 0; i <= OFTEN; i++) {
		MUST(torc_sleep(10 * TORC_US) == 0);
		if (i == 0)
			counting_begin();
	}
	counting_end();
	return 0;
}

TEST(a_sleep_only_enters)
{
	COUNTS_MEAN_SOMETHING();
	ENTER_KEEPS_THE_TIME();
	count(CALLS, sleep_often, NULL);
	ck_assert_int_eq(tally->after.submissions, tally->before.submissions);
	assert_only_enters();
}

/* --- without --------------------------------------------------------------------------------- */

static int yield_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2 * OFTEN; i++)
		torc_yield();
	return 0;
}

static int yield_among_others(void *arg)
{
	(void)arg;
	TORC_SCOPE(scope);
	for (int i = 0; i < 10; i++)
		MUST(torc_go(scope, yield_often, NULL) == 0);
	torc_yield();
	counting_begin();
	for (int i = 0; i < OFTEN; i++)
		torc_yield();
	counting_end();
	return torc_scope_join(scope);
}

TEST(a_yield_calls_nothing)
{
	COUNTS_MEAN_SOMETHING();
	count(CALLS, yield_among_others, NULL);
	assert_no_call();
}

static int empty(void *arg)
{
	(void)arg;
	return 0;
}

static int spawn_often(void *arg)
{
	char value[100];

	(void)arg;
	for (int i = 0; i <= OFTEN; i++) {
		TORC_SCOPE(scope);
		for (int j = 0; j < 10; j++) {
			MUST(torc_go(scope, empty, NULL) == 0);
			MUST(torc_give(scope, empty, value) == 0);
		}
		MUST(torc_scope_join(scope) == 0);
		if (i == 0)
			counting_begin();
	}
	counting_end();
	return 0;
}

TEST(spawn_run_and_join_call_nothing)
{
	COUNTS_MEAN_SOMETHING();
	count(CALLS, spawn_often, NULL);
	ck_assert_int_eq(tally->after.spawned - tally->before.spawned, 20 * OFTEN);
	assert_no_call();
}

static int use_deadlines(void *arg)
{
	(void)arg;
	for (int i = 0; i <= OFTEN; i++) {
		TORC_SCOPE(outer, .deadline = torc_in(FOREVER));
		TORC_SCOPE(inner, .deadline = torc_in(TORC_SEC));
		torc_yield();
		torc_scope_cancel(inner);
		MUST(torc_scope_status(NULL) == -ECANCELED);
		if (i == 0)
			counting_begin();
	}
	counting_end();
	return 0;
}

TEST(scopes_deadlines_and_cancellations_call_nothing)
{
	COUNTS_MEAN_SOMETHING();
	count(CALLS, use_deadlines, NULL);
	assert_no_call();
}

/* --- objects of torc/sync.h ------------------------------------------------------------------ */

struct objects {
	struct torc_mutex mutex;
	struct torc_cond cond;
	struct torc_rwlock rwlock;
	struct torc_semaphore semaphore;
	struct torc_event event;
	struct torc_gate gate;
	struct torc_once once;
	struct torc_wait_group group;
	bool over;
};

static int in_vain(void *arg)
{
	(void)arg;
	return -EIO;
}

/* Everything at which two fibers can make each other wait, once. */
static void meet(struct objects *objects, bool first)
{
	MUST(torc_mutex_lock(&objects->mutex) == 0);
	torc_yield();
	if (first)
		torc_cond_broadcast(&objects->cond);
	else if (!objects->over)
		MUST(torc_cond_wait(&objects->cond, &objects->mutex) == 0);
	torc_mutex_unlock(&objects->mutex);
	MUST(torc_rwlock_lock_read(&objects->rwlock) == 0);
	torc_yield();
	torc_rwlock_unlock_read(&objects->rwlock);
	MUST(torc_rwlock_lock_write(&objects->rwlock) == 0);
	torc_yield();
	torc_rwlock_unlock_write(&objects->rwlock);
	MUST(torc_semaphore_acquire(&objects->semaphore, 1) == 0);
	torc_yield();
	MUST(torc_semaphore_release(&objects->semaphore, 1) == 0);
	MUST(torc_once_run(&objects->once, in_vain, NULL) == -EIO);
	torc_wait_group_add(&objects->group, 1);
	torc_yield();
	torc_wait_group_done(&objects->group);
	MUST(torc_wait_group_wait(&objects->group) == 0);
	MUST(torc_gate_enter(&objects->gate) == 0);
	torc_gate_leave(&objects->gate);
}

static int meet_often(void *arg)
{
	struct objects *objects = arg;

	while (!objects->over) {
		meet(objects, false);
		MUST(torc_event_wait(&objects->event) == 0);
		torc_event_reset(&objects->event);
	}
	return 0;
}

static int wait_for_each_other(void *arg)
{
	struct objects objects = { .semaphore = TORC_SEMAPHORE(1) };

	(void)arg;
	TORC_SCOPE(scope);
	MUST(torc_go(scope, meet_often, &objects) == 0);
	for (int i = 0; i <= OFTEN; i++) {
		meet(&objects, true);
		torc_event_set(&objects.event);
		torc_yield();
		if (i == 0)
			counting_begin();
	}
	counting_end();
	objects.over = true;
	while (torc_scope_live(scope) > 0) {
		torc_cond_broadcast(&objects.cond);
		torc_event_set(&objects.event);
		torc_yield();
	}
	MUST(torc_gate_close(&objects.gate) == 0);
	return torc_scope_join(scope);
}

TEST(waiting_for_each_other_calls_nothing)
{
	COUNTS_MEAN_SOMETHING();
	count(CALLS, wait_for_each_other, NULL);
	assert_no_call();
}

static int wait_for_a_set_event(void *arg)
{
	struct torc_shared_event event = { 0 };

	(void)arg;
	for (int i = 0; i <= OFTEN; i++) {
		torc_shared_event_set(&event);
		MUST(torc_shared_event_wait(&event) == 0);
		torc_shared_event_reset(&event);
		if (i == 0)
			counting_begin();
	}
	counting_end();
	return 0;
}

TEST(a_shared_event_that_nobody_waits_for_calls_nothing)
{
	COUNTS_MEAN_SOMETHING();
	count(CALLS, wait_for_a_set_event, NULL);
	assert_no_call();
}
