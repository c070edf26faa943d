/* broadcast_model - a broadcast against a reference model: subscribers that come and go, receive, park, are cancelled;
 * senders that park where the slowest is to be waited for; closing. After each step each fiber is where the model has it,
 * with the item and the number of missed ones that the model gives it. */
#include "api/api.h"
#include "base/random.h"

enum { SUBSCRIBERS = 4, WORKERS = 6, STEPS = 80, SENT_MOST = STEPS * 2, NEVER = -1 };

/* A fiber that sends, or receives by subscriber `by`. */
struct worker {
	bool busy, done, model_done;
	int by; /* NEVER: sends */
	int item, result, model_item, model_result;
	struct torc_scope *scope;
};

static struct torc_broadcast *broadcast;
static struct torc_subscriber subscribers[SUBSCRIBERS];
static struct worker workers[WORKERS];
static struct random chance;
static int step;

static struct {
	int capacity;
	bool patient, closed;
	int items[SENT_MOST], sent;
	bool open[SUBSCRIBERS];
	int passed[SUBSCRIBERS];
	int waiting[WORKERS], count; /* in the order in which they parked */
} model;

#define MUST(fact) HOLDS(fact, chance.seed)

static int run_worker(void *arg)
{
	struct worker *worker = arg;

	TORC_SCOPE(scope);
	worker->scope = scope;
	worker->result = worker->by == NEVER ? torc_broadcast_send(broadcast, &worker->item)
	                                     : torc_subscriber_recv(&subscribers[worker->by], &worker->item);
	worker->done = true;
	return 0;
}

/* --- the model ------------------------------------------------------------------------------- */

static void complete(int w, int result, int item)
{
	int kept = 0;

	MUST(workers[w].busy && !workers[w].model_done);
	workers[w].model_done = true;
	workers[w].model_result = result;
	workers[w].model_item = item;
	for (int i = 0; i < model.count; i++)
		if (model.waiting[i] != w)
			model.waiting[kept++] = model.waiting[i];
	model.count = kept;
}

/* The first that waits to send (NEVER), or to receive by a subscriber; NEVER: nobody. */
static int first_waiting(int by)
{
	for (int i = 0; i < model.count; i++)
		if (workers[model.waiting[i]].by == by)
			return model.waiting[i];
	return NEVER;
}

static bool has_room(void)
{
	for (int s = 0; s < SUBSCRIBERS; s++)
		if (model.patient && model.open[s] && model.sent - model.passed[s] >= model.capacity)
			return false;
	return true;
}

static void publish(int item)
{
	model.items[model.sent++] = item;
	for (int s = 0; s < SUBSCRIBERS; s++) {
		int w = model.open[s] ? first_waiting(s) : NEVER;

		if (w == NEVER)
			continue;
		MUST(model.passed[s] == model.sent - 1);
		model.passed[s]++;
		complete(w, 0, item);
	}
}

static void senders_go_on(void)
{
	for (int w; (w = first_waiting(NEVER)) != NEVER && has_room();) {
		publish(workers[w].item);
		complete(w, 0, workers[w].item);
	}
}

static void begin_send(int w)
{
	if (model.closed) {
		complete(w, -EPIPE, workers[w].item);
	} else if (first_waiting(NEVER) != NEVER || !has_room()) {
		model.waiting[model.count++] = w;
	} else {
		publish(workers[w].item);
		complete(w, 0, workers[w].item);
	}
}

static void begin_recv(int w)
{
	int s = workers[w].by, behind = model.sent - model.passed[s], missed;

	if (!model.open[s]) {
		complete(w, -EBADF, NEVER);
	} else if (behind == 0 && model.closed) {
		complete(w, -EPIPE, NEVER);
	} else if (behind == 0) {
		model.waiting[model.count++] = w;
	} else {
		missed = behind > model.capacity ? behind - model.capacity : 0;
		MUST(!model.patient || missed == 0);
		model.passed[s] += missed + 1;
		complete(w, missed, model.items[model.passed[s] - 1]);
		senders_go_on();
	}
}

static void end_waiting(int by, int result)
{
	for (int w; (w = first_waiting(by)) != NEVER;)
		complete(w, result, by == NEVER ? workers[w].item : NEVER);
}

/* --- steps ----------------------------------------------------------------------------------- */

static void settle(void)
{
	for (int i = 0; i < 3; i++)
		torc_yield();
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
		MUST(worker->item == worker->model_item);
		worker->busy = false;
	}
	for (int s = 0; s < SUBSCRIBERS; s++)
		MUST(torc_subscriber_behind(&subscribers[s]) ==
		     (uint64_t)(model.open[s] ? model.sent - model.passed[s] : 0));
}

static void begin_worker(struct torc_scope *scope, int w)
{
	static int number;
	bool sends = model.sent + WORKERS < SENT_MOST && random_chance(&chance, 45);

	workers[w] = (struct worker){ .busy = true,
		                      .by = sends ? NEVER : (int)random_below(&chance, SUBSCRIBERS),
		                      .item = sends ? ++number : NEVER };
	if (sends)
		begin_send(w);
	else
		begin_recv(w);
	ck_assert_int_eq(torc_go(scope, run_worker, &workers[w]), 0);
}

static void toggle(int s)
{
	if (model.open[s]) {
		torc_subscriber_close(&subscribers[s]);
		model.open[s] = false;
		end_waiting(s, -EBADF);
		senders_go_on();
	} else {
		torc_subscriber_open(&subscribers[s], broadcast);
		model.open[s] = true;
		model.passed[s] = model.sent;
	}
}

static void cancel_worker(int w)
{
	if (!workers[w].busy)
		return;
	torc_scope_cancel(workers[w].scope);
	complete(w, -ECANCELED, workers[w].by == NEVER ? workers[w].item : NEVER);
}

static void one_step(struct torc_scope *scope)
{
	int w = (int)random_below(&chance, WORKERS);
	unsigned dice = random_below(&chance, 100);

	if (dice < 75 && !workers[w].busy) {
		begin_worker(scope, w);
	} else if (dice < 85) {
		toggle((int)random_below(&chance, SUBSCRIBERS));
	} else if (dice < 95) {
		cancel_worker(w);
	} else if (dice < 96 && step > STEPS / 2) {
		torc_broadcast_close(broadcast);
		model.closed = true;
		end_waiting(NEVER, -EPIPE);
		for (int s = 0; s < SUBSCRIBERS; s++)
			end_waiting(s, -EPIPE);
	}
	settle();
	compare();
}

static void one_history(void)
{
	memset(&model, 0, sizeof model);
	memset(workers, 0, sizeof workers);
	model.capacity = 1 + (int)random_below(&chance, 5);
	model.patient = random_chance(&chance, 50);
	ck_assert_int_eq(torc_broadcast_new(&broadcast, sizeof(int), (size_t)model.capacity,
	                                    TORC_OPTIONS(torc_broadcast_options, .wait_for_slowest = model.patient)),
	                 0);
	{
		TORC_SCOPE(scope);
		for (step = 0; step < STEPS; step++)
			one_step(scope);
		for (int w = 0; w < WORKERS; w++)
			cancel_worker(w);
		settle();
		compare();
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	for (int s = 0; s < SUBSCRIBERS; s++)
		torc_subscriber_close(&subscribers[s]);
	torc_broadcast_free(broadcast);
}

TEST_IN_FIBER_TIMEOUT(a_broadcast_does_what_the_model_does, 120)
{
	for (uint64_t seed = seed_first(); seed_more(seed, COUNT(3000, 60)); seed++) {
		chance = random_seeded(seed);
		one_history();
	}
}
