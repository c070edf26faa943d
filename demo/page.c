/* page.c - the page in the terminal: ECMA-48 sequences that every terminal of the last thirty years knows.
 *
 * A frame is composed in memory and written at once, from the upper left corner over the last one, each line erasing
 * what is left of its predecessor: nothing is ever cleared first, so nothing flickers. */
#include "page.h"

#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l\033[?7l" /* alternate screen; hide the cursor; cut long lines  */
#define LEAVE "\033[?7h\033[?25h\033[?1049l"

#define HOME  "\033[H"
#define BELOW "\033[J" /* erase what is below */
#define EOL   "\033[K\n"

#define BOLD  "\033[1m"
#define DIM   "\033[2m"
#define PLAIN "\033[0m"

enum { INDENT = 1, WIDEST = 100 };

/* --- the terminal ---------------------------------------------------------------------------- */

static void write_all(const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, data, len);

		if (n < 0)
			return; /* a page that cannot be written is not missed */
		data += n;
		len -= (size_t)n;
	}
}

/* A panic should be read on a screen that is in order. */
static void leave_and_die(int signal)
{
	write_all(LEAVE, sizeof LEAVE - 1);
	raise(signal); /* once more, without a handler: SA_RESETHAND */
}

void page_open(struct page *page)
{
	const char *term = getenv("TERM");
	struct sigaction die = { .sa_handler = leave_and_die, .sa_flags = (int)SA_RESETHAND };

	if (!isatty(STDOUT_FILENO) || !term || strcmp(term, "dumb") == 0)
		return;
	setlocale(LC_CTYPE, "");
	page->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	sigaction(SIGABRT, &die, NULL);
	sigaction(SIGQUIT, &die, NULL);
	write_all(ENTER, sizeof ENTER - 1);
	page->open = true;
}

void page_close(struct page *page)
{
	if (page->open)
		write_all(LEAVE, sizeof LEAVE - 1);
	page->open = false;
}

static struct winsize terminal_size(void)
{
	struct winsize size = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
		size = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	return size;
}

/* Write the first `rows` lines of a frame. The last one goes without a line feed, which would scroll. */
static void show(const char *frame, size_t len, unsigned rows)
{
	const char *end = frame;

	while (rows-- > 0 && end < frame + len)
		end = (const char *)memchr(end, '\n', (size_t)(frame + len - end)) + 1;
	write_all(HOME, sizeof HOME - 1);
	write_all(frame, (size_t)(end - frame) - 1);
	write_all(BELOW, sizeof BELOW - 1);
}

/* --- the frame ------------------------------------------------------------------------------- */

static void draw_title(FILE *frame, const struct view *view)
{
	fprintf(frame, EOL);
	fprintf(frame, " " BOLD "torc demo" PLAIN
	               "  one fiber per connection, one io_uring per core, nothing shared between cores" EOL);
	fprintf(frame, " " DIM "%s/   echo %s   %s" PLAIN EOL, view->url, view->echo, view->where);
	if (view->sharing[0])
		fprintf(frame, " " DIM "%s" PLAIN EOL, view->sharing);
	fprintf(frame, EOL);
}

static void draw_progress(FILE *frame, const struct page *page, const struct view *view, int width)
{
	int full, i;

	fprintf(frame, " %s" EOL, view->doing);
	if (view->progress >= 0) {
		full = (int)(view->progress * width + 0.5);
		fputs(" ", frame);
		for (i = 0; i < full; i++)
			fputs(page->utf8 ? "━" : "=", frame);
		fputs(DIM, frame);
		for (; i < width; i++)
			fputs(page->utf8 ? "─" : "-", frame);
		fputs(PLAIN, frame);
	}
	fprintf(frame, EOL EOL);
}

static void draw_table(FILE *frame, const struct view *view, int width)
{
	fputs(DIM, frame);
	table_print_head(frame, width, EOL);
	fputs(PLAIN, frame);
	for (unsigned i = 0; i < view->row_count; i++) {
		fputs(i == view->current ? BOLD : i > view->current ? DIM : "", frame);
		table_print_row(frame, width, &view->rows[i], PLAIN EOL);
	}
	fprintf(frame, EOL);
}

static void draw_server(FILE *frame, const struct view *view)
{
	char rate[TABLE_TEXT], connections[TABLE_TEXT], fibers[TABLE_TEXT], in_flight[TABLE_TEXT];

	fprintf(frame, " server now: %s req/s, %s connections, %s fibers, %s operations in flight" EOL,
	        table_count(rate, view->rate), table_count(connections, (double)view->now.connections),
	        table_count(fibers, (double)view->now.fibers), table_count(in_flight, (double)view->now.in_flight));
}

/* As many as there is room for on most terminals; the summary has all. */
static void draw_cores(FILE *frame, const struct view *view)
{
	enum { MOST = 16 };
	unsigned count = view->core_count < MOST ? view->core_count : MOST;

	fputs(DIM, frame);
	cores_table_print_head(frame, EOL);
	fputs(PLAIN, frame);
	for (unsigned i = 0; i < count; i++)
		cores_table_print_row(frame, &view->core_rows[i], EOL);
	if (count < view->core_count)
		fprintf(frame, "   and %u more" EOL, view->core_count - count);
	fprintf(frame, EOL);
}

/* Requests a second over the last so many frames, the newest at the right. */
static void draw_history(FILE *frame, const struct page *page, int width)
{
	static const char *const bars[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	unsigned count = page->history_len < (unsigned)width ? page->history_len : (unsigned)width;
	const double *history = page->history + page->history_len - count;
	double most = 1;

	if (!page->utf8)
		return;
	for (unsigned i = 0; i < count; i++)
		most = history[i] > most ? history[i] : most;
	fputs(" ", frame);
	for (unsigned i = 0; i < count; i++)
		fputs(bars[(int)(history[i] / most * 7.0 + 0.5)], frame);
	fprintf(frame, EOL);
}

static void draw_hints(FILE *frame, const struct view *view)
{
	fprintf(frame, EOL);
	fprintf(frame, " " DIM "try  curl %s/stats" PLAIN EOL, view->url);
	fprintf(frame, " " DIM "     wrk -c 64 -d 2 %s/plaintext" PLAIN EOL, view->url);
	fprintf(frame, " " DIM "Ctrl-C ends it" PLAIN EOL);
}

static void remember(struct page *page, double rate)
{
	if (page->history_len == PAGE_HISTORY)
		memmove(page->history, page->history + 1, --page->history_len * sizeof page->history[0]);
	page->history[page->history_len++] = rate;
}

void page_draw(struct page *page, const struct view *view)
{
	struct winsize size = terminal_size();
	int width = (size.ws_col < WIDEST ? size.ws_col : WIDEST) - 2 * INDENT;
	char *text = NULL;
	size_t len = 0;
	FILE *frame;

	if (!page->open || width <= 0 || !(frame = open_memstream(&text, &len)))
		return;
	remember(page, view->rate);
	draw_title(frame, view);
	draw_progress(frame, page, view, width);
	draw_table(frame, view, width + INDENT); /* its first column brings a margin of its own */
	draw_cores(frame, view);
	draw_server(frame, view);
	draw_history(frame, page, width);
	draw_hints(frame, view);
	if (fclose(frame) == 0)
		show(text, len, size.ws_row);
	free(text);
}
