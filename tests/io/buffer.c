/* buffer - which memory the ring knows: any part of a buffer, and nothing else. */
#include "io/buffer.h"
#include "io/file.h"

#include "machine/feature.h"

#include <torc/run.h>

#include "harness.h"

#include <fcntl.h>

#define MUST(fact) ck_assert(fact)

static int slot_of(const void *memory, size_t len)
{
	return buffer_slot(executor_self, memory, len);
}

static int any_part_is_known(void *arg)
{
	struct torc_buffer small, large;
	char plain[100];

	(void)arg;
	MUST(slot_of(plain, 100) == -1); /* no arena yet */
	MUST(torc_buffer_open(&small, 5000) == 0);
	MUST(torc_buffer_open(&large, 5 << 20) == 0);
	MUST(slot_of(plain, 100) == -1);
	if (!feature_on(FEATURE_FIXED_BUFFERS)) {
		MUST(slot_of(small.data, 5000) == -1);
	} else {
		MUST(slot_of(small.data, 5000) >= 0);
		MUST(slot_of((char *)small.data + 4999, 1) == slot_of(small.data, 1));
		MUST(slot_of(large.data, 5 << 20) >= 0);
		MUST(slot_of((char *)large.data + (4 << 20) + 17, 1000) == slot_of(large.data, 1));
		MUST(slot_of(large.data, 1) != slot_of(small.data, 1));
		MUST(slot_of((char *)large.data - 1, 2) == -1);   /* from one chunk into the next */
		MUST(slot_of(large.data, (size_t)6 << 30) == -1); /* beyond what there is */
		MUST(slot_of(executor_self->buffers->base - 1, 1) == -1);
		MUST(slot_of(large.data, SIZE_MAX) == -1);
	}
	torc_buffer_close(&large);
	torc_buffer_close(&small);
	return 0;
}

TEST(any_part_of_a_buffer_is_known_to_the_ring)
{
	ck_assert_int_eq(torc_run(NULL, any_part_is_known, NULL), 0);
}

static int opcode_for(struct torc_file *file, void *memory)
{
	struct transfer transfer = { .type = SOURCE_READ, .what = memory, .len = 512 };
	struct io_uring_sqe *sqe;
	struct device_io io;
	int opcode;

	MUST(file_begin(&io, file, &transfer, &sqe, __func__) == 0);
	opcode = sqe->opcode;
	MUST(file_finish(&io, &transfer, sqe) == 512);
	return opcode;
}

static int fixed_by_itself(void *arg)
{
	struct torc_buffer buffer;
	struct torc_file file;
	char plain[512];

	(void)arg;
	MUST(torc_file_open(&file, "/dev/zero", NULL) == 0);
	MUST(torc_buffer_open(&buffer, 4096) == 0);
	MUST(opcode_for(&file, plain) == IORING_OP_READ);
	MUST(opcode_for(&file, (char *)buffer.data + 100) ==
	     (feature_on(FEATURE_FIXED_BUFFERS) ? IORING_OP_READ_FIXED : IORING_OP_READ));
	torc_buffer_close(&buffer);
	return torc_file_close(&file);
}

TEST(reads_into_buffers_are_fixed_reads_by_themselves)
{
	ck_assert_int_eq(torc_run(NULL, fixed_by_itself, NULL), 0);
}
