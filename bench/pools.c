/*
 * pools: what does it cost to make, run and destroy a pool of two cores, and what is left of 10,000?
 *
 * In each the two call each other once. Counted before and after: descriptors, mappings and threads of the process.
 * BENCH_ROUNDS: hundreds of pools.
 *
 * Needs: libtorc.
 */
#include "bench.h"

#include <torc.h>

#include <dirent.h>

enum { POOLS = 10000, WARM = 10 };

static int answer(void *arg)
{
	(void)arg;
	return 0;
}

static int greet(void *arg)
{
	return torc_on(1 - torc_core(), answer, arg);
}

static void cycle(unsigned pools)
{
	for (unsigned i = 0; i < pools; i++)
		if (torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), greet, NULL) < 0)
			bench_die("torc_cores_run");
}

static double entries(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;

	if (!dir)
		bench_die(path);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static double lines(const char *path)
{
	FILE *file = fopen(path, "re");
	int count = 0, c;

	if (!file)
		bench_die(path);
	while ((c = getc(file)) != EOF)
		count += c == '\n';
	fclose(file);
	return count;
}

/* A thread that was joined is in /proc for a moment longer. */
static double threads(void)
{
	double count = entries("/proc/self/task");

	for (int i = 0; i < 1000 && count > 3; i++) { /* ., .. and this one */
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		count = entries("/proc/self/task");
	}
	return count;
}

int main(void)
{
	const char *title = "pools: 10,000 of two cores";
	unsigned count = (unsigned)bench_rounds(POOLS / 100) * 100;
	struct bench_lap lap = { 0 };
	double fds, maps, tasks;

	cycle(WARM);
	tasks = threads();
	fds = entries("/proc/self/fd");
	maps = lines("/proc/self/maps");
	bench_begin(&lap);
	cycle(count);
	bench_end(&lap, count);
	tasks = threads() - tasks;
	fds = entries("/proc/self/fd") - fds;
	maps = lines("/proc/self/maps") - maps;
	printf("%s (%u in this run)\n", title, count);
	bench_figure(title, "CPU each", (double)lap.cpu_ns / (double)lap.ops / 1e3, "us");
	bench_figure(title, "descriptors left", fds, "");
	bench_figure(title, "mappings left", maps, "");
	bench_figure(title, "threads left", tasks, "");
	printf("\n");
	return 0;
}
