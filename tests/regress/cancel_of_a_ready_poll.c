/* A receive that polls first (POLL_FIRST) and finds the socket readable becomes task work of the kernel and stands in no
 * list where ASYNC_CANCEL would find it: a cancel of that very moment is answered -ENOENT. With MSG_WAITALL the receive
 * then takes what there is, waits for the rest, and nobody cancels it again: the fiber never came back. */
#include "api/api.h"

struct reader {
	struct torc_stream *stream;
	int got;
};

static int read_a_hundred(void *arg)
{
	struct reader *reader = arg;
	char buf[100];

	reader->got = torc_stream_read_exact(reader->stream, buf, sizeof buf);
	return 0;
}

/* Read all that there is, so that torc has the next receive poll first; then let a few bytes come. */
static void empty_then_refill(struct torc_stream *stream, struct torc_stream *peer)
{
	char buf[16];

	ck_assert_int_eq(torc_stream_write(peer, "all", 3), 3);
	ck_assert_int_eq(torc_stream_read(stream, buf, sizeof buf), 3);
	ck_assert_int_eq(send(torc_async_fd(&peer->async), "some", 4, MSG_NOSIGNAL), 4);
}

TEST_IN_FIBER(a_cancel_in_the_turn_of_the_receive_is_not_lost)
{
	struct torc_stream a, b;
	struct reader reader = { &a, UNSET };
	TORC_SCOPE(scope);

	stream_pair(&a, &b);
	empty_then_refill(&a, &b);
	ck_assert_int_eq(torc_go(scope, read_a_hundred, &reader), 0);
	torc_yield(); /* the receive is on its way, and no turn was made since */
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(reader.got, -ECANCELED);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

static int cancel_it(void *arg)
{
	torc_scope_cancel(arg);
	return 0;
}

TEST_IN_FIBER(a_cancel_right_behind_the_receive_is_not_lost)
{
	struct torc_stream a, b;
	struct reader reader = { &a, UNSET };
	TORC_SCOPE(outer);
	{
		TORC_SCOPE(scope);

		stream_pair(&a, &b);
		empty_then_refill(&a, &b);
		ck_assert_int_eq(torc_go(scope, read_a_hundred, &reader), 0);
		ck_assert_int_eq(torc_go(outer, cancel_it, scope), 0); /* of the same pass */
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	ck_assert_int_eq(reader.got, -ECANCELED);
	ck_assert_int_eq(torc_scope_join(outer), 0);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

static int close_it(void *arg)
{
	return torc_stream_close(arg);
}

TEST_IN_FIBER(a_close_right_behind_the_receive_does_not_hang)
{
	struct torc_stream a, b;
	struct reader reader = { &a, UNSET };
	TORC_SCOPE(scope);

	stream_pair(&a, &b);
	empty_then_refill(&a, &b);
	ck_assert_int_eq(torc_go(scope, read_a_hundred, &reader), 0);
	ck_assert_int_eq(torc_go(scope, close_it, &a), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(reader.got, -EBADF);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}
