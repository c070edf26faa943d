/* page.h - the page in the terminal: drawn whole, a few times a second, and gone without a trace at the end. */
#ifndef DEMO_PAGE_H
#define DEMO_PAGE_H

#include "cores_table.h"
#include "figures.h"
#include "table.h"

#include <stdbool.h>

/* What is to be seen. */
struct view {
	const char *url;     /* of the HTTP server: "http://127.0.0.1:8080" */
	const char *echo;    /* where the echo server is                    */
	const char *where;   /* which thread runs on which CPU              */
	const char *sharing; /* who has to share what                      */
	const char *doing;   /* what goes on at the moment                  */
	double progress;     /* of that, 0 to 1; negative: it has no end    */
	const struct row *rows;
	unsigned row_count;
	unsigned current;   /* the row that is being filled in             */
	double rate;        /* requests a second just now                  */
	struct figures now; /* of the server, all cores together           */
	const struct core_row *core_rows;
	unsigned core_count;
};

enum { PAGE_HISTORY = 240 };

struct page {
	bool open;
	bool utf8;                    /* the terminal can show more than ASCII  */
	double history[PAGE_HISTORY]; /* of view.rate, oldest first             */
	unsigned history_len;
};

/* Take the terminal over, if stdout is one: alternate screen, no cursor. */
void page_open(struct page *page);

/* Draw it afresh, as the terminal is wide and high now. Does nothing when the page is not open. */
void page_draw(struct page *page, const struct view *view);

/* Give the terminal back. Harmless when the page is not open. */
void page_close(struct page *page);

#endif
