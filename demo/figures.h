/* figures.h - what each core of the server tells about itself, and the boards on which it tells it to other threads. */
#ifndef DEMO_FIGURES_H
#define DEMO_FIGURES_H

#include <stdatomic.h>
#include <stdint.h>

/* Counts since the beginning, and states of now. Words only: the board relies on it. */
struct figures {
	uint64_t http_requests; /* answered, with whatever status                       */
	uint64_t echo_requests; /* blocks sent back                                     */
	uint64_t accepted;      /* connections so far                                   */
	uint64_t connections;   /* connections now                                      */
	uint64_t turned_away;   /* connections lost for want of descriptors or memory   */
	uint64_t cpu_ns;        /* CPU time of the core's thread, kernel included       */
	uint64_t batch_cpu_ns;  /* what of that the batch took                          */
	uint64_t serving_ns;    /* how long fibers of each queue have run               */
	uint64_t batch_ns;
	uint64_t calls;       /* requests that asked another core, or this one, by torc_on */
	uint64_t batch_units; /* numbers that the batch has looked at                 */
	uint64_t enters;      /* io_uring_enter(2) calls                              */
	uint64_t submissions; /* SQEs given to the kernel                             */
	uint64_t fibers;      /* alive now                                            */
	uint64_t in_flight;   /* operations that the kernel holds now                 */
};

enum { FIGURES = sizeof(struct figures) / sizeof(uint64_t) };

/* Written by one thread, read by any. Each word is whole; the words together may mix two publications. */
struct board {
	_Alignas(64) _Atomic uint64_t word[FIGURES];
};

/* One for each core. */
struct boards {
	struct board *board;
	unsigned count;
};

void board_publish(struct board *board, const struct figures *figures);
struct figures board_read(struct board *board);

/* The sum over all cores. */
struct figures boards_read(const struct boards *boards);

/* What happened between two readings; the states of now are those of the second one. */
struct figures figures_since(const struct figures *now, const struct figures *before);

static inline uint64_t figures_requests(const struct figures *figures)
{
	return figures->http_requests + figures->echo_requests;
}

#endif
