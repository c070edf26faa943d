#include "io/flight.h"

#include "machine/clock.h"

#include <errno.h>

/* What one request may ask for: the kernel stops just below 2 GiB, and this is a multiple of every alignment. */
enum { REQUEST_MOST = 1 << 30 };

static void submit(struct flight *flight);

static void leave_file(struct flights *group)
{
	op_leave(&group->op);
	group->op.async = NULL;
}

static void file_closed(struct wait *wait)
{
	struct flights *group = container_of(wait, struct flights, op.request.wait);

	flights_cancel(group);
	if (list_empty(&group->busy))
		leave_file(group);
	if (group->parked)
		wait_interrupt(group->parked);
}

void flights_open(struct flights *group, struct executor *executor, struct torc_file *file)
{
	group->executor = executor;
	group->queue = executor->running->queue;
	group->queue->members++;
	group->file = file;
	group->dev = file_device(file);
	group->fd = async_fd(&file->async);
	group->sqe_flags = file->async.flags_ & ASYNC_BLOCKS ? IOSQE_ASYNC : 0;
	group->alignment = (uint32_t)torc_file_align(file);
	group->known_end = UINT64_MAX;
	list_init(&group->busy);
	group->awaited = NULL;
	group->parked = group->closer = NULL;
	group->closing = false;
	group->started = 0;
	op_attach(&group->op, executor, &file->async, file_closed);
}

/* A direct request can't go on within a block, so it goes on from the block's beginning. An answer that stops at the same
 * byte once more is the last there is: false. */
static bool go_back_to_block(struct flight *flight)
{
	uint64_t end = flight->offset + flight->done;
	uint32_t alignment = flight->group->alignment;

	if (end % alignment == 0)
		return true;
	if (flight->offset % alignment != 0 || flight->len % alignment != 0) /* O_DIRECT is off for it */
		return true;
	if (end == flight->stopped_at)
		return false;
	flight->stopped_at = end;
	flight->done -= (size_t)(end % alignment);
	return true;
}

static bool goes_on(struct flight *flight, int result)
{
	bool cut = flight->source.inner.cancelling || flight->group->op.closed;

	if (result > 0) {
		flight->done += (size_t)result;
		if (flight->done == flight->len ||
		    (!flight->write && flight->offset + flight->done == flight->group->known_end))
			return false;
		if (!cut && go_back_to_block(flight))
			return true;
		flight->error = cut ? -ECANCELED : flight->write ? -EIO : 0;
		return false;
	}
	if ((result == -EAGAIN || result == -EINTR) && !cut)
		return true;
	if (result == 0)
		flight->error = flight->write ? -EIO : 0;
	else
		flight->error = result == -EINTR || result == -EAGAIN ? -ECANCELED : result;
	return false;
}

/* No request of it is under way any more. */
static void land(struct flight *flight)
{
	struct flights *group = flight->group;

	list_remove(&flight->link);
	if (flight->ended)
		flight->ended(flight);
	if (group->awaited == flight && group->parked) {
		group->awaited = NULL;
		if (group->parked->wait)
			waker_wake(group->parked);
	}
	if (!list_empty(&group->busy))
		return;
	if (group->op.closed && group->op.async)
		leave_file(group);
	if (group->closer && !group->parked && group->closer->wait)
		waker_wake(group->closer);
}

static void answered(struct inner_source *inner, int result, bool last)
{
	struct flight *flight = container_of(inner, struct flight, source.inner);

	(void)last; /* it is */
	if (result > 0 && !flight->write)
		sanitize_written(flight->data + flight->done, (size_t)result);
	if (goes_on(flight, result)) {
		submit(flight);
		return;
	}
	if (flight->pass.class)
		device_release(&flight->pass);
	land(flight);
}

static unsigned opcode_of(const struct flight *flight, int slot)
{
	if (slot >= 0)
		return flight->write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
	return flight->write ? IORING_OP_WRITE : IORING_OP_READ;
}

static void submit(struct flight *flight)
{
	struct flights *group = flight->group;
	struct reactor *reactor = &group->executor->reactor;
	char *data = flight->data + flight->done;
	size_t rest = flight->len - flight->done;
	int slot;
	struct io_uring_sqe *sqe;

	source_init(&flight->source, flight->write ? SOURCE_WRITE : SOURCE_READ, group->fd);
	flight->source.inner.answer = answered;
	sqe = reactor_sqe(reactor, &flight->source);
	rest = rest > REQUEST_MOST ? REQUEST_MOST : rest;
	slot = buffer_slot(group->executor, data, rest);
	uring_prepare(sqe, opcode_of(flight, slot), group->fd, data, (unsigned)rest);
	if (slot >= 0)
		sqe->buf_index = (uint16_t)slot;
	sqe->flags = group->sqe_flags;
	sqe->off = flight->offset + flight->done;
	reactor_submit(reactor, &flight->source, sqe);
}

static void its_turn(struct device_pass *pass)
{
	pass->began = clock_now();
	submit(container_of(pass, struct flight, pass));
}

static void start(struct flight *flight, void *data, size_t len, uint64_t offset, bool write)
{
	ASSERT(!flight_busy(flight) && len > 0);
	flight->data = data;
	flight->len = len;
	flight->done = 0;
	flight->offset = offset;
	flight->stopped_at = UINT64_MAX;
	flight->error = 0;
	flight->write = write;
	if (unlikely(flight->group->op.closed)) {
		flight->error = -EBADF;
		if (flight->ended)
			flight->ended(flight);
		return;
	}
	flight->group->started++;
	file_count(flight->group->file, write, len);
	list_append(&flight->group->busy, &flight->link);
	flight->pass.granted = its_turn;
	if (device_ask(&flight->pass, flight->group->executor, flight->group->dev, flight->group->queue, write, len))
		submit(flight);
}

void flight_read(struct flight *flight, void *data, size_t len, uint64_t offset)
{
	start(flight, data, len, offset, false);
}

void flight_write(struct flight *flight, const void *data, size_t len, uint64_t offset)
{
	start(flight, (void *)(uintptr_t)data, len, offset, true);
}

int flights_refuse(const struct flights *group, const char *function)
{
	struct executor *executor = executor_in_fiber(function);

	if (unlikely(group->executor != executor))
		panic(function, "it belongs to another core");
	if (unlikely(group->parked && !group->closing))
		panic(function, "another fiber is parked in it");
	if (unlikely(group->op.closed || group->closing))
		return -EBADF;
	return scope_refuses(executor->running);
}

struct parked {
	struct wait wait;
	struct flights *group;
};

static void parked_interrupt(struct wait *wait)
{
	container_of(wait, struct parked, wait)->group->awaited = NULL;
	waker_wake(wait->fiber);
}

static void park(struct flights *group, struct flight *flight, const char *what, bool shielded)
{
	struct parked parked = { { shielded ? NULL : parked_interrupt, group->executor->running, what }, group };

	group->awaited = flight;
	group->parked = parked.wait.fiber;
	wait_park(group->executor, &parked.wait);
	group->parked = NULL;
	/* The closer frees what we lie in; it does not run before we let go of the core. */
	if (group->closer && list_empty(&group->busy) && group->closer->wait)
		waker_wake(group->closer);
}

int flights_await(struct flights *group, struct flight *flight, const char *what)
{
	if (!flight_busy(flight))
		return 0;
	if (scope_refuses(group->executor->running))
		return scope_refuses(group->executor->running);
	park(group, flight, what, false);
	if (group->closing || group->op.closed)
		return -EBADF;
	return flight_busy(flight) ? scope_refuses(group->executor->running) : 0;
}

void flights_await_shielded(struct flights *group, struct flight *flight, const char *what)
{
	if (flight_busy(flight))
		park(group, flight, what, true);
}

void flight_cancel(struct flight *flight)
{
	if (!flight_busy(flight))
		return;
	if (flight->pass.waiting) {
		device_withdraw(&flight->pass);
		flight->error = -ECANCELED;
		land(flight);
		return;
	}
	reactor_cancel(&flight->group->executor->reactor, &flight->source);
}

void flights_cancel(struct flights *group)
{
	struct list *next; /* one that has not got to the kernel ends here and now */

	for (struct list *node = group->busy.next; node != &group->busy; node = next) {
		next = node->next;
		flight_cancel(container_of(node, struct flight, link));
	}
}

void flights_evict(struct flights *group)
{
	struct executor *executor = group->executor;

	group->closing = true;
	group->closer = executor->running;
	if (group->parked)
		wait_interrupt(group->parked);
	while (group->parked || !list_empty(&group->busy)) { /* ends: who was parked has been woken, no flight begins */
		struct wait wait = { NULL, executor->running, "the last of a file's requests" };

		wait_park(executor, &wait);
	}
}

void flights_close(struct flights *group)
{
	flights_cancel(group);
	flights_evict(group);
	if (group->op.async)
		leave_file(group);
	if (group->queue)
		group->queue->members--;
	group->queue = NULL;
}
