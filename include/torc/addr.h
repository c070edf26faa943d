/* addr.h - addresses of sockets, as text and as sockaddr. */
#ifndef TORC_ADDR_H
#define TORC_ADDR_H

#include <torc/base.h>
#include <sys/socket.h>

TORC_BEGIN

struct torc_addr {
	struct sockaddr_storage sockaddr; /* as socket(7), ip(7), ipv6(7) know it */
	socklen_t len;                    /* bytes of it that mean something      */
};

/* Enough for any text that torc_addr_format writes, the final 0 included. */
enum { TORC_ADDR_TEXT = 128 };

/* Read "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80", ":80" or "*:80" (every address of this host, IPv4 and IPv6).
 * The host is numeric; the port decimal, 0 to 65535.
 * Returns 0; -EINVAL for text that is no address or has no port; -ERANGE for a port out of range; -EOPNOTSUPP for a
 * host name: names are not resolved here. */
TORC_API int torc_addr_parse(struct torc_addr *addr, const char *text) TORC_ANYWHERE TORC_MUST;

/* Write it in the form that parse reads. Returns the length; -ENOSPC when `size` is too small, after which `text` is
 * untouched; -EAFNOSUPPORT for what is neither IPv4 nor IPv6. */
TORC_API int torc_addr_format(const struct torc_addr *addr, char *text, size_t size) TORC_ANYWHERE;

/* The port in host order; -EAFNOSUPPORT where there is none. */
TORC_API int torc_addr_port(const struct torc_addr *addr) TORC_ANYWHERE;

TORC_END
#endif
