/* progress - a bar on the terminal, ten times a second, while the copying goes on. */
#include "cp.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_MOST = 40, BAR_LEAST = 10, TEXT = 50 };

static int bar_width(void)
{
	struct winsize size;
	int width = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col - TEXT : BAR_LEAST;

	return width > BAR_MOST ? BAR_MOST : width < BAR_LEAST ? BAR_LEAST : width;
}

static const char *in_units(double bytes, char text[16])
{
	static const char units[] = "BKMGTP";
	int unit = 0;

	for (; bytes >= 1000 && units[unit + 1]; unit++)
		bytes /= 1024;
	snprintf(text, 16, bytes < 10 && unit > 0 ? "%.1f%c" : "%.0f%c", bytes, units[unit]);
	return text;
}

static void draw(torc_ns began)
{
	unsigned long long files = atomic_load(&tally.files), bytes = atomic_load(&tally.bytes);
	unsigned long long files_found = atomic_load(&tally.files_found), bytes_found = atomic_load(&tally.bytes_found);
	/* What is not found yet is not counted: the bar may go back in the beginning. A small file counts like 4 KiB. */
	double all = (double)bytes_found + 4096.0 * (double)files_found;
	double part = all > 0 ? ((double)bytes + 4096.0 * (double)files) / all : 0;
	double seconds = (double)(torc_now() - began) / TORC_SEC;
	int width = bar_width(), full = (int)(part > 1 ? width : part * width);
	char done[16], rate[16], bar[BAR_MOST + 1];

	memset(bar, '#', (size_t)full);
	memset(bar + full, '.', (size_t)(width - full));
	bar[width] = 0;
	fprintf(stderr, "\r[%s] %3.0f%%  %llu files  %s  %s/s \033[K", bar, part > 1 ? 100 : part * 100, files,
	        in_units((double)bytes, done), in_units(seconds > 0 ? (double)bytes / seconds : 0, rate));
}

int show_progress(void *unused)
{
	torc_ns began = torc_now();

	(void)unused;
	while (torc_sleep(100 * TORC_MS) == 0)
		draw(began);
	draw(began);
	fputc('\n', stderr);
	return 0;
}

void clear_progress(void)
{
	if (!settings.quiet && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}
