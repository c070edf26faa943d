/* sync - what fibers wait for each other with: a cache that is filled once, by the first who needs it; few requests at
 * a time; closed when the last user has left.
 * Try it: 14_sync */
#include <torc.h>

#include <errno.h>
#include <stdio.h>

struct cache {
	struct torc_once filled;
	struct torc_semaphore requests; /* so many at once */
	struct torc_gate users;
	int fills, value, most, now;
};

/* Stands for a slow request to another server. */
static int fill(void *arg)
{
	struct cache *cache = arg;

	cache->fills++;
	cache->value = 42;
	return torc_sleep(2 * TORC_MS);
}

static int look_up(struct cache *cache)
{
	int r = torc_once_run(&cache->filled, fill, cache); /* the first one fills, the others wait for it */

	if (r == 0)
		r = torc_semaphore_acquire(&cache->requests, 1);
	if (r < 0)
		return r;
	if (++cache->now > cache->most)
		cache->most = cache->now;
	r = torc_sleep(TORC_MS);
	cache->now--;
	torc_semaphore_release(&cache->requests, 1);
	return r < 0 ? r : cache->value;
}

static int user(void *arg)
{
	struct cache *cache = arg;
	int r = torc_gate_enter(&cache->users);

	if (r < 0)
		return r;
	r = look_up(cache);
	torc_gate_leave(&cache->users);
	return r;
}

static int run(void *arg)
{
	struct cache cache = { .requests = TORC_SEMAPHORE(3) };
	int r = 0;

	(void)arg;
	TORC_SCOPE(users);
	for (int i = 0; i < 10 && r == 0; i++)
		r = torc_go(users, user, &cache);
	torc_yield(); /* they come in */
	if (r == 0)
		r = torc_gate_close(&cache.users);
	if (r < 0)
		return r;
	printf("filled %d times, %d requests at once at most, %d now\n", cache.fills, cache.most, cache.now);
	printf("the next user is refused: %s\n", torc_gate_enter(&cache.users) == -ESHUTDOWN ? "yes" : "no");
	return torc_scope_join(users);
}

int main(void)
{
	return torc_run(NULL, run, NULL) < 0;
}
