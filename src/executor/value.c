#include "executor/scope.h"

#include <torc/value.h>

/* What a torc_value is. */
struct value {
	struct value *next; /* in the same scope, set before */
	const struct torc_key *key;
	void *data;
};

static_assert_fits(torc_value, value);

static bool has(const struct scope *scope, const struct value *value)
{
	const struct value *v = scope->values;

	while (v && v != value)
		v = v->next;
	return v;
}

void torc_value_set(struct torc_scope *handle, struct torc_value *record, const struct torc_key *key, void *data)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct scope *scope = scope_of(handle, executor, __func__);
	struct value *value = (struct value *)(void *)record;

	MISUSE(scope->opener != executor->running, "only the fiber that opened a scope may set its values");
	MISUSE(has(scope, value), "the record is in use: each value of a scope has one of its own");
	*value = (struct value){ scope->values, key, data };
	scope->values = value;
}

void *torc_value_get(const struct torc_key *key)
{
	const struct scope *scope = executor_in_fiber(__func__)->running->scope;

	/* A scope's outer one is its opener's, so the way leads from fiber to fiber by itself. */
	for (; scope; scope = scope->outer)
		for (const struct value *value = scope->values; value; value = value->next)
			if (value->key == key)
				return value->data;
	return NULL;
}
