/* torc.h - the whole library in one include. Each header below also stands alone. */
#ifndef TORC_H
#define TORC_H

#include <torc/base.h>           /* torc_fn, attributes, errors, version                 */
#include <torc/time.h>           /* torc_ns, torc_now, torc_in, torc_sleep               */
#include <torc/interval.h>       /* every so often, without drift                        */
#include <torc/timer.h>          /* instants that move while fibers wait for them        */
#include <torc/wall_clock.h>     /* the time of day, which may be set                    */
#include <torc/scope.h>          /* lifetimes: open, go, give, cancel, join              */
#include <torc/value.h>          /* values that everything in a scope inherits           */
#include <torc/local.h>          /* variables of which each fiber has its own            */
#include <torc/fiber.h>          /* names of fibers, and who is there                    */
#include <torc/queue.h>          /* task queues: shares, latency; when to yield          */
#include <torc/deadline_queue.h> /* task queues whose work is to be done in time         */
#include <torc/sync.h>           /* fibers that wait for each other                      */
#include <torc/shared_event.h>   /* the same between cores and plain threads             */
#include <torc/run.h>            /* executors: torc_run, statistics                      */
#include <torc/cores.h>          /* one executor per core, calls between them            */
#include <torc/lane.h>           /* bounded channels between cores                       */
#include <torc/mesh.h>           /* channels from every core to every core               */
#include <torc/blocking.h>       /* calls that block, on threads of their own            */
#include <torc/watchdog.h>       /* fibers that run for too long, reported               */
#include <torc/choose.h>         /* the first of several things                          */
#include <torc/chan.h>           /* channels between fibers of one core                  */
#include <torc/broadcast.h>      /* one to many                                          */
#include <torc/latest.h>         /* a value that changes, and who watches it             */
#include <torc/async.h>          /* any fd, made awaitable                               */
#include <torc/buffer.h>         /* memory for direct I/O                                */
#include <torc/file.h>           /* files                                                */
#include <torc/file_reader.h>    /* a file read ahead, from one end to the other         */
#include <torc/file_writer.h>    /* a file written behind                                */
#include <torc/read_many.h>      /* many ranges of a file                                */
#include <torc/immutable.h>      /* files that are written once                          */
#include <torc/dir.h>            /* directories, names in them                           */
#include <torc/addr.h>           /* addresses, as text and as sockaddr                   */
#include <torc/stream.h>         /* listeners and streams                                */
#include <torc/pipe.h>           /* pipes; stdin, stdout, stderr                         */
#include <torc/lines.h>          /* lines and records from a stream                      */
#include <torc/signal.h>         /* signals as events                                    */
#include <torc/process.h>        /* other programs as children                           */
#include <torc/watch.h>          /* what happens to files                                */
#include <torc/tcp.h>            /* TCP: listen, connect, options                        */
#include <torc/supervise.h>      /* children that are started again when they fail       */
#include <torc/device.h>         /* sharing a device between task queues                 */
#include <torc/probe.h>          /* what the kernel offers                               */

#endif
