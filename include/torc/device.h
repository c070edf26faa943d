/* device.h - sharing a device: what becomes of reads and writes when several task queues want more than it gives.
 *
 * A task queue's shares (queue.h) also rule its part of each device. While one queue alone uses a device, nothing stands
 * between it and the kernel. As soon as two do, no more is handed to the device than it works off within the goal below;
 * what is beyond waits here, and who goes next is decided as for the core: by virtual time, which advances by a request's
 * cost divided by its queue's shares. A queue with a latency bound need not wait at all for its first request in flight,
 * as long as it keeps within its shares.
 *
 * The cost of a request is the time that the device needs for it when it is busy: so much a request, so much a byte.
 * How much may be in flight is learnt from how long requests take; a model that was measured makes it right at once.
 * All of this is per core and per device, as st_dev names it, and for direct I/O: what goes through the kernel's cache
 * uses the device when the kernel sees fit. What streams, bulk reads and immutable files (file_reader.h, file_writer.h,
 * read_many.h, immutable.h) ask for counts for the queue of the fiber that opened them, which is kept until they are
 * closed. */
#ifndef TORC_DEVICE_H
#define TORC_DEVICE_H

#include <torc/base.h>
#include <torc/time.h>

TORC_BEGIN

/* What a device can do. Zero in a field: the default, which suits a plain disk of today: 60,000 requests and 10^9 bytes
 * a second. Also read from the environment for each device, as torc-iobench --measure prints it:
 * TORC_DEVICE="MAJOR:MINOR=read_iops,read_bytes,write_iops,write_bytes;..." */
struct torc_device_model {
	size_t size;         /* TORC_OPTIONS fills it in                                                   */
	uint64_t read_iops;  /* small random reads a second, many in flight                                */
	uint64_t read_bytes; /* bytes a second, by large reads                                             */
	uint64_t write_iops; /* the same for writes                                                        */
	uint64_t write_bytes;
	torc_ns goal; /* how much work a device is to have before it while queues compete for it: the smaller,
	                             the sooner a newcomer is served; default 500 us, at least 10 us            */
	uint64_t bytes_in_flight; /* most that is in flight at any time, one queue alone or many; 0: no bound. A single
	                             larger request goes by itself                                              */
};

/* Say what a device can do, on this core; `device` as in st_dev. Returns 0; -EINVAL for a size or goal out of range;
 * -ENOMEM. */
TORC_API int torc_device_model_set(uint64_t device, const struct torc_device_model *model) TORC_LOCAL TORC_MUST;

/* What is taken for its model: set *size to sizeof *model before. Returns 0; -EINVAL if the size is none; -ENOMEM. */
TORC_API int torc_device_model_get(struct torc_device_model *model, uint64_t device) TORC_LOCAL TORC_MUST;

/* What became of one device on this core. */
struct torc_device_stats {
	size_t size;            /* set it to sizeof this struct before the call                                */
	uint64_t reads, writes; /* requests handed to the kernel                                               */
	uint64_t read_bytes, written_bytes; /* what they asked for                                              */
	uint64_t in_flight; /* requests that the device has now                                            */
	uint64_t bytes_in_flight;
	uint64_t waiting; /* requests that wait for their turn now                                       */
	uint64_t waits;   /* how many ever had to                                                        */
	torc_ns waited;   /* and for how long altogether                                                 */
	torc_ns limit;    /* work that may be in flight now, in time of the device by its model; 0: no limit, for one
	                            queue alone uses it                                                         */
};

/* Fill in as much of *stats as its size says and this version knows. Returns 0; -EINVAL if the size is none; -ENODEV for
 * a device that nothing was asked of on this core. */
TORC_API int torc_device_stats_get(struct torc_device_stats *stats, uint64_t device) TORC_LOCAL;

TORC_END
#endif
