/* sanitize - tells ASan, TSan and valgrind that stacks are switched, handed out and taken back. Everything here
 * compiles to nothing in a plain build. */
#ifndef TORC_SRC_SANITIZE_H
#define TORC_SRC_SANITIZE_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define SANITIZE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZE_TSAN 1
#endif
#endif

#ifdef SANITIZE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef SANITIZE_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#ifdef TORC_VALGRIND
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>
#define SANITIZE_VALGRIND 1
#else
#define SANITIZE_VALGRIND 0
#endif

/* What the tools keep per flow of control: a fiber's, or the thread's own. */
struct sanitize {
#ifdef SANITIZE_ASAN
	void *fake_stack;
	const void *bottom;
	size_t size;
#endif
#ifdef SANITIZE_TSAN
	void *flow;
#endif
};

static inline void sanitize_thread(struct sanitize *self)
{
	(void)self;
#ifdef SANITIZE_ASAN
	self->fake_stack = NULL;
	self->bottom = NULL; /* learned at the first switch away from it */
	self->size = 0;
#endif
#ifdef SANITIZE_TSAN
	self->flow = __tsan_get_current_fiber();
#endif
}

static inline void sanitize_fiber_begin(struct sanitize *self, void *bottom, size_t size)
{
	(void)self, (void)bottom, (void)size;
#ifdef SANITIZE_ASAN
	self->fake_stack = NULL;
	self->bottom = bottom;
	self->size = size;
#endif
#ifdef SANITIZE_TSAN
	self->flow = __tsan_create_fiber(0);
#endif
}

/* Just before a switch. `ends`: this flow is never resumed. */
static inline void sanitize_leave(struct sanitize *self, const struct sanitize *next, bool ends)
{
	(void)self, (void)next, (void)ends;
#ifdef SANITIZE_ASAN
	__sanitizer_start_switch_fiber(ends ? NULL : &self->fake_stack, next->bottom, next->size);
#endif
#ifdef SANITIZE_TSAN
	__tsan_switch_to_fiber(next->flow, 0);
#endif
}

/* Just after one, on the stack arrived at. `previous` learns its bounds if it is the thread's own stack. */
static inline void sanitize_arrive(struct sanitize *self, struct sanitize *thread)
{
	(void)self, (void)thread;
#ifdef SANITIZE_ASAN
	const void *bottom;
	size_t size;

	__sanitizer_finish_switch_fiber(self->fake_stack, &bottom, &size);
	if (!thread->bottom) {
		thread->bottom = bottom;
		thread->size = size;
	}
#endif
}

/* From the flow that runs after the dead one. */
static inline void sanitize_fiber_end(struct sanitize *dead)
{
	(void)dead;
#ifdef SANITIZE_TSAN
	if (dead->flow)
		__tsan_destroy_fiber(dead->flow);
	dead->flow = NULL;
#endif
}

/* A stack goes into use: the frames of its last user left marks, for they never returned. */
static inline void sanitize_stack_reuse(void *bottom, size_t size)
{
	(void)bottom, (void)size;
#ifdef SANITIZE_ASAN
	__asan_unpoison_memory_region(bottom, size);
#endif
#ifdef TORC_VALGRIND
	(void)VALGRIND_MAKE_MEM_UNDEFINED(bottom, size);
#endif
}

static inline unsigned sanitize_stack_register(void *bottom, size_t size)
{
	(void)bottom, (void)size;
#ifdef TORC_VALGRIND
	return VALGRIND_STACK_REGISTER(bottom, (char *)bottom + size);
#else
	return 0;
#endif
}

/* Between threads, where the tools don't see it: what was done before the one was done before what follows the other. */
static inline void sanitize_release(void *token)
{
	(void)token;
#ifdef SANITIZE_TSAN
	__tsan_release(token);
#endif
}

static inline void sanitize_acquire(void *token)
{
	(void)token;
#ifdef SANITIZE_TSAN
	__tsan_acquire(token);
#endif
}

/* Memory that nobody may touch until it is taken; what is taken holds nothing yet. */
static inline void sanitize_memory_free(const void *memory, size_t len)
{
	(void)memory, (void)len;
#ifdef SANITIZE_ASAN
	__asan_poison_memory_region(memory, len);
#endif
#ifdef TORC_VALGRIND
	(void)VALGRIND_MAKE_MEM_NOACCESS(memory, len);
#endif
}

static inline void sanitize_memory_taken(const void *memory, size_t len)
{
	(void)memory, (void)len;
#ifdef SANITIZE_ASAN
	__asan_unpoison_memory_region(memory, len);
#endif
#ifdef TORC_VALGRIND
	(void)VALGRIND_MAKE_MEM_UNDEFINED(memory, len);
#endif
}

/* The kernel wrote here behind the tools' back. */
static inline void sanitize_written(const void *memory, size_t len)
{
	(void)memory, (void)len;
#ifdef TORC_VALGRIND
	(void)VALGRIND_MAKE_MEM_DEFINED(memory, len);
#endif
}

#endif
