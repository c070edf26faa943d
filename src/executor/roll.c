#include "executor/roll.h"

#include "machine/sys.h"

#include <torc/fiber.h>

enum { INDENT = 2, INDENT_MOST = 40, TELL_MOST = 20, NAME_ROOM = 200 };

static struct fiber *child_after(const struct scope *scope, const struct list *node)
{
	return node->next == &scope->children ? NULL : container_of(node->next, struct fiber, siblings);
}

/* The first child in the scopes that the fiber opened, from `scope` outward. */
static struct fiber *first_child(const struct fiber *fiber, const struct scope *scope)
{
	for (; scope != fiber->home; scope = scope->outer) {
		struct fiber *child = child_after(scope, &scope->children);

		if (child)
			return child;
	}
	return NULL;
}

struct roll roll_first(const struct executor *executor)
{
	const struct scope *root = executor->root;

	return (struct roll){ root ? child_after(root, &root->children) : NULL, 0 };
}

void roll_next(struct roll *roll)
{
	struct fiber *fiber = roll->fiber, *next = first_child(fiber, fiber->scope);

	if (next)
		roll->depth++;
	while (!next) { /* ends: at the root scope, which nobody opened */
		const struct scope *home = fiber->home;

		next = child_after(home, &fiber->siblings);
		if (next || !home->opener)
			break;
		fiber = home->opener;
		next = first_child(fiber, home->outer);
		if (!next)
			roll->depth--;
	}
	roll->fiber = next;
}

static const char *waits_on(const struct fiber *fiber)
{
	return fiber->wait ? fiber->wait->what : NULL;
}

void roll_tell_stuck(const struct executor *executor)
{
	unsigned told = 0;

	for (struct roll roll = roll_first(executor); roll.fiber; roll_next(&roll)) {
		char name[NAME_ROOM];

		if (told++ == TELL_MOST) {
			sys_complain("torc: and others");
			return;
		}
		fiber_describe(roll.fiber, name, sizeof name);
		sys_complain("torc: fiber %s waits for %s", name, waits_on(roll.fiber));
	}
}

void torc_fiber_each(torc_fiber_fn *fn, void *arg)
{
	const struct executor *executor = executor_in_fiber(__func__);
	const uint64_t turns = executor->reactor.turns;

	for (struct roll roll = roll_first(executor); roll.fiber; roll_next(&roll)) {
		const struct fiber *fiber = roll.fiber;
		const struct torc_fiber_info info = {
			.size = sizeof info,
			.name = fiber->name != fiber->from ? fiber->name : NULL,
			.from = fiber->from,
			.queue = fiber->queue->name,
			.waits_for = waits_on(fiber),
			.running = fiber == executor->running,
			.depth = roll.depth,
		};

		fn(&info, arg);
		MISUSE(executor->reactor.turns != turns,
		       "the function parked, and fibers that were to come may be gone");
	}
}

static void print(const struct torc_fiber_info *info, void *arg)
{
	int indent = info->depth < INDENT_MOST / INDENT ? (int)info->depth * INDENT : INDENT_MOST;

	(void)arg;
	sys_complain("torc: %*s%s%s%s%s: %s%s", indent, "", info->name ? info->name : "", info->name ? " (" : "",
	             info->from, info->name ? ")" : "", info->waits_for ? "waits for " : "",
	             info->waits_for ? info->waits_for
	             : info->running ? "runs"
	                             : "is ready");
}

void torc_fiber_print_all(void)
{
	torc_fiber_each(print, NULL);
}

const char *torc_fiber_name(void)
{
	return executor_in_fiber(__func__)->running->name;
}

void torc_fiber_set_name(const char *name)
{
	struct fiber *fiber = executor_in_fiber(__func__)->running;

	fiber->name = name ? name : fiber->from;
}
