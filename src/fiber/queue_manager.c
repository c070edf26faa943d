#include "fiber/queue_manager.h"

int queue_manager_register(struct queue_manager *manager, struct queue_account *account, unsigned shares)
{
	int r = heap_reserve(&manager->heap, manager->accounts + 1);

	if (r < 0)
		return r;
	manager->accounts++;
	*account = (struct queue_account){ .node.key = manager->time, .shares = shares };
	return 0;
}

void queue_manager_unregister(struct queue_manager *manager, struct queue_account *account)
{
	ASSERT(!account->active);
	if (--manager->accounts == 0)
		heap_free(&manager->heap);
}

void queue_manager_activate(struct queue_manager *manager, struct queue_account *account)
{
	if ((int64_t)(manager->time - account->node.key) > 0)
		account->node.key = manager->time;
	account->active = true;
	heap_insert(&manager->heap, &account->node);
}

void queue_manager_deactivate(struct queue_manager *manager, struct queue_account *account)
{
	heap_remove(&manager->heap, &account->node);
	account->active = false;
}

struct queue_account *queue_manager_next(struct queue_manager *manager)
{
	struct heap_node *first = heap_first(&manager->heap);

	if (!first)
		return NULL;
	heap_remove(&manager->heap, first);
	manager->time = first->key;
	return container_of(first, struct queue_account, node);
}

void queue_manager_charge(struct queue_manager *manager, struct queue_account *account, int64_t ns)
{
	struct heap_node *first = heap_first(&manager->heap);

	account->used += (uint64_t)ns;
	account->node.key += (uint64_t)ns * SHARES_MOST / account->shares;
	/* The present is where the least advanced of those who want to run is: who wakes now joins there. */
	manager->time = first && heap_before(first, &account->node) ? first->key : account->node.key;
}

void queue_manager_set_shares(struct queue_manager *manager, struct queue_account *account, unsigned shares)
{
	int64_t lead = (int64_t)(account->node.key - manager->time);
	bool waits = account->node.place > 0;

	if (waits)
		heap_remove(&manager->heap, &account->node);
	if (lead > 0)
		account->node.key = manager->time + (uint64_t)lead * account->shares / shares;
	account->shares = shares;
	if (waits)
		heap_insert(&manager->heap, &account->node);
}

void queue_manager_put_back(struct queue_manager *manager, struct queue_account *account, bool more)
{
	if (more)
		heap_insert(&manager->heap, &account->node);
	else
		account->active = false;
}
