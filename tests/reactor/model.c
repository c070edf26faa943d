/* model.c - the SleepableRing, its ReactorQueue and SourceMap against a reference that is too simple to be wrong, on a
 * simulated machine that answers, refuses, withholds, reorders and lies at random. After every step the invariants that
 * the modules' comments promise are looked at. SEED=n repeats one run. */
#include "reactor/sleepable_ring.h"

#include "base/random.h"
#include "fiber/fresh_queues.h"
#include "harness.h"
#include "machine/fake_uring.h"

enum { SOURCES = 60, STEPS = 400 };

enum state { IDLE, QUEUED, IN_KERNEL };

struct subject {
	struct source source;
	struct fiber fiber;
	enum state state;
	bool multishot, by_wakers;
	uint64_t order;    /* of its submission */
	uint64_t last_id;  /* of its latest stay in the kernel */
	unsigned asked;    /* it was asked to cancel while in the kernel */
	unsigned cancels;  /* requests for that which the machine has seen */
	unsigned answers;  /* it got, in this life */
	unsigned expected; /* it was given */
	int result, got;
	bool ended; /* its last answer is on its way */
	bool ready; /* its fiber is on the task queue */
};

static struct fake_uring fake;
static struct sleepable_ring ring;
static struct task_queue woken;
static struct subject subjects[SOURCES];
static struct random chance;
static uint64_t submitted;
static uint64_t taken_order; /* of the newest that entered the kernel */
static unsigned in_callback;
static uint64_t callbacks;

#define MUST(fact) HOLDS(fact, chance.seed)

static void submit(struct subject *subject);

static struct subject *any(void)
{
	return &subjects[random_below(&chance, SOURCES)];
}

static void over(struct subject *subject, int result)
{
	subject->state = IDLE;
	subject->got = result;
	subject->ready = subject->by_wakers;
}

/* It may have entered the kernel behind our back. */
static void refresh(struct subject *subject)
{
	if (subject->state != QUEUED || subject->source.inner.id == 0)
		return;
	subject->state = IN_KERNEL;
	subject->last_id = subject->source.inner.id;
	if (subject->order > taken_order)
		taken_order = subject->order;
}

static void cancel(struct subject *subject)
{
	bool queued, by_wakers = subject->by_wakers;
	uint64_t before = callbacks;

	refresh(subject);
	queued = subject->state == QUEUED;
	if (subject->state == IN_KERNEL)
		subject->asked++;
	sleepable_ring_cancel(&ring, &subject->source.inner);
	if (!queued)
		return;
	/* It may be under way again, if its answer was to submit it. */
	if (by_wakers) {
		MUST(subject->source.inner.wakers.result == -ECANCELED);
		over(subject, -ECANCELED);
	} else {
		MUST(callbacks > before);
	}
}

static void answered(struct inner_source *inner, int result, bool last)
{
	struct subject *subject = container_of(inner, struct subject, source.inner);

	MUST(subject->state != IDLE);
	MUST(subject->state == IN_KERNEL || (last && result == -ECANCELED));
	subject->answers++;
	callbacks++;
	if (last) {
		MUST(inner->id == 0);
		MUST(list_empty(&inner->link));
		MUST(subject->state == QUEUED || result == subject->result);
		over(subject, result);
	} else {
		MUST(subject->multishot && inner->id == subject->last_id);
	}
	if (++in_callback == 1 && random_chance(&chance, 30)) {
		struct subject *other = any();

		if (random_chance(&chance, 50))
			cancel(other);
		else if (other->state == IDLE)
			submit(other);
	}
	in_callback--;
}

static void submit(struct subject *subject)
{
	struct source *source = &subject->source;
	struct io_uring_sqe *sqe;
	bool room = ring.in_kernel < ring.limit && ring.queue.count == 0;

	if (subject->ready)
		return;
	memset(source, 0xa5, sizeof *source); /* what source_init does not set must not matter */
	source_init(source, SOURCE_READ, 3);
	subject->by_wakers = random_chance(&chance, 50);
	subject->multishot = !subject->by_wakers && random_chance(&chance, 50);
	if (subject->by_wakers) {
		subject->fiber.queue = &woken;
		wakers_add(&source->inner.wakers, &subject->fiber);
	} else {
		source->inner.answer = answered;
	}
	subject->order = ++submitted;
	subject->asked = subject->cancels = subject->answers = subject->expected = 0;
	subject->ended = false;

	sqe = sleepable_ring_sqe(&ring, source);
	uring_prepare(sqe, IORING_OP_READ, 3, NULL, 0);
	sqe->off = subject->order;
	sqe->addr = (uintptr_t)subject;
	sleepable_ring_submit(&ring, source, sqe);
	MUST(room || sqe == &source->deferred); /* nobody overtakes */
	subject->state = sqe == &source->deferred ? QUEUED : IN_KERNEL;
	subject->last_id = source->inner.id;
	if (subject->state == IN_KERNEL)
		taken_order = subject->order;
}

/* The answers that went to wakers, and fibers that ran. */
static void follow(void)
{
	for (int i = 0; i < SOURCES; i++) {
		struct subject *subject = &subjects[i];
		struct inner_source *inner = &subject->source.inner;

		refresh(subject);
		if (subject->state == IN_KERNEL && subject->by_wakers && !inner->wakers.waiting) {
			MUST(subject->ended && inner->id == 0);
			MUST(inner->wakers.result == subject->result);
			over(subject, inner->wakers.result);
		}
	}
	if (random_chance(&chance, 50))
		while (woken.count > 0) {
			struct subject *subject = container_of(task_queue_pop(&woken), struct subject, fiber);

			MUST(subject->state == IDLE && subject->ready);
			subject->ready = false;
		}
}

static void check(void)
{
	unsigned in_kernel = 0, queued = 0, ready = 0;
	uint64_t order = 0;

	for (int i = 0; i < SOURCES; i++) {
		struct subject *subject = &subjects[i];
		struct inner_source *inner = &subject->source.inner;

		in_kernel += subject->state == IN_KERNEL;
		queued += subject->state == QUEUED;
		switch (subject->state) {
		case IDLE:
			break;
		case QUEUED:
			MUST(inner->id == 0 && !list_empty(&inner->link));
			MUST(subject->order > taken_order);
			break;
		case IN_KERNEL:
			MUST(inner->id == subject->last_id);
			MUST(source_map_get(&ring.map, inner->id) == inner);
			MUST(inner->cancelling == (subject->asked > 0));
			break;
		}
		if (subject->state == IDLE && subject->last_id)
			MUST(source_map_get(&ring.map, subject->last_id) == NULL);
	}
	MUST(ring.in_kernel == in_kernel && ring.map.count == in_kernel);
	MUST(ring.queue.count == queued);
	MUST(ring.in_kernel <= ring.limit);
	MUST(ring.cancels_in_kernel <= ring.cancels_limit);
	MUST(ring.limit + ring.cancels_limit < uring_cq_entries(&ring.uring));
	list_each (node, &ring.queue.submissions) {
		struct subject *subject = container_of(node, struct subject, source.inner.link);

		MUST(subject->state == QUEUED && subject->order > order);
		order = subject->order;
		queued--;
	}
	MUST(queued == 0);
	list_each (node, &ring.queue.cancellations) {
		struct subject *subject = container_of(node, struct subject, source.inner.link);

		MUST(subject->state == IN_KERNEL && subject->asked > 0);
	}
	for (struct fiber *fiber = woken.head; fiber; fiber = fiber->next)
		ready++;
	MUST(ready == woken.count);
}

/* The subject of a request that the machine holds. */
static struct subject *subject_of(const struct io_uring_sqe *sqe)
{
	return (struct subject *)(uintptr_t)sqe->addr;
}

static void machine_answers(void)
{
	unsigned index;
	struct subject *subject;
	struct io_uring_sqe sqe;

	if (fake.held_count == 0)
		return;
	index = random_below(&chance, fake.held_count);
	memcpy(&sqe, &fake.held[index], sizeof sqe);
	if (sqe.opcode == IORING_OP_ASYNC_CANCEL) {
		static const int words[] = { 0, -ENOENT, -EALREADY };

		fake_answer(&fake, index, words[random_below(&chance, 3)], 0);
		return;
	}
	subject = subject_of(&sqe);
	MUST(sqe.user_data == subject->last_id && sqe.off == subject->order);
	subject->expected++;
	if (subject->multishot && random_chance(&chance, 70)) {
		fake_answer(&fake, index, (int)random_below(&chance, 1000), IORING_CQE_F_MORE);
		return;
	}
	subject->result = random_chance(&chance, 30) ? -ECANCELED : (int)random_below(&chance, 1000);
	subject->ended = true;
	fake_answer(&fake, index, subject->result, 0);
}

/* An answer to what is over, or never was. */
static void machine_lies(void)
{
	const struct subject *subject = any();

	if (subject->state == IDLE && subject->last_id)
		fake_post(&fake, subject->last_id, 12345, random_chance(&chance, 50) ? IORING_CQE_F_MORE : 0);
	fake_post(&fake, random_next(&chance) >> 1 | UINT64_C(1) << 62, 12345, 0);
}

static void turn(bool wait)
{
	/* Do not wait for what cannot come. */
	if (wait && fake_unread(&fake) == 0 && fake.inside_count == 0)
		fake.spurious = 1;
	sleepable_ring_turn(&ring, wait, INT64_MAX);
	fake.spurious = 0;
}

static void step(void)
{
	struct subject *subject = any();

	switch (random_below(&chance, 20)) {
	case 0 ... 6:
		if (subject->state == IDLE)
			submit(subject);
		break;
	case 7 ... 8:
		cancel(subject);
		break;
	case 9 ... 13:
		machine_answers();
		break;
	case 14:
		machine_lies();
		break;
	case 15:
		fake.refusal = random_chance(&chance, 50) ? -EBUSY : -EAGAIN;
		fake.refusals = random_below(&chance, 4);
		break;
	case 16:
		fake.withhold = random_chance(&chance, 50);
		break;
	default:
		turn(random_chance(&chance, 50));
	}
	follow();
	check();
}

static void count_cancels(void)
{
	for (unsigned i = 0; i < fake.held_count; i++)
		if (fake.held[i].opcode == IORING_OP_ASYNC_CANCEL)
			for (int k = 0; k < SOURCES; k++)
				if (subjects[k].state == IN_KERNEL && subjects[k].last_id == fake.held[i].addr)
					subjects[k].cancels++;
	for (int k = 0; k < SOURCES; k++) {
		MUST(subjects[k].cancels <= 1);
		subjects[k].cancels = 0;
	}
}

static void cancel_all(void)
{
	sleepable_ring_cancel_all(&ring);
	for (int i = 0; i < SOURCES; i++) {
		struct inner_source *inner = &subjects[i].source.inner;

		refresh(&subjects[i]);
		if (subjects[i].state == IN_KERNEL)
			subjects[i].asked++;
		if (subjects[i].state == QUEUED) { /* by wakers; the others told us */
			MUST(subjects[i].by_wakers && inner->wakers.result == -ECANCELED && list_empty(&inner->link));
			over(&subjects[i], -ECANCELED);
		}
	}
}

static void end(void)
{
	fake.refusals = 0;
	fake.withhold = false;
	cancel_all();
	for (int i = 0; sleepable_ring_busy(&ring); i++) {
		MUST(i < 10000);
		while (fake.held_count > 0)
			machine_answers();
		turn(false);
		follow();
		/* What an answer submitted anew is not meant to go on for ever. */
		if (i % 16 == 15)
			cancel_all();
		check();
	}
	for (int i = 0; i < SOURCES; i++) {
		MUST(subjects[i].state == IDLE);
		MUST(subjects[i].by_wakers || subjects[i].answers >= subjects[i].expected);
	}
}

static void run(uint64_t seed)
{
	unsigned sq, cq;

	chance = random_seeded(seed);
	sq = 1u << random_below(&chance, 6);
	cq = sq << (1 + random_below(&chance, 3));
	if (cq < 8)
		cq = 8; /* the least in which there is room beside bells */
	memset(subjects, 0, sizeof subjects);
	for (int i = 0; i < SOURCES; i++)
		source_init(&subjects[i].source, SOURCE_READ, 3);
	submitted = taken_order = 0;
	fake_init(&fake);
	fresh_queue(&woken);
	MUST(sleepable_ring_open(&ring, &fake.machine, "model", sq, cq) == 0);
	if (random_chance(&chance, 20)) /* see them wrap */
		for (unsigned i = 0; i < ring.map.size; i++) {
			uint64_t id = source_map_add(&ring.map, &subjects[0].source.inner);

			ring.map.slots[(uint32_t)id].generation = INT32_MAX - 3;
			ring.map.slots[(uint32_t)id].source = NULL;
			ring.map.slots[(uint32_t)id].next_free = i > 0 ? i - 1 : UINT32_MAX;
			ring.map.free = (uint32_t)id;
			if (i + 1 < ring.map.size)
				ring.map.free = UINT32_MAX; /* have the next one be unused */
			ring.map.count--;
		}
	for (int i = 0; i < STEPS; i++) {
		step();
		count_cancels();
	}
	end();
	sleepable_ring_close(&ring);
}

TEST_TIMEOUT(whatever_the_machine_does_nothing_is_lost_doubled_or_overtaken, 40)
{
	for (uint64_t seed = seed_first(); seed_more(seed, harness_slow() ? 200 : 5000); seed++)
		run(seed);
}
