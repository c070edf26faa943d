#include "io/tcp.h"

#include "base/options.h"
#include "io/addr.h"
#include "machine/sys.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

enum { BACKLOG_MOST = 65535, AHEAD_MOST = 65536 };

static int set_int(int fd, int level, int name, int value)
{
	return sys_setsockopt(fd, level, name, &value, sizeof value);
}

static int tcp_socket(const struct torc_addr *addr)
{
	int family = addr->sockaddr.ss_family;

	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	return sys_socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
}

static int bind_and_listen(int fd, const struct torc_addr *addr, const struct torc_listen_options *options, int backlog)
{
	int r = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);

	if (r == 0 && options->nodelay)
		r = set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (r == 0 && options->share_port)
		r = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && addr->sockaddr.ss_family == AF_INET6)
		r = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->ipv6_only);
	if (r == 0)
		r = sys_bind(fd, addr_sockaddr(addr), addr->len);
	return r < 0 ? r : sys_listen(fd, backlog);
}

/* Every address of this host where there is no IPv6: true, and *ipv4 means them all. */
static bool fall_back(struct torc_addr *ipv4, const struct torc_addr *addr)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->sockaddr;

	if (in6->sin6_family != AF_INET6 || !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
		return false;
	*ipv4 = (struct torc_addr){ .len = sizeof(struct sockaddr_in) };
	*(struct sockaddr_in *)&ipv4->sockaddr =
		(struct sockaddr_in){ .sin_family = AF_INET, .sin_port = in6->sin6_port };
	return true;
}

int torc_tcp_listen_on(struct torc_listener *listener, const struct torc_addr *addr,
                       const struct torc_listen_options *options)
{
	struct torc_listen_options whole;
	int fd, r, backlog, ahead;
	struct torc_addr ipv4;

	options = OPTIONS(options, whole);
	backlog = options->backlog ? options->backlog : LISTENER_BACKLOG;
	ahead = options->ahead ? options->ahead : LISTENER_AHEAD;
	if (backlog < 1 || backlog > BACKLOG_MOST || ahead < 1 || ahead > AHEAD_MOST)
		return -EINVAL;

	fd = tcp_socket(addr);
	if (fd == -EAFNOSUPPORT && !options->ipv6_only && fall_back(&ipv4, addr)) {
		addr = &ipv4;
		fd = tcp_socket(addr);
	}
	if (fd < 0)
		return fd;
	r = bind_and_listen(fd, addr, options, backlog);
	if (r == 0)
		r = listener_make(listener, fd, (unsigned)ahead, (unsigned)backlog);
	if (r < 0)
		sys_close(fd);
	return r;
}

int torc_tcp_listen(struct torc_listener *listener, const char *address, const struct torc_listen_options *options)
{
	struct torc_addr addr;
	int r = torc_addr_parse(&addr, address);

	return r < 0 ? r : torc_tcp_listen_on(listener, &addr, options);
}

int torc_tcp_connect_to(struct torc_stream *stream, const struct torc_addr *addr)
{
	struct torc_stream connected = { 0 };
	struct io_uring_sqe *sqe;
	struct op op;
	int fd = tcp_socket(addr), r;

	if (fd < 0)
		return fd;
	async_set(&connected.async, fd, 0);
	r = op_begin(&op, &connected.async, SOURCE_CONNECT, &sqe, __func__);
	if (r == 0) {
		uring_prepare(sqe, IORING_OP_CONNECT, fd, &addr->sockaddr, 0);
		sqe->off = addr->len;
		r = op_finish(&op, sqe);
	}
	if (r < 0)
		torc_stream_close(&connected);
	else
		*stream = connected;
	return r;
}

int torc_tcp_connect(struct torc_stream *stream, const char *address)
{
	struct torc_addr addr;
	int r = torc_addr_parse(&addr, address);

	return r < 0 ? r : torc_tcp_connect_to(stream, &addr);
}

static int set_option(struct torc_stream *stream, int level, int name, int value)
{
	return async_empty(&stream->async) ? -EBADF : set_int(async_fd(&stream->async), level, name, value);
}

int torc_tcp_set_nodelay(struct torc_stream *stream, bool on)
{
	return set_option(stream, IPPROTO_TCP, TCP_NODELAY, on);
}

int torc_tcp_set_keepalive(struct torc_stream *stream, torc_ns idle)
{
	int64_t seconds = idle / TORC_SEC + (idle % TORC_SEC > 0);
	int r;

	if (idle == 0)
		return set_option(stream, SOL_SOCKET, SO_KEEPALIVE, 0);
	if (idle < 0 || seconds > INT_MAX)
		return -EINVAL;
	r = set_option(stream, IPPROTO_TCP, TCP_KEEPIDLE, (int)seconds);
	if (r == 0)
		r = set_option(stream, IPPROTO_TCP, TCP_KEEPINTVL, (int)seconds);
	return r < 0 ? r : set_option(stream, SOL_SOCKET, SO_KEEPALIVE, 1);
}

int torc_tcp_set_user_timeout(struct torc_stream *stream, torc_ns span)
{
	int64_t ms = span / TORC_MS + (span % TORC_MS > 0);

	if (span < 0 || ms > INT_MAX)
		return -EINVAL;
	return set_option(stream, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)ms);
}

int torc_tcp_set_linger(struct torc_stream *stream, torc_ns span)
{
	struct linger linger = { .l_onoff = span == 0 };

	if (async_empty(&stream->async))
		return -EBADF;
	if (span > 0)
		return -EINVAL;
	return sys_setsockopt(async_fd(&stream->async), SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

int torc_tcp_set_buffers(struct torc_stream *stream, int send, int receive)
{
	int r = async_empty(&stream->async) ? -EBADF : send < 0 || receive < 0 ? -EINVAL : 0;

	if (r == 0 && send > 0)
		r = set_option(stream, SOL_SOCKET, SO_SNDBUF, send);
	if (r == 0 && receive > 0)
		r = set_option(stream, SOL_SOCKET, SO_RCVBUF, receive);
	return r;
}
