/* batch.h - work that wants the core for itself, and gets what the serving leaves. */
#ifndef DEMO_BATCH_H
#define DEMO_BATCH_H

#include "server.h"

/* Compute until the scope is cancelled: what a fiber is to run, with a struct server * as its argument. */
int batch_main(void *server);

#endif
