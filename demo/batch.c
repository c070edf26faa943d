/* batch.c - a few fibers that look for primes and never wait for anything. Their queue has a hundredth of the shares of
 * the one that serves, which wins whenever it has something to do; and they ask often whether they should let go, so that
 * it need not wait long. */
#include "batch.h"

#include <limits.h>
#include <time.h>

enum { FIBERS = 2 };

static uint64_t thread_cpu_ns(void)
{
	struct timespec cpu = { 0 };

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	return (uint64_t)cpu.tv_sec * TORC_SEC + (uint64_t)cpu.tv_nsec;
}

/* The slow way, since time is what there is plenty of: up to a few microseconds for numbers of six digits. */
static bool is_prime(uint64_t number)
{
	for (uint64_t i = 2; i * i <= number; i++)
		if (number % i == 0)
			return false;
	return number > 1;
}

static int compute(void *arg)
{
	struct server *server = arg;
	struct figures *figures = &server->figures;
	uint64_t began = thread_cpu_ns(), primes = 0;

	while (torc_scope_status(NULL) == 0) {
		primes += is_prime(server->next_number++ % 1000000);
		figures->batch_units++;
		if (!torc_need_yield())
			continue;
		figures->batch_cpu_ns += thread_cpu_ns() - began;
		torc_yield_if_needed();
		began = thread_cpu_ns();
	}
	figures->batch_cpu_ns += thread_cpu_ns() - began;
	return primes > INT_MAX ? INT_MAX : (int)primes; /* so that the compiler can't do without them */
}

int batch_main(void *arg)
{
	struct server *server = arg;
	int r = 0;

	TORC_SCOPE(computing, .queue = server->batch);
	for (int i = 0; i < FIBERS && r == 0; i++)
		r = torc_go(computing, compute, server);
	return r < 0 ? r : torc_scope_join(computing);
}
