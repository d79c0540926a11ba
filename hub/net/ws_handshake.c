#include "hub/net/ws_handshake.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "hub/net/http1_text.h"

enum { KEY_BYTES = 24 }; /* sixteen bytes in base64 */

static bool is_base64_digit(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9') || byte == '+' || byte == '/';
}

/* The last digit's four spare bits are not judged: the RFC's own example of a key (section 4.1) has
 * them set, and nobody uses what they would decode to. */
static bool key_valid(struct slice key)
{
    if (key.n != KEY_BYTES || key.p[KEY_BYTES - 2] != '=' || key.p[KEY_BYTES - 1] != '=') {
        return false;
    }
    for (size_t i = 0; i < KEY_BYTES - 2; i++) {
        if (!is_base64_digit(key.p[i])) {
            return false;
        }
    }
    return true;
}

bool ws_accept_key(struct slice key, char out[WS_ACCEPT_BYTES + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 section 1.3 */
    uint8_t text[KEY_BYTES + sizeof guid - 1], hash[SHA_DIGEST_LENGTH];
    if (!key_valid(key)) {
        return false;
    }
    memcpy(text, key.p, KEY_BYTES);
    memcpy(text + KEY_BYTES, guid, sizeof guid - 1);
    SHA1(text, sizeof text, hash);
    int n = EVP_EncodeBlock((uint8_t *)out, hash, sizeof hash);
    assert(n == WS_ACCEPT_BYTES);
    return true;
}

static struct ws_handshake refuse(uint16_t status, const char *reason)
{
    return (struct ws_handshake){.status = status, .reason = reason};
}

/* The value of a header that must stand exactly once; an empty slice otherwise. */
static struct slice only_value(const struct http1_request *req, const char *name)
{
    const struct http1_header *header = http1_header(req, name);
    return header && http1_header_count(req, name) == 1 ? header->value : (struct slice){0};
}

struct ws_handshake ws_handshake_check(const struct http1_request *req)
{
    if (req->method != HTTP1_METHOD_GET) {
        return refuse(405, "a WebSocket is opened with GET");
    }
    if (!http1_header_has(req, "upgrade", "websocket")) {
        return refuse(426, "this address speaks WebSocket");
    }
    if (req->minor == 0) {
        return refuse(400, "a WebSocket is opened with HTTP/1.1");
    }
    if (!req->connection_upgrade) {
        return refuse(400, "Connection does not name Upgrade");
    }
    if (req->chunked || req->content_length) {
        return refuse(400, "a WebSocket is opened without a body");
    }
    if (http1_header_count(req, "sec-websocket-version") == 0) {
        return refuse(400, "no Sec-WebSocket-Version");
    }
    if (!slice_is(only_value(req, "sec-websocket-version"), "13")) {
        return refuse(426, "only version 13 of WebSocket is spoken here");
    }
    struct slice key = only_value(req, "sec-websocket-key");
    if (!key_valid(key)) {
        return refuse(400, "Sec-WebSocket-Key is not sixteen bytes in base64");
    }
    return (struct ws_handshake){.status = 101, .key = key};
}

void ws_handshake_answer(struct buf *out, struct slice key, struct slice protocol)
{
    char accept[WS_ACCEPT_BYTES + 1];
    bool valid = ws_accept_key(key, accept);
    assert(valid);
    http1_answer_begin(out, 101);
    http1_answer_add_str(out, "Upgrade", "websocket");
    http1_answer_add_str(out, "Connection", "Upgrade");
    http1_answer_add_str(out, "Sec-WebSocket-Accept", accept);
    if (protocol.n) {
        (void)http1_answer_add(out, "Sec-WebSocket-Protocol", protocol); /* was a header's token */
    }
}
