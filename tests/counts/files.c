/* files - what a read costs in system calls and allocations, at depth 128 and alone, and that buffers cost none. */
#include "counts.h"

enum { BLOCK = 4096, BLOCKS = 2048, DEPTH = 128, READS = 8192, WARM = 1024 };

static struct job {
	struct torc_file file;
	long left;
	uint32_t seed;
} job;

static void open_table(void)
{
	static char piece[64 * BLOCK];

	MUST(torc_file_open(&job.file, "/var/tmp",
	                    TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .temporary = true, .direct = true)) == 0);
	for (int i = 0; i < BLOCKS; i += 64)
		MUST(torc_file_write_at(&job.file, piece, sizeof piece, (uint64_t)i * BLOCK) == sizeof piece);
}

/* The count begins when all is warm, and ends while all are still at it. */
static int reader(void *arg)
{
	struct torc_buffer block = { 0 };

	(void)arg;
	MUST(torc_buffer_open(&block, BLOCK) == 0);
	while (job.left > 0) {
		uint32_t number = (job.seed = job.seed * 1103515245 + 12345) >> 16;

		if (job.left == READS + DEPTH)
			counting_begin();
		if (job.left == DEPTH)
			counting_end();
		job.left--;
		MUST(torc_file_read_at(&job.file, block.data, BLOCK, (uint64_t)(number % BLOCKS) * BLOCK) == BLOCK);
	}
	torc_buffer_close(&block);
	return 0;
}

static int read_at_random(void *arg)
{
	job = (struct job){ .left = WARM + READS + DEPTH, .seed = 1 };
	open_table();
	TORC_SCOPE(scope);
	for (int i = 0; i < *(int *)arg; i++)
		MUST(torc_go(scope, reader, NULL) == 0);
	MUST(torc_scope_join(scope) == 0);
	return torc_file_close(&job.file);
}

TEST_TIMEOUT(reads_in_depth_allocate_nothing_and_share_their_system_calls, 60)
{
	double enters;

	COUNTS_MEAN_SOMETHING();
	ENTER_KEEPS_THE_TIME();
	count(CALLS, read_at_random, &(int){ DEPTH });
	assert_no_allocation();
	assert_no_call_but(SYS_io_uring_enter);
	enters = (double)tally->calls[SYS_io_uring_enter] / READS;
	fprintf(stderr, "%.4f system calls a read\n", enters);
	ck_assert_msg(enters <= 0.1, "%.3f system calls a read", enters);
	counted();
}

TEST_TIMEOUT(a_read_alone_is_one_system_call, 60)
{
	COUNTS_MEAN_SOMETHING();
	ENTER_KEEPS_THE_TIME();
	count(CALLS, read_at_random, &(int){ 1 });
	assert_no_allocation();
	assert_no_call_but(SYS_io_uring_enter);
	ck_assert_int_le(tally->calls[SYS_io_uring_enter], 2 * READS);
	counted();
}

static int open_and_close(void *arg)
{
	struct torc_buffer buffers[64];

	(void)arg;
	for (int round = 0; round < 3; round++) {
		if (round == 1)
			counting_begin();
		for (int i = 0; i < 64; i++)
			MUST(torc_buffer_open(&buffers[i], (size_t)(1 + i % 7) * 5000) == 0);
		for (int i = 0; i < 64; i++)
			torc_buffer_close(&buffers[i]);
	}
	counting_end();
	return 0;
}

TEST(buffers_cost_no_system_call)
{
	COUNTS_MEAN_SOMETHING();
	count(CALLS, open_and_close, NULL);
	assert_no_allocation();
	assert_no_call_but(-1);
	counted();
}
