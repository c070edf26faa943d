/* mailbox - messages between the executors of a group, and from threads that are none. One ring per ordered pair of
 * cores; one word of bits that says who has sent something, which a computing fiber's preemption check reads as well. A
 * message is a record that the sender keeps until it is delivered: nothing is copied or allocated, sending never fails.
 *
 * Who sleeps is woken: the receiver says `asleep`, then looks at `dirty`, then sleeps; a sender pushes, sets `dirty`,
 * then looks at `asleep`. Whichever order these four take, one of the two sees the other (tools/model/sleep.pml). A sender
 * of the group wakes in its next turn, with whatever else that submits; until then the receiver is still said to be asleep,
 * for others to wake.
 * Relies on executor, spsc. Keeps: messages of one pair arrive in order; each is delivered once, by the loop of the
 * receiver, never in a fiber. */
#ifndef TORC_SRC_MAILBOX_H
#define TORC_SRC_MAILBOX_H

#include "base/spsc.h"
#include "executor/executor.h"

enum { MAILBOX_PEERS = 256 };

struct mailbox;
struct message;
typedef void message_fn(struct executor *receiver, struct message *message);

struct message {
	message_fn *deliver;  /* runs on the receiver's loop; may wake and spawn, must not park */
	struct message *next; /* while it waits for room, or in the inbox of foreign threads */
};

/* The mailboxes of executors that run together, and what keeps them running: the fibers that torc_run, torc_cores_run,
 * torc_post and remotes began. When the last of those is over, all executors of the group are let go: then no fiber is
 * left that could send anything. */
struct mailbox_group {
	struct mailbox **members; /* [count], by core */
	unsigned count;
	unsigned work;
};

/* Something that this core's loop is to do before it sleeps or ends. */
struct mailbox_chore {
	void (*run)(struct mailbox *mailbox, struct mailbox_chore *chore);
	struct mailbox_chore *next;
};

struct mailbox {
	struct executor *executor;
	unsigned core, peers; /* peers: how many cores the group has */
	struct mailbox_group *group;
	struct message over; /* the group's work is done */
	struct message stop; /* the root scope is to be cancelled */
	bool stopping;       /* it was sent */

	struct spsc *incoming;              /* [peers], by sender */
	_Alignas(64) struct message *inbox; /* of foreign threads: last in first; taken whole and turned round */
	unsigned droppers;                  /* threads inside mailbox_drop_awaited */

	struct {
		struct message *first, **end;
	} * waiting; /* [peers]: ours, for room in a peer's ring */
	struct mailbox_chore *chores;
};

/* Become member number `core` of the group. The executor is held until the group's work is over. 0, -ENOMEM. */
int mailbox_open(struct mailbox *mailbox, struct executor *executor, struct mailbox_group *group, unsigned core);
void mailbox_close(struct mailbox *mailbox);

static inline void mailbox_work_begins(struct mailbox *mailbox)
{
	__atomic_fetch_add(&mailbox->group->work, 1, __ATOMIC_RELAXED);
}

/* The same for work that comes from outside. False: the last was over, so it comes too late. */
bool mailbox_work_admitted(struct mailbox *mailbox);

/* If it has failed so has its core, and then all others are to stop. The last one lets all go. */
void mailbox_work_ended(struct mailbox *mailbox, int result);

/* Cancel the root scopes of all; from any thread, once all are open. */
void mailbox_stop_all(struct mailbox_group *group);

/* Deliver what is there, now. */
void mailbox_collect(struct mailbox *mailbox);

/* From the executor of `from` to a core of its group; to itself as well. */
void mailbox_send(struct mailbox *from, unsigned to, struct message *message);

/* On the mailbox's own executor. The chore must not be waiting already. */
static inline void mailbox_later(struct mailbox *mailbox, struct mailbox_chore *chore)
{
	chore->next = mailbox->chores;
	mailbox->chores = chore;
	mailbox->executor->mail.unsent++;
}

/* From any thread. The mailbox must not be closed meanwhile: see cores/remote. */
void mailbox_drop(struct mailbox *to, struct message *message);

/* The same with a message that a fiber there waits for: it may be all that keeps the run going, so that the mailbox would be
 * closed in the midst of this call. The end of the loop waits for it. */
void mailbox_drop_awaited(struct mailbox *to, struct message *message);
void mailbox_await_droppers(const struct mailbox *mailbox);

#endif
