/* tcp.h - TCP: listen, connect, options (tcp(7), ip(7), ipv6(7)). */
#ifndef TORC_TCP_H
#define TORC_TCP_H

#include <torc/stream.h>
#include <torc/time.h>

TORC_BEGIN

struct torc_listen_options {
	size_t size;     /* TORC_OPTIONS fills it in                                                   */
	int backlog;     /* connections that the kernel keeps for us, at most somaxconn; default 1024  */
	int ahead;       /* accepted connections kept until somebody takes them; default 64            */
	bool nodelay;    /* accepted connections send small writes at once (TCP_NODELAY is inherited)  */
	bool share_port; /* SO_REUSEPORT: several listeners on one port share its connections          */
	bool ipv6_only;  /* an IPv6 address does not take IPv4 connections as well                     */
};

/* Listen on an address as addr.h describes; port 0: any free one. SO_REUSEADDR is set. Every address of this host, ":80",
 * is every IPv4 address where the kernel has no IPv6.
 * Returns 0; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EAFNOSUPPORT, -EMFILE, -ENFILE, -ENOMEM; what torc_addr_parse returns;
 * -EINVAL for an option out of range or an address that is empty. */
TORC_API int torc_tcp_listen(struct torc_listener *listener, const char *address,
                             const struct torc_listen_options *options) TORC_ANYWHERE TORC_MUST;
TORC_API int torc_tcp_listen_on(struct torc_listener *listener, const struct torc_addr *addr,
                                const struct torc_listen_options *options) TORC_ANYWHERE TORC_MUST;

/* Connect. Returns 0; -ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH, -ETIMEDOUT (TCP gave up), -EAFNOSUPPORT, -EMFILE …; what
 * torc_addr_parse returns; -EINVAL for an address that is empty. */
TORC_API int torc_tcp_connect(struct torc_stream *stream, const char *address) TORC_PARKS TORC_MUST;
TORC_API int torc_tcp_connect_to(struct torc_stream *stream, const struct torc_addr *addr) TORC_PARKS TORC_MUST;

/* Options of a connection. Each returns 0; -EBADF, -ENOTSOCK, or another -errno of setsockopt(2); -EINVAL for what is out
 * of range.
 *   nodelay       send small writes at once instead of gathering them (TCP_NODELAY)
 *   keepalive     probe an idle peer every `idle`, rounded up to whole seconds (at most 32,767); 0: never (SO_KEEPALIVE,
 *                 TCP_KEEPIDLE, TCP_KEEPINTVL)
 *   user_timeout  give up when sent data stays unacknowledged for so long, rounded up to whole milliseconds; 0: the
 *                 system's default (TCP_USER_TIMEOUT)
 *   linger        close resets the connection (0), or leaves it to the kernel to send the rest (< 0, the default);
 *                 > 0 is -EINVAL: it would block the core in close
 *   buffers       bytes of send and receive buffer; 0 leaves one as it is (SO_SNDBUF, SO_RCVBUF) */
TORC_API int torc_tcp_set_nodelay(struct torc_stream *stream, bool on) TORC_ANYWHERE;
TORC_API int torc_tcp_set_keepalive(struct torc_stream *stream, torc_ns idle) TORC_ANYWHERE;
TORC_API int torc_tcp_set_user_timeout(struct torc_stream *stream, torc_ns span) TORC_ANYWHERE;
TORC_API int torc_tcp_set_linger(struct torc_stream *stream, torc_ns span) TORC_ANYWHERE;
TORC_API int torc_tcp_set_buffers(struct torc_stream *stream, int send, int receive) TORC_ANYWHERE;

TORC_END
#endif
