/* figures.c - the boards: structs of words, copied word by word with relaxed atomics. */
#include "figures.h"

#include <string.h>

void board_publish(struct board *board, const struct figures *figures)
{
	uint64_t word[FIGURES];

	memcpy(word, figures, sizeof word);
	for (int i = 0; i < FIGURES; i++)
		atomic_store_explicit(&board->word[i], word[i], memory_order_relaxed);
}

struct figures board_read(struct board *board)
{
	struct figures figures;
	uint64_t word[FIGURES];

	for (int i = 0; i < FIGURES; i++)
		word[i] = atomic_load_explicit(&board->word[i], memory_order_relaxed);
	memcpy(&figures, word, sizeof figures);
	return figures;
}

struct figures boards_read(const struct boards *boards)
{
	struct figures figures;
	uint64_t sum[FIGURES] = { 0 };

	for (unsigned core = 0; core < boards->count; core++)
		for (int i = 0; i < FIGURES; i++)
			sum[i] += atomic_load_explicit(&boards->board[core].word[i], memory_order_relaxed);
	memcpy(&figures, sum, sizeof figures);
	return figures;
}

struct figures figures_since(const struct figures *now, const struct figures *before)
{
	struct figures since = *now;

	since.http_requests -= before->http_requests;
	since.echo_requests -= before->echo_requests;
	since.accepted -= before->accepted;
	since.turned_away -= before->turned_away;
	since.cpu_ns -= before->cpu_ns;
	since.batch_cpu_ns -= before->batch_cpu_ns;
	since.serving_ns -= before->serving_ns;
	since.batch_ns -= before->batch_ns;
	since.calls -= before->calls;
	since.batch_units -= before->batch_units;
	since.enters -= before->enters;
	since.submissions -= before->submissions;
	return since;
}
