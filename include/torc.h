/* torc.h - the whole library in one include. Each header below also stands alone. */
#ifndef TORC_H
#define TORC_H

#include <torc/base.h>  /* torc_fn, attributes, errors, version                 */
#include <torc/probe.h> /* what the kernel offers                               */

#endif
