#include "io/immutable.h"

#include "base/options.h"
#include "io/flight.h"

#include <torc/dir.h>
#include <torc/file_writer.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 64 };

struct sink {
	struct torc_file file;
	struct torc_file_writer writer;
};

struct immutable {
	struct torc_file file;
	struct flights flights;
	uint64_t size;
	unsigned calls; /* that have not returned */
	struct fiber *closer;
	struct list buckets[BUCKETS]; /* reads under way, by their first byte */
	struct list spare;
	struct torc_immutable_stats stats;
};

/* One read of the device, and who waits for it. */
struct shared {
	struct flight flight;
	struct list link; /* in its bucket, or spare */
	struct list waiting;
	unsigned users; /* calls that have not taken their share */
	struct torc_buffer memory;
};

struct call {
	struct wait wait;
	struct list link; /* in shared.waiting */
};

static struct immutable *immutable_of(const struct torc_immutable *handle)
{
	return handle->file_;
}

static int open_file(struct torc_file *file, const char *path, int flags, bool new,
                     const struct torc_immutable_options *options)
{
	return torc_file_open(file, path,
	                      TORC_OPTIONS(torc_file_options, .flags = flags, .create_new = new,
	                                   .mode = options->mode ? options->mode : 0444, .direct = !options->buffered,
	                                   .at = options->at));
}

/* --- writing ----------------------------------------------------------------------------------- */

/* It is empty, and was made here. */
static void unmake(struct torc_dir *at, const char *path)
{
	TORC_SCOPE(shielded, .shield = true, .deadline = torc_in(10 * TORC_SEC));
	(void)!torc_path_unlink(at, path);
}

int torc_immutable_create(struct torc_immutable_sink *handle, const char *path,
                          const struct torc_immutable_options *options)
{
	struct torc_immutable_options whole;
	struct sink *sink;
	int r;

	options = OPTIONS(options, whole);
	sink = calloc(1, sizeof *sink);
	if (!sink)
		return -ENOMEM;
	r = open_file(&sink->file, path, O_RDWR, true, options);
	if (r == 0) {
		r = torc_file_writer_open(&sink->writer, &sink->file,
		                          TORC_OPTIONS(torc_file_writer_options, .buffer_size = options->buffer_size,
		                                       .write_behind = options->write_behind));
		if (r < 0)
			unmake(options->at, path);
	}
	if (r < 0) {
		torc_file_close(&sink->file);
		free(sink);
		return r;
	}
	*handle = (struct torc_immutable_sink){ .sink_ = sink };
	return 0;
}

int torc_immutable_write(struct torc_immutable_sink *handle, const void *buf, size_t len)
{
	struct sink *sink = handle->sink_;

	executor_in_fiber(__func__);
	return sink ? torc_file_writer_write(&sink->writer, buf, len) : -EBADF;
}

/* `file` moves into a new handle; it stays the caller's if that fails. */
static int make(struct torc_immutable *handle, struct torc_file *file)
{
	int64_t size = torc_file_size(file);
	struct immutable *immutable;

	if (size < 0)
		return (int)size;
	immutable = calloc(1, sizeof *immutable);
	if (!immutable)
		return -ENOMEM;
	immutable->file = *file;
	*file = (struct torc_file){ 0 };
	immutable->size = (uint64_t)size;
	flights_open(&immutable->flights, executor_self, &immutable->file);
	immutable->flights.known_end = immutable->size;
	for (unsigned i = 0; i < BUCKETS; i++)
		list_init(&immutable->buckets[i]);
	list_init(&immutable->spare);
	*handle = (struct torc_immutable){ .file_ = immutable };
	return 0;
}

int torc_immutable_seal(struct torc_immutable_sink *handle, struct torc_immutable *file)
{
	struct sink *sink = handle->sink_;
	int r;

	executor_in_fiber(__func__);
	if (!sink)
		return -EBADF;
	r = torc_file_writer_sync(&sink->writer);
	if (r < 0)
		return r;
	r = torc_file_writer_close(&sink->writer);
	if (r == 0)
		r = make(file, &sink->file);
	if (r < 0)
		return r;
	*handle = (struct torc_immutable_sink){ 0 };
	free(sink);
	return 0;
}

int torc_immutable_abandon(struct torc_immutable_sink *handle)
{
	struct sink *sink = handle->sink_;

	if (!sink)
		return 0;
	*handle = (struct torc_immutable_sink){ 0 };
	torc_file_writer_abandon(&sink->writer);
	torc_file_close(&sink->file);
	free(sink);
	return 0;
}

/* --- reading ----------------------------------------------------------------------------------- */

int torc_immutable_open(struct torc_immutable *handle, const char *path, const struct torc_immutable_options *options)
{
	struct torc_immutable_options whole;
	struct torc_file file = { 0 };
	int r;

	options = OPTIONS(options, whole);
	r = open_file(&file, path, O_RDONLY, false, options);
	if (r == 0)
		r = make(handle, &file);
	torc_file_close(&file);
	return r;
}

uint64_t torc_immutable_size(const struct torc_immutable *handle)
{
	return handle->file_ ? immutable_of(handle)->size : 0;
}

/* Nobody joins it any more. */
static void ended(struct flight *flight)
{
	struct shared *shared = container_of(flight, struct shared, flight);
	struct list *node;

	list_remove(&shared->link);
	while ((node = list_pop(&shared->waiting)))
		waker_wake(container_of(node, struct call, link)->wait.fiber);
	if (shared->users == 0) { /* it was cancelled when the last one left */
		torc_buffer_close(&shared->memory);
		list_prepend(&container_of(flight->group, struct immutable, flights)->spare, &shared->link);
	}
}

static struct list *bucket_of(struct immutable *immutable, uint64_t from)
{
	uint64_t hash = from / immutable->flights.alignment * UINT64_C(0x9E3779B97F4A7C15);

	return &immutable->buckets[hash >> 58]; /* log2(BUCKETS) bits */
}

static struct shared *find(struct immutable *immutable, uint64_t from, uint64_t to)
{
	struct list *bucket = bucket_of(immutable, from);

	list_each (node, bucket) {
		struct shared *shared = container_of(node, struct shared, link);

		if (shared->flight.offset == from && shared->flight.len >= to - from)
			return shared;
	}
	return NULL;
}

static int begin(struct immutable *immutable, uint64_t from, uint64_t to, struct shared **out)
{
	struct list *spare = list_pop(&immutable->spare);
	struct shared *shared = spare ? container_of(spare, struct shared, link) : calloc(1, sizeof *shared);
	int r;

	if (!shared)
		return -ENOMEM;
	r = torc_buffer_open(&shared->memory, (size_t)(to - from));
	if (r < 0) {
		list_prepend(&immutable->spare, &shared->link);
		return r;
	}
	flight_init(&shared->flight, &immutable->flights);
	shared->flight.ended = ended;
	list_init(&shared->waiting);
	shared->users = 0;
	list_append(bucket_of(immutable, from), &shared->link);
	immutable->stats.device_reads++;
	flight_read(&shared->flight, shared->memory.data, (size_t)(to - from), from);
	*out = shared;
	return 0;
}

static void interrupt(struct wait *wait)
{
	list_remove(&container_of(wait, struct call, wait)->link);
	waker_wake(wait->fiber);
}

/* A call has taken its share, or given it up: the last one clears away. */
static void leave(struct immutable *immutable, struct shared *shared)
{
	if (--shared->users > 0)
		return;
	if (flight_busy(&shared->flight)) {
		list_remove(&shared->link);
		flight_cancel(&shared->flight);
		return;
	}
	torc_buffer_close(&shared->memory);
	list_prepend(&immutable->spare, &shared->link);
}

/* Park until the read is over. 0, or why not so long. */
static int await(struct immutable *immutable, struct shared *shared)
{
	struct executor *executor = immutable->flights.executor;
	struct call call = { .wait = { interrupt, executor->running, "an immutable file's read" } };

	list_append(&shared->waiting, &call.link);
	wait_park(executor, &call.wait);
	if (immutable->flights.closing)
		return -EBADF;
	return flight_busy(&shared->flight) ? scope_refuses(executor->running) : 0;
}

/* Wait for the bytes with others, or alone. On success *out is to be left. */
static int get(struct immutable *immutable, size_t len, uint64_t offset, struct shared **out)
{
	uint64_t alignment = immutable->flights.alignment, from = offset - offset % alignment;
	uint64_t to = (offset + len + alignment - 1) / alignment * alignment;
	struct shared *shared = find(immutable, from, to);
	int r;

	immutable->stats.reads++;
	if (shared) {
		immutable->stats.shared++;
	} else {
		r = begin(immutable, from, to, &shared);
		if (r < 0)
			return r;
	}
	shared->users++;
	immutable->calls++;
	r = await(immutable, shared);
	immutable->calls--;
	if (r == 0)
		r = shared->flight.error;
	if (r == 0 && shared->flight.offset + shared->flight.done < offset + len)
		r = -ENODATA; /* somebody cut it off */
	if (r < 0)
		leave(immutable, shared);
	if (unlikely(immutable->closer && immutable->calls == 0 && immutable->closer->wait))
		waker_wake(immutable->closer);
	*out = shared;
	return r;
}

/* How many of the bytes there are, 0 included, or why none may be read. */
static int64_t reach(const struct torc_immutable *handle, size_t len, uint64_t offset, const char *function)
{
	const struct immutable *immutable = immutable_of(handle);
	int r;

	executor_in_fiber(function);
	if (!immutable)
		return -EBADF;
	r = flights_refuse(&immutable->flights, function);
	if (r < 0)
		return r;
	if (offset >= immutable->size)
		return 0;
	return (int64_t)(len < immutable->size - offset ? len : immutable->size - offset);
}

int64_t torc_immutable_read(struct torc_immutable *handle, struct torc_buffer *bytes, size_t len, uint64_t offset)
{
	int64_t there = reach(handle, len, offset, __func__);
	struct immutable *immutable = immutable_of(handle);
	struct torc_buffer slice;
	struct shared *shared;
	int r;

	if (there <= 0) {
		if (there == 0)
			*bytes = (struct torc_buffer){ 0 };
		return there;
	}
	r = get(immutable, (size_t)there, offset, &shared);
	if (r < 0)
		return r;
	slice = torc_buffer_slice(&shared->memory, (size_t)(offset - shared->flight.offset), (size_t)there);
	*bytes = torc_buffer_share(&slice);
	leave(immutable, shared);
	return there;
}

int64_t torc_immutable_read_at(struct torc_immutable *handle, void *buf, size_t len, uint64_t offset)
{
	int64_t there = reach(handle, len, offset, __func__);
	struct immutable *immutable = immutable_of(handle);
	struct shared *shared;
	int r;

	if (there <= 0)
		return there;
	r = get(immutable, (size_t)there, offset, &shared);
	if (r < 0)
		return r;
	memcpy(buf, (char *)shared->memory.data + (offset - shared->flight.offset), (size_t)there);
	leave(immutable, shared);
	return there;
}

int torc_immutable_stats_get(const struct torc_immutable *handle, struct torc_immutable_stats *stats)
{
	struct torc_immutable_stats found;
	size_t size = stats->size;

	if (size < sizeof stats->size)
		return -EINVAL;
	if (!handle->file_)
		return -EBADF;
	found = immutable_of(handle)->stats;
	found.size = size;
	memcpy(stats, &found, size < sizeof found ? size : sizeof found);
	return 0;
}

static void wake_all(struct immutable *immutable)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		list_each (node, &immutable->buckets[i]) {
			struct shared *shared = container_of(node, struct shared, link);
			struct list *waiting;

			while ((waiting = list_pop(&shared->waiting)))
				waker_wake(container_of(waiting, struct call, link)->wait.fiber);
		}
}

int torc_immutable_close(struct torc_immutable *handle)
{
	struct immutable *immutable = immutable_of(handle);
	struct list *node;
	int r;

	if (!immutable)
		return 0;
	MISUSE(immutable->flights.executor != executor_self, "it belongs to another core");
	*handle = (struct torc_immutable){ 0 };
	immutable->flights.closing = true;
	wake_all(immutable);
	immutable->closer = executor_self->running;
	while (immutable->calls > 0) { /* ends: all have been woken, and no more are let in */
		struct wait wait = { NULL, immutable->closer, "readers to leave an immutable file" };

		wait_park(executor_self, &wait);
	}
	flights_close(&immutable->flights);
	while ((node = list_pop(&immutable->spare)))
		free(container_of(node, struct shared, link));
	r = torc_file_close(&immutable->file);
	free(immutable);
	return r;
}
