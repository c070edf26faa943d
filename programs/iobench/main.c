/* torc-iobench - how quick a disk is: requests a second, and how long each takes, as a table, as JSON, as a picture. */
#include "job.h"
#include "options.h"
#include "picture.h"
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* One run of --measure: its rate, in requests or bytes a second; below 0 if it failed. */
static double rate_of(struct job *job, struct options *options, bool write, bool random, uint64_t block, bool bytes)
{
	uint64_t size = job->blocks * options->block;
	struct histogram *latencies;
	double rate = -1;

	options->write = write;
	options->random = random;
	options->block = block;
	options->depth = random ? 128 : 16;
	options->bytes = 0;
	job->blocks = size / block;
	if (job_run(job) < 0)
		return -1;
	latencies = job_latencies(job);
	if (latencies)
		rate = (double)latencies->count * (bytes ? (double)block : 1) * 1e9 / (double)job->took;
	free(latencies);
	return rate;
}

/* 1 if what was printed has got lost. */
static int finish_output(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "torc-iobench: the output could not be written\n");
	return 1;
}

/* What TORC_DEVICE wants to know. */
static int measure(struct options *options)
{
	static const struct {
		bool write, random;
		uint64_t block;
	} runs[4] = { { false, true, 4096 },
		      { false, false, MEASURE_BLOCK },
		      { true, true, 4096 },
		      { true, false, MEASURE_BLOCK } };
	struct stat found;
	struct job job;
	double rates[4];
	int r = 0;

	if (stat(options->target, &found) < 0 || !S_ISDIR(found.st_mode)) {
		fprintf(stderr, "torc-iobench: --measure wants a directory on the disk\n");
		return 2;
	}
	options->buffered = false;
	options->seconds /= 4;
	options->block = MEASURE_BLOCK;
	if (job_open(&job, options) < 0)
		return 1;
	for (int i = 0; i < 4 && r == 0; i++) {
		rates[i] = rate_of(&job, options, runs[i].write, runs[i].random, runs[i].block, !runs[i].random);
		r = rates[i] <= 0;
		if (rates[i] == 0)
			fprintf(stderr, "torc-iobench: nothing was done in that time: --measure wants more of it\n");
	}
	job_close(&job);
	if (r == 0) {
		printf("TORC_DEVICE=\"%u:%u=%.0f,%.0f,%.0f,%.0f\"\n", major(found.st_dev), minor(found.st_dev),
		       rates[0], rates[1], rates[2], rates[3]);
		r = finish_output();
	}
	return r;
}

static int report(const struct job *job)
{
	struct histogram *latencies = job_latencies(job);
	int r = 0;

	if (!latencies) {
		fprintf(stderr, "torc-iobench: no memory\n");
		return 1;
	}
	if (!job->options->json || job->options->json[0] != '-' || job->options->json[1])
		report_text(job, latencies);
	if (job->options->json)
		r |= report_json(job, latencies) < 0;
	if (job->options->picture)
		r |= picture_draw(job, latencies) < 0;
	free(latencies);
	return r | finish_output();
}

int main(int argc, char **argv)
{
	struct options options;
	struct job job;
	int r = options_parse(&options, argc, argv);

	if (r > 0)
		return r == 1 ? 0 : 2;
	if (options.measure)
		return measure(&options);
	if (job_open(&job, &options) < 0)
		return 1;
	r = job_run(&job) < 0 ? 1 : report(&job);
	job_close(&job);
	return r;
}
