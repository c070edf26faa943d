/* queue - task queues for users: torc/queue.h over fiber/task_queue. Relies on executor. */
#ifndef TORC_SRC_QUEUE_H
#define TORC_SRC_QUEUE_H

#include "executor/executor.h"

#include <torc/queue.h>

/* Free the queues that the user left. No fiber may be alive. */
void queue_free_all(struct executor *executor);

#endif
