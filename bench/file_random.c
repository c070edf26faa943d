/*
 * file_random: what does a 4-KiB random direct read cost, at depth 1, 32 and 128, and how many are there a second?
 *
 * bare liburing: registered buffers and file, whatever is there reaped and as many submitted anew, one enter for both.
 * fio with its io_uring engine and the flags that help it; libuv's thread pool; pread on as many threads.
 *
 * Needs: liburing, libtorc's internals; libuv and fio for those rows.
 */
#include <liburing.h>
#include <pthread.h>
#include <torc.h>

#ifdef HAVE_UV
#include <uv.h>
#endif

#include "file.h"

#define BLOCK  4096u
#define SIZE   (UINT64_C(1) << 30)
#define ROUNDS 9u

struct test {
	unsigned depth;
	uint64_t ops;
	char fio[100], fio_batches[200];
	uint64_t seed;
	int64_t left;
	struct bench_lap *lap;
};

static const char *path;

static uint64_t somewhere(struct test *test)
{
	return bench_random(&test->seed) % (SIZE / BLOCK) * BLOCK;
}

static void prepare(struct test *test, struct bench_lap *lap)
{
	test->seed = 42;
	test->left = (int64_t)test->ops;
	test->lap = lap;
}

static char *blocks(unsigned count)
{
	void *memory;

	if (posix_memalign(&memory, BLOCK, (size_t)count * BLOCK) != 0)
		bench_die("no memory");
	memset(memory, 0, (size_t)count * BLOCK);
	return memory;
}

static int open_direct(void)
{
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd < 0)
		bench_die("can't open the data");
	return fd;
}

/* ---- bare liburing ---- */

static void bare_ask(struct io_uring *ring, struct test *test, char *memory, unsigned slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_read_fixed(sqe, 0, memory + (size_t)slot * BLOCK, BLOCK, somewhere(test), 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data64(sqe, slot);
	test->left--;
}

static void bare(struct bench_lap *lap, void *arg)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
		                                   IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL };
	struct test *test = arg;
	char *memory = blocks(test->depth);
	struct iovec piece = { memory, (size_t)test->depth * BLOCK };
	unsigned in_flight = 0;
	struct io_uring ring;
	int fd = open_direct();

	prepare(test, lap);
	if (io_uring_queue_init_params(512, &ring, &params) < 0 || io_uring_register_ring_fd(&ring) != 1 ||
	    io_uring_register_buffers(&ring, &piece, 1) < 0 || io_uring_register_files(&ring, &fd, 1) < 0)
		bench_die("no ring");
	bench_begin(lap);
	for (; in_flight < test->depth; in_flight++)
		bare_ask(&ring, test, memory, in_flight);
	while (in_flight > 0) {
		struct io_uring_cqe *cqe;
		unsigned head, seen = 0;

		io_uring_submit_and_wait(&ring, 1);
		io_uring_for_each_cqe (&ring, head, cqe) {
			if (cqe->res != (int)BLOCK)
				bench_die("a read failed");
			if (test->left > 0)
				bare_ask(&ring, test, memory, (unsigned)cqe->user_data);
			else
				in_flight--;
			seen++;
		}
		io_uring_cq_advance(&ring, seen);
	}
	bench_end(lap, test->ops);
	io_uring_queue_exit(&ring);
	close(fd);
	free(memory);
}

/* ---- torc: a fiber for each read in flight ---- */

struct torc_state {
	struct test *test;
	struct torc_file file;
	struct torc_event start;
	unsigned ready;
};

static int torc_reader(void *arg)
{
	struct torc_state *state = arg;
	struct test *test = state->test;
	struct torc_buffer buffer;

	if (torc_buffer_open(&buffer, BLOCK) < 0)
		bench_die("no buffer");
	state->ready++;
	if (torc_event_wait(&state->start) < 0)
		bench_die("no start");
	while (test->left-- > 0)
		if (torc_file_read_at(&state->file, buffer.data, BLOCK, somewhere(test)) != (int64_t)BLOCK)
			bench_die("a read failed");
	torc_buffer_close(&buffer);
	return 0;
}

static int torc_main(void *arg)
{
	struct torc_state *state = arg;

	if (torc_file_open(&state->file, path, TORC_OPTIONS(torc_file_options, .direct = true)) < 0)
		bench_die("can't open the data");
	{
		TORC_SCOPE(readers);
		for (unsigned i = 0; i < state->test->depth; i++)
			if (torc_go(readers, torc_reader, state) < 0)
				bench_die("no fiber");
		while (state->ready < state->test->depth)
			torc_yield();
		bench_begin(state->test->lap);
		torc_event_set(&state->start);
		if (torc_scope_join(readers) < 0)
			bench_die("readers failed");
		bench_end(state->test->lap, state->test->ops);
	}
	return torc_file_close(&state->file);
}

static void torc(struct bench_lap *lap, void *arg)
{
	struct torc_state state = { .test = arg };

	prepare(arg, lap);
	if (torc_run(NULL, torc_main, &state) < 0)
		bench_die("torc_run failed");
}

/* ---- fio ---- */

static void fio(struct bench_lap *lap, void *arg)
{
	const struct test *test = arg;

	bench_fio(lap, test->fio, test->ops);
}

/* It holds requests back until it has 16: fewer of them, and later, reach the device at once. */
static void fio_batches(struct bench_lap *lap, void *arg)
{
	const struct test *test = arg;

	bench_fio(lap, test->fio_batches, test->ops);
}

/* ---- pread on threads ---- */

static void *pread_thread(void *arg)
{
	struct test *test = arg;
	uint64_t seed = (uint64_t)(uintptr_t)&seed;
	char *memory = blocks(1);
	int fd = open_direct();

	while (__atomic_fetch_sub(&test->left, 1, __ATOMIC_RELAXED) > 0)
		if (pread(fd, memory, BLOCK, (off_t)(bench_random(&seed) % (SIZE / BLOCK) * BLOCK)) != (ssize_t)BLOCK)
			bench_die("a read failed");
	close(fd);
	free(memory);
	return NULL;
}

static void preads(struct bench_lap *lap, void *arg)
{
	struct test *test = arg;
	pthread_t threads[128];

	prepare(test, lap);
	bench_begin(lap);
	for (unsigned i = 0; i < test->depth; i++)
		if (pthread_create(&threads[i], NULL, pread_thread, test) != 0)
			bench_die("no thread");
	for (unsigned i = 0; i < test->depth; i++)
		pthread_join(threads[i], NULL);
	bench_end(lap, test->ops);
}

/* ---- libuv ---- */

#ifdef HAVE_UV
struct uv_slot {
	uv_fs_t request;
	uv_buf_t buf;
	struct test *test;
	int fd;
};

static void uv_ask(uv_loop_t *loop, struct uv_slot *slot);

static void uv_done(uv_fs_t *request)
{
	struct uv_slot *slot = request->data;

	if (request->result != (ssize_t)BLOCK)
		bench_die("a read failed");
	uv_fs_req_cleanup(request);
	uv_ask(request->loop, slot);
}

static void uv_ask(uv_loop_t *loop, struct uv_slot *slot)
{
	if (slot->test->left-- <= 0)
		return;
	slot->request.data = slot;
	if (uv_fs_read(loop, &slot->request, slot->fd, &slot->buf, 1, (int64_t)somewhere(slot->test), uv_done) < 0)
		bench_die("uv_fs_read failed");
}

static void uv(struct bench_lap *lap, void *arg)
{
	struct test *test = arg;
	char *memory = blocks(test->depth);
	struct uv_slot *slots = calloc(test->depth, sizeof *slots);
	int fd = open_direct();
	uv_loop_t loop;

	prepare(test, lap);
	if (!slots || uv_loop_init(&loop) < 0)
		bench_die("no loop");
	bench_begin(lap);
	for (unsigned i = 0; i < test->depth; i++) {
		slots[i] = (struct uv_slot){ .buf = uv_buf_init(memory + (size_t)i * BLOCK, BLOCK),
			                     .test = test,
			                     .fd = fd };
		uv_ask(&loop, &slots[i]);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	bench_end(lap, test->ops);
	uv_loop_close(&loop);
	close(fd);
	free(slots);
	free(memory);
}
#endif

static void compare(unsigned depth, uint64_t ops)
{
	struct test test = { .depth = depth, .ops = ops };
	struct bench_contender contenders[6] = {
		{ .name = "bare liburing", .run = bare, .arg = &test, .yardstick = true },
		{ .name = "torc", .run = torc, .arg = &test },
		{ .name = "pread on threads", .run = preads, .arg = &test }
	};
	size_t count = 3;
	char title[60];

	snprintf(test.fio, sizeof test.fio, "--size=1g --rw=randread --bs=4k --iodepth=%u", depth);
	snprintf(test.fio_batches, sizeof test.fio_batches,
	         "%s --iodepth_batch_submit=16 --iodepth_batch_complete_min=1 --iodepth_batch_complete_max=%u",
	         test.fio, depth);
#ifdef HAVE_UV
	contenders[count++] = (struct bench_contender){ .name = "libuv", .run = uv, .arg = &test };
#endif
	if (bench_fio_there())
		contenders[count++] = (struct bench_contender){ .name = "fio", .run = fio, .arg = &test };
	if (bench_fio_there() && depth > 1)
		contenders[count++] =
			(struct bench_contender){ .name = "fio, batches of 16", .run = fio_batches, .arg = &test };
	snprintf(title, sizeof title, "file_random: 4-KiB random direct reads, depth %u", depth);
	bench_interleave(title, contenders, count, ROUNDS);
}

int main(void)
{
	setenv("UV_THREADPOOL_SIZE", "128", 1);
	path = bench_data(SIZE);
	compare(1, 2000);
	compare(32, 12000);
	compare(128, 12000);
	return 0;
}
