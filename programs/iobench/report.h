/* report.h - what was found, for people and for programs. */
#ifndef IOBENCH_REPORT_H
#define IOBENCH_REPORT_H

#include "job.h"

extern const double report_percents[];
enum { REPORT_PERCENTS = 7 };

void report_text(const struct job *job, const struct histogram *latencies);

/* To the file that the options name. 0 or -errno, explained. */
int report_json(const struct job *job, const struct histogram *latencies);

#endif
