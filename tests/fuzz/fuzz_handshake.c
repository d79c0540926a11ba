/* The input is a request's head. What the handshake takes is answered with a head that a client can
 * check; what it refuses has a status and a reason. */
#include <assert.h>

#include "hub/net/http1_text.h"
#include "hub/net/ws_handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(const struct http1_request *req, const struct ws_handshake *hs)
{
    char accept[WS_ACCEPT_BYTES + 1];
    struct buf head = {0};
    bool valid = ws_accept_key(hs->key, accept);
    assert(valid && strlen(accept) == WS_ACCEPT_BYTES);
    assert(req->method == HTTP1_METHOD_GET && req->minor == 1 && req->connection_upgrade);
    assert(!req->chunked && req->content_length == 0);
    ws_handshake_answer(&head, hs->key, (struct slice){0});
    http1_answer_end(&head);
    buf_add(&head, "", 1);
    assert(strlen((char *)head.p) == head.n - 1);
    assert(strstr((char *)head.p, accept) && strstr((char *)head.p, "\r\n\r\n"));
    buf_done(&head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http1_limits limits = {
        .head_bytes_max = 4096, .target_bytes_max = 1024, .headers_max = 64, .body_bytes_max = 64};
    static struct http1_request req;
    struct http1 p;
    size_t used;
    http1_init(&p, &limits);
    if (http1_feed(&p, &req, data, size, &used) == HTTP1_HEAD) {
        struct ws_handshake hs = ws_handshake_check(&req);
        if (hs.status == 101) {
            check_answer(&req, &hs);
        } else {
            assert(hs.status >= 400 && hs.status < 500 && hs.reason && *hs.reason);
        }
    }
    http1_done(&p);
    return 0;
}
