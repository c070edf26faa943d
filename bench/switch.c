/*
 * switch: what is the least that a switch from one stack to another can cost?
 * A ring of contexts, each of which does nothing but switch to the next one; the program's own
 * stack is one of them and counts the rounds, so that the others count nothing.
 *
 *   call/ret    out of line, six pushes and pops, ended with `ret`
 *   call/jmp    the same, ended with `pop` + `jmp`
 *   inline/jmp  no call: the compiler is told that everything is clobbered and saves what it needs;
 *               only stack pointer, frame pointer and resume address are stored
 *   inline/six  no call: six pushes and pops inline, then `jmp`
 *
 * The return predictor is what sets them apart. `ret` pairs with the call that the *previous*
 * context made, so it is right when both came from one place (as in a runtime whose only blocking
 * place is one function) and wrong when not; `call` ended with `jmp` leaves one entry too many, so
 * that every return above it is predicted wrongly. Hence the patterns below.
 *
 * torc's is of the third kind: 7 instructions (tests/counts/instructions.c counts them).
 *
 * x86_64 only. Needs: libtorc's internals.
 */
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "machine/context.h"

#include "bench.h"

#ifndef __x86_64__
int main(void)
{
	printf("switch: x86_64 only\n");
	return 0;
}
#else

#define STRIDE   65536u
#define PAGE     4096u
#define LINE     64u
#define COLOURS  48u /* of the 64 lines in a page; the rest is for the frames */
#define SWITCHES 500000u
#define ROUNDS   21u

struct strand {
	union {
		struct {
			void *sp;
			void *ip; /* ip and fp: for the inline switches only */
			void *fp;
		};
		struct context torc; /* for torc's switch only */
	};
	void (*body)(struct strand *self, uint64_t rounds);
	struct strand *next;
};

_Static_assert(offsetof(struct strand, ip) == 8, "known to the assembly");
_Static_assert(offsetof(struct strand, fp) == 16, "known to the assembly");
_Static_assert(offsetof(struct strand, body) == 24, "known to the assembly");
_Static_assert(sizeof(struct strand) <= LINE, "one line at the top of its stack");

void switch_call_ret(struct strand *from, struct strand *to);
void switch_call_jmp(struct strand *from, struct strand *to);
void switch_entry(void);

#define PUSH_SIX "push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
#define POP_SIX  "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n"

__asm__(".text\n"
        ".p2align 6\n"
        ".globl switch_call_ret\n"
        ".type switch_call_ret, @function\n"
        "switch_call_ret:\n" PUSH_SIX "mov %rsp, (%rdi)\n"
        "mov (%rsi), %rsp\n" POP_SIX "ret\n"
        ".size switch_call_ret, .-switch_call_ret\n"
        ".p2align 6\n"
        ".globl switch_call_jmp\n"
        ".type switch_call_jmp, @function\n"
        "switch_call_jmp:\n" PUSH_SIX "mov %rsp, (%rdi)\n"
        "mov (%rsi), %rsp\n" POP_SIX "pop %rcx\n"
        "jmp *%rcx\n"
        ".size switch_call_jmp, .-switch_call_jmp\n"
        /* where a new context begins; every switch leaves `to` in rsi */
        ".p2align 6\n"
        ".globl switch_entry\n"
        ".type switch_entry, @function\n"
        "switch_entry:\n"
        "mov %rsi, %rdi\n"
        "mov $-1, %rsi\n"
        "call *24(%rdi)\n"
        "ud2\n"
        ".size switch_entry, .-switch_entry\n");

static inline __attribute__((always_inline)) void switch_inline_jmp(struct strand *from, struct strand *to)
{
	/* nothing is pushed, so a red zone below the stack pointer survives */
	__asm__ volatile("lea 1f(%%rip), %%rax\n"
	                 "mov %%rsp, (%%rdi)\n"
	                 "mov %%rax, 8(%%rdi)\n"
	                 "mov %%rbp, 16(%%rdi)\n"
	                 "mov (%%rsi), %%rsp\n"
	                 "mov 16(%%rsi), %%rbp\n"
	                 "jmp *8(%%rsi)\n"
	                 ".p2align 4\n"
	                 "1:\n"
	                 : "+D"(from), "+S"(to)
	                 :
	                 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0",
	                   "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
	                   "xmm12", "xmm13", "xmm14", "xmm15", "cc", "memory");
}

static inline __attribute__((always_inline)) void switch_inline_six(struct strand *from, struct strand *to)
{
	__asm__ volatile("lea -128(%%rsp), %%rsp\n" /* step over the red zone */
	                 "push %%rbp\n push %%rbx\n push %%r12\n"
	                 "push %%r13\n push %%r14\n push %%r15\n"
	                 "lea 1f(%%rip), %%rax\n"
	                 "mov %%rsp, (%%rdi)\n"
	                 "mov %%rax, 8(%%rdi)\n"
	                 "mov (%%rsi), %%rsp\n"
	                 "jmp *8(%%rsi)\n"
	                 ".p2align 4\n"
	                 "1:\n"
	                 "pop %%r15\n pop %%r14\n pop %%r13\n"
	                 "pop %%r12\n pop %%rbx\n pop %%rbp\n"
	                 "lea 128(%%rsp), %%rsp\n"
	                 : "+D"(from), "+S"(to)
	                 :
	                 : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
	                   "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
	                   "cc", "memory");
}

/* torc's own, from machine/context.h: inline/jmp with the x87 registers, and AVX-512's where compiled for it, lost too */
static inline __attribute__((always_inline)) void switch_torc(struct strand *from, struct strand *to)
{
	context_switch(&from->torc, &to->torc);
}

static void torc_entry(void *arg)
{
	struct strand *self = arg;

	self->body(self, UINT64_MAX);
}

/* no inlining, no cloning, no tail call: each is a real frame with a real return */
#ifdef __clang__
#define FRAME static __attribute__((noinline))
#else
#define FRAME static __attribute__((noipa))
#endif
#define KEEP_FRAME() __asm__ volatile("" ::: "memory")

/*
 * The bodies, once for each variant. here/there: the switch stands right in the loop, at two
 * different addresses. deep: three calls below the loop, so that three returns follow each switch.
 */
#define VARIANT(name)                                                     \
	FRAME void name##_here(struct strand *self, uint64_t rounds)      \
	{                                                                 \
		while (rounds--)                                          \
			switch_##name(self, self->next);                  \
	}                                                                 \
	FRAME void name##_there(struct strand *self, uint64_t rounds)     \
	{                                                                 \
		while (rounds--)                                          \
			switch_##name(self, self->next);                  \
	}                                                                 \
	FRAME void name##_deep1(struct strand *self)                      \
	{                                                                 \
		switch_##name(self, self->next);                          \
		KEEP_FRAME();                                             \
	}                                                                 \
	FRAME void name##_deep2(struct strand *self)                      \
	{                                                                 \
		name##_deep1(self);                                       \
		KEEP_FRAME();                                             \
	}                                                                 \
	FRAME void name##_deep3(struct strand *self)                      \
	{                                                                 \
		name##_deep2(self);                                       \
		KEEP_FRAME();                                             \
	}                                                                 \
	FRAME void name##_deep(struct strand *self, uint64_t rounds)      \
	{                                                                 \
		while (rounds--)                                          \
			name##_deep3(self);                               \
	}                                                                 \
	FRAME void name##_elsewhere3(struct strand *self)                 \
	{                                                                 \
		name##_deep2(self);                                       \
		KEEP_FRAME();                                             \
	}                                                                 \
	FRAME void name##_elsewhere(struct strand *self, uint64_t rounds) \
	{                                                                 \
		while (rounds--)                                          \
			name##_elsewhere3(self);                          \
	}

VARIANT(call_ret)
VARIANT(call_jmp)
VARIANT(inline_jmp)
VARIANT(inline_six)
VARIANT(torc)

typedef void body_fn(struct strand *self, uint64_t rounds);

enum { HERE, THERE, DEEP, ELSEWHERE, BODIES };

static const struct variant {
	const char *name;
	bool saved_on_stack; /* a new context's stack holds six registers and the entry */
	bool torc;           /* made by context_make */
	body_fn *bodies[BODIES];
} variants[] = {
	{ "call/ret", true, false, { call_ret_here, call_ret_there, call_ret_deep, call_ret_elsewhere } },
	{ "call/jmp", true, false, { call_jmp_here, call_jmp_there, call_jmp_deep, call_jmp_elsewhere } },
	{ "inline/jmp", false, false, { inline_jmp_here, inline_jmp_there, inline_jmp_deep, inline_jmp_elsewhere } },
	{ "inline/six", false, false, { inline_six_here, inline_six_there, inline_six_deep, inline_six_elsewhere } },
	{ "torc", false, true, { torc_here, torc_there, torc_deep, torc_elsewhere } },
};

#define VARIANTS (sizeof variants / sizeof *variants)

struct pattern {
	const char *title;
	unsigned count;  /* contexts, the program's own stack included */
	int body, other; /* the body of even and of odd contexts */
	bool shuffled, coloured;
};

static const struct pattern patterns[] = {
	{ "switch: 2 contexts, one call site", 2, HERE, HERE, false, true },
	{ "switch: 2 contexts, two call sites", 2, HERE, THERE, false, true },
	{ "switch: 2 contexts, three calls deep, one path", 2, DEEP, DEEP, false, true },
	{ "switch: 2 contexts, three calls deep, two paths", 2, DEEP, ELSEWHERE, false, true },
	{ "switch: 100 contexts in order, one call site", 100, HERE, HERE, false, true },
	{ "switch: 100 contexts in order, deep, two paths", 100, DEEP, ELSEWHERE, false, true },
	{ "switch: 100 contexts in order, not coloured", 100, HERE, HERE, false, false },
	{ "switch: 10,000 contexts shuffled, one call site", 10000, HERE, HERE, true, true },
	{ "switch: 10,000 contexts shuffled, deep, two paths", 10000, DEEP, ELSEWHERE, true, true },
	{ "switch: 10,000 contexts shuffled, not coloured", 10000, HERE, HERE, true, false },
};

struct ring {
	struct strand own; /* the program's stack */
	uint64_t rounds;
	unsigned count;
	char *slab;
};

/* the context stands at the top of its stack, as a fiber would */
static struct strand *strand_new(char *stack, unsigned colour, const struct variant *variant, body_fn *body)
{
	uintptr_t top = (uintptr_t)stack + STRIDE - (uintptr_t)colour * LINE;
	struct strand *context = (struct strand *)(top - LINE);
	void **sp = (void **)context;

	if (variant->saved_on_stack) {
		*--sp = (void *)switch_entry;
		sp -= 6;
		memset(sp, 0, 6 * sizeof *sp);
	}
	*context = (struct strand){ .sp = sp, .ip = (void *)switch_entry, .body = body };
	if (variant->torc)
		context_make(&context->torc, context, torc_entry, context);
	return context;
}

static void shuffle(struct strand **order, unsigned count)
{
	uint64_t seed = 1;

	for (unsigned i = count - 1; i > 0; i--) {
		unsigned j = (unsigned)(bench_random(&seed) % (i + 1));
		struct strand *tmp = order[i];

		order[i] = order[j];
		order[j] = tmp;
	}
}

static void ring_open(struct ring *ring, const struct pattern *pattern, const struct variant *variant)
{
	unsigned others = pattern->count - 1;
	struct strand **order = calloc(others, sizeof *order);
	size_t size = (size_t)others * STRIDE;

	*ring = (struct ring){
		.own = { .body = variant->bodies[pattern->body] },
		.rounds = SWITCHES / pattern->count,
		.count = pattern->count,
		.slab = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
	};
	if (!order || ring->slab == MAP_FAILED)
		bench_die("no memory for the stacks");
	madvise(ring->slab, size, MADV_NOHUGEPAGE);
	for (unsigned i = 0; i < others; i++)
		order[i] = strand_new(ring->slab + (size_t)i * STRIDE, pattern->coloured ? i * 5 % COLOURS : 0, variant,
		                      variant->bodies[i % 2 ? pattern->body : pattern->other]);
	if (pattern->shuffled)
		shuffle(order, others);
	ring->own.next = order[0];
	for (unsigned i = 0; i < others; i++)
		order[i]->next = i + 1 < others ? order[i + 1] : &ring->own;
	free(order);
}

static void ring_close(struct ring *ring)
{
	munmap(ring->slab, (size_t)(ring->count - 1) * STRIDE);
}

struct side {
	const struct pattern *pattern;
	const struct variant *variant;
};

/* Stacks anew for each lap: which pages of memory they get makes a difference, and is luck. */
static void ring_run(struct bench_lap *lap, void *arg)
{
	const struct side *side = arg;
	struct ring ring;

	ring_open(&ring, side->pattern, side->variant);
	ring.own.body(&ring.own, 1);
	bench_begin(lap);
	ring.own.body(&ring.own, ring.rounds);
	bench_end(lap, ring.rounds * ring.count);
	ring_close(&ring);
}

static void compare(const struct pattern *pattern)
{
	struct bench_contender contenders[VARIANTS];
	struct side sides[VARIANTS];

	for (size_t i = 0; i < VARIANTS; i++) {
		sides[i] = (struct side){ pattern, &variants[i] };
		contenders[i] = (struct bench_contender){
			.name = variants[i].name,
			.run = ring_run,
			.arg = &sides[i],
			.yardstick = !variants[i].torc,
		};
	}
	bench_interleave(pattern->title, contenders, VARIANTS, ROUNDS);
}

int main(void)
{
	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
		compare(&patterns[i]);
	return 0;
}
#endif
