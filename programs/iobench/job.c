#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILL      (UINT64_C(1) << 20)
#define FILE_SIZE (UINT64_C(1) << 30)

static int complain(const char *what, int error)
{
	fprintf(stderr, "torc-iobench: %s: %s\n", what, strerror(-error));
	return error;
}

static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* --- the file ------------------------------------------------------------------------------------------- */

static void fill_random(void *memory, size_t size)
{
	uint64_t *words = memory, state = 1;

	for (size_t i = 0; i < size / sizeof *words; i++)
		words[i] = random_next(&state);
}

/* Noise, so that no device that compresses or knows holes looks better than it is. */
static int fill_file(struct job *job)
{
	struct torc_file file TORC_CLEANUP(torc_file_close) = { 0 };
	struct torc_buffer noise TORC_CLEANUP(torc_buffer_close) = { 0 };
	uint64_t size = job->blocks * job->options->block, piece = FILL;
	int64_t r =
		torc_file_open(&file, job->path, TORC_OPTIONS(torc_file_options, .flags = O_WRONLY, .direct = true));

	if (r == 0 && torc_file_align(&file) > piece)
		piece = torc_file_align(&file);
	if (r == 0)
		r = torc_buffer_open(&noise, piece);
	if (r < 0)
		return (int)r;
	fill_random(noise.data, piece);
	for (uint64_t at = 0; at < size && r >= 0; at += piece) {
		if (job->options->progress && at % (32 * piece) == 0)
			fprintf(stderr, "\rmaking the file: %3.0f %%", 100.0 * (double)at / (double)size);
		r = torc_file_write_at(&file, noise.data, piece, at);
	}
	if (job->options->progress)
		fputs("\r\033[K", stderr);
	if (r >= 0)
		r = torc_file_sync(&file);
	return r < 0 ? (int)r : torc_scope_status(NULL); /* a signal may have come while nothing could be called back */
}

static int fill_main(void *arg)
{
	return fill_file(arg);
}

static int make_file(struct job *job, const char *directory)
{
	static const struct torc_cores_options alone = { .size = sizeof alone, .count = 1, .stop_on_signals = true };
	char *path;
	int r;

	if (asprintf(&path, "%s/torc-iobench-XXXXXX", directory) < 0)
		return complain(directory, -ENOMEM);
	job->fd = mkostemp(path, O_CLOEXEC);
	if (job->fd < 0) {
		r = complain(directory, -errno);
		free(path);
		return r;
	}
	unlink(path); /* from here on it goes when this process does, whatever ends it */
	free(path);
	snprintf(job->made, sizeof job->made, "/proc/self/fd/%d", job->fd);
	job->path = job->made;
	job->blocks = (job->options->file_size ? job->options->file_size : FILE_SIZE) / job->options->block;
	r = torc_cores_run(&alone, fill_main, job);
	if (r < 0)
		job_close(job);
	return r < 0 ? complain("making the file", r) : 0;
}

static int use_file(struct job *job, const struct stat *found)
{
	uint64_t size = (uint64_t)found->st_size;

	if (S_ISBLK(found->st_mode)) {
		int fd = open(job->options->target, O_RDONLY | O_CLOEXEC);
		off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

		if (fd >= 0)
			close(fd);
		size = end < 0 ? 0 : (uint64_t)end;
	}
	if (job->options->write && !job->options->overwrite) {
		fprintf(stderr, "torc-iobench: %s would be overwritten; --overwrite allows it\n", job->options->target);
		return -EEXIST;
	}
	if (job->options->file_size && job->options->file_size < size)
		size = job->options->file_size;
	job->blocks = size / job->options->block;
	if (job->blocks == 0) {
		fprintf(stderr, "torc-iobench: %s is smaller than one block\n", job->options->target);
		return -EINVAL;
	}
	return 0;
}

int job_open(struct job *job, const struct options *options)
{
	struct stat found;

	memset(job, 0, sizeof *job);
	job->options = options;
	job->path = options->target;
	if (stat(options->target, &found) < 0)
		return complain(options->target, -errno);
	if (S_ISDIR(found.st_mode))
		return make_file(job, options->target);
	if (!S_ISREG(found.st_mode) && !S_ISBLK(found.st_mode)) {
		fprintf(stderr, "torc-iobench: %s is neither a file, nor a directory, nor a disk\n", options->target);
		return -EINVAL;
	}
	return use_file(job, &found);
}

void job_close(struct job *job)
{
	if (job->path == job->made)
		close(job->fd);
	free(job->shares);
	job->path = NULL;
	job->shares = NULL;
}

/* --- the work ------------------------------------------------------------------------------------------- */

struct worker {
	struct job *job;
	struct share *share;
};

static uint64_t next_block(const struct job *job, struct share *share)
{
	if (job->options->random)
		return random_next(&share->random) % job->blocks;
	return share->next++ % job->blocks;
}

static int work(void *arg)
{
	const struct worker *worker = arg;
	const struct options *options = worker->job->options;
	struct torc_buffer buffer TORC_CLEANUP(torc_buffer_close) = { 0 };
	struct share *share = worker->share;
	torc_ns before, after;
	int64_t r = torc_buffer_open(&buffer, options->block);

	if (r < 0)
		return (int)r;
	if (options->write)
		fill_random(buffer.data, buffer.size);
	for (before = torc_now(); before < worker->job->until; before = after) {
		uint64_t at = next_block(worker->job, share) * options->block;

		if (worker->job->most && share->asked++ >= worker->job->most)
			break;
		if (options->write)
			r = torc_file_write_at(&share->file, buffer.data, options->block, at);
		else
			r = torc_file_read_exact_at(&share->file, buffer.data, options->block, at);
		if (r != (int64_t)options->block)
			return r < 0 ? (int)r : -ENODATA;
		after = torc_now();
		histogram_add(&share->latencies, (uint64_t)(after - before));
		__atomic_store_n(&share->done, share->done + 1, __ATOMIC_RELAXED);
	}
	return 0;
}

static uint64_t done_so_far(const struct job *job)
{
	uint64_t done = 0;

	for (unsigned i = 0; i < job->options->cores; i++)
		done += __atomic_load_n(&job->shares[i].done, __ATOMIC_RELAXED);
	return done;
}

/* The line that lives. */
static int show_progress(void *arg)
{
	const struct job *job = arg;
	uint64_t before = 0, done;
	torc_ns last = job->began, now;

	while (torc_sleep(200 * TORC_MS) == 0) {
		now = torc_now();
		done = done_so_far(job);
		fprintf(stderr, "\r%5.1f s of %g: %9.0f requests/s, %8.1f MB/s \033[K",
		        (double)(now - job->began) / 1e9, job->options->seconds,
		        (double)(done - before) * 1e9 / (double)(now - last),
		        (double)((done - before) * job->options->block) * 1e3 / (double)(now - last));
		before = done;
		last = now;
	}
	fputs("\r\033[K", stderr);
	return 0;
}

static double thread_cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int work_all(struct job *job, struct share *share)
{
	struct worker worker = { job, share };
	int r = 0;

	TORC_SCOPE(workers);
	for (unsigned i = 0; i < job->options->depth && r == 0; i++)
		r = torc_go(workers, work, &worker);
	return r < 0 ? r : torc_scope_join(workers);
}

static int open_file(struct job *job, struct share *share)
{
	const struct options *options = job->options;
	int r = torc_file_open(&share->file, job->path,
	                       TORC_OPTIONS(torc_file_options, .flags = options->write ? O_RDWR : O_RDONLY,
	                                    .direct = !options->buffered, .dsync = options->dsync));

	if (r == 0 && torc_core() == 0)
		job->direct = torc_file_is_direct(&share->file);
	if (r == 0 && options->block % torc_file_align(&share->file) != 0) {
		fprintf(stderr, "torc-iobench: direct I/O here wants blocks of a multiple of %zu bytes\n",
		        torc_file_align(&share->file));
		return -EINVAL;
	}
	return r;
}

static int work_on_core(void *arg)
{
	struct job *job = arg;
	struct share *share = &job->shares[torc_core()];
	double cpu = thread_cpu();
	int r = open_file(job, share);

	share->random = 0x1234 + torc_core();
	share->next = job->blocks / job->options->cores * torc_core();
	if (r == 0) {
		TORC_SCOPE(beside);
		if (job->options->progress && torc_core() == 0)
			r = torc_go(beside, show_progress, job);
		if (r == 0)
			r = work_all(job, share);
	}
	share->cpu = thread_cpu() - cpu;
	torc_file_close(&share->file);
	return r;
}

int job_run(struct job *job)
{
	const struct options *options = job->options;
	size_t size = options->cores * sizeof *job->shares;
	int r;

	free(job->shares);
	job->shares = aligned_alloc(_Alignof(struct share), size);
	if (!job->shares)
		return complain("no memory", -ENOMEM);
	memset(job->shares, 0, size);
	if (options->bytes)
		job->most = (options->bytes + options->block * options->cores - 1) / (options->block * options->cores);
	job->began = torc_now();
	job->until = job->began + (torc_ns)(options->seconds * 1e9);
	r = torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = options->cores, .stop_on_signals = true,
	                                .placement = options->cores > 1 ? TORC_SPREAD : TORC_UNBOUND),
	                   work_on_core, job);
	job->took = torc_now() - job->began;
	if (r == -EINVAL && options->cores > 1 && done_so_far(job) == 0)
		fprintf(stderr, "torc-iobench: are there %u CPUs?\n", options->cores);
	return r < 0 ? complain(options->target, r) : 0;
}

struct histogram *job_latencies(const struct job *job)
{
	struct histogram *all = calloc(1, sizeof *all);

	for (unsigned i = 0; all && i < job->options->cores; i++)
		histogram_merge(all, &job->shares[i].latencies);
	return all;
}

double job_cpu(const struct job *job)
{
	double sum = 0;

	for (unsigned i = 0; i < job->options->cores; i++)
		sum += job->shares[i].cpu;
	return sum;
}
