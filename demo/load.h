/* load.h - the load: closed-loop clients, one fiber per connection, each answer compared byte for byte. */
#ifndef DEMO_LOAD_H
#define DEMO_LOAD_H

#include "phase.h"
#include "server.h"

struct load {
	struct servers *servers; /* their addresses and boards; the rest is theirs */
	struct phase *phases;
	unsigned phase_count;

	/* The load's core only: */
	struct torc_scope *busy; /* what is to be cancelled when the load is called off */
	bool called_off;
};

/* Run the phases one after the other: what an executor is to run, with a struct load * as its argument. What goes wrong on
 * a connection is counted in its phase; the result is an error only if a phase could not be run at all. */
int load_main(void *load);

/* Break off. On the load's core: the main thread calls it through a remote (worker_stop). */
int load_stop(void *load);

#endif
