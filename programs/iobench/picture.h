/* picture.h - the distribution of latencies, drawn. */
#ifndef IOBENCH_PICTURE_H
#define IOBENCH_PICTURE_H

#include "job.h"

/* Into the file that the options name, as its ending says. 0 or -errno, explained. */
int picture_draw(const struct job *job, const struct histogram *latencies);

#endif
