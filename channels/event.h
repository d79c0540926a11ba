/* channels/event.h: one event of a channel, as it is stored in the log and as it is framed on the
 * native wire (native-protocol.md section 3).
 *
 * Stored, it is a small binary record whose pieces the log gathers where they lie. Framed, it is an
 * RFC 6455 text frame, unmasked as a server sends it:
 *
 *     {"type":"event","offset":42,"channel":"c","event":"x","data":…,"time":"…Z","from":"…","headers":{…}}
 *     {"type":"joined","offset":43,"channel":"c","member":{"id":"…","info":…},"time":"…Z"}
 *
 * A publish is framed while it is parsed, before its offset is known: event_frame_begin leaves room
 * in front, event_frame_finish fills it. The pieces are found again in the frame, so they are kept
 * once.
 *
 * Owns     nothing: an event borrows all its slices; a frame is positions in the caller's arena.
 * Threads  any; an arena belongs to one thread at a time.
 * Units    milliseconds since 1970 (json_out.h's years), seconds, bytes.
 * Limits   name, from and conflate up to 65,535 bytes, headers and data up to 4 GiB, an arena up to
 *          4 GiB: asserted, as the callers bound what a peer sends.
 * Errors   event_unpack alone can fail.
 */
#ifndef WAGGLE_CHANNELS_EVENT_H
#define WAGGLE_CHANNELS_EVENT_H

#include "channels/json_out.h"

enum event_kind { EVENT_MESSAGE, EVENT_JOINED, EVENT_LEFT, EVENT_UPDATED, EVENT_KINDS };

struct event {
    enum event_kind kind;
    /* "Escaped" is json_to_escaped's form, without quotes; JSON has been checked by json_scan. */
    struct slice channel; /* plain name */
    struct slice name;    /* escaped: the event's name; for presence kinds the member's id */
    struct slice data;    /* JSON, empty means null; for presence kinds the member's info, if any */
    struct slice from;    /* escaped; empty: not said. Not for presence kinds, like what follows */
    struct slice headers; /* a JSON object; empty: none */
    struct slice conflate; /* escaped key; empty: none. Stored, not sent */
    int64_t time_ms;
    uint32_t ttl_s;   /* 0: no end. Stored, not sent */
    uint64_t exclude; /* connection that must not receive it; 0: none. Stored, not sent */
};

/* ---- as stored ---- */

enum { EVENT_HEAD_BYTES = 32, EVENT_PARTS_MAX = 6 };

/* The payload of the log's record as slices to be gathered: the head, written to `head`, then the
 * event's own. Returns their count. Channel and time are not in it: the record has them. */
size_t event_pack_parts(const struct event *event, uint8_t head[EVENT_HEAD_BYTES],
                        struct slice parts[EVENT_PARTS_MAX]);
/* Borrows from the payload; channel and time_ms are left empty for the caller to fill in. False: no
 * payload that event_pack_parts gives, and nothing is written. */
bool event_unpack(struct slice payload, struct event *out);

/* ---- as framed ---- */

struct event_span {
    uint32_t at, n; /* position in the arena */
};

struct event_frame {
    uint32_t at, n;         /* the finished frame (event_frame_finish) */
    struct event_span tail; /* what follows the offset */
    struct event_span channel, name, data, from, headers, conflate;
    int64_t time_ms;
    uint64_t exclude;
    uint32_t ttl_s;
    enum event_kind kind;
};

/* Appends the frame but for its beginning. The event must not borrow from the arena, which may
 * move. */
void event_frame_begin(struct buf *arena, const struct event *event, struct event_frame *out);
/* Writes the beginning and sets at and n; base is the arena's p by now. offset 0: a live event,
 * without the key. May be called again with another offset. */
void event_frame_finish(uint8_t *base, struct event_frame *frame, uint64_t offset);
/* Of a message: another time than was known when it was framed. A channel's times are the writer's,
 * so that they never run backwards and the event reads the same live and replayed. */
void event_frame_time(uint8_t *base, struct event_frame *frame, int64_t time_ms);
/* The event of a frame, begun or finished, borrowed from the arena. */
void event_frame_event(const uint8_t *base, const struct event_frame *frame, struct event *out);

/* The head of an unmasked text frame of n bytes, as every frame here begins (RFC 6455 section 5.2).
 * Returns its length. */
enum { EVENT_WS_HEAD_BYTES_MAX = 10 };
size_t event_ws_head_put(uint8_t out[EVENT_WS_HEAD_BYTES_MAX], uint64_t n);

/* Appends a whole frame, without room to spare. */
void event_frame_write(struct buf *b, const struct event *event, uint64_t offset);
/* Appends the frame's JSON alone (SSE, REST). Data may hold line breaks where JSON allows them. */
void event_json_write(struct buf *b, const struct event *event, uint64_t offset);

#endif
