/* torc_rwlock - readers together, writers alone, in order of arrival. */
#include "sync.h"

static int read_lock(void *rwlock)
{
	return torc_rwlock_lock_read(rwlock);
}

static int write_lock(void *rwlock)
{
	return torc_rwlock_lock_write(rwlock);
}

static int write_and_unlock(void *rwlock)
{
	int r = torc_rwlock_lock_write(rwlock);

	if (r == 0)
		torc_rwlock_unlock_write(rwlock);
	return r;
}

TEST_IN_FIBER(zeroed_is_free)
{
	struct torc_rwlock rwlock = { 0 };

	ck_assert(torc_rwlock_try_lock_read(&rwlock));
	ck_assert(torc_rwlock_try_lock_read(&rwlock));
	ck_assert_int_eq(torc_rwlock_lock_read(&rwlock), 0);
	ck_assert(!torc_rwlock_try_lock_write(&rwlock));
	for (int i = 0; i < 3; i++)
		torc_rwlock_unlock_read(&rwlock);
	ck_assert(torc_rwlock_try_lock_write(&rwlock));
	ck_assert(!torc_rwlock_try_lock_read(&rwlock));
	ck_assert(!torc_rwlock_try_lock_write(&rwlock));
	torc_rwlock_unlock_write(&rwlock);
	ck_assert_int_eq(torc_rwlock_lock_write(&rwlock), 0);
	torc_rwlock_unlock_write(&rwlock);
}

TEST_IN_FIBER(readers_between_writers_go_together)
{
	struct torc_rwlock rwlock = { 0 };
	struct caller readers[2], writer, later;

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_rwlock_lock_write(&rwlock), 0);
	start_call(scope, &readers[0], read_lock, &rwlock);
	start_call(scope, &readers[1], read_lock, &rwlock);
	start_call(scope, &writer, write_and_unlock, &rwlock);
	start_call(scope, &later, read_lock, &rwlock);
	torc_rwlock_unlock_write(&rwlock);
	settle();
	ck_assert(!waits(&readers[0]) && !waits(&readers[1]) && waits(&writer) && waits(&later));
	ck_assert(!torc_rwlock_try_lock_read(&rwlock)); /* the writer is not overtaken */
	torc_rwlock_unlock_read(&rwlock);
	settle();
	ck_assert(waits(&writer));
	torc_rwlock_unlock_read(&rwlock);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(writer.turn, 3);
	ck_assert_int_eq(later.turn, 4);
}

TEST_IN_FIBER(a_cancelled_writer_lets_the_readers_behind_it_in)
{
	struct torc_rwlock rwlock = { 0 };
	struct caller writer, reader;

	TORC_SCOPE(scope);
	TORC_SCOPE(inner);
	ck_assert_int_eq(torc_rwlock_lock_read(&rwlock), 0);
	start_call(inner, &writer, write_and_unlock, &rwlock);
	start_call(scope, &reader, read_lock, &rwlock);
	settle();
	ck_assert(waits(&reader));
	torc_scope_cancel(inner);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(reader.result, 0);
	ck_assert_int_eq(torc_scope_join(inner), -ECANCELED);
	torc_rwlock_unlock_read(&rwlock);
	torc_rwlock_unlock_read(&rwlock);
	ck_assert(torc_rwlock_try_lock_write(&rwlock));
}

TEST_IN_FIBER(in_a_cancelled_scope_only_what_is_free)
{
	struct torc_rwlock rwlock = { 0 };
	struct caller holder;

	TORC_SCOPE(scope);
	start_call(scope, &holder, read_lock, &rwlock);
	ck_assert_int_eq(call_cancelled(read_lock, &rwlock), 0);
	ck_assert_int_eq(call_cancelled(write_lock, &rwlock), -ECANCELED);
	ck_assert_int_eq(call_until_soon(write_lock, &rwlock), -ETIME);
}

TEST_IN_FIBER(granted_then_cancelled_is_held)
{
	struct torc_rwlock rwlock = { 0 };
	struct caller writer;

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_rwlock_lock_read(&rwlock), 0);
	start_call(scope, &writer, write_and_unlock, &rwlock);
	torc_rwlock_unlock_read(&rwlock);
	torc_scope_cancel(scope);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert(torc_rwlock_try_lock_read(&rwlock));
}

DEATH_IN_FIBER(written_twice, "torc_rwlock_lock_write: the caller holds the lock already, for writing")
{
	struct torc_rwlock rwlock = { 0 };

	ck_assert_int_eq(torc_rwlock_lock_write(&rwlock), 0);
	ck_assert_int_eq(torc_rwlock_lock_write(&rwlock), 0);
}

DEATH_IN_FIBER(read_by_the_writer, "torc_rwlock_lock_read: the caller holds the lock already, for writing")
{
	struct torc_rwlock rwlock = { 0 };

	ck_assert_int_eq(torc_rwlock_lock_write(&rwlock), 0);
	ck_assert_int_eq(torc_rwlock_lock_read(&rwlock), 0);
}

static int just_write(void *rwlock)
{
	return torc_rwlock_lock_write(rwlock);
}

DEATH_IN_FIBER(its_writer_has_ended, "torc_rwlock_lock_read: the fiber that holds it has ended without giving it back")
{
	struct torc_rwlock rwlock = { 0 };

	TORC_SCOPE(scope);
	ck_assert_int_eq(torc_go(scope, just_write, &rwlock), 0);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_int_eq(torc_rwlock_lock_read(&rwlock), 0);
}

DEATH_IN_FIBER(unread_by_nobody, "torc_rwlock_unlock_read: nobody holds the lock for reading")
{
	struct torc_rwlock rwlock = { 0 };

	torc_rwlock_unlock_read(&rwlock);
}

DEATH_IN_FIBER(unwritten_by_another, "torc_rwlock_unlock_write: the caller does not hold the lock for writing")
{
	struct torc_rwlock rwlock = { 0 };
	struct caller writer;

	TORC_SCOPE(scope);
	start_call(scope, &writer, write_lock, &rwlock);
	torc_rwlock_unlock_write(&rwlock);
}
