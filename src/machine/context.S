/* context_start: the bottom frame of every fiber. A new stack holds entry and its argument (context_make); nothing called
 * this, and the CFI says so, so that unwinding ends here. */

#if defined(__x86_64__)

	.text
	.p2align 4
	.globl context_start
	.hidden context_start
	.type context_start, @function
context_start:
	.cfi_startproc
	.cfi_undefined %rip
	popq %rax
	popq %rdi
	/* A call without its entry in the return predictor: entry never returns, and one too many there would make
	 * whoever is switched to next mispredict its returns. */
	leaq 1f(%rip), %rcx
	pushq %rcx
	jmpq *%rax
1:	ud2
	.cfi_endproc
	.size context_start, . - context_start

#elif defined(__aarch64__)

	.text
	.p2align 4
	.globl context_start
	.hidden context_start
	.type context_start, %function
context_start:
	.cfi_startproc
	.cfi_undefined x30
	hint #36		/* bti j */
	ldp x9, x0, [sp], #16
	blr x9
	brk #0
	.cfi_endproc
	.size context_start, . - context_start

#endif

	.section .note.GNU-stack, "", %progbits
