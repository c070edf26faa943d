/* sync.h - what fibers of one core wait for each other with. (Between cores: lane.h, cores.h.)
 *
 * An object is a small value: zeroed it is ready, it holds no memory, and there is nothing to end: it may be forgotten
 * once nobody waits for it. It belongs to the core that uses it, must not be moved while fibers wait, and does nothing
 * that costs a system call or an allocation.
 *
 * Everything is first come, first served: nobody overtakes a fiber that waits, so nobody starves.
 *
 * The calls that may wait return 0, or -ECANCELED or -ETIME when the caller's scope is cancelled or its deadline passes.
 * After a failure nothing has changed; after a 0 the caller has what it asked for, even if a cancellation came meanwhile:
 * its next call that has to wait reports that. What is there without waiting is given in a cancelled scope as well, so
 * that clean-up may lock. */
#ifndef TORC_SYNC_H
#define TORC_SYNC_H

#include <torc/base.h>
#include <torc/choose.h>

TORC_BEGIN

/* The fibers that wait for an object. */
struct torc_waiters_ {
	void *first_;
};

/* Where the running fiber of this thread is noted; what is noted is NULL outside a run. */
typedef void *__attribute__((may_alias)) torc_fiber_;
extern TORC_API __thread const torc_fiber_ *torc_running_ __attribute__((tls_model("initial-exec")));

/* --- mutex: one at a time -------------------------------------------------------------------- */

/* For what must stay as it is while its holder parks; between parking calls nobody else runs anyway. Whoever unlocks
 * hands it to the first that waits. Locking it twice, unlocking what one does not hold, and ending with it locked, where the
 * next who wants it finds out, end the process. */
struct torc_mutex {
	torc_fiber_ owner_;
	struct torc_waiters_ waiters_;
};

TORC_API int torc_mutex_lock_slow_(struct torc_mutex *mutex) TORC_PARKS TORC_MUST;
TORC_API void torc_mutex_unlock_slow_(struct torc_mutex *mutex) TORC_LOCAL;

/* Parks while another fiber holds it. 0, -ECANCELED, -ETIME. */
static inline int torc_mutex_lock(struct torc_mutex *mutex) TORC_PARKS TORC_MUST;
static inline int torc_mutex_lock(struct torc_mutex *mutex)
{
	torc_fiber_ self = *torc_running_;

	if (__builtin_expect(mutex->owner_ != NULL || self == NULL, 0))
		return torc_mutex_lock_slow_(mutex);
	mutex->owner_ = self;
	return 0;
}

/* Lock it if nobody holds it. Returns whether it did. */
static inline bool torc_mutex_try_lock(struct torc_mutex *mutex) TORC_LOCAL TORC_MUST;
static inline bool torc_mutex_try_lock(struct torc_mutex *mutex)
{
	return mutex->owner_ == NULL && torc_mutex_lock(mutex) == 0;
}

/* Does the calling fiber hold it? */
static inline bool torc_mutex_is_mine(const struct torc_mutex *mutex) TORC_LOCAL;
static inline bool torc_mutex_is_mine(const struct torc_mutex *mutex)
{
	return mutex->owner_ != NULL && mutex->owner_ == *torc_running_;
}

static inline void torc_mutex_unlock(struct torc_mutex *mutex) TORC_LOCAL;
static inline void torc_mutex_unlock(struct torc_mutex *mutex)
{
	if (__builtin_expect(mutex->waiters_.first_ != NULL || !torc_mutex_is_mine(mutex), 0))
		torc_mutex_unlock_slow_(mutex);
	else
		mutex->owner_ = NULL;
}

/* --- condition: until something holds that a mutex protects ---------------------------------- */

struct torc_cond {
	struct torc_waiters_ waiters_;
};

/* Unlock the mutex, wait for a signal, and lock the mutex again: the caller holds it before and after, whatever is
 * returned. A cancelled wait returns once it has the mutex, which it waits for however long the holder takes.
 * 0 for one signal, which is this caller's alone; -ECANCELED, -ETIME. Nothing wakes it without a reason; what the signal
 * stood for may have been undone by those before it, though, so ask again: while (!there) r = torc_cond_wait(...). */
TORC_API int torc_cond_wait(struct torc_cond *cond, struct torc_mutex *mutex) TORC_PARKS TORC_MUST;

/* Let the first that waits go on, or all of them; harmless where none waits. The caller need not hold the mutex. */
TORC_API void torc_cond_signal(struct torc_cond *cond) TORC_LOCAL;
TORC_API void torc_cond_broadcast(struct torc_cond *cond) TORC_LOCAL;

/* --- rwlock: many readers, or one writer ----------------------------------------------------- */

/* In order of arrival: readers who come after a writer that waits wait behind it, and readers that stand next to each
 * other go in together. Don't lock it in a fiber that holds it already: for writing that is a panic, and for reading
 * it waits for ever once a writer stands between. */
struct torc_rwlock {
	torc_fiber_ writer_;
	size_t readers_;
	struct torc_waiters_ waiters_;
};

/* 0, -ECANCELED, -ETIME. */
TORC_API int torc_rwlock_lock_read(struct torc_rwlock *rwlock) TORC_PARKS TORC_MUST;
TORC_API int torc_rwlock_lock_write(struct torc_rwlock *rwlock) TORC_PARKS TORC_MUST;

/* Lock it if that is possible at once, without overtaking anybody. Returns whether it did. */
TORC_API bool torc_rwlock_try_lock_read(struct torc_rwlock *rwlock) TORC_LOCAL TORC_MUST;
TORC_API bool torc_rwlock_try_lock_write(struct torc_rwlock *rwlock) TORC_LOCAL TORC_MUST;

/* A read lock may be given back by another fiber than the one that took it. */
TORC_API void torc_rwlock_unlock_read(struct torc_rwlock *rwlock) TORC_LOCAL;
TORC_API void torc_rwlock_unlock_write(struct torc_rwlock *rwlock) TORC_LOCAL;

/* --- semaphore: so many at once -------------------------------------------------------------- */

/* Units that are taken and given back, by whomever; none when zeroed. `= TORC_SEMAPHORE(n)` begins with n. */
struct torc_semaphore {
	size_t units_;
	struct torc_waiters_ waiters_;
};
#define TORC_SEMAPHORE(units) \
	{                     \
		(units),      \
		{             \
			NULL  \
		}             \
	}

TORC_API int torc_semaphore_acquire_slow_(struct torc_semaphore *semaphore, size_t units) TORC_PARKS TORC_MUST;
TORC_API int torc_semaphore_release_slow_(struct torc_semaphore *semaphore, size_t units) TORC_LOCAL;

/* Take so many units, all or none, in order of arrival: who wants few does not overtake who waits for many.
 * 0 units are always there. 0, -ECANCELED, -ETIME. */
static inline int torc_semaphore_acquire(struct torc_semaphore *semaphore, size_t units) TORC_PARKS TORC_MUST;
static inline int torc_semaphore_acquire(struct torc_semaphore *semaphore, size_t units)
{
	if (__builtin_expect(semaphore->waiters_.first_ != NULL || semaphore->units_ < units, 0))
		return torc_semaphore_acquire_slow_(semaphore, units);
	semaphore->units_ -= units;
	return 0;
}

/* Take them if they are there and nobody waits. Returns whether it did. */
static inline bool torc_semaphore_try_acquire(struct torc_semaphore *semaphore, size_t units) TORC_LOCAL TORC_MUST;
static inline bool torc_semaphore_try_acquire(struct torc_semaphore *semaphore, size_t units)
{
	if (units > 0 && (semaphore->waiters_.first_ != NULL || semaphore->units_ < units))
		return false;
	semaphore->units_ -= units;
	return true;
}

/* Add units: those that were taken, or new ones. 0; -EOVERFLOW beyond SIZE_MAX, and nothing has changed. */
static inline int torc_semaphore_release(struct torc_semaphore *semaphore, size_t units) TORC_LOCAL;
static inline int torc_semaphore_release(struct torc_semaphore *semaphore, size_t units)
{
	if (__builtin_expect(semaphore->waiters_.first_ != NULL || units > SIZE_MAX - semaphore->units_, 0))
		return torc_semaphore_release_slow_(semaphore, units);
	semaphore->units_ += units;
	return 0;
}

/* How many units are there to be taken. */
static inline size_t torc_semaphore_units(const struct torc_semaphore *semaphore) TORC_LOCAL;
static inline size_t torc_semaphore_units(const struct torc_semaphore *semaphore)
{
	return semaphore->units_;
}

/* --- event: something has happened ----------------------------------------------------------- */

/* Set or not; not, when zeroed. */
struct torc_event {
	struct torc_waiters_ waiters_;
	bool set_;
};

/* Set it, until it is reset. Those that wait are let go, all of them, even if it is reset before they run. */
TORC_API void torc_event_set(struct torc_event *event) TORC_LOCAL;
TORC_API void torc_event_reset(struct torc_event *event) TORC_LOCAL;
TORC_API bool torc_event_is_set(const struct torc_event *event) TORC_LOCAL;

/* Wait until it is set; parks unless it is. 0, -ECANCELED, -ETIME. */
TORC_API int torc_event_wait(struct torc_event *event) TORC_PARKS TORC_MUST;

/* The same as a case for torc_choose (choose.h). */
TORC_API struct torc_case torc_case_event(struct torc_event *event) TORC_LOCAL;

/* --- gate: until the last has left ----------------------------------------------------------- */

/* Who uses a thing enters and leaves; who ends it closes. Open when zeroed. */
struct torc_gate {
	size_t inside_;
	bool closed_;
	struct torc_waiters_ waiters_;
};

/* 0; -ESHUTDOWN once it is closed. */
TORC_API int torc_gate_enter(struct torc_gate *gate) TORC_LOCAL TORC_MUST;
TORC_API void torc_gate_leave(struct torc_gate *gate) TORC_LOCAL;

/* Close it for good and wait until nobody is inside. Called again, also by another fiber, it only waits. 0, -ECANCELED,
 * -ETIME: closed all the same, but somebody is still inside. */
TORC_API int torc_gate_close(struct torc_gate *gate) TORC_PARKS TORC_MUST;

/* --- barrier: until all have come ------------------------------------------------------------ */

/* Over and over: the next round begins when a round is complete. */
struct torc_barrier {
	size_t parties_, arrived_; /* of this round */
	struct torc_waiters_ waiters_;
};

/* Wait until so many fibers have come; at least 1, and the same number from each, or the process ends. Returns 1 in the
 * one that completes the round and does not wait, 0 in the others. -ECANCELED, -ETIME: the caller did not come, and the
 * round goes on waiting for as many as before. */
TORC_API int torc_barrier_wait(struct torc_barrier *barrier, size_t parties) TORC_PARKS TORC_MUST;

/* --- once: by the first who needs it --------------------------------------------------------- */

struct torc_once {
	torc_fiber_ runner_;
	int result_;
	bool done_;
	struct torc_waiters_ waiters_;
};

/* Run fn(arg) in the calling fiber unless that was done; wait if another fiber is at it. Returns what the one run that
 * succeeded returned, >= 0, to every caller. If fn fails (or is cancelled in its caller's scope) its caller gets the
 * error, and it was not done: the next caller, first of all the first that waits, runs its own fn. -ECANCELED, -ETIME.
 * Calling it for the same object in fn ends the process. */
TORC_API int torc_once_run(struct torc_once *once, torc_fn *fn, void *arg) TORC_PARKS TORC_MUST;

/* --- wait group: until nothing is left to do ------------------------------------------------- */

/* A count of things that are under way; 0 when zeroed. (Fibers of a scope need none: see torc_scope_join.) */
struct torc_wait_group {
	size_t count_;
	struct torc_waiters_ waiters_;
};

/* More than SIZE_MAX, or less than none, ends the process. */
TORC_API void torc_wait_group_add(struct torc_wait_group *group, size_t count) TORC_LOCAL;
TORC_API void torc_wait_group_done(struct torc_wait_group *group) TORC_LOCAL;

/* Wait until the count is 0. All that wait then go on, even if it rises again before they run. 0, -ECANCELED, -ETIME. */
TORC_API int torc_wait_group_wait(struct torc_wait_group *group) TORC_PARKS TORC_MUST;

TORC_END
#endif
