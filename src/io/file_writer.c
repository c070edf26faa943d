#include "io/file_writer.h"

#include "base/options.h"
#include "io/file.h"
#include "io/flight.h"
#include "machine/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
	BUFFER_USUAL = 128 << 10,
	BUFFER_MOST = 1 << 30,
	BEHIND_USUAL = 4,
	BEHIND_MOST = 1024,
	ODD_TRIES = 1000,
	PAGE = 4096,
};

struct writer {
	struct flights flights;
	struct torc_file *file;
	uint64_t base; /* where the buffer that is filled goes */
	size_t filled; /* bytes of it */
	size_t kept;   /* so many of them a flush has brought into the file */
	size_t room;   /* bytes that it takes: the first one ends at a unit */
	uint32_t unit; /* of what is written with O_DIRECT on; 1: anything */
	size_t buffer_size;
	uint64_t flushed;   /* what a flush has seen to */
	int error;          /* the first one, by its place in the file */
	uint64_t failed_at; /* the file is good up to here */
	unsigned current, count;
	struct torc_buffer memory;
	struct flight buffers[];
};

static struct writer *writer_of(const struct torc_file_writer *handle)
{
	return handle->writer_;
}

static int check(struct torc_file_writer_options *options, const struct torc_file *file)
{
	if (options->buffer_size == 0)
		options->buffer_size = file_piece(file, BUFFER_USUAL);
	if (options->write_behind == 0)
		options->write_behind = BEHIND_USUAL;
	else if (options->write_behind < 0)
		options->write_behind = 0;
	return options->buffer_size <= BUFFER_MOST && options->buffer_size % torc_file_align(file) == 0 &&
	                       options->write_behind <= BEHIND_MOST && options->start <= INT64_MAX
	               ? 0
	               : -EINVAL;
}

static void fail(struct writer *writer, int error, uint64_t at)
{
	if (writer->error && writer->failed_at <= at)
		return;
	writer->error = error;
	writer->failed_at = at;
}

static void written(struct flight *flight)
{
	if (flight->error)
		fail(container_of(flight->group, struct writer, flights),
		     flight->group->op.closed ? -EBADF : flight->error, flight->offset + flight->done);
}

/* A write with O_DIRECT off is over; those of other writers may still be under way. Here rather than in the fiber that waits:
 * the descriptor may be closed by then, and the flag belongs to all handles of the open file. */
static void odd_written(struct flight *flight)
{
	struct flights *group = flight->group;

	flight->ended = written;
	if (--group->file->buffered_ == 0)
		sys_status_flags(group->fd, O_DIRECT, 0);
	if (flight->error != -EINVAL)
		written(flight);
}

static struct writer *make(const struct torc_file_writer_options *options)
{
	unsigned count = (unsigned)options->write_behind + 1;
	struct writer *writer = calloc(1, sizeof *writer + count * sizeof *writer->buffers);

	if (!writer)
		return NULL;
	if (torc_buffer_open(&writer->memory, count * options->buffer_size) < 0) {
		free(writer);
		return NULL;
	}
	writer->count = count;
	writer->buffer_size = options->buffer_size;
	writer->base = writer->flushed = options->start;
	return writer;
}

/* What is written in whole past the kernel's cache: pages, where the device has smaller blocks. Another writer, of the part
 * that begins or ends in the same page, writes to it through the cache, and both at once make a later sync say -EIO. */
static uint32_t unit_of(const struct torc_file *file, size_t buffer_size)
{
	uint32_t alignment = (uint32_t)torc_file_align(file);

	return alignment > 1 && alignment < PAGE && buffer_size % PAGE == 0 ? PAGE : alignment;
}

int torc_file_writer_open(struct torc_file_writer *handle, struct torc_file *file,
                          const struct torc_file_writer_options *options)
{
	struct torc_file_writer_options whole;
	struct torc_file_writer_options wanted = *(const struct torc_file_writer_options *)OPTIONS(options, whole);
	struct executor *executor = executor_in_fiber(__func__);
	struct writer *writer;
	int r;

	r = check(&wanted, file);
	if (r < 0)
		return r;
	if (async_gone(&file->async))
		return -EBADF;
	r = sys_status_flags(async_fd(&file->async), 0, 0);
	if (r < 0 || (r & O_APPEND))
		return r < 0 ? r : -EINVAL;
	writer = make(&wanted);
	if (!writer)
		return -ENOMEM;
	writer->file = file;
	writer->unit = unit_of(file, wanted.buffer_size);
	writer->room = writer->buffer_size;
	if (writer->base % writer->unit != 0)
		writer->room = writer->unit - writer->base % writer->unit;
	flights_open(&writer->flights, executor, file);
	for (unsigned i = 0; i < writer->count; i++) {
		flight_init(&writer->buffers[i], &writer->flights);
		writer->buffers[i].ended = written;
	}
	*handle = (struct torc_file_writer){ .writer_ = writer };
	return 0;
}

static char *memory_of(struct writer *writer, unsigned i)
{
	return (char *)writer->memory.data + (size_t)i * writer->buffer_size;
}

static int refuse(const struct torc_file_writer *handle, const char *function)
{
	executor_in_fiber(function);
	return handle->writer_ ? flights_refuse(&writer_of(handle)->flights, function) : -EBADF;
}

/* The same for what takes more bytes. */
static int refuse_bytes(const struct torc_file_writer *handle, const char *function)
{
	int r = refuse(handle, function);

	return r < 0 ? r : writer_of(handle)->error;
}

static int await(struct writer *writer, unsigned i, bool shielded)
{
	struct flight *buffer = &writer->buffers[i];

	if (!shielded)
		return flights_await(&writer->flights, buffer, "a buffer's way to the file");
	flights_await_shielded(&writer->flights, buffer, "a buffer's way to the file");
	return 0;
}

/* One attempt to write what is no whole unit of a direct file. The flag is looked at when the kernel gets round to it. */
static int write_buffered(struct writer *writer, size_t from, bool shielded)
{
	struct flight *buffer = &writer->buffers[writer->current];
	int r;

	if (writer->unit > 1) {
		r = sys_status_flags(writer->flights.fd, 0, O_DIRECT);
		if (r < 0)
			return r;
		writer->file->buffered_++;
		buffer->ended = odd_written;
	}
	flight_write(buffer, memory_of(writer, writer->current) + from, writer->filled - from, writer->base + from);
	r = await(writer, writer->current, shielded);
	if (flight_busy(buffer)) /* cut short; whoever comes next would not see what became of it */
		flights_await_shielded(&writer->flights, buffer, "a buffer's way to the file");
	return r;
}

/* Write what is no whole unit, by itself, and wait for it. */
static int write_odd_piece(struct writer *writer, size_t from, bool shielded)
{
	struct flight *buffer = &writer->buffers[writer->current];
	int r;

	for (unsigned i = 0; i < writer->count; i++)
		if ((r = await(writer, i, shielded)) < 0)
			return r;
	/* Another handle of the open file, which may be on another core, can have switched O_DIRECT on: once more. */
	for (int i = 0; i < ODD_TRIES; i++) {
		if (writer->flights.op.closed)
			return -EBADF;
		r = write_buffered(writer, from, shielded);
		if (r < 0 || buffer->error != -EINVAL)
			break;
	}
	if (r == 0 && buffer->error == -EINVAL)
		written(buffer);
	return writer->error ? writer->error : r;
}

/* The buffer is full: send it on its way, and turn to the next one. */
static int launch(struct writer *writer, bool shielded)
{
	size_t from = writer->kept - writer->kept % writer->unit;

	if (writer->base % writer->unit != 0) {
		int r = write_odd_piece(writer, writer->kept, shielded);

		if (r < 0)
			return r;
	} else if (from < writer->filled) {
		flight_write(&writer->buffers[writer->current], memory_of(writer, writer->current) + from,
		             writer->filled - from, writer->base + from);
		reactor_flush(&writer->flights.executor->reactor); /* who fills the next one may take long */
	}
	writer->base += writer->filled;
	writer->filled = writer->kept = 0;
	writer->room = writer->buffer_size;
	writer->current = (writer->current + 1) % writer->count;
	return 0;
}

/* Make sure that there is room in the buffer to be filled. */
static int make_room(struct writer *writer)
{
	int r;

	if (writer->filled == writer->room) { /* a launch that was cut short */
		r = launch(writer, false);
		if (r < 0)
			return r;
	}
	r = await(writer, writer->current, false);
	return r < 0 ? r : writer->error;
}

static int take(struct writer *writer, size_t len)
{
	writer->filled += len;
	return writer->filled == writer->room ? launch(writer, false) : 0;
}

int torc_file_writer_write(struct torc_file_writer *handle, const void *buf, size_t len)
{
	int r = refuse_bytes(handle, __func__);
	struct writer *writer = writer_of(handle);

	if (len > INT_MAX)
		return -EINVAL;
	for (size_t taken = 0; r == 0 && taken < len;) { /* ends: each round takes something or fails */
		size_t n = len - taken;

		r = make_room(writer);
		if (r < 0)
			break;
		if (n > writer->room - writer->filled)
			n = writer->room - writer->filled;
		memcpy(memory_of(writer, writer->current) + writer->filled, (const char *)buf + taken, n);
		taken += n;
		r = take(writer, n);
	}
	return r < 0 ? r : (int)len;
}

int torc_file_writer_reserve(struct torc_file_writer *handle, void **data)
{
	int r = refuse_bytes(handle, __func__);
	struct writer *writer = writer_of(handle);

	if (r == 0)
		r = make_room(writer);
	if (r < 0)
		return r;
	*data = memory_of(writer, writer->current) + writer->filled;
	return (int)(writer->room - writer->filled);
}

int torc_file_writer_commit(struct torc_file_writer *handle, size_t len)
{
	int r = refuse_bytes(handle, __func__);
	struct writer *writer = writer_of(handle);

	if (r < 0)
		return r;
	MISUSE(len > writer->room - writer->filled || flight_busy(&writer->buffers[writer->current]),
	       "more bytes than torc_file_writer_reserve gave room for");
	return take(writer, len);
}

static int write_rest(struct writer *writer, bool shielded)
{
	uint32_t unit = writer->unit;
	size_t from = writer->kept - writer->kept % unit, blocks = writer->filled - writer->filled % unit;
	int r = await(writer, writer->current, shielded);

	if (r < 0 || writer->filled == writer->kept)
		return r;
	if (writer->filled == writer->room)
		return launch(writer, shielded);
	if (writer->base % unit != 0)
		blocks = 0; /* within the first one */
	if (blocks > from) {
		flight_write(&writer->buffers[writer->current], memory_of(writer, writer->current) + from,
		             blocks - from, writer->base + from);
		r = await(writer, writer->current, shielded);
		if (r < 0)
			return r;
		writer->kept = blocks;
	}
	if (writer->filled > writer->kept)
		r = write_odd_piece(writer, writer->kept, shielded);
	if (r == 0)
		writer->kept = writer->filled;
	return r;
}

static int flush(struct writer *writer, bool shielded)
{
	int r = writer->error ? 0 : write_rest(writer, shielded);

	for (unsigned i = 0; r == 0 && i < writer->count;
	     i++) /* after an error too: how far it is good is settled then */
		r = await(writer, i, shielded);
	if (writer->error || r < 0)
		return writer->error ? writer->error : r;
	writer->flushed = writer->base + writer->filled;
	return 0;
}

int torc_file_writer_flush(struct torc_file_writer *handle)
{
	int r = refuse(handle, __func__);

	return r < 0 ? r : flush(writer_of(handle), false);
}

int torc_file_writer_sync(struct torc_file_writer *handle)
{
	int r = torc_file_writer_flush(handle);
	struct writer *writer = writer_of(handle);

	if (r < 0)
		return r;
	r = torc_file_datasync(writer->file);
	/* The kernel tells once that something is lost; the next call would be told that all is well. */
	if (r < 0 && r != -EBADF && r != -ECANCELED && r != -ETIME)
		fail(writer, r, writer->base + writer->filled);
	return r;
}

uint64_t torc_file_writer_position(const struct torc_file_writer *handle)
{
	return handle->writer_ ? writer_of(handle)->base + writer_of(handle)->filled : 0;
}

uint64_t torc_file_writer_flushed(const struct torc_file_writer *handle)
{
	const struct writer *writer = writer_of(handle);
	uint64_t flushed;

	if (!writer)
		return 0;
	flushed = writer->base + writer->kept;
	for (unsigned i = 0; i < writer->count; i++) {
		const struct flight *buffer = &writer->buffers[i];

		if (flight_busy(buffer) && buffer->offset < flushed)
			flushed = buffer->offset;
	}
	if (writer->error && writer->failed_at < flushed)
		flushed = writer->failed_at;
	return flushed > writer->flushed ? flushed : writer->flushed; /* a direct file's last unit is written again */
}

static int end(struct torc_file_writer *handle, bool keep)
{
	struct writer *writer = writer_of(handle);
	int r = 0;

	*handle = (struct torc_file_writer){ 0 };
	if (keep) {
		flights_evict(&writer->flights);
		r = flush(writer, true);
	}
	flights_close(&writer->flights);
	torc_buffer_close(&writer->memory);
	free(writer);
	return r;
}

int torc_file_writer_close(struct torc_file_writer *handle)
{
	if (!handle->writer_)
		return 0;
	MISUSE(writer_of(handle)->flights.executor != executor_self, "it belongs to another core");
	return end(handle, true);
}

int torc_file_writer_abandon(struct torc_file_writer *handle)
{
	if (!handle->writer_)
		return 0;
	MISUSE(writer_of(handle)->flights.executor != executor_self, "it belongs to another core");
	return end(handle, false);
}
