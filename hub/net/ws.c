/* The machine has two states that matter: in a frame's head, or in its payload.
 *
 * A frame that is a message or a control frame by itself and lies whole in the input is given where
 * it lies. Everything else is gathered in one heap block, `part`: the fragments of a message one
 * after another, and above them, as on a stack, the bytes of a control frame that comes between,
 * which leaves again when it has been given. The block grows with what came and goes when nothing
 * is half-way, so an idle connection has none.
 */
#include "hub/net/ws.h"

#include <assert.h>
#include <stdlib.h>

#include "hub/net/utf8.h"
#include "store/mem.h"

enum state { IN_HEAD, IN_PAYLOAD, CLOSED, BROKEN };

enum { FIN = 0x80, RESERVED = 0x70, OPCODE = 0x0f, MASKED = 0x80, LENGTH = 0x7f };
enum { LENGTH_16 = 126, LENGTH_64 = 127, CODE_NONE_SENT = 1005, PART_BYTES_MIN = 128 };

enum fault {
    FAULT_NONE,
    FAULT_RESERVED_BIT,
    FAULT_OPCODE,
    FAULT_CONTROL_FRAGMENTED,
    FAULT_CONTROL_LENGTH,
    FAULT_NOTHING_TO_CONTINUE,
    FAULT_NOT_CONTINUED,
    FAULT_UNMASKED,
    FAULT_MASKED,
    FAULT_LENGTH_FORM,
    FAULT_LENGTH_SIGN,
    FAULT_TOO_LONG,
    FAULT_TEXT,
    FAULT_CLOSE_LENGTH,
    FAULT_CLOSE_CODE,
    FAULT_CLOSE_TEXT,
    FAULTS,
};

// clang-format off
static const struct { uint16_t code; const char *reason; } faults[FAULTS] = {
    [FAULT_NONE]                = {0, ""},
    [FAULT_RESERVED_BIT]        = {1002, "a reserved bit is set"},
    [FAULT_OPCODE]              = {1002, "a reserved opcode"},
    [FAULT_CONTROL_FRAGMENTED]  = {1002, "a control frame in fragments"},
    [FAULT_CONTROL_LENGTH]      = {1002, "a control frame of more than 125 bytes"},
    [FAULT_NOTHING_TO_CONTINUE] = {1002, "a continuation of no message"},
    [FAULT_NOT_CONTINUED]       = {1002, "a new message inside a fragmented one"},
    [FAULT_UNMASKED]            = {1002, "a frame from a client is not masked"},
    [FAULT_MASKED]              = {1002, "a frame from a server is masked"},
    [FAULT_LENGTH_FORM]         = {1002, "a length is not in its shortest form"},
    [FAULT_LENGTH_SIGN]         = {1002, "a length of more than 63 bits"},
    [FAULT_TOO_LONG]            = {1009, "the message is too long"},
    [FAULT_TEXT]                = {1007, "a text message is not UTF-8"},
    [FAULT_CLOSE_LENGTH]        = {1002, "a close frame of one byte"},
    [FAULT_CLOSE_CODE]          = {1002, "a close code that may not be sent"},
    [FAULT_CLOSE_TEXT]          = {1007, "the reason for closing is not UTF-8"},
};
// clang-format on

void ws_init(struct ws *w, enum ws_role role, size_t message_bytes_max)
{
    assert(message_bytes_max <= WS_MESSAGE_BYTES_LIMIT);
    *w = (struct ws){.role = (uint8_t)role, .message_bytes_max = (uint32_t)message_bytes_max};
}

void ws_done(struct ws *w)
{
    free(w->part);
    w->part = NULL;
    w->part_n = w->part_cap = 0;
}

const char *ws_reason(const struct ws *w)
{
    return faults[w->fault].reason;
}

static enum ws_event fail(struct ws *w, enum fault fault)
{
    ws_done(w);
    w->state = BROKEN;
    w->fault = (uint8_t)fault;
    w->code = faults[fault].code;
    w->message = (struct slice){0};
    return WS_ERROR;
}

static enum ws_opcode frame_opcode(const struct ws *w)
{
    return (enum ws_opcode)(w->frame_byte & OPCODE);
}

static bool is_control(enum ws_opcode opcode)
{
    return opcode >= WS_OP_CLOSE;
}

/* --- the head of a frame ---------------------------------------------------------------------- */

static enum fault judge_opcode(const struct ws *w, uint8_t first, uint8_t length)
{
    switch ((enum ws_opcode)(first & OPCODE)) {
    case WS_CONTINUATION:
        return w->in_message ? FAULT_NONE : FAULT_NOTHING_TO_CONTINUE;
    case WS_TEXT:
    case WS_BINARY:
        return w->in_message ? FAULT_NOT_CONTINUED : FAULT_NONE;
    case WS_OP_CLOSE:
    case WS_OP_PING:
    case WS_OP_PONG:
        if (!(first & FIN)) {
            return FAULT_CONTROL_FRAGMENTED;
        }
        return length > WS_CONTROL_BYTES_MAX ? FAULT_CONTROL_LENGTH : FAULT_NONE;
    }
    return FAULT_OPCODE;
}

/* What the first two bytes of a head give away. */
static enum fault judge_start(const struct ws *w, const uint8_t *head)
{
    if (head[0] & RESERVED) {
        return FAULT_RESERVED_BIT;
    }
    enum fault fault = judge_opcode(w, head[0], head[1] & LENGTH);
    if (fault == FAULT_NONE && (head[1] & MASKED) != (w->role == WS_SERVER ? MASKED : 0)) {
        fault = w->role == WS_SERVER ? FAULT_UNMASKED : FAULT_MASKED;
    }
    return fault;
}

static size_t length_bytes(uint8_t second)
{
    uint8_t length = second & LENGTH;
    return length == LENGTH_64 ? 8 : length == LENGTH_16 ? 2 : 0;
}

static enum fault judge_length(const struct ws *w, const uint8_t *head, uint64_t length)
{
    size_t bytes = length_bytes(head[1]);
    if (length >> 63) {
        return FAULT_LENGTH_SIGN;
    }
    if ((bytes == 2 && length < LENGTH_16) || (bytes == 8 && length <= UINT16_MAX)) {
        return FAULT_LENGTH_FORM;
    }
    if (!is_control(head[0] & OPCODE) && length > w->message_bytes_max - w->part_n) {
        return FAULT_TOO_LONG;
    }
    return FAULT_NONE;
}

static uint64_t length_of(const uint8_t *head)
{
    switch (length_bytes(head[1])) {
    case 2:
        return be16_get(head + 2);
    case 8:
        return be64_get(head + 2);
    }
    return head[1] & LENGTH;
}

/* The head, or as much of it as there is. Sets *out_n to its bytes if it is whole, else to 0. */
static enum fault read_head(struct ws *w, const uint8_t *head, size_t n, size_t *out_n)
{
    *out_n = 0;
    if (n < 2) {
        return FAULT_NONE;
    }
    enum fault fault = judge_start(w, head);
    size_t mask_at = 2 + length_bytes(head[1]);
    if (fault || n < mask_at) {
        return fault;
    }
    uint64_t length = length_of(head);
    fault = judge_length(w, head, length);
    size_t whole = mask_at + (head[1] & MASKED ? 4 : 0);
    if (fault || n < whole) {
        return fault;
    }
    w->frame_byte = head[0];
    w->mask_at = 0;
    if (whole > mask_at) {
        memmove(w->frame.mask, head + mask_at, 4); /* head may be w->head, where frame lies too */
    }
    w->frame.left = (uint32_t)length;
    *out_n = whole;
    return FAULT_NONE;
}

/* In a head that comes in parts, byte by byte: there are at most fourteen. */
static enum fault gather_head(struct ws *w, const uint8_t *bytes, size_t n, size_t *out_used,
                              size_t *out_n)
{
    enum fault fault = FAULT_NONE;
    *out_n = 0;
    size_t i = 0;
    while (i < n && *out_n == 0 && fault == FAULT_NONE) {
        w->head[w->head_n++] = bytes[i++];
        fault = read_head(w, w->head, w->head_n, out_n);
    }
    *out_used = i;
    return fault;
}

static enum ws_event feed_head(struct ws *w, const uint8_t *bytes, size_t n, size_t *out_used)
{
    size_t head_n = 0;
    enum fault fault = FAULT_NONE;
    if (w->head_n == 0) {
        fault = read_head(w, bytes, n, &head_n);
        *out_used = head_n;
    }
    if (fault == FAULT_NONE && head_n == 0) {
        fault = gather_head(w, bytes, n, out_used, &head_n);
    }
    if (fault) {
        return fail(w, fault);
    }
    if (head_n) {
        w->head_n = 0;
        w->state = IN_PAYLOAD;
        if (frame_opcode(w) == WS_TEXT || frame_opcode(w) == WS_BINARY) {
            w->in_message = (uint8_t)frame_opcode(w);
            w->utf8 = UTF8_WHOLE;
        }
    }
    return WS_MORE;
}

/* --- the payload ------------------------------------------------------------------------------ */

void ws_mask(uint8_t *p, size_t n, const uint8_t mask[4], size_t at)
{
    uint8_t turned[8];
    uint64_t wide, a, b;
    for (size_t i = 0; i < 8; i++) {
        turned[i] = mask[(at + i) & 3];
    }
    memcpy(&wide, turned, 8);
    for (; n >= 16; p += 16, n -= 16) {
        memcpy(&a, p, 8);
        memcpy(&b, p + 8, 8);
        a ^= wide;
        b ^= wide;
        memcpy(p, &a, 8);
        memcpy(p + 8, &b, 8);
    }
    for (size_t i = 0; i < n; i++) {
        p[i] ^= turned[i & 7];
    }
}

static void unmask(struct ws *w, uint8_t *p, size_t n)
{
    if (w->role == WS_SERVER) {
        ws_mask(p, n, w->frame.mask, w->mask_at);
        w->mask_at = (uint8_t)((w->mask_at + n) & 3);
    }
}

/* RFC 6455 section 7.4, and the codes registered since: 1012 to 1014. */
bool ws_close_code_valid(uint16_t code)
{
    bool defined = code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
    return defined || (code >= 3000 && code <= 4999);
}

static enum ws_event finish_close(struct ws *w, struct slice payload)
{
    w->code = CODE_NONE_SENT;
    w->message = payload;
    if (payload.n == 1) {
        return fail(w, FAULT_CLOSE_LENGTH);
    }
    if (payload.n >= 2) {
        w->code = be16_get(payload.p);
        w->message = slice_of(payload.p + 2, payload.n - 2);
        if (!ws_close_code_valid(w->code)) {
            return fail(w, FAULT_CLOSE_CODE);
        }
        if (!utf8_valid(w->message)) {
            return fail(w, FAULT_CLOSE_TEXT);
        }
    }
    w->state = CLOSED;
    return WS_CLOSE;
}

static enum ws_event finish_control(struct ws *w, struct slice payload)
{
    w->part_n -= w->control_n; /* the bytes stay readable until the next feed */
    w->control_n = 0;
    w->message = payload;
    if (frame_opcode(w) == WS_OP_CLOSE) {
        return finish_close(w, payload);
    }
    return frame_opcode(w) == WS_OP_PING ? WS_PING : WS_PONG;
}

/* The payload of the current frame, or of the message that it ends, is whole. */
static enum ws_event finish_frame(struct ws *w, struct slice payload)
{
    w->state = IN_HEAD;
    if (is_control(frame_opcode(w))) {
        return finish_control(w, payload);
    }
    if (!(w->frame_byte & FIN)) {
        return WS_MORE;
    }
    if (w->in_message == WS_TEXT && w->utf8 != UTF8_WHOLE) {
        return fail(w, FAULT_TEXT);
    }
    w->message = payload;
    w->opcode = w->in_message;
    w->in_message = 0;
    w->part_n = 0; /* likewise */
    return WS_MESSAGE;
}

static void part_add(struct ws *w, const uint8_t *p, uint32_t n)
{
    if (w->part_cap - w->part_n < n) {
        uint32_t cap = w->part_cap ? w->part_cap : PART_BYTES_MIN;
        while (cap - w->part_n < n) {
            cap *= 2; /* at most 2^31: message_bytes_max and a control frame */
        }
        w->part = xrealloc(w->part, cap);
        w->part_cap = cap;
    }
    if (n) {
        memcpy(w->part + w->part_n, p, n);
        w->part_n += n;
    }
}

/* Of what part holds, that which belongs to the frame's message or to the control frame. */
static struct slice gathered(const struct ws *w)
{
    uint32_t n = is_control(frame_opcode(w)) ? w->control_n : w->part_n;
    return slice_of(n ? w->part + w->part_n - n : NULL, n);
}

/* Takes what there is of the payload; *out_payload is whole if nothing is left of the frame. */
static void take_payload(struct ws *w, uint8_t *bytes, uint32_t n, struct slice *out_payload)
{
    bool alone = is_control(frame_opcode(w)) || (w->frame_byte & FIN);
    w->frame.left -= n;
    if (alone && w->frame.left == 0 && gathered(w).n == 0) {
        *out_payload = slice_of(bytes, n);
        return;
    }
    part_add(w, bytes, n);
    if (is_control(frame_opcode(w))) {
        w->control_n = (uint8_t)(w->control_n + n);
    }
    *out_payload = gathered(w);
}

static enum ws_event feed_payload(struct ws *w, uint8_t *bytes, size_t n, size_t *out_used)
{
    uint32_t take = n < w->frame.left ? (uint32_t)n : w->frame.left;
    struct slice payload;
    *out_used = take;
    unmask(w, bytes, take);
    if (w->in_message == WS_TEXT && !is_control(frame_opcode(w))) {
        w->utf8 = utf8_feed(w->utf8, bytes, take);
        if (w->utf8 == UTF8_BAD) {
            return fail(w, FAULT_TEXT);
        }
    }
    take_payload(w, bytes, take, &payload);
    return w->frame.left ? WS_MORE : finish_frame(w, payload);
}

/* One head, or what there is of one payload. */
static enum ws_event feed_step(struct ws *w, uint8_t *bytes, size_t n, size_t *out_used)
{
    switch ((enum state)w->state) {
    case IN_HEAD:
        return feed_head(w, bytes, n, out_used);
    case IN_PAYLOAD:
        return feed_payload(w, bytes, n, out_used);
    case CLOSED:
        return WS_CLOSE;
    case BROKEN:
        break;
    }
    return WS_ERROR;
}

enum ws_event ws_feed(struct ws *w, uint8_t *bytes, size_t n, size_t *out_used)
{
    enum ws_event event;
    size_t used = 0, step;
    uint8_t before;
    if (w->part_n == 0 && w->state == IN_HEAD) {
        ws_done(w); /* the last event's bytes are no longer lent out */
    }
    do {
        step = 0;
        before = w->state;
        event = feed_step(w, bytes, n, &step);
        if (step) {
            bytes += step;
            n -= step;
            used += step;
        }
        /* An empty payload is whole without a byte. */
    } while (event == WS_MORE && (n || w->state != before));
    *out_used = used;
    return event;
}

/* --- frames to send --------------------------------------------------------------------------- */

size_t ws_head_put(uint8_t out[WS_HEAD_BYTES_MAX], enum ws_opcode opcode, bool fin, uint64_t len,
                   const uint8_t mask[4])
{
    size_t n = 2;
    uint8_t masked = mask ? MASKED : 0;
    out[0] = (uint8_t)((fin ? FIN : 0) | opcode);
    if (len < LENGTH_16) {
        out[1] = (uint8_t)(masked | len);
    } else if (len <= UINT16_MAX) {
        out[1] = masked | LENGTH_16;
        be16_put(out + 2, (uint16_t)len);
        n = 4;
    } else {
        out[1] = masked | LENGTH_64;
        be64_put(out + 2, len);
        n = 10;
    }
    if (mask) {
        memcpy(out + n, mask, 4);
        n += 4;
    }
    return n;
}

size_t ws_close_put(uint8_t out[WS_CLOSE_FRAME_BYTES_MAX], uint16_t code, const char *reason,
                    const uint8_t mask[4])
{
    if (code == CODE_NONE_SENT) {
        return ws_head_put(out, WS_OP_CLOSE, true, 0, mask);
    }
    assert(ws_close_code_valid(code));
    size_t n = strlen(reason);
    if (n > WS_CONTROL_BYTES_MAX - 2) {
        n = WS_CONTROL_BYTES_MAX - 2;
        while (n && ((uint8_t)reason[n] & 0xc0) == 0x80) {
            n--;
        }
    }
    size_t head_n = ws_head_put(out, WS_OP_CLOSE, true, 2 + n, mask);
    be16_put(out + head_n, code);
    memcpy(out + head_n + 2, reason, n);
    if (mask) {
        ws_mask(out + head_n, 2 + n, mask, 0);
    }
    return head_n + 2 + n;
}
