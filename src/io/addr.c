#include "io/addr.h"

#include "machine/sys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { HOST_MAX = INET6_ADDRSTRLEN + IF_NAMESIZE };

static int parse_port(const char *text, in_port_t *port)
{
	unsigned value = 0;

	if (*text == '\0')
		return -EINVAL;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		value = value * 10 + (unsigned)(*text - '0');
		if (value > UINT16_MAX)
			value = UINT16_MAX + 1; /* however many digits follow */
	}
	if (value > UINT16_MAX)
		return -ERANGE;
	*port = htons((uint16_t)value);
	return 0;
}

static int parse_scope(const char *text, uint32_t *scope)
{
	uint64_t value = 0;

	*scope = sys_ifindex(text);
	if (*scope != 0)
		return 0;
	if (*text == '\0')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9' && value <= UINT32_MAX; text++)
		value = value * 10 + (unsigned)(*text - '0');
	*scope = (uint32_t)value;
	return *text == '\0' && value <= UINT32_MAX ? 0 : -EINVAL;
}

static int parse_ipv6(struct torc_addr *addr, char *host, in_port_t port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&addr->sockaddr;
	char *scope = strchr(host, '%');

	in6->sin6_family = AF_INET6;
	in6->sin6_port = port;
	addr->len = sizeof *in6;
	if (scope) {
		*scope++ = '\0';
		if (parse_scope(scope, &in6->sin6_scope_id) < 0)
			return -EINVAL;
	}
	return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1 ? 0 : -EINVAL;
}

/* A name is letters, digits, hyphens and dots; one that looks like a number is an address gone wrong. */
static bool is_name(const char *host, size_t len)
{
	bool letters = false;

	for (const char *end = host + len; host < end; host++) {
		bool letter = (*host >= 'a' && *host <= 'z') || (*host >= 'A' && *host <= 'Z') || *host == '_';

		letters |= letter;
		if (!letter && !(*host >= '0' && *host <= '9') && *host != '-' && *host != '.')
			return false;
	}
	return letters;
}

static int parse_ipv4(struct torc_addr *addr, const char *host, in_port_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&addr->sockaddr;

	in->sin_family = AF_INET;
	in->sin_port = port;
	addr->len = sizeof *in;
	return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? 0 : -EINVAL;
}

/* "host:port" and "[host]:port". The name of an interface in there may have brackets, but no colon. */
struct parts {
	const char *host, *port;
	size_t len; /* of the host */
	bool bracketed;
};

static int split(const char *text, struct parts *parts)
{
	const char *end;

	parts->bracketed = *text == '[';
	parts->host = text + parts->bracketed;
	end = strrchr(parts->host, parts->bracketed ? ']' : ':');
	if (!end || end[parts->bracketed] != ':')
		return -EINVAL;
	parts->len = (size_t)(end - parts->host);
	parts->port = end + parts->bracketed + 1;
	return 0;
}

int torc_addr_parse(struct torc_addr *addr, const char *text)
{
	struct torc_addr parsed;
	struct parts parts;
	char host[HOST_MAX];
	in_port_t port;
	int r = split(text, &parts);

	if (r == 0)
		r = parse_port(parts.port, &port);
	if (r < 0)
		return r;
	if (!parts.bracketed && is_name(parts.host, parts.len))
		return -EOPNOTSUPP;
	if (parts.len >= sizeof host)
		return -EINVAL;
	memcpy(host, parts.host, parts.len);
	host[parts.len] = '\0';
	memset(&parsed, 0, sizeof parsed);
	if (parts.bracketed)
		r = parse_ipv6(&parsed, host, port);
	else if (host[0] == '\0' || strcmp(host, "*") == 0)
		r = parse_ipv6(&parsed, (char[]){ "::" }, port);
	else
		r = parse_ipv4(&parsed, host, port);
	if (r == 0)
		*addr = parsed;
	return r;
}

static int format_ipv6(const struct sockaddr_in6 *in6, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN], name[IF_NAMESIZE], scope[IF_NAMESIZE + 1] = "";

	inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
	if (in6->sin6_scope_id != 0 && sys_ifname(in6->sin6_scope_id, name))
		snprintf(scope, sizeof scope, "%%%s", name);
	else if (in6->sin6_scope_id != 0)
		snprintf(scope, sizeof scope, "%%%u", in6->sin6_scope_id);
	return snprintf(text, size, "[%s%s]:%u", host, scope, ntohs(in6->sin6_port));
}

int torc_addr_format(const struct torc_addr *addr, char *text, size_t size)
{
	char full[TORC_ADDR_TEXT], host[INET_ADDRSTRLEN];
	const struct sockaddr_in *in = (const struct sockaddr_in *)&addr->sockaddr;
	int len;

	switch (addr->sockaddr.ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
		len = snprintf(full, sizeof full, "%s:%u", host, ntohs(in->sin_port));
		break;
	case AF_INET6:
		len = format_ipv6((const struct sockaddr_in6 *)&addr->sockaddr, full, sizeof full);
		break;
	default:
		return -EAFNOSUPPORT;
	}
	if ((size_t)len >= size)
		return -ENOSPC;
	memcpy(text, full, (size_t)len + 1);
	return len;
}

int torc_addr_port(const struct torc_addr *addr)
{
	switch (addr->sockaddr.ss_family) {
	case AF_INET:
		return ntohs(((const struct sockaddr_in *)&addr->sockaddr)->sin_port);
	case AF_INET6:
		return ntohs(((const struct sockaddr_in6 *)&addr->sockaddr)->sin6_port);
	default:
		return -EAFNOSUPPORT;
	}
}
