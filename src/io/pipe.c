#include "io/pipe.h"

#include "io/plain.h"
#include "machine/sys.h"

enum { STANDARD_IN, STANDARD_OUT, STANDARD_ERR };

int torc_pipe(struct torc_stream *reader, struct torc_stream *writer)
{
	int ends[2], r = sys_pipe(ends);

	if (r < 0)
		return r;
	*reader = *writer = (struct torc_stream){ 0 };
	async_set(&reader->async, ends[0], ASYNC_PLAIN | ASYNC_PIPE);
	async_set(&writer->async, ends[1], ASYNC_PLAIN | ASYNC_PIPE);
	return 0;
}

int torc_stdin(struct torc_stream *stream)
{
	return torc_stream_borrow(stream, STANDARD_IN);
}

int torc_stdout(struct torc_stream *stream)
{
	return torc_stream_borrow(stream, STANDARD_OUT);
}

int torc_stderr(struct torc_stream *stream)
{
	return torc_stream_borrow(stream, STANDARD_ERR);
}
