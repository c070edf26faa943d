/*
 * watchdog: what does an armed watchdog cost those whom it watches?
 *
 * torc_yield among 100 fibers, as in yield.c, in a run with a stall limit and in one without. The watchdog is a thread that
 * looks at the executor four times in the limit; its CPU time counts, and so does what its looks take from the caches.
 * Where the machine is too noisy to show one per cent, the figures below do: the CPU time of that thread alone, of the time
 * for which it watched.
 *
 * Needs: libtorc's internals.
 */
#include "fibers.h"

#include <dirent.h>

#define COUNT  100u
#define YIELDS 2000000u
#define ROUNDS 21u

static void yield_often(struct crowd *crowd, unsigned self)
{
	uint64_t rounds = crowd->ops / crowd->count;

	(void)self;
	while (rounds--)
		torc_yield();
}

/* arg: the limit, 0: no watchdog */
static void yields(struct bench_lap *lap, void *arg)
{
	struct crowd crowd = { .count = COUNT, .body = yield_often, .ops = YIELDS, .stall_limit = *(torc_ns *)arg };

	crowd_run(lap, &crowd);
}

/* CPU time of the watchdog's thread in ns, 0: there is none. */
static double watchdog_cpu(void)
{
	DIR *dir = opendir("/proc/self/task");
	double ns = 0;

	if (!dir)
		bench_die("/proc/self/task");
	for (struct dirent *entry; (entry = readdir(dir));) {
		char path[300], name[32] = "";
		FILE *file;

		snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "re");
		if (!file || !fgets(name, sizeof name, file) || strcmp(name, "torc-watchdog\n") != 0) {
			if (file)
				fclose(file);
			continue;
		}
		fclose(file);
		snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", entry->d_name);
		file = fopen(path, "re");
		if (!file || fscanf(file, "%lf", &ns) != 1)
			bench_die(path);
		fclose(file);
	}
	closedir(dir);
	return ns;
}

static int be_watched(void *arg)
{
	torc_ns begin = torc_now();

	while (torc_now() - begin < TORC_SEC)
		torc_yield();
	*(double *)arg = 100 * watchdog_cpu() / (double)(torc_now() - begin);
	return 0;
}

static void own_time(torc_ns limit, const char *row)
{
	double part = 0;

	if (torc_run(TORC_OPTIONS(torc_run_options, .stall_limit = limit), be_watched, &part) < 0)
		bench_die("torc_run");
	bench_figure("watchdog", row, part, "%");
}

int main(void)
{
	torc_ns none = 0, usual = 100 * TORC_MS, strict = 10 * TORC_MS;
	const struct bench_contender contenders[] = {
		{ .name = "no watchdog", .run = yields, .arg = &none, .yardstick = true },
		{ .name = "a limit of 100 ms", .run = yields, .arg = &usual },
		{ .name = "a limit of 10 ms", .run = yields, .arg = &strict },
	};

	bench_interleave("watchdog: a yield among 100 fibers", contenders, sizeof contenders / sizeof *contenders,
	                 ROUNDS);
	own_time(usual, "its own CPU time, limit 100 ms");
	own_time(strict, "its own CPU time, limit 10 ms");
	printf("\n");
	return 0;
}
