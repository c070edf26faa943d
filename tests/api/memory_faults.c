/* memory_faults - each allocation of a program fails once, and all of them from each on: every call says -ENOMEM and has
 * changed nothing, or does without; nothing is lost, and nothing is left. The functions of libc that give memory and
 * threads stand here in place of libc's own, which they call. */
#include "scratch.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if !defined(__GLIBC__) || defined(TORC_VALGRIND) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
	HAS_FEATURE(address_sanitizer) || HAS_FEATURE(thread_sanitizer)
#define REPLACED 0 /* the tools do so themselves */
#else
#define REPLACED 1
#endif

static struct {
	long left;     /* the allocation that fails: 0 is none; counts down */
	bool for_good; /* and all that follow */
	long failed, blocks;
	bool few_descriptors;
} faults;

#if REPLACED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

/* Where libtorc's code is: what others need, they get. */
static uintptr_t code, code_end;

static int find_code(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size, (void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + part->p_vaddr;

		if (part->p_type == PT_LOAD && (uintptr_t)torc_run - begin < part->p_memsz) {
			code = begin;
			code_end = begin + part->p_memsz;
		}
	}
	return 0;
}

static bool fails_for(const void *caller)
{
	long left = __atomic_load_n(&faults.left, __ATOMIC_RELAXED);

	if (left == 0 || (uintptr_t)caller < code || (uintptr_t)caller >= code_end)
		return false;
	if (left > 1) {
		__atomic_fetch_sub(&faults.left, 1, __ATOMIC_RELAXED);
		return false;
	}
	if (!faults.for_good)
		__atomic_store_n(&faults.left, 0, __ATOMIC_RELAXED);
	__atomic_fetch_add(&faults.failed, 1, __ATOMIC_RELAXED);
	errno = ENOMEM;
	return true;
}

#define fails() fails_for(__builtin_return_address(0))

static void *counted(void *block)
{
	if (block)
		__atomic_fetch_add(&faults.blocks, 1, __ATOMIC_RELAXED);
	return block;
}

void *malloc(size_t size)
{
	return fails() ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : counted(__libc_calloc(count, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : counted(__libc_memalign(alignment, size));
}

void *realloc(void *block, size_t size)
{
	if (fails())
		return NULL;
	return block ? __libc_realloc(block, size) : counted(__libc_realloc(block, size));
}

void free(void *block)
{
	if (block)
		__atomic_fetch_sub(&faults.blocks, 1, __ATOMIC_RELAXED);
	__libc_free(block);
}

void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
	return fails() ? MAP_FAILED : (void *)syscall(SYS_mmap, at, len, protection, flags, fd, offset);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *), void *arg)
{
	static int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (!create)
		*(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
	return fails() ? EAGAIN : create(thread, attributes, fn, arg);
}
#endif

/* Did it succeed? Else there was no memory, or no descriptor. */
static bool ok(int r)
{
	if (r == -EMFILE && faults.few_descriptors) {
		faults.failed++;
		return false;
	}
	ck_assert_msg(r >= 0 || (r == -ENOMEM && faults.failed > 0), "%s after %ld failures", strerror(-r),
	              faults.failed);
	return r >= 0;
}

/* --- the parts of a program ------------------------------------------------------------------ */

static int count_up(void *arg)
{
	++*(int *)arg;
	return 0;
}

static int count_up_there(void *gift)
{
	return count_up(*(int **)gift);
}

static void spawn_many(void)
{
	int begun = 0, ran = 0;
	TORC_SCOPE(scope);

	for (int i = 0; i < 100; i++) {
		int *gift = &ran;

		begun += ok(torc_go(scope, count_up, &ran));
		if (ok(torc_give(scope, count_up_there, gift)))
			ck_assert_ptr_null(gift);
		else
			ck_assert_ptr_eq(gift, &ran);
		begun += !gift;
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(ran, begun);
}

static void use_queues(void)
{
	struct torc_deadline *deadline;
	struct torc_deadline_job job;
	struct torc_queue *queue;
	int ran = 0, begun;

	if (ok(torc_queue_new(&queue, NULL))) {
		{
			TORC_SCOPE(scope, .queue = queue);
			begun = ok(torc_go(scope, count_up, &ran));
			ck_assert_int_eq(torc_scope_join(scope), 0);
			ck_assert_int_eq(ran, begun);
		}
		ck_assert_int_eq(torc_queue_free(queue), 0);
	}
	if (ok(torc_deadline_new(&deadline, NULL))) {
		ck_assert_int_eq(torc_deadline_add(deadline, &job, 10, torc_in(FOREVER)), 0);
		torc_deadline_done(&job);
		ck_assert_int_eq(torc_deadline_free(deadline), 0);
	}
}

static void use_locals(void)
{
	static struct torc_local locals[20];
	bool set[20];

	for (int i = 0; i < 20; i++) {
		set[i] = ok(torc_local_set(&locals[i], &set[i]));
		for (int k = 0; k <= i; k++)
			ck_assert_ptr_eq(torc_local_get(&locals[k]), set[k] ? &set[k] : NULL);
	}
}

static void use_channels(void)
{
	int sent[100], count = 0, item;
	struct torc_chan *chan;

	if (!ok(torc_chan_new(&chan, sizeof(int), 0, TORC_OPTIONS(torc_chan_options, .unbounded = true))))
		return;
	for (int i = 0; i < 100; i++)
		if (ok(torc_chan_send(chan, &i)))
			sent[count++] = i;
	torc_chan_close(chan);
	for (int i = 0; i < count; i++) {
		ck_assert_int_eq(torc_chan_recv(chan, &item), 0);
		ck_assert_int_eq(item, sent[i]);
	}
	ck_assert_int_eq(torc_chan_recv(chan, &item), -EPIPE);
	torc_chan_free(chan);
	if (ok(torc_chan_new(&chan, sizeof(int), 10, NULL)))
		torc_chan_free(chan);
}

static void use_one_to_many(void)
{
	struct torc_broadcast *broadcast;
	struct torc_subscriber subscriber;
	struct torc_latest *latest;
	int item = 7, got = 0;

	if (ok(torc_broadcast_new(&broadcast, sizeof(int), 3, NULL))) {
		torc_subscriber_open(&subscriber, broadcast);
		ck_assert_int_eq(torc_broadcast_send(broadcast, &item), 0);
		ck_assert_int_eq(torc_subscriber_recv(&subscriber, &got), 0);
		ck_assert_int_eq(got, 7);
		torc_subscriber_close(&subscriber);
		torc_broadcast_free(broadcast);
	}
	if (ok(torc_latest_new(&latest, &item)))
		torc_latest_free(latest);
}

static void choose_among_many(void)
{
	struct torc_case cases[200];
	int chosen;

	for (size_t i = 0; i < LENGTH(cases); i++)
		cases[i] = torc_case_deadline(torc_in(i == 123 ? TORC_MS : FOREVER));
	chosen = torc_choose(cases, LENGTH(cases));
	if (ok(chosen))
		ck_assert_int_eq(chosen, 123);
}

static int five(void *arg)
{
	return *(int *)arg;
}

static void use_other_threads(void)
{
	struct torc_remote *remote;
	int value = 5, r;

	for (int i = 0; i < 2; i++) {
		r = torc_blocking(five, &value);
		if (ok(r))
			ck_assert_int_eq(r, 5);
		r = torc_on(0, five, &value);
		if (ok(r))
			ck_assert_int_eq(r, 5);
	}
	if (ok(torc_remote_new(&remote)))
		torc_remote_free(remote);
}

static void use_lanes_and_buffers(void)
{
	struct torc_buffer buffer = { 0 };
	struct torc_lane *lane;
	int item = 7, got;

	if (ok(torc_lane_new(&lane, sizeof(int), 4, TORC_OPTIONS(torc_lane_options, .senders = TORC_MANY_CORES)))) {
		if (ok(torc_lane_send(lane, &item))) {
			ck_assert_int_eq(torc_lane_recv(lane, &got), 0);
			ck_assert_int_eq(got, 7);
		}
		torc_lane_free(lane);
	}
	(void)ok(torc_buffer_open(&buffer, 10000));
	torc_buffer_close(&buffer);
}

static void use_sockets(void)
{
	struct torc_stream client = { 0 }, server = { 0 };
	struct torc_listener listener = { 0 };
	char text[TORC_ADDR_TEXT], byte = 'x';
	struct torc_addr addr;

	if (!ok(torc_tcp_listen(&listener, "127.0.0.1:0", NULL)))
		return;
	ck_assert_int_eq(torc_listener_addr(&listener, &addr), 0);
	ck_assert_int_gt(torc_addr_format(&addr, text, sizeof text), 0);
	if (ok(torc_tcp_connect(&client, text)) && ok(torc_listener_accept(&listener, &server))) {
		ck_assert_int_eq(torc_stream_write(&client, &byte, 1), 1);
		byte = 0;
		ck_assert_int_eq(torc_stream_read(&server, &byte, 1), 1);
		ck_assert_int_eq(byte, 'x');
	}
	torc_stream_close(&client);
	torc_stream_close(&server);
	torc_listener_close(&listener);
}

static int use_the_core(void *arg)
{
	(void)arg;
	spawn_many();
	use_queues();
	use_locals();
	use_channels();
	use_one_to_many();
	choose_among_many();
	use_other_threads();
	use_lanes_and_buffers();
	use_sockets();
	return 0;
}

/* --- files ----------------------------------------------------------------------------------- */

enum { FILE_SIZE = 300000 };
static struct scratch scratch;

static void read_and_write_through(struct torc_file *file)
{
	static unsigned char bytes[FILE_SIZE];
	struct torc_file_reader reader;
	struct torc_file_writer writer;
	struct torc_file copy = { 0 };
	int r;

	if (ok(torc_file_reader_open(&reader, file, NULL))) {
		r = torc_file_reader_read_exact(&reader, bytes, FILE_SIZE);
		if (ok(r)) {
			ck_assert_int_eq(r, FILE_SIZE);
			ck_assert(pattern_holds(bytes, FILE_SIZE, 0));
		}
		torc_file_reader_close(&reader);
	}
	if (!ok(torc_file_open(&copy, SCRATCH_FOLDER,
	                       TORC_OPTIONS(torc_file_options, .flags = O_RDWR, .temporary = true))))
		return;
	if (ok(torc_file_writer_open(&writer, &copy, NULL))) {
		r = torc_file_writer_write(&writer, bytes, FILE_SIZE);
		(void)ok(r);
		(void)ok(torc_file_writer_close(&writer));
	}
	torc_file_close(&copy);
}

static void read_many(struct torc_file *file)
{
	struct torc_range ranges[50];
	struct torc_read_result result;
	struct torc_read_many many;
	int count = 0;

	for (size_t i = 0; i < LENGTH(ranges); i++)
		ranges[i] = (struct torc_range){ i * 5000, 1000 + i };
	if (!ok(torc_read_many_open(&many, file, ranges, LENGTH(ranges), NULL)))
		return;
	while (torc_read_many_next(&many, &result) == 1) {
		if (ok(result.error)) {
			ck_assert_uint_eq(result.len, ranges[count].len);
			ck_assert(pattern_holds(result.data, result.len, ranges[count].offset));
		}
		count++;
	}
	ck_assert_int_eq(count, (int)LENGTH(ranges));
	torc_read_many_close(&many);
}

static void read_immutable(void)
{
	struct torc_immutable file = { 0 };
	struct torc_buffer bytes = { 0 };
	unsigned char copy[1000];

	if (!ok(torc_immutable_open(&file, scratch.path, NULL)))
		return;
	if (ok((int)torc_immutable_read(&file, &bytes, 5000, 7000)))
		ck_assert(pattern_holds(bytes.data, 5000, 7000));
	torc_buffer_close(&bytes);
	if (ok((int)torc_immutable_read_at(&file, copy, sizeof copy, 9)))
		ck_assert(pattern_holds(copy, sizeof copy, 9));
	torc_immutable_close(&file);
}

static void use_directories(void)
{
	struct torc_walk_entry entry;
	struct torc_dir_entry name;
	struct torc_dir dir = { 0 };
	struct torc_walk walk = { 0 };
	int r;

	if (ok(torc_dir_open(&dir, NULL, "/proc/self/fdinfo"))) {
		while ((r = torc_dir_read(&dir, &name)) == 1)
			;
		(void)ok(r);
		torc_dir_close(&dir);
	}
	if (ok(torc_walk_open(&walk, NULL, "/proc/self/ns", NULL))) {
		while ((r = torc_walk_next(&walk, &entry)) == 1)
			;
		(void)ok(r);
		torc_walk_close(&walk);
	}
}

static const char *inside(const char *name)
{
	static char path[100];

	snprintf(path, sizeof path, "%s.d/%s", scratch.path, name);
	return path;
}

/* The old contents or the new, as the call says; and nothing beside. */
static void replace_it(void)
{
	char found[10];
	struct torc_dir_entry entry;
	struct torc_dir dir;
	int fd, n, entries = 0;
	bool done;

	if (!ok(torc_file_replace(inside("file"), "old", 3, NULL)))
		return;
	done = ok(torc_file_replace(inside("file"), "newer", 5, NULL));
	fd = open(inside("file"), O_RDONLY | O_CLOEXEC);
	n = (int)read(fd, found, sizeof found);
	close(fd);
	ck_assert(done ? n == 5 && memcmp(found, "newer", 5) == 0 : n == 3 && memcmp(found, "old", 3) == 0);
	if (!ok(torc_dir_open(&dir, NULL, inside(""))))
		return;
	while ((n = torc_dir_read(&dir, &entry)) == 1)
		entries++;
	ck_assert(!ok(n) || entries == 2);
	torc_dir_close(&dir);
}

static void write_immutable(void)
{
	static const char bytes[50000] = "x";
	struct torc_immutable_sink sink = { 0 };
	struct torc_immutable file = { 0 };

	if (ok(torc_immutable_create(&sink, inside("segment"), NULL))) {
		if (ok(torc_immutable_write(&sink, bytes, sizeof bytes)) && ok(torc_immutable_seal(&sink, &file)))
			ck_assert_uint_eq(torc_immutable_size(&file), sizeof bytes);
		torc_immutable_abandon(&sink);
		torc_immutable_close(&file);
	} else {
		ck_assert_int_eq(access(inside("segment"), F_OK), -1);
	}
}

static void make_names_and_remove_them(void)
{
	char command[200];

	if (ok(torc_dir_create(NULL, inside("a/b"), TORC_OPTIONS(torc_dir_options, .parents = true)))) {
		replace_it();
		write_immutable();
	}
	if (ok(torc_dir_remove_tree(NULL, inside(""))))
		ck_assert_int_eq(access(inside(""), F_OK), -1);
	snprintf(command, sizeof command, "rm -rf %s.d", scratch.path);
	ck_assert_int_eq(system(command), 0);
}

static int read_files(void *arg)
{
	struct torc_file file = { 0 };

	(void)arg;
	for (int direct = 0; direct < 2; direct++) {
		if (!ok(torc_file_open(&file, scratch.path, TORC_OPTIONS(torc_file_options, .direct = direct))))
			continue;
		read_and_write_through(&file);
		read_many(&file);
		torc_file_close(&file);
	}
	read_immutable();
	use_directories();
	return 0;
}

static int use_files(void *arg)
{
	make_names_and_remove_them();
	return read_files(arg);
}

/* --- what is no file ------------------------------------------------------------------------- */

static void use_pipes_and_lines(void)
{
	struct torc_stream reader = { 0 }, writer = { 0 };
	struct torc_lines lines;
	struct torc_line line;

	if (!ok(torc_pipe(&reader, &writer)))
		return;
	ck_assert_int_eq(torc_stream_write(&writer, "a line\n", 7), 7);
	if (ok(torc_lines_open(&lines, &reader, NULL))) {
		ck_assert_int_eq(torc_lines_next(&lines, &line), 1);
		ck_assert_str_eq(line.text, "a line");
		torc_lines_close(&lines);
	}
	torc_stream_close(&reader);
	torc_stream_close(&writer);
}

static int fail_once(void *arg)
{
	return ++*(int *)arg == 1 ? -EIO : 0;
}

static void use_supervision(void)
{
	int runs = 0;
	struct torc_child child = { .fn = fail_once, .arg = &runs, .restart = TORC_TRANSIENT };
	int r = torc_supervise(&child, 1, NULL);

	if (ok(r))
		ck_assert_int_eq(r, 0);
}

static void use_meshes(void)
{
	struct torc_mesh *mesh;
	int item = 7, got;

	if (!ok(torc_mesh_new(&mesh, sizeof(int), 4)))
		return;
	if (ok(torc_mesh_send(mesh, 0, &item)) && ok(torc_mesh_recv(mesh, &got)))
		ck_assert_int_eq(got, 7);
	torc_mesh_free(mesh);
}

static int use_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int use_the_rest(void *arg)
{
	static const char *const argv[] = { "true", NULL };
	struct torc_shared_event event = { 0 };
	struct torc_signals signals = { 0 };
	struct torc_watch watch = { 0 };
	int r;

	(void)arg;
	use_pipes_and_lines();
	use_supervision();
	use_meshes();
	if (ok(torc_signals_open(&signals, SIGUSR1)))
		torc_signals_close(&signals);
	if (ok(torc_watch_open(&watch))) {
		(void)ok(torc_watch_add(&watch, "/tmp", IN_CREATE));
		torc_watch_close(&watch);
	}
	r = torc_process_run(argv, NULL);
	if (ok(r))
		ck_assert_int_eq(r, 0);
	torc_shared_event_set(&event);
	ck_assert_int_eq(torc_shared_event_wait(&event), 0);
	return 0;
}

static int use_other_cores(void *arg)
{
	int value = 5;

	(void)arg;
	for (unsigned core = 0; core < torc_core_count(); core++) {
		int r = torc_on(core, five, &value);

		if (ok(r))
			ck_assert_int_eq(r, 5);
		(void)ok(torc_post_sized(core, use_nothing, NULL, 0));
	}
	use_other_threads();
	return 0;
}

/* --- all of them ----------------------------------------------------------------------------- */

static int one_core(torc_fn *fn)
{
	return torc_run(NULL, fn, NULL);
}

static int two_cores(torc_fn *fn)
{
	return torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), fn, NULL);
}

static int fenced_and_watched_cores(torc_fn *fn)
{
	return torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 4, .placement = TORC_FENCED,
	                                   .stop_on_signals = true,
	                                   .run = TORC_OPTIONS(torc_run_options, .stall_limit = AGES)),
	                      fn, NULL);
}

/* Returns how many there are. */
static long each_fails(int (*run)(torc_fn *), torc_fn *fn, bool for_good)
{
	long count;
	int r;

	if (!REPLACED)
		SKIP("malloc is the tool's");
#if REPLACED
	dl_iterate_phdr(find_code, NULL);
#endif
	for (int i = 0; i < 3; i++) /* what libc keeps for good */
		ck_assert_int_eq(run(fn), 0);
	for (count = 0; faults.failed > 0 || count == 0; count++) { /* ends when fn allocates less often than that */
		long blocks = faults.blocks;

		faults.failed = 0;
		faults.for_good = for_good;
		__atomic_store_n(&faults.left, count + 1, __ATOMIC_RELAXED);
		r = run(fn);
		__atomic_store_n(&faults.left, 0, __ATOMIC_RELAXED);
		ck_assert_msg(r == 0 || (r == -ENOMEM && faults.failed > 0), "allocation %ld: %d", count, r);
		ck_assert_msg(faults.blocks == blocks, "allocation %ld: %ld blocks are left", count,
		              faults.blocks - blocks);
	}
	return count;
}

#define EACH_FAILS(name, run, fn)                                 \
	TEST_TIMEOUT(one_allocation_##name, 60)                   \
	{                                                         \
		ck_assert_int_gt(each_fails(run, fn, false), 10); \
	}                                                         \
	TEST_TIMEOUT(all_allocations_from_one_on_##name, 60)      \
	{                                                         \
		ck_assert_int_gt(each_fails(run, fn, true), 10);  \
	}

EACH_FAILS(on_one_core, one_core, use_the_core)
EACH_FAILS(on_two_cores, two_cores, use_the_core)
EACH_FAILS(on_cores_with_all_that_stands_beside_them, fenced_and_watched_cores, use_other_cores)
EACH_FAILS(for_the_rest, one_core, use_the_rest)

static long files(bool for_good)
{
	long count;

	scratch_make(&scratch, FILE_SIZE);
	count = each_fails(one_core, use_files, for_good);
	scratch_remove(&scratch);
	return count;
}

TEST_TIMEOUT(one_allocation_for_files, 60)
{
	ck_assert_int_gt(files(false), 20);
}

TEST_TIMEOUT(all_allocations_from_one_on_for_files, 60)
{
	ck_assert_int_gt(files(true), 20);
}

/* --- descriptors ----------------------------------------------------------------------------- */

/* With so many and no more, from none on: each call says -EMFILE or does with fewer, until there are enough. */
static void descriptors_run_out(torc_fn *fn)
{
	struct rlimit old, few;
	int spare, r;

#ifdef TORC_VALGRIND
	SKIP("valgrind keeps RLIMIT_NOFILE to itself: the kernel does not learn of it");
#endif
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(torc_run(NULL, fn, NULL), 0);
	getrlimit(RLIMIT_NOFILE, &old);
	faults.few_descriptors = true;
	for (spare = 0; spare == 0 || faults.failed > 0; spare++) { /* ends when there are enough */
		int free_fd = dup(STDERR_FILENO);

		ck_assert_int_eq(close(free_fd), 0);
		few = old;
		few.rlim_cur = (rlim_t)(free_fd + spare);
		faults.failed = 0;
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
		r = torc_run(NULL, fn, NULL);
		setrlimit(RLIMIT_NOFILE, &old);
		ck_assert_msg(r == 0 || r == -EMFILE, "with %d descriptors: %d", spare, r);
		faults.failed += r < 0;
	}
	ck_assert_int_gt(spare, 2);
}

TEST(without_descriptors_the_core)
{
	descriptors_run_out(use_the_core);
}

TEST(without_descriptors_files)
{
	scratch_make(&scratch, FILE_SIZE);
	descriptors_run_out(read_files);
	scratch_remove(&scratch);
}

TEST(without_descriptors_the_rest)
{
	descriptors_run_out(use_the_rest);
}
