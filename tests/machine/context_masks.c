/* context_masks.c - the switch in a program that is compiled for AVX-512: conditions on vectors lie in registers of their
 * own, and what it declares lost must include each of them. */
#include "harness.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* As if all of this file were; but the harness is to run where there is none. */
#ifndef __AVX512F__
#define __AVX512F__ 1
#include "machine/context.h"
#undef __AVX512F__
#endif
#include "machine/co.h"

__attribute__((noinline, target("avx512f"))) static int with_masks(struct co *co, __m512i a, __m512i b)
{
	__mmask16 less = _mm512_cmplt_epi32_mask(a, b), more = _mm512_cmpgt_epi32_mask(a, b);

	context_switch(&co->caller, &co->context);
	return less << 16 | more;
}

__attribute__((target("avx512f"))) static void mask_wrecker(struct co *co)
{
	for (;;) {
		__asm__ volatile("kxorw %%k0, %%k0, %%k0\n\tkxorw %%k1, %%k1, %%k1\n\tkxorw %%k2, %%k2, %%k2\n\t"
		                 "kxorw %%k3, %%k3, %%k3"
		                 :
		                 :
		                 : "k0", "k1", "k2", "k3");
		context_switch(&co->context, &co->caller);
	}
}

__attribute__((noinline, target("avx512f"))) static int masks(struct co *co)
{
	__m512i a = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);

	return with_masks(co, a, _mm512_set1_epi32(5));
}

TEST(masks_survive_too)
{
	struct co co;

	if (!__builtin_cpu_supports("avx512f"))
		SKIP("no AVX-512");
	if (harness_slow())
		SKIP("switches behind the sanitizers' back");
	co_open(&co, mask_wrecker, NULL);
	ck_assert_int_eq(masks(&co), 0x001fffc0);
	co_close(&co);
}
#else
TEST(masks_survive_too)
{
	SKIP("for x86-64");
}
#endif
