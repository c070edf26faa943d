/* torc-cp: the copy is the tree, whatever is in it; what cannot be copied is told and the rest is. */
#include "../api/faultfs.h"
#include "example.h"

#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static char folder[64];

static const char *in_folder(const char *name)
{
	static char paths[8][128];
	static int next;

	next = (next + 1) % 8;
	snprintf(paths[next], sizeof *paths, "%s/%s", folder, name);
	return paths[next];
}

static void begin(void)
{
	strcpy(folder, "/var/tmp/torc-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...)
{
	char command[5000], inside[5100];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof command, format, args);
	va_end(args);
	snprintf(inside, sizeof inside, "cd %s && %s", folder, command);
	ck_assert_msg(system(inside) == 0, "%s", inside);
}

static void end(void)
{
	char command[256];

	snprintf(command, sizeof command, "chmod -R u+rwx %s && rm -rf %s", folder, folder);
	ck_assert_int_eq(system(command), 0);
}

/* Its exit status; what it says goes to stderr. */
#define CP(...) cp((const char *[]){ "../torc-cp", __VA_ARGS__, NULL })
static int cp(const char **argv)
{
	struct example example;

	example_start(&example, (char **)(uintptr_t)argv);
	return example_end(&example);
}

/* A tree with something of everything. */
static void make_tree(void)
{
	shell("mkdir -p tree/empty tree/a/b/c tree/many tree/closed");
	shell("for i in $(seq 400); do echo $i >tree/many/$i; done");
	shell("printf '' >tree/nothing; head -c 100000 /dev/urandom >tree/a/some; head -c 300001 /dev/urandom >tree/a/b/c/more");
	shell("head -c 9000001 /dev/urandom >tree/large; chmod 751 tree/large tree/a; chmod 4640 tree/a/some");
	shell("ln -s a/some tree/link; ln -s nowhere tree/dangling; ln -s a tree/to_folder; mkfifo tree/pipe");
	shell("echo x >'tree/a name\twith\nodd bytes'; echo y >tree/closed/file; chmod 555 tree/closed");
	shell("touch -d '2001-02-03 04:05:06.789' tree/large tree/a/b tree/many/7");
}

TEST_TIMEOUT(a_tree_is_copied, 60)
{
	begin();
	make_tree();
	ck_assert_int_eq(CP("-r", in_folder("tree"), in_folder("copy")), 0);
	shell("test -p copy/pipe && rm copy/pipe tree/pipe && diff -r --no-dereference tree copy");
	shell("test $(stat -c %%a copy/large) = 751 -a $(stat -c %%a copy/closed) = 555");
	/* Once more, into what is there, which changes nothing; and into a directory. */
	ck_assert_int_eq(CP("-r", in_folder("tree/a"), in_folder("copy")), 0);
	ck_assert_int_eq(
		CP("-r", "--verify", "-j", "1", in_folder("tree/a/"), in_folder("tree/many"), in_folder("copy/empty")),
		0);
	shell("diff -r tree/a copy/empty/a && diff -r tree/many copy/empty/many");
	end();
}

TEST_TIMEOUT(attributes_are_kept_if_told, 60)
{
	begin();
	make_tree();
	ck_assert_int_eq(CP("-r", "-p", in_folder("tree"), in_folder("copy")), 0);
	shell("(cd tree && find . -printf '%%p %%y %%m %%U %%G %%l %%T@\\n' | sort) >1;"
	      "(cd copy && find . -printf '%%p %%y %%m %%U %%G %%l %%T@\\n' | sort) >2; diff 1 2");
	end();
}

TEST_TIMEOUT(past_the_cache_it_is_the_same, 60)
{
	begin();
	make_tree();
	shell("rm tree/pipe; head -c 34000000 /dev/urandom >tree/larger; truncate -s 40000000 tree/larger");
	ck_assert_int_eq(CP("-r", "--direct", "--verify", in_folder("tree"), in_folder("copy")), 0);
	shell("diff -r --no-dereference tree copy");
	end();
}

/* Where a block is larger than what is usually read at a time: tmpfs with huge pages says 2 MiB, network file systems 1. */
TEST_TIMEOUT(past_the_cache_blocks_may_be_large, 60)
{
	begin();
	shell("mkdir to && head -c 9000001 /dev/urandom >large && echo x >small");
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", in_folder("to"), "tmpfs", 0, "size=64m,huge=always") < 0) {
		end();
		SKIP("needs to be root, and huge pages in tmpfs");
	}
	ck_assert_int_eq(CP("--direct", in_folder("large"), in_folder("small"), in_folder("to")), 0);
	ck_assert_int_eq(CP("--direct", in_folder("to/large"), in_folder("back")), 0);
	shell("cmp large to/large && cmp small to/small && cmp large back");
	ck_assert_int_eq(umount2(in_folder("to"), MNT_DETACH), 0);
	end();
}

TEST_TIMEOUT(holes_stay_holes, 60)
{
	struct stat st;

	begin();
	shell("truncate -s 200M sparse && printf x | dd of=sparse bs=1 seek=150000000 conv=notrunc status=none");
	shell("truncate -s 5M small && printf x | dd of=small bs=1 seek=3000000 conv=notrunc status=none");
	ck_assert_int_eq(CP(in_folder("sparse"), in_folder("copy")), 0);
	ck_assert_int_eq(CP(in_folder("small"), in_folder("copy2")), 0);
	shell("cmp sparse copy && cmp small copy2");
	ck_assert_int_eq(stat(in_folder("copy"), &st), 0);
	ck_assert_int_lt(st.st_blocks * 512, 1 << 20);
	ck_assert_int_eq(stat(in_folder("copy2"), &st), 0);
	ck_assert_int_lt(st.st_blocks * 512, 1 << 20);
	end();
}

/* Room that was allocated and not written reads as a hole; there may be room behind the end as well. */
TEST_TIMEOUT(room_without_data_is_part_of_the_file, 60)
{
	begin();
	shell("fallocate -l 40M room && head -c 1000000 /dev/urandom | dd of=room conv=notrunc status=none");
	shell("truncate -s 20M behind && head -c 9000001 /dev/urandom | dd of=behind conv=notrunc status=none");
	shell("fallocate -n -o 20M -l 40M behind");
	shell("fallocate -l 100k small && printf x | dd of=small conv=notrunc status=none");
	for (int direct = 0; direct < 2; direct++) {
		shell("mkdir to");
		ck_assert_int_eq(CP("-q", direct ? "--direct" : "-q", in_folder("room"), in_folder("behind"),
		                    in_folder("small"), in_folder("to")),
		                 0);
		shell("cmp room to/room && cmp behind to/behind && cmp small to/small && rm -r to");
	}
	end();
}

/* What sysfs says of a size is none: the copy ends where the bytes do. So it does if a file becomes shorter. */
TEST(what_says_that_it_is_longer_may_not_be)
{
	const char *source = "/sys/kernel/mm/transparent_hugepage/enabled";

	if (access(source, R_OK) < 0)
		SKIP("this kernel has no transparent huge pages, whose file this copies");
	begin();
	ck_assert_int_eq(CP(source, in_folder("to")), 0);
	ck_assert_int_eq(CP("--direct", source, in_folder("to2")), 0);
	shell("cat %s | cmp - to && cmp to to2", source);
	end();
}

/* Who copies what belongs to another must not make it run as himself. */
TEST(set_id_bits_go_with_their_owner_only)
{
	if (geteuid() != 0)
		SKIP("needs to be root, to have files of others");
	begin();
	shell("chmod 755 . && mkdir tree && printf x >tree/theirs && chown 1234:1234 tree/theirs && chmod 6755 tree/theirs");
	shell("printf x >tree/ours && chmod 6755 tree/ours && mkdir tree/in && chmod 3775 tree/in && mkfifo -m 646 tree/pipe");
	ck_assert_int_eq(CP(in_folder("tree/theirs"), in_folder("one")), 0);
	ck_assert_int_eq(CP("-r", in_folder("tree"), in_folder("plain")), 0);
	ck_assert_int_eq(CP("-r", "-p", in_folder("tree"), in_folder("kept")), 0);
	shell("test $(stat -c %%a one) = 755 -a $(stat -c %%a plain/theirs) = 755 -a $(stat -c %%a plain/ours) = 755");
	shell("test $(stat -c %%a%%u kept/theirs) = 67551234 -a $(stat -c %%a kept/ours) = 6755");
	shell("test $(stat -c %%a kept/in) = 3775 -a $(stat -c %%a kept/pipe) = 646");
	end();
}

/* The same for who may not give files away. */
TEST(without_the_owner_there_are_no_set_id_bits)
{
	char path[4096];

	if (geteuid() != 0 || access("/usr/bin/setpriv", X_OK) < 0)
		SKIP("needs to be root and setpriv(1)");
	begin();
	example_path(path, sizeof path, "../torc-cp");
	shell("chmod 777 . && printf x >theirs && chmod 6755 theirs && mkdir in && chmod 6755 in");
	shell("cp %s ./torc-cp-here && cp $(dirname %s)/libtorc.so.0 . && chmod 755 torc-cp-here", path, path);
	shell("export LD_LIBRARY_PATH=.; setpriv --reuid=1234 --clear-groups ./torc-cp-here -p theirs file");
	shell("export LD_LIBRARY_PATH=.; setpriv --reuid=1234 --clear-groups ./torc-cp-here -r -p in folder");
	shell("test $(stat -c %%a file) = 755 -a $(stat -c %%a folder) = 755");
	end();
}

/* acl(5) as the kernel has it: whose, which permissions. rw-r-----, and for user 1234 rw-. */
static const struct {
	uint32_t version;
	struct {
		uint16_t tag, perm;
		uint32_t id;
	} entries[5];
} acl = { 2, { { 1, 6, -1U }, { 2, 6, 1234 }, { 4, 4, -1U }, { 16, 6, -1U }, { 32, 0, -1U } } };

static const char access_acl[] = "system.posix_acl_access", default_acl[] = "system.posix_acl_default";

static void attribute_set(const char *path, const char *name, const void *value, size_t len)
{
	if (setxattr(in_folder(path), name, value, len, 0) < 0) {
		ck_assert_int_eq(errno, ENOTSUP);
		end();
		SKIP("this file system has no attributes or no ACLs");
	}
}

/* Has it exactly this one? len 0: it has none. */
static bool attribute_is(const char *path, const char *name, const void *value, size_t len)
{
	char found[1000];
	ssize_t n = getxattr(in_folder(path), name, found, sizeof found);

	return len > 0 ? n == (ssize_t)len && memcmp(found, value, len) == 0 : n < 0 && errno == ENODATA;
}

TEST(extended_attributes_are_kept_if_told)
{
	begin();
	shell("mkdir -p tree/in to; echo x >tree/file; echo x >tree/plain; chmod 640 tree/plain; chmod 700 tree/in");
	shell("head -c 9000001 /dev/zero >tree/large; ln -s file tree/link; mkfifo tree/pipe; echo old >to/old");
	attribute_set("tree/file", "user.a", "some", 4);
	attribute_set("tree/file", "user.empty", "", 0);
	attribute_set("tree/file", access_acl, &acl, sizeof acl);
	attribute_set("tree/large", "user.a", "other", 5);
	attribute_set("tree/in", "user.a", "folder", 6);
	attribute_set("tree/in", default_acl, &acl, sizeof acl);
	attribute_set("to", default_acl, &acl, sizeof acl); /* what is made in it has an ACL */
	attribute_set("to/old", access_acl, &acl, sizeof acl);
	ck_assert_int_eq(CP("-r", "-X", in_folder("tree"), in_folder("to")), 0);
	ck_assert(attribute_is("to/tree/file", "user.a", "some", 4));
	ck_assert_int_eq(getxattr(in_folder("to/tree/file"), "user.empty", NULL, 0), 0);
	ck_assert(attribute_is("to/tree/file", access_acl, &acl, sizeof acl));
	ck_assert(attribute_is("to/tree/large", "user.a", "other", 5));
	ck_assert(attribute_is("to/tree/in", "user.a", "folder", 6));
	ck_assert(attribute_is("to/tree/in", default_acl, &acl, sizeof acl));
	ck_assert(attribute_is("to/tree/plain", access_acl, NULL, 0));
	ck_assert(attribute_is("to/tree", default_acl, NULL, 0));
	shell("test $(stat -c %%a to/tree/file) = 660 -a $(stat -c %%a to/tree/plain) = 640");
	shell("test $(stat -c %%a to/tree/in) = 700 -a $(stat -c %%Y to/tree/in) = $(stat -c %%Y tree/in)");
	ck_assert_int_eq(CP("-X", in_folder("tree/plain"), in_folder("to/old")), 0);
	ck_assert(attribute_is("to/old", access_acl, NULL, 0));
	ck_assert_int_eq(CP("-p", in_folder("tree/large"), in_folder("large")), 0); /* that is another wish */
	ck_assert(attribute_is("large", "user.a", NULL, 0));
	end();
}

/* By who owns it, and may not write to it. */
TEST(attributes_of_a_file_for_reading_are_kept)
{
	char path[4096];

	if (geteuid() != 0 || access("/usr/bin/setpriv", X_OK) < 0)
		SKIP("needs to be root and setpriv(1)");
	begin();
	example_path(path, sizeof path, "../torc-cp");
	shell("chmod 777 . && printf x >file");
	attribute_set("file", "user.a", "some", 4);
	attribute_set("file", "trusted.a", "not his", 7);
	shell("chown 1234 file && chmod 444 file && cp %s ./torc-cp-here && cp $(dirname %s)/libtorc.so.0 .", path,
	      path);
	shell("export LD_LIBRARY_PATH=.; chmod 755 torc-cp-here; setpriv --reuid=1234 --clear-groups ./torc-cp-here -X file to");
	ck_assert(attribute_is("to", "user.a", "some", 4));
	ck_assert(attribute_is("to", "trusted.a", NULL, 0));
	shell("test $(stat -c %%a to) = 444");
	end();
}

TEST(a_link_does_not_replace_what_it_leads_to)
{
	begin();
	shell("echo x >file; ln -s file link; ln -s nowhere dangling; mkdir in; ln -s ../file in/file; ln link same");
	ck_assert_int_eq(CP("-r", in_folder("link"), in_folder("file")), 1);
	ck_assert_int_eq(CP("-r", in_folder("in"), in_folder("file"), folder), 1);
	ck_assert_int_eq(CP("-r", in_folder("link"), in_folder("link")), 1);
	ck_assert_int_eq(CP("-r", in_folder("link"), in_folder("same")), 1);
	ck_assert_int_eq(CP("-r", in_folder("in/file"), in_folder("file")), 1);
	ck_assert_int_eq(CP("-r", in_folder("dangling"), in_folder("link")), 0); /* another: replaced */
	shell("test $(cat file) = x -a ! -L file -a $(readlink link) = nowhere -a $(readlink same) = file");
	end();
}

TEST(a_directory_replaces_nothing)
{
	begin();
	shell("mkdir -p tree/empty tree/full to/tree; echo x >tree/full/x; echo y >to/tree/empty; echo y >to/tree/full");
	shell("chmod 640 to/tree/empty");
	ck_assert_int_eq(CP("-r", "-p", in_folder("tree"), in_folder("to")), 1);
	shell("test $(cat to/tree/empty) = y -a $(cat to/tree/full) = y -a $(stat -c %%a to/tree/empty) = 640");
	end();
}

/* As with cp(1): a tree does not go where some link in the destination leads. */
TEST(a_directory_is_not_copied_through_a_link)
{
	begin();
	shell("mkdir -p tree/in to/tree to2 away; echo x >tree/in/x; ln -s ../../away to/tree/in; ln -s ../away to2/tree");
	ck_assert_int_eq(CP("-r", in_folder("tree"), in_folder("to")), 1);
	ck_assert_int_eq(CP("-r", in_folder("tree"), in_folder("to2")), 1);
	shell("test -z \"$(ls away)\" && ln -s away to3");
	ck_assert_int_eq(CP("-r", in_folder("tree"), in_folder("to3")), 0); /* this one is the user's word */
	ck_assert_int_eq(CP("-r", in_folder("tree/."), in_folder("to3")), 0);
	shell("test $(cat away/tree/in/x) = x -a $(cat away/in/x) = x");
	end();
}

TEST(a_pipe_may_be_there_already)
{
	begin();
	shell("mkdir tree && mkfifo tree/pipe && echo x >tree/other && mkdir -p to/tree && echo y >to/tree/other");
	ck_assert_int_eq(CP("-r", in_folder("tree"), in_folder("to")), 0);
	ck_assert_int_eq(CP("-r", in_folder("tree"), in_folder("to")), 0);
	shell("test -p to/tree/pipe && rm to/tree/pipe && echo y >to/tree/pipe");
	ck_assert_int_eq(CP("-r", in_folder("tree"), in_folder("to")), 1);
	shell("test $(cat to/tree/pipe) = y");
	end();
}

/* Not into the directory above DESTINATION. */
TEST(the_directory_above_is_copied_into_the_destination)
{
	begin();
	shell("mkdir -p a/b/c to/there && echo x >a/b/x");
	ck_assert_int_eq(CP("-r", in_folder("a/b/c/.."), in_folder("to/there")), 0);
	shell("test $(cat to/there/x) = x -a ! -e to/x");
	ck_assert_int_eq(CP("-r", in_folder("a"), ""), 1);
	end();
}

/* As in a library of music: few descriptors are enough for many directories with large files in each. */
TEST_TIMEOUT(few_descriptors_are_enough, 120)
{
	struct rlimit limit;

	begin();
	shell("mkdir tree && cd tree && for i in $(seq 16); do for j in $(seq 16); do echo $i/$j; done; done >../list &&"
	      "xargs mkdir -p <../list && sed 's,.*,&/1\\n&/2\\n&/3,' ../list | xargs truncate -s 9M");
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max = 256;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(CP("-r", in_folder("tree"), in_folder("to")), 0);
	shell("test $(find to -type f -size 9M | wc -l) = 768");
	ck_assert_int_eq(CP("-r", "--direct", in_folder("tree/1"), in_folder("to2")), 0);
	end();
}

/* --- what is left of what was not finished ------------------------------------------------------- */

/* Start it, wait until a file has something, and send a signal. */
static void interrupt_cp(const char **argv, const char *path, int signal)
{
	struct example example;
	struct stat st;
	int status;

	example_start(&example, (char **)(uintptr_t)argv);
	while (stat(path, &st) < 0 || st.st_blocks == 0)
		usleep(100);
	ck_assert_int_eq(kill(example.pid, signal), 0);
	ck_assert_int_eq(waitpid(example.pid, &status, 0), example.pid);
	if (status != 0) /* else it was quicker */
		ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == signal, "status %x", status);
	close(example.out);
	close(example.err);
}

/* Opening a pipe that nobody writes to does not return. */
TEST_TIMEOUT(a_signal_ends_it_whatever_it_waits_for, 60)
{
	struct example example;
	int status;

	begin();
	shell("mkfifo pipe");
	example_start(&example, (char *[]){ "../torc-cp", (char *)(uintptr_t)in_folder("pipe"),
	                                    (char *)(uintptr_t)in_folder("to"), NULL });
	usleep(200000);
	ck_assert_int_eq(kill(example.pid, SIGTERM), 0);
	ck_assert_int_eq(waitpid(example.pid, &status, 0), example.pid);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "status %x", status);
	close(example.out);
	close(example.err);
	end();
}

/* Larger than what is copied while a signal is on its way. */
TEST_TIMEOUT(who_is_interrupted_leaves_no_half_file, 120)
{
	const char *modes[] = { "-q", "--direct" };

	begin();
	shell("head -c 150000000 /dev/zero >large; mkdir tree; head -c 120000000 /dev/zero >tree/large");
	for (int i = 0; i < 2; i++) {
		const char *one[] = { "../torc-cp", modes[i], in_folder("large"), in_folder("to"), NULL };

		interrupt_cp(one, in_folder("to"), i ? SIGTERM : SIGINT);
		shell("test ! -e to -o \"$(stat -c %%s to 2>/dev/null)\" = 150000000 -a \"$(cmp large to 2>&1)\" = ''");
		shell("rm -f to; echo old >to");
		interrupt_cp(one, in_folder("to"), SIGINT); /* what was there is gone, and nothing half is there */
		shell("test ! -s to || cmp -s large to || test $(cat to) = old; rm -f to");
	}
	const char *tree[] = { "../torc-cp", "-q", "-r", in_folder("tree"), in_folder("copy"), NULL };
	interrupt_cp(tree, in_folder("copy/large"), SIGHUP);
	shell("test ! -e copy/large || cmp -s tree/large copy/large");
	end();
}

TEST(what_is_there_is_replaced)
{
	begin();
	shell("echo new >from; echo 'old and longer' >to; mkdir in");
	ck_assert_int_eq(CP(in_folder("from"), in_folder("to")), 0);
	ck_assert_int_eq(CP(in_folder("from"), in_folder("to"), in_folder("in")), 0);
	shell("cmp from to && cmp from in/from && cmp to in/to");
	end();
}

TEST(what_says_that_it_is_empty_may_not_be)
{
	begin();
	ck_assert_int_eq(CP("/proc/self/status", in_folder("to")), 0);
	shell("grep -q torc-cp to");
	end();
}

/* A file that is another each time it is read. */
TEST(verify_finds_what_differs)
{
	const char *source = "/proc/sys/kernel/random/uuid";

	if (access(source, R_OK) < 0)
		SKIP("there is no /proc/sys/kernel/random/uuid");
	begin();
	ck_assert_int_eq(CP(source, in_folder("to")), 0);
	ck_assert_int_eq(CP("--verify", source, in_folder("to")), 1);
	end();
}

/* Of two files of one name only one would be there. */
TEST(what_was_just_copied_is_not_replaced)
{
	begin();
	shell("mkdir -p a/tree b/tree to; echo 1 >a/file; echo 2 >b/file; echo 1 >a/tree/x; echo 2 >b/tree/y; echo old >to/file");
	ck_assert_int_eq(CP(in_folder("a/file"), in_folder("b/file"), in_folder("to")), 1);
	shell("test $(cat to/file) = 1");
	ck_assert_int_eq(CP("-r", in_folder("a/tree/"), in_folder("b/tree"), in_folder("to")), 1);
	shell("test -e to/tree/x -a ! -e to/tree/y");
	end();
}

TEST(nonsense_is_refused)
{
	begin();
	shell("mkdir -p tree/inner; echo x >tree/file; echo y >file; ln file same");
	ck_assert_int_eq(CP("-r", in_folder("tree"), in_folder("tree/inner")), 1);
	ck_assert_int_eq(CP("-r", in_folder("tree"), in_folder("tree/new")), 1);
	ck_assert_int_eq(CP("-r", in_folder("tree"), in_folder("tree")), 1);
	shell("test -z \"$(ls tree/inner)\" -a ! -e tree/new -a ! -e tree/tree");
	ck_assert_int_eq(CP(in_folder("tree"), in_folder("x")), 1);
	ck_assert_int_eq(CP(in_folder("file"), in_folder("same")), 1);
	ck_assert_int_eq(CP(in_folder("file"), in_folder("file")), 1);
	ck_assert_int_eq(CP(in_folder("file"), in_folder("same"), in_folder("nowhere")), 1);
	ck_assert_int_eq(CP("-r", in_folder("tree"), in_folder("file")), 1);
	shell("test $(cat file) = y -a $(cat same) = y");
	ck_assert_int_eq(CP("-j", "0", "a", "b"), 2);
	ck_assert_int_eq(CP("--nonsense", "a", "b"), 2);
	ck_assert_int_eq(CP("a"), 2);
	ck_assert_int_eq(CP("--help"), 0);
	end();
}

TEST(one_failure_does_not_stop_the_rest)
{
	begin();
	shell("mkdir tree to; for i in 1 2 3 4 5; do echo $i >tree/$i; done; mkdir -p to/tree/3");
	ck_assert_int_eq(CP("-r", in_folder("tree"), in_folder("nope"), in_folder("to")), 1);
	shell("rmdir to/tree/3 && rm tree/3 && diff -r tree to/tree");
	end();
}

TEST_TIMEOUT(a_terminal_gets_a_bar, 60)
{
	char path[4096];

	if (access("/usr/bin/script", X_OK) < 0)
		SKIP("script(1) is not there");
	begin();
	example_path(path, sizeof path, "../torc-cp");
	shell("head -c 1000000 /dev/urandom >from");
	shell("script -qec '%s from to' /dev/null </dev/null >out", path);
	shell("cmp from to && grep -q '####.* 100%%  1 files' out");
	shell("script -qec '%s -q from to' /dev/null </dev/null >out && test ! -s out", path);
	end();
}

/* More than the user may write: told, and the exit status says so. */
TEST(a_full_device_is_told)
{
	begin();
	shell("head -c 20000000 /dev/urandom >large; head -c 200000 /dev/urandom >small");
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 100000, RLIM_INFINITY }), 0);
	ck_assert_int_eq(CP(in_folder("large"), in_folder("large2")), 1);
	ck_assert_int_eq(CP(in_folder("small"), in_folder("small2")), 1);
	shell("test ! -e large2 -a ! -e small2"); /* nothing that looks whole */
	shell("echo old >small2");
	ck_assert_int_eq(CP(in_folder("small"), in_folder("small2")), 1);
	shell("test -e small2 -a ! -s small2");
	end();
}

/* What a quota or a network tells only when the file is closed, too. */
TEST_TIMEOUT(a_copy_that_the_device_refuses_is_removed, 60)
{
	static const char *const faults[] = { "create", "write", "flush" };
	static const char *const sources[] = { "some", "large" };

	faultfs_begin();
	begin();
	shell("head -c 100000 /dev/urandom >some; head -c 9000001 /dev/urandom >large");
	for (size_t i = 0; i < 2 * LENGTH(faults) * LENGTH(sources); i++) {
		const char *source = in_folder(sources[i / 2 % 2]), *copy = files_path("copy"), *fault = faults[i / 4];
		bool direct = i % 2;

		ck_assert_int_eq(CP(direct ? "--direct" : "-q", source, copy), 0);
		shell("cmp %s %s", source, copy);
		faultfs("fail %s %d", fault, EDQUOT);
		if (strcmp(fault, "create") != 0) { /* one that is there is emptied */
			ck_assert_int_eq(CP(direct ? "--direct" : "-q", source, copy), 1);
			ck_assert_int_eq(files_size(copy), 0);
		}
		ck_assert_int_eq(unlink(copy), 0);
		ck_assert_int_eq(CP(direct ? "--direct" : "-q", source, copy), 1);
		ck_assert_msg(files_size(copy) == -ENOENT, "%s, %s: it is there", source, fault);
		faultfs("fail %s 0", fault);
	}
	end();
	faultfs_end();
}
