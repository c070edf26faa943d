/* chaos - everything at once and at random: streams read and written from both ends while scopes are cancelled, deadlines
 * pass and handles are closed under way. Bytes that arrive are the right ones, only documented errors are seen, nothing
 * hangs, nothing is left. */
#include "api.h"

#include <signal.h>

enum { WORKERS = 40, PIECE = 8192 };

struct chaos {
	unsigned seed;
	torc_ns end;
	struct torc_listener listener;
	char text[TORC_ADDR_TEXT];
	uint64_t rounds, bytes;
};

static unsigned dice(struct chaos *chaos, unsigned sides)
{
	return (unsigned)rand_r(&chaos->seed) % sides;
}

static bool documented(int error)
{
	return error == -ECANCELED || error == -ETIME || error == -EBADF || error == -EPIPE || error == -ECONNRESET ||
	       error == -ENODATA;
}

struct half {
	struct chaos *chaos;
	struct torc_stream *stream;
	size_t at;
};

static int pour(void *arg)
{
	struct half *half = arg;
	unsigned char buf[PIECE];
	struct iovec pieces[3];
	int r;

	do {
		size_t len = 1 + dice(half->chaos, PIECE), first = dice(half->chaos, (unsigned)len), second = len / 2;

		if (second < first)
			second = first;
		pattern_fill(buf, len, half->at);
		pieces[0] = (struct iovec){ buf, first };
		pieces[1] = (struct iovec){ buf + first, second - first };
		pieces[2] = (struct iovec){ buf + second, len - second };
		r = dice(half->chaos, 2) ? torc_stream_write(half->stream, buf, len)
		                         : torc_stream_writev(half->stream, pieces, 3);
		if (r >= 0 && r != (int)len)
			return -EPROTO;
		half->at += len;
	} while (r >= 0);
	return documented(r) ? 0 : r;
}

static int drink(void *arg)
{
	struct half *half = arg;
	unsigned char buf[PIECE];
	int r;

	do {
		size_t len = 1 + dice(half->chaos, PIECE);
		unsigned how = dice(half->chaos, 4);

		r = how == 0   ? torc_stream_peek(half->stream, buf, len)
		    : how == 1 ? torc_stream_read_exact(half->stream, buf, len)
		               : torc_stream_read(half->stream, buf, len);
		if (r > 0 && !pattern_holds(buf, (size_t)r, half->at))
			return -EILSEQ;
		if (r > 0 && how != 0) {
			half->at += (size_t)r;
			half->chaos->bytes += (size_t)r;
		}
	} while (r > 0);
	return r == 0 || documented(r) ? 0 : r;
}

static int open_ends(struct chaos *chaos, struct torc_stream *ends)
{
	int fds[2], r;

	if (dice(chaos, 2)) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
			return -errno;
		r = torc_stream_wrap(&ends[0], fds[0]);
		return r < 0 ? r : torc_stream_wrap(&ends[1], fds[1]);
	}
	/* Whose connection comes first does not matter: both ends of each are somebody's. */
	r = torc_tcp_connect(&ends[0], chaos->text);
	return r < 0 ? r : torc_listener_accept(&chaos->listener, &ends[1]);
}

static int talk(struct chaos *chaos, struct torc_stream *ends, bool own)
{
	struct half halves[4];
	int r;
	TORC_SCOPE(scope, .until = own ? TORC_FIRST_ERROR : TORC_ALL_DONE,
	           .deadline = torc_in((1 + dice(chaos, 4000)) * TORC_US));

	for (int i = 0; i < 4; i++) {
		halves[i] = (struct half){ chaos, &ends[i / 2], 0 };
		r = torc_go(scope, i % 2 ? drink : pour, &halves[i]);
		if (r < 0)
			return documented(r) ? 0 : r;
	}
	if (torc_sleep(dice(chaos, 3000) * TORC_US) == 0) {
		switch (dice(chaos, 5)) {
		case 0:
			torc_scope_cancel(scope);
			break;
		case 1:
			torc_stream_close(&ends[dice(chaos, 2)]);
			break;
		case 2:
			torc_tcp_set_linger(&ends[0], 0);
			torc_stream_close(&ends[0]);
			break;
		case 3:
			torc_stream_shutdown(&ends[dice(chaos, 2)], (enum torc_shutdown)dice(chaos, 3));
			break;
		default:
			return 0; /* leave: that cancels, too */
		}
	}
	r = torc_scope_join(scope);
	return r >= 0 || documented(r) ? 0 : r;
}

static int misbehave(void *arg)
{
	struct chaos *chaos = arg;

	while (torc_now() < chaos->end) {
		struct torc_stream ends[2] = { { .async = { 0 } } };
		int r = open_ends(chaos, ends);

		if (r == 0)
			r = talk(chaos, ends, dice(chaos, 2));
		torc_stream_close(&ends[0]);
		torc_stream_close(&ends[1]);
		if (r < 0)
			return r;
		chaos->rounds++;
	}
	return 0;
}

/* Accepts and connects that are cut short: what they get nevertheless is closed again. */
static int knock(void *arg)
{
	struct chaos *chaos = arg;
	struct torc_stream stream;
	int r = 0;

	while (torc_now() < chaos->end && (r == 0 || documented(r))) {
		TORC_SCOPE(scope, .deadline = torc_in(dice(chaos, 200) * TORC_US));

		r = torc_tcp_connect(&stream, chaos->text);
		if (r == 0)
			torc_stream_close(&stream);
	}
	return r == 0 || documented(r) ? 0 : r;
}

static int let_in(void *arg)
{
	struct chaos *chaos = arg;
	struct torc_stream stream;
	int r = 0;

	while (torc_now() < chaos->end && (r == 0 || documented(r))) {
		TORC_SCOPE(scope, .deadline = torc_in(dice(chaos, 500) * TORC_US));

		r = torc_listener_accept(&chaos->listener, &stream);
		if (r == 0)
			torc_stream_close(&stream);
	}
	return r == 0 || documented(r) ? 0 : r;
}

static int pairs_only(void *arg)
{
	struct chaos *chaos = arg;
	TORC_SCOPE(workers);

	for (int i = 0; i < WORKERS; i++)
		ck_assert_int_eq(torc_go(workers, misbehave, chaos), 0);
	return torc_scope_join(workers);
}

static int doors_only(void *arg)
{
	struct chaos *chaos = arg;
	TORC_SCOPE(workers);

	for (int i = 0; i < WORKERS; i++)
		ck_assert_int_eq(torc_go(workers, i % 2 ? knock : let_in, chaos), 0);
	return torc_scope_join(workers);
}

static int run_chaos(void *arg)
{
	torc_fn *fn = *(torc_fn **)arg;
	struct chaos chaos = { .seed = 1 };
	struct torc_stats stats;

	listen_here(&chaos.listener, chaos.text, NULL);
	chaos.end = torc_in(COUNT(1000, 3000) * TORC_MS);
	ck_assert_int_eq(fn(&chaos), 0);
	ck_assert_int_eq(torc_listener_close(&chaos.listener), 0);
	stats = stats_now();
	ck_assert_uint_eq(stats.in_flight, 0);
	ck_assert_uint_eq(stats.waiting_for_room, 0);
	ck_assert_uint_eq(stats.fibers, 1);
	ck_assert_uint_eq(stats.timers, 0);
	if (fn == pairs_only) {
		ck_assert_uint_gt(chaos.rounds, 10);
		ck_assert_uint_gt(chaos.bytes, 10000);
	}
	return 0;
}

static void assert_survived(torc_fn *fn, unsigned ring_entries)
{
	ck_assert_int_eq(torc_run(TORC_OPTIONS(torc_run_options, .ring_entries = ring_entries), run_chaos, &fn), 0);
}

TEST_TIMEOUT(streams_survive_chaos, 60)
{
	assert_survived(pairs_only, 0);
}

TEST_TIMEOUT(streams_survive_chaos_in_the_smallest_ring, 60)
{
	assert_survived(pairs_only, 8);
}

TEST_TIMEOUT(listeners_survive_chaos, 60)
{
	assert_survived(doors_only, 0);
	assert_survived(doors_only, 8);
}

/* --- what is no socket --------------------------------------------------------------------------- */

struct handles {
	struct torc_stream streams[2]; /* the ends of a pipe, or two of one file */
	struct torc_signals signals;
	struct torc_watch watch;
	struct torc_process process;
};

struct things {
	struct chaos *chaos;
	struct handles *handles; /* freed as soon as they are closed, since nobody is inside then; NULL: they were */
	const char *directory;
	int file;
};

enum { KINDS = 5 };
enum kind { PIPE, FILES, SIGNALS, WATCH, PROCESS };

static int use_stream(struct things *things, struct torc_stream *stream, bool write)
{
	struct chaos *chaos = things->chaos;
	char buf[PIECE] = { 0 };
	size_t len = 1 + dice(chaos, PIECE - 1);
	int r = 0;

	for (unsigned i = dice(chaos, 20); i > 0 && r >= 0 && things->handles; i--)
		r = !write           ? torc_stream_read(stream, buf, len)
		    : dice(chaos, 2) ? torc_stream_write(stream, buf, len)
		                     : torc_stream_writev(stream, (struct iovec[]){ { buf, len }, { buf, 0 } }, 2);
	return r < 0 ? r : 0;
}

static int use_first(void *arg)
{
	struct things *things = arg;

	return things->handles ? use_stream(things, &things->handles->streams[0], false) : 0;
}

static int use_second(void *arg)
{
	struct things *things = arg;

	return things->handles ? use_stream(things, &things->handles->streams[1], true) : 0;
}

static int use_signals(void *arg)
{
	struct things *things = arg;
	int r = 0;

	while (r >= 0 && things->handles) {
		r = torc_signals_next(&things->handles->signals, NULL);
		if (r > 0 && r != SIGUSR1 && r != SIGUSR2)
			return -EILSEQ;
	}
	return r < 0 ? r : 0;
}

static int use_watch(void *arg)
{
	struct things *things = arg;
	struct torc_watch_event event;
	int r = 0;

	while (r == 0 && things->handles)
		r = torc_watch_next(&things->handles->watch, &event);
	return r;
}

static int use_process(void *arg)
{
	struct things *things = arg;
	int r = things->handles ? torc_process_wait(&things->handles->process, NULL) : 0;

	return r == 0 || r == 128 + SIGTERM ? 0 : r;
}

static int use_input(void *arg)
{
	struct things *things = arg;

	return things->handles ? use_stream(things, &things->handles->process.in, true) : 0;
}

static int use_output(void *arg)
{
	struct things *things = arg;

	return things->handles ? use_stream(things, &things->handles->process.out, false) : 0;
}

static int open_handles(struct handles *handles, enum kind kind, const struct things *things)
{
	int r;

	switch (kind) {
	case PIPE:
		return torc_pipe(&handles->streams[0], &handles->streams[1]);
	case FILES:
		r = torc_stream_borrow(&handles->streams[0], things->file);
		return r < 0 ? r : torc_stream_borrow(&handles->streams[1], things->file);
	case SIGNALS:
		return torc_signals_open(&handles->signals, SIGUSR1, SIGUSR2);
	case WATCH:
		r = torc_watch_open(&handles->watch);
		return r < 0 ? r : torc_watch_add(&handles->watch, things->directory, IN_CREATE | IN_DELETE);
	case PROCESS:
		return torc_process_spawn(
			&handles->process, (const char *const[]){ "cat", NULL },
			TORC_OPTIONS(torc_process_options, .in = TORC_CHILD_PIPE, .out = TORC_CHILD_PIPE));
	}
	return -EINVAL;
}

static void close_handles(struct things *things)
{
	struct handles *handles = things->handles;

	things->handles = NULL;
	for (int i = 0; i < 2; i++)
		torc_stream_close(&handles->streams[i]);
	torc_signals_close(&handles->signals);
	torc_watch_close(&handles->watch);
	torc_process_close(&handles->process);
	free(handles);
}

static void stir(struct things *things, enum kind kind)
{
	char path[100];

	if (kind == SIGNALS)
		raise(dice(things->chaos, 2) ? SIGUSR1 : SIGUSR2);
	if (kind == PROCESS)
		(void)!torc_process_kill(&things->handles->process, dice(things->chaos, 2) ? SIGTERM : SIGCONT);
	if (kind == WATCH)
		for (unsigned i = dice(things->chaos, 4); i > 0; i--) {
			snprintf(path, sizeof path, "%s/%p", things->directory, (void *)things);
			close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
			unlink(path);
		}
}

static int use_things(struct things *things, enum kind kind)
{
	static torc_fn *const uses[KINDS][3] = { [PIPE] = { use_first, use_first, use_second },
		                                 [FILES] = { use_first, use_second, use_second },
		                                 [SIGNALS] = { use_signals, use_signals, use_signals },
		                                 [WATCH] = { use_watch, use_watch, use_watch },
		                                 [PROCESS] = { use_process, use_input, use_output } };
	struct chaos *chaos = things->chaos;
	int r;
	TORC_SCOPE(around, .until = TORC_ALL_DONE);
	TORC_SCOPE(scope, .until = TORC_ALL_DONE, .deadline = torc_in((1 + dice(chaos, 4000)) * TORC_US));

	for (int i = 0; i < 6; i++) {
		r = torc_go(dice(chaos, 2) ? scope : around, uses[kind][i % 3], things);
		if (r < 0)
			break;
	}
	if (torc_sleep(dice(chaos, 3000) * TORC_US) == 0)
		stir(things, kind);
	torc_yield();
	if (dice(chaos, 2))
		torc_scope_cancel(scope);
	if (dice(chaos, 2))
		torc_yield();
	close_handles(things);
	r = torc_scope_join(scope);
	if (r < 0 && !documented(r))
		return r;
	r = torc_scope_join(around);
	return r < 0 && !documented(r) ? r : 0;
}

struct others {
	struct chaos *chaos;
	char directory[40];
	int file;
};

static int misuse_others(void *arg)
{
	struct others *others = arg;
	struct chaos *chaos = others->chaos;

	while (torc_now() < chaos->end) {
		struct things things = { chaos, calloc(1, sizeof(struct handles)), others->directory, others->file };
		enum kind kind = dice(chaos, 20) == 0 ? PROCESS : (enum kind)dice(chaos, KINDS - 1);
		int r = open_handles(things.handles, kind, &things);

		if (r >= 0)
			r = use_things(&things, kind);
		if (r < 0)
			return r;
		chaos->rounds++;
	}
	return 0;
}

TEST_IN_FIBER_TIMEOUT(others_survive_chaos, 60)
{
	struct chaos chaos = { .seed = 1, .end = torc_in(COUNT(1000, 3000) * TORC_MS) };
	struct others others = { .chaos = &chaos, .directory = "/tmp/torc-chaos-XXXXXX" };
	struct torc_stats stats;
	struct torc_signals outer; /* a signal that comes when a set is closed is not to end the process */

	ck_assert_ptr_nonnull(mkdtemp(others.directory));
	others.file = open(others.directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	ck_assert_int_ge(others.file, 0);
	ck_assert_int_eq(torc_signals_open(&outer, SIGUSR1, SIGUSR2), 0);
	{
		TORC_SCOPE(workers);
		for (int i = 0; i < 20; i++)
			ck_assert_int_eq(torc_go(workers, misuse_others, &others), 0);
		ck_assert_int_eq(torc_scope_join(workers), 0);
	}
	torc_signals_close(&outer);
	close(others.file);
	ck_assert_int_eq(rmdir(others.directory), 0);
	stats = stats_now();
	ck_assert_uint_eq(stats.in_flight, 0);
	ck_assert_uint_eq(stats.fibers, 1);
	ck_assert_uint_eq(stats.timers, 0);
	ck_assert_uint_gt(chaos.rounds, 10);
}
