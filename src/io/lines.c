#include "io/lines.h"

#include "base/options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_DEFAULT = 64 << 10, SIZE_LEAST = 4 };

int torc_lines_open(struct torc_lines *lines, struct torc_stream *stream, const struct torc_lines_options *options)
{
	struct torc_lines_options whole;
	struct torc_lines opened = { .stream_ = stream };

	options = OPTIONS(options, whole);
	opened.size_ = options->buf_size ? options->buf_size : SIZE_DEFAULT;
	opened.buf_ = options->buf;
	opened.strip_cr_ = options->strip_cr;
	if (opened.size_ < SIZE_LEAST || (options->buf && !options->buf_size))
		return -EINVAL;
	if (!opened.buf_) {
		opened.buf_ = malloc(opened.size_);
		opened.owned_ = true;
	}
	if (!opened.buf_)
		return -ENOMEM;
	*lines = opened;
	return 0;
}

void torc_lines_close(struct torc_lines *lines)
{
	if (lines->owned_)
		free(lines->buf_);
	*lines = (struct torc_lines){ 0 };
}

/* What was lent is over: put the byte back that its NUL hid. False: the reader is not open. */
static bool resume(struct torc_lines *lines)
{
	if (lines->hidden_)
		*lines->hidden_ = lines->hidden_byte_;
	lines->hidden_ = NULL;
	return lines->buf_;
}

/* Lend what is at the beginning. */
static int lend(struct torc_lines *lines, size_t len, size_t delimiter_len, struct torc_line *record)
{
	char *text = lines->buf_ + lines->begin_;

	lines->begin_ += len + delimiter_len;
	lines->seen_ = lines->begin_;
	lines->hidden_ = text + len;
	lines->hidden_byte_ = *lines->hidden_;
	*lines->hidden_ = 0;
	*record = (struct torc_line){ text, len, delimiter_len > 0 };
	return 1;
}

static void move_to_front(struct torc_lines *lines)
{
	memmove(lines->buf_, lines->buf_ + lines->begin_, lines->end_ - lines->begin_);
	lines->seen_ -= lines->begin_;
	lines->end_ -= lines->begin_;
	lines->begin_ = 0;
}

/* Read ahead as far as there is room. > 0; 0 at the end; -EMSGSIZE: there is no room. */
static int fill(struct torc_lines *lines)
{
	size_t there = lines->end_ - lines->begin_;
	int r;

	if (there + 1 >= lines->size_)
		return -EMSGSIZE;
	if (lines->begin_ > 0 && (there == 0 || lines->size_ - lines->end_ < lines->size_ / 2))
		move_to_front(lines);
	r = lines->over_ ? 0
	                 : torc_stream_read(lines->stream_, lines->buf_ + lines->end_, lines->size_ - 1 - lines->end_);
	if (r > 0)
		lines->end_ += (size_t)r;
	else if (r == 0)
		lines->over_ = true; /* a terminal may go on after its ^D, but who reads lines takes it for the end */
	return r;
}

static char *find(const struct torc_lines *lines, const char *delimiter, size_t len)
{
	char *from = lines->buf_ + lines->seen_;
	size_t there = lines->end_ - lines->seen_;

	return len == 1 ? memchr(from, *delimiter, there) : memmem(from, there, delimiter, len);
}

/* The length of the record up to the next delimiter, having read so far; what there is if the stream ends first. */
static int seek(struct torc_lines *lines, const char *delimiter, size_t delimiter_len, size_t *len, bool *ended)
{
	for (;;) { /* ends: each round reads something, until there is no room */
		const char *found = find(lines, delimiter, delimiter_len);
		size_t there = lines->end_ - lines->begin_;
		int r;

		*ended = found;
		*len = found ? (size_t)(found - lines->buf_) - lines->begin_ : there;
		if (found)
			return 1;
		/* A delimiter may have begun at the very end. */
		if (there >= delimiter_len && lines->end_ - (delimiter_len - 1) > lines->seen_)
			lines->seen_ = lines->end_ - (delimiter_len - 1);
		r = fill(lines);
		if (r < 0)
			return r;
		if (r == 0)
			return there > 0;
	}
}

int torc_lines_until(struct torc_lines *lines, const void *delimiter, size_t len, struct torc_line *record)
{
	size_t record_len;
	bool ended;
	int r;

	if (!resume(lines))
		return -EBADF;
	if (len == 0)
		return -EINVAL;
	lines->seen_ = lines->begin_; /* another delimiter may have been looked for */
	r = seek(lines, delimiter, len, &record_len, &ended);
	return r > 0 ? lend(lines, record_len, ended ? len : 0, record) : r;
}

int torc_lines_next(struct torc_lines *lines, struct torc_line *line)
{
	int r = torc_lines_until(lines, "\n", 1, line);

	if (r > 0 && lines->strip_cr_ && line->ended && line->len > 0 && line->text[line->len - 1] == '\r')
		line->text[--line->len] = 0;
	return r;
}

/* Let go of what was read ahead. */
static void drop(struct torc_lines *lines, size_t len)
{
	lines->begin_ += len;
	lines->seen_ = lines->begin_;
}

int torc_lines_skip(struct torc_lines *lines)
{
	bool some = false;

	if (!resume(lines))
		return -EBADF;
	for (;;) { /* ends: the stream does, or a line */
		size_t len;
		bool ended;
		int r;

		lines->seen_ = lines->begin_;
		r = seek(lines, "\n", 1, &len, &ended);
		if (r < 0 && r != -EMSGSIZE)
			return r;
		some = some || len > 0;
		drop(lines, len + ended);
		if (r >= 0)
			return r > 0 || some;
	}
}

int torc_lines_take(struct torc_lines *lines, size_t len, struct torc_line *record)
{
	if (!resume(lines))
		return -EBADF;
	if (len + 1 > lines->size_ || len == SIZE_MAX)
		return -EMSGSIZE;
	while (lines->end_ - lines->begin_ < len) { /* ends: each round reads something */
		int r;

		if (lines->begin_ + len + 1 > lines->size_)
			move_to_front(lines);
		r = fill(lines);
		if (r < 0)
			return r;
		if (r == 0)
			return lines->end_ == lines->begin_ ? 0 : -ENODATA;
	}
	return lend(lines, len, 0, record);
}

int torc_lines_read(struct torc_lines *lines, void *buf, size_t len)
{
	size_t there;

	if (!resume(lines))
		return -EBADF;
	there = lines->end_ - lines->begin_;
	if (there == 0)
		return lines->over_ ? 0 : torc_stream_read(lines->stream_, buf, len);
	if (there > len)
		there = len;
	if (there > INT_MAX)
		there = INT_MAX;
	memcpy(buf, lines->buf_ + lines->begin_, there);
	drop(lines, there);
	return (int)there;
}

int torc_lines_read_exact(struct torc_lines *lines, void *buf, size_t len)
{
	size_t got = 0;

	if (len > INT_MAX)
		return -EINVAL;
	while (got < len) { /* ends: each round reads something, or the stream ends */
		int r = torc_lines_read(lines, (char *)buf + got, len - got);

		if (r < 0)
			return r;
		if (r == 0)
			return got == 0 ? 0 : -ENODATA;
		got += (size_t)r;
	}
	return (int)len;
}
