/* torc-iobench as users run it: its table, its JSON, its pictures, its errors; what it made is gone afterwards. */
#include "../api/faultfs.h"
#include "example.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

static char program[] = "../torc-iobench", quiet[] = "--quiet", small[] = "--size=4m", brief[] = "--time=0.2";
static char home[64];

static void begin(void)
{
	if (!example_exists(program))
		SKIP("torc-iobench is not built");
	strcpy(home, "/var/tmp/torc-test-XXXXXX");
	if (!mkdtemp(home)) {
		strcpy(home, "/tmp/torc-test-XXXXXX");
		ck_assert_ptr_nonnull(mkdtemp(home));
	}
}

static void end(void)
{
	ck_assert_msg(rmdir(home) == 0, "something is left in %s: %s", home, strerror(errno));
}

static const char *in_home(const char *name)
{
	static char path[100];

	snprintf(path, sizeof path, "%s/%s", home, name);
	return path;
}

static int run(struct example *example, char *const argv[])
{
	example_start(example, argv);
	return example_end(example);
}

/* The number that follows a name in a report. */
static double figure(const char *report, const char *name)
{
	const char *at = strstr(report, name);

	ck_assert_msg(at != NULL, "no %s in: %s", name, report);
	return strtod(at + strlen(name), NULL);
}

static void works(char *mode, char *more)
{
	char json[] = "--json=-";
	struct example example;

	ck_assert_int_eq(run(&example, (char *[]){ program, quiet, small, brief, json, mode, home, more, NULL }), 0);
	ck_assert_double_gt(figure(example.text, "\"requests\": "), 0);
	ck_assert_double_ge(figure(example.text, "\"p99.99\": "), figure(example.text, "\"p50\": "));
	ck_assert_double_ge(figure(example.text, "\"most\": "), figure(example.text, "\"p99.99\": "));
	ck_assert_double_ge(figure(example.text, "\"p50\": "), figure(example.text, "\"least\": "));
}

TEST(every_mode_works)
{
	begin();
	works("--mode=randread", NULL);
	works("--mode=read", "--cores=2");
	works("--mode=randwrite", "--dsync");
	works("--mode=write", "--buffered");
	works("--mode=randread", "--block=64k");
	works("--mode=randread", "--depth=1");
	end();
}

TEST(the_table_has_every_percentile)
{
	static const char *const words[] = { "randread, 4096 bytes, depth 32, 1 core",
		                             "requests/s",
		                             "MB/s",
		                             "of CPU a request",
		                             "p50 ",
		                             "p75 ",
		                             "p90 ",
		                             "p95 ",
		                             "p99 ",
		                             "p99.9 ",
		                             "p99.99 " };
	struct example example;

	begin();
	ck_assert_int_eq(run(&example, (char *[]){ program, quiet, small, brief, home, NULL }), 0);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		ck_assert_msg(strstr(example.text, words[i]) != NULL, "no %s in: %s", words[i], example.text);
	end();
}

TEST(it_ends_when_so_much_is_moved)
{
	struct example example;

	begin();
	ck_assert_int_eq(run(&example, (char *[]){ program, quiet, small, "--time=1000", "--bytes=400k", "--json=-",
	                                           home, NULL }),
	                 0);
	ck_assert_double_eq(figure(example.text, "\"requests\": "), 100);
	ck_assert_double_eq(figure(example.text, "\"bytes\": "), 409600);
	end();
}

/* What a file begins with; "": it is not there. */
static void head_of(const char *path, char *head, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t len = file ? fread(head, 1, size - 1, file) : 0;

	head[len] = 0;
	if (file)
		fclose(file);
	unlink(path);
}

TEST(pictures_are_drawn)
{
	static const char *const names[] = { "a.svg", "a.png" }, *const begins[] = { "<?xml", "\x89PNG" };
	struct example example;
	char option[120], head[10];

	begin();
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* fontconfig, below cairo, keeps what it has read */
	for (int i = 0; i < 2; i++) {
		snprintf(option, sizeof option, "--picture=%s", in_home(names[i]));
		if (run(&example, (char *[]){ program, quiet, small, brief, option, home, NULL }) != 0) {
			end();
			SKIP("built without cairo");
		}
		head_of(in_home(names[i]), head, sizeof head);
		ck_assert_msg(strncmp(head, begins[i], strlen(begins[i])) == 0, "%s begins with %s", names[i], head);
	}
	end();
}

TEST(it_measures_what_a_model_wants_to_know)
{
	struct example example;
	unsigned long long values[4];
	unsigned major, minor;

	begin();
	/* On a busy machine it may take longer to do anything at all. */
	if (run(&example, (char *[]){ program, quiet, small, "--time=0.4", "--measure", home, NULL }) != 0)
		ck_assert_int_eq(
			run(&example, (char *[]){ program, quiet, small, "--time=8", "--measure", home, NULL }), 0);
	ck_assert_int_eq(sscanf(example.text, "TORC_DEVICE=\"%u:%u=%llu,%llu,%llu,%llu\"", &major, &minor, &values[0],
	                        &values[1], &values[2], &values[3]),
	                 6);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_gt(values[i], 0);
	end();
}

TEST(what_makes_no_sense_is_refused)
{
	static char *const senseless[] = { "--depth=0",       "--depth=many", "--block=0",  "--block=5x",
		                           "--mode=delete",   "--time=-1",    "--cores=0",  "--size=1k",
		                           "--picture=a.gif", "--cores=1000", "--nonsense", "--bytes=",
		                           "--time=1e99",     "--block=4g" };
	struct example example;

	begin();
	for (size_t i = 0; i < sizeof senseless / sizeof *senseless; i++)
		ck_assert_msg(run(&example, (char *[]){ program, quiet, small, senseless[i], home, NULL }) == 2, "%s",
		              senseless[i]);
	ck_assert_int_eq(run(&example, (char *[]){ program, NULL }), 2);
	ck_assert_int_eq(run(&example, (char *[]){ program, home, home, NULL }), 2);
	ck_assert_int_eq(run(&example, (char *[]){ program, "--help", NULL }), 0);
	ck_assert_ptr_nonnull(strstr(example.text, "usage: torc-iobench"));
	ck_assert_int_eq(run(&example, (char *[]){ program, quiet, "/nonexistent/file", NULL }), 1);
	ck_assert_int_eq(run(&example, (char *[]){ program, quiet, "/dev/null", NULL }), 1);
	ck_assert_int_eq(run(&example, (char *[]){ program, quiet, small, brief, "--block=1000", home, NULL }), 1);
	ck_assert_int_eq(run(&example, (char *[]){ program, quiet, small, brief, "--json=/nonexistent/a", home, NULL }),
	                 1);
	end();
}

/* Memory for so many blocks there is none, and nothing to measure in so small a file. */
TEST(what_cannot_be_is_refused_before_it_begins)
{
	struct example example;

	begin();
	ck_assert_int_eq(
		run(&example, (char *[]){ program, quiet, small, brief, "--measure", "--size=64k", home, NULL }), 2);
	ck_assert_int_eq(run(&example, (char *[]){ program, quiet, small, brief, "--depth=4096", "--block=1g",
	                                           "--size=1g", home, NULL }),
	                 2);
	end();
}

/* tmpfs with huge pages says 2 MiB, network file systems 1. */
TEST(blocks_may_be_large)
{
	begin();
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", home, "tmpfs", 0, "size=64m,huge=always") < 0) {
		end();
		SKIP("needs to be root, and huge pages in tmpfs");
	}
	works("--mode=randread", NULL);
	ck_assert_int_eq(umount2(home, MNT_DETACH), 0);
	end();
}

TEST(a_table_that_could_not_be_written_is_told)
{
	static char *const kinds[] = { "--json=-", "--mode=read", "--measure" };
	char path[4096], command[9000];

	begin();
	example_path(path, sizeof path, program);
	for (int i = 0; i < 3; i++) {
		snprintf(command, sizeof command, "%s %s %s --time=1 %s %s >/dev/full", path, quiet, small, kinds[i],
		         home);
		ck_assert_msg(WEXITSTATUS(system(command)) == 1, "%s", command);
	}
	end();
}

TEST(no_file_of_yours_is_overwritten_unasked)
{
	char block[8192] = { 0 }, after[8192];
	struct example example;
	FILE *file;

	begin();
	memset(block, 'x', sizeof block);
	file = fopen(in_home("mine"), "we");
	ck_assert_ptr_nonnull(file);
	fwrite(block, 1, sizeof block, file);
	fclose(file);
	ck_assert_int_eq(
		run(&example, (char *[]){ program, quiet, brief, "--mode=write", (char *)in_home("mine"), NULL }), 1);
	ck_assert_int_eq(
		run(&example, (char *[]){ program, quiet, brief, "--mode=read", (char *)in_home("mine"), NULL }), 0);
	file = fopen(in_home("mine"), "re");
	ck_assert_uint_eq(fread(after, 1, sizeof after, file), sizeof after);
	fclose(file);
	ck_assert_mem_eq(block, after, sizeof block);
	ck_assert_int_eq(run(&example, (char *[]){ program, quiet, brief, "--mode=write", "--overwrite",
	                                           (char *)in_home("mine"), NULL }),
	                 0);
	unlink(in_home("mine"));
	end();
}

/* Whatever it does just then: filling its file, reading it, or going from the one to the other. */
static void nothing_is_left_after(int signal, useconds_t delay)
{
	struct example example;
	int status;

	begin();
	example_start(&example, (char *[]){ program, quiet, small, "--time=1000", home, NULL });
	example_await_handler(&example, SIGINT);
	usleep(delay);
	ck_assert_int_eq(kill(example.pid, signal), 0);
	ck_assert_int_eq(waitpid(example.pid, &status, 0), example.pid);
	ck_assert_msg(WIFSIGNALED(status) ? WTERMSIG(status) == signal : WEXITSTATUS(status) == 1, "%x", status);
	close(example.out);
	close(example.err);
	end();
}

TEST(a_signal_ends_it_and_its_file_goes)
{
	for (int i = 0; i < 8; i++) {
		nothing_is_left_after(SIGINT, (useconds_t)i * 40000);
		nothing_is_left_after(SIGKILL, (useconds_t)i * 40000);
	}
}

/* A sync can't be called back: the file is made in spite of the signal, and that is where it ends. */
TEST(a_signal_while_the_file_is_synced_ends_it)
{
	struct example example;

	if (!example_exists(program))
		SKIP("torc-iobench is not built");
	faultfs_begin();
	faultfs("hold fsync");
	example_start(&example, (char *[]){ program, quiet, small, "--time=1000", files_home, NULL });
	while (faultfs_count("held") == 0)
		usleep(1000);
	ck_assert_int_eq(kill(example.pid, SIGINT), 0);
	while (faultfs_count("interrupted") == 0) /* it has come to the cores */
		usleep(1000);
	faultfs("release");
	ck_assert_int_eq(example_end(&example), 1);
	faultfs_end();
}
