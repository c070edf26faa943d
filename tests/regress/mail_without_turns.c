/* After a pass that left no fiber ready the executor made no turn of the reactor, since it was about to make one that waits.
 * But mail that came meanwhile began the next pass: as long as messages kept coming no timer fired, and nothing was given
 * to the kernel. */
#include "api/api.h"

enum { POSTS_AT_MOST = 20000000 };

struct chain {
	int posts;
	bool over;
};

static int post_again(void *arg)
{
	struct chain *chain = *(struct chain **)arg;

	if (chain->over || ++chain->posts == POSTS_AT_MOST)
		return 0;
	return torc_post(0, post_again, chain); /* the pointer */
}

TEST_IN_FIBER_TIMEOUT(timers_fire_though_mail_keeps_coming, 120)
{
	struct chain chain = { 0, false }, *place = &chain;

	ck_assert_int_eq(torc_post(0, post_again, place), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	chain.over = true;
	ck_assert_int_lt(chain.posts, POSTS_AT_MOST);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0); /* the last one has run */
}

TEST_IN_FIBER_TIMEOUT(so_does_what_is_asked_of_the_kernel, 120)
{
	struct chain chain = { 0, false }, *place = &chain;
	struct torc_stream reader, writer;
	char byte;

	ck_assert_int_eq(torc_pipe(&reader, &writer), 0);
	ck_assert_int_eq(torc_post(0, post_again, place), 0);
	torc_yield();
	ck_assert_int_eq(torc_stream_write(&writer, "x", 1), 1);
	ck_assert_int_eq(torc_stream_read(&reader, &byte, 1), 1);
	chain.over = true;
	ck_assert_int_lt(chain.posts, POSTS_AT_MOST);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	torc_stream_close(&reader);
	torc_stream_close(&writer);
}
