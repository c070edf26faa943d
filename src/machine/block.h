/* block - what the kernel says of block devices in /sys. Each call reads a small file or two there, which does not wait for
 * a device. */
#ifndef TORC_SRC_BLOCK_H
#define TORC_SRC_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* makedev(3), which is a call of libc's. */
static inline uint64_t block_number(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | (uint64_t)(major & 0xfff) << 8 | (uint64_t)(minor & ~0xffu) << 12 |
	       (uint64_t)(major & ~0xfffu) << 32;
}

static inline uint32_t block_major(uint64_t dev)
{
	return (uint32_t)((dev >> 8 & 0xfff) | (dev >> 32 & ~0xfffu));
}

static inline uint32_t block_minor(uint64_t dev)
{
	return (uint32_t)((dev & 0xff) | (dev >> 12 & ~0xffu));
}

/* Has the device, or the disk that it is a part of, poll queues? No for what is no block device. */
bool block_polls(uint64_t dev);

/* What the environment says of a device: TORC_DEVICE="MAJOR:MINOR=read_iops,read_bytes,write_iops,write_bytes;...", as
 * torc-iobench --measure prints it. What it does not say, or what can't be read, stays as it is. */
void block_known(uint64_t dev, uint64_t values[4]);

#endif
