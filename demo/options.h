/* options.h - the command line. */
#ifndef DEMO_OPTIONS_H
#define DEMO_OPTIONS_H

#include <stdbool.h>

enum { OPTIONS_PHASES = 16, OPTIONS_CORES = 256 };

struct options {
	double seconds; /* of load in all phases together; with no_load: until the end, 0 for ever */
	unsigned connections[OPTIONS_PHASES];
	unsigned phase_count;
	int port, echo_port;
	bool no_load;
	unsigned cores; /* of the server; 0: one for each CPU */
	bool no_batch;
	bool plain; /* no page, only the summary */
};

/* Read the command line. On a mistake, or when asked for help, it says so and ends the process. */
struct options options_parse(int argc, char **argv);

#endif
