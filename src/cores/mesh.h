/* mesh - a lane into each core, made when it is first used. Relies on lane. */
#ifndef TORC_SRC_MESH_H
#define TORC_SRC_MESH_H

#include "cores/lane.h"

#include <torc/mesh.h>

#endif
