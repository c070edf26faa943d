/* demo.h - the whole of one run: two workers, what they work on, and the page that shows it. Belongs to the main
 * thread; server, load and phases say themselves what other threads may touch. */
#ifndef DEMO_DEMO_H
#define DEMO_DEMO_H

#include "load.h"
#include "options.h"
#include "page.h"
#include "server.h"
#include "worker.h"

struct demo {
	struct options options;
	struct servers servers;
	struct load load;
	struct worker serving, loading;
	struct phase *phases;
	unsigned phase_count; /* 0: no load */
	torc_ns started, ended;

	/* The view: */
	struct page page;
	struct row rows[OPTIONS_PHASES];
	struct core_row *core_rows; /* [servers.count] */
	char url[64], echo[64], where[64], sharing[160], doing[96];
	struct figures *last; /* of each core, and when they were read, for the rates of now */
	torc_ns last_read;
	double rate;
};

/* Draw the page as things stand (view.c). */
void view_draw(struct demo *demo);

/* Print the table and what went wrong; returns how many errors there were. */
uint64_t view_summarize(struct demo *demo);

#endif
