/* panic - misuse and broken invariants end the process with one line that names the function and the rule.
 * Relies on nothing. A panic is never the answer to a failure of the outside world: that is a code. */
#ifndef TORC_SRC_PANIC_H
#define TORC_SRC_PANIC_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define static_assert_fits(outer, inner)                                         \
	_Static_assert(sizeof(struct inner) <= sizeof(struct outer) &&           \
	                       _Alignof(struct inner) <= _Alignof(struct outer), \
	               "struct " #outer " has no room for struct " #inner)

/* "torc: FUNCTION: MESSAGE" on stderr, then abort(). */
void panic(const char *function, const char *format, ...) __attribute__((noreturn, cold, format(printf, 2, 3)));

/* What must be true whatever the user and the kernel do. Stays on in release builds. */
#define ASSERT(fact) \
	(likely(fact) ? (void)0 : panic(__func__, "broken invariant at %s:%d: %s", __FILE__, __LINE__, #fact))

/* The same for facts that cost something to establish. */
#ifdef TORC_DEBUG
#define ASSERT_DEBUG(fact) ASSERT(fact)
#else
#define ASSERT_DEBUG(fact) ((void)sizeof(!(fact)))
#endif

/* A rule that the caller of a public function broke. */
#define MISUSE(broken, ...) (unlikely(broken) ? panic(__func__, __VA_ARGS__) : (void)0)

#endif
