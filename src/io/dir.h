/* dir - directories: open, list, make, remove. There is no request that lists, so that is offloaded, a batch of entries at a
 * time. Relies on path and offload. */
#ifndef TORC_SRC_DIR_H
#define TORC_SRC_DIR_H

#include "io/path.h"

/* With further flags of open(2). */
int dir_open(struct torc_dir *dir, struct torc_dir *at, const char *path, int flags, const char *function);

/* As torc_dir_read, without a look at the scope. */
int dir_read(struct torc_dir *dir, struct torc_dir_entry *entry, const char *function);

#endif
