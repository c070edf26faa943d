/* shared_event - an event between threads. One word says it all: whether it is set, who must be woken, and a number that
 * changes each time it is set, so that who waits sees that it was, though it may have been reset since.
 *
 * Threads sleep on the word; fibers do so through the ring where the kernel can (FUTEX_WAIT), and elsewhere have an
 * eventfd each, found by a list. Setting touches the event last when it changes the word: who sees that may free it.
 * Relies on request, futex. Keeps: the list is changed under the lock, and is empty unless the word says LISTED. */
#include <torc/queue.h>
#include <torc/shared_event.h>

#include "executor/request.h"
#include "machine/feature.h"
#include "machine/forked.h"
#include "machine/futex.h"
#include "machine/sys.h"
#include "machine/thread.h"

#include <poll.h>

enum {
	SET = 1 << 0,
	ASLEEP = 1 << 1, /* somebody sleeps on the word */
	LISTED = 1 << 2, /* somebody is on the list */
	ROUND = 1 << 3,  /* and up: how often it was set */
};

/* A fiber with an eventfd, in its frame. */
struct listed {
	struct listed *next;
	int fd;
	unsigned era; /* forked_era: in a child it is its parent's, eventfd and all */
	bool granted;
};

static struct thread_mutex lock = THREAD_MUTEX; /* of all lists: an event's own would not outlive the event */

static uint32_t look(const struct torc_shared_event *event)
{
	return __atomic_load_n(&event->word_, __ATOMIC_ACQUIRE);
}

/* Is it set, or was it since? */
static bool passed(uint32_t word, uint32_t since)
{
	return (word & SET) || (word ^ since) / ROUND != 0;
}

/* False: it has changed meanwhile, and *word is what it is now. */
static bool change(struct torc_shared_event *event, uint32_t *word, uint32_t to)
{
	return __atomic_compare_exchange_n(&event->word_, word, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static uint32_t once_set(uint32_t word)
{
	return word & SET ? word : ((word & ~(uint32_t)(ASLEEP | LISTED)) + ROUND) | SET;
}

static void set_listed(struct torc_shared_event *event)
{
	struct listed *first, *next;
	uint32_t word;

	thread_lock(&lock);
	first = event->listed_;
	event->listed_ = NULL;
	word = look(event);
	while (!change(event, &word, once_set(word))) {
		/* ends: others set it, which is final, or fall asleep, once each */
	}
	for (; first; first = next) {
		next = first->next;
		first->granted = true;
		if (first->era == forked_era())
			sys_eventfd_ring(first->fd);
	}
	thread_unlock(&lock);
	if (word & ASLEEP)
		futex_wake_all(&event->word_);
}

void torc_shared_event_set(struct torc_shared_event *event)
{
	uint32_t word = look(event);

	do {
		if (unlikely(word & LISTED)) {
			set_listed(event);
			return;
		}
	} while (!change(event, &word, once_set(word))); /* ends: see above */
	if (word & ASLEEP)
		futex_wake_all(&event->word_); /* its address, no more: the event may be gone */
}

void torc_shared_event_reset(struct torc_shared_event *event)
{
	__atomic_fetch_and(&event->word_, ~(uint32_t)SET, __ATOMIC_ACQ_REL);
}

bool torc_shared_event_is_set(const struct torc_shared_event *event)
{
	return look(event) & SET;
}

/* Sleep on the word through the ring. 0 and -EAGAIN: look again. */
static int sleep_on_word(struct torc_shared_event *event, uint32_t word, const char *function)
{
	struct io_uring_sqe *sqe;
	struct request request;
	int r;

	if (!(word & ASLEEP) && !change(event, &word, word | ASLEEP))
		return -EAGAIN;
	r = request_begin(&request, SOURCE_FUTEX, -1, &sqe, function);
	if (r < 0)
		return r;
	uring_prepare(sqe, URING_OP_FUTEX_WAIT, URING_FUTEX_PRIVATE_32, &event->word_, 0);
	sqe->addr2 = word | ASLEEP;
	sqe->addr3 = UINT32_MAX;
	return request_finish(&request, sqe);
}

static void forget_lock(void)
{
	thread_mutex_init(&lock);
}

/* Onto the list, unless it is set. */
static bool join_list(struct torc_shared_event *event, struct listed *listed, uint32_t since)
{
	static bool watched;
	uint32_t word;

	forked_call(&watched, forget_lock);
	thread_lock(&lock);
	word = look(event);
	while (!passed(word, since) && !change(event, &word, word | LISTED)) {
		/* ends: others set it, or fall asleep, once each */
	}
	if (passed(word, since)) {
		thread_unlock(&lock);
		return false;
	}
	listed->era = forked_era();
	listed->next = event->listed_;
	event->listed_ = listed;
	thread_unlock(&lock);
	return true;
}

/* True: it had been taken off, for the event was set. */
static bool leave_list(struct torc_shared_event *event, const struct listed *listed)
{
	thread_lock(&lock);
	if (!listed->granted) {
		void **link = &event->listed_;

		while (*link != listed) /* ends: it is there */
			link = (void **)&((struct listed *)*link)->next;
		*link = listed->next;
	}
	thread_unlock(&lock);
	return listed->granted;
}

static int await_ring(int fd, const char *function)
{
	struct io_uring_sqe *sqe;
	struct request request;
	int r = request_begin(&request, SOURCE_FUTEX, fd, &sqe, function);

	if (r < 0)
		return r;
	uring_prepare_poll(sqe, fd, POLLIN);
	return request_finish(&request, sqe);
}

static int wait_with_eventfd(struct torc_shared_event *event, uint32_t since, const char *function)
{
	struct listed listed = { .fd = sys_eventfd() };
	int r = 0;

	if (listed.fd < 0)
		return listed.fd;
	if (join_list(event, &listed, since)) {
		r = await_ring(listed.fd, function);
		if (leave_list(event, &listed))
			r = 0;
	}
	sys_close(listed.fd);
	return r;
}

int torc_shared_event_wait(struct torc_shared_event *event)
{
	struct executor *executor = executor_in_fiber(__func__);
	uint32_t since = look(event);
	int r = 0;

	if (passed(since, since)) {
		torc_yield_if_needed(); /* others may set it without end; it may be gone then */
		return 0;
	}
	if (scope_refuses(executor->running))
		return scope_refuses(executor->running);
	if (!feature_on(FEATURE_FUTEX))
		return wait_with_eventfd(event, since, __func__);
	for (;;) { /* ends when it is set, or the wait is cut short */
		uint32_t word = look(event);

		if (passed(word, since))
			return 0;
		if (r < 0 && r != -EAGAIN)
			return r;
		r = sleep_on_word(event, word, __func__);
	}
}

int torc_shared_event_block(struct torc_shared_event *event, torc_ns deadline)
{
	uint32_t since = look(event);
	int r = 0;

	MISUSE(executor_self, "called on the thread of an executor, which it would stop; torc_shared_event_wait parks");
	for (;;) { /* ends when it is set, or at the deadline */
		uint32_t word = look(event);

		if (passed(word, since))
			return 0;
		if (r == -ETIMEDOUT)
			return -ETIME;
		if ((word & ASLEEP) || change(event, &word, word | ASLEEP))
			r = futex_wait(&event->word_, word | ASLEEP, deadline);
	}
}
