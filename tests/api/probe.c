/* probe - what the kernel offers, and life without it: every feature can be switched off by name, and everything still
 * works. TORC_DISABLE is read once a process, so each combination runs in a process of its own. */
#include "api.h"

#include <pthread.h>

enum { MOST = 64 };

static int probe_all(struct torc_feature features[MOST])
{
	int count = torc_probe(features, MOST);

	ck_assert_int_gt(count, 0);
	ck_assert_int_le(count, MOST);
	return count;
}

TEST(every_feature_has_a_name_of_its_own_and_says_what_and_why)
{
	struct torc_feature features[MOST];
	int count = probe_all(features);

	for (int i = 0; i < count; i++) {
		ck_assert_ptr_nonnull(features[i].name);
		ck_assert_uint_gt(strlen(features[i].name), 0);
		ck_assert_uint_eq(strspn(features[i].name, "abcdefghijklmnopqrstuvwxyz0123456789_"),
		                  strlen(features[i].name));
		ck_assert_uint_gt(strlen(features[i].what), 0);
		ck_assert_uint_gt(strlen(features[i].why), 0);
		ck_assert_str_ne(features[i].name, "all");
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(features[i].name, features[k].name);
	}
}

TEST(probe_fills_in_no_more_than_asked_and_tells_how_many_there_are)
{
	struct torc_feature features[MOST], few[3];
	int count = probe_all(features);

	ck_assert_int_eq(torc_probe(NULL, 0), count);
	memset(few, 0xee, sizeof few);
	ck_assert_int_eq(torc_probe(few, 2), count);
	ck_assert_str_eq(few[1].name, features[1].name);
	for (size_t i = 0; i < sizeof few[2]; i++)
		ck_assert_uint_eq(((unsigned char *)&few[2])[i], 0xee);
}

static int ask_inside(void *arg)
{
	return torc_probe(arg, MOST);
}

TEST(probe_answers_alike_within_a_run_and_without)
{
	struct torc_feature before[MOST], inside[MOST];
	int count = probe_all(before);

	ck_assert_int_eq(torc_run(NULL, ask_inside, inside), count);
	for (int i = 0; i < count; i++) {
		ck_assert_str_eq(before[i].name, inside[i].name);
		ck_assert_str_eq(before[i].why, inside[i].why);
		ck_assert(before[i].on == inside[i].on);
	}
}

TEST(every_error_has_an_explanation)
{
	for (int error = 0; error < 200; error++) {
		ck_assert_ptr_nonnull(torc_probe_explain(-error));
		ck_assert_uint_gt(strlen(torc_probe_explain(-error)), 0);
	}
	ck_assert_ptr_nonnull(torc_probe_explain(INT_MIN));
	ck_assert_ptr_nonnull(torc_probe_explain(INT_MAX));
	ck_assert_ptr_nonnull(strstr(torc_probe_explain(-EPERM), "kernel.io_uring_disabled"));
	ck_assert_ptr_nonnull(strstr(torc_probe_explain(-ENOMEM), "ulimit -l"));
	ck_assert_ptr_nonnull(strstr(torc_probe_explain(-EMFILE), "ulimit -n"));
}

/* --- switched off ---------------------------------------------------------------------------- */

static int echo(void *arg)
{
	struct torc_stream *peer = arg;
	char buf[4096];
	int n;

	while ((n = torc_stream_read(peer, buf, sizeof buf)) > 0) {
		n = torc_stream_write(peer, buf, (size_t)n);
		if (n < 0)
			break;
	}
	torc_stream_close(peer);
	return n;
}

static int serve(void *arg)
{
	struct torc_stream peer;
	int r;
	TORC_SCOPE(peers, .until = TORC_ALL_DONE);

	while ((r = torc_listener_accept(arg, &peer)) == 0) {
		r = torc_give(peers, echo, peer);
		if (r < 0)
			torc_stream_close(&peer);
	}
	return r;
}

static int converse(void *arg)
{
	unsigned char out[1000], in[1000];
	struct torc_stream stream;
	int r = torc_tcp_connect(&stream, arg);

	for (size_t i = 0; r >= 0 && i < 20; i++) {
		pattern_fill(out, sizeof out, i * 1000);
		r = torc_stream_write(&stream, out, sizeof out);
		if (r >= 0)
			r = torc_stream_read_exact(&stream, in, sizeof in);
		if (r >= 0 && (r != sizeof in || memcmp(in, out, sizeof in) != 0))
			r = -EILSEQ;
	}
	torc_stream_close(&stream);
	return r < 0 ? r : 0;
}

static int read_until_etime(void)
{
	struct torc_stream a, b;
	torc_ns due = torc_in(5 * TORC_MS);
	char byte;
	int r;

	stream_pair(&a, &b);
	{
		TORC_SCOPE(scope, .deadline = due);

		r = torc_stream_read(&a, &byte, 1);
	}
	torc_stream_close(&a);
	torc_stream_close(&b);
	return r == -ETIME && torc_now() >= due ? 0 : -EPROTO;
}

static void *write_later(void *arg)
{
	usleep(20 * 1000);
	return write(*(int *)arg, "x", 1) == 1 ? NULL : arg;
}

/* Nothing is under way but one read, and what ends it comes from outside. */
static int wait_for_another_thread(void)
{
	struct torc_async async;
	pthread_t thread;
	int ends[2], r;

	if (pipe(ends) < 0 || pthread_create(&thread, NULL, write_later, &ends[1]) != 0)
		return -EIO;
	r = torc_async_wrap(&async, ends[0]);
	if (r == 0)
		r = torc_async_readable(&async);
	pthread_join(thread, NULL);
	torc_async_close(&async);
	close(ends[1]);
	return r;
}

/* A bit of everything: many clients, cancelled accepts, timers, deadlines, a closed listener. */
static int small_world(void *arg)
{
	struct torc_listener listener;
	char text[TORC_ADDR_TEXT];
	torc_ns start = torc_now();
	TORC_SCOPE(servers, .until = TORC_ALL_DONE);
	TORC_SCOPE(clients);

	(void)arg;
	listen_here(&listener, text, NULL);
	if (torc_go(servers, serve, &listener) < 0)
		return -EIO;
	for (int i = 0; i < 20; i++)
		if (torc_go(clients, converse, text) < 0)
			return -EIO;
	if (torc_scope_join(clients) != 0)
		return -EPROTO;
	if (torc_sleep(2 * TORC_MS) != 0 || torc_now() < start + 2 * TORC_MS)
		return -ETIMEDOUT;
	if (read_until_etime() < 0)
		return -EPROTO;
	torc_listener_close(&listener);
	if (torc_scope_join(servers) != -EBADF)
		return -EBADMSG;
	return wait_for_another_thread();
}

/* Exit status: 0 when all that is named in `list` is off and says so, and a small world turns all the same. */
static int live_without(void *arg)
{
	const char *list = arg;
	struct torc_feature features[MOST];
	int count, r;

	alarm(COUNT(10, 60)); /* whoever waits for ever is named all the same */
	if (setenv("TORC_DISABLE", list, 1) < 0)
		return 98;
	count = torc_probe(features, MOST);
	if (count <= 0)
		return 1;
	for (int i = 0; i < count; i++) {
		bool named = strcmp(list, "all") == 0 || strstr(list, features[i].name) != NULL;

		if (named && features[i].on)
			return 2;
		if (named && strstr(features[i].why, "TORC_DISABLE") == NULL)
			return 3;
	}
	r = torc_run(NULL, small_world, NULL);
	if (r < 0)
		fprintf(stderr, "without %s: %s\n", list, strerror(-r));
	return r < 0 ? 4 : 0;
}

static void assert_life_without(const char *list)
{
	struct outcome outcome;
	char copy[1024];

	snprintf(copy, sizeof copy, "%s", list);
	run_in_process(&outcome, live_without, copy);
	ck_assert_msg(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 0,
	              "TORC_DISABLE=%s: status %x; stderr: %s", list, (unsigned)outcome.status, outcome.text);
}

/* The names, asked for in another process, so that nothing is probed yet in this one. */
static int print_names(void *arg)
{
	struct torc_feature features[MOST];
	int count = torc_probe(features, MOST);

	(void)arg;
	for (int i = 0; i < count; i++)
		fprintf(stderr, "%s\n", features[i].name);
	return 0;
}

TEST(with_everything_on_all_works)
{
	assert_life_without("");
	assert_life_without("no_such_feature");
}

TEST_TIMEOUT(with_everything_off_all_works, 30)
{
	assert_life_without("all");
}

TEST_TIMEOUT(with_any_one_feature_off_all_works, 60)
{
	struct outcome names;

	run_in_process(&names, print_names, NULL);
	assert_exit(&names, 0);
	for (char *name = strtok(names.text, "\n"); name != NULL; name = strtok(NULL, "\n"))
		assert_life_without(name);
}

TEST_TIMEOUT(with_only_one_feature_on_all_works, 60)
{
	struct outcome names;
	char *name[MOST], list[1024];
	int count = 0;

	run_in_process(&names, print_names, NULL);
	assert_exit(&names, 0);
	for (char *next = strtok(names.text, "\n"); next != NULL; next = strtok(NULL, "\n"))
		name[count++] = next;
	ck_assert_int_gt(count, 1);
	for (int on = 0; on < count; on++) {
		list[0] = 0;
		for (int i = 0; i < count; i++)
			if (i != on && strstr(name[on], name[i]) == NULL)
				snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", list[0] ? "," : "",
				         name[i]);
		assert_life_without(list);
	}
}
