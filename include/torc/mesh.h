/* mesh.h - channels of fixed-size items from every core to every core of a run, itself included. A mesh is a lane for
 * many senders (lane.h) into each core: what is said there of order, parking, closing and lifetime holds here. */
#ifndef TORC_MESH_H
#define TORC_MESH_H

#include <torc/base.h>

TORC_BEGIN

struct torc_mesh;

/* Whether one core may send to another. Called on any core, whenever one sends: always the same answer, and a quick one. */
typedef bool torc_mesh_joins_fn(unsigned from, unsigned to, void *arg);

struct torc_mesh_options {
	size_t size;               /* TORC_OPTIONS fills it in                      */
	torc_mesh_joins_fn *joins; /* NULL: every core may send to every core       */
	void *arg;                 /* its argument                                  */
};

/* With room for `capacity` items between each two cores, taken when the first is sent. Returns 0; -EINVAL as
 * torc_lane_new; -ENOMEM. torc_mesh_new(&mesh, item_size, capacity) is the mesh of all cores. */
#define torc_mesh_new(mesh, item_size, capacity) torc_mesh_new_with((mesh), (item_size), (capacity), 0)
TORC_API int torc_mesh_new_with(struct torc_mesh **mesh, size_t item_size, size_t capacity,
                                const struct torc_mesh_options *options) TORC_ANYWHERE TORC_MUST;

/* Every call on it has returned, and none will be made. NULL is harmless. */
TORC_API void torc_mesh_free(struct torc_mesh *mesh) TORC_ANYWHERE;

/* Close all its lanes, for all cores. */
TORC_API void torc_mesh_close(struct torc_mesh *mesh) TORC_ANYWHERE;

/* Send *item to a core, parked while there is no room for more from this core to that one. Returns 0; -EINVAL: no such
 * core, or .joins says no; -EPIPE: closed; -ECANCELED, -ETIME; -ENOMEM, by the first item. */
#define torc_mesh_send(mesh, core, item) torc_mesh_send_sized((mesh), (core), (item), sizeof *(item))
TORC_API int torc_mesh_send_sized(struct torc_mesh *mesh, unsigned core, const void *item,
                                  size_t size) TORC_PARKS TORC_MUST;

/* Receive into *item what any core sent to this one; the cores take turns. `from`, if not NULL, is told which it was.
 * Returns 0; -EPIPE: closed, and all has been received; -ECANCELED, -ETIME; -ENOMEM, by a core's first call. */
#define torc_mesh_recv(mesh, item)            torc_mesh_recv_sized((mesh), 0, (item), sizeof *(item))
#define torc_mesh_recv_from(mesh, from, item) torc_mesh_recv_sized((mesh), (from), (item), sizeof *(item))
TORC_API int torc_mesh_recv_sized(struct torc_mesh *mesh, unsigned *from, void *item, size_t size) TORC_PARKS TORC_MUST;

/* The same without parking: 1 when the item was moved, 0 when it was not. */
#define torc_mesh_try_send(mesh, core, item)      torc_mesh_try_send_sized((mesh), (core), (item), sizeof *(item))
#define torc_mesh_try_recv(mesh, item)            torc_mesh_try_recv_sized((mesh), 0, (item), sizeof *(item))
#define torc_mesh_try_recv_from(mesh, from, item) torc_mesh_try_recv_sized((mesh), (from), (item), sizeof *(item))
TORC_API int torc_mesh_try_send_sized(struct torc_mesh *mesh, unsigned core, const void *item,
                                      size_t size) TORC_LOCAL TORC_MUST;
TORC_API int torc_mesh_try_recv_sized(struct torc_mesh *mesh, unsigned *from, void *item,
                                      size_t size) TORC_LOCAL TORC_MUST;

TORC_END
#endif
