/* panic.c - misuse ends the process with one line that names the function and the rule. */
#include "base/panic.h"

#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

DEATH(a_panic_names_the_function_and_the_rule, "^torc: torc_frobnicate: 7 is no answer\n$")
{
	panic("torc_frobnicate", "%d is no answer", 7);
}

DEATH(a_broken_assertion_names_function_place_and_fact,
      "^torc: .*: broken invariant at .*panic.c:[0-9]+: 1 \\+ 1 == 3\n$")
{
	ASSERT(1 + 1 == 3);
}

static void library_call(int n)
{
	MISUSE(n > 3, "%d is more than three", n);
}

DEATH(misuse_names_the_function_that_was_misused, "^torc: library_call: 4 is more than three\n$")
{
	library_call(3);
	library_call(4);
}

DEATH(a_panic_needs_no_stdio, "^torc: f: said\n$")
{
	flockfile(stderr);
	panic("f", "said");
}

DEATH(a_message_too_long_is_cut_and_still_ends_its_line, "^torc: f: x{400,520}\n$")
{
	char text[2000];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = 0;
	panic("f", "%s", text);
}

DEATH(a_panic_with_nowhere_to_write_aborts_all_the_same, "")
{
	close(STDERR_FILENO);
	panic("f", "said");
}

TEST(what_holds_costs_nothing)
{
	int evaluated = 0;

	ASSERT(++evaluated == 1);
	MISUSE(evaluated == 0, "no");
	ck_assert_int_eq(evaluated, 1);
}

TEST(container_of_finds_the_container)
{
	struct outer {
		int a;
		char b;
	} outer;

	ck_assert_ptr_eq(container_of(&outer.b, struct outer, b), &outer);
}
