/* Requests in order, one answer each. While an answer waits for the writer the connection is
 * paused: what was pipelined behind it is stashed. */
#include "hub/net/http_parts.h"
#include "auth/digest.h"
#include "hub/net/http1_text.h"
#include "hub/net/native.h"
#include "hub/net/ws_handshake.h"

#include <stdlib.h>

enum { REQUEST_ID_BYTES_MAX = 128, KEY_HEADER_BYTES_MAX = 256, CROWDED_RETRY_S = 5 };

/* ---- answering ---- */

static struct http_exchange *exchange(struct conn *c)
{
    if (!c->exchange) {
        c->exchange = xcalloc(1, sizeof *c->exchange);
    }
    return c->exchange;
}

static void exchange_free(struct conn *c)
{
    struct http_exchange *x = c->exchange;
    if (x) {
        buf_done(&x->body);
        buf_done(&x->path);
        buf_done(&x->request_id);
        buf_done(&x->origin);
        principal_unref(x->who);
        free(x);
        c->exchange = NULL;
    }
}

static bool origin_allowed(const struct hub_settings *s, struct slice origin)
{
    for (char **allowed = s->origins; allowed && *allowed; allowed++) {
        if (strcmp(*allowed, "*") == 0 || slice_is(origin, *allowed)) {
            return true;
        }
    }
    return false;
}

static const char *const method_names[METHODS] = {
    [METHOD_GET] = "GET",     [METHOD_POST] = "POST",     [METHOD_PUT] = "PUT",
    [METHOD_PATCH] = "PATCH", [METHOD_DELETE] = "DELETE",
};

/* As a list: the methods that a path answers. */
static void put_methods(struct buf *b, unsigned allow)
{
    buf_add_str(b, "OPTIONS");
    if (allow & (1U << METHOD_GET)) {
        buf_add_str(b, ", HEAD");
    }
    for (unsigned m = METHOD_GET; m < METHODS; m++) {
        if (allow & (1U << m)) {
            buf_printf(b, ", %s", method_names[m]);
        }
    }
}

static void add_allow(struct buf *b, const char *name, unsigned allow)
{
    struct buf text = {0};
    put_methods(&text, allow);
    (void)http1_answer_add(b, name, buf_slice(&text));
    buf_done(&text);
}

/* ---- the head of an answer ---- */

static void add_cors(struct conn *c, struct buf *b, const struct http_exchange *x)
{
    if (x->origin.n && origin_allowed(c->thread->io.settings, buf_slice(&x->origin))) {
        (void)http1_answer_add(b, "Access-Control-Allow-Origin", buf_slice(&x->origin));
        http1_answer_add_str(
            b, "Access-Control-Expose-Headers",
            "Request-Id, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, "
            "RateLimit-Policy, Retry-After, Idempotency-Replayed, Next-Cursor, ETag");
        http1_answer_add_str(b, "Vary", "Origin");
    }
}

static void add_fields(struct conn *c, struct buf *b, struct http_exchange *x,
                       const struct reply *r)
{
    uint8_t date[HTTP1_DATE_BYTES];
    http1_date_put(date, io_wall_ms(&c->thread->io) / 1000);
    (void)http1_answer_add(b, "Date", slice_of(date, sizeof date));
    if (r->type) {
        http1_answer_add_str(b, "Content-Type", r->type);
    }
    if (r->status >= 200 && r->status != 204 && r->status != 304) {
        http1_answer_add_u64(b, "Content-Length", r->body.n);
    }
    http1_answer_add_str(b, "Cache-Control", r->cache ? r->cache : "no-store");
    http1_answer_add_str(b, "X-Content-Type-Options", "nosniff");
    (void)http1_answer_add(b, "Request-Id", buf_slice(&x->request_id));
    http_add_rate(c, b, x);
    add_cors(c, b, x);
    if (r->allow) {
        add_allow(b, "Allow", r->allow);
    }
    if (r->retry_after_s) {
        http1_answer_add_u64(b, "Retry-After", r->retry_after_s);
    }
    if (r->challenge) {
        http1_answer_add_str(b, "WWW-Authenticate", "Bearer");
    }
    if (r->next_cursor) {
        http1_answer_add_str(b, "Next-Cursor", r->next_cursor);
    }
    if (r->replayed) {
        http1_answer_add_str(b, "Idempotency-Replayed", "true");
    }
    if (r->etag) {
        http1_answer_add_str(b, "ETag", r->etag);
    }
    if (r->encoding) {
        http1_answer_add_str(b, "Content-Encoding", r->encoding);
    }
    if (slice_is(buf_slice(&x->path), "/")) {
        http1_answer_add_str(b, "Vary", "Accept"); /* pages for browsers, a document for callers */
    } else if (r->etag) {
        http1_answer_add_str(b, "Vary", "Accept-Encoding");
    }
    if (r->policy) {
        http1_answer_add_str(b, "Content-Security-Policy", r->policy);
        http1_answer_add_str(b, "Referrer-Policy", "no-referrer");
    }
    if (r->location) {
        http1_answer_add_str(b, "Location", r->location);
    }
    if (r->range[0]) {
        http1_answer_add_str(b, "Content-Range", r->range);
    }
}

static void add_connection(struct buf *b, const struct http_exchange *x, const struct reply *r,
                           bool keep)
{
    if (r->upgrade) { /* RFC 9110 sections 7.8 and 15.5.22, RFC 6455 section 4.4 */
        http1_answer_add_str(b, "Upgrade", "websocket");
        http1_answer_add_str(b, "Sec-WebSocket-Version", "13");
        http1_answer_add_str(b, "Connection", keep ? "Upgrade" : "Upgrade, close");
    } else if (!keep) {
        http1_answer_add_str(b, "Connection", "close");
    } else if (x->http10) {
        http1_answer_add_str(b, "Connection", "keep-alive"); /* or its client closes */
    }
}

void http_reply(struct conn *c, const struct reply *r)
{
    struct http_exchange *x = exchange(c);
    struct buf head = {0};
    bool keep = x->keep_alive && !r->closes && !c->thread->draining;
    http1_answer_begin(&head, r->status);
    add_fields(c, &head, x, r);
    add_connection(&head, x, r, keep);
    http1_answer_end(&head);
    conn_send(c, buf_slice(&head));
    if (!x->head_only) {
        conn_send(c, r->body);
    }
    buf_done(&head);
    io_count(&c->thread->io.counters.requests, 1);
    io_count(&c->thread->io.counters.messages_out[WIRE_REST][CLASS_CONTROL], 1);
    if (r->status >= 500) {
        io_count(&c->thread->io.counters.requests_failed, 1);
    }
    exchange_free(c);
    if (!keep) {
        conn_end(c);
    } else {
        conn_deadline(c, DEADLINE_IDLE, c->thread->io.settings->idle_ms);
    }
}

struct call http_call(struct conn *c)
{
    struct net_thread *t = c->thread;
    buf_clear(&t->body);
    buf_clear(&t->scratch);
    buf_clear(&t->detail);
    return (struct call){.io = &t->io,
                         .who = c->exchange ? c->exchange->who : NULL,
                         .now_ms = t->io.now_ms,
                         .out = &t->body,
                         .message = &t->scratch,
                         .detail = &t->detail};
}

static void reply_error(struct conn *c, enum hub_rc rc, const struct call *call, struct reply r)
{
    struct http_exchange *x = exchange(c);
    struct buf body = {0};
    api_error_body(&body, x->style, rc, call, buf_slice(&x->path));
    r.status = r.status ? r.status : hub_error(rc)->status;
    r.type = x->style == STYLE_COORDINATOR ? "application/json" : "application/problem+json";
    r.body = buf_slice(&body);
    r.challenge = r.status == 401;
    if (!r.retry_after_s) {
        r.retry_after_s = call->retry_after_s ? call->retry_after_s : r.status == 503 ? 1 : 0;
    }
    http_reply(c, &r);
    buf_done(&body);
}

void http_refuse(struct conn *c, enum hub_rc rc, const char *message, struct reply r)
{
    struct call call = http_call(c);
    buf_add_str(call.message, message);
    reply_error(c, rc, &call, r);
}

void http_reply_call(struct conn *c, const struct call *call, enum hub_rc rc, unsigned status,
                     bool replayed)
{
    if (rc != HUB_OK) {
        reply_error(c, rc, call, (struct reply){0});
        return;
    }
    struct reply r = {.status = call->status ? call->status
                                : status     ? status
                                             : 200,
                      .type = call->content_type ? call->content_type : "application/json",
                      .body = buf_slice(call->out),
                      .next_cursor = *call->next_cursor ? call->next_cursor : NULL,
                      .replayed = replayed};
    http_reply(c, &r);
}

/* ---- upgrade ---- */

static bool origin_ok(struct conn *c, const struct http1_request *req)
{
    const struct http1_header *h = http1_header(req, "origin");
    if (!h) {
        return true; /* no browser */
    }
    if (origin_allowed(c->thread->io.settings, h->value)) {
        return true;
    }
    /* The hub's own pages: the origin is the host that was asked for. */
    struct slice origin = h->value;
    for (size_t i = 0; i + 3 <= origin.n; i++) {
        if (memcmp(origin.p + i, "://", 3) == 0) {
            return slice_equal(slice_of(origin.p + i + 3, origin.n - i - 3), req->host);
        }
    }
    return false;
}

static void upgrade(struct conn *c, const struct http1_request *req)
{
    struct ws_handshake hs = ws_handshake_check(req);
    if (hs.status != 101) {
        struct reply r = {.status = hs.status,
                          .allow = hs.status == 405 ? 1U << METHOD_GET : 0,
                          .upgrade = hs.status == 426};
        http_refuse(c, hub_rc_of_status(hs.status), hs.reason, r);
        return;
    }
    if (!origin_ok(c, req)) {
        http_refuse(c, HUB_FORBIDDEN, "this origin is not allowed", (struct reply){.closes = true});
        return;
    }
    bool bad, in_query;
    struct principal *who = http_who(c, req, true, &bad, &in_query);
    if (bad && !http_within_rate(c, exchange(c), false, 1)) {
        http_refuse(c, HUB_RATE_LIMITED, "too many requests",
                    (struct reply){.retry_after_s = exchange(c)->rate.retry_after_s});
        return;
    }
    if (bad && !in_query) {
        http_refuse(c, HUB_UNAUTHORISED, "the credential is not valid", (struct reply){0});
        return;
    }
    if (who && who->kind == PRINCIPAL_ANONYMOUS && who->role == ROLE_NONE) {
        principal_unref(who);
        who = NULL; /* it may say who it is in its first frame */
    }
    struct buf head = {0};
    ws_handshake_answer(&head, hs.key, slice_of(NULL, 0));
    http1_answer_end(&head);
    conn_send(c, buf_slice(&head));
    buf_done(&head);
    exchange_free(c);
    native_begin(c, who);
    if (bad) { /* a browser sees no status of a refused handshake, but it sees a close code */
        conn_close(c, CLOSE_UNAUTHORISED, "the token is not valid");
    }
}

/* ---- requests ---- */

static enum method method_of(const struct http1_request *req)
{
    switch (req->method) {
    case HTTP1_METHOD_GET:
    case HTTP1_METHOD_HEAD:
        return METHOD_GET;
    case HTTP1_METHOD_POST:
        return METHOD_POST;
    case HTTP1_METHOD_PUT:
        return METHOD_PUT;
    case HTTP1_METHOD_PATCH:
        return METHOD_PATCH;
    case HTTP1_METHOD_DELETE:
        return METHOD_DELETE;
    case HTTP1_METHOD_OPTIONS:
    case HTTP1_METHOD_OTHER:
        return METHOD_NONE;
    }
    return METHOD_NONE;
}

static void preflight(struct conn *c, const struct http1_request *req, unsigned allow)
{
    struct http_exchange *x = exchange(c);
    struct buf head = {0};
    http1_answer_begin(&head, 204);
    struct reply r = {.status = 204, .allow = allow ? allow : ~0U};
    add_fields(c, &head, x, &r);
    if (http1_header(req, "access-control-request-method") && x->origin.n &&
        origin_allowed(c->thread->io.settings, buf_slice(&x->origin))) {
        add_allow(&head, "Access-Control-Allow-Methods", allow ? allow : ~0U);
        http1_answer_add_str(&head, "Access-Control-Allow-Headers",
                             "Authorization, Content-Type, Idempotency-Key, Request-Id, X-API-Key, "
                             "Last-Event-ID");
        http1_answer_add_str(&head, "Access-Control-Max-Age", "600");
    }
    bool keep = x->keep_alive && !c->thread->draining;
    add_connection(&head, x, &r, keep);
    http1_answer_end(&head);
    conn_send(c, buf_slice(&head));
    buf_done(&head);
    exchange_free(c);
    if (!keep) {
        conn_end(c);
    } else {
        conn_deadline(c, DEADLINE_IDLE, c->thread->io.settings->idle_ms);
    }
}

struct query_walk {
    struct slice rest;
    struct buf *scratch;
};

static bool query_next(void *ctx, struct slice *out_name, struct slice *out_value, bool *out_bad)
{
    struct query_walk *q = ctx;
    enum http1_query_rc rc = http1_query_next(&q->rest, q->scratch, out_name, out_value);
    *out_bad = rc == HTTP1_QUERY_BAD;
    return rc == HTTP1_QUERY_PAIR;
}

static bool is_json(const struct http1_request *req)
{
    const struct http1_header *h = http1_header(req, "content-type");
    if (!h) {
        return true;
    }
    struct slice type = h->value;
    for (size_t i = 0; i < type.n; i++) {
        if (type.p[i] == ';') {
            type.n = i;
        }
    }
    while (type.n && (type.p[type.n - 1] == ' ' || type.p[type.n - 1] == '\t')) {
        type.n--;
    }
    return http1_same(type, "application/json") ||
           (type.n > 5 && http1_same(slice_of(type.p + type.n - 5, 5), "+json"));
}

static void operate(struct conn *c, const struct http1_request *req, const struct api_match *match)
{
    struct net_thread *t = c->thread;
    struct http_exchange *x = exchange(c);
    struct call call = http_call(c);
    struct buf names = {0};
    struct query_walk walk = {.rest = req->query, .scratch = &names};
    const struct http1_header *key = http1_header(req, "idempotency-key");
    struct api_request request = {.match = match,
                                  .body = buf_slice(&x->body),
                                  .json_body = is_json(req),
                                  .query_next = query_next,
                                  .query_ctx = &walk,
                                  .idempotency_key = key ? key->value : slice_of(NULL, 0)};
    enum hub_rc rc = HUB_INVALID;
    enum api_result result = API_ANSWERED;
    if (key && key->value.n > KEY_HEADER_BYTES_MAX) {
        rc = call_fail(&call, HUB_INVALID, "Idempotency-Key: at most 256 bytes");
    } else {
        result = api_request(t->api, &call, &request, conn_address(c), &rc);
    }
    buf_done(&names);
    if (result == API_PENDING) {
        x->waiting = true;
        c->pending++;
        conn_deadline(c, DEADLINE_NONE, 0);
        conn_pause(c);
        return;
    }
    if (result == API_ANSWERED && rc == HUB_OK && call.wait.ms > 0 && !t->draining) {
        http_poll(c, &call, match->route->status);
        return;
    }
    http_reply_call(c, &call, result == API_BUSY ? HUB_UNAVAILABLE : rc, match->route->status,
                    false);
}

enum { PATH_SHOWN_BYTES_MAX = 200 };

static int shown_n(struct slice path)
{
    return (int)(path.n < PATH_SHOWN_BYTES_MAX ? path.n : PATH_SHOWN_BYTES_MAX);
}

static void refuse_path(struct conn *c, struct slice path)
{
    struct call call = http_call(c);
    buf_printf(call.message, "%.*s not found", shown_n(path), (const char *)path.p);
    reply_error(c, HUB_NOT_FOUND, &call, (struct reply){0});
}

static void refuse_method(struct conn *c, const struct http1_request *req, struct slice path,
                          unsigned allow)
{
    struct call call = http_call(c);
    buf_printf(call.message, "%.*s is not allowed for %.*s: it answers ", (int)req->method_raw.n,
               (const char *)req->method_raw.p, shown_n(path), (const char *)path.p);
    put_methods(call.message, allow);
    reply_error(c, HUB_METHOD_NOT_ALLOWED, &call, (struct reply){.allow = allow});
}

static void serve_operation(struct conn *c, const struct http1_request *req, struct slice path)
{
    struct http_exchange *x = exchange(c);
    struct api_match match;
    enum method method = method_of(req);
    api_route(c->thread->api, method, req->path, path, &match);
    if (req->method == HTTP1_METHOD_OPTIONS) {
        preflight(c, req, match.allow);
        return;
    }
    x->style = match.allow ? match.style : STYLE_COORDINATOR;
    bool bad, in_query;
    x->who = http_who(c, req, false, &bad, &in_query);
    bool unlimited = match.operation && (match.operation->flags & OPERATION_UNLIMITED);
    /* A hub that lets strangers in as somebody counts them as that. */
    bool known = !bad && (x->who->kind != PRINCIPAL_ANONYMOUS || x->who->role != ROLE_NONE);
    if (!http_within_rate(c, x, known, unlimited ? 0 : 1)) {
        http_refuse(c, HUB_RATE_LIMITED, "too many requests",
                    (struct reply){.retry_after_s = x->rate.retry_after_s});
        return;
    }
    if (!match.allow) {
        refuse_path(c, path);
    } else if (!match.operation) {
        refuse_method(c, req, path, match.allow);
    } else if (bad) {
        http_refuse(c, HUB_UNAUTHORISED, "the credential is not valid", (struct reply){0});
    } else {
        operate(c, req, &match);
    }
}

static void begin_exchange(struct conn *c, const struct http1_request *req)
{
    struct http_exchange *x = exchange(c);
    const struct http1_header *h = http1_header(req, "request-id");
    x->keep_alive = req->keep_alive && !c->crowded;
    x->http10 = req->minor == 0;
    x->head_only = req->method == HTTP1_METHOD_HEAD;
    x->style = STYLE_PROBLEM;
    if (h && h->value.n && h->value.n <= REQUEST_ID_BYTES_MAX) {
        buf_add_slice(&x->request_id, h->value);
    } else {
        uint8_t random[10];
        char id[UUID_CHARS + 1];
        c->thread->io.draw(random, sizeof random);
        uuid_v7(c->thread->io.now_ms, random, id);
        buf_add(&x->request_id, id, UUID_CHARS);
    }
    h = http1_header(req, "origin");
    if (h) {
        buf_add_slice(&x->origin, h->value);
    }
}

/* What is answered also by a hub that has no room for another connection. */
static bool is_vital(struct slice path)
{
    return slice_is(path, "/health") || slice_is(path, "/ready") || slice_is(path, "/metrics");
}

/* What is refused before its route is looked for has the shape of that route's errors all the same
 * (rest-contract.md section 1). raw may be empty, or no path. */
static void take_shape(struct conn *c, struct slice raw)
{
    struct http_exchange *x = exchange(c);
    struct buf decoded = {0};
    struct slice path;
    struct api_match match;
    if (http1_path_normal(raw, &decoded, &path) == HTTP1_PATH_OK) {
        api_route(c->thread->api, METHOD_NONE, raw, path, &match);
        x->style = match.allow ? match.style : STYLE_PROBLEM;
        buf_clear(&x->path);
        buf_add_slice(&x->path, path);
    }
    buf_done(&decoded);
}

static void serve(struct conn *c, const struct http1_request *req)
{
    struct http_exchange *x = exchange(c);
    struct buf decoded = {0};
    struct slice path;
    io_count(&c->thread->io.counters.messages_in[WIRE_REST][CLASS_CONTROL], 1);
    if (req->method == HTTP1_METHOD_OPTIONS && slice_is(req->path, "*")) {
        preflight(c, req, 0);
        return;
    }
    enum http1_path_rc rc = http1_path_normal(req->path, &decoded, &path);
    if (rc != HTTP1_PATH_OK) {
        http_refuse(c, HUB_BAD_REQUEST, http1_path_rc_text(rc), (struct reply){0});
        buf_done(&decoded);
        return;
    }
    buf_clear(&x->path);
    buf_add_slice(&x->path, path);
    /* Text of which a slash was escaped may read like a path that it is not. */
    bool plain = !http1_path_slash_inside(req->path);
    if (req->method == HTTP1_METHOD_OTHER) {
        take_shape(c, req->path);
        http_refuse(c, HUB_NOT_IMPLEMENTED, "the method is not known here", (struct reply){0});
    } else if (c->crowded && !is_vital(path)) {
        take_shape(c, req->path);
        http_refuse(c, HUB_UNAVAILABLE, "the hub has no room for another connection",
                    (struct reply){.retry_after_s = CROWDED_RETRY_S, .closes = true});
    } else if (plain && slice_is(path, "/ws/v1/events") && req->method != HTTP1_METHOD_OPTIONS) {
        upgrade(c, req);
    } else if (method_of(req) != METHOD_GET || !plain || !http_serve_file(c, req, path)) {
        serve_operation(c, req, path);
    }
    buf_done(&decoded);
}

/* An exchange for what is answered before the request was whole. */
static void begin_unfinished(struct conn *c)
{
    struct http_exchange *x = exchange(c);
    if (x->request_id.n == 0) {
        begin_exchange(c, &(struct http1_request){.keep_alive = false, .minor = 1});
    }
    if (x->path.n == 0) {
        take_shape(c, http1_seen_path(c->in.http));
    }
}

static void broken(struct conn *c)
{
    struct http1 *p = c->in.http;
    io_count(&c->thread->io.counters.protocol_errors, 1);
    begin_unfinished(c);
    c->exchange->head_only = false;
    http_refuse(c, hub_rc_of_status(p->status), p->reason,
                (struct reply){.status = p->status, .closes = true});
}

static void deadline_of_phase(struct conn *c)
{
    const struct hub_settings *s = c->thread->io.settings;
    switch (http1_phase(c->in.http)) {
    case HTTP1_IDLE:
        if (c->deadline != DEADLINE_IDLE && c->deadline != DEADLINE_HEAD) {
            conn_deadline(c, DEADLINE_IDLE, s->idle_ms);
        }
        break;
    case HTTP1_IN_HEAD:
        if (c->deadline != DEADLINE_HEAD) {
            conn_deadline(c, DEADLINE_HEAD, s->head_ms);
        }
        break;
    case HTTP1_IN_BODY:
        if (c->deadline != DEADLINE_BODY) {
            conn_deadline(c, DEADLINE_BODY, s->body_ms);
        }
        break;
    case HTTP1_ANSWERING:
    case HTTP1_BROKEN:
        break;
    }
}

/* Whoever announces too much is not asked for it. */
static bool body_fits(const struct net_thread *t)
{
    return t->request.content_length <= t->io.settings->body_bytes_max;
}

static void say_continue(struct conn *c)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    conn_send(c, slice_of(go_on, sizeof go_on - 1));
}

size_t http_input(struct conn *c, const uint8_t *bytes, size_t n)
{
    struct net_thread *t = c->thread;
    if (c->closing) {
        return n;
    }
    if (c->exchange && c->exchange->waiting) {
        conn_pause(c); /* one answer after another */
        return 0;
    }
    if (io_starved(&t->io)) {
        conn_pause(c);
        conn_resume(c);
        return 0;
    }
    if (conn_must_drain(c)) {
        return 0;
    }
    /* One request at most: a head may be followed by its end without another byte. */
    size_t taken = 0;
    for (;;) {
        size_t used;
        enum http1_event event =
            http1_feed(c->in.http, &t->request, bytes + taken, n - taken, &used);
        taken += used;
        switch (event) {
        case HTTP1_MORE:
            deadline_of_phase(c);
            return taken;
        case HTTP1_HEAD:
            begin_exchange(c, &t->request);
            http1_body_limit(c->in.http, t->io.settings->body_bytes_max);
            if (!body_fits(t)) {
                take_shape(c, t->request.path);
            } else if (t->request.expect_continue) {
                say_continue(c);
            }
            break;
        case HTTP1_BODY:
            buf_add_slice(&exchange(c)->body, c->in.http->body);
            break;
        case HTTP1_DONE:
            serve(c, &t->request);
            return taken;
        case HTTP1_ERROR:
            broken(c);
            return n;
        }
    }
}

void http_answer(struct conn *c, const struct tray *tray, const struct command *command)
{
    struct http_exchange *x = c->exchange;
    if (c->pending) {
        c->pending--;
    }
    if (!x || !x->waiting) {
        return;
    }
    struct api_ticket ticket = api_ticket_unpack(command->ticket);
    struct call call = http_call(c);
    enum hub_rc rc = api_answer(c->thread->api, &call, tray, command);
    unsigned status = call.operation->routes[ticket.route].status;
    x->waiting = false;
    if (rc == HUB_OK && call.wait.ms > 0 && !c->thread->draining) {
        http_poll(c, &call, status);
        return;
    }
    http_reply_call(c, &call, rc, status, command->flags & COMMAND_REPLAYED);
    conn_resume(c);
}

void http_flushed(struct conn *c)
{
    if (c->deadline == DEADLINE_WRITE) {
        conn_deadline(c, DEADLINE_IDLE, c->thread->io.settings->idle_ms);
    }
}

void http_expired(struct conn *c, enum deadline what)
{
    if (what == DEADLINE_POLL) {
        http_poll_end(c, true);
        return;
    }
    if (what == DEADLINE_IDLE || (what == DEADLINE_HEAD && http1_phase(c->in.http) == HTTP1_IDLE)) {
        conn_end(c); /* nothing was asked: nothing is said */
        return;
    }
    begin_unfinished(c);
    http_refuse(c, HUB_TIMEOUT, "the request did not come in time", (struct reply){.closes = true});
}

bool http_idle(const struct conn *c)
{
    enum http1_phase phase = http1_phase(c->in.http);
    return !c->exchange && (phase == HTTP1_IDLE || phase == HTTP1_ANSWERING);
}

void http_gone(struct conn *c)
{
    if (c->exchange && c->exchange->polling) {
        subscriber_done(c->thread->io.topics, &c->sub);
    }
    exchange_free(c);
}
