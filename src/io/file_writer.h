/* file_writer - a file written behind: a ring of buffers, of which one is filled and the others are on their way.
 *
 * A direct file takes whole blocks only. What does not begin or end at one - the first piece of a writer that starts
 * within a block, the tail at a flush - is written with O_DIRECT off for that moment, so that neither padding nor the
 * bytes of a neighbour are ever written. Relies on flight. Keeps: the bytes below torc_file_writer_flushed are in the
 * file. */
#ifndef TORC_SRC_FILE_WRITER_H
#define TORC_SRC_FILE_WRITER_H

#include <torc/file_writer.h>

#endif
