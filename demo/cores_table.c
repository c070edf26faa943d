/* cores_table.c - the lines of the cores. */
#include "cores_table.h"
#include "table.h"

#include <math.h>

struct core_row core_row(unsigned core, const struct figures *since, double seconds)
{
	struct core_row row = {
		.core = core,
		.connections = (double)since->connections,
		.fibers = (double)since->fibers,
		.in_flight = (double)since->in_flight,
		.share = NAN,
	};

	if (seconds > 0) {
		row.rate = (double)figures_requests(since) / seconds;
		row.cpu = (double)since->cpu_ns / 1e9 / seconds;
		row.calls = (double)since->calls / seconds;
	}
	if (since->batch_ns > 0)
		row.share = (double)since->serving_ns / (double)(since->serving_ns + since->batch_ns);
	return row;
}

void cores_table_print_head(FILE *out, const char *end)
{
	fprintf(out, "  core     req/s   conns  fibers  in flight   CPU  serving : batch  calls/s%s", end);
}

void cores_table_print_row(FILE *out, const struct core_row *row, const char *end)
{
	char rate[TABLE_TEXT], connections[TABLE_TEXT], fibers[TABLE_TEXT], in_flight[TABLE_TEXT], calls[TABLE_TEXT];
	char share[TABLE_TEXT] = "-";

	if (!isnan(row->share))
		snprintf(share, sizeof share, "%.1f : %.1f", 100 * row->share, 100 - 100 * row->share);
	fprintf(out, "%6u%10s%8s%8s%11s%5.0f%%%17s%9s%s", row->core, table_count(rate, row->rate),
	        table_count(connections, row->connections), table_count(fibers, row->fibers),
	        table_count(in_flight, row->in_flight), 100 * row->cpu, share, table_count(calls, row->calls), end);
}
