/* files - a table of blocks on disk, past the kernel's cache: written in order, then read at random by many fibers at once.
 * Try it: 20_files /var/tmp/table
 * The file is made, and removed in the end. */
#include <torc.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 4096, BLOCKS = 1024, PIECE = 64, READERS = 32, READS = 4096 };

struct table { /* one core, so plain integers */
	struct torc_file file;
	uint64_t seed;
	int left, wrong;
};

static uint64_t next_block(struct table *table)
{
	table->seed = table->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (table->seed >> 33) % BLOCKS;
}

static int reader(void *arg)
{
	struct table *table = arg;
	struct torc_buffer block TORC_CLEANUP(torc_buffer_close) = { 0 };
	int r = torc_buffer_open(&block, BLOCK);

	while (r >= 0 && table->left-- > 0) {
		uint64_t number = next_block(table);

		r = (int)torc_file_read_exact_at(&table->file, block.data, BLOCK, number * BLOCK);
		if (r == BLOCK && *(uint64_t *)block.data != number)
			table->wrong++;
	}
	return r;
}

static int read_at_random(struct table *table)
{
	TORC_SCOPE(readers);
	for (int i = 0; i < READERS; i++) {
		int r = torc_go(readers, reader, table);

		if (r < 0)
			return r; /* the scope cancels those that go already, and waits for them */
	}
	return torc_scope_join(readers);
}

/* Many blocks at a time: a device likes that better. */
static int write_all(struct table *table)
{
	struct torc_buffer piece TORC_CLEANUP(torc_buffer_close) = { 0 };
	int64_t r = torc_buffer_open(&piece, (size_t)PIECE * BLOCK);

	for (uint64_t first = 0; r >= 0 && first < BLOCKS; first += PIECE) {
		memset(piece.data, 0, piece.size);
		for (uint64_t i = 0; i < PIECE; i++)
			*(uint64_t *)((char *)piece.data + i * BLOCK) = first + i;
		r = torc_file_write_at(&table->file, piece.data, piece.size, first * BLOCK);
	}
	return r < 0 ? (int)r : torc_file_sync(&table->file);
}

static int work(void *path)
{
	struct table table = { .seed = 1, .left = READS };
	int closed, r = torc_file_open(
			    &table.file, path,
			    TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .create_new = true, .direct = true));

	if (r < 0)
		return r;
	fprintf(stderr, "files: %s\n",
	        torc_file_is_direct(&table.file) ? "direct" : "this file system has a cache only");
	r = write_all(&table);
	if (r >= 0)
		r = read_at_random(&table);
	printf("%d blocks written, %d read, %d wrong\n", BLOCKS, READS, table.wrong);
	closed = torc_file_close(&table.file);
	if (r >= 0)
		r = closed;
	return r < 0 ? r : torc_path_unlink(NULL, path);
}

int main(int argc, char **argv)
{
	int r;

	if (argc != 2)
		return fprintf(stderr, "usage: 20_files FILE\n"), 2;
	r = torc_run(NULL, work, argv[1]);
	if (r < 0)
		fprintf(stderr, "files: %s\n", strerror(-r));
	return r < 0;
}
