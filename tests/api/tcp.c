/* tcp - listeners and streams where all goes well: addresses, accepting, reading and writing of every size, sharing,
 * options. What goes wrong is in tcp_faults.c. */
#include "api.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/un.h>

static bool have_ipv6(void)
{
	struct torc_listener listener;
	int r = torc_tcp_listen(&listener, "[::1]:0", NULL);

	if (r < 0)
		return false;
	torc_listener_close(&listener);
	return true;
}

/* --- listening ------------------------------------------------------------------------------- */

static void assert_conversation(const char *listen_on, const char *connect_host,
                                const struct torc_listen_options *options)
{
	struct torc_listener listener;
	struct torc_addr addr, local, peer;
	struct torc_stream a, b;
	char text[TORC_ADDR_TEXT + 16], buf[8], one[TORC_ADDR_TEXT], two[TORC_ADDR_TEXT];

	ck_assert_int_eq(torc_tcp_listen(&listener, listen_on, options), 0);
	ck_assert_int_eq(torc_listener_addr(&listener, &addr), 0);
	snprintf(text, sizeof text, "%s:%d", connect_host, torc_addr_port(&addr));
	ck_assert_int_eq(torc_tcp_connect(&a, text), 0);
	ck_assert_int_eq(torc_listener_accept(&listener, &b), 0);
	ck_assert_int_eq(torc_stream_write(&a, "hello", 5), 5);
	ck_assert_int_eq(torc_stream_read_exact(&b, buf, 5), 5);
	ck_assert_mem_eq(buf, "hello", 5);
	ck_assert_int_eq(torc_stream_write(&b, "world", 5), 5);
	ck_assert_int_eq(torc_stream_read_exact(&a, buf, 5), 5);
	ck_assert_mem_eq(buf, "world", 5);

	ck_assert_int_eq(torc_stream_local_addr(&a, &local), 0);
	ck_assert_int_eq(torc_stream_peer_addr(&b, &peer), 0);
	ck_assert_int_eq(torc_addr_port(&local), torc_addr_port(&peer));
	ck_assert_int_eq(torc_stream_peer_addr(&a, &peer), 0);
	ck_assert_int_gt(torc_addr_format(&peer, one, sizeof one), 0);
	ck_assert_str_eq(one, text);
	ck_assert_int_eq(torc_stream_local_addr(&b, &local), 0);
	ck_assert_int_eq(torc_addr_port(&local), torc_addr_port(&addr));
	ck_assert_int_gt(torc_addr_format(&local, two, sizeof two), 0);

	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_read(&b, buf, sizeof buf), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

TEST_IN_FIBER(two_ends_talk_over_ipv4)
{
	assert_conversation("127.0.0.1:0", "127.0.0.1", NULL);
	assert_conversation("0.0.0.0:0", "127.0.0.1", NULL);
	assert_conversation("127.0.0.77:0", "127.0.0.77", NULL);
}

TEST_IN_FIBER(two_ends_talk_over_ipv6)
{
	if (!have_ipv6())
		SKIP("no IPv6 here");
	assert_conversation("[::1]:0", "[::1]", NULL);
	assert_conversation("[::]:0", "[::1]", NULL);
	assert_conversation("[::1]:0", "[::1]", TORC_OPTIONS(torc_listen_options, .ipv6_only = true));
}

TEST_IN_FIBER(every_address_means_both_families)
{
	static const char *const all[] = { ":0", "*:0", "[::]:0" };

	if (!have_ipv6())
		SKIP("no IPv6 here");
	for (size_t i = 0; i < LENGTH(all); i++) {
		assert_conversation(all[i], "127.0.0.1", NULL);
		assert_conversation(all[i], "[::1]", NULL);
	}
}

/* socket(2) of this family fails from here on, as on a kernel without it. */
static bool forbid_family(unsigned family)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		         offsetof(struct seccomp_data, args) + 4 * (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, family, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { LENGTH(code), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

enum { NO_FILTERS = 77 };

static int converse_over_ipv4(void *arg)
{
	static const char *const all[] = { ":0", "*:0", "[::]:0" };
	struct torc_listener listener;

	(void)arg;
	for (size_t i = 0; i < LENGTH(all); i++)
		assert_conversation(all[i], "127.0.0.1", NULL);
	ck_assert_int_eq(torc_tcp_listen(&listener, "[::1]:0", NULL), -EAFNOSUPPORT);
	ck_assert_int_eq(torc_tcp_listen(&listener, "[::]:0", TORC_OPTIONS(torc_listen_options, .ipv6_only = true)),
	                 -EAFNOSUPPORT);
	return 0;
}

static int run_without_ipv6(void *arg)
{
	return forbid_family(AF_INET6) ? torc_run(NULL, converse_over_ipv4, arg) : NO_FILTERS;
}

TEST(every_address_means_ipv4_where_there_is_nothing_else)
{
	struct outcome outcome;

	run_in_process(&outcome, run_without_ipv6, NULL);
	if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == NO_FILTERS)
		SKIP("no seccomp filters here");
	assert_exit(&outcome, 0);
}

TEST_IN_FIBER(ipv6_only_does_not_take_ipv4)
{
	struct torc_listener listener;
	struct torc_stream stream = { .async = { 0 } };
	struct torc_addr addr;
	char text[64];

	if (!have_ipv6())
		SKIP("no IPv6 here");
	ck_assert_int_eq(torc_tcp_listen(&listener, "[::]:0", TORC_OPTIONS(torc_listen_options, .ipv6_only = true)), 0);
	ck_assert_int_eq(torc_listener_addr(&listener, &addr), 0);
	snprintf(text, sizeof text, "127.0.0.1:%d", torc_addr_port(&addr));
	ck_assert_int_eq(torc_tcp_connect(&stream, text), -ECONNREFUSED);
	ck_assert_int_eq(torc_async_fd(&stream.async), -EBADF);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

TEST(listening_needs_no_fiber)
{
	struct torc_listener listener;
	struct torc_addr addr;
	int fd;

	ck_assert_int_eq(torc_tcp_listen(&listener, "127.0.0.1:0", NULL), 0);
	ck_assert_int_eq(torc_listener_addr(&listener, &addr), 0);
	fd = plain_connect(&listener);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	ck_assert_int_eq(torc_listener_addr(&listener, &addr), -EBADF);
}

TEST(listen_on_takes_an_address_that_was_read_before)
{
	struct torc_listener listener;
	struct torc_addr addr, got;

	ck_assert_int_eq(torc_addr_parse(&addr, "127.0.0.1:0"), 0);
	ck_assert_int_eq(torc_tcp_listen_on(&listener, &addr, NULL), 0);
	ck_assert_int_eq(torc_listener_addr(&listener, &got), 0);
	ck_assert_int_gt(torc_addr_port(&got), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

TEST(a_taken_port_is_eaddrinuse_unless_both_share_it)
{
	const struct torc_listen_options *share = TORC_OPTIONS(torc_listen_options, .share_port = true);
	struct torc_listener first, second = { .async = { 0 } };
	char text[TORC_ADDR_TEXT];

	listen_here(&first, text, NULL);
	ck_assert_int_eq(torc_tcp_listen(&second, text, NULL), -EADDRINUSE);
	ck_assert_int_eq(torc_tcp_listen(&second, text, share), -EADDRINUSE);
	ck_assert_int_eq(torc_async_fd(&second.async), -EBADF);
	ck_assert_int_eq(torc_listener_close(&first), 0);

	listen_here(&first, text, share);
	ck_assert_int_eq(torc_tcp_listen(&second, text, share), 0);
	ck_assert_int_eq(torc_listener_close(&first), 0);
	ck_assert_int_eq(torc_listener_close(&second), 0);
}

TEST_IN_FIBER(a_port_is_free_again_after_close_although_connections_linger)
{
	struct torc_listener listener;
	struct torc_stream a, b;
	char text[TORC_ADDR_TEXT], byte;

	listen_here(&listener, text, NULL);
	ck_assert_int_eq(torc_tcp_connect(&a, text), 0);
	ck_assert_int_eq(torc_listener_accept(&listener, &b), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0); /* the side of the port is the one in TIME_WAIT */
	ck_assert_int_eq(torc_stream_read(&a, &byte, 1), 0);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	ck_assert_int_eq(torc_tcp_listen(&listener, text, NULL), 0); /* SO_REUSEADDR */
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

TEST(bad_addresses_and_options_are_refused)
{
	struct torc_listener listener = { .async = { 0 } };

	ck_assert_int_eq(torc_tcp_listen(&listener, "127.0.0.1", NULL), -EINVAL);
	ck_assert_int_eq(torc_tcp_listen(&listener, "127.0.0.1:65536", NULL), -ERANGE);
	ck_assert_int_eq(torc_tcp_listen(&listener, "localhost:0", NULL), -EOPNOTSUPP);
	ck_assert_int_eq(torc_tcp_listen(&listener, "198.51.100.1:0", NULL), -EADDRNOTAVAIL);
	ck_assert_int_eq(torc_tcp_listen(&listener, "127.0.0.1:0", TORC_OPTIONS(torc_listen_options, .backlog = -1)),
	                 -EINVAL);
	ck_assert_int_eq(torc_tcp_listen(&listener, "127.0.0.1:0", TORC_OPTIONS(torc_listen_options, .ahead = -1)),
	                 -EINVAL);
	ck_assert_int_eq(torc_async_fd(&listener.async), -EBADF);
}

/* --- accepting ------------------------------------------------------------------------------- */

enum { ACCEPTORS = 128 };

struct acceptor {
	struct torc_listener *listener;
	int number, got;
	unsigned char heard;
};

static int accept_one(void *arg)
{
	struct acceptor *acceptor = arg;
	struct torc_stream peer;
	int r;

	acceptor->got = torc_listener_accept(acceptor->listener, &peer);
	if (acceptor->got < 0)
		return acceptor->got;
	r = torc_stream_read(&peer, &acceptor->heard, 1);
	torc_stream_close(&peer);
	return r < 0 ? r : 0;
}

TEST_IN_FIBER(a_hundred_and_twenty_eight_acceptors_get_one_connection_each)
{
	struct torc_listener listener;
	struct acceptor acceptors[ACCEPTORS];
	int clients[ACCEPTORS];
	char text[TORC_ADDR_TEXT];
	TORC_SCOPE(scope);

	listen_here(&listener, text, NULL);
	for (int i = 0; i < ACCEPTORS; i++) {
		acceptors[i] = (struct acceptor){ &listener, i, UNSET, 0xff };
		ck_assert_int_eq(torc_go(scope, accept_one, &acceptors[i]), 0);
	}
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	for (int i = 0; i < ACCEPTORS; i++) {
		unsigned char number = (unsigned char)i;

		clients[i] = plain_connect(&listener);
		ck_assert_int_eq(write(clients[i], &number, 1), 1);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < ACCEPTORS; i++) {
		ck_assert_int_eq(acceptors[i].got, 0);
		ck_assert_uint_eq(acceptors[i].heard, (unsigned)i); /* first come, first served */
		ck_assert_int_eq(close(clients[i]), 0);
	}
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

TEST_IN_FIBER(acceptors_that_come_after_the_connections_are_served_in_order_too)
{
	struct torc_listener listener;
	struct acceptor acceptors[ACCEPTORS];
	int clients[ACCEPTORS];
	char text[TORC_ADDR_TEXT];

	listen_here(&listener, text, NULL);
	for (int i = 0; i < ACCEPTORS; i++) {
		unsigned char number = (unsigned char)i;

		clients[i] = plain_connect(&listener);
		ck_assert_int_eq(write(clients[i], &number, 1), 1);
	}
	for (int i = 0; i < ACCEPTORS; i++) {
		acceptors[i] = (struct acceptor){ &listener, i, UNSET, 0xff };
		ck_assert_int_eq(accept_one(&acceptors[i]), 0);
		ck_assert_uint_eq(acceptors[i].heard, (unsigned)i);
		ck_assert_int_eq(close(clients[i]), 0);
	}
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

static int count_connections(void *arg)
{
	struct acceptor *acceptor = arg;
	struct torc_stream peer;
	int r;

	while ((r = torc_listener_accept(acceptor->listener, &peer)) == 0) {
		acceptor->number++;
		torc_stream_close(&peer);
	}
	return r;
}

TEST_IN_FIBER(listeners_that_share_a_port_all_get_connections)
{
	const struct torc_listen_options *share = TORC_OPTIONS(torc_listen_options, .share_port = true);
	struct torc_listener listeners[4];
	struct acceptor acceptors[4];
	char text[TORC_ADDR_TEXT];
	int sum = 0;
	TORC_SCOPE(scope);

	listen_here(&listeners[0], text, share);
	for (int i = 0; i < 4; i++) {
		if (i > 0)
			ck_assert_int_eq(torc_tcp_listen(&listeners[i], text, share), 0);
		acceptors[i] = (struct acceptor){ &listeners[i], 0, UNSET, 0 };
		ck_assert_int_eq(torc_go(scope, count_connections, &acceptors[i]), 0);
	}
	for (int i = 0; i < 200; i++) {
		struct torc_stream client;

		ck_assert_int_eq(torc_tcp_connect(&client, text), 0);
		ck_assert_int_eq(torc_stream_close(&client), 0);
	}
	for (int i = 0; i < 1000 && sum < 200; i++) {
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
		sum = 0;
		for (int k = 0; k < 4; k++)
			sum += acceptors[k].number;
	}
	ck_assert_int_eq(sum, 200);
	for (int i = 0; i < 4; i++)
		ck_assert_int_gt(acceptors[i].number, 0);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(torc_listener_close(&listeners[i]), 0);
}

/* Connect without waiting, and tell later how many got through. */
static int plain_connect_begin(const struct torc_addr *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	if (connect(fd, (const struct sockaddr *)&addr->sockaddr, addr->len) < 0)
		ck_assert_int_eq(errno, EINPROGRESS);
	return fd;
}

static bool plain_is_connected(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof info;

	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	return info.tcpi_state == TCP_ESTABLISHED;
}

TEST_IN_FIBER(connections_not_yet_taken_are_bounded_and_closed_with_the_listener)
{
	enum { BACKLOG = 4, AHEAD = 4, CLIENTS = 100 };
	struct torc_listener listener;
	struct torc_stream first;
	struct torc_addr addr;
	char text[TORC_ADDR_TEXT], byte;
	int clients[CLIENTS], connected = 0;

	listen_here(&listener, text, TORC_OPTIONS(torc_listen_options, .backlog = BACKLOG, .ahead = AHEAD));
	ck_assert_int_eq(torc_addr_parse(&addr, text), 0);
	clients[0] = plain_connect_begin(&addr);
	ck_assert_int_eq(torc_listener_accept(&listener, &first), 0); /* from here the kernel accepts ahead */
	for (int i = 1; i < CLIENTS; i++) {
		clients[i] = plain_connect_begin(&addr);
		ck_assert_int_eq(torc_sleep(100 * TORC_US), 0);
	}
	ck_assert_int_eq(torc_sleep(20 * TORC_MS), 0);
	for (int i = 1; i < CLIENTS; i++)
		connected += plain_is_connected(clients[i]);
	/* The kernel's own backlog is one more than asked, and a last one may have been on its way. */
	ck_assert_msg(connected <= BACKLOG + 1 + AHEAD + 1, "%d connections wait", connected);
	ck_assert_int_ge(connected, BACKLOG);

	ck_assert_int_eq(torc_listener_close(&listener), 0);
	for (int i = 1; i < CLIENTS; i++) {
		struct pollfd pollfd = { .fd = clients[i], .events = POLLIN };

		if (!plain_is_connected(clients[i])) {
			close(clients[i]);
			continue;
		}
		ck_assert_int_eq(poll(&pollfd, 1, 20000), 1);
		ck_assert_int_le(read(clients[i], &byte, 1), 0);
		close(clients[i]);
	}
	ck_assert_int_eq(torc_stream_write(&first, "x", 1), 1); /* the one that was taken lives */
	ck_assert_int_eq(torc_stream_close(&first), 0);
	ck_assert_int_eq(close(clients[0]), 0);
}

TEST_IN_FIBER(a_connection_made_before_accept_is_not_lost_when_the_acceptor_was_cancelled)
{
	struct torc_listener listener;
	struct acceptor acceptor;
	struct torc_stream peer;
	char text[TORC_ADDR_TEXT];
	int client;

	listen_here(&listener, text, NULL);
	for (int i = 0; i < 20; i++) {
		TORC_SCOPE(scope);

		acceptor = (struct acceptor){ &listener, 0, UNSET, 0 };
		ck_assert_int_eq(torc_go(scope, accept_one, &acceptor), 0);
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_scope_join(scope), -ECANCELED);
		ck_assert_int_eq(acceptor.got, -ECANCELED);
	}
	client = plain_connect(&listener);
	ck_assert_int_eq(write(client, "x", 1), 1);
	ck_assert_int_eq(torc_listener_accept(&listener, &peer), 0);
	ck_assert_int_eq(torc_stream_read(&peer, text, sizeof text), 1);
	ck_assert_int_eq(torc_stream_close(&peer), 0);
	ck_assert_int_eq(close(client), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
}

/* --- reading and writing --------------------------------------------------------------------- */

struct flow {
	struct torc_stream *stream;
	size_t len, sum;
	bool good;
};

/* Read to the end and compare. */
static int drink(void *arg)
{
	struct flow *flow = arg;
	size_t size = 64 * 1024;
	unsigned char *buf = malloc(size);
	int n;

	flow->good = true;
	while ((n = torc_stream_read(flow->stream, buf, size)) > 0) {
		flow->good = flow->good && pattern_holds(buf, (size_t)n, flow->sum);
		flow->sum += (size_t)n;
	}
	free(buf);
	return n;
}

static void assert_whole(size_t len, int send_buffer, int receive_buffer, size_t pieces)
{
	struct torc_stream a, b;
	unsigned char *buf = malloc(len + 1);
	struct flow flow = { .stream = &b };
	TORC_SCOPE(scope);

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_tcp_set_buffers(&a, send_buffer, 0), 0);
	ck_assert_int_eq(torc_tcp_set_buffers(&b, 0, receive_buffer), 0);
	pattern_fill(buf, len, 0);
	ck_assert_int_eq(torc_go(scope, drink, &flow), 0);
	if (pieces == 0) {
		ck_assert_int_eq(torc_stream_write(&a, buf, len), (int)len);
	} else {
		struct iovec *list = calloc(pieces, sizeof *list);

		for (size_t i = 0; i < pieces; i++) {
			size_t from = len * i / pieces, to = len * (i + 1) / pieces;

			list[i] = (struct iovec){ buf + from, to - from };
		}
		ck_assert_int_eq(torc_stream_writev(&a, list, (int)pieces), (int)len);
		free(list);
	}
	ck_assert_int_eq(torc_stream_shutdown(&a, TORC_SHUTDOWN_WRITE), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_uint_eq(flow.sum, len);
	ck_assert(flow.good);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
	free(buf);
}

TEST_IN_FIBER_TIMEOUT(a_write_of_any_size_is_whole, 30)
{
	const size_t sizes[] = { 0, 1, 2, 4095, 4096, 65535, 65536, 65537, 1 << 20, 10 << 20 };

	for (size_t i = 0; i < LENGTH(sizes); i++) {
		assert_whole(sizes[i], 0, 0, 0);
		assert_whole(sizes[i], 1, 16384, 0); /* 1: the least that the kernel gives */
	}
}

TEST_IN_FIBER_TIMEOUT(a_writev_of_any_shape_is_whole, 30)
{
	const size_t counts[] = { 1, 2, 3, 7, 100, 1023, 1024 };

	for (size_t i = 0; i < LENGTH(counts); i++) {
		assert_whole(100, 0, 0, counts[i]); /* some pieces are empty then */
		assert_whole(1000003, 0, 0, counts[i]);
		assert_whole(1000003, 1, 16384, counts[i]);
	}
}

TEST_IN_FIBER(writev_takes_empty_pieces_and_changes_nothing)
{
	struct torc_stream a, b;
	char word[] = "abc", buf[8];
	struct iovec pieces[] = { { NULL, 0 }, { word, 1 }, { word, 0 }, { NULL, 0 }, { word + 1, 2 }, { NULL, 0 } };
	struct iovec before[LENGTH(pieces)];

	memcpy(before, pieces, sizeof pieces);
	stream_pair(&a, &b);
	ck_assert_int_eq(torc_stream_writev(&a, pieces, LENGTH(pieces)), 3);
	ck_assert_mem_eq(pieces, before, sizeof pieces);
	ck_assert_int_eq(torc_stream_read_exact(&b, buf, 3), 3);
	ck_assert_mem_eq(buf, "abc", 3);
	ck_assert_int_eq(torc_stream_writev(&a, pieces, 0), 0);
	ck_assert_int_eq(torc_stream_writev(&a, NULL, 0), 0);
	ck_assert_int_eq(torc_stream_writev(&a, pieces, 1), 0);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_read(&b, buf, sizeof buf), 0); /* nothing more came */
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

TEST_IN_FIBER(writev_changes_no_piece_even_when_the_kernel_takes_parts)
{
	enum { PIECES = 64, PIECE = 65536 };
	static unsigned char bytes[PIECES * PIECE];
	struct iovec pieces[PIECES], before[PIECES];
	struct torc_stream a, b;
	struct flow flow = { .stream = &b };
	TORC_SCOPE(scope);

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_tcp_set_buffers(&a, 1, 0), 0);
	pattern_fill(bytes, sizeof bytes, 0);
	for (int i = 0; i < PIECES; i++)
		pieces[i] = (struct iovec){ bytes + (size_t)i * PIECE, PIECE };
	memcpy(before, pieces, sizeof pieces);
	ck_assert_int_eq(torc_go(scope, drink, &flow), 0);
	ck_assert_int_eq(torc_stream_writev(&a, pieces, PIECES), (int)sizeof bytes);
	ck_assert_mem_eq(pieces, before, sizeof pieces);
	ck_assert_int_eq(torc_stream_shutdown(&a, TORC_SHUTDOWN_WRITE), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert(flow.good && flow.sum == sizeof bytes);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

TEST_IN_FIBER(lengths_out_of_range_are_einval)
{
	static struct iovec pieces[1025];
	struct torc_stream a, b;
	char byte = 'x';
	const size_t beyond = (size_t)INT_MAX + 1;

	stream_pair(&a, &b);
	for (size_t i = 0; i < LENGTH(pieces); i++)
		pieces[i] = (struct iovec){ &byte, 1 };
	ck_assert_int_eq(torc_stream_writev(&a, pieces, 1025), -EINVAL);
	ck_assert_int_eq(torc_stream_writev(&a, pieces, -1), -EINVAL);
	ck_assert_int_eq(torc_stream_writev(&a, pieces, INT_MIN), -EINVAL);
	ck_assert_int_eq(torc_stream_write(&a, &byte, beyond), -EINVAL);
	ck_assert_int_eq(torc_stream_write(&a, &byte, SIZE_MAX), -EINVAL);
	ck_assert_int_eq(torc_stream_read_exact(&a, &byte, beyond), -EINVAL);
	pieces[1].iov_len = INT_MAX;
	ck_assert_int_eq(torc_stream_writev(&a, pieces, 2), -EINVAL);
	pieces[1].iov_len = SIZE_MAX;
	ck_assert_int_eq(torc_stream_writev(&a, pieces, 2), -EINVAL); /* the sum wraps round to 0 */
	ck_assert_int_eq(torc_stream_write(&a, "y", 1), 1);           /* and nothing was sent before it */
	ck_assert_int_eq(torc_stream_read(&b, &byte, 1), 1);
	ck_assert_int_eq(byte, 'y');
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

TEST_IN_FIBER(read_takes_what_there_is_however_large_the_buffer)
{
	struct torc_stream a, b;
	char buf[100];

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_stream_write(&a, "abc", 3), 3);
	ck_assert_int_eq(torc_stream_read(&b, buf, 0), 0); /* which is not the end */
	ck_assert_int_eq(torc_stream_read(&b, buf, 2), 2);
	ck_assert_mem_eq(buf, "ab", 2);
	ck_assert_int_eq(torc_stream_read(&b, buf, sizeof buf), 1);
	ck_assert_int_eq(buf[0], 'c');
	ck_assert_int_eq(torc_stream_write(&a, "d", 1), 1);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_read(&b, buf, sizeof buf), 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(torc_stream_read(&b, buf, sizeof buf), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

static int write_in_pieces(void *arg)
{
	struct torc_stream *stream = arg;

	for (int i = 0; i < 10; i++) {
		char byte = (char)('0' + i);
		int r = torc_stream_write(stream, &byte, 1);

		if (r < 0)
			return r;
		torc_sleep(200 * TORC_US);
	}
	return torc_stream_shutdown(stream, TORC_SHUTDOWN_WRITE);
}

TEST_IN_FIBER(a_read_of_more_than_there_can_be_takes_what_there_is)
{
	const size_t lens[] = { INT_MAX, (size_t)INT_MAX + 1, SIZE_MAX };
	struct torc_stream a, b;
	/* With as much address space behind it: the kernel refuses a range that ends beyond all of it. */
	const size_t room = (size_t)INT_MAX + 4096;
	char *buf = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert_ptr_ne(buf, MAP_FAILED);
	ck_assert_int_eq(mprotect(buf, 4096, PROT_READ | PROT_WRITE), 0);
	stream_pair(&a, &b);
	for (size_t i = 0; i < LENGTH(lens); i++) {
		ck_assert_int_eq(torc_stream_write(&a, "abc", 3), 3);
		ck_assert_int_eq(torc_stream_peek(&b, buf, lens[i]), 3);
		ck_assert_int_eq(torc_stream_read(&b, buf, lens[i]), 3);
		ck_assert_mem_eq(buf, "abc", 3);
	}
	munmap(buf, room);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

TEST_IN_FIBER(read_exact_gathers_and_tells_a_clean_end_from_a_torn_one)
{
	struct torc_stream a, b;
	char buf[16];
	TORC_SCOPE(scope);

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_tcp_set_nodelay(&a, true), 0);
	ck_assert_int_eq(torc_go(scope, write_in_pieces, &a), 0);
	ck_assert_int_eq(torc_stream_read_exact(&b, buf, 0), 0);
	ck_assert_int_eq(torc_stream_read_exact(&b, buf, 4), 4);
	ck_assert_mem_eq(buf, "0123", 4);
	ck_assert_int_eq(torc_stream_read_exact(&b, buf, 1), 1);
	ck_assert_int_eq(buf[0], '4');
	ck_assert_int_eq(torc_stream_read_exact(&b, buf, 6), -ENODATA); /* five are left */
	ck_assert_int_eq(torc_stream_read_exact(&b, buf, 6), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

TEST_IN_FIBER(peek_repeats)
{
	struct torc_stream a, b;
	char buf[8];

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_stream_write(&a, "abc", 3), 3);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(torc_stream_peek(&b, buf, sizeof buf), 3);
		ck_assert_mem_eq(buf, "abc", 3);
	}
	ck_assert_int_eq(torc_stream_peek(&b, buf, 1), 1);
	ck_assert_int_eq(torc_stream_peek(&b, buf, 0), 0);
	ck_assert_int_eq(torc_stream_read(&b, buf, 1), 1);
	ck_assert_int_eq(torc_stream_peek(&b, buf, sizeof buf), 2);
	ck_assert_mem_eq(buf, "bc", 2);
	ck_assert_int_eq(torc_stream_read(&b, buf, sizeof buf), 2);
	ck_assert_int_eq(torc_stream_shutdown(&a, TORC_SHUTDOWN_WRITE), 0);
	ck_assert_int_eq(torc_stream_peek(&b, buf, sizeof buf), 0);
	ck_assert_int_eq(torc_stream_peek(&b, buf, sizeof buf), 0);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

static int peek_one(void *arg)
{
	char byte;

	return torc_stream_peek(arg, &byte, 1) == 1 && byte == 'x' ? 0 : -EPROTO;
}

TEST_IN_FIBER(peek_waits)
{
	struct torc_stream a, b;
	char byte;
	TORC_SCOPE(scope);

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_go(scope, peek_one, &b), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_uint_eq(torc_scope_live(scope), 1);
	ck_assert_int_eq(torc_stream_write(&a, "x", 1), 1);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(torc_stream_read(&b, &byte, 1), 1);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

static int read_end(void *arg)
{
	char byte;

	return torc_stream_read(arg, &byte, 1) == 0 ? 0 : -EPROTO;
}

TEST_IN_FIBER(shutdown_of_writing_delivers_the_end_at_once)
{
	struct torc_stream a, b;
	torc_ns start;
	char byte;
	TORC_SCOPE(scope);

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_go(scope, read_end, &b), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	start = torc_now();
	ck_assert_int_eq(torc_stream_shutdown(&a, TORC_SHUTDOWN_WRITE), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_lt(torc_now() - start, AGES);
	ck_assert_int_eq(torc_stream_write(&a, "x", 1), -EPIPE);
	ck_assert_int_eq(torc_stream_write(&b, "y", 1), 1); /* the other direction lives */
	ck_assert_int_eq(torc_stream_read(&a, &byte, 1), 1);
	ck_assert_int_eq(byte, 'y');
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

TEST_IN_FIBER(shutdown_of_reading_ends_ones_own_reads)
{
	struct torc_stream a, b;
	TORC_SCOPE(scope);

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_go(scope, read_end, &a), 0);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_int_eq(torc_stream_shutdown(&a, TORC_SHUTDOWN_READ), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(torc_stream_write(&a, "x", 1), 1);
	ck_assert_int_eq(torc_stream_shutdown(&a, TORC_SHUTDOWN_BOTH), 0);
	ck_assert_int_eq(torc_stream_write(&a, "x", 1), -EPIPE);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

/* --- sharing --------------------------------------------------------------------------------- */

static int pour(void *arg)
{
	struct flow *flow = arg;
	unsigned char buf[8192];

	while (flow->sum < flow->len) {
		size_t n = flow->len - flow->sum < sizeof buf ? flow->len - flow->sum : sizeof buf;
		int r;

		pattern_fill(buf, n, flow->sum);
		r = torc_stream_write(flow->stream, buf, n);
		if (r < 0)
			return r;
		flow->sum += n;
	}
	return torc_stream_shutdown(flow->stream, TORC_SHUTDOWN_WRITE);
}

TEST_IN_FIBER(read_exact_takes_ten_mebibytes_at_once)
{
	size_t len = 10 << 20;
	struct torc_stream a, b;
	unsigned char *in = malloc(len);
	struct flow flow = { .stream = &a, .len = len };
	TORC_SCOPE(scope);

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_go(scope, pour, &flow), 0);
	ck_assert_int_eq(torc_stream_read_exact(&b, in, len), (int)len);
	ck_assert(pattern_holds(in, len, 0));
	ck_assert_int_eq(torc_stream_read_exact(&b, in, len), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
	free(in);
}

TEST_IN_FIBER(a_reader_and_a_writer_share_a_stream_at_both_ends)
{
	size_t len = 4 << 20;
	struct torc_stream a, b;
	struct flow flows[4] = {
		{ .stream = &a, .len = len }, { .stream = &b, .len = len }, { .stream = &a }, { .stream = &b }
	};
	TORC_SCOPE(scope);

	stream_pair(&a, &b);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(torc_go(scope, i < 2 ? pour : drink, &flows[i]), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(flows[i].sum, len);
	ck_assert(flows[2].good && flows[3].good);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

static int echo(void *arg)
{
	struct torc_stream *stream = arg;
	char buf[512];
	int n;

	while ((n = torc_stream_read(stream, buf, sizeof buf)) > 0) {
		n = torc_stream_write(stream, buf, (size_t)n);
		if (n < 0)
			break;
	}
	torc_stream_close(stream);
	return n;
}

static int serve(void *arg)
{
	struct torc_listener *listener = arg;
	struct torc_stream peer;
	int r;
	TORC_SCOPE(peers, .until = TORC_ALL_DONE);

	while ((r = torc_listener_accept(listener, &peer)) == 0) {
		r = torc_give(peers, echo, peer);
		if (r < 0)
			torc_stream_close(&peer);
	}
	return r;
}

static int converse(void *arg)
{
	struct torc_stream stream;
	char buf[100], answer[100];
	int r = torc_tcp_connect(&stream, arg);

	for (size_t i = 0; r >= 0 && i < 50; i++) {
		pattern_fill(buf, sizeof buf, i * 100);
		r = torc_stream_write(&stream, buf, sizeof buf);
		if (r >= 0)
			r = torc_stream_read_exact(&stream, answer, sizeof answer);
		if (r >= 0 && (r != sizeof answer || !pattern_holds(answer, sizeof answer, i * 100)))
			r = -EPROTO;
	}
	torc_stream_close(&stream);
	return r < 0 ? r : 0;
}

TEST_IN_FIBER_TIMEOUT(hundreds_of_clients_are_echoed, 30)
{
	struct torc_listener listener;
	char text[TORC_ADDR_TEXT];
	TORC_SCOPE(servers);
	TORC_SCOPE(clients);

	listen_here(&listener, text, NULL);
	ck_assert_int_eq(torc_go(servers, serve, &listener), 0);
	for (int i = 0; i < COUNT(500, 50); i++)
		ck_assert_int_eq(torc_go(clients, converse, text), 0);
	ck_assert_int_eq(torc_scope_join(clients), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	ck_assert_int_eq(torc_scope_join(servers), -EBADF);
}

struct handover {
	struct torc_listener listener;
	struct torc_stream peer;
};

static int accept_for_another(void *arg)
{
	struct handover *handover = arg;
	char byte;
	int r = torc_listener_accept(&handover->listener, &handover->peer);

	if (r == 0)
		r = torc_stream_read(&handover->peer, &byte, 1);
	torc_listener_close(&handover->listener);
	return r;
}

static int serve_for_another(void *arg)
{
	struct handover *handover = arg;

	return echo(&handover->peer);
}

static void *run_serve_for_another(void *arg)
{
	return (void *)(intptr_t)torc_run(NULL, serve_for_another, arg);
}

TEST(a_connection_accepted_in_one_run_is_served_in_another)
{
	struct handover handover;
	char text[TORC_ADDR_TEXT], buf[8];
	pthread_t thread;
	void *result;
	int client;

	listen_here(&handover.listener, text, NULL);
	client = plain_connect(&handover.listener);
	ck_assert_int_eq(write(client, "!", 1), 1);
	ck_assert_int_eq(torc_run(NULL, accept_for_another, &handover), 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_serve_for_another, &handover), 0);
	ck_assert_int_eq(write(client, "hello", 5), 5);
	ck_assert_int_eq(recv(client, buf, 5, MSG_WAITALL), 5);
	ck_assert_mem_eq(buf, "hello", 5);
	ck_assert_int_eq(close(client), 0);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_int_eq((int)(intptr_t)result, 0);
}

static int accept_and_answer(void *arg)
{
	struct torc_listener *listener = arg;
	struct torc_stream peer;
	int r = torc_listener_accept(listener, &peer);

	if (r == 0)
		r = torc_stream_write(&peer, "x", 1);
	torc_stream_close(&peer);
	return r;
}

/* The kernel accepted ahead for the first run; the connections that nobody took are there for the second. */
TEST(a_listener_outlives_the_run_that_accepted_from_it)
{
	struct torc_listener listener;
	char text[TORC_ADDR_TEXT], byte;
	int clients[10];

	listen_here(&listener, text, NULL);
	for (size_t i = 0; i < LENGTH(clients); i++)
		clients[i] = plain_connect(&listener);
	for (size_t i = 0; i < LENGTH(clients); i++) {
		ck_assert_int_eq(torc_run(NULL, accept_and_answer, &listener), 1);
		ck_assert_int_eq(read(clients[i], &byte, 1), 1);
		ck_assert_int_eq(close(clients[i]), 0);
	}
	for (size_t i = 0; i < LENGTH(clients); i++)
		clients[i] = plain_connect(&listener);
	ck_assert_int_eq(torc_run(NULL, accept_and_answer, &listener), 1);
	ck_assert_int_eq(torc_listener_close(&listener), 0); /* outside a fiber, with nine not taken */
	for (size_t i = 0; i < LENGTH(clients); i++) {
		ck_assert_int_le(read(clients[i], &byte, 1), i == 0);
		ck_assert_int_eq(close(clients[i]), 0);
	}
}

TEST_IN_FIBER_WITH(the_smallest_stack_is_enough_for_a_conversation, .stack_size = 16384)
{
	struct torc_listener listener;
	char text[TORC_ADDR_TEXT];
	TORC_SCOPE(servers);
	TORC_SCOPE(clients);

	if (harness_slow())
		SKIP("instrumented frames are larger");
	listen_here(&listener, text, NULL);
	ck_assert_int_eq(torc_go(servers, serve, &listener), 0);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(torc_go(clients, converse, text), 0);
	ck_assert_int_eq(torc_scope_join(clients), 0);
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	ck_assert_int_eq(torc_scope_join(servers), -EBADF);
}

/* --- foreign sockets ------------------------------------------------------------------------- */

TEST_IN_FIBER(a_foreign_socket_is_wrapped_and_loses_its_nonblock)
{
	struct torc_stream a, b;
	int fds[2];
	char buf[8];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(torc_stream_wrap(&a, fds[0]), 0);
	ck_assert_int_eq(torc_stream_wrap(&b, fds[1]), 0);
	ck_assert_int_eq(torc_async_fd(&a.async), fds[0]);
	ck_assert_int_eq(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(torc_stream_write(&a, "hello", 5), 5);
	ck_assert_int_eq(torc_stream_peek(&b, buf, sizeof buf), 5);
	ck_assert_int_eq(torc_stream_read(&b, buf, sizeof buf), 5);
	ck_assert_mem_eq(buf, "hello", 5);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_read(&b, buf, sizeof buf), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
	ck_assert(!fd_is_open(fds[0]) && !fd_is_open(fds[1]));
}

TEST(wrap_refuses_what_is_no_descriptor)
{
	struct torc_stream stream = { .async = { 0 } };

	ck_assert_int_eq(torc_stream_wrap(&stream, -1), -EBADF);
	ck_assert_int_eq(torc_stream_wrap(&stream, 19999), -EBADF);
	ck_assert_int_eq(torc_async_fd(&stream.async), -EBADF);
}

static int bound_socket(int family, int type)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX }; /* without a name: the kernel chooses an abstract one */
	struct sockaddr_in ipv4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	ck_assert_int_ge(fd, 0);
	if (family == AF_UNIX)
		ck_assert_int_eq(bind(fd, (struct sockaddr *)&local, sizeof local.sun_family), 0);
	else
		ck_assert_int_eq(bind(fd, (struct sockaddr *)&ipv4, sizeof ipv4), 0);
	return fd;
}

/* A connection is accepted and served; nobody's non-blocking descriptor makes accept spin or fail. */
static void wrap_and_accept(int fd)
{
	struct torc_listener listener;
	struct torc_stream stream;
	int client;
	char byte = 'x';

	ck_assert_int_eq(torc_listener_wrap(&listener, fd), 0);
	ck_assert_int_eq(torc_async_fd(&listener.async), fd);
	for (int i = 0; i < 3; i++) {
		client = plain_connect(&listener);
		ck_assert_int_eq(torc_listener_accept(&listener, &stream), 0);
		ck_assert_int_eq(write(client, &byte, 1), 1);
		ck_assert_int_eq(torc_stream_read(&stream, &byte, 1), 1);
		ck_assert_int_eq(torc_stream_close(&stream), 0);
		close(client);
	}
	{
		TORC_SCOPE(scope, .deadline = torc_in(20 * TORC_MS));
		ck_assert_int_eq(torc_listener_accept(&listener, &stream), -ETIME);
	}
	ck_assert_int_eq(torc_listener_close(&listener), 0);
	ck_assert(!fd_is_open(fd));
}

TEST_IN_FIBER(a_foreign_listening_socket_is_wrapped)
{
	int fd = bound_socket(AF_INET, SOCK_STREAM);

	wrap_and_accept(fd); /* bound alone */
	fd = bound_socket(AF_INET, SOCK_STREAM);
	ck_assert_int_eq(listen(fd, 1), 0);
	wrap_and_accept(fd);
	wrap_and_accept(bound_socket(AF_UNIX, SOCK_STREAM));
}

TEST_IN_FIBER(what_cannot_listen_is_not_wrapped)
{
	struct torc_listener listener = { .async = { 0 } };
	struct torc_stream a, b;
	int fd = bound_socket(AF_INET, SOCK_DGRAM), null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(torc_listener_wrap(&listener, -1), -EBADF);
	ck_assert_int_eq(torc_listener_wrap(&listener, 19999), -EBADF);
	ck_assert_int_eq(torc_listener_wrap(&listener, null), -ENOTSOCK);
	ck_assert_int_eq(torc_listener_wrap(&listener, fd), -EOPNOTSUPP);
	stream_pair(&a, &b);
	ck_assert_int_eq(torc_listener_wrap(&listener, torc_async_fd(&a.async)), -EINVAL);
	ck_assert_int_eq(torc_async_fd(&listener.async), -EBADF);
	ck_assert(fd_is_open(null) && fd_is_open(fd)); /* still the caller's */
	close(null);
	close(fd);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

/* Whoever shares the socket may set the flag behind torc's back: -EAGAIN is no answer for all that. */
TEST_IN_FIBER(a_nonblock_set_later_changes_nothing)
{
	size_t len = 4 << 20;
	struct torc_stream a, b;
	struct flow in = { .stream = &a }, out = { .stream = &b, .len = len };
	struct child pause = { .span = 20 * TORC_MS };
	torc_ns cpu;
	char byte;
	TORC_SCOPE(scope);

	stream_pair(&a, &b);
	ck_assert_int_eq(fcntl(torc_async_fd(&a.async), F_SETFL, O_RDWR | O_NONBLOCK), 0);
	ck_assert_int_eq(fcntl(torc_async_fd(&b.async), F_SETFL, O_RDWR | O_NONBLOCK), 0);
	ck_assert_int_eq(torc_go(scope, drink, &in), 0);
	ck_assert_int_eq(child_run(&pause), 0);
	ck_assert_int_eq(torc_go(scope, pour, &out), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert(in.good && in.sum == len);

	cpu = cpu_now();
	{
		TORC_SCOPE(wait, .deadline = torc_in(200 * TORC_MS));

		ck_assert_int_eq(torc_stream_read(&b, &byte, 1), -ETIME);
		ck_assert_int_eq(torc_stream_peek(&b, &byte, 1), -ETIME);
	}
	ck_assert_int_lt(cpu_now() - cpu, COUNT(50, 150) * TORC_MS); /* nor does it spin */
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

/* --- options --------------------------------------------------------------------------------- */

static int option_of(const struct torc_stream *stream, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof value;

	ck_assert_int_eq(getsockopt(torc_async_fd(&stream->async), level, name, &value, &len), 0);
	return value;
}

TEST_IN_FIBER(nodelay_is_set_and_taken_back)
{
	struct torc_stream a, b;

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_tcp_set_nodelay(&a, true), 0);
	ck_assert_int_ne(option_of(&a, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_eq(torc_tcp_set_nodelay(&a, false), 0);
	ck_assert_int_eq(option_of(&a, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

TEST_IN_FIBER(keepalive_is_in_whole_seconds_and_at_least_one)
{
	static const struct {
		torc_ns idle;
		int least, most;
	} rows[] = {
		{ 1, 1, 1 }, { TORC_MS, 1, 1 }, { TORC_SEC, 1, 1 }, { 1500 * TORC_MS, 1, 2 }, { 60 * TORC_SEC, 60, 60 },
	};
	struct torc_stream a, b;

	stream_pair(&a, &b);
	for (size_t i = 0; i < LENGTH(rows); i++) {
		ck_assert_int_eq(torc_tcp_set_keepalive(&a, rows[i].idle), 0);
		ck_assert_int_eq(option_of(&a, SOL_SOCKET, SO_KEEPALIVE), 1);
		ck_assert_int_ge(option_of(&a, IPPROTO_TCP, TCP_KEEPIDLE), rows[i].least);
		ck_assert_int_le(option_of(&a, IPPROTO_TCP, TCP_KEEPIDLE), rows[i].most);
		ck_assert_int_ge(option_of(&a, IPPROTO_TCP, TCP_KEEPINTVL), 1);
		ck_assert_int_le(option_of(&a, IPPROTO_TCP, TCP_KEEPINTVL), rows[i].most);
	}
	ck_assert_int_eq(torc_tcp_set_keepalive(&a, 0), 0);
	ck_assert_int_eq(option_of(&a, SOL_SOCKET, SO_KEEPALIVE), 0);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

TEST_IN_FIBER(user_timeout_is_in_milliseconds)
{
	struct torc_stream a, b;

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_tcp_set_user_timeout(&a, 1500 * TORC_MS), 0);
	ck_assert_int_eq(option_of(&a, IPPROTO_TCP, TCP_USER_TIMEOUT), 1500);
	ck_assert_int_eq(torc_tcp_set_user_timeout(&a, 1), 0); /* not 0: that would mean the default */
	ck_assert_int_eq(option_of(&a, IPPROTO_TCP, TCP_USER_TIMEOUT), 1);
	ck_assert_int_eq(torc_tcp_set_user_timeout(&a, 0), 0);
	ck_assert_int_eq(option_of(&a, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

TEST_IN_FIBER(linger_resets_or_leaves_it_to_the_kernel_and_never_blocks)
{
	struct torc_stream a, b;
	struct linger linger;
	socklen_t len = sizeof linger;
	char byte;

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_tcp_set_linger(&a, 1), -EINVAL);
	ck_assert_int_eq(torc_tcp_set_linger(&a, TORC_SEC), -EINVAL);
	ck_assert_int_eq(torc_tcp_set_linger(&a, 0), 0);
	ck_assert_int_eq(getsockopt(torc_async_fd(&a.async), SOL_SOCKET, SO_LINGER, &linger, &len), 0);
	ck_assert(linger.l_onoff != 0 && linger.l_linger == 0);
	ck_assert_int_eq(torc_tcp_set_linger(&a, -1), 0);
	ck_assert_int_eq(getsockopt(torc_async_fd(&a.async), SOL_SOCKET, SO_LINGER, &linger, &len), 0);
	ck_assert_int_eq(linger.l_onoff, 0);
	ck_assert_int_eq(torc_tcp_set_linger(&a, 0), 0);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_read(&b, &byte, 1), -ECONNRESET);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

TEST_IN_FIBER(buffers_are_set_one_by_one)
{
	struct torc_stream a, b;
	int send, receive;

	stream_pair(&a, &b);
	send = option_of(&a, SOL_SOCKET, SO_SNDBUF);
	receive = option_of(&a, SOL_SOCKET, SO_RCVBUF);
	ck_assert_int_eq(torc_tcp_set_buffers(&a, 0, 0), 0);
	ck_assert_int_eq(option_of(&a, SOL_SOCKET, SO_SNDBUF), send);
	ck_assert_int_eq(option_of(&a, SOL_SOCKET, SO_RCVBUF), receive);
	ck_assert_int_eq(torc_tcp_set_buffers(&a, 30000, 0), 0);
	ck_assert_int_eq(option_of(&a, SOL_SOCKET, SO_SNDBUF), 60000); /* the kernel doubles: socket(7) */
	ck_assert_int_eq(option_of(&a, SOL_SOCKET, SO_RCVBUF), receive);
	ck_assert_int_eq(torc_tcp_set_buffers(&a, 0, 40000), 0);
	ck_assert_int_eq(option_of(&a, SOL_SOCKET, SO_SNDBUF), 60000);
	ck_assert_int_eq(option_of(&a, SOL_SOCKET, SO_RCVBUF), 80000);
	ck_assert_int_eq(torc_stream_close(&a), 0);
	ck_assert_int_eq(torc_stream_close(&b), 0);
}

TEST_IN_FIBER(every_call_on_an_empty_handle_is_ebadf_and_close_is_harmless)
{
	struct torc_stream empty = { .async = { 0 } }, peer = { .async = { 0 } };
	struct torc_listener none = { .async = { 0 } };
	struct torc_addr addr;
	struct iovec piece = { (char[]){ "x" }, 1 };
	char byte;

	ck_assert_int_eq(torc_listener_accept(&none, &peer), -EBADF);
	ck_assert_int_eq(torc_listener_addr(&none, &addr), -EBADF);
	ck_assert_int_eq(torc_stream_read(&empty, &byte, 1), -EBADF);
	ck_assert_int_eq(torc_stream_read_exact(&empty, &byte, 1), -EBADF);
	ck_assert_int_eq(torc_stream_peek(&empty, &byte, 1), -EBADF);
	ck_assert_int_eq(torc_stream_write(&empty, "x", 1), -EBADF);
	ck_assert_int_eq(torc_stream_writev(&empty, &piece, 1), -EBADF);
	ck_assert_int_eq(torc_stream_shutdown(&empty, TORC_SHUTDOWN_BOTH), -EBADF);
	ck_assert_int_eq(torc_stream_local_addr(&empty, &addr), -EBADF);
	ck_assert_int_eq(torc_stream_peer_addr(&empty, &addr), -EBADF);
	ck_assert_int_eq(torc_tcp_set_nodelay(&empty, true), -EBADF);
	ck_assert_int_eq(torc_tcp_set_keepalive(&empty, TORC_SEC), -EBADF);
	ck_assert_int_eq(torc_tcp_set_user_timeout(&empty, TORC_SEC), -EBADF);
	ck_assert_int_eq(torc_tcp_set_linger(&empty, 0), -EBADF);
	ck_assert_int_eq(torc_tcp_set_buffers(&empty, 4096, 4096), -EBADF);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(torc_stream_close(&empty), 0);
		ck_assert_int_eq(torc_listener_close(&none), 0);
	}
}
