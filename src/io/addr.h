/* addr - addresses of sockets. Relies on inet_pton(3) and its kin. See torc/addr.h. */
#ifndef TORC_SRC_ADDR_H
#define TORC_SRC_ADDR_H

#include <torc/addr.h>

/* As the sockets calls want it. */
static inline const struct sockaddr *addr_sockaddr(const struct torc_addr *addr)
{
	return (const struct sockaddr *)&addr->sockaddr;
}

#endif
