#include "io/device.h"

#include "machine/block.h"
#include "machine/clock.h"
#include "machine/feature.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { READ, WRITE, BYTE_SHIFT = 16 };
enum { WINDOW_LEAST = 16 }; /* answers that say something about a device */
static const int64_t window_ns = 10000000, look_every_ns = 1000000000;
static const int64_t goal_default_ns = 500000, goal_least_ns = 10000, limit_most_ns = 1000000000;
static const uint64_t iops_default = 60000, bytes_default = 1000000000, per_second = 1000000000;

/* --- the model ---------------------------------------------------------------------------------------- */

static struct device_cost cost_of(uint64_t iops, uint64_t bytes)
{
	return (struct device_cost){ .request_ns = (int64_t)(per_second / iops),
		                     .byte = (uint64_t)((double)per_second / (double)bytes * (1 << BYTE_SHIFT)) };
}

static uint64_t or_else(uint64_t value, uint64_t usual)
{
	return value ? value : usual;
}

static void set_model(struct device *device, const struct torc_device_model *model)
{
	struct torc_device_model *ours = &device->model;

	*ours = *model;
	ours->size = sizeof *ours;
	ours->read_iops = or_else(model->read_iops, iops_default);
	ours->read_bytes = or_else(model->read_bytes, bytes_default);
	ours->write_iops = or_else(model->write_iops, ours->read_iops);
	ours->write_bytes = or_else(model->write_bytes, ours->read_bytes);
	ours->goal = model->goal ? model->goal : goal_default_ns;
	device->cost[READ] = cost_of(ours->read_iops, ours->read_bytes);
	device->cost[WRITE] = cost_of(ours->write_iops, ours->write_bytes);
	device->limit_ns = ours->goal;
	device->bytes_limit = ours->bytes_in_flight ? ours->bytes_in_flight : UINT64_MAX;
	device->least_latency = 0;
}

/* --- records ------------------------------------------------------------------------------------------- */

static struct device *device_find(const struct executor *executor, uint64_t dev)
{
	list_each (node, &executor->devices) {
		struct device *device = container_of(node, struct device, link);

		if (device->dev == dev)
			return device;
	}
	return NULL;
}

struct device *device_get(struct executor *executor, uint64_t dev)
{
	struct device *device = device_find(executor, dev);
	struct torc_device_model model = { .size = sizeof model };
	uint64_t known[4] = { 0 };

	if (device)
		return device;
	device = calloc(1, sizeof *device);
	if (!device)
		return NULL;
	device->dev = dev;
	device->executor = executor;
	list_init(&device->classes);
	list_append(&executor->devices, &device->link);
	block_known(dev, known);
	model.read_iops = known[0];
	model.read_bytes = known[1];
	model.write_iops = known[2];
	model.write_bytes = known[3];
	set_model(device, &model);
	device->polls = feature_on(FEATURE_IOPOLL) && block_polls(dev);
	return device;
}

static void drop_class(struct queue_io *io)
{
	struct device_class *class = container_of(io, struct device_class, of_queue);
	struct device *device = class->device;
	struct queue_io **link = &class->queue->io;

	ASSERT(class->in_flight == 0 && list_empty(&class->waiting));
	while (*link != io) /* ends: it is there */
		link = &(*link)->next;
	*link = io->next;
	device->counts[READ] += io->reads;
	device->counts[WRITE] += io->writes;
	device->counted_bytes[READ] += io->read_bytes;
	device->counted_bytes[WRITE] += io->written_bytes;
	if (device->only == class)
		device->only = NULL;
	list_unlink(&class->link);
	queue_manager_unregister(&device->manager, &class->account);
	free(class);
}

void device_close_all(struct executor *executor)
{
	struct list *first;

	executor->device = NULL;
	while ((first = list_pop(&executor->devices))) {
		struct device *device = container_of(first, struct device, link);

		while (!list_empty(&device->classes))
			drop_class(&container_of(device->classes.next, struct device_class, link)->of_queue);
		free(device);
	}
}

static struct device_class *new_class(struct device *device, struct task_queue *queue)
{
	struct device_class *class = calloc(1, sizeof *class);

	if (!class)
		return NULL;
	if (queue_manager_register(&device->manager, &class->account, queue->account.shares) < 0) {
		free(class);
		return NULL;
	}
	class->device = device;
	class->queue = queue;
	class->of_queue = (struct queue_io){ .next = queue->io, .owner = device, .drop = drop_class };
	queue->io = &class->of_queue;
	list_init(&class->waiting);
	list_append(&device->classes, &class->link);
	return class;
}

/* The one that was used last stands first: few queues use many devices in turn. */
static __attribute__((noinline)) struct device_class *find_class(struct device *device, struct task_queue *queue)
{
	for (struct queue_io **link = &queue->io, *io; (io = *link); link = &io->next)
		if (io->owner == device) {
			*link = io->next;
			io->next = queue->io;
			queue->io = io;
			return container_of(io, struct device_class, of_queue);
		}
	return new_class(device, queue);
}

static inline struct device_class *class_of(struct device *device, struct task_queue *queue)
{
	struct queue_io *io = queue->io;

	if (likely(io && io->owner == device))
		return container_of(io, struct device_class, of_queue);
	return find_class(device, queue);
}

/* --- limits --------------------------------------------------------------------------------------------- */

/* So little in flight that hardly anything waits at the device. */
static inline int64_t few(const struct device *device)
{
	return device->model.goal / 4;
}

static void begin_window(struct device *device, int64_t now, bool probes)
{
	device->window = (struct device_window){ .began = now, .probes = probes };
}

static void begin_limit(struct device *device)
{
	device->only = NULL;
	device->looked = clock_now();
	begin_window(device, device->looked, true);
}

/* Once a second: does a single class use it? Then let it. One with a latency bound may come back at any time, and is to
 * find the device as it needs it. */
static void look_who_uses_it(struct device *device, int64_t now)
{
	struct device_class *only = NULL;
	unsigned users = 0;

	device->looked = now;
	list_each (node, &device->classes) {
		struct device_class *class = container_of(node, struct device_class, link);

		if (class->used || class->in_flight > 0 || !list_empty(&class->waiting) ||
		    class->queue->latency_ns > 0) {
			users++;
			only = class;
		}
		class->used = false;
	}
	if (users == 1)
		device->only = only;
}

static void adapt(struct device *device)
{
	const struct device_window *window = &device->window;
	int64_t latency = window->latency_sum / window->count, target = device->model.goal;

	/* A device that is far away takes its time whether or not others are before us. */
	if (target < 2 * device->least_latency)
		target = 2 * device->least_latency;
	if (latency > target + target / 2 && device->limit_ns > few(device))
		device->limit_ns -= device->limit_ns / 8;
	else if (latency < target && window->full > window->count / 2 && device->limit_ns < limit_most_ns)
		device->limit_ns += device->limit_ns / 8;
}

/* A request was answered while there is a limit. */
static void observe(struct device *device, const struct device_pass *pass, int64_t now)
{
	struct device_window *window = &device->window;

	/* Of those that were handed over before, a probe learns nothing. */
	if (pass->began > 0 && (!window->probes || pass->began >= window->began)) {
		window->count++;
		window->full += device->waiting > 0;
		window->latency_sum += now - pass->began;
	}
	if (now - window->began < window_ns || window->count < WINDOW_LEAST)
		return;
	if (window->probes)
		device->least_latency = window->latency_sum / window->count;
	else
		adapt(device);
	begin_window(device, now, false);
	if (now - device->looked >= look_every_ns) {
		look_who_uses_it(device, now);
		window->probes = true;
	}
}

static inline bool has_room(const struct device *device, size_t len)
{
	return (device->only || device->in_flight_ns < (device->window.probes ? few(device) : device->limit_ns)) &&
	       (device->bytes + len <= device->bytes_limit || device->requests == 0);
}

static inline void take(struct device_pass *pass)
{
	struct device_class *class = pass->class;
	struct device *device = class->device;

	device->in_flight_ns += pass->cost;
	device->bytes += pass->len;
	device->requests++;
	class->in_flight++;
}

static inline void give_back(struct device_pass *pass)
{
	struct device_class *class = pass->class;
	struct device *device = class->device;

	device->in_flight_ns -= pass->cost;
	device->bytes -= pass->len;
	device->requests--;
	class->in_flight--;
}

/* --- turns ---------------------------------------------------------------------------------------------- */

static void follow_shares(struct device_class *class)
{
	if (class->account.shares != class->queue->account.shares)
		queue_manager_set_shares(&class->device->manager, &class->account, class->queue->account.shares);
}

/* Off its class's list, be it granted or withdrawn. */
static void leave_line(struct device_pass *pass, int64_t now)
{
	struct device_class *class = pass->class;

	list_remove(&pass->link);
	pass->waiting = false;
	class->device->waiting--;
	class->device->waited_ns += now - pass->began;
	class->of_queue.waited_ns += now - pass->began;
}

/* The first of a class whose account is out of the heap, and active. */
static void grant(struct device_class *class, int64_t now)
{
	struct device *device = class->device;
	struct device_pass *pass = container_of(class->waiting.next, struct device_pass, link);

	leave_line(pass, now);
	follow_shares(class);
	queue_manager_charge(&device->manager, &class->account, pass->cost);
	queue_manager_put_back(&device->manager, &class->account, !list_empty(&class->waiting));
	take(pass);
	pass->granted(pass);
}

static inline const struct device_pass *first_of(const struct device_class *class)
{
	return container_of(class->waiting.next, struct device_pass, link);
}

static void let_in(struct device *device, int64_t now)
{
	while (device->waiting > 0) {
		struct device_class *class =
			container_of(heap_first(&device->manager.heap), struct device_class, account.node);

		if (!has_room(device, first_of(class)->len))
			return;
		(void)queue_manager_next(&device->manager);
		grant(class, now);
	}
}

/* A latency-bound queue has one request at the device at any time without asking whether there is room, unless it is
 * ahead of the others by more than a full device's worth. */
static bool is_urgent(const struct device_class *class, size_t len)
{
	const struct device *device = class->device;
	int64_t lead = (int64_t)(class->account.node.key - device->manager.time);

	return class->queue->latency_ns > 0 && class->in_flight == 0 && device->bytes + len <= device->bytes_limit &&
	       lead <= device->limit_ns * (SHARES_MOST / class->account.shares);
}

static void hasten(struct device_class *class, int64_t now)
{
	if (list_empty(&class->waiting) || !is_urgent(class, first_of(class)->len))
		return;
	heap_remove(&class->device->manager.heap, &class->account.node);
	grant(class, now);
}

static void release(struct device_pass *pass, int64_t now)
{
	struct device_class *class = pass->class;
	struct device *device = class->device;

	give_back(pass);
	if (!device->only)
		observe(device, pass, now);
	let_in(device, now);
	hasten(class, now);
}

void device_release(struct device_pass *pass)
{
	if (unlikely(pass->began)) {
		release(pass, clock_now());
		return;
	}
	give_back(pass);
	if (unlikely(pass->class->device->waiting > 0))
		let_in(pass->class->device, clock_now());
}

void device_withdraw(struct device_pass *pass)
{
	struct device_class *class = pass->class;
	int64_t now = clock_now();

	leave_line(pass, now);
	if (list_empty(&class->waiting))
		queue_manager_deactivate(&class->device->manager, &class->account);
	let_in(class->device, now); /* it may have been in the way of something smaller */
}

/* Its turn is over when the device says so, not when its fiber gets round to it. */
static void answered(struct inner_source *source, int result, bool last)
{
	struct device_io *io = container_of(source, struct device_io, op.request.source.inner);

	(void)last;
	release(&io->pass, clock_now());
	wakers_answer(&source->wakers, result);
}

static void join_line(struct device_pass *pass)
{
	struct device_class *class = pass->class;
	struct device *device = class->device;

	list_append(&class->waiting, &pass->link);
	pass->waiting = true;
	if (!class->account.active)
		queue_manager_activate(&device->manager, &class->account);
	device->waiting++;
	device->waits++;
	class->of_queue.waits++;
}

static void io_granted(struct device_pass *pass)
{
	waker_wake(container_of(pass, struct device_io, pass)->op.request.wait.fiber);
}

static void give_up(struct wait *wait)
{
	struct device_io *io = container_of(wait, struct device_io, op.request.wait);

	device_withdraw(&io->pass);
	io->pass.class = NULL;
	waker_wake(wait->fiber);
}

static int await_turn(struct device_io *io, struct torc_async *async, const char *what)
{
	struct executor *executor = io->pass.class->device->executor;
	struct fiber *fiber = executor->running;

	if (async_empty(async) || (async->flags_ & ASYNC_CLOSING))
		return -EBADF;
	if (scope_refuses(fiber))
		return scope_refuses(fiber);
	op_enter(&io->op, executor, async);
	io->op.request.wait = (struct wait){ give_up, fiber, what };
	io->pass.granted = io_granted;
	join_line(&io->pass);
	wait_park(executor, &io->op.request.wait);
	op_leave(&io->op);
	if (io->pass.class)
		return 0;
	return io->op.closed ? -EBADF : scope_refuses(fiber);
}

/* What a request that does not wait costs its class. */
static void charge_at_once(struct device_class *class, int64_t cost)
{
	struct queue_manager *manager = &class->device->manager;

	follow_shares(class);
	queue_manager_activate(manager, &class->account);
	heap_remove(&manager->heap, &class->account.node);
	queue_manager_charge(manager, &class->account, cost);
	queue_manager_put_back(manager, &class->account, false);
}

/* The way in while others use the device too, or too much is in flight. False: it has to wait. */
static __attribute__((noinline)) bool enters_limited(struct device_pass *pass)
{
	struct device_class *class = pass->class;
	struct device *device = class->device;

	if (device->only && device->only != class)
		begin_limit(device);
	class->used = true;
	pass->began = clock_now();
	if (device->waiting == 0 && has_room(device, pass->len)) {
		take(pass);
		return true;
	}
	if (list_empty(&class->waiting) && is_urgent(class, pass->len)) {
		charge_at_once(class, pass->cost);
		take(pass);
		return true;
	}
	return false;
}

static inline bool enters(struct device_pass *pass)
{
	struct device_class *class = pass->class;
	struct device *device = class->device;

	if (unlikely(!device->only && device->manager.accounts == 1))
		device->only = class;
	if (likely(device->only == class && device->waiting == 0 && device->bytes + pass->len <= device->bytes_limit)) {
		take(pass);
		return true;
	}
	return enters_limited(pass);
}

static inline void count(struct device_class *class, bool write, size_t len)
{
	if (write) {
		class->of_queue.writes++;
		class->of_queue.written_bytes += len;
	} else {
		class->of_queue.reads++;
		class->of_queue.read_bytes += len;
	}
}

/* What is in the kernel comes to its end by itself, and soon: a polled ring takes no cancel requests. */
static void interrupt_polled(struct wait *wait)
{
	struct op *op = container_of(wait, struct op, request.wait);

	if (op->request.source.inner.id == 0)
		sleepable_ring_cancel(op->request.executor->reactor.polled, &op->request.source.inner);
}

/* As op_begin, on the other ring. */
static int begin_polled(struct device_io *io, struct torc_async *async, enum source_type type,
                        struct io_uring_sqe **sqe)
{
	struct executor *executor = io->pass.class->device->executor;
	struct request *request = &io->op.request;

	if (async_empty(async) || (async->flags_ & ASYNC_CLOSING))
		return -EBADF;
	if (scope_refuses(executor->running))
		return scope_refuses(executor->running);
	op_enter(&io->op, executor, async);
	request->wait = (struct wait){ interrupt_polled, executor->running, source_type_name(type) };
	source_init(&request->source, type, async_fd(async));
	*sqe = sleepable_ring_sqe(executor->reactor.polled, &request->source);
	return 0;
}

static int finish_polled(struct device_io *io, struct io_uring_sqe *sqe)
{
	struct request *request = &io->op.request;
	int result;

	wakers_add(&request->source.inner.wakers, request->wait.fiber);
	sleepable_ring_submit(request->executor->reactor.polled, &request->source, sqe);
	wait_park(request->executor, &request->wait);
	result = request->source.inner.wakers.result;
	if (result == -EOPNOTSUPP)
		io->pass.class->device->polls = false; /* it said it could */
	return op_settle(&io->op, result);
}

static inline struct device *device_of(struct executor *executor, uint64_t dev)
{
	if (unlikely(!executor->device || executor->device->dev != dev))
		executor->device = device_get(executor, dev);
	return executor->device;
}

/* What it is to cost, and whom. False: nobody, it goes unlimited; for want of memory at worst. */
static inline bool book(struct device_pass *pass, struct executor *executor, uint64_t dev, struct task_queue *queue,
                        bool write, size_t len)
{
	struct device *device = dev ? device_of(executor, dev) : NULL;
	struct device_class *class = device ? class_of(device, queue) : NULL;

	pass->class = class;
	pass->waiting = false;
	if (!class)
		return false;
	pass->len = len;
	pass->cost = device->cost[write].request_ns + (int64_t)((len * device->cost[write].byte) >> BYTE_SHIFT);
	pass->began = 0;
	return true;
}

int device_begin(struct device_io *io, uint64_t dev, struct torc_async *async, enum source_type type, size_t len,
                 struct io_uring_sqe **sqe, const char *function)
{
	struct executor *executor = executor_in_fiber(function);
	bool write = type == SOURCE_WRITE;
	int r;

	io->polled = false;
	if (!book(&io->pass, executor, dev, executor->running->queue, write, len))
		return op_begin(&io->op, async, type, sqe, function);
	if (!enters(&io->pass)) {
		r = await_turn(io, async, "a turn at a device");
		if (r < 0)
			return r;
		io->pass.began = clock_now();
	}
	if (unlikely(io->pass.class->device->polls && reactor_polled(&executor->reactor))) {
		io->polled = true;
		r = begin_polled(io, async, type, sqe);
	} else {
		r = op_begin(&io->op, async, type, sqe, function);
	}
	if (unlikely(r < 0)) {
		give_back(&io->pass);
		let_in(io->pass.class->device, clock_now());
		return r;
	}
	if (io->pass.began)
		io->op.request.source.inner.answer = answered;
	count(io->pass.class, write, len);
	return 0;
}

int device_finish(struct device_io *io, struct io_uring_sqe *sqe)
{
	int result = unlikely(io->polled) ? finish_polled(io, sqe) : op_finish(&io->op, sqe);

	if (likely(io->pass.class && io->pass.began == 0))
		device_release(&io->pass);
	return result;
}

bool device_ask(struct device_pass *pass, struct executor *executor, uint64_t dev, struct task_queue *queue, bool write,
                size_t len)
{
	if (!book(pass, executor, dev, queue, write, len))
		return true;
	count(pass->class, write, len);
	if (enters(pass))
		return true;
	join_line(pass);
	return false;
}

/* --- for users ------------------------------------------------------------------------------------------ */

int torc_device_model_set(uint64_t dev, const struct torc_device_model *model)
{
	struct executor *executor = executor_in_fiber(__func__);
	struct device *device;

	if (model->size != sizeof *model || (model->goal != 0 && model->goal < goal_least_ns) ||
	    model->goal > limit_most_ns)
		return -EINVAL;
	device = device_get(executor, dev);
	if (!device)
		return -ENOMEM;
	set_model(device, model);
	let_in(device, clock_now());
	return 0;
}

int torc_device_model_get(struct torc_device_model *model, uint64_t dev)
{
	const struct device *device;

	if (model->size != sizeof *model)
		return -EINVAL;
	device = device_get(executor_in_fiber(__func__), dev);
	if (!device)
		return -ENOMEM;
	*model = device->model;
	return 0;
}

int torc_device_stats_get(struct torc_device_stats *stats, uint64_t dev)
{
	const struct device *device = device_find(executor_in_fiber(__func__), dev);
	struct torc_device_stats now = { .size = stats->size };

	if (stats->size < sizeof stats->size)
		return -EINVAL;
	if (!device)
		return -ENODEV;
	now.reads = device->counts[READ];
	now.writes = device->counts[WRITE];
	now.read_bytes = device->counted_bytes[READ];
	now.written_bytes = device->counted_bytes[WRITE];
	list_each (node, &device->classes) {
		const struct queue_io *io = &container_of(node, struct device_class, link)->of_queue;

		now.reads += io->reads;
		now.writes += io->writes;
		now.read_bytes += io->read_bytes;
		now.written_bytes += io->written_bytes;
	}
	now.in_flight = device->requests;
	now.bytes_in_flight = device->bytes;
	now.waiting = device->waiting;
	now.waits = device->waits;
	now.waited = device->waited_ns;
	now.limit = device->only || device->manager.accounts < 2 ? 0 : device->limit_ns;
	memcpy(stats, &now, stats->size < sizeof now ? stats->size : sizeof now);
	return 0;
}
