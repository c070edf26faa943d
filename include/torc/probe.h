/* probe.h - which of the kernel's features torc uses here, which it does without, and why. */
#ifndef TORC_PROBE_H
#define TORC_PROBE_H

#include <torc/base.h>

TORC_BEGIN

struct torc_feature {
	const char *name; /* as in the environment: TORC_DISABLE=name,name switches features off ("all": every one) */
	const char *what; /* what it is good for                                                     */
	const char *why;  /* how it is known to be on, or why it is off                               */
	bool on;
};

/* Fill in up to `count` features and return how many there are. The answer is found once per process, by trying:
 * version numbers lie where a vendor has ported features back. Nothing is kept open.
 * Returns -errno where the kernel refuses io_uring; torc_probe_explain() says more then. */
TORC_API int torc_probe(struct torc_feature *features, int count) TORC_ANYWHERE;

/* Cause and cure, in one sentence, for an error of torc_run or torc_probe; never NULL. */
TORC_API const char *torc_probe_explain(int error) TORC_ANYWHERE;

enum { TORC_PROBE_NAME = 64 };

/* A disk of this machine. */
struct torc_probe_device {
	char name[TORC_PROBE_NAME]; /* as in /dev and /sys/block                                                     */
	uint64_t device;            /* as st_dev of the files on it, unless it has partitions: makedev(3)             */
	bool polled;       /* it has poll queues: direct reads and writes go by a polled ring, where iopoll is on */
	bool rotates;      /* it is a disk in the literal sense                                              */
	unsigned requests; /* that the kernel queues for it; 0: unknown                                      */
	unsigned reserved_[4];
};

/* Fill in up to `count` disks and return how many there are: 0 where there is no /sys; -errno where it can't be read. */
TORC_API int torc_probe_devices(struct torc_probe_device *devices, int count) TORC_ANYWHERE;

TORC_END
#endif
