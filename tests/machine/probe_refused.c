/* probe_refused.c - descriptors or memory that are missing while the kernel is asked are no answer: the features that it
 * has are found the next time. Some functions that probing uses stand here in place of the libraries' own. */
#include "machine/probe.h"

#include "harness.h"

#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From which call on they fail, and in what. */
static int failing, error, calls;

static bool fails(void)
{
	return ++calls >= failing;
}

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
	static int (*init)(unsigned, struct io_uring *, struct io_uring_params *);

	if (!init)
		*(void **)&init = dlsym(RTLD_NEXT, "io_uring_queue_init_params");
	return fails() ? error : init(entries, ring, params);
}

int pipe2(int ends[2], int flags)
{
	if (fails()) {
		errno = -error;
		return -1;
	}
	return (int)syscall(SYS_pipe2, ends, flags);
}

static void each_call_fails(int with)
{
	int r;

	error = with;
	for (failing = 1;; failing++) { /* ends when probing makes fewer calls */
		calls = 0;
		r = probe_once();
		if (r == -ENOSYS || r == -EPERM)
			SKIP("no io_uring here");
		if (calls < failing)
			break;
		ck_assert_msg(r == error, "call %d failed, and probing returned %d", failing, r);
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_gt(failing, 3);
}

TEST(without_descriptors_nothing_is_found_out)
{
	each_call_fails(-EMFILE);
}

TEST(nor_without_memory)
{
	each_call_fails(-ENOMEM);
}
