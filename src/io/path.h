/* path - names in directories: rename, link, unlink and their kin, by the ring where it has them (FEATURE_PATH_OPS), by
 * offload elsewhere. Relies on at, offload, file. */
#ifndef TORC_SRC_PATH_H
#define TORC_SRC_PATH_H

#include "io/at.h"

#include <sys/stat.h>

/* One such call; which fields mean something depends on the opcode, as for the SQE. */
struct path_call {
	uint8_t opcode; /* IORING_OP_RENAMEAT, UNLINKAT, MKDIRAT, SYMLINKAT, LINKAT */
	const char *path, *to;
	unsigned flags; /* or the mode */
	int fd, to_fd;  /* filled in by path_run */
};

int path_run(struct torc_dir *at, struct torc_dir *to_at, struct path_call *call, const char *function);

int path_statx(struct torc_dir *at, const char *path, int flags, struct statx *found, const char *function);

#endif
