/* The runner of rules: in their order, in whole lines, and stopped by a failure. */
#include "example.h"

/* Run with these rules in a file, whose name replaces the NULL in argv[1]. */
static int makes_target(const char *rules, const char *jobs, const char *target, struct example *example)
{
	char path[] = "/tmp/torc-make-XXXXXX";
	int fd = mkstemp(path), status;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, rules, strlen(rules)), (int)strlen(rules));
	close(fd);
	example_start(example, (char *[]){ "16_make", path, (char *)(uintptr_t)jobs, (char *)(uintptr_t)target, NULL });
	status = example_end(example);
	unlink(path);
	return status;
}

static int makes(const char *rules, const char *jobs, struct example *example)
{
	return makes_target(rules, jobs, NULL, example);
}

TEST(make_makes_what_it_is_told)
{
	struct example example;

	ck_assert_int_eq(makes_target("a:\n\techo a\nb:\n\techo b\n", "4", "b", &example), 0);
	ck_assert_str_eq(example.text, "b| b\n");
	ck_assert_int_eq(makes_target("a:\n\techo a\n", "4", "no-such-target", &example), 1);
	ck_assert_int_eq(makes("# nothing\n", "4", &example), 1);
}

TEST(make_runs_rules_in_their_order)
{
	struct example example;

	ck_assert_int_eq(makes("# rules\nall: c a\n\techo all\na: b\n\techo 1; echo 2\nb:\n\tprintf no-newline\n"
	                       "c: a\n\techo err >&2\n",
	                       "4", &example),
	                 0);
	ck_assert_str_eq(example.text, "b| no-newline\na| 1\na| 2\nc| err\nall| all\n");
	ck_assert_int_eq(makes("a: b\nb:\n\techo b\n", "1", &example), 0);
	ck_assert_str_eq(example.text, "b| b\n");
}

TEST(make_stops_at_the_first_failure)
{
	struct example example;

	ck_assert_int_eq(makes("all: a b\n\techo all\na:\n\tsleep 1000\nb:\n\techo b; exit 3\n", "2", &example), 1);
	ck_assert_str_eq(example.text, "b| b\n");
	ck_assert_int_eq(makes("a: b\nb: a\n", "2", &example), 1);
	ck_assert_str_eq(example.text, "");
}
