/* listener.c - what is accepted ahead is bounded and never leaks; errors, fallbacks, and lives longer than a run. */
#include "io/listener.h"

#include "api/api.h"
#include "executor/on_fake.h"

static unsigned open_fds(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fd_is_open(fd);
	return count;
}

static struct torc_listener listener;
static int clients[64];

static void connect_clients(int count)
{
	for (int i = 0; i < count; i++)
		clients[i] = plain_connect(&listener);
}

static void close_clients(int count)
{
	for (int i = 0; i < count; i++)
		close(clients[i]);
}

static void begin(int ahead, int backlog)
{
	char text[TORC_ADDR_TEXT];

	listen_here(&listener, text, TORC_OPTIONS(torc_listen_options, .ahead = ahead, .backlog = backlog));
}

static void accept_one(void)
{
	struct torc_stream peer;

	ck_assert_int_eq(torc_listener_accept(&listener, &peer), 0);
	ck_assert_int_eq(torc_stream_close(&peer), 0);
}

static void pause_ms(int ms)
{
	ck_assert_int_eq(torc_sleep(ms * TORC_MS), 0);
}

static int one_ahead(void *arg)
{
	int ahead = *(const int *)arg;
	unsigned before = open_fds();

	/* Accepts once, so that the kernel goes on accepting by itself; then nobody takes anything. */
	begin(ahead, 20);
	connect_clients(1);
	accept_one();
	close_clients(1);
	connect_clients(12);
	pause_ms(20);
	/* Ours, theirs, the listener; and those beyond `ahead` only as far as the cancellation was late. */
	ck_assert_uint_le(open_fds(), before + 1 + 12 + 12);
	for (int i = 0; i < 12; i++)
		accept_one();
	close_clients(12);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	ck_assert_uint_eq(open_fds(), before);
	return 0;
}

TEST(whatever_is_accepted_ahead_every_connection_is_taken_once)
{
	for (int ahead = 1; ahead <= 4; ahead++)
		ck_assert_int_eq(torc_run(NULL, one_ahead, &ahead), 0);
}

TEST(also_without_multishot_accept)
{
	int ahead = 1;

	setenv("TORC_DISABLE", "multishot_accept", 1);
	ck_assert_int_eq(torc_run(NULL, one_ahead, &ahead), 0);
}

TEST(also_without_any_feature)
{
	int ahead = 2;

	setenv("TORC_DISABLE", "all", 1);
	ck_assert_int_eq(torc_run(NULL, one_ahead, &ahead), 0);
}

static int stops_ahead(void *arg)
{
	unsigned before;

	(void)arg;
	begin(2, 30);
	connect_clients(1);
	accept_one();
	close_clients(1);
	/* One after the other, with time for the cancellation: from the third on they stay with the kernel. */
	connect_clients(2);
	pause_ms(20);
	before = open_fds();
	for (int i = 2; i < 20; i++)
		clients[i] = plain_connect(&listener);
	pause_ms(20);
	ck_assert_uint_le(open_fds(), before + 18 + 1);
	close_clients(20);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	return 0;
}

TEST(ahead_is_where_accepting_stops)
{
	ck_assert_int_eq(torc_run(NULL, stops_ahead, NULL), 0);
}

static int closes_with_store(void *arg)
{
	unsigned before = open_fds();
	char byte;

	(void)arg;
	begin(8, 20);
	connect_clients(1);
	accept_one();
	close_clients(1);
	connect_clients(6);
	pause_ms(20);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	for (int i = 0; i < 6; i++) { /* turned away, not left hanging */
		ck_assert_int_le((int)recv(clients[i], &byte, 1, 0), 0);
		close(clients[i]);
	}
	ck_assert_uint_eq(open_fds(), before);
	return 0;
}

TEST(connections_that_nobody_took_are_closed_with_the_listener)
{
	ck_assert_int_eq(torc_run(NULL, closes_with_store, NULL), 0);
}

static int leaves_open(void *arg)
{
	(void)arg;
	connect_clients(1);
	accept_one();
	close_clients(1);
	return 0;
}

static int takes_on(void *arg)
{
	(void)arg;
	for (int i = 0; i < 5; i++)
		accept_one();
	return 0;
}

TEST(a_listener_left_open_by_one_run_serves_the_next)
{
	begin(4, 20);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(torc_run(NULL, leaves_open, NULL), 0);
	connect_clients(5);
	ck_assert_int_eq(torc_run(NULL, takes_on, NULL), 0);
	close_clients(5);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	ck_assert(async_empty(&listener.async));
}

static int leaves_store(void *arg)
{
	(void)arg;
	connect_clients(1);
	accept_one();
	close_clients(1);
	connect_clients(3);
	pause_ms(20);
	return 0;
}

TEST(what_one_run_accepted_ahead_the_next_one_takes)
{
	begin(8, 20);
	ck_assert_int_eq(torc_run(NULL, leaves_store, NULL), 0);
	for (int i = 3; i < 5; i++)
		clients[i] = plain_connect(&listener);
	ck_assert_int_eq(torc_run(NULL, takes_on, NULL), 0);
	close_clients(5);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

TEST(a_listener_is_closed_outside_a_run_with_all_it_holds)
{
	begin(8, 20);
	ck_assert_int_eq(torc_run(NULL, leaves_store, NULL), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	close_clients(3);
}

static void no_more_fds(struct rlimit *old)
{
	struct rlimit now;
	int next;

#ifdef TORC_VALGRIND
	SKIP("valgrind keeps the limit to itself");
#endif
	next = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(next, 0);
	close(next);
	getrlimit(RLIMIT_NOFILE, old);
	now = *old;
	now.rlim_cur = (rlim_t)next;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
}

static int runs_out_of_fds(void *arg)
{
	struct torc_stream peer;
	struct rlimit old;
	torc_ns start;

	(void)arg;
	begin(4, 20);
	connect_clients(3);
	no_more_fds(&old);
	ck_assert_int_eq(torc_listener_accept(&listener, &peer), -EMFILE);
	start = torc_now();
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(torc_listener_accept(&listener, &peer), -EMFILE);
	ck_assert_int_ge(torc_now() - start, 25 * TORC_MS); /* a loop around accept does not spin */
	setrlimit(RLIMIT_NOFILE, &old);
	for (int i = 0; i < 3; i++)
		accept_one();
	close_clients(3);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	return 0;
}

TEST(without_descriptors_accept_fails_slowly_and_recovers)
{
	ck_assert_int_eq(torc_run(NULL, runs_out_of_fds, NULL), 0);
}

TEST(also_when_accepting_one_by_one)
{
	setenv("TORC_DISABLE", "multishot_accept", 1);
	ck_assert_int_eq(torc_run(NULL, runs_out_of_fds, NULL), 0);
}

static int accept_result;

static int accepter(void *arg)
{
	struct torc_stream peer;

	(void)arg;
	accept_result = torc_listener_accept(&listener, &peer);
	if (accept_result == 0)
		torc_stream_close(&peer);
	return 0;
}

static int closes_during_retry(void *arg)
{
	struct torc_stream peer;
	struct rlimit old;

	(void)arg;
	begin(4, 20);
	connect_clients(1);
	no_more_fds(&old);
	ck_assert_int_eq(torc_listener_accept(&listener, &peer), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &old);
	TORC_SCOPE(all);
	ck_assert_int_eq(torc_go(all, accepter, NULL), 0);
	torc_yield(); /* it waits for the time to try again */
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	ck_assert_int_eq(torc_scope_join(all), 0);
	ck_assert_int_eq(accept_result, -EBADF);
	close_clients(1);
	return 0;
}

TEST(closing_while_accept_waits_to_try_again_ends_it)
{
	ck_assert_int_eq(torc_run(NULL, closes_during_retry, NULL), 0);
}

static int cancels_during_retry(void *arg)
{
	struct torc_stream peer;
	struct rlimit old;

	(void)arg;
	begin(4, 20);
	connect_clients(1);
	no_more_fds(&old);
	ck_assert_int_eq(torc_listener_accept(&listener, &peer), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &old);
	{
		TORC_SCOPE(hurry, .deadline = torc_in(TORC_MS));
		ck_assert_int_eq(torc_listener_accept(&listener, &peer), -ETIME);
	}
	close_clients(1);
	return 0; /* with the listener open: no timer of its may be left */
}

TEST(a_deadline_while_accept_waits_to_try_again_leaves_no_timer)
{
	ck_assert_int_eq(torc_run(NULL, cancels_during_retry, NULL), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

/* --- on the simulated machine ---------------------------------------------------------------- */

static struct torc_async busy;

static int fill(void *arg)
{
	(void)arg;
	return fake_op(&busy, IORING_OP_READ, 0) == -ECANCELED ? 0 : -EBADMSG;
}

/* All room in the kernel is taken, and the accept waits for some. */
static void fill_ring(struct torc_scope *scope)
{
	async_set(&busy, 1000, 0);
	for (unsigned i = 0; i < fake_executor.reactor.ring.limit; i++)
		ck_assert_int_eq(torc_go(scope, fill, NULL), 0);
	torc_yield();
	ck_assert_uint_eq(fake_executor.reactor.ring.in_kernel, fake_executor.reactor.ring.limit);
}

static int close_listener(void *arg)
{
	*(int *)arg = torc_listener_close(&listener);
	return 0;
}

static int closes_queued(void *arg)
{
	int closed = UNSET;
	torc_ns begin;

	(void)arg;
	TORC_SCOPE(all, .until = TORC_ALL_DONE);
	TORC_SCOPE(fillers, .until = TORC_ALL_DONE);
	fill_ring(fillers);
	ck_assert_int_eq(listener_make(&listener, 1001, 4, 10), 0);
	accept_result = UNSET;
	ck_assert_int_eq(torc_go(all, accepter, NULL), 0);
	torc_yield();
	ck_assert_uint_eq(fake_executor.reactor.ring.queue.count, 1);
	ck_assert_int_eq(torc_go(all, close_listener, &closed), 0);
	/* The closer must not be woken but by the end of its own close, for which there is no room yet. */
	for (int i = 0; i < 10; i++)
		torc_yield();
	ck_assert_int_eq(accept_result, -EBADF);
	ck_assert_int_eq(closed, UNSET);
	ck_assert_uint_eq(fake_executor.reactor.ring.queue.count, 1);
	torc_scope_cancel(fillers);
	ck_assert_int_eq(torc_scope_join(fillers), 0);
	begin = torc_in(TORC_SEC);
	while (closed == UNSET && torc_now() < begin)
		torc_yield();
	ck_assert_int_eq(closed, 0);
	return torc_scope_join(all) == 0 && torc_scope_join(fillers) == 0 ? 0 : -1;
}

TEST(closing_while_the_accept_waits_for_room_in_the_ring_wakes_nobody_twice)
{
	fake_init(&fake);
	fake.obeys = fake.nops = true;
	ck_assert_int_eq(fake_run_sized(4, 8, closes_queued, NULL), 0);
}

static int cancels_queued(void *arg)
{
	(void)arg;
	TORC_SCOPE(fillers, .until = TORC_ALL_DONE);
	fill_ring(fillers);
	ck_assert_int_eq(listener_make(&listener, 1001, 4, 10), 0);
	accept_result = UNSET;
	{
		TORC_SCOPE(all);
		ck_assert_int_eq(torc_go(all, accepter, NULL), 0);
		torc_yield();
		torc_scope_cancel(all);
		ck_assert_int_eq(torc_scope_join(all), 0);
	}
	ck_assert_int_eq(accept_result, -ECANCELED);
	torc_scope_cancel(fillers);
	ck_assert_int_eq(torc_scope_join(fillers), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	return 0;
}

TEST(cancelling_who_accepts_while_the_accept_waits_for_room_ends_only_him)
{
	fake_init(&fake);
	fake.obeys = fake.nops = true;
	ck_assert_int_eq(fake_run_sized(4, 8, cancels_queued, NULL), 0);
}

static int some_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static int accepted_fd;

static int accept_fd(void *arg)
{
	struct torc_stream peer;

	(void)arg;
	accept_result = torc_listener_accept(&listener, &peer);
	if (accept_result == 0)
		accepted_fd = async_fd(&peer.async);
	return 0;
}

static void expect_fd(struct torc_scope *scope, int fd)
{
	accepted_fd = UNSET;
	ck_assert_int_eq(torc_go(scope, accept_fd, NULL), 0);
	torc_yield();
	ck_assert_int_eq(accept_result, 0);
	ck_assert_int_eq(accepted_fd, fd);
	close(fd);
}

static int overruns(void *arg)
{
	int fds[6], at;

	(void)arg;
	TORC_SCOPE(all);
	ck_assert_int_eq(listener_make(&listener, 1001, 1, 2), 0);
	for (int i = 0; i < 6; i++)
		fds[i] = some_fd();
	ck_assert_int_eq(torc_go(all, accept_fd, NULL), 0);
	torc_yield();
	torc_yield();
	at = fake_find_opcode(&fake, IORING_OP_ACCEPT);
	ck_assert_int_ge(at, 0);
	/* All of them before a cancellation could have been heard of. */
	for (int i = 0; i < 6; i++)
		fake_answer(&fake, (unsigned)at, fds[i], IORING_CQE_F_MORE);
	torc_yield();
	torc_yield();
	torc_yield();
	ck_assert_int_eq(accepted_fd, fds[0]);
	close(fds[0]);
	ck_assert_uint_eq(fake.cancels_taken, 1);
	ck_assert_int_eq(fake_find_opcode(&fake, IORING_OP_ACCEPT), -1);
	for (int i = 1; i < 6; i++) /* what the backlog could have held is kept, the rest turned away */
		ck_assert(fd_is_open(fds[i]) == (i <= 3));
	for (int i = 1; i <= 3; i++)
		expect_fd(all, fds[i]);
	ck_assert_int_eq(fake_find_opcode(&fake, IORING_OP_ACCEPT), -1); /* nobody waits: nothing is asked for */
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	return torc_scope_join(all);
}

TEST(more_than_there_is_room_for_is_turned_away_and_does_not_leak)
{
	fake_init(&fake);
	fake.obeys = fake.nops = true;
	ck_assert_int_eq(fake_run(overruns, NULL), 0);
}

static int arrives_while_closing(void *arg)
{
	int fd = some_fd(), closed = UNSET;

	(void)arg;
	TORC_SCOPE(all);
	ck_assert_int_eq(listener_make(&listener, 1001, 4, 4), 0);
	ck_assert_int_eq(torc_go(all, accepter, NULL), 0);
	torc_yield();
	torc_yield();
	ck_assert_int_eq(torc_go(all, close_listener, &closed), 0);
	for (int i = 0; i < 5; i++)
		torc_yield();
	ck_assert_int_eq(closed, UNSET); /* the kernel has not let go yet */
	ck_assert_int_eq(accept_result, -EBADF);
	fake_answer(&fake, (unsigned)fake_find_opcode(&fake, IORING_OP_ACCEPT), fd, IORING_CQE_F_MORE);
	torc_yield();
	ck_assert_int_eq(closed, UNSET);
	fake_answer(&fake, (unsigned)fake_find_opcode(&fake, IORING_OP_ACCEPT), -ECANCELED, 0);
	fake_answer(&fake, (unsigned)fake_find_opcode(&fake, IORING_OP_ASYNC_CANCEL), 0, 0);
	ck_assert_int_eq(torc_scope_join(all), 0);
	ck_assert_int_eq(closed, 0);
	ck_assert(!fd_is_open(fd));
	return 0;
}

TEST(a_connection_that_arrives_while_the_listener_is_closed_does_not_leak)
{
	fake_init(&fake);
	fake.nops = true;
	ck_assert_int_eq(fake_run(arrives_while_closing, NULL), 0);
}
