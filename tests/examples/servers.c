/* The examples that serve: each is told to serve a few connections on a free port, talked to, and ends by itself. */
#include "example.h"

#include <dirent.h>
#include <sys/resource.h>

TEST(echo_sends_back_and_ends)
{
	struct example example;
	int port, a, b;

	example_start(&example, (char *[]){ "02_echo", "127.0.0.1:0", "2", NULL });
	port = example_port(&example);
	a = connect_to(port);
	b = connect_to(port);
	say(a, "hello");
	say(b, "other");
	hear(a, "hello");
	hear(b, "other");
	say(a, " and again");
	hear(a, " and again");
	shutdown(a, SHUT_WR);
	hear_the_end(a);
	close(a);
	close(b);
	ck_assert_int_eq(example_end(&example), 0);
	ck_assert_str_eq(example.text, "");
}

TEST(echo_says_why_it_cannot_listen)
{
	struct example example;

	example_start(&example, (char *[]){ "02_echo", "nowhere", NULL });
	ck_assert_int_eq(example_end(&example), 1);
}

static const char requests[] = "GET /one HTTP/1.1\r\nHost: here\r\n\r\n"
			       "POST /two?x=1 HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nbytes"
			       "HEAD /none HTTP/1.1\r\nHost: here\r\n\r\n"
			       "GET /three HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
static const char answers[] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nGET /one\n"
			      "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nPOST /two?x=1\n"
			      "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"
			      "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nGET /three\n";

TEST(http_answers_requests_in_a_row_in_pieces_and_refuses_nonsense)
{
	struct example example;
	int port, fd;

	if (!example_exists("05_http"))
		SKIP("05_http is not built: http_parser is missing");
	example_start(&example, (char *[]){ "05_http", "127.0.0.1:0", "3", NULL });
	port = example_port(&example);

	fd = connect_to(port); /* all at once */
	say(fd, requests);
	hear(fd, answers);
	hear_the_end(fd);
	close(fd);

	fd = connect_to(port); /* byte by byte */
	for (const char *at = requests; *at != 0; at++) {
		say(fd, (char[]){ *at, 0 });
		usleep(100);
	}
	hear(fd, answers);
	hear_the_end(fd);
	close(fd);

	fd = connect_to(port);
	say(fd, "nonsense\r\n\r\n");
	hear(fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
	close(fd);
	ck_assert_int_eq(example_end(&example), 0);
}

TEST(proxy_copies_both_ways_and_passes_ends_on)
{
	struct example echo, proxy;
	char to[32];
	int a, b, port;

	example_start(&echo, (char *[]){ "02_echo", "127.0.0.1:0", "2", NULL });
	snprintf(to, sizeof to, "127.0.0.1:%d", example_port(&echo));
	example_start(&proxy, (char *[]){ "09_proxy", "127.0.0.1:0", to, "2", NULL });
	port = example_port(&proxy);
	a = connect_to(port);
	b = connect_to(port);
	say(a, "through the proxy");
	hear(a, "through the proxy");
	say(b, "last words");
	shutdown(b, SHUT_WR);
	hear(b, "last words");
	hear_the_end(b);
	say(a, "still there");
	hear(a, "still there");
	close(a);
	close(b);
	ck_assert_int_eq(example_end(&proxy), 0);
	ck_assert_int_eq(example_end(&echo), 0);
}

TEST(proxy_tells_its_usage)
{
	struct example example;

	example_start(&example, (char *[]){ "09_proxy", NULL });
	ck_assert_int_eq(example_end(&example), 2);
	example_start(&example, (char *[]){ "09_proxy", "127.0.0.1:0", "nowhere", NULL });
	ck_assert_int_eq(example_end(&example), 2);
}

/* --- want of descriptors ----------------------------------------------------------------------- */

static unsigned descriptors_of(pid_t pid)
{
	char path[64];
	unsigned count = 0;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	ck_assert_ptr_nonnull(dir = opendir(path));
	for (const struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

/* More clients than it may have descriptors for: when they have left, others are served. The example is killed then. */
static void outlives_its_descriptors(char *const argv[], const char *question, size_t question_len, size_t answer_len)
{
	enum { DESCRIPTORS = 30, CLIENTS = 60 };
	struct example example;
	struct rlimit before;
	int port, fds[CLIENTS], fd, status;
	char answer[200];

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ DESCRIPTORS, before.rlim_max }), 0);
	example_start(&example, argv);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	port = example_port(&example);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = connect_to(port);
	while (descriptors_of(example.pid) < DESCRIPTORS)
		usleep(1000);
	usleep(50000); /* it fails now; if it is too slow for that it only passes too easily */
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	fd = connect_to(port);
	ck_assert_int_eq(send(fd, question, question_len, MSG_NOSIGNAL), (int)question_len);
	ck_assert_int_eq(recv(fd, answer, answer_len, MSG_WAITALL), (int)answer_len);
	close(fd);
	ck_assert_int_eq(waitpid(example.pid, &status, WNOHANG), 0);
	kill(example.pid, SIGKILL);
	ck_assert_int_eq(waitpid(example.pid, &status, 0), example.pid);
	close(example.out);
	close(example.err);
}

TEST(servers_outlive_a_want_of_descriptors)
{
	static const char get[] = "GET / HTTP/1.1\r\n\r\n";

	outlives_its_descriptors((char *[]){ "02_echo", "127.0.0.1:0", "1000", NULL }, "hello", 5, 5);
	outlives_its_descriptors((char *[]){ "11_shards", "127.0.0.1:0", "1000", "1", NULL }, "12345678", 8, 8);
	if (example_exists("05_http"))
		outlives_its_descriptors((char *[]){ "05_http", "127.0.0.1:0", "1000", NULL }, get, sizeof get - 1, 40);
}
