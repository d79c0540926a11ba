/* The machine. A head is read line by line, and each line is judged when its LF is there.
 *
 * A head that lies whole in the input is parsed where it lies. One that does not is appended to
 * p->head as it comes, its lines judged on arrival all the same (so that both ways find the same
 * fault first), and parsed once more when it is whole: req is shared by all connections of a thread
 * and cannot remember lines from one input to the next.
 */
#include "hub/net/http1_inside.h"

#include <assert.h>

enum state {
    READING_HEAD,
    BEFORE_BODY, /* HEAD was said; the caller may have set a limit */
    READING_SIZED,
    READING_CHUNKED,
    AFTER_REQUEST, /* DONE was said; views still hold */
    BROKEN,
};

enum { EMPTY_LINES_MAX = 2, TLS_HANDSHAKE_RECORD = 0x16 };

static enum http1_event fail(struct http1 *p, struct http1_fault fault)
{
    p->state = BROKEN;
    p->status = fault.status;
    p->reason = fault.reason;
    return HTTP1_ERROR;
}

static enum http1_event fail_with(struct http1 *p, uint16_t status, const char *reason)
{
    return fail(p, (struct http1_fault){status, reason});
}

void http1_init(struct http1 *p, const struct http1_limits *limits)
{
    assert(limits->headers_max <= HTTP1_HEADERS_MAX);
    assert(limits->target_bytes_max + 64 <= limits->head_bytes_max);
    assert(limits->head_bytes_max <= UINT32_MAX);
    *p = (struct http1){.limits = limits, .body_bytes_max = limits->body_bytes_max};
}

void http1_done(struct http1 *p)
{
    buf_done(&p->head);
}

static void start_over(struct http1 *p)
{
    http1_done(p);
    http1_init(p, p->limits);
}

/* RFC 9112 section 2.2: an empty line before the request line is passed over; we pass two. They
 * need no memory, so a connection that only got these is still idle. */
static enum http1_event skip_empty_lines(struct http1 *p, const uint8_t *bytes, size_t n,
                                         size_t *out_used)
{
    size_t i = 0;
    for (; i < n; i++) {
        bool after_cr = p->empty_bytes % 2 == 1;
        if (after_cr ? bytes[i] != '\n' : bytes[i] != '\r') {
            break;
        }
        if (p->empty_bytes == 2 * EMPTY_LINES_MAX) {
            return fail_with(p, 400, "too many empty lines before the request line");
        }
        p->empty_bytes++;
    }
    *out_used = i;
    if (i == n) {
        return HTTP1_MORE;
    }
    if (p->empty_bytes % 2 == 1) {
        return fail_with(p, 400, "CR without LF");
    }
    /* The first byte tells most of what is no HTTP, long before a line's end might come. */
    if (bytes[i] == TLS_HANDSHAKE_RECORD) {
        return fail_with(p, 400, "TLS on a plain port");
    }
    if (!http1_is(bytes[i], BYTE_TOKEN)) {
        return fail_with(p, 400, "not an HTTP request");
    }
    return HTTP1_HEAD; /* a head begins here */
}

static struct http1_fault judge_line(struct http1 *p, struct http1_request *req, struct slice line)
{
    if (p->lines == 0) {
        return http1_request_line(req, line, p->limits->target_bytes_max);
    }
    if (p->lines > p->limits->headers_max) {
        return (struct http1_fault){431, "too many headers"};
    }
    return http1_header_line(req, line);
}

/* With its CR. Looked at before all else, so that a line without an end is found to be too long at
 * the same byte as one with a bad end. */
static size_t request_line_max(const struct http1 *p)
{
    return HTTP1_METHOD_BYTES_MAX + p->limits->target_bytes_max + sizeof "  HTTP/1.1\r" - 1;
}

/* What is left is a line without an end: may it still have one? */
static enum http1_event judge_unfinished(struct http1 *p, size_t head_n)
{
    if (p->lines == 0 && head_n > request_line_max(p)) {
        return fail_with(p, 414, "the request line is too long");
    }
    if (head_n == p->limits->head_bytes_max) {
        return fail_with(p, 431, "the head is too long");
    }
    return HTTP1_MORE;
}

/* Reads on in a head that so far is `head`, which is cut at head_bytes_max. HEAD: its empty line
 * ends at *out_n. */
static enum http1_event read_lines(struct http1 *p, struct http1_request *req, struct slice head,
                                   size_t *out_n)
{
    const uint8_t *lf;
    while ((lf = memchr(head.p + p->scanned, '\n', head.n - p->scanned)) != NULL) {
        size_t end = (size_t)(lf - head.p);
        if (p->lines == 0 && end > request_line_max(p)) {
            return fail_with(p, 414, "the request line is too long");
        }
        if (end == p->line_at || lf[-1] != '\r') {
            return fail_with(p, 400, "LF without CR");
        }
        struct slice line = slice_of(head.p + p->line_at, end - 1 - p->line_at);
        p->line_at = p->scanned = (uint32_t)end + 1;
        if (line.n == 0) { /* never the first line: skip_empty_lines() took those */
            *out_n = end + 1;
            return HTTP1_HEAD;
        }
        struct http1_fault fault = judge_line(p, req, line);
        if (fault.status) {
            return fail(p, fault);
        }
        p->lines++;
    }
    p->scanned = (uint32_t)head.n;
    return judge_unfinished(p, head.n);
}

/* Reads once more the lines of a whole head, which have been judged. */
static void read_again(const struct http1 *p, struct http1_request *req, struct slice head)
{
    struct http1 again = {.limits = p->limits};
    size_t n = 0;
    req->headers_n = 0;
    enum http1_event event = read_lines(&again, req, head, &n);
    assert(event == HTTP1_HEAD && n == head.n);
}

/* A request that is not whole in this input will outlive it. */
static bool outlives(const struct http1_request *req, size_t rest)
{
    return req->chunked || req->content_length > rest;
}

/* The head is whole: `head`, followed by `rest` bytes of input. */
static enum http1_event finish_head(struct http1 *p, struct http1_request *req, struct slice head,
                                    size_t rest)
{
    if (p->head.n) {
        p->head.n = head.n; /* forgets what was appended of the body */
        read_again(p, req, head);
    }
    req->raw = head;
    struct http1_fault fault = http1_head_judge(req);
    if (fault.status) {
        return fail(p, fault);
    }
    p->state = BEFORE_BODY;
    p->left = req->content_length;
    p->chunked = req->chunked;
    if (p->head.n == 0 && outlives(req, rest)) {
        buf_add_slice(&p->head, head); /* for the DONE; until the next input req is fine as it is */
    }
    return HTTP1_HEAD;
}

static enum http1_event feed_head(struct http1 *p, struct http1_request *req, const uint8_t *bytes,
                                  size_t n, size_t *out_used)
{
    req->headers_n = 0;
    size_t before = p->head.n, room = p->limits->head_bytes_max - before;
    struct slice head = slice_of(bytes, n < room ? n : room);
    if (before) {
        buf_add_slice(&p->head, head);
        head = buf_slice(&p->head);
    }
    size_t head_n = 0;
    enum http1_event event = read_lines(p, req, head, &head_n);
    if (event == HTTP1_MORE) {
        if (!before) {
            buf_add_slice(&p->head, head);
        }
        *out_used = n;
    } else if (event == HTTP1_HEAD) {
        *out_used = head_n - before;
        event = finish_head(p, req, slice_of(head.p, head_n), n - *out_used);
    }
    if (event == HTTP1_ERROR && p->head.n == 0) {
        buf_add_slice(&p->head, head); /* for http1_seen_path() */
    }
    return event;
}

/* What a target is without its scheme and host. */
static struct slice origin_form(struct slice target)
{
    static const char mark[] = "://";
    for (size_t i = 0; i + 3 < target.n && target.p[0] != '/'; i++) {
        if (memcmp(target.p + i, mark, 3) == 0) {
            const uint8_t *path = memchr(target.p + i + 3, '/', target.n - i - 3);
            return path ? slice_of(path, target.n - (size_t)(path - target.p)) : (struct slice){0};
        }
    }
    return target;
}

struct slice http1_seen_path(const struct http1 *p)
{
    /* However the bytes came, a line that is too long is given up at the same one. */
    size_t n = request_line_max(p) + 1, at = 0, end;
    n = p->head.n < n ? p->head.n : n;
    while (at < n && http1_is(p->head.p[at], BYTE_TOKEN)) {
        at++;
    }
    if (at == n || p->head.p[at] != ' ') {
        return (struct slice){0};
    }
    for (end = ++at; end < n && http1_is(p->head.p[end], BYTE_TARGET) && p->head.p[end] != '?';) {
        end++;
    }
    bool whole = end < n && (p->head.p[end] == ' ' || p->head.p[end] == '?');
    return whole ? origin_form(slice_of(p->head.p + at, end - at)) : (struct slice){0};
}

static enum http1_event begin_body(struct http1 *p)
{
    if (p->left > p->body_bytes_max) {
        return fail_with(p, 413, "the body is too long");
    }
    p->state = p->chunked ? READING_CHUNKED : READING_SIZED;
    return HTTP1_MORE;
}

static enum http1_event feed_sized(struct http1 *p, const uint8_t *bytes, size_t n,
                                   size_t *out_used)
{
    if (p->left == 0) {
        return HTTP1_DONE;
    }
    size_t take = n < p->left ? n : (size_t)p->left;
    if (take == 0) {
        return HTTP1_MORE;
    }
    p->body = slice_of(bytes, take);
    p->left -= take;
    *out_used = take;
    return HTTP1_BODY;
}

static enum http1_event feed_body(struct http1 *p, struct http1_request *req, const uint8_t *bytes,
                                  size_t n, size_t *out_used)
{
    enum http1_event event;
    if (p->state == READING_SIZED) {
        event = feed_sized(p, bytes, n, out_used);
    } else {
        struct http1_fault fault = {0};
        event = http1_chunk_feed(p, bytes, n, out_used, &fault);
        if (event == HTTP1_ERROR) {
            return fail(p, fault);
        }
    }
    if (event == HTTP1_DONE) {
        p->state = AFTER_REQUEST;
        if (p->head.n) {
            http1_view(p, req);
        }
    }
    return event;
}

enum http1_event http1_feed(struct http1 *p, struct http1_request *req, const uint8_t *bytes,
                            size_t n, size_t *out_used)
{
    size_t skipped = 0, used = 0;
    enum http1_event event = HTTP1_HEAD;
    *out_used = 0;
    if (p->state == BROKEN) {
        return HTTP1_ERROR;
    }
    if (p->state == AFTER_REQUEST) {
        start_over(p);
    }
    if (p->state == READING_HEAD) {
        if (p->head.n == 0) {
            event = skip_empty_lines(p, bytes, n, &skipped);
        }
        if (event == HTTP1_HEAD) {
            event = feed_head(p, req, bytes + skipped, n - skipped, &used);
        }
        *out_used = skipped + used;
        return event;
    }
    if (p->state == BEFORE_BODY && begin_body(p) == HTTP1_ERROR) {
        return HTTP1_ERROR;
    }
    return feed_body(p, req, bytes, n, out_used);
}

void http1_body_limit(struct http1 *p, uint64_t bytes_max)
{
    assert(p->state == BEFORE_BODY);
    p->body_bytes_max = bytes_max;
}

void http1_keep(struct http1 *p, struct http1_request *req)
{
    assert(p->state == BEFORE_BODY || p->state == AFTER_REQUEST || p->head.n);
    if (p->head.n == 0) { /* the request came whole: req borrows from the input */
        buf_add_slice(&p->head, req->raw);
    }
    http1_view(p, req);
}

void http1_view(const struct http1 *p, struct http1_request *req)
{
    assert(p->head.n && p->state != READING_HEAD && p->state != BROKEN);
    req->raw = buf_slice(&p->head);
    read_again(p, req, req->raw);
    struct http1_fault fault = http1_head_judge(req);
    assert(fault.status == 0);
}

enum http1_phase http1_phase(const struct http1 *p)
{
    switch ((enum state)p->state) {
    case READING_HEAD:
        return p->head.n ? HTTP1_IN_HEAD : HTTP1_IDLE;
    case BEFORE_BODY:
    case READING_SIZED:
    case READING_CHUNKED:
        return HTTP1_IN_BODY;
    case AFTER_REQUEST:
        return HTTP1_ANSWERING;
    case BROKEN:
        break;
    }
    return HTTP1_BROKEN;
}
