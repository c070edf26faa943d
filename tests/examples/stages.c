/* The pipeline of channels: what it prints, to the letter. */
#include "example.h"

TEST(stages_add_up)
{
	struct example example;

	example_start(&example, (char *[]){ "15_stages", NULL });
	ck_assert_int_eq(example_end(&example), 0);
	ck_assert_str_eq(example.text, "12 squares, their sum is 650\n");
}
