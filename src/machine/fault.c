#include "machine/fault.h"

#include "machine/forked.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

enum { ALTERNATE_STACK = 64 * 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static fault_explain_fn *explainer; /* set once, before the handler is there */
static struct sigaction before[2];  /* SIGSEGV, SIGBUS */

static void handle(int signal, siginfo_t *info, void *context)
{
	const struct sigaction *old = &before[signal == SIGBUS];
	const bool sent = info->si_code <= 0; /* by somebody: there is no address, and nothing would fault again */

	if (!sent)
		explainer(info->si_addr);
	else if (old->sa_handler == SIG_IGN)
		return; /* as a fault can't be */
	if (old->sa_flags & SA_SIGINFO) {
		old->sa_sigaction(signal, info, context);
	} else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
		old->sa_handler(signal);
	} else {
		/* Back to the default: the same instruction faults again and ends the process. */
		struct sigaction standard = { .sa_handler = SIG_DFL };

		sigaction(signal, &standard, NULL);
		if (sent)
			raise(signal);
	}
}

static void forget_lock(void)
{
	pthread_mutex_init(&lock, NULL);
}

static void install_once(fault_explain_fn *explain)
{
	struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	static bool watched;

	forked_call(&watched, forget_lock);
	pthread_mutex_lock(&lock);
	if (!explainer) {
		explainer = explain;
		sigemptyset(&action.sa_mask);
		sigaction(SIGSEGV, &action, &before[0]);
		sigaction(SIGBUS, &action, &before[1]);
	}
	pthread_mutex_unlock(&lock);
}

void fault_watch(struct fault_stack *stack, fault_explain_fn *explain)
{
	stack_t current;

	install_once(explain);
	stack->memory = NULL;
	if (sigaltstack(NULL, &current) < 0 || !(current.ss_flags & SS_DISABLE))
		return; /* the program, or a sanitizer, has one already */
	stack->memory =
		mmap(NULL, ALTERNATE_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack->memory == MAP_FAILED) {
		stack->memory = NULL;
		return;
	}
	current = (stack_t){ .ss_sp = stack->memory, .ss_size = ALTERNATE_STACK };
	sigaltstack(&current, NULL);
}

void fault_unwatch(struct fault_stack *stack)
{
	stack_t none = { .ss_flags = SS_DISABLE }, current;

	if (!stack->memory)
		return;
	if (sigaltstack(NULL, &current) == 0 && current.ss_sp == stack->memory) /* else it is the program's, by now */
		sigaltstack(&none, NULL);
	munmap(stack->memory, ALTERNATE_STACK);
	stack->memory = NULL;
}
