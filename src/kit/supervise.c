/* Relies on scopes and a timer, by their public faces alone.
 *
 * Everything is decided in the caller's fiber, one end of a child after the other, in the order in which they came; so
 * the code reads like the rules. Ends that come while others are stopped wait in `ended`. */
#include "base/list.h"
#include "base/options.h"
#include "base/panic.h"

#include <torc/scope.h>
#include <torc/supervise.h>
#include <torc/timer.h>

#include <errno.h>
#include <string.h>

static const torc_ns window_usual = 5 * TORC_SEC, backoff_most_usual = 60 * TORC_SEC;
enum { RESTARTS_USUAL = 3, PER_CENT = 100 };

/* What is private of a child. */
struct member {
	struct crew *crew;
	struct torc_scope *scope; /* while fn runs */
	struct list link;         /* among those that have ended by themselves */
	torc_ns began;            /* its last start */
	torc_ns due;              /* its next one, if it waits */
	unsigned streak;          /* restarts for its sake without a window's rest in between */
};

_Static_assert(sizeof(struct member) <= sizeof((struct torc_child *)0)->private_, "torc_child has room for a member");

struct crew {
	struct torc_child *children;
	unsigned count;
	struct torc_supervise_options options;
	struct torc_scope *scope;
	struct list ended;
	struct torc_timer wake; /* the supervisor: somebody has ended, or is to be started */
	uint64_t restarts;      /* so far */
	torc_ns times[TORC_RESTARTS_MOST];
	uint64_t chance;
};

static struct member *member_of(struct torc_child *child)
{
	return (struct member *)(void *)child->private_;
}

static struct torc_child *child_of(struct list *link)
{
	return container_of(container_of(link, struct member, link), struct torc_child, private_);
}

static uint64_t random_next(uint64_t *state)
{
	/* splitmix64 (Steele, Lea, Flood, 2014) */
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* --- a child ---------------------------------------------------------------------------------- */

static void child_ended(struct torc_child *child, int result)
{
	struct member *member = member_of(child);

	child->result = result;
	if (child->state == TORC_CHILD_RUNNING) /* otherwise somebody waits for just this */
		list_append(&member->crew->ended, &member->link);
	child->state = TORC_CHILD_IDLE;
	torc_timer_set(&member->crew->wake, 1);
}

static int run_child(void *arg)
{
	struct torc_child *child = arg;
	int result;

	{
		TORC_SCOPE(own, .shield = true);
		member_of(child)->scope = own;
		if (child->state == TORC_CHILD_STOPPING)
			torc_scope_cancel(own);
		result = child->fn(child->arg);
		member_of(child)->scope = NULL;
	}
	child_ended(child, result);
	return 0;
}

static void start(struct crew *crew, struct torc_child *child)
{
	int r;

	child->state = TORC_CHILD_RUNNING;
	child->starts++;
	member_of(child)->began = torc_now();
	r = torc_go_from(crew->scope, run_child, child, child->name ? child->name : "a supervised child");
	if (r < 0)
		child_ended(child, r);
}

static void schedule(struct torc_child *child, torc_ns due)
{
	child->state = TORC_CHILD_WAITING;
	member_of(child)->due = due;
}

/* --- stopping --------------------------------------------------------------------------------- */

/* Until it has stopped, cancelled or not; or the limit is reached. */
static void await(struct crew *crew, const struct torc_child *child, torc_ns limit)
{
	int r = 0;

	TORC_SCOPE(patience, .shield = true, .deadline = limit ? torc_in(limit) : 0);
	while (child->state == TORC_CHILD_STOPPING && r == 0) {
		torc_timer_set(&crew->wake, 0);
		r = torc_timer_wait(&crew->wake);
	}
}

/* Those from `first` on, the last one first. What they did by themselves meanwhile no longer matters. */
static void stop(struct crew *crew, unsigned first)
{
	for (unsigned i = crew->count; i-- > first;) {
		struct torc_child *child = &crew->children[i];

		if (child->state == TORC_CHILD_RUNNING) {
			child->state = TORC_CHILD_STOPPING;
			if (member_of(child)->scope)
				torc_scope_cancel(member_of(child)->scope);
			await(crew, child, crew->options.stop_limit);
		}
	}
	for (unsigned i = crew->count; i-- > first;) {
		struct torc_child *child = &crew->children[i];

		await(crew, child, 0);
		list_remove(&member_of(child)->link);
		child->state = TORC_CHILD_IDLE;
	}
}

/* --- starting again --------------------------------------------------------------------------- */

/* Count a restart. True: it is one too many. */
static bool too_often(struct crew *crew, torc_ns now)
{
	unsigned most = crew->options.restarts;
	torc_ns *oldest;

	if (most == TORC_RESTARTS_UNLIMITED)
		return false;
	oldest = &crew->times[crew->restarts % most];
	if (crew->restarts >= most && now - *oldest < crew->options.window)
		return true;
	*oldest = now;
	crew->restarts++;
	return false;
}

static torc_ns pause_before(struct crew *crew, struct torc_child *child, torc_ns now)
{
	struct member *member = member_of(child);
	torc_ns pause = crew->options.backoff, most = crew->options.backoff_most;

	if (now - member->began >= crew->options.window)
		member->streak = 0;
	for (unsigned i = 0; i < member->streak && pause < most; i++)
		pause = pause > most / 2 ? most : 2 * pause;
	member->streak++;
	if (pause > 0 && crew->options.jitter > 0) {
		uint64_t part = (uint64_t)pause / PER_CENT * crew->options.jitter;

		pause -= (torc_ns)(random_next(&crew->chance) % (part + 1));
	}
	return pause;
}

/* Those from `first` on, together and in order: when the last pause of any of them is over. */
static void restart_from(struct crew *crew, unsigned first, torc_ns due)
{
	for (unsigned i = first; i < crew->count; i++)
		if (crew->children[i].state == TORC_CHILD_WAITING && member_of(&crew->children[i])->due > due)
			due = member_of(&crew->children[i])->due;
	stop(crew, first);
	for (unsigned i = first; i < crew->count; i++)
		if (crew->children[i].restart != TORC_TEMPORARY)
			schedule(&crew->children[i], due);
}

static bool is_to_run_again(const struct torc_child *child)
{
	return child->restart == TORC_PERMANENT || (child->restart == TORC_TRANSIENT && child->result < 0);
}

/* A child has ended by itself. 0; or why to give up. */
static int see_to(struct crew *crew, struct torc_child *child)
{
	torc_ns now = torc_now(), due, pause;

	if (!is_to_run_again(child))
		return 0;
	if (too_often(crew, now))
		return child->result < 0 ? child->result : -ECHILD;
	child->restarts++;
	pause = pause_before(crew, child, now);
	due = pause > INT64_MAX - now ? INT64_MAX : now + pause;
	if (crew->options.strategy == TORC_ONE_FOR_ONE)
		schedule(child, due);
	else if (crew->options.strategy == TORC_ONE_FOR_ALL)
		restart_from(crew, 0, due);
	else
		restart_from(crew, (unsigned)(child - crew->children), due);
	return 0;
}

static void start_due(struct crew *crew)
{
	torc_ns now = torc_now();

	for (unsigned i = 0; i < crew->count; i++)
		if (crew->children[i].state == TORC_CHILD_WAITING && member_of(&crew->children[i])->due <= now)
			start(crew, &crew->children[i]);
}

/* When to look again, unless somebody ends before; or whether nothing is left to be done. */
static bool set_wake(struct crew *crew)
{
	torc_ns next = 0;
	bool any = false;

	for (unsigned i = 0; i < crew->count; i++) {
		struct torc_child *child = &crew->children[i];
		torc_ns due = member_of(child)->due;

		any |= child->state != TORC_CHILD_IDLE;
		if (child->state == TORC_CHILD_WAITING && (next == 0 || due < next))
			next = due;
	}
	if (!list_empty(&crew->ended))
		next = 1;
	torc_timer_set(&crew->wake, next);
	return any || next;
}

static int supervise(struct crew *crew)
{
	int r = torc_scope_status(NULL);

	while (r == 0) {
		start_due(crew);
		if (!set_wake(crew))
			return 0;
		r = torc_timer_wait(&crew->wake);
		while (r == 0 && !list_empty(&crew->ended)) {
			r = see_to(crew, child_of(list_pop(&crew->ended)));
			if (r == 0)
				r = torc_scope_status(NULL);
		}
	}
	return r;
}

/* --- set up ----------------------------------------------------------------------------------- */

static bool in_range(const struct torc_supervise_options *options)
{
	return (unsigned)options->strategy <= TORC_REST_FOR_ONE &&
	       (options->restarts <= TORC_RESTARTS_MOST || options->restarts == TORC_RESTARTS_UNLIMITED) &&
	       options->window >= 0 && options->backoff >= 0 && options->backoff_most >= 0 &&
	       options->jitter <= PER_CENT && options->stop_limit >= 0;
}

static int settle(struct crew *crew, const struct torc_supervise_options *options)
{
	struct torc_supervise_options whole;
	struct torc_supervise_options *settled = &crew->options;

	options = options_whole(options, &whole, sizeof whole, "torc_supervise");
	if (!in_range(options))
		return -EINVAL;
	*settled = *options;
	if (!settled->restarts)
		settled->restarts = RESTARTS_USUAL;
	if (!settled->window)
		settled->window = window_usual;
	if (!settled->backoff_most)
		settled->backoff_most = backoff_most_usual;
	if (settled->backoff_most < settled->backoff)
		settled->backoff_most = settled->backoff;
	crew->chance = settled->seed ? settled->seed : (uint64_t)torc_now();
	return 0;
}

static void enlist(struct crew *crew, struct torc_child *child)
{
	struct member *member = member_of(child);

	*member = (struct member){ .crew = crew };
	list_init(&member->link);
	child->starts = child->restarts = 0;
	child->result = 0;
	child->state = TORC_CHILD_WAITING; /* since ever */
}

int torc_supervise(struct torc_child *children, unsigned count, const struct torc_supervise_options *options)
{
	struct crew crew = { .children = children, .count = count };
	int r = settle(&crew, options);

	for (unsigned i = 0; i < count && r == 0; i++)
		if (!children[i].fn || (unsigned)children[i].restart > TORC_TEMPORARY)
			r = -EINVAL;
	if (r < 0)
		return r;
	list_init(&crew.ended);
	for (unsigned i = 0; i < count; i++)
		enlist(&crew, &children[i]);
	TORC_SCOPE(scope, .until = TORC_ALL_DONE);
	crew.scope = scope;
	r = supervise(&crew);
	stop(&crew, 0);
	return r;
}
