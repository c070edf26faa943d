/* phase.h - one phase of the load and what came of it: written by the load's thread, read by the page's. */
#ifndef DEMO_PHASE_H
#define DEMO_PHASE_H

#include "figures.h"
#include "histogram.h"
#include "table.h"

#include <torc.h>

enum phase_state { PHASE_WAITING, PHASE_CONNECTING, PHASE_RUNNING, PHASE_DONE };

struct phase {
	unsigned connections;
	torc_ns span; /* how long it is to run */

	/* Moves forward only. What is plain below is written before the state that it is named with is stored, and
	 * not read before that state is seen. */
	_Atomic int state;
	torc_ns began;         /* RUNNING */
	struct figures before; /* RUNNING */
	torc_ns ended;         /* DONE    */
	struct figures after;  /* DONE    */

	struct histogram latency; /* of requests that were answered, and answered right */
	_Atomic uint64_t errors;
	_Atomic int first_error;      /* -errno, or 0                        */
	_Atomic uint64_t most_fibers; /* that the server had                 */
};

/* For the load's thread, in this order. */
void phase_connect(struct phase *phase);                             /* connections are being made      */
void phase_begin(struct phase *phase, const struct boards *boards);  /* the clock runs                  */
void phase_watch(struct phase *phase, const struct boards *boards);  /* now and then                    */
void phase_end(struct phase *phase);                                 /* the clock stands                */
void phase_settle(struct phase *phase, const struct boards *boards); /* the server's figures are final */

/* Count an error; `error` is -errno, of which -EBADMSG means a wrong answer and -ENODATA a lost connection. */
void phase_fail(struct phase *phase, int error);

/* For any thread. */
enum phase_state phase_state(struct phase *phase);
struct row phase_row(struct phase *phase, const struct boards *boards);
double phase_progress(struct phase *phase); /* 0 to 1 */

#endif
