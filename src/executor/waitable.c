#include "executor/waitable.h"

void choice_disarm(struct choice *choice, const struct arm *chosen)
{
	choice->held++; /* an arm may release its hold at once */
	for (size_t i = 0; i < choice->count; i++) {
		struct arm *arm = &choice->arms[i];

		if (arm != chosen && arm->waitable)
			arm->waitable->disarm(arm);
	}
	choice->held--;
}

static void end(struct choice *choice, struct arm *chosen, int result)
{
	choice->decided = true;
	choice->chosen = chosen;
	choice->result = result;
	choice_disarm(choice, NULL);
	if (choice->held == 0)
		waker_wake(choice->wait.fiber);
}

static void end_closed(struct choice *choice)
{
	for (size_t i = 0; i < choice->count; i++) {
		struct arm *arm = &choice->arms[i];
		int result = arm->waitable && arm->waitable->closed ? arm->waitable->closed(arm) : 0;

		if (result < 0) {
			end(choice, arm, result);
			return;
		}
	}
	panic(__func__, "a wait was interrupted, and nobody says why");
}

void choice_interrupt(struct wait *wait)
{
	struct choice *choice = container_of(wait, struct choice, wait);

	if (likely(scope_refuses(wait->fiber)))
		end(choice, NULL, scope_refuses(wait->fiber));
	else
		end_closed(choice);
}
