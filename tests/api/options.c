/* options - of all calls alike: forgotten sizes are misuse, sizes of an older header are welcome. */
#include "api.h"

#define MISUSES(call, type, ...)                                                                   \
	DEATH_IN_FIBER(call##_without_a_size, "torc: torc_" #call ": the options' .size is wrong") \
	{                                                                                          \
		const struct type options = { 0 };                                                 \
                                                                                                   \
		(void)!torc_##call(__VA_ARGS__);                                                   \
	}

static struct torc_addr addr;
static struct torc_file file;
static struct torc_stream stream;
static struct torc_scope memory;
static void *handle[64];
#define HANDLE ((void *)handle)

MISUSES(run, torc_run_options, &options, NULL, NULL)
MISUSES(cores_run, torc_cores_options, &options, NULL, NULL)
MISUSES(scope_open, torc_scope_options, &memory, &options)
MISUSES(queue_new, torc_queue_options, HANDLE, &options)
MISUSES(deadline_new, torc_deadline_options, HANDLE, &options)
MISUSES(chan_new, torc_chan_options, HANDLE, 8, 1, &options)
MISUSES(broadcast_new, torc_broadcast_options, HANDLE, 8, 1, &options)
MISUSES(lane_new, torc_lane_options, HANDLE, 8, 1, &options)
MISUSES(mesh_new_with, torc_mesh_options, HANDLE, 8, 1, &options)
MISUSES(supervise, torc_supervise_options, HANDLE, 0, &options)
MISUSES(tcp_listen_on, torc_listen_options, HANDLE, &addr, &options)
MISUSES(lines_open, torc_lines_options, HANDLE, &stream, &options)
MISUSES(process_spawn, torc_process_options, HANDLE, NULL, &options)
MISUSES(buffer_open_with, torc_buffer_options, HANDLE, 1, &options)
MISUSES(file_open, torc_file_options, &file, "/dev/null", &options)
MISUSES(file_reader_open, torc_file_reader_options, HANDLE, &file, &options)
MISUSES(file_writer_open, torc_file_writer_options, HANDLE, &file, &options)
MISUSES(file_replace, torc_replace_options, "/dev/null", "", 0, &options)
MISUSES(read_many_open, torc_read_many_options, HANDLE, &file, NULL, 0, &options)
MISUSES(immutable_open, torc_immutable_options, HANDLE, "/dev/null", &options)
MISUSES(immutable_create, torc_immutable_options, HANDLE, "/dev/null", &options)
MISUSES(dir_create, torc_dir_options, NULL, "/", &options)
MISUSES(walk_open, torc_walk_options, HANDLE, NULL, "/", &options)

static int seven(void *arg)
{
	(void)arg;
	return 7;
}

/* What a program would hand over that was built when the options were `known` bytes long; to be freed. */
static const void *of_an_older_header(const void *options, size_t known)
{
	char *given = malloc(known);

	memcpy(given, options, known);
	memcpy(given, &known, sizeof known);
	return given;
}

TEST(a_run_with_the_options_of_an_older_header)
{
	const size_t known = offsetof(struct torc_run_options, ring_entries) + sizeof(unsigned);
	const void *good = of_an_older_header(TORC_OPTIONS(torc_run_options, .ring_entries = 8), known);
	const void *bad = of_an_older_header(TORC_OPTIONS(torc_run_options, .ring_entries = 9), known);

	ck_assert_int_eq(torc_run(good, seven, NULL), 7);
	ck_assert_int_eq(torc_run(bad, seven, NULL), -EINVAL);
	free((void *)(uintptr_t)good);
	free((void *)(uintptr_t)bad);
}

TEST_IN_FIBER(a_queue_with_the_options_of_an_older_header)
{
	const size_t known = offsetof(struct torc_queue_options, shares) + sizeof(unsigned);
	const void *given = of_an_older_header(TORC_OPTIONS(torc_queue_options, .shares = 17), known);
	struct torc_queue *queue;

	ck_assert_int_eq(torc_queue_new(&queue, given), 0);
	ck_assert_uint_eq(torc_queue_shares(queue), 17);
	ck_assert_int_eq(torc_queue_free(queue), 0);
	free((void *)(uintptr_t)given);
}
