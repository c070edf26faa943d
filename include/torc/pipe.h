/* pipe.h - pipes, and the program's own stdin, stdout and stderr, as streams (stream.h): whatever they are at the moment,
 * a terminal, a pipe, a file, a socket, /dev/null. None of these calls, and none on the streams, changes the flags of
 * what they stand for: O_NONBLOCK would be seen by the shell and by whoever else has the same terminal. */
#ifndef TORC_PIPE_H
#define TORC_PIPE_H

#include <torc/stream.h>

TORC_BEGIN

/* A pipe(7): what is written to `writer` is read from `reader`. Both are the caller's to close; reading ends (0) when
 * the writer is closed, writing fails with -EPIPE, without SIGPIPE, when the reader is. About 64 KiB lie in between.
 * Returns 0; -EMFILE, -ENFILE. pipe2(2) */
TORC_API int torc_pipe(struct torc_stream *reader, struct torc_stream *writer) TORC_ANYWHERE TORC_MUST;

/* Descriptor 0, 1 or 2 as a stream that does not own it: torc_stream_close ends the stream and leaves the descriptor
 * open. Each call makes another handle; two fibers may write through handles of their own or share one, but a write
 * longer than PIPE_BUF (4,096 bytes) may then be interleaved. stdio's buffers know nothing of it: fflush before, or use
 * one of the two. Returns 0; -EBADF if the program was started without it. */
TORC_API int torc_stdin(struct torc_stream *stream) TORC_ANYWHERE TORC_MUST;
TORC_API int torc_stdout(struct torc_stream *stream) TORC_ANYWHERE TORC_MUST;
TORC_API int torc_stderr(struct torc_stream *stream) TORC_ANYWHERE TORC_MUST;

TORC_END
#endif
