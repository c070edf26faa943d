/* link: hiredis */
/* async_library - a library that knows nothing of torc, driven through Async: hiredis, whose non-blocking calls become
 * ones that wait, against a redis-server of our own on a Unix socket. */
#include "api.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>

/* --- a server -------------------------------------------------------------------------------- */

struct server {
	pid_t pid;
	char dir[64], socket[128], log[128];
};

static void server_exec(const struct server *server)
{
	int log = open(server->log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* whatever becomes of the test */
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", server->socket, "--save", "",
	       "--appendonly", "no", "--daemonize", "no", "--dir", server->dir, "--loglevel", "warning", (char *)NULL);
	_exit(127);
}

static bool server_answers(const struct server *server)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	ck_assert_int_ge(fd, 0);
	snprintf(un.sun_path, sizeof un.sun_path, "%.100s", server->socket);
	r = connect(fd, (struct sockaddr *)&un, sizeof un);
	close(fd);
	return r == 0;
}

static void server_start(struct server *server)
{
	snprintf(server->dir, sizeof server->dir, "/tmp/torc-redis-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(server->dir));
	snprintf(server->socket, sizeof server->socket, "%s/socket", server->dir);
	snprintf(server->log, sizeof server->log, "%s/log", server->dir);
	server->pid = fork();
	ck_assert_int_ge(server->pid, 0);
	if (server->pid == 0)
		server_exec(server);
	for (int i = 0; i < 2000 && !server_answers(server); i++) {
		int status;

		if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
			unlink(server->log);
			rmdir(server->dir);
			if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
				SKIP("redis-server is not installed");
			ck_abort_msg("redis-server ended with status %x", (unsigned)status);
		}
		usleep(5000);
	}
	ck_assert(server_answers(server));
}

static void server_kill(struct server *server)
{
	if (server->pid <= 0)
		return;
	ck_assert_int_eq(kill(server->pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(server->pid, NULL, 0), server->pid);
	server->pid = 0;
}

static void server_stop(struct server *server)
{
	server_kill(server);
	unlink(server->socket);
	unlink(server->log);
	ck_assert_int_eq(rmdir(server->dir), 0);
}

/* --- hiredis and Async: all that it takes ---------------------------------------------------- */

struct client {
	struct torc_async async;
	redisContext *context;
};

/* The socket is hiredis' own: it is wrapped for as long as it is used, and given back before hiredis closes it. */
static int client_open(struct client *client, const char *path)
{
	int r;

	client->context = redisConnectUnixNonBlock(path);
	if (client->context == NULL)
		return -ENOMEM;
	r = client->context->err ? -ECONNREFUSED : torc_async_wrap(&client->async, client->context->fd);
	if (r == 0)
		return torc_async_writable(&client->async);
	redisFree(client->context);
	return r;
}

static void client_close(struct client *client)
{
	ck_assert_int_eq(torc_async_unwrap(&client->async), client->context->fd);
	redisFree(client->context);
}

static int try_flush(int fd, void *arg)
{
	redisContext *context = arg;
	int done = 0;

	ck_assert_int_eq(fd, context->fd);
	if (redisBufferWrite(context, &done) != REDIS_OK)
		return -EPIPE;
	return done ? 0 : -EAGAIN;
}

struct next_reply {
	redisContext *context;
	redisReply *reply;
};

static int try_reply(int fd, void *arg)
{
	struct next_reply *next = arg;

	ck_assert_int_eq(fd, next->context->fd);
	for (int attempt = 0; attempt < 2; attempt++) {
		if (redisGetReplyFromReader(next->context, (void **)&next->reply) != REDIS_OK)
			return -EPROTO;
		if (next->reply != NULL)
			return 0;
		if (attempt == 0 && redisBufferRead(next->context) != REDIS_OK)
			return next->context->err == REDIS_ERR_EOF ? -ENODATA : -ECONNRESET;
	}
	return -EAGAIN;
}

static int client_flush(struct client *client)
{
	return torc_async_write_with(&client->async, try_flush, client->context);
}

static int client_reply(struct client *client, redisReply **reply)
{
	struct next_reply next = { client->context, NULL };
	int r = torc_async_read_with(&client->async, try_reply, &next);

	if (r == 0)
		*reply = next.reply;
	return r;
}

/* One command, one answer. The format is hiredis', not printf's. */
static int client_ask(struct client *client, redisReply **reply, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = redisvAppendCommand(client->context, format, args);
	va_end(args);
	if (r != REDIS_OK)
		return -ENOMEM;
	r = client_flush(client);
	return r < 0 ? r : client_reply(client, reply);
}

static void assert_reply(struct client *client, int type, const char *text)
{
	redisReply *reply = NULL;

	ck_assert_int_eq(client_reply(client, &reply), 0);
	ck_assert_int_eq(reply->type, type);
	ck_assert_str_eq(reply->str, text);
	freeReplyObject(reply);
}

/* --- tests ----------------------------------------------------------------------------------- */

TEST_IN_FIBER_TIMEOUT(a_command_is_answered, 30)
{
	struct server server;
	struct client client;
	redisReply *reply;

	server_start(&server);
	ck_assert_int_eq(client_open(&client, server.socket), 0);
	ck_assert_int_eq(client_ask(&client, &reply, "PING"), 0);
	ck_assert_str_eq(reply->str, "PONG");
	freeReplyObject(reply);
	ck_assert_int_eq(client_ask(&client, &reply, "INCR counter"), 0);
	ck_assert_int_eq(reply->type, REDIS_REPLY_INTEGER);
	ck_assert_int_eq(reply->integer, 1);
	freeReplyObject(reply);
	ck_assert_int_eq(client_ask(&client, &reply, "NO SUCH COMMAND"), 0);
	ck_assert_int_eq(reply->type, REDIS_REPLY_ERROR);
	freeReplyObject(reply);
	client_close(&client);
	server_stop(&server);
}

struct worker {
	const char *path;
	int number, answered;
};

/* A hundred SETs and a hundred GETs, sent as one batch and answered in order. */
static int pipeline(void *arg)
{
	struct worker *worker = arg;
	struct client client;
	char value[64];
	int r = client_open(&client, worker->path);

	if (r < 0)
		return r;
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(redisAppendCommand(client.context, "SET key:%d:%d value-%d-%d", worker->number, i,
		                                    worker->number, i),
		                 REDIS_OK);
		ck_assert_int_eq(redisAppendCommand(client.context, "GET key:%d:%d", worker->number, i), REDIS_OK);
	}
	ck_assert_int_eq(client_flush(&client), 0);
	for (int i = 0; i < 100; i++) {
		snprintf(value, sizeof value, "value-%d-%d", worker->number, i);
		assert_reply(&client, REDIS_REPLY_STATUS, "OK");
		assert_reply(&client, REDIS_REPLY_STRING, value);
		worker->answered += 2;
	}
	client_close(&client);
	return 0;
}

TEST_IN_FIBER_TIMEOUT(many_connections_pipeline_at_once, 30)
{
	struct server server;
	struct worker workers[20];
	TORC_SCOPE(scope);

	server_start(&server);
	for (int i = 0; i < 20; i++) {
		workers[i] = (struct worker){ server.socket, i, 0 };
		ck_assert_int_eq(torc_go(scope, pipeline, &workers[i]), 0);
	}
	ck_assert_int_eq(torc_scope_join(scope), 0);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(workers[i].answered, 200);
	server_stop(&server);
}

TEST_IN_FIBER_TIMEOUT(a_value_larger_than_any_socket_buffer_goes_there_and_back, 30)
{
	size_t len = 8 << 20;
	struct server server;
	struct client client;
	redisReply *reply;
	char *value = malloc(len);

	server_start(&server);
	ck_assert_int_eq(client_open(&client, server.socket), 0);
	pattern_fill(value, len, 0);
	ck_assert_int_eq(client_ask(&client, &reply, "SET large %b", value, len), 0);
	ck_assert_str_eq(reply->str, "OK");
	freeReplyObject(reply);
	ck_assert_int_eq(client_ask(&client, &reply, "GET large"), 0);
	ck_assert_int_eq(reply->type, REDIS_REPLY_STRING);
	ck_assert_uint_eq(reply->len, len);
	ck_assert(pattern_holds(reply->str, len, 0));
	freeReplyObject(reply);
	free(value);
	client_close(&client);
	server_stop(&server);
}

struct pop {
	const char *path;
	int got;
	char value[16];
};

static int blocking_pop(void *arg)
{
	struct pop *pop = arg;
	struct client client;
	redisReply *reply = NULL;
	int r = client_open(&client, pop->path);

	if (r < 0)
		return pop->got = r;
	pop->got = client_ask(&client, &reply, "BLPOP list 0");
	if (pop->got == 0 && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
		snprintf(pop->value, sizeof pop->value, "%s", reply->element[1]->str);
	if (pop->got == 0)
		freeReplyObject(reply);
	client_close(&client); /* parks nowhere: also in a cancelled scope */
	return pop->got;
}

TEST_IN_FIBER_TIMEOUT(a_parked_command_ends_with_its_deadline, 30)
{
	struct server server;
	struct pop pop;
	torc_ns due;

	server_start(&server);
	{
		TORC_SCOPE(scope, .deadline = due = torc_in(100 * TORC_MS));

		pop = (struct pop){ .path = server.socket, .got = UNSET };
		ck_assert_int_eq(torc_go(scope, blocking_pop, &pop), 0);
		ck_assert_int_eq(torc_scope_join(scope), -ETIME);
	}
	ck_assert_int_ge(torc_now(), due);
	ck_assert_int_lt(torc_now() - due, AGES);
	ck_assert_int_eq(pop.got, -ETIME);
	server_stop(&server);
}

TEST_IN_FIBER_TIMEOUT(a_parked_command_is_answered_while_others_work, 30)
{
	struct server server;
	struct worker worker;
	struct client client;
	struct pop pop;
	redisReply *reply;
	TORC_SCOPE(scope);

	server_start(&server);
	pop = (struct pop){ .path = server.socket, .got = UNSET };
	ck_assert_int_eq(torc_go(scope, blocking_pop, &pop), 0);
	worker = (struct worker){ server.socket, 1, 0 };
	ck_assert_int_eq(pipeline(&worker), 0);
	ck_assert_int_eq(pop.got, UNSET);
	ck_assert_int_eq(client_open(&client, server.socket), 0);
	ck_assert_int_eq(client_ask(&client, &reply, "RPUSH list precious"), 0);
	freeReplyObject(reply);
	ck_assert_int_eq(torc_scope_join(scope), 0);
	ck_assert_str_eq(pop.value, "precious");
	client_close(&client);
	server_stop(&server);
}

TEST_IN_FIBER_TIMEOUT(a_server_that_dies_is_an_error_of_the_parked_command, 30)
{
	struct server server;
	struct client client;
	struct pop pop;
	TORC_SCOPE(scope);

	server_start(&server);
	pop = (struct pop){ .path = server.socket, .got = UNSET };
	ck_assert_int_eq(torc_go(scope, blocking_pop, &pop), 0);
	ck_assert_int_eq(torc_sleep(20 * TORC_MS), 0);
	ck_assert_int_eq(pop.got, UNSET);
	server_kill(&server);
	ck_assert_int_eq(torc_scope_join(scope), pop.got);
	ck_assert(pop.got == -ENODATA || pop.got == -ECONNRESET);
	ck_assert_int_eq(client_open(&client, server.socket), -ECONNREFUSED);
	server_stop(&server);
}
