/* options.c - the command line. */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_CONNECTIONS = 1000000, MOST_SECONDS = 86400 };

static const char usage[] =
	"usage: torc-demo [options]\n"
	"\n"
	"Serve HTTP and echo on 127.0.0.1 from every core, ask from a thread beside them, and show what\n"
	"it costs.\n"
	"\n"
	"  --seconds S        length of the load, all phases together (default 10);\n"
	"                     with --no-load: how long to serve (default: until SIGINT or SIGTERM)\n"
	"  --connections LIST one phase for each number (default 1,64,1000)\n"
	"  --port N           port for HTTP (default 8080; a free one where it is taken)\n"
	"  --echo-port N      port for echo (default 7777; likewise)\n"
	"  --cores N          executors that serve (default: one for each CPU)\n"
	"  --no-batch         no computation beside the serving\n"
	"  --no-load          only serve\n"
	"  --plain            no page, only the summary, as when the output is no terminal\n"
	"  --help             this text\n"
	"\n"
	"Exit status: 0 when every answer was right, 1 when not, 2 for a wrong option, 128 + the signal's\n"
	"number when the load was broken off.\n";

static void __attribute__((noreturn)) complain(const char *option, const char *text)
{
	fprintf(stderr, "torc-demo: --%s cannot be '%s'\n\n%s", option, text, usage);
	exit(2);
}

static int port(const char *option, const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end != '\0' || value < 0 || value > 65535)
		complain(option, text);
	return (int)value;
}

static unsigned cores(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end != '\0' || value < 1 || value > OPTIONS_CORES)
		complain("cores", text);
	return (unsigned)value;
}

static double positive(const char *option, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value > 0 && value <= MOST_SECONDS))
		complain(option, text);
	return value;
}

static void read_connections(struct options *options, const char *text)
{
	const char *at = text;
	char *end;

	options->phase_count = 0;
	do {
		long count = strtol(at, &end, 10);

		if (end == at || count < 1 || count > MOST_CONNECTIONS || options->phase_count == OPTIONS_PHASES)
			complain("connections", text);
		options->connections[options->phase_count++] = (unsigned)count;
		at = end + 1;
	} while (*end == ',');
	if (*end != '\0')
		complain("connections", text);
}

static const struct option known[] = {
	{ "seconds", required_argument, NULL, 's' }, { "connections", required_argument, NULL, 'c' },
	{ "port", required_argument, NULL, 'p' },    { "echo-port", required_argument, NULL, 'e' },
	{ "no-load", no_argument, NULL, 'n' },       { "plain", no_argument, NULL, 'q' },
	{ "cores", required_argument, NULL, 'k' },   { "no-batch", no_argument, NULL, 'b' },
	{ "help", no_argument, NULL, 'h' },          { NULL, 0, NULL, 0 },
};

static void take(struct options *options, int which)
{
	switch (which) {
	case 's':
		options->seconds = positive("seconds", optarg);
		break;
	case 'c':
		read_connections(options, optarg);
		break;
	case 'p':
		options->port = port("port", optarg);
		break;
	case 'e':
		options->echo_port = port("echo-port", optarg);
		break;
	case 'k':
		options->cores = cores(optarg);
		break;
	case 'b':
		options->no_batch = true;
		break;
	case 'n':
		options->no_load = true;
		break;
	case 'q':
		options->plain = true;
		break;
	case 'h':
		fputs(usage, stdout);
		exit(0);
	default: /* getopt has said what is wrong */
		fprintf(stderr, "\n%s", usage);
		exit(2);
	}
}

struct options options_parse(int argc, char **argv)
{
	struct options options = {
		.connections = { 1, 64, 1000 },
		.phase_count = 3,
		.port = 8080,
		.echo_port = 7777,
	};
	int which;

	while ((which = getopt_long(argc, argv, "", known, NULL)) >= 0)
		take(&options, which);
	if (optind < argc) {
		fprintf(stderr, "torc-demo: what is '%s'?\n\n%s", argv[optind], usage);
		exit(2);
	}
	if (options.seconds == 0 && !options.no_load)
		options.seconds = 10;
	return options;
}
