/* on - calls and posts between cores, and remotes for threads that are no executors: what they return, when they end, what
 * is moved, and who is woken. With each way of waking a core. */
#include "api.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

/* Each body runs on two cores, or more; once with each way to wake a core that sleeps, and with cores that don't. */
static const char *const ways[] = { "", "register_msg", "msg_ring,register_msg", "all" };

static void on_cores(unsigned count, torc_ns spin, torc_fn *fn, void *arg, int result)
{
	ck_assert_int_eq(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = count,
	                                             .run = TORC_OPTIONS(torc_run_options, .spin = spin)),
	                                fn, arg),
	                 result);
}

struct attempt {
	void (*body)(torc_ns spin);
	torc_ns spin;
	const char *disabled;
};

static int attempt_in_process(void *arg)
{
	const struct attempt *attempt = arg;

	if (setenv("TORC_DISABLE", attempt->disabled, 1) < 0)
		return 1;
	attempt->body(attempt->spin);
	return 0;
}

/* Features are probed once in a process. */
static void every_way(void (*body)(torc_ns spin))
{
	for (int i = 0; i < (int)LENGTH(ways); i++) {
		struct attempt attempt = { body, i == 1 ? 50 * TORC_US : 0, ways[i] };
		struct outcome outcome;

		run_in_process(&outcome, attempt_in_process, &attempt);
		ck_assert_msg(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 0, "TORC_DISABLE=%s: %s",
		              ways[i], outcome.text);
	}
}

#define EVERY_WAY(name)                         \
	static void name##_ways_(torc_ns spin); \
	TEST_TIMEOUT(name, 60)                  \
	{                                       \
		every_way(name##_ways_);        \
	}                                       \
	static void name##_ways_(torc_ns spin)

/* In a process of its own nobody hears ck_assert. */
#define MUST(fact) ((fact) ? (void)0 : (fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #fact), abort()))

/* The root fiber of core 0 does the work, the others are there. */
#define FIRST_CORE_ONLY()             \
	do {                          \
		if (torc_core() != 0) \
			return 0;     \
	} while (0)

/* --- calls ------------------------------------------------------------------------------------------- */

struct sum {
	int a, b, result;
	unsigned core;
};

static int add(void *arg)
{
	struct sum *sum = arg;

	sum->result = sum->a + sum->b;
	sum->core = torc_core();
	return sum->result;
}

static int return_it(void *arg)
{
	return *(int *)arg;
}

static int call_around(void *arg)
{
	(void)arg;
	FIRST_CORE_ONLY();
	for (unsigned core = 0; core < torc_core_count(); core++) /* itself, too */
		for (int i = 0; i < COUNT(200, 20); i++) {
			struct sum sum = { i, 1000, UNSET, UNSET };
			int failure = -1 - i;

			MUST(torc_on(core, add, &sum) == i + 1000);
			MUST(sum.result == i + 1000 && sum.core == core);
			MUST(torc_on(core, return_it, &failure) == failure); /* fails the call, not the core */
		}
	MUST(torc_on(torc_core_count(), add, NULL) == -EINVAL);
	MUST(torc_on(UINT_MAX, add, NULL) == -EINVAL);
	return 0;
}

EVERY_WAY(calls_return_what_the_function_returns)
{
	on_cores(1, spin, call_around, NULL, 0);
	on_cores(2, spin, call_around, NULL, 0);
	on_cores(3, spin, call_around, NULL, 0);
}

static int call_in_a_plain_run(void *arg)
{
	struct sum sum = { 1, 2, UNSET, UNSET };

	(void)arg;
	ck_assert_int_eq(torc_on(0, add, &sum), 3);
	ck_assert_int_eq(torc_on(1, add, &sum), -EINVAL);
	return 0;
}

TEST(in_a_plain_run_there_is_core_0)
{
	ck_assert_int_eq(torc_run(NULL, call_in_a_plain_run, NULL), 0);
}

static int descend(void *arg)
{
	int depth = *(int *)arg, r;

	if (depth == 0)
		return 0;
	depth--;
	r = torc_on(1 - torc_core(), descend, &depth);
	return r < 0 ? r : r + 1;
}

static int nest(void *arg)
{
	int depth = 100;

	(void)arg;
	FIRST_CORE_ONLY();
	for (int i = 0; i < 5; i++)
		MUST(torc_on(1, descend, &depth) == 100);
	return 0;
}

EVERY_WAY(calls_nest_back_and_forth)
{
	on_cores(2, spin, nest, NULL, 0);
}

static int sleep_and_add(void *arg)
{
	int r = torc_sleep(TORC_MS);

	return r < 0 ? r : add(arg);
}

static int call_and_check(void *arg)
{
	unsigned other = 1 - torc_core();
	int base = *(int *)arg;

	for (int i = 0; i < 3; i++) {
		struct sum sum = { base, i, UNSET, UNSET };

		MUST(torc_on(other, i == 1 ? sleep_and_add : add, &sum) == base + i);
		MUST(sum.core == other);
	}
	return 0;
}

static int call_by_thousands(void *arg)
{
	int many = COUNT(3000, 500);
	int *bases = calloc((size_t)many, sizeof *bases);

	(void)arg;
	{
		TORC_SCOPE(scope);
		for (int i = 0; i < many; i++) {
			bases[i] = i;
			MUST(torc_go(scope, call_and_check, &bases[i]) == 0);
		}
		MUST(torc_scope_join(scope) == 0);
	}
	free(bases);
	return 0;
}

EVERY_WAY(thousands_of_calls_in_both_directions_at_once)
{
	on_cores(2, spin, call_by_thousands, NULL, 0);
}

/* --- cancelling calls ---------------------------------------------------------------------------------- */

struct patient {
	atomic_bool begun, ended;
	int got;
	torc_ns stubborn; /* goes on for so long all the same */
};

static int be_patient(void *arg)
{
	struct patient *patient = arg;

	patient->begun = true;
	patient->got = torc_sleep(FOREVER);
	if (patient->stubborn)
		busy_until(torc_in(patient->stubborn));
	patient->ended = true;
	return patient->got;
}

static int call_patient(void *arg)
{
	struct patient *patient = arg;
	int r = torc_on(1, be_patient, patient);

	MUST(!patient->begun || patient->ended); /* its end was awaited */
	return r;
}

static int cancel_running(void *arg)
{
	(void)arg;
	FIRST_CORE_ONLY();
	for (int i = 0; i < COUNT(100, 20); i++) {
		struct patient patient = { .stubborn = i % 2 * TORC_MS };
		TORC_SCOPE(scope);

		MUST(torc_go(scope, call_patient, &patient) == 0);
		while (!patient.begun)
			torc_yield();
		torc_scope_cancel(scope);
		MUST(torc_scope_join(scope) == -ECANCELED);
		MUST(patient.got == -ECANCELED && patient.ended);
	}
	return 0;
}

EVERY_WAY(a_call_is_cancelled_while_it_runs)
{
	on_cores(2, spin, cancel_running, NULL, 0);
}

/* The request is under way when the cancellation sets out, or has not left. */
static int cancel_at_once(void *arg)
{
	(void)arg;
	FIRST_CORE_ONLY();
	for (int i = 0; i < COUNT(500, 50); i++) {
		struct patient patient = { .got = UNSET };
		TORC_SCOPE(scope);

		MUST(torc_go(scope, call_patient, &patient) == 0);
		torc_yield();
		busy_until(torc_in(i % 50 * TORC_US));
		torc_scope_cancel(scope);
		MUST(torc_scope_join(scope) == -ECANCELED);
		MUST(patient.got == UNSET || patient.got == -ECANCELED);
	}
	return 0;
}

EVERY_WAY(a_call_is_cancelled_before_it_begins)
{
	on_cores(2, spin, cancel_at_once, NULL, 0);
}

struct brief {
	torc_ns span;
	int result;
};

static int be_brief(void *arg)
{
	struct brief *brief = arg;

	busy_until(torc_in(brief->span));
	return 42;
}

static int call_brief(void *arg)
{
	struct brief *brief = arg;

	brief->result = torc_on(1, be_brief, brief);
	return 0;
}

/* Around the moment at which the answer sets out: a completed call reports its result. */
static int cancel_at_the_end(void *arg)
{
	(void)arg;
	FIRST_CORE_ONLY();
	for (int i = 0; i < COUNT(1000, 100); i++) {
		struct brief brief = { .span = 20 * TORC_US, .result = UNSET };
		TORC_SCOPE(scope);

		MUST(torc_go(scope, call_brief, &brief) == 0);
		torc_yield();
		busy_until(torc_in(i % 60 * TORC_US));
		torc_scope_cancel(scope);
		(void)!torc_scope_join(scope);
		MUST(brief.result == 42 || brief.result == -ECANCELED);
	}
	return 0;
}

EVERY_WAY(a_call_is_cancelled_at_its_end)
{
	on_cores(2, spin, cancel_at_the_end, NULL, 0);
}

static atomic_int begun_too_late;

static int note_beginning(void *arg)
{
	(void)arg;
	begun_too_late++;
	return 0;
}

static int expire(void *arg)
{
	struct patient patient = { .got = UNSET };
	torc_ns before = torc_now();

	(void)arg;
	FIRST_CORE_ONLY();
	{
		TORC_SCOPE(scope, .deadline = torc_in(10 * TORC_MS));
		MUST(torc_on(1, be_patient, &patient) == -ETIME);
		MUST(patient.ended && torc_now() - before >= 10 * TORC_MS);
		MUST(torc_on(1, note_beginning, NULL) == -ETIME); /* does not begin */
		MUST(torc_on(0, note_beginning, NULL) == -ETIME);
		MUST(begun_too_late == 0);
		(void)scope;
	}
	{
		TORC_SCOPE(scope);
		torc_scope_cancel(scope);
		MUST(torc_on(1, note_beginning, NULL) == -ECANCELED);
		MUST(begun_too_late == 0);
		{
			TORC_SCOPE(shield, .shield = true, .deadline = torc_in(FOREVER));
			MUST(torc_on(1, note_beginning, NULL) == 0);
			MUST(begun_too_late == 1);
			(void)shield;
		}
	}
	begun_too_late = 0;
	return 0;
}

EVERY_WAY(a_deadline_of_the_caller_ends_the_call)
{
	on_cores(2, spin, expire, NULL, 0);
}

static int sleep_soon(void *arg)
{
	(void)arg;
	return torc_sleep(SOON);
}

/* All cores are cancelled, and a fiber of one asks others to help it to clean up. */
static int clean_up_elsewhere(void *arg)
{
	(void)arg;
	if (torc_core() == 1)
		return -EIO;
	MUST(torc_sleep(FOREVER) == -ECANCELED);
	MUST(torc_on(1, sleep_soon, NULL) == -ECANCELED);
	{
		TORC_SCOPE(shield, .shield = true, .deadline = torc_in(FOREVER));
		MUST(torc_on(1, sleep_soon, NULL) == 0);
		MUST(torc_on(0, sleep_soon, NULL) == 0);
		torc_scope_cancel(shield);
		MUST(torc_on(1, sleep_soon, NULL) == -ECANCELED);
	}
	return 0;
}

EVERY_WAY(under_a_shield_a_call_goes_on_while_its_core_stops)
{
	on_cores(2, spin, clean_up_elsewhere, NULL, -EIO);
}

/* The argument lies in a frame that is gone, and written over, as soon as the call is back. */
static __attribute__((noinline)) void call_from_a_frame(int i)
{
	char frame[2000];
	struct patient *patient = (void *)(((uintptr_t)frame + 63) & ~(uintptr_t)63);
	TORC_SCOPE(scope, .deadline = torc_in(i % 40 * 10 * TORC_US));

	*patient = (struct patient){ .got = UNSET };
	(void)!torc_on(1, be_patient, patient);
	memset(frame, 0xa5, sizeof frame);
	for (int k = 0; k < 3; k++)
		torc_yield();
	for (size_t k = 0; k < sizeof frame; k++)
		MUST((unsigned char)frame[k] == 0xa5);
	(void)scope;
}

static int call_from_frames(void *arg)
{
	(void)arg;
	FIRST_CORE_ONLY();
	for (int i = 0; i < COUNT(400, 80); i++)
		call_from_a_frame(i);
	return 0;
}

EVERY_WAY(the_argument_is_not_touched_when_the_call_is_back)
{
	on_cores(2, spin, call_from_frames, NULL, 0);
}

/* --- waking -------------------------------------------------------------------------------------------- */

static int note_time(void *arg)
{
	*(torc_ns *)arg = torc_now();
	return 0;
}

static bool wakes_in_time(void *arg)
{
	torc_ns there, before;

	(void)arg;
	MUST(torc_sleep(TORC_MS) == 0);
	before = torc_now();
	MUST(torc_on(1, note_time, &there) == 0);
	return there - before <= COUNT(2, 20) * TORC_MS;
}

static int wake_the_idle(void *arg)
{
	(void)arg;
	FIRST_CORE_ONLY();
	for (int i = 0; i < 10; i++)
		MUST(once_in_many(wakes_in_time, NULL));
	return 0;
}

EVERY_WAY(an_idle_core_is_woken)
{
	on_cores(2, spin, wake_the_idle, NULL, 0);
}

static atomic_bool busy_stop;
static atomic_int busy_asked;

static bool asked_in_time(void *arg)
{
	torc_ns there, before = torc_now();

	(void)arg;
	MUST(torc_on(1, note_time, &there) == 0);
	return there - before <= COUNT(20, 100) * TORC_MS;
}

/* Computes on core 1 and looks, now and then, whether it should yield. */
static int wake_the_busy(void *arg)
{
	(void)arg;
	if (torc_core() == 1) {
		while (!busy_stop) {
			busy_until(torc_in(10 * TORC_US));
			busy_asked += torc_yield_if_needed();
		}
		return 0;
	}
	busy_stop = false;
	for (int i = 0; i < 10; i++)
		MUST(once_in_many(asked_in_time, NULL));
	busy_stop = true;
	return 0;
}

EVERY_WAY(a_busy_core_answers_at_its_next_preempt_check)
{
	on_cores(2, spin, wake_the_busy, NULL, 0);
	MUST(busy_asked > 0);
}

/* --- posts --------------------------------------------------------------------------------------------- */

static atomic_int posted_ran, posted_sum;
static atomic_uint posted_core;

struct parcel_of_ours {
	int number;
	char rest[1000];
};

static int take_parcel(void *arg)
{
	struct parcel_of_ours *parcel = arg;

	for (size_t i = 0; i < sizeof parcel->rest; i++)
		MUST(parcel->rest[i] == (char)parcel->number);
	posted_core = torc_core();
	posted_sum += parcel->number;
	torc_yield();
	posted_ran++;
	return 0;
}

static int post_parcels(void *arg)
{
	int many = COUNT(2000, 300);

	(void)arg;
	FIRST_CORE_ONLY();
	for (int i = 0; i < many; i++) {
		struct parcel_of_ours parcel = { .number = 1 + i % 100 };

		memset(parcel.rest, parcel.number, sizeof parcel.rest);
		MUST(torc_post(1, take_parcel, parcel) == 0);
		for (size_t k = 0; k < sizeof parcel; k++)
			MUST(((char *)&parcel)[k] == 0);
	}
	return 0; /* at once; all is done before the run returns */
}

EVERY_WAY(what_is_posted_is_moved_and_done_before_the_end)
{
	posted_ran = posted_sum = 0;
	on_cores(2, spin, post_parcels, NULL, 0);
	MUST(posted_ran == COUNT(2000, 300));
	MUST(posted_sum == COUNT(2000, 300) / 100 * 5050);
	MUST(posted_core == 1);
}

static int refuse_posts(void *arg)
{
	struct {
		char bytes[40 << 10];
	} large;
	struct sum sum = { 1, 2, 3, 4 };

	(void)arg;
	memset(&large, 0x77, sizeof large);
	ck_assert_int_eq(torc_post(torc_core_count(), add, sum), -EINVAL);
	ck_assert(sum.a == 1 && sum.b == 2 && sum.result == 3 && sum.core == 4);
	ck_assert_int_eq(torc_post(0, add, large), -E2BIG);
	for (size_t i = 0; i < sizeof large; i++)
		ck_assert_int_eq(large.bytes[i], 0x77);
	ck_assert_int_eq(torc_post_sized(0, note_beginning, NULL, 0), 0);
	return 0;
}

TEST(posts_that_cannot_be_leave_the_value)
{
	ck_assert_int_eq(torc_run(NULL, refuse_posts, NULL), 0);
	ck_assert_int_eq(begun_too_late, 1);
}

static int fail_with(void *arg)
{
	return *(int *)arg;
}

static int post_a_failure(void *arg)
{
	int failure = -EPROTO;

	(void)arg;
	if (torc_core() == 0)
		MUST(torc_post(1, fail_with, failure) == 0);
	return torc_core() == 1 ? torc_sleep(FOREVER) : 0;
}

static void fail_core_1(unsigned count, torc_ns spin)
{
	int results[4];

	MUST(torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = count, .results = results,
	                                 .run = TORC_OPTIONS(torc_run_options, .spin = spin)),
	                    post_a_failure, NULL) == -EPROTO);
	MUST(results[0] == 0 && results[1] == -EPROTO);
}

EVERY_WAY(what_a_posted_function_fails_with_fails_its_core)
{
	fail_core_1(2, spin);
	fail_core_1(3, spin);
}

static int fail_afar(void *arg)
{
	(void)arg;
	return -ENXIO;
}

static int wait_for_the_others(void *arg)
{
	char nothing = 0;

	(void)arg;
	if (torc_core() == 0)
		MUST(torc_post(1, fail_afar, nothing) == 0);
	return torc_sleep(FOREVER);
}

EVERY_WAY(and_cancels_the_other_cores)
{
	on_cores(3, spin, wait_for_the_others, NULL, -ENXIO);
}

/* On a core whose first fiber is over, or does not mind. */
static int wait_while_others_fail(void *arg)
{
	torc_ns before = torc_now();

	if (torc_core() == 1)
		return 0;
	if (torc_core() == 2)
		return torc_sleep(FOREVER) < 0 ? 0 : -1;
	MUST(torc_sleep(TORC_MS) == 0);
	MUST(torc_post_sized(*(unsigned *)arg, fail_afar, NULL, 0) == 0);
	MUST(torc_sleep(FOREVER) == -ECANCELED);
	MUST(torc_now() - before < AGES);
	return 0;
}

EVERY_WAY(and_does_so_when_its_first_fiber_has_not_failed)
{
	for (unsigned core = 1; core <= 2; core++)
		on_cores(3, spin, wait_while_others_fail, &core, -ENXIO);
}

struct hop {
	int left;
};

static int hop(void *arg)
{
	struct hop *hop_ = arg, next = { hop_->left - 1 };

	posted_ran++;
	return next.left > 0 ? torc_post((torc_core() + 1) % torc_core_count(), hop, next) : 0;
}

static int begin_hopping(void *arg)
{
	struct hop first = { COUNT(2000, 200) };

	(void)arg;
	FIRST_CORE_ONLY();
	return torc_post(1, hop, first);
}

EVERY_WAY(posts_of_posts_are_done_as_well)
{
	posted_ran = 0;
	on_cores(3, spin, begin_hopping, NULL, 0);
	MUST(posted_ran == COUNT(2000, 200));
}

static int post_and_leave(void *arg)
{
	struct hop one = { 1 };

	(void)arg;
	return torc_post(0, hop, one);
}

TEST(a_plain_run_does_what_was_posted_to_itself)
{
	ck_assert_int_eq(torc_run(NULL, post_and_leave, NULL), 0);
	ck_assert_int_eq(posted_ran, 1);
}

static int call_from_a_post(void *arg)
{
	struct sum sum = { 3, 4, UNSET, UNSET };

	(void)arg;
	MUST(torc_on(1 - torc_core(), add, &sum) == 7);
	return 0;
}

static int post_callers(void *arg)
{
	(void)arg;
	for (int i = 0; i < COUNT(500, 100); i++)
		MUST(torc_post_sized(1 - torc_core(), call_from_a_post, NULL, 0) == 0);
	return 0;
}

/* The roots are over long before. */
EVERY_WAY(posted_functions_call_back)
{
	on_cores(2, spin, post_callers, NULL, 0);
}

/* --- remotes ---------------------------------------------------------------------------------------------- */

enum { STRANGERS = 8 };

static struct torc_remote *remote;
static atomic_bool open_now, stop_now;
static atomic_int strangers_done;

static void *call_through(void *arg)
{
	int rounds = COUNT(300, 40);

	(void)arg;
	for (int i = 0; i < rounds; i++) {
		struct sum sum = { i, 5, UNSET, UNSET };
		struct parcel_of_ours parcel = { .number = 1 };
		int failure = -EDOM;

		MUST(torc_remote_call(remote, i % 10 == 0 ? sleep_and_add : add, &sum) == i + 5);
		MUST(sum.core == 0);
		MUST(torc_remote_call(remote, return_it, &failure) == -EDOM);
		memset(parcel.rest, 1, sizeof parcel.rest);
		MUST(torc_remote_post(remote, take_parcel, parcel) == 0);
		MUST(parcel.number == 0 && parcel.rest[999] == 0);
	}
	strangers_done++;
	return NULL;
}

static int serve_strangers(void *arg)
{
	pthread_t threads[STRANGERS];

	(void)arg;
	FIRST_CORE_ONLY();
	MUST(torc_remote_new(&remote) == 0);
	strangers_done = 0;
	posted_ran = 0;
	for (int i = 0; i < STRANGERS; i++)
		MUST(pthread_create(&threads[i], NULL, call_through, NULL) == 0);
	while (strangers_done < STRANGERS || posted_ran < STRANGERS * COUNT(300, 40))
		MUST(torc_sleep(TORC_MS) == 0);
	for (int i = 0; i < STRANGERS; i++)
		MUST(pthread_join(threads[i], NULL) == 0);
	torc_remote_free(remote);
	return 0;
}

EVERY_WAY(many_threads_come_in_through_a_remote)
{
	on_cores(1, spin, serve_strangers, NULL, 0);
	on_cores(2, spin, serve_strangers, NULL, 0);
}

static int open_a_remote(void *arg)
{
	struct sum sum = { 1, 2, UNSET, UNSET };

	(void)arg;
	ck_assert_int_eq(torc_remote_new(&remote), 0);
	ck_assert_int_eq(torc_remote_call(remote, add, &sum), -EDEADLK);
	ck_assert_int_eq(sum.result, UNSET);
	return 0;
}

TEST(after_the_end_a_remote_refuses)
{
	struct sum sum = { 1, 2, UNSET, UNSET };

	ck_assert_int_eq(torc_run(NULL, open_a_remote, NULL), 0);
	ck_assert_int_eq(torc_remote_call(remote, add, &sum), -ESHUTDOWN);
	ck_assert_int_eq(torc_remote_post(remote, add, sum), -ESHUTDOWN);
	ck_assert(sum.a == 1 && sum.b == 2 && sum.result == UNSET);
	torc_remote_free(remote);
	torc_remote_free(NULL);
}

static int large_through_a_remote(void *arg)
{
	static char large[40 << 10];

	(void)arg;
	memset(large, 0x77, sizeof large);
	ck_assert_int_eq(torc_remote_new(&remote), 0);
	ck_assert_int_eq(torc_remote_post_sized(remote, return_it, large, sizeof large), -E2BIG);
	ck_assert_int_eq(large[0], 0x77);
	torc_remote_free(remote);
	return 0;
}

TEST(what_is_larger_than_half_a_stack_does_not_fit_through_a_remote)
{
	ck_assert_int_eq(torc_run(NULL, large_through_a_remote, NULL), 0);
}

static int free_and_go_on(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++) {
		MUST(torc_remote_new(&remote) == 0);
		torc_remote_free(remote);
	}
	MUST(torc_remote_new(&remote) == 0); /* freed after the end */
	return torc_sleep(TORC_MS);
}

TEST(remotes_are_freed_before_or_after_the_end)
{
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(torc_run(NULL, free_and_go_on, NULL), 0);
		torc_remote_free(remote);
	}
}

/* With the last remote goes the last who could still come in: then a deadlock is one. */
static int free_and_be_stuck(void *arg)
{
	(void)arg;
	MUST(torc_remote_new(&remote) == 0);
	torc_remote_free(remote);
	return torc_event_wait(&(struct torc_event){ 0 });
}

DEATH(without_its_remote_nobody_may_come_in, "torc_run: deadlock: 1 fibers are parked")
{
	(void)!torc_run(NULL, free_and_be_stuck, NULL);
}

static void *free_it(void *arg)
{
	torc_remote_free(arg);
	return NULL;
}

static int make_and_free(void *arg)
{
	size_t before = mallinfo2().uordblks;
	pthread_t thread;

	(void)arg;
	for (int i = 0; i < 2000; i++) {
		MUST(torc_remote_new(&remote) == 0);
		MUST(i % 2 || pthread_create(&thread, NULL, free_it, remote) == 0);
		if (i % 2)
			torc_remote_free(remote);
		else
			MUST(pthread_join(thread, NULL) == 0);
		torc_yield();
	}
	MUST(mallinfo2().uordblks < before + 100 * 1024);
	return 0;
}

TEST(a_run_that_makes_and_frees_remotes_does_not_grow)
{
	if (harness_slow())
		SKIP("sanitizers have an allocator of their own");
	MUST(torc_run(NULL, make_and_free, NULL) == 0);
}

/* Threads that come and come while the executor ends: each call is made or refused, none is lost. */
static atomic_int calls_made, calls_run;

static int note_call(void *arg)
{
	(void)arg;
	calls_run++;
	return 7;
}

static void *come_until_refused(void *arg)
{
	(void)arg;
	while (!open_now)
		sched_yield();
	for (;;) { /* ends with the executor */
		int r = torc_remote_call(remote, note_call, NULL);

		if (r == -ESHUTDOWN)
			return NULL;
		MUST(r == 7);
		calls_made++;
		r = torc_remote_post_sized(remote, note_beginning, NULL, 0);
		MUST(r == 0 || r == -ESHUTDOWN);
	}
}

static int open_for_a_moment(void *arg)
{
	MUST(torc_remote_new(&remote) == 0);
	open_now = true;
	return torc_sleep(*(torc_ns *)arg);
}

EVERY_WAY(the_end_turns_back_who_comes_too_late)
{
	for (int i = 0; i < COUNT(30, 8); i++) {
		pthread_t threads[STRANGERS];
		torc_ns span = i % 5 * TORC_MS;

		open_now = false;
		calls_made = calls_run = 0;
		for (int k = 0; k < STRANGERS; k++)
			MUST(pthread_create(&threads[k], NULL, come_until_refused, NULL) == 0);
		MUST(torc_run(TORC_OPTIONS(torc_run_options, .spin = spin), open_for_a_moment, &span) == 0);
		for (int k = 0; k < STRANGERS; k++)
			MUST(pthread_join(threads[k], NULL) == 0);
		MUST(calls_made == calls_run);
		torc_remote_free(remote);
	}
}

/* Nothing but a stranger may ever wake it, which is no deadlock. */
static int wait_for_release(void *arg)
{
	struct torc_scope **scope = arg;

	torc_scope_cancel(*scope);
	return 0;
}

static void *release(void *arg)
{
	usleep(20000);
	MUST(torc_remote_call(remote, wait_for_release, arg) == 0);
	return NULL;
}

static int wait_for_ever(void *arg)
{
	struct torc_queue *queue;
	struct torc_scope *outer;
	struct patient patient = { 0 };
	pthread_t thread;
	TORC_SCOPE(scope);

	(void)arg;
	outer = scope;
	MUST(torc_queue_new(&queue, NULL) == 0);
	MUST(torc_remote_new(&remote) == 0);
	MUST(pthread_create(&thread, NULL, release, &outer) == 0);
	MUST(torc_go(scope, be_patient, &patient) == 0);
	MUST(torc_scope_join(scope) == -ECANCELED);
	MUST(pthread_join(thread, NULL) == 0);
	torc_remote_free(remote);
	return 0;
}

EVERY_WAY(a_stranger_wakes_a_core_that_sleeps)
{
	MUST(torc_run(TORC_OPTIONS(torc_run_options, .spin = spin), wait_for_ever, NULL) == 0);
}

static int call_another_through_its_remote(void *arg)
{
	struct sum sum = { 20, 22, UNSET, UNSET };

	(void)arg;
	if (torc_core() == 1) {
		MUST(torc_remote_new(&remote) == 0);
		open_now = true;
		while (!stop_now)
			MUST(torc_sleep(TORC_MS) == 0);
		torc_remote_free(remote);
		return 0;
	}
	while (!open_now)
		MUST(torc_sleep(TORC_MS) == 0);
	MUST(torc_remote_call(remote, add, &sum) == 42); /* blocks this core; allowed */
	MUST(sum.core == 1);
	stop_now = true;
	return 0;
}

EVERY_WAY(an_executor_may_go_through_the_remote_of_another)
{
	open_now = stop_now = false;
	on_cores(2, spin, call_another_through_its_remote, NULL, 0);
}

/* It is asleep, with nothing ahead of it for ages; the caller's own ring will not turn before the call is back. */
static int sleep_until_released(void *arg)
{
	struct torc_scope **outer = arg;
	TORC_SCOPE(scope);

	*outer = scope;
	MUST(torc_remote_new(&remote) == 0);
	open_now = true;
	MUST(torc_sleep(FOREVER) == -ECANCELED);
	return 0;
}

static int release_who_sleeps(void *arg)
{
	torc_ns before = torc_now();

	while (!open_now)
		MUST(torc_sleep(TORC_MS) == 0);
	MUST(torc_sleep(SOON) == 0);
	MUST(torc_remote_call(remote, wait_for_release, arg) == 0);
	MUST(torc_now() - before < AGES);
	return 0;
}

static int sleep_or_release(void *arg)
{
	return torc_core() == 0 ? release_who_sleeps(arg) : sleep_until_released(arg);
}

EVERY_WAY(a_call_through_a_remote_wakes_another_core)
{
	struct torc_scope *scope;

	open_now = false;
	on_cores(2, spin, sleep_or_release, &scope, 0);
	torc_remote_free(remote);
}

static int do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* A post wakes nobody before its sender has a turn, and keeps nobody else from it: here its sender, which blocks. */
static int post_and_release(void *arg)
{
	if (torc_core() == 1)
		return sleep_until_released(arg);
	while (!open_now)
		MUST(torc_sleep(TORC_MS) == 0);
	MUST(torc_sleep(SOON) == 0);
	MUST(torc_post_sized(1, do_nothing, NULL, 0) == 0);
	MUST(torc_remote_call(remote, wait_for_release, arg) == 0);
	return 0;
}

EVERY_WAY(a_post_that_is_not_yet_on_its_way_keeps_no_call_from_waking)
{
	struct torc_scope *scope;

	open_now = false;
	on_cores(2, spin, post_and_release, &scope, 0);
	torc_remote_free(remote);
}

static void *run_who_sleeps(void *arg)
{
	MUST(torc_run(NULL, sleep_until_released, arg) == 0);
	return NULL;
}

EVERY_WAY(a_call_through_a_remote_wakes_another_run)
{
	struct torc_scope *scope;
	pthread_t thread;

	open_now = false;
	MUST(pthread_create(&thread, NULL, run_who_sleeps, &scope) == 0);
	MUST(torc_run(TORC_OPTIONS(torc_run_options, .spin = spin), release_who_sleeps, &scope) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	torc_remote_free(remote);
}

/* --- a call through a remote outlives the first fibers --------------------------------------------------- */

static atomic_int lingering;

static int linger(void *arg)
{
	struct sum sum = { 3, 4, UNSET, UNSET };

	(void)arg;
	lingering++;
	MUST(torc_sleep(SOON) == 0); /* the first fibers are over */
	for (int i = 0; i < 10; i++) {
		MUST(torc_on(1, add, &sum) == 7 && sum.core == 1);
		MUST(torc_post_sized(1, note_beginning, NULL, 0) == 0);
		MUST(torc_post_sized(0, note_beginning, NULL, 0) == 0);
	}
	return 9;
}

static void *call_one_who_lingers(void *arg)
{
	(void)arg;
	MUST(torc_remote_call(remote, linger, NULL) == 9);
	return NULL;
}

static int post_one_who_lingers(void *arg)
{
	return linger(arg) == 9 ? 0 : -1;
}

static int leave_early(void *arg)
{
	FIRST_CORE_ONLY();
	MUST(torc_remote_new(&remote) == 0);
	if (arg)
		MUST(pthread_create(arg, NULL, call_one_who_lingers, NULL) == 0);
	else
		MUST(torc_remote_post_sized(remote, post_one_who_lingers, NULL, 0) == 0);
	while (lingering == 0)
		MUST(torc_sleep(TORC_MS) == 0);
	return 0;
}

EVERY_WAY(what_came_through_a_remote_may_call_when_the_first_fibers_are_over)
{
	pthread_t thread;

	begun_too_late = 0;
	on_cores(2, spin, leave_early, &thread, 0);
	MUST(pthread_join(thread, NULL) == 0);
	torc_remote_free(remote);
	MUST(begun_too_late == 20);
	lingering = 0;
	on_cores(2, spin, leave_early, NULL, 0); /* and once by a post */
	torc_remote_free(remote);
	MUST(begun_too_late == 40);
}

/* --- where no stack is to be had ------------------------------------------------------------------------- */

static atomic_int came_to;

static void *call_when_told(void *arg)
{
	struct sum sum = { 1, 2, UNSET, UNSET };

	(void)arg;
	while (!open_now)
		usleep(1000);
	came_to = torc_remote_call(remote, add, &sum);
	stop_now = true;
	return NULL;
}

static int use_up_all_stacks(struct torc_scope *scope)
{
	static struct child sleeper = { .span = FOREVER };
	struct rlimit before, limit;
	long pages;
	FILE *file = fopen("/proc/self/statm", "r");
	int r = 0;

	ck_assert_int_eq(fscanf(file, "%ld", &pages), 1);
	fclose(file);
	ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
	limit = (struct rlimit){ (rlim_t)pages * 4096 + (4 << 20), before.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
	for (int i = 0; i < 100000 && r == 0; i++)
		r = torc_go(scope, child_run, &sleeper);
	return r;
}

static int without_stacks(void *arg)
{
	struct sum sum = { 1, 2, UNSET, UNSET };
	TORC_SCOPE(scope);

	ck_assert_int_eq(torc_remote_new(&remote), 0);
	ck_assert_int_eq(pthread_create(arg, NULL, call_when_told, NULL), 0);
	ck_assert_int_eq(use_up_all_stacks(scope), -ENOMEM);
	ck_assert_int_eq(torc_on(0, add, &sum), -ENOMEM);
	open_now = true;
	while (!stop_now)
		ck_assert_int_eq(torc_sleep(TORC_MS), 0);
	ck_assert_int_eq(came_to, -ENOMEM);
	ck_assert_int_eq(sum.result, UNSET);
	/* Whom else to tell? The core fails. */
	ck_assert_int_eq(torc_remote_post(remote, add, sum), 0);
	ck_assert_int_eq(torc_sleep(FOREVER), -ECANCELED);
	torc_remote_free(remote);
	return 0;
}

TEST(where_no_stack_is_to_be_had)
{
	pthread_t thread;

	if (harness_slow())
		SKIP("sanitizers want memory of their own");
	ck_assert_int_eq(torc_run(NULL, without_stacks, &thread), -ENOMEM);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* --- the end while messages are under way --------------------------------------------------------------- */

static atomic_int sent_off, arrived;

static int arrive(void *arg)
{
	(void)arg;
	arrived++;
	return torc_core() == 0 ? torc_sleep(TORC_US) : 0; /* some are cut short, which is no failure of theirs */
}

static int send_until_the_end(void *arg)
{
	unsigned seed = *(unsigned *)arg + torc_core();
	torc_ns end = torc_in(rand_r(&seed) % 3000 * TORC_US);

	while (torc_scope_status(NULL) == 0) {
		if (torc_core() == 2 && torc_now() > end)
			return -EREMOTEIO;
		for (int burst = rand_r(&seed) % 600; burst > 0; burst--) { /* more than a ring holds, at times */
			MUST(torc_post_sized((unsigned)rand_r(&seed) % 3, arrive, NULL, 0) == 0);
			sent_off++;
		}
		if (rand_r(&seed) % 2)
			torc_yield();
		else
			(void)!torc_on((unsigned)rand_r(&seed) % 3, note_beginning, NULL);
	}
	return torc_scope_status(NULL);
}

EVERY_WAY(what_was_posted_arrives_though_a_core_has_failed)
{
	unsigned seed = (unsigned)getpid();

	for (int i = 0; i < COUNT(30, 5); i++, seed += 3) {
		struct torc_cores_options options = { .size = sizeof options,
			                              .count = 3,
			                              .run = TORC_OPTIONS(torc_run_options, .spin = spin) };
		int r;

		sent_off = arrived = 0;
		r = torc_cores_run(&options, send_until_the_end, &seed);
		if (r != -EREMOTEIO || arrived != sent_off)
			fprintf(stderr, "seed %u: %d; %d sent off, %d arrived\n", seed, r, sent_off, arrived);
		MUST(r == -EREMOTEIO && arrived == sent_off);
	}
}

/* A core that does not look at its mail: what no longer fits into the ring towards it waits, and so does the sender. */
static int compute_or_send(void *arg)
{
	uint64_t before;

	(void)arg;
	if (torc_core() == 1) {
		busy_until(torc_in(300 * TORC_MS));
		return 0;
	}
	MUST(torc_sleep(20 * TORC_MS) == 0);
	for (int i = 0; i < 1000; i++)
		MUST(torc_post_sized(1, note_beginning, NULL, 0) == 0);
	before = stats_now().turns;
	MUST(torc_sleep(200 * TORC_MS) == 0);
	MUST(stats_now().turns < before + 20000);
	return 0;
}

EVERY_WAY(who_waits_for_room_in_a_ring_does_not_burn_the_core)
{
	begun_too_late = 0;
	on_cores(2, spin, compute_or_send, NULL, 0);
	MUST(begun_too_late == 1000);
}

/* --- more cores than bits --------------------------------------------------------------------------------- */

/* Who has sent something stands in one word: beyond 63 cores several share a bit. */
static int call_those_of_the_same_bit(void *arg)
{
	unsigned count = torc_core_count();

	(void)arg;
	for (int i = 0; i < COUNT(20, 3); i++)
		for (unsigned step = 62; step <= 64; step++) {
			struct sum sum = { i, (int)step, UNSET, UNSET };
			unsigned core = (torc_core() + step) % count;

			MUST(torc_on(core, add, &sum) == i + (int)step && sum.core == core);
			MUST(torc_post_sized(core, note_beginning, NULL, 0) == 0);
		}
	return 0;
}

TEST_TIMEOUT(more_cores_than_bits_in_a_word, 60)
{
	const struct torc_cores_options options = { .size = sizeof options,
		                                    .count = 70,
		                                    .run = TORC_OPTIONS(torc_run_options, .ring_entries = 8) };
	int r = torc_cores_run(&options, call_those_of_the_same_bit, NULL);

	if (r == -ENOMEM || r == -EMFILE)
		SKIP("no room for 70 rings");
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(begun_too_late, 70 * 3 * COUNT(20, 3));
}
