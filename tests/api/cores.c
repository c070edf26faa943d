/* cores - executors on several cores: all or none of them start, where they run, what they return, how they end, and that
 * nothing is left. */
#include "api.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

static atomic_int ran;

static int count_me(void *arg)
{
	(void)arg;
	ran++;
	return 0;
}

#define CORES(fn, arg, ...) torc_cores_run(TORC_OPTIONS(torc_cores_options, __VA_ARGS__), (fn), (arg))

/* How many CPUs this process may use; those above are made fewer or more executors by the tests. */
static unsigned cpu_count(void)
{
	cpu_set_t set;

	ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
	return (unsigned)CPU_COUNT(&set);
}

/* --- results --------------------------------------------------------------------------------------- */

static int number(void *arg)
{
	(void)arg;
	ran++;
	ck_assert_uint_lt(torc_core(), torc_core_count());
	return 100 + (int)torc_core();
}

TEST_TIMEOUT(results_are_in_order_of_cores, 60)
{
	for (unsigned count = 1; count <= 8; count++) {
		int results[9];

		for (int i = 0; i < 9; i++)
			results[i] = UNSET;
		ran = 0;
		ck_assert_int_eq(CORES(number, NULL, .count = count, .results = results), 0);
		ck_assert_int_eq(ran, count);
		for (unsigned i = 0; i < count; i++)
			ck_assert_int_eq(results[i], 100 + (int)i);
		ck_assert_int_eq(results[count], UNSET);
	}
}

static int same_arg(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, (int)torc_core_count());
	return 0;
}

TEST(without_options_there_is_one_for_each_cpu)
{
	atomic_int sum = 0;

	ck_assert_int_eq(torc_cores_run(NULL, same_arg, &sum), 0);
	ck_assert_int_eq(sum, cpu_count() * cpu_count());
}

TEST(zeroed_options_are_the_defaults)
{
	atomic_int sum = 0;

	ck_assert_int_eq(CORES(same_arg, &sum, .count = 0), 0);
	ck_assert_int_eq(sum, cpu_count() * cpu_count());
}

static int core_2_fails(void *arg)
{
	torc_ns before = torc_now();
	int r;

	(void)arg;
	if (torc_core() == 2) {
		ck_assert_int_eq(torc_sleep(10 * TORC_MS), 0);
		return -EIO;
	}
	r = torc_sleep(FOREVER);
	ck_assert_int_lt(torc_now() - before, AGES);
	return r;
}

TEST(a_core_that_fails_cancels_the_others)
{
	int results[4];

	ck_assert_int_eq(CORES(core_2_fails, NULL, .count = 4, .results = results), -EIO);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(results[i], i == 2 ? -EIO : -ECANCELED);
}

static int all_fail(void *arg)
{
	(void)arg;
	return -100 - (int)torc_core();
}

TEST(of_several_failures_the_first_in_order_of_cores_is_returned)
{
	int results[3];

	for (int i = 0; i < COUNT(100, 20); i++) {
		ck_assert_int_eq(CORES(all_fail, NULL, .count = 3, .results = results), -100);
		for (int k = 0; k < 3; k++)
			ck_assert_int_eq(results[k], -100 - k);
	}
}

static int child_of_core_1_fails(void *arg)
{
	struct child child = { .span = 10 * TORC_MS, .result = -ENOENT };

	(void)arg;
	if (torc_core() != 1)
		return torc_sleep(FOREVER);
	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, child_run, &child), 0);
	return torc_scope_join(scope);
}

TEST(children_are_cancelled_with_their_cores)
{
	ck_assert_int_eq(CORES(child_of_core_1_fails, NULL, .count = 3), -ENOENT);
}

static int who_am_i(void *arg)
{
	(void)arg;
	ck_assert_uint_eq(torc_core(), 0);
	ck_assert_uint_eq(torc_core_count(), 1);
	ck_assert_uint_eq(torc_core_of(12345), 0);
	return 0;
}

TEST(a_plain_run_is_core_0_of_1)
{
	ck_assert_int_eq(torc_run(NULL, who_am_i, NULL), 0);
}

static int spread_keys(void *arg)
{
	const uint64_t keys = COUNT(100000, 20000);
	unsigned count = torc_core_count(), hits[8] = { 0 };

	(void)arg;
	for (uint64_t key = 0; key < keys; key++) {
		unsigned core = torc_core_of(key);

		ck_assert_msg(core < count && core == torc_core_of(key), "key %llu", (unsigned long long)key);
		hits[core]++;
	}
	for (unsigned i = 0; i < count; i++)
		ck_assert_double_eq_tol(hits[i], (double)keys / count, (double)keys * 0.01);
	memset(hits, 0, sizeof hits);
	for (uint64_t key = 0; key < keys; key++) /* addresses, as they come */
		hits[torc_core_of(0x7f0000000000 + key * 4096)]++;
	for (unsigned i = 0; i < count; i++)
		ck_assert_double_eq_tol(hits[i], (double)keys / count, (double)keys * 0.01);
	return 0;
}

TEST_TIMEOUT(keys_are_spread_evenly, 60)
{
	ck_assert_int_eq(CORES(spread_keys, NULL, .count = 1), 0);
	ck_assert_int_eq(CORES(spread_keys, NULL, .count = 3), 0);
	ck_assert_int_eq(CORES(spread_keys, NULL, .count = 8), 0);
}

/* --- what is refused ------------------------------------------------------------------------------ */

static int run_inside(void *arg)
{
	ck_assert_int_eq(torc_cores_run(NULL, count_me, NULL), -EBUSY);
	ck_assert_int_eq(torc_run(NULL, count_me, NULL), -EBUSY);
	*(int *)arg = torc_sleep(TORC_MS); /* goes on */
	return 0;
}

TEST(inside_a_run_it_is_busy)
{
	int slept[1] = { UNSET };

	ck_assert_int_eq(torc_run(NULL, run_inside, slept), 0);
	ck_assert_int_eq(slept[0], 0);
	ck_assert_int_eq(CORES(run_inside, slept, .count = 1), 0);
	ck_assert_int_eq(ran, 0);
}

/* Also: nothing is leaked, which the census sees, and no fn has run. */
TEST(what_cannot_be_is_refused)
{
	int results[4] = { UNSET, UNSET, UNSET, UNSET };

	ck_assert_int_eq(CORES(count_me, NULL, .count = 257), -EINVAL);
	ck_assert_int_eq(CORES(count_me, NULL, .placement = (enum torc_placement)17), -EINVAL);
	ck_assert_int_eq(CORES(count_me, NULL, .run = TORC_OPTIONS(torc_run_options, .ring_entries = 3)), -EINVAL);
	ck_assert_int_eq(CORES(count_me, NULL, .cpus = "99999", .placement = TORC_FIXED, .results = results), -EINVAL);
	ck_assert_int_eq(CORES(count_me, NULL, .cpus = "0-99999", .placement = TORC_FENCED), -EINVAL);
	ck_assert_int_eq(CORES(count_me, NULL, .cpus = "", .placement = TORC_SPREAD), -EINVAL);
	ck_assert_int_eq(CORES(count_me, NULL, .cpus = "0,", .placement = TORC_SPREAD), -EINVAL);
	ck_assert_int_eq(CORES(count_me, NULL, .cpus = "zero", .placement = TORC_PACK), -EINVAL);
	ck_assert_int_eq(CORES(count_me, NULL, .cpus = "-1", .placement = TORC_PACK), -EINVAL);
	ck_assert_int_eq(CORES(count_me, NULL, .count = cpu_count() + 1, .placement = TORC_SPREAD), -EINVAL);
	ck_assert_int_eq(CORES(count_me, NULL, .count = cpu_count() + 1, .placement = TORC_PACK), -EINVAL);
	ck_assert_int_eq(ran, 0);
	ck_assert_int_eq(results[0], UNSET);
}

static int first_cpu(void)
{
	cpu_set_t set;
	int cpu = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	return cpu;
}

TEST(a_cpu_that_is_not_allowed_is_refused)
{
	cpu_set_t set, whole;
	char other[16];

	if (cpu_count() < 2)
		SKIP("needs two CPUs");
	ck_assert_int_eq(sched_getaffinity(0, sizeof whole, &whole), 0);
	CPU_ZERO(&set);
	CPU_SET(first_cpu(), &set);
	for (int cpu = first_cpu() + 1; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &whole)) {
			snprintf(other, sizeof other, "%d", cpu);
			break;
		}
	ck_assert_int_eq(sched_setaffinity(0, sizeof set, &set), 0);
	ck_assert_int_eq(CORES(count_me, NULL, .cpus = other, .placement = TORC_FIXED), -EINVAL);
	ck_assert_int_eq(CORES(count_me, NULL, .count = 2, .placement = TORC_SPREAD), -EINVAL);
	ck_assert_int_eq(ran, 0);
	ck_assert_int_eq(CORES(count_me, NULL, .placement = TORC_SPREAD), 0);
	ck_assert_int_eq(ran, 1);
}

/* One executor more than there are descriptors for. */
TEST_TIMEOUT(where_one_cannot_start_none_has_run, 60)
{
	struct rlimit before, limit;
	const int count = COUNT(8, 4);
	int results[8], refused = 0;

	ck_assert_int_eq(CORES(count_me, NULL, .count = 1), 0); /* probed, and what else is done once */
	ran = 0;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (rlim_t most = 3; most < 30; most++) {
		int was = ran, r;

		limit = (struct rlimit){ most, before.rlim_max };
		for (int i = 0; i < 8; i++)
			results[i] = UNSET;
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		r = CORES(count_me, NULL, .count = (unsigned)count, .results = results);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
		if (r == 0) {
			ck_assert_int_eq(ran, was + count);
			continue;
		}
		ck_assert_int_eq(r, -EMFILE);
		ck_assert_int_eq(ran, was);
		ck_assert_int_eq(results[0], UNSET);
		refused++;
	}
	ck_assert_int_gt(refused, 3);
}

TEST_TIMEOUT(where_there_is_no_memory_none_has_run, 60)
{
	struct rlimit before;
	int refused = 0;

	if (harness_slow())
		SKIP("sanitizers want memory of their own");
	ck_assert_int_eq(CORES(count_me, NULL, .count = 1), 0);
	ran = 0;
	ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
	for (rlim_t most = 16 << 20; most <= 256 << 20; most += 16 << 20) {
		int was = ran, r;

		ck_assert_int_eq(setrlimit(RLIMIT_AS, &(struct rlimit){ most, before.rlim_max }), 0);
		r = CORES(count_me, NULL, .count = 8);
		ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
		if (r == 0) {
			ck_assert_int_eq(ran, was + 8);
			continue;
		}
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert_int_eq(ran, was);
		refused++;
	}
	ck_assert_int_gt(refused, 0);
}

/* --- where they run --------------------------------------------------------------------------------- */

static cpu_set_t affinities[64];

static int where(void *arg)
{
	(void)arg;
	return sched_getaffinity(0, sizeof affinities[0], &affinities[torc_core()]) < 0 ? -errno : 0;
}

TEST(unbound_cores_may_run_wherever_the_process_may)
{
	cpu_set_t whole;

	ck_assert_int_eq(sched_getaffinity(0, sizeof whole, &whole), 0);
	ck_assert_int_eq(CORES(where, NULL, .count = 3), 0);
	for (int i = 0; i < 3; i++)
		ck_assert(CPU_EQUAL(&affinities[i], &whole));
}

static void assert_one_each(enum torc_placement placement)
{
	unsigned count = cpu_count() < 64 ? cpu_count() : 64;
	cpu_set_t seen;

	CPU_ZERO(&seen);
	ck_assert_int_eq(CORES(where, NULL, .count = count, .placement = placement), 0);
	for (unsigned i = 0; i < count; i++) {
		ck_assert_int_eq(CPU_COUNT(&affinities[i]), 1);
		CPU_OR(&seen, &seen, &affinities[i]);
	}
	ck_assert_int_eq(CPU_COUNT(&seen), (int)count);
}

TEST(spread_packed_and_fixed_have_one_cpu_each)
{
	cpu_set_t before, after;

	ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
	assert_one_each(TORC_SPREAD);
	assert_one_each(TORC_PACK);
	assert_one_each(TORC_FIXED);
	ck_assert_int_eq(sched_getaffinity(0, sizeof after, &after), 0);
	ck_assert(CPU_EQUAL(&before, &after)); /* the caller stays as it was */
}

TEST(fixed_takes_the_cpus_as_they_are_named)
{
	cpu_set_t whole;
	int first = first_cpu(), second = first + 1;
	char text[32];

	ck_assert_int_eq(sched_getaffinity(0, sizeof whole, &whole), 0);
	if (cpu_count() < 2)
		SKIP("needs two CPUs");
	while (!CPU_ISSET(second, &whole))
		second++;
	snprintf(text, sizeof text, "%d,%d", second, first);
	ck_assert_int_eq(CORES(where, NULL, .placement = TORC_FIXED, .cpus = text), 0);
	ck_assert(CPU_ISSET(second, &affinities[0]) && CPU_COUNT(&affinities[0]) == 1);
	ck_assert(CPU_ISSET(first, &affinities[1]) && CPU_COUNT(&affinities[1]) == 1);
	ck_assert_int_eq(CORES(where, NULL, .placement = TORC_FIXED, .cpus = text, .count = 3), -EINVAL);
}

TEST(fenced_cores_share_the_set)
{
	char text[16];

	snprintf(text, sizeof text, "%d", first_cpu());
	ck_assert_int_eq(CORES(where, NULL, .placement = TORC_FENCED, .cpus = text, .count = 4), 0);
	for (int i = 0; i < 4; i++)
		ck_assert(CPU_COUNT(&affinities[i]) == 1 && CPU_ISSET(first_cpu(), &affinities[i]));
	ck_assert_int_eq(CORES(where, NULL, .placement = TORC_FENCED, .count = 3), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(CPU_COUNT(&affinities[i]), (int)cpu_count());
}

/* --- signals ---------------------------------------------------------------------------------------- */

static int wait_for_a_signal(void *arg)
{
	if (torc_core() == 0 && arg) {
		ck_assert_int_eq(torc_sleep(20 * TORC_MS), 0);
		ck_assert_int_eq(kill(getpid(), *(int *)arg), 0);
	}
	return torc_sleep(FOREVER);
}

static void stopped_by(int signal)
{
	int results[3];
	sigset_t before, after;

	pthread_sigmask(SIG_BLOCK, NULL, &before);
	ck_assert_int_eq(CORES(wait_for_a_signal, &signal, .count = 3, .stop_on_signals = true, .results = results),
	                 -ECANCELED);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(results[i], -ECANCELED);
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	for (int i = 1; i < NSIG; i++)
		ck_assert_int_eq(sigismember(&before, i), sigismember(&after, i));
}

TEST(signals_stop_every_core)
{
	stopped_by(SIGTERM);
	stopped_by(SIGINT);
	stopped_by(SIGTERM);
}

static int obey_quietly(void *arg)
{
	(void)wait_for_a_signal(arg);
	return 0;
}

TEST(who_obeys_with_success_has_success)
{
	int signal = SIGTERM;

	ck_assert_int_eq(CORES(obey_quietly, &signal, .count = 2, .stop_on_signals = true), 0);
}

TEST(without_a_signal_it_ends_as_usual)
{
	for (int i = 0; i < COUNT(200, 20); i++) {
		ran = 0;
		ck_assert_int_eq(CORES(count_me, NULL, .count = 2, .stop_on_signals = true), 0);
		ck_assert_int_eq(ran, 2);
	}
	ck_assert_int_eq(CORES(all_fail, NULL, .count = 2, .stop_on_signals = true), -100);
	ck_assert_int_eq(
		CORES(count_me, NULL, .count = 2, .stop_on_signals = true, .cpus = "99999", .placement = TORC_FIXED),
		-EINVAL);
}

/* Signals whenever they like: before all run, while they stop, when they have stopped. */
struct volley {
	unsigned seed;
	atomic_bool over;
};

static void *send_signals(void *arg)
{
	struct volley *volley = arg;

	while (!volley->over) {
		usleep((useconds_t)rand_r(&volley->seed) % 1500);
		kill(getpid(), rand_r(&volley->seed) % 2 ? SIGINT : SIGTERM);
	}
	return NULL;
}

static int call_until_stopped(void *arg)
{
	int r = 0;

	(void)arg;
	while (r == 0)
		r = torc_on(1 - torc_core(), count_me, NULL);
	return r;
}

TEST_TIMEOUT(signals_may_come_at_any_time_and_again, 60)
{
	struct volley volley = { .seed = (unsigned)getpid() };
	pthread_t sender;

	printf("seed %u\n", volley.seed);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	ck_assert_int_eq(pthread_create(&sender, NULL, send_signals, &volley), 0);
	for (int i = 0; i < COUNT(300, 30); i++) {
		int r = CORES(i % 2 ? wait_for_a_signal : call_until_stopped, NULL, .count = 2,
		              .stop_on_signals = true);

		ck_assert_int_eq(r, -ECANCELED);
	}
	volley.over = true;
	ck_assert_int_eq(pthread_join(sender, NULL), 0);
}

/* --- again and again ---------------------------------------------------------------------------------- */

static int greet(void *arg)
{
	return torc_on(1 - torc_core(), count_me, arg);
}

static void cycles(int count)
{
	for (int i = 0; i < count; i++) {
		ran = 0;
		ck_assert_int_eq(CORES(greet, NULL, .count = 2), 0);
		ck_assert_int_eq(ran, 2);
	}
}

/* The census looks what is left. */
TEST_TIMEOUT(hundreds_of_pools_leave_nothing, 120)
{
	cycles(COUNT(300, 50));
}

/* .ci/run calls it by name. */
TEST_HIDDEN(ten_thousand_pools_leave_nothing, 800)
{
	cycles(10000);
}

static void *run_a_pool(void *arg)
{
	(void)arg;
	for (int i = 0; i < COUNT(20, 5); i++)
		ck_assert_int_eq(CORES(greet, NULL, .count = 2), 0);
	return NULL;
}

TEST_TIMEOUT(pools_may_run_beside_each_other, 60)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run_a_pool, NULL), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(ran, 4 * 2 * COUNT(20, 5));
}
