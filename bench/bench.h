/*
 * bench.h: what the benchmarks share: two clocks, a median, an interleaved comparison, one table.
 *
 * Contenders run in one process, one after the other, round after round, each round beginning with
 * the next one, so that a noisy moment of the machine strikes all of them alike. A contender does
 * its preparation, calls bench_begin(), does the work, calls bench_end() with the number of
 * operations done; begin and end may also come more than once a lap (the spans add up).
 *
 * Needs no library. In the environment, BENCH_ROUNDS overrides the number of rounds; BENCH_ONLY names
 * the one contender to run, for a profiler's sake; BENCH_RESULTS names a file to which each row and
 * each figure is also appended as a line of JSON (bench/run reads it).
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct bench_lap {
	uint64_t wall_ns; /* summed over the spans of this lap */
	uint64_t cpu_ns;
	uint64_t ops;
	uint64_t wall_begin_ns, cpu_begin_ns;
};

struct bench_contender {
	const char *name;
	void (*run)(struct bench_lap *lap, void *arg);
	void *arg;
	bool yardstick; /* ratios are to the best yardstick (to the first row if none) */
};

static inline void bench_die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

static inline uint64_t bench_clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t bench_now_ns(void)
{
	return bench_clock_ns(CLOCK_MONOTONIC);
}

static inline uint64_t bench_cpu_ns(void)
{
	return bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static inline void bench_begin(struct bench_lap *lap)
{
	lap->cpu_begin_ns = bench_cpu_ns();
	lap->wall_begin_ns = bench_now_ns();
}

static inline void bench_end(struct bench_lap *lap, uint64_t ops)
{
	lap->wall_ns += bench_now_ns() - lap->wall_begin_ns;
	lap->cpu_ns += bench_cpu_ns() - lap->cpu_begin_ns;
	lap->ops += ops;
}

/* splitmix64: the same numbers for every contender that starts from the same seed */
static inline uint64_t bench_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline int bench_double_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* sorts values */
static inline double bench_median(double *values, size_t count)
{
	qsort(values, count, sizeof *values, bench_double_cmp);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* median of a[i] / b[i]: what is left when noise strikes whole rounds */
static inline double bench_median_ratio(const double *a, const double *b, size_t count)
{
	double *ratios = (double *)calloc(count, sizeof *ratios), median;

	if (!ratios)
		bench_die("no memory");
	for (size_t i = 0; i < count; i++)
		ratios[i] = a[i] / b[i];
	median = bench_median(ratios, count);
	free(ratios);
	return median;
}

static inline double bench_median_of(const double *values, size_t count)
{
	double *copy = (double *)calloc(count, sizeof *copy), median;

	if (!copy)
		bench_die("no memory");
	for (size_t i = 0; i < count; i++)
		copy[i] = values[i];
	median = bench_median(copy, count);
	free(copy);
	return median;
}

static inline double bench_min_of(const double *values, size_t count)
{
	double min = values[0];

	for (size_t i = 1; i < count; i++)
		min = values[i] < min ? values[i] : min;
	return min;
}

/* the file that BENCH_RESULTS names, for one more line, or NULL */
static inline FILE *bench_results(void)
{
	const char *path = getenv("BENCH_RESULTS");

	return path ? fopen(path, "a") : NULL;
}

/* a single figure, for what is not a comparison of times */
static inline void bench_figure(const char *title, const char *row, double value, const char *unit)
{
	FILE *results = bench_results();

	printf("  %-50s %12.3f %s\n", row, value, unit);
	fflush(stdout);
	if (!results)
		return;
	fprintf(results, "{\"title\": \"%s\", \"row\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", title, row, value,
	        unit);
	fclose(results);
}

/* How many rounds: as many as usual, unless the environment says otherwise. */
static inline size_t bench_rounds(size_t usual)
{
	const char *override = getenv("BENCH_ROUNDS");

	return override && atoi(override) > 0 ? (size_t)atoi(override) : usual;
}

/*
 * Runs every contender once unmeasured, then `rounds` times interleaved, and prints a table in ns
 * per operation: min and median of wall-clock time, median of CPU time; then as ratios to the
 * reference (the yardstick with the lowest median, marked *): `x med` of the wall medians,
 * `x round` the median of the ratios within a round, `x cpu` of the CPU medians.
 */
static inline void bench_interleave(const char *title, const struct bench_contender *contenders, size_t count,
                                    size_t rounds)
{
	const char *only = getenv("BENCH_ONLY");
	FILE *results = bench_results();
	double *wall, *cpu, best = 0, best_cpu;
	size_t reference = 0;
	bool any = false;

	while (only && count > 0 && strcmp(contenders->name, only) != 0)
		contenders++, count--;
	if (only && count > 0)
		count = 1;
	if (count == 0)
		return;
	rounds = bench_rounds(rounds);
	wall = (double *)calloc(count * rounds, sizeof *wall);
	cpu = (double *)calloc(count * rounds, sizeof *cpu);
	if (!wall || !cpu)
		bench_die("no memory");

	for (size_t i = 0; i < count; i++) {
		struct bench_lap unmeasured = { 0, 0, 0, 0, 0 };

		contenders[i].run(&unmeasured, contenders[i].arg);
	}
	for (size_t r = 0; r < rounds; r++)
		for (size_t j = 0; j < count; j++) {
			size_t i = (r + j) % count;
			struct bench_lap lap = { 0, 0, 0, 0, 0 };

			contenders[i].run(&lap, contenders[i].arg);
			if (!lap.ops)
				bench_die(contenders[i].name);
			wall[i * rounds + r] = (double)lap.wall_ns / (double)lap.ops;
			cpu[i * rounds + r] = (double)lap.cpu_ns / (double)lap.ops;
		}

	for (size_t i = 0; i < count; i++) {
		double median = bench_median_of(wall + i * rounds, rounds);

		if (contenders[i].yardstick && (!any || median < best)) {
			any = true;
			reference = i;
			best = median;
		}
	}
	best = bench_median_of(wall + reference * rounds, rounds);
	best_cpu = bench_median_of(cpu + reference * rounds, rounds);

	printf("%s (ns per operation, %zu rounds)\n", title, rounds);
	printf("  %-30s %9s %9s %9s %8s %8s %8s\n", "", "min", "median", "cpu", "x med", "x round", "x cpu");
	for (size_t i = 0; i < count; i++) {
		const double *w = wall + i * rounds, *c = cpu + i * rounds;

		if (results)
			fprintf(results,
			        "{\"title\": \"%s\", \"row\": \"%s\", \"yardstick\": %s, "
			        "\"min\": %.6g, \"median\": %.6g, \"cpu\": %.6g, \"cpu_min\": %.6g}\n",
			        title, contenders[i].name, contenders[i].yardstick ? "true" : "false",
			        bench_min_of(w, rounds), bench_median_of(w, rounds), bench_median_of(c, rounds),
			        bench_min_of(c, rounds));
		printf("%c %-30s %9.2f %9.2f %9.2f %8.3f %8.3f %8.3f\n", i == reference ? '*' : ' ', contenders[i].name,
		       bench_min_of(w, rounds), bench_median_of(w, rounds), bench_median_of(c, rounds),
		       bench_median_of(w, rounds) / best, bench_median_ratio(w, wall + reference * rounds, rounds),
		       bench_median_of(c, rounds) / best_cpu);
	}
	printf("\n");
	fflush(stdout);
	if (results)
		fclose(results);
	free(wall);
	free(cpu);
}

#endif
