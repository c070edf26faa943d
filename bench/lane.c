/*
 * lane: what does an item cost that goes from one core to another, one way, as fast as both can?
 * torc_lane between two executors that spin, against a bare ring between two threads that do nothing
 * else: cached indices, items inline, the size known to the compiler, no way to park, to end or to be
 * misused. Both have the same room and run on the same two CPUs.
 *
 * Needs: libtorc. Two CPUs.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include <torc.h>

#include "bench.h"

#define ITEMS    4000000u
#define CAPACITY 1024u
#define ROUNDS   11u

struct word1 {
	uint64_t words[1];
};
struct word2 {
	uint64_t words[2];
};
struct word8 {
	uint64_t words[8];
};

static struct bench_lap *lap;

static void check(bool fine, const char *what)
{
	if (!fine)
		bench_die(what);
}

/* --- torc ------------------------------------------------------------------------------------ */

static struct torc_lane *lane;

static int ready(void *arg)
{
	(void)arg;
	return 0;
}

#define TORC_STREAM(word)                                                                                   \
	static int word##_core(void *arg)                                                                   \
	{                                                                                                   \
		struct word item = { { 0 } };                                                               \
                                                                                                            \
		(void)arg;                                                                                  \
		if (torc_core() == 0) {                                                                     \
			check(torc_on(1, ready, NULL) == 0, "torc_on");                                     \
			bench_begin(lap);                                                                   \
			for (uint64_t i = 0; i < ITEMS; i++) {                                              \
				item.words[0] = i;                                                          \
				check(torc_lane_send(lane, &item) == 0, "send");                            \
			}                                                                                   \
		} else {                                                                                    \
			for (uint64_t i = 0; i < ITEMS; i++)                                                \
				check(torc_lane_recv(lane, &item) == 0 && item.words[0] == i, "receive");   \
			bench_end(lap, ITEMS);                                                              \
		}                                                                                           \
		return 0;                                                                                   \
	}                                                                                                   \
	static void word##_torc(struct bench_lap *this, void *options)                                      \
	{                                                                                                   \
		lap = this;                                                                                 \
		check(torc_lane_new(&lane, sizeof(struct word), CAPACITY, options) == 0, "torc_lane_new");  \
		check(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2, .placement = TORC_SPREAD, \
		                                  .run = TORC_OPTIONS(torc_run_options, .spin = TORC_SEC)), \
		                     word##_core, NULL) == 0,                                               \
		      "torc_cores_run");                                                                    \
		torc_lane_free(lane);                                                                       \
	}

/* --- a bare ring ----------------------------------------------------------------------------- */

static inline void relax(void)
{
#ifdef __x86_64__
	__asm__ volatile("pause");
#endif
}

static void pin(unsigned number)
{
	cpu_set_t all, one;
	unsigned seen = 0;

	check(sched_getaffinity(0, sizeof all, &all) == 0, "sched_getaffinity");
	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && seen++ == number)
			CPU_SET(cpu, &one);
	check(sched_setaffinity(0, sizeof one, &one) == 0, "two CPUs");
}

static pthread_barrier_t barrier;

#define BARE_STREAM(word)                                                                             \
	static struct {                                                                               \
		_Alignas(64) unsigned tail;                                                           \
		unsigned seen_head;                                                                   \
		_Alignas(64) unsigned head;                                                           \
		unsigned seen_tail;                                                                   \
		_Alignas(64) struct word items[CAPACITY];                                             \
	} word##_ring;                                                                                \
	static __attribute__((noinline)) void word##_push(const struct word *item)                    \
	{                                                                                             \
		unsigned tail = word##_ring.tail;                                                     \
                                                                                                      \
		while (tail - word##_ring.seen_head == CAPACITY) {                                    \
			word##_ring.seen_head = __atomic_load_n(&word##_ring.head, __ATOMIC_ACQUIRE); \
			if (tail - word##_ring.seen_head == CAPACITY)                                 \
				relax();                                                              \
		}                                                                                     \
		word##_ring.items[tail % CAPACITY] = *item;                                           \
		__atomic_store_n(&word##_ring.tail, tail + 1, __ATOMIC_RELEASE);                      \
	}                                                                                             \
	static __attribute__((noinline)) void word##_pop(struct word *item)                           \
	{                                                                                             \
		unsigned head = word##_ring.head;                                                     \
                                                                                                      \
		while (head == word##_ring.seen_tail) {                                               \
			word##_ring.seen_tail = __atomic_load_n(&word##_ring.tail, __ATOMIC_ACQUIRE); \
			if (head == word##_ring.seen_tail)                                            \
				relax();                                                              \
		}                                                                                     \
		*item = word##_ring.items[head % CAPACITY];                                           \
		__atomic_store_n(&word##_ring.head, head + 1, __ATOMIC_RELEASE);                      \
	}                                                                                             \
	static void *word##_receiver(void *arg)                                                       \
	{                                                                                             \
		struct word item;                                                                     \
                                                                                                      \
		(void)arg;                                                                            \
		pin(1);                                                                               \
		pthread_barrier_wait(&barrier);                                                       \
		for (uint64_t i = 0; i < ITEMS; i++) {                                                \
			word##_pop(&item);                                                            \
			check(item.words[0] == i, "receive");                                         \
		}                                                                                     \
		return NULL;                                                                          \
	}                                                                                             \
	static void *word##_sender(void *arg)                                                         \
	{                                                                                             \
		struct word item = { { 0 } };                                                         \
                                                                                                      \
		(void)arg;                                                                            \
		pin(0);                                                                               \
		pthread_barrier_wait(&barrier);                                                       \
		bench_begin(lap);                                                                     \
		for (uint64_t i = 0; i < ITEMS; i++) {                                                \
			item.words[0] = i;                                                            \
			word##_push(&item);                                                           \
		}                                                                                     \
		return NULL;                                                                          \
	}                                                                                             \
	static void word##_bare(struct bench_lap *this, void *arg)                                    \
	{                                                                                             \
		pthread_t sender, receiver;                                                           \
                                                                                                      \
		(void)arg;                                                                            \
		lap = this;                                                                           \
		check(pthread_barrier_init(&barrier, NULL, 2) == 0, "barrier");                       \
		check(pthread_create(&sender, NULL, word##_sender, NULL) == 0, "thread");             \
		check(pthread_create(&receiver, NULL, word##_receiver, NULL) == 0, "thread");         \
		pthread_join(sender, NULL);                                                           \
		pthread_join(receiver, NULL);                                                         \
		bench_end(lap, ITEMS);                                                                \
		pthread_barrier_destroy(&barrier);                                                    \
	}

TORC_STREAM(word1)
TORC_STREAM(word2)
TORC_STREAM(word8)
BARE_STREAM(word1)
BARE_STREAM(word2)
BARE_STREAM(word8)

#define COMPARE(title, word)                                                                   \
	bench_interleave(title,                                                                \
	                 (struct bench_contender[]){                                           \
				 { "a bare ring", word##_bare, NULL, true },                   \
				 { "torc_lane", word##_torc, NULL, false },                    \
				 { "torc_lane, for many senders", word##_torc, &many, false }, \
			 },                                                                    \
	                 3, ROUNDS)

int main(void)
{
	static struct torc_lane_options many = { .size = sizeof many, .senders = TORC_MANY_CORES };

	COMPARE("a stream of items of 8 bytes", word1);
	COMPARE("a stream of items of 16 bytes", word2);
	COMPARE("a stream of items of 64 bytes", word8);
	return 0;
}
