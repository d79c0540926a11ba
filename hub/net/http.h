/* hub/net/http.h: HTTP on a connection: requests in order, one answer each.
 *
 * Threads  the connection's.       Rules  RFC 9110, RFC 9112, rest-contract.md section 1.
 */
#ifndef WAGGLE_HUB_NET_HTTP_H
#define WAGGLE_HUB_NET_HTTP_H

#include "hub/net/conn.h"

/* Takes some of the bytes; 0 < the count <= n unless the connection paused. */
size_t http_input(struct conn *c, const uint8_t *bytes, size_t n);
/* The answer to a command of this connection came back. */
void http_answer(struct conn *c, const struct tray *tray, const struct command *command);
void http_flushed(struct conn *c);
void http_poked(struct conn *c);    /* the channel that a long poll waits for moved */
bool http_poll_due(struct conn *c); /* answers a long poll that was poked; true: one still waits */
void http_expired(struct conn *c, enum deadline what);
void http_gone(struct conn *c);
bool http_idle(const struct conn *c); /* all that was asked is answered */

/* Who presents these headers or this query: a reference, or NULL with *out_bad set when what is
 * presented is not valid; anonymous when nothing is. */
struct principal *http_who(struct conn *c, const struct http1_request *req, bool token_in_query,
                           bool *out_bad, bool *out_in_query);

/* Counts a wrong credential, or none, against the address: false past rates.address_per_minute. */
bool http_stranger_may(struct conn *c, struct rate_verdict *out);

#endif
