#include "cores/mesh.h"

#include "base/options.h"

#include <errno.h>
#include <stdlib.h>

struct torc_mesh {
	size_t item_size, capacity;
	torc_mesh_joins_fn *joins;
	void *arg;
	bool closed;
	struct torc_lane *lanes[MAILBOX_PEERS]; /* by receiver */
};

static const struct torc_lane_options many = { .size = sizeof many, .senders = TORC_MANY_CORES };

/* The first two that need it may both make one: one is kept. */
static int make_lane(struct torc_mesh *mesh, unsigned to, struct torc_lane **out)
{
	struct torc_lane *lane, *other = NULL;
	int r = torc_lane_new(&lane, mesh->item_size, mesh->capacity, &many);

	if (r < 0)
		return r;
	if (!__atomic_compare_exchange_n(&mesh->lanes[to], &other, lane, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE)) {
		torc_lane_free(lane);
		lane = other;
	} else if (__atomic_load_n(&mesh->closed, __ATOMIC_SEQ_CST)) { /* who closed may not have seen it */
		torc_lane_close(lane);
	}
	*out = lane;
	return 0;
}

static inline int lane_to(struct torc_mesh *mesh, unsigned to, struct torc_lane **lane)
{
	*lane = __atomic_load_n(&mesh->lanes[to], __ATOMIC_ACQUIRE);
	return likely(*lane != NULL) ? 0 : make_lane(mesh, to, lane);
}

int torc_mesh_new_with(struct torc_mesh **out, size_t item_size, size_t capacity,
                       const struct torc_mesh_options *options)
{
	struct torc_mesh_options whole;
	struct torc_lane *trial;
	struct torc_mesh *mesh;
	int r;

	options = OPTIONS(options, whole);
	r = torc_lane_new(&trial, item_size, capacity, &many); /* what would be refused later is refused now */
	if (r < 0)
		return r;
	torc_lane_free(trial);
	mesh = calloc(1, sizeof *mesh);
	if (!mesh)
		return -ENOMEM;
	mesh->item_size = item_size;
	mesh->capacity = capacity;
	mesh->joins = options->joins;
	mesh->arg = options->arg;
	*out = mesh;
	return 0;
}

void torc_mesh_free(struct torc_mesh *mesh)
{
	if (!mesh)
		return;
	for (unsigned to = 0; to < MAILBOX_PEERS; to++)
		torc_lane_free(mesh->lanes[to]);
	free(mesh);
}

void torc_mesh_close(struct torc_mesh *mesh)
{
	__atomic_store_n(&mesh->closed, true, __ATOMIC_SEQ_CST);
	for (unsigned to = 0; to < MAILBOX_PEERS; to++) {
		struct torc_lane *lane = __atomic_load_n(&mesh->lanes[to], __ATOMIC_SEQ_CST);

		if (lane)
			torc_lane_close(lane);
	}
}

static int send(struct torc_mesh *mesh, unsigned core, const void *item, size_t size, bool parks, const char *function)
{
	const struct mailbox *mailbox = executor_in_fiber(function)->mailbox;
	struct torc_lane *lane;
	int r;

	if (core >= mailbox->peers || (mesh->joins && !mesh->joins(mailbox->core, core, mesh->arg)))
		return -EINVAL;
	r = lane_to(mesh, core, &lane);
	return r < 0 ? r : lane_send(lane, item, size, parks, function);
}

static int recv(struct torc_mesh *mesh, unsigned *from, void *item, size_t size, bool parks, const char *function)
{
	struct torc_lane *lane;
	int r = lane_to(mesh, executor_in_fiber(function)->mailbox->core, &lane);

	return r < 0 ? r : lane_recv(lane, from, item, size, parks, function);
}

int torc_mesh_send_sized(struct torc_mesh *mesh, unsigned core, const void *item, size_t size)
{
	return send(mesh, core, item, size, true, __func__);
}

int torc_mesh_try_send_sized(struct torc_mesh *mesh, unsigned core, const void *item, size_t size)
{
	return send(mesh, core, item, size, false, __func__);
}

int torc_mesh_recv_sized(struct torc_mesh *mesh, unsigned *from, void *item, size_t size)
{
	return recv(mesh, from, item, size, true, __func__);
}

int torc_mesh_try_recv_sized(struct torc_mesh *mesh, unsigned *from, void *item, size_t size)
{
	return recv(mesh, from, item, size, false, __func__);
}
