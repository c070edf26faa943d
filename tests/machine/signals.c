/* signals - the counting below torc_signals: a plain thread opens sets, takes, is rung. */
#include "machine/signals.h"

#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

static uint64_t mask_of(int a, int b)
{
	uint64_t mask = 0;

	ck_assert_int_eq(signals_add(&mask, a), 0);
	ck_assert_int_eq(signals_add(&mask, b), 0);
	return mask;
}

static bool readable(const struct signals *set)
{
	struct pollfd fd = { .fd = set->fd, .events = POLLIN };

	return poll(&fd, 1, 0) == 1;
}

static void end(struct signals *set)
{
	signals_close(set);
	close(set->fd);
}

TEST(a_mask_takes_what_can_be_waited_for)
{
	static const int bad[] = { 0, -1, 65, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
	uint64_t mask = 0;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_int_eq(signals_add(&mask, bad[i]), -EINVAL);
	ck_assert_uint_eq(mask, 0);
	ck_assert_int_eq(signals_add(&mask, 1), 0);
	ck_assert_int_eq(signals_add(&mask, 64), 0);
	ck_assert_uint_eq(mask, UINT64_C(1) << 63 | 1);
}

TEST(an_empty_mask_is_no_set)
{
	struct signals set;

	ck_assert_int_eq(signals_open(&set, 0), -EINVAL);
}

TEST(what_came_is_counted_and_taken_in_turn)
{
	struct signals set, other;
	unsigned times = 0;

	ck_assert_int_eq(signals_open(&set, mask_of(SIGUSR1, SIGUSR2)), 0);
	ck_assert(!readable(&set));
	ck_assert(!signals_any(&set));
	raise(SIGUSR1);
	raise(SIGUSR1);
	raise(SIGUSR2);
	ck_assert(readable(&set));
	ck_assert(signals_any(&set));
	ck_assert_int_eq(signals_open(&other, mask_of(SIGUSR1, SIGHUP)), 0); /* from now on */
	ck_assert_int_eq(signals_take(&set, &times), SIGUSR1);
	ck_assert_uint_eq(times, 2);
	raise(SIGUSR1);
	ck_assert_int_eq(signals_take(&set, &times), SIGUSR2);
	ck_assert_uint_eq(times, 1);
	ck_assert_int_eq(signals_take(&set, NULL), SIGUSR1);
	ck_assert_int_eq(signals_take(&set, NULL), 0);
	ck_assert_int_eq(signals_take(&other, &times), SIGUSR1);
	ck_assert_uint_eq(times, 1);
	ck_assert_int_eq(signals_take(&other, NULL), 0);
	end(&set);
	end(&other);
}

TEST(a_ring_ends_a_wait)
{
	struct signals set;

	ck_assert_int_eq(signals_open(&set, mask_of(SIGUSR1, SIGUSR2)), 0);
	signals_ring(&set);
	signals_await(&set);
	ck_assert(!readable(&set));
	ck_assert_int_eq(signals_take(&set, NULL), 0);
	raise(SIGUSR2);
	signals_await(&set);
	ck_assert_int_eq(signals_take(&set, NULL), SIGUSR2);
	end(&set);
}

TEST(admit_lets_in_and_restore_puts_back)
{
	struct signals set;
	sigset_t mine, before, now;

	sigemptyset(&mine);
	sigaddset(&mine, SIGUSR1);
	ck_assert_int_eq(signals_open(&set, mask_of(SIGUSR1, SIGUSR1)), 0);
	pthread_sigmask(SIG_BLOCK, &mine, NULL);
	raise(SIGUSR1);
	ck_assert_int_eq(signals_take(&set, NULL), 0);
	signals_admit(&set, &before);
	ck_assert_int_eq(signals_take(&set, NULL), SIGUSR1);
	signals_restore(&before);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	ck_assert(sigismember(&now, SIGUSR1));
	pthread_sigmask(SIG_UNBLOCK, &mine, NULL);
	end(&set);
}

TEST(the_handler_spares_errno)
{
	struct signals set;

	ck_assert_int_eq(signals_open(&set, mask_of(SIGUSR1, SIGUSR1)), 0);
	close(set.fd); /* so that its write fails */
	errno = 12345;
	raise(SIGUSR1);
	ck_assert_int_eq(errno, 12345);
	signals_close(&set);
}
