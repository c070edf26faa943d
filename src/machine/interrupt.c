#include "machine/interrupt.h"

#include <errno.h>
#include <execinfo.h>
#include <ucontext.h>
#include <unistd.h>

enum { SIGNAL = SIGURG, FRAMES_MOST = 80 };

static interrupt_fn *callee;
static struct sigaction before;
static char token; /* its address marks signals that are ours */

static void pass_on(int signal, siginfo_t *info, void *context)
{
	if (before.sa_flags & SA_SIGINFO)
		before.sa_sigaction(signal, info, context);
	else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
		before.sa_handler(signal);
}

static void handle(int signal, siginfo_t *info, void *context)
{
	int saved = errno;
	interrupt_fn *fn = __atomic_load_n(&callee, __ATOMIC_ACQUIRE);

	if (info->si_code != SI_QUEUE || info->si_value.sival_ptr != &token)
		pass_on(signal, info, context);
	else if (fn)
		fn(context);
	errno = saved;
}

void interrupt_open(interrupt_fn *fn)
{
	struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
	void *frame;

	(void)backtrace(&frame, 1); /* loads its library, which is nothing for a signal handler to do */
	__atomic_store_n(&callee, fn, __ATOMIC_RELEASE);
	sigemptyset(&action.sa_mask);
	sigaction(SIGNAL, &action, &before);
}

void interrupt_close(void)
{
	struct sigaction current;

	sigaction(SIGNAL, NULL, &current);
	/* If somebody put another one in its place it stays; that one may call ours, which then does nothing. */
	if ((current.sa_flags & SA_SIGINFO) && current.sa_sigaction == handle)
		sigaction(SIGNAL, &before, NULL);
	__atomic_store_n(&callee, NULL, __ATOMIC_RELEASE);
}

void interrupt_admit(sigset_t *mask)
{
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &ours, mask);
}

void interrupt_refuse(const sigset_t *mask)
{
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, SIGNAL);
	if (sigismember(mask, SIGNAL))
		pthread_sigmask(SIG_BLOCK, &ours, NULL);
}

void interrupt_send(struct thread thread)
{
	(void)pthread_sigqueue(thread.id, SIGNAL,
	                       (union sigval){ .sival_ptr = &token }); /* EAGAIN: no answer will come */
}

static const void *place(const void *context)
{
	const ucontext_t *ucontext = context;

#if defined(__x86_64__)
	return (const void *)(uintptr_t)ucontext->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (const void *)(uintptr_t)ucontext->uc_mcontext.pc;
#endif
}

unsigned interrupt_backtrace(const void *context, void **frames, unsigned most)
{
	void *all[FRAMES_MOST];
	unsigned count = (unsigned)backtrace(all, FRAMES_MOST), first = 0, n = 0;

	/* The innermost are this handler's own. (TSan calls handlers later: then there is no such place.) */
	while (first < count && all[first] != place(context))
		first++;
	if (first == count)
		first = 0;
	while (first < count && n < most)
		frames[n++] = all[first++];
	return n;
}

void interrupt_print(void *const *frames, unsigned count)
{
	backtrace_symbols_fd(frames, (int)count, STDERR_FILENO);
}
