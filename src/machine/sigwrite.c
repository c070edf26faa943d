#include "machine/sigwrite.h"

#include "machine/feature.h"
#include "machine/forked.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>

static const int signals[] = { SIGPIPE, SIGXFSZ };
enum { SIGNALS = sizeof signals / sizeof *signals };

/* Those of `which`. */
static sigset_t only(unsigned which)
{
	sigset_t set;

	sigemptyset(&set);
	for (int i = 0; i < SIGNALS; i++)
		if (which >> i & 1)
			sigaddset(&set, signals[i]);
	return set;
}

static unsigned members(const sigset_t *set)
{
	unsigned which = 0;

	for (int i = 0; i < SIGNALS; i++)
		which |= (unsigned)(sigismember(set, signals[i]) > 0) << i;
	return which;
}

static __thread unsigned held_here;

/* In the child of a fork, which may exec a program that relies on them. */
static void let_go(void)
{
	sigset_t held = only(held_here);

	pthread_sigmask(SIG_UNBLOCK, &held, NULL);
	held_here = 0;
}

void sigwrite_hold(struct sigwrite *sigwrite)
{
	unsigned wanted = SIGWRITE_FILE_SIZE | (feature_on(FEATURE_NOSIGNAL) ? 0 : SIGWRITE_PIPE);
	sigset_t set = only(wanted), before, pending;
	static bool watched;

	*sigwrite = (struct sigwrite){ 0 };
	sigpending(&pending);
	sigwrite->pending = members(&pending);
	if (pthread_sigmask(SIG_BLOCK, &set, &before) == 0)
		sigwrite->held = wanted & ~members(&before);
	held_here = sigwrite->held;
	forked_call(&watched, let_go);
}

void sigwrite_release(const struct sigwrite *sigwrite)
{
	const struct timespec now = { 0, 0 };
	sigset_t ours = only(sigwrite->held & ~sigwrite->pending), held = only(sigwrite->held);

	while (sigtimedwait(&ours, NULL, &now) > 0) /* ends: one of each is pending at most */
		;
	pthread_sigmask(SIG_UNBLOCK, &held, NULL);
	held_here = 0;
}
