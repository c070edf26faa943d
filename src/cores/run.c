#include "cores/run.h"

#include "base/options.h"
#include "cores/blocking.h"
#include "cores/remote.h"
#include "cores/watchdog.h"
#include "io/device.h"

#include "executor/local.h"
#include "executor/roll.h"

#include "io/buffer.h"
#include "machine/probe.h"
#include "machine/sigwrite.h"
#include "machine/sys.h"

#include <torc/probe.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	RING_ENTRIES = 512,
	RING_ENTRIES_LEAST = 8,
	RING_ENTRIES_MOST = 32768,
	CQ_PER_SQ = 128,
	CQ_ENTRIES_MOST = 65536,
};
static const size_t stack_size_default = 64 << 10, stack_size_least = 16 << 10, stack_size_most = 1 << 30;

static int root_main(void *arg)
{
	struct run *run = arg;

	/* With what it set, which may still call the other cores. */
	run->result = local_run(run->executor.running, run->fn, run->arg);
	mailbox_work_ended(&run->mailbox, run->result);
	return run->result;
}

static int settle(struct executor_options *settled, const struct torc_run_options *options)
{
	size_t stack_size;
	unsigned entries;

	entries = options->ring_entries ? options->ring_entries : RING_ENTRIES;
	stack_size = options->stack_size ? options->stack_size : stack_size_default;
	if (entries < RING_ENTRIES_LEAST || entries > RING_ENTRIES_MOST || (entries & (entries - 1)) != 0 ||
	    stack_size < stack_size_least || stack_size > stack_size_most || options->spin < 0 ||
	    options->blocking_threads > BLOCKING_THREADS_MOST || !watchdog_accepts(options->stall_limit))
		return -EINVAL;
	settled->name = options->name ? options->name : "torc";
	settled->stack_size = stack_size;
	settled->spin_ns = options->spin;
	settled->reactor.name = settled->name;
	settled->reactor.sq_entries = entries;
	settled->reactor.cq_entries = entries > CQ_ENTRIES_MOST / CQ_PER_SQ ? CQ_ENTRIES_MOST : entries * CQ_PER_SQ;
	return 0;
}

int run_check(const struct torc_run_options *options)
{
	struct executor_options settled;
	struct torc_run_options whole;

	return settle(&settled, options_whole(options, &whole, sizeof whole, "torc_run"));
}

/* What stands beside the executor. */
static int serve(struct run *run, const struct torc_run_options *options)
{
	run->executor.offload = torc_blocking;
	run->executor.blocking_threads = options->blocking_threads;
	return watchdog_open(&run->executor, options);
}

/* The root fiber's, so that run_go can't fail for want of it when others have begun. */
static int hold_first_stack(struct stack_pool *stacks)
{
	char *slot = stack_take(stacks);

	if (!slot)
		return -ENOMEM;
	stack_give(stacks, slot);
	return 0;
}

int run_open(struct run **out, const struct torc_run_options *options, struct mailbox_group *group, unsigned core)
{
	static const struct torc_scope_options lasting = { .size = sizeof lasting };
	struct executor_options settled = { 0 };
	struct torc_run_options whole;
	struct run *run;
	int r;

	options = options_whole(options, &whole, sizeof whole, "torc_run");
	r = settle(&settled, options);
	if (r < 0)
		return r;
	if (executor_self)
		return -EBUSY;
	run = aligned_alloc(_Alignof(struct run), sizeof *run);
	if (!run)
		return -ENOMEM;
	r = probe_once();
	if (r == 0)
		r = executor_open(&run->executor, &settled);
	if (r < 0) {
		sys_complain("torc: torc_run: no io_uring (%s): %s", strerror(-r), torc_probe_explain(r));
		free(run);
		return r;
	}
	r = hold_first_stack(&run->executor.stacks);
	if (r == 0)
		r = mailbox_open(&run->mailbox, &run->executor, group, core);
	if (r < 0) {
		executor_close(&run->executor);
		free(run);
		return r;
	}
	scope_init(&run->root, &run->executor, NULL, NULL, &lasting);
	run->executor.root = &run->root;
	run->executor.tell_stuck = roll_tell_stuck;
	r = serve(run, options);
	if (r < 0) {
		run_close(run);
		return r;
	}
	*out = run;
	return 0;
}

int run_go(struct run *run, torc_fn *fn, void *arg)
{
	struct sigwrite sigwrite;
	int r;

	run->fn = fn;
	run->arg = arg;
	run->root.live++;
	r = spawn_reserved(&run->executor, &run->root, &(struct spawn){ root_main, run, 0, "the root fiber" });
	if (r < 0) {
		run->result = r;
		mailbox_work_ended(&run->mailbox, r);
	}
	sigwrite_hold(&sigwrite);
	executor_loop(&run->executor);
	sigwrite_release(&sigwrite);
	mailbox_await_droppers(&run->mailbox);
	blocking_close(&run->executor);
	remote_shut_all(&run->executor);
	/* What torc_post brought may have failed before the root fiber did. */
	return run->root.failure < 0 ? run->root.failure : run->result;
}

void run_close(struct run *run)
{
	watchdog_unwatch(&run->executor);
	device_close_all(&run->executor);
	queue_free_all(&run->executor);
	buffer_arena_close(&run->executor);
	executor_close(&run->executor);
	mailbox_close(&run->mailbox);
	free(run);
}

int torc_run(const struct torc_run_options *options, torc_fn *fn, void *arg)
{
	struct mailbox *members[1];
	struct mailbox_group alone = { members, 1, 1 };
	struct run *run;
	int r = run_open(&run, options, &alone, 0);

	if (r < 0)
		return r;
	r = run_go(run, fn, arg);
	run_close(run);
	return r;
}

int torc_stats_get(struct torc_stats *stats)
{
	const struct executor *executor = executor_in_fiber(__func__);
	const struct sleepable_ring *ring = &executor->reactor.ring;
	struct torc_stats now = {
		.size = stats->size,
		.turns = executor->reactor.turns,
		.enters = ring->uring.enters,
		.submissions = ring->submissions,
		.completions = ring->completions,
		.cancellations = ring->cancellations,
		.spawned = executor->spawned,
		.fibers = executor->live,
		.in_flight = ring->in_kernel,
		.waiting_for_room = ring->queue.count,
		.timers = executor->reactor.timers.count,
		.stack_bytes = executor->stacks.total * executor->stacks.stride,
		.buffer_bytes = buffer_bytes(executor, false),
		.buffer_registered = buffer_bytes(executor, true),
	};

	if (stats->size < sizeof stats->size)
		return -EINVAL;
	memcpy(stats, &now, stats->size < sizeof now ? stats->size : sizeof now);
	return 0;
}
