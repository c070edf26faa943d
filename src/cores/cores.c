#include "cores/cores.h"

#include "base/options.h"
#include "cores/placement.h"
#include "machine/signals.h"
#include "machine/sys.h"
#include "machine/thread.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

struct crew;

struct member {
	struct crew *crew;
	unsigned core;
	struct thread thread;
	struct run *run;
	int result;
};

/* What torc_cores_run knows of one run. */
struct crew {
	const struct torc_cores_options *options;
	torc_fn *fn;
	void *arg;
	struct mailbox_group group;
	const struct placement *placement;
	struct thread_mutex lock;
	struct thread_cond changed;
	unsigned started, voted, left; /* under the lock, like the next; started: UINT_MAX until it is known */
	int refusal;                   /* of the first that can't run; 0: none so far */
	struct signals signals;
	struct member members[];
};

/* Wait until all have said that they can run, or one that it can't: 0 or why. */
static int vote(struct crew *crew, int r)
{
	thread_lock(&crew->lock);
	crew->voted++;
	if (r < 0 && crew->refusal == 0)
		crew->refusal = r;
	thread_notify_all(&crew->changed);
	while (crew->voted < crew->group.count && crew->refusal == 0)
		thread_wait(&crew->changed, &crew->lock, INT64_MAX);
	r = crew->refusal;
	thread_unlock(&crew->lock);
	return r;
}

/* Who waits for signals need not any more. */
static void all_left(const struct crew *crew)
{
	if (crew->options->stop_on_signals)
		signals_ring(&crew->signals);
}

/* Wait until all are through: until then any may still look into another's mailbox. */
static void leave(struct crew *crew)
{
	thread_lock(&crew->lock);
	crew->left++;
	thread_notify_all(&crew->changed);
	if (crew->left == crew->started)
		all_left(crew);
	while (crew->left < crew->started)
		thread_wait(&crew->changed, &crew->lock, INT64_MAX);
	thread_unlock(&crew->lock);
}

static void *run_member(void *arg)
{
	struct member *member = arg;
	struct crew *crew = member->crew;
	/* Before any memory of its own is touched. */
	int opened, r = placement_bind(crew->placement, member->core);

	if (r == 0)
		r = run_open(&member->run, crew->options->run, &crew->group, member->core);
	opened = r;
	if (vote(crew, r) == 0)
		member->result = run_go(member->run, crew->fn, crew->arg);
	leave(crew);
	if (opened == 0)
		run_close(member->run);
	return NULL;
}

static unsigned start_all(struct crew *crew)
{
	unsigned started;
	int r = 0;

	for (started = 0; started < crew->group.count; started++) {
		struct member *member = &crew->members[started];

		*member = (struct member){ .crew = crew, .core = started };
		r = thread_start(&member->thread, "torc", run_member, member);
		if (r < 0)
			break;
	}
	thread_lock(&crew->lock);
	crew->started = started;
	if (r < 0 && crew->refusal == 0) /* the others wait for the vote of one that does not exist */
		crew->refusal = r;
	if (crew->left == started)
		all_left(crew);
	thread_notify_all(&crew->changed);
	thread_unlock(&crew->lock);
	return started;
}

static int outcome(const struct crew *crew)
{
	int r = crew->refusal;

	for (unsigned core = 0; core < crew->group.count; core++) {
		if (crew->options->results && crew->refusal == 0)
			crew->options->results[core] = crew->members[core].result;
		/* A core that was told to stop has obeyed; the one that failed first says why. */
		if (crew->members[core].result < 0 && (r == 0 || r == -ECANCELED))
			r = crew->members[core].result;
	}
	return r;
}

/* A signal stops every core, once they run. */
static void stop(struct crew *crew)
{
	while (crew->voted < crew->group.count && crew->refusal == 0)
		thread_wait(&crew->changed, &crew->lock, INT64_MAX);
	/* Under the lock: as long as one has not left, none has closed its mailbox. */
	if (crew->refusal == 0 && crew->left < crew->started)
		mailbox_stop_all(&crew->group);
}

static void await_signals(struct crew *crew)
{
	sigset_t before;
	bool over;

	signals_admit(&crew->signals, &before);
	do { /* ends: the last that leaves sees to it */
		signals_await(&crew->signals);
		thread_lock(&crew->lock);
		while (signals_take(&crew->signals, NULL) > 0)
			stop(crew);
		over = crew->left == crew->started;
		thread_unlock(&crew->lock);
	} while (!over);
	signals_restore(&before);
}

static int run_crew(struct crew *crew)
{
	unsigned started;
	uint64_t mask = 0;
	int r = 0;

	if (crew->options->stop_on_signals) {
		signals_add(&mask, SIGINT);
		signals_add(&mask, SIGTERM);
		r = signals_open(&crew->signals, mask);
	}
	if (r < 0)
		return r;
	thread_mutex_init(&crew->lock);
	thread_cond_init(&crew->changed);
	crew->started = UINT_MAX;
	started = start_all(crew);
	if (crew->options->stop_on_signals)
		await_signals(crew);
	for (unsigned i = 0; i < started; i++)
		thread_join(&crew->members[i].thread);
	if (crew->options->stop_on_signals) {
		signals_close(&crew->signals);
		sys_close(crew->signals.fd);
	}
	thread_cond_destroy(&crew->changed);
	thread_mutex_destroy(&crew->lock);
	return outcome(crew);
}

static struct crew *crew_new(const struct torc_cores_options *options, unsigned count)
{
	struct crew *crew = calloc(1, sizeof *crew + count * sizeof *crew->members);

	if (!crew)
		return NULL;
	crew->options = options;
	crew->group.members = calloc(count, sizeof(struct mailbox *));
	if (!crew->group.members) {
		free(crew);
		return NULL;
	}
	crew->group.count = crew->group.work = count;
	return crew;
}

int torc_cores_run(const struct torc_cores_options *options, torc_fn *fn, void *arg)
{
	struct torc_cores_options whole;
	struct placement placement;
	struct crew *crew;
	int r;

	options = OPTIONS(options, whole);
	if (executor_self)
		return -EBUSY;
	if (options->count > MAILBOX_PEERS)
		return -EINVAL;
	r = run_check(options->run);
	if (r == 0)
		r = placement_open(&placement, options);
	if (r < 0)
		return r;
	crew = crew_new(options, placement.count);
	if (crew) {
		crew->fn = fn;
		crew->arg = arg;
		crew->placement = &placement;
		r = run_crew(crew);
		free(crew->group.members);
		free(crew);
	} else {
		r = -ENOMEM;
	}
	placement_close(&placement);
	return r;
}
