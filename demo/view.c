/* view.c - from what the two workers have counted so far to what is shown of it. */
#include "demo.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define RATE_SPAN (100 * TORC_MS) /* no rate is told of less */

static double seconds_since(torc_ns instant)
{
	return (double)(torc_now() - instant) / TORC_SEC;
}

/* The one row of a server without a load of its own: latency is for the client to know. */
static struct row served_row(struct demo *demo)
{
	struct figures now = boards_read(&demo->servers.boards);
	struct row row = table_row((unsigned)now.connections);
	double requests = (double)figures_requests(&now);

	row.rate = requests / seconds_since(demo->started);
	row.fibers = (double)now.fibers;
	row.errors = (double)now.turned_away;
	if (requests > 0) {
		row.cpu = (double)(now.cpu_ns - now.batch_cpu_ns) / requests;
		row.enters = (double)now.enters / requests;
		row.submissions = (double)now.submissions / requests;
	}
	return row;
}

static unsigned read_rows(struct demo *demo)
{
	for (unsigned i = 0; i < demo->phase_count; i++)
		demo->rows[i] = phase_row(&demo->phases[i], &demo->servers.boards);
	if (demo->phase_count > 0)
		return demo->phase_count;
	demo->rows[0] = served_row(demo);
	return 1;
}

static void read_rates(struct demo *demo)
{
	torc_ns instant = torc_now(), span = instant - demo->last_read;

	if (span < RATE_SPAN)
		return;
	demo->rate = 0;
	for (unsigned core = 0; core < demo->servers.count; core++) {
		struct figures now = board_read(&demo->servers.boards.board[core]);
		struct figures since = figures_since(&now, &demo->last[core]);

		demo->core_rows[core] = core_row(core, &since, (double)span / TORC_SEC);
		demo->rate += demo->core_rows[core].rate;
		demo->last[core] = now;
	}
	demo->last_read = instant;
}

static unsigned current_phase(struct demo *demo)
{
	unsigned i = 0;

	while (i + 1 < demo->phase_count && phase_state(&demo->phases[i]) == PHASE_DONE)
		i++;
	return i;
}

static void describe_load(struct demo *demo, struct view *view)
{
	struct phase *phase = &demo->phases[view->current];
	double seconds = (double)phase->span / TORC_SEC;

	view->progress = phase_progress(phase);
	snprintf(demo->doing, sizeof demo->doing, "phase %u of %u: %u connection%s, %.1f of %.1f s", view->current + 1,
	         demo->phase_count, phase->connections, phase->connections == 1 ? "" : "s", view->progress * seconds,
	         seconds);
}

static void describe_serving(struct demo *demo, struct view *view)
{
	double seconds = seconds_since(demo->started), limit = demo->options.seconds;

	if (limit > 0) {
		view->progress = seconds < limit ? seconds / limit : 1;
		snprintf(demo->doing, sizeof demo->doing, "serving: %.0f of %.0f s", seconds, limit);
	} else {
		view->progress = -1;
		snprintf(demo->doing, sizeof demo->doing, "serving: %.0f s so far", seconds);
	}
}

void view_draw(struct demo *demo)
{
	struct view view = {
		.url = demo->url,
		.echo = demo->echo,
		.where = demo->where,
		.sharing = demo->sharing,
		.core_rows = demo->core_rows,
		.core_count = demo->servers.count,
		.doing = demo->doing,
		.rows = demo->rows,
		.row_count = read_rows(demo),
		.current = current_phase(demo),
		.now = boards_read(&demo->servers.boards),
	};

	read_rates(demo);
	view.rate = demo->rate;
	if (demo->phase_count > 0)
		describe_load(demo, &view);
	else
		describe_serving(demo, &view);
	page_draw(&demo->page, &view);
}

static const char *error_text(int error)
{
	switch (error) {
	case -EBADMSG:
		return "an answer was wrong";
	case -ENODATA:
		return "the server hung up";
	case -ETIME:
		return "no answer in time";
	default:
		return strerror(-error);
	}
}

/* From the beginning to the end of the load: all connections that there were, the rest as it is at the end. */
static void summarize_cores(struct demo *demo)
{
	double seconds = (double)(demo->ended - demo->started) / TORC_SEC;

	printf("\n");
	cores_table_print_head(stdout, "\n");
	for (unsigned core = 0; core < demo->servers.count; core++) {
		struct figures all = board_read(&demo->servers.boards.board[core]);
		struct core_row row = core_row(core, &all, seconds);

		row.connections = (double)all.accepted;
		cores_table_print_row(stdout, &row, "\n");
	}
	printf("\n");
	if (demo->servers.batch)
		printf("serving : batch is what the two queues ran, in %%; wanted where both have work: %.1f : %.1f\n",
		       100.0 * SERVER_SHARES / (SERVER_SHARES + BATCH_SHARES),
		       100.0 * BATCH_SHARES / (SERVER_SHARES + BATCH_SHARES));
	if (demo->sharing[0])
		printf("%s\n", demo->sharing);
}

uint64_t view_summarize(struct demo *demo)
{
	enum { WIDTH = 80 };
	unsigned count = read_rows(demo);
	uint64_t errors = 0;

	printf("\n");
	table_print_head(stdout, WIDTH, "\n");
	for (unsigned i = 0; i < count; i++)
		table_print_row(stdout, WIDTH, &demo->rows[i], "\n");
	for (unsigned i = 0; i < demo->phase_count; i++) {
		struct phase *phase = &demo->phases[i];

		if (phase->errors > 0)
			printf("phase %u: %" PRIu64 " went wrong, the first: %s\n", i + 1, phase->errors,
			       error_text(phase->first_error));
		errors += phase->errors;
	}
	summarize_cores(demo);
	return errors;
}
