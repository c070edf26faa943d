#include "io/read_many.h"

#include "base/options.h"
#include "io/flight.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	MERGE_USUAL = 128 << 10,
	GAP_USUAL = 4096,
	READS_USUAL = 32,
	READS_MOST = 4096,
	BYTES_USUAL = 4 << 20,
	RANGES = 4096,      /* taken in and not handed out; a power of two */
	MERGED_MOST = 1024, /* ranges of one read */
	GRAIN = 64,         /* of the memory */
};

/* One device read. */
struct read {
	struct flight flight;
	uint64_t low, high; /* the bytes that are wanted, from the first to behind the last */
	unsigned ranges;    /* that it serves */
	unsigned left;      /* of them, not handed out */
	bool closed;        /* no more ranges join */
	bool started;
	int error;           /* why it could not be started */
	uint64_t memory_end; /* what the memory's first used byte is once this one is gone */
};

struct entry {
	struct torc_range range;
	struct read *read; /* NULL: nothing to read */
	int error;
};

struct list_input {
	const struct torc_range *ranges;
	size_t count;
};

struct many {
	struct flights flights;
	struct torc_read_many_options options;
	torc_range_fn *next;
	void *arg;
	struct list_input list;
	struct torc_range held; /* taken in, waiting for a place */
	bool holds, ended;
	uint64_t first, count; /* entries: the index of the first, how many */
	uint64_t first_read, last_read,
		started_read; /* reads, counted from 0: alive are [first, last), of which those up to
	                                                 `started` are not to be started any more */
	struct torc_buffer memory, large;
	uint64_t memory_first, memory_end; /* used bytes, counted from 0 */
	struct read *spent;                /* all handed out; the user may still look at it */
	struct flight again;
	uint64_t again_for; /* 1 + the index of the range that it is for */
	struct torc_read_many_stats stats;
	struct entry entries[RANGES];
	struct read reads[];
};

static struct many *many_of(const struct torc_read_many *handle)
{
	return handle->many_;
}

static bool next_of_list(struct torc_range *range, void *arg)
{
	struct list_input *list = arg;

	if (list->count == 0)
		return false;
	*range = *list->ranges++;
	list->count--;
	return true;
}

static void defaults_into(struct torc_read_many_options *options)
{
	if (options->max_merge == 0)
		options->max_merge = MERGE_USUAL;
	if (options->max_gap == 0)
		options->max_gap = GAP_USUAL;
	if (options->max_reads == 0)
		options->max_reads = READS_USUAL;
	if (options->max_bytes == 0)
		options->max_bytes = BYTES_USUAL;
}

static int open_many(struct many **out, struct torc_file *file, const struct torc_read_many_options *options)
{
	struct executor *executor = executor_self;
	int64_t size = torc_file_size(file);
	struct many *many;

	if (size < 0)
		return (int)size;
	if (async_gone(&file->async)) /* since then */
		return -EBADF;
	many = calloc(1, sizeof *many + options->max_reads * sizeof *many->reads);
	if (!many)
		return -ENOMEM;
	many->options = *options;
	if (torc_buffer_open(&many->memory, options->max_bytes) < 0) {
		free(many);
		return -ENOMEM;
	}
	flights_open(&many->flights, executor, file);
	many->flights.known_end = (uint64_t)size;
	for (unsigned i = 0; i < options->max_reads; i++)
		flight_init(&many->reads[i].flight, &many->flights);
	flight_init(&many->again, &many->flights);
	*out = many;
	return 0;
}

static int open_from(struct many **out, struct torc_file *file, const struct torc_read_many_options *options,
                     const char *function)
{
	struct torc_read_many_options whole, wanted;

	executor_in_fiber(function);
	wanted = *(const struct torc_read_many_options *)options_whole(options, &whole, sizeof whole, function);
	defaults_into(&wanted);
	if (wanted.max_reads > READS_MOST || wanted.max_bytes > INT64_MAX || wanted.max_merge > INT64_MAX)
		return -EINVAL;
	return open_many(out, file, &wanted);
}

int torc_read_many_open_from(struct torc_read_many *handle, struct torc_file *file,
                             const struct torc_read_many_options *options, torc_range_fn *next, void *arg)
{
	struct many *many;
	int r = open_from(&many, file, options, __func__);

	if (r < 0)
		return r;
	many->next = next;
	many->arg = arg;
	*handle = (struct torc_read_many){ .many_ = many };
	return 0;
}

int torc_read_many_open(struct torc_read_many *handle, struct torc_file *file, const struct torc_range *ranges,
                        size_t count, const struct torc_read_many_options *options)
{
	struct many *many;
	int r = open_from(&many, file, options, __func__);

	if (r < 0)
		return r;
	many->list = (struct list_input){ ranges, count };
	many->next = next_of_list;
	many->arg = &many->list;
	*handle = (struct torc_read_many){ .many_ = many };
	return 0;
}

/* --- what a read reads ------------------------------------------------------------------------ */

static uint64_t block_of(const struct many *many, uint64_t offset)
{
	return offset - offset % many->flights.alignment;
}

static uint64_t blocks_to(const struct many *many, uint64_t offset)
{
	return block_of(many, offset + many->flights.alignment - 1);
}

static bool joins(const struct many *many, const struct read *read, const struct torc_range *range)
{
	uint64_t low = range->offset, high = low + range->len, gap = 0;

	if (many->options.no_merge || read->closed || read->ranges == MERGED_MOST)
		return false;
	if (low >= read->low && high <= read->high)
		return true;
	if (low > read->high)
		gap = low - read->high;
	else if (high < read->low)
		gap = read->low - high;
	if (gap > many->options.max_gap)
		return false;
	low = low < read->low ? low : read->low;
	high = high > read->high ? high : read->high;
	return blocks_to(many, high) - block_of(many, low) <= many->options.max_merge;
}

static struct read *read_at(struct many *many, uint64_t number)
{
	return &many->reads[number % many->options.max_reads];
}

static struct read *add_read(struct many *many, const struct torc_range *range)
{
	struct read *read = read_at(many, many->last_read++);

	read->low = range->offset;
	read->high = range->offset + range->len;
	read->ranges = read->left = 0;
	read->closed = read->started = false;
	read->error = 0;
	return read;
}

static void add_entry(struct many *many, struct read *read, int error)
{
	many->entries[(many->first + many->count++) % RANGES] = (struct entry){ many->held, read, error };
	many->holds = false;
	if (!read)
		return;
	read->ranges++;
	read->left++;
	if (many->held.offset < read->low)
		read->low = many->held.offset;
	if (many->held.offset + many->held.len > read->high)
		read->high = many->held.offset + many->held.len;
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Memory for a read, or NULL as long as others have it. What is larger than all of it gets its own, alone. */
static char *take_memory(struct many *many, struct read *read, size_t size)
{
	size_t whole = many->memory.size - many->memory.size % GRAIN, at;

	if (many->large.data)
		return NULL;
	if (many->memory_first == many->memory_end)
		many->memory_first = many->memory_end = 0;
	if (size > whole) {
		if (many->memory_end > 0)
			return NULL;
		read->memory_end = many->memory_end;
		read->error = torc_buffer_open(&many->large, size);
		return many->large.data;
	}
	size = (size + GRAIN - 1) / GRAIN * GRAIN;
	at = (size_t)(many->memory_end % whole);
	if (at + size > whole)
		size += whole - at; /* what is left before the end goes unused */
	if (many->memory_end + size - many->memory_first > whole)
		return NULL;
	many->memory_end += size;
	read->memory_end = many->memory_end;
	return (char *)many->memory.data + (at + size > whole ? 0 : at);
}

/* --- the two ends ------------------------------------------------------------------------------ */

/* Start it if there is memory for it. False: not yet. */
static bool start_read(struct many *many, struct read *read)
{
	uint64_t from = block_of(many, read->low), to = blocks_to(many, read->high);
	char *memory = take_memory(many, read, (size_t)(to - from));

	if (!memory && !read->error)
		return false;
	read->started = true;
	many->started_read++;
	if (read->error)
		return true;
	many->stats.reads++;
	many->stats.bytes_read += to - from;
	flight_read(&read->flight, memory, (size_t)(to - from), from);
	return true;
}

static bool start_closed(struct many *many)
{
	bool any = false;

	while (many->started_read < many->last_read) { /* ends: each round starts one or ends it */
		struct read *read = read_at(many, many->started_read);

		if (!read->closed || !start_read(many, read))
			break;
		any = true;
	}
	return any;
}

static void close_last(struct many *many)
{
	if (many->last_read > many->first_read)
		read_at(many, many->last_read - 1)->closed = true;
}

static bool take_in(struct many *many)
{
	if (many->holds)
		return true;
	if (many->ended || !many->next(&many->held, many->arg)) {
		many->ended = true;
		close_last(many);
		return false;
	}
	many->holds = true;
	many->stats.ranges++;
	many->stats.bytes_asked += many->held.len;
	return true;
}

/* Take ranges in and start reads, as far as there is room. True if any was started. */
static bool fill(struct many *many)
{
	while (many->count < RANGES && take_in(many)) { /* ends: each round places a range or ends it */
		const struct torc_range *range = &many->held;

		if (range->len == 0) {
			add_entry(many, NULL, 0);
		} else if (range->offset > INT64_MAX || range->len > INT64_MAX - range->offset) {
			add_entry(many, NULL, -EINVAL);
		} else if (many->last_read > many->first_read &&
		           joins(many, read_at(many, many->last_read - 1), range)) {
			add_entry(many, read_at(many, many->last_read - 1), 0);
		} else {
			close_last(many);
			if (many->last_read - many->first_read == many->options.max_reads)
				break;
			add_entry(many, add_read(many, range), 0);
		}
	}
	return start_closed(many);
}

/* The user is through with the last result: its read's memory and place are free if it was its last one. */
static void let_go(struct many *many)
{
	if (!many->spent)
		return;
	many->memory_first = many->spent->memory_end;
	torc_buffer_close(&many->large);
	many->first_read++;
	many->spent = NULL;
}

/* Refilled by halves: so a system call starts many reads. */
static bool low(const struct many *many)
{
	uint64_t alive = many->last_read - many->first_read;

	return many->count == 0 || alive <= 1 || alive <= many->options.max_reads / 2;
}

/* The bytes of a range that a flight has brought. */
static size_t brought(const struct flight *flight, const struct torc_range *range)
{
	uint64_t end = flight->offset + flight->done;

	if (end <= range->offset)
		return 0;
	return end - range->offset < range->len ? (size_t)(end - range->offset) : range->len;
}

/* A read of several ranges failed: this one is tried by itself, into the same place. */
static int read_again(struct many *many, const struct entry *entry)
{
	const struct flight *failed = &entry->read->flight;
	uint64_t from = block_of(many, entry->range.offset);
	uint64_t to = blocks_to(many, entry->range.offset + entry->range.len);

	if (many->again_for != many->first + 1) {
		int r = flights_await(&many->flights, &many->again, "a range");

		if (r < 0)
			return r;
		many->again_for = many->first + 1;
		many->stats.again++;
		many->stats.bytes_read += to - from;
		flight_read(&many->again, failed->data + (from - failed->offset), (size_t)(to - from), from);
	}
	return flights_await(&many->flights, &many->again, "a range");
}

/* What became of the first entry: into *result. */
static int settle(struct many *many, struct entry *entry, struct torc_read_result *result)
{
	struct read *read = entry->read;
	const struct flight *flight = &read->flight;
	int r;

	if (read->error) {
		result->error = read->error;
		return 0;
	}
	r = flights_await(&many->flights, &read->flight, "a range");
	if (r < 0)
		return r;
	result->len = brought(flight, &entry->range);
	if (flight->error && result->len < entry->range.len && read->ranges > 1) {
		r = read_again(many, entry);
		if (r < 0)
			return r;
		flight = &many->again;
		result->len = brought(flight, &entry->range);
	}
	if (result->len < entry->range.len)
		result->error = flight->error;
	if (result->len > 0)
		result->data = flight->data + (entry->range.offset - flight->offset);
	return 0;
}

static void start_first(struct many *many, struct read *read)
{
	read->closed = true; /* if no more can be taken in before it is handed out */
	start_closed(many);
	ASSERT(read->started); /* all memory is free: those before it are gone */
}

static int hand_out(struct many *many, struct torc_read_result *out)
{
	struct entry *entry = &many->entries[many->first % RANGES];
	struct torc_read_result result = { .range = entry->range, .index = many->first, .error = entry->error };

	if (entry->read) {
		int r;

		if (!entry->read->started)
			start_first(many, entry->read);
		r = settle(many, entry, &result);
		if (r < 0)
			return r;
		if (--entry->read->left == 0 && entry->read->closed)
			many->spent = entry->read;
	}
	many->first++;
	many->count--;
	*out = result;
	return 1;
}

int torc_read_many_next(struct torc_read_many *handle, struct torc_read_result *result)
{
	struct many *many = many_of(handle);
	bool started;
	int r;

	executor_in_fiber(__func__);
	if (!many)
		return -EBADF;
	r = flights_refuse(&many->flights, __func__);
	if (r < 0)
		return r;
	let_go(many);
	started = low(many) ? fill(many) : start_closed(many);
	if (many->count == 0)
		return 0;
	if (started && many->entries[many->first % RANGES].read &&
	    !flight_busy(&many->entries[many->first % RANGES].read->flight))
		reactor_flush(&many->flights.executor->reactor); /* who does not park now may compute for long */
	return hand_out(many, result);
}

int torc_read_many_stats_get(const struct torc_read_many *handle, struct torc_read_many_stats *stats)
{
	struct torc_read_many_stats found;
	size_t size = stats->size;

	if (size < sizeof stats->size)
		return -EINVAL;
	if (!handle->many_)
		return -EBADF;
	found = many_of(handle)->stats;
	found.size = size;
	memcpy(stats, &found, size < sizeof found ? size : sizeof found);
	return 0;
}

int torc_read_many_close(struct torc_read_many *handle)
{
	struct many *many = many_of(handle);

	if (!many)
		return 0;
	MISUSE(many->flights.executor != executor_self, "it belongs to another core");
	*handle = (struct torc_read_many){ 0 };
	flights_close(&many->flights);
	torc_buffer_close(&many->large);
	torc_buffer_close(&many->memory);
	free(many);
	return 0;
}
