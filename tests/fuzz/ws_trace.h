/* tests/fuzz/ws_trace.h: writes down all that ws says of a stream, and what a decoder says of it
 * that is too plain to be wrong: one byte after another, a whole message remembered, UTF-8 by
 * arithmetic.
 */
#ifndef WAGGLE_TESTS_FUZZ_WS_TRACE_H
#define WAGGLE_TESTS_FUZZ_WS_TRACE_H

#include <assert.h>

#include "hub/net/ws.h"
#include "tests/fuzz/cutter.h"

static inline void trace_payload(struct buf *out, const char *event, unsigned number,
                                 struct slice payload)
{
    buf_printf(out, "\n%s %u %zu:", event, number, payload.n);
    buf_add_slice(out, payload);
}

static inline void trace_ws_event(struct buf *out, const struct ws *w, enum ws_event event)
{
    switch (event) {
    case WS_MORE:
        break;
    case WS_MESSAGE:
        assert(w->message.n <= w->message_bytes_max);
        trace_payload(out, "MESSAGE", w->opcode, w->message);
        break;
    case WS_PING:
        trace_payload(out, "PING", 0, w->message);
        break;
    case WS_PONG:
        trace_payload(out, "PONG", 0, w->message);
        break;
    case WS_CLOSE:
        trace_payload(out, "CLOSE", w->code, w->message);
        break;
    case WS_ERROR:
        assert(*ws_reason(w) && strlen(ws_reason(w)) <= WS_CONTROL_BYTES_MAX - 2);
        trace_payload(out, "ERROR", w->code, (struct slice){0});
        break;
    }
}

static inline void ws_trace(struct buf *out, enum ws_role role, size_t bytes_max,
                            struct cutter cutter, const uint8_t *bytes, size_t n)
{
    struct ws w;
    struct slice left = slice_of(bytes, n);
    enum ws_event event = WS_MORE;
    ws_init(&w, role, bytes_max);
    while (left.n && event != WS_ERROR && event != WS_CLOSE) {
        size_t input_n, at = 0, used;
        uint8_t *input = cutter_next(&cutter, &left, &input_n);
        do {
            event = ws_feed(&w, input + at, input_n - at, &used);
            at += used;
            assert(at <= input_n);
            assert(event != WS_MORE || at == input_n);
            assert(w.part_cap <= 2 * (n - left.n) + 256); /* grows with what came */
            trace_ws_event(out, &w, event);
        } while (event != WS_MORE && event != WS_ERROR && event != WS_CLOSE);
        free(input);
    }
    ws_done(&w);
}

static inline unsigned plain_char_size(uint8_t lead)
{
    return lead >> 7 == 0 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
}

/* Are these n bytes, of which the first says n, a character? */
static inline bool plain_is_char(const uint8_t *c, unsigned n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; /* that needs n bytes */
    uint32_t value = n == 1 ? c[0] : c[0] & (0x7fu >> n);
    for (unsigned i = 1; i < n; i++) {
        if (c[i] >> 6 != 2) {
            return false;
        }
        value = value << 6 | (c[i] & 0x3f);
    }
    return value >= least[n] && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
}

/* Can the first `have` bytes become a character? Tries the edges of all ranges there are. */
static inline bool plain_can_be_char(uint8_t c[4], unsigned have, unsigned n)
{
    static const uint8_t edges[] = {0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf};
    if (have == n) {
        return plain_is_char(c, n);
    }
    for (unsigned i = 0; i < sizeof edges; i++) {
        c[have] = edges[i];
        if (plain_can_be_char(c, have + 1, n)) {
            return true;
        }
    }
    return false;
}

/* 1: a text; 0: the beginning of one, cut inside a character; -1: neither. */
static inline int plain_utf8(struct slice s)
{
    for (size_t i = 0; i < s.n;) {
        unsigned n = plain_char_size(s.p[i]);
        unsigned have = s.n - i < n ? (unsigned)(s.n - i) : n;
        uint8_t c[4] = {0};
        memcpy(c, s.p + i, have);
        if (n == 0 || !plain_can_be_char(c, have, n)) {
            return -1;
        }
        if (have < n) {
            return 0;
        }
        i += n;
    }
    return 1;
}

struct plain_frame {
    bool fin, masked;
    uint8_t reserved, opcode, short_length, mask[4];
    uint64_t length;
    size_t head_n, here; /* bytes of the head; of the payload that came */
};

/* The fault of a head (a close code), or 0; head_n is 0 when more of it is to come. */
static inline unsigned plain_head(struct plain_frame *f, bool from_client, bool in_message,
                                  uint64_t room, const uint8_t *p, size_t n)
{
    f->head_n = 0;
    if (n < 2) {
        return 0;
    }
    f->fin = p[0] >> 7;
    f->reserved = p[0] >> 4 & 7;
    f->opcode = p[0] & 15;
    f->masked = p[1] >> 7;
    f->short_length = p[1] & 127;
    bool control = f->opcode >= 8;
    bool known = f->opcode <= 2 || (control && f->opcode <= 10);
    if (f->reserved || !known || f->masked != from_client ||
        (control && (!f->fin || f->short_length > 125)) ||
        (!control && (f->opcode == 0) != in_message)) {
        return 1002;
    }
    size_t at = 2, more = f->short_length == 127 ? 8 : f->short_length == 126 ? 2 : 0;
    if (n < at + more) {
        return 0;
    }
    f->length = more ? 0 : f->short_length;
    for (size_t i = 0; i < more; i++) {
        f->length = f->length << 8 | p[at++];
    }
    if (f->length > INT64_MAX || (more == 2 && f->length < 126) ||
        (more == 8 && f->length < 65536)) {
        return 1002;
    }
    if (!control && f->length > room) {
        return 1009;
    }
    if (n < at + (f->masked ? 4 : 0)) {
        return 0;
    }
    for (int i = 0; f->masked && i < 4; i++) {
        f->mask[i] = p[at++];
    }
    f->head_n = at;
    f->here = n - at < f->length ? n - at : (size_t)f->length;
    return 0;
}

static inline bool plain_code_valid(unsigned code)
{
    switch (code) {
    case 1000:
    case 1001:
    case 1002:
    case 1003:
    case 1007:
    case 1008:
    case 1009:
    case 1010:
    case 1011:
    case 1012:
    case 1013:
    case 1014:
        return true;
    }
    return code >= 3000 && code < 5000;
}

/* Of a close frame's payload, its fault or 0. */
static inline unsigned plain_close(struct slice payload, unsigned *out_code)
{
    *out_code = 1005;
    if (payload.n == 0) {
        return 0;
    }
    *out_code = payload.n == 1 ? 0 : payload.p[0] * 256u + payload.p[1];
    if (!plain_code_valid(*out_code)) {
        return 1002;
    }
    return plain_utf8(slice_of(payload.p + 2, payload.n - 2)) == 1 ? 0 : 1007;
}

static inline void plain_append(struct buf *to, const struct plain_frame *f, const uint8_t *payload)
{
    for (size_t i = 0; i < f->here; i++) {
        uint8_t byte = f->masked ? payload[i] ^ f->mask[i % 4] : payload[i];
        buf_add(to, &byte, 1);
    }
}

/* Judges what came of a frame's payload; a fault or 0. */
static inline unsigned plain_payload(struct buf *out, const struct plain_frame *f,
                                     struct buf *message, uint8_t *io_opcode, struct slice control,
                                     bool *out_closed)
{
    bool whole = f->here == f->length;
    unsigned code, fault;
    if (f->opcode == 8 && whole) {
        fault = plain_close(control, &code);
        if (!fault) {
            *out_closed = true;
            trace_payload(out, "CLOSE", code,
                          control.n ? slice_of(control.p + 2, control.n - 2) : control);
        }
        return fault;
    }
    if (f->opcode >= 8) {
        if (whole) {
            trace_payload(out, f->opcode == 9 ? "PING" : "PONG", 0, control);
        }
        return 0;
    }
    int text = *io_opcode == 1 ? plain_utf8(buf_slice(message)) : 1;
    if (text < 0 || (whole && f->fin && text == 0)) {
        return 1007;
    }
    if (whole && f->fin) {
        trace_payload(out, "MESSAGE", *io_opcode, buf_slice(message));
        *io_opcode = 0;
        buf_clear(message);
    }
    return 0;
}

static inline void plain_ws(struct buf *out, enum ws_role role, size_t bytes_max, const uint8_t *p,
                            size_t n)
{
    struct buf message = {0}, control = {0};
    uint8_t opcode = 0;
    unsigned fault = 0;
    bool closed = false, whole = true;
    while (n && whole && !fault && !closed) {
        struct plain_frame f = {0};
        fault = plain_head(&f, role == WS_SERVER, opcode != 0, bytes_max - message.n, p, n);
        if (fault || f.head_n == 0) {
            break;
        }
        opcode = f.opcode == 1 || f.opcode == 2 ? f.opcode : opcode;
        buf_clear(&control);
        plain_append(f.opcode >= 8 ? &control : &message, &f, p + f.head_n);
        fault = plain_payload(out, &f, &message, &opcode, buf_slice(&control), &closed);
        whole = f.here == f.length;
        p += f.head_n + f.here;
        n -= f.head_n + f.here;
    }
    if (fault) {
        trace_payload(out, "ERROR", fault, (struct slice){0});
    }
    buf_done(&message);
    buf_done(&control);
}

#endif
