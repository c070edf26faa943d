#include "machine/thread.h"

#include "base/panic.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

static const int synchronous[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };

enum { CPUS_MOST = 8192, PER_WORD = 8 * sizeof(cpu_set_t) };

/* A thread inherits the CPUs of the one that starts it, which may be bound to one: it gets those of the process. */
static void unbind(pthread_attr_t *attributes)
{
	cpu_set_t set[CPUS_MOST / PER_WORD];

	CPU_ZERO_S(sizeof set, set);
	if (sched_getaffinity(getpid(), sizeof set, set) == 0)
		pthread_attr_setaffinity_np(attributes, sizeof set, set);
}

static int start(struct thread *thread, void *(*main)(void *arg), void *arg)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int r = pthread_attr_init(&attributes);

	if (r != 0)
		return r;
	unbind(&attributes);
	sigfillset(&all);
	/* Those that an instruction of the thread itself causes would only kill it the harder. */
	for (size_t i = 0; i < sizeof synchronous / sizeof *synchronous; i++)
		sigdelset(&all, synchronous[i]);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread->id, &attributes, main, arg);
	if (r == EINVAL) /* those CPUs went away meanwhile */
		r = pthread_create(&thread->id, NULL, main, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return r;
}

int thread_start(struct thread *thread, const char *name, void *(*main)(void *arg), void *arg)
{
	if (start(thread, main, arg) != 0)
		return -ENOMEM;
	pthread_setname_np(thread->id, name);
	return 0;
}

void thread_join(struct thread *thread)
{
	int r = pthread_join(thread->id, NULL);

	ASSERT(r == 0);
}

struct thread thread_self(void)
{
	return (struct thread){ pthread_self() };
}

void thread_mutex_init(struct thread_mutex *mutex)
{
	pthread_mutex_init(&mutex->mutex, NULL);
}

void thread_mutex_destroy(struct thread_mutex *mutex)
{
	pthread_mutex_destroy(&mutex->mutex);
}

void thread_lock(struct thread_mutex *mutex)
{
	pthread_mutex_lock(&mutex->mutex);
}

void thread_unlock(struct thread_mutex *mutex)
{
	pthread_mutex_unlock(&mutex->mutex);
}

void thread_cond_init(struct thread_cond *cond)
{
	pthread_cond_init(&cond->cond, NULL);
}

void thread_cond_destroy(struct thread_cond *cond)
{
	pthread_cond_destroy(&cond->cond);
}

bool thread_wait(struct thread_cond *cond, struct thread_mutex *mutex, int64_t deadline)
{
	struct timespec until = { .tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000 };

	if (deadline == INT64_MAX)
		return pthread_cond_wait(&cond->cond, &mutex->mutex) == 0;
	return pthread_cond_clockwait(&cond->cond, &mutex->mutex, CLOCK_MONOTONIC, &until) != ETIMEDOUT;
}

void thread_notify(struct thread_cond *cond)
{
	pthread_cond_signal(&cond->cond);
}

void thread_notify_all(struct thread_cond *cond)
{
	pthread_cond_broadcast(&cond->cond);
}
