/* A frame has a beginning, whose length hangs on the offset and the whole length, and a tail, which
 * hangs on neither. In an arena the tail stands behind room for the longest beginning, and the
 * beginning is put right before it:
 *
 *     |<------- BEGINNING_BYTES_MAX ------>|<- tail ->|<- conflate ->|
 *     |  unused  | RFC 6455 | {"type":…    | "channel":…}
 */
#include "channels/event.h"

#include <assert.h>

#include "store/pack.h"

/* ---- as stored ---- */

/* Version, kind, flags, 16-bit length of the name; by flag the lengths of from (16 bits), headers
 * (32), conflate (16), then ttl (32) and exclude (64); then name, from, headers and conflate, and
 * the data up to the end. A flag stands only for what is not empty, so an event has one payload. */
enum { PAYLOAD_VERSION = 1 };
enum {
    HAS_FROM = 1,
    HAS_HEADERS = 2,
    HAS_CONFLATE = 4,
    HAS_TTL = 8,
    HAS_EXCLUDE = 16,
    HAS_ALL = 31
};

static uint8_t *put_u16(uint8_t *p, size_t v)
{
    assert(v <= UINT16_MAX);
    be16_put(p, (uint16_t)v);
    return p + 2;
}

static uint8_t *put_u32(uint8_t *p, size_t v)
{
    assert(v <= UINT32_MAX);
    be32_put(p, (uint32_t)v);
    return p + 4;
}

static size_t put_head(uint8_t *head, const struct event *event)
{
    uint8_t flags = 0, *p = put_u16(head + 3, event->name.n);
    if (event->from.n) {
        flags |= HAS_FROM;
        p = put_u16(p, event->from.n);
    }
    if (event->headers.n) {
        flags |= HAS_HEADERS;
        p = put_u32(p, event->headers.n);
    }
    if (event->conflate.n) {
        flags |= HAS_CONFLATE;
        p = put_u16(p, event->conflate.n);
    }
    if (event->ttl_s) {
        flags |= HAS_TTL;
        p = put_u32(p, event->ttl_s);
    }
    if (event->exclude) {
        flags |= HAS_EXCLUDE;
        be64_put(p, event->exclude);
        p += 8;
    }
    head[0] = PAYLOAD_VERSION;
    head[1] = (uint8_t)event->kind;
    head[2] = flags;
    return (size_t)(p - head);
}

size_t event_pack_parts(const struct event *event, uint8_t head[EVENT_HEAD_BYTES],
                        struct slice parts[EVENT_PARTS_MAX])
{
    const struct slice pieces[] = {event->name, event->from, event->headers, event->conflate,
                                   event->data};
    size_t n = 0;
    parts[n++] = slice_of(head, put_head(head, event));
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        if (pieces[i].n) {
            parts[n++] = pieces[i];
        }
    }
    return n;
}

/* A length or number of which the flag says that it is not 0. */
static uint64_t read_flagged(struct unpack *u, bool present, unsigned bytes)
{
    if (!present) {
        return 0;
    }
    uint64_t v = bytes == 2 ? unpack_u16(u) : bytes == 4 ? unpack_u32(u) : unpack_u64(u);
    u->bad = u->bad || v == 0;
    return v;
}

static struct slice read_piece(struct unpack *u, size_t n)
{
    const uint8_t *p = unpack_bytes(u, n);
    return slice_of(p, p ? n : 0);
}

bool event_unpack(struct slice payload, struct event *out)
{
    struct unpack u = unpack_of(payload);
    uint8_t version = unpack_u8(&u), kind = unpack_u8(&u), flags = unpack_u8(&u);
    if (version != PAYLOAD_VERSION || kind >= EVENT_KINDS || (flags & ~HAS_ALL)) {
        return false;
    }
    struct event event = {.kind = kind};
    size_t name_n = unpack_u16(&u);
    size_t from_n = read_flagged(&u, flags & HAS_FROM, 2);
    size_t headers_n = read_flagged(&u, flags & HAS_HEADERS, 4);
    size_t conflate_n = read_flagged(&u, flags & HAS_CONFLATE, 2);
    event.ttl_s = (uint32_t)read_flagged(&u, flags & HAS_TTL, 4);
    event.exclude = read_flagged(&u, flags & HAS_EXCLUDE, 8);
    event.name = read_piece(&u, name_n);
    event.from = read_piece(&u, from_n);
    event.headers = read_piece(&u, headers_n);
    event.conflate = read_piece(&u, conflate_n);
    event.data = read_piece(&u, (size_t)(u.end - u.p));
    if (u.bad) {
        return false;
    }
    *out = event;
    return true;
}

/* ---- the tail ---- */

#define LENGTH(text) (sizeof(text) - 1)
#define LITERAL(text) (text), LENGTH(text)

/* Most pieces are short: two loads that overlap cost less than a call of memcpy. */
static inline uint8_t *put(uint8_t *p, const uint8_t *from, size_t n)
{
    if (n > 16) {
        memcpy(p, from, n);
    } else if (n >= 8) {
        uint64_t first, last;
        memcpy(&first, from, 8);
        memcpy(&last, from + n - 8, 8);
        memcpy(p, &first, 8);
        memcpy(p + n - 8, &last, 8);
    } else {
        for (size_t i = 0; i < n; i++) {
            p[i] = from[i];
        }
    }
    return p + n;
}

#define PUT(p, text) ((uint8_t *)memcpy((p), (text), LENGTH(text)) + LENGTH(text))

/* Copies a piece and says where it now is. */
static uint8_t *put_piece(uint8_t *p, struct slice from, struct slice *out)
{
    *out = slice_of(p, from.n);
    return put(p, from.p, from.n);
}

static struct slice data_or_null(const struct event *event)
{
    return event->data.n ? event->data : slice_of(LITERAL("null"));
}

/* What stands between the pieces. */
#define CHANNEL_KEY "\"channel\":\""
#define EVENT_KEY "\",\"event\":\""
#define DATA_KEY "\",\"data\":"
#define TIME_KEY ",\"time\":\""
#define FROM_KEY ",\"from\":\""
#define HEADERS_KEY ",\"headers\":"
#define MEMBER_KEY "\",\"member\":{\"id\":\""
#define INFO_KEY ",\"info\":"

/* Exactly what put_tail writes. */
static size_t tail_bytes(const struct event *e)
{
    size_t n = LENGTH(CHANNEL_KEY) + e->channel.n + e->name.n + LENGTH(TIME_KEY) + JSON_TIME_BYTES +
               LENGTH("\"}");
    if (e->kind != EVENT_MESSAGE) {
        size_t info_n = e->data.n ? LENGTH(INFO_KEY) + e->data.n : 0;
        return n + LENGTH(MEMBER_KEY) + LENGTH("\"}") + info_n;
    }
    n += LENGTH(EVENT_KEY) + LENGTH(DATA_KEY) + data_or_null(e).n;
    n += e->from.n ? LENGTH(FROM_KEY) + e->from.n + LENGTH("\"") : 0;
    n += e->headers.n ? LENGTH(HEADERS_KEY) + e->headers.n : 0;
    return n;
}

static uint8_t *put_time(uint8_t *p, int64_t ms)
{
    p = PUT(p, TIME_KEY);
    json_time_put(p, ms);
    return PUT(p + JSON_TIME_BYTES, "\"");
}

static uint8_t *put_message(uint8_t *p, const struct event *e, struct event *copy)
{
    p = PUT(p, EVENT_KEY);
    p = put_piece(p, e->name, &copy->name);
    p = PUT(p, DATA_KEY);
    p = put_piece(p, data_or_null(e), &copy->data);
    p = put_time(p, e->time_ms);
    if (e->from.n) {
        p = PUT(p, FROM_KEY);
        p = put_piece(p, e->from, &copy->from);
        p = PUT(p, "\"");
    }
    if (e->headers.n) {
        p = PUT(p, HEADERS_KEY);
        p = put_piece(p, e->headers, &copy->headers);
    }
    return p;
}

static uint8_t *put_member(uint8_t *p, const struct event *e, struct event *copy)
{
    p = PUT(p, MEMBER_KEY);
    p = put_piece(p, e->name, &copy->name);
    p = PUT(p, "\"");
    if (e->data.n) {
        p = PUT(p, INFO_KEY);
        p = put_piece(p, e->data, &copy->data);
    }
    p = PUT(p, "}");
    return put_time(p, e->time_ms);
}

/* Writes from "channel" to the closing bracket; *copy becomes the event with its slices there. */
static uint8_t *put_tail(uint8_t *p, const struct event *e, struct event *copy)
{
    *copy = *e;
    p = PUT(p, CHANNEL_KEY);
    p = put_piece(p, e->channel, &copy->channel);
    p = e->kind == EVENT_MESSAGE ? put_message(p, e, copy) : put_member(p, e, copy);
    return PUT(p, "}");
}

/* ---- the beginning ---- */

/* clang-format off */
static const struct { const char *text; size_t n; } types[EVENT_KINDS] = {
    [EVENT_MESSAGE] = { LITERAL("{\"type\":\"event\",") },
    [EVENT_JOINED]  = { LITERAL("{\"type\":\"joined\",") },
    [EVENT_LEFT]    = { LITERAL("{\"type\":\"left\",") },
    [EVENT_UPDATED] = { LITERAL("{\"type\":\"updated\",") },
};
/* clang-format on */

enum {
    WS_HEADER_BYTES_MAX = 10,
    BEGINNING_BYTES_MAX = WS_HEADER_BYTES_MAX + 18 /* type */ + 9 /* key */ + 20 /* offset */ + 1
};

/* RFC 6455 section 5.2: FIN and text, no mask, the length in 7, 7+16 or 7+64 bits. */
static size_t ws_header_bytes(size_t n)
{
    return n < 126 ? 2 : n <= UINT16_MAX ? 4 : 10;
}

static void ws_header_put(uint8_t *p, size_t n)
{
    p[0] = 0x81;
    if (n < 126) {
        p[1] = (uint8_t)n;
    } else if (n <= UINT16_MAX) {
        p[1] = 126;
        be16_put(p + 2, (uint16_t)n);
    } else {
        p[1] = 127;
        be64_put(p + 2, n);
    }
}

size_t event_ws_head_put(uint8_t out[EVENT_WS_HEAD_BYTES_MAX], uint64_t n)
{
    ws_header_put(out, n);
    return ws_header_bytes(n);
}

static uint8_t *put_before(uint8_t *end, const void *from, size_t n)
{
    memcpy(end - n, from, n);
    return end - n;
}

/* Writes type and offset so that they end where the tail begins; returns where they begin. */
static uint8_t *put_type_before(uint8_t *tail, enum event_kind kind, uint64_t offset)
{
    uint8_t *p = tail;
    if (offset) {
        *--p = ',';
        for (; offset; offset /= 10) {
            *--p = (uint8_t)('0' + offset % 10);
        }
        p = put_before(p, LITERAL("\"offset\":"));
    }
    return put_before(p, types[kind].text, types[kind].n);
}

/* ---- frames ---- */

static struct event_span span_of(const uint8_t *base, struct slice piece)
{
    return (struct event_span){.at = piece.n ? (uint32_t)(piece.p - base) : 0,
                               .n = (uint32_t)piece.n};
}

static struct slice span_slice(const uint8_t *base, struct event_span span)
{
    return slice_of(span.n ? base + span.at : NULL, span.n);
}

void event_frame_begin(struct buf *arena, const struct event *event, struct event_frame *out)
{
    size_t room = BEGINNING_BYTES_MAX + tail_bytes(event) + event->conflate.n;
    assert(arena->n <= UINT32_MAX && room <= UINT32_MAX - arena->n);
    struct event copy;
    uint8_t *tail = buf_reserve(arena, room) + BEGINNING_BYTES_MAX;
    uint8_t *tail_end = put_tail(tail, event, &copy);
    uint8_t *end = put_piece(tail_end, event->conflate, &copy.conflate);
    const uint8_t *base = arena->p;
    arena->n = (size_t)(end - base);
    *out = (struct event_frame){
        .tail = span_of(base, slice_of(tail, (size_t)(tail_end - tail))),
        .channel = span_of(base, copy.channel),
        .name = span_of(base, copy.name),
        .data = span_of(base, copy.data),
        .from = span_of(base, copy.from),
        .headers = span_of(base, copy.headers),
        .conflate = span_of(base, copy.conflate),
        .time_ms = event->time_ms,
        .exclude = event->exclude,
        .ttl_s = event->ttl_s,
        .kind = event->kind,
    };
}

void event_frame_finish(uint8_t *base, struct event_frame *frame, uint64_t offset)
{
    uint8_t *tail = base + frame->tail.at;
    uint8_t *json = put_type_before(tail, frame->kind, offset);
    size_t json_n = (size_t)(tail - json) + frame->tail.n;
    size_t header_n = ws_header_bytes(json_n);
    ws_header_put(json - header_n, json_n);
    frame->at = (uint32_t)(json - header_n - base);
    frame->n = (uint32_t)(header_n + json_n);
}

void event_frame_time(uint8_t *base, struct event_frame *frame, int64_t time_ms)
{
    assert(frame->kind == EVENT_MESSAGE);
    if (frame->time_ms != time_ms) {
        frame->time_ms = time_ms;
        json_time_put(base + frame->data.at + frame->data.n + LENGTH(TIME_KEY), time_ms);
    }
}

void event_frame_event(const uint8_t *base, const struct event_frame *frame, struct event *out)
{
    *out = (struct event){
        .kind = frame->kind,
        .channel = span_slice(base, frame->channel),
        .name = span_slice(base, frame->name),
        .data = span_slice(base, frame->data),
        .from = span_slice(base, frame->from),
        .headers = span_slice(base, frame->headers),
        .conflate = span_slice(base, frame->conflate),
        .time_ms = frame->time_ms,
        .ttl_s = frame->ttl_s,
        .exclude = frame->exclude,
    };
}

/* All lengths are known beforehand, so nothing is moved. */
static void write_event(struct buf *b, const struct event *event, uint64_t offset, bool framed)
{
    uint8_t side[BEGINNING_BYTES_MAX];
    const uint8_t *type = put_type_before(side + sizeof side, event->kind, offset);
    size_t type_n = (size_t)(side + sizeof side - type);
    size_t json_n = type_n + tail_bytes(event);
    size_t header_n = framed ? ws_header_bytes(json_n) : 0;
    uint8_t *p = buf_reserve(b, header_n + json_n);
    if (framed) {
        ws_header_put(p, json_n);
    }
    struct event copy;
    uint8_t *end = put_tail(put(p + header_n, type, type_n), event, &copy);
    assert(end == p + header_n + json_n);
    b->n += header_n + json_n;
}

void event_frame_write(struct buf *b, const struct event *event, uint64_t offset)
{
    write_event(b, event, offset, true);
}

void event_json_write(struct buf *b, const struct event *event, uint64_t offset)
{
    write_event(b, event, offset, false);
}
