/* pipe - pipes and the standard streams as torc streams. Relies on stream. */
#ifndef TORC_SRC_PIPE_H
#define TORC_SRC_PIPE_H

#include "io/stream.h"

#include <torc/pipe.h>

#endif
