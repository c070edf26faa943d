/* probe.c - what is found out, once, and that the environment has the last word. */
#include "machine/probe.h"

#include "harness.h"
#include "machine/feature.h"

#include <torc/probe.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void probe_with(const char *disabled)
{
	if (disabled)
		setenv("TORC_DISABLE", disabled, 1);
	else
		unsetenv("TORC_DISABLE");
	if (probe_once() < 0)
		SKIP("no io_uring here");
}

TEST(probing_finds_out_once)
{
	bool before[FEATURE_COUNT];

	probe_with(NULL);
	for (int i = 0; i < FEATURE_COUNT; i++)
		before[i] = feature_on((enum feature)i);
	setenv("TORC_DISABLE", "all", 1);
	ck_assert_int_eq(probe_once(), 0);
	for (int i = 0; i < FEATURE_COUNT; i++)
		ck_assert(feature_on((enum feature)i) == before[i]);
}

TEST(every_feature_is_looked_for)
{
	probe_with(NULL);
	for (int i = 0; i < FEATURE_COUNT; i++)
		ck_assert_msg(strcmp(feature_why((enum feature)i), "not probed") != 0 &&
		                      strcmp(feature_why((enum feature)i), "no ring to be had") != 0,
		              "%s: %s", feature_name((enum feature)i), feature_why((enum feature)i));
}

TEST(what_is_switched_off_is_off_and_nothing_else_is)
{
	bool whole[FEATURE_COUNT];
	struct torc_feature features[FEATURE_COUNT];

	probe_with("ext_arg,poll_first");
	ck_assert_int_eq(torc_probe(features, FEATURE_COUNT), FEATURE_COUNT);
	for (int i = 0; i < FEATURE_COUNT; i++) {
		bool off = i == FEATURE_EXT_ARG || i == FEATURE_POLL_FIRST;

		whole[i] = strstr(features[i].why, "TORC_DISABLE") == NULL;
		ck_assert(whole[i] == !off);
		ck_assert(!off || !features[i].on);
	}
}

TEST(all_switches_everything_off_and_still_probes)
{
	probe_with("all");
	for (int i = 0; i < FEATURE_COUNT; i++)
		ck_assert(!feature_on((enum feature)i));
}

TEST(deferred_task_work_needs_a_single_issuer)
{
	probe_with("single_issuer");
	ck_assert(!feature_on(FEATURE_SINGLE_ISSUER));
	ck_assert(!feature_on(FEATURE_DEFER_TASKRUN));
}

TEST(a_short_array_gets_its_part_and_the_whole_count)
{
	struct torc_feature features[3] = { { 0 } };

	probe_with(NULL);
	ck_assert_int_eq(torc_probe(features, 2), FEATURE_COUNT);
	ck_assert_ptr_nonnull(features[1].name);
	ck_assert_ptr_null(features[2].name);
	ck_assert_int_eq(torc_probe(NULL, 0), FEATURE_COUNT);
}

TEST(every_refusal_is_explained_with_either_sign)
{
	static const int errors[] = { 0, ENOSYS, EPERM, EACCES, ENOMEM, EMFILE, ENFILE, EBUSY, EINVAL, EIO };

	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		ck_assert_str_eq(torc_probe_explain(errors[i]), torc_probe_explain(-errors[i]));
		ck_assert_uint_gt(strlen(torc_probe_explain(errors[i])), 5);
	}
	ck_assert_ptr_nonnull(strstr(torc_probe_explain(-ENOMEM), "MEMLOCK"));
	ck_assert_ptr_nonnull(strstr(torc_probe_explain(-EPERM), "io_uring_disabled"));
}
