/* file_closed - a handle is closed, and used for another file, while somebody is in the midst of a call on it: a call of
 * several steps ends with -EBADF, and touches neither the old handle nor the new file. */
#include "files.h"

enum { ROUNDS = 200 };

/* --- what is opened on a file that closes ------------------------------------------------------ */

struct opening {
	struct torc_file file;
	struct torc_file_reader reader;
	struct torc_read_many many;
	struct torc_range range;
	bool bulk;
	int opened, got;
};

static int open_and_read(void *arg)
{
	struct opening *opening = arg;
	struct torc_read_result result;
	char byte;

	if (opening->bulk) {
		opening->opened = torc_read_many_open(&opening->many, &opening->file, &opening->range, 1, NULL);
		torc_yield();
		opening->got = torc_read_many_next(&opening->many, &result);
	} else {
		opening->opened = torc_file_reader_open(&opening->reader, &opening->file, NULL);
		torc_yield();
		opening->got = torc_file_reader_read(&opening->reader, &byte, 1);
	}
	return 0;
}

static void close_while_it_opens(struct opening *opening, int yields)
{
	static const struct torc_file nothing;

	ck_assert_int_eq(torc_file_open(&opening->file, files_path("a"), BUFFERED), 0);
	opening->range = (struct torc_range){ 0, 1 };
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, open_and_read, opening), 0);
	for (int i = 0; i < yields; i++)
		torc_yield();
	ck_assert_int_eq(torc_file_close(&opening->file), 0);
	memset(&opening->file, 0, sizeof opening->file);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	/* Whoever still thinks that he is on the list of those who use it has written into it now. */
	ck_assert_int_eq(torc_file_reader_close(&opening->reader), 0);
	ck_assert_int_eq(torc_read_many_close(&opening->many), 0);
	ck_assert_mem_eq(&opening->file, &nothing, sizeof nothing);
}

static void open_on_a_closing_file(bool bulk)
{
	files_make("a", 100000);
	for (int i = 0; i < COUNT(ROUNDS, 20); i++) {
		struct opening opening = { .bulk = bulk };

		close_while_it_opens(&opening, 1 + i % 4);
		ck_assert_msg(opening.opened == 0 || opening.opened == -EBADF, "%d", opening.opened);
		ck_assert_msg(opening.got == 1 || opening.got == -EBADF, "%d", opening.got);
	}
}

FILE_TEST_TIMEOUT(a_reader_is_opened_on_a_closing_file, 60)
{
	open_on_a_closing_file(false);
}

FILE_TEST_TIMEOUT(a_bulk_read_is_opened_on_a_closing_file, 60)
{
	open_on_a_closing_file(true);
}

/* --- copies and locks -------------------------------------------------------------------------- */

struct call {
	struct torc_file *file, *other;
	int64_t result;
};

static int copy_over(void *arg)
{
	struct call *call = arg;

	call->result = torc_file_copy(call->other, 0, call->file, 0, 1000);
	return 0;
}

/* A FIFO, which the kernel does not copy: read and written here, and reading parks until somebody has written. */
FILE_TEST(a_copy_ends_with_either_of_its_files)
{
	for (int end = 0; end < 2; end++) {
		struct torc_file from, to, *closed = end ? &from : &to;
		struct call call = { &from, &to, UNSET };
		int writer;

		unlink(files_path("fifo"));
		ck_assert_int_eq(mkfifo(files_path("fifo"), 0600), 0);
		writer = open(files_path("fifo"), O_RDWR | O_CLOEXEC);
		ck_assert_int_ge(writer, 0);
		files_make("to", 0);
		files_make("another", 0);
		ck_assert_int_eq(torc_file_open(&from, files_path("fifo"), NULL), 0);
		ck_assert_int_eq(torc_file_open(&to, files_path("to"), BUFFERED), 0);
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, copy_over, &call), 0);
		ck_assert_int_eq(torc_sleep(SOON), 0);
		ck_assert_int_eq(torc_file_close(closed), 0);
		ck_assert_int_eq(torc_file_open(closed, files_path("another"), BUFFERED), 0);
		ck_assert_int_eq(write(writer, "abc", 3), 3);
		torc_scope_cancel(scope); /* if it went on to read */
		(void)!torc_scope_join(scope);
		ck_assert_int_eq(call.result, -EBADF);
		ck_assert_int_eq(files_size(files_path("another")), 0);
		ck_assert_int_eq(files_size(files_path("to")), 0);
		ck_assert_int_eq(torc_file_close(&from), 0);
		ck_assert_int_eq(torc_file_close(&to), 0);
		ck_assert_int_eq(close(writer), 0);
	}
}

static int lock_it(void *arg)
{
	struct call *call = arg;

	call->result = torc_file_lock(call->file, TORC_LOCK_EXCLUSIVE, 0, 0);
	return 0;
}

FILE_TEST(a_lock_is_not_waited_for_on_a_closed_file)
{
	struct torc_file holder, file, other;
	struct call call = { &file, NULL, UNSET };

	files_make("another", 10);
	ck_assert_int_eq(torc_file_open(&holder, files_make("a", 10), BUFFERED), 0);
	ck_assert_int_eq(torc_file_open(&file, files_path("a"), BUFFERED), 0);
	ck_assert_int_eq(torc_file_lock(&holder, TORC_LOCK_EXCLUSIVE, 0, 0), 0);
	{
		TORC_SCOPE(scope);
		ck_assert_int_eq(torc_go(scope, lock_it, &call), 0);
		ck_assert_int_eq(torc_sleep(SOON), 0);
		ck_assert_int_eq(torc_file_close(&file), 0);
		ck_assert_int_eq(torc_file_open(&file, files_path("another"), BUFFERED), 0);
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	ck_assert_int_eq(call.result, -EBADF);
	ck_assert_int_eq(torc_file_open(&other, files_path("another"), BUFFERED), 0);
	ck_assert_int_eq(torc_file_lock_try(&other, TORC_LOCK_EXCLUSIVE, 0, 0), 0);
	ck_assert_int_eq(torc_file_close(&other), 0);
	ck_assert_int_eq(torc_file_close(&file), 0);
	ck_assert_int_eq(torc_file_close(&holder), 0);
}
