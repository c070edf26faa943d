/* torc-probe - which of the kernel's features torc uses here, which it does without, and why.
 * torc-probe [--features]: names only, for scripts. Exit status 1 where io_uring cannot be had, or stdout not written. */
#include <torc.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char usage[] = "usage: torc-probe [--features]";

enum { MOST = 64, DEVICES = 256 };

static void print_names(const struct torc_feature *features, int count)
{
	for (int i = 0; i < count; i++)
		puts(features[i].name);
}

static void print_table(const struct torc_feature *features, int count)
{
	for (int i = 0; i < count; i++)
		printf("%-4s %-18s %s\n%24s(%s)\n", features[i].on ? "on" : "off", features[i].name, features[i].what,
		       "", features[i].why);
}

static void print_devices(void)
{
	struct torc_probe_device devices[DEVICES];
	int count = torc_probe_devices(devices, DEVICES);

	puts("\ndisks");
	for (int i = 0; i < count && i < DEVICES; i++)
		printf("     %-18s %s, %s, %u requests\n", devices[i].name,
		       devices[i].polled ? "poll queues: direct I/O goes by a polled ring" : "no poll queues",
		       devices[i].rotates ? "rotates" : "does not rotate", devices[i].requests);
}

/* `status`, if all that was printed has been written. */
static int finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "torc-probe: %s\n", strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	struct torc_feature features[MOST];
	int count = torc_probe(features, MOST);

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		puts(usage);
		return finish(0);
	}
	if (argc > 2 || (argc == 2 && strcmp(argv[1], "--features") != 0)) {
		fprintf(stderr, "%s\n", usage);
		return 2;
	}
	if (count < 0) {
		printf("io_uring cannot be had: %s\n%s\n", strerror(-count), torc_probe_explain(count));
		return finish(1);
	}
	if (argc == 2) {
		print_names(features, count);
		return finish(0);
	}
	printf("io_uring is available; switch features off by TORC_DISABLE=name,name\n\n");
	print_table(features, count);
	print_devices();
	return finish(0);
}
