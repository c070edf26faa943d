/* flight - a read or a write of a file that no fiber is parked on: it lies in an object - a stream, a bulk read - that
 * keeps several of them in flight and waits for the one that it needs next.
 *
 * A flight goes on by itself after a partial answer, until all is done, the file ends, or there is an error. Its object's
 * flights make one group, which is attached to the file's handle: closing the file ends them. At a device that others use
 * as well a flight waits for its turn, in the class of the queue whose fiber opened the group; the queue stays until the
 * group is closed.
 *
 * Relies on file. Keeps: a flight that is busy is in its group's list, and the group is not closed before it has had its
 * last CQE; one fiber at most is parked in a group; a group stays on its core. */
#ifndef TORC_SRC_FLIGHT_H
#define TORC_SRC_FLIGHT_H

#include "io/device.h"
#include "io/file.h"

struct flight;

struct flights {
	struct op op; /* attached to the file; op.closed: the file was closed under us */
	struct executor *executor;
	struct torc_file *file;   /* neither moves nor goes before it is closed */
	struct task_queue *queue; /* of the fiber that opened it; NULL: the group is closed */
	uint64_t dev;             /* the device whose turns are waited for; 0: none */
	int fd;
	uint8_t sqe_flags;  /* of each request */
	uint32_t alignment; /* of a direct file: where it may be cut; 1: anywhere */
	uint64_t known_end; /* a read that ends here has met the end of the file; UINT64_MAX: unknown */
	struct list busy;
	struct flight *awaited;
	struct fiber *parked; /* in flights_await */
	struct fiber *closer;
	bool closing;
	uint64_t started; /* flights begun */
};

struct flight {
	struct source source;
	struct device_pass pass;
	struct list link; /* in flights.busy; points at itself when not */
	struct flights *group;
	char *data;
	size_t len, done;
	uint64_t offset;
	uint64_t stopped_at; /* where the last answer ended within a block; UINT64_MAX: none has */
	int error;           /* what stopped it after `done` bytes; 0 and done < len: the file ended there */
	bool write;
	void (*ended)(struct flight *flight); /* in the reactor's turn, or inside flights_cancel; may be NULL */
};

/* In a fiber. The file must be one on which something may begin. */
void flights_open(struct flights *group, struct executor *executor, struct torc_file *file);

static inline void flight_init(struct flight *flight, struct flights *group)
{
	list_init(&flight->link);
	flight->group = group;
	flight->len = flight->done = 0;
	flight->error = 0;
	flight->ended = NULL;
}

static inline bool flight_busy(const struct flight *flight)
{
	return !list_empty(&flight->link);
}

/* Submit. `len` > 0. The memory is the kernel's until the flight is no longer busy. */
void flight_read(struct flight *flight, void *data, size_t len, uint64_t offset);
void flight_write(struct flight *flight, const void *data, size_t len, uint64_t offset);

/* Why a call on the object may not go on: -EBADF, -ECANCELED, -ETIME; 0: it may. Panics on another core, and when another
 * fiber is parked in the group: `function` is whose name is told. */
int flights_refuse(const struct flights *group, const char *function);

/* Park until the flight is over, if it is not. 0; or -EBADF, -ECANCELED, -ETIME while it goes on. */
int flights_await(struct flights *group, struct flight *flight, const char *what);

/* The same for clean-up: whatever the scope says. -EBADF only after the file was closed, when all is over. */
void flights_await_shielded(struct flights *group, struct flight *flight, const char *what);

/* Have a flight, or all, end soon with -ECANCELED if they can. */
void flight_cancel(struct flight *flight);
void flights_cancel(struct flights *group);

/* Wake the fiber that is parked in the group, with -EBADF, refuse others, and wait until all that is under way is over:
 * the caller alone may use the group then. */
void flights_evict(struct flights *group);

/* The same, and cancel what is under way; let go of the file. */
void flights_close(struct flights *group);

#endif
