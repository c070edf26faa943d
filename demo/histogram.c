/* histogram.c - log-linear buckets: the power of two picks the row, the next six bits the bucket in it. */
#include "histogram.h"

static unsigned bucket_of(uint64_t value)
{
	unsigned shift;

	if (value < HISTOGRAM_FINE)
		return (unsigned)value;
	if (value >> HISTOGRAM_OCTAVES)
		return HISTOGRAM_BUCKETS - 1;
	shift = 63 - 6 - (unsigned)__builtin_clzll(value); /* leaves 64 to 127 */
	return shift * HISTOGRAM_FINE + (unsigned)(value >> shift);
}

/* The middle of a bucket. */
static double value_of(unsigned bucket)
{
	unsigned shift;

	if (bucket < 2 * HISTOGRAM_FINE)
		return bucket;
	shift = bucket / HISTOGRAM_FINE - 1;
	return ((double)(bucket % HISTOGRAM_FINE + HISTOGRAM_FINE) + 0.5) * (double)(1ull << shift);
}

static uint64_t peek(_Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* One writer: a load and a store will do, and cost no locked instruction. */
static void increment(_Atomic uint64_t *word)
{
	atomic_store_explicit(word, peek(word) + 1, memory_order_relaxed);
}

void histogram_add(struct histogram *histogram, int64_t value)
{
	increment(&histogram->count[bucket_of(value > 0 ? (uint64_t)value : 0)]);
	increment(&histogram->total);
}

double histogram_quantile(struct histogram *histogram, double q)
{
	uint64_t all = 0, seen = 0;
	double rank;

	/* Not .total: the counts may be ahead of it while the writer is at work. */
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		all += peek(&histogram->count[i]);
	rank = q * (double)all;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += peek(&histogram->count[i]);
		if (seen > 0 && (double)seen >= rank)
			return value_of(i);
	}
	return 0;
}

uint64_t histogram_total(struct histogram *histogram)
{
	return peek(&histogram->total);
}
