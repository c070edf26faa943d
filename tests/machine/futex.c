/* futex - sleeping on a word, waking, deadlines. */
#include "machine/futex.h"

#include "harness.h"
#include "machine/clock.h"
#include "machine/thread.h"

#include <errno.h>

TEST(another_value_is_no_reason_to_sleep)
{
	uint32_t word = 1;

	ck_assert_int_eq(futex_wait(&word, 2, INT64_MAX), -EAGAIN);
}

TEST(a_deadline_ends_it)
{
	static const int64_t past[] = { INT64_MIN, -1, 0, 1 };
	int64_t deadline = clock_now() + 2000000;
	uint32_t word = 1;
	int r;

	for (size_t i = 0; i < sizeof past / sizeof *past; i++)
		ck_assert_int_eq(futex_wait(&word, 1, past[i]), -ETIMEDOUT);
	do
		r = futex_wait(&word, 1, deadline);
	while (r == -EINTR);
	ck_assert_int_eq(r, -ETIMEDOUT);
	ck_assert_int_ge(clock_now(), deadline);
}

static uint32_t shared;

static void *wake(void *arg)
{
	(void)arg;
	__atomic_store_n(&shared, 1, __ATOMIC_RELEASE);
	futex_wake_all(&shared);
	return NULL;
}

TEST(all_that_sleep_are_woken)
{
	struct thread thread;

	futex_wake_all(&shared); /* nobody: harmless */
	ck_assert_int_eq(thread_start(&thread, "wakes", wake, NULL), 0);
	while (__atomic_load_n(&shared, __ATOMIC_ACQUIRE) == 0)
		(void)futex_wait(&shared, 0, INT64_MAX);
	thread_join(&thread);
}
