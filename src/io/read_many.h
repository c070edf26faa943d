/* read_many - ranges in, device reads made of them, results in order out.
 *
 * Three queues, each a ring, move together: the ranges that were taken in and not yet handed out; the device reads that
 * serve them; the memory that those read into. Everything leaves in the order in which it came, so a ring is all the
 * memory management there is. Relies on flight. Keeps: how ranges are merged depends on them and on the options, never
 * on timing. */
#ifndef TORC_SRC_READ_MANY_H
#define TORC_SRC_READ_MANY_H

#include <torc/read_many.h>

#endif
