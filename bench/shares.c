/*
 * shares: do task queues get the part of the core that their shares promise?
 *
 * Two queues, in each four fibers that compute in pieces of 20 us and ask torc_yield_if_needed in between. Measured is what
 * the second queue had of the time of both in a window, by what its fibers used; printed is how far that is from its
 * wanted fraction, in the median of the rounds. Time is the clock's, as it is for the queues: what other programs take
 * counts for whom they interrupt, which a long window evens out.
 *
 * Needs: libtorc.
 */
#include "bench.h"

#include <torc.h>

#include <math.h>

enum { ROUNDS = 5, FIBERS = 4 };

#define PIECE  (20 * TORC_US)
#define WINDOW (500 * TORC_MS)

struct team {
	struct torc_queue *queue;
	uint64_t spent;
	bool stop;
};

static int toil(void *arg)
{
	struct team *team = arg;

	while (!team->stop) {
		uint64_t begin = bench_now_ns(), now = begin;

		while (now - begin < PIECE)
			now = bench_now_ns();
		team->spent += now - begin;
		torc_yield_if_needed();
	}
	return 0;
}

static void check(int r, const char *what)
{
	if (r < 0)
		bench_die(what);
}

static double off_by(unsigned first, unsigned second)
{
	struct team teams[2] = { { 0 } };
	unsigned shares[2] = { first, second };
	uint64_t before[2], spent[2];

	for (int i = 0; i < 2; i++)
		check(torc_queue_new(&teams[i].queue, TORC_OPTIONS(torc_queue_options, .shares = shares[i])),
		      "torc_queue_new");
	{
		TORC_SCOPE(a, .queue = teams[0].queue);
		TORC_SCOPE(b, .queue = teams[1].queue);
		for (int i = 0; i < FIBERS; i++) {
			check(torc_go(a, toil, &teams[0]), "torc_go");
			check(torc_go(b, toil, &teams[1]), "torc_go");
		}
		check(torc_sleep(20 * TORC_MS), "torc_sleep");
		before[0] = teams[0].spent;
		before[1] = teams[1].spent;
		check(torc_sleep(WINDOW), "torc_sleep");
		spent[0] = teams[0].spent - before[0];
		spent[1] = teams[1].spent - before[1];
		teams[0].stop = teams[1].stop = true;
		check(torc_scope_join(b), "torc_scope_join");
		check(torc_scope_join(a), "torc_scope_join");
	}
	for (int i = 0; i < 2; i++)
		check(torc_queue_free(teams[i].queue), "torc_queue_free");
	return fabs((double)spent[1] / (double)(spent[0] + spent[1]) - (double)second / (first + second));
}

static int measure(void *arg)
{
	static const unsigned seconds[] = { 1000, 500, 100, 10 };

	const size_t rounds = bench_rounds(ROUNDS) < ROUNDS ? bench_rounds(ROUNDS) : ROUNDS;

	(void)arg;
	printf("shares: two queues of 1000 and of so many shares (%zu rounds)\n", rounds);
	for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
		double off[ROUNDS];
		char row[60];

		for (size_t r = 0; r < rounds; r++)
			off[r] = off_by(1000, seconds[i]);
		snprintf(row, sizeof row, "1000:%u, off the wanted fraction by", seconds[i]);
		bench_figure("shares", row, bench_median(off, rounds), "");
	}
	printf("\n");
	return 0;
}

int main(void)
{
	check(torc_run(NULL, measure, NULL), "torc_run");
	return 0;
}
