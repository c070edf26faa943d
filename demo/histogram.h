/* histogram.h - how often which latency occurred: log-linear buckets, as HdrHistogram has them.
 *
 * 64 buckets to each power of two, so a value is known to within 1 %; from 1 ns to a minute. One thread adds;
 * any thread reads while it does: the counts are atomics of one writer. */
#ifndef DEMO_HISTOGRAM_H
#define DEMO_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

enum {
	HISTOGRAM_FINE = 64,    /* buckets to a power of two                    */
	HISTOGRAM_OCTAVES = 36, /* values from 2^36 ns (69 s) on count as 69 s  */
	HISTOGRAM_BUCKETS = (HISTOGRAM_OCTAVES - 5) * HISTOGRAM_FINE,
};

struct histogram {
	_Atomic uint64_t total;
	_Atomic uint64_t count[HISTOGRAM_BUCKETS];
};

/* Count one value. Negative ones count as 0. For the one writer. */
void histogram_add(struct histogram *histogram, int64_t value);

/* The value that the fraction `q` (0 to 1) of all values do not exceed; 0 while there are none. */
double histogram_quantile(struct histogram *histogram, double q);

/* How many values were added. */
uint64_t histogram_total(struct histogram *histogram);

#endif
