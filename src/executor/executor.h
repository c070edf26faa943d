/* executor - one per thread inside torc_run: the fibers that are ready, the one that runs, the reactor behind them.
 *
 * A fiber that parks or yields picks the next one itself and switches straight to it. The loop, which is the thread's
 * own stack, runs only between passes: a pass is the fibers of one task queue that were ready when it began, each once;
 * then the reactor gives and takes, and the next pass begins, of the same queue until its slice is over. So no fiber
 * waits for longer than the passes before its own, nor does I/O.
 *
 * Relies on fiber, stack, reactor. Keeps: budget <= queue->count, for nothing but a pop takes from a queue. */
#ifndef TORC_SRC_EXECUTOR_H
#define TORC_SRC_EXECUTOR_H

#include "fiber/fiber.h"
#include "fiber/task_queue.h"
#include "machine/fault.h"
#include "machine/stack.h"
#include "reactor/reactor.h"

#include <torc/queue.h>
#include <torc/watchdog.h>

struct mailbox;
struct buffer_arena;
struct scope;
struct executor;
struct device;

/* What other threads and this one tell each other; the floor above (cores/mailbox) hands down how. */
struct executor_mail {
	_Alignas(CACHE_LINE) uint64_t dirty; /* something was sent: also what torc_need_yield looks at */
	_Alignas(CACHE_LINE) unsigned asleep;
	_Alignas(CACHE_LINE) unsigned unsent; /* ours, waiting for room elsewhere */
	unsigned in_vain;                     /* how often in a row no room was found for any of these */
	uint64_t bells;                       /* who is to be woken, by the next turn: bits as in its dirty word */
	unsigned expected; /* reasons for which something may come: peers, remotes, jobs; 0: a deadlock is one */
	void (*collect)(struct executor *executor);
	void (*push_waiting)(struct executor *executor);
	void (*ring_bells)(struct executor *executor);
};

/* For the watchdog (cores/watchdog), which the floor above hands down; nothing is asked of a switch but `running`. */
struct executor_stall {
	int64_t usual_ns; /* how long a fiber may run whose queue does not say; 0: for ever */
	int64_t limit_ns; /* one of the queue whose turn it is. The watchdog's thread reads it */
	int (*watch)(struct executor *executor, int64_t limit_ns);
	struct watch *watched; /* NULL: nobody watches */
	torc_stall_fn *report;
	void *report_arg;
};

struct executor {
	struct fiber *running;    /* &loop between passes. The watchdog's thread reads it */
	struct task_queue *queue; /* whose turn it is; NULL: to be chosen */
	unsigned budget;          /* fibers of this pass that have not run yet */
	bool cut;                 /* this pass ends in the loop, whatever the reactor says */
	uint64_t live;            /* fibers */
	struct queue_manager manager;
	struct list queues;                     /* by task_queue.link, the first one among them */
	struct task_queue first;                /* where the root fiber is */
	int64_t slice_ns;                       /* the smallest latency bound, or the default */
	int64_t slice_began, charged, adjusted; /* charged: until then; 0: a single queue is not */
	struct executor_ticks {
		uint32_t ticks;
		int64_t ns;
		double per_ns; /* of the processor's counter; 0: not measured yet */
	} ticks;
	struct stack_pool stacks;
	uint64_t spawned; /* not beside live: gcc would add to both at once, and wait for the store to live */
	struct reactor reactor;
	struct fiber loop;
	struct fault_stack fault_stack;
	struct sanitize dead; /* the last fiber that ended: its tools are told by the next one */
	const char *name;
	struct executor_mail mail;
	struct mailbox *mailbox;
	int64_t spin_ns;                                     /* look for work so long before sleeping */
	void (*tell_stuck)(const struct executor *executor); /* NULL, or says who waits for what before a deadlock is */
	bool hold;                                           /* stay although no fiber is left: others may send some */
	struct scope *root;
	struct list remotes;
	struct list devices;
	struct device *device; /* used last */
	struct executor_stall stall;
	struct buffer_arena *buffers; /* io/buffer's; NULL: none so far */
	/* Run fn(arg) on a thread beside, the calling fiber parked meanwhile: torc_blocking, handed down. */
	int (*offload)(int (*fn)(void *), void *arg);
	struct blocking *blocking; /* NULL: no job so far */
	unsigned blocking_threads;
	unsigned forks; /* executor_forks when it was opened */
};

extern __thread struct executor *executor_self __attribute__((tls_model("initial-exec")));

extern unsigned executor_forks; /* that lie between this process and the first one that ran an executor */

/* Is it one of the process that we were forked from? What it has under way here is a copy, which nobody runs. */
static inline bool executor_is_parents(const struct executor *executor)
{
	return executor->forks != executor_forks;
}

struct executor_options {
	const char *name;
	size_t stack_size;
	int64_t spin_ns;
	struct reactor_options reactor;
};

int executor_open(struct executor *executor, const struct executor_options *options);
void executor_close(struct executor *executor);

/* Run until no fiber is left, and hold is off. */
void executor_loop(struct executor *executor);

/* The executor of this thread, for a call that may be made in fibers only; panics elsewhere, in the caller's name. */
void executor_none(const char *function) __attribute__((noreturn, cold));

static inline struct executor *executor_in_fiber(const char *function)
{
	struct executor *executor = executor_self;

	if (unlikely(!executor))
		executor_none(function);
	return executor;
}

static inline void executor_set_running(struct executor *executor, struct fiber *fiber)
{
	__atomic_store_n(&executor->running, fiber, __ATOMIC_RELAXED);
}

/* A pass is over: would the loop find nothing to do but to begin the next one of the same queue? */
static inline bool executor_undisturbed(const struct executor *executor)
{
	return executor->queue->count > 0 && executor->manager.accounts == 1 && !executor->cut &&
	       !__atomic_load_n(&executor->mail.dirty, __ATOMIC_RELAXED) && executor->mail.unsent == 0 &&
	       executor->mail.bells == 0 && reactor_quiet(&executor->reactor);
}

static inline struct fiber *executor_next(struct executor *executor)
{
	if (unlikely(executor->budget == 0)) {
		if (!executor_undisturbed(executor))
			return &executor->loop;
		reactor_count_turn(&executor->reactor);
		torc_preempt_.since = torc_ticks_();
		executor->budget = executor->queue->count;
	}
	executor->budget--;
	return task_queue_pop(executor->queue);
}

/* Leave the running fiber, which is on some queue or wait by now, for the next. Returns when it runs again. */
static inline void executor_switch(struct executor *executor, struct fiber *fiber)
{
	struct fiber *next = executor_next(executor);

	executor_set_running(executor, next);
	fiber_switch(fiber, next, &executor->loop);
}

/* A stack and a record for a new fiber, or NULL for want of memory. */
struct fiber *executor_make_fiber(struct executor *executor, struct task_queue *queue, size_t room,
                                  void (*entry)(void *fiber));

/* Wake an executor that sleeps, or is about to; from any thread, `from` being its executor or NULL. */
void executor_ring(struct executor *sleeper, struct executor *from);

/* A queue came, went, or has another latency bound. */
void executor_queues_changed(struct executor *executor);

/* The running fiber is over. */
static inline __attribute__((noreturn, always_inline)) void executor_end_fiber(struct executor *executor,
                                                                               struct fiber *fiber)
{
	struct fiber *next = executor_next(executor);

	executor->live--;
	fiber->queue->members--;
	executor_set_running(executor, next);
	/* For who still has its address, as the holder of a lock. Memory that was given back says so too. */
	fiber->scope = NULL;
	/* The slot is free from here on, though we still stand on it: nobody takes it before the jump. */
	stack_give(&executor->stacks, fiber->slot);
	sanitize_fiber_end(&executor->dead);
	executor->dead = fiber->sanitize;
	sanitize_leave(&fiber->sanitize, &next->sanitize, true);
	context_jump(&next->context);
}

#endif
