/* torc-cp - copy files and trees, several at once.
 * Try it: torc-cp -r FROM TO, and torc-cp --help */
#include "cp.h"

#include <getopt.h>
#include <libgen.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct settings settings;
struct tally tally;

static int stopped; /* by this signal */

static const char usage[] =
	"usage: torc-cp [OPTION]... SOURCE... DESTINATION\n"
	"Copy a file to DESTINATION, or one or more files and, with -r, directories into it if it is a directory.\n"
	"\n"
	"  -r, --recursive  copy directories and what is in them; links are copied as links\n"
	"  -p, --preserve   keep modes exactly, times and, where permitted, owners; set-ID bits go with their owner only\n"
	"  -X, --xattr      -p, and extended attributes of files and directories: ACLs, capabilities, what users set\n"
	"  -j, --jobs N     threads; default 4, or one a processor if there are more\n"
	"      --verify     read both again after a file was copied, and compare\n"
	"      --direct     past the kernel's cache, where the file system can\n"
	"  -q, --quiet      no progress bar (there is one only on a terminal)\n"
	"  -h, --help       this\n"
	"\n"
	"Holes in files are kept; hard links become files of their own. ACLs and the like are kept by -X only.\n"
	"What could not be copied in whole, also for an interrupt, is removed, or emptied if it was there before.\n"
	"Exit status: 0; 1 if something could not be copied, the rest was; 2 for a wrong call.\n";

bool complain(int error, const char *format, ...)
{
	char line[2 * PATH_MAX];
	va_list args;

	atomic_fetch_add(&tally.failures, 1);
	if (error == ECANCELED)
		return false;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	clear_progress();
	if (error)
		fprintf(stderr, "torc-cp: %s: %s\n", line, strerror(error));
	else
		fprintf(stderr, "torc-cp: %s\n", line);
	return false;
}

/* --- from names to pairs ------------------------------------------------------------------------ */

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Does `path`, which may not exist yet, lie in the directory? Goes up from it by "..". */
static bool lies_in(const char *path, const struct stat *folder)
{
	char *at = strdup(path);
	struct stat st, above;
	bool in = false;

	if (at && stat(at, &st) < 0) { /* its parent is there, or mkdir will complain */
		char *parent = strdup(dirname(at));

		free(at);
		at = parent;
	}
	while (at && stat(at, &st) == 0) {
		char *up;

		in = st.st_dev == folder->st_dev && st.st_ino == folder->st_ino;
		up = path_join(at, "..");
		if (in || stat(up, &above) < 0 || (above.st_dev == st.st_dev && above.st_ino == st.st_ino)) {
			free(up);
			break;
		}
		free(at);
		at = up;
	}
	free(at);
	return in;
}

static bool check_folder(const struct pair *pair)
{
	struct stat st;

	if (!settings.recursive)
		return complain(0, "-r not given: the directory '%s' is left out", pair->from);
	if (stat(pair->to, &st) == 0 && !S_ISDIR(st.st_mode))
		return complain(0, "'%s' is no directory, '%s' is", pair->to, pair->from);
	if (lies_in(pair->to, &pair->st))
		return complain(0, "cannot copy the directory '%s' into itself, '%s'", pair->from, pair->to);
	return true;
}

static bool check_file(const struct pair *pair)
{
	if (is_folder(pair->to))
		return complain(0, "'%s' is a directory, '%s' is not", pair->to, pair->from);
	return true;
}

/* What a path is called in the directory that it is copied into; to be freed. */
static char *name_in(const char *path)
{
	char *copy = strdup(path), *name, *last;

	if (!copy)
		abort();
	last = basename(copy);
	name = strdup(strcmp(last, "..") == 0 ? "." : last); /* into it, not above it */
	if (!name)
		abort();
	free(copy);
	return name;
}

struct names {
	char **from;
	int count;
	const char *to;
	bool into;
};

static void *copied; /* names of what was copied into the directory, a tree of tsearch(3) */

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Is there another of this name? Then only one of them would be there in the end. */
static bool check_name(const char *from, const char *name)
{
	char *mine = strdup(name);
	char **first = mine ? tsearch(mine, &copied, compare) : NULL;

	if (!first)
		abort();
	if (*first == mine)
		return true;
	free(mine);
	return strcmp(name, ".") == 0 || complain(0, "'%s' is left out: another '%s' was just copied", from, name);
}

static bool copy_one(const struct names *names, int number)
{
	const char *from = names->from[number], *to = names->to;
	struct pair pair = { .from = strdup(from) };
	char *name = name_in(from);
	bool good = false;

	if (!pair.from)
		abort();
	pair.to = names->into ? path_join(to, name) : strdup(to);
	if ((settings.recursive ? lstat : stat)(from, &pair.st) < 0)
		complain(errno, "cannot find '%s'", from);
	else if (names->into && !check_name(from, name))
		good = false;
	else if (S_ISDIR(pair.st.st_mode))
		good = check_folder(&pair) && copy_any(&pair);
	else {
		atomic_fetch_add(&tally.files_found, 1);
		atomic_fetch_add(&tally.bytes_found, (unsigned long long)pair.st.st_size);
		good = check_file(&pair) && copy_any(&pair);
	}
	free(pair.from);
	free(pair.to);
	free(name);
	return good;
}

/* A thread may be in a call that does not return: the signal comes once more then, and ends us as it does by itself. */
static void insist(int signal)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = signal };
	struct itimerspec soon = { .it_value.tv_sec = 5 };
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
		timer_settime(timer, 0, &soon, NULL);
}

/* A fiber: a signal ends everything, in order. Those that whoever started us has switched off stay so. */
static int stop_on_signal(void *scope)
{
	static const int usual[] = { SIGINT, SIGTERM, SIGHUP };
	struct torc_signals signals TORC_CLEANUP(torc_signals_close) = { 0 };
	int wanted[3] = { 0 }, count = 0, r;
	struct sigaction now;

	for (int i = 0; i < 3; i++)
		if (sigaction(usual[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
			wanted[count++] = usual[i];
	if (count == 0)
		return 0;
	r = torc_signals_open_list(&signals, wanted[0], wanted[1], wanted[2], 0);
	if (r == 0)
		r = torc_signals_next(&signals, NULL);
	if (r > 0) {
		stopped = r;
		torc_scope_cancel(scope);
		insist(r);
	}
	return 0;
}

static int copy_all(void *arg)
{
	const struct names *names = arg;

	TORC_SCOPE(scope);
	torc_semaphore_release(&large_files, settings.direct ? 16 : settings.jobs < 4 ? 4 : settings.jobs);
	torc_semaphore_release(&streams, 64);
	if (torc_go(scope, stop_on_signal, scope) < 0)
		fprintf(stderr, "torc-cp: signals are not waited for\n");
	if (!settings.quiet && isatty(STDERR_FILENO) && torc_go(scope, show_progress, NULL) < 0)
		settings.quiet = true;
	for (int i = 0; i < names->count; i++)
		copy_one(names, i);
	tdestroy(copied, free);
	return 0;
}

/* --- the call ----------------------------------------------------------------------------------- */

static int wrong(const char *what)
{
	fprintf(stderr, "torc-cp: %s\nTry torc-cp --help.\n", what);
	return 2;
}

static int parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "recursive", no_argument, NULL, 'r' },
		{ "preserve", no_argument, NULL, 'p' },
		{ "xattr", no_argument, NULL, 'X' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "verify", no_argument, NULL, 'v' },
		{ "direct", no_argument, NULL, 'd' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned long jobs;
	int option;
	char *end;

	opterr = 0;
	settings.jobs = processors > 4 ? (unsigned)(processors > 1024 ? 1024 : processors) : 4;
	while ((option = getopt_long(argc, argv, "rRpXj:qh", options, NULL)) >= 0)
		switch (option) {
		case 'r':
		case 'R':
			settings.recursive = true;
			break;
		case 'X':
			settings.xattrs = true;
			settings.preserve = true;
			break;
		case 'p':
			settings.preserve = true;
			break;
		case 'j':
			jobs = strtoul(optarg, &end, 10);
			if (*end || jobs < 1 || jobs > 1024)
				return wrong("--jobs wants a number from 1 to 1024");
			settings.jobs = (unsigned)jobs;
			break;
		case 'v':
			settings.verify = true;
			break;
		case 'd':
			settings.direct = true;
			break;
		case 'q':
			settings.quiet = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return wrong("no such option");
		}
	return -1;
}

int main(int argc, char **argv)
{
	struct names names;
	int r = parse(argc, argv);

	if (r >= 0)
		return r;
	if (argc - optind < 2)
		return wrong(argc - optind < 1 ? "what is to be copied?" : "where to?");
	names = (struct names){ argv + optind, argc - optind - 1, argv[argc - 1], is_folder(argv[argc - 1]) };
	if (names.count > 1 && !names.into) {
		fprintf(stderr, "torc-cp: '%s' is no directory\n", names.to);
		return 1;
	}
	settings.umask = umask(0);
	umask(settings.umask);
	r = torc_run(TORC_OPTIONS(torc_run_options, .name = "torc-cp", .blocking_threads = settings.jobs), copy_all,
	             &names);
	if (stopped)
		raise(stopped); /* it is ours no longer: whoever waits for us is to see it */
	if (r < 0)
		fprintf(stderr, "torc-cp: %s\n", strerror(-r));
	return r < 0 || atomic_load(&tally.failures) > 0;
}
