/* chan - channels, their one-to-many forms and torc_choose allocate nothing and call nobody, parked or not. */
#include "counts.h"

enum { NONE = -1 };

struct ends {
	struct torc_chan *there, *back;
	struct torc_broadcast *broadcast;
	struct torc_latest *latest;
	struct torc_event event;
};

/* Sends back what comes; chooses where it has a choice. */
static int echo(void *arg)
{
	struct ends *ends = arg;
	int item;
	struct torc_case cases[] = { torc_case_recv(ends->there, &item), torc_case_event(&ends->event),
		                     torc_case_deadline(torc_in(FOREVER)) };

	for (;;) {
		if (torc_choose(cases, LENGTH(cases)) != 0)
			return 0;
		if (cases[0].result < 0)
			return 0;
		MUST(torc_chan_send(ends->back, &item) == 0);
	}
}

static int trips(void *arg)
{
	struct ends ends = { 0 };
	size_t capacity = *(size_t *)arg;
	int item;

	MUST(torc_chan_new(&ends.there, sizeof(int), capacity, NULL) == 0);
	MUST(torc_chan_new(&ends.back, sizeof(int), capacity, NULL) == 0);
	{
		TORC_SCOPE(scope);
		MUST(torc_go(scope, echo, &ends) == 0);
		for (int i = 0; i <= OFTEN; i++) {
			struct torc_case cases[] = { torc_case_recv(ends.back, &item), torc_case_event(&ends.event) };

			MUST(torc_chan_send(ends.there, &i) == 0);
			MUST(torc_chan_recv(ends.back, &item) == 0 && item == i);
			MUST(torc_chan_send(ends.there, &i) == 0);
			MUST(torc_choose(cases, LENGTH(cases)) == 0);
			if (i == 0)
				counting_begin();
		}
		counting_end();
		torc_event_set(&ends.event);
		MUST(torc_scope_join(scope) == 0);
	}
	torc_chan_free(ends.there);
	torc_chan_free(ends.back);
	return 0;
}

static int watch(void *arg)
{
	struct ends *ends = arg;
	struct torc_subscriber subscriber TORC_CLEANUP(torc_subscriber_close) = { 0 };
	struct torc_watcher watcher = { .latest = ends->latest };
	int item;

	torc_subscriber_open(&subscriber, ends->broadcast);
	while (torc_subscriber_recv(&subscriber, &item) == 0)
		MUST(torc_watcher_next(&watcher, &item) == 0);
	return 0;
}

static int one_to_many(void *arg)
{
	struct ends ends = { 0 };

	(void)arg;
	MUST(torc_broadcast_new(&ends.broadcast, sizeof(int), 1,
	                        TORC_OPTIONS(torc_broadcast_options, .wait_for_slowest = true)) == 0);
	MUST(torc_latest_new(&ends.latest, (int *)NULL) == 0);
	{
		TORC_SCOPE(scope);
		for (int i = 0; i < 3; i++)
			MUST(torc_go(scope, watch, &ends) == 0);
		torc_yield();
		for (int i = 0; i <= OFTEN; i++) {
			MUST(torc_broadcast_send(ends.broadcast, &i) == 0);
			MUST(torc_latest_set(ends.latest, &i) == 0);
			torc_yield();
			if (i == 0)
				counting_begin();
		}
		counting_end();
		torc_broadcast_close(ends.broadcast);
		MUST(torc_scope_join(scope) == 0);
	}
	torc_broadcast_free(ends.broadcast);
	torc_latest_free(ends.latest);
	return 0;
}

static int poll_both(void *arg)
{
	struct torc_async async;
	int fds[2], item;
	struct torc_chan *chan;

	(void)arg;
	MUST(pipe2(fds, O_CLOEXEC) == 0 && torc_async_wrap(&async, fds[0]) == 0);
	MUST(torc_chan_new(&chan, sizeof(int), 1, NULL) == 0);
	for (int i = 0; i <= OFTEN; i++) {
		TORC_SCOPE(scope, .deadline = torc_in(50 * TORC_US));
		struct torc_case cases[] = { torc_case_recv(chan, &item), torc_case_readable(&async) };

		MUST(torc_choose(cases, LENGTH(cases)) == -ETIME);
		if (i == 0)
			counting_begin();
	}
	counting_end();
	torc_chan_free(chan);
	close(fds[1]);
	return torc_async_close(&async);
}

static void assert_nothing(void)
{
	assert_no_allocation();
	assert_no_call_but(NONE);
	counted();
}

TEST(channels_and_choices_call_nothing)
{
	COUNTS_MEAN_SOMETHING();
	for (size_t capacity = 0; capacity < 3; capacity++) {
		count(CALLS, trips, &capacity);
		assert_nothing();
	}
}

TEST(broadcast_and_latest_call_nothing)
{
	COUNTS_MEAN_SOMETHING();
	count(CALLS, one_to_many, NULL);
	assert_nothing();
}

TEST(a_choice_with_a_descriptor_allocates_nothing)
{
	COUNTS_MEAN_SOMETHING();
	count(CALLS, poll_both, NULL);
	assert_no_allocation();
	counted();
}
