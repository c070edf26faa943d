#include "cores/watchdog.h"

#include "machine/clock.h"
#include "machine/forked.h"
#include "machine/interrupt.h"
#include "machine/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKS_PER_LIMIT = 4, FRAMES = 64, NAME_ROOM = 200 };
static const torc_ns limit_least = 1 * TORC_MS;
static const int64_t answer_ns = 100000000, answer_poll_ns = 50000;

/* One executor, as the watchdog sees it. */
struct watch {
	struct list link;
	struct executor *executor;
	struct thread thread;
	sigset_t mask; /* its signal mask before */
	torc_stall_fn *report;
	void *report_arg;
	int64_t least_ns; /* the smallest limit that was ever asked for */

	/* The fiber that ran at the last look, NULL: none, and in which turn. */
	const struct fiber *fiber;
	uint64_t turn;
	int64_t first_ns, last_ns; /* the first look at it, and the last */
	int64_t counted_ns;        /* in between, without the time for which the watchdog itself stood still */
	int64_t due_ns;            /* report it when that much is counted */
};

static struct {
	struct thread_mutex arming; /* before the other one; executors come and go one at a time */
	struct thread_mutex mutex;  /* what follows is under it */
	struct thread_cond changed;
	struct list watches;
	const struct watch *reported; /* its report is being handled, without the mutex: it stays until that is over */
	bool ending;
	struct thread thread;
} dog = { THREAD_MUTEX, THREAD_MUTEX, THREAD_COND, { &dog.watches, &dog.watches }, NULL, false, { 0 } };

struct names {
	char fiber[NAME_ROOM], queue[NAME_ROOM];
};

enum { QUIET, ASKED, WRITING, ANSWERED };

/* The question to a thread that seems to stall, and its answer. */
static struct {
	int state;
	const struct executor *executor;
	const struct fiber *fiber;
	uint64_t turn;

	bool stalled;
	struct names names;
	void *frames[FRAMES];
	unsigned frame_count;
} question;

static void copy_name(char *to, const char *from)
{
	size_t len = 0;

	while (from && from[len] && len < NAME_ROOM - 1)
		len++;
	memcpy(to, from ? from : "", len);
	to[len] = 0;
}

/* In a signal handler, on the thread that was asked: here the executor stands still. */
static void answer(const void *context)
{
	const struct executor *self = executor_self;
	int expected = ASKED;

	if (!__atomic_compare_exchange_n(&question.state, &expected, WRITING, false, __ATOMIC_ACQUIRE,
	                                 __ATOMIC_RELAXED))
		return;
	if (self != question.executor) { /* a signal that was late: somebody else is meant */
		__atomic_store_n(&question.state, ASKED, __ATOMIC_RELEASE);
		return;
	}
	question.stalled = self->running == question.fiber && self->reactor.turns == question.turn;
	if (question.stalled) {
		fiber_describe(self->running, question.names.fiber, NAME_ROOM);
		copy_name(question.names.queue, self->running->queue->name);
		question.frame_count = interrupt_backtrace(context, question.frames, FRAMES);
	}
	__atomic_store_n(&question.state, ANSWERED, __ATOMIC_RELEASE);
}

static bool same_run(const struct watch *watch)
{
	const struct executor *executor = watch->executor;

	return __atomic_load_n(&executor->reactor.turns, __ATOMIC_ACQUIRE) == watch->turn &&
	       __atomic_load_n(&executor->running, __ATOMIC_RELAXED) == watch->fiber;
}

/* A thread that takes no signals at present: what can be said without it. The record of a fiber stays readable while its
 * executor is there, and if it is another fiber's by now nothing is reported; its queue, and the name that somebody gave it, may be
 * gone altogether. */
static bool describe_from_outside(const struct watch *watch)
{
	question.frame_count = 0;
	if (!same_run(watch))
		return false;
	copy_name(question.names.fiber, watch->fiber->from);
	copy_name(question.names.queue, "unknown");
	return same_run(watch);
}

/* Is it really stalled? Then the question holds names and frames. */
static bool ask(const struct watch *watch)
{
	int64_t deadline = clock_now() + answer_ns;
	int expected;

	question.executor = watch->executor;
	question.fiber = watch->fiber;
	question.turn = watch->turn;
	__atomic_store_n(&question.state, ASKED, __ATOMIC_RELEASE);
	interrupt_send(watch->thread);
	while (__atomic_load_n(&question.state, __ATOMIC_ACQUIRE) != ANSWERED) { /* ends: by the deadline */
		if (!same_run(watch))
			deadline = 0;
		expected = ASKED;
		if (clock_now() >= deadline && __atomic_compare_exchange_n(&question.state, &expected, QUIET, false,
		                                                           __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return describe_from_outside(watch);
		clock_pause(answer_poll_ns);
	}
	__atomic_store_n(&question.state, QUIET, __ATOMIC_RELAXED);
	return question.stalled;
}

void torc_stall_print(const struct torc_stall *stall)
{
	sys_complain(
		"torc: stall: fiber %s (queue %s, core %u of %s) has been running for %lld ms; it may for %lld ms%s",
		stall->fiber, stall->queue, stall->core, stall->executor, (long long)(stall->span / TORC_MS),
		(long long)(stall->limit / TORC_MS), stall->frame_count > 0 ? ", and is here:" : "");
	if (stall->frame_count > 0)
		interrupt_print(stall->frames, stall->frame_count);
}

/* The mutex is left meanwhile: what the handler calls or waits for may make a queue that is watched. */
static void report(const struct watch *watch, int64_t limit, int64_t now)
{
	const struct torc_stall stall = {
		.size = sizeof stall,
		.executor = watch->executor->name,
		.queue = question.names.queue,
		.fiber = question.names.fiber,
		.core = watch->executor->mailbox->core,
		.span = now - watch->first_ns,
		.limit = limit,
		.frames = question.frames,
		.frame_count = question.frame_count,
	};

	dog.reported = watch;
	thread_unlock(&dog.mutex);
	if (watch->executor->stall.report)
		watch->executor->stall.report(&stall, watch->executor->stall.report_arg);
	else
		torc_stall_print(&stall);
	thread_lock(&dog.mutex);
	dog.reported = NULL;
	thread_notify_all(&dog.changed);
}

static void look(struct watch *watch, int64_t now, int64_t period)
{
	const struct executor *executor = watch->executor;
	uint64_t turn = __atomic_load_n(&executor->reactor.turns, __ATOMIC_ACQUIRE);
	const struct fiber *fiber = __atomic_load_n(&executor->running, __ATOMIC_RELAXED);
	int64_t limit = __atomic_load_n(&executor->stall.limit_ns, __ATOMIC_RELAXED);
	int64_t passed = now - watch->last_ns;

	watch->last_ns = now;
	if (fiber == &executor->loop || limit <= 0) {
		watch->fiber = NULL;
		return;
	}
	if (fiber != watch->fiber || turn != watch->turn) {
		watch->fiber = fiber;
		watch->turn = turn;
		watch->first_ns = now;
		watch->counted_ns = 0;
		watch->due_ns = limit;
		return;
	}
	/* If we overslept by far, everybody probably did: the process was stopped, or starves. */
	watch->counted_ns += passed < 2 * period ? passed : 2 * period;
	if (watch->counted_ns < watch->due_ns)
		return;
	while (watch->due_ns <= watch->counted_ns) /* ends: it doubles */
		watch->due_ns *= 2;
	if (ask(watch))
		report(watch, limit, clock_now());
}

static int64_t looks_every(void)
{
	int64_t least = INT64_MAX;

	list_each (node, &dog.watches) {
		const struct watch *watch = container_of(node, struct watch, link);

		least = watch->least_ns < least ? watch->least_ns : least;
	}
	return least / LOOKS_PER_LIMIT;
}

static void *keep_watch(void *arg)
{
	thread_lock(&dog.mutex);
	while (!dog.ending) { /* ends with the last watch */
		int64_t period = looks_every(), now = clock_now();

		list_each (node, &dog.watches) /* which may grow and shrink while one is reported */
			look(container_of(node, struct watch, link), now, period);
		thread_wait(&dog.changed, &dog.mutex, clock_now() + looks_every());
	}
	thread_unlock(&dog.mutex);
	return arg;
}

/* With the first watch in, and under `arming`. 0, -ENOMEM. */
static int wake_dog(void)
{
	int r;

	dog.ending = false;
	interrupt_open(answer);
	r = thread_start(&dog.thread, "torc-watchdog", keep_watch, NULL);
	if (r < 0)
		interrupt_close();
	return r;
}

static void put_dog_to_sleep(void)
{
	thread_lock(&dog.mutex);
	dog.ending = true;
	thread_notify(&dog.changed);
	thread_unlock(&dog.mutex);
	thread_join(&dog.thread);
	interrupt_close();
}

/* Among the others. True: it is the only one. */
static bool insert(struct watch *watch)
{
	bool first;

	thread_lock(&dog.mutex);
	first = list_empty(&dog.watches);
	list_append(&dog.watches, &watch->link);
	thread_notify(&dog.changed);
	thread_unlock(&dog.mutex);
	return first;
}

/* No fiber runs any more of which another report could be made. */
static void await_report(const struct watch *watch)
{
	thread_lock(&dog.mutex);
	while (dog.reported == watch) /* ends with the handler */
		thread_wait(&dog.changed, &dog.mutex, INT64_MAX);
	thread_unlock(&dog.mutex);
}

static bool take_out(struct watch *watch)
{
	bool last;

	thread_lock(&dog.mutex);
	list_unlink(&watch->link);
	last = list_empty(&dog.watches);
	thread_unlock(&dog.mutex);
	return last;
}

/* In the child of a fork there is no watchdog, and nobody whom it watched over; it may have held its mutex. */
static void forget_dog(void)
{
	thread_mutex_init(&dog.arming);
	thread_mutex_init(&dog.mutex);
	thread_cond_init(&dog.changed);
	list_init(&dog.watches);
	dog.reported = NULL;
	question.state = QUIET;
	interrupt_close();
}

static int begin(struct watch *watch)
{
	static bool watched;
	int r = 0;

	forked_call(&watched, forget_dog);
	thread_lock(&dog.arming);
	if (insert(watch))
		r = wake_dog();
	if (r < 0)
		take_out(watch);
	thread_unlock(&dog.arming);
	return r;
}

static int watch_executor(struct executor *executor, int64_t limit_ns)
{
	struct watch *watch = executor->stall.watched;
	int r;

	if (watch) {
		thread_lock(&dog.mutex);
		if (limit_ns < watch->least_ns)
			watch->least_ns = limit_ns;
		thread_notify(&dog.changed);
		thread_unlock(&dog.mutex);
		return 0;
	}
	watch = calloc(1, sizeof *watch);
	if (!watch)
		return -ENOMEM;
	watch->executor = executor;
	watch->thread = thread_self();
	watch->least_ns = limit_ns;
	interrupt_admit(&watch->mask);
	r = begin(watch);
	if (r < 0) {
		interrupt_refuse(&watch->mask);
		free(watch);
		return r;
	}
	executor->stall.watched = watch;
	return 0;
}

bool watchdog_accepts(torc_ns limit)
{
	return limit == 0 || limit >= limit_least;
}

int watchdog_open(struct executor *executor, const struct torc_run_options *options)
{
	executor->stall.watch = watch_executor;
	executor->stall.report = options->on_stall;
	executor->stall.report_arg = options->on_stall_arg;
	executor->stall.usual_ns = options->stall_limit;
	return options->stall_limit > 0 ? watch_executor(executor, options->stall_limit) : 0;
}

void watchdog_unwatch(struct executor *executor)
{
	struct watch *watch = executor->stall.watched;

	if (!watch)
		return;
	await_report(watch);
	thread_lock(&dog.arming);
	if (take_out(watch))
		put_dog_to_sleep();
	thread_unlock(&dog.arming);
	interrupt_refuse(&watch->mask);
	executor->stall.watched = NULL;
	free(watch);
}
