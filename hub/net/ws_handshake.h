/* hub/net/ws_handshake.h: the request that turns HTTP into WebSocket, and its answer (RFC 6455
 * section 4.2).
 *
 * Owns     nothing; slices borrow from the request.       Threads  any.
 */
#ifndef WAGGLE_HUB_NET_WS_HANDSHAKE_H
#define WAGGLE_HUB_NET_WS_HANDSHAKE_H

#include "hub/net/http1.h"

enum { WS_ACCEPT_BYTES = 28 };

struct ws_handshake {
    /* 101, or what to answer: 400, 405 (with Allow: GET), or 426 (with Upgrade: websocket,
     * Connection: Upgrade and Sec-WebSocket-Version: 13). */
    uint16_t status;
    const char *reason; /* of a refusal */
    struct slice key;   /* of a 101 */
};

struct ws_handshake ws_handshake_check(const struct http1_request *req);

/* False when key is not sixteen bytes in base64. */
bool ws_accept_key(struct slice key, char out[WS_ACCEPT_BYTES + 1]);

/* Appends the head of the 101 that a checked key demands; more headers may follow it, then
 * http1_answer_end(). protocol is the subprotocol chosen from those offered, empty for none. */
void ws_handshake_answer(struct buf *out, struct slice key, struct slice protocol);

#endif
