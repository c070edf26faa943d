#include "base/heap.h"

#include <errno.h>
#include <stdlib.h>

int heap_reserve(struct heap *heap, unsigned room)
{
	struct heap_node **nodes;

	if (room <= heap->room)
		return 0;
	if (room < 2 * heap->room)
		room = 2 * heap->room;
	nodes = realloc(heap->nodes, (room + 1) * sizeof *nodes);
	if (!nodes)
		return -ENOMEM;
	heap->nodes = nodes;
	heap->room = room;
	return 0;
}

void heap_free(struct heap *heap)
{
	free(heap->nodes);
	*heap = (struct heap){ 0 };
}

static void put(struct heap *heap, struct heap_node *node, unsigned place)
{
	heap->nodes[place] = node;
	node->place = place;
}

/* Find the place of `node` from a free one upwards, then downwards; each ends after as many steps as the tree is deep. */
static void settle(struct heap *heap, struct heap_node *node, unsigned place)
{
	for (; place > 1 && heap_before(node, heap->nodes[place / 2]); place /= 2)
		put(heap, heap->nodes[place / 2], place);
	for (unsigned child; (child = 2 * place) <= heap->count; place = child) {
		if (child < heap->count && heap_before(heap->nodes[child + 1], heap->nodes[child]))
			child++;
		if (!heap_before(heap->nodes[child], node))
			break;
		put(heap, heap->nodes[child], place);
	}
	put(heap, node, place);
}

void heap_insert(struct heap *heap, struct heap_node *node)
{
	ASSERT(heap->count < heap->room && node->place == 0);
	settle(heap, node, ++heap->count);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
	struct heap_node *last = heap->nodes[heap->count--];
	unsigned place = node->place;

	node->place = 0;
	if (last != node)
		settle(heap, last, place);
}
