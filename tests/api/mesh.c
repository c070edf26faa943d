/* mesh.c - channels from every core to every core. */
#include "api.h"

#include <pthread.h>

enum { CORES = 5 };

struct news {
	uint32_t from;
	uint32_t last;
	uint64_t number;
};

struct hub {
	struct torc_mesh *mesh;
	uint64_t count; /* from each core to each */
	bool ring;      /* only to the next core */
	bool tells;     /* recv_from is asked */
	uint64_t got[CORES];
};

static bool is_next(unsigned from, unsigned to, void *cores)
{
	return to == (from + 1) % *(const unsigned *)cores;
}

static int hub_send(void *arg)
{
	struct hub *hub = arg;
	struct news news = { .from = torc_core() };

	for (news.number = 1; news.number <= hub->count; news.number++)
		for (unsigned core = 0; core < torc_core_count(); core++) {
			unsigned cores = torc_core_count();

			news.last = news.number == hub->count;
			if (!hub->ring || is_next(torc_core(), core, &cores))
				ck_assert_int_eq(torc_mesh_send(hub->mesh, core, &news), 0);
			else
				ck_assert_int_eq(torc_mesh_send(hub->mesh, core, &news), -EINVAL);
		}
	return 0;
}

static int hub_recv(void *arg)
{
	struct hub *hub = arg;
	uint64_t seen[CORES] = { 0 };
	struct news news;
	unsigned open = hub->ring ? 1 : torc_core_count(), from = 0;

	while (open > 0) {
		if (hub->tells) {
			ck_assert_int_eq(torc_mesh_recv_from(hub->mesh, &from, &news), 0);
			ck_assert_uint_eq(from, news.from);
		} else {
			ck_assert_int_eq(torc_mesh_recv(hub->mesh, &news), 0);
		}
		ck_assert_uint_eq(news.number, ++seen[news.from]);
		hub->got[torc_core()]++;
		open -= news.last;
	}
	ck_assert_int_eq(torc_mesh_try_recv(hub->mesh, &news), 0);
	return 0;
}

static int hub_core(void *arg)
{
	TORC_SCOPE(both);
	ck_assert_int_eq(torc_go(both, hub_send, arg), 0);
	ck_assert_int_eq(torc_go(both, hub_recv, arg), 0);
	return torc_scope_join(both);
}

static int run_cores(torc_ns spin, torc_fn *fn, void *arg)
{
	return torc_cores_run(
		TORC_OPTIONS(torc_cores_options, .count = CORES, .run = TORC_OPTIONS(torc_run_options, .spin = spin)),
		fn, arg);
}

static void run_hub(struct hub hub, size_t capacity, torc_ns spin)
{
	unsigned cores = CORES;

	if (hub.ring)
		ck_assert_int_eq(torc_mesh_new_with(&hub.mesh, sizeof(struct news), capacity,
		                                    TORC_OPTIONS(torc_mesh_options, .joins = is_next, .arg = &cores)),
		                 0);
	else
		ck_assert_int_eq(torc_mesh_new(&hub.mesh, sizeof(struct news), capacity), 0);
	ck_assert_int_eq(run_cores(spin, hub_core, &hub), 0);
	for (unsigned core = 0; core < CORES; core++)
		ck_assert_uint_eq(hub.got[core], hub.count * (hub.ring ? 1 : CORES));
	torc_mesh_free(hub.mesh);
}

TEST_TIMEOUT(everybody_to_everybody, 60)
{
	for (torc_ns spin = 0; spin <= TORC_MS; spin += TORC_MS) {
		run_hub((struct hub){ .count = COUNT(1500, 300) }, 64, spin);
		run_hub((struct hub){ .count = COUNT(300, 100), .tells = true }, 1, spin);
	}
}

TEST_TIMEOUT(only_to_the_next, 60)
{
	run_hub((struct hub){ .count = COUNT(1500, 300), .ring = true }, 8, 0);
}

/* --- turns, ends ------------------------------------------------------------------------------- */

static int flood(void *mesh)
{
	struct news news = { .from = torc_core() };
	int r;

	while ((r = torc_mesh_send((struct torc_mesh *)mesh, 0, &news)) == 0)
		;
	return r;
}

static int fair_core(void *mesh)
{
	uint64_t seen[CORES] = { 0 }, least = 0;
	struct news news;

	if (torc_core() > 0) {
		ck_assert_int_eq(flood(mesh), -EPIPE);
		return 0;
	}
	while (least < (uint64_t)COUNT(300, 50)) { /* ends only if each has its turn */
		ck_assert_int_eq(torc_mesh_recv((struct torc_mesh *)mesh, &news), 0);
		seen[news.from]++;
		least = UINT64_MAX;
		for (unsigned core = 1; core < CORES; core++)
			least = seen[core] < least ? seen[core] : least;
	}
	torc_mesh_close(mesh);
	return 0;
}

TEST_TIMEOUT(each_core_has_its_turn, 60)
{
	struct torc_mesh *mesh;

	ck_assert_int_eq(torc_mesh_new(&mesh, sizeof(struct news), 16), 0);
	ck_assert_int_eq(run_cores(0, fair_core, mesh), 0);
	torc_mesh_free(mesh);
}

static int close_core(void *mesh)
{
	struct news news;

	if (torc_core() == 0) {
		ck_assert_int_eq(torc_sleep(SOON), 0);
		torc_mesh_close(mesh);
	}
	ck_assert_int_eq(torc_mesh_recv((struct torc_mesh *)mesh, &news), -EPIPE);
	ck_assert_int_eq(torc_mesh_send((struct torc_mesh *)mesh, 0, &news), -EPIPE);
	return 0;
}

static int cancel_core(void *mesh)
{
	struct news news;

	if (torc_core() == 0 && torc_sleep(SOON) == 0)
		return -EDOM; /* which cancels the others */
	ck_assert_int_eq(torc_mesh_recv((struct torc_mesh *)mesh, &news), -ECANCELED);
	return -ECANCELED;
}

TEST(closed_and_cancelled)
{
	struct torc_mesh *mesh;

	ck_assert_int_eq(torc_mesh_new(&mesh, sizeof(struct news), 16), 0);
	ck_assert_int_eq(run_cores(0, close_core, mesh), 0);
	torc_mesh_free(mesh);
	ck_assert_int_eq(torc_mesh_new(&mesh, sizeof(struct news), 16), 0);
	ck_assert_int_eq(run_cores(0, cancel_core, mesh), -EDOM);
	torc_mesh_free(mesh);
}

TEST_IN_FIBER(to_oneself)
{
	struct torc_mesh *mesh;
	uint64_t item = 5, got = 0;
	unsigned from = 7;

	ck_assert_int_eq(torc_mesh_new(&mesh, sizeof item, 2), 0);
	ck_assert_int_eq(torc_mesh_send(mesh, 1, &item), -EINVAL);
	ck_assert_int_eq(torc_mesh_try_recv(mesh, &got), 0);
	ck_assert_int_eq(torc_mesh_send(mesh, 0, &item), 0);
	ck_assert_int_eq(torc_mesh_try_send(mesh, 0, &item), 1);
	ck_assert_int_eq(torc_mesh_try_send(mesh, 0, &item), 0);
	ck_assert_int_eq(torc_mesh_try_recv_from(mesh, &from, &got), 1);
	ck_assert_uint_eq(from, 0);
	ck_assert_uint_eq(got, 5);
	torc_mesh_free(mesh);
}

TEST(mesh_out_of_range)
{
	struct torc_mesh *mesh = NULL;

	ck_assert_int_eq(torc_mesh_new(&mesh, 0, 2), -EINVAL);
	ck_assert_int_eq(torc_mesh_new(&mesh, 8, 0), -EINVAL);
	ck_assert_ptr_null(mesh);
	torc_mesh_free(NULL);
}

DEATH_IN_FIBER(news_of_another_size, "torc_mesh_send_sized: an item of 4 bytes; those of this lane have 8")
{
	struct torc_mesh *mesh;
	uint32_t item = 0;

	ck_assert_int_eq(torc_mesh_new(&mesh, 8, 1), 0);
	(void)!torc_mesh_send(mesh, 0, &item);
}

/* --- closed from everywhere -------------------------------------------------------------------- */

struct crowd {
	struct torc_mesh *mesh;
	unsigned seed;
};

static int send_to_all(void *arg)
{
	struct crowd *crowd = arg;
	uint64_t item = 0;
	int r = 0;

	for (unsigned to = 0; r == 0 || r == -ETIME; to++, item++) {
		TORC_SCOPE(scope, .deadline = to % 7 ? 0 : torc_in(to % 50 * TORC_US));
		r = torc_mesh_send(crowd->mesh, to % torc_core_count(), &item);
	}
	return r == -EPIPE ? 0 : r;
}

static int receive_from_all(void *arg)
{
	struct crowd *crowd = arg;
	uint64_t item;
	int r = 0;

	for (unsigned i = 0; r == 0 || r == -ETIME; i++) {
		TORC_SCOPE(scope, .deadline = i % 5 ? 0 : torc_in(i % 40 * TORC_US));
		r = torc_mesh_recv(crowd->mesh, &item);
	}
	return r == -EPIPE ? 0 : r;
}

static int be_one_of_the_crowd(void *arg)
{
	struct crowd *crowd = arg;
	unsigned seed = crowd->seed + torc_core();
	int r = 0;

	TORC_SCOPE(scope);
	for (int i = 0; i < 2 && r == 0; i++)
		r = torc_go(scope, send_to_all, crowd);
	for (int i = 0; i < 2 && r == 0; i++)
		r = torc_go(scope, receive_from_all, crowd);
	if (r == 0)
		r = torc_sleep(rand_r(&seed) % 1500 * TORC_US);
	torc_mesh_close(crowd->mesh);
	return r < 0 ? r : torc_scope_join(scope);
}

static void *close_beside(void *arg)
{
	struct crowd *crowd = arg;
	unsigned seed = crowd->seed + 100;

	usleep(rand_r(&seed) % 2000);
	torc_mesh_close(crowd->mesh);
	return NULL;
}

TEST_TIMEOUT(closed_from_everywhere_at_once, 120)
{
	struct crowd crowd = { .seed = (unsigned)getpid() };

	printf("seed %u\n", crowd.seed);
	for (int i = 0; i < COUNT(150, 15); i++, crowd.seed++) {
		pthread_t thread;

		ck_assert_int_eq(torc_mesh_new(&crowd.mesh, sizeof(uint64_t), (size_t)i % 5 + 1), 0);
		ck_assert_int_eq(pthread_create(&thread, NULL, close_beside, &crowd), 0);
		ck_assert_int_eq(
			torc_cores_run(TORC_OPTIONS(torc_cores_options, .count = 3,
		                                    .run = TORC_OPTIONS(torc_run_options, .spin = i % 3 ? 0 : TORC_MS)),
		                       be_one_of_the_crowd, &crowd),
			0);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		torc_mesh_free(crowd.mesh);
	}
}
