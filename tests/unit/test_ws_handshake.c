#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/net/http1_text.h"
#include "hub/net/ws_handshake.h"

static const struct http1_limits limits = {4096, 1024, 32, 1024};
static struct http1_request req;

/* The example of RFC 6455 section 1.2 */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

struct row {
    const char *text;
    uint16_t status;
    const char *reason;
};

#define GET11 "GET /app HTTP/1.1\r\nHost: a\r\n"
#define REST "\r\n\r\n"
#define UP "Upgrade: websocket\r\n"
#define CONN "Connection: Upgrade\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define K "Sec-WebSocket-Key: " KEY

// clang-format off
static const struct row rows[] = {
    {GET11 UP CONN V13 K REST,                                              101, ""},
    {GET11 "Upgrade: h2c, WebSocket\r\nConnection: keep-alive, upgrade\r\n" V13 K REST, 101, ""},
    {GET11 UP CONN V13 "Content-Length: 0\r\n" K REST,                      101, ""},
    {"POST /app HTTP/1.1\r\nHost: a\r\n" UP CONN V13 K REST,                405, "a WebSocket is opened with GET"},
    {"HEAD /app HTTP/1.1\r\nHost: a\r\n" UP CONN V13 K REST,                405, "a WebSocket is opened with GET"},
    {GET11 CONN V13 K REST,                                                 426, "this address speaks"},
    {GET11 "Upgrade: h2c\r\n" CONN V13 K REST,                              426, "this address speaks"},
    {"GET /app HTTP/1.0\r\nHost: a\r\n" UP CONN V13 K REST,                 400, "a WebSocket is opened with HTTP"},
    {GET11 UP V13 K REST,                                                   400, "Connection does not"},
    {GET11 UP "Connection: keep-alive\r\n" V13 K REST,                      400, "Connection does not"},
    {GET11 UP CONN V13 "Content-Length: 1\r\n" K REST,                      400, "a WebSocket is opened without"},
    {GET11 UP CONN V13 "Transfer-Encoding: chunked\r\n" K REST,             400, "a WebSocket is opened without"},
    {GET11 UP CONN K REST,                                                  400, "no Sec-WebSocket-Version"},
    {GET11 UP CONN "Sec-WebSocket-Version: 8\r\n" K REST,                   426, "only version 13"},
    {GET11 UP CONN "Sec-WebSocket-Version: 013\r\n" K REST,                 426, "only version 13"},
    {GET11 UP CONN "Sec-WebSocket-Version: 13, 8\r\n" K REST,               426, "only version 13"},
    {GET11 UP CONN V13 V13 K REST,                                          426, "only version 13"},
    {GET11 UP CONN "Sec-WebSocket-Version: 13" REST,                        400, "Sec-WebSocket-Key"},
    {GET11 UP CONN V13 K "\r\n" K REST,                                     400, "Sec-WebSocket-Key"},
    {GET11 UP CONN V13 K "=" REST,                                          400, "Sec-WebSocket-Key"},
    {GET11 UP CONN V13 "Sec-WebSocket-Key: " REST,                          400, "Sec-WebSocket-Key"},
};
// clang-format on

static void the_handshake_is_granted_or_refused_with_its_status(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http1 p;
        struct slice in = slice_str(rows[i].text);
        size_t used;
        http1_init(&p, &limits);
        assert_int_equal(http1_feed(&p, &req, in.p, in.n, &used), HTTP1_HEAD);
        struct ws_handshake got = ws_handshake_check(&req);
        if (got.status != rows[i].status) {
            fail_msg("row %zu: %d %s", i, got.status, got.reason);
        }
        if (got.status == 101) {
            assert_true(slice_is(got.key, KEY));
        } else {
            assert_true(slice_starts(slice_str(got.reason), rows[i].reason));
        }
        http1_done(&p);
    }
}

static void a_key_is_sixteen_bytes_in_base64(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZQQ=",
        "dGhlIHNhbXBsZSBub25jZQQQ",
        "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBsZSBub25j-_==",
        "dGhlIHNhbXBsZ SBub25jZ==",
        "=GhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
    };
    char out[WS_ACCEPT_BYTES + 1];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(ws_accept_key(slice_str(bad[i]), out));
    }
    assert_true(ws_accept_key(slice_str(KEY), out));
    assert_string_equal(out, ACCEPT);
    assert_true(ws_accept_key(slice_str("AQIDBAUGBwgJCgsMDQ4PEC=="), out)); /* spare bits set */
    assert_true(ws_accept_key(slice_str("+/AZaz09++++//////////=="), out));
}

static void the_answer_carries_the_key_s_proof_and_the_protocol_chosen(void **state)
{
    (void)state;
    struct buf out = {0};
    ws_handshake_answer(&out, slice_str(KEY), slice_str("waggle.v1"));
    http1_answer_end(&out);
    assert_true(slice_is(buf_slice(&out), "HTTP/1.1 101 Switching Protocols\r\n"
                                          "Upgrade: websocket\r\n"
                                          "Connection: Upgrade\r\n"
                                          "Sec-WebSocket-Accept: " ACCEPT "\r\n"
                                          "Sec-WebSocket-Protocol: waggle.v1\r\n\r\n"));
    buf_clear(&out);
    ws_handshake_answer(&out, slice_str(KEY), (struct slice){0});
    assert_true(slice_is(buf_slice(&out), "HTTP/1.1 101 Switching Protocols\r\n"
                                          "Upgrade: websocket\r\n"
                                          "Connection: Upgrade\r\n"
                                          "Sec-WebSocket-Accept: " ACCEPT "\r\n"));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_handshake_is_granted_or_refused_with_its_status),
        cmocka_unit_test(a_key_is_sixteen_bytes_in_base64),
        cmocka_unit_test(the_answer_carries_the_key_s_proof_and_the_protocol_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
