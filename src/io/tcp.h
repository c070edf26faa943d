/* tcp - TCP: listen, connect, options. Relies on listener, stream, addr. See torc/tcp.h. */
#ifndef TORC_SRC_TCP_H
#define TORC_SRC_TCP_H

#include "io/listener.h"
#include "io/stream.h"

#include <torc/tcp.h>

#endif
