/* fiber.c - the record of a fiber at the top of its stack. */
#include "fiber/fiber.h"

#include "harness.h"
#include "machine/cpu.h"

#include <stdlib.h>
#include <string.h>

enum { SLOT = 64 << 10, GUARD = 4096, SLOTS = 200 };

static void entry(void *fiber)
{
	(void)fiber;
	abort();
}

enum { STRIDE = SLOT + 4096 }; /* an odd number of pages, as in stack_pool_open */

TEST(a_record_lies_at_the_top_of_its_slot_on_lines_of_its_own)
{
	char *memory = aligned_alloc(4096, (size_t)SLOTS * STRIDE);
	unsigned colours = 0;
	uint64_t seen = 0;

	for (int i = 0; i < SLOTS; i++) {
		char *slot = memory + (size_t)i * STRIDE;
		struct fiber *fiber = fiber_make(slot, SLOT, GUARD, 0, entry);
		size_t at = (size_t)((char *)fiber - slot);

		ck_assert_ptr_eq(fiber, fiber_in_slot(slot, SLOT));
		ck_assert_ptr_eq(fiber->slot, slot);
		ck_assert_uint_eq((uintptr_t)fiber % CACHE_LINE, 0);
		ck_assert_uint_le(at + sizeof *fiber, SLOT);
		ck_assert_uint_gt(at, SLOT - 4096); /* an idle fiber is one page */
		seen |= UINT64_C(1) << (at / CACHE_LINE % 64);
		sanitize_fiber_end(&fiber->sanitize);
	}
	for (; seen; seen &= seen - 1)
		colours++;
	ck_assert_uint_ge(colours, 16); /* not all on the same cache sets */
	free(memory);
}

TEST(room_for_an_argument_lies_between_record_and_stack)
{
	char *slot = aligned_alloc(4096, SLOT);

	for (size_t room = 0; room < 100; room++) {
		struct fiber *fiber = fiber_make(slot, SLOT, GUARD, room, entry);
		char *argument = fiber_room(fiber, room);

		ck_assert_uint_eq((uintptr_t)argument % 16, 0);
		ck_assert(argument + room <= (char *)fiber);
		ck_assert((char *)fiber->context.sp <= argument);
		memset(argument, 1, room);
		sanitize_fiber_end(&fiber->sanitize);
	}
	free(slot);
}
