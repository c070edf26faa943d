/* check.h - as much of check(3)'s as the tests use, for a machine that has no check: an assertion that fails says so and
 * ends the process. tests/harness.h goes on top of it as it does natively. */
#ifndef CROSS_CHECK_H
#define CROSS_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	int unused;
} TTest;

void check_failed(const char *file, int line, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));

#define ck_abort_msg(...)        check_failed(__FILE__, __LINE__, __VA_ARGS__)
#define ck_assert_msg(fact, ...) ((fact) ? (void)0 : check_failed(__FILE__, __LINE__, __VA_ARGS__))
#define ck_assert(fact)          ck_assert_msg((fact), "%s", #fact)
#define ck_assert_ptr_null(p)    ck_assert((p) == NULL)
#define ck_assert_ptr_nonnull(p) ck_assert((p) != NULL)
#define ck_assert_ptr_eq(a, b)   ck_assert((const void *)(a) == (const void *)(b))
#define ck_assert_ptr_ne(a, b)   ck_assert((const void *)(a) != (const void *)(b))
#define ck_assert_str_eq(a, b)   ck_assert(strcmp((a), (b)) == 0)
#define ck_assert_str_ne(a, b)   ck_assert(strcmp((a), (b)) != 0)

#define CHECK_(type, as, a, op, b)                                                                             \
	do {                                                                                                   \
		type check_a_ = (a), check_b_ = (b);                                                           \
		ck_assert_msg(check_a_ op check_b_, "%s: " as ", " as, #a " " #op " " #b, check_a_, check_b_); \
	} while (0)
#define ck_assert_int_eq(a, b)  CHECK_(intmax_t, "%jd", a, ==, b)
#define ck_assert_int_ne(a, b)  CHECK_(intmax_t, "%jd", a, !=, b)
#define ck_assert_int_lt(a, b)  CHECK_(intmax_t, "%jd", a, <, b)
#define ck_assert_int_le(a, b)  CHECK_(intmax_t, "%jd", a, <=, b)
#define ck_assert_int_gt(a, b)  CHECK_(intmax_t, "%jd", a, >, b)
#define ck_assert_int_ge(a, b)  CHECK_(intmax_t, "%jd", a, >=, b)
#define ck_assert_uint_eq(a, b) CHECK_(uintmax_t, "%ju", a, ==, b)
#define ck_assert_uint_ne(a, b) CHECK_(uintmax_t, "%ju", a, !=, b)
#define ck_assert_uint_lt(a, b) CHECK_(uintmax_t, "%ju", a, <, b)
#define ck_assert_uint_le(a, b) CHECK_(uintmax_t, "%ju", a, <=, b)
#define ck_assert_uint_gt(a, b) CHECK_(uintmax_t, "%ju", a, >, b)
#define ck_assert_uint_ge(a, b) CHECK_(uintmax_t, "%ju", a, >=, b)

#endif
