/* read_many - records at many places of one file, read together: every third one, as an index would ask for them. What lies
 * close together is one request of the device, 32 requests are under way at once, and the records come in order.
 * Try it: 23_read_many, or 23_read_many GAP to see what the bytes that are read for nothing save in requests. */
#include <torc.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD = 512, RECORDS = 30000 };

/* One number a record, as many times as there is room for it. */
static int make_records(struct torc_file *file)
{
	struct torc_file_writer out;
	int r = torc_file_writer_open(&out, file, NULL);

	for (uint32_t i = 0; r >= 0 && i < RECORDS; i++) {
		uint32_t record[RECORD / sizeof(uint32_t)];

		for (size_t k = 0; k < sizeof record / sizeof *record; k++)
			record[k] = i;
		r = torc_file_writer_write(&out, record, sizeof record);
	}
	if (r < 0) {
		torc_file_writer_abandon(&out);
		return r;
	}
	return torc_file_writer_close(&out);
}

/* The generator: called as room comes up, so a list of millions needs no memory. */
static bool every_third(struct torc_range *range, void *arg)
{
	uint32_t *next = arg;

	if (*next >= RECORDS)
		return false;
	*range = (struct torc_range){ (uint64_t)*next * RECORD, RECORD };
	*next += 3;
	return true;
}

static int read_records(struct torc_file *file, size_t gap)
{
	struct torc_read_many many TORC_CLEANUP(torc_read_many_close) = { 0 };
	struct torc_read_many_stats stats = { .size = sizeof stats };
	struct torc_read_result result;
	uint32_t next = 0, wrong = 0;
	int r = torc_read_many_open_from(&many, file, TORC_OPTIONS(torc_read_many_options, .max_gap = gap), every_third,
	                                 &next);

	if (r < 0)
		return r;
	while ((r = torc_read_many_next(&many, &result)) > 0) {
		if (result.error)
			return result.error;
		wrong += result.len != RECORD || *(const uint32_t *)result.data != result.index * 3;
	}
	if (r == 0)
		r = torc_read_many_stats_get(&many, &stats);
	if (r < 0)
		return r;
	printf("%llu records, %u wrong, by %llu reads of %llu KiB each\n", (unsigned long long)stats.ranges, wrong,
	       (unsigned long long)stats.reads, (unsigned long long)(stats.bytes_read / stats.reads / 1024));
	return 0;
}

static int run(void *gap)
{
	struct torc_file file TORC_CLEANUP(torc_file_close) = { 0 };
	int r = torc_file_open(&file, "/tmp", TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .temporary = true));

	if (r == 0)
		r = make_records(&file);
	return r < 0 ? r : read_records(&file, *(size_t *)gap);
}

int main(int argc, char **argv)
{
	size_t gap = argc > 1 ? strtoul(argv[1], NULL, 0) : 4096;
	int r = torc_run(NULL, run, &gap);

	if (r < 0)
		fprintf(stderr, "read_many: %s\n", strerror(-r));
	return r < 0;
}
