/* value.h - values of scopes, which everything inside inherits: a request's number, who asks, a budget. Set where a scope
 * is opened, they are found by the opener's calls in it, by its children, and by theirs, without being passed along.
 *
 *	static const struct torc_key request = { "request" };
 *
 *	struct torc_value value;
 *	TORC_SCOPE(scope);
 *	torc_value_set(scope, &value, &request, &number);
 */
#ifndef TORC_VALUE_H
#define TORC_VALUE_H

#include <torc/base.h>
#include <torc/scope.h>

TORC_BEGIN

/* What is meant. Its address tells it from others: to be static. */
struct torc_key {
	const char *name; /* for the reader of a debugger */
};

/* A value in a scope: lies with the scope, on its opener's stack. */
struct torc_value {
	void *private_[4];
};

/* Have `key` mean `data` in the scope and in all that is inside it, shields included, until it is left: so long `value`
 * and what data points to are lent. Replaces what a scope around it means by it, and what was set before in the same
 * scope. For the opener only. Allocates nothing. */
TORC_API void torc_value_set(struct torc_scope *scope, struct torc_value *value, const struct torc_key *key,
                             void *data) TORC_LOCAL;

/* What `key` means in the innermost scope around the calling fiber that says so, walking outward through its scopes, then
 * those of the fiber that opened the scope that it was spawned into, and so on; NULL: nothing. It takes as long as there
 * are scopes on the way.
 * The way ends at the core: what torc_on, torc_post and torc_blocking run does not inherit, for values are not shared
 * between threads. Pass what is needed in the argument, and set it anew there. */
TORC_API void *torc_value_get(const struct torc_key *key) TORC_LOCAL;

TORC_END
#endif
