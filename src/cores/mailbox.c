#include "cores/mailbox.h"

#include "executor/scope.h"
#include "machine/clock.h"
#include "machine/cpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bits of the dirty word: one for foreign threads, the others for cores, several to one if there are many. */
enum { CORE_BITS = 63, INBOX_BIT = 63 };

static const int64_t dropper_poll_ns = 20000;

static uint64_t bit_of(unsigned core)
{
	return UINT64_C(1) << core % CORE_BITS;
}

static struct message *take_inbox(struct mailbox *mailbox)
{
	struct message *last = __atomic_exchange_n(&mailbox->inbox, NULL, __ATOMIC_ACQUIRE), *first = NULL;

	while (last) { /* ends: the list was finite when it was taken */
		struct message *next = last->next;

		last->next = first;
		first = last;
		last = next;
	}
	return first;
}

static void deliver_inbox(struct mailbox *mailbox)
{
	for (struct message *message = take_inbox(mailbox), *next; message; message = next) {
		next = message->next; /* it may be gone once it is delivered */
		message->deliver(mailbox->executor, message);
	}
}

/* At most one lap, so that a busy sender can't keep the loop here. True if more may be there. */
static bool deliver_ring(struct mailbox *mailbox, unsigned sender)
{
	struct message *message;

	for (int i = 0; i < SPSC_ROOM; i++) {
		message = spsc_pop(&mailbox->incoming[sender]);
		if (!message)
			return false;
		message->deliver(mailbox->executor, message);
	}
	return true;
}

static void collect(struct executor *executor)
{
	struct mailbox *mailbox = executor->mailbox;
	/* Cleared before the rings are looked at: what comes later sets it again. */
	uint64_t dirty = __atomic_exchange_n(&executor->mail.dirty, 0, __ATOMIC_SEQ_CST);

	if (dirty >> INBOX_BIT)
		deliver_inbox(mailbox);
	for (dirty &= ~(UINT64_C(1) << INBOX_BIT); dirty; dirty &= dirty - 1)
		for (unsigned sender = (unsigned)__builtin_ctzll(dirty); sender < mailbox->peers; sender += CORE_BITS)
			if (deliver_ring(mailbox, sender))
				__atomic_fetch_or(&executor->mail.dirty, bit_of(sender), __ATOMIC_SEQ_CST);
}

/* After something was put where the receiver looks when this bit is set. False: it is asleep. */
static bool announce(struct executor *receiver, uint64_t bit)
{
	__atomic_fetch_or(&receiver->mail.dirty, bit, __ATOMIC_SEQ_CST);
	return likely(!__atomic_load_n(&receiver->mail.asleep, __ATOMIC_SEQ_CST));
}

/* Of all who see it asleep one rings, and does so at once: the others count on it. */
static void ring(struct executor *receiver, struct executor *from)
{
	if (__atomic_exchange_n(&receiver->mail.asleep, 0, __ATOMIC_SEQ_CST))
		executor_ring(receiver, from);
}

/* Just before a turn, which submits them together. Whoever has no mail by now has been woken, or shares a bit. */
static void ring_bells(struct executor *executor)
{
	const struct mailbox *mailbox = executor->mailbox;
	uint64_t bells = executor->mail.bells;

	for (executor->mail.bells = 0; bells; bells &= bells - 1)
		for (unsigned peer = (unsigned)__builtin_ctzll(bells); peer < mailbox->peers; peer += CORE_BITS) {
			struct executor *receiver = mailbox->group->members[peer]->executor;

			if (__atomic_load_n(&receiver->mail.dirty, __ATOMIC_RELAXED))
				ring(receiver, executor);
		}
}

static bool push(struct mailbox *from, struct mailbox *to, struct message *message)
{
	if (!spsc_push(&to->incoming[from->core], message))
		return false;
	if (unlikely(!announce(to->executor, bit_of(from->core))))
		from->executor->mail.bells |= bit_of(to->core);
	return true;
}

static void do_chores(struct mailbox *mailbox)
{
	struct mailbox_chore *chore = mailbox->chores, *next;

	mailbox->chores = NULL;
	for (; chore; chore = next) { /* ends: what comes up meanwhile is for the next time */
		next = chore->next;   /* it may be gone once it is done */
		mailbox->executor->mail.unsent--;
		chore->run(mailbox, chore);
	}
}

/* What had to wait for room in other cores' rings. */
static void push_waiting(struct executor *executor)
{
	struct mailbox *mailbox = executor->mailbox;

	do_chores(mailbox);
	executor->mail.in_vain = executor->mail.unsent > 0 ? executor->mail.in_vain + 1 : 0;
	if (likely(executor->mail.unsent == 0))
		return;
	for (unsigned peer = 0; peer < mailbox->peers; peer++) {
		struct message *message;

		while ((message = mailbox->waiting[peer].first)) {
			struct message *next = message->next;

			if (!push(mailbox, mailbox->group->members[peer], message))
				break;
			mailbox->waiting[peer].first = next;
			if (!next)
				mailbox->waiting[peer].end = &mailbox->waiting[peer].first;
			executor->mail.unsent--;
			executor->mail.in_vain = 0;
		}
	}
}

static void let_go(struct executor *executor, struct message *message)
{
	(void)message;
	executor->hold = false;
}

static void cancel_root(struct executor *executor, struct message *message)
{
	(void)message;
	scope_cancel(executor->root, -ECANCELED);
}

int mailbox_open(struct mailbox *mailbox, struct executor *executor, struct mailbox_group *group, unsigned core)
{
	unsigned peers = group->count;

	memset(mailbox, 0, sizeof *mailbox);
	mailbox->executor = executor;
	mailbox->group = group;
	mailbox->core = core;
	mailbox->peers = peers;
	mailbox->over.deliver = let_go;
	mailbox->stop.deliver = cancel_root;
	mailbox->incoming = aligned_alloc(CACHE_LINE, peers * sizeof *mailbox->incoming);
	mailbox->waiting = calloc(peers, sizeof *mailbox->waiting);
	if (!mailbox->incoming || !mailbox->waiting) {
		mailbox_close(mailbox);
		return -ENOMEM;
	}
	memset(mailbox->incoming, 0, peers * sizeof *mailbox->incoming);
	for (unsigned peer = 0; peer < peers; peer++)
		mailbox->waiting[peer].end = &mailbox->waiting[peer].first;
	executor->mailbox = mailbox;
	executor->mail.collect = collect;
	executor->mail.push_waiting = push_waiting;
	executor->mail.ring_bells = ring_bells;
	executor->mail.expected = peers - 1;
	executor->hold = true;
	group->members[core] = mailbox;
	return 0;
}

bool mailbox_work_admitted(struct mailbox *mailbox)
{
	unsigned *work = &mailbox->group->work, count = __atomic_load_n(work, __ATOMIC_RELAXED);

	while (count > 0)
		if (__atomic_compare_exchange_n(work, &count, count + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return true;
	return false; /* ends: see mailbox_drop */
}

void mailbox_work_ended(struct mailbox *mailbox, int result)
{
	struct mailbox_group *group = mailbox->group;

	if (result < 0 && group->count > 1)
		mailbox_stop_all(group);
	if (__atomic_sub_fetch(&group->work, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (unsigned core = 0; core < group->count; core++)
		mailbox_drop(group->members[core], &group->members[core]->over);
}

void mailbox_stop_all(struct mailbox_group *group)
{
	for (unsigned core = 0; core < group->count; core++) {
		struct mailbox *mailbox = group->members[core];

		if (!__atomic_exchange_n(&mailbox->stopping, true, __ATOMIC_RELAXED))
			mailbox_drop(mailbox, &mailbox->stop);
	}
}

void mailbox_collect(struct mailbox *mailbox)
{
	collect(mailbox->executor);
}

void mailbox_close(struct mailbox *mailbox)
{
	do_chores(mailbox);
	free(mailbox->incoming);
	free(mailbox->waiting);
	mailbox->incoming = NULL;
	mailbox->waiting = NULL;
}

void mailbox_send(struct mailbox *from, unsigned to, struct message *message)
{
	if (to == from->core) {
		mailbox_drop(from, message);
		return;
	}
	if (likely(!from->waiting[to].first) && likely(push(from, from->group->members[to], message)))
		return;
	message->next = NULL;
	*from->waiting[to].end = message;
	from->waiting[to].end = &message->next;
	from->executor->mail.unsent++;
}

void mailbox_drop(struct mailbox *to, struct message *message)
{
	message->next = __atomic_load_n(&to->inbox, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&to->inbox, &message->next, message, true, __ATOMIC_RELEASE,
	                                    __ATOMIC_RELAXED)) {
		/* ends: another sender got in first, and then this one tries again */
	}
	/* Not by way of a ring of this thread's own, should it have one: it may be that of another run, or the thread may block
	 * before its next turn. */
	if (!announce(to->executor, UINT64_C(1) << INBOX_BIT))
		ring(to->executor, NULL);
}

void mailbox_drop_awaited(struct mailbox *to, struct message *message)
{
	/* Before the message is to be seen, and so before the loop's end, which it delays. */
	__atomic_fetch_add(&to->droppers, 1, __ATOMIC_RELAXED);
	mailbox_drop(to, message);
	__atomic_fetch_sub(&to->droppers, 1, __ATOMIC_RELEASE);
}

void mailbox_await_droppers(const struct mailbox *mailbox)
{
	while (__atomic_load_n(&mailbox->droppers, __ATOMIC_ACQUIRE) > 0) /* ends: they have a few steps to go */
		clock_pause(dropper_poll_ns);
}
