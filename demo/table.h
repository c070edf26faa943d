/* table.h - the results as a table: one row per phase. */
#ifndef DEMO_TABLE_H
#define DEMO_TABLE_H

#include <stddef.h>
#include <stdio.h>

/* What is not known (yet) is NAN and shows as "-". Latencies are nanoseconds. */
struct row {
	double connections;
	double rate;           /* requests a second                               */
	double p50, p99, p999; /* latency, as the load sees it                    */
	double cpu;            /* server CPU per request, nanoseconds             */
	double enters;         /* the server's io_uring_enter calls per request   */
	double submissions;    /* and SQEs per request                            */
	double fibers;         /* of the server, at most                          */
	double errors;
};

/* A row of which only the number of connections is known. */
struct row table_row(unsigned connections);

/* Print the head, or one row, ended by `end`, in at most `width` columns: the less important columns stay out where
 * there is not room for all. */
void table_print_head(FILE *out, int width, const char *end);
void table_print_row(FILE *out, int width, const struct row *row, const char *end);

/* Write numbers >= 0 for people: 1234567 as "1,234,567", 12345 ns as "12.3 us". `text` needs 32 bytes. */
enum { TABLE_TEXT = 32 };
const char *table_count(char *text, double count);
const char *table_span(char *text, double ns);

#endif
