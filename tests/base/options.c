/* options - completed where the caller's header knew fewer fields, refused where it can't be. */
#include "base/options.h"

#include "harness.h"

#include <stdlib.h>
#include <string.h>

struct options {
	size_t size;
	int a, b;
};

static const struct options *take(const struct options *options, struct options *whole)
{
	*whole = (struct options){ 1, 2, 3 };
	return OPTIONS(options, *whole);
}

TEST(what_is_whole_is_taken_as_it_is)
{
	struct options given = { sizeof given, 4, 5 }, whole;

	ck_assert_ptr_eq(take(&given, &whole), &given);
	ck_assert_uint_eq(whole.size, 1); /* untouched */
}

TEST(none_is_all_defaults)
{
	struct options whole;

	ck_assert_ptr_eq(take(NULL, &whole), &whole);
	ck_assert_uint_eq(whole.size, sizeof whole);
	ck_assert_int_eq(whole.a, 0);
	ck_assert_int_eq(whole.b, 0);
}

TEST(what_an_older_caller_did_not_know_is_zero)
{
	const struct options known = { .size = offsetof(struct options, b), .a = 4 };
	void *given = malloc(known.size); /* its end is the end of the memory */
	struct options whole;

	memcpy(given, &known, known.size);
	ck_assert_ptr_eq(take(given, &whole), &whole);
	ck_assert_uint_eq(whole.size, sizeof whole);
	ck_assert_int_eq(whole.a, 4);
	ck_assert_int_eq(whole.b, 0);
	free(given);
}

DEATH(no_size_is_misuse, "torc: take: the options' .size is wrong; use TORC_OPTIONS")
{
	struct options whole;

	take(&(struct options){ .a = 1 }, &whole);
}

DEATH(not_even_the_size_is_misuse, "torc: take: .*size")
{
	struct options whole;

	take(&(struct options){ .size = sizeof(size_t) - 1 }, &whole);
}

DEATH(a_newer_caller_is_misuse, "torc: take: .*size")
{
	struct options whole;

	take(&(struct options){ .size = sizeof whole + 1 }, &whole);
}
