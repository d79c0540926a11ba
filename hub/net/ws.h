/* hub/net/ws.h: WebSocket frames as a machine over bytes, for both ends (RFC 6455).
 *
 *     n bytes have come into rx:
 *     while ((event = ws_feed(w, rx, n, &used)) != WS_MORE) {
 *         rx += used, n -= used;
 *         MESSAGE  w->message, w->opcode (WS_TEXT, checked UTF-8, or WS_BINARY)
 *         PING     answer with a pong that carries w->message
 *         PONG     w->message
 *         CLOSE    w->code (1005: none was sent), w->message the reason; answer; feed no more
 *         ERROR    close with w->code and ws_reason(w); feed no more
 *     }
 *
 * No extension is offered, so every reserved bit is a fault. What is said depends on the bytes
 * alone, not on how they were cut, and a fault is found at the first byte that shows it.
 *
 * Owns     the bytes of a message or control frame that comes in parts; nothing while idle. A
 *          message whose one frame lies whole in the input is unmasked and given where it lies.
 * Threads  one at a time.
 * Units    bytes.
 * Limits   message_bytes_max, at most WS_MESSAGE_BYTES_LIMIT; memory grows with the bytes that
 *          came, not with the length that was announced.
 * Errors   WS_ERROR, for good: 1002 protocol, 1007 not UTF-8, 1009 too long.
 */
#ifndef WAGGLE_HUB_NET_WS_H
#define WAGGLE_HUB_NET_WS_H

#include "store/bytes.h"

enum ws_role { WS_SERVER, WS_CLIENT }; /* ours: a server demands masks, a client refuses them */

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_OP_CLOSE = 8,
    WS_OP_PING = 9,
    WS_OP_PONG = 10,
};

enum ws_event { WS_MORE, WS_MESSAGE, WS_PING, WS_PONG, WS_CLOSE, WS_ERROR };

enum {
    WS_HEAD_BYTES_MAX = 14,
    WS_CONTROL_BYTES_MAX = 125, /* RFC 6455 section 5.5 */
    WS_CLOSE_FRAME_BYTES_MAX = 6 + WS_CONTROL_BYTES_MAX,
    WS_MESSAGE_BYTES_LIMIT = 1 << 30,
};

struct ws {
    struct slice message; /* until the next feed */
    uint16_t code;        /* at CLOSE and ERROR */
    uint8_t opcode;       /* at MESSAGE */

    /* The rest is ws.c's. */
    uint8_t role, state, fault;
    uint8_t in_message; /* opcode of the message that has begun; 0: none */
    uint8_t utf8;       /* of the message so far */
    uint8_t head_n;     /* bytes of a head that came in parts */
    uint8_t frame_byte; /* the current frame's first */
    uint8_t mask_at;    /* the next payload byte meets mask[mask_at] */
    uint8_t control_n;  /* bytes at the end of part that are of a control frame */
    union {
        uint8_t head[WS_HEAD_BYTES_MAX]; /* while it comes; then what it said: */
        struct {
            uint8_t mask[4];
            uint32_t left; /* payload bytes to come */
        } frame;
    };
    uint32_t message_bytes_max;
    uint32_t part_n, part_cap;
    uint8_t *part;
};

void ws_init(struct ws *w, enum ws_role role, size_t message_bytes_max);
void ws_done(struct ws *w);

/* Takes *out_used of the n bytes and says what they came to; the caller feeds the rest. Payload
 * bytes are unmasked where they lie. After CLOSE or ERROR it says so again. */
enum ws_event ws_feed(struct ws *w, uint8_t *bytes, size_t n, size_t *out_used);

/* At ERROR: a short sentence, fit for a close frame. */
const char *ws_reason(const struct ws *w);

/* The head of a frame with len bytes of payload; mask is NULL from a server. Returns its bytes. */
size_t ws_head_put(uint8_t out[WS_HEAD_BYTES_MAX], enum ws_opcode opcode, bool fin, uint64_t len,
                   const uint8_t mask[4]);
/* A whole close frame. The reason is cut, between characters, to what fits. Code 1005: no payload.
 */
size_t ws_close_put(uint8_t out[WS_CLOSE_FRAME_BYTES_MAX], uint16_t code, const char *reason,
                    const uint8_t mask[4]);
/* May stand in a close frame (RFC 6455 section 7.4 and the registry). */
bool ws_close_code_valid(uint16_t code);

/* Masks or unmasks n bytes; the first meets mask[at & 3]. */
void ws_mask(uint8_t *p, size_t n, const uint8_t mask[4], size_t at);

#endif
