/* A pass filled the submission queue and cancelled what was in it; the executor, having nothing else to run, handed the
 * queue over and slept, while the cancellations still waited for room in it: for ever. */
#include "api/api.h"

enum { POLLS = 20 };

static int await(void *async)
{
	return torc_async_readable(async);
}

static int close_under_them(void *arg)
{
	struct torc_async async;
	int fds[2];

	(void)arg;
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(torc_async_wrap(&async, fds[0]), 0);
	for (int polls = 1; polls < POLLS; polls++) {
		TORC_SCOPE(scope, .until = TORC_ALL_DONE);
		for (int i = 0; i < polls; i++)
			ck_assert_int_eq(torc_go(scope, await, &async), 0);
		/* No pass lies between the last poll and its cancellation. */
		torc_yield();
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	}
	close(fds[1]);
	return torc_async_close(&async);
}

TEST(cancellations_that_wait_for_room_do_not_sleep)
{
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .ring_entries = 8), close_under_them, NULL), 0);
}
