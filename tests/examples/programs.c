/* The examples that end by themselves: what each prints, to the letter. */
#include "example.h"

#include <stdbool.h>

static void prints(char *const argv[], const char *text)
{
	struct example example;

	example_start(&example, argv);
	ck_assert_int_eq(example_end(&example), 0);
	ck_assert_str_eq(example.text, text);
}

/* The same for one that counts on getting the processor within some 30 ms, which a busy machine may deny it. */
static void prints_as_a_rule(char *const argv[], const char *text)
{
	for (int attempt = 0; attempt < 20; attempt++) {
		struct example example;

		example_start(&example, argv);
		if (example_end(&example) == 0 && strcmp(example.text, text) == 0)
			return;
	}
	prints(argv, text);
}

TEST(hello_takes_turns)
{
	prints((char *[]){ "01_hello", NULL }, "tick 1\ntock 1\ntick 2\ntock 2\ntick 3\ntock 3\n");
}

TEST(sync_fills_once_limits_and_closes)
{
	prints((char *[]){ "14_sync", NULL }, "filled 1 times, 3 requests at once at most, 0 now\n"
	                                      "the next user is refused: yes\n");
}

TEST(timeout_tells_deadlines_from_cancels)
{
	prints((char *[]){ "03_timeout", NULL }, "a read that nobody answers:        Timer expired\n"
	                                         "inner scope, outer's deadline:     Timer expired\n"
	                                         "outer scope, next call:            Timer expired\n"
	                                         "outer scope, after a cancel:       Operation canceled\n"
	                                         "another fiber's read:              Operation canceled\n"
	                                         "join of a cancelled scope:         Operation canceled\n"
	                                         "the same stream, out of all scopes: done\n");
}

TEST(hedge_asks_again_and_cancels_the_loser)
{
	prints_as_a_rule((char *[]){ "04_hedge", NULL }, "hedge: 42, by replica 1\n"
	                                                 "replica 0 was abandoned\n"
	                                                 "replica 1 answered\n");
}

TEST(hedge_asks_once_where_the_answer_comes_soon)
{
	prints_as_a_rule((char *[]){ "04_hedge", "0", "0", NULL }, "hedge: 42, by replica 0\n"
	                                                           "replica 0 answered\n"
	                                                           "replica 1 was not asked\n");
}

TEST(hedge_gives_up_in_time)
{
	struct example example;

	example_start(&example, (char *[]){ "04_hedge", "60000", "60000", NULL });
	ck_assert_int_eq(example_end(&example), 1);
	ck_assert_str_eq(example.text, "hedge: Timer expired\n"
	                               "replica 0 was abandoned\n"
	                               "replica 1 was abandoned\n");
}

TEST(async_hears_of_each_file)
{
	prints((char *[]){ "06_async", NULL }, "new: one\nnew: two\nnew: stop\n");
}

TEST(async_watches_what_it_is_told)
{
	char directory[] = "/tmp/torc-test-XXXXXX", path[64];
	struct example example;
	bool over;
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	example_start(&example, (char *[]){ "06_async", directory, NULL });
	snprintf(path, sizeof path, "%s/stop", directory);
	do { /* ends: sooner or later it watches */
		siginfo_t ended = { 0 };

		ck_assert_int_ge(fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), 0);
		close(fd);
		ck_assert_int_eq(unlink(path), 0);
		usleep(10000);
		ck_assert_int_eq(waitid(P_PID, (id_t)example.pid, &ended, WEXITED | WNOHANG | WNOWAIT), 0);
		over = ended.si_pid == example.pid;
	} while (!over);
	ck_assert_int_eq(example_end(&example), 0);
	ck_assert_str_eq(example.text, "new: stop\n");
	ck_assert_int_eq(rmdir(directory), 0);
}

TEST(cleanup_rolls_back)
{
	prints_as_a_rule((char *[]){ "07_cleanup", NULL }, "give fails: Operation canceled; the stream is still ours\n"
	                                                   "give succeeds; the stream is gone\n"
	                                                   "database: BEGIN...\n"
	                                                   "database: SLOW....\n"
	                                                   "transfer: Timer expired\n"
	                                                   "transfer: rollback: refused, for the same reason\n"
	                                                   "database: ROLLBACK\n"
	                                                   "transfer: rollback in a shield: done\n"
	                                                   "outcome: Timer expired\n"
	                                                   "database: the client has left\n");
}

TEST(limit_holds)
{
	prints((char *[]){ "08_limit", NULL }, "100 jobs, 10 at once at most, outcome: Input/output error\n"
	                                       "took at least 10 rounds of 2 ms: yes\n"
	                                       "fibers begun: 101, alive now: 1\n");
	prints((char *[]){ "08_limit", "5", "1", NULL }, "5 jobs, 1 at once at most, outcome: Success\n"
	                                                 "took at least 5 rounds of 2 ms: yes\n"
	                                                 "fibers begun: 6, alive now: 1\n");
}

/* With these bytes as its stdin. */
static void filters(char *const argv[], const char *input, const char *text)
{
	int ends[2], saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
	struct example example;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(write(ends[1], input, strlen(input)), (int)strlen(input));
	close(ends[1]);
	dup2(ends[0], STDIN_FILENO);
	close(ends[0]);
	example_start(&example, argv);
	close(STDIN_FILENO);
	if (saved >= 0) {
		dup2(saved, STDIN_FILENO);
		close(saved);
	}
	ck_assert_int_eq(example_end(&example), 0);
	ck_assert_str_eq(example.text, text);
}

TEST(lines_filters)
{
	filters((char *[]){ "17_lines", "b", NULL }, "a\nbb\n\nabc", "     2  bb\n     4  abc\n");
	filters((char *[]){ "17_lines", NULL }, "x\n\n", "     1  x\n     2  \n");
	filters((char *[]){ "17_lines", NULL }, "", "");
}

/* A line that was found is told before the next one is waited for, as whoever types expects. */
TEST(lines_come_as_they_are_found)
{
	int ends[2], saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
	struct example example;
	char text[16] = "";

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	dup2(ends[0], STDIN_FILENO);
	close(ends[0]);
	example_start(&example, (char *[]){ "17_lines", "b", NULL });
	close(STDIN_FILENO);
	if (saved >= 0) {
		dup2(saved, STDIN_FILENO);
		close(saved);
	}
	ck_assert_int_eq(write(ends[1], "a\nbb\n", 5), 5);
	ck_assert_int_eq(read(example.out, text, sizeof text), 11);
	ck_assert_str_eq(text, "     2  bb\n");
	close(ends[1]);
	ck_assert_int_eq(example_end(&example), 0);
	ck_assert_str_eq(example.text, "");
}

TEST(stream_numbers_lines)
{
	char from[] = "/tmp/torc-test-XXXXXX", to[64], text[4096];
	int fd = mkstemp(from);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "one\n\nthree", 10), 10);
	close(fd);
	snprintf(to, sizeof to, "%s-numbered", from);
	prints((char *[]){ "22_stream", from, to, NULL }, "3 lines, 34 bytes\n");
	fd = open(to, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	read_rest(fd, text, sizeof text);
	ck_assert_str_eq(text, "     1  one\n     2  \n     3  three");
	ck_assert_int_eq(unlink(from), 0);
	ck_assert_int_eq(unlink(to), 0);
}

TEST(read_many_merges_what_is_close)
{
	prints((char *[]){ "23_read_many", NULL }, "10000 records, 0 wrong, by 117 reads of 127 KiB each\n");
	prints((char *[]){ "23_read_many", "1023", NULL }, "10000 records, 0 wrong, by 10000 reads of 0 KiB each\n");
}

TEST(files_reads_what_it_wrote)
{
	char directory[] = "/var/tmp/torc-test-XXXXXX", path[64];

	if (!mkdtemp(directory))
		SKIP("no /var/tmp");
	snprintf(path, sizeof path, "%s/table", directory);
	prints((char *[]){ "20_files", path, NULL }, "1024 blocks written, 4096 read, 0 wrong\n");
	ck_assert_int_eq(rmdir(directory), 0);
}

TEST(replace_counts)
{
	char directory[] = "/tmp/torc-test-XXXXXX", path[64];

	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/counter", directory);
	prints((char *[]){ "21_replace", path, NULL }, "1\n");
	prints((char *[]){ "21_replace", path, NULL }, "2\n");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(directory), 0);
}

TEST(probe_names_features)
{
	struct example example;

	example_start(&example, (char *[]){ "../torc-probe", "--features", NULL });
	ck_assert_int_eq(example_end(&example), 0);
	ck_assert_ptr_nonnull(strstr(example.text, "defer_taskrun"));
	prints((char *[]){ "../torc-probe", "--help", NULL }, "usage: torc-probe [--features]\n");
}

TEST(probe_that_cannot_write_fails)
{
	char command[4200], path[4096];

	example_path(path, sizeof path, "../torc-probe");
	snprintf(command, sizeof command, "%s --features >/dev/full 2>/dev/null", path);
	ck_assert_int_eq(WEXITSTATUS(system(command)), 1);
}
