/* site.h - what the HTTP server has to offer: which path gives which answer. */
#ifndef DEMO_SITE_H
#define DEMO_SITE_H

#include "server.h"

enum { SITE_SCRATCH = 1024 };

/* An answer's content. `body` points at something constant or into `scratch`; where it is NULL the content is
 * `len` bytes of site_filler. */
struct answer {
	int status;
	const char *type;
	const char *body;
	uint64_t len;
	char scratch[SITE_SCRATCH];
};

/* The answer to a GET of this path. */
void site_get(struct server *server, const char *path, struct answer *answer);

/* An answer that says what is wrong. */
void site_refuse(struct answer *answer, int status, const char *why);

/* What /bytes/N is made of, over and over: a line of 64 bytes, 64 times, and the 0 that ends a string. */
enum { SITE_FILLER = 4096 };
extern const char site_filler[SITE_FILLER + 1];

#endif
