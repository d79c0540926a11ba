/* hub/net/http1.h: the server's side of HTTP/1.1 as a machine over bytes (RFC 9110, RFC 9112).
 *
 *     n bytes have come into rx:
 *     while ((event = http1_feed(p, req, rx, n, &used)) != HTTP1_MORE) {
 *         rx += used, n -= used;
 *         HEAD   look at req; find the route; http1_body_limit(); answer 100 if expect_continue
 *         BODY   take p->body
 *         DONE   answer, then go on: what is left belongs to the next request
 *         ERROR  answer p->status and close; feed no more
 *     }
 *
 * A request is HEAD, any number of BODY, DONE. What is accepted and what is said about it depends
 * on the bytes alone, never on how they were cut into inputs. Framing is judged strictly, because
 * every leniency here is a request that a proxy in front of us reads otherwise: CR LF only, one
 * length, no folded lines, no white space where the grammar has none.
 *
 * Owns     the head of a request that comes in parts; nothing while idle. A request that came
 *          whole borrows from the input, without a copy: see http1_keep().
 * Threads  one at a time. req is scratch: one of a thread serves all its connections.
 * Units    bytes.
 * Limits   struct http1_limits; extensions and trailers of a body HTTP1_EXTRA_BYTES_MAX.
 * Errors   HTTP1_ERROR with p->status 400, 413, 414, 417, 431, 501 or 505 and p->reason, for
 *          good. Left to the caller: 405, 501 for METHOD_OTHER, 411 (has_length), and deadlines
 *          (http1_phase).
 */
#ifndef WAGGLE_HUB_NET_HTTP1_H
#define WAGGLE_HUB_NET_HTTP1_H

#include "store/mem.h"

enum {
    HTTP1_HEADERS_MAX = 128,     /* room in a request; the limit in force may be lower */
    HTTP1_METHOD_BYTES_MAX = 24, /* a longer one is no method of anybody's: 501 */
    HTTP1_EXTRA_BYTES_MAX = 8192,
};

struct http1_limits {
    size_t head_bytes_max;   /* request line to empty line, all included: 431 */
    size_t target_bytes_max; /* at least 64 less than head_bytes_max: 414 */
    size_t headers_max;      /* at most HTTP1_HEADERS_MAX: 431 */
    uint64_t body_bytes_max; /* after chunks are undone; for the routes that set no other: 413 */
};

enum http1_method {
    HTTP1_METHOD_OTHER, /* method_raw says which; methods are case-sensitive */
    HTTP1_METHOD_GET,
    HTTP1_METHOD_HEAD,
    HTTP1_METHOD_POST,
    HTTP1_METHOD_PUT,
    HTTP1_METHOD_PATCH,
    HTTP1_METHOD_DELETE,
    HTTP1_METHOD_OPTIONS,
};

struct http1_header {
    struct slice name, value; /* value without the white space around it */
};

/* Filled at HEAD and again at DONE. Borrowed: from the input, or from the parser if the head came
 * in parts; at the DONE of a request in parts always from the parser, until the feed after it.
 * Whoever wants it between inputs, when the scratch is others', asks http1_keep() and http1_view().
 */
struct http1_request {
    enum http1_method method;
    uint8_t minor; /* of HTTP/1.x: 0, or 1 for 1.1 and whatever may follow it */
    bool keep_alive;
    bool has_length; /* Content-Length or chunked; without it the body is empty */
    bool chunked;
    bool expect_continue;    /* the client waits for 100 before it sends the body */
    bool connection_upgrade; /* Connection names Upgrade */
    struct slice method_raw;
    struct slice target; /* as it came */
    struct slice path;   /* raw, from its first slash; "*" for OPTIONS *; see http1_path_normal() */
    struct slice query;  /* without the question mark; p is NULL when there was none */
    struct slice host;   /* with the port; from an absolute target if it is one; empty in old 1.0 */
    uint64_t content_length; /* 0 when absent or chunked */
    struct slice raw;        /* the whole head */
    size_t headers_n;
    struct http1_header headers[HTTP1_HEADERS_MAX]; /* in the order they came */
};

enum http1_event { HTTP1_MORE, HTTP1_HEAD, HTTP1_BODY, HTTP1_DONE, HTTP1_ERROR };

/* Which deadline applies. */
enum http1_phase { HTTP1_IDLE, HTTP1_IN_HEAD, HTTP1_IN_BODY, HTTP1_ANSWERING, HTTP1_BROKEN };

struct http1 {
    struct slice body;  /* at BODY: the next piece, within the input */
    const char *reason; /* at ERROR: a short sentence for the answer's detail */
    uint16_t status;    /* at ERROR */

    /* The rest is http1.c's. */
    uint8_t state, chunk_state, chunk_digits, empty_bytes;
    bool chunked;
    uint16_t lines;            /* complete lines of the head so far */
    uint32_t line_at, scanned; /* in the head: start of the current line; no LF before here */
    uint32_t extra;            /* bytes of chunk extensions and trailers */
    const struct http1_limits *limits;
    struct buf head;
    uint64_t body_bytes_max, body_seen;
    uint64_t left; /* of the body, or of the chunk */
};

/* limits are borrowed and outlive p. */
void http1_init(struct http1 *p, const struct http1_limits *limits);
void http1_done(struct http1 *p);

/* Takes *out_used of the n bytes and says what they came to; the caller feeds the rest. Between the
 * HEAD and the DONE of a request that came in one input nobody else may use req (or http1_keep()).
 * At HEAD and at DONE req is whole. With n = 0 whatever is due without bytes is said. */
enum http1_event http1_feed(struct http1 *p, struct http1_request *req, const uint8_t *bytes,
                            size_t n, size_t *out_used);

/* At HEAD: another limit for this request's body. */
void http1_body_limit(struct http1 *p, uint64_t bytes_max);

/* From HEAD to the feed after DONE: makes the head independent of the input, for a request that
 * waits for its answer. http1_view() then fills any req anew with it. */
void http1_keep(struct http1 *p, struct http1_request *req);
void http1_view(const struct http1 *p, struct http1_request *req);

/* At ERROR, and while a head or a body is still to come: the path of the request line, raw, if so
 * much of it was seen, so that the answer can have that path's shape. Not for a body that is too
 * long by what a head says that came whole: there req is good still. Borrows from the parser. */
struct slice http1_seen_path(const struct http1 *p);

enum http1_phase http1_phase(const struct http1 *p);

/* The first header of that name, which is given in lower case; NULL: none. */
const struct http1_header *http1_header(const struct http1_request *req, const char *name);
size_t http1_header_count(const struct http1_request *req, const char *name);
/* Any header of that name, as a comma-separated list, holds the token, in any case. */
bool http1_header_has(const struct http1_request *req, const char *name, const char *token);

#endif
