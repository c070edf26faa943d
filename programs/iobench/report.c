#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const double report_percents[REPORT_PERCENTS] = { 50, 75, 90, 95, 99, 99.9, 99.99 };

static double seconds(const struct job *job)
{
	return (double)job->took / 1e9;
}

static double average(const struct histogram *latencies)
{
	return latencies->count ? (double)latencies->sum / (double)latencies->count : 0;
}

void report_text(const struct job *job, const struct histogram *latencies)
{
	const struct options *options = job->options;
	double rate = (double)latencies->count / seconds(job);

	printf("%s, %" PRIu64 " bytes, depth %u, %u core%s, %s\n", options_mode(options), options->block,
	       options->depth, options->cores, options->cores > 1 ? "s" : "",
	       job->direct         ? "direct"
	       : options->buffered ? "through the cache"
	                           : "through the cache, for direct I/O is not to be had here");
	printf("  %.0f requests/s, %.1f MB/s; %" PRIu64 " requests in %.2f s\n", rate,
	       rate * (double)options->block / 1e6, latencies->count, seconds(job));
	if (latencies->count > 0)
		printf("  %.2f us of CPU a request\n", job_cpu(job) * 1e6 / (double)latencies->count);
	printf("  latency, us: least %.1f, average %.1f, most %.1f\n", (double)latencies->least / 1e3,
	       average(latencies) / 1e3, (double)latencies->most / 1e3);
	for (int i = 0; i < REPORT_PERCENTS; i++)
		printf("    p%-6g %10.1f\n", report_percents[i],
		       (double)histogram_percentile(latencies, report_percents[i] / 100) / 1e3);
}

static void json_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		if ((unsigned char)*text < ' ')
			fprintf(out, "\\u%04x", *text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static void write_json(FILE *out, const struct job *job, const struct histogram *latencies)
{
	const struct options *options = job->options;
	const char *comma = "";

	fputs("{\"target\": ", out);
	json_string(out, options->target);
	fprintf(out,
	        ", \"mode\": \"%s\", \"block\": %" PRIu64 ", \"depth\": %u, \"cores\": %u, \"direct\": %s,\n"
	        " \"seconds\": %.6f, \"requests\": %" PRIu64 ", \"bytes\": %" PRIu64 ",\n"
	        " \"requests_per_second\": %.3f, \"bytes_per_second\": %.0f, \"cpu_seconds\": %.6f,\n"
	        " \"latency_ns\": {\"least\": %" PRIu64 ", \"average\": %.1f, \"most\": %" PRIu64,
	        options_mode(options), options->block, options->depth, options->cores, job->direct ? "true" : "false",
	        seconds(job), latencies->count, latencies->count * options->block,
	        (double)latencies->count / seconds(job), (double)(latencies->count * options->block) / seconds(job),
	        job_cpu(job), latencies->least, average(latencies), latencies->most);
	for (int i = 0; i < REPORT_PERCENTS; i++)
		fprintf(out, ", \"p%g\": %" PRIu64, report_percents[i],
		        histogram_percentile(latencies, report_percents[i] / 100));
	fputs("},\n \"histogram\": [", out);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		if (latencies->buckets[i] == 0)
			continue;
		fprintf(out, "%s[%" PRIu64 ", %" PRIu64 "]", comma, histogram_floor(i), latencies->buckets[i]);
		comma = ", ";
	}
	fputs("]}\n", out);
}

int report_json(const struct job *job, const struct histogram *latencies)
{
	const char *path = job->options->json;
	bool to_stdout = strcmp(path, "-") == 0;
	FILE *out = to_stdout ? stdout : fopen(path, "we");
	int r = out ? 0 : -errno;

	if (out) {
		write_json(out, job, latencies);
		if (fflush(out) != 0 || ferror(out))
			r = -EIO;
		if (!to_stdout && fclose(out) != 0)
			r = -errno;
	}
	if (r < 0)
		fprintf(stderr, "torc-iobench: %s: %s\n", path, strerror(-r));
	return r;
}
