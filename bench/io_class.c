/*
 * io_class: how long does a read wait beside a scan that keeps the device as busy as it can be?
 *
 * A scan reads 512 KiB at a time, 32 in flight; somebody reads 4 KiB somewhere, one after the other. Without I/O classes
 * both belong to one task queue; with them each has its own, and the reader's has a latency bound.
 *
 * Needs: libtorc's internals.
 */
#include <torc.h>

#include "file.h"

#define SIZE     (UINT64_C(1) << 30)
#define SCAN     (512u << 10)
#define SCANNERS 32u
#define BLOCK    4096u
#define SPAN     (1500 * TORC_MS)
#define SETTLE   (300 * TORC_MS)
#define ROUNDS   7u
#define MOST     100000u

struct test {
	bool classes, reader; /* is there a reader at all? */
	struct torc_file file;
	uint64_t next, scanned;
	bool measures, stop;
	double latencies[MOST];
	unsigned count;
	double p50, p99, rate;
};

static const char *path;

static int scan(void *arg)
{
	struct test *test = arg;
	struct torc_buffer buffer;

	if (torc_buffer_open(&buffer, SCAN) < 0)
		bench_die("no buffer");
	while (!test->stop) {
		uint64_t at = test->next++ % (SIZE / SCAN) * SCAN;

		if (torc_file_read_at(&test->file, buffer.data, SCAN, at) != (int64_t)SCAN)
			bench_die("a read failed");
		test->scanned += test->measures;
	}
	torc_buffer_close(&buffer);
	return 0;
}

static int read_here_and_there(void *arg)
{
	struct test *test = arg;
	struct torc_buffer buffer;
	uint64_t seed = 5;

	if (torc_buffer_open(&buffer, BLOCK) < 0)
		bench_die("no buffer");
	while (!test->stop) {
		uint64_t at = bench_random(&seed) % (SIZE / BLOCK) * BLOCK;
		torc_ns before = torc_now();

		if (torc_file_read_at(&test->file, buffer.data, BLOCK, at) != (int64_t)BLOCK)
			bench_die("a read failed");
		if (test->measures && test->count < MOST)
			test->latencies[test->count++] = (double)(torc_now() - before);
	}
	torc_buffer_close(&buffer);
	return 0;
}

static int beside_each_other(void *arg)
{
	struct test *test = arg;
	struct torc_queue *urgent = torc_queue_current();
	torc_ns began;

	if (torc_file_open(&test->file, path, TORC_OPTIONS(torc_file_options, .direct = true)) < 0 ||
	    (test->classes && torc_queue_new(&urgent, TORC_OPTIONS(torc_queue_options, .name = "urgent", .shares = 1000,
	                                                           .latency = 200 * TORC_US)) < 0))
		bench_die("can't begin");
	{
		TORC_SCOPE(scanners);
		TORC_SCOPE(readers, .queue = urgent);
		for (unsigned i = 0; i < SCANNERS; i++)
			if (torc_go(scanners, scan, test) < 0)
				bench_die("no fiber");
		if (test->reader && torc_go(readers, read_here_and_there, test) < 0)
			bench_die("no fiber");
		if (torc_sleep(SETTLE) < 0)
			bench_die("no sleep");
		test->measures = true;
		began = torc_now();
		if (torc_sleep(SPAN) < 0)
			bench_die("no sleep");
		test->measures = false;
		test->rate = (double)test->scanned * SCAN / (double)(torc_now() - began);
		test->stop = true;
		if (torc_scope_join(readers) < 0 || torc_scope_join(scanners) < 0)
			bench_die("a fiber failed");
	}
	return torc_file_close(&test->file);
}

static struct test *run(struct test *test, bool classes, bool reader)
{
	memset(test, 0, sizeof *test);
	test->classes = classes;
	test->reader = reader;
	if (torc_run(NULL, beside_each_other, test) < 0)
		bench_die("torc_run failed");
	qsort(test->latencies, test->count, sizeof *test->latencies, bench_double_cmp);
	if (reader && test->count == 0)
		bench_die("nothing was read");
	test->p50 = test->latencies[test->count / 2];
	test->p99 = test->latencies[test->count * 99 / 100];
	return test;
}

int main(void)
{
	static struct test without, with, alone;
	const char *title = "io_class: 4-KiB reads one by one beside a scan";
	unsigned rounds = bench_rounds(ROUNDS) < ROUNDS ? (unsigned)bench_rounds(ROUNDS) : ROUNDS;
	double p99[ROUNDS], p50[ROUNDS], without_p99[ROUNDS], ratio[ROUNDS], loss[ROUNDS];

	path = bench_data(SIZE);
	printf("%s (%u rounds)\n", title, rounds);
	for (unsigned i = 0; i < rounds; i++) {
		run(&without, false, true);
		run(&with, true, true);
		run(&alone, false, false);
		p50[i] = with.p50 / 1000;
		p99[i] = with.p99 / 1000;
		without_p99[i] = without.p99 / 1000;
		ratio[i] = with.p99 / without.p99;
		loss[i] = 1 - with.rate / without.rate;
		printf("  without: p50 %.0f us, p99 %.0f us, scan %.2f GB/s; with: %.0f, %.0f, %.2f; scan alone: %.2f\n",
		       without.p50 / 1000, without.p99 / 1000, without.rate, with.p50 / 1000, with.p99 / 1000,
		       with.rate, alone.rate);
	}
	bench_figure(title, "p99 without classes", bench_median(without_p99, rounds), "us");
	bench_figure(title, "p99 with classes", bench_median(p99, rounds), "us");
	bench_figure(title, "p50 with classes", bench_median(p50, rounds), "us");
	bench_figure(title, "p99 with, times that without", bench_median(ratio, rounds), "");
	bench_figure(title, "what the scan loses", bench_median(loss, rounds), "");
	return 0;
}
