/* load.c - the clients. A phase connects them all, lets them ask until its time is over, and hangs up.
 *
 * Each step is a scope: joining the first is the barrier behind which all are connected, the deadline of the second is
 * what catches an answer that never comes, cancelling it is how the load is broken off. */
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	AT_ONCE = 256, /* connections being made at a time: fewer than the listener's backlog */
	ECHO_SIZE = 64,
};

#define TICK  (20 * TORC_MS) /* how often the server's fibers are counted */
#define GRACE (5 * TORC_SEC) /* for connecting, and for the last answers */

struct caller;

/* Ask once and check the answer. Returns 0 or -errno. */
typedef int exchange_fn(struct caller *caller);

struct caller {
	struct phase *phase;
	const bool *over; /* the phase's time is */
	exchange_fn *exchange;
	struct torc_addr addr;
	struct torc_stream stream;
	bool connected;
	uint64_t seed; /* makes each echoed block different from all others */
};

/* --- the two languages ----------------------------------------------------------------------- */

static const char request[] = "GET /plaintext HTTP/1.1\r\n"
			      "Host: 127.0.0.1\r\n"
			      "\r\n";

/* The date in the middle is the one thing that may differ. */
static const char answer_front[] = "HTTP/1.1 200 OK\r\n"
				   "Server: torc-demo\r\n"
				   "Date: ";
static const char answer_back[] = " GMT\r\n"
				  "Content-Type: text/plain; charset=utf-8\r\n"
				  "Content-Length: 14\r\n"
				  "\r\n"
				  "Hello, World!\n";

enum {
	REQUEST_LEN = sizeof request - 1,
	FRONT_LEN = sizeof answer_front - 1,
	DATE_LEN = sizeof "Thu, 01 Jan 1970 00:00:00" - 1,
	BACK_LEN = sizeof answer_back - 1,
	ANSWER_LEN = FRONT_LEN + DATE_LEN + BACK_LEN,
};

/* read_exact, but an end is an error: nobody has said goodbye. */
static int read_answer(struct torc_stream *stream, void *buf, size_t len)
{
	int r = torc_stream_read_exact(stream, buf, len);

	return r == 0 ? -ENODATA : r;
}

static int exchange_http(struct caller *caller)
{
	char answer[ANSWER_LEN];
	int r;

	if ((r = torc_stream_write(&caller->stream, request, REQUEST_LEN)) < 0 ||
	    (r = read_answer(&caller->stream, answer, sizeof answer)) < 0)
		return r;
	if (memcmp(answer, answer_front, FRONT_LEN) != 0 ||
	    memcmp(answer + FRONT_LEN + DATE_LEN, answer_back, BACK_LEN) != 0)
		return -EBADMSG;
	return 0;
}

static void fill(uint64_t block[ECHO_SIZE / 8], uint64_t *seed)
{
	for (int i = 0; i < ECHO_SIZE / 8; i++)
		block[i] = *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
}

static int exchange_echo(struct caller *caller)
{
	uint64_t said[ECHO_SIZE / 8], heard[ECHO_SIZE / 8];
	int r;

	fill(said, &caller->seed);
	if ((r = torc_stream_write(&caller->stream, said, sizeof said)) < 0 ||
	    (r = read_answer(&caller->stream, heard, sizeof heard)) < 0)
		return r;
	return memcmp(said, heard, sizeof said) == 0 ? 0 : -EBADMSG;
}

/* --- one caller ------------------------------------------------------------------------------ */

/* A caller that was cancelled was called off, and that is no fault of the server. */
static int note(struct caller *caller, int r)
{
	if (r < 0 && r != -ECANCELED)
		phase_fail(caller->phase, r);
	return r;
}

static int connect_caller(void *arg)
{
	struct caller *caller = arg;
	int r = torc_tcp_connect_to(&caller->stream, &caller->addr);

	if (r >= 0) {
		caller->connected = true;
		r = torc_tcp_set_nodelay(&caller->stream, true);
	}
	return note(caller, r);
}

static int keep_asking(void *arg)
{
	struct caller *caller = arg;
	torc_ns asked = torc_now(), answered;
	int r;

	while (!*caller->over) {
		r = caller->exchange(caller);
		if (r < 0)
			return note(caller, r);
		answered = torc_now();
		histogram_add(&caller->phase->latency, answered - asked);
		asked = answered;
	}
	return 0;
}

/* --- one phase ------------------------------------------------------------------------------- */

/* Wait for all in it. What went wrong with one has been noted when it did. */
static void see_out(struct torc_scope *callers)
{
	int first_failure = torc_scope_join(callers);

	(void)first_failure;
}

static int connect_all(struct load *load, struct caller *callers, unsigned count)
{
	int r = 0;

	TORC_SCOPE(connecting, .until = TORC_ALL_DONE, .limit = AT_ONCE, .deadline = torc_in(GRACE));
	load->busy = connecting;
	for (unsigned i = 0; i < count && r >= 0; i++)
		r = torc_go(connecting, connect_caller, &callers[i]);
	see_out(connecting);
	load->busy = NULL;
	return r;
}

static int ask_all(struct load *load, struct phase *phase, struct caller *callers, bool *over)
{
	const struct boards *boards = &load->servers->boards;
	torc_ns end = torc_in(phase->span);

	TORC_SCOPE(asking, .until = TORC_ALL_DONE, .deadline = end + GRACE);
	load->busy = asking;
	for (unsigned i = 0; i < phase->connections; i++) {
		int r = callers[i].connected ? torc_go(asking, keep_asking, &callers[i]) : 0;

		if (r < 0) {
			load->busy = NULL;
			return r;
		}
	}
	phase_begin(phase, boards);
	while (torc_now() < end && torc_scope_live(asking) > 0 && torc_sleep(TICK) == 0) /* ends when called off */
		phase_watch(phase, boards);
	*over = true;
	see_out(asking);
	load->busy = NULL;
	phase_end(phase);
	return 0;
}

static struct caller *new_callers(struct load *load, struct phase *phase, const bool *over)
{
	struct caller *callers = calloc(phase->connections, sizeof *callers);

	for (unsigned i = 0; callers && i < phase->connections; i++) {
		bool http = i % 2 == 0;

		callers[i].phase = phase;
		callers[i].over = over;
		callers[i].exchange = http ? exchange_http : exchange_echo;
		callers[i].addr = http ? load->servers->http : load->servers->echo;
		callers[i].seed = (uint64_t)i << 40;
	}
	return callers;
}

static int run_phase(struct load *load, struct phase *phase)
{
	bool over = false;
	struct caller *callers = new_callers(load, phase, &over);
	int r;

	if (!callers)
		return -ENOMEM;
	phase_connect(phase);
	r = connect_all(load, callers, phase->connections);
	if (load->called_off)
		r = 0;
	if (r >= 0)
		r = torc_sleep(2 * SERVER_TICK); /* so that what the server has on its board is of after the accepts */
	if (r >= 0 && !load->called_off)
		r = ask_all(load, phase, callers, &over);
	if (r >= 0 && phase_state(phase) == PHASE_RUNNING)
		r = torc_sleep(2 * SERVER_TICK); /* and now of after the last answer */
	if (r >= 0 && phase_state(phase) == PHASE_RUNNING)
		phase_settle(phase, &load->servers->boards);
	for (unsigned i = 0; i < phase->connections; i++)
		torc_stream_close(&callers[i].stream);
	free(callers);
	return r;
}

int load_main(void *arg)
{
	struct load *load = arg;
	int r = 0;

	for (unsigned i = 0; i < load->phase_count && r >= 0 && !load->called_off; i++)
		r = run_phase(load, &load->phases[i]);
	return r;
}

int load_stop(void *arg)
{
	struct load *load = arg;

	load->called_off = true;
	if (load->busy)
		torc_scope_cancel(load->busy);
	return 0;
}
