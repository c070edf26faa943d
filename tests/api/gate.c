/* torc_gate - enter, leave, close; closed when all have left. */
#include "sync.h"

static int close_gate(void *gate)
{
	return torc_gate_close(gate);
}

TEST_IN_FIBER(closing_an_empty_one)
{
	struct torc_gate gate = { 0 };

	ck_assert_int_eq(torc_gate_close(&gate), 0);
	ck_assert_int_eq(torc_gate_enter(&gate), -ESHUTDOWN);
	ck_assert_int_eq(torc_gate_close(&gate), 0);
}

TEST_IN_FIBER(closing_waits_for_the_last)
{
	struct torc_gate gate = { 0 };
	struct caller closers[2];

	TORC_SCOPE(scope);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(torc_gate_enter(&gate), 0);
	torc_gate_leave(&gate);
	ck_assert_int_eq(torc_gate_enter(&gate), 0);
	start_call(scope, &closers[0], close_gate, &gate);
	start_call(scope, &closers[1], close_gate, &gate);
	ck_assert_int_eq(torc_gate_enter(&gate), -ESHUTDOWN);
	for (int i = 0; i < 3; i++) {
		settle();
		ck_assert(waits(&closers[0]) && waits(&closers[1]));
		torc_gate_leave(&gate);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(closers[0].turn, 1);
	ck_assert_int_eq(closers[1].result, 0);
}

TEST_IN_FIBER(a_cancelled_close_has_closed)
{
	struct torc_gate gate = { 0 };

	ck_assert_int_eq(torc_gate_enter(&gate), 0);
	ck_assert_int_eq(call_cancelled(close_gate, &gate), -ECANCELED);
	ck_assert_int_eq(torc_gate_enter(&gate), -ESHUTDOWN);
	ck_assert_int_eq(call_until_soon(close_gate, &gate), -ETIME);
	torc_gate_leave(&gate);
	ck_assert_int_eq(call_cancelled(close_gate, &gate), 0);
}

TEST_IN_FIBER(left_then_cancelled_is_a_success)
{
	struct torc_gate gate = { 0 };
	struct caller closer;

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_gate_enter(&gate), 0);
	start_call(scope, &closer, close_gate, &gate);
	torc_gate_leave(&gate);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(closer.result, 0);
}

DEATH_IN_FIBER(left_by_nobody, "torc_gate_leave: nobody is inside the gate")
{
	struct torc_gate gate = { 0 };

	torc_gate_leave(&gate);
}
