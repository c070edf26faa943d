#include "executor/queue.h"

#include "base/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SHARES_DEFAULT = 100 };
static const torc_ns latency_least = 10 * TORC_US, stall_least = 1 * TORC_MS;

struct torc_queue {
	struct task_queue tasks;
	torc_shares_fn *adjust;
	void *arg;
};

/* The first queue is no torc_queue inside, but its handle points to its tasks all the same, which come first. */
static struct task_queue *tasks_of(const struct torc_queue *queue)
{
	return (struct task_queue *)(void *)(uintptr_t)queue;
}

static unsigned clamp(unsigned shares)
{
	return shares < SHARES_LEAST ? SHARES_LEAST : shares > SHARES_MOST ? SHARES_MOST : shares;
}

static void adjust(struct task_queue *tasks)
{
	struct torc_queue *queue = container_of(tasks, struct torc_queue, tasks);

	queue_manager_set_shares(tasks->manager, &tasks->account, clamp(queue->adjust(queue, queue->arg)));
}

int torc_queue_new(struct torc_queue **out, const struct torc_queue_options *options)
{
	struct torc_queue_options whole;
	struct executor *executor = executor_in_fiber(__func__);
	struct torc_queue *queue;

	options = OPTIONS(options, whole);
	if (options->shares > SHARES_MOST || (options->latency != 0 && options->latency < latency_least) ||
	    (options->stall_limit > 0 && options->stall_limit < stall_least))
		return -EINVAL;
	if (options->stall_limit > 0 && executor->stall.watch(executor, options->stall_limit) < 0)
		return -ENOMEM;
	queue = malloc(sizeof *queue);
	if (!queue)
		return -ENOMEM;
	if (task_queue_init(&queue->tasks, &executor->manager, options->shares ? options->shares : SHARES_DEFAULT) <
	    0) {
		free(queue);
		return -ENOMEM;
	}
	queue->tasks.name = options->name ? options->name : "queue";
	queue->tasks.latency_ns = options->latency;
	queue->tasks.stall_ns = options->stall_limit;
	queue->tasks.adjust = options->adjust ? adjust : NULL;
	queue->adjust = options->adjust;
	queue->arg = options->arg;
	list_append(&executor->queues, &queue->tasks.link);
	executor_queues_changed(executor);
	*out = queue;
	return 0;
}

static void remove_queue(struct executor *executor, struct task_queue *tasks)
{
	while (tasks->io) /* ends: it takes itself out */
		tasks->io->drop(tasks->io);
	list_unlink(&tasks->link);
	queue_manager_unregister(&executor->manager, &tasks->account);
	free(container_of(tasks, struct torc_queue, tasks));
}

int torc_queue_free(struct torc_queue *queue)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct task_queue *tasks = tasks_of(queue);

	if (!queue)
		return 0;
	MISUSE(tasks->manager != &executor->manager, "the queue belongs to another core");
	if (tasks == &executor->first || tasks->members > 0 || tasks->account.active)
		return -EBUSY;
	remove_queue(executor, tasks);
	executor_queues_changed(executor);
	return 0;
}

void queue_free_all(struct executor *executor)
{
	while (executor->queues.prev != &executor->first.link) /* ends: the first stays first */
		remove_queue(executor, container_of(executor->queues.prev, struct task_queue, link));
}

struct torc_queue *torc_queue_current(void)
{
	return (struct torc_queue *)(void *)executor_in_fiber(__func__)->running->queue;
}

const char *torc_queue_name(const struct torc_queue *queue)
{
	return tasks_of(queue)->name;
}

unsigned torc_queue_shares(const struct torc_queue *queue)
{
	return tasks_of(queue)->account.shares;
}

int torc_queue_set_shares(struct torc_queue *queue, unsigned shares)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct task_queue *tasks = tasks_of(queue);

	MISUSE(tasks->manager != &executor->manager, "the queue belongs to another core");
	if (shares != clamp(shares))
		return -EINVAL;
	queue_manager_set_shares(tasks->manager, &tasks->account, shares);
	return 0;
}

uint64_t torc_queue_used(const struct torc_queue *queue)
{
	return tasks_of(queue)->account.used;
}

int torc_queue_io_get(struct torc_queue_io *io, const struct torc_queue *queue)
{
	struct torc_queue_io all = { .size = io->size };

	if (io->size < sizeof io->size)
		return -EINVAL;
	for (const struct queue_io *one = tasks_of(queue)->io; one; one = one->next) {
		all.reads += one->reads;
		all.writes += one->writes;
		all.read_bytes += one->read_bytes;
		all.written_bytes += one->written_bytes;
		all.waits += one->waits;
		all.waited += one->waited_ns;
	}
	memcpy(io, &all, io->size < sizeof all ? io->size : sizeof all);
	return 0;
}

bool torc_yield_if_needed(void)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct fiber *fiber = executor->running;

	if (!torc_need_yield())
		return false;
	/* Not just to the next of this queue: the reactor and the other queues are to have a look in. */
	executor->budget = 0;
	executor->cut = true;
	task_queue_push(fiber->queue, fiber);
	executor_switch(executor, fiber);
	return true;
}
