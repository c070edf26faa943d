/* context.c - a switch keeps all that the code around it holds in registers, in whatever shape the compiler has put it,
 * and the stack of a suspended or running flow can be unwound to its end. */
#include "machine/context.h"

#include "base/random.h"
#include "harness.h"
#include "machine/co.h"

#include <fenv.h>
#include <stdio.h>
#include <string.h>
#include <unwind.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_SVE)
#include <arm_sve.h>
#endif

void context_start(void);

/* Overwrites what it may, on every turn. */
static __attribute__((noinline)) void wreck(long by)
{
#if defined(__x86_64__)
	__asm__ volatile("movq %0, %%rbx\n\tmovq %0, %%r12\n\tmovq %0, %%r13\n\tmovq %0, %%r14\n\tmovq %0, %%r15\n\t"
	                 "movq %0, %%xmm0\n\tmovq %0, %%xmm5\n\tmovq %0, %%xmm8\n\tmovq %0, %%xmm15"
	                 :
	                 : "r"(by)
	                 : "rbx", "r12", "r13", "r14", "r15", "xmm0", "xmm5", "xmm8", "xmm15");
#else
	__asm__ volatile("mov x19, %0\n\tmov x20, %0\n\tmov x21, %0\n\tmov x22, %0\n\tmov x23, %0\n\tmov x24, %0\n\t"
	                 "mov x25, %0\n\tmov x26, %0\n\tmov x27, %0\n\tmov x28, %0\n\t"
	                 "fmov d8, %0\n\tfmov d9, %0\n\tfmov d10, %0\n\tfmov d15, %0\n\tfmov d0, %0"
	                 :
	                 : "r"(by)
	                 : "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "d0", "d8", "d9",
	                   "d10", "d15");
#endif
}

static void wrecker(struct co *co)
{
	for (long i = 0;; i++) {
		wreck((long)((unsigned long)i * 0x0101010101010101UL));
#if defined(__x86_64__)
		/* In place, so that nothing restores them between here and the switch. */
		__asm__ volatile("movq $-1, %%rbx\n\tmovq $-1, %%r12\n\tmovq $-1, %%r13\n\tmovq $-1, %%r14\n\t"
		                 "movq $-1, %%r15\n\tpcmpeqd %%xmm1, %%xmm1\n\tpcmpeqd %%xmm9, %%xmm9"
		                 :
		                 :
		                 : "rbx", "r12", "r13", "r14", "r15", "xmm1", "xmm9");
#endif
		co_yield (co);
	}
}

enum { ROUNDS = 2000 };

static int opaque(int value)
{
	__asm__ volatile("" : "+r"(value));
	return value;
}

/* One body in many shapes: more integers alive than there are registers, and a dozen floating point values. */
#define SHAPE(name, ...)                                                                                         \
	static __VA_ARGS__ long name(struct co *co)                                                              \
	{                                                                                                        \
		unsigned long a = (unsigned long)opaque(1), b = (unsigned long)opaque(2),                        \
			      c = (unsigned long)opaque(3), d = (unsigned long)opaque(4),                        \
			      e = (unsigned long)opaque(5), f = (unsigned long)opaque(6),                        \
			      g = (unsigned long)opaque(7), h = (unsigned long)opaque(8),                        \
			      i = (unsigned long)opaque(9), j = (unsigned long)opaque(10),                       \
			      k = (unsigned long)opaque(11), l = (unsigned long)opaque(12);                      \
		double u = opaque(1), v = opaque(2), w = opaque(3), x = opaque(4), y = opaque(5), z = opaque(6); \
		float s = (float)opaque(3), t = (float)opaque(5);                                                \
		long double q = opaque(7);                                                                       \
                                                                                                                 \
		for (int round = 0; round < opaque(ROUNDS); round++) {                                           \
			a += b, b += c, c += d, d += e, e += f, f += g, g += h, h += i, i += j, j += k, k += l,  \
				l += 1;                                                                          \
			u += 1, v += 2, w += u - 1, x += 4, y += 5, z += 6, s += 1, t += 2, q += 3;              \
			co_resume(co);                                                                           \
			if (u != round + 2 || v != 2 * round + 4 || x != 4 * round + 8 || y != 5 * round + 10 || \
			    z != 6 * round + 12 || s != (float)(round + 4) || t != (float)(2 * round + 7) ||     \
			    q != 3 * round + 10 || w != 3.0 + (round + 1) * (round + 2) / 2.0)                   \
				return -1;                                                                       \
		}                                                                                                \
		return (long)(a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ k ^ l);                                    \
	}

/* The same sums with nobody in between. */
static long expected(void)
{
	unsigned long n[13] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1 }, sum = 0;

	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < 12; i++)
			n[i] += n[i + 1];
	for (int i = 0; i < 12; i++)
		sum ^= n[i];
	return (long)sum;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
SHAPE(as_built, __attribute__((noinline)))
SHAPE(inlined, inline __attribute__((always_inline)))
#if defined(__GNUC__) && !defined(__clang__)
SHAPE(at_o1, __attribute__((noinline, optimize("O1"))))
SHAPE(at_o2, __attribute__((noinline, optimize("O2"))))
SHAPE(at_o3, __attribute__((noinline, optimize("O3", "unroll-loops"))))
SHAPE(at_os, __attribute__((noinline, optimize("Os"))))
SHAPE(with_frame_pointer, __attribute__((noinline, optimize("O2", "no-omit-frame-pointer"))))
SHAPE(without_frame_pointer, __attribute__((noinline, optimize("O2", "omit-frame-pointer"))))
#endif
#pragma GCC diagnostic pop

static void shape(long (*body)(struct co *))
{
	struct co co;

	co_open(&co, wrecker, NULL);
	ck_assert_int_eq(body(&co), expected());
	co_close(&co);
}

TEST(integers_and_floats_survive_switches_in_a_loop)
{
	shape(as_built);
}

TEST(also_where_the_switch_is_inlined_into_its_caller)
{
	struct co co;
	long sum;

	co_open(&co, wrecker, NULL);
	sum = inlined(&co);
	ck_assert_int_eq(sum, expected());
	co_close(&co);
}

#if defined(__GNUC__) && !defined(__clang__)
TEST(also_at_every_optimisation_level)
{
	shape(at_o1);
	shape(at_o2);
	shape(at_o3);
	shape(at_os);
}

TEST(also_with_and_without_a_frame_pointer)
{
	shape(with_frame_pointer);
	shape(without_frame_pointer);
}
#endif

/* The compiler holds the frame by rbp (x29) when its size is not known. */
static __attribute__((noinline)) long with_alloca(struct co *co, size_t size)
{
	long sum = 0;

	for (int round = 0; round < 100; round++) {
		char *room = __builtin_alloca(size);

		memset(room, round, size);
		co_resume(co);
		sum += room[0] + room[size - 1];
		if (sum != (long)round * (round + 1))
			return -1;
	}
	return sum;
}

TEST(also_in_a_frame_whose_size_is_known_only_when_it_runs)
{
	struct co co;

	co_open(&co, wrecker, NULL);
	ck_assert_int_eq(with_alloca(&co, (size_t)opaque(33)), 99 * 100);
	co_close(&co);
}

#if defined(__x86_64__)
__attribute__((noinline, target("avx2"))) static int with_avx(struct co *co)
{
	__m256d sums[6];
	double out[4];

	for (int i = 0; i < 6; i++)
		sums[i] = _mm256_set1_pd(opaque(i));
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < 6; i++)
			sums[i] = _mm256_add_pd(sums[i], _mm256_set_pd(4, 3, 2, 1));
		context_switch(&co->caller, &co->context);
	}
	for (int i = 0; i < 6; i++) {
		_mm256_storeu_pd(out, sums[i]);
		for (int k = 0; k < 4; k++)
			if (out[k] != i + ROUNDS * (k + 1.0))
				return -1;
	}
	return 0;
}

__attribute__((target("avx2"))) static void avx_wrecker(struct co *co)
{
	for (;;) {
		__asm__ volatile(
			"vpcmpeqd %%ymm0, %%ymm0, %%ymm0\n\tvmovdqa %%ymm0, %%ymm1\n\tvmovdqa %%ymm0, %%ymm2\n\t"
			"vmovdqa %%ymm0, %%ymm3\n\tvmovdqa %%ymm0, %%ymm6\n\tvmovdqa %%ymm0, %%ymm10"
			:
			:
			: "xmm0", "xmm1", "xmm2", "xmm3", "xmm6", "xmm10");
		context_switch(&co->context, &co->caller);
	}
}

TEST(wide_vectors_survive_too)
{
	struct co co;

	if (!__builtin_cpu_supports("avx2"))
		SKIP("no AVX2");
	if (harness_slow())
		SKIP("switches behind the sanitizers' back");
	co_open(&co, avx_wrecker, NULL);
	ck_assert_int_eq(with_avx(&co), 0);
	co_close(&co);
}
#endif

/* What the compiler makes of conditions on vectors lies in registers of its own. */
#if defined(__ARM_FEATURE_SVE)
static __attribute__((noinline)) int with_predicates(struct co *co, svint32_t a, svint32_t b)
{
	svbool_t less = svcmplt_s32(svptrue_b32(), a, b), more = svcmpgt_s32(svptrue_b32(), a, b);

	context_switch(&co->caller, &co->context);
	return (int)svaddv_s32(less, a) * 1000 + (int)svaddv_s32(more, b);
}

static void predicate_wrecker(struct co *co)
{
	for (;;) {
		__asm__ volatile("pfalse p0.b\n\tpfalse p1.b\n\tpfalse p2.b\n\tpfalse p3.b"
		                 :
		                 :
		                 : "p0", "p1", "p2", "p3");
		context_switch(&co->context, &co->caller);
	}
}

TEST(predicates_survive_too)
{
	struct co co;
	svint32_t a = svdup_n_s32(opaque(3)), b = svindex_s32(opaque(2), 1); /* 2, 3, 4, … */
	int lanes = (int)svcntw();

	co_open(&co, predicate_wrecker, NULL);
	ck_assert_int_eq(with_predicates(&co, a, b), (lanes - 2) * 3 * 1000 + 2);
	co_close(&co);
}
#endif

static void add_up(struct co *co)
{
	double sum = 0;

	for (int i = 1; i <= 100; i++) {
		sum += i;
		*(double *)co->arg = sum;
		co_yield (co);
	}
}

TEST(many_flows_that_run_in_random_order_do_not_mix)
{
	enum { FLOWS = 50 };
	static struct co co[FLOWS];
	static double sums[FLOWS];
	static int turns[FLOWS];
	struct random random = random_seeded(7);
	int left = FLOWS;

	for (int i = 0; i < FLOWS; i++)
		co_open(&co[i], add_up, &sums[i]);
	while (left > 0) {
		unsigned i = random_below(&random, FLOWS);

		if (co[i].done)
			continue;
		co_resume(&co[i]);
		if (co[i].done) {
			left--;
			continue;
		}
		turns[i]++;
		HOLDS(sums[i] == turns[i] * (turns[i] + 1) / 2.0, 7);
	}
	for (int i = 0; i < FLOWS; i++) {
		ck_assert_int_eq(turns[i], 100);
		co_close(&co[i]);
	}
}

static void say_where(struct co *co)
{
	char aligned[32] __attribute__((aligned(16)));
	char text[64];
	uintptr_t at = (uintptr_t)aligned;

	__asm__ volatile("" : "+r"(at));
	/* printf of a double uses aligned stores where the ABI lets it. */
	snprintf(text, sizeof text, "%.1f %d", 1.5, (int)(at % 16));
	snprintf(co->arg, 64, "%s", text);
}

TEST(a_new_stack_is_aligned_as_the_abi_wants_it)
{
	struct co co;
	char text[64] = "";

	co_open(&co, say_where, text);
	co_resume(&co);
	ck_assert(co.done);
	ck_assert_str_eq(text, "1.5 0");
	co_close(&co);
}

TEST(entry_gets_its_argument_on_its_own_stack)
{
	struct co co;
	char text[64] = "";

	co_open(&co, say_where, text);
	ck_assert_ptr_eq(co.context.ip, context_start);
	ck_assert_uint_lt((uintptr_t)co.context.sp - (uintptr_t)co.stack, CO_STACK);
	co_resume(&co);
	/* Where it stopped for good is the caller's frame again. */
	ck_assert_uint_ge((uintptr_t)&co - (uintptr_t)co.stack, CO_STACK);
	co_close(&co);
}

/* --- unwinding ------------------------------------------------------------------------------- */

struct trace {
	void *functions[64];
	int count;
	_Unwind_Reason_Code reason;
};

static _Unwind_Reason_Code note(struct _Unwind_Context *context, void *arg)
{
	struct trace *trace = arg;

	if (_Unwind_GetIP(context) == 0)
		return _URC_NO_REASON; /* how the end of the stack is told */
	if (trace->count == 64)
		return _URC_NORMAL_STOP;
	trace->functions[trace->count++] = _Unwind_FindEnclosingFunction((void *)_Unwind_GetIP(context));
	return _URC_NO_REASON;
}

static __attribute__((noinline)) void deep(struct trace *trace, int depth)
{
	if (depth > 0)
		deep(trace, depth - 1);
	else
		trace->reason = _Unwind_Backtrace(note, trace);
	__asm__ volatile("" ::: "memory");
}

static void trace_from_here(struct co *co)
{
	deep(co->arg, 5);
	co_yield (co);
	memset(co->arg, 0, sizeof(struct trace));
	deep(co->arg, 5);
}

TEST(a_backtrace_from_inside_a_flow_ends_at_its_first_frame)
{
	struct trace trace = { .count = 0 };
	struct co co;

	co_open(&co, trace_from_here, &trace);
	for (int i = 0; i < 2; i++) {
		co_resume(&co);
		ck_assert_int_gt(trace.count, 6);
		ck_assert_int_lt(trace.count, 20);
		ck_assert_ptr_eq(trace.functions[trace.count - 1], context_start);
		ck_assert_ptr_eq(trace.functions[trace.count - 2], co_main);
		ck_assert_int_eq(trace.reason, _URC_END_OF_STACK);
	}
	co_close(&co);
}

/* --- what belongs to the thread and is not switched ------------------------------------------ */

static int seen_rounding;

static void change_rounding(struct co *co)
{
	seen_rounding = fegetround();
	fesetround(FE_DOWNWARD);
	co_yield (co);
	seen_rounding = fegetround();
}

TEST(floating_point_control_is_left_alone)
{
	struct co co;

	co_open(&co, change_rounding, NULL);
	fesetround(FE_UPWARD);
	co_resume(&co);
	ck_assert_int_eq(seen_rounding, FE_UPWARD);
	ck_assert_int_eq(fegetround(), FE_DOWNWARD);
	fesetround(FE_TOWARDZERO);
	co_resume(&co);
	ck_assert_int_eq(seen_rounding, FE_TOWARDZERO);
	ck_assert_int_eq(fegetround(), FE_TOWARDZERO);
	fesetround(FE_TONEAREST);
	ck_assert(co.done);
	co_close(&co);
}
