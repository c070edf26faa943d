/* context - a suspended flow of control: where its stack, its frame and its code are. The switch is inline assembly that
 * declares every other register lost, so the compiler saves just what is alive where the switch stands (in a function of
 * its own: what the calling convention says, once), the indirect jump is predicted per place, and since the stack does
 * not move within it, the compiler's own CFI is right for a suspended context: unwind from sp, fp, ip.
 * x86_64 and aarch64. The floating-point control words and the signal mask are not switched: they are the thread's. */
#ifndef TORC_SRC_CONTEXT_H
#define TORC_SRC_CONTEXT_H

#include "base/panic.h"

struct context {
	void *sp, *fp, *ip;
};

void context_start(void); /* context.S: pops entry and arg */

/* Have the first switch to *context call entry(arg) with `top` (16-byte aligned) as its stack. entry never returns. */
static inline void context_make(struct context *context, void *top, void (*entry)(void *arg), void *arg)
{
	uintptr_t *sp = (uintptr_t *)top - 2;

	sp[0] = (uintptr_t)entry;
	sp[1] = (uintptr_t)arg;
	context->sp = sp;
	context->fp = NULL;
	context->ip = (void *)context_start;
}

#if defined(__x86_64__)

#define CONTEXT_LOST_INTEGERS "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory"
#define CONTEXT_LOST_FLOATS                                                                                        \
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
		"xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"
#ifdef __AVX512F__
#define CONTEXT_LOST_MORE                                                                                             \
	, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", \
		"xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define CONTEXT_LOST_MORE
#endif

/* Suspend into *from, resume *to. Returns when something switches back to *from. */
static inline __attribute__((always_inline)) void context_switch(struct context *from, const struct context *to)
{
	/* rdi, rsi and rax are outputs, since an input may not be a lost register as well. */
	void *scratch;

	__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
	                 "movq %%rsp, (%%rdi)\n\t"
	                 "movq %%rbp, 8(%%rdi)\n\t"
	                 "movq %%rax, 16(%%rdi)\n\t"
	                 "movq (%%rsi), %%rsp\n\t"
	                 "movq 8(%%rsi), %%rbp\n\t"
	                 "jmpq *16(%%rsi)\n"
	                 "1:"
	                 : "+D"(from), "+S"(to), "=&a"(scratch)
	                 :
	                 : CONTEXT_LOST_INTEGERS, CONTEXT_LOST_FLOATS CONTEXT_LOST_MORE);
}

/* Resume *to and never come back. */
static inline __attribute__((always_inline, noreturn)) void context_jump(const struct context *to)
{
	__asm__ volatile("movq (%%rsi), %%rsp\n\t"
	                 "movq 8(%%rsi), %%rbp\n\t"
	                 "jmpq *16(%%rsi)"
	                 :
	                 : "S"(to)
	                 : "memory");
	__builtin_unreachable();
}

#elif defined(__aarch64__)

#ifdef __ARM_FEATURE_SVE
#define CONTEXT_LOST_MORE \
	, "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", "p14", "p15"
#else
#define CONTEXT_LOST_MORE
#endif

static inline __attribute__((always_inline)) void context_switch(struct context *from, const struct context *to)
{
	register struct context *save __asm__("x0") = from;
	register const struct context *load __asm__("x1") = to;

	__asm__ volatile("adr x9, 1f\n\t"
	                 "mov x10, sp\n\t"
	                 "stp x10, x29, [x0]\n\t"
	                 "str x9, [x0, #16]\n\t"
	                 "ldp x10, x29, [x1]\n\t"
	                 "ldr x9, [x1, #16]\n\t"
	                 "mov sp, x10\n\t"
	                 "br x9\n"
	                 "1:\n\t"
	                 "hint #36" /* bti j */
	                 : "+r"(save), "+r"(load)
	                 :
	                 : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
	                   "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28",
	                   "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12",
	                   "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",
	                   "v26", "v27", "v28", "v29", "v30", "v31", "cc", "memory" CONTEXT_LOST_MORE);
}

static inline __attribute__((always_inline, noreturn)) void context_jump(const struct context *to)
{
	register const struct context *load __asm__("x1") = to;

	__asm__ volatile("ldp x10, x29, [x1]\n\t"
	                 "ldr x9, [x1, #16]\n\t"
	                 "mov sp, x10\n\t"
	                 "br x9"
	                 :
	                 : "r"(load)
	                 : "x9", "x10", "memory");
	__builtin_unreachable();
}

#else
#error "context.h knows x86_64 and aarch64"
#endif

#endif
