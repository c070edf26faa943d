/* table.c - columns as data: where the value stands in a row, how it is written, how soon it may be left out. */
#include "table.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef const char *cell_fn(char *text, double value);

static const char *in_micros(char *text, double ns);
static const char *ratio(char *text, double value);

static const struct column {
	const char *title, *unit;
	size_t offset;
	cell_fn *write;
	int width;
	int rank; /* columns of the highest rank are the first to go */
} columns[] = {
	{ "conns", "", offsetof(struct row, connections), table_count, 6, 0 },
	{ "req/s", "", offsetof(struct row, rate), table_count, 9, 0 },
	{ "p50", "", offsetof(struct row, p50), table_span, 8, 1 },
	{ "p99", "", offsetof(struct row, p99), table_span, 8, 2 },
	{ "p99.9", "", offsetof(struct row, p999), table_span, 8, 5 },
	{ "CPU us", "/req", offsetof(struct row, cpu), in_micros, 8, 3 },
	{ "enters", "/req", offsetof(struct row, enters), ratio, 8, 4 },
	{ "SQEs", "/req", offsetof(struct row, submissions), ratio, 7, 7 },
	{ "fibers", "", offsetof(struct row, fibers), table_count, 8, 6 },
	{ "errors", "", offsetof(struct row, errors), table_count, 8, 0 },
};

enum { COLUMNS = sizeof columns / sizeof columns[0], RANKS = 8 };

struct row table_row(unsigned connections)
{
	return (struct row){ connections, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN };
}

const char *table_count(char *text, double count)
{
	char digits[TABLE_TEXT];
	int len = snprintf(digits, sizeof digits, "%.0f", count < 1e15 ? count : 1e15);
	char *to = text;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return text;
}

const char *table_span(char *text, double ns)
{
	static const struct {
		double ns;
		const char *name;
	} units[] = { { 1, "ns" }, { 1e3, "us" }, { 1e6, "ms" }, { 1e9, "s" } };
	int i = 0;
	double value;

	while (i < 3 && ns >= 999.5 * units[i].ns)
		i++;
	value = ns / units[i].ns;
	snprintf(text, TABLE_TEXT, "%.*f %s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, units[i].name);
	return text;
}

static const char *in_micros(char *text, double ns)
{
	return ratio(text, ns / 1e3);
}

static const char *ratio(char *text, double value)
{
	snprintf(text, TABLE_TEXT, "%.2f", value);
	return text;
}

/* The highest rank at which all columns up to it fit. */
static int rank_that_fits(int width)
{
	for (int rank = RANKS - 1; rank > 0; rank--) {
		int sum = 0;

		for (int i = 0; i < COLUMNS; i++)
			sum += columns[i].rank <= rank ? columns[i].width : 0;
		if (sum <= width)
			return rank;
	}
	return 0;
}

static void print_titles(FILE *out, int rank, const char *end)
{
	for (int i = 0; i < COLUMNS; i++)
		if (columns[i].rank <= rank)
			fprintf(out, "%*s", columns[i].width, columns[i].title);
	fputs(end, out);
}

static void print_units(FILE *out, int rank, const char *end)
{
	for (int i = 0, blanks = 0; i < COLUMNS; i++) {
		if (columns[i].rank > rank)
			continue;
		blanks += columns[i].width;
		if (columns[i].unit[0] == '\0')
			continue;
		fprintf(out, "%*s", blanks, columns[i].unit);
		blanks = 0;
	}
	fputs(end, out);
}

void table_print_head(FILE *out, int width, const char *end)
{
	int rank = rank_that_fits(width);

	print_titles(out, rank, end);
	print_units(out, rank, end);
}

void table_print_row(FILE *out, int width, const struct row *row, const char *end)
{
	int rank = rank_that_fits(width);

	for (int i = 0; i < COLUMNS; i++) {
		char text[TABLE_TEXT];
		double value;

		if (columns[i].rank > rank)
			continue;
		memcpy(&value, (const char *)row + columns[i].offset, sizeof value);
		fprintf(out, "%*s", columns[i].width, isnan(value) ? "-" : columns[i].write(text, value));
	}
	fputs(end, out);
}
