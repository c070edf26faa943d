/* A program that loads libtorc at run time, as a plug-in's needs, and unloads it: the handlers of SIGSEGV and SIGBUS that
 * torc_run had installed stayed, and pointed to where nothing was any more; the program's own were never called again. */
#include "harness.h"

#include <torc.h>

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int run_fn(const struct torc_run_options *options, torc_fn *fn, void *arg);

enum { ROOT = 7, OWN = 42 };

static int root(void *arg)
{
	(void)arg;
	return ROOT;
}

static void own_handler(int number)
{
	(void)number;
	_exit(OWN);
}

/* build/libtorc.so, from build/tests/. */
static void *load(void)
{
	char path[4200], self[4096];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);

	ck_assert_int_gt(len, 0);
	self[len] = 0;
	*strrchr(self, '/') = 0;
	snprintf(path, sizeof path, "%s/../libtorc.so", self);
	return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static _Noreturn void load_run_unload_fault(void)
{
	void *library = load();
	run_fn *run;

	signal(SIGSEGV, own_handler);
	if (!library)
		_exit(1);
	*(void **)&run = dlsym(library, "torc_run");
	if (!run || run(NULL, root, NULL) != ROOT || dlclose(library) != 0)
		_exit(2);
	raise(SIGSEGV);
	_exit(3);
}

TEST(a_programs_own_handler_is_called_when_the_library_was_unloaded)
{
	int status;
	pid_t pid;

	if (harness_slow())
		SKIP("the sanitizer handles SIGSEGV itself");
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		load_run_unload_fault();
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
	ck_assert_int_eq(WEXITSTATUS(status), OWN);
}
