/* source.c - a fresh source, and the names of the types. */
#include "reactor/source.h"

#include "harness.h"

TEST(a_fresh_source_is_nowhere)
{
	struct source source;

	memset(&source, 0xa5, sizeof source);
	source_init(&source, SOURCE_READ, 7);
	ck_assert_uint_eq(source.inner.id, 0);
	ck_assert_int_eq(source.inner.fd, 7);
	ck_assert_int_eq(source.inner.type, SOURCE_READ);
	ck_assert(list_empty(&source.inner.link));
	ck_assert(!source.inner.cancelling);
	ck_assert_ptr_null(source.inner.wakers.waiting);
	ck_assert(source.inner.answer == NULL);
}

TEST(every_type_has_a_name)
{
	for (int type = SOURCE_NOP; type <= SOURCE_CHILD; type++)
		ck_assert_ptr_nonnull(source_type_name((enum source_type)type));
	ck_assert_str_eq(source_type_name(SOURCE_ACCEPT), "accept");
}
