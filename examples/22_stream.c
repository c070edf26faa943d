/* stream - a file from one end to the other, with the next buffers already on their way: number the lines of one file into
 * another. The reader lends its bytes, so each is copied once, into the writer.
 * Try it: 22_stream FROM TO */
#include <torc.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct numbering {
	struct torc_file_writer *out;
	uint64_t line;
	bool within; /* the last piece ended within a line */
};

static int put(struct numbering *numbering, const char *text, size_t len)
{
	char number[24];
	int r = 0;

	if (!numbering->within) {
		snprintf(number, sizeof number, "%6llu  ", (unsigned long long)++numbering->line);
		r = torc_file_writer_write(numbering->out, number, strlen(number));
	}
	numbering->within = text[len - 1] != '\n';
	return r < 0 ? r : torc_file_writer_write(numbering->out, text, len);
}

static int number_lines(struct torc_file_reader *in, struct numbering *numbering)
{
	const void *piece;
	int n;

	while ((n = torc_file_reader_peek(in, &piece)) > 0) { /* what is there; 0 at the end */
		const char *newline = memchr(piece, '\n', (size_t)n);
		size_t len = newline ? (size_t)(newline - (const char *)piece) + 1 : (size_t)n;
		int r = put(numbering, piece, len);

		if (r >= 0)
			r = torc_file_reader_skip(in, len); /* taken */
		if (r < 0)
			return r;
	}
	return n;
}

static int copy_numbered(void *arg)
{
	char **names = arg;
	struct torc_file from TORC_CLEANUP(torc_file_close) = { 0 }, to TORC_CLEANUP(torc_file_close) = { 0 };
	struct torc_file_reader in TORC_CLEANUP(torc_file_reader_close) = { 0 };
	struct torc_file_writer out TORC_CLEANUP(torc_file_writer_abandon) = { 0 };
	struct numbering numbering = { .out = &out };
	int r = torc_file_open(&from, names[0], NULL);

	if (r == 0)
		r = torc_file_open(&to, names[1],
		                   TORC_OPTIONS(torc_file_options, .flags = O_WRONLY | O_CREAT | O_TRUNC));
	if (r == 0)
		r = torc_file_reader_open(&in, &from, NULL);
	if (r == 0)
		r = torc_file_writer_open(&out, &to, NULL);
	if (r == 0)
		r = number_lines(&in, &numbering);
	if (r < 0)
		return r; /* what is not on its way to the file is dropped */
	r = torc_file_writer_sync(&out);
	if (r < 0)
		return r; /* of a write long ago, perhaps: the device is full */
	printf("%llu lines, %llu bytes\n", (unsigned long long)numbering.line,
	       (unsigned long long)torc_file_writer_position(&out));
	return torc_file_writer_close(&out);
}

int main(int argc, char **argv)
{
	int r;

	if (argc != 3) {
		fprintf(stderr, "usage: 22_stream FROM TO\n");
		return 2;
	}
	r = torc_run(NULL, copy_numbered, argv + 1);
	if (r < 0)
		fprintf(stderr, "stream: %s\n", strerror(-r));
	return r < 0;
}
