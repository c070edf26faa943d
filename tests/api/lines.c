/* lines - records out of a stream: every delimiter, every split of the bytes into reads, buffers from tiny to large, and
 * nothing lost by lines that are too long, ends, cancellations. */
#include "api.h"
#include "base/random.h"

/* --- a stream that says what a test says ------------------------------------------------------- */

struct feed {
	struct torc_stream reader, writer;
	const char *bytes;
	size_t len, piece;
};

static int feed_run(void *arg)
{
	struct feed *feed = arg;

	for (size_t at = 0; at < feed->len; at += feed->piece) {
		size_t len = feed->len - at < feed->piece ? feed->len - at : feed->piece;
		int r = torc_stream_write(&feed->writer, feed->bytes + at, len);

		if (r < 0)
			return r;
		torc_yield();
	}
	return torc_stream_close(&feed->writer);
}

static void feed_begin(struct feed *feed, struct torc_scope *scope, const char *bytes, size_t len, size_t piece)
{
	*feed = (struct feed){ .bytes = bytes, .len = len, .piece = piece };
	ck_assert_int_eq(torc_pipe(&feed->reader, &feed->writer), 0);
	ck_assert_int_eq(torc_go(scope, feed_run, feed), 0);
}

static void feed_end(struct feed *feed)
{
	torc_stream_close(&feed->reader);
	torc_stream_close(&feed->writer);
}

#define LINE(lines, words)                                                \
	do {                                                              \
		struct torc_line line_;                                   \
		ck_assert_int_eq(torc_lines_next((lines), &line_), 1);    \
		ck_assert_uint_eq(line_.len, sizeof(words) - 1);          \
		ck_assert(memcmp(line_.text, words, sizeof(words)) == 0); \
		ck_assert(line_.ended);                                   \
	} while (0)

/* --- lines ------------------------------------------------------------------------------------- */

static void the_same_in_every_split(const char *bytes, size_t len, size_t buf_size, bool strip_cr)
{
	for (size_t piece = 1; piece <= len; piece = piece < 8 ? piece + 1 : piece * 3) {
		struct torc_lines lines;
		struct torc_line line;
		struct feed feed;
		size_t at = 0;
		int r;

		TORC_SCOPE(scope);
		feed_begin(&feed, scope, bytes, len, piece);
		ck_assert_int_eq(
			torc_lines_open(&lines, &feed.reader,
		                        TORC_OPTIONS(torc_lines_options, .buf_size = buf_size, .strip_cr = strip_cr)),
			0);
		while ((r = torc_lines_next(&lines, &line)) > 0) {
			const char *end = memchr(bytes + at, '\n', len - at);
			size_t want = end ? (size_t)(end - bytes) - at : len - at, next = at + want + (end != NULL);

			ck_assert(line.ended == (end != NULL));
			if (strip_cr && end && want > 0 && bytes[at + want - 1] == '\r')
				want--;
			ck_assert_uint_eq(line.len, want);
			ck_assert(memcmp(line.text, bytes + at, want) == 0);
			ck_assert_int_eq(line.text[want], 0);
			memset(line.text, 0x55, line.len); /* it is ours until the next call */
			at = next;
		}
		ck_assert_int_eq(r, 0);
		ck_assert_uint_eq(at, len);
		ck_assert_int_eq(torc_lines_next(&lines, &line), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		torc_lines_close(&lines);
		feed_end(&feed);
	}
}

#define SPLITS(bytes, buf_size, strip) the_same_in_every_split(bytes, sizeof(bytes) - 1, buf_size, strip)

TEST_IN_FIBER(lines_come_whole_however_the_bytes_come)
{
	static const size_t sizes[] = { 12, 13, 16, 64, 0 };

	for (size_t i = 0; i < LENGTH(sizes); i++)
		for (int strip = 0; strip < 2; strip++) {
			SPLITS("one\ntwo\n\n\nthree", sizes[i], strip);
			SPLITS("one\r\n\r\n\rtwo\n\r\r\nx\n\r", sizes[i], strip);
			SPLITS("\n", sizes[i], strip);
			SPLITS("x", sizes[i], strip);
			SPLITS("\0a\0\n\0\n\0", sizes[i], strip);
			SPLITS("ten bytes!\nten bytes?\nten bytes.", sizes[i], strip);
		}
}

TEST_IN_FIBER(an_empty_stream_has_no_line)
{
	struct torc_lines lines;
	struct torc_line line = { .len = UNSET };
	struct feed feed;

	TORC_SCOPE(scope);
	feed_begin(&feed, scope, "", 0, 1);
	ck_assert_int_eq(torc_lines_open(&lines, &feed.reader, NULL), 0);
	ck_assert_int_eq(torc_lines_next(&lines, &line), 0);
	ck_assert_int_eq(torc_lines_skip(&lines), 0);
	ck_assert_int_eq(torc_lines_take(&lines, 1, &line), 0);
	ck_assert_uint_eq(line.len, UNSET);
	torc_lines_close(&lines);
	torc_lines_close(&lines);
	ck_assert_int_eq(torc_lines_next(&lines, &line), -EBADF);
	ck_assert_int_eq(torc_lines_skip(&lines), -EBADF);
	ck_assert_int_eq(torc_lines_take(&lines, 1, &line), -EBADF);
	ck_assert_int_eq(torc_lines_read(&lines, &line, 1), -EBADF);
	feed_end(&feed);
}

/* Random bytes of a small alphabet, so that lines of every length meet buffers of every fill. */
TEST_IN_FIBER(many_random_texts)
{
	unsigned seed = 1;

	for (int round = 0; round < COUNT(40, 4); round++) {
		char bytes[700];
		size_t run = 0;

		for (size_t i = 0; i < sizeof bytes; i++) {
			seed = seed * 1103515245 + 12345;
			bytes[i] = "\n\rab"[seed >> 16 & 3];
			run = bytes[i] == '\n' ? 0 : run + 1;
			if (run == 30) {
				bytes[i] = '\n';
				run = 0;
			}
		}
		the_same_in_every_split(bytes, sizeof bytes, 32 + (seed >> 20 & 63), round & 1);
	}
}

/* --- too long ---------------------------------------------------------------------------------- */

TEST_IN_FIBER(a_line_that_does_not_fit_is_said_and_not_lost)
{
	static const char text[] = "short\n12345678901234567890\nend\n";
	struct torc_lines lines;
	struct torc_line line;
	struct feed feed;
	char buf[16], rest[64] = "";

	TORC_SCOPE(scope);
	feed_begin(&feed, scope, text, sizeof text - 1, sizeof text);
	ck_assert_int_eq(torc_lines_open(&lines, &feed.reader,
	                                 TORC_OPTIONS(torc_lines_options, .buf = buf, .buf_size = sizeof buf)),
	                 0);
	LINE(&lines, "short");
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(torc_lines_next(&lines, &line), -EMSGSIZE);
	ck_assert_int_eq(torc_lines_read(&lines, rest, sizeof rest), sizeof buf - 1);
	ck_assert_str_eq(rest, "123456789012345");
	LINE(&lines, "67890");
	LINE(&lines, "end");
	ck_assert_int_eq(torc_lines_next(&lines, &line), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	torc_lines_close(&lines);
	feed_end(&feed);
}

TEST_IN_FIBER(the_longest_line_is_two_less_than_the_buffer)
{
	static const char text[] = "12345678901234\n123456789012345\n12345678901234";
	struct torc_lines lines;
	struct torc_line line;
	struct feed feed;
	char buf[16];

	TORC_SCOPE(scope);
	feed_begin(&feed, scope, text, sizeof text - 1, 3);
	ck_assert_int_eq(torc_lines_open(&lines, &feed.reader,
	                                 TORC_OPTIONS(torc_lines_options, .buf = buf, .buf_size = sizeof buf)),
	                 0);
	LINE(&lines, "12345678901234");
	ck_assert_int_eq(torc_lines_next(&lines, &line), -EMSGSIZE);
	ck_assert_int_eq(torc_lines_skip(&lines), 1);
	ck_assert_int_eq(torc_lines_next(&lines, &line), 1);
	ck_assert_uint_eq(line.len, 14);
	ck_assert(!line.ended);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	torc_lines_close(&lines);
	feed_end(&feed);
}

TEST_IN_FIBER(skip_passes_over_lines_of_any_length)
{
	static char text[100003];
	struct torc_lines lines;
	struct torc_line line;
	struct feed feed;
	char buf[64];

	memset(text, 'x', sizeof text);
	memcpy(text, "a\n", 2);
	memcpy(text + sizeof text - 6, "\nlast\n", 6);
	TORC_SCOPE(scope);
	feed_begin(&feed, scope, text, sizeof text, 4096);
	ck_assert_int_eq(torc_lines_open(&lines, &feed.reader,
	                                 TORC_OPTIONS(torc_lines_options, .buf = buf, .buf_size = sizeof buf)),
	                 0);
	ck_assert_int_eq(torc_lines_skip(&lines), 1);
	ck_assert_int_eq(torc_lines_next(&lines, &line), -EMSGSIZE);
	ck_assert_int_eq(torc_lines_skip(&lines), 1);
	LINE(&lines, "last");
	ck_assert_int_eq(torc_lines_skip(&lines), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	torc_lines_close(&lines);
	feed_end(&feed);
}

/* --- delimiters and lengths ---------------------------------------------------------------------- */

TEST_IN_FIBER(an_http_message)
{
	static const char text[] = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nbytes*2\r\n$3\r\nfoo\r\nrest";

	for (size_t piece = 1; piece < sizeof text; piece++) {
		struct torc_lines lines;
		struct torc_line head, line;
		struct feed feed;
		char body[6] = "", buf[80];

		TORC_SCOPE(scope);
		feed_begin(&feed, scope, text, sizeof text - 1, piece);
		ck_assert_int_eq(torc_lines_open(&lines, &feed.reader,
		                                 TORC_OPTIONS(torc_lines_options, .strip_cr = true, .buf = buf,
		                                              .buf_size = sizeof buf)),
		                 0);
		ck_assert_int_eq(torc_lines_until(&lines, "\r\n\r\n", 4, &head), 1);
		ck_assert_str_eq(head.text, "POST / HTTP/1.1\r\nContent-Length: 5");
		ck_assert_int_eq(torc_lines_read_exact(&lines, body, 5), 5);
		ck_assert_str_eq(body, "bytes");
		LINE(&lines, "*2");
		LINE(&lines, "$3");
		ck_assert_int_eq(torc_lines_take(&lines, 3, &line), 1);
		ck_assert_str_eq(line.text, "foo");
		LINE(&lines, "");
		ck_assert_int_eq(torc_lines_until(&lines, "\r\n\r\n", 4, &line), 1);
		ck_assert_str_eq(line.text, "rest");
		ck_assert(!line.ended);
		ck_assert_int_eq(torc_lines_until(&lines, "\r\n\r\n", 4, &line), 0);
		ck_assert_int_eq(torc_lines_until(&lines, "", 0, &line), -EINVAL);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		torc_lines_close(&lines);
		feed_end(&feed);
	}
}

TEST_IN_FIBER(a_delimiter_that_nearly_comes)
{
	static const char text[] = "aabaabaabaaabaabaaab|x";

	for (size_t piece = 1; piece < sizeof text; piece++) {
		struct torc_lines lines;
		struct torc_line line;
		struct feed feed;

		TORC_SCOPE(scope);
		feed_begin(&feed, scope, text, sizeof text - 1, piece);
		ck_assert_int_eq(torc_lines_open(&lines, &feed.reader, NULL), 0);
		ck_assert_int_eq(torc_lines_until(&lines, "aabaaab|", 8, &line), 1);
		ck_assert_str_eq(line.text, "aabaabaabaaab");
		ck_assert_int_eq(torc_scope_join(scope), 0);
		torc_lines_close(&lines);
		feed_end(&feed);
	}
}

TEST_IN_FIBER(exact_lengths)
{
	static const char text[] = "0123456789abcdefghij";

	for (size_t piece = 1; piece < sizeof text; piece++) {
		struct torc_lines lines;
		struct torc_line bytes;
		struct feed feed;
		char buf[16], all[16];

		TORC_SCOPE(scope);
		feed_begin(&feed, scope, text, sizeof text - 1, piece);
		ck_assert_int_eq(torc_lines_open(&lines, &feed.reader,
		                                 TORC_OPTIONS(torc_lines_options, .buf = buf, .buf_size = 16)),
		                 0);
		ck_assert_int_eq(torc_lines_take(&lines, 0, &bytes), 1);
		ck_assert_uint_eq(bytes.len, 0);
		ck_assert_int_eq(torc_lines_take(&lines, 16, &bytes), -EMSGSIZE);
		ck_assert_int_eq(torc_lines_take(&lines, SIZE_MAX, &bytes), -EMSGSIZE);
		ck_assert_int_eq(torc_lines_take(&lines, 1, &bytes), 1);
		ck_assert_str_eq(bytes.text, "0");
		ck_assert_int_eq(torc_lines_take(&lines, 15, &bytes), 1);
		ck_assert_str_eq(bytes.text, "123456789abcdef");
		ck_assert_int_eq(torc_lines_take(&lines, 5, &bytes), -ENODATA);
		ck_assert_int_eq(torc_lines_read_exact(&lines, all, 3), 3);
		ck_assert(memcmp(all, "ghi", 3) == 0);
		ck_assert_int_eq(torc_lines_read_exact(&lines, all, 3), -ENODATA);
		ck_assert_int_eq(torc_lines_read_exact(&lines, all, 3), 0);
		ck_assert_int_eq(torc_lines_read_exact(&lines, all, (size_t)INT_MAX + 1), -EINVAL);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		torc_lines_close(&lines);
		feed_end(&feed);
	}
}

/* --- options and failures -------------------------------------------------------------------------- */

TEST(open_refuses_what_makes_no_sense)
{
	struct torc_lines lines;
	struct torc_stream stream = { 0 };
	char buf[8];

	ck_assert_int_eq(torc_lines_open(&lines, &stream, TORC_OPTIONS(torc_lines_options, .buf_size = 3)), -EINVAL);
	ck_assert_int_eq(torc_lines_open(&lines, &stream, TORC_OPTIONS(torc_lines_options, .buf = buf)), -EINVAL);
	if (!harness_slow()) /* sanitizers take it for a mistake */
		ck_assert_int_eq(
			torc_lines_open(&lines, &stream, TORC_OPTIONS(torc_lines_options, .buf_size = SIZE_MAX / 2)),
			-ENOMEM);
}

TEST_IN_FIBER(what_a_cancellation_interrupts_goes_on_later)
{
	struct torc_stream reader, writer;
	struct torc_lines lines;
	struct torc_line line;

	ck_assert_int_eq(torc_pipe(&reader, &writer), 0);
	ck_assert_int_eq(torc_lines_open(&lines, &reader, NULL), 0);
	ck_assert_int_eq(torc_stream_write(&writer, "half a ", 7), 7);
	{
		TORC_SCOPE(scope, .deadline = torc_in(SOON));
		ck_assert_int_eq(torc_lines_next(&lines, &line), -ETIME);
	}
	{
		TORC_SCOPE(scope);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_lines_next(&lines, &line), -ECANCELED);
	}
	ck_assert_int_eq(torc_stream_write(&writer, "line\n", 5), 5);
	LINE(&lines, "half a line");
	ck_assert_int_eq(torc_stream_close(&reader), 0);
	ck_assert_int_eq(torc_lines_next(&lines, &line), -EBADF);
	torc_lines_close(&lines);
	torc_stream_close(&writer);
}

/* --- all calls, mixed, against a cursor in the whole text --------------------------------------------- */

struct text {
	char bytes[3000];
	size_t len, at;
	size_t buf_size;
	bool strip_cr;
};

static const char *const delimiters[] = { "\n", "\r\n", "ab", "aab", "\n\n\n", "b" };

static const char *find(const struct text *text, const char *delimiter)
{
	return memmem(text->bytes + text->at, text->len - text->at, delimiter, strlen(delimiter));
}

/* What the next record is, and by how much the cursor moves. */
static int next_record(const struct text *text, const char *delimiter, struct torc_line *record, size_t *moves)
{
	const char *end = find(text, delimiter), *begin = text->bytes + text->at;
	size_t left = text->len - text->at;

	record->ended = end != NULL;
	record->len = end ? (size_t)(end - begin) : left;
	*moves = record->len + (end ? strlen(delimiter) : 0);
	if (*moves + 1 + !end > text->buf_size)
		return -EMSGSIZE;
	return *moves > 0;
}

static void check_record(struct text *text, const char *delimiter, bool strip_cr, int r, const struct torc_line *got,
                         uint64_t seed)
{
	struct torc_line want;
	size_t moves;

	HOLDS(r == next_record(text, delimiter, &want, &moves), seed);
	if (r <= 0)
		return;
	if (strip_cr && want.ended && want.len > 0 && text->bytes[text->at + want.len - 1] == '\r')
		want.len--;
	HOLDS(got->len == want.len && got->ended == want.ended && got->text[got->len] == 0, seed);
	HOLDS(memcmp(got->text, text->bytes + text->at, want.len) == 0, seed);
	memset(got->text, 0x55, got->len);
	text->at += moves;
}

static void check_copy(struct text *text, const char *got, int r, uint64_t seed)
{
	HOLDS(r < 0 || memcmp(got, text->bytes + text->at, (size_t)r) == 0, seed);
	text->at += r > 0 ? (size_t)r : 0;
}

/* In a scope that is over what was read ahead is given, and nothing is lost by what is refused. */
static bool next_without_waiting(struct torc_lines *lines, struct torc_line *line, int *r)
{
	TORC_SCOPE(over);
	torc_scope_cancel(over);
	*r = torc_lines_next(lines, line);
	return *r != -ECANCELED;
}

static void one_call(struct torc_lines *lines, struct text *text, struct random *random)
{
	const char *delimiter = delimiters[random_below(random, LENGTH(delimiters))];
	size_t len = random_below(random, 40), left = text->len - text->at;
	struct torc_line record;
	char copy[40];
	int r;

	switch (random_below(random, 7)) {
	case 0:
		r = torc_lines_next(lines, &record);
		check_record(text, "\n", text->strip_cr, r, &record, random->seed);
		return;
	case 1:
		if (next_without_waiting(lines, &record, &r))
			check_record(text, "\n", text->strip_cr, r, &record, random->seed);
		return;
	case 2:
		r = torc_lines_until(lines, delimiter, strlen(delimiter), &record);
		check_record(text, delimiter, false, r, &record, random->seed);
		return;
	case 3: {
		const char *end = find(text, "\n");

		HOLDS(torc_lines_skip(lines) == (left > 0), random->seed);
		text->at = end ? (size_t)(end - text->bytes) + 1 : text->len;
		return;
	}
	case 4:
		r = torc_lines_take(lines, len, &record);
		HOLDS(r == (len >= text->buf_size ? -EMSGSIZE
		            : len <= left         ? 1
		            : left == 0           ? 0
		                                  : -ENODATA),
		      random->seed);
		if (r > 0) {
			HOLDS(record.len == len && record.text[len] == 0, random->seed);
			check_copy(text, record.text, (int)len, random->seed);
		}
		return;
	case 5:
		r = torc_lines_read(lines, copy, len);
		HOLDS(len == 0 || left == 0 ? r == 0 : r > 0 && (size_t)r <= len, random->seed);
		check_copy(text, copy, r, random->seed);
		return;
	case 6:
		r = torc_lines_read_exact(lines, copy, len);
		HOLDS(r == (len <= left ? (int)len : left == 0 ? 0 : -ENODATA), random->seed);
		text->at = r == -ENODATA ? text->len : text->at;
		check_copy(text, copy, r, random->seed);
	}
}

static void any_calls(uint64_t seed)
{
	struct random random = random_seeded(seed);
	struct text text = { .len = random_below(&random, sizeof text.bytes),
		             .buf_size = 4 + random_below(&random, 60) };
	struct torc_lines lines;
	struct feed feed;

	text.strip_cr = random_chance(&random, 50);
	for (size_t i = 0; i < text.len; i++)
		text.bytes[i] = "\n\r\0aaab"[random_below(&random, 7)];
	TORC_SCOPE(scope);
	feed_begin(&feed, scope, text.bytes, text.len, 1 + random_below(&random, 100));
	ck_assert_int_eq(
		torc_lines_open(&lines, &feed.reader,
	                        TORC_OPTIONS(torc_lines_options, .buf_size = text.buf_size, .strip_cr = text.strip_cr)),
		0);
	while (text.at < text.len)
		one_call(&lines, &text, &random);
	for (int i = 0; i < 10; i++)
		one_call(&lines, &text, &random);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	torc_lines_close(&lines);
	feed_end(&feed);
}

TEST_IN_FIBER(any_calls_in_any_order)
{
	if (getenv("SEED")) {
		any_calls(strtoull(getenv("SEED"), NULL, 10));
		return;
	}
	for (uint64_t seed = 1; seed <= COUNT(300, 20); seed++)
		any_calls(seed);
}

TEST_IN_FIBER(lines_of_a_socket)
{
	struct torc_stream a, b;
	struct torc_lines lines;
	struct torc_line line;

	stream_pair(&a, &b);
	ck_assert_int_eq(torc_lines_open(&lines, &b, TORC_OPTIONS(torc_lines_options, .strip_cr = true)), 0);
	ck_assert_int_eq(torc_stream_write(&a, "EHLO here\r\nQUIT\r\n", 17), 17);
	LINE(&lines, "EHLO here");
	LINE(&lines, "QUIT");
	torc_stream_close(&a);
	ck_assert_int_eq(torc_lines_next(&lines, &line), 0);
	torc_lines_close(&lines);
	torc_stream_close(&b);
}
