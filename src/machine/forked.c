#include "machine/forked.h"

#include <pthread.h>

static unsigned era;

void forked_call(bool *watched, void (*forget)(void))
{
	if (!__atomic_load_n(watched, __ATOMIC_RELAXED) && !__atomic_exchange_n(watched, true, __ATOMIC_RELAXED))
		pthread_atfork(NULL, NULL, forget);
}

static void begin_era(void)
{
	era++;
}

unsigned forked_era(void)
{
	static bool watched;

	forked_call(&watched, begin_era);
	return era;
}
