/* Documents: which variant, which part of it, or that the caller has it already. */
#include "hub/net/files.h"
#include "hub/net/http1_text.h"
#include "hub/net/http_parts.h"

#include <stdio.h>

static bool accepts(const struct http1_request *req, const char *coding)
{
    return http1_header_has(req, "accept-encoding", coding);
}

static bool etag_matches(const struct http1_request *req, const char *etag)
{
    return http1_header_has(req, "if-none-match", etag) ||
           http1_header_has(req, "if-none-match", "*");
}

/* Takes digits off the front; more than fit count as the most that does. */
static bool take_number(struct slice *rest, uint64_t *out)
{
    size_t n = 0;
    *out = 0;
    for (; n < rest->n && rest->p[n] >= '0' && rest->p[n] <= '9'; n++) {
        uint64_t digit = (uint64_t)(rest->p[n] - '0');
        *out = *out > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *out * 10 + digit;
    }
    *rest = slice_of(rest->p + n, rest->n - n);
    return n > 0;
}

/* One range of bytes (RFC 9110 section 14); anything else is answered whole. False: not
 * satisfiable. */
static bool range_of(const struct http1_request *req, size_t size, size_t *out_from, size_t *out_n)
{
    static const char unit[] = "bytes=";
    const struct http1_header *h = http1_header(req, "range");
    uint64_t from, to;
    *out_from = 0;
    *out_n = size;
    if (!h || !slice_starts(h->value, unit)) {
        return true;
    }
    struct slice rest = slice_of(h->value.p + sizeof unit - 1, h->value.n - (sizeof unit - 1));
    bool has_from = take_number(&rest, &from);
    if (rest.n == 0 || rest.p[0] != '-') {
        return true;
    }
    rest = slice_of(rest.p + 1, rest.n - 1);
    bool has_to = take_number(&rest, &to);
    if (rest.n || (has_from && has_to && from > to) || (!has_from && to == 0)) {
        return true;
    }
    if (!has_from) { /* so many of the last */
        from = to < size ? size - to : 0;
        has_to = false;
    }
    if (from >= size) {
        return false;
    }
    to = has_to && to < size ? to : size - 1;
    *out_from = (size_t)from;
    *out_n = (size_t)(to - from + 1);
    return true;
}

/* The hub's pages need nothing from anywhere else. */
static const char page_policy[] =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "worker-src blob:; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'";

static void reply_file(struct conn *c, const struct http1_request *req, const struct file *file)
{
    const struct file_variant *v = &file->plain;
    struct reply r = {.status = 200, .type = file->type};
    bool ranged = http1_header(req, "range") != NULL;
    if (!ranged && file->brotli.bytes.p && accepts(req, "br")) {
        v = &file->brotli;
        r.encoding = "br";
    } else if (!ranged && file->gzip.bytes.p && accepts(req, "gzip")) {
        v = &file->gzip;
        r.encoding = "gzip";
    }
    r.etag = v->etag;
    r.policy = strncmp(file->type, "text/html", 9) == 0 ? page_policy : NULL;
    r.cache = file->immutable ? "public, max-age=31536000, immutable" : "no-cache";
    r.body = v->bytes;
    size_t from, n;
    if (etag_matches(req, v->etag)) {
        r.status = 304;
        r.type = NULL;
        r.body = slice_of(NULL, 0);
    } else if (!range_of(req, v->bytes.n, &from, &n)) {
        struct reply outside = {.status = 416}; /* nothing of the file's, nor kept as it is */
        snprintf(outside.range, sizeof outside.range, "bytes */%zu", v->bytes.n);
        http_refuse(c, HUB_RANGE, "the range lies outside the file", outside);
        return;
    } else if (ranged && n < v->bytes.n) {
        r.status = 206;
        snprintf(r.range, sizeof r.range, "bytes %zu-%zu/%zu", from, from + n - 1, v->bytes.n);
        r.body = slice_of(v->bytes.p + from, n);
    }
    http_reply(c, &r);
}

static bool wants_html(const struct http1_request *req)
{
    const struct http1_header *h = http1_header(req, "accept");
    return h && slice_starts(h->value, "text/html");
}

bool http_serve_file(struct conn *c, const struct http1_request *req, struct slice path)
{
    bool redirect;
    if (slice_is(path, "/") && wants_html(req) && files_count(c->thread->files)) {
        path = slice_str("/dashboard");
    }
    const struct file *file = files_find(c->thread->files, path, &redirect);
    if (!file || slice_is(path, "/")) {
        return false;
    }
    if (redirect) {
        char location[256];
        snprintf(location, sizeof location, "%.*s/", (int)(path.n < 200 ? path.n : 200),
                 (const char *)path.p);
        http_reply(c, &(struct reply){.status = 302, .location = location});
        return true;
    }
    reply_file(c, req, file);
    return true;
}
