/* torc-demo without a terminal: what it prints, and its exit status. */
#include "example.h"

#include <signal.h>

static char demo[] = "../torc-demo", plain[] = "--plain", any[] = "--port=0", echo[] = "--echo-port=0";

static void skip_if_missing(void)
{
	if (!example_exists(demo))
		SKIP("torc-demo is not built");
}

/* A line of digits, commas, blanks and units that begins with `first` and ends with `last`. */
static int has_row(const char *text, const char *first, const char *last)
{
	char line[200];

	for (const char *at = text, *end; (end = strchr(at, '\n')); at = end + 1) {
		char *words[20], *rest;
		int count = 0;

		snprintf(line, sizeof line, "%.*s", (int)(end - at), at);
		for (char *word = strtok_r(line, " ", &rest); word && count < 20; word = strtok_r(NULL, " ", &rest))
			words[count++] = word;
		if (count > 7 && strcmp(words[0], first) == 0 && strcmp(words[count - 1], last) == 0)
			return 1;
	}
	return 0;
}

static void answers_rightly(char *option, char *value)
{
	struct example example;

	example_start(&example, (char *[]){ demo, plain, any, echo, "--seconds", "0.6", "--connections", "1,20", option,
	                                    value, NULL });
	ck_assert_int_eq(example_end(&example), 0);
	ck_assert_msg(has_row(example.text, "1", "0") && has_row(example.text, "20", "0"), "%s", example.text);
	ck_assert_ptr_nonnull(strstr(example.text, "  core     req/s"));
}

TEST(demo_answers_rightly)
{
	skip_if_missing();
	answers_rightly(NULL, NULL);
	answers_rightly("--no-batch", NULL);
	answers_rightly("--cores", "1");
	answers_rightly("--cores", "4");
}

static int stopped_by(int signal, char *option)
{
	struct example example;
	char ready[20];

	example_start(&example, (char *[]){ demo, plain, any, echo, option, NULL });
	ck_assert_int_gt(read(example.out, ready, sizeof ready), 0); /* the line with the addresses: it serves soon */
	usleep(harness_slow() ? 2000000 : 300000);
	ck_assert_int_eq(kill(example.pid, signal), 0);
	return example_end(&example);
}

TEST(demo_stops_when_told_to)
{
	skip_if_missing();
	ck_assert_int_eq(stopped_by(SIGINT, NULL), 128 + SIGINT);
	ck_assert_int_eq(stopped_by(SIGTERM, NULL), 128 + SIGTERM);
	ck_assert_int_eq(stopped_by(SIGTERM, "--no-load"), 0);
}

TEST(demo_refuses_nonsense)
{
	struct example example;

	skip_if_missing();
	example_start(&example, (char *[]){ demo, "--cores", "0", NULL });
	ck_assert_int_eq(example_end(&example), 2);
	example_start(&example, (char *[]){ demo, "nonsense", NULL });
	ck_assert_int_eq(example_end(&example), 2);
}
