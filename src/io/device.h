/* device - who may use a device when it has enough to do: fair queueing by cost in front of the ring, as in Seastar's I/O
 * scheduler. One record a core and device (st_dev); in it a class for each task queue that uses it, with an account at a
 * queue manager whose time is not that of the core but the device's. torc/device.h says what it promises.
 *
 * While one class alone uses the device there is no limit, and passing here is a handful of instructions. Otherwise
 * requests are timed, and what may be in flight follows how long they take: it grows while a full queue at the device
 * costs no time, and shrinks when it costs more than the goal, or more than the device takes when it has little to do (as in
 * TCP Vegas), which is tried once a second (as in BBR).
 *
 * Relies on op, queue_manager. Keeps: what is in flight is the sum over the requests between begin and their answer;
 * a class is active at the manager exactly while requests of it wait. */
#ifndef TORC_SRC_DEVICE_H
#define TORC_SRC_DEVICE_H

#include "io/op.h"

#include <torc/device.h>

struct device_cost {
	int64_t request_ns;
	uint64_t byte; /* in 2^-16 ns */
};

struct device_class {
	struct queue_io of_queue; /* counters, and where the task queue finds it */
	struct queue_account account;
	struct list waiting; /* device_io.link, first come first served */
	struct device *device;
	struct task_queue *queue;
	struct list link; /* among the device's */
	unsigned in_flight;
	bool used; /* since the last look */
};

/* How the last requests went, while there is a limit. */
struct device_window {
	int64_t began;
	int64_t latency_sum;
	unsigned count, full; /* answers; those at which others waited */
	bool probes;          /* little is let in for once, to see how quick the device can be */
};

struct device {
	struct device_class *only; /* the one that has it to itself; NULL: there is a limit */
	int64_t in_flight_ns, limit_ns;
	uint64_t bytes, bytes_limit;
	unsigned requests; /* in flight */
	unsigned waiting;
	struct device_cost cost[2]; /* of reads, of writes */
	struct queue_manager manager;
	struct list classes;
	struct device_window window;
	int64_t least_latency; /* of requests that found the device nearly idle, when that was last tried; 0: never yet */
	int64_t looked;        /* when it was last seen who uses it */
	bool polls;            /* direct I/O goes by the polled ring */
	uint64_t dev;
	struct executor *executor;
	struct list link; /* among the executor's */
	struct torc_device_model model;
	uint64_t waits;
	int64_t waited_ns;
	uint64_t counts[2], counted_bytes[2];
};

/* One request's place at a device, be it that of a parked fiber or of a flight. */
struct device_pass {
	struct device_class *class; /* NULL: it goes by no device */
	int64_t cost;
	int64_t began; /* when it came, then when it was handed over; 0: it is not timed */
	size_t len;
	struct list link; /* among those of its class that wait */
	bool waiting;
	void (*granted)(struct device_pass *pass); /* its turn has come */
};

/* One read or write of a fiber: an op that asks its device first. */
struct device_io {
	struct op op;
	struct device_pass pass;
	bool polled;
};

/* This core's record of a device; NULL for want of memory: I/O goes unlimited then. */
struct device *device_get(struct executor *executor, uint64_t dev);

/* As op_begin, but parks until it is this request's turn at the device; 0: it goes by none. */
int device_begin(struct device_io *io, uint64_t dev, struct torc_async *async, enum source_type type, size_t len,
                 struct io_uring_sqe **sqe, const char *function);

/* As op_finish. -EOPNOTSUPP with io->polled: the device refuses polling, and is not asked again; once more. */
int device_finish(struct device_io *io, struct io_uring_sqe *sqe);

/* The same for a request that no fiber is parked on. True: it may go at once. False: it waits, and granted() is called when
 * its turn comes, unless it is withdrawn. What may go is to be released when it is over. */
bool device_ask(struct device_pass *pass, struct executor *executor, uint64_t dev, struct task_queue *queue, bool write,
                size_t len);
void device_withdraw(struct device_pass *pass);
void device_release(struct device_pass *pass);

/* At the end of a run. Nothing may be in flight. */
void device_close_all(struct executor *executor);

#endif
