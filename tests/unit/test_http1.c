#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

#include "tests/fuzz/corpus.h"
#include "tests/fuzz/http1_trace.h"

static struct http1_request req;

/* --- what is said of a text, and that no cut changes it -----------------------------------------
 */

/* Long inputs are cut at some points only: near both ends, and every so often between. */
static size_t next_split(size_t at, size_t n)
{
    return n < 1500 || at < 300 || n - at < 300 ? at + 1 : at + 61;
}

static void assert_cuts_change_nothing(const struct http1_limits *limits, const uint8_t *p,
                                       size_t n)
{
    struct buf whole = {0}, cut = {0};
    http1_trace(&whole, limits, cut_nowhere(n), p, n);
    http1_trace(&cut, limits, cut_everywhere(), p, n);
    assert_true(slice_equal(buf_slice(&whole), buf_slice(&cut)));
    for (size_t at = 1; at < n; at = next_split(at, n)) {
        buf_clear(&cut);
        http1_trace(&cut, limits, cut_at(at, n), p, n);
        assert_true(slice_equal(buf_slice(&whole), buf_slice(&cut)));
    }
    buf_done(&whole);
    buf_done(&cut);
}

static void visit_corpus(const uint8_t *p, size_t n)
{
    assert_cuts_change_nothing(&trace_limits, p, n);
    assert_cuts_change_nothing(&trace_tight_limits, p, n);
}

static void no_cut_changes_what_is_said_of_the_corpus(void **state)
{
    (void)state;
    assert_true(corpus_visit("http1", visit_corpus) >= 60);
}

/* Feeds all of it; the last event that was not BODY or MORE, with the body in out_body. */
static enum http1_event feed_all(struct http1 *p, struct slice in, struct buf *out_body)
{
    enum http1_event event, last = HTTP1_MORE;
    size_t used;
    do {
        event = http1_feed(p, &req, in.p, in.n, &used);
        in = slice_of(in.p + used, in.n - used);
        if (event == HTTP1_BODY && out_body) {
            buf_add_slice(out_body, p->body);
        }
        last = event == HTTP1_HEAD || event == HTTP1_DONE || event == HTTP1_ERROR ? event : last;
    } while (event != HTTP1_MORE && event != HTTP1_DONE && event != HTTP1_ERROR);
    return last;
}

/* --- refusals -----------------------------------------------------------------------------------
 */

#define HOST "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST
#define POST "POST / HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

struct refusal {
    const char *text;
    uint16_t status;
    const char *reason; /* begins so */
};

// clang-format off
static const struct refusal refusals[] = {
    /* Before the request line, and the line itself (RFC 9112 sections 2.2 and 3). */
    {"\r\n\r\n\r\n" GET "\r\n",              400, "too many empty lines"},
    {"\n" GET "\r\n",                        400, "not an HTTP request"},
    {"\rGET",                                400, "CR without LF"},
    {" GET / HTTP/1.1\r\n",                  400, "not an HTTP request"},
    {"\x16\x03\x01\x02",                     400, "TLS on a plain port"},
    {"\x80\x01",                             400, "not an HTTP request"},
    {"GET /\r\n",                            400, "the request line is not"},
    {"GET\r\n",                              400, "the request line is not"},
    {"GET  / HTTP/1.1\r\n",                  400, "the request line is not"},
    {"GET /  HTTP/1.1\r\n",                  400, "the request line does not end"},
    {"GET / HTTP/1.1 \r\n",                  400, "the request line does not end"},
    {"GET\t/ HTTP/1.1\r\n",                  400, "the request line is not"},
    {"GET / /x HTTP/1.1\r\n",                400, "the request line does not end"},
    {"G(T / HTTP/1.1\r\n",                   400, "the method is no token"},
    {"GET / http/1.1\r\n",                   400, "the request line does not end"},
    {"GET / HTTP/1.10\r\n",                  400, "the request line does not end"},
    {"GET / HTTP/1\r\n",                     400, "the request line does not end"},
    {"GET / HTTP/x.1\r\n",                   400, "the request line does not end"},
    {"GET / HTTP/1.x\r\n",                   400, "the request line does not end"},
    {"GET / HTTP/1./\r\n",                   400, "the request line does not end"},
    {"GET / HTTP/2.0\r\n",                   505, "only HTTP/1.1"},
    {"GET / HTTP/0.9\r\n",                   505, "only HTTP/1.1"},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",     505, "only HTTP/1.1"},
    {"CONNECT a:443 HTTP/1.1\r\n",           501, "no such method"},
    {"ABCDEFGHIJKLMNOPQRSTUVWXY / HTTP/1.1\r\n", 501, "no such method"},
    {"GET a:443 HTTP/1.1\r\n",               400, "the request target is no path"},
    {"GET x HTTP/1.1\r\n",                   400, "the request target is no path"},
    {"GET * HTTP/1.1\r\n",                   400, "the request target is no path"},
    {"GET ?a HTTP/1.1\r\n",                  400, "the request target is no path"},
    {"GET ftp://a/ HTTP/1.1\r\n",            400, "the request target is no path"},
    {"GET http:/a HTTP/1.1\r\n",             400, "the request target is no path"},
    {"GET http:///a HTTP/1.1\r\n",           400, "the request target's host"},
    {"GET http://u@a/ HTTP/1.1\r\n",         400, "the request target's host"},
    {"GET http://a:b/ HTTP/1.1\r\n",         400, "the request target's host"},
    {"GET /#a HTTP/1.1\r\n",                 400, "a character that may not"},
    {"GET /\x01 HTTP/1.1\r\n",               400, "a character that may not"},
    {"GET /caf\xc3\xa9 HTTP/1.1\r\n",        400, "a character that may not"},
    /* Lines end in CR LF and in nothing else. */
    {"GET / HTTP/1.1\n" HOST "\n",           400, "LF without CR"},
    {"GET / HTTP/1.1\r\nHost: a\n\r\n",      400, "LF without CR"},
    {GET "\n",                               400, "LF without CR"},
    {GET "A: b\rC: d\r\n\r\n",               400, "a control character"},
    {GET "A: b\r\r\n\r\n",                   400, "a control character"},
    {"GET /\r HTTP/1.1\r\n",                 400, "a character that may not"},
    /* Headers (RFC 9112 section 5, RFC 9110 section 5). */
    {GET " A: b\r\n\r\n",                    400, "a folded header line"},
    {GET "A: b\r\n\tc\r\n\r\n",              400, "a folded header line"},
    {GET "A : b\r\n\r\n",                    400, "a header is not"},
    {GET "A\r\n\r\n",                        400, "a header is not"},
    {GET ": b\r\n\r\n",                      400, "a header is not"},
    {GET "A B: c\r\n\r\n",                   400, "a header is not"},
    {GET "\xc3\xa4: c\r\n\r\n",              400, "a header is not"},
    {GET "A: b\x7f\r\n\r\n",                 400, "a control character"},
    {GET "A: 0123456789\x01" "0123456789\r\n\r\n", 400, "a control character"},
    /* Host (RFC 9112 section 3.2). */
    {"GET / HTTP/1.1\r\n\r\n",               400, "no Host"},
    {"GET http://a/ HTTP/1.1\r\n\r\n",       400, "no Host"},
    {GET HOST "\r\n",                        400, "more than one Host"},
    {"GET / HTTP/1.0\r\n" HOST HOST "\r\n",  400, "more than one Host"},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n",      400, "Host is not valid"},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",  400, "Host is not valid"},
    {"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",  400, "Host is not valid"},
    {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",  400, "Host is not valid"},
    {"GET / HTTP/1.1\r\nHost: :80\r\n\r\n",  400, "Host is not valid"},
    {"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400, "Host is not valid"},
    {"GET / HTTP/1.1\r\nHost: a:000080\r\n\r\n", 400, "Host is not valid"},
    {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, "Host is not valid"},
    {"GET / HTTP/1.1\r\nHost: [:]\r\n\r\n",  400, "Host is not valid"},
    {"GET / HTTP/1.1\r\nHost: []\r\n\r\n",   400, "Host is not valid"},
    {"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", 400, "Host is not valid"},
    {"GET / HTTP/1.1\r\nHost: [g::]\r\n\r\n", 400, "Host is not valid"},
    /* Lengths (RFC 9112 section 6). */
    {POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400, "more than one Content-Length"},
    {POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400, "more than one Content-Length"},
    {POST "Content-Length: 1, 1\r\n\r\nx",   400, "Content-Length is not a number"},
    {POST "Content-Length: +1\r\n\r\nx",     400, "Content-Length is not a number"},
    {POST "Content-Length: -1\r\n\r\nx",     400, "Content-Length is not a number"},
    {POST "Content-Length: 0x1\r\n\r\nx",    400, "Content-Length is not a number"},
    {POST "Content-Length: 1 1\r\n\r\nx",    400, "Content-Length is not a number"},
    {POST "Content-Length: 1_0\r\n\r\nx",    400, "Content-Length is not a number"},
    {POST "Content-Length:\r\n\r\nx",        400, "Content-Length is not a number"},
    {POST "Content-Length: 18446744073709551617\r\n\r\nx", 400, "Content-Length is not a number"},
    {POST "Content-Length: 9999999999999999999\r\n\r\n",   413, "the body is too long"},
    {POST "Content-Length: 1048577\r\n\r\n", 413, "the body is too long"},
    {POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "Transfer-Encoding together"},
    {POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400, "Transfer-Encoding together"},
    {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "more than one Tr"},
    {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 400, "more than one Tr"},
    {POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, "Transfer-Encoding does not end"},
    {POST "Transfer-Encoding: chunked, gzip\r\n\r\n",    400, "Transfer-Encoding does not end"},
    {POST "Transfer-Encoding: , chunked\r\n\r\n",        400, "Transfer-Encoding does not end"},
    {POST "Transfer-Encoding: chunked,\r\n\r\n",         400, "Transfer-Encoding does not end"},
    {POST "Transfer-Encoding:\r\n\r\n",                  400, "Transfer-Encoding does not end"},
    {POST "Transfer-Encoding: gzip, chunked\r\n\r\n",    501, "only the transfer coding"},
    {POST "Transfer-Encoding: identity\r\n\r\n",         501, "only the transfer coding"},
    {POST "Transfer-Encoding: xchunked\r\n\r\n",         501, "only the transfer coding"},
    {POST "Transfer-Encoding: chunked;a=b\r\n\r\n",      501, "only the transfer coding"},
    {POST "Transfer-Encoding: \"chunked\"\r\n\r\n",      501, "only the transfer coding"},
    {POST "Transfer-Encoding: \x0b" "chunked\r\n\r\n",   400, "a control character"},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "Transfer-Encoding in HTTP/1.0"},
    {POST "Expect: 200-ok\r\n\r\n",          417, "only 100-continue"},
    /* Chunks (RFC 9112 section 7.1). */
    {CHUNKED "\r\n",                         400, "a chunk's size is not hex"},
    {CHUNKED "x\r\n",                        400, "a chunk's size is not hex"},
    {CHUNKED "0x1\r\n",                      400, "a chunk's size is not hex"},
    {CHUNKED "-1\r\n",                       400, "a chunk's size is not hex"},
    {CHUNKED " 1\r\n",                       400, "a chunk's size is not hex"},
    {CHUNKED "1 \r\n",                       400, "white space after"},
    {CHUNKED "1\nx\r\n",                     400, "a chunk's size is not hex"},
    {CHUNKED "1\rx",                         400, "CR without LF"},
    {CHUNKED "1;a\x01\r\n",                  400, "a control character in a chunk ext"},
    {CHUNKED "1;a\nx\r\n",                   400, "a control character in a chunk ext"},
    {CHUNKED "1\r\nxy\r\n",                  400, "a chunk is longer"},
    {CHUNKED "1\r\nx\n",                     400, "a chunk is longer"},
    {CHUNKED "1\r\nx\r1",                    400, "CR without LF"},
    {CHUNKED "00000000000000001\r\n",        400, "a chunk's size has too many"},
    {CHUNKED "FFFFFFFFFFFFFFFF\r\n",         413, "the body is too long"},
    {CHUNKED "8000000000000000\r\n",         413, "the body is too long"},
    {CHUNKED "100001\r\n",                   413, "the body is too long"},
    {CHUNKED "1\r\nx\r\n100000\r\n",         413, "the body is too long"},
    {CHUNKED "0\r\nA b: c\r\n\r\n",          400, "not a trailer's name"},
    {CHUNKED "0\r\n: c\r\n\r\n",             400, "not a trailer's name"},
    {CHUNKED "0\r\n A: c\r\n\r\n",           400, "not a trailer's name"},
    {CHUNKED "0\r\nA: c\x01\r\n\r\n",        400, "a control character in a trailer"},
    {CHUNKED "0\r\nA: c\n\r\n",              400, "a control character in a trailer"},
    {CHUNKED "0\r\nA: c\rx",                 400, "CR without LF"},
    {CHUNKED "0\r\n\rx",                     400, "CR without LF"},
};
// clang-format on

static void each_breach_has_its_status_and_no_cut_changes_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const struct refusal *r = &refusals[i];
        struct http1 p;
        http1_init(&p, &trace_limits);
        enum http1_event event = feed_all(&p, slice_str(r->text), NULL);
        if (event != HTTP1_ERROR || p.status != r->status ||
            strncmp(p.reason, r->reason, strlen(r->reason)) != 0) {
            fail_msg("row %zu: %s: event %d, status %d, %s", i, r->text, event, p.status,
                     event == HTTP1_ERROR ? p.reason : "");
        }
        assert_int_equal(http1_phase(&p), HTTP1_BROKEN);
        http1_done(&p);
        assert_cuts_change_nothing(&trace_limits, (const uint8_t *)r->text, strlen(r->text));
    }
}

static void an_error_is_for_good(void **state)
{
    (void)state;
    struct http1 p;
    size_t used = 9;
    http1_init(&p, &trace_limits);
    assert_int_equal(feed_all(&p, slice_str("\x16"), NULL), HTTP1_ERROR);
    const char *good = GET "\r\n";
    assert_int_equal(http1_feed(&p, &req, (const uint8_t *)good, strlen(good), &used), HTTP1_ERROR);
    assert_int_equal(used, 0);
    assert_int_equal(p.status, 400);
    http1_done(&p);
}

/* --- acceptance ---------------------------------------------------------------------------------
 */

enum { KEEP = 1, LENGTH = 2, CHUNKS = 4, EXPECT = 8, UPGRADE = 16, OLD = 32 };

struct acceptance {
    const char *text;
    enum http1_method method;
    const char *path, *query, *host, *body; /* query NULL: none */
    unsigned flags;
};

// clang-format off
static const struct acceptance acceptances[] = {
    {GET "\r\n", HTTP1_METHOD_GET, "/", NULL, "a", "", KEEP},
    {"\r\n\r\n" GET "\r\n", HTTP1_METHOD_GET, "/", NULL, "a", "", KEEP},
    {"HEAD /a/b?c=d?e&f HTTP/1.1\r\nhOST:a:80\r\n\r\n", HTTP1_METHOD_HEAD, "/a/b", "c=d?e&f", "a:80", "", KEEP},
    {"PUT /? HTTP/1.1\r\nHost: \t [::1]:8000 \t\r\n\r\n", HTTP1_METHOD_PUT, "/", "", "[::1]:8000", "", KEEP},
    {"PATCH /a|b^c{d}`[e]\\ HTTP/1.1\r\nHost: 127.0.0.1:\r\n\r\n", HTTP1_METHOD_PATCH, "/a|b^c{d}`[e]\\", NULL, "127.0.0.1:", "", KEEP},
    {"DELETE //a/../%zz HTTP/1.1\r\nHost: my_host.x~y\r\n\r\n", HTTP1_METHOD_DELETE, "//a/../%zz", NULL, "my_host.x~y", "", KEEP},
    {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", HTTP1_METHOD_OPTIONS, "*", NULL, "a", "", KEEP},
    {"OPTIONS /x HTTP/1.1\r\n" HOST "\r\n", HTTP1_METHOD_OPTIONS, "/x", NULL, "a", "", KEEP},
    {"get / HTTP/1.1\r\n" HOST "\r\n", HTTP1_METHOD_OTHER, "/", NULL, "a", "", KEEP},
    {"TRACE / HTTP/1.1\r\n" HOST "\r\n", HTTP1_METHOD_OTHER, "/", NULL, "a", "", KEEP},
    {"!#$%&'*+-.^_`|~09AZaz / HTTP/1.1\r\n" HOST "\r\n", HTTP1_METHOD_OTHER, "/", NULL, "a", "", KEEP},
    /* Absolute targets: their host counts (RFC 9112 section 3.2.2). */
    {"GET http://b:81/p?q HTTP/1.1\r\n" HOST "\r\n", HTTP1_METHOD_GET, "/p", "q", "b:81", "", KEEP},
    {"GET HTTPS://b?q HTTP/1.1\r\n" HOST "\r\n", HTTP1_METHOD_GET, "/", "q", "b", "", KEEP},
    {"GET / HTTP/1.1\r\nHost: a:65535\r\n\r\n", HTTP1_METHOD_GET, "/", NULL, "a:65535", "", KEEP},
    {"GET / HTTP/1.1\r\nHost: a:0\r\n\r\n", HTTP1_METHOD_GET, "/", NULL, "a:0", "", KEEP},
    {"GET http://[::1] HTTP/1.1\r\n" HOST "\r\n", HTTP1_METHOD_GET, "/", NULL, "[::1]", "", KEEP},
    /* Versions and what becomes of the connection (RFC 9112 section 9.3). */
    {"GET / HTTP/1.0\r\n\r\n", HTTP1_METHOD_GET, "/", NULL, "", "", OLD},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n" HOST "\r\n", HTTP1_METHOD_GET, "/", NULL, "a", "", OLD | KEEP},
    {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", HTTP1_METHOD_GET, "/", NULL, "", "", OLD},
    {"GET / HTTP/1.7\r\n" HOST "\r\n", HTTP1_METHOD_GET, "/", NULL, "a", "", KEEP},
    {GET "Connection: x\r\nConnection: y,\tCLOSE \r\n\r\n", HTTP1_METHOD_GET, "/", NULL, "a", "", 0},
    {GET "Connection: keep-alive,Upgrade\r\n\r\n", HTTP1_METHOD_GET, "/", NULL, "a", "", KEEP | UPGRADE},
    {GET "Connection: closed, xupgrade\r\n\r\n", HTTP1_METHOD_GET, "/", NULL, "a", "", KEEP},
    /* Bodies. */
    {POST "\r\n", HTTP1_METHOD_POST, "/", NULL, "a", "", KEEP},
    {POST "Content-Length: 0\r\n\r\n", HTTP1_METHOD_POST, "/", NULL, "a", "", KEEP | LENGTH},
    {POST "content-length:\t0003 \r\n\r\nabc", HTTP1_METHOD_POST, "/", NULL, "a", "abc", KEEP | LENGTH},
    {GET "Content-Length: 3\r\n\r\nabc", HTTP1_METHOD_GET, "/", NULL, "a", "abc", KEEP | LENGTH},
    {CHUNKED "0\r\n\r\n", HTTP1_METHOD_POST, "/", NULL, "a", "", KEEP | LENGTH | CHUNKS},
    {CHUNKED "3\r\nabc\r\n00B\r\n0123456789A\r\n0\r\n\r\n", HTTP1_METHOD_POST, "/", NULL, "a", "abc0123456789A", KEEP | LENGTH | CHUNKS},
    {CHUNKED "1;x\r\na\r\n1 \t;y=\"z;\"\r\nb\r\n1;\r\nc\r\n000;e\r\n\r\n", HTTP1_METHOD_POST, "/", NULL, "a", "abc", KEEP | LENGTH | CHUNKS},
    {CHUNKED "0000000000000001\r\na\r\n0\r\nT: u\r\nV:\r\nHost: b\r\n\r\n", HTTP1_METHOD_POST, "/", NULL, "a", "a", KEEP | LENGTH | CHUNKS},
    {POST "Transfer-Encoding:CHUNKED\r\n\r\n0\r\n\r\n", HTTP1_METHOD_POST, "/", NULL, "a", "", KEEP | LENGTH | CHUNKS},
    /* Expect is for those who have something to wait with (RFC 9110 section 10.1.1). */
    {POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx", HTTP1_METHOD_POST, "/", NULL, "a", "x", KEEP | LENGTH | EXPECT},
    {POST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", HTTP1_METHOD_POST, "/", NULL, "a", "", KEEP | LENGTH},
    {POST "Expect: 100-continue\r\n\r\n", HTTP1_METHOD_POST, "/", NULL, "a", "", KEEP},
    {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx", HTTP1_METHOD_POST, "/", NULL, "", "x", OLD | LENGTH},
    {"POST / HTTP/1.0\r\nExpect: nonsense\r\n\r\n", HTTP1_METHOD_POST, "/", NULL, "", "", OLD},
};
// clang-format on

static unsigned flags_of(const struct http1_request *r)
{
    return (r->keep_alive ? KEEP : 0u) | (r->has_length ? LENGTH : 0u) |
           (r->chunked ? CHUNKS : 0u) | (r->expect_continue ? EXPECT : 0u) |
           (r->connection_upgrade ? UPGRADE : 0u) | (r->minor == 0 ? OLD : 0u);
}

static void assert_accepted(const struct acceptance *a)
{
    struct http1 p;
    struct buf body = {0};
    http1_init(&p, &trace_limits);
    if (feed_all(&p, slice_str(a->text), &body) != HTTP1_DONE) {
        fail_msg("%s: %s", a->text, p.reason ? p.reason : "more");
    }
    assert_int_equal(req.method, a->method);
    assert_int_equal(flags_of(&req), a->flags);
    assert_true(slice_is(req.path, a->path));
    assert_true(a->query ? slice_is(req.query, a->query) && req.query.p : !req.query.p);
    assert_true(slice_is(req.host, a->host));
    assert_true(slice_is(buf_slice(&body), a->body));
    http1_done(&p);
    buf_done(&body);
}

static void what_the_grammar_allows_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof acceptances / sizeof *acceptances; i++) {
        const char *text = acceptances[i].text;
        assert_accepted(&acceptances[i]);
        assert_cuts_change_nothing(&trace_limits, (const uint8_t *)text, strlen(text));
    }
}

/* Puts every byte into a place and compares the verdict with a list of what may stand there. */
static void assert_place_takes(const char *before, const char *after, const char *good, bool high)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        struct buf text = {0};
        struct http1 p;
        uint8_t b = (uint8_t)byte;
        bool expected = byte >= 0x80 ? high : byte && strchr(good, (int)byte);
        buf_add_str(&text, before);
        buf_add(&text, &b, 1);
        buf_add_str(&text, after);
        http1_init(&p, &trace_limits);
        bool taken = feed_all(&p, buf_slice(&text), NULL) == HTTP1_DONE;
        if (taken != expected) {
            fail_msg("byte %02x after %s: %s", byte, before, taken ? "taken" : "refused");
        }
        http1_done(&p);
        buf_done(&text);
    }
}

#define ALNUM "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

static void each_place_takes_the_bytes_that_may_stand_there(void **state)
{
    (void)state;
    const char *tokens = ALNUM "!#$%&'*+-.^_`|~";
    assert_place_takes("X", " / HTTP/1.1\r\n" HOST "\r\n", tokens, false);
    /* A colon ends the name; here the value then begins with one. */
    assert_place_takes(GET "X", ": v\r\n\r\n", ALNUM "!#$%&'*+-.^_`|~:", false);
    const char *visible = ALNUM " \t!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    assert_place_takes(GET "X: v", "v\r\n\r\n", visible, true);
    assert_place_takes(GET "X: 0123456789abcd", "0123456789abcdef\r\n\r\n", visible, true);
    assert_place_takes("GET /", "x HTTP/1.1\r\n" HOST "\r\n", ALNUM "!$%&'()*+,-./:;=?@[\\]^_`{|}~",
                       false);
    assert_place_takes("GET / HTTP/1.1\r\nHost: x", "1\r\n\r\n", ALNUM "-._~:", false);
    assert_place_takes("GET / HTTP/1.1\r\nHost: [", ":1]\r\n\r\n", "0123456789abcdefABCDEF:.",
                       false);
}

/* --- memory -------------------------------------------------------------------------------------
 */

static void a_request_that_comes_whole_needs_no_memory_and_no_copy(void **state)
{
    (void)state;
    const char *text = "POST /x HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab";
    struct slice in = slice_str(text);
    struct http1 p;
    size_t used;
    http1_init(&p, &trace_limits);
    assert_true(sizeof p <= 128);
    assert_int_equal(http1_feed(&p, &req, in.p, in.n, &used), HTTP1_HEAD);
    assert_int_equal(used, in.n - 2);
    assert_ptr_equal(req.path.p, in.p + 5);
    assert_int_equal(http1_feed(&p, &req, in.p + used, 2, &used), HTTP1_BODY);
    assert_ptr_equal(p.body.p, in.p + in.n - 2);
    assert_int_equal(http1_feed(&p, &req, in.p + in.n, 0, &used), HTTP1_DONE);
    assert_null(p.head.p);
    http1_done(&p);
}

static void a_head_in_parts_is_kept_until_the_feed_after_done(void **state)
{
    (void)state;
    struct http1 p;
    http1_init(&p, &trace_limits);
    assert_int_equal(http1_phase(&p), HTTP1_IDLE);
    assert_int_equal(feed_all(&p, slice_str("\r\n"), NULL), HTTP1_MORE);
    assert_int_equal(http1_phase(&p), HTTP1_IDLE);
    assert_null(p.head.p);
    assert_int_equal(feed_all(&p, slice_str("GET /x HT"), NULL), HTTP1_MORE);
    assert_int_equal(http1_phase(&p), HTTP1_IN_HEAD);
    assert_int_equal(feed_all(&p, slice_str("TP/1.1\r\n" HOST "\r\n"), NULL), HTTP1_DONE);
    assert_int_equal(http1_phase(&p), HTTP1_ANSWERING);
    assert_non_null(p.head.p);
    assert_true(slice_is(req.path, "/x"));
    assert_int_equal(feed_all(&p, slice_str(""), NULL), HTTP1_MORE);
    assert_int_equal(http1_phase(&p), HTTP1_IDLE);
    assert_null(p.head.p);
    http1_done(&p);
}

static void a_head_whose_body_is_to_come_survives_its_input_and_the_scratch(void **state)
{
    (void)state;
    struct http1 p;
    struct buf body = {0};
    char first[] = "POST /x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab";
    http1_init(&p, &trace_limits);
    assert_int_equal(feed_all(&p, slice_str(first), &body), HTTP1_HEAD);
    assert_int_equal(http1_phase(&p), HTTP1_IN_BODY);
    memset(first, 'z', sizeof first);
    memset(&req, 0xff, sizeof req);
    assert_int_equal(feed_all(&p, slice_str("cd"), &body), HTTP1_DONE);
    assert_true(slice_is(req.path, "/x") && slice_is(req.query, "y"));
    assert_true(slice_is(buf_slice(&body), "abcd"));
    http1_done(&p);
    buf_done(&body);
}

static void a_kept_request_may_be_viewed_after_its_input_is_gone(void **state)
{
    (void)state;
    static struct http1_request other;
    struct http1 p;
    char text[] = "GET /x HTTP/1.1\r\nHost: a\r\nRequest-Id: 7\r\n\r\n";
    http1_init(&p, &trace_limits);
    assert_int_equal(feed_all(&p, slice_str(text), NULL), HTTP1_DONE);
    http1_keep(&p, &req);
    http1_keep(&p, &req); /* twice is fine */
    memset(text, 'z', sizeof text);
    assert_true(slice_is(req.path, "/x"));
    http1_view(&p, &other);
    assert_true(slice_is(http1_header(&other, "request-id")->value, "7"));
    http1_done(&p);
}

static void
the_path_of_a_request_that_breaks_off_or_is_refused_is_seen_once_it_is_whole(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path; /* "": not seen */
    } rows[] = {
        {"", ""},
        {"\r\n", ""},
        {"GET", ""},
        {"GET ", ""},
        {"GET /agents", ""},
        {"GET /agents ", "/agents"},
        {"GET /agents?", "/agents"},
        {"\r\nGET /agents?a=b", "/agents"},
        {"GET /a%2Fb HTTP/1.1\r\nHos", "/a%2Fb"},
        {"GET http://hub/agents/x?y HTTP/1.1\r\n", "/agents/x"},
        {"GET http://hub HTTP/1.1\r\n", ""},
        {"OPTIONS * HTTP/1.1\r\n", "*"},
        {"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab", "/x"},
        {"GET /x HTTP/2.0\r\n", "/x"},
        {"GET /x HTTP/1.1\r\nno header\r\n", "/x"},
        {"GET /x HTTP/1.1\r\n\r\n", "/x"}, /* no Host */
        {"GET /x\r\n", ""},
        {"GET  /x HTTP/1.1\r\n", ""},
        {"GET /x\ty HTTP/1.1\r\n", ""},
        {"(GET) /x HTTP/1.1\r\n", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int whole = 0; whole < 2; whole++) {
            struct http1 p;
            struct slice text = slice_str(rows[i].text);
            http1_init(&p, &trace_limits);
            enum http1_event event = whole ? feed_all(&p, text, NULL) : HTTP1_MORE;
            for (size_t at = 0; !whole && event != HTTP1_ERROR && at < text.n; at++) {
                event = feed_all(&p, slice_of(text.p + at, 1), NULL);
            }
            if (!slice_is(http1_seen_path(&p), rows[i].path)) {
                fail_msg("row %zu: %s", i, rows[i].text);
            }
            http1_done(&p);
        }
    }
}

/* --- limits -------------------------------------------------------------------------------------
 */

static const struct http1_limits small = {200, 50, 3, 10};

/* What comes of a text under the small limits: 0 when it is accepted; no cut changes that. */
static unsigned small_status(struct buf *text)
{
    struct http1 p;
    http1_init(&p, &small);
    enum http1_event event = feed_all(&p, buf_slice(text), NULL);
    unsigned status = event == HTTP1_ERROR ? p.status : event == HTTP1_DONE ? 0 : 1;
    http1_done(&p);
    assert_cuts_change_nothing(&small, text->p, text->n);
    buf_clear(text);
    return status;
}

static void add_times(struct buf *b, const char *text, size_t times)
{
    while (times--) {
        buf_add_str(b, text);
    }
}

static void the_target_may_be_as_long_as_its_limit(void **state)
{
    (void)state;
    struct buf b = {0};
    for (size_t n = 49; n <= 300; n++) {
        buf_add_str(&b, "GET /");
        add_times(&b, "x", n - 1);
        buf_add_str(&b, " HTTP/1.1\r\n" HOST "\r\n");
        assert_int_equal(small_status(&b), n <= 50 ? 0 : 414);
    }
    add_times(&b, "M", HTTP1_METHOD_BYTES_MAX); /* beside the longest method too */
    buf_add_str(&b, " /");
    add_times(&b, "x", 49);
    buf_add_str(&b, " HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(small_status(&b), 0);
    buf_add_str(&b, "GET /"); /* and without an end */
    add_times(&b, "x", 100);
    assert_int_equal(small_status(&b), 414);
    add_times(&b, "x", 100); /* a request line that is no such thing is still too long */
    buf_add_str(&b, "\n");
    assert_int_equal(small_status(&b), 414);
    buf_done(&b);
}

static void the_head_may_be_as_long_as_its_limit(void **state)
{
    (void)state;
    struct buf b = {0};
    size_t rest = strlen(GET "A: \r\n\r\n");
    for (size_t n = 198; n <= 202; n++) {
        buf_add_str(&b, GET "A: ");
        add_times(&b, "x", n - rest);
        buf_add_str(&b, "\r\n\r\n");
        assert_int_equal(b.n, n);
        assert_int_equal(small_status(&b), n <= 200 ? 0 : 431);
    }
    buf_add_str(&b, GET "A: ");
    add_times(&b, "x", 300);
    assert_int_equal(small_status(&b), 431);
    buf_done(&b);
}

static void there_may_be_as_many_headers_as_their_limit(void **state)
{
    (void)state;
    struct buf b = {0};
    for (size_t n = 0; n <= 6; n++) {
        buf_add_str(&b, GET);
        add_times(&b, "A:\r\n", n);
        buf_add_str(&b, "\r\n");
        assert_int_equal(small_status(&b), n + 1 <= 3 ? 0 : 431);
    }
    buf_done(&b);
}

static void the_body_may_be_as_long_as_its_limit(void **state)
{
    (void)state;
    struct buf b = {0};
    for (unsigned n = 8; n <= 12; n++) {
        buf_printf(&b, POST "Content-Length: %u\r\n\r\n", n);
        add_times(&b, "x", n);
        assert_int_equal(small_status(&b), n <= 10 ? 0 : 413);
        buf_add_str(&b, CHUNKED);
        add_times(&b, "1\r\nx\r\n", n);
        buf_add_str(&b, "0\r\n\r\n");
        assert_int_equal(small_status(&b), n <= 10 ? 0 : 413);
    }
    buf_done(&b);
}

static void a_route_may_set_another_limit_before_a_byte_of_body_is_said(void **state)
{
    (void)state;
    const char *text = POST "Content-Length: 12\r\n\r\n012345678901";
    for (unsigned limit = 11; limit <= 12; limit++) {
        struct http1 p;
        struct slice in = slice_str(text);
        size_t used;
        http1_init(&p, &small);
        assert_int_equal(http1_feed(&p, &req, in.p, in.n, &used), HTTP1_HEAD);
        http1_body_limit(&p, limit);
        enum http1_event event = http1_feed(&p, &req, in.p + used, in.n - used, &used);
        assert_int_equal(event, limit == 12 ? HTTP1_BODY : HTTP1_ERROR);
        http1_done(&p);
    }
}

static void extensions_and_trailers_are_bounded_over_the_whole_body(void **state)
{
    (void)state;
    static const struct http1_limits large = {16384, 8192, 100, 1 << 20};
    for (int past = 0; past <= 1; past++) {
        struct http1 p;
        struct buf b = {0};
        http1_init(&p, &large);
        /* Each extension is three bytes with its CR, the trailers are "A:\r" and the last CR. */
        buf_add_str(&b, CHUNKED);
        add_times(&b, "1;x\r\ny\r\n", (HTTP1_EXTRA_BYTES_MAX - 4) / 3);
        buf_add_str(&b, past ? "0;\r\nA:\r\n\r\n" : "0\r\nA:\r\n\r\n");
        assert_int_equal(feed_all(&p, buf_slice(&b), NULL), past ? HTTP1_ERROR : HTTP1_DONE);
        assert_true(!past || p.status == 431);
        http1_done(&p);
        buf_clear(&b);
        http1_init(&p, &large);
        buf_add_str(&b, CHUNKED "1;");
        add_times(&b, "x", HTTP1_EXTRA_BYTES_MAX - 2 + (size_t)past);
        buf_add_str(&b, "\r\ny");
        assert_int_equal(feed_all(&p, buf_slice(&b), NULL), past ? HTTP1_ERROR : HTTP1_HEAD);
        assert_true(!past || p.status == 400);
        http1_done(&p);
        buf_done(&b);
    }
}

/* --- pipelines ----------------------------------------------------------------------------------
 */

static void upgraded_bytes_are_left_to_the_caller(void **state)
{
    (void)state;
    const char *text = GET "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x80";
    struct http1 p;
    struct slice in = slice_str(text);
    size_t used;
    http1_init(&p, &trace_limits);
    assert_int_equal(http1_feed(&p, &req, in.p, in.n, &used), HTTP1_HEAD);
    assert_int_equal(used, in.n - 2);
    assert_int_equal(http1_feed(&p, &req, in.p + used, 2, &used), HTTP1_DONE);
    assert_int_equal(used, 0);
    http1_done(&p);
}

/* One random request onto the stream, and what must be said of it onto expected. */
static void add_random_request(uint64_t *seed, unsigned number, struct buf *stream,
                               struct buf *expected)
{
    unsigned body_n = (unsigned)(next_random(seed) % 300), kind = (unsigned)(next_random(seed) % 3);
    add_times(stream, "\r\n", next_random(seed) % 3);
    buf_printf(stream, "POST /%s%u HTTP/1.1\r\n" HOST, next_random(seed) % 2 ? "keep" : "", number);
    for (uint64_t i = next_random(seed) % 5; i > 0; i--) {
        buf_printf(stream, "X-%u: %u\r\n", (unsigned)i, number);
    }
    buf_printf(expected, "%u:", number);
    if (kind == 0) {
        buf_add_str(stream, "\r\n");
    } else if (kind == 1) {
        buf_printf(stream, "Content-Length: %u\r\n\r\n", body_n);
        add_times(stream, "b", body_n);
        add_times(expected, "b", body_n);
    } else {
        buf_add_str(stream, "Transfer-Encoding: chunked\r\n\r\n");
        for (unsigned i = 0; i < body_n; i += 7) {
            buf_add_str(stream, i % 2 ? "7\r\n0\r\n1\r\nx\r\n" : "007;a\r\n0\r\n1\r\nx\r\n");
            buf_add_str(expected, "0\r\n1\r\nx");
        }
        buf_add_str(stream, body_n % 2 ? "0\r\nT: u\r\n\r\n" : "0\r\n\r\n");
    }
}

static void say_event(struct buf *said, const struct http1 *p, enum http1_event event)
{
    assert_int_not_equal(event, HTTP1_ERROR);
    if (event == HTTP1_HEAD) {
        struct slice digits = slice_of(req.path.p + 1, req.path.n - 1);
        size_t keep = slice_starts(digits, "keep") ? 4 : 0;
        buf_add(said, digits.p + keep, digits.n - keep);
        buf_add_str(said, ":");
    } else if (event == HTTP1_BODY) {
        buf_add_slice(said, p->body);
    }
}

static void pipelined_requests_come_out_in_order_with_their_own_bodies(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL) | 1;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 300; round++) {
        struct buf stream = {0}, expected = {0}, said = {0};
        struct http1 p;
        for (unsigned i = 0; i < 8; i++) {
            add_random_request(&seed, i, &stream, &expected);
        }
        struct cutter cutter = cut_randomly(next_random(&seed), 1 + next_random(&seed) % 200);
        struct slice left = buf_slice(&stream);
        http1_init(&p, &trace_limits);
        while (left.n) {
            size_t n, at = 0, used;
            uint8_t *input = cutter_next(&cutter, &left, &n);
            enum http1_event event;
            while ((event = http1_feed(&p, &req, input + at, n - at, &used)) != HTTP1_MORE) {
                at += used;
                say_event(&said, &p, event);
            }
            free(input);
        }
        assert_true(slice_equal(buf_slice(&expected), buf_slice(&said)));
        http1_done(&p);
        buf_done(&stream);
        buf_done(&expected);
        buf_done(&said);
    }
}

/* --- looking up headers -------------------------------------------------------------------------
 */

static void headers_are_found_in_any_case_and_by_token(void **state)
{
    (void)state;
    struct http1 p;
    const char *text = GET "X-API-Key: k1\r\nAccept:\r\nx-api-KEY: k2 \r\n"
                           "Upgrade: h2c,  WebSocket\r\nUpgrade: x\r\n\r\n";
    http1_init(&p, &trace_limits);
    assert_int_equal(feed_all(&p, slice_str(text), NULL), HTTP1_DONE);
    assert_true(slice_is(http1_header(&req, "x-api-key")->value, "k1"));
    assert_int_equal(http1_header_count(&req, "x-api-key"), 2);
    assert_int_equal(http1_header(&req, "accept")->value.n, 0);
    assert_null(http1_header(&req, "x-api-ke"));
    assert_null(http1_header(&req, "x-api-keyy"));
    assert_true(http1_header_has(&req, "upgrade", "websocket"));
    assert_true(http1_header_has(&req, "upgrade", "x"));
    assert_false(http1_header_has(&req, "upgrade", "socket"));
    assert_false(http1_header_has(&req, "connection", "upgrade"));
    http1_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_cut_changes_what_is_said_of_the_corpus),
        cmocka_unit_test(each_breach_has_its_status_and_no_cut_changes_it),
        cmocka_unit_test(an_error_is_for_good),
        cmocka_unit_test(what_the_grammar_allows_is_accepted),
        cmocka_unit_test(each_place_takes_the_bytes_that_may_stand_there),
        cmocka_unit_test(a_request_that_comes_whole_needs_no_memory_and_no_copy),
        cmocka_unit_test(a_head_in_parts_is_kept_until_the_feed_after_done),
        cmocka_unit_test(a_head_whose_body_is_to_come_survives_its_input_and_the_scratch),
        cmocka_unit_test(a_kept_request_may_be_viewed_after_its_input_is_gone),
        cmocka_unit_test(
            the_path_of_a_request_that_breaks_off_or_is_refused_is_seen_once_it_is_whole),
        cmocka_unit_test(the_target_may_be_as_long_as_its_limit),
        cmocka_unit_test(the_head_may_be_as_long_as_its_limit),
        cmocka_unit_test(there_may_be_as_many_headers_as_their_limit),
        cmocka_unit_test(the_body_may_be_as_long_as_its_limit),
        cmocka_unit_test(a_route_may_set_another_limit_before_a_byte_of_body_is_said),
        cmocka_unit_test(extensions_and_trailers_are_bounded_over_the_whole_body),
        cmocka_unit_test(upgraded_bytes_are_left_to_the_caller),
        cmocka_unit_test(pipelined_requests_come_out_in_order_with_their_own_bodies),
        cmocka_unit_test(headers_are_found_in_any_case_and_by_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
