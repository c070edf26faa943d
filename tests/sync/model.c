/* model - every object of torc/sync.h against a reference that is written down a second time, plainly: fibers that
 * lock, wait, release, close, and are cancelled or run out of time at random points, before a call, in it, and between
 * the moment when it was granted something and the moment when it runs. After each step the object is compared with the
 * reference, its queue included; each call must return what the reference says. Several thousand seeds an object. */
#include "sync/wait_list.h"

#include "api/api.h"
#include "base/random.h"

enum { FIBERS = 6, STEPS = 150 };
enum { WAITS = INT_MIN, RUNS }; /* what a call is expected to return: nothing yet */

struct fifo {
	int members[FIBERS], count;
};

struct world;

struct worker {
	struct world *world;
	int number;
	struct fiber *fiber;
	struct torc_scope *scope; /* of the call that it makes; NULL: none */
	bool refused;             /* that was cancelled from the start */
	int expected;             /* from the call */
	int held;                 /* locks, units, entries */
	int wants;                /* the argument of the call */
	bool writes;
};

struct kind {
	void (*act)(struct worker *worker);     /* one step */
	void (*release)(struct worker *worker); /* what it holds; it may hold nothing */
	void (*check)(struct world *world);
	void (*left)(struct world *world); /* the reference: one was cancelled, and is off the queue. NULL: no matter */
};

struct world {
	const struct kind *kind;
	struct random random;
	struct worker workers[FIBERS];
	int steps, running;
	/* the reference */
	struct fifo queue, cond_queue;
	int owner;         /* or runner, or writer; -1: none */
	int count;         /* units, readers, inside, arrived */
	int after[FIBERS]; /* what those on the mutex' queue return that come from the condition; 1: they don't */
	bool flag;
	int result;
	/* the object */
	struct torc_mutex mutex;
	struct torc_cond cond;
	struct torc_rwlock rwlock;
	struct torc_semaphore semaphore;
	struct torc_event event;
	struct torc_gate gate;
	struct torc_barrier barrier;
	struct torc_once once;
	struct torc_wait_group group;
};

#define IS(fact) HOLDS(fact, world->random.seed)

/* --- the reference's queue ------------------------------------------------------------------- */

static void fifo_add(struct fifo *fifo, int member)
{
	fifo->members[fifo->count++] = member;
}

static bool fifo_remove(struct fifo *fifo, int member)
{
	int at = 0;

	while (at < fifo->count && fifo->members[at] != member)
		at++;
	if (at == fifo->count)
		return false;
	fifo->count--;
	memmove(fifo->members + at, fifo->members + at + 1, (size_t)(fifo->count - at) * sizeof *fifo->members);
	return true;
}

static struct worker *first_waiting(struct world *world)
{
	return world->queue.count > 0 ? &world->workers[world->queue.members[0]] : NULL;
}

static void expect(struct worker *worker, int result)
{
	worker->expected = result;
}

/* The call can't be served at once. */
static void expect_wait(struct worker *worker)
{
	if (worker->refused) {
		expect(worker, -ECANCELED);
		return;
	}
	expect(worker, WAITS);
	fifo_add(&worker->world->queue, worker->number);
}

static void let_go(struct worker *worker, int result)
{
	struct world *world = worker->world;

	IS(fifo_remove(&world->queue, worker->number));
	IS(worker->expected == WAITS);
	expect(worker, result);
}

static void let_all_go(struct world *world, int result)
{
	while (world->queue.count > 0)
		let_go(first_waiting(world), result);
}

static void check_queue(struct world *world, const struct torc_waiters_ *list, const struct fifo *fifo)
{
	const struct waiter *waiter = wait_list_first(list);

	IS(!waiter == (fifo->count == 0));
	for (int i = 0; i < fifo->count; i++, waiter = waiter->next) {
		IS(waiter->wait.fiber == world->workers[fifo->members[i]].fiber);
		IS(waiter->list == list && waiter->next->prev == waiter);
		IS(i == 0 || waiter != list->first_);
	}
	IS(waiter == list->first_);
}

/* --- fibers ---------------------------------------------------------------------------------- */

static unsigned pick(struct worker *worker, unsigned n)
{
	return random_below(&worker->world->random, n);
}

static void check(struct world *world)
{
	world->kind->check(world);
}

/* A call that may wait: first by the reference, then really. What it returns is as expected by then. */
static int call(struct worker *worker, void (*reference)(struct worker *worker), int (*really)(struct worker *worker))
{
	struct world *world = worker->world;
	int r;

	TORC_SCOPE(scope);
	worker->refused = pick(worker, 16) == 0;
	if (worker->refused)
		torc_scope_cancel(scope);
	worker->scope = scope;
	reference(worker);
	r = really(worker);
	worker->scope = NULL;
	IS(r == worker->expected);
	check(world);
	return r;
}

static void take_to_mutex(struct worker *worker, int result);

/* Cancel the call of a fiber, by hand or as its deadline would. */
static void cut(struct worker *worker, int reason)
{
	struct world *world = worker->world;
	struct scope *scope = (struct scope *)(void *)worker->scope;

	if (!scope || scope->reason)
		return;
	if (fifo_remove(&world->cond_queue, worker->number)) {
		take_to_mutex(worker, reason);
	} else if (world->after[worker->number] == 1 && fifo_remove(&world->queue, worker->number)) {
		expect(worker, reason);
		if (world->kind->left)
			world->kind->left(world);
	}
	scope_cancel(scope, reason);
	check(world);
}

static void cut_somebody(struct world *world)
{
	unsigned first = random_below(&world->random, FIBERS);
	int reason = random_chance(&world->random, 50) ? -ECANCELED : -ETIME;

	for (unsigned i = 0; i < FIBERS; i++) {
		struct worker *worker = &world->workers[(first + i) % FIBERS];

		if (worker->scope && worker->fiber != executor_self->running) {
			cut(worker, reason);
			return;
		}
	}
}

static int work(void *arg)
{
	struct worker *worker = arg;
	struct world *world = worker->world;

	worker->fiber = executor_self->running;
	torc_yield(); /* all have said which they are */
	while (world->steps > 0) {
		world->steps--;
		switch (pick(worker, 8)) {
		case 0:
		case 1:
			torc_yield();
			break;
		case 2:
			cut_somebody(world);
			break;
		default:
			world->kind->act(worker);
			check(world);
		}
	}
	while (worker->held > 0) {
		world->kind->release(worker);
		check(world);
	}
	world->running--;
	return 0;
}

static void play(const struct kind *kind, uint64_t seed)
{
	struct world *world =
		&(struct world){ .kind = kind, .random = random_seeded(seed), .steps = STEPS, .owner = -1 };

	world->running = FIBERS;
	TORC_SCOPE(scope);
	for (int i = 0; i < FIBERS; i++) {
		world->after[i] = 1;
		world->workers[i] = (struct worker){ .world = world, .number = i };
		IS(torc_go(scope, work, &world->workers[i]) == 0);
	}
	while (world->running > 0) { /* ends: whoever waits in vain is cancelled */
		int steps = world->steps;

		torc_yield();
		if (world->steps == steps)
			cut_somebody(world);
	}
	IS(torc_scope_join(scope) == 0);
	check(world);
	IS(world->queue.count == 0 && world->cond_queue.count == 0);
}

static void play_all(const struct kind *kind)
{
	for (uint64_t seed = seed_first(); seed_more(seed, COUNT(2000, 50)); seed++)
		play(kind, seed);
}

/* --- mutex and condition --------------------------------------------------------------------- */

static const void *fiber_of(const struct world *world, int number)
{
	return number < 0 ? NULL : world->workers[number].fiber;
}

static void check_mutex(struct world *world)
{
	IS(world->mutex.owner_ == fiber_of(world, world->owner));
	check_queue(world, &world->mutex.waiters_, &world->queue);
	check_queue(world, &world->cond.waiters_, &world->cond_queue);
}

static void pass_mutex_on(struct world *world)
{
	struct worker *next = first_waiting(world);

	world->owner = next ? next->number : -1;
	if (!next)
		return;
	let_go(next, world->after[next->number] == 1 ? 0 : world->after[next->number]);
	world->after[next->number] = 1;
}

static void expect_lock(struct worker *worker)
{
	struct world *world = worker->world;

	if (world->owner >= 0) {
		expect_wait(worker);
		return;
	}
	world->owner = worker->number;
	expect(worker, 0);
}

static int really_lock(struct worker *worker)
{
	return torc_mutex_lock(&worker->world->mutex);
}

static void unlock(struct worker *worker)
{
	struct world *world = worker->world;

	IS(torc_mutex_is_mine(&world->mutex));
	worker->held = 0;
	pass_mutex_on(world);
	torc_mutex_unlock(&world->mutex);
}

static void try_lock(struct worker *worker)
{
	struct world *world = worker->world;
	bool free = world->owner < 0;

	IS(torc_mutex_try_lock(&world->mutex) == free);
	if (!free)
		return;
	world->owner = worker->number;
	worker->held = 1;
}

static void act_mutex(struct worker *worker)
{
	if (worker->held == 1 && pick(worker, 4) > 0)
		unlock(worker);
	else if (worker->held == 1 || pick(worker, 4) == 0)
		try_lock(worker);
	else
		worker->held = call(worker, expect_lock, really_lock) == 0;
}

static const struct kind mutexes = { act_mutex, unlock, check_mutex, NULL };

TEST_IN_FIBER(mutex)
{
	play_all(&mutexes);
}

/* Off the condition, with this to return once it has the mutex. */
static void take_to_mutex(struct worker *worker, int result)
{
	struct world *world = worker->world;

	if (world->owner < 0) {
		world->owner = worker->number;
		expect(worker, result);
		return;
	}
	world->after[worker->number] = result;
	fifo_add(&world->queue, worker->number);
}

static void expect_signal(struct worker *worker)
{
	struct world *world = worker->world;

	if (worker->refused) {
		expect(worker, -ECANCELED);
		return;
	}
	expect(worker, WAITS);
	fifo_add(&world->cond_queue, worker->number);
	pass_mutex_on(world);
}

static int really_wait(struct worker *worker)
{
	return torc_cond_wait(&worker->world->cond, &worker->world->mutex);
}

static void signal_one(struct world *world)
{
	int first = world->cond_queue.members[0];

	if (fifo_remove(&world->cond_queue, first))
		take_to_mutex(&world->workers[first], 0);
}

static void act_cond(struct worker *worker)
{
	struct world *world = worker->world;

	switch (pick(worker, 6)) {
	case 0:
		if (world->cond_queue.count > 0)
			signal_one(world);
		torc_cond_signal(&world->cond);
		break;
	case 1:
		while (world->cond_queue.count > 0)
			signal_one(world);
		torc_cond_broadcast(&world->cond);
		break;
	case 2:
	case 3:
		if (worker->held == 1) {
			(void)call(worker, expect_signal, really_wait);
			IS(torc_mutex_is_mine(&world->mutex));
			break;
		}
		/* fall through */
	default:
		act_mutex(worker);
	}
}

static const struct kind conds = { act_cond, unlock, check_mutex, NULL };

TEST_IN_FIBER(cond)
{
	play_all(&conds);
}

/* --- rwlock ---------------------------------------------------------------------------------- */

static void check_rwlock(struct world *world)
{
	IS(world->rwlock.writer_ == fiber_of(world, world->owner));
	IS(world->rwlock.readers_ == (size_t)world->count);
	IS(world->owner < 0 || world->count == 0);
	check_queue(world, &world->rwlock.waiters_, &world->queue);
}

static bool may_go_in(const struct world *world, bool writes)
{
	return world->owner < 0 && (!writes || world->count == 0);
}

static void go_in(struct worker *worker)
{
	if (worker->writes)
		worker->world->owner = worker->number;
	else
		worker->world->count++;
}

static void let_in(struct world *world)
{
	struct worker *next;

	while ((next = first_waiting(world)) && may_go_in(world, next->writes)) {
		go_in(next);
		let_go(next, 0);
	}
}

static void expect_rwlock(struct worker *worker)
{
	struct world *world = worker->world;

	if (world->queue.count > 0 || !may_go_in(world, worker->writes)) {
		expect_wait(worker);
		return;
	}
	go_in(worker);
	expect(worker, 0);
}

static int really_rwlock(struct worker *worker)
{
	struct torc_rwlock *rwlock = &worker->world->rwlock;

	return worker->writes ? torc_rwlock_lock_write(rwlock) : torc_rwlock_lock_read(rwlock);
}

static void rwlock_unlock(struct worker *worker)
{
	struct world *world = worker->world;

	worker->held = 0;
	if (worker->writes) {
		world->owner = -1;
		let_in(world);
		torc_rwlock_unlock_write(&world->rwlock);
	} else {
		world->count--;
		let_in(world);
		torc_rwlock_unlock_read(&world->rwlock);
	}
}

static void rwlock_try(struct worker *worker)
{
	struct world *world = worker->world;
	bool free = world->queue.count == 0 && may_go_in(world, worker->writes);

	IS((worker->writes ? torc_rwlock_try_lock_write(&world->rwlock) : torc_rwlock_try_lock_read(&world->rwlock)) ==
	   free);
	if (!free)
		return;
	go_in(worker);
	worker->held = 1;
}

static void act_rwlock(struct worker *worker)
{
	if (worker->held == 1) {
		rwlock_unlock(worker);
		return;
	}
	worker->writes = pick(worker, 3) == 0;
	if (pick(worker, 4) == 0)
		rwlock_try(worker);
	else
		worker->held = call(worker, expect_rwlock, really_rwlock) == 0;
}

static const struct kind rwlocks = { act_rwlock, rwlock_unlock, check_rwlock, let_in };

TEST_IN_FIBER(rwlock)
{
	play_all(&rwlocks);
}

/* --- semaphore ------------------------------------------------------------------------------- */

static void check_semaphore(struct world *world)
{
	IS(torc_semaphore_units(&world->semaphore) == (size_t)world->count);
	check_queue(world, &world->semaphore.waiters_, &world->queue);
}

static void hand_out(struct world *world)
{
	struct worker *next;

	while ((next = first_waiting(world)) && next->wants <= world->count) {
		world->count -= next->wants;
		let_go(next, 0);
	}
}

static void expect_units(struct worker *worker)
{
	struct world *world = worker->world;

	if (worker->wants > 0 && (world->queue.count > 0 || world->count < worker->wants)) {
		expect_wait(worker);
		return;
	}
	world->count -= worker->wants;
	expect(worker, 0);
}

static int really_acquire(struct worker *worker)
{
	return torc_semaphore_acquire(&worker->world->semaphore, (size_t)worker->wants);
}

static void give_units(struct worker *worker, int units)
{
	struct world *world = worker->world;

	world->count += units;
	hand_out(world);
	IS(torc_semaphore_release(&world->semaphore, (size_t)units) == 0);
}

static void release_units(struct worker *worker)
{
	int units = 1 + (int)pick(worker, (unsigned)worker->held);

	worker->held -= units;
	give_units(worker, units);
}

static void act_semaphore(struct worker *worker)
{
	struct world *world = worker->world;
	bool there;

	worker->wants = (int)pick(worker, 5);
	switch (pick(worker, 6)) {
	case 0:
		there = worker->wants == 0 || (world->queue.count == 0 && world->count >= worker->wants);
		IS(torc_semaphore_try_acquire(&world->semaphore, (size_t)worker->wants) == there);
		if (there) {
			world->count -= worker->wants;
			worker->held += worker->wants;
		}
		break;
	case 1:
		give_units(worker, (int)pick(worker, 2)); /* new ones */
		break;
	case 2:
	case 3:
		if (worker->held > 0)
			release_units(worker);
		break;
	default:
		if (call(worker, expect_units, really_acquire) == 0)
			worker->held += worker->wants;
	}
}

static const struct kind semaphores = { act_semaphore, release_units, check_semaphore, hand_out };

TEST_IN_FIBER(semaphore)
{
	play_all(&semaphores);
}

/* --- event ----------------------------------------------------------------------------------- */

static void check_event(struct world *world)
{
	IS(torc_event_is_set(&world->event) == world->flag);
	check_queue(world, &world->event.waiters_, &world->queue);
}

static void expect_event(struct worker *worker)
{
	if (worker->world->flag)
		expect(worker, 0);
	else
		expect_wait(worker);
}

static int really_event(struct worker *worker)
{
	return torc_event_wait(&worker->world->event);
}

static void act_event(struct worker *worker)
{
	struct world *world = worker->world;

	switch (pick(worker, 5)) {
	case 0:
		world->flag = true;
		let_all_go(world, 0);
		torc_event_set(&world->event);
		break;
	case 1:
		world->flag = false;
		torc_event_reset(&world->event);
		break;
	default:
		(void)call(worker, expect_event, really_event);
	}
}

static const struct kind events = { act_event, NULL, check_event, NULL };

TEST_IN_FIBER(event)
{
	play_all(&events);
}

/* --- gate ------------------------------------------------------------------------------------ */

static void check_gate(struct world *world)
{
	IS(world->gate.inside_ == (size_t)world->count && world->gate.closed_ == world->flag);
	check_queue(world, &world->gate.waiters_, &world->queue);
}

static void expect_close(struct worker *worker)
{
	struct world *world = worker->world;

	world->flag = true;
	if (world->count == 0)
		expect(worker, 0);
	else
		expect_wait(worker);
}

static int really_close(struct worker *worker)
{
	return torc_gate_close(&worker->world->gate);
}

static void leave(struct worker *worker)
{
	struct world *world = worker->world;

	worker->held--;
	if (--world->count == 0)
		let_all_go(world, 0);
	torc_gate_leave(&world->gate);
}

static void act_gate(struct worker *worker)
{
	struct world *world = worker->world;
	unsigned what = pick(worker, 12);

	if (what == 0) {
		(void)call(worker, expect_close, really_close);
	} else if (what < 6 && worker->held > 0) {
		leave(worker);
	} else if (world->flag && world->count == 0 && world->queue.count == 0) {
		world->flag = false;
		world->gate = (struct torc_gate){ 0 }; /* another one, at the same place */
	} else {
		IS(torc_gate_enter(&world->gate) == (world->flag ? -ESHUTDOWN : 0));
		worker->held += !world->flag;
		world->count += !world->flag;
	}
}

static const struct kind gates = { act_gate, leave, check_gate, NULL };

TEST_IN_FIBER(gate)
{
	play_all(&gates);
}

/* --- barrier --------------------------------------------------------------------------------- */

enum { PARTIES = 3 };

static void check_barrier(struct world *world)
{
	IS(world->barrier.arrived_ == (size_t)world->queue.count);
	check_queue(world, &world->barrier.waiters_, &world->queue);
}

static void expect_round(struct worker *worker)
{
	struct world *world = worker->world;

	if (world->queue.count + 1 < PARTIES) {
		expect_wait(worker);
		return;
	}
	let_all_go(world, 0);
	expect(worker, 1);
}

static int really_come(struct worker *worker)
{
	return torc_barrier_wait(&worker->world->barrier, PARTIES);
}

static void act_barrier(struct worker *worker)
{
	(void)call(worker, expect_round, really_come);
}

static const struct kind barriers = { act_barrier, NULL, check_barrier, NULL };

TEST_IN_FIBER(barrier)
{
	play_all(&barriers);
}

/* --- once ------------------------------------------------------------------------------------ */

static void check_once(struct world *world)
{
	IS(world->once.runner_ == fiber_of(world, world->owner) && world->once.done_ == world->flag);
	IS(world->owner >= 0 || world->queue.count == 0);
	check_queue(world, &world->once.waiters_, &world->queue);
}

static void expect_once(struct worker *worker)
{
	struct world *world = worker->world;

	if (world->flag) {
		expect(worker, world->result);
	} else if (world->owner >= 0) {
		expect_wait(worker);
	} else {
		world->owner = worker->number;
		expect(worker, RUNS);
	}
}

static int run_once(void *arg)
{
	struct worker *worker = arg;
	struct world *world = worker->world;
	struct worker *next;

	IS(worker->expected == RUNS && world->owner == worker->number);
	for (unsigned i = pick(worker, 4); i > 0; i--)
		torc_yield();
	expect(worker, torc_scope_status(NULL) < 0 ? torc_scope_status(NULL)
	               : pick(worker, 2) == 0      ? -EIO
	                                           : (int)pick(worker, 3));
	world->owner = -1;
	if (worker->expected >= 0) {
		world->flag = true;
		world->result = worker->expected;
		let_all_go(world, world->result);
	} else if ((next = first_waiting(world))) {
		world->owner = next->number;
		let_go(next, RUNS);
	}
	return worker->expected;
}

static int really_once(struct worker *worker)
{
	return torc_once_run(&worker->world->once, run_once, worker);
}

static void act_once(struct worker *worker)
{
	struct world *world = worker->world;

	if (world->flag && pick(worker, 3) == 0) {
		world->flag = false;
		world->once = (struct torc_once){ 0 };
	}
	(void)call(worker, expect_once, really_once);
}

static const struct kind onces = { act_once, NULL, check_once, NULL };

TEST_IN_FIBER(once)
{
	play_all(&onces);
}

/* --- wait group ------------------------------------------------------------------------------ */

static void check_group(struct world *world)
{
	IS(world->group.count_ == (size_t)world->count);
	check_queue(world, &world->group.waiters_, &world->queue);
}

static void expect_none(struct worker *worker)
{
	if (worker->world->count == 0)
		expect(worker, 0);
	else
		expect_wait(worker);
}

static int really_none(struct worker *worker)
{
	return torc_wait_group_wait(&worker->world->group);
}

static void is_done(struct worker *worker)
{
	struct world *world = worker->world;

	worker->held--;
	if (--world->count == 0)
		let_all_go(world, 0);
	torc_wait_group_done(&world->group);
}

static void act_group(struct worker *worker)
{
	unsigned what = pick(worker, 8), more = pick(worker, 3);

	if (what == 0) {
		worker->held += (int)more;
		worker->world->count += (int)more;
		torc_wait_group_add(&worker->world->group, more);
	} else if (what < 5 && worker->held > 0) {
		is_done(worker);
	} else {
		(void)call(worker, expect_none, really_none);
	}
}

static const struct kind groups = { act_group, is_done, check_group, NULL };

TEST_IN_FIBER(wait_group)
{
	play_all(&groups);
}
