#include "histogram.h"

uint64_t histogram_floor(unsigned bucket)
{
	unsigned power = bucket >> HISTOGRAM_SHIFT, rest = bucket & ((1u << HISTOGRAM_SHIFT) - 1);

	return power == 0 ? rest : (uint64_t)(64 + rest) << (power - 1);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	if (from->count == 0)
		return;
	if (into->count == 0 || from->least < into->least)
		into->least = from->least;
	if (from->most > into->most)
		into->most = from->most;
	into->count += from->count;
	into->sum += from->sum;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

uint64_t histogram_percentile(const struct histogram *histogram, double part)
{
	double wanted = part * (double)histogram->count;
	uint64_t seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen > 0 && (double)seen >= wanted) {
			uint64_t top = histogram_floor(i + 1) - 1;

			return top > histogram->most    ? histogram->most
			       : top < histogram->least ? histogram->least
			                                : top;
		}
	}
	return histogram->most;
}
