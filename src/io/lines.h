/* lines - records of a stream, lent out of one buffer that is read ahead into. Relies on stream. Keeps: begin <= seen <=
 * end < size, so that there is always room for the NUL behind a record; at most one byte is hidden by such a NUL. */
#ifndef TORC_SRC_LINES_H
#define TORC_SRC_LINES_H

#include "io/stream.h"

#include <torc/lines.h>

#endif
