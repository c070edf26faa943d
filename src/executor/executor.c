#include "executor/executor.h"

#include "machine/clock.h"
#include "machine/forked.h"
#include "machine/sys.h"

#include <torc/queue.h>
#include <torc/sync.h>

#include <errno.h>
#include <string.h>

/* Stacks that stood free for so long while nothing happened give their memory back, a few at a time. */
static const int64_t trim_after_ns = 1000000000;
enum { TRIM_BATCH = 64 };

enum {
	NAME_ROOM = 200,
	NEAR_NULL = 4096,
	SHARES_DEFAULT = 100,
	SHARED_PASS = 64,
	SPINS_PER_LOOK = 32,
	LOOKS_FOR_ROOM = 10000
};
static const int64_t look_for_room_ns = 200000;
static const int64_t slice_default_ns = 1000000, adjust_every_ns = 250000000;
/* Who computes for longer in one go? The process was stopped, or its machine, and who was about to run did not use that. */
static const int64_t charge_most_ns = 1000000000;
/* The counter's pace is measured over a time that is long enough to be exact, and short enough for 32 bits. */
static const int64_t calibrate_from_ns = 20000, calibrate_until_ns = 500000000;

static const unsigned nothing;
static const uint64_t nobody;
static const struct torc_preempt_ no_preemption = { &nothing, &nobody, 0, UINT32_MAX };
__thread struct torc_preempt_ torc_preempt_
	__attribute__((tls_model("initial-exec"))) = { &nothing, &nobody, 0, UINT32_MAX };

static const torc_fiber_ no_fiber;
__thread const torc_fiber_ *torc_running_ __attribute__((tls_model("initial-exec"))) = &no_fiber;

__thread struct executor *executor_self __attribute__((tls_model("initial-exec")));

unsigned executor_forks;
static __thread bool forked; /* this thread is a copy of one that is inside torc_run */

/* In a forked child: the ring, and all that hangs on it, is the parent's. */
static void forget_parent(void)
{
	executor_forks++;
	if (!executor_self)
		return;
	uring_forget(&executor_self->reactor.ring.uring);
	torc_preempt_ = no_preemption;
	executor_self = NULL;
	forked = true;
}

/* In a signal handler: only what is async-signal-safe, and snprintf on a stack of our own, which is in practice. */
static void explain_fault(const void *address)
{
	const struct executor *executor = executor_self;
	char *slot = executor ? stack_find(&executor->stacks, address) : NULL, name[NAME_ROOM];

	/* There is no fiber whose scope could be looked at. */
	if (executor && executor->running == &executor->loop && (uintptr_t)address < NEAR_NULL)
		sys_complain(
			"torc: fault at %p in a function that is called between fibers (torc_shares_fn): it must not park",
			address);
	if (!slot || (size_t)((const char *)address - slot) >= executor->stacks.guard_size)
		return;
	fiber_describe(fiber_in_slot(slot, executor->stacks.slot_size), name, sizeof name);
	sys_complain("torc: stack overflow in fiber %s: its %zu bytes of stack are used up. "
	             "Give torc_run a larger .stack_size, or keep large arrays off the stack",
	             name, executor->stacks.slot_size - executor->stacks.guard_size);
}

int executor_open(struct executor *executor, const struct executor_options *options)
{
	static bool watched;
	int r = reactor_open(&executor->reactor, &options->reactor);

	if (r < 0)
		return r;
	stack_pool_open(&executor->stacks, options->stack_size);
	executor->manager = (struct queue_manager){ 0 };
	list_init(&executor->queues);
	r = task_queue_init(&executor->first, &executor->manager, SHARES_DEFAULT);
	if (r < 0) {
		reactor_close(&executor->reactor);
		return r;
	}
	list_append(&executor->queues, &executor->first.link);
	executor->queue = NULL;
	memset(&executor->mail, 0, sizeof executor->mail);
	executor->mailbox = NULL;
	executor->blocking = NULL;
	executor->buffers = NULL;
	executor->offload = NULL;
	executor->blocking_threads = 0;
	executor->forks = executor_forks;
	executor->stall = (struct executor_stall){ 0 };
	executor->spin_ns = options->spin_ns;
	executor->tell_stuck = NULL;
	executor->adjusted = 0;
	executor->hold = false;
	executor->root = NULL;
	list_init(&executor->remotes);
	list_init(&executor->devices);
	executor->device = NULL;
	executor->ticks = (struct executor_ticks){ torc_ticks_(), clock_now(), 0 };
	torc_preempt_.mail = &executor->mail.dirty;
	torc_preempt_.ring = executor->reactor.ring.uring.sq_kflags;
	torc_preempt_.since = torc_ticks_();
	executor_queues_changed(executor);
	memset(&executor->loop, 0, sizeof executor->loop);
	sanitize_thread(&executor->loop.sanitize);
	memset(&executor->dead, 0, sizeof executor->dead);
	executor->running = &executor->loop;
	executor->budget = 0;
	executor->cut = false;
	executor->live = executor->spawned = 0;
	executor->name = options->name;
	fault_watch(&executor->fault_stack, explain_fault);
	forked_call(&watched, forget_parent);
	executor_self = executor;
	torc_running_ = (const torc_fiber_ *)&executor->running;
	return 0;
}

void executor_close(struct executor *executor)
{
	ASSERT(executor->live == 0 && !executor->queue);
	torc_preempt_ = no_preemption;
	torc_running_ = &no_fiber;
	queue_manager_unregister(&executor->manager, &executor->first.account);
	executor_self = NULL;
	sanitize_fiber_end(&executor->dead);
	fault_unwatch(&executor->fault_stack);
	reactor_close(&executor->reactor);
	stack_pool_close(&executor->stacks);
}

void executor_none(const char *function)
{
	if (forked)
		panic(function, "called in the child of a fork(2) inside torc_run: the fibers, and what they wait for, "
		                "are the parent's. The child may exec, _exit, or call torc_run anew");
	panic(function, "called outside a fiber; it may park and so belongs inside torc_run");
}

/* Who takes something out of a full ring tells nobody. Whether there is room is looked at without pause for a millisecond or
 * two, and then from time to time: the other core computes, or another thread has its CPU. */
static bool patient(const struct executor *executor)
{
	return unlikely(executor->mail.in_vain > LOOKS_FOR_ROOM);
}

static bool mail_waits(const struct executor *executor)
{
	return __atomic_load_n(&executor->mail.dirty, __ATOMIC_SEQ_CST) ||
	       (executor->mail.unsent > 0 && !patient(executor));
}

static inline void turn(struct executor *executor, bool wait, int64_t no_later)
{
	if (unlikely(executor->mail.bells))
		executor->mail.ring_bells(executor);
	reactor_turn(&executor->reactor, wait, no_later);
}

/* Look for work without sleeping. True: there is some, or a deadline has come. */
static bool spin(struct executor *executor)
{
	const struct reactor *reactor = &executor->reactor;
	int64_t next = timers_next(&reactor->timers), now = clock_now(), until;

	if (__builtin_add_overflow(now, executor->spin_ns, &until))
		until = INT64_MAX;
	for (; now < until; now = clock_now()) {
		for (int i = 0; i < SPINS_PER_LOOK; i++) {
			if (mail_waits(executor) || sleepable_ring_has_answers(&reactor->ring))
				return true;
			cpu_relax();
		}
		if (now >= next)
			return true;
	}
	return false;
}

static void sleep_on_ring(struct executor *executor, int64_t no_later)
{
	bool wait;

	if (patient(executor)) {
		int64_t soon = clock_now() + look_for_room_ns;

		no_later = soon < no_later ? soon : no_later;
	}
	/* Say so, then look: who sends says so, then looks (tools/model/sleep.pml). */
	__atomic_store_n(&executor->mail.asleep, 1, __ATOMIC_SEQ_CST);
	wait = !mail_waits(executor);
	turn(executor, wait, no_later);
	__atomic_store_n(&executor->mail.asleep, 0, __ATOMIC_RELAXED);
}

static void see_whether_stuck(const struct executor *executor)
{
	if (likely(sleepable_ring_busy(&executor->reactor.ring) || reactor_polls(&executor->reactor) ||
	           executor->reactor.timers.count > 0 || executor->mail.expected > 0 || mail_waits(executor)))
		return;
	if (executor->tell_stuck)
		executor->tell_stuck(executor);
	panic("torc_run", "deadlock: %llu fibers are parked and nothing is under way that could wake one",
	      (unsigned long long)executor->live);
}

static void idle(struct executor *executor)
{
	bool trim = executor->stacks.free_count - executor->stacks.cold > STACK_WARM;

	see_whether_stuck(executor);
	if (executor->spin_ns > 0 && !patient(executor)) {
		/* What was submitted must be on its way before anything can come of it. */
		turn(executor, false, INT64_MAX);
		if (heap_first(&executor->manager.heap))
			return;
		if (spin(executor)) {
			if (!mail_waits(executor)) /* else it is mail that is waited for, most probably */
				turn(executor, false, INT64_MAX);
			return;
		}
	}
	sleep_on_ring(executor, trim ? clock_now() + trim_after_ns : INT64_MAX);
	if (trim && !heap_first(&executor->manager.heap))
		stack_trim(&executor->stacks, TRIM_BATCH);
}

/* What others sent, and what we could not yet send. */
static inline void exchange_mail(struct executor *executor)
{
	if (unlikely(executor->mail.unsent > 0))
		executor->mail.push_waiting(executor);
	if (unlikely(__atomic_load_n(&executor->mail.dirty, __ATOMIC_RELAXED)))
		executor->mail.collect(executor);
}

void executor_ring(struct executor *sleeper, struct executor *from)
{
	if (!from || !sleepable_ring_bell(&from->reactor.ring, &sleeper->reactor.ring))
		uring_bell(&sleeper->reactor.ring.uring);
}

/* How many ticks of the processor's counter a span takes, as far as is known since the executor began; too few at first,
 * which asks for a yield too early at worst. */
static uint32_t in_ticks(struct executor *executor, int64_t now, int64_t span)
{
	struct executor_ticks *ticks = &executor->ticks;
	int64_t passed = now - ticks->ns;
	double count = (double)span;

	if (passed > calibrate_from_ns && passed < calibrate_until_ns) {
		ticks->per_ns = (double)(torc_ticks_() - ticks->ticks) / (double)passed;
	} else if (passed >= calibrate_until_ns && ticks->per_ns == 0) { /* too late: it may have wrapped around */
		ticks->ticks = torc_ticks_();
		ticks->ns = now;
	}
	if (ticks->per_ns > 0)
		count *= ticks->per_ns;
	return count > INT32_MAX ? INT32_MAX : (uint32_t)count;
}

static bool choose_queue(struct executor *executor)
{
	struct queue_account *next = queue_manager_next(&executor->manager);

	if (!next)
		return false;
	executor->queue = container_of(next, struct task_queue, account);
	__atomic_store_n(&executor->stall.limit_ns,
	                 executor->queue->stall_ns ? executor->queue->stall_ns : executor->stall.usual_ns,
	                 __ATOMIC_RELAXED);
	if (executor->manager.accounts > 1)
		executor->slice_began = executor->charged = clock_now();
	return true;
}

static void run_pass(struct executor *executor)
{
	struct fiber *first;

	executor->cut = executor->ticks.per_ns == 0; /* settle_queue measures it, soon */
	executor->budget = executor->queue->count;
	/* When others wait as well, time is looked at in between. */
	if (executor->budget > SHARED_PASS && heap_first(&executor->manager.heap))
		executor->budget = SHARED_PASS;
	first = executor_next(executor);
	reactor_publish_turns(&executor->reactor, executor->reactor.turns); /* with what came by mail since */
	executor_set_running(executor, first);
	torc_preempt_.since = torc_ticks_();
	fiber_switch(&executor->loop, first, &executor->loop);
}

/* Those that want to run, whether they do or not: what one that hardly runs needs most is other shares. */
static void adjust_queues(struct executor *executor, int64_t now)
{
	executor->adjusted = now;
	list_each (node, &executor->queues) {
		struct task_queue *queue = container_of(node, struct task_queue, link);

		if (queue->adjust && queue->account.active)
			queue->adjust(queue);
	}
}

/* A queue with a latency bound does not wait for the end of a slice, if it is its turn by shares. */
static bool urgent_waits(const struct executor *executor, const struct task_queue *running)
{
	const struct heap_node *first = heap_first(&executor->manager.heap);

	return first && heap_before(first, &running->account.node) &&
	       container_of(first, struct task_queue, account.node)->latency_ns > 0;
}

/* After a pass and a turn: charge the queue that ran, and see whether it goes on. */
static void settle_queue(struct executor *executor)
{
	struct task_queue *queue = executor->queue;
	bool over = false;

	if (executor->manager.accounts > 1) {
		int64_t now = clock_now(), ns = now - executor->charged;

		queue_manager_charge(&executor->manager, &queue->account, ns < charge_most_ns ? ns : charge_most_ns);
		executor->charged = now;
		over = now - executor->slice_began >= executor->slice_ns || urgent_waits(executor, queue);
		torc_preempt_.slice = in_ticks(executor, now, executor->slice_ns);
		if (now - executor->adjusted >= adjust_every_ns)
			adjust_queues(executor, now);
	} else if (unlikely(executor->ticks.per_ns == 0)) {
		torc_preempt_.slice = in_ticks(executor, clock_now(), executor->slice_ns);
	}
	if (queue->count > 0 && !over)
		return;
	queue_manager_put_back(&executor->manager, &queue->account, queue->count > 0);
	executor->queue = NULL;
}

void executor_queues_changed(struct executor *executor)
{
	int64_t now = clock_now();

	executor->slice_ns = slice_default_ns;
	list_each (node, &executor->queues) {
		const struct task_queue *queue = container_of(node, struct task_queue, link);

		if (queue->latency_ns > 0 && queue->latency_ns < executor->slice_ns)
			executor->slice_ns = queue->latency_ns;
	}
	if (executor->manager.accounts == 1)
		executor->charged = 0;
	else if (executor->queue && !executor->charged) /* it was alone so far, and is charged from now on */
		executor->slice_began = executor->charged = now;
	torc_preempt_.slice = in_ticks(executor, now, executor->slice_ns);
}

/* No fiber is left, but a listener that nobody closed may still accept; and answers to cancel requests are due. */
static void drain(struct reactor *reactor)
{
	sleepable_ring_cancel_all(&reactor->ring);
	while (sleepable_ring_busy(&reactor->ring)) /* ends: what is cancelled answers */
		reactor_turn(reactor, true, INT64_MAX);
}

void executor_loop(struct executor *executor)
{
	bool owes_turn = false;

	/* Mail first: it may say that nothing holds us any more. */
	for (exchange_mail(executor); executor->live > 0 || executor->hold; exchange_mail(executor)) {
		if (!executor->queue && !choose_queue(executor)) {
			idle(executor);
			owes_turn = false;
			continue;
		}
		if (unlikely(owes_turn)) /* mail came, which is no reason for timers and I/O to wait */
			turn(executor, false, INT64_MAX);
		run_pass(executor);
		/* With nothing else to run, what was submitted goes with the call that waits: one instead of two. */
		owes_turn = executor->queue->count == 0 && !heap_first(&executor->manager.heap);
		if (!owes_turn)
			turn(executor, false, INT64_MAX);
		settle_queue(executor);
	}
	drain(&executor->reactor);
}

struct fiber *executor_make_fiber(struct executor *executor, struct task_queue *queue, size_t room,
                                  void (*entry)(void *fiber))
{
	char *slot = stack_take(&executor->stacks);
	struct fiber *fiber;

	if (unlikely(!slot))
		return NULL;
	fiber = fiber_make(slot, executor->stacks.slot_size, executor->stacks.guard_size, room, entry);
	fiber->queue = queue;
	queue->members++;
	executor->live++;
	executor->spawned++;
	return fiber;
}
