/* Stored events of any bytes: what event_unpack accepts has exactly one payload, and is framed
 * alike in an arena and at once. */
#include <stdlib.h>

#include "channels/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void try_pack(const struct event *event, struct slice payload)
{
    uint8_t head[EVENT_HEAD_BYTES];
    struct slice parts[EVENT_PARTS_MAX];
    struct buf b = {0};
    size_t n = event_pack_parts(event, head, parts);
    must(n <= EVENT_PARTS_MAX);
    for (size_t i = 0; i < n; i++) {
        buf_add_slice(&b, parts[i]);
    }
    must(slice_equal(buf_slice(&b), payload));
    buf_done(&b);
}

static void try_frames(const struct event *event, uint64_t offset)
{
    struct buf arena = {0}, framed = {0}, json = {0};
    struct event_frame frame;
    struct event found;
    buf_add_str(&arena, "what was there before");
    event_frame_begin(&arena, event, &frame);
    event_frame_finish(arena.p, &frame, offset);
    must((size_t)frame.at + frame.n <= arena.n);
    event_frame_event(arena.p, &frame, &found);
    must(slice_equal(found.channel, event->channel) && slice_equal(found.name, event->name));
    must(slice_equal(found.conflate, event->conflate) && found.exclude == event->exclude);
    event_frame_write(&framed, event, offset);
    must(slice_equal(slice_of(arena.p + frame.at, frame.n), buf_slice(&framed)));
    event_json_write(&json, event, offset);
    must(json.n < framed.n);
    must(memcmp(framed.p + (framed.n - json.n), json.p, json.n) == 0);
    buf_done(&arena);
    buf_done(&framed);
    buf_done(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct event event;
    struct slice payload = slice_of(data, size);
    if (!event_unpack(payload, &event)) {
        return 0;
    }
    try_pack(&event, payload);
    event.channel = slice_str("orders.eu");
    event.time_ms = (int64_t)(size * UINT64_C(0x9e3779b97f4a7c15));
    try_frames(&event, 0);
    try_frames(&event, size);
    try_frames(&event, UINT64_MAX - size);
    return 0;
}
