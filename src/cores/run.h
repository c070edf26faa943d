/* run - an executor put together on the calling thread with its mailbox and root scope, and taken apart in order; torc_run
 * is one alone. Relies on spawn, mailbox, remote. */
#ifndef TORC_SRC_RUN_H
#define TORC_SRC_RUN_H

#include "cores/mailbox.h"
#include "executor/queue.h"
#include "executor/spawn.h"

#include <torc/run.h>

struct run {
	struct executor executor;
	struct mailbox mailbox;
	struct scope root;
	torc_fn *fn;
	void *arg;
	int result;
};

/* Options that torc_run would refuse: -EINVAL. */
int run_check(const struct torc_run_options *options);

/* On the thread that is to run it, as a member of a group; `options` may be NULL. 0 or -errno. */
int run_open(struct run **run, const struct torc_run_options *options, struct mailbox_group *group, unsigned core);

/* Run fn(arg), and whatever else comes, until the group's work is over. What torc_run returns. */
int run_go(struct run *run, torc_fn *fn, void *arg);

/* No other thread may know of it any more. */
void run_close(struct run *run);

#endif
