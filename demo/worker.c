/* worker.c - a thread for torc_cores_run, since that returns at the end only; and the remote into it. */
#include "worker.h"

/* Let the one who waits in worker_start go. */
static void tell(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	worker->running = true;
	pthread_cond_signal(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
}

static int begin(void *arg)
{
	struct worker *worker = arg;

	if (torc_core() == 0) {
		int r = torc_remote_new(&worker->remote);

		if (r < 0)
			return r;
		tell(worker);
	}
	return worker->fn(worker->arg);
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	(void)pthread_setname_np(pthread_self(), worker->name);
	worker->result =
		torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = worker->cores, .placement = worker->placement,
	                                    .cpus = worker->cpus[0] ? worker->cpus : NULL,
	                                    .run = TORC_OPTIONS(torc_run_options, .name = worker->name)),
	                       begin, worker);
	atomic_store(&worker->ended, true);
	tell(worker);
	return NULL;
}

int worker_start(struct worker *worker)
{
	int error;

	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->changed, NULL);
	error = pthread_create(&worker->thread, NULL, work, worker);
	worker->started = error == 0;
	if (error != 0)
		return -error;
	pthread_mutex_lock(&worker->lock);
	while (!worker->running)
		pthread_cond_wait(&worker->changed, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
	return 0;
}

bool worker_ended(struct worker *worker)
{
	return atomic_load(&worker->ended);
}

int worker_stop(struct worker *worker, torc_fn *fn, void *arg)
{
	int r = 0;

	if (!worker->started)
		return 0;
	if (worker->remote)
		r = torc_remote_call(worker->remote, fn, arg); /* -ESHUTDOWN: it has ended already */
	(void)r;
	pthread_join(worker->thread, NULL);
	torc_remote_free(worker->remote);
	pthread_cond_destroy(&worker->changed);
	pthread_mutex_destroy(&worker->lock);
	worker->started = false;
	return worker->result;
}
