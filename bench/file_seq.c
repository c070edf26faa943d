/*
 * file_seq: how quick are reads and writes of large blocks one after the other, eight in flight, past the cache; and what
 * does a 4-KiB read cost that the cache answers?
 *
 * fio with its io_uring engine and the flags that help it; a loop of pread for the cached ones. Only the wall column says
 * something about the device; it is what both wait for.
 *
 * Needs: libtorc's internals; fio for its rows.
 */
#include <torc.h>

#include "file.h"

#define SIZE   (UINT64_C(1) << 30)
#define CACHED (UINT64_C(64) << 20)
#define BLOCK  4096u
#define DEPTH  8u
#define ROUNDS 9u

struct test {
	bool write;
	size_t block;
	uint64_t ops, next;
	char fio[200];
	struct bench_lap *lap;
	struct torc_file file;
};

static const char *path;

/* ---- direct: torc ---- */

static int mover(void *arg)
{
	struct test *test = arg;
	struct torc_buffer buffer;

	if (torc_buffer_open(&buffer, test->block) < 0)
		bench_die("no buffer");
	memset(buffer.data, 7, test->block);
	while (test->next < test->ops) {
		uint64_t at = test->next++ * test->block;
		int64_t r = test->write ? torc_file_write_at(&test->file, buffer.data, test->block, at)
		                        : torc_file_read_at(&test->file, buffer.data, test->block, at);

		if (r != (int64_t)test->block)
			bench_die("a read or write failed");
	}
	torc_buffer_close(&buffer);
	return 0;
}

static int move_all(void *arg)
{
	struct test *test = arg;

	test->next = 0;
	if (torc_file_open(&test->file, path, TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .direct = true)) < 0)
		bench_die("can't open the data");
	bench_begin(test->lap);
	{
		TORC_SCOPE(movers);
		for (unsigned i = 0; i < DEPTH; i++)
			if (torc_go(movers, mover, test) < 0)
				bench_die("no fiber");
		if (torc_scope_join(movers) < 0)
			bench_die("movers failed");
	}
	bench_end(test->lap, test->ops);
	return torc_file_close(&test->file);
}

static void torc(struct bench_lap *lap, void *arg)
{
	struct test *test = arg;

	test->lap = lap;
	if (torc_run(NULL, move_all, test) < 0)
		bench_die("torc_run failed");
}

static void fio(struct bench_lap *lap, void *arg)
{
	const struct test *test = arg;

	bench_fio(lap, test->fio, test->ops);
}

static void compare(bool write, unsigned kib)
{
	struct test test = { .write = write, .block = (size_t)kib << 10, .ops = (UINT64_C(512) << 20) / (kib << 10) };
	struct bench_contender contenders[2] = { { .name = "torc", .run = torc, .arg = &test },
		                                 { .name = "fio", .run = fio, .arg = &test, .yardstick = true } };
	char title[80];

	snprintf(test.fio, sizeof test.fio, "--size=1g --rw=%s --bs=%uk --iodepth=%u", write ? "write" : "read", kib,
	         DEPTH);
	snprintf(title, sizeof title, "file_seq: direct %s of %u KiB, depth %u", write ? "writes" : "reads", kib,
	         DEPTH);
	bench_interleave(title, contenders, bench_fio_there() ? 2 : 1, ROUNDS);
}

/* ---- cached ---- */

static void preads(struct bench_lap *lap, void *arg)
{
	static char block[BLOCK];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	(void)arg;
	bench_begin(lap);
	for (uint64_t at = 0; at < CACHED; at += BLOCK)
		if (pread(fd, block, BLOCK, (off_t)at) != (ssize_t)BLOCK)
			bench_die("a read failed");
	bench_end(lap, CACHED / BLOCK);
	close(fd);
}

static int read_cached(void *arg)
{
	static char block[BLOCK];
	struct torc_file file;

	if (torc_file_open(&file, path, NULL) < 0)
		bench_die("can't open the data");
	bench_begin(arg);
	for (uint64_t at = 0; at < CACHED; at += BLOCK)
		if (torc_file_read_at(&file, block, BLOCK, at) != (int64_t)BLOCK)
			bench_die("a read failed");
	bench_end(arg, CACHED / BLOCK);
	return torc_file_close(&file);
}

static void torc_cached(struct bench_lap *lap, void *arg)
{
	(void)arg;
	if (torc_run(NULL, read_cached, lap) < 0)
		bench_die("torc_run failed");
}

int main(void)
{
	static const struct bench_contender cached[] = { { .name = "pread", .run = preads, .yardstick = true },
		                                         { .name = "torc", .run = torc_cached } };

	path = bench_data(SIZE);
	for (int write = 0; write < 2; write++) {
		compare(write, 128);
		compare(write, 512);
	}
	bench_interleave("file_seq: buffered reads of 4 KiB, cached", cached, 2, 4 * ROUNDS);
	return 0;
}
