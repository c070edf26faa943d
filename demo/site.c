/* site.c - the pages: /, /plaintext, /stats, /bytes/N. Pure functions of path and figures; none of them parks. */
#include "site.h"

#include <http_parser.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX (UINT64_C(1) << 30)

#define LINE_64   "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.\n"
#define LINES_512 LINE_64 LINE_64 LINE_64 LINE_64 LINE_64 LINE_64 LINE_64 LINE_64

const char site_filler[SITE_FILLER + 1] =
	LINES_512 LINES_512 LINES_512 LINES_512 LINES_512 LINES_512 LINES_512 LINES_512;

static const char home[] =
	"<!DOCTYPE html>\n"
	"<html lang=\"en\">\n"
	"<meta charset=\"utf-8\">\n"
	"<title>torc</title>\n"
	"<style>body { font: 16px/1.5 sans-serif; max-width: 40em; margin: 3em auto; padding: 0 1em }</style>\n"
	"<h1>It runs on torc</h1>\n"
	"<p>This page came from one of several cores, each a thread that shares nothing with the others. Your\n"
	"connection has a fiber of its own there, which reads,\n"
	"parses and writes in plain blocking-looking C, and io_uring does the waiting for all of them at once.</p>\n"
	"<ul>\n"
	"<li><a href=\"/plaintext\">/plaintext</a> &ndash; the answer that the load asks for</li>\n"
	"<li><a href=\"/stats\">/stats</a> &ndash; what the server counts, as JSON</li>\n"
	"<li><a href=\"/bytes/4096\">/bytes/4096</a> &ndash; as many bytes as you like, up to 1 GiB</li>\n"
	"</ul>\n"
	"</html>\n";

static const char hello[] = "Hello, World!\n";

static void answer_with(struct answer *answer, const char *type, const char *body)
{
	answer->status = HTTP_STATUS_OK;
	answer->type = type;
	answer->body = body;
	answer->len = strlen(body);
}

static void get_stats(struct server *server, struct answer *answer)
{
	struct figures sum;
	const struct figures *figures = &sum;

	server_publish(server);
	sum = boards_read(&server->all->boards);
	snprintf(answer->scratch, sizeof answer->scratch,
	         "{\n"
	         "  \"http_requests\": %" PRIu64 ",\n"
	         "  \"echo_requests\": %" PRIu64 ",\n"
	         "  \"accepted\": %" PRIu64 ",\n"
	         "  \"connections\": %" PRIu64 ",\n"
	         "  \"turned_away\": %" PRIu64 ",\n"
	         "  \"cpu_ns\": %" PRIu64 ",\n"
	         "  \"enters\": %" PRIu64 ",\n"
	         "  \"submissions\": %" PRIu64 ",\n"
	         "  \"fibers\": %" PRIu64 ",\n"
	         "  \"in_flight\": %" PRIu64 ",\n"
	         "  \"cores\": %u,\n"
	         "  \"core_calls\": %" PRIu64 ",\n"
	         "  \"serving_ns\": %" PRIu64 ",\n"
	         "  \"batch_ns\": %" PRIu64 "\n"
	         "}\n",
	         figures->http_requests, figures->echo_requests, figures->accepted, figures->connections,
	         figures->turned_away, figures->cpu_ns, figures->enters, figures->submissions, figures->fibers,
	         figures->in_flight, server->all->count, figures->calls, figures->serving_ns, figures->batch_ns);
	answer_with(answer, "application/json", answer->scratch);
}

static void get_bytes(const char *number, struct answer *answer)
{
	size_t digits = strspn(number, "0123456789");
	uint64_t len;

	if (digits == 0 || number[digits] != '\0') {
		site_refuse(answer, HTTP_STATUS_BAD_REQUEST, "/bytes/N wants a decimal number");
		return;
	}
	len = strtoull(number, NULL, 10); /* UINT64_MAX for what does not fit */
	if (len > BYTES_MAX) {
		site_refuse(answer, HTTP_STATUS_BAD_REQUEST, "/bytes/N gives 1 GiB at most");
		return;
	}
	answer->status = HTTP_STATUS_OK;
	answer->type = "text/plain; charset=utf-8";
	answer->body = NULL;
	answer->len = len;
}

void site_get(struct server *server, const char *path, struct answer *answer)
{
	if (strcmp(path, "/plaintext") == 0)
		answer_with(answer, "text/plain; charset=utf-8", hello);
	else if (strcmp(path, "/") == 0)
		answer_with(answer, "text/html; charset=utf-8", home);
	else if (strcmp(path, "/stats") == 0)
		get_stats(server, answer);
	else if (strncmp(path, "/bytes/", 7) == 0)
		get_bytes(path + 7, answer);
	else
		site_refuse(answer, HTTP_STATUS_NOT_FOUND, "There is /, /plaintext, /stats and /bytes/N");
}

void site_refuse(struct answer *answer, int status, const char *why)
{
	snprintf(answer->scratch, sizeof answer->scratch, "%d %s: %s\n", status,
	         http_status_str((enum http_status)status), why);
	answer_with(answer, "text/plain; charset=utf-8", answer->scratch);
	answer->status = status;
}
