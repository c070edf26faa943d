/* cores_table.h - what each core did in a span of time: one line per core. */
#ifndef DEMO_CORES_TABLE_H
#define DEMO_CORES_TABLE_H

#include "figures.h"

#include <stdbool.h>
#include <stdio.h>

struct core_row {
	unsigned core;
	double rate;        /* requests a second                                    */
	double connections; /* now                                                  */
	double fibers, in_flight;
	double cpu;   /* of the core's thread, as a fraction of the span      */
	double share; /* what the queue that serves got of all that ran; NAN */
	double calls; /* a second, that asked a core for its counter          */
};

/* From what happened in `seconds`, and the states of now that are in it. */
struct core_row core_row(unsigned core, const struct figures *since, double seconds);

void cores_table_print_head(FILE *out, const char *end);
void cores_table_print_row(FILE *out, const struct core_row *row, const char *end);

#endif
