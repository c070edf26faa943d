/* supervise.h - children that are started again when they end: what keeps a long-lived program going when a part of it
 * fails. A supervisor is a call, torc_supervise: it runs children in order, each as a fiber with a scope of its own, starts
 * them again as their kind and the strategy say, and gives up when that happens too often: then its own caller has
 * failed, perhaps the child of another supervisor. The words are Erlang's (Joe Armstrong, "Making reliable distributed
 * systems in the presence of software errors", 2003).
 *
 *	struct torc_child children[] = {
 *		{ .fn = keep_connection, .arg = &pool, .name = "connection" },
 *		{ .fn = serve, .arg = &pool, .name = "server" },
 *	};
 *
 *	return torc_supervise(children, 2, TORC_OPTIONS(torc_supervise_options, .strategy = TORC_REST_FOR_ONE));
 */
#ifndef TORC_SUPERVISE_H
#define TORC_SUPERVISE_H

#include <torc/base.h>
#include <torc/time.h>

TORC_BEGIN

/* When a child that has ended by itself is to be started again. */
enum torc_restart {
	TORC_PERMANENT, /* always                                       */
	TORC_TRANSIENT, /* when it failed: ended in a result below 0    */
	TORC_TEMPORARY, /* never, nor when others are for its sake      */
};

/* Who is started again then. Those that run are stopped first, the last one first, and all are started in order. */
enum torc_strategy {
	TORC_ONE_FOR_ONE,  /* it alone                                                            */
	TORC_ONE_FOR_ALL,  /* all: none is of use without the others                              */
	TORC_REST_FOR_ONE, /* it and those behind it in the array, which depend on those before them */
};

enum torc_child_state {
	TORC_CHILD_IDLE,     /* it has not begun, or has ended                       */
	TORC_CHILD_WAITING,  /* for its time to be started (again)                   */
	TORC_CHILD_RUNNING,  /* it was started                                       */
	TORC_CHILD_STOPPING, /* its scope was cancelled, and its end is awaited      */
};

/* A child. What is to be run is yours to fill in, the rest is kept by torc_supervise: read it, from any fiber of the core,
 * during the call or afterwards. */
struct torc_child {
	torc_fn *fn;
	void *arg;        /* lent until torc_supervise returns                                      */
	const char *name; /* its fiber is called that in diagnoses; kept, not copied; NULL: "a supervised child" */
	enum torc_restart restart; /* default TORC_PERMANENT                                                 */

	enum torc_child_state state;
	unsigned starts;   /* how often it was started                                                       */
	unsigned restarts; /* how often it, and others with it, were for its sake                            */
	int result;        /* of its last end                                                                */

	void *private_[10];
};

enum { TORC_RESTARTS_MOST = 100 };
#define TORC_RESTARTS_UNLIMITED (~0u)

struct torc_supervise_options {
	size_t size;                 /* TORC_OPTIONS fills it in                                               */
	enum torc_strategy strategy; /* default TORC_ONE_FOR_ONE                                               */
	unsigned restarts; /* so many in .window are borne, one more is failure: at most TORC_RESTARTS_MOST, or
	                      TORC_RESTARTS_UNLIMITED; default 3. A restart of several counts once             */
	torc_ns window;    /* default 5 s */
	torc_ns backoff;   /* pause before a restart, doubled each time that the same child causes another one, until it
	                      has run for .window without; default none                                      */
	torc_ns backoff_most; /* but no longer than that; default 1 minute, or .backoff if that is longer      */
	unsigned jitter;      /* so many per cent of a pause, at most, are taken off at random: 0 to 100; default 0 */
	uint64_t seed;        /* of that chance; default the clock                                             */
	torc_ns stop_limit; /* when a child takes longer to stop, the next one is told without waiting; all are awaited
	                         in the end, for a fiber is never killed; default: as long as it takes        */
};

/* Run `count` children under supervision until none is left to be run, or one must be given up, or the calling scope is
 * cancelled. When it returns no child runs; those that did were stopped, the last one first.
 * A child runs in a shielded scope of its own, inside the caller's: it inherits values, but is cancelled by its supervisor
 * alone, and in order. To be stopped is to have that scope cancelled; the child's own clean-up may use a shield. How long
 * a child runs counts from its start; -ENOMEM where no stack is to be had counts as its failure.
 * Returns 0 when all have ended and none is to be started again; the result of the child that failed too often, -ECHILD if
 * that was none below 0; -ECANCELED or -ETIME by the scope; -EINVAL for an option or a child that is out of range (fn
 * NULL). An array can be used once at a time. */
TORC_API int torc_supervise(struct torc_child *children, unsigned count,
                            const struct torc_supervise_options *options) TORC_PARKS TORC_MUST;

TORC_END
#endif
