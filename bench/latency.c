/* latency - does a latency-bound queue keep its promise beside one that saturates the core? The p99 of a 64-byte echo over
 * one connection, served in a queue with a bound of 100 us, alone and with eight computing fibers in a batch queue which
 * ask torc_yield_if_needed. Server on the first CPU that we may use, client (plain blocking sockets) on the second.
 * Needs: libtorc. */
#include "bench.h"

#include <torc.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRIPS = 20000, WARM = 2000, ROUNDS = 5, BATCH = 8, SIZE = 64 };

static int cpus[2];
static double p99[2][ROUNDS], p50[2][ROUNDS];

struct world {
	bool batch;
	bool over; /* the client is through */
	int port;
	struct torc_remote *remote;
	double *trips;
};

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static void find_cpus(void)
{
	cpu_set_t set;
	int found = 0;

	sched_getaffinity(0, sizeof set, &set);
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[found++] = cpu;
	if (found < 2)
		bench_die("needs two CPUs");
}

static int stop(void *arg)
{
	((struct world *)arg)->over = true;
	return 0;
}

static int talk_to(int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		bench_die("connect");
	return fd;
}

static void *client(void *arg)
{
	struct world *world = arg;
	char message[SIZE] = { 0 };
	int fd;

	pin(cpus[1]);
	fd = talk_to(world->port);
	for (int i = -WARM; i < TRIPS; i++) {
		uint64_t begin = bench_now_ns();

		if (send(fd, message, SIZE, 0) != SIZE || recv(fd, message, SIZE, MSG_WAITALL) != SIZE)
			bench_die("the echo ended");
		if (i >= 0)
			world->trips[i] = (double)(bench_now_ns() - begin);
	}
	close(fd);
	if (torc_remote_call(world->remote, stop, world) < 0)
		bench_die("torc_remote_call");
	return NULL;
}

static int echo(void *arg)
{
	struct torc_stream peer;
	char message[SIZE];
	int r = torc_listener_accept(arg, &peer);

	while (r >= 0 && (r = torc_stream_read(&peer, message, sizeof message)) > 0)
		r = torc_stream_write(&peer, message, (size_t)r);
	torc_stream_close(&peer);
	return r;
}

static int compute(void *arg)
{
	const struct world *world = arg;
	volatile uint64_t sum = 0;

	while (!world->over) {
		for (int i = 0; i < 200; i++)
			sum += (uint64_t)i * sum;
		torc_yield_if_needed();
	}
	return 0;
}

static int serve(void *arg)
{
	struct world *world = arg;
	struct torc_listener listener TORC_CLEANUP(torc_listener_close) = { { 0 }, NULL, NULL };
	struct torc_queue *urgent, *batch;
	struct torc_addr addr;
	pthread_t thread;
	int r;

	if (torc_tcp_listen(&listener, "127.0.0.1:0", TORC_OPTIONS(torc_listen_options, .nodelay = true)) < 0 ||
	    torc_listener_addr(&listener, &addr) < 0 || torc_remote_new(&world->remote) < 0 ||
	    torc_queue_new(&urgent, TORC_OPTIONS(torc_queue_options, .shares = 1000, .latency = 100 * TORC_US)) < 0 ||
	    torc_queue_new(&batch, TORC_OPTIONS(torc_queue_options, .shares = 10)) < 0)
		bench_die("the server does not start");
	world->port = torc_addr_port(&addr);
	TORC_SCOPE(serving, .queue = urgent);
	TORC_SCOPE(computing, .queue = batch);
	r = torc_go(serving, echo, &listener);
	for (int i = 0; r == 0 && world->batch && i < BATCH; i++)
		r = torc_go(computing, compute, world);
	if (r < 0 || pthread_create(&thread, NULL, client, world) != 0)
		bench_die("no client");
	r = torc_scope_join(serving);
	if (torc_scope_join(computing) < 0 || r < 0)
		bench_die("a fiber failed");
	while (!world->over)
		torc_sleep(TORC_MS);
	pthread_join(thread, NULL);
	torc_remote_free(world->remote);
	return 0;
}

static void measure(bool batch, int round)
{
	struct world world = { .batch = batch, .trips = calloc(TRIPS, sizeof(double)) };

	if (!world.trips || torc_run(NULL, serve, &world) < 0)
		bench_die("torc_run");
	qsort(world.trips, TRIPS, sizeof *world.trips, bench_double_cmp);
	p50[batch][round] = world.trips[TRIPS / 2] / 1e3;
	p99[batch][round] = world.trips[TRIPS / 100 * 99] / 1e3;
	free(world.trips);
}

int main(void)
{
	const int rounds = (int)bench_rounds(ROUNDS) < ROUNDS ? (int)bench_rounds(ROUNDS) : ROUNDS;
	double ratio;

	find_cpus();
	pin(cpus[0]);
	for (int round = 0; round < rounds; round++) {
		measure(round % 2, round);
		measure(!(round % 2), round);
	}
	ratio = bench_median_of(p99[1], rounds) / bench_median_of(p99[0], rounds);
	printf("latency: a 64-byte echo, server on one core (%d rounds of %d)\n", rounds, TRIPS);
	printf("  alone                  p50 %6.1f us, p99 %6.1f us\n", bench_median_of(p50[0], rounds),
	       bench_median_of(p99[0], rounds));
	printf("  beside a batch queue   p50 %6.1f us, p99 %6.1f us\n\n", bench_median_of(p50[1], rounds),
	       bench_median_of(p99[1], rounds));
	bench_figure("latency: beside a batch queue", "p99, times the p99 alone", ratio, "x");
	return 0;
}
