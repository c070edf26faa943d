/* options.h - what the command line asks for. */
#ifndef IOBENCH_OPTIONS_H
#define IOBENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { CORES_MOST = 256, DEPTH_MOST = 4096, MEASURE_BLOCK = 512 << 10 };

struct options {
	const char *target; /* a file, or a directory in which one is made */
	bool write, random, buffered, dsync;
	uint64_t block, file_size, bytes; /* bytes: to be moved altogether; 0: as many as there is time for */
	unsigned depth, cores;
	double seconds;
	const char *json, *picture; /* where to; NULL: nowhere */
	bool measure, overwrite, quiet, progress;
};

/* Returns 0; 1: there was nothing to do but to explain; 2: it makes no sense, which was said on stderr. */
int options_parse(struct options *options, int argc, char **argv);

/* "randread" and its like. */
const char *options_mode(const struct options *options);

#endif
