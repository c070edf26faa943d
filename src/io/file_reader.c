#include "io/file_reader.h"

#include "base/options.h"
#include "io/file.h"
#include "io/flight.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
	BUFFER_USUAL = 128 << 10,
	BUFFER_MOST = 1 << 30,
	AHEAD_USUAL = 4,
	AHEAD_MOST = 1024,
};

/* The file is cut into chunks of one buffer each, from `base` on; chunk i is read into buffer i % count. */
struct buffer {
	struct flight flight;
	uint64_t chunk;
	bool filled; /* the flight has been over since it was started for that chunk */
};

struct reader {
	struct flights flights;
	uint64_t base, position, end;
	uint64_t known_end; /* nothing is read ahead from here on: there may be nothing */
	size_t buffer_size;
	unsigned count;
	struct torc_buffer memory;
	struct buffer buffers[];
};

static struct reader *reader_of(const struct torc_file_reader *handle)
{
	return handle->reader_;
}

static int check(struct torc_file_reader_options *options, const struct torc_file *file)
{
	if (options->buffer_size == 0)
		options->buffer_size = file_piece(file, BUFFER_USUAL);
	if (options->read_ahead == 0)
		options->read_ahead = AHEAD_USUAL;
	else if (options->read_ahead < 0)
		options->read_ahead = 0;
	if (options->end == 0) { /* whole blocks: more can't be asked for */
		options->end = INT64_MAX & ~(torc_file_align(file) - 1);
		if (options->end < options->start)
			options->end = options->start;
	}
	return options->buffer_size <= BUFFER_MOST && options->buffer_size % torc_file_align(file) == 0 &&
	                       options->read_ahead <= AHEAD_MOST && options->start <= options->end &&
	                       options->end <= INT64_MAX
	               ? 0
	               : -EINVAL;
}

static struct reader *make(const struct torc_file_reader_options *options)
{
	unsigned count = (unsigned)options->read_ahead + 1;
	struct reader *reader = calloc(1, sizeof *reader + count * sizeof *reader->buffers);

	if (!reader)
		return NULL;
	if (torc_buffer_open(&reader->memory, count * options->buffer_size) < 0) {
		free(reader);
		return NULL;
	}
	reader->count = count;
	reader->buffer_size = options->buffer_size;
	reader->position = options->start;
	reader->end = options->end;
	return reader;
}

static struct buffer *buffer_of(struct reader *reader, uint64_t chunk)
{
	return &reader->buffers[chunk % reader->count];
}

static uint64_t chunk_at(const struct reader *reader, uint64_t position)
{
	return (position - reader->base) / reader->buffer_size;
}

static void fill(struct reader *reader, struct buffer *buffer, uint64_t chunk)
{
	uint64_t offset = reader->base + chunk * reader->buffer_size;
	uint64_t len = reader->end - offset, alignment = reader->flights.alignment;

	len = (len + alignment - 1) / alignment * alignment;
	if (len > reader->buffer_size)
		len = reader->buffer_size;
	buffer->chunk = chunk;
	buffer->filled = true;
	flight_read(&buffer->flight,
	            (char *)reader->memory.data + (size_t)(chunk % reader->count) * reader->buffer_size, (size_t)len,
	            offset);
}

/* Have the chunk at the position and those to be read ahead under way, as far as their buffers are free: one that was
 * skipped may still be being read. True if there was something to be started. */
static bool read_ahead(struct reader *reader)
{
	uint64_t first = chunk_at(reader, reader->position);
	bool started = false;

	for (uint64_t chunk = first; chunk < first + reader->count; chunk++) {
		uint64_t offset = reader->base + chunk * reader->buffer_size;
		struct buffer *buffer = buffer_of(reader, chunk);

		if (offset >= reader->end || (chunk > first && offset >= reader->known_end))
			break;
		if (flight_busy(&buffer->flight) || (buffer->filled && buffer->chunk == chunk))
			continue;
		fill(reader, buffer, chunk);
		started = true;
	}
	return started;
}

int torc_file_reader_open(struct torc_file_reader *handle, struct torc_file *file,
                          const struct torc_file_reader_options *options)
{
	struct torc_file_reader_options whole;
	struct torc_file_reader_options wanted = *(const struct torc_file_reader_options *)OPTIONS(options, whole);
	struct executor *executor = executor_in_fiber(__func__);
	uint32_t alignment = (uint32_t)torc_file_align(file);
	struct reader *reader;
	int64_t size;
	int r;

	r = check(&wanted, file);
	if (r < 0)
		return r;
	size = torc_file_size(file);
	if (size < 0)
		return (int)size;
	if (async_gone(&file->async)) /* since then */
		return -EBADF;
	reader = make(&wanted);
	if (!reader)
		return -ENOMEM;
	reader->base = reader->position - reader->position % alignment;
	reader->known_end = options && options->end ? wanted.end : (uint64_t)size;
	flights_open(&reader->flights, executor, file);
	reader->flights.known_end = (uint64_t)size;
	for (unsigned i = 0; i < reader->count; i++)
		flight_init(&reader->buffers[i].flight, &reader->flights);
	if (reader->position < reader->end)
		read_ahead(reader);
	*handle = (struct torc_file_reader){ .reader_ = reader };
	return 0;
}

/* What lies in the buffer from the position on, which is in its chunk. */
static size_t available(const struct reader *reader, const struct buffer *buffer)
{
	uint64_t end = buffer->flight.offset + buffer->flight.done;

	if (end > reader->end)
		end = reader->end;
	return reader->position < end ? (size_t)(end - reader->position) : 0;
}

/* Was the end met ahead of us, and is it elsewhere by now? */
static bool has_grown(struct reader *reader)
{
	struct statx found;

	if (reader->flights.op.closed || sys_statx_now(reader->flights.fd, &found) < 0 ||
	    found.stx_size <= reader->position)
		return false;
	if (found.stx_size > reader->known_end)
		reader->known_end = found.stx_size;
	return true;
}

/* What can be had at the position: how much, and *data says where; 0 at the end; or why nothing. */
static int fetch(struct reader *reader, const char **data)
{
	bool looked = false;

	for (;;) { /* ends: each round waits for a request to be over, and the one that is wanted is among them */
		uint64_t chunk = chunk_at(reader, reader->position);
		struct buffer *buffer = buffer_of(reader, chunk);
		bool started;
		size_t len;
		int r;

		if (reader->position >= reader->end)
			return 0;
		started = read_ahead(reader);
		if (flight_busy(&buffer->flight)) {
			r = flights_await(&reader->flights, &buffer->flight, "reading ahead");
			if (r < 0)
				return r;
			continue;
		}
		if (started) /* who is not going to park now may compute for long */
			reactor_flush(&reader->flights.executor->reactor);
		len = available(reader, buffer);
		if (len == 0 && buffer->flight.error == 0 && !looked && has_grown(reader)) {
			buffer->filled = false;
			reader->flights.known_end = UINT64_MAX;
			looked = true; /* some files say that they are longer than they are */
			continue;
		}
		if (len == 0)
			return buffer->flight.error;
		*data = buffer->flight.data + (reader->position - buffer->flight.offset);
		return (int)len;
	}
}

/* The caller is told of the end, or of an error, at the position: who asks again wants another attempt. */
static int tell(struct reader *reader, int result)
{
	struct buffer *buffer = buffer_of(reader, chunk_at(reader, reader->position));

	if (reader->position >= reader->end || flight_busy(&buffer->flight))
		return result;
	buffer->filled = false;
	if (result == 0)
		reader->flights.known_end = UINT64_MAX; /* it may grow */
	return result;
}

static int refuse(const struct torc_file_reader *handle, const char *function)
{
	executor_in_fiber(function);
	return handle->reader_ ? flights_refuse(&reader_of(handle)->flights, function) : -EBADF;
}

static int read_bytes(struct reader *reader, char *buf, size_t len)
{
	size_t got = 0;

	while (got < len) { /* ends: each round gets something or ends it */
		const char *data;
		int n = fetch(reader, &data);

		if (n <= 0)
			return got > 0 ? (int)got : tell(reader, n);
		if ((size_t)n > len - got)
			n = (int)(len - got);
		memcpy(buf + got, data, (size_t)n);
		got += (size_t)n;
		reader->position += (size_t)n;
	}
	return (int)got;
}

int torc_file_reader_read(struct torc_file_reader *handle, void *buf, size_t len)
{
	int r = refuse(handle, __func__);

	return r < 0 ? r : read_bytes(reader_of(handle), buf, len > INT_MAX ? INT_MAX : len);
}

int torc_file_reader_read_exact(struct torc_file_reader *handle, void *buf, size_t len)
{
	struct reader *reader = reader_of(handle);
	int r = refuse(handle, __func__);
	uint64_t position;
	size_t got = 0;

	if (r < 0 || len == 0)
		return r;
	if (len > INT_MAX)
		return -EINVAL;
	position = reader->position;
	do { /* ends: at the end of the file at the latest */
		r = read_bytes(reader, (char *)buf + got, len - got);
		if (r > 0)
			got += (size_t)r;
	} while (r > 0 && got < len);
	if (got == len)
		return (int)len;
	if (!reader->flights.closing)
		reader->position = position;
	return r == 0 && got > 0 ? -ENODATA : r;
}

int torc_file_reader_peek(struct torc_file_reader *handle, const void **data)
{
	const char *here;
	int r = refuse(handle, __func__);

	if (r < 0)
		return r;
	r = fetch(reader_of(handle), &here);
	if (r <= 0)
		return tell(reader_of(handle), r);
	*data = here;
	return r;
}

int torc_file_reader_skip(struct torc_file_reader *handle, uint64_t len)
{
	struct reader *reader = reader_of(handle);

	if (!reader || reader->flights.op.closed)
		return -EBADF;
	if (reader->position < reader->end)
		reader->position += len < reader->end - reader->position ? len : reader->end - reader->position;
	return 0;
}

uint64_t torc_file_reader_position(const struct torc_file_reader *handle)
{
	return handle->reader_ ? reader_of(handle)->position : 0;
}

size_t torc_file_reader_buffered(const struct torc_file_reader *handle)
{
	struct reader *reader = reader_of(handle);
	uint64_t position;

	if (!reader)
		return 0;
	position = reader->position;
	for (unsigned i = 0; i < reader->count && position < reader->end; i++) {
		uint64_t chunk = chunk_at(reader, position);
		const struct buffer *buffer = buffer_of(reader, chunk);
		uint64_t end = buffer->flight.offset + buffer->flight.done;

		if (!buffer->filled || buffer->chunk != chunk || flight_busy(&buffer->flight))
			break;
		if (end <= position)
			break;
		position = end < reader->end ? end : reader->end;
		if (buffer->flight.done < reader->buffer_size)
			break;
	}
	return (size_t)(position - reader->position);
}

int torc_file_reader_close(struct torc_file_reader *handle)
{
	struct reader *reader = reader_of(handle);

	if (!reader)
		return 0;
	MISUSE(reader->flights.executor != executor_self, "it belongs to another core");
	*handle = (struct torc_file_reader){ 0 };
	flights_close(&reader->flights);
	torc_buffer_close(&reader->memory);
	free(reader);
	return 0;
}
