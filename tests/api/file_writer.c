/* torc_file_writer: the same file whatever the buffers, the start and the flushes (against a model); late errors told;
 * cancelled, closed, abandoned and misused. */
#include "scratch.h"

#include <sched.h>
#include <sys/mount.h>

enum { MOST = 200000 };

static void writer_open(struct torc_file_writer *writer, struct torc_file *file,
                        const struct torc_file_writer_options *options)
{
	int r = torc_file_writer_open(writer, file, options);

	ck_assert_msg(r == 0, "writer_open: %s", strerror(-r));
}

static void put(struct torc_file_writer *writer, size_t from, size_t len)
{
	unsigned char *bytes = malloc(len + 1);

	pattern_fill(bytes, len, from);
	ck_assert_int_eq(torc_file_writer_write(writer, bytes, len), (int)len);
	free(bytes);
}

/* --- against a model ------------------------------------------------------------------------- */

struct model {
	struct scratch scratch;
	struct torc_file file;
	struct torc_file_writer writer;
	unsigned char bytes[MOST]; /* what the file must be */
	size_t size, position, flushed;
	uint64_t seed;
};

static void check_file(const struct model *model)
{
	size_t size;
	unsigned char *bytes = scratch_load(&model->scratch, &size);

	ck_assert_msg(size == model->size, "SEED=%llu: %zu bytes instead of %zu", (unsigned long long)model->seed, size,
	              model->size);
	ck_assert_msg(memcmp(bytes, model->bytes, size) == 0, "SEED=%llu: wrong bytes",
	              (unsigned long long)model->seed);
	free(bytes);
}

static void wrote(struct model *model, size_t len)
{
	pattern_fill(model->bytes + model->position, len, model->position ^ model->seed);
	model->position += len;
	if (model->position > model->size)
		model->size = model->position;
}

static void do_write(struct model *model, size_t len)
{
	static unsigned char bytes[MOST];

	pattern_fill(bytes, len, model->position ^ model->seed);
	ck_assert_int_eq(torc_file_writer_write(&model->writer, bytes, len), (int)len);
	memset(bytes, 0xee, len); /* it is ours again */
	wrote(model, len);
}

static void do_reserve(struct model *model, struct random *random, size_t most)
{
	void *data = NULL;
	int room = torc_file_writer_reserve(&model->writer, &data);
	size_t len;

	ck_assert_int_ge(room, 1);
	len = random_below(random, (unsigned)room + 1);
	if (len > most)
		len = most;
	pattern_fill(data, len, model->position ^ model->seed);
	ck_assert_int_eq(torc_file_writer_commit(&model->writer, len), 0);
	wrote(model, len);
}

static void do_flush(struct model *model, bool sync)
{
	int r = sync ? torc_file_writer_sync(&model->writer) : torc_file_writer_flush(&model->writer);

	ck_assert_msg(r == 0, "SEED=%llu: flush: %d", (unsigned long long)model->seed, r);
	ck_assert_uint_eq(torc_file_writer_flushed(&model->writer), model->position);
	check_file(model);
}

static void do_cancelled(struct model *model)
{
	TORC_SCOPE(late, .deadline = torc_in(-1));
	ck_assert_int_eq(torc_file_writer_write(&model->writer, "x", 1), -ETIME);
	ck_assert_int_eq(torc_file_writer_flush(&model->writer), -ETIME);
}

static void step(struct model *model, struct random *random)
{
	size_t most = MOST - model->position, len = random_size(random, 30000);

	if (len > most)
		len = most;
	switch (random_below(random, 16)) {
	case 0:
		do_flush(model, false);
		break;
	case 1:
		if (random_chance(random, 10))
			do_flush(model, true);
		break;
	case 2:
		do_cancelled(model);
		break;
	case 3:
	case 4:
	case 5:
		do_reserve(model, random, most);
		break;
	default:
		do_write(model, len);
	}
	ck_assert_uint_eq(torc_file_writer_position(&model->writer), model->position);
	ck_assert_uint_le(torc_file_writer_flushed(&model->writer), model->position);
	ck_assert_uint_ge(torc_file_writer_flushed(&model->writer), model->flushed);
	model->flushed = torc_file_writer_flushed(&model->writer);
}

static void play(uint64_t seed, bool direct)
{
	static struct model model;
	struct random random = random_seeded(seed);
	struct torc_file_writer_options options = { .size = sizeof options };
	size_t before = random_chance(&random, 50) ? random_size(&random, MOST) : 0;

	memset(&model, 0, sizeof model);
	model.seed = seed;
	scratch_make(&model.scratch, before);
	pattern_fill(model.bytes, before, 0);
	model.size = before;
	if (random_chance(&random, 50))
		options.start = random_size(&random, MOST);
	options.buffer_size = direct ? 4096 * (1 + random_below(&random, 6)) : 1 + random_size(&random, 20000);
	options.write_behind = (int)random_below(&random, 8) - 1;
	model.position = model.flushed = options.start;
	file_open(&model.file, model.scratch.path, O_RDWR, direct);
	writer_open(&model.writer, &model.file, &options);
	for (unsigned steps = random_below(&random, 30); steps > 0; steps--)
		step(&model, &random);
	ck_assert_int_eq(torc_file_writer_close(&model.writer), 0);
	ck_assert_int_eq(torc_file_writer_close(&model.writer), 0);
	check_file(&model);
	ck_assert_int_eq(torc_file_close(&model.file), 0);
	scratch_remove(&model.scratch);
}

TEST_IN_FIBER_TIMEOUT(random_writes_of_a_buffered_file, 60)
{
	for (uint64_t seed = seed_first(); seed_more(seed, COUNT(1000, 30)); seed++)
		play(seed, false);
}

TEST_IN_FIBER_TIMEOUT(random_writes_of_a_direct_file, 60)
{
	for (uint64_t seed = seed_first(); seed_more(seed, COUNT(400, 20)); seed++)
		play(seed, true);
}

/* --- what is there, and what is not ----------------------------------------------------------- */

static void nothing_written(bool direct)
{
	struct torc_file_writer writer;
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, 0);
	file_open(&file, scratch.path, O_WRONLY, direct);
	writer_open(&writer, &file, NULL);
	ck_assert_int_eq(torc_file_writer_write(&writer, NULL, 0), 0);
	ck_assert_int_eq(torc_file_writer_flush(&writer), 0);
	ck_assert_int_eq(torc_file_writer_sync(&writer), 0);
	ck_assert_int_eq(torc_file_writer_close(&writer), 0);
	ck_assert_uint_eq(scratch_size(&scratch), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

TEST_IN_FIBER(nothing_leaves_an_empty_file)
{
	nothing_written(false);
	nothing_written(true);
}

TEST_IN_FIBER(an_empty_writer_says_so)
{
	struct torc_file_writer writer = { 0 };
	struct torc_file file = { 0 };
	void *data;

	ck_assert_int_eq(torc_file_writer_open(&writer, &file, NULL), -EBADF);
	ck_assert_int_eq(torc_file_writer_write(&writer, "x", 1), -EBADF);
	ck_assert_int_eq(torc_file_writer_reserve(&writer, &data), -EBADF);
	ck_assert_int_eq(torc_file_writer_commit(&writer, 1), -EBADF);
	ck_assert_int_eq(torc_file_writer_flush(&writer), -EBADF);
	ck_assert_int_eq(torc_file_writer_sync(&writer), -EBADF);
	ck_assert_uint_eq(torc_file_writer_position(&writer), 0);
	ck_assert_uint_eq(torc_file_writer_flushed(&writer), 0);
	ck_assert_int_eq(torc_file_writer_close(&writer), 0);
	ck_assert_int_eq(torc_file_writer_abandon(&writer), 0);
}

TEST_IN_FIBER(options_out_of_range_are_refused)
{
	static const struct torc_file_writer_options bad[] = {
		{ .size = sizeof *bad, .buffer_size = 4097 },
		{ .size = sizeof *bad, .buffer_size = ((size_t)1 << 30) + 4096 },
		{ .size = sizeof *bad, .write_behind = 1025 },
		{ .size = sizeof *bad, .start = (uint64_t)INT64_MAX + 1 },
	};
	struct torc_file_writer writer = { 0 };
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, 0);
	file_open(&file, scratch.path, O_WRONLY, true);
	for (size_t i = 0; i < LENGTH(bad); i++)
		if (i > 0 || torc_file_align(&file) > 1)
			ck_assert_int_eq(torc_file_writer_open(&writer, &file, &bad[i]), -EINVAL);
	writer_open(&writer, &file, NULL);
	ck_assert_int_eq(torc_file_writer_write(&writer, "x", (size_t)INT_MAX + 1), -EINVAL);
	ck_assert_int_eq(torc_file_writer_close(&writer), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

TEST_IN_FIBER(what_was_flushed_is_told_as_it_gets_there)
{
	struct torc_file_writer writer;
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, 0);
	file_open(&file, scratch.path, O_WRONLY, false);
	writer_open(&writer, &file, TORC_OPTIONS(torc_file_writer_options, .buffer_size = 1000));
	put(&writer, 0, 999);
	ck_assert_uint_eq(torc_file_writer_position(&writer), 999);
	ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_uint_eq(torc_file_writer_flushed(&writer), 0);
	put(&writer, 999, 1002);
	for (int i = 0; i < 2000 && torc_file_writer_flushed(&writer) < 2000; i++)
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_uint_eq(torc_file_writer_flushed(&writer), 2000);
	ck_assert_uint_eq(scratch_size(&scratch), 2000);
	ck_assert_int_eq(torc_file_writer_flush(&writer), 0);
	ck_assert_uint_eq(scratch_size(&scratch), 2001);
	ck_assert_int_eq(torc_file_writer_close(&writer), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

/* --- late errors ------------------------------------------------------------------------------- */

static void limit_files(size_t size)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

TEST_IN_FIBER(a_tail_beyond_the_limit)
{
	struct torc_file_writer writer;
	struct torc_file file;
	struct scratch scratch;

	for (int direct = 0; direct < 2; direct++) {
		scratch_make(&scratch, 0);
		file_open(&file, scratch.path, O_WRONLY, direct);
		writer_open(&writer, &file, NULL);
		limit_files(2000);
		put(&writer, 0, 3000);
		ck_assert_int_eq(torc_file_writer_flush(&writer), -EFBIG);
		ck_assert_uint_le(torc_file_writer_flushed(&writer), 2000);
		ck_assert_int_eq(torc_file_writer_close(&writer), -EFBIG);
		limit_files(1 << 20);
		ck_assert_uint_eq(scratch_size(&scratch), 2000);
		ck_assert_int_eq(torc_file_close(&file), 0);
		scratch_remove(&scratch);
	}
}

/* Write until it fails, which it must, beyond `good` bytes, and then for ever. */
static void until_it_fails(struct torc_file_writer *writer, int error, size_t good)
{
	static unsigned char bytes[1000];
	uint64_t position;
	int r = 0;

	for (int i = 0; i < 20000 && r >= 0; i++) {
		position = torc_file_writer_position(writer);
		pattern_fill(bytes, sizeof bytes, position);
		r = torc_file_writer_write(writer, bytes, sizeof bytes);
	}
	ck_assert_int_eq(r, error);
	ck_assert_int_eq(torc_file_writer_write(writer, bytes, 1), error);
	ck_assert_int_eq(torc_file_writer_flush(writer), error);
	ck_assert_int_eq(torc_file_writer_sync(writer), error);
	ck_assert_uint_eq(torc_file_writer_flushed(writer), good);
	ck_assert_int_eq(torc_file_writer_close(writer), error);
	ck_assert_int_eq(torc_file_writer_close(writer), 0);
}

static void past_the_limit(bool direct, int behind)
{
	enum { LIMIT = 10 * 4096 };
	struct torc_file_writer writer;
	struct scratch scratch;
	struct torc_file file;
	unsigned char *bytes;
	size_t size;

	scratch_make(&scratch, 0);
	file_open(&file, scratch.path, O_WRONLY, direct);
	writer_open(&writer, &file,
	            TORC_OPTIONS(torc_file_writer_options, .buffer_size = 3 * 4096, .write_behind = behind));
	until_it_fails(&writer, -EFBIG, LIMIT);
	ck_assert_int_eq(torc_file_close(&file), 0);
	bytes = scratch_load(&scratch, &size);
	ck_assert_uint_eq(size, LIMIT);
	ck_assert(pattern_holds(bytes, LIMIT, 0));
	free(bytes);
	scratch_remove(&scratch);
}

TEST_IN_FIBER(an_error_of_write_behind_is_told)
{
	limit_files(10 * 4096);
	for (int behind = -1; behind < 8; behind += 2) {
		past_the_limit(false, behind);
		past_the_limit(true, behind);
	}
}

TEST_IN_FIBER(close_tells_what_nobody_heard)
{
	struct torc_file_writer writer;
	struct scratch scratch;
	struct torc_file file;

	limit_files(1000);
	scratch_make(&scratch, 0);
	file_open(&file, scratch.path, O_WRONLY, false);
	writer_open(&writer, &file, NULL);
	put(&writer, 0, 1001);
	ck_assert_int_eq(torc_file_writer_close(&writer), -EFBIG);
	ck_assert_int_eq(torc_file_writer_close(&writer), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_uint_eq(scratch_size(&scratch), 1000);
	scratch_remove(&scratch);
}

TEST_IN_FIBER(a_full_device_is_told)
{
	char folder[] = "/tmp/torc-full-XXXXXX", path[64];
	struct torc_file_writer writer;
	struct torc_file file;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		SKIP("no right to mount");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(mount("none", folder, "tmpfs", 0, "size=256k"), 0);
	snprintf(path, sizeof path, "%s/file", folder);
	file_open(&file, path, O_WRONLY | O_CREAT, false);
	writer_open(&writer, &file, TORC_OPTIONS(torc_file_writer_options, .buffer_size = 20000));
	until_it_fails(&writer, -ENOSPC, 256 << 10);
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_int_eq(umount(folder), 0);
	ck_assert_int_eq(rmdir(folder), 0);
}

TEST_IN_FIBER(a_file_that_can_only_be_read)
{
	struct torc_file_writer writer;
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, 5);
	file_open(&file, scratch.path, O_RDONLY, false);
	writer_open(&writer, &file, NULL);
	put(&writer, 0, 5);
	ck_assert_int_eq(torc_file_writer_flush(&writer), -EBADF);
	ck_assert_int_eq(torc_file_writer_close(&writer), -EBADF);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

/* A device that could not keep what it was given says so once: a later sync would not know. */
TEST_IN_FIBER(a_failed_sync_is_not_forgotten)
{
	struct torc_file_writer writer;
	struct torc_file file;

	file_open(&file, "/dev/null", O_WRONLY, false); /* takes everything, and can't sync */
	writer_open(&writer, &file, NULL);
	put(&writer, 0, 100);
	ck_assert_int_eq(torc_file_writer_flush(&writer), 0);
	{
		TORC_SCOPE(scope);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_file_writer_sync(&writer), -ECANCELED); /* this says nothing about it */
	}
	ck_assert_int_eq(torc_file_writer_flush(&writer), 0);
	ck_assert_int_eq(torc_file_writer_sync(&writer), -EINVAL);
	ck_assert_uint_eq(torc_file_writer_flushed(&writer), 100);
	ck_assert_int_eq(torc_file_writer_write(&writer, "x", 1), -EINVAL);
	ck_assert_int_eq(torc_file_writer_flush(&writer), -EINVAL);
	ck_assert_int_eq(torc_file_writer_close(&writer), -EINVAL);
	ck_assert_int_eq(torc_file_close(&file), 0);
}

/* Its bytes would go to the end, in whatever order and more than once. */
TEST_IN_FIBER(a_file_for_appending_is_refused)
{
	struct torc_file_writer writer;
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, 5);
	file_open(&file, scratch.path, O_RDWR | O_APPEND, false);
	ck_assert_int_eq(torc_file_writer_open(&writer, &file, NULL), -EINVAL);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

static int write_and_flush(void *arg)
{
	int r = torc_file_writer_write(arg, "abc", 3);

	return r < 0 ? r : torc_file_writer_flush(arg);
}

/* --- several on one direct file ------------------------------------------------------------------ */

enum { PARTS = 8, PART = 1 << 18, STEPS = 12, STEP = 1234 };

struct part {
	struct torc_file *file;
	size_t start;
};

static int write_part(void *arg)
{
	const struct part *part = arg;
	struct torc_file_writer writer;

	writer_open(&writer, part->file,
	            TORC_OPTIONS(torc_file_writer_options, .start = part->start, .buffer_size = 8192));
	for (size_t at = 0; at < STEPS * STEP; at += STEP) {
		put(&writer, part->start + at, STEP);
		ck_assert_int_eq(torc_file_writer_flush(&writer), 0);
	}
	return torc_file_writer_close(&writer);
}

/* The bytes that are no whole blocks are written with O_DIRECT off: nobody may switch it on again meanwhile. */
static void write_parts(bool handles)
{
	unsigned char bytes[STEPS * STEP];
	struct torc_file files[PARTS];
	struct part parts[PARTS];
	struct scratch scratch;

	scratch_make(&scratch, 0);
	file_open(&files[0], scratch.path, O_RDWR, true);
	ck_assert_int_eq(torc_file_truncate(&files[0], PARTS * PART), 0);
	for (int i = 1; i < PARTS && handles; i++)
		ck_assert_int_eq(torc_file_dup(&files[0], &files[i]), 0);
	{
		TORC_SCOPE(scope);
		for (size_t i = 0; i < PARTS; i++) {
			parts[i] = (struct part){ &files[handles ? i : 0], i * PART + i * 100 };
			ck_assert_int_eq(torc_go(scope, write_part, &parts[i]), 0);
		}
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	if (torc_file_is_direct(&files[0]))
		ck_assert(fcntl(torc_file_fd(&files[0]), F_GETFL) & O_DIRECT);
	for (int i = 0; i < PARTS; i++) {
		ck_assert_int_eq(torc_file_read_at(&files[0], bytes, sizeof bytes, parts[i].start), sizeof bytes);
		ck_assert(pattern_holds(bytes, sizeof bytes, parts[i].start));
	}
	for (int i = 0; i < (handles ? PARTS : 1); i++)
		ck_assert_int_eq(torc_file_close(&files[i]), 0);
	scratch_remove(&scratch);
}

TEST_IN_FIBER_TIMEOUT(writers_of_parts_of_one_direct_file, 60)
{
	write_parts(false);
}

TEST_IN_FIBER_TIMEOUT(writers_with_handles_of_their_own, 60)
{
	write_parts(true);
}

struct short_part {
	struct torc_file *file;
	size_t from, to;
	struct random random;
};

static int write_short_part(void *arg)
{
	struct short_part *part = arg;
	struct torc_file_writer writer;

	writer_open(&writer, part->file,
	            TORC_OPTIONS(torc_file_writer_options, .start = part->from, .buffer_size = 4096));
	for (size_t at = part->from, n; at < part->to; at += n) {
		n = 1 + random_below(&part->random, 6000);
		n = n < part->to - at ? n : part->to - at;
		put(&writer, at, n);
		if (random_below(&part->random, 3) == 0)
			torc_yield();
	}
	return torc_file_writer_close(&writer);
}

/* What one writes through the cache and the other past it, in one page at once, makes the sync fail. */
TEST_IN_FIBER_TIMEOUT(writers_of_parts_that_meet_within_a_page, 60)
{
	struct random random = random_seeded(1);
	struct short_part parts[PARTS];
	struct torc_file files[PARTS];
	struct scratch scratch;
	unsigned char *bytes;
	size_t size;

	for (int round = 0; round < 100; round++) {
		scratch_make(&scratch, 0);
		for (int i = 0; i < PARTS; i++) {
			file_open(&files[i], scratch.path, O_WRONLY, true);
			parts[i].file = &files[round % 2 ? i : 0];
			parts[i].from = i > 0 ? parts[i - 1].to : 0;
			parts[i].to = parts[i].from + 500 + random_below(&random, 9000);
			parts[i].random = random_seeded(random_next(&random));
		}
		{
			TORC_SCOPE(scope);
			for (size_t i = 0; i < PARTS; i++)
				ck_assert_int_eq(torc_go(scope, write_short_part, &parts[i]), 0);
			ck_assert_int_eq(torc_scope_join(scope), 0);
		}
		ck_assert_int_eq(torc_file_sync(&files[0]), 0);
		for (int i = 0; i < PARTS; i++)
			ck_assert_int_eq(torc_file_close(&files[i]), 0);
		bytes = scratch_load(&scratch, &size);
		ck_assert_uint_eq(size, parts[PARTS - 1].to);
		ck_assert(pattern_holds(bytes, size, 0));
		free(bytes);
		scratch_remove(&scratch);
	}
}

/* The flag belongs to the open file, which others have too. */
TEST_IN_FIBER(a_file_that_closes_leaves_its_flag)
{
	struct torc_file_writer writer;
	struct torc_file file, other;
	struct scratch scratch;

	for (int i = 0; i < 20; i++) {
		scratch_make(&scratch, 0);
		file_open(&file, scratch.path, O_RDWR, true);
		ck_assert_int_eq(torc_file_truncate(&file, 1 << 20), 0);
		ck_assert_int_eq(torc_file_dup(&file, &other), 0);
		writer_open(&writer, &file, TORC_OPTIONS(torc_file_writer_options, .start = 70000));
		{
			TORC_SCOPE(scope);
			ck_assert_int_eq(torc_go(scope, write_and_flush, &writer), 0);
			for (int j = 0; j < i % 4; j++)
				torc_yield();
			ck_assert_int_eq(torc_file_close(&file), 0);
			if (torc_file_is_direct(&other))
				ck_assert(fcntl(torc_file_fd(&other), F_GETFL) & O_DIRECT);
			(void)!torc_scope_join(scope);
		}
		(void)torc_file_writer_close(&writer);
		ck_assert_int_eq(torc_file_close(&other), 0);
		scratch_remove(&scratch);
	}
}

/* --- cancelled, closed, abandoned --------------------------------------------------------------- */

TEST_IN_FIBER(close_in_a_cancelled_scope_flushes)
{
	struct torc_file_writer writer;
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, 0);
	file_open(&file, scratch.path, O_WRONLY, true);
	writer_open(&writer, &file, TORC_OPTIONS(torc_file_writer_options, .buffer_size = 4096));
	put(&writer, 0, 12345);
	{
		TORC_SCOPE(scope);
		torc_scope_cancel(scope);
		ck_assert_int_eq(torc_file_writer_write(&writer, "x", 1), -ECANCELED);
		ck_assert_int_eq(torc_file_writer_close(&writer), 0);
	}
	ck_assert_uint_eq(scratch_size(&scratch), 12345);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

TEST_IN_FIBER(abandon_writes_no_more)
{
	struct torc_file_writer writer;
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, 0);
	file_open(&file, scratch.path, O_WRONLY, false);
	writer_open(&writer, &file, NULL);
	put(&writer, 0, 1000);
	ck_assert_int_eq(torc_file_writer_abandon(&writer), 0);
	ck_assert_int_eq(torc_file_writer_abandon(&writer), 0);
	ck_assert_uint_eq(scratch_size(&scratch), 0);
	for (int i = 0; i < 20; i++) { /* with buffers on their way */
		writer_open(&writer, &file,
		            TORC_OPTIONS(torc_file_writer_options, .buffer_size = 1000, .write_behind = i));
		put(&writer, 0, 1000u * (unsigned)i);
		ck_assert_int_eq(torc_file_writer_abandon(&writer), 0);
	}
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

TEST_IN_FIBER(closing_the_file_first_loses_the_rest)
{
	struct torc_file_writer full, empty;
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, 0);
	file_open(&file, scratch.path, O_WRONLY, false);
	writer_open(&full, &file, NULL);
	writer_open(&empty, &file, NULL);
	put(&full, 0, 1000);
	put(&empty, 0, 10);
	ck_assert_int_eq(torc_file_writer_flush(&empty), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_int_eq(torc_file_writer_write(&full, "x", 1), -EBADF);
	ck_assert_int_eq(torc_file_writer_flush(&full), -EBADF);
	ck_assert_int_eq(torc_file_writer_close(&full), -EBADF);
	ck_assert_int_eq(torc_file_writer_close(&empty), 0);
	scratch_remove(&scratch);
}

/* A pipe that nobody reads takes 64 KiB and then nothing. */
struct slow {
	struct torc_file file;
	struct torc_file_writer writer;
	char path[64];
	int reader, got;
};

static void slow_open(struct slow *slow)
{
	snprintf(slow->path, sizeof slow->path, "/tmp/torc-fifo-%d", getpid());
	unlink(slow->path);
	ck_assert_int_eq(mkfifo(slow->path, 0600), 0);
	slow->reader = open(slow->path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(slow->reader, 0);
	file_open(&slow->file, slow->path, O_WRONLY, false);
	writer_open(&slow->writer, &slow->file,
	            TORC_OPTIONS(torc_file_writer_options, .buffer_size = 40000, .write_behind = 1));
	slow->got = UNSET;
}

static void slow_close(struct slow *slow)
{
	ck_assert_int_eq(torc_file_close(&slow->file), 0);
	ck_assert_int_eq(close(slow->reader), 0);
	ck_assert_int_eq(unlink(slow->path), 0);
}

static int write_much(void *arg)
{
	static const char bytes[200000];
	struct slow *slow = arg;

	slow->got = torc_file_writer_write(&slow->writer, bytes, sizeof bytes);
	return 0;
}

TEST_IN_FIBER(a_parked_write_can_be_cancelled)
{
	struct slow slow;

	slow_open(&slow);
	{
		TORC_SCOPE(late, .deadline = torc_in(SOON));
		ck_assert_int_eq(write_much(&slow), 0);
		ck_assert_int_eq(slow.got, -ETIME);
	}
	ck_assert_uint_ge(torc_file_writer_position(&slow.writer), 80000);
	ck_assert_uint_lt(torc_file_writer_position(&slow.writer), 200000);
	ck_assert_int_eq(torc_file_writer_abandon(&slow.writer), 0);
	slow_close(&slow);
}

TEST_IN_FIBER(abandon_wakes_who_is_parked)
{
	struct slow slow;

	slow_open(&slow);
	{
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, write_much, &slow), 0);
		torc_yield();
		ck_assert_int_eq(torc_file_writer_abandon(&slow.writer), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
		ck_assert_int_eq(slow.got, -EBADF);
	}
	slow_close(&slow);
}

static int read_all(void *arg)
{
	struct slow *slow = arg;
	static char bytes[4096];

	while (torc_sleep(TORC_MS) == 0) {
		struct pollfd pollfd = { slow->reader, POLLIN, 0 };

		while (poll(&pollfd, 1, 0) > 0)
			ck_assert_int_gt(read(slow->reader, bytes, sizeof bytes), 0);
	}
	return 0;
}

TEST_IN_FIBER(close_wakes_who_is_parked_and_waits)
{
	struct slow slow;

	slow_open(&slow);
	{
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, write_much, &slow), 0);
		torc_yield();
		ck_assert_int_eq(torc_go(scope, read_all, &slow), 0);
		ck_assert_int_eq(torc_file_writer_close(&slow.writer), 0);
		ck_assert_int_eq(slow.got, -EBADF);
	}
	slow_close(&slow);
}

TEST_IN_FIBER_WITH(more_is_written_behind_than_the_ring_takes, .ring_entries = 8)
{
	for (int direct = 0; direct < 2; direct++) {
		struct torc_file_writer writer;
		struct scratch scratch;
		unsigned char *bytes;
		struct torc_file file;
		size_t size;

		scratch_make(&scratch, 0);
		file_open(&file, scratch.path, O_WRONLY, direct);
		writer_open(&writer, &file,
		            TORC_OPTIONS(torc_file_writer_options, .buffer_size = 4096, .write_behind = 1000));
		put(&writer, 0, MOST * 10);
		ck_assert_int_eq(torc_file_writer_close(&writer), 0);
		bytes = scratch_load(&scratch, &size);
		ck_assert_uint_eq(size, MOST * 10);
		ck_assert(pattern_holds(bytes, size, 0));
		free(bytes);
		writer_open(&writer, &file,
		            TORC_OPTIONS(torc_file_writer_options, .buffer_size = 4096, .write_behind = 1000));
		put(&writer, 0, MOST * 10);
		ck_assert_int_eq(torc_file_writer_abandon(&writer), 0);
		ck_assert_int_eq(torc_file_close(&file), 0);
		scratch_remove(&scratch);
	}
}

TEST_IN_FIBER(too_much_memory_is_refused)
{
	struct torc_file_writer writer = { 0 };
	struct scratch scratch;
	struct torc_file file;

	scratch_make(&scratch, 0);
	file_open(&file, scratch.path, O_WRONLY, false);
	ck_assert_int_eq(torc_file_writer_open(
				 &writer, &file,
				 TORC_OPTIONS(torc_file_writer_options, .buffer_size = 1 << 30, .write_behind = 1024)),
	                 -ENOMEM);
	ck_assert_int_eq(torc_file_close(&file), 0);
	scratch_remove(&scratch);
}

/* --- misuse ------------------------------------------------------------------------------------ */

DEATH_IN_FIBER(two_fibers_in_one_writer, "torc_file_writer_write: another fiber is parked in it")
{
	struct slow slow;

	slow_open(&slow);
	unlink(slow.path);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, write_much, &slow), 0);
	torc_yield();
	write_much(&slow);
}

DEATH_IN_FIBER(more_than_was_reserved, "torc_file_writer_commit: more bytes than")
{
	struct torc_file_writer writer;
	struct scratch scratch;
	struct torc_file file;
	void *data;

	scratch_make(&scratch, 0);
	file_open(&file, scratch.path, O_WRONLY, false);
	scratch_remove(&scratch);
	writer_open(&writer, &file, TORC_OPTIONS(torc_file_writer_options, .buffer_size = 10));
	ck_assert_int_eq(torc_file_writer_reserve(&writer, &data), 10);
	ck_assert_int_eq(torc_file_writer_commit(&writer, 11), 0);
}
