/* histogram.h - how often each latency occurred, to within 1.6 %: buckets that double in width with each power of two, 64 to
 * a power. Adding costs a few instructions; no latency is too long. */
#ifndef IOBENCH_HISTOGRAM_H
#define IOBENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_SHIFT = 6, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SHIFT) << HISTOGRAM_SHIFT };

struct histogram {
	uint64_t count, sum, least, most;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_bucket(uint64_t ns)
{
	unsigned power = ns >> HISTOGRAM_SHIFT ? 63 - (unsigned)__builtin_clzll(ns) - HISTOGRAM_SHIFT + 1 : 0;

	/* Below 64 each value has its own. */
	return power == 0 ? (unsigned)ns : (power << HISTOGRAM_SHIFT) + (unsigned)((ns >> (power - 1)) - 64);
}

static inline void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->count++;
	histogram->sum += ns;
	if (ns > histogram->most)
		histogram->most = ns;
	if (ns < histogram->least || histogram->count == 1)
		histogram->least = ns;
	histogram->buckets[histogram_bucket(ns)]++;
}

/* The smallest latency in a bucket. */
uint64_t histogram_floor(unsigned bucket);

void histogram_merge(struct histogram *into, const struct histogram *from);

/* The latency that this part (0 to 1) of all does not exceed, in ns; 0 for an empty one. */
uint64_t histogram_percentile(const struct histogram *histogram, double part);

#endif
