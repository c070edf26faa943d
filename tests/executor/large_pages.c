/* large_pages.c - fibers where the kernel's pages have 64 KiB, as on some aarch64: a stack of 64 KiB, which is the default,
 * is then no more than its guard, if nothing is done about it. */
#include "executor/on_fake.h"
#include "harness.h"
#include "machine/cpu.h"

/* In the place of the library's. */
size_t cpu_page_size(void)
{
	return 64 << 10;
}

static __attribute__((noinline)) int use_stack(size_t size)
{
	volatile char *room = __builtin_alloca(size);

	for (size_t i = 0; i < size; i += 512)
		room[i] = (char)i;
	return room[size - size % 512 - 512];
}

static int deep(void *arg)
{
	int *sum = arg;

	(void)use_stack(48 << 10); /* what there is with pages of 4 KiB, too */
	torc_yield();
	++*sum;
	return 0;
}

static int fibers(void *arg)
{
	(void)arg;
	int sum = 0;

	TORC_SCOPE(scope);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(torc_go(scope, deep, &sum), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	return sum;
}

TEST(a_stack_has_room_beside_its_guard)
{
	fake_init(&fake);
	ck_assert_int_eq(fake_run(fibers, NULL), 100);
}
