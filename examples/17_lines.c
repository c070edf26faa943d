/* lines - a filter: the lines of stdin that contain a word go to stdout, with their numbers. Whatever the two are:
 * terminal, pipe, file.
 * Try it: 17_lines torc < README.md | head -3
 * 17_lines WORD; without a word: every line. */
#include <torc.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What is written goes out in pieces of this size, and before we wait for more input. */
struct output {
	struct torc_stream stream;
	size_t len;
	char bytes[32 << 10];
};

static int flush(struct output *out)
{
	int r = torc_stream_write(&out->stream, out->bytes, out->len);

	out->len = 0;
	return r;
}

static int put(struct output *out, const char *text, size_t len)
{
	int r = 0;

	if (out->len + len > sizeof out->bytes)
		r = flush(out);
	if (r >= 0 && len > sizeof out->bytes)
		return torc_stream_write(&out->stream, text, len);
	if (r >= 0) {
		memcpy(out->bytes + out->len, text, len);
		out->len += len;
	}
	return r;
}

/* What was read ahead, or -ECANCELED: in a scope that is over nothing waits. */
static int next_of_those_there(struct torc_lines *lines, struct torc_line *line)
{
	TORC_SCOPE(over);
	torc_scope_cancel(over);
	return torc_lines_next(lines, line);
}

static int next(struct torc_lines *lines, struct torc_line *line, struct output *out)
{
	int r = next_of_those_there(lines, line);

	if (r == -ECANCELED && (r = flush(out)) >= 0)
		r = torc_lines_next(lines, line);
	return r;
}

static int filter(void *word)
{
	static struct output out;
	struct torc_stream in TORC_CLEANUP(torc_stream_close) = { 0 };
	struct torc_lines lines TORC_CLEANUP(torc_lines_close) = { 0 };
	struct torc_line line;
	char number[24];
	int r, n = 0;

	if ((r = torc_stdin(&in)) < 0 || (r = torc_stdout(&out.stream)) < 0)
		return r;
	if ((r = torc_lines_open(&lines, &in, NULL)) < 0)
		return r;
	while ((r = next(&lines, &line, &out)) != 0) {
		n++;
		if (r == -EMSGSIZE) { /* longer than the reader's buffer: no line of text */
			fprintf(stderr, "lines: line %d is too long\n", n);
			r = torc_lines_skip(&lines);
		} else if (r > 0 && strstr(line.text, word)) {
			line.text[line.len] = '\n'; /* the byte behind a line is its own NUL */
			snprintf(number, sizeof number, "%6d  ", n);
			r = put(&out, number, strlen(number));
			if (r >= 0)
				r = put(&out, line.text, line.len + 1);
		}
		if (r < 0)
			break;
	}
	if (r == 0)
		r = flush(&out);
	return r == -EPIPE ? 0 : r; /* `| head` has seen enough */
}

int main(int argc, char **argv)
{
	int r = torc_run(NULL, filter, argc > 1 ? argv[1] : "");

	if (r < 0)
		fprintf(stderr, "lines: %s\n", strerror(-r));
	return r < 0;
}
