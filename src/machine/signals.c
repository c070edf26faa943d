#include "machine/signals.h"

#include "base/panic.h"
#include "machine/sanitize.h"
#include "machine/sys.h"
#include "machine/uring.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What the handler looks at: it can be anywhere, at any time, and more than once. */
static uint32_t counts[SIGNALS];
static struct {
	uint64_t mask; /* 0: the slot is free */
	int fd;
} slots[SIGNAL_SETS];
static unsigned inside; /* handlers that run */

/* What opening and closing share. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users[SIGNALS];
static struct sigaction before_us[SIGNALS];
static unsigned era; /* one for each fork: a child's sets are not its parent's */
static bool forks_watched;

static uint64_t bit(int signal)
{
	return UINT64_C(1) << (signal - 1);
}

static void ring(int fd)
{
	static const uint64_t one = 1;

	if (write(fd, &one, sizeof one) < 0)
		return; /* full: so it is readable */
}

static void expect(int sets)
{
#ifdef SANITIZE_TSAN
	__atomic_fetch_add(&uring_naps, (unsigned)sets, __ATOMIC_RELAXED);
#else
	(void)sets;
#endif
}

static void handle(int signal)
{
	int error = errno;

	__atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&counts[signal], 1, __ATOMIC_RELEASE);
	for (int i = 0; i < SIGNAL_SETS; i++)
		if (__atomic_load_n(&slots[i].mask, __ATOMIC_SEQ_CST) & bit(signal))
			ring(__atomic_load_n(&slots[i].fd, __ATOMIC_RELAXED));
	__atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
	errno = error;
}

int signals_add(uint64_t *mask, int signal)
{
	switch (signal) {
	case SIGKILL:
	case SIGSTOP:
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
		return -EINVAL;
	default:
		if (signal < 1 || signal >= SIGNALS)
			return -EINVAL;
		*mask |= bit(signal);
		return 0;
	}
}

/* Stop handling it, unless somebody else has put a handler there since. */
static void release(int signal)
{
	struct sigaction now;

	if (sigaction(signal, NULL, &now) == 0 && now.sa_handler == handle)
		sigaction(signal, &before_us[signal], NULL);
}

static void release_all(uint64_t mask)
{
	for (int signal = 1; signal < SIGNALS; signal++)
		if ((mask & bit(signal)) && --users[signal] == 0)
			release(signal);
}

static int install_all(uint64_t mask)
{
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART | SA_ONSTACK };
	uint64_t done = 0;

	sigemptyset(&action.sa_mask);
	for (int signal = 1; signal < SIGNALS; signal++) {
		if (!(mask & bit(signal)))
			continue;
		if (users[signal] == 0 && sigaction(signal, &action, &before_us[signal]) < 0) {
			release_all(done);
			return -EINVAL;
		}
		users[signal]++;
		done |= bit(signal);
	}
	return 0;
}

/* In a forked child: its parent's sets are not its own. It gets the handlers that were there before. */
static void forget_sets(void)
{
	pthread_mutex_init(&lock, NULL); /* another thread may have had it */
	inside = 0;
	era++;
	for (int i = 0; i < SIGNAL_SETS; i++)
		slots[i].mask = 0;
	for (int signal = 1; signal < SIGNALS; signal++) {
		if (users[signal] > 0)
			release(signal);
		users[signal] = 0;
	}
}

static int take_slot(void)
{
	for (int i = 0; i < SIGNAL_SETS; i++)
		if (slots[i].mask == 0)
			return i;
	return -EMFILE;
}

int signals_open(struct signals *set, uint64_t mask)
{
	int r, slot, fd;

	if (mask == 0)
		return -EINVAL;
	fd = sys_spare_standard(eventfd(0, EFD_CLOEXEC));
	if (fd < 0)
		return -errno;
	*set = (struct signals){ .fd = fd, .mask = mask };
	pthread_mutex_lock(&lock);
	if (!forks_watched)
		forks_watched = pthread_atfork(NULL, NULL, forget_sets) == 0;
	r = slot = take_slot();
	if (slot >= 0) {
		for (int signal = 1; signal < SIGNALS; signal++)
			set->seen[signal] = __atomic_load_n(&counts[signal], __ATOMIC_ACQUIRE);
		set->slot = (unsigned)slot;
		set->era = era;
		__atomic_store_n(&slots[slot].fd, fd, __ATOMIC_RELAXED);
		__atomic_store_n(&slots[slot].mask, mask, __ATOMIC_SEQ_CST);
		r = install_all(mask);
		if (r < 0)
			__atomic_store_n(&slots[slot].mask, 0, __ATOMIC_SEQ_CST);
		else
			expect(1);
	}
	pthread_mutex_unlock(&lock);
	if (r < 0)
		close(fd);
	return r < 0 ? r : 0;
}

void signals_close(struct signals *set)
{
	pthread_mutex_lock(&lock);
	if (set->era == era) {
		release_all(set->mask);
		expect(-1);
		__atomic_store_n(&slots[set->slot].mask, 0, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&inside, __ATOMIC_SEQ_CST) > 0) /* ends: handlers are short */
			sched_yield();
	}
	pthread_mutex_unlock(&lock);
}

static uint32_t fresh(const struct signals *set, int signal)
{
	return set->mask & bit(signal) ? __atomic_load_n(&counts[signal], __ATOMIC_ACQUIRE) - set->seen[signal] : 0;
}

int signals_take(struct signals *set, unsigned *times)
{
	/* In turn, so that a signal that comes in floods hides no other. */
	for (unsigned i = 1; i < SIGNALS; i++) {
		int signal = (int)((set->last + i - 1) % (SIGNALS - 1)) + 1;
		uint32_t count = fresh(set, signal);

		if (count > 0) {
			set->seen[signal] += count;
			set->last = (unsigned)signal;
			if (times)
				*times = count;
			return signal;
		}
	}
	return 0;
}

bool signals_any(const struct signals *set)
{
	for (int signal = 1; signal < SIGNALS; signal++)
		if (fresh(set, signal) > 0)
			return true;
	return false;
}

void signals_ring(const struct signals *set)
{
	ring(set->fd);
}

void signals_await(const struct signals *set)
{
	eventfd_t rung;

#ifdef SANITIZE_TSAN /* lets signals in only where it looks on */
	while (poll(&(struct pollfd){ .fd = set->fd, .events = POLLIN }, 1, 5) <= 0)
		;
#endif
	while (eventfd_read(set->fd, &rung) < 0) /* ends: it is rung */
		ASSERT(errno == EINTR);
}

void signals_admit(const struct signals *set, sigset_t *before)
{
	sigset_t mine;

	sigemptyset(&mine);
	for (int signal = 1; signal < SIGNALS; signal++)
		if (set->mask & bit(signal))
			sigaddset(&mine, signal);
	pthread_sigmask(SIG_UNBLOCK, &mine, before);
}

void signals_restore(const sigset_t *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}
