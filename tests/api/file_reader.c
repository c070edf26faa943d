/* torc_file_reader: the same bytes whatever the buffers, start, end and skips (against a model); errors at their place;
 * cancelled, closed and misused. */
#include "scratch.h"

#include <sys/mman.h>

enum { SIZE = 300000 };

static void reader_open(struct torc_file_reader *reader, struct torc_file *file,
                        const struct torc_file_reader_options *options)
{
	int r = torc_file_reader_open(reader, file, options);

	ck_assert_msg(r == 0, "reader_open: %s", strerror(-r));
}

/* --- against a model ------------------------------------------------------------------------- */

struct model {
	struct torc_file_reader reader;
	uint64_t position, end;
	uint64_t seed;
	unsigned char buf[40000];
};

static size_t left(const struct model *model, size_t len)
{
	uint64_t rest = model->position < model->end ? model->end - model->position : 0;

	return rest < len ? (size_t)rest : len;
}

static void got(struct model *model, const void *bytes, int r, size_t wanted)
{
	ck_assert_msg(r == (int)wanted, "SEED=%llu at %llu: %d instead of %zu", (unsigned long long)model->seed,
	              (unsigned long long)model->position, r, wanted);
	ck_assert_msg(pattern_holds(bytes, wanted, model->position), "SEED=%llu: wrong bytes at %llu",
	              (unsigned long long)model->seed, (unsigned long long)model->position);
	model->position += wanted;
}

static void do_exact(struct model *model, size_t len)
{
	size_t there = left(model, len);
	int r = torc_file_reader_read_exact(&model->reader, model->buf, len);

	if (there == len || there == 0)
		got(model, model->buf, r, there);
	else
		ck_assert_int_eq(r, -ENODATA);
}

static void do_peek(struct model *model, struct random *random)
{
	const void *data = NULL;
	int r = torc_file_reader_peek(&model->reader, &data);
	size_t taken;

	ck_assert_int_ge(r, 0);
	ck_assert_uint_eq(left(model, (size_t)r), (size_t)r);
	ck_assert_int_eq(r == 0, left(model, 1) == 0);
	ck_assert_uint_ge(torc_file_reader_buffered(&model->reader), (size_t)r);
	taken = random_below(random, 2) ? (size_t)r : random_below(random, (unsigned)r + 1);
	ck_assert_int_eq(torc_file_reader_skip(&model->reader, taken), 0);
	got(model, data, (int)taken, taken);
}

/* A read in a scope that is past its deadline takes nothing; nor does one that is cancelled while it is parked. */
static void do_cancelled(struct model *model)
{
	int r;

	TORC_SCOPE(late, .deadline = torc_in(-1));
	r = torc_file_reader_read(&model->reader, model->buf, sizeof model->buf);
	ck_assert_int_eq(r, -ETIME);
}

static int cancel_it(void *scope)
{
	torc_scope_cancel(scope);
	return 0;
}

static void do_cancelled_parked(struct model *model)
{
	int r;

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, cancel_it, scope), 0);
	r = torc_file_reader_read(&model->reader, model->buf, sizeof model->buf);
	if (r >= 0)
		got(model, model->buf, r,
		    r < (int)left(model, sizeof model->buf) ? (size_t)r : left(model, sizeof model->buf));
	else
		ck_assert_int_eq(r, -ECANCELED);
}

static void do_skip(struct model *model, size_t len, uint64_t range_end)
{
	ck_assert_int_eq(torc_file_reader_skip(&model->reader, len), 0);
	model->position = model->position + len < range_end ? model->position + len : range_end;
	if (model->position > range_end)
		model->position = range_end;
}

static void step(struct model *model, struct random *random, uint64_t range_end)
{
	size_t len = random_size(random, sizeof model->buf);

	switch (random_below(random, 8)) {
	case 0:
		do_exact(model, len);
		break;
	case 1:
	case 2:
		do_peek(model, random);
		break;
	case 3:
		do_skip(model, len, range_end);
		break;
	case 4:
		if (random_below(random, 4) == 0)
			do_cancelled(model);
		else if (random_below(random, 3) == 0)
			do_cancelled_parked(model);
		break;
	default:
		got(model, model->buf, torc_file_reader_read(&model->reader, model->buf, len), left(model, len));
	}
	ck_assert_uint_eq(torc_file_reader_position(&model->reader), model->position);
}

static void play(uint64_t seed, struct torc_file *file, size_t size, size_t unit)
{
	struct random random = random_seeded(seed);
	struct torc_file_reader_options options = { .size = sizeof options };
	static struct model model;
	uint64_t range_end;

	options.start = random_below(&random, 3) ? random_below(&random, (unsigned)size + 5000) : 0;
	if (random_below(&random, 2))
		options.end = options.start + 1 + random_size(&random, size + 5000);
	options.buffer_size = unit * (1 + random_size(&random, unit == 1 ? 20000 : 12));
	options.read_ahead = (int)random_below(&random, 8) - 1;
	range_end = options.end ? options.end : INT64_MAX;
	model = (struct model){ .position = options.start, .end = range_end < size ? range_end : size, .seed = seed };
	reader_open(&model.reader, file, &options);
	for (size_t steps = 1 + random_below(&random, 40); steps > 0; steps--)
		step(&model, &random, range_end);
	ck_assert_int_eq(torc_file_reader_close(&model.reader), 0);
}

static const size_t sizes[] = { 0, 1, 511, 512, 4095, 4096, 4097, 65536, 100001, SIZE };

static void play_all(bool direct, uint64_t seeds)
{
	for (size_t i = 0; i < LENGTH(sizes); i++) {
		struct scratch scratch;
		struct torc_file file;

		scratch_make(&scratch, sizes[i]);
		file_open(&file, scratch.path, O_RDONLY, direct);
		for (uint64_t seed = seed_first(); seed_more(seed, seeds); seed++)
			play(seed, &file, sizes[i], direct ? 4096 : 1);
		ck_assert_int_eq(torc_file_close(&file), 0);
		scratch_remove(&scratch);
	}
}

TEST_IN_FIBER_TIMEOUT(random_reads_of_a_buffered_file, 60)
{
	play_all(false, COUNT(250, 10));
}

TEST_IN_FIBER_TIMEOUT(random_reads_of_a_direct_file, 60)
{
	play_all(true, COUNT(100, 5));
}

/* --- what is there, and what is not ----------------------------------------------------------- */

TEST_IN_FIBER(default_options_read_it_all)
{
	struct scratch scratch;
	struct torc_file file;
	struct torc_file_reader reader;
	unsigned char *buf = malloc(SIZE + 1);

	scratch_make(&scratch, SIZE);
	file_open(&file, scratch.path, O_RDONLY, false);
	reader_open(&reader, &file, NULL);
	ck_assert_uint_eq(torc_file_reader_position(&reader), 0);
	ck_assert_int_eq(torc_file_reader_read(&reader, buf, 0), 0);
	ck_assert_int_eq(torc_file_reader_read(&reader, buf, SIZE + 1), SIZE);
	ck_assert(pattern_holds(buf, SIZE, 0));
	ck_assert_int_eq(torc_file_reader_read(&reader, buf, 1), 0);
	ck_assert_int_eq(torc_file_reader_read_exact(&reader, buf, 1), 0);
	ck_assert_int_eq(torc_file_reader_read_exact(&reader, buf, (size_t)INT_MAX + 1), -EINVAL);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
	free(buf);
}

TEST_IN_FIBER(an_empty_reader_says_so)
{
	struct torc_file_reader reader = { 0 };
	struct torc_file file = { 0 };
	const void *data;
	char byte;

	ck_assert_int_eq(torc_file_reader_open(&reader, &file, NULL), -EBADF);
	ck_assert_int_eq(torc_file_reader_read(&reader, &byte, 1), -EBADF);
	ck_assert_int_eq(torc_file_reader_read_exact(&reader, &byte, 1), -EBADF);
	ck_assert_int_eq(torc_file_reader_peek(&reader, &data), -EBADF);
	ck_assert_int_eq(torc_file_reader_skip(&reader, 1), -EBADF);
	ck_assert_uint_eq(torc_file_reader_position(&reader), 0);
	ck_assert_uint_eq(torc_file_reader_buffered(&reader), 0);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
}

TEST_IN_FIBER(options_out_of_range_are_refused)
{
	static const struct torc_file_reader_options bad[] = {
		{ .size = sizeof *bad, .buffer_size = ((size_t)1 << 30) + 4096 },
		{ .size = sizeof *bad, .buffer_size = 4097 },
		{ .size = sizeof *bad, .read_ahead = 1025 },
		{ .size = sizeof *bad, .start = 2, .end = 1 },
		{ .size = sizeof *bad, .start = (uint64_t)INT64_MAX + 1 },
		{ .size = sizeof *bad, .end = UINT64_MAX },
	};
	struct torc_file_reader reader = { 0 };
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, 10);
	file_open(&file, scratch.path, O_RDONLY, true);
	for (size_t i = 0; i < LENGTH(bad); i++)
		if (i != 1 || torc_file_align(&file) > 1)
			ck_assert_int_eq(torc_file_reader_open(&reader, &file, &bad[i]), -EINVAL);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

TEST_IN_FIBER(a_file_that_grows_is_read_on)
{
	struct torc_file_reader reader;
	struct scratch scratch;
	struct torc_file file;
	char text[16];
	int fd;

	scratch_make(&scratch, 0);
	fd = open(scratch.path, O_WRONLY | O_APPEND | O_CLOEXEC);
	file_open(&file, scratch.path, O_RDONLY, false);
	reader_open(&reader, &file, TORC_OPTIONS(torc_file_reader_options, .buffer_size = 8));
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(torc_file_reader_read(&reader, text, sizeof text), 0);
		ck_assert_int_eq(write(fd, "hello", 5), 5);
		ck_assert_int_eq(torc_file_reader_read(&reader, text, sizeof text), 5);
		ck_assert_mem_eq(text, "hello", 5);
	}
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

/* Its end is where it is when the reader gets there, however early that part was read. */
static void grow_meanwhile(bool direct, size_t first, size_t more)
{
	static unsigned char bytes[100000];
	struct torc_file_reader reader;
	struct scratch scratch;
	struct torc_file file;
	int fd;

	scratch_make(&scratch, first);
	fd = open(scratch.path, O_WRONLY | O_APPEND | O_CLOEXEC);
	file_open(&file, scratch.path, O_RDONLY, direct);
	reader_open(&reader, &file, TORC_OPTIONS(torc_file_reader_options, .buffer_size = 8192));
	while (torc_file_reader_buffered(&reader) < first && first > 0) /* all of it is read ahead */
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	pattern_fill(bytes, more, first);
	ck_assert_int_eq(write(fd, bytes, more), (int)more);
	memset(bytes, 0, sizeof bytes);
	ck_assert_int_eq(torc_file_reader_read_exact(&reader, bytes, first + more), (int)(first + more));
	ck_assert(pattern_holds(bytes, first + more, 0));
	ck_assert_int_eq(torc_file_reader_read(&reader, bytes, 1), 0);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

TEST_IN_FIBER(the_end_is_where_it_is_when_the_reader_gets_there)
{
	static const size_t firsts[] = { 1, 5, 4096, 8191, 8192, 10000, 30000 };

	for (size_t i = 0; i < LENGTH(firsts); i++)
		for (int direct = 0; direct < 2; direct++) {
			grow_meanwhile(direct, firsts[i], 1);
			grow_meanwhile(direct, firsts[i], 20000);
		}
}

/* One that says that it is longer than it is: no end is waited for. */
TEST_IN_FIBER(a_size_that_is_not_true_is_no_end)
{
	const char *path = "/sys/kernel/mm/transparent_hugepage/enabled";
	struct torc_file_reader reader;
	struct torc_file file;
	char text[5000];

	if (access(path, R_OK) < 0)
		SKIP("this kernel has no transparent huge pages, whose file this reads");
	file_open(&file, path, O_RDONLY, false);
	reader_open(&reader, &file, NULL);
	ck_assert_int_gt(torc_file_reader_read(&reader, text, sizeof text), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(torc_file_reader_read(&reader, text, sizeof text), 0);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

TEST_IN_FIBER(a_file_that_shrinks_ends_early)
{
	struct torc_file_reader reader;
	struct scratch scratch;
	struct torc_file file;
	char buf[8192];

	scratch_make(&scratch, SIZE);
	file_open(&file, scratch.path, O_RDONLY, false);
	reader_open(&reader, &file, TORC_OPTIONS(torc_file_reader_options, .buffer_size = 4096, .read_ahead = 1));
	ck_assert_int_eq(torc_file_reader_read(&reader, buf, 100), 100);
	ck_assert_int_eq(truncate(scratch.path, 50000), 0);
	ck_assert_int_eq(torc_file_reader_skip(&reader, 49800), 0);
	ck_assert_int_eq(torc_file_reader_read(&reader, buf, sizeof buf), 100);
	ck_assert_int_eq(torc_file_reader_read(&reader, buf, sizeof buf), 0);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

/* --- reading ahead ----------------------------------------------------------------------------- */

TEST_IN_FIBER(it_reads_ahead_as_far_as_told)
{
	struct torc_file_reader reader;
	struct scratch scratch;
	struct torc_file file;
	const void *data;

	scratch_make(&scratch, SIZE);
	file_open(&file, scratch.path, O_RDONLY, false);
	for (int ahead = 0; ahead < 6; ahead++) {
		uint64_t before = stats_now().submissions;

		reader_open(
			&reader, &file,
			TORC_OPTIONS(torc_file_reader_options, .buffer_size = 10000, .read_ahead = ahead ? ahead : -1));
		ck_assert_int_eq(torc_file_reader_peek(&reader, &data), 10000);
		ck_assert_uint_ge(stats_now().submissions - before, (uint64_t)ahead + 1);
		ck_assert_uint_le(stats_now().submissions - before,
		                  (uint64_t)ahead + 2); /* the size may be asked for */
		for (int i = 0; i < 2000 && torc_file_reader_buffered(&reader) < 10000u * ((unsigned)ahead + 1); i++)
			ck_assert_int_eq(torc_sleep(TORC_MS), 0);
		ck_assert_uint_eq(torc_file_reader_buffered(&reader), 10000u * ((unsigned)ahead + 1));
		ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	}
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

TEST_IN_FIBER(nothing_is_read_beyond_the_range)
{
	struct torc_file_reader reader;
	struct scratch scratch;
	struct torc_file file;
	uint64_t before;
	char buf[4096];

	scratch_make(&scratch, SIZE);
	file_open(&file, scratch.path, O_RDONLY, false);
	before = stats_now().submissions;
	reader_open(&reader, &file,
	            TORC_OPTIONS(torc_file_reader_options, .start = 100, .end = 1100, .buffer_size = 500));
	ck_assert_int_eq(torc_file_reader_read(&reader, buf, sizeof buf), 1000);
	ck_assert(pattern_holds(buf, 1000, 100));
	ck_assert_int_eq(torc_file_reader_read(&reader, buf, sizeof buf), 0);
	ck_assert_uint_le(stats_now().submissions - before, 3);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

/* A file with a hole that can't be read: the memory of this process, with a page taken away. */
TEST_IN_FIBER(an_error_comes_at_its_place)
{
	enum { PAGE = 4096 };
	unsigned char *memory = mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t start = (uintptr_t)memory;

	ck_assert_ptr_ne(memory, MAP_FAILED);
	pattern_fill(memory, 5 * PAGE, 0);
	ck_assert_int_eq(munmap(memory + 2 * PAGE, PAGE), 0);
	for (size_t size = 1000; size <= 8192; size += 517) {
		struct torc_file_reader reader;
		struct torc_file file;
		static unsigned char buf[5 * PAGE];
		int r;

		file_open(&file, "/proc/self/mem", O_RDONLY, false);
		reader_open(&reader, &file,
		            TORC_OPTIONS(torc_file_reader_options, .start = start, .end = start + 5 * PAGE,
		                         .buffer_size = size));
		r = torc_file_reader_read(&reader, buf, sizeof buf);
		ck_assert_msg(r == 2 * PAGE, "buffers of %zu: %d", size, r);
		ck_assert(pattern_holds(buf, 2 * PAGE, 0));
		ck_assert_int_eq(torc_file_reader_read(&reader, buf, 1), -EIO);
		ck_assert_int_eq(torc_file_reader_read(&reader, buf, 1), -EIO);
		ck_assert_int_eq(torc_file_reader_read_exact(&reader, buf, 100), -EIO);
		ck_assert_uint_eq(torc_file_reader_position(&reader), start + 2 * PAGE);
		ck_assert_int_eq(torc_file_reader_skip(&reader, PAGE + (size - PAGE % size)), 0);
		ck_assert_int_eq(torc_file_reader_close(&reader), 0);
		ck_assert_int_eq(torc_file_close(&file), 0);
	}
	ck_assert_int_eq(munmap(memory, 2 * PAGE), 0);
	ck_assert_int_eq(munmap(memory + 3 * PAGE, 2 * PAGE), 0);
}

TEST_IN_FIBER(behind_an_error_it_goes_on)
{
	enum { PAGE = 4096 };
	unsigned char *memory = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t start = (uintptr_t)memory;
	struct torc_file_reader reader;
	struct torc_file file;
	unsigned char buf[PAGE];

	ck_assert_ptr_ne(memory, MAP_FAILED);
	pattern_fill(memory, 3 * PAGE, 0);
	ck_assert_int_eq(munmap(memory + PAGE, PAGE), 0);
	file_open(&file, "/proc/self/mem", O_RDONLY, false);
	reader_open(
		&reader, &file,
		TORC_OPTIONS(torc_file_reader_options, .start = start, .end = start + 3 * PAGE, .buffer_size = 1024));
	ck_assert_int_eq(torc_file_reader_read_exact(&reader, buf, PAGE), PAGE);
	ck_assert_int_eq(torc_file_reader_read_exact(&reader, buf, PAGE), -EIO);
	ck_assert_int_eq(torc_file_reader_skip(&reader, PAGE), 0);
	ck_assert_int_eq(torc_file_reader_read_exact(&reader, buf, PAGE), PAGE);
	ck_assert(pattern_holds(buf, PAGE, 2 * PAGE));
	ck_assert_int_eq(torc_file_reader_read(&reader, buf, PAGE), 0);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_int_eq(munmap(memory, PAGE), 0);
	ck_assert_int_eq(munmap(memory + 2 * PAGE, PAGE), 0);
}

/* --- a pipe, whose reads take as long as the test likes ---------------------------------------- */

struct slow {
	struct torc_file file;
	struct torc_file_reader reader;
	char path[64];
	int writer, got;
};

/* A FIFO: reading it parks until somebody writes. */
static void slow_open(struct slow *slow)
{
	snprintf(slow->path, sizeof slow->path, "/tmp/torc-fifo-%d", getpid());
	unlink(slow->path);
	ck_assert_int_eq(mkfifo(slow->path, 0600), 0);
	slow->writer = open(slow->path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(slow->writer, 0);
	file_open(&slow->file, slow->path, O_RDONLY, false);
	slow->got = UNSET;
}

static void slow_close(struct slow *slow)
{
	ck_assert_int_eq(torc_file_close(&slow->file), 0);
	ck_assert_int_eq(close(slow->writer), 0);
	ck_assert_int_eq(unlink(slow->path), 0);
}

static int read_one(void *arg)
{
	struct slow *slow = arg;
	char byte;

	slow->got = torc_file_reader_read(&slow->reader, &byte, 1);
	return 0;
}

TEST_IN_FIBER(a_parked_reader_can_be_cancelled)
{
	struct slow slow;

	slow_open(&slow);
	reader_open(&slow.reader, &slow.file, NULL);
	{
		TORC_SCOPE(late, .deadline = torc_in(SOON));
		ck_assert_int_eq(read_one(&slow), 0);
		ck_assert_int_eq(slow.got, -ETIME);
	}
	ck_assert_int_eq(torc_file_reader_close(&slow.reader), 0);
	slow_close(&slow);
}

TEST_IN_FIBER(close_wakes_who_is_parked)
{
	struct slow slow;

	slow_open(&slow);
	reader_open(&slow.reader, &slow.file, NULL);
	{
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, read_one, &slow), 0);
		torc_yield();
		ck_assert_int_eq(torc_file_reader_close(&slow.reader), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(slow.got, -EBADF);
	}
	slow_close(&slow);
}

TEST_IN_FIBER(closing_the_file_ends_its_readers)
{
	struct torc_file_reader other;
	struct slow slow;
	char byte;

	slow_open(&slow);
	reader_open(&slow.reader, &slow.file, NULL);
	reader_open(&other, &slow.file, TORC_OPTIONS(torc_file_reader_options, .start = 7, .end = 7));
	{
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, read_one, &slow), 0);
		torc_yield();
		ck_assert_int_eq(torc_file_close(&slow.file), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(slow.got, -EBADF);
	}
	ck_assert_int_eq(torc_file_reader_read(&slow.reader, &byte, 1), -EBADF);
	ck_assert_int_eq(torc_file_reader_skip(&slow.reader, 1), -EBADF);
	ck_assert_int_eq(torc_file_reader_read(&other, &byte, 1), -EBADF);
	ck_assert_int_eq(torc_file_reader_close(&slow.reader), 0);
	ck_assert_int_eq(torc_file_reader_close(&other), 0);
	slow_close(&slow);
}

TEST_IN_FIBER(close_in_a_cancelled_scope_closes)
{
	struct slow slow;

	slow_open(&slow);
	reader_open(&slow.reader, &slow.file, NULL);
	{
		TORC_SCOPE(scope);
		torc_scope_cancel(scope);
		ck_assert_int_eq(read_one(&slow), 0);
		ck_assert_int_eq(slow.got, -ECANCELED);
		ck_assert_int_eq(torc_file_reader_close(&slow.reader), 0);
	}
	slow_close(&slow);
}

TEST_IN_FIBER(many_readers_of_one_file)
{
	enum { READERS = 20 };
	struct torc_file_reader readers[READERS];
	struct scratch scratch;
	struct torc_file file;
	unsigned char buf[1000];

	scratch_make(&scratch, SIZE);
	file_open(&file, scratch.path, O_RDONLY, false);
	for (unsigned i = 0; i < READERS; i++)
		reader_open(&readers[i], &file,
		            TORC_OPTIONS(torc_file_reader_options, .start = i * 1000, .buffer_size = 777 + i));
	for (unsigned round = 0; round < 100; round++)
		for (unsigned i = 0; i < READERS; i++) {
			ck_assert_int_eq(torc_file_reader_read_exact(&readers[i], buf, sizeof buf), (int)sizeof buf);
			ck_assert(pattern_holds(buf, sizeof buf, (i + round) * 1000));
		}
	for (unsigned i = 0; i < READERS; i++)
		ck_assert_int_eq(torc_file_reader_close(&readers[i]), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

/* A ring with room for few requests: most of what is read ahead waits for a place, and close finds it waiting. */
static void in_a_small_ring(struct torc_file *file)
{
	struct torc_file_reader readers[3];
	static unsigned char buf[SIZE];

	for (size_t i = 0; i < LENGTH(readers); i++)
		reader_open(&readers[i], file,
		            TORC_OPTIONS(torc_file_reader_options, .buffer_size = 512, .read_ahead = 1000));
	ck_assert_int_eq(torc_file_reader_read(&readers[0], buf, sizeof buf), SIZE);
	ck_assert(pattern_holds(buf, SIZE, 0));
	for (size_t i = 0; i < LENGTH(readers); i++)
		ck_assert_int_eq(torc_file_reader_close(&readers[i]), 0);
	for (size_t i = 0; i < LENGTH(readers); i++)
		reader_open(&readers[i], file,
		            TORC_OPTIONS(torc_file_reader_options, .buffer_size = 512, .read_ahead = 1000));
	ck_assert_int_eq(torc_file_close(file), 0);
	for (size_t i = 0; i < LENGTH(readers); i++) {
		ck_assert_int_eq(torc_file_reader_read(&readers[i], buf, 1), -EBADF);
		ck_assert_int_eq(torc_file_reader_close(&readers[i]), 0);
	}
}

TEST_IN_FIBER_WITH(more_is_read_ahead_than_the_ring_takes, .ring_entries = 8)
{
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, SIZE);
	file_open(&file, scratch.path, O_RDONLY, false);
	in_a_small_ring(&file);
	file_open(&file, scratch.path, O_RDONLY, true);
	in_a_small_ring(&file);
	scratch_remove(&scratch);
}

TEST_IN_FIBER(too_much_memory_is_refused)
{
	struct torc_file_reader reader = { 0 };
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, SIZE);
	file_open(&file, scratch.path, O_RDONLY, false);
	ck_assert_int_eq(torc_file_reader_open(
				 &reader, &file,
				 TORC_OPTIONS(torc_file_reader_options, .buffer_size = 1 << 30, .read_ahead = 1024)),
	                 -ENOMEM);
	ck_assert_int_eq(torc_file_reader_close(&reader), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

/* --- misuse ------------------------------------------------------------------------------------ */

DEATH_IN_FIBER(two_fibers_in_one_reader, "torc_file_reader_read: another fiber is parked in it")
{
	struct slow slow;

	slow_open(&slow);
	unlink(slow.path);
	reader_open(&slow.reader, &slow.file, NULL);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, read_one, &slow), 0);
	torc_yield();
	read_one(&slow);
}

static int read_elsewhere(void *arg)
{
	char byte;

	return torc_file_reader_read(arg, &byte, 1);
}

static int read_on_the_other_core(void *arg)
{
	static struct torc_file_reader reader;
	static struct torc_file file;

	(void)arg;
	if (torc_core() != 0)
		return 0;
	file_open(&file, "/etc/passwd", O_RDONLY, false);
	reader_open(&reader, &file, NULL);
	return torc_on(1, read_elsewhere, &reader);
}

DEATH(from_another_core, "torc_file_reader_read: it belongs to another core")
{
	ck_assert_int_eq(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), read_on_the_other_core, NULL), 0);
}

DEATH(outside_a_fiber, "torc_file_reader_read: ")
{
	struct torc_file_reader reader = { 0 };
	char byte;

	ck_assert_int_eq(torc_file_reader_read(&reader, &byte, 1), 0);
}
