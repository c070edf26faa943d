/* addr - addresses as text: what is read, what is refused and with which code, and that writing is reading's inverse. */
#include "api.h"
#include "base/random.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <regex.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/un.h>

static void assert_text(const struct torc_addr *addr, const char *wanted)
{
	char text[TORC_ADDR_TEXT];

	ck_assert_int_eq(torc_addr_format(addr, text, sizeof text), (int)strlen(wanted));
	ck_assert_str_eq(text, wanted);
}

TEST(ipv4_addresses_are_read)
{
	static const struct {
		const char *text;
		uint32_t host;
		int port;
	} rows[] = {
		{ "127.0.0.1:80", 0x7f000001, 80 },
		{ "0.0.0.0:0", 0, 0 },
		{ "255.255.255.255:65535", 0xffffffff, 65535 },
		{ "1.2.3.4:1", 0x01020304, 1 },
	};

	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct torc_addr addr;
		struct sockaddr_in in;

		memset(&addr, 0xa5, sizeof addr);
		ck_assert_int_eq(torc_addr_parse(&addr, rows[i].text), 0);
		ck_assert_uint_eq(addr.len, sizeof in);
		memcpy(&in, &addr.sockaddr, sizeof in);
		ck_assert_int_eq(in.sin_family, AF_INET);
		ck_assert_uint_eq(ntohl(in.sin_addr.s_addr), rows[i].host);
		ck_assert_int_eq(ntohs(in.sin_port), rows[i].port);
		ck_assert_int_eq(torc_addr_port(&addr), rows[i].port);
		assert_text(&addr, rows[i].text);
	}
}

TEST(ipv6_addresses_are_read)
{
	static const struct {
		const char *text, *host;
		int port;
		const char *written;
	} rows[] = {
		{ "[::1]:80", "::1", 80, "[::1]:80" },
		{ "[::]:0", "::", 0, "[::]:0" },
		{ "[2001:db8::ff00:42:8329]:65535", "2001:db8::ff00:42:8329", 65535, "[2001:db8::ff00:42:8329]:65535" },
		{ "[2001:DB8:0:0:0:0:0:1]:8", "2001:db8::1", 8, "[2001:db8::1]:8" },
		{ "[::ffff:127.0.0.1]:443", "::ffff:127.0.0.1", 443, "[::ffff:127.0.0.1]:443" },
	};

	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct torc_addr addr;
		struct sockaddr_in6 in;
		struct in6_addr host;

		memset(&addr, 0xa5, sizeof addr);
		ck_assert_int_eq(torc_addr_parse(&addr, rows[i].text), 0);
		ck_assert_uint_eq(addr.len, sizeof in);
		memcpy(&in, &addr.sockaddr, sizeof in);
		ck_assert_int_eq(inet_pton(AF_INET6, rows[i].host, &host), 1);
		ck_assert_int_eq(in.sin6_family, AF_INET6);
		ck_assert_mem_eq(&in.sin6_addr, &host, sizeof host);
		ck_assert_int_eq(ntohs(in.sin6_port), rows[i].port);
		ck_assert_uint_eq(in.sin6_scope_id, 0);
		ck_assert_int_eq(torc_addr_port(&addr), rows[i].port);
		assert_text(&addr, rows[i].written);
	}
}

TEST(every_address_of_this_host_has_two_spellings)
{
	static const char *const texts[] = { ":80", "*:80" };

	for (size_t i = 0; i < LENGTH(texts); i++) {
		struct torc_addr addr;
		struct sockaddr_in6 in;

		ck_assert_int_eq(torc_addr_parse(&addr, texts[i]), 0);
		memcpy(&in, &addr.sockaddr, sizeof in);
		ck_assert_int_eq(in.sin6_family, AF_INET6);
		ck_assert(IN6_IS_ADDR_UNSPECIFIED(&in.sin6_addr));
		ck_assert_int_eq(torc_addr_port(&addr), 80);
		assert_text(&addr, "[::]:80");
	}
}

TEST(scope_ids_are_read_by_name_and_by_number)
{
	char by_name[64], by_number[64], name[IF_NAMESIZE];
	struct torc_addr a, b, again;
	struct sockaddr_in6 in;
	char text[TORC_ADDR_TEXT];

	if (if_indextoname(1, name) == NULL)
		SKIP("no network interface has the number 1");
	snprintf(by_name, sizeof by_name, "[fe80::1%%%s]:80", name);
	snprintf(by_number, sizeof by_number, "[fe80::1%%1]:80");
	ck_assert_int_eq(torc_addr_parse(&a, by_name), 0);
	ck_assert_int_eq(torc_addr_parse(&b, by_number), 0);
	memcpy(&in, &a.sockaddr, sizeof in);
	ck_assert_uint_eq(in.sin6_scope_id, 1);
	memcpy(&in, &b.sockaddr, sizeof in);
	ck_assert_uint_eq(in.sin6_scope_id, 1);
	ck_assert_int_gt(torc_addr_format(&a, text, sizeof text), 0);
	ck_assert_ptr_nonnull(strchr(text, '%'));
	ck_assert_int_eq(torc_addr_parse(&again, text), 0);
	memcpy(&in, &again.sockaddr, sizeof in);
	ck_assert_uint_eq(in.sin6_scope_id, 1);
}

/* Of a link-local address; the size of the text. */
static int format_with_scope(char text[TORC_ADDR_TEXT], uint32_t scope)
{
	struct sockaddr_in6 in = { .sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_scope_id = scope };
	struct torc_addr addr = { .len = sizeof in };

	inet_pton(AF_INET6, "fe80::1", &in.sin6_addr);
	memcpy(&addr.sockaddr, &in, sizeof in);
	return torc_addr_format(&addr, text, TORC_ADDR_TEXT);
}

static uint32_t scope_of(const char *text)
{
	struct torc_addr addr;
	struct sockaddr_in6 in;

	ck_assert_msg(torc_addr_parse(&addr, text) == 0, "\"%s\": %d", text, torc_addr_parse(&addr, text));
	memcpy(&in, &addr.sockaddr, sizeof in);
	return in.sin6_scope_id;
}

TEST(any_scope_id_that_is_written_is_read)
{
	static const uint32_t scopes[] = { 123456789, INT32_MAX, 4294967289u, 4294967290u, UINT32_MAX };
	char text[TORC_ADDR_TEXT];

	for (size_t i = 0; i < LENGTH(scopes); i++) {
		ck_assert_int_gt(format_with_scope(text, scopes[i]), 0);
		ck_assert_uint_eq(scope_of(text), scopes[i]);
	}
}

enum { NOT_PERMITTED = 77 };

/* The loopback interface of a network of our own. */
static int call_interface(void *name)
{
	struct ifreq request = { .ifr_name = "lo" };
	int r, fd;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 || (fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return -errno;
	snprintf(request.ifr_newname, sizeof request.ifr_newname, "%s", (const char *)name);
	r = ioctl(fd, SIOCSIFNAME, &request);
	close(fd);
	return r;
}

static int read_strange_name(void *name)
{
	char text[TORC_ADDR_TEXT], wanted[TORC_ADDR_TEXT];

	if (call_interface(name) < 0)
		return NOT_PERMITTED;
	snprintf(wanted, sizeof wanted, "[fe80::1%%%s]:80", (const char *)name);
	ck_assert_int_gt(format_with_scope(text, 1), 0);
	ck_assert_str_eq(text, wanted);
	ck_assert_uint_eq(scope_of(text), 1);
	return 0;
}

/* The kernel allows nearly everything. */
TEST(interfaces_may_have_any_name)
{
	static const char *const names[] = { "fifteen-letters", "a]b", "]", "[x]", "a.b@c" };

	for (size_t i = 0; i < LENGTH(names); i++) {
		struct outcome outcome;

		run_in_process(&outcome, read_strange_name, (void *)(uintptr_t)names[i]);
		if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == NOT_PERMITTED)
			SKIP("no interface may be renamed here");
		assert_exit(&outcome, 0);
	}
}

static void assert_refused(const char *text, int code)
{
	struct torc_addr addr, before;

	memset(&addr, 0xa5, sizeof addr);
	before = addr;
	ck_assert_msg(torc_addr_parse(&addr, text) == code, "\"%s\": wanted %d, got %d", text, code,
	              torc_addr_parse(&addr, text));
	ck_assert_mem_eq(&addr, &before, sizeof addr);
}

TEST(what_is_no_address_is_einval)
{
	static const char *const texts[] = {
		"",
		":",
		"127.0.0.1",
		"127.0.0.1:",
		"[::1]",
		"[::1]:",
		"[::1",
		"[::1]80",
		"[]:80",
		"::1:80",
		"[127.0.0.1]:80",
		"[::1]]:80",
		"[[::1]]:80",
		"127.0.0.1:-1",
		"127.0.0.1:+80",
		"127.0.0.1:0x50",
		"127.0.0.1:80x",
		"127.0.0.1: 80",
		"127.0.0.1:80 ",
		" 127.0.0.1:80",
		"127.0.0.1:80:90",
		"[::1]:80:90",
		"127.0.0.1:http",
		"[::g]:80",
		"[1:2:3:4:5:6:7:8:9]:80",
		"[::1%]:80",
		"80",
		"[",
		"]",
		"[]",
		"[:80",
		"**:80",
		"127.0.0.1:\n80",
	};

	for (size_t i = 0; i < LENGTH(texts); i++)
		assert_refused(texts[i], -EINVAL);
}

TEST(a_port_out_of_range_is_erange)
{
	static const char *const texts[] = {
		"127.0.0.1:65536",
		"127.0.0.1:65537",
		"127.0.0.1:4294967376",
		"127.0.0.1:99999999999999999999999",
		"[::1]:65536",
		":65536",
		"*:100000",
		"127.0.0.1:18446744073709551696",
	};

	for (size_t i = 0; i < LENGTH(texts); i++)
		assert_refused(texts[i], -ERANGE);
}

TEST(a_host_name_is_eopnotsupp)
{
	static const char *const texts[] = {
		"localhost:80",
		"example.com:80",
		"a:1",
		"xn--bcher-kva.example:65535",
		"my-host.local:0",
		"a-service-with-a-long-name.its-namespace.svc.cluster.local.example.com:80",
	};

	for (size_t i = 0; i < LENGTH(texts); i++)
		assert_refused(texts[i], -EOPNOTSUPP);
}

/* What looks like a number and is none may count as a name or as nonsense, but not as an address. */
TEST(numbers_that_are_no_address_are_refused)
{
	static const char *const texts[] = {
		"256.1.1.1:80",
		"1.2.3:80",
		"1.2.3.4.5:80",
		"1.2.3.4x:80",
		"2130706433:80",
		"0x7f.1:80",
		"1..2.3:80",
		"-1.2.3.4:80",
		"[fe80::1%no-such-if]:80",
		"[fe80::1%4294967297]:80",
	};

	for (size_t i = 0; i < LENGTH(texts); i++) {
		struct torc_addr addr;
		int r = torc_addr_parse(&addr, texts[i]);

		ck_assert_msg(r == -EINVAL || r == -EOPNOTSUPP || (r == -ENODEV && strchr(texts[i], '%')), "\"%s\": %d",
		              texts[i], r);
	}
}

TEST(endless_text_is_refused)
{
	size_t len = 100000;
	char *text = malloc(len + 8);
	struct torc_addr addr;
	static const char fills[] = "a1:[.%*0";

	for (const char *fill = fills; *fill != 0; fill++) {
		memset(text, *fill, len);
		memcpy(text + len, ":80", 4);
		ck_assert_int_lt(torc_addr_parse(&addr, text), 0);
		text[0] = '[';
		memcpy(text + len, "]:80", 5);
		ck_assert_int_lt(torc_addr_parse(&addr, text), 0);
	}
	free(text);
}

TEST(a_text_that_does_not_fit_is_enospc_and_writes_nothing)
{
	const char *const wanted = "[2001:db8::1]:8080";
	struct torc_addr addr;
	char text[TORC_ADDR_TEXT], before[TORC_ADDR_TEXT];

	ck_assert_int_eq(torc_addr_parse(&addr, wanted), 0);
	memset(text, 0x7e, sizeof text);
	memcpy(before, text, sizeof text);
	for (size_t size = 0; size <= strlen(wanted); size++) {
		ck_assert_int_eq(torc_addr_format(&addr, text, size), -ENOSPC);
		ck_assert_mem_eq(text, before, sizeof text);
	}
	ck_assert_int_eq(torc_addr_format(&addr, text, strlen(wanted) + 1), (int)strlen(wanted));
	ck_assert_str_eq(text, wanted);
	ck_assert_int_eq(text[strlen(wanted) + 1], 0x7e);
}

TEST(other_families_are_eafnosupport)
{
	struct torc_addr addr = { .sockaddr = { .ss_family = AF_UNIX }, .len = sizeof(struct sockaddr_un) };
	struct torc_addr none = { .len = 0 };
	char text[TORC_ADDR_TEXT];

	ck_assert_int_eq(torc_addr_format(&addr, text, sizeof text), -EAFNOSUPPORT);
	ck_assert_int_eq(torc_addr_port(&addr), -EAFNOSUPPORT);
	ck_assert_int_eq(torc_addr_format(&none, text, sizeof text), -EAFNOSUPPORT);
	ck_assert_int_eq(torc_addr_port(&none), -EAFNOSUPPORT);
}

TEST(the_longest_text_fits)
{
	struct torc_addr addr;
	char text[TORC_ADDR_TEXT];
	struct sockaddr_in6 in = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(65535),
		.sin6_scope_id = UINT32_MAX,
	};

	memset(&in.sin6_addr, 0xfe, sizeof in.sin6_addr);
	in.sin6_addr.s6_addr[1] = 0x80; /* link-local, so that the scope is written */
	memset(&addr, 0, sizeof addr);
	memcpy(&addr.sockaddr, &in, sizeof in);
	addr.len = sizeof in;
	ck_assert_int_gt(torc_addr_format(&addr, text, sizeof text), 0);
	ck_assert_ptr_nonnull(strstr(text, "]:65535"));
}

/* --- at random -------------------------------------------------------------------------------- */

static bool matches(const char *pattern, const char *text, regmatch_t parts[5])
{
	regex_t regex;
	bool found;

	ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED), 0);
	found = regexec(&regex, text, 5, parts, 0) == 0;
	regfree(&regex);
	return found;
}

static void take_out(char part[64], const char *text, const regmatch_t *match)
{
	ck_assert_int_lt(match->rm_eo - match->rm_so, 64);
	snprintf(part, 64, "%.*s", (int)(match->rm_eo - match->rm_so), text + match->rm_so);
}

/* What the header says, by a regular expression: 0 and the address, or another number. */
static int reference(struct torc_addr *addr, const char *text)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in in = { .sin_family = AF_INET };
	char host[64], port[64], scope[64] = "0";
	regmatch_t parts[5];
	bool ipv6 = matches("^\\[([0-9A-Fa-f:.]+)(%([^%]+))?]:([0-9]+)$", text, parts), any;

	if (!ipv6 && !matches("^(([0-9.]*)|([*])):([0-9]+)$", text, parts))
		return -1;
	take_out(host, text, &parts[1]);
	take_out(port, text, &parts[4]);
	if (ipv6 && parts[2].rm_so >= 0)
		take_out(scope, text, &parts[3]);
	any = !ipv6 && (strcmp(host, "*") == 0 || !*host);
	if (strtoull(port, NULL, 10) > 65535 || strspn(scope, "0123456789") != strlen(scope) ||
	    strtoull(scope, NULL, 10) > UINT32_MAX)
		return -1;
	in.sin_port = in6.sin6_port = htons((uint16_t)atoi(port));
	in6.sin6_scope_id = (uint32_t)strtoull(scope, NULL, 10);
	memset(addr, 0, sizeof *addr);
	addr->len = ipv6 || any ? sizeof in6 : sizeof in;
	if (ipv6 || any ? inet_pton(AF_INET6, any ? "::" : host, &in6.sin6_addr) != 1
	                : inet_pton(AF_INET, host, &in.sin_addr) != 1)
		return -1;
	memcpy(&addr->sockaddr, ipv6 || any ? (void *)&in6 : (void *)&in, addr->len);
	return 0;
}

/* Pieces that make an address more often than not, once or twice spoilt. */
static void compose(char *text, size_t size, struct random *random)
{
	static const char *const hosts[] = { "1.2.3.4",
		                             "[::1]",
		                             "[fe80::1%1]",
		                             "*",
		                             "",
		                             "[::ffff:1.2.3.4]",
		                             "[1:2::]",
		                             "10.0.0.300",
		                             "[fe80::%4294967295]",
		                             "[fe80::%4294967296]" };
	static const char *const ports[] = { "80", "0", "65535", "65536", "00080", "99999999999999999999", "" };
	static const char letters[] = "0123456789af:.%[]*x -\n";
	size_t len = (size_t)snprintf(text, size, "%s:%s", hosts[random_below(random, LENGTH(hosts))],
	                              ports[random_below(random, LENGTH(ports))]);

	for (unsigned n = random_below(random, 3); n > 0; n--) {
		size_t at = random_below(random, (unsigned)len + 1);

		if (random_chance(random, 50) && at < len) {
			memmove(text + at, text + at + 1, len-- - at);
		} else {
			memmove(text + at + 1, text + at, len++ - at + 1);
			text[at] = letters[random_below(random, LENGTH(letters) - 1)];
		}
	}
}

TEST(many_random_texts_are_read_as_the_header_says)
{
	struct random random = random_seeded(getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1);
	int good = 0;

	for (int i = 0; i < COUNT(20000, 2000); i++) {
		struct torc_addr addr, wanted, again;
		char text[64], written[TORC_ADDR_TEXT];
		int r, wanted_r;

		compose(text, sizeof text, &random);
		wanted_r = reference(&wanted, text);
		r = torc_addr_parse(&addr, text);
		ck_assert_msg((r == 0) == (wanted_r == 0), "\"%s\": %d, wanted %d", text, r, wanted_r);
		if (r < 0)
			continue;
		good++;
		ck_assert_msg(memcmp(&addr, &wanted, sizeof addr) == 0, "\"%s\" is another address", text);
		ck_assert_int_gt(torc_addr_format(&addr, written, sizeof written), 0);
		ck_assert_msg(torc_addr_parse(&again, written) == 0, "\"%s\" is written \"%s\"", text, written);
		ck_assert_mem_eq(&again, &addr, sizeof addr);
	}
	ck_assert_int_gt(good, COUNT(2000, 200));
}
