/* http.c - one HTTP connection, read front to back: bytes in, parser, answers out.
 *
 * http_parser calls back in the middle of its work, and the callbacks write answers: they may park right there, with
 * the parser's frames below them, since a fiber has a stack of its own. So pipelined requests, slow readers and
 * bodies larger than any buffer need no state machine: the state is where the code stands. */
#include "http.h"
#include "site.h"

#include <http_parser.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	IN_SIZE = 4096,
	OUT_SIZE = 8192,
	WORD_SIZE = 16, /* enough for the header names and values that matter here */
};

/* Bytes that arrive piece by piece; those that do not fit are counted, not kept. */
struct text {
	char *data;
	size_t size, len;
};

struct talk {
	struct server *server;
	struct torc_stream *stream;
	http_parser parser;

	/* Of the request that is being read: */
	struct text url;    /* its target                     */
	struct text header; /* the name of the header at hand */
	struct text value;  /* and its value                  */
	bool in_value;      /* the name is complete           */
	bool host;          /* it has a Host header           */
	bool expect;        /* it has Expect: 100-continue    */
	bool expect_other;  /* it has Expect: something else  */

	char *out;
	size_t out_len; /* bytes in `out` that wait to be written */
	bool over;      /* the last answer has been given         */
	int error;      /* the stream has failed                  */
};

/* --- text that comes in pieces -------------------------------------------------------------- */

static void text_add(struct text *text, const char *data, size_t len)
{
	if (text->len < text->size)
		memcpy(text->data + text->len, data, len < text->size - text->len ? len : text->size - text->len);
	text->len += len;
}

static bool text_is(const struct text *text, const char *word)
{
	return text->len == strlen(word) && text->len <= text->size && strncasecmp(text->data, word, text->len) == 0;
}

/* --- writing: into `out`, and from there to the stream --------------------------------------- */

static void flush(struct talk *talk)
{
	if (talk->out_len > 0 && talk->error == 0) {
		int r = torc_stream_write(talk->stream, talk->out, talk->out_len);

		if (r < 0)
			talk->error = r;
	}
	talk->out_len = 0;
}

static void put(struct talk *talk, const char *data, size_t len)
{
	while (len > 0 && talk->error == 0) {
		size_t room = OUT_SIZE - talk->out_len;
		size_t part = len < room ? len : room;

		memcpy(talk->out + talk->out_len, data, part);
		talk->out_len += part;
		data += part;
		len -= part;
		if (talk->out_len == OUT_SIZE)
			flush(talk);
	}
}

static void put_filler(struct talk *talk, uint64_t len)
{
	while (len > 0 && talk->error == 0) {
		size_t part = len < SITE_FILLER ? (size_t)len : SITE_FILLER;

		put(talk, site_filler, part);
		len -= part;
	}
}

static const char *connection_header(const struct talk *talk)
{
	if (talk->over)
		return "Connection: close\r\n";
	if (talk->parser.http_major == 1 && talk->parser.http_minor == 0)
		return "Connection: keep-alive\r\n";
	return "";
}

static void put_head(struct talk *talk, const struct answer *answer)
{
	char head[512];
	int len = snprintf(head, sizeof head,
	                   "HTTP/1.1 %d %s\r\n"
	                   "Server: torc-demo\r\n"
	                   "Date: %s\r\n"
	                   "Content-Type: %s\r\n"
	                   "Content-Length: %" PRIu64 "\r\n"
	                   "%s%s\r\n",
	                   answer->status, http_status_str((enum http_status)answer->status), talk->server->date,
	                   answer->type, answer->len,
	                   answer->status == HTTP_STATUS_METHOD_NOT_ALLOWED ? "Allow: GET, HEAD\r\n" : "",
	                   connection_header(talk));

	put(talk, head, (size_t)len);
}

static void put_answer(struct talk *talk, const struct answer *answer, bool head_only)
{
	put_head(talk, answer);
	if (!head_only && answer->body)
		put(talk, answer->body, (size_t)answer->len);
	else if (!head_only)
		put_filler(talk, answer->len);
	talk->server->figures.http_requests++;
	server_count_hit(talk->server);
}

/* --- answering ------------------------------------------------------------------------------- */

/* Say what is wrong. A request that is misread this far leaves no way to tell where the next one begins. */
static void refuse_and_close(struct talk *talk, int status, const char *why)
{
	struct answer answer;

	talk->over = true;
	site_refuse(&answer, status, why);
	put_answer(talk, &answer, false);
}

/* The path in the request target, which may be "/path?query" or "http://host/path". Empty if there is none. */
static void find_path(const struct talk *talk, char path[HTTP_URL_MAX + 1])
{
	struct http_parser_url url;
	const char *target = talk->url.data;

	path[0] = '\0';
	http_parser_url_init(&url);
	if (http_parser_parse_url(target, talk->url.len, talk->parser.method == HTTP_CONNECT, &url) != 0)
		return;
	if (url.field_set & (1 << UF_PATH)) {
		memcpy(path, target + url.field_data[UF_PATH].off, url.field_data[UF_PATH].len);
		path[url.field_data[UF_PATH].len] = '\0';
	} else if (url.field_set & (1 << UF_HOST)) {
		memcpy(path, "/", 2);
	}
}

static void choose_answer(struct talk *talk, struct answer *answer)
{
	char path[HTTP_URL_MAX + 1];

	if (talk->parser.method != HTTP_GET && talk->parser.method != HTTP_HEAD) {
		site_refuse(answer, HTTP_STATUS_METHOD_NOT_ALLOWED, "GET and HEAD are all there is");
		return;
	}
	find_path(talk, path);
	site_get(talk->server, path, answer);
}

static void answer_request(struct talk *talk)
{
	struct answer answer;

	choose_answer(talk, &answer);
	put_answer(talk, &answer, talk->parser.method == HTTP_HEAD);
}

/* --- what the parser tells ------------------------------------------------------------------- */

/* Anything but 0 makes the parser stop where it is. */
static int go_on(const struct talk *talk)
{
	return talk->over || talk->error < 0 ? -1 : 0;
}

static int on_begin(http_parser *parser)
{
	struct talk *talk = parser->data;

	talk->url.len = talk->header.len = talk->value.len = 0;
	talk->in_value = talk->host = talk->expect = talk->expect_other = false;
	return 0;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
	struct talk *talk = parser->data;

	text_add(&talk->url, at, len);
	if (talk->url.len > talk->url.size)
		refuse_and_close(talk, HTTP_STATUS_URI_TOO_LONG, "no path here is that long");
	return go_on(talk);
}

/* A header is complete when the next one begins, or when there are no more. */
static void take_header(struct talk *talk)
{
	if (text_is(&talk->header, "host"))
		talk->host = true;
	else if (text_is(&talk->header, "expect")) {
		if (text_is(&talk->value, "100-continue"))
			talk->expect = true;
		else
			talk->expect_other = true;
	}
	talk->header.len = talk->value.len = 0;
	talk->in_value = false;
}

static int on_header_name(http_parser *parser, const char *at, size_t len)
{
	struct talk *talk = parser->data;

	if (talk->in_value)
		take_header(talk);
	text_add(&talk->header, at, len);
	return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t len)
{
	struct talk *talk = parser->data;

	text_add(&talk->value, at, len);
	talk->in_value = true;
	return 0;
}

/* Who asks before sending a body is told at once (RFC 9110, 10.1.1): yes, or the answer, without reading the body. */
static void answer_expectation(struct talk *talk)
{
	static const char yes[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (talk->parser.method == HTTP_GET || talk->parser.method == HTTP_HEAD) {
		put(talk, yes, sizeof yes - 1);
		flush(talk);
	} else {
		talk->over = true;
		answer_request(talk);
	}
}

static int on_headers(http_parser *parser)
{
	struct talk *talk = parser->data;
	bool http_1_1 = parser->http_major == 1 && parser->http_minor >= 1;

	take_header(talk);
	parser->upgrade = 0; /* an offer that is not taken up: the connection remains HTTP/1.1 */
	if (parser->http_major > 1)
		refuse_and_close(talk, HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 and 1.0 are spoken here");
	else if (http_1_1 && !talk->host)
		refuse_and_close(talk, HTTP_STATUS_BAD_REQUEST, "an HTTP/1.1 request has a Host header");
	else if (talk->expect_other)
		refuse_and_close(talk, HTTP_STATUS_EXPECTATION_FAILED, "100-continue is all that can be expected");
	else if (http_1_1 && talk->expect)
		answer_expectation(talk);
	return go_on(talk);
}

static int on_complete(http_parser *parser)
{
	struct talk *talk = parser->data;

	talk->over = !http_should_keep_alive(parser);
	answer_request(talk);
	return go_on(talk);
}

/* Bodies have no callback: they are read and forgotten. */
static const http_parser_settings callbacks = {
	.on_message_begin = on_begin,
	.on_url = on_url,
	.on_header_field = on_header_name,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers,
	.on_message_complete = on_complete,
};

/* --- the conversation ------------------------------------------------------------------------ */

static void refuse_malformed(struct talk *talk)
{
	enum http_errno error = HTTP_PARSER_ERRNO(&talk->parser);

	if (error == HPE_HEADER_OVERFLOW)
		refuse_and_close(talk, HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE, "16 KiB is the limit");
	else
		refuse_and_close(talk, HTTP_STATUS_BAD_REQUEST, http_errno_description(error));
}

static void digest(struct talk *talk, const char *data, size_t len)
{
	http_parser_execute(&talk->parser, &callbacks, data, len);
	if (HTTP_PARSER_ERRNO(&talk->parser) != HPE_OK && go_on(talk) == 0)
		refuse_malformed(talk);
	flush(talk); /* all answers to what came in one piece, in one piece */
}

/* Close only when the peer has had time to read: a close with bytes unread makes the kernel send a reset, and that
 * may overtake the answer (RFC 9112, 9.6). */
static void part(struct torc_stream *stream)
{
	char rest[1024];

	TORC_SCOPE(farewell, .deadline = torc_in(1 * TORC_SEC));
	if (torc_stream_shutdown(stream, TORC_SHUTDOWN_WRITE) < 0)
		return;
	while (torc_stream_read(stream, rest, sizeof rest) > 0)
		; /* ends: the deadline */
}

void http_init(void)
{
	http_parser_set_max_header_size(HTTP_HEADER_MAX);
}

int http_serve(struct server *server, struct torc_stream *stream)
{
	char in[IN_SIZE], out[OUT_SIZE];
	char url[HTTP_URL_MAX], header[WORD_SIZE], value[WORD_SIZE];
	struct talk talk = {
		.server = server,
		.stream = stream,
		.url = { url, sizeof url, 0 },
		.header = { header, sizeof header, 0 },
		.value = { value, sizeof value, 0 },
		.out = out,
	};
	int n;

	http_parser_init(&talk.parser, HTTP_REQUEST);
	talk.parser.data = &talk;
	while (go_on(&talk) == 0) {
		n = torc_stream_read(stream, in, sizeof in);
		if (n <= 0)
			return n;
		digest(&talk, in, (size_t)n);
	}
	if (talk.error == 0)
		part(stream);
	return talk.error;
}
