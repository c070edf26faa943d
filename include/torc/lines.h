/* lines.h - records of a byte stream: lines, what a delimiter ends, so and so many bytes; read ahead into one buffer, and
 * lent out of it. For text protocols and command-line filters.
 *
 *     struct torc_lines lines TORC_CLEANUP(torc_lines_close) = { 0 };
 *     struct torc_line line;
 *
 *     r = torc_lines_open(&lines, &stream, NULL);
 *     while (r >= 0 && (r = torc_lines_next(&lines, &line)) > 0)
 *             use(line.text, line.len);
 *
 * What was read ahead is in here and no longer in the stream, so while a reader is open all reading goes through it. It
 * belongs to one fiber at a time. Every parking call also returns what torc_stream_read does (stream.h); nothing is lost
 * by a failure: the next call goes on where that one began. What was read ahead is given in a cancelled scope, too: a call
 * returns -ECANCELED there only if it would have to read. */
#ifndef TORC_LINES_H
#define TORC_LINES_H

#include <torc/stream.h>

TORC_BEGIN

struct torc_lines {
	struct torc_stream *stream_;
	char *buf_;
	size_t size_, begin_, end_, seen_; /* what is there: [begin_, end_); no delimiter begins before seen_ */
	char *hidden_;                     /* the byte that a NUL stands for at present */
	char hidden_byte_;
	bool owned_, strip_cr_, over_;
	void *reserved_[2];
};

struct torc_lines_options {
	size_t size;     /* TORC_OPTIONS fills it in                                                              */
	size_t buf_size; /* bytes of buffer: one more than the longest line and its end have, CR LF both, and a last
	                    line that lacks its end counts as if it had one; default 64 KiB                    */
	void *buf;       /* the caller's buffer of that size, lent until close; NULL: one is allocated            */
	bool strip_cr;   /* a line may end in CR LF as well: the CR is taken off                                  */
};

/* A record, lent until the next call on the same reader. It may hold NULs; a NUL follows it. It may be written to. */
struct torc_line {
	char *text;
	size_t len;
	bool ended; /* by its delimiter, which is not in it; false: the stream ended first */
};

/* Begin to read from `stream`, which is lent until close. Returns 0; -EINVAL for a buffer of less than 4 bytes; -ENOMEM. */
TORC_API int torc_lines_open(struct torc_lines *lines, struct torc_stream *stream,
                             const struct torc_lines_options *options) TORC_ANYWHERE TORC_MUST;

/* The next line, without its "\n". The last one may lack that. Returns 1; 0 at the end; -EMSGSIZE for a line that the
 * buffer does not hold: nothing of it is taken, so that the next call says so again; take its beginning by
 * torc_lines_read, or pass it over by torc_lines_skip. */
TORC_API int torc_lines_next(struct torc_lines *lines, struct torc_line *line) TORC_PARKS TORC_MUST;

/* The same with a delimiter of `len` bytes, at least 1: "\r\n\r\n" for the head of an HTTP message. */
TORC_API int torc_lines_until(struct torc_lines *lines, const void *delimiter, size_t len,
                              struct torc_line *record) TORC_PARKS TORC_MUST;

/* Pass over whatever comes up to and including the next "\n", however long it is. Returns 1; 0 at the end. */
TORC_API int torc_lines_skip(struct torc_lines *lines) TORC_PARKS TORC_MUST;

/* The next `len` bytes, lent: what a length before them announced. Returns 1; 0 at the end; -ENODATA if the stream ends
 * within them, which stay there to be read; -EMSGSIZE if they are more than the buffer holds (torc_lines_read_exact
 * copies any number). */
TORC_API int torc_lines_take(struct torc_lines *lines, size_t len, struct torc_line *record) TORC_PARKS TORC_MUST;

/* torc_stream_read and torc_stream_read_exact, beginning with what was read ahead. A failure of the exact form loses
 * what it had read. */
TORC_API int torc_lines_read(struct torc_lines *lines, void *buf, size_t len) TORC_PARKS TORC_MUST;
TORC_API int torc_lines_read_exact(struct torc_lines *lines, void *buf, size_t len) TORC_PARKS TORC_MUST;

/* Free what open allocated. The stream stays open; what was read ahead is lost. Harmless on a zeroed or closed one. */
TORC_API void torc_lines_close(struct torc_lines *lines) TORC_ANYWHERE;

TORC_END
#endif
