/*
 * echo_load: closed-loop load for the echo servers, and their judge.
 *
 *   echo_load --port P --pid PID [--connections N] [--size BYTES] [--warmup MS] [--time MS]
 *
 * Every connection sends a message, waits until all of it has come back, compares it and sends the
 * next one. Prints one line of JSON: requests and errors of the measuring window, its seconds,
 * latency in ns (50 %, 99 %, 99.9 %), `starved` (connections that got no answer in the window) and
 * the CPU time that the server PID, and echo_load itself, spent in the same window. Exits 1 on any
 * error.
 *
 * To leave the server the bottleneck: one thread on a bare ring, everything that came back is
 * answered by one enter, and a send posts no completion.
 *
 * Needs: liburing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#ifndef IORING_RECVSEND_POLL_FIRST
#define IORING_RECVSEND_POLL_FIRST (1U << 0)
#endif

#define SQ_ENTRIES 4096u
#define CQ_ENTRIES 16384u
#define SEND_FLAG  1u  /* in the low bit of user_data: a send (seen only when it failed) */
#define GRACE_S    10u /* beyond warm-up and window: then something hangs */

/* latency histogram: 64 steps an octave, so within 1.6 % */
#define STEPS_LOG2 6u
#define STEPS      (1u << STEPS_LOG2)
#define SLOTS      ((64 - STEPS_LOG2) * STEPS)

struct connection {
	int fd;
	uint64_t sent_ns;
	uint64_t sequence;
	uint64_t answered; /* in the window */
	char *out, *in;
};

static struct {
	int port;
	pid_t pid;
	unsigned connections, size, warmup_ms, time_ms;
	struct io_uring ring;
	struct connection *all;
	uint64_t histogram[SLOTS];
	uint64_t requests, errors;
	clockid_t server_clock;
} load = { .connections = 16, .size = 64, .warmup_ms = 200, .time_ms = 1000 };

static unsigned slot_of(uint64_t ns)
{
	unsigned octave;

	if (ns < STEPS)
		return (unsigned)ns;
	octave = 63 - (unsigned)__builtin_clzll(ns) - STEPS_LOG2;
	return (octave + 1) * STEPS + (unsigned)(ns >> octave) - STEPS;
}

static uint64_t slot_ns(unsigned slot)
{
	unsigned octave = slot / STEPS;

	return octave ? (uint64_t)(slot % STEPS + STEPS) << (octave - 1) : slot;
}

static uint64_t percentile(double fraction)
{
	uint64_t wanted = (uint64_t)((double)load.requests * fraction), seen = 0;

	for (unsigned i = 0; i < SLOTS; i++) {
		seen += load.histogram[i];
		if (seen > wanted)
			return slot_ns(i);
	}
	return 0;
}

static struct io_uring_sqe *sqe_get(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&load.ring);

	while (!sqe) {
		if (io_uring_submit(&load.ring) < 0)
			bench_die("submit failed");
		sqe = io_uring_get_sqe(&load.ring);
	}
	return sqe;
}

/* the next message differs from every other one of this connection in its first eight bytes */
static void ask(struct connection *c, uint64_t now_ns)
{
	struct io_uring_sqe *sqe;

	c->sequence++;
	memcpy(c->out, &c->sequence, load.size < 8 ? load.size : 8);
	sqe = sqe_get();
	io_uring_prep_send(sqe, c->fd, c->out, load.size, MSG_WAITALL | MSG_NOSIGNAL);
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = (uint64_t)(uintptr_t)c | SEND_FLAG;
	sqe = sqe_get();
	io_uring_prep_recv(sqe, c->fd, c->in, load.size, MSG_WAITALL);
	sqe->ioprio = IORING_RECVSEND_POLL_FIRST;
	sqe->user_data = (uint64_t)(uintptr_t)c;
	c->sent_ns = now_ns;
}

static void answered(const struct io_uring_cqe *cqe, uint64_t now_ns)
{
	struct connection *c = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)SEND_FLAG);

	if (cqe->user_data & SEND_FLAG) {
		load.errors++; /* its receive reports as well, and ends the connection */
		return;
	}
	if (cqe->res != (int)load.size || memcmp(c->in, c->out, load.size)) {
		load.errors++;
		return;
	}
	load.requests++;
	c->answered++;
	load.histogram[slot_of(now_ns - c->sent_ns)]++;
	ask(c, now_ns);
}

/* one turn; returns the time at which its answers were there */
static uint64_t turn(void)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;
	uint64_t now_ns;
	int ret = io_uring_submit_and_wait(&load.ring, 1);

	if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY)
		bench_die("submit_and_wait failed");
	now_ns = bench_now_ns();
	io_uring_for_each_cqe (&load.ring, head, cqe) {
		answered(cqe, now_ns);
		seen++;
	}
	io_uring_cq_advance(&load.ring, seen);
	if (load.errors)
		bench_die("an answer was wrong or missing");
	return now_ns;
}

static void connection_open(struct connection *c, unsigned index)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)load.port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	uint64_t seed = index;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&addr, sizeof addr))
		bench_die("cannot connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	c->out = malloc(load.size);
	c->in = malloc(load.size);
	if (!c->out || !c->in)
		bench_die("no memory");
	for (unsigned i = 0; i < load.size; i++)
		c->out[i] = (char)bench_random(&seed);
}

static void load_open(void)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		         IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = CQ_ENTRIES,
	};
	struct rlimit files;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (clock_getcpuclockid(load.pid, &load.server_clock))
		bench_die("no such server");
	if (io_uring_queue_init_params(SQ_ENTRIES, &load.ring, &params) < 0)
		bench_die("io_uring_queue_init_params failed");
	if (io_uring_register_ring_fd(&load.ring) != 1)
		bench_die("io_uring_register_ring_fd failed");
	load.all = calloc(load.connections, sizeof *load.all);
	if (!load.all)
		bench_die("no memory");
	for (unsigned i = 0; i < load.connections; i++)
		connection_open(&load.all[i], i);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "pid", required_argument, NULL, 'i' },
		{ "connections", required_argument, NULL, 'c' },
		{ "size", required_argument, NULL, 's' },
		{ "warmup", required_argument, NULL, 'w' },
		{ "time", required_argument, NULL, 't' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		int value = option == '?' ? -1 : atoi(optarg);

		if (value < 0)
			bench_die("see the head of echo_load.c for the arguments");
		switch (option) {
		case 'p':
			load.port = value;
			break;
		case 'i':
			load.pid = value;
			break;
		case 'c':
			load.connections = (unsigned)value;
			break;
		case 's':
			load.size = (unsigned)value;
			break;
		case 'w':
			load.warmup_ms = (unsigned)value;
			break;
		case 't':
			load.time_ms = (unsigned)value;
			break;
		}
	}
	if (!load.port || !load.pid || !load.connections || !load.size || !load.time_ms)
		bench_die("see the head of echo_load.c for the arguments");
}

static void report(double seconds, uint64_t server_cpu_ns, uint64_t load_cpu_ns)
{
	unsigned starved = 0;

	for (unsigned i = 0; i < load.connections; i++)
		starved += !load.all[i].answered;
	printf("{\"requests\": %llu, \"seconds\": %.6f, \"p50_ns\": %llu, \"p99_ns\": %llu, "
	       "\"p999_ns\": %llu, \"errors\": %llu, \"starved\": %u, \"server_cpu_ns\": %llu, "
	       "\"load_cpu_ns\": %llu}\n",
	       (unsigned long long)load.requests, seconds, (unsigned long long)percentile(0.5),
	       (unsigned long long)percentile(0.99), (unsigned long long)percentile(0.999),
	       (unsigned long long)load.errors, starved, (unsigned long long)server_cpu_ns,
	       (unsigned long long)load_cpu_ns);
}

int main(int argc, char **argv)
{
	uint64_t begin_ns, now_ns, cpu_ns, own_ns;

	parse(argc, argv);
	/* a server that falls silent must not hang us: SIGALRM ends the process */
	alarm((load.warmup_ms + load.time_ms) / 1000 + GRACE_S);
	load_open();

	begin_ns = now_ns = bench_now_ns();
	for (unsigned i = 0; i < load.connections; i++)
		ask(&load.all[i], now_ns);
	while (now_ns < begin_ns + load.warmup_ms * 1000000ull)
		now_ns = turn();

	load.requests = 0;
	memset(load.histogram, 0, sizeof load.histogram);
	for (unsigned i = 0; i < load.connections; i++)
		load.all[i].answered = 0;
	cpu_ns = bench_clock_ns(load.server_clock);
	own_ns = bench_cpu_ns();
	begin_ns = now_ns = bench_now_ns();
	while (now_ns < begin_ns + load.time_ms * 1000000ull)
		now_ns = turn();
	cpu_ns = bench_clock_ns(load.server_clock) - cpu_ns;
	own_ns = bench_cpu_ns() - own_ns;

	report((double)(now_ns - begin_ns) / 1e9, cpu_ns, own_ns);
	return 0;
}
