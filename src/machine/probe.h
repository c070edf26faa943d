/* probe - finds out, once per process and by trying, which features the kernel has. Relies on feature, stack, uring. */
#ifndef TORC_SRC_PROBE_H
#define TORC_SRC_PROBE_H

/* 0, or why io_uring cannot be had: -errno; then the next call tries again. */
int probe_once(void);

#endif
