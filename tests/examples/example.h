/* example.h - run a program of examples/ as a user would: its arguments, its two outputs, its exit status. Where it is
 * follows from where this test is: build/tests beside build/examples. Relies on libc and the harness alone. */
#ifndef TESTS_EXAMPLE_H
#define TESTS_EXAMPLE_H

#include "harness.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct example {
	pid_t pid;
	int out, err; /* the reading ends of its stdout and stderr */
	char text[8192];
};

static inline void example_path(char *path, size_t size, const char *name)
{
	char self[3000];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);

	ck_assert_int_gt(len, 0);
	self[len] = 0;
	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(self, '/');

		ck_assert_ptr_nonnull(slash);
		*slash = 0;
	}
	snprintf(path, size, "%s/examples/%s", self, name);
}

/* Was it built? One that needs a library may not be. */
static inline int example_exists(const char *name)
{
	char path[4096];

	example_path(path, sizeof path, name);
	return access(path, X_OK) == 0;
}

/* argv[0] is the example's name. It dies with this test. */
static inline void example_start(struct example *example, char *const argv[])
{
	int out[2], err[2];
	char path[4096];

	example_path(path, sizeof path, argv[0]);
	ck_assert_msg(access(path, X_OK) == 0, "%s is not built", path);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(err, O_CLOEXEC), 0);
	fflush(NULL);
	example->pid = fork();
	ck_assert_int_ge(example->pid, 0);
	if (example->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		execv(path, argv);
		_exit(127);
	}
	close(out[1]);
	close(err[1]);
	example->out = out[0];
	example->err = err[0];
}

/* All that still comes from a descriptor, which is closed. */
static inline void read_rest(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	close(fd);
}

/* Wait for its end; what it wrote to stdout is in .text then. Returns the exit status. */
static inline int example_end(struct example *example)
{
	char complaints[4096];
	int status;

	read_rest(example->out, example->text, sizeof example->text);
	read_rest(example->err, complaints, sizeof complaints);
	ck_assert_int_eq(waitpid(example->pid, &status, 0), example->pid);
	ck_assert_msg(WIFEXITED(status), "signal %d; stderr: %s", WTERMSIG(status), complaints);
	if (WEXITSTATUS(status) != 0)
		fputs(complaints, stderr);
	return WEXITSTATUS(status);
}

/* The port that a server tells on its stderr, in a line that ends with it. */
static inline int example_port(struct example *example)
{
	char line[200];
	size_t len = 0;

	do {
		ck_assert_uint_lt(len, sizeof line - 1);
		ck_assert_msg(read(example->err, &line[len], 1) == 1, "no line that tells the port, but: %.*s",
		              (int)len, line);
	} while (line[len++] != '\n');
	while (len > 1 && line[len - 2] >= '0' && line[len - 2] <= '9')
		len--;
	return atoi(line + len - 1);
}

/* Wait until a signal would be caught: what a program does about one it sets up as it starts, at its own pace. */
static inline void example_await_handler(struct example *example, int signal)
{
	unsigned long long caught = 0;
	char path[40], line[200];

	snprintf(path, sizeof path, "/proc/%d/status", example->pid);
	while (!(caught >> (signal - 1) & 1)) {
		FILE *status = fopen(path, "re");

		ck_assert_ptr_nonnull(status);
		while (fgets(line, sizeof line, status) && sscanf(line, "SigCgt: %llx", &caught) != 1)
			;
		fclose(status);
		usleep(1000);
	}
}

/* A blocking connection to a port of this host. */
static inline int connect_to(int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_ge(fd, 0);
	ck_assert_msg(connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0, "connect to %d: %m", port);
	return fd;
}

static inline void say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (int)strlen(text));
}

static inline void hear(int fd, const char *text)
{
	char got[4096] = "";
	ssize_t n = recv(fd, got, strlen(text), MSG_WAITALL);

	ck_assert_int_eq(n, (int)strlen(text));
	ck_assert_str_eq(got, text);
}

static inline void hear_the_end(int fd)
{
	char byte;

	ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
}

#endif
