/* Objects of torc/sync.h on the wrong core: a fiber of core 0 waits or holds, and one of core 1 comes. */
#include "sync.h"

static struct {
	struct torc_mutex mutex;
	struct torc_cond cond;
	struct torc_rwlock rwlock;
	struct torc_semaphore semaphore;
	struct torc_gate gate;
	struct torc_barrier barrier;
	struct torc_once once;
	struct torc_wait_group group;
	int (*on_core_1)(void *);
	int (*on_core_0)(void *);
} shared;

static int play(void *arg)
{
	struct caller caller;

	(void)arg;
	if (torc_core() != 0)
		return 0;
	TORC_SCOPE(scope);
	start_call(scope, &caller, shared.on_core_0, NULL);
	return torc_on(1, shared.on_core_1, NULL);
}

static void on_two_cores(int (*first)(void *), int (*second)(void *))
{
	shared.on_core_0 = first;
	shared.on_core_1 = second;
	ck_assert_int_eq(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), play, NULL), 0);
}

static int lock(void *arg)
{
	int r = torc_mutex_lock(&shared.mutex);

	(void)arg;
	return r < 0 ? r : torc_sleep(FOREVER);
}

DEATH(mutex, "torc_mutex_lock: the object is in use on another core; it belongs to one")
{
	on_two_cores(lock, lock);
}

static int await_signal(void *arg)
{
	struct torc_mutex mutex = { 0 };

	(void)arg;
	ck_assert_int_eq(torc_mutex_lock(&mutex), 0);
	return torc_cond_wait(&shared.cond, &mutex);
}

static int signal_it(void *arg)
{
	(void)arg;
	torc_cond_signal(&shared.cond);
	return 0;
}

static int broadcast_it(void *arg)
{
	(void)arg;
	torc_cond_broadcast(&shared.cond);
	return 0;
}

DEATH(cond_wait, "torc_cond_wait: the object is in use on another core")
{
	on_two_cores(await_signal, await_signal);
}

DEATH(cond_signal, "torc_cond_signal: the object is in use on another core")
{
	on_two_cores(await_signal, signal_it);
}

DEATH(cond_broadcast, "torc_cond_broadcast: the object is in use on another core")
{
	on_two_cores(await_signal, broadcast_it);
}

static int lock_to_write(void *arg)
{
	int r = torc_rwlock_lock_write(&shared.rwlock);

	(void)arg;
	return r < 0 ? r : torc_sleep(FOREVER);
}

static int lock_to_read(void *arg)
{
	(void)arg;
	return torc_rwlock_lock_read(&shared.rwlock);
}

DEATH(rwlock_write, "torc_rwlock_lock_write: the object is in use on another core")
{
	on_two_cores(lock_to_write, lock_to_write);
}

DEATH(rwlock_read, "torc_rwlock_lock_read: the object is in use on another core")
{
	on_two_cores(lock_to_write, lock_to_read);
}

static int read_then_wait_to_write(void *arg)
{
	int r = lock_to_read(arg);

	return r < 0 ? r : lock_to_write(arg);
}

static int unlock_to_read(void *arg)
{
	(void)arg;
	torc_rwlock_unlock_read(&shared.rwlock);
	return 0;
}

DEATH(rwlock_unlock_read, "torc_rwlock_unlock_read: the object is in use on another core")
{
	on_two_cores(read_then_wait_to_write, unlock_to_read);
}

static int acquire(void *arg)
{
	(void)arg;
	return torc_semaphore_acquire(&shared.semaphore, 1);
}

DEATH(semaphore, "torc_semaphore_acquire: the object is in use on another core")
{
	on_two_cores(acquire, acquire);
}

static int enter_and_close(void *arg)
{
	int r = torc_gate_enter(&shared.gate);

	(void)arg;
	return r < 0 ? r : torc_gate_close(&shared.gate);
}

static int leave(void *arg)
{
	(void)arg;
	torc_gate_leave(&shared.gate);
	return 0;
}

DEATH(gate, "torc_gate_leave: the object is in use on another core")
{
	on_two_cores(enter_and_close, leave);
}

static int come(void *arg)
{
	(void)arg;
	return torc_barrier_wait(&shared.barrier, 2);
}

DEATH(barrier, "torc_barrier_wait: the object is in use on another core")
{
	on_two_cores(come, come);
}

static int sleep_long(void *arg)
{
	(void)arg;
	return torc_sleep(FOREVER);
}

static int run_once(void *arg)
{
	return torc_once_run(&shared.once, sleep_long, arg);
}

DEATH(once, "torc_once_run: the object is in use on another core")
{
	on_two_cores(run_once, run_once);
}

static int add_and_wait(void *arg)
{
	(void)arg;
	torc_wait_group_add(&shared.group, 1);
	return torc_wait_group_wait(&shared.group);
}

static int is_done(void *arg)
{
	(void)arg;
	torc_wait_group_done(&shared.group);
	return 0;
}

DEATH(wait_group, "torc_wait_group_done: the object is in use on another core")
{
	on_two_cores(add_and_wait, is_done);
}
