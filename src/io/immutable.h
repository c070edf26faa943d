/* immutable - files that are written once and then read, each read shared by all who want the same bytes meanwhile
 * (single flight). Relies on flight and file_writer. Keeps: a read that others may join is in its bucket until it ends, or
 * until nobody waits for it; its memory lives until the last who waits has taken his share. */
#ifndef TORC_SRC_IMMUTABLE_H
#define TORC_SRC_IMMUTABLE_H

#include <torc/immutable.h>

#endif
