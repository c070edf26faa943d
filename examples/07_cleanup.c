/* cleanup - who closes what when things go wrong: torc_give moves a handle or leaves it, a scope that ends cancels its
 * children, and a shielded scope lets a cancelled fiber say goodbye, for as long as it declares.
 * Try it: 07_cleanup */
#include <torc.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* The far end: print each command of 8 letters; answer all but SLOW. */
static int database(void *arg)
{
	struct torc_stream *client = arg;
	char command[9] = "";
	int r;

	while ((r = torc_stream_read_exact(client, command, 8)) > 0) {
		printf("database: %s\n", command);
		if (strcmp(command, "SLOW....") != 0 && (r = torc_stream_write(client, "ok", 2)) < 0)
			break;
	}
	torc_stream_close(client);
	printf("database: the client has left\n");
	return r;
}

static int command(struct torc_stream *db, const char *text)
{
	char answer[2];
	int r = torc_stream_write(db, text, 8);

	return r < 0 ? r : torc_stream_read_exact(db, answer, sizeof answer);
}

static int transfer(struct torc_stream *db)
{
	int r = command(db, "BEGIN...");

	if (r > 0)
		r = command(db, "SLOW...."); /* is cut short by the caller's deadline */
	if (r > 0)
		return command(db, "COMMIT..");
	printf("transfer: %s\n", strerror(-r));
	printf("transfer: rollback: %s\n", command(db, "ROLLBACK") > 0 ? "done" : "refused, for the same reason");

	/* A cancelled fiber may not wait any more; in here it may, for one second. */
	TORC_SCOPE(goodbye, .shield = true, .deadline = torc_in(TORC_SEC));
	printf("transfer: rollback in a shield: %s\n", command(db, "ROLLBACK") > 0 ? "done" : "failed");
	return r;
}

static int transfer_in_time(struct torc_stream *db)
{
	TORC_SCOPE(limit, .deadline = torc_in(50 * TORC_MS));
	return transfer(db);
}

/* Whatever way this returns, each socket is closed once. */
static int run(void *unused)
{
	struct torc_stream db TORC_CLEANUP(torc_stream_close) = { 0 };
	struct torc_stream far TORC_CLEANUP(torc_stream_close) = { 0 };
	int ends[2], r;

	(void)unused;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	if ((r = torc_stream_wrap(&db, ends[0])) < 0 || (r = torc_stream_wrap(&far, ends[1])) < 0)
		return r;
	TORC_SCOPE(servers);
	{
		TORC_SCOPE(closed);
		torc_scope_cancel(closed);
		r = torc_give(closed, database, far);
		printf("give fails: %s; the stream is %s\n", strerror(-r),
		       torc_async_fd(&far.async) < 0 ? "gone" : "still ours");
	}
	r = torc_give(servers, database, far);
	if (r < 0)
		return r;
	printf("give succeeds; the stream is %s\n", torc_async_fd(&far.async) < 0 ? "gone" : "still ours");
	r = transfer_in_time(&db);
	printf("outcome: %s\n", strerror(-r));
	torc_stream_close(&db); /* the database reads 0 and ends, so the join does not wait for ever */
	return torc_scope_join(servers);
}

int main(void)
{
	return torc_run(NULL, run, NULL) < 0;
}
