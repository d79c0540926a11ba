/* hub/api/router.h: paths of the operations table as a tree of segments.
 *
 * A literal segment goes before a {name}. Every path of section 3 also answers under /api/v1, every
 * /swarm/ path also under /v1 and /api/v1 (rest-contract.md section 1): the router adds these.
 * Owns     its tree; operations are borrowed.     Threads  immutable once built.
 */
#ifndef WAGGLE_HUB_API_ROUTER_H
#define WAGGLE_HUB_API_ROUTER_H

#include "hub/api/api.h"

struct router;

struct router *router_new(void);
void router_free(struct router *router); /* NULL is fine */
/* False: another operation has that method and path already, or the path is not well-formed. */
bool router_add(struct router *router, const struct operation *operation, size_t index,
                const struct route *route);
/* As api_route() says. */
void router_match(const struct router *router, enum method method, struct slice raw,
                  struct slice text, struct api_match *out);

#endif
