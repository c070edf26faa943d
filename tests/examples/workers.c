/* The examples about programs that keep going: what each prints, to the letter. */
#include "example.h"

static void prints(char *const argv[], int status, const char *text)
{
	struct example example;

	example_start(&example, argv);
	ck_assert_int_eq(example_end(&example), status);
	ck_assert_str_eq(example.text, text);
}

TEST(workers_are_started_again)
{
	prints((char *[]){ "18_workers", NULL }, 0, "26 jobs done, 4 lost, workers started again: 4\n");
	prints((char *[]){ "18_workers", "3", "1", NULL }, 0, "3 jobs done, 0 lost, workers started again: 0\n");
}

TEST(workers_give_up)
{
	prints((char *[]){ "18_workers", "30", "2", NULL }, 1, "gave up after 2 restarts: Input/output error\n");
}

/* Between two words, which come every 10 ms, a busy machine may let a second go by; hardly more. */
TEST_TIMEOUT(a_ticker_falls_silent, 60)
{
	prints((char *[]){ "19_ticker", "3", "3000", NULL }, 0,
	       "heard word 1\nheard word 2\nheard word 3\n"
	       "then: Timer expired\n");
}
