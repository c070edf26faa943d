/*
 * echo_uring: the yardstick for TCP echo, straight on liburing.
 *
 *   echo_uring single PORT    RECV, then SEND, a buffer a connection
 *   echo_uring multi PORT     multishot RECV into a ring of provided buffers, each sent from where
 *                             it was received and handed back when its send is complete
 *
 * (SEND linked to the next RECV with IO_LINK, no completion for the SEND, was tried: within the
 * noise of `single`.)
 *
 * The contract of every echo server here: listens on 127.0.0.1:PORT, prints "ready", echoes until
 * SIGTERM, then prints one line of JSON (requests, enters, sqes, cpu_ns) and exits 0.
 *
 * Needs: liburing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#ifndef IORING_RECVSEND_POLL_FIRST
#define IORING_RECVSEND_POLL_FIRST (1U << 0)
#endif
#ifndef IORING_RECV_MULTISHOT
#define IORING_RECV_MULTISHOT (1U << 1)
#endif
#ifndef IORING_ACCEPT_MULTISHOT
#define IORING_ACCEPT_MULTISHOT (1U << 0)
#endif
#ifndef IORING_CQE_F_SOCK_NONEMPTY
#define IORING_CQE_F_SOCK_NONEMPTY (1U << 2)
#endif

#define SQ_ENTRIES   1024u
#define CQ_ENTRIES   8192u
#define BUFFER_SIZE  4096u /* a connection's own */
#define PIECE_SIZE   1024u /* a provided one: small, because all of them are cycled through */
#define BUFFER_COUNT 1024u /* a power of two */
#define BUFFER_GROUP 0u
#define NO_BUFFER    (-1)

/* in the low bits of user_data, beside the connection's address */
enum op { OP_RECV, OP_SEND, OP_ACCEPT, OP_SIGNAL, OP_MASK = 7 };

struct connection {
	int fd;
	bool sending, receiving, closing;
	bool nonempty; /* single only: the last receive left something behind */
	/* multi only: received buffers in the order in which they must be sent, the first one in
	 * flight; and whether it waits for buffers to be handed back */
	int first, last;
	bool starved;
	struct connection *next_starved;
	char buffer[]; /* single only */
};

static struct {
	struct io_uring ring;
	uint64_t requests, enters, sqes;
	bool multi, stop;
	int listener, signals;
	struct signalfd_siginfo siginfo;
	/* multi */
	struct io_uring_buf_ring *buffers;
	char *bytes;
	unsigned returned; /* buffers added, not yet published */
	struct {
		int next;
		unsigned len;
	} chain[BUFFER_COUNT];
	struct connection *starved;
} server;

static void submit(void)
{
	int ret = io_uring_submit(&server.ring);

	server.enters++;
	if (ret < 0 && ret != -EAGAIN && ret != -EBUSY && ret != -EINTR)
		bench_die("submit failed");
}

static struct io_uring_sqe *sqe_get(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&server.ring);

	while (!sqe) {
		submit();
		sqe = io_uring_get_sqe(&server.ring);
	}
	server.sqes++;
	return sqe;
}

static void accept_start(void)
{
	struct io_uring_sqe *sqe = sqe_get();

	io_uring_prep_multishot_accept(sqe, server.listener, NULL, NULL, SOCK_CLOEXEC);
	sqe->user_data = OP_ACCEPT;
}

static void signal_start(void)
{
	struct io_uring_sqe *sqe = sqe_get();

	io_uring_prep_read(sqe, server.signals, &server.siginfo, sizeof server.siginfo, 0);
	sqe->user_data = OP_SIGNAL;
}

/* poll_first: nothing is there to be read yet, do not try */
static void recv_start(struct connection *c, bool poll_first)
{
	struct io_uring_sqe *sqe = sqe_get();

	if (server.multi) {
		io_uring_prep_recv(sqe, c->fd, NULL, 0, 0);
		sqe->ioprio = IORING_RECV_MULTISHOT;
		sqe->flags = IOSQE_BUFFER_SELECT;
		sqe->buf_group = BUFFER_GROUP;
	} else {
		io_uring_prep_recv(sqe, c->fd, c->buffer, BUFFER_SIZE, 0);
	}
	if (poll_first)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	sqe->user_data = (uint64_t)(uintptr_t)c | OP_RECV;
	c->receiving = true;
}

/* MSG_WAITALL: the kernel retries until all is sent */
static void send_start(struct connection *c, const char *bytes, unsigned len)
{
	struct io_uring_sqe *sqe = sqe_get();

	io_uring_prep_send(sqe, c->fd, bytes, len, MSG_WAITALL | MSG_NOSIGNAL);
	sqe->user_data = (uint64_t)(uintptr_t)c | OP_SEND;
	c->sending = true;
}

static char *buffer_at(int id)
{
	return server.bytes + (size_t)id * PIECE_SIZE;
}

static void buffer_return(int id)
{
	io_uring_buf_ring_add(server.buffers, buffer_at(id), PIECE_SIZE, (unsigned short)id,
	                      io_uring_buf_ring_mask(BUFFER_COUNT), (int)server.returned++);
}

static void buffers_publish(void)
{
	if (!server.returned)
		return;
	io_uring_buf_ring_advance(server.buffers, (int)server.returned);
	server.returned = 0;
	while (server.starved) {
		struct connection *c = server.starved;

		server.starved = c->next_starved;
		c->starved = false;
		recv_start(c, true);
	}
}

/* frees the connection when nothing in flight refers to it */
static void connection_end(struct connection *c)
{
	if (!c->closing)
		shutdown(c->fd, SHUT_RDWR);
	c->closing = true;
	if (c->sending || c->receiving || c->starved)
		return;
	close(c->fd);
	free(c);
}

static void connection_open(int fd)
{
	struct connection *c;

	c = aligned_alloc(64, 64 + (server.multi ? 0 : BUFFER_SIZE));
	if (!c)
		bench_die("no memory");
	*c = (struct connection){ .fd = fd, .first = NO_BUFFER, .last = NO_BUFFER };
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	recv_start(c, true);
}

/* ---- single ---- */

static void single_received(struct connection *c, const struct io_uring_cqe *cqe)
{
	c->receiving = false;
	c->nonempty = cqe->flags & IORING_CQE_F_SOCK_NONEMPTY;
	if (cqe->res <= 0)
		connection_end(c);
	else
		send_start(c, c->buffer, (unsigned)cqe->res);
}

static void single_sent(struct connection *c, int res)
{
	c->sending = false;
	if (res < 0) {
		connection_end(c);
		return;
	}
	server.requests++;
	recv_start(c, !c->nonempty);
}

/* ---- multi ---- */

static void multi_received(struct connection *c, const struct io_uring_cqe *cqe)
{
	c->receiving = cqe->flags & IORING_CQE_F_MORE;
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		int id = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

		if (cqe->res <= 0 || c->closing) {
			buffer_return(id);
		} else {
			server.chain[id].next = NO_BUFFER;
			server.chain[id].len = (unsigned)cqe->res;
			if (c->first == NO_BUFFER) {
				c->first = id;
				send_start(c, buffer_at(id), (unsigned)cqe->res);
			} else {
				server.chain[c->last].next = id;
			}
			c->last = id;
		}
	}
	if (cqe->res == -ENOBUFS && !c->closing) {
		c->starved = true;
		c->next_starved = server.starved;
		server.starved = c;
	} else if (cqe->res <= 0 || c->closing) {
		connection_end(c);
	} else if (!c->receiving) {
		recv_start(c, !(cqe->flags & IORING_CQE_F_SOCK_NONEMPTY));
	}
}

static void multi_sent(struct connection *c, int res)
{
	int id = c->first;

	c->sending = false;
	c->first = server.chain[id].next;
	buffer_return(id);
	if (res >= 0 && !c->closing) {
		server.requests++;
		if (c->first != NO_BUFFER)
			send_start(c, buffer_at(c->first), server.chain[c->first].len);
		return;
	}
	while (c->first != NO_BUFFER) {
		buffer_return(c->first);
		c->first = server.chain[c->first].next;
	}
	connection_end(c);
}

static void multi_open(void)
{
	struct io_uring_buf_reg reg = { .ring_entries = BUFFER_COUNT, .bgid = BUFFER_GROUP };

	server.buffers = aligned_alloc(4096, BUFFER_COUNT * sizeof(struct io_uring_buf));
	server.bytes = aligned_alloc(4096, (size_t)BUFFER_COUNT * PIECE_SIZE);
	if (!server.buffers || !server.bytes)
		bench_die("no memory");
	reg.ring_addr = (uint64_t)(uintptr_t)server.buffers;
	io_uring_buf_ring_init(server.buffers);
	if (io_uring_register_buf_ring(&server.ring, &reg, 0) < 0)
		bench_die("io_uring_register_buf_ring failed");
	for (unsigned i = 0; i < BUFFER_COUNT; i++)
		buffer_return((int)i);
	buffers_publish();
}

/* ---- both ---- */

static void completed(const struct io_uring_cqe *cqe)
{
	struct connection *c = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)OP_MASK);

	switch ((enum op)(cqe->user_data & OP_MASK)) {
	case OP_RECV:
		if (server.multi)
			multi_received(c, cqe);
		else
			single_received(c, cqe);
		break;
	case OP_SEND:
		if (server.multi)
			multi_sent(c, cqe->res);
		else
			single_sent(c, cqe->res);
		break;
	case OP_ACCEPT:
		if (cqe->res >= 0)
			connection_open(cqe->res);
		if (!(cqe->flags & IORING_CQE_F_MORE))
			accept_start();
		break;
	default:
		server.stop = true;
		break;
	}
}

static void turn(void)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;
	int ret = io_uring_submit_and_wait(&server.ring, 1);

	server.enters++;
	if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY)
		bench_die("submit_and_wait failed");
	io_uring_for_each_cqe (&server.ring, head, cqe) {
		completed(cqe);
		seen++;
	}
	io_uring_cq_advance(&server.ring, seen);
	if (server.multi)
		buffers_publish();
}

static void server_open(int port)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		         IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = CQ_ENTRIES,
	};
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	server.signals = signalfd(-1, &mask, SFD_CLOEXEC);
	server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(server.listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (server.signals < 0 || server.listener < 0 || bind(server.listener, (struct sockaddr *)&addr, sizeof addr) ||
	    listen(server.listener, 4096))
		bench_die("cannot listen");
	if (io_uring_queue_init_params(SQ_ENTRIES, &server.ring, &params) < 0)
		bench_die("io_uring_queue_init_params failed");
	if (io_uring_register_ring_fd(&server.ring) != 1)
		bench_die("io_uring_register_ring_fd failed");
	if (server.multi)
		multi_open();
	accept_start();
	signal_start();
}

int main(int argc, char **argv)
{
	if (argc != 3 || (strcmp(argv[1], "single") && strcmp(argv[1], "multi"))) {
		fprintf(stderr, "usage: echo_uring single|multi PORT\n");
		return 2;
	}
	server.multi = !strcmp(argv[1], "multi");
	server_open(atoi(argv[2]));
	printf("ready\n");
	fflush(stdout);
	while (!server.stop)
		turn();
	printf("{\"requests\": %llu, \"enters\": %llu, \"sqes\": %llu, \"cpu_ns\": %llu}\n",
	       (unsigned long long)server.requests, (unsigned long long)server.enters, (unsigned long long)server.sqes,
	       (unsigned long long)bench_cpu_ns());
	return 0;
}
