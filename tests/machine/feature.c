/* feature.c - the switch in the environment: TORC_DISABLE. */
#include "machine/feature.h"

#include "harness.h"

#include <stdlib.h>
#include <string.h>

static bool off(const char *list, enum feature feature)
{
	setenv("TORC_DISABLE", list, 1);
	return !feature_allowed(feature);
}

static unsigned off_count(const char *list)
{
	unsigned count = 0;

	for (int i = 0; i < FEATURE_COUNT; i++)
		count += off(list, (enum feature)i);
	return count;
}

TEST(without_the_variable_all_is_allowed)
{
	unsetenv("TORC_DISABLE");
	for (int i = 0; i < FEATURE_COUNT; i++)
		ck_assert(feature_allowed((enum feature)i));
}

TEST(every_feature_is_switched_off_by_its_name_alone)
{
	for (int i = 0; i < FEATURE_COUNT; i++) {
		ck_assert(off(feature_name((enum feature)i), (enum feature)i));
		ck_assert_uint_eq(off_count(feature_name((enum feature)i)), 1);
	}
}

TEST(a_list_has_commas_or_spaces_or_both)
{
	static const char *const lists[] = {
		"ring_fd,ext_arg,clamp",
		"ring_fd ext_arg clamp",
		"ring_fd, ext_arg, clamp",
		"  ring_fd ,ext_arg,clamp ",
		",ring_fd,,ext_arg,,clamp,",
		"clamp,ext_arg,ring_fd",
		"clamp,clamp,ext_arg,ring_fd,clamp",
	};

	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		ck_assert_uint_eq(off_count(lists[i]), 3);
		ck_assert(off(lists[i], FEATURE_RING_FD));
		ck_assert(off(lists[i], FEATURE_EXT_ARG));
		ck_assert(off(lists[i], FEATURE_CLAMP));
	}
}

TEST(names_are_whole_words)
{
	ck_assert_uint_eq(off_count("ring"), 0);
	ck_assert_uint_eq(off_count("ring_fdx"), 0);
	ck_assert_uint_eq(off_count("xring_fd"), 0);
	ck_assert_uint_eq(off_count("ring_fd_"), 0);
	ck_assert_uint_eq(off_count("RING_FD"), 0);
	ck_assert_uint_eq(off_count("taskrun"), 0);
	ck_assert_uint_eq(off_count("al"), 0);
	ck_assert_uint_eq(off_count("allx"), 0);
}

TEST(unknown_names_do_not_matter)
{
	ck_assert_uint_eq(off_count(""), 0);
	ck_assert_uint_eq(off_count(" "), 0);
	ck_assert_uint_eq(off_count(",,, ,"), 0);
	ck_assert_uint_eq(off_count("sqpoll,ring_fd,whatever"), 1);
}

TEST(all_is_all)
{
	ck_assert_uint_eq(off_count("all"), FEATURE_COUNT);
	ck_assert_uint_eq(off_count("ring_fd,all"), FEATURE_COUNT);
}

TEST(a_feature_is_on_when_it_works_and_is_allowed)
{
	unsetenv("TORC_DISABLE");
	ck_assert(!feature_on(FEATURE_CLAMP));
	ck_assert_str_eq(feature_why(FEATURE_CLAMP), "not probed");
	feature_found(FEATURE_CLAMP, true, "too old");
	ck_assert(feature_on(FEATURE_CLAMP));
	feature_found(FEATURE_CLAMP, false, "too old");
	ck_assert(!feature_on(FEATURE_CLAMP));
	ck_assert_str_eq(feature_why(FEATURE_CLAMP), "too old");
	setenv("TORC_DISABLE", "clamp", 1);
	feature_found(FEATURE_CLAMP, true, "too old");
	ck_assert(!feature_on(FEATURE_CLAMP));
	ck_assert_ptr_nonnull(strstr(feature_why(FEATURE_CLAMP), "TORC_DISABLE"));
}

TEST(every_feature_has_a_name_of_its_own_and_a_use)
{
	for (int i = 0; i < FEATURE_COUNT; i++) {
		ck_assert_ptr_nonnull(feature_name((enum feature)i));
		ck_assert_uint_gt(strlen(feature_what((enum feature)i)), 10);
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(feature_name((enum feature)i), feature_name((enum feature)k));
	}
}
