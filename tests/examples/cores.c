/* The examples about cores and task queues: one that shares a core, one that spreads counters, one that hands on, and one
 * that is told to stop. */
#include "example.h"

#include <signal.h>
#include <stdbool.h>

/* What it got is measured: a machine that others use as well may take time from one queue and not from another. */
TEST_TIMEOUT(queues_get_what_they_want, 120)
{
	for (int attempt = 0; attempt < 20; attempt++) {
		struct example example;
		unsigned small, middle, large;
		char verdict[20];

		example_start(&example, (char *[]){ "10_queues", NULL });
		ck_assert_int_eq(example_end(&example), 0);
		ck_assert_int_eq(sscanf(example.text,
		                        "small wants 10 %%, got %u %% middle wants 30 %%, got %u %% "
		                        "large wants 60 %%, got %u %% the report is %19[a-z ]",
		                        &small, &middle, &large, verdict),
		                 4);
		if (small >= 7 && small <= 13 && middle >= 25 && middle <= 35 && large >= 54 && large <= 66 &&
		    strcmp(verdict, "in time") == 0)
			return;
	}
	ck_abort_msg("the shares were others each time");
}

static uint64_t bump(int fd, uint64_t key)
{
	uint64_t value;

	ck_assert_int_eq(send(fd, &key, sizeof key, MSG_NOSIGNAL), (int)sizeof key);
	ck_assert_int_eq(recv(fd, &value, sizeof value, MSG_WAITALL), (int)sizeof value);
	return value;
}

static void counts_on(char *cores)
{
	enum { CLIENTS = 6, KEYS = 40 };
	struct example example;
	int fd[CLIENTS], port;

	example_start(&example, (char *[]){ "11_shards", "127.0.0.1:0", "6", cores, NULL });
	port = example_port(&example);
	for (int i = 0; i < CLIENTS; i++)
		fd[i] = connect_to(port);
	/* Whichever core a client came to, all see the same counters. */
	for (uint64_t i = 0; i < CLIENTS; i++)
		for (uint64_t key = 0; key < KEYS; key++)
			ck_assert_uint_eq(bump(fd[i], key), i + 1);
	for (int i = 0; i < CLIENTS; i++)
		close(fd[i]);
	ck_assert_int_eq(example_end(&example), 0);
}

TEST(shards_count_across_cores)
{
	counts_on("1");
	counts_on("2");
	counts_on("4");
}

TEST(pipeline_loses_nothing)
{
	struct example example;

	example_start(&example, (char *[]){ "12_pipeline", NULL });
	ck_assert_int_eq(example_end(&example), 0);
	ck_assert_str_eq(example.text, "100 lines, 450 words: Success\n");
}

/* With a client that waits for its answer, and one that has asked for nothing. Did it go as it should? On a busy machine
 * the signal may come before the word was read or who is idle was accepted, who is reset then; or the answer too late. */
static bool stops_while_busy(char *work_ms, int signal, const char *answer, const char *text, int patience_ms)
{
	struct example example;
	int port, busy, idle;
	char got[20];
	bool ended;

	example_start(&example, (char *[]){ "13_shutdown", "127.0.0.1:0", work_ms, NULL });
	port = example_port(&example);
	idle = connect_to(port);
	busy = connect_to(port);
	say(busy, "word");
	example_await_handler(&example, signal);
	usleep((useconds_t)patience_ms * 1000);
	ck_assert_int_eq(kill(example.pid, signal), 0);
	ended = recv(idle, got, 1, 0) == 0;
	read_rest(busy, got, sizeof got);
	close(idle);
	ck_assert_int_eq(example_end(&example), 0);
	return ended && strcmp(got, answer) == 0 && strcmp(example.text, text) == 0;
}

static void assert_stops(char *work_ms, int signal, const char *answer, const char *text)
{
	for (int attempt = 1; attempt <= 20; attempt++)
		if (stops_while_busy(work_ms, signal, answer, text, 100 * attempt))
			return;
	ck_abort_msg("it never stopped as it should");
}

TEST_TIMEOUT(shutdown_finishes_what_runs, 60)
{
	assert_stops("600", SIGTERM, "WORD",
	             "client: said goodbye to\n"
	             "client: said goodbye to\n"
	             "stopped by a signal\n");
}

TEST_TIMEOUT(shutdown_hangs_up_on_who_takes_too_long, 60)
{
	assert_stops("60000", SIGINT, "",
	             "client: said goodbye to\n"
	             "client: hung up on\n"
	             "stopped by a signal\n");
}
