#include "cores/blocking.h"

#include "executor/scope.h"
#include "machine/clock.h"
#include "machine/forked.h"
#include "machine/thread.h"

#include <errno.h>
#include <stdlib.h>

static const int64_t idle_ns = INT64_C(5000000000);

struct job {
	struct list link; /* among the pool's, until it begins */
	bool begun;
	bool cancelled; /* between two threads */
	torc_fn *fn;
	void *arg;
	int result;
	struct wait wait;
	struct message message;
};

/* A thread of the pool, or the place for one. */
struct worker {
	struct blocking *pool;
	struct thread thread;
	enum { WORKER_NONE, WORKER_ALIVE, WORKER_ENDED } state; /* ENDED: but not joined */
};

struct blocking {
	struct mailbox *mailbox;
	unsigned era;              /* forked_era */
	struct thread_mutex mutex; /* what follows is under it */
	struct thread_cond changed;
	struct list jobs;
	unsigned queued, busy, alive, most;
	bool closing;
	struct worker workers[];
};

static __thread struct job *current;

/* Wait for a job, under the mutex. NULL: this thread is to end. */
static struct job *next_job(struct blocking *pool)
{
	int64_t deadline = clock_now() + idle_ns;
	struct list *first;

	while (list_empty(&pool->jobs)) { /* ends: after idle_ns */
		bool in_time;

		if (pool->closing)
			return NULL;
		in_time = thread_wait(&pool->changed, &pool->mutex, deadline);
		if (!in_time && list_empty(&pool->jobs))
			return NULL;
	}
	first = list_pop(&pool->jobs);
	pool->queued--;
	return container_of(first, struct job, link);
}

/* Leaves the mutex meanwhile. */
static void run_job(struct blocking *pool, struct job *job)
{
	job->begun = true;
	pool->busy++;
	thread_unlock(&pool->mutex);
	current = job;
	job->result = job->fn(job->arg);
	current = NULL;
	if (unlikely(pool->era != forked_era()))
		panic("torc_blocking", "a job returned in the child of a fork(2): the fiber that waits for it is the "
		                       "parent's. The child may exec, _exit, or call torc_run anew");
	/* Before the fiber is told, so that its next job finds a thread that has nothing to do. */
	thread_lock(&pool->mutex);
	pool->busy--;
	thread_unlock(&pool->mutex);
	mailbox_drop(pool->mailbox, &job->message); /* and with that it is gone */
	thread_lock(&pool->mutex);
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct blocking *pool = worker->pool;
	struct job *job;

	thread_lock(&pool->mutex);
	while ((job = next_job(pool))) /* ends with the pool, or when there is nothing to do */
		run_job(pool, job);
	worker->state = WORKER_ENDED;
	pool->alive--;
	thread_unlock(&pool->mutex);
	return NULL;
}

void blocking_close(struct executor *executor)
{
	struct blocking *pool = executor->blocking;

	if (!pool)
		return;
	executor->blocking = NULL;
	thread_lock(&pool->mutex);
	ASSERT(list_empty(&pool->jobs));
	pool->closing = true;
	thread_notify_all(&pool->changed);
	thread_unlock(&pool->mutex);
	/* Under no mutex: nobody but this thread makes a worker, or takes one away. */
	for (unsigned i = 0; i < pool->most; i++)
		if (pool->workers[i].pool)
			thread_join(&pool->workers[i].thread);
	thread_cond_destroy(&pool->changed);
	thread_mutex_destroy(&pool->mutex);
	free(pool);
}

static struct blocking *make_pool(struct executor *executor)
{
	unsigned most = executor->blocking_threads ? executor->blocking_threads : BLOCKING_THREADS;
	struct blocking *pool = calloc(1, sizeof *pool + most * sizeof *pool->workers);

	if (!pool)
		return NULL;
	pool->mailbox = executor->mailbox;
	pool->era = forked_era();
	pool->most = most;
	thread_mutex_init(&pool->mutex);
	thread_cond_init(&pool->changed);
	list_init(&pool->jobs);
	executor->blocking = pool;
	return pool;
}

/* Another thread, under the mutex, if there is room for one. 0, -ENOMEM. */
static int add_worker(struct blocking *pool)
{
	struct worker *worker = pool->workers;
	int r;

	while (worker->state == WORKER_ALIVE) /* ends: fewer are alive than there are places */
		worker++;
	if (worker->state == WORKER_ENDED)
		thread_join(&worker->thread); /* it needs the mutex no more */
	worker->state = WORKER_NONE;
	worker->pool = pool;
	r = thread_start(&worker->thread, "torc-blocking", work, worker);
	if (r < 0) {
		worker->pool = NULL;
		return r;
	}
	worker->state = WORKER_ALIVE;
	pool->alive++;
	return 0;
}

/* Queue a job and see to it that somebody takes it. 0, -ENOMEM: nobody ever would. */
static int submit(struct blocking *pool, struct job *job)
{
	int r = 0;

	thread_lock(&pool->mutex);
	list_append(&pool->jobs, &job->link);
	pool->queued++;
	if (pool->queued > pool->alive - pool->busy && pool->alive < pool->most)
		r = add_worker(pool);
	else
		thread_notify(&pool->changed);
	if (r < 0 && pool->alive > 0)
		r = 0; /* those that there are come to it in their time */
	if (r < 0) {
		list_remove(&job->link);
		pool->queued--;
	}
	thread_unlock(&pool->mutex);
	return r;
}

static void over(struct executor *executor, struct message *message)
{
	executor->mail.expected--;
	waker_wake(container_of(message, struct job, message)->wait.fiber);
}

static void interrupt(struct wait *wait)
{
	struct job *job = container_of(wait, struct job, wait);
	struct executor *executor = executor_self;
	struct blocking *pool = executor->blocking;
	bool begun;

	thread_lock(&pool->mutex);
	begun = job->begun;
	if (!begun) {
		list_remove(&job->link);
		pool->queued--;
	}
	thread_unlock(&pool->mutex);
	if (begun) {
		__atomic_store_n(&job->cancelled, true, __ATOMIC_RELAXED);
		return;
	}
	job->result = scope_refuses(wait->fiber);
	executor->mail.expected--;
	waker_wake(wait->fiber);
}

int torc_blocking(torc_fn *fn, void *arg)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct fiber *fiber = executor->running;
	struct job job = {
		.fn = fn,
		.arg = arg,
		.wait = { interrupt, fiber, "a blocking job" },
		.message = { .deliver = over },
	};
	int r;

	if (scope_refuses(fiber))
		return scope_refuses(fiber);
	if (!executor->blocking && !make_pool(executor))
		return -ENOMEM;
	r = submit(executor->blocking, &job);
	if (r < 0)
		return r;
	executor->mail.expected++;
	wait_park(executor, &job.wait);
	return job.result;
}

bool torc_blocking_cancelled(void)
{
	return current && __atomic_load_n(&current->cancelled, __ATOMIC_RELAXED);
}
