/* on - what a call on another core costs: torc_on round trips against two bare threads that pass one word to and fro, on
 * the two first CPUs that we may use. Both spinning: one cache line each way. Both sleeping: one MSG_RING each way.
 * And the check that a computing fiber makes. Needs: liburing. */
#include "bench.h"

#include <torc.h>

#include <liburing.h>
#include <pthread.h>
#include <sched.h>

enum { SPINS = 200000, SLEEPS = 4000, CHECKS = 10000000 };

static int cpus[2];

static void find_cpus(void)
{
	cpu_set_t set;
	int found = 0;

	sched_getaffinity(0, sizeof set, &set);
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[found++] = cpu;
	if (found < 2)
		bench_die("needs two CPUs");
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0)
		bench_die("cannot pin");
}

/* Both again: torc places its threads among the CPUs that this one may use. */
static void unpin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpus[0], &set);
	CPU_SET(cpus[1], &set);
	pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

/* ---- two bare threads, spinning ---- */

static struct {
	_Alignas(64) unsigned ping;
	_Alignas(64) unsigned pong;
} words;

static void *echo_word(void *arg)
{
	(void)arg;
	pin(cpus[1]);
	for (unsigned i = 1; i <= SPINS; i++) {
		while (__atomic_load_n(&words.ping, __ATOMIC_ACQUIRE) != i)
			__builtin_ia32_pause();
		__atomic_store_n(&words.pong, i, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void bare_spin(struct bench_lap *lap, void *arg)
{
	pthread_t other;

	(void)arg;
	words.ping = words.pong = 0;
	pin(cpus[0]);
	pthread_create(&other, NULL, echo_word, NULL);
	bench_begin(lap);
	for (unsigned i = 1; i <= SPINS; i++) {
		__atomic_store_n(&words.ping, i, __ATOMIC_RELEASE);
		while (__atomic_load_n(&words.pong, __ATOMIC_ACQUIRE) != i)
			__builtin_ia32_pause();
	}
	bench_end(lap, SPINS);
	pthread_join(other, NULL);
	unpin();
}

/* ---- two bare threads with a ring each, sleeping ---- */

static struct io_uring rings[2];
static pthread_barrier_t ready;

static void open_ring(struct io_uring *ring)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
		                                   IORING_SETUP_SUBMIT_ALL };

	if (io_uring_queue_init_params(8, ring, &params) < 0)
		bench_die("io_uring_queue_init_params");
	io_uring_register_ring_fd(ring);
}

/* Wait for the other's bell, past the answers to our own. */
static void await_bell(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	bool bell = false;

	while (!bell) {
		if (io_uring_submit_and_wait(ring, 1) < 0)
			bench_die("io_uring_submit_and_wait");
		while (io_uring_peek_cqe(ring, &cqe) == 0) {
			bell |= cqe->user_data == 1;
			io_uring_cqe_seen(ring, cqe);
		}
	}
}

static void ring_bell(struct io_uring *from, struct io_uring *to)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(from);

	if (!sqe)
		bench_die("io_uring_get_sqe");
	memset(sqe, 0, sizeof *sqe);
	sqe->opcode = IORING_OP_MSG_RING;
	sqe->fd = to->ring_fd;
	sqe->off = 1;
}

static void *echo_bell(void *arg)
{
	(void)arg;
	pin(cpus[1]);
	open_ring(&rings[1]);
	pthread_barrier_wait(&ready);
	for (int i = 0; i < SLEEPS; i++) {
		await_bell(&rings[1]);
		ring_bell(&rings[1], &rings[0]);
	}
	io_uring_submit(&rings[1]);
	pthread_barrier_wait(&ready);
	io_uring_queue_exit(&rings[1]);
	return NULL;
}

static void bare_sleep(struct bench_lap *lap, void *arg)
{
	pthread_t other;

	(void)arg;
	pin(cpus[0]);
	pthread_barrier_init(&ready, NULL, 2);
	pthread_create(&other, NULL, echo_bell, NULL);
	open_ring(&rings[0]);
	pthread_barrier_wait(&ready);
	bench_begin(lap);
	for (int i = 0; i < SLEEPS; i++) {
		ring_bell(&rings[0], &rings[1]);
		await_bell(&rings[0]);
	}
	bench_end(lap, SLEEPS);
	pthread_barrier_wait(&ready);
	pthread_join(other, NULL);
	io_uring_queue_exit(&rings[0]);
	pthread_barrier_destroy(&ready);
	unpin();
}

/* ---- torc ---- */

struct trips {
	struct bench_lap *lap;
	int count;
};

static int visit(void *arg)
{
	return ++*(int *)arg;
}

static int travel(void *arg)
{
	struct trips *trips = arg;
	int visits = 0;

	if (torc_core() != 0)
		return 0;
	bench_begin(trips->lap);
	for (int i = 1; i <= trips->count; i++)
		if (torc_on(1, visit, &visits) != i)
			bench_die("torc_on");
	bench_end(trips->lap, (uint64_t)trips->count);
	return 0;
}

static void run_trips(struct bench_lap *lap, int count, torc_ns spin)
{
	struct trips trips = { lap, count };
	char list[32];

	snprintf(list, sizeof list, "%d,%d", cpus[0], cpus[1]);
	if (torc_cores_run(TORC_OPTIONS(torc_cores_options, .placement = TORC_FIXED, .cpus = list, .count = 2,
	                                .run = TORC_OPTIONS(torc_run_options, .spin = spin)),
	                   travel, &trips) < 0)
		bench_die("torc_cores_run");
}

static void torc_spin(struct bench_lap *lap, void *arg)
{
	(void)arg;
	run_trips(lap, SPINS, 10 * TORC_SEC);
}

static void torc_sleeps(struct bench_lap *lap, void *arg)
{
	(void)arg;
	run_trips(lap, SLEEPS, 0);
}

/* ---- the check ---- */

static int check_often(void *arg)
{
	struct bench_lap *lap = arg;
	unsigned yes = 0;

	bench_begin(lap);
	for (int i = 0; i < CHECKS; i++)
		yes += torc_need_yield();
	bench_end(lap, CHECKS);
	return yes > 0 ? 0 : 1;
}

static void torc_check(struct bench_lap *lap, void *arg)
{
	(void)arg;
	if (torc_run(NULL, check_often, lap) < 0)
		bench_die("torc_run");
}

static void bare_counter(struct bench_lap *lap, void *arg)
{
	(void)arg;
	bench_begin(lap);
	for (int i = 0; i < CHECKS; i++)
		(void)torc_ticks_();
	bench_end(lap, CHECKS);
}

int main(void)
{
	static const struct bench_contender spinning[] = {
		{ "two threads, a word each way", bare_spin, NULL, true },
		{ "torc_on", torc_spin, NULL, false },
	};
	static const struct bench_contender sleeping[] = {
		{ "two threads, a MSG_RING each way", bare_sleep, NULL, true },
		{ "torc_on", torc_sleeps, NULL, false },
	};
	static const struct bench_contender checking[] = {
		{ "the processor's counter alone", bare_counter, NULL, true },
		{ "torc_need_yield", torc_check, NULL, false },
	};

	find_cpus();
	bench_interleave("on: round trip, both cores spinning", spinning, 2, 7);
	bench_interleave("on: round trip, both cores asleep", sleeping, 2, 7);
	bench_interleave("on: the preemption check", checking, 2, 7);
	return 0;
}
