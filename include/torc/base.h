/* base.h - words that every other header uses: where a call is legal, how failure is told, the one shape of
 * code that torc runs.
 *
 * Failure is a return value: >= 0 is success, -errno is failure. errno itself says nothing: a call may leave
 * anything in it.
 *   -ECANCELED  the scope that the caller is in was cancelled        (scope.h)
 *   -ETIME      the deadline of a scope that the caller is in passed  (scope.h)
 *   -EBADF      the handle is empty, or was closed under the caller
 *   -ENODATA    the peer ended in the middle of an exact read
 *   -ETIMEDOUT  TCP's own time-out, never torc's
 * -EINTR and -EAGAIN never reach the caller, but for -EAGAIN of TORC_RW_NOWAIT (file.h). Out-parameters are set on success
 * only.
 *
 * Misuse - the wrong thread, a parking call outside a fiber, a scope left out of order - is no failure but a
 * defect: it ends the process with a line that names the function and the rule. */
#ifndef TORC_BASE_H
#define TORC_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TORC_VERSION_MAJOR 0
#define TORC_VERSION_MINOR 1
#define TORC_VERSION_PATCH 0

/* Where a call is legal, and whether it may park the calling fiber (let others run until an answer is there).
 * gcc sees nothing; clang keeps the word, so that a checker can follow it. */
#if defined(__clang__)
#define TORC_CONTEXT_(word) __attribute__((annotate("torc:" word)))
#else
#define TORC_CONTEXT_(word)
#endif
#define TORC_PARKS    TORC_CONTEXT_("parks")    /* in a fiber; may park it              */
#define TORC_LOCAL    TORC_CONTEXT_("local")    /* on an executor's thread; never parks */
#define TORC_ANYWHERE TORC_CONTEXT_("anywhere") /* on any thread                        */

#define TORC_MUST        __attribute__((warn_unused_result)) /* ignoring the result is a bug     */
#define TORC_CLEANUP(fn) __attribute__((cleanup(fn)))        /* run fn(&variable) at block's end */
#define TORC_API         __attribute__((visibility("default")))

#ifdef __cplusplus
#define TORC_BEGIN extern "C" {
#define TORC_END   }
#else
#define TORC_BEGIN
#define TORC_END
#endif

/* The one shape of code that torc runs: a program, a fiber. Returns >= 0 or -errno. */
typedef int torc_fn(void *arg);

/* An options literal: torc fills in the size, you name what differs from zero. Zero means "the default". Later versions
 * append fields: a program that was compiled with fewer gets their defaults. A size that is none, or is larger than this
 * version knows, is misuse.
 *   torc_tcp_listen(&listener, "[::]:80", TORC_OPTIONS(torc_listen_options, .share_port = true))
 * C++ has no such literals: there declare a zeroed struct, set its .size and what differs, and pass its address. */
#define TORC_OPTIONS(type, ...) (&(const struct type){ .size = sizeof(struct type), __VA_ARGS__ })

#endif
