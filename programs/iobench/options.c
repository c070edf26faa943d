#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"usage: torc-iobench [options] FILE|DIRECTORY\n"
	"How quick is a disk? Reads or writes a file, and says how many requests a second there were and how long each took.\n"
	"In a directory a file is made for the purpose, and removed afterwards.\n"
	"\n"
	"  -m, --mode=MODE        read, write (from the beginning on), randread (default), randwrite\n"
	"  -b, --block=SIZE       of a request; default 4k\n"
	"  -d, --depth=N          requests in flight on each core, 1 to 4096; default 32\n"
	"  -c, --cores=N          cores that do it; default 1\n"
	"  -t, --time=SECONDS     default 5\n"
	"  -n, --bytes=SIZE       end earlier, when so much is moved\n"
	"  -s, --size=SIZE        of the file that is made, or of the part of FILE that is used; default 1g, or all of FILE\n"
	"      --buffered         through the kernel's cache; default is direct I/O\n"
	"      --dsync            each write is on the disk before it counts\n"
	"      --overwrite        allow writing to a FILE that is there already: its contents are lost\n"
	"  -j, --json=FILE        the result as JSON as well; - for stdout, instead of the table\n"
	"  -p, --picture=FILE     the distribution of latencies as a picture; FILE ends in .svg or .png\n"
	"      --measure          what the disk can do, in the form that the environment variable TORC_DEVICE takes\n"
	"      --progress         a line on stderr while it runs; default on a terminal\n"
	"  -q, --quiet            no such line\n"
	"SIZE may end in k, m, g or t (powers of 1024).\n";

enum { OVERWRITE = 256, BUFFERED, DSYNC, MEASURE, PROGRESS };

static const struct option longs[] = {
	{ "mode", required_argument, NULL, 'm' },
	{ "block", required_argument, NULL, 'b' },
	{ "depth", required_argument, NULL, 'd' },
	{ "cores", required_argument, NULL, 'c' },
	{ "time", required_argument, NULL, 't' },
	{ "bytes", required_argument, NULL, 'n' },
	{ "size", required_argument, NULL, 's' },
	{ "buffered", no_argument, NULL, BUFFERED },
	{ "dsync", no_argument, NULL, DSYNC },
	{ "overwrite", no_argument, NULL, OVERWRITE },
	{ "json", required_argument, NULL, 'j' },
	{ "picture", required_argument, NULL, 'p' },
	{ "measure", no_argument, NULL, MEASURE },
	{ "progress", no_argument, NULL, PROGRESS },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int complain(const char *what, const char *text)
{
	fprintf(stderr, "torc-iobench: %s: %s\n", what, text);
	return 2;
}

/* A size with its suffix; 0 is none. */
static bool parse_size(uint64_t *out, const char *text)
{
	static const char suffixes[] = "kmgt";
	char *end;
	double value = strtod(text, &end);
	const char *suffix = *end ? strchr(suffixes, *end | 0x20) : NULL;

	if (end == text || (*end && (!suffix || end[1])))
		return false;
	for (long i = suffix ? suffix - suffixes + 1 : 0; i > 0; i--)
		value *= 1024;
	if (!(value >= 1 && value < 1e18))
		return false;
	*out = (uint64_t)value;
	return true;
}

static bool parse_count(unsigned *out, const char *text, unsigned most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end || value < 1 || value > most)
		return false;
	*out = (unsigned)value;
	return true;
}

static bool parse_mode(struct options *options, const char *text)
{
	options->random = strncmp(text, "rand", 4) == 0;
	text += options->random ? 4 : 0;
	options->write = strcmp(text, "write") == 0;
	return options->write || strcmp(text, "read") == 0;
}

static bool parse_seconds(double *out, const char *text)
{
	char *end;

	*out = strtod(text, &end);
	return end != text && !*end && *out >= 0.01 && *out <= 1e6;
}

static bool picture_name(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && (strcmp(name + len - 4, ".svg") == 0 || strcmp(name + len - 4, ".png") == 0);
}

static bool parse_one(struct options *options, int c, const char *text)
{
	switch (c) {
	case 'm':
		return parse_mode(options, text);
	case 'b':
		return parse_size(&options->block, text) && options->block <= 1u << 30;
	case 'd':
		return parse_count(&options->depth, text, DEPTH_MOST);
	case 'c':
		return parse_count(&options->cores, text, CORES_MOST);
	case 't':
		return parse_seconds(&options->seconds, text);
	case 'n':
		return parse_size(&options->bytes, text);
	case 's':
		return parse_size(&options->file_size, text);
	case 'j':
		options->json = text;
		return true;
	case 'p':
		options->picture = text;
		return picture_name(text);
	case 'q':
		options->progress = false;
		options->quiet = true;
		return true;
	case BUFFERED:
		return options->buffered = true;
	case DSYNC:
		return options->dsync = true;
	case OVERWRITE:
		return options->overwrite = true;
	case MEASURE:
		return options->measure = true;
	case PROGRESS:
		return options->progress = true;
	default:
		return false;
	}
}

static uint64_t memory(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

int options_parse(struct options *options, int argc, char **argv)
{
	int c;

	*options = (struct options){ .random = true, .block = 4096, .depth = 32, .cores = 1, .seconds = 5 };
	options->progress = isatty(STDERR_FILENO);
	while ((c = getopt_long(argc, argv, "m:b:d:c:t:n:s:j:p:qh", longs, NULL)) >= 0) {
		if (c == 'h') {
			fputs(usage, stdout);
			return 1;
		}
		if (c == '?') {
			fputs("torc-iobench --help says more\n", stderr);
			return 2;
		}
		if (!parse_one(options, c, optarg)) {
			const struct option *name = longs;

			while (name->val != c) /* ends: getopt knows it */
				name++;
			return complain(name->name,
			                "makes no sense, or is out of range; torc-iobench --help says more");
		}
	}
	if (optind != argc - 1)
		return complain("one FILE or DIRECTORY is needed", "torc-iobench --help says more");
	if (options->file_size && options->file_size < options->block)
		return complain("--size", "smaller than one block");
	if (options->measure && options->file_size && options->file_size < MEASURE_BLOCK)
		return complain("--size", "smaller than the blocks of --measure");
	if (options->block * options->depth * options->cores > memory() / 2)
		return complain("--depth", "more blocks than there is memory for");
	options->target = argv[optind];
	return 0;
}

const char *options_mode(const struct options *options)
{
	if (options->random)
		return options->write ? "randwrite" : "randread";
	return options->write ? "write" : "read";
}
