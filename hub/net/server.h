/* hub/net/server.h: the hub's sockets: listeners, I/O threads, their start and their paced end.
 *
 * Owns     threads, loops, contexts and every connection.
 * Threads  server_new and server_free: the main thread. server_drain: any.
 */
#ifndef WAGGLE_HUB_NET_SERVER_H
#define WAGGLE_HUB_NET_SERVER_H

#include "hub/api/api.h"

enum { SERVER_LISTEN_MAX = 8 };

struct server_options {
    struct hub *hub;
    const struct api *api;
    const char *const *listen; /* "127.0.0.1:8000", "[::]:8000", "unix:/run/waggle.sock" */
    size_t listen_n;
    const char *tls_cert, *tls_key; /* NULL: plain */
    const char *web_dir;            /* built dashboard and documents; NULL: none */
    unsigned threads_n;
    void (*log)(void *ctx, char level, const char *event, const char *fields);
    void *log_ctx;
};

struct server;

/* Opens the listeners (port 0: any free one) and starts the threads. */
bool server_new(const struct server_options *options, struct server **out, char *out_text,
                size_t text_n);
/* "http://127.0.0.1:8000" of listener i; NULL past the last. */
const char *server_url(const struct server *server, size_t i);
/* Says goodbye to everybody, closes in paced batches, ends the threads, and waits for that. */
void server_drain(struct server *server);
void server_free(struct server *server); /* after server_drain() */

#endif
