/* job.h - the file that is worked on, and the work: fibers on each core, each with one request in flight. */
#ifndef IOBENCH_JOB_H
#define IOBENCH_JOB_H

#include "histogram.h"
#include "options.h"

#include <torc.h>

/* What one core does and finds. */
struct share {
	_Alignas(64) uint64_t done; /* requests; read by the core that reports */
	uint64_t asked;
	struct torc_file file;
	uint64_t next; /* block, of sequential modes */
	uint64_t random;
	double cpu;
	struct histogram latencies;
};

struct job {
	const struct options *options;
	const char *path; /* of the file: the target, or */
	char made[32];    /* what was made in the target, a directory, and has no name any more */
	int fd;           /* of that */
	uint64_t blocks;  /* of the file that are used */
	bool direct;      /* was it granted? */
	struct share *shares;
	torc_ns began, until, took;
	uint64_t most; /* requests of each core; 0: no end but that of the time */
};

/* Make the file, if the target is a directory, and look at it. 0, or -errno, which was explained on stderr. */
int job_open(struct job *job, const struct options *options);

/* Do it. 0, or -errno, explained; -ECANCELED after a signal. */
int job_run(struct job *job);

/* Lets go of what was made. */
void job_close(struct job *job);

struct histogram *job_latencies(const struct job *job); /* of all cores, to be freed; NULL: no memory */
double job_cpu(const struct job *job);                  /* seconds of all cores */

#endif
