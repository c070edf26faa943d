/* http.h - HTTP/1.1 (RFC 9112) for one connection. */
#ifndef DEMO_HTTP_H
#define DEMO_HTTP_H

#include "server.h"

enum {
	HTTP_HEADER_MAX = 16 * 1024, /* bytes of header; beyond: 431     */
	HTTP_URL_MAX = 512,          /* bytes of request target; else 414 */
};

/* Once per process, before the first connection. */
void http_init(void);

/* Speak HTTP on this stream until either side has had enough; the caller closes it. Parks.
 * Returns 0, or the error that ended the conversation. */
int http_serve(struct server *server, struct torc_stream *stream);

#endif
