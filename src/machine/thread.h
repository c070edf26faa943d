/* thread - plain threads and what they wait with. For what may block: a fiber's thread never waits here for long.
 * Relies on POSIX threads. */
#ifndef TORC_SRC_THREAD_H
#define TORC_SRC_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct thread {
	pthread_t id;
};

/* Run main(arg) on a new thread, in which signals are blocked (but for those that it brings
 * upon itself: SIGSEGV and the like) and which may use the CPUs that the process's first
 * thread may, whatever the caller is bound to. `name`: at most 15 bytes. 0, -ENOMEM (also for want of threads). */
int thread_start(struct thread *thread, const char *name, void *(*main)(void *arg), void *arg);
void thread_join(struct thread *thread);
struct thread thread_self(void);

struct thread_mutex {
	pthread_mutex_t mutex;
};
#define THREAD_MUTEX                      \
	{                                 \
		PTHREAD_MUTEX_INITIALIZER \
	}

void thread_mutex_init(struct thread_mutex *mutex);
void thread_mutex_destroy(struct thread_mutex *mutex);
void thread_lock(struct thread_mutex *mutex);
void thread_unlock(struct thread_mutex *mutex);

struct thread_cond {
	pthread_cond_t cond;
};
#define THREAD_COND                      \
	{                                \
		PTHREAD_COND_INITIALIZER \
	}

void thread_cond_init(struct thread_cond *cond);
void thread_cond_destroy(struct thread_cond *cond);

/* May return early. False: the deadline has passed (INT64_MAX: there is none). */
bool thread_wait(struct thread_cond *cond, struct thread_mutex *mutex, int64_t deadline);
void thread_notify(struct thread_cond *cond);
void thread_notify_all(struct thread_cond *cond);

#endif
