/* fault.c - a fault is explained, and then goes the way it would have gone. */
#include "machine/fault.h"

#include "harness.h"
#include "machine/faults.h"
#include "machine/sys.h"

#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct fault_stack stack;
static char *forbidden;
static char *volatile sp_in_handler;

static void explain(const void *address)
{
	char here;

	sp_in_handler = &here;
	sys_complain("explained: %s", address == forbidden ? "the page" : "something else");
}

static void touch(void)
{
	faults_expected();
	*(volatile char *)forbidden = 1;
}

static void watch(void)
{
	forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fault_watch(&stack, explain);
}

/* Sanitizers have handlers of their own: these tests begin without. */
static void no_handlers(void)
{
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
}

DEATH_BY(a_fault_is_explained_and_kills, SIGSEGV, "^explained: the page\n$")
{
	no_handlers();
	watch();
	touch();
}

#ifndef TORC_VALGRIND /* which gives no handler the stack that is there */
DEATH_BY(after_unwatch_it_kills_all_the_same, SIGSEGV, "explained")
{
	no_handlers();
	watch();
	fault_unwatch(&stack);
	touch();
}
#endif

DEATH_BY(a_signal_that_somebody_sent_kills_too, SIGSEGV, "^$")
{
	no_handlers();
	watch();
	raise(SIGSEGV);
	_exit(3);
}

TEST(a_signal_that_is_ignored_stays_so_if_somebody_sent_it)
{
	signal(SIGSEGV, SIG_IGN);
	watch();
	ck_assert_int_eq(raise(SIGSEGV), 0);
	munmap(forbidden, 4096);
	fault_unwatch(&stack);
}

DEATH_BY(but_a_fault_kills_though_it_is_ignored, SIGSEGV, "^explained: the page\n$")
{
	signal(SIGSEGV, SIG_IGN);
	watch();
	touch();
}

static void earlier(int signal)
{
	(void)signal;
	sys_complain("the earlier handler");
	abort();
}

DEATH(a_handler_that_was_there_before_is_called_afterwards, "explained: the page\nthe earlier handler")
{
	signal(SIGSEGV, earlier);
	watch();
	touch();
}

static sigjmp_buf back;

static void earlier_with_info(int signal, siginfo_t *info, void *context)
{
	if (signal == SIGSEGV && info->si_addr == forbidden && context)
		siglongjmp(back, 1);
	_exit(4);
}

TEST(an_earlier_handler_with_siginfo_gets_it_and_may_recover)
{
	struct sigaction action = { .sa_sigaction = earlier_with_info, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	volatile int times = 0;

	sigaction(SIGSEGV, &action, NULL);
	watch();
	if (sigsetjmp(back, 1) == 0 || times < 3) {
		times++;
		touch();
	}
	ck_assert_int_eq(times, 3);
	munmap(forbidden, 4096);
	fault_unwatch(&stack);
}

TEST(an_alternate_stack_of_the_programs_own_is_kept)
{
	static char memory[1 << 17];
	stack_t own = { .ss_sp = memory, .ss_size = sizeof memory }, old, now;
	struct sigaction action = { .sa_sigaction = earlier_with_info, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	ck_assert_int_eq(sigaltstack(&own, &old), 0);
	sigaction(SIGSEGV, &action, NULL);
	watch();
	sigaltstack(NULL, &now);
	ck_assert_ptr_eq(now.ss_sp, memory);
	ck_assert_ptr_null(stack.memory);
	if (sigsetjmp(back, 1) == 0)
		touch();
	ck_assert_ptr_nonnull(sp_in_handler);
	ck_assert(sp_in_handler > memory && sp_in_handler < memory + sizeof memory);
	fault_unwatch(&stack);
	sigaltstack(NULL, &now);
	ck_assert_ptr_eq(now.ss_sp, memory);
	munmap(forbidden, 4096);
	own.ss_flags = SS_DISABLE;
	sigaltstack(old.ss_flags & SS_DISABLE ? &own : &old, NULL);
}

TEST(an_alternate_stack_of_ours_comes_and_goes)
{
	stack_t none = { .ss_flags = SS_DISABLE }, old, now;

	sigaltstack(&none, &old);
	for (int i = 0; i < 100; i++) {
		fault_watch(&stack, explain);
		sigaltstack(NULL, &now);
		ck_assert(!(now.ss_flags & SS_DISABLE));
		ck_assert_ptr_eq(now.ss_sp, stack.memory);
		fault_unwatch(&stack);
		sigaltstack(NULL, &now);
		ck_assert(now.ss_flags & SS_DISABLE);
		fault_unwatch(&stack); /* twice: harmless */
	}
	if (!(old.ss_flags & SS_DISABLE))
		sigaltstack(&old, NULL);
}

TEST(nor_is_one_taken_away_that_the_program_sets_meanwhile)
{
	static char memory[1 << 17];
	stack_t own = { .ss_sp = memory, .ss_size = sizeof memory }, none = { .ss_flags = SS_DISABLE }, old, now;

	sigaltstack(&none, &old);
	fault_watch(&stack, explain);
	ck_assert_int_eq(sigaltstack(&own, NULL), 0);
	fault_unwatch(&stack);
	sigaltstack(NULL, &now);
	ck_assert_ptr_eq(now.ss_sp, memory);
	ck_assert(!(now.ss_flags & SS_DISABLE));
	sigaltstack(old.ss_flags & SS_DISABLE ? &none : &old, NULL);
}

TEST(watching_twice_does_not_call_ourselves)
{
	struct fault_stack second;
	struct sigaction action = { .sa_sigaction = earlier_with_info, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigaction(SIGSEGV, &action, NULL);
	watch();
	fault_watch(&second, explain);
	ck_assert_ptr_null(second.memory);
	if (sigsetjmp(back, 1) == 0)
		touch();
	fault_unwatch(&second);
	fault_unwatch(&stack);
	munmap(forbidden, 4096);
}
