/* deadline_queue.c - declared work is done in time where fixed shares would not have done it, and takes no more of the
 * core than that. Times are those of the wall: a slow machine slows both sides of a comparison. */
#include "api.h"

/* A fiber that does pieces of `PIECE` each until all are done or somebody says stop. */
#define PIECE (200 * TORC_US)

struct worker {
	struct torc_deadline_job *job; /* NULL: nobody is told */
	int pieces, done;
	bool *stop;
	torc_ns ended;
};

static int work(void *arg)
{
	struct worker *worker = arg;

	while (worker->done < worker->pieces && !(worker->stop && *worker->stop)) {
		busy_until(torc_in(PIECE));
		worker->done++;
		if (worker->job)
			torc_deadline_progress(worker->job, 1);
		torc_yield_if_needed();
	}
	worker->ended = torc_now();
	return 0;
}

static struct torc_deadline *new_deadline(const struct torc_deadline_options *options)
{
	struct torc_deadline *deadline;

	ck_assert_int_eq(torc_deadline_new(&deadline, options), 0);
	return deadline;
}

static unsigned shares_of(const struct torc_deadline *deadline)
{
	return torc_queue_shares(torc_deadline_queue(deadline));
}

/* --- what is documented without a clock ---------------------------------------------------------- */

TEST_IN_FIBER(options_out_of_range_are_refused)
{
	struct torc_deadline *deadline = (void *)&deadline, *before = deadline;

	ck_assert_int_eq(torc_deadline_new(&deadline, TORC_OPTIONS(torc_deadline_options, .min_shares = 1001)),
	                 -EINVAL);
	ck_assert_int_eq(torc_deadline_new(&deadline, TORC_OPTIONS(torc_deadline_options, .max_shares = 1001)),
	                 -EINVAL);
	ck_assert_int_eq(
		torc_deadline_new(&deadline, TORC_OPTIONS(torc_deadline_options, .min_shares = 20, .max_shares = 19)),
		-EINVAL);
	ck_assert_int_eq(torc_deadline_new(&deadline, TORC_OPTIONS(torc_deadline_options, .latency = TORC_US)),
	                 -EINVAL);
	ck_assert_int_eq(torc_deadline_new(&deadline, TORC_OPTIONS(torc_deadline_options, .latency = -1)), -EINVAL);
	ck_assert_ptr_eq(deadline, before);
}

TEST_IN_FIBER(defaults_and_names)
{
	struct torc_deadline *plain = new_deadline(NULL);
	struct torc_deadline *named =
		new_deadline(TORC_OPTIONS(torc_deadline_options, .name = "flush", .min_shares = 7, .max_shares = 7));

	ck_assert_str_eq(torc_queue_name(torc_deadline_queue(plain)), "deadline");
	ck_assert_str_eq(torc_queue_name(torc_deadline_queue(named)), "flush");
	ck_assert_uint_eq(shares_of(plain), 1);
	ck_assert_uint_eq(shares_of(named), 7);
	ck_assert_int_eq(torc_deadline_free(plain), 0);
	ck_assert_int_eq(torc_deadline_free(named), 0);
	ck_assert_int_eq(torc_deadline_free(NULL), 0);
}

TEST_IN_FIBER(a_job_of_nothing_or_without_an_instant_is_refused)
{
	struct torc_deadline *deadline = new_deadline(NULL);
	struct torc_deadline_job job = { { 0 } };

	ck_assert_int_eq(torc_deadline_add(deadline, &job, 0, torc_in(TORC_SEC)), -EINVAL);
	ck_assert_int_eq(torc_deadline_add(deadline, &job, 1, 0), -EINVAL);
	ck_assert_uint_eq(shares_of(deadline), 1);
	torc_deadline_done(&job); /* it is none */
	ck_assert_int_eq(torc_deadline_free(deadline), 0);
}

TEST_IN_FIBER(shares_rise_with_the_first_job_and_fall_with_the_last)
{
	struct torc_deadline *deadline = new_deadline(TORC_OPTIONS(torc_deadline_options, .min_shares = 3));
	struct torc_deadline *low = new_deadline(TORC_OPTIONS(torc_deadline_options, .max_shares = 50));
	struct torc_deadline *high = new_deadline(TORC_OPTIONS(torc_deadline_options, .min_shares = 150));
	struct torc_deadline_job jobs[4] = { { { 0 } } };

	ck_assert_int_eq(torc_deadline_add(deadline, &jobs[0], 10, torc_in(FOREVER)), 0);
	ck_assert_int_eq(torc_deadline_add(deadline, &jobs[1], UINT64_MAX, INT64_MAX), 0);
	ck_assert_int_eq(torc_deadline_add(low, &jobs[2], 1, INT64_MIN), 0);
	ck_assert_int_eq(torc_deadline_add(high, &jobs[3], 1, -1), 0);
	ck_assert_uint_eq(shares_of(deadline), 100);
	ck_assert_uint_eq(shares_of(low), 50);
	ck_assert_uint_eq(shares_of(high), 150);
	torc_deadline_done(&jobs[0]);
	ck_assert_uint_eq(shares_of(deadline), 100);
	for (size_t i = 1; i < LENGTH(jobs); i++)
		torc_deadline_done(&jobs[i]);
	torc_deadline_done(&jobs[1]);
	ck_assert_uint_eq(shares_of(deadline), 3);
	ck_assert_int_eq(torc_deadline_free(deadline), 0);
	ck_assert_int_eq(torc_deadline_free(low), 0);
	ck_assert_int_eq(torc_deadline_free(high), 0);
}

TEST_IN_FIBER(what_is_in_use_is_not_freed)
{
	struct torc_deadline *deadline = new_deadline(NULL);
	struct torc_deadline_job job = { { 0 } };

	ck_assert_int_eq(torc_deadline_add(deadline, &job, 1, torc_in(TORC_SEC)), 0);
	ck_assert_int_eq(torc_deadline_free(deadline), -EBUSY);
	torc_deadline_done(&job);
	{
		struct child child = { .span = TORC_MS };
		TORC_SCOPE(scope, .queue = torc_deadline_queue(deadline));

		ck_assert_int_eq(torc_go(scope, child_run, &child), 0);
		ck_assert_int_eq(torc_deadline_free(deadline), -EBUSY);
		ck_assert_int_eq(torc_scope_join(scope), 0);
	}
	ck_assert_int_eq(torc_deadline_free(deadline), 0);
}

TEST_IN_FIBER(a_job_of_a_cleanup_variable_ends_with_its_block)
{
	struct torc_deadline *deadline = new_deadline(NULL);

	{
		TORC_CLEANUP(torc_deadline_done) struct torc_deadline_job job = { { 0 } };

		ck_assert_int_eq(torc_deadline_add(deadline, &job, 1, torc_in(TORC_SEC)), 0);
		torc_deadline_progress(&job, 0);
		torc_deadline_progress(&job, UINT64_MAX);
		torc_deadline_progress(&job, 1);
	}
	ck_assert_int_eq(torc_deadline_free(deadline), 0);
}

DEATH_IN_FIBER(progress_of_no_job_is_misuse, "torc_deadline_progress: .*not declared")
{
	struct torc_deadline_job job = { { 0 } };

	torc_deadline_progress(&job, 1);
}

DEATH_IN_FIBER(progress_of_a_job_that_is_over_is_misuse, "torc_deadline_progress: .*it is over")
{
	struct torc_deadline *deadline = new_deadline(NULL);
	struct torc_deadline_job job = { { 0 } };

	ck_assert_int_eq(torc_deadline_add(deadline, &job, 1, torc_in(TORC_SEC)), 0);
	torc_deadline_done(&job);
	torc_deadline_progress(&job, 1);
}

static int progress_there(void *job)
{
	torc_deadline_progress(job, 1);
	return 0;
}

static int add_there(void *deadline)
{
	static struct torc_deadline_job job;

	return torc_deadline_add(deadline, &job, 1, torc_in(TORC_SEC));
}

static int declare_and_call(void *fn)
{
	struct torc_deadline *deadline;
	struct torc_deadline_job job = { { 0 } };

	if (torc_core() == 1)
		return 0;
	deadline = new_deadline(NULL);
	ck_assert_int_eq(torc_deadline_add(deadline, &job, 1, torc_in(TORC_SEC)), 0);
	return torc_on(1, *(torc_fn **)fn, *(torc_fn **)fn == add_there ? (void *)deadline : &job);
}

static void use_on_core_1(torc_fn *fn)
{
	(void)!torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 2), declare_and_call, &fn);
}

DEATH(progress_on_another_core, "torc_deadline_progress: the queue belongs to another core")
{
	use_on_core_1(progress_there);
}

DEATH(a_job_declared_on_another_core, "torc_deadline_add: the queue belongs to another core")
{
	use_on_core_1(add_there);
}

DEATH_IN_FIBER(progress_in_a_blocking_job, "torc_deadline_progress: called outside a fiber")
{
	struct torc_deadline *deadline = new_deadline(NULL);
	struct torc_deadline_job job = { { 0 } };

	ck_assert_int_eq(torc_deadline_add(deadline, &job, 1, torc_in(TORC_SEC)), 0);
	(void)!torc_blocking(progress_there, &job);
}

/* --- against a competitor ------------------------------------------------------------------------ */

/* How much of the core the last competition had, in percent: what else the machine had to do shows here. */
static int had;

#define HOLDS_UNLESS_DISTURBED(fact, ...)                                                        \
	do {                                                                                     \
		bool fact_ = (fact);                                                             \
		if (!fact_ && had < 75)                                                          \
			SKIP("something else had the core for more than a quarter of the time"); \
		ck_assert_msg(fact_, __VA_ARGS__);                                               \
	} while (0)

/* Run a worker in `queue` beside one that computes without end in a queue of `rival` shares, until the worker is done or
 * `due` has come. */
static void compete(struct worker *worker, struct torc_queue *queue, unsigned rival, torc_ns due)
{
	bool stop = false;
	struct worker other = { .pieces = INT_MAX, .stop = &stop };
	struct torc_queue *others;
	torc_ns began = torc_now();

	ck_assert_int_eq(torc_queue_new(&others, TORC_OPTIONS(torc_queue_options, .shares = rival)), 0);
	{
		TORC_SCOPE(rivals, .queue = others);
		TORC_SCOPE(workers, .queue = queue);

		worker->stop = &stop;
		ck_assert_int_eq(torc_go(rivals, work, &other), 0);
		ck_assert_int_eq(torc_go(workers, work, worker), 0);
		while (torc_scope_live(workers) > 0 && torc_now() < due)
			ck_assert_int_eq(torc_sleep(TORC_MS), 0);
		stop = true;
		ck_assert_int_eq(torc_scope_join(workers), 0);
		ck_assert_int_eq(torc_scope_join(rivals), 0);
	}
	had = (int)(100 * PIECE * (other.done + worker->done) / (torc_now() - began));
	ck_assert_int_eq(torc_queue_free(others), 0);
}

TEST_IN_FIBER_TIMEOUT(work_is_done_in_time_that_fixed_shares_would_not_have_done, 120)
{
	enum { RIVAL = 1000, SPAN_MS = 3000, WORK_MS = 700 };
	int pieces = (int)(WORK_MS * TORC_MS / PIECE);
	struct worker fixed = { .pieces = pieces }, steered = { .pieces = pieces };
	struct torc_deadline *deadline = new_deadline(NULL);
	struct torc_deadline_job job = { { 0 } };
	struct torc_queue *queue;
	torc_ns due;

	ck_assert_int_eq(torc_queue_new(&queue, NULL), 0); /* 100 shares, with which the other begins */
	compete(&fixed, queue, RIVAL, torc_in(SPAN_MS * TORC_MS));
	ck_assert_int_lt(fixed.done, fixed.pieces);
	ck_assert_int_eq(torc_queue_free(queue), 0);

	due = torc_in(SPAN_MS * TORC_MS);
	ck_assert_int_eq(torc_deadline_add(deadline, &job, (uint64_t)pieces, due), 0);
	steered.job = &job;
	compete(&steered, torc_deadline_queue(deadline), RIVAL, due + 4 * AGES);
	ck_assert_int_eq(steered.done, steered.pieces);
	HOLDS_UNLESS_DISTURBED(steered.ended <= due, "done %lld ms late, with %u shares",
	                       (long long)((steered.ended - due) / TORC_MS), shares_of(deadline));
	torc_deadline_done(&job);
	ck_assert_int_eq(torc_deadline_free(deadline), 0);
}

TEST_IN_FIBER_TIMEOUT(work_that_has_time_leaves_the_core_to_others, 120)
{
	enum { SPAN_MS = 4000, WORK_MS = 400 };
	int pieces = (int)(WORK_MS * TORC_MS / PIECE);
	struct worker worker = { .pieces = pieces };
	struct torc_deadline *deadline = new_deadline(NULL);
	struct torc_deadline_job job = { { 0 } };
	torc_ns began = torc_now(), due = began + SPAN_MS * TORC_MS;

	ck_assert_int_eq(torc_deadline_add(deadline, &job, (uint64_t)pieces, due), 0);
	worker.job = &job;
	compete(&worker, torc_deadline_queue(deadline), 100, due + 4 * AGES);
	torc_deadline_done(&job);
	ck_assert_int_eq(worker.done, pieces);
	/* With the 100 shares that it began with it would have been done in a fifth of the time. */
	HOLDS_UNLESS_DISTURBED(worker.ended <= due && worker.ended > began + SPAN_MS * TORC_MS / 2,
	                       "done %lld ms after it began", (long long)((worker.ended - began) / TORC_MS));
	ck_assert_int_eq(torc_deadline_free(deadline), 0);
}

TEST_IN_FIBER_TIMEOUT(a_job_that_is_late_asks_for_the_most_and_one_that_is_done_for_less_and_less, 60)
{
	struct torc_deadline *deadline = new_deadline(TORC_OPTIONS(torc_deadline_options, .max_shares = 400));
	struct torc_deadline_job late = { { 0 } }, finished = { { 0 } };
	struct worker worker = { .pieces = INT_MAX };

	ck_assert_int_eq(torc_deadline_add(deadline, &late, 1, -1), 0);
	ck_assert_int_eq(torc_deadline_add(deadline, &finished, 1000000, torc_in(FOREVER)), 0);
	torc_deadline_progress(&finished, 1000000);
	compete(&worker, torc_deadline_queue(deadline), 100, torc_in(600 * TORC_MS));
	ck_assert_uint_eq(shares_of(deadline), 400);
	torc_deadline_done(&late);
	worker = (struct worker){ .pieces = INT_MAX };
	compete(&worker, torc_deadline_queue(deadline), 100, torc_in(1200 * TORC_MS));
	ck_assert_uint_le(shares_of(deadline), 200);
	torc_deadline_done(&finished);
	ck_assert_int_eq(torc_deadline_free(deadline), 0);
}

TEST_IN_FIBER_TIMEOUT(the_nearer_of_two_deadlines_counts_first, 120)
{
	int pieces = (int)(300 * TORC_MS / PIECE);
	struct torc_deadline *deadline = new_deadline(NULL);
	struct torc_deadline_job near = { { 0 } }, far = { { 0 } };
	struct worker worker = { .pieces = pieces, .job = &near };
	torc_ns due = torc_in(2 * TORC_SEC);

	/* By itself the far one, which is declared first, could do with next to nothing. */
	ck_assert_int_eq(torc_deadline_add(deadline, &far, 10, torc_in(FOREVER)), 0);
	ck_assert_int_eq(torc_deadline_add(deadline, &near, (uint64_t)pieces, due), 0);
	compete(&worker, torc_deadline_queue(deadline), 1000, due + 4 * AGES);
	ck_assert_int_eq(worker.done, pieces);
	HOLDS_UNLESS_DISTURBED(worker.ended <= due, "done %lld ms late", (long long)((worker.ended - due) / TORC_MS));
	torc_deadline_done(&near);
	torc_deadline_done(&far);
	ck_assert_int_eq(torc_deadline_free(deadline), 0);
}
