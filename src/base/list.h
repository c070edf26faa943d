/* list - intrusive, circular, doubly linked. Relies on nothing. A node that is in no list points at itself,
 * so removing twice is harmless. */
#ifndef TORC_SRC_LIST_H
#define TORC_SRC_LIST_H

#include "base/panic.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *list)
{
	list->next = list->prev = list;
}

static inline bool list_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_insert(struct list *node, struct list *prev, struct list *next)
{
	node->prev = prev;
	node->next = next;
	prev->next = node;
	next->prev = node;
}

static inline void list_append(struct list *list, struct list *node)
{
	list_insert(node, list->prev, list);
}

static inline void list_prepend(struct list *list, struct list *node)
{
	list_insert(node, list, list->next);
}

/* For a node that is about to be thrown away or inserted elsewhere. */
static inline void list_unlink(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
}

static inline void list_remove(struct list *node)
{
	list_unlink(node);
	list_init(node);
}

/* Takes the first node out; NULL from an empty list. */
static inline struct list *list_pop(struct list *list)
{
	struct list *first = list->next;

	if (first == list)
		return NULL;
	list_remove(first);
	return first;
}

#define list_each(node, head) for (struct list *node = (head)->next; node != (head); node = node->next)

#endif
