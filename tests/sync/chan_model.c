/* chan_model - channels, events and torc_choose against a reference model: random sends, receives and choices of several
 * fibers, closed and cancelled at random. After each step each fiber must be where the model has it, with the result, the
 * item and the place in the queue that the model gives it; at the end each item was received, or destroyed, or is its
 * sender's still. The one freedom is which of several ready cases is chosen: the model follows, if it was ready. */
#include "api/api.h"
#include "base/random.h"

enum { CHANS = 3, EVENTS = 2, WORKERS = 7, ARMS = 4, STEPS = 60, ITEMS = STEPS * ARMS, NEVER = -1 };

enum kind { SEND, RECV, EVENT, DEFAULT, OFF };

struct arm_plan {
	enum kind kind;
	int object; /* channel or event */
	int item;   /* to send; received, when it has happened */
};

/* A fiber's one operation, as planned and as it went; and where the model has it. */
struct worker {
	struct arm_plan arms[ARMS];
	int count;
	bool plain, refused;
	struct torc_scope *scope; /* while it runs */
	bool done;
	int result, case_result, items[ARMS];
	/* the model's */
	bool busy, model_done;
	int model_result, model_case_result, model_item;
};

struct place {
	int worker, arm;
};

struct queue {
	struct place places[WORKERS * ARMS];
	int count;
};

struct model_chan {
	size_t capacity;
	bool unbounded, closed;
	int items[ITEMS], count;
	struct queue senders, receivers;
};

static struct torc_chan *chans[CHANS];
static struct torc_event events[EVENTS];
static struct worker workers[WORKERS];
static struct model_chan model[CHANS];
static struct queue model_waiting[EVENTS];
static int next_item, seen[ITEMS + 1];
static struct random chance;
static int step;

#define MUST(fact) HOLDS(fact, chance.seed)

/* --- the real thing -------------------------------------------------------------------------- */

static struct torc_case make_case(struct worker *worker, int i)
{
	const struct arm_plan *arm = &worker->arms[i];

	switch (arm->kind) {
	case SEND:
		return torc_case_send(chans[arm->object], &arm->item);
	case RECV:
		return torc_case_recv(chans[arm->object], &worker->items[i]);
	case EVENT:
		return torc_case_event(&events[arm->object]);
	case DEFAULT:
		return torc_case_default();
	default:
		return (struct torc_case){ 0 };
	}
}

static int run_plain(struct worker *worker)
{
	const struct arm_plan *arm = &worker->arms[0];

	if (arm->kind == SEND)
		return torc_chan_send(chans[arm->object], &arm->item);
	return torc_chan_recv(chans[arm->object], &worker->items[0]);
}

static int run_worker(void *arg)
{
	struct worker *worker = arg;
	struct torc_case cases[ARMS];

	TORC_SCOPE(scope);
	worker->scope = scope;
	if (worker->refused)
		torc_scope_cancel(scope);
	for (int i = 0; i < worker->count; i++)
		cases[i] = make_case(worker, i);
	if (worker->plain) {
		int r = run_plain(worker);

		worker->result = r == -ECANCELED ? r : 0;
		worker->case_result = r == -ECANCELED ? 0 : r;
	} else {
		worker->result = torc_choose(cases, (size_t)worker->count);
		worker->case_result = worker->result >= 0 ? cases[worker->result].result : 0;
	}
	worker->done = true;
	worker->scope = NULL;
	return 0;
}

/* --- the model ------------------------------------------------------------------------------- */

static void queue_add(struct queue *queue, int worker, int arm)
{
	queue->places[queue->count++] = (struct place){ worker, arm };
}

static void queue_drop(struct queue *queue, int worker)
{
	int kept = 0;

	for (int i = 0; i < queue->count; i++)
		if (queue->places[i].worker != worker)
			queue->places[kept++] = queue->places[i];
	queue->count = kept;
}

static void model_complete(int w, int result, int case_result, int item)
{
	struct worker *worker = &workers[w];

	MUST(!worker->model_done);
	worker->model_done = true;
	worker->model_result = result;
	worker->model_case_result = case_result;
	worker->model_item = item;
	for (int c = 0; c < CHANS; c++) {
		queue_drop(&model[c].senders, w);
		queue_drop(&model[c].receivers, w);
	}
	for (int e = 0; e < EVENTS; e++)
		queue_drop(&model_waiting[e], w);
}

static bool model_ready(const struct arm_plan *arm)
{
	const struct model_chan *chan = &model[arm->object];

	switch (arm->kind) {
	case SEND:
		return chan->closed || chan->receivers.count > 0 || chan->unbounded ||
		       (size_t)chan->count < chan->capacity;
	case RECV:
		return chan->closed || chan->count > 0 || chan->senders.count > 0;
	case EVENT:
		return torc_event_is_set(&events[arm->object]);
	default:
		return false;
	}
}

static int sent_by(struct place place)
{
	return workers[place.worker].arms[place.arm].item;
}

static int model_take(struct model_chan *chan)
{
	int item = chan->items[0];

	memmove(chan->items, chan->items + 1, sizeof *chan->items * (size_t)--chan->count);
	return item;
}

/* The arm, which is ready, happens to the worker. */
static void model_happen(int w, int i)
{
	const struct arm_plan *arm = &workers[w].arms[i];
	struct model_chan *chan = &model[arm->object];
	int item = NEVER, result = 0;

	if (arm->kind == SEND && chan->closed) {
		result = -EPIPE;
	} else if (arm->kind == SEND && chan->receivers.count > 0) {
		struct place peer = chan->receivers.places[0];

		model_complete(peer.worker, peer.arm, 0, arm->item);
	} else if (arm->kind == SEND) {
		chan->items[chan->count++] = arm->item;
	} else if (arm->kind == RECV && (chan->count > 0 || chan->senders.count > 0)) {
		bool stored = chan->count > 0;

		if (stored)
			item = model_take(chan);
		if (chan->senders.count > 0) {
			struct place peer = chan->senders.places[0];

			if (stored)
				chan->items[chan->count++] = sent_by(peer);
			else
				item = sent_by(peer);
			model_complete(peer.worker, peer.arm, 0, NEVER);
		}
	} else if (arm->kind == RECV) {
		result = -EPIPE;
	}
	model_complete(w, i, result, item);
}

/* What the worker does when it begins; `chosen`: what it really chose, if it did. */
static void model_begin(int w)
{
	struct worker *worker = &workers[w];
	int ready = 0, fallback = NEVER;

	if (worker->refused) {
		model_complete(w, -ECANCELED, 0, NEVER);
		return;
	}
	for (int i = 0; i < worker->count; i++) {
		ready += model_ready(&worker->arms[i]);
		if (worker->arms[i].kind == DEFAULT)
			fallback = i;
	}
	if (ready > 0) {
		MUST(worker->done && worker->result >= 0 && worker->result < worker->count);
		MUST(model_ready(&worker->arms[worker->result]));
		model_happen(w, worker->result);
		return;
	}
	if (fallback != NEVER) {
		MUST(worker->done && worker->result >= 0 && worker->arms[worker->result].kind == DEFAULT);
		model_complete(w, worker->result, 0, NEVER);
		return;
	}
	for (int i = 0; i < worker->count; i++) {
		const struct arm_plan *arm = &worker->arms[i];

		if (arm->kind == SEND)
			queue_add(&model[arm->object].senders, w, i);
		else if (arm->kind == RECV)
			queue_add(&model[arm->object].receivers, w, i);
		else if (arm->kind == EVENT)
			queue_add(&model_waiting[arm->object], w, i);
	}
}

static void model_end_all(struct queue *queue, int result)
{
	while (queue->count > 0) {
		struct place place = queue->places[0];

		model_complete(place.worker, place.arm, result, NEVER);
	}
}

/* --- steps ----------------------------------------------------------------------------------- */

static void settle(void)
{
	for (int i = 0; i < 3; i++)
		torc_yield();
}

static void account(int item)
{
	MUST(item > 0 && item <= ITEMS);
	MUST(++seen[item] == 1);
}

static void compare(void)
{
	for (int w = 0; w < WORKERS; w++) {
		struct worker *worker = &workers[w];

		if (!worker->busy)
			continue;
		MUST(worker->done == worker->model_done);
		if (!worker->done)
			continue;
		MUST(worker->result == worker->model_result);
		MUST(worker->case_result == worker->model_case_result);
		for (int i = 0; i < worker->count; i++)
			MUST(worker->items[i] == (worker->model_result == i ? worker->model_item : NEVER));
		if (worker->model_item != NEVER)
			account(worker->model_item);
		worker->busy = false;
	}
	for (int c = 0; c < CHANS; c++)
		MUST(torc_chan_len(chans[c]) == (size_t)model[c].count);
}

static void plan(struct worker *worker)
{
	*worker = (struct worker){ .count = random_below(&chance, 3) ? 1 + (int)random_below(&chance, ARMS) : 1 };
	for (int i = 0; i < worker->count; i++) {
		struct arm_plan *arm = &worker->arms[i];
		unsigned dice = random_below(&chance, 24);

		arm->kind = dice < 10 ? SEND : dice < 20 ? RECV : dice < 22 ? EVENT : dice < 23 ? DEFAULT : OFF;
		arm->object = (int)random_below(&chance, arm->kind == EVENT ? EVENTS : CHANS);
		arm->item = ++next_item;
		worker->items[i] = NEVER;
	}
	worker->plain = worker->count == 1 && worker->arms[0].kind <= RECV && random_below(&chance, 2);
	worker->refused = random_below(&chance, 20) == 0;
	worker->busy = true;
}

static void begin_worker(struct torc_scope *scope, int w)
{
	struct worker *worker = &workers[w];

	plan(worker);
	ck_assert_int_eq(torc_go(scope, run_worker, worker), 0);
	torc_yield();
	model_begin(w);
}

static void cancel_worker(int w)
{
	if (!workers[w].busy)
		return;
	torc_scope_cancel(workers[w].scope);
	model_complete(w, -ECANCELED, 0, NEVER);
	settle();
}

static void one_step(struct torc_scope *scope)
{
	int w = (int)random_below(&chance, WORKERS), c = (int)random_below(&chance, CHANS);
	unsigned dice = random_below(&chance, 100);

	if (dice < 75 && !workers[w].busy) {
		begin_worker(scope, w);
	} else if (dice < 88) {
		cancel_worker(w);
	} else if (dice < 94) {
		int e = c % EVENTS;

		torc_event_set(&events[e]);
		model_end_all(&model_waiting[e], 0);
		if (dice < 92)
			torc_event_reset(&events[e]);
	} else if (dice < 96 && step > STEPS / 3) {
		torc_chan_close(chans[c]);
		model[c].closed = true;
		model_end_all(&model[c].senders, -EPIPE);
		model_end_all(&model[c].receivers, -EPIPE);
	}
	settle();
	compare();
}

static int destroyed;

static void destroy(void *item)
{
	account(*(int *)item);
	destroyed++;
}

static void prepare(torc_destroy_fn *destroyer)
{
	static const size_t capacities[] = { 0, 0, 1, 2, 5 };

	next_item = destroyed = 0;
	memset(seen, 0, sizeof seen);
	memset(workers, 0, sizeof workers);
	memset(model_waiting, 0, sizeof model_waiting);
	memset(model, 0, sizeof model);
	memset(events, 0, sizeof events);
	for (int c = 0; c < CHANS; c++) {
		model[c].capacity = capacities[random_below(&chance, LENGTH(capacities))];
		model[c].unbounded = random_below(&chance, 8) == 0;
		ck_assert_int_eq(torc_chan_new(&chans[c], sizeof(int), model[c].capacity,
		                               TORC_OPTIONS(torc_chan_options, .unbounded = model[c].unbounded,
		                                            .destroy = destroyer)),
		                 0);
	}
}

static void one_history(void)
{
	prepare(destroy);
	{
		TORC_SCOPE(scope);
		for (step = 0; step < STEPS; step++)
			one_step(scope);
		for (int w = 0; w < WORKERS; w++)
			cancel_worker(w);
		compare();
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	for (int c = 0; c < CHANS; c++) {
		destroyed = 0;
		torc_chan_free(chans[c]);
		MUST(destroyed == model[c].count);
	}
}

TEST_IN_FIBER_TIMEOUT(channels_and_choices_do_what_the_model_does, 120)
{
	for (uint64_t seed = seed_first(); seed_more(seed, COUNT(3000, 60)); seed++) {
		chance = random_seeded(seed);
		one_history();
	}
}

/* --- with time and descriptors, where no model can say who is first -------------------------- */

enum { CROWD = 6, ROUNDS = 12, CROWD_ITEMS = CROWD * ROUNDS * 2 };

struct member {
	struct random chance;
	struct torc_async *readable;
};

enum { UNSENT, SENT, RECEIVED };

static int fate[CROWD_ITEMS + 1];

static void came(int item, const char *how)
{
	ck_assert_msg(item > 0 && item <= CROWD_ITEMS && fate[item] != RECEIVED, "SEED=%llu: %s %d",
	              (unsigned long long)chance.seed, how, item);
	fate[item] = RECEIVED;
}

static void destroy_crowds(void *item)
{
	came(*(int *)item, "destroyed");
}

static void crowd_round(struct member *member)
{
	int in = ++next_item, out = NEVER, r;
	struct torc_case cases[] = {
		torc_case_send(chans[random_below(&member->chance, CHANS)], &in),
		torc_case_recv(chans[random_below(&member->chance, CHANS)], &out),
		torc_case_event(&events[0]),
		torc_case_readable(member->readable),
		torc_case_deadline(torc_in(random_below(&member->chance, 100) * TORC_US)),
	};

	for (size_t i = 0; i < LENGTH(cases); i++)
		if (random_chance(&member->chance, 20))
			cases[i] = (struct torc_case){ 0 };
	TORC_SCOPE(scope, .deadline = torc_in((1 + random_below(&member->chance, 100)) * TORC_US));
	r = torc_choose(cases, LENGTH(cases));
	if (r == 1 && cases[1].result == 0)
		came(out, "received");
	if (r != 0 || cases[0].result < 0)
		ck_assert_int_eq(fate[in], UNSENT);
	else if (fate[in] == UNSENT) /* else it was received before we ran */
		fate[in] = SENT;
	ck_assert(r >= 0 || r == -ETIME || r == -ECANCELED);
	ck_assert(out == NEVER || (r == 1 && cases[1].result == 0));
}

static int run_member(void *arg)
{
	struct member *member = arg;

	for (int i = 0; i < ROUNDS; i++) {
		crowd_round(member);
		if (random_chance(&member->chance, 30))
			torc_yield();
	}
	return 0;
}

static void meddle(struct torc_scope *scope, const struct torc_async *write_end)
{
	for (int i = 0; i < ROUNDS; i++) {
		unsigned dice = random_below(&chance, 100);

		if (dice < 20)
			ck_assert_int_eq(write(torc_async_fd(write_end), "x", 1), 1);
		else if (dice < 30)
			torc_event_set(&events[0]);
		else if (dice < 60)
			torc_event_reset(&events[0]);
		else if (dice < 63)
			torc_chan_close(chans[dice % CHANS]);
		else if (dice < 64)
			torc_scope_cancel(scope);
		else
			torc_yield();
	}
}

static void one_crowd(void)
{
	struct torc_async ends[2];
	struct member members[CROWD];
	int fds[2];

	prepare(destroy_crowds);
	memset(fate, 0, sizeof fate);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(torc_async_wrap(&ends[i], fds[i]), 0);
	{
		TORC_SCOPE(scope, .until = TORC_ALL_DONE);
		for (unsigned i = 0; i < CROWD; i++) {
			members[i] = (struct member){ random_seeded(chance.seed * CROWD + i), &ends[0] };
			ck_assert_int_eq(torc_go(scope, run_member, &members[i]), 0);
		}
		meddle(scope, &ends[1]);
		if (random_chance(&chance, 50))
			ck_assert_int_eq(torc_async_close(&ends[0]), 0);
		(void)!torc_scope_join(scope);
	}
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(torc_async_close(&ends[i]), 0);
	for (int c = 0; c < CHANS; c++)
		torc_chan_free(chans[c]);
	for (int i = 1; i <= next_item; i++)
		MUST(fate[i] != SENT); /* each that was sent came somewhere */
}

TEST_IN_FIBER_TIMEOUT(nothing_is_lost_or_doubled_by_deadlines_and_descriptors, 120)
{
	for (uint64_t seed = seed_first(); seed_more(seed, COUNT(500, 30)); seed++) {
		chance = random_seeded(seed);
		one_crowd();
	}
}
