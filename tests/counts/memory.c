/* memory - a parked fiber is one page of memory and a fraction, and no mapping of its own. */
#include "counts.h"

enum { FIBERS = 100000 };

static long kernel_says(const char *path, const char *field)
{
	FILE *file = fopen(path, "re");
	char line[256];
	long kib = 0;

	ck_assert(file != NULL);
	while (fgets(line, sizeof line, file))
		if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':')
			kib = strtol(line + strlen(field) + 1, NULL, 10);
	fclose(file);
	return kib;
}

static long mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	long count = 0;
	int c;

	ck_assert(file != NULL);
	while ((c = getc(file)) != EOF)
		count += c == '\n';
	fclose(file);
	return count;
}

static int sleep_long(void *arg)
{
	(void)arg;
	return torc_sleep(FOREVER);
}

TEST_IN_FIBER_TIMEOUT(a_sleeping_fiber_is_one_resident_page, 120)
{
	long page = sysconf(_SC_PAGESIZE) / 1024, resident, mapped;

	COUNTS_MEAN_SOMETHING();
	if (kernel_says("/proc/meminfo", "MemAvailable") < 2 * FIBERS * page)
		SKIP("too little memory is free");
	if (!feature_on(FEATURE_GUARD_INSTALL))
		SKIP("guards are mappings here, and a process may have but 65,530");
	resident = kernel_says("/proc/self/smaps_rollup", "Rss");
	mapped = mappings();
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	for (int i = 0; i < FIBERS; i++)
		ck_assert_int_eq(torc_go(scope, sleep_long, NULL), 0);
	torc_yield();
	resident = kernel_says("/proc/self/smaps_rollup", "Rss") - resident;
	mapped = mappings() - mapped;
	fprintf(stderr, "%.4f pages and %ld mappings\n", (double)resident / page / FIBERS, mapped);
	ck_assert_msg(resident * 10 <= 11L * FIBERS * page, "%.3f pages a fiber",
	              (double)resident / (double)page / FIBERS);
	ck_assert_int_le(mapped, 100);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
}
