/* random.h - repeatable chance for model tests. SEED=n in the environment runs one seed only; which seed failed is in the
 * message of the assertion. */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* ck_assert_msg for the inner loops of a model: check hears of failures only. */
#define HOLDS(fact, seed) \
	((fact) ? (void)0 : ck_abort_msg("SEED=%llu: %s, line %d", (unsigned long long)(seed), #fact, __LINE__))

struct random {
	uint64_t state, seed;
};

static inline struct random random_seeded(uint64_t seed)
{
	return (struct random){ .state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1, .seed = seed };
}

/* splitmix64 (Steele, Lea, Flood, 2014) */
static inline uint64_t random_next(struct random *random)
{
	uint64_t z = random->state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* 0 to n - 1 */
static inline unsigned random_below(struct random *random, unsigned n)
{
	return (unsigned)(random_next(random) % n);
}

static inline bool random_chance(struct random *random, unsigned percent)
{
	return random_below(random, 100) < percent;
}

/* for (uint64_t seed = seed_first(); seed_more(seed, 1000); seed++) */
static inline uint64_t seed_first(void)
{
	const char *text = getenv("SEED");

	return text ? strtoull(text, NULL, 0) : 1;
}

static inline bool seed_more(uint64_t seed, uint64_t count)
{
	return seed < (getenv("SEED") ? seed_first() + 1 : 1 + count);
}

#endif
