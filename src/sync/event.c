/* event - set or not; waiting for it to be set. */
#include "executor/waitable.h"
#include "sync/wait_list.h"

void torc_event_set(struct torc_event *event)
{
	wait_list_check(&event->waiters_, __func__);
	event->set_ = true;
	wait_list_grant_all(&event->waiters_);
}

void torc_event_reset(struct torc_event *event)
{
	event->set_ = false;
}

bool torc_event_is_set(const struct torc_event *event)
{
	return event->set_;
}

int torc_event_wait(struct torc_event *event)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct waiter waiter;

	if (event->set_)
		return 0;
	waiter_init(&waiter, executor, "event");
	return wait_list_park(&event->waiters_, &waiter, __func__);
}

/* --- as a waitable --------------------------------------------------------------------------- */

/* A waiter that, when it is granted, decides a choice. */
struct event_arm {
	struct waiter waiter;
	struct arm *arm;
};

static int try_event(struct arm *arm)
{
	return ((const struct torc_event *)arm->object)->set_ ? 0 : -EAGAIN;
}

static void event_granted(struct waiter *waiter)
{
	struct arm *arm = container_of(waiter, struct event_arm, waiter)->arm;

	choice_decide(arm->choice, arm, 0);
}

static void arm_event(struct arm *arm)
{
	struct torc_event *event = arm->object;
	struct event_arm *room = arm->room;

	wait_list_check(&event->waiters_, "torc_choose");
	waiter_init(&room->waiter, executor_self, "event");
	room->waiter.granted = event_granted;
	room->arm = arm;
	wait_list_append(&event->waiters_, &room->waiter);
}

static void disarm_event(struct arm *arm)
{
	wait_list_remove(&((struct event_arm *)arm->room)->waiter);
}

static const struct waitable event_is_set = { try_event, arm_event, disarm_event, .room = sizeof(struct event_arm),
	                                      .what = "event" };

struct torc_case torc_case_event(struct torc_event *event)
{
	return waitable_case(&event_is_set, event, NULL, 0);
}
