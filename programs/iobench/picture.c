/* picture.c - bars for how many requests took how long, on a logarithmic scale, and over them the curve of how many took no
 * longer; the percentiles that people ask for are marked. By cairo; without it there are no pictures. */
#include "picture.h"

#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#ifndef HAVE_CAIRO

int picture_draw(const struct job *job, const struct histogram *latencies)
{
	(void)latencies;
	fprintf(stderr, "torc-iobench: %s: this torc-iobench was built without cairo, and draws nothing\n",
	        job->options->picture);
	return -ENOTSUP;
}

#else

#include <cairo-svg.h>
#include <cairo.h>
#include <math.h>

enum { WIDTH = 960, HEIGHT = 540, LEFT = 80, RIGHT = 70, TOP = 84, BOTTOM = 64, BARS = 110 };

struct plot {
	cairo_t *cairo;
	double from, to; /* decades of ns: log10 */
	double bars[BARS], tallest;
	const struct histogram *latencies;
};

static double x_of(const struct plot *plot, double ns)
{
	double part = (log10(ns) - plot->from) / (plot->to - plot->from);

	return LEFT + (part < 0 ? 0 : part > 1 ? 1 : part) * (WIDTH - LEFT - RIGHT);
}

static double y_of(double part)
{
	return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM);
}

static void colour(cairo_t *cairo, unsigned rgb)
{
	cairo_set_source_rgb(cairo, (rgb >> 16) / 255.0, (rgb >> 8 & 255) / 255.0, (rgb & 255) / 255.0);
}

/* `anchor`: which part of the text is at x; 0 its beginning, 1 its end. */
static void text(cairo_t *cairo, double x, double y, double anchor, const char *words)
{
	cairo_text_extents_t extents;

	cairo_text_extents(cairo, words, &extents);
	cairo_move_to(cairo, x - anchor * extents.x_advance, y);
	cairo_show_text(cairo, words);
}

static void line(cairo_t *cairo, double x1, double y1, double x2, double y2)
{
	cairo_move_to(cairo, x1, y1);
	cairo_line_to(cairo, x2, y2);
	cairo_stroke(cairo);
}

static void say_time(char *words, size_t size, double ns)
{
	if (ns < 1e3)
		snprintf(words, size, "%.3g ns", ns);
	else if (ns < 1e6)
		snprintf(words, size, "%.3g \302\265s", ns / 1e3);
	else if (ns < 1e9)
		snprintf(words, size, "%.3g ms", ns / 1e6);
	else
		snprintf(words, size, "%.3g s", ns / 1e9);
}

/* Both ends a little outside of what there is, and never less than half a decade. */
static void choose_range(struct plot *plot)
{
	double least = (double)plot->latencies->least, most = (double)plot->latencies->most;
	double middle;

	plot->from = log10(least < 1 ? 1 : least) - 0.05;
	plot->to = log10(most < 1 ? 1 : most) + 0.05;
	middle = (plot->from + plot->to) / 2;
	if (plot->to - plot->from < 0.5) {
		plot->from = middle - 0.25;
		plot->to = middle + 0.25;
	}
}

/* A bucket may be wider than a bar: its requests are spread over what it covers. */
static void fill_bars(struct plot *plot)
{
	double width = (plot->to - plot->from) / BARS;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		double low, high, count = (double)plot->latencies->buckets[i];

		if (count == 0)
			continue;
		low = (log10(fmax(1, (double)histogram_floor(i))) - plot->from) / width;
		high = fmax((log10((double)histogram_floor(i + 1)) - plot->from) / width, low + 1e-9);
		for (int bar = (int)fmax(0, floor(low)); bar < BARS && bar < high; bar++)
			plot->bars[bar] += count * (fmin(high, bar + 1) - fmax(low, bar)) / (high - low);
	}
	for (int bar = 0; bar < BARS; bar++)
		plot->tallest = fmax(plot->tallest, plot->bars[bar]);
}

static void draw_axes(const struct plot *plot)
{
	static const int steps[] = { 1, 2, 5 };
	cairo_t *cairo = plot->cairo;
	char words[40];

	cairo_set_line_width(cairo, 1);
	for (int decade = (int)floor(plot->from); decade <= (int)plot->to; decade++)
		for (int i = 0; i < 3; i++) {
			double ns = pow(10, decade) * steps[i], at = log10(ns);

			if (at < plot->from || at > plot->to)
				continue;
			colour(cairo, i == 0 ? 0xd0d0d0 : 0xececec);
			line(cairo, x_of(plot, ns), TOP, x_of(plot, ns), HEIGHT - BOTTOM);
			if (i > 0 && plot->to - plot->from > 2.5)
				continue;
			colour(cairo, 0x404040);
			say_time(words, sizeof words, ns);
			text(cairo, x_of(plot, ns), HEIGHT - BOTTOM + 18, 0.5, words);
		}
	for (int i = 0; i <= 4; i++) {
		colour(cairo, 0xececec);
		line(cairo, LEFT, y_of(i / 4.0), WIDTH - RIGHT, y_of(i / 4.0));
		colour(cairo, 0x2f6db5);
		snprintf(words, sizeof words, "%.3g %%", plot->tallest * i / 4 * 100 / (double)plot->latencies->count);
		text(cairo, LEFT - 8, y_of(i / 4.0) + 4, 1, words);
		colour(cairo, 0xb5482f);
		snprintf(words, sizeof words, "%d %%", i * 25);
		text(cairo, WIDTH - RIGHT + 8, y_of(i / 4.0) + 4, 0, words);
	}
	colour(cairo, 0x404040);
	text(cairo, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 16, 0.5, "latency of a request");
	colour(cairo, 0x2f6db5);
	text(cairo, 12, TOP - 14, 0, "requests");
	colour(cairo, 0xb5482f);
	text(cairo, WIDTH - 12, TOP - 14, 1, "no longer than");
}

static void draw_bars(const struct plot *plot)
{
	double width = (double)(WIDTH - LEFT - RIGHT) / BARS;

	colour(plot->cairo, 0x6aa0dc);
	for (int i = 0; i < BARS; i++)
		if (plot->bars[i] > 0)
			cairo_rectangle(plot->cairo, LEFT + i * width, y_of(plot->bars[i] / plot->tallest), width - 0.6,
			                y_of(0) - y_of(plot->bars[i] / plot->tallest));
	cairo_fill(plot->cairo);
}

static void draw_curve(const struct plot *plot)
{
	uint64_t seen = 0;

	cairo_move_to(plot->cairo, x_of(plot, (double)plot->latencies->least), y_of(0));
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		if (plot->latencies->buckets[i] == 0)
			continue;
		seen += plot->latencies->buckets[i];
		cairo_line_to(plot->cairo, x_of(plot, (double)histogram_floor(i + 1)),
		              y_of((double)seen / (double)plot->latencies->count));
	}
	colour(plot->cairo, 0xb5482f);
	cairo_set_line_width(plot->cairo, 2);
	cairo_stroke(plot->cairo);
}

/* Marks, each label one line lower than that before it if they would touch. */
static void draw_percentiles(const struct plot *plot)
{
	static const double marked[] = { 50, 99, 99.9, 99.99 };
	static const double dashes[] = { 4, 3 };
	cairo_t *cairo = plot->cairo;
	char words[60], time[40];

	cairo_set_line_width(cairo, 1);
	for (int i = 0; i < 4; i++) {
		double ns = (double)histogram_percentile(plot->latencies, marked[i] / 100), x = x_of(plot, ns);

		colour(cairo, 0x303030);
		cairo_set_dash(cairo, dashes, 2, 0);
		line(cairo, x, TOP, x, HEIGHT - BOTTOM);
		cairo_set_dash(cairo, NULL, 0, 0);
		say_time(time, sizeof time, ns);
		snprintf(words, sizeof words, "p%g: %s", marked[i], time);
		text(cairo, x + (x > WIDTH - 220 ? -5 : 5), TOP + 16 + 16 * i, x > WIDTH - 220 ? 1 : 0, words);
	}
}

static void draw_title(const struct plot *plot, const struct job *job)
{
	const struct options *options = job->options;
	double rate = (double)plot->latencies->count * 1e9 / (double)job->took;
	char words[200];

	colour(plot->cairo, 0x101010);
	cairo_set_font_size(plot->cairo, 18);
	snprintf(words, sizeof words, "%s, %g KiB, depth %u, %u core%s, %s", options_mode(options),
	         (double)options->block / 1024, options->depth, options->cores, options->cores > 1 ? "s" : "",
	         job->direct ? "direct" : "through the cache");
	text(plot->cairo, WIDTH / 2.0, 28, 0.5, words);
	cairo_set_font_size(plot->cairo, 13);
	snprintf(words, sizeof words, "%.0f requests/s, %.1f MB/s, %.2f \302\265s of CPU a request", rate,
	         rate * (double)options->block / 1e6, job_cpu(job) * 1e6 / (double)plot->latencies->count);
	text(plot->cairo, WIDTH / 2.0, 50, 0.5, words);
}

static void draw(struct plot *plot, const struct job *job)
{
	colour(plot->cairo, 0xffffff);
	cairo_paint(plot->cairo);
	cairo_select_font_face(plot->cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
	draw_title(plot, job);
	choose_range(plot);
	fill_bars(plot);
	draw_axes(plot);
	draw_bars(plot);
	draw_curve(plot);
	draw_percentiles(plot);
}

int picture_draw(const struct job *job, const struct histogram *latencies)
{
	const char *path = job->options->picture;
	bool svg = strcmp(path + strlen(path) - 4, ".svg") == 0;
	struct plot plot = { .latencies = latencies };
	cairo_status_t status;
	cairo_surface_t *surface;

	if (latencies->count == 0) {
		fprintf(stderr, "torc-iobench: %s: nothing was measured, so there is nothing to draw\n", path);
		return -ENODATA;
	}
	surface = svg ? cairo_svg_surface_create(path, WIDTH, HEIGHT)
	              : cairo_image_surface_create(CAIRO_FORMAT_RGB24, WIDTH, HEIGHT);
	plot.cairo = cairo_create(surface);
	draw(&plot, job);
	status = cairo_status(plot.cairo);
	cairo_destroy(plot.cairo);
	if (status == CAIRO_STATUS_SUCCESS && !svg)
		status = cairo_surface_write_to_png(surface, path);
	cairo_surface_finish(surface);
	if (status == CAIRO_STATUS_SUCCESS)
		status = cairo_surface_status(surface);
	cairo_surface_destroy(surface);
	cairo_debug_reset_static_data();
	if (status == CAIRO_STATUS_SUCCESS)
		return 0;
	fprintf(stderr, "torc-iobench: %s: %s\n", path, cairo_status_to_string(status));
	return -EIO;
}

#endif
