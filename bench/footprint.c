/*
 * footprint: what does a parked fiber cost?
 * 100,000 and 1,000,000 fibers in torc_sleep, on guarded stacks of 64 KiB: resident pages (what the kernel says of the
 * process, less what it said before the first spawn), page tables, mappings, and the time to begin one and see it parked.
 *
 * Needs: libtorc. Skips what does not fit in the memory that is free.
 */
#include <torc.h>

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define SLEEP (1000 * TORC_SEC)

struct account {
	double resident, tables; /* bytes */
	unsigned mappings;
};

/* a line `field: N kB` of a file under /proc, in bytes; 0 if it is not there */
static double kernel_says(const char *path, const char *field)
{
	FILE *file = fopen(path, "r");
	char line[256];
	double kib = 0;

	if (!file)
		bench_die(path);
	while (fgets(line, sizeof line, file))
		if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':')
			kib = strtod(line + strlen(field) + 1, NULL);
	fclose(file);
	return kib * 1024;
}

static unsigned mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	unsigned count = 0;
	int c;

	if (!file)
		bench_die("/proc/self/maps");
	while ((c = getc(file)) != EOF)
		count += c == '\n';
	fclose(file);
	return count;
}

static struct account account(void)
{
	return (struct account){
		.resident = kernel_says("/proc/self/smaps_rollup", "Rss"),
		.tables = kernel_says("/proc/self/status", "VmPTE"),
		.mappings = mappings(),
	};
}

static int sleep_long(void *arg)
{
	(void)arg;
	return torc_sleep(SLEEP);
}

static int park_many(void *arg)
{
	unsigned count = *(const unsigned *)arg;
	double page = (double)sysconf(_SC_PAGESIZE), begin, ns;
	struct account before, after;
	char title[80];

	snprintf(title, sizeof title, "footprint: %u fibers in torc_sleep", count);
	printf("%s, stacks of 64 KiB\n", title);
	before = account();
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	begin = (double)bench_cpu_ns();
	for (unsigned i = 0; i < count; i++)
		if (torc_go(scope, sleep_long, NULL) < 0)
			bench_die("no memory for a fiber");
	torc_yield();
	ns = (double)bench_cpu_ns() - begin;
	after = account();
	bench_figure(title, "resident pages a fiber", (after.resident - before.resident) / page / count, "pages");
	bench_figure(title, "page tables a fiber", (after.tables - before.tables) / count, "bytes");
	bench_figure(title, "mappings, all fibers", after.mappings - before.mappings, "");
	bench_figure(title, "first spawn of a stack, until parked, CPU", ns / count / 1e3, "us");

	begin = (double)bench_cpu_ns();
	torc_scope_cancel(scope);
	if (torc_scope_join(scope) != -ECANCELED)
		bench_die("a sleep was not cancelled");
	ns = (double)bench_cpu_ns() - begin;
	bench_figure(title, "cancelled and joined, CPU", ns / count / 1e3, "us");
	printf("\n");
	fflush(stdout);
	return 0;
}

/* in a process of its own, so that each begins with clean tables */
static void measure(unsigned count)
{
	double wanted = count * 4600.0;
	int status;
	pid_t pid;

	if (kernel_says("/proc/meminfo", "MemAvailable") < 1.2 * wanted) {
		printf("footprint: %u fibers: skipped, less than %.0f MiB free\n\n", count, 1.2 * wanted / (1 << 20));
		return;
	}
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		bench_die("fork");
	if (pid == 0)
		_exit(torc_run(NULL, park_many, &count) < 0);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		bench_die("a measurement failed");
}

int main(void)
{
	measure(100000);
	measure(1000000);
	return 0;
}
