/* queue_manager - who runs next: task queues get the core in proportion to their shares, by virtual time. An account's
 * virtual time advances by what it used divided by its shares; the one that is furthest behind runs. (Waldspurger &
 * Weihl, "Stride scheduling", 1995; a queue that slept joins at the present virtual time, as in Linux's CFS.)
 * Relies on heap. Keeps: an account is active if it runs or is in the heap; there is room in the heap for all. */
#ifndef TORC_SRC_QUEUE_MANAGER_H
#define TORC_SRC_QUEUE_MANAGER_H

#include "base/heap.h"

enum { SHARES_LEAST = 1, SHARES_MOST = 1000 };

struct queue_account {
	struct heap_node node; /* key: virtual time */
	bool active;
	unsigned shares;
	uint64_t used; /* ns of the core, ever */
};

struct queue_manager {
	struct heap heap;
	uint64_t time; /* virtual: of the account that ran last, when it was chosen or charged */
	unsigned accounts;
};

/* 0 or -ENOMEM. */
int queue_manager_register(struct queue_manager *manager, struct queue_account *account, unsigned shares);

/* The account must not be active. */
void queue_manager_unregister(struct queue_manager *manager, struct queue_account *account);

/* It has something to run. No credit for the time that it had nothing. */
void queue_manager_activate(struct queue_manager *manager, struct queue_account *account);

/* What it had to run is gone. It must be in the heap. */
void queue_manager_deactivate(struct queue_manager *manager, struct queue_account *account);

/* Take out whose turn it is; it stays active, and runs. NULL: nobody. */
struct queue_account *queue_manager_next(struct queue_manager *manager);

/* The account that runs has used `ns` more. */
void queue_manager_charge(struct queue_manager *manager, struct queue_account *account, int64_t ns);

/* What it is ahead of the present counts anew, by the new shares. */
void queue_manager_set_shares(struct queue_manager *manager, struct queue_account *account, unsigned shares);

/* It ceases to run: it goes back into the heap if it has more to do, else it is no longer active. */
void queue_manager_put_back(struct queue_manager *manager, struct queue_account *account, bool more);

#endif
