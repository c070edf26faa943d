/* phase.c - bookkeeping of one phase, and its row in the table. */
#include "phase.h"

static void enter(struct phase *phase, enum phase_state state)
{
	atomic_store_explicit(&phase->state, (int)state, memory_order_release);
}

enum phase_state phase_state(struct phase *phase)
{
	return (enum phase_state)atomic_load_explicit(&phase->state, memory_order_acquire);
}

void phase_connect(struct phase *phase)
{
	enter(phase, PHASE_CONNECTING);
}

void phase_begin(struct phase *phase, const struct boards *boards)
{
	phase->before = boards_read(boards);
	phase->began = torc_now();
	enter(phase, PHASE_RUNNING);
}

void phase_watch(struct phase *phase, const struct boards *boards)
{
	uint64_t fibers = boards_read(boards).fibers;

	if (fibers > atomic_load_explicit(&phase->most_fibers, memory_order_relaxed))
		atomic_store_explicit(&phase->most_fibers, fibers, memory_order_relaxed);
}

void phase_end(struct phase *phase)
{
	phase->ended = torc_now();
}

void phase_settle(struct phase *phase, const struct boards *boards)
{
	phase->after = boards_read(boards);
	enter(phase, PHASE_DONE);
}

void phase_fail(struct phase *phase, int error)
{
	uint64_t errors = atomic_load_explicit(&phase->errors, memory_order_relaxed);

	if (errors == 0)
		atomic_store_explicit(&phase->first_error, error, memory_order_relaxed);
	atomic_store_explicit(&phase->errors, errors + 1, memory_order_relaxed);
}

static void add_latencies(struct row *row, struct histogram *latency)
{
	row->p50 = histogram_quantile(latency, 0.5);
	row->p99 = histogram_quantile(latency, 0.99);
	row->p999 = histogram_quantile(latency, 0.999);
}

static void add_server(struct row *row, const struct figures *since)
{
	double requests = (double)figures_requests(since);

	if (requests == 0)
		return;
	row->cpu = (double)(since->cpu_ns - since->batch_cpu_ns) / requests;
	row->enters = (double)since->enters / requests;
	row->submissions = (double)since->submissions / requests;
}

struct row phase_row(struct phase *phase, const struct boards *boards)
{
	struct row row = table_row(phase->connections);
	enum phase_state state = phase_state(phase);
	uint64_t answered = histogram_total(&phase->latency);
	struct figures now, since;
	torc_ns elapsed;

	if (state >= PHASE_CONNECTING)
		row.errors = (double)atomic_load_explicit(&phase->errors, memory_order_relaxed);
	if (state < PHASE_RUNNING || answered == 0)
		return row;

	now = state == PHASE_DONE ? phase->after : boards_read(boards);
	since = figures_since(&now, &phase->before);
	elapsed = (state == PHASE_DONE ? phase->ended : torc_now()) - phase->began;
	row.rate = (double)answered / ((double)elapsed / TORC_SEC);
	row.fibers = (double)atomic_load_explicit(&phase->most_fibers, memory_order_relaxed);
	add_latencies(&row, &phase->latency);
	add_server(&row, &since);
	return row;
}

double phase_progress(struct phase *phase)
{
	torc_ns elapsed;

	switch (phase_state(phase)) {
	case PHASE_DONE:
		return 1;
	case PHASE_RUNNING:
		elapsed = torc_now() - phase->began;
		return elapsed < phase->span ? (double)elapsed / (double)phase->span : 1;
	default:
		return 0;
	}
}
