/* wait_list - order, removal anywhere, and what happens to who is granted and then cancelled. */
#include "sync/wait_list.h"

#include "api/api.h"

enum { FIBERS = 5 };

struct queue {
	struct torc_waiters_ waiters;
	int order[FIBERS], count;
	int left;
};

struct member {
	struct queue *queue;
	int number, result;
	struct waiter waiter;
};

static void member_left(struct torc_waiters_ *waiters)
{
	container_of(waiters, struct queue, waiters)->left++;
}

static int wait_in(void *arg)
{
	struct member *member = arg;

	waiter_init(&member->waiter, executor_self, "a test");
	member->waiter.left = member_left;
	member->result = wait_list_park(&member->queue->waiters, &member->waiter, __func__);
	member->queue->order[member->queue->count++] = member->number;
	return 0;
}

static void start(struct queue *queue, struct member *members, struct torc_scope *scope)
{
	for (int i = 0; i < FIBERS; i++) {
		members[i] = (struct member){ .queue = queue, .number = i, .result = UNSET };
		ck_assert_int_eq(torc_go(scope, wait_in, &members[i]), 0);
	}
	torc_yield();
}

TEST_IN_FIBER(zeroed_is_empty)
{
	struct queue queue = { 0 };

	ck_assert(wait_list_empty(&queue.waiters));
	ck_assert_ptr_null(wait_list_first(&queue.waiters));
	wait_list_grant_all(&queue.waiters);
}

TEST_IN_FIBER(first_come_first_granted)
{
	struct queue queue = { 0 };
	struct member members[FIBERS];

	TORC_SCOPE(scope);
	start(&queue, members, scope);
	for (int i = 0; i < FIBERS; i++) {
		ck_assert_ptr_eq(wait_list_first(&queue.waiters), &members[i].waiter);
		wait_list_grant(wait_list_first(&queue.waiters));
	}
	ck_assert(wait_list_empty(&queue.waiters));
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < FIBERS; i++) {
		ck_assert_int_eq(queue.order[i], i);
		ck_assert_int_eq(members[i].result, 0);
	}
	ck_assert_int_eq(queue.left, 0);
}

TEST_IN_FIBER(any_may_be_granted_or_removed)
{
	static const int turn[FIBERS] = { 2, 0, 4, 1, 3 };
	struct queue queue = { 0 };
	struct member members[FIBERS];

	TORC_SCOPE(scope);
	start(&queue, members, scope);
	for (int i = 0; i < FIBERS; i++) {
		wait_list_grant(&members[turn[i]].waiter);
		wait_list_remove(&members[turn[i]].waiter); /* harmless */
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < FIBERS; i++)
		ck_assert_int_eq(queue.order[i], turn[i]);
}

TEST_IN_FIBER(who_is_cancelled_leaves_and_says_so)
{
	struct queue queue = { 0 };
	struct member members[FIBERS];

	TORC_SCOPE(scope);
	start(&queue, members, scope);
	wait_list_grant(&members[1].waiter);
	torc_scope_cancel(scope);
	ck_assert(wait_list_empty(&queue.waiters));
	ck_assert_int_eq(queue.left, FIBERS - 1);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < FIBERS; i++)
		ck_assert_int_eq(members[i].result, i == 1 ? 0 : -ECANCELED);
}

TEST_IN_FIBER(nobody_joins_in_a_cancelled_scope)
{
	struct queue queue = { 0 };
	struct member member = { .queue = &queue, .result = UNSET };

	TORC_SCOPE(scope);
	torc_scope_cancel(scope);
	wait_in(&member);
	ck_assert_int_eq(member.result, -ECANCELED);
	ck_assert(wait_list_empty(&queue.waiters));
	ck_assert_int_eq(queue.left, 0);
}

static void stands_in(struct waiter *waiter)
{
	waiter->result++;
}

TEST_IN_FIBER(somebody_may_stand_in)
{
	struct torc_waiters_ list = { 0 };
	struct waiter first, second;

	waiter_init(&first, executor_self, "a test");
	waiter_init(&second, executor_self, "a test");
	first.granted = second.granted = stands_in;
	wait_list_append(&list, &first);
	wait_list_append(&list, &second);
	wait_list_grant_all(&list);
	ck_assert_int_eq(first.result, 1);
	ck_assert_int_eq(second.result, 1);
	ck_assert_ptr_null(first.list);
}

DEATH_IN_FIBER(freed_under_a_waiter, "freed or overwritten while a fiber waits for it \\(a test\\)")
{
	struct queue queue = { 0 };
	struct member member = { .queue = &queue };

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, wait_in, &member), 0);
	torc_yield();
	queue = (struct queue){ 0 };
	torc_scope_cancel(scope);
}

DEATH_IN_FIBER(freed_under_several, "freed or overwritten while a fiber waits for it \\(a test\\)")
{
	struct queue queue = { 0 };
	struct member members[FIBERS];

	TORC_SCOPE(scope);
	start(&queue, members, scope);
	queue.waiters = (struct torc_waiters_){ 0 };
	torc_scope_cancel(scope);
}

DEATH_IN_FIBER(another_core, "torc_x: the object is in use on another core")
{
	struct torc_waiters_ list = { 0 };
	struct waiter waiter;

	waiter_init(&waiter, executor_self, "a test");
	waiter.executor = NULL;
	wait_list_append(&list, &waiter);
	wait_list_check(&list, "torc_x");
}
