/* device - a real disk shared between task queues: what is counted, and that everything comes back. Who gets how much is
 * shown in tests/io/device.c, in simulated time. */
#include "files.h"

enum { BLOCK = 4096, BLOCKS = 256 };

struct crowd {
	struct torc_file *file;
	int readers, reads;
	uint64_t done;
};

static int read_often(void *arg)
{
	struct crowd *crowd = arg;
	struct torc_buffer buffer;

	ck_assert_int_eq(torc_buffer_open(&buffer, BLOCK), 0);
	for (int i = 0; i < crowd->reads; i++) {
		uint64_t at = crowd->done++ % BLOCKS * BLOCK;

		ck_assert_int_eq(torc_file_read_at(crowd->file, buffer.data, BLOCK, at), BLOCK);
		ck_assert(pattern_holds(buffer.data, BLOCK, at));
	}
	torc_buffer_close(&buffer);
	return 0;
}

static void hire(struct torc_scope *scope, struct crowd *crowd)
{
	for (int i = 0; i < crowd->readers; i++)
		ck_assert_int_eq(torc_go(scope, read_often, crowd), 0);
}

static uint64_t device_of(struct torc_file *file)
{
	struct torc_file_info info;

	ck_assert_int_eq(torc_file_stat(file, &info), 0);
	return info.device;
}

static void open_direct(struct torc_file *file)
{
	ck_assert_int_eq(torc_file_open(file, files_make("data", BLOCKS * BLOCK), DIRECT), 0);
	if (!torc_file_is_direct(file)) {
		torc_file_close(file);
		files_remove();
		SKIP("no direct I/O here");
	}
}

FILE_TEST(two_queues_share_a_disk_and_all_is_counted)
{
	struct torc_device_stats stats = { .size = sizeof stats };
	struct torc_queue_io io = { .size = sizeof io };
	struct torc_queue *queues[2];
	struct torc_file file;
	struct crowd crowds[2];
	uint64_t device;

	open_direct(&file);
	device = device_of(&file);
	for (int i = 0; i < 2; i++) {
		crowds[i] = (struct crowd){ &file, 60, COUNT(20, 5), 0 };
		ck_assert_int_eq(torc_queue_new(&queues[i], TORC_OPTIONS(torc_queue_options, .shares = i ? 100 : 400,
		                                                         .latency = i ? 0 : TORC_MS)),
		                 0);
	}
	{
		TORC_SCOPE(first, .queue = queues[0]);
		TORC_SCOPE(second, .queue = queues[1]);
		hire(first, &crowds[0]);
		hire(second, &crowds[1]);
		ck_assert_int_eq(torc_scope_join(second), 0);
		ck_assert_int_eq(torc_scope_join(first), 0);
	}
	ck_assert_int_eq(torc_device_stats_get(&stats, device), 0);
	ck_assert_uint_ge(stats.reads, crowds[0].done + crowds[1].done);
	ck_assert_uint_eq(stats.in_flight, 0);
	ck_assert_uint_eq(stats.waiting, 0);
	ck_assert_uint_gt(stats.waits, 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(torc_queue_io_get(&io, queues[i]), 0);
		ck_assert_uint_eq(io.reads, crowds[i].done);
		ck_assert_uint_eq(io.read_bytes, crowds[i].done * BLOCK);
		ck_assert_uint_eq(io.writes, 0);
		ck_assert_int_eq(torc_queue_free(queues[i]), 0);
	}
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(a_bound_on_bytes_holds_and_cancelling_frees_who_waits)
{
	struct torc_device_model model = { .size = sizeof model };
	struct torc_file file;
	struct crowd crowd = { &file, 30, 1000000, 0 };
	struct torc_device_stats stats = { .size = sizeof stats };
	uint64_t device;

	open_direct(&file);
	device = device_of(&file);
	ck_assert_int_eq(torc_device_model_get(&model, device), 0);
	model.bytes_in_flight = 4 * BLOCK;
	ck_assert_int_eq(torc_device_model_set(device, &model), 0);
	{
		TORC_SCOPE(all);
		struct torc_buffer buffers[30];

		for (int i = 0; i < 30; i++)
			ck_assert_int_eq(torc_buffer_open(&buffers[i], BLOCK), 0);
		for (int i = 0; i < 30; i++)
			torc_buffer_close(&buffers[i]);
		crowd.reads = COUNT(50, 10);
		hire(all, &crowd);
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
		ck_assert_int_eq(torc_device_stats_get(&stats, device), 0);
		ck_assert_uint_le(stats.bytes_in_flight, 4 * BLOCK);
		ck_assert_int_eq(torc_scope_join(all), 0);
	}
	ck_assert_uint_eq(crowd.done, 30 * (uint64_t)crowd.reads);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* --- what reads ahead waits for its turn, too ------------------------------------------------- */

/* The same bound, for a stream: `ahead` buffers of four blocks. */
static uint64_t open_bounded(struct torc_file *file, struct torc_file_reader *reader, int ahead)
{
	struct torc_device_model model = { .size = sizeof model };
	uint64_t device;

	open_direct(file);
	device = device_of(file);
	ck_assert_int_eq(torc_device_model_get(&model, device), 0);
	model.bytes_in_flight = 8 * BLOCK;
	ck_assert_int_eq(torc_device_model_set(device, &model), 0);
	ck_assert_int_eq(torc_file_reader_open(
				 reader, file,
				 TORC_OPTIONS(torc_file_reader_options, .buffer_size = 4 * BLOCK, .read_ahead = ahead)),
	                 0);
	return device;
}

static struct torc_device_stats stats_of(uint64_t device)
{
	struct torc_device_stats stats = { .size = sizeof stats };

	ck_assert_int_eq(torc_device_stats_get(&stats, device), 0);
	return stats;
}

FILE_TEST(a_bound_on_bytes_holds_for_a_stream)
{
	struct torc_file_reader reader = { 0 };
	struct torc_file file;
	uint64_t device = open_bounded(&file, &reader, 16), at = 0;
	unsigned char piece[3 * BLOCK];
	int n;

	/* Opening it began to read: two buffers' worth is in flight, or was, and the others wait. */
	ck_assert_uint_gt(stats_of(device).waits, 0);
	while ((n = torc_file_reader_read(&reader, piece, sizeof piece)) > 0) {
		ck_assert_uint_le(stats_of(device).bytes_in_flight, 8 * BLOCK);
		ck_assert(pattern_holds(piece, (size_t)n, at));
		at += (uint64_t)n;
	}
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(at, BLOCKS * BLOCK);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_uint_eq(stats_of(device).in_flight, 0);
	ck_assert_uint_eq(stats_of(device).waiting, 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(a_stream_that_is_closed_takes_along_who_waits)
{
	struct torc_file_reader reader = { 0 };
	struct torc_file file;
	uint64_t device = open_bounded(&file, &reader, 32);

	ck_assert_uint_gt(stats_of(device).waiting, 0);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_uint_eq(stats_of(device).waiting, 0);
	ck_assert_uint_eq(stats_of(device).in_flight, 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(a_file_that_is_closed_does_so_too)
{
	struct torc_file_reader reader = { 0 };
	struct torc_file file;
	uint64_t device = open_bounded(&file, &reader, 32);
	char byte;

	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_uint_eq(stats_of(device).waiting, 0);
	ck_assert_uint_eq(stats_of(device).in_flight, 0);
	ck_assert_int_eq(torc_file_reader_read(&reader, &byte, 1), -EBADF);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
}

struct scan {
	struct torc_file *file;
	struct torc_queue *queue;
	struct torc_queue_io io;
};

static int scan(void *arg)
{
	struct scan *scan = arg;
	struct torc_file_reader reader = { 0 };
	unsigned char piece[BLOCK];
	int n;

	ck_assert_int_eq(torc_file_reader_open(&reader, scan->file,
	                                       TORC_OPTIONS(torc_file_reader_options, .buffer_size = 8 * BLOCK)),
	                 0);
	while ((n = torc_file_reader_read(&reader, piece, sizeof piece)) > 0)
		continue;
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(torc_queue_free(scan->queue), -EBUSY);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	scan->io.size = sizeof scan->io;
	ck_assert_int_eq(torc_queue_io_get(&scan->io, scan->queue), 0);
	return 0;
}

FILE_TEST(a_stream_counts_for_the_queue_of_who_opened_it)
{
	struct crowd beside = { NULL, 8, COUNT(100, 10), 0 };
	struct torc_file file;
	struct scan work = { .file = &file };

	open_direct(&file);
	beside.file = &file;
	ck_assert_int_eq(torc_queue_new(&work.queue, TORC_OPTIONS(torc_queue_options, .shares = 50)), 0);
	{
		TORC_SCOPE(others);
		TORC_SCOPE(scans, .queue = work.queue);
		hire(others, &beside);
		ck_assert_int_eq(torc_go(scans, scan, &work), 0);
		ck_assert_int_eq(torc_scope_join(scans), 0);
		ck_assert_int_eq(torc_scope_join(others), 0);
	}
	ck_assert_uint_ge(work.io.reads, BLOCKS / 8);
	ck_assert_uint_ge(work.io.read_bytes, BLOCKS * BLOCK);
	ck_assert_int_eq(torc_queue_free(work.queue), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* --- giving up ------------------------------------------------------------------------------- */

static int read_until_stopped(void *arg)
{
	struct torc_buffer buffer;
	int64_t r;

	ck_assert_int_eq(torc_buffer_open(&buffer, BLOCK), 0);
	do
		r = torc_file_read_at(arg, buffer.data, BLOCK, 0);
	while (r == BLOCK);
	torc_buffer_close(&buffer);
	return (int)r;
}

static void stop_in_the_middle(bool close)
{
	struct torc_device_stats stats = { .size = sizeof stats };
	struct torc_file file;
	uint64_t device;

	open_direct(&file);
	device = device_of(&file);
	ck_assert_int_eq(torc_device_model_set(device, TORC_OPTIONS(torc_device_model, .bytes_in_flight = 4 * BLOCK)),
	                 0);
	{
		TORC_SCOPE(all);
		for (int i = 0; i < 30; i++)
			ck_assert_int_eq(torc_go(all, read_until_stopped, &file), 0);
		ck_assert_int_eq(torc_sleep(5 * TORC_MS), 0);
		if (close) {
			ck_assert_int_eq(torc_file_close(&file), 0);
			ck_assert_int_eq(torc_scope_join(all), -EBADF);
		} else {
			torc_scope_cancel(all);
			ck_assert_int_eq(torc_scope_join(all), -ECANCELED);
		}
	}
	ck_assert_int_eq(torc_device_stats_get(&stats, device), 0);
	ck_assert_uint_eq(stats.in_flight, 0);
	ck_assert_uint_eq(stats.waiting, 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

FILE_TEST(cancel_finds_those_in_flight_and_those_that_wait)
{
	stop_in_the_middle(false);
}

FILE_TEST(close_finds_them_too)
{
	stop_in_the_middle(true);
}

FILE_TEST(cached_files_go_by_no_device)
{
	struct torc_device_stats stats = { .size = sizeof stats };
	struct torc_file file;
	char block[BLOCK];

	ck_assert_int_eq(torc_file_open(&file, files_make("data", BLOCK), BUFFERED), 0);
	ck_assert_int_eq(torc_file_read_at(&file, block, BLOCK, 0), BLOCK);
	ck_assert_int_eq(torc_device_stats_get(&stats, device_of(&file)), -ENODEV);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

DEATH(models_are_a_cores_own, "torc_device_model_set: called outside a fiber")
{
	ck_assert_int_eq(torc_device_model_set(1, TORC_OPTIONS(torc_device_model, .goal = 0)), 0);
}
