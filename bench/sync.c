/*
 * sync: what does it cost to lock and unlock what nobody else wants?
 *
 * A pair of torc_mutex_lock and _unlock, and one of torc_semaphore_acquire and _release. The yardstick: a pair of
 * pthread_mutex_lock and _unlock, once in a process with one thread, where glibc does without atomic instructions, and
 * once beside a second thread, as in every program that uses more than one core.
 *
 * Needs: libtorc's internals.
 */
#include "bench.h"

#include <torc.h>

#include <pthread.h>

#define PAIRS  2000000u
#define ROUNDS 21u

/* The section that is locked: the compiler must not pull the two calls together. */
static inline void section(void)
{
	__asm__ volatile("" ::: "memory");
}

static void pthread_pairs(struct bench_lap *lap, void *arg)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

	(void)arg;
	bench_begin(lap);
	for (unsigned i = 0; i < PAIRS; i++) {
		pthread_mutex_lock(&mutex);
		section();
		pthread_mutex_unlock(&mutex);
	}
	bench_end(lap, PAIRS);
}

static void mutex_pairs(struct bench_lap *lap, void *arg)
{
	static struct torc_mutex mutex;
	int failed = 0;

	(void)arg;
	bench_begin(lap);
	for (unsigned i = 0; i < PAIRS; i++) {
		failed |= torc_mutex_lock(&mutex);
		section();
		torc_mutex_unlock(&mutex);
		section();
	}
	bench_end(lap, PAIRS);
	if (failed)
		bench_die("torc_mutex");
}

static void semaphore_pairs(struct bench_lap *lap, void *arg)
{
	static struct torc_semaphore semaphore = TORC_SEMAPHORE(1);
	int failed = 0;

	(void)arg;
	bench_begin(lap);
	for (unsigned i = 0; i < PAIRS; i++) {
		failed |= torc_semaphore_acquire(&semaphore, 1);
		section();
		failed |= torc_semaphore_release(&semaphore, 1);
		section();
	}
	bench_end(lap, PAIRS);
	if (failed)
		bench_die("torc_semaphore");
}

static const struct bench_contender contenders[] = {
	{ .name = "pthread_mutex", .run = pthread_pairs, .yardstick = true },
	{ .name = "torc_mutex", .run = mutex_pairs },
	{ .name = "torc_semaphore", .run = semaphore_pairs },
};

static int compare(void *title)
{
	bench_interleave(title, contenders, sizeof contenders / sizeof *contenders, ROUNDS);
	return 0;
}

static pthread_barrier_t over;

static void *stand_by(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&over);
	return NULL;
}

int main(void)
{
	pthread_t other;
	int r = torc_run(NULL, compare, "sync: an uncontended pair, one thread");

	pthread_barrier_init(&over, NULL, 2);
	if (r < 0 || pthread_create(&other, NULL, stand_by, NULL) != 0)
		bench_die("torc_run, pthread_create");
	r = torc_run(NULL, compare, "sync: an uncontended pair, beside a thread");
	pthread_barrier_wait(&over);
	pthread_join(other, NULL);
	return r < 0;
}
