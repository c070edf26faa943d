/* replace - a counter in a file that survives anything: whoever looks finds the old number or the new one.
 * Try it: 21_replace /var/tmp/counter, again and again, with kill -9 as often as you like. */
#include <torc.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number that is there; 0 where there is no file yet. */
static long read_counter(const char *path)
{
	struct torc_file file TORC_CLEANUP(torc_file_close) = { 0 };
	char text[32];
	int64_t n = torc_file_open(&file, path, NULL);

	if (n == -ENOENT)
		return 0;
	if (n == 0)
		n = torc_file_read_at(&file, text, sizeof text - 1, 0);
	if (n < 0)
		return n;
	text[n] = 0;
	return atol(text);
}

static int count(void *path)
{
	long number = read_counter(path);
	char text[32];
	int r;

	if (number < 0)
		return (int)number;
	snprintf(text, sizeof text, "%ld\n", number + 1);
	r = torc_file_replace(path, text, strlen(text), NULL);
	if (r == 0)
		printf("%s", text);
	return r;
}

int main(int argc, char **argv)
{
	int r;

	if (argc != 2)
		return fprintf(stderr, "usage: 21_replace FILE\n"), 2;
	r = torc_run(NULL, count, argv[1]);
	if (r < 0)
		fprintf(stderr, "replace: %s\n", strerror(-r));
	return r < 0;
}
