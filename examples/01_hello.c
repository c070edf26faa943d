/* hello - two fibers on one core, taking turns: torc_run, a scope, torc_go, torc_yield.
 * Try it: 01_hello */
#include <torc.h>

#include <stdio.h>
#include <string.h>

static int count(void *name)
{
	for (int i = 1; i <= 3; i++) {
		printf("%s %d\n", (const char *)name, i);
		torc_yield(); /* the other one's turn */
	}
	return 0;
}

static int hello(void *unused)
{
	int r;

	(void)unused;
	TORC_SCOPE(counters);
	if ((r = torc_go(counters, count, "tick")) < 0 || (r = torc_go(counters, count, "tock")) < 0)
		return r; /* leaving the scope ends those that run, and waits for them */
	return torc_scope_join(counters);
}

int main(void)
{
	int r = torc_run(NULL, hello, NULL);

	if (r < 0)
		fprintf(stderr, "hello: %s\n", strerror(-r));
	return r < 0;
}
