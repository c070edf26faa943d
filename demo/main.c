/* main.c - torc-demo: a server under load for ten seconds, and what that cost.
 *
 * The server is a torc_cores_run on all cores, the load another one on one; they speak with each other over TCP only. This
 * thread waits for signals and draws the page; what it shows it reads off atomics, what it wants it says through remotes. */
#include "demo.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define FRAME (TORC_SEC / 4)

/* --- getting ready --------------------------------------------------------------------------- */

/* Block in every thread the signals that this one will ask for. */
static void block_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGHUP);
	sigaddset(signals, SIGWINCH);
	sigaddset(signals, SIGTSTP);
	pthread_sigmask(SIG_BLOCK, signals, NULL);
}

/* A connection takes two descriptors, since both its ends are in this process. */
static unsigned most_connections(void)
{
	enum { SPARE = 64 };
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return UINT32_MAX;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur <= SPARE + 2)
		return 1;
	return limit.rlim_cur > UINT32_MAX ? UINT32_MAX / 2 : (unsigned)(limit.rlim_cur - SPARE) / 2;
}

static int prepare_phases(struct demo *demo)
{
	const struct options *options = &demo->options;
	unsigned most = most_connections();

	if (options->no_load)
		return 0;
	demo->phases = calloc(options->phase_count, sizeof *demo->phases);
	if (!demo->phases)
		return -ENOMEM;
	demo->phase_count = options->phase_count;
	for (unsigned i = 0; i < demo->phase_count; i++) {
		struct phase *phase = &demo->phases[i];

		phase->connections = options->connections[i];
		phase->span = (torc_ns)(options->seconds / demo->phase_count * TORC_SEC);
		if (phase->connections > most) {
			fprintf(stderr, "torc-demo: %u connections instead of %u: RLIMIT_NOFILE allows no more\n", most,
			        phase->connections);
			phase->connections = most;
		}
	}
	return 0;
}

static unsigned count_cpus(void)
{
	cpu_set_t allowed;
	int count = sched_getaffinity(0, sizeof allowed, &allowed) < 0 ? 1 : CPU_COUNT(&allowed);

	return count < OPTIONS_CORES ? (unsigned)count : OPTIONS_CORES;
}

static int open_server(struct demo *demo)
{
	unsigned count = demo->options.cores ? demo->options.cores : count_cpus();
	int r;

	demo->servers.batch = !demo->options.no_batch;
	r = server_open(&demo->servers, count, demo->options.port, demo->options.echo_port);
	if (r < 0)
		return r;
	demo->last = calloc(count, sizeof *demo->last);
	demo->core_rows = calloc(count, sizeof *demo->core_rows);
	if (!demo->last || !demo->core_rows)
		return -ENOMEM;
	for (unsigned core = 0; core < count; core++)
		demo->core_rows[core].core = core;
	snprintf(demo->url, sizeof demo->url, "http://127.0.0.1:%d", torc_addr_port(&demo->servers.http));
	snprintf(demo->echo, sizeof demo->echo, "127.0.0.1:%d", torc_addr_port(&demo->servers.echo));
	printf("torc-demo: %s/ and echo on %s\n", demo->url, demo->echo);
	fflush(stdout);
	return 0;
}

/* Where the kernel refuses io_uring, say so once, and not by way of two threads that fail. */
static int check_kernel(void)
{
	int r = torc_probe(NULL, 0);

	if (r < 0)
		fprintf(stderr, "torc-demo: %s\n", torc_probe_explain(r));
	return r;
}

/* The allowed CPUs from number `first` on, at most `count` of them, as torc_cores_options wants them. */
static void list_cpus(char *text, size_t size, unsigned first, unsigned count)
{
	cpu_set_t allowed;
	size_t len = 0;
	unsigned seen = 0;

	text[0] = '\0';
	if (sched_getaffinity(0, sizeof allowed, &allowed) < 0)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE && seen < first + count; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || seen++ < first)
			continue;
		if (len + 8 > size) /* more than fits: all, then */
			text[len = 0] = '\0';
		else
			len += (size_t)snprintf(text + len, size - len, len > 0 ? ",%d" : "%d", cpu);
	}
}

/* A CPU for each core of the server where there are enough, and what is left for the load. Where nothing is left the
 * load competes with the server, and the page has to say so. */
static void place(struct demo *demo)
{
	struct worker *serving = &demo->serving, *loading = &demo->loading;
	unsigned cpus = count_cpus(), cores = serving->cores;
	bool crowded = cores > cpus, load = demo->phase_count > 0;

	if (!crowded) {
		list_cpus(serving->cpus, sizeof serving->cpus, 0, cores);
		serving->placement = serving->cpus[0] ? TORC_FIXED : TORC_UNBOUND;
	}
	if (cores < cpus) {
		list_cpus(loading->cpus, sizeof loading->cpus, cores, cpus - cores);
		loading->placement = loading->cpus[0] ? TORC_FENCED : TORC_UNBOUND;
	}
	snprintf(demo->where, sizeof demo->where, "%u core%s on %u CPU%s", cores, cores == 1 ? "" : "s", cpus,
	         cpus == 1 ? "" : "s");
	if (crowded || (load && cores == cpus))
		snprintf(demo->sharing, sizeof demo->sharing,
		         "%s share %u CPU%s: what one uses another lacks, which these figures include",
		         load ? "server and load" : "the cores of the server", cpus, cpus == 1 ? "" : "s");
}

static int start_threads(struct demo *demo)
{
	int r;

	demo->serving = (struct worker){ .name = "torc-server", .fn = server_main, .arg = &demo->servers };
	demo->serving.cores = demo->servers.count;
	demo->loading = (struct worker){ .name = "torc-load", .fn = load_main, .arg = &demo->load, .cores = 1 };
	place(demo);

	demo->load.servers = &demo->servers;
	demo->load.phases = demo->phases;
	demo->load.phase_count = demo->phase_count;
	demo->started = demo->last_read = torc_now();
	r = worker_start(&demo->serving);
	if (r >= 0 && demo->phase_count > 0)
		r = worker_start(&demo->loading);
	return r;
}

/* --- from beginning to end ------------------------------------------------------------------- */

static bool finished(struct demo *demo)
{
	double limit = demo->options.seconds;

	if (worker_ended(&demo->serving)) /* of its own: it has failed */
		return true;
	if (demo->phase_count > 0)
		return worker_ended(&demo->loading);
	return limit > 0 && (double)(torc_now() - demo->started) / TORC_SEC >= limit;
}

/* Ctrl-Z: the shell gets its terminal as it was. The clocks run on. */
static void suspend(struct demo *demo)
{
	bool was_open = demo->page.open;

	page_close(&demo->page);
	raise(SIGSTOP);
	if (was_open)
		page_open(&demo->page);
}

/* Draw until all is done or a signal says so. Returns the signal, or 0. */
static int watch(struct demo *demo, const sigset_t *signals)
{
	static const struct timespec frame = { .tv_nsec = FRAME };

	while (!finished(demo)) {
		int signal = sigtimedwait(signals, NULL, &frame);

		if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP)
			return signal;
		if (signal == SIGTSTP)
			suspend(demo);
		view_draw(demo);
	}
	return 0;
}

/* The load first, so that nobody is hung up on. */
static int stop_threads(struct demo *demo)
{
	int loaded, served;

	loaded = worker_stop(&demo->loading, load_stop, &demo->load);
	demo->ended = torc_now();
	served = worker_stop(&demo->serving, server_stop, &demo->servers);
	if (loaded < 0)
		fprintf(stderr, "torc-demo: the load ended early: %s\n", strerror(-loaded));
	if (served < 0)
		fprintf(stderr, "torc-demo: the server ended early: %s\n", strerror(-served));
	return loaded < 0 ? loaded : served;
}

/* Returns the exit status, or -errno. */
static int run(struct demo *demo)
{
	sigset_t signals;
	bool failed;
	int r, signal = 0;

	block_signals(&signals);
	if ((r = prepare_phases(demo)) < 0 || (r = open_server(demo)) < 0)
		return r;
	r = start_threads(demo);
	if (r >= 0) {
		if (!demo->options.plain)
			page_open(&demo->page);
		signal = watch(demo, &signals);
		page_close(&demo->page);
	}
	pthread_sigmask(SIG_UNBLOCK, &signals, NULL); /* a second Ctrl-C is meant */
	failed = stop_threads(demo) < 0;
	if (r < 0)
		return r;
	if (view_summarize(demo) > 0 || failed)
		return 1;
	return signal && demo->phase_count > 0 ? 128 + signal : 0;
}

int main(int argc, char **argv)
{
	static struct demo demo;
	int r;

	demo.options = options_parse(argc, argv);
	if (check_kernel() < 0)
		return 1;
	r = run(&demo);
	if (r < 0)
		fprintf(stderr, "torc-demo: %s\n", strerror(-r));
	server_close(&demo.servers);
	free(demo.last);
	free(demo.core_rows);
	free(demo.phases);
	return r < 0 ? 1 : r;
}
