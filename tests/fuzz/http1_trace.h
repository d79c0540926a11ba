/* tests/fuzz/http1_trace.h: writes down all that http1 says of a stream, for comparing.
 *
 * The caller it plays is ordinary: it takes a lower body limit for paths that begin with /small,
 * and keeps the requests for paths that begin with /keep past their input.
 */
#ifndef WAGGLE_TESTS_FUZZ_HTTP1_TRACE_H
#define WAGGLE_TESTS_FUZZ_HTTP1_TRACE_H

#include <assert.h>

#include "hub/net/http1.h"
#include "tests/fuzz/cutter.h"

static const struct http1_limits trace_limits = {16384, 8192, 100, 1 << 20};
static const struct http1_limits trace_tight_limits = {160, 40, 4, 16};

static inline void trace_slice(struct buf *out, const char *name, struct slice s)
{
    buf_printf(out, " %s=%zu:", name, s.n);
    buf_add_slice(out, s);
}

static inline bool trace_within(struct slice inner, struct slice outer)
{
    return inner.n == 0 || (inner.p >= outer.p && inner.p + inner.n <= outer.p + outer.n);
}

static inline void trace_request(struct buf *out, const struct http1_request *req)
{
    buf_printf(out, " method=%d minor=%d flags=%d%d%d%d%d length=%llu", (int)req->method,
               req->minor, req->keep_alive, req->has_length, req->chunked, req->expect_continue,
               req->connection_upgrade, (unsigned long long)req->content_length);
    trace_slice(out, "method", req->method_raw);
    trace_slice(out, "target", req->target);
    trace_slice(out, "path", req->path);
    trace_slice(out, "query", req->query);
    trace_slice(out, "host", req->host);
    trace_slice(out, "raw", req->raw);
    assert(trace_within(req->target, req->raw) && trace_within(req->query, req->target));
    for (size_t i = 0; i < req->headers_n; i++) {
        assert(trace_within(req->headers[i].name, req->raw));
        assert(trace_within(req->headers[i].value, req->raw));
        trace_slice(out, "name", req->headers[i].name);
        trace_slice(out, "value", req->headers[i].value);
    }
}

static inline void trace_event(struct buf *out, struct http1 *p, struct http1_request *req,
                               enum http1_event event, enum http1_event before)
{
    switch (event) {
    case HTTP1_MORE:
        break;
    case HTTP1_HEAD:
        buf_add_str(out, "\nHEAD");
        trace_request(out, req);
        if (slice_starts(req->path, "/small")) {
            http1_body_limit(p, 4);
        }
        if (slice_starts(req->path, "/keep")) {
            http1_keep(p, req);
        }
        break;
    case HTTP1_BODY:
        assert(p->body.n > 0);
        buf_add_str(out,
                    before == HTTP1_BODY ? "" : "\nBODY "); /* where it is cut does not count */
        buf_add_slice(out, p->body);
        break;
    case HTTP1_DONE:
        buf_add_str(out, "\nDONE");
        trace_request(out, req);
        break;
    case HTTP1_ERROR:
        assert(p->status >= 400 && p->status <= 505 && p->reason && *p->reason);
        buf_printf(out, "\nERROR %d %s", p->status, p->reason);
        if (before != HTTP1_HEAD && before != HTTP1_BODY) {
            trace_slice(out, "seen", http1_seen_path(p));
        }
        break;
    }
}

/* Feeds one input; true: an error ended it. */
static inline bool trace_input(struct buf *out, struct http1 *p, struct http1_request *req,
                               struct slice input, enum http1_event *io_before)
{
    enum http1_event event;
    do {
        size_t used;
        event = http1_feed(p, req, input.p, input.n, &used);
        assert(used <= input.n);
        assert(event != HTTP1_MORE || used == input.n);
        assert(event != HTTP1_BODY || trace_within(p->body, input));
        assert(p->head.n <= p->limits->head_bytes_max);
        trace_event(out, p, req, event, *io_before);
        *io_before = event == HTTP1_MORE ? *io_before : event;
        input = slice_of(input.p + used, input.n - used);
    } while (event != HTTP1_MORE && event != HTTP1_ERROR);
    return event == HTTP1_ERROR;
}

/* What is said of the stream, into out. */
static inline void http1_trace(struct buf *out, const struct http1_limits *limits,
                               struct cutter cutter, const uint8_t *bytes, size_t n)
{
    static struct http1_request req;
    struct http1 p;
    struct slice left = slice_of(bytes, n);
    enum http1_event before = HTTP1_MORE;
    bool failed = false;
    http1_init(&p, limits);
    while (left.n && !failed) {
        size_t input_n, used;
        uint8_t *input = cutter_next(&cutter, &left, &input_n);
        failed = trace_input(out, &p, &req, slice_of(input, input_n), &before);
        if (failed) {
            assert(http1_feed(&p, &req, input, input_n, &used) == HTTP1_ERROR); /* for good */
        }
        free(input);
        memset(&req, 0xa5, sizeof req); /* another connection's turn */
    }
    buf_printf(out, "\nphase %d", (int)http1_phase(&p));
    http1_done(&p);
}

#endif
