/* The lines of a head, each judged by itself, then all of them together (RFC 9112 sections 2 to 6).
 *
 * What decides the framing of a request is read from the headers in one place, http1_head_judge(),
 * so that no two of them can be taken in a different order than they are checked in.
 */
#include "hub/net/http1_inside.h"

#include "hub/net/http1_text.h"

/* BYTE_TOKEN 1, BYTE_TARGET 2, BYTE_HOST 4, BYTE_HEX 8. A target takes all that is visible in ASCII
 * except what no client sends unescaped: quote, hash, angle brackets (the URL standard's rules for
 * paths and queries escape these and leave the likes of | and ^ alone). A host is of letters,
 * digits and "-._~": nothing there can end up as markup or as another part of a URL. */
// clang-format off
const uint8_t http1_byte_kind[256] = {
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, /* 00 */
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, /* 10 */
     0,  3,  0,  1,  3,  3,  3,  3,  2,  2,  3,  3,  2,  7,  7,  2, /* 20 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  2,  2,  0,  2,  0,  2, /* 30 */
     2, 15, 15, 15, 15, 15, 15,  7,  7,  7,  7,  7,  7,  7,  7,  7, /* 40 */
     7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  2,  2,  2,  3,  7, /* 50 */
     3, 15, 15, 15, 15, 15, 15,  7,  7,  7,  7,  7,  7,  7,  7,  7, /* 60 */
     7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  2,  3,  2,  7,  0, /* 70 */
};
// clang-format on

static const struct http1_fault no_fault;

static struct http1_fault bad(const char *reason)
{
    return (struct http1_fault){400, reason};
}

unsigned http1_hex_value(uint8_t digit)
{
    return digit <= '9' ? digit - '0' + 0u : (digit | 0x20) - 'a' + 10u;
}

static bool all_are(struct slice s, unsigned kind)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!http1_is(s.p[i], kind)) {
            return false;
        }
    }
    return true;
}

/* Eight bytes at a time: the high bit of each lane tells whether the byte is below 0x20 or is 0x7f.
 * A tab sets it too, and a borrow may set a neighbour's; so lanes that show are looked at singly.
 */
static bool lanes_may_be_control(const uint8_t *p)
{
    const uint64_t ones = UINT64_MAX / 255, highs = ones << 7;
    uint64_t x, del;
    memcpy(&x, p, 8);
    del = x ^ (ones * 0x7f);
    return (((x - ones * 0x20) & ~x) | ((del - ones) & ~del)) & highs;
}

static bool few_are_text(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

bool http1_is_field_text(const uint8_t *p, size_t n)
{
    if (n < 8) {
        return few_are_text(p, n);
    }
    for (size_t i = 0; i < n; i += 8) {
        const uint8_t *eight = p + (n - i < 8 ? n - 8 : i); /* the last may overlap */
        if (lanes_may_be_control(eight) && !few_are_text(eight, 8)) {
            return false;
        }
    }
    return true;
}

static bool split_at(struct slice s, uint8_t byte, struct slice *out_before,
                     struct slice *out_after)
{
    const uint8_t *at = s.n ? memchr(s.p, byte, s.n) : NULL;
    if (!at) {
        return false;
    }
    *out_before = slice_of(s.p, (size_t)(at - s.p));
    *out_after = slice_of(at + 1, s.n - out_before->n - 1);
    return true;
}

static enum http1_method method_of(struct slice raw)
{
    // clang-format off
    static const struct { const char *name; enum http1_method method; } methods[] = {
        {"GET",     HTTP1_METHOD_GET},
        {"POST",    HTTP1_METHOD_POST},
        {"PUT",     HTTP1_METHOD_PUT},
        {"PATCH",   HTTP1_METHOD_PATCH},
        {"DELETE",  HTTP1_METHOD_DELETE},
        {"HEAD",    HTTP1_METHOD_HEAD},
        {"OPTIONS", HTTP1_METHOD_OPTIONS},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (slice_is(raw, methods[i].name)) {
            return methods[i].method;
        }
    }
    return HTTP1_METHOD_OTHER;
}

static bool port_valid(struct slice digits)
{
    uint32_t port = 0;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9' || digits.n > 5) {
            return false;
        }
        port = port * 10 + (uint32_t)(digits.p[i] - '0');
    }
    return port <= 65535;
}

/* host [":" port], the host a name, an IPv4 address or "[" IPv6 address "]". */
static bool host_valid(struct slice s)
{
    struct slice host, port = {0};
    if (s.n && s.p[0] == '[') {
        if (!split_at(s, ']', &host, &port) || (port.n && port.p[0] != ':')) {
            return false;
        }
        for (size_t i = 1; i < host.n; i++) {
            if (!http1_is(host.p[i], BYTE_HEX) && host.p[i] != ':' && host.p[i] != '.') {
                return false;
            }
        }
        return host.n > 2 && port_valid(slice_of(port.p + 1, port.n ? port.n - 1 : 0));
    }
    if (!split_at(s, ':', &host, &port)) {
        host = s;
    }
    return host.n && all_are(host, BYTE_HOST) && port_valid(port);
}

/* "http://host/path?query", as proxies are asked; a server takes it too (RFC 9112 section 3.2.2).
 */
static struct http1_fault absolute_target(struct http1_request *req, size_t scheme_n)
{
    struct slice rest = slice_of(req->target.p + scheme_n, req->target.n - scheme_n);
    size_t host_n = 0;
    while (host_n < rest.n && rest.p[host_n] != '/' && rest.p[host_n] != '?') {
        host_n++;
    }
    req->host = slice_of(rest.p, host_n);
    if (!host_valid(req->host)) {
        return bad("the request target's host is not valid");
    }
    req->path = slice_of(rest.p + host_n, rest.n - host_n);
    return no_fault;
}

static bool starts_same(struct slice s, const char *lower)
{
    size_t n = strlen(lower);
    return s.n >= n && http1_same(slice_of(s.p, n), lower);
}

static struct http1_fault read_target(struct http1_request *req)
{
    struct http1_fault fault = no_fault;
    req->host = req->query = (struct slice){0};
    req->path = req->target;
    if (!all_are(req->target, BYTE_TARGET)) {
        return bad("a character that may not stand in a request target");
    }
    if (starts_same(req->target, "http://")) {
        fault = absolute_target(req, 7);
    } else if (starts_same(req->target, "https://")) {
        fault = absolute_target(req, 8);
    } else if (slice_is(req->target, "*") && req->method == HTTP1_METHOD_OPTIONS) {
        return no_fault;
    } else if (req->target.p[0] != '/') {
        fault = bad("the request target is no path");
    }
    (void)split_at(req->path, '?', &req->path, &req->query);
    if (req->path.n == 0) { /* only an absolute target may leave it out */
        req->path = slice_str("/");
    }
    return fault;
}

static struct http1_fault read_version(struct http1_request *req, struct slice text)
{
    const uint8_t *v = text.p;
    if (text.n != 8 || memcmp(v, "HTTP/", 5) != 0 || v[5] < '0' || v[5] > '9' || v[6] != '.' ||
        v[7] < '0' || v[7] > '9') {
        return bad("the request line does not end in an HTTP version");
    }
    if (v[5] != '1') {
        return (struct http1_fault){505, "only HTTP/1.1 and HTTP/1.0 are spoken here"};
    }
    req->minor = v[7] > '0'; /* RFC 9110 section 2.5: a higher minor is served as our highest */
    return no_fault;
}

struct http1_fault http1_request_line(struct http1_request *req, struct slice line,
                                      size_t target_bytes_max)
{
    struct slice rest, version;
    if (!split_at(line, ' ', &req->method_raw, &rest) ||
        !split_at(rest, ' ', &req->target, &version) || req->target.n == 0) {
        return bad("the request line is not method, target and version");
    }
    if (req->method_raw.n == 0 || !all_are(req->method_raw, BYTE_TOKEN)) {
        return bad("the method is no token");
    }
    struct http1_fault fault = read_version(req, version);
    if (fault.status) {
        return fault;
    }
    if (req->method_raw.n > HTTP1_METHOD_BYTES_MAX || slice_is(req->method_raw, "CONNECT")) {
        return (struct http1_fault){501, "no such method here"};
    }
    if (req->target.n > target_bytes_max) {
        return (struct http1_fault){414, "the request target is too long"};
    }
    req->method = method_of(req->method_raw);
    return read_target(req);
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

struct http1_fault http1_header_line(struct http1_request *req, struct slice line)
{
    if (is_space(line.p[0])) {
        return bad("a folded header line"); /* RFC 9112 section 5.2 */
    }
    struct http1_header *header = &req->headers[req->headers_n];
    size_t name_n = 0;
    while (name_n < line.n && http1_is(line.p[name_n], BYTE_TOKEN)) {
        name_n++;
    }
    if (name_n == 0 || name_n == line.n || line.p[name_n] != ':') {
        return bad("a header is not a name, a colon and a value");
    }
    const uint8_t *p = line.p + name_n + 1, *end = line.p + line.n;
    while (p < end && is_space(*p)) {
        p++;
    }
    while (end > p && is_space(end[-1])) {
        end--;
    }
    header->name = slice_of(line.p, name_n);
    header->value = slice_of(p, (size_t)(end - p));
    if (!http1_is_field_text(p, header->value.n)) {
        return bad("a control character in a header");
    }
    req->headers_n++;
    return no_fault;
}

/* The headers that decide where a request ends and what becomes of the connection. */
struct framing {
    const struct http1_header *host, *length, *coding;
    bool close, keep_alive;
    struct http1_fault fault;
};

static void once(struct framing *f, const struct http1_header **slot,
                 const struct http1_header *header, const char *reason)
{
    if (*slot) {
        f->fault = bad(reason);
    }
    *slot = header;
}

static void read_connection(struct http1_request *req, struct framing *f, struct slice value)
{
    for (struct slice item; http1_list_next(&value, &item);) {
        f->close |= http1_same(item, "close");
        f->keep_alive |= http1_same(item, "keep-alive");
        req->connection_upgrade |= http1_same(item, "upgrade");
    }
}

/* RFC 9110 section 10.1.1: an expectation that we do not know may be refused with 417. */
static void read_expect(struct http1_request *req, struct framing *f, struct slice value)
{
    if (req->minor == 0) {
        return;
    }
    req->expect_continue = http1_same(value, "100-continue");
    if (!req->expect_continue) {
        f->fault = (struct http1_fault){417, "only 100-continue can be expected"};
    }
}

static void gather(struct http1_request *req, struct framing *f, const struct http1_header *header)
{
    struct slice name = header->name;
    switch (name.n) {
    case 4:
        if (http1_same(name, "host")) {
            once(f, &f->host, header, "more than one Host");
        }
        break;
    case 6:
        if (http1_same(name, "expect")) {
            read_expect(req, f, header->value);
        }
        break;
    case 10:
        if (http1_same(name, "connection")) {
            read_connection(req, f, header->value);
        }
        break;
    case 14:
        if (http1_same(name, "content-length")) {
            once(f, &f->length, header, "more than one Content-Length");
        }
        break;
    case 17:
        if (http1_same(name, "transfer-encoding")) {
            once(f, &f->coding, header, "more than one Transfer-Encoding");
        }
        break;
    }
}

static struct http1_fault judge_host(struct http1_request *req, const struct http1_header *host)
{
    if (!host) {
        return req->minor == 0 ? no_fault : bad("no Host");
    }
    if (!host_valid(host->value)) {
        return bad("Host is not valid");
    }
    if (req->host.n == 0) { /* else the target's counts (RFC 9112 section 3.2.2) */
        req->host = host->value;
    }
    return no_fault;
}

static struct http1_fault read_length(struct http1_request *req, struct slice value)
{
    uint64_t length = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9') {
            return bad("Content-Length is not a number");
        }
    }
    if (value.n == 0 || value.n > 19) { /* 19 digits always fit in 64 bits */
        return bad("Content-Length is not a number of 1 to 19 digits");
    }
    for (size_t i = 0; i < value.n; i++) {
        length = length * 10 + (uint64_t)(value.p[i] - '0');
    }
    req->content_length = length;
    return no_fault;
}

/* Only "chunked" is undone here. Codings before it are 501; if it is not the last, or stands twice,
 * nobody knows where the body ends (RFC 9112 sections 6.1 and 6.3). */
static struct http1_fault judge_coding(struct slice value)
{
    size_t others = 0, chunked = 0;
    for (struct slice item; http1_list_next(&value, &item);) {
        if (chunked || item.n == 0) {
            return bad("Transfer-Encoding does not end in one chunked");
        }
        chunked += http1_same(item, "chunked");
        others += !chunked;
    }
    if (others) {
        return (struct http1_fault){501, "only the transfer coding chunked is known here"};
    }
    return no_fault;
}

static struct http1_fault judge_length(struct http1_request *req, const struct framing *f)
{
    if (f->coding) {
        if (req->minor == 0) {
            return bad("Transfer-Encoding in HTTP/1.0");
        }
        if (f->length) {
            return bad("Transfer-Encoding together with Content-Length");
        }
        req->chunked = true;
        return judge_coding(f->coding->value);
    }
    return f->length ? read_length(req, f->length->value) : no_fault;
}

struct http1_fault http1_head_judge(struct http1_request *req)
{
    struct framing f = {0};
    req->content_length = 0;
    req->chunked = req->expect_continue = req->connection_upgrade = false;
    for (size_t i = 0; i < req->headers_n; i++) {
        gather(req, &f, &req->headers[i]);
    }
    if (f.fault.status == 0) {
        f.fault = judge_host(req, f.host);
    }
    if (f.fault.status == 0) {
        f.fault = judge_length(req, &f);
    }
    req->has_length = f.length || f.coding;
    req->keep_alive = !f.close && (req->minor >= 1 || f.keep_alive);
    /* Nothing to wait for: nobody is told to go on. */
    req->expect_continue &= req->chunked || req->content_length > 0;
    return f.fault;
}

const struct http1_header *http1_header(const struct http1_request *req, const char *name)
{
    for (size_t i = 0; i < req->headers_n; i++) {
        if (http1_same(req->headers[i].name, name)) {
            return &req->headers[i];
        }
    }
    return NULL;
}

size_t http1_header_count(const struct http1_request *req, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < req->headers_n; i++) {
        count += http1_same(req->headers[i].name, name);
    }
    return count;
}

static bool list_has(struct slice list, const char *token)
{
    for (struct slice item; http1_list_next(&list, &item);) {
        if (http1_same(item, token)) {
            return true;
        }
    }
    return false;
}

bool http1_header_has(const struct http1_request *req, const char *name, const char *token)
{
    for (size_t i = 0; i < req->headers_n; i++) {
        if (http1_same(req->headers[i].name, name) && list_has(req->headers[i].value, token)) {
            return true;
        }
    }
    return false;
}
