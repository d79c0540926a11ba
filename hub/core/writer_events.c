/* What apply functions tell the channels, and who hears it.
 *
 * Most events of the hub's own are for the log alone: nobody looks at this task just now. So a
 * stored event is framed when somebody has asked for its channel, and otherwise noted only. Who
 * asks while the batch is under way may find a position that lies before it; therefore it is looked
 * once more after the commit, and what is wanted then is framed from the log. Who asks later finds
 * it there. */
#include "hub/core/writer_parts.h"

static bool is_framed(const struct tray_event *event)
{
    return event->frame.n > 0;
}

static void frame(struct tray *tray, struct tray_event *to, const struct event *event)
{
    event_frame_begin(&tray->out, event, &to->frame);
    event_frame_finish(tray->out.p, &to->frame, to->offset);
}

void apply_emit(void *ctx, uint32_t app, const struct event *event, uint64_t offset, uint64_t seq)
{
    struct apply *a = ctx;
    const struct writer *w = a->writer;
    uint64_t hash = hash64_named(w->options.hash_seed, app, event->channel);
    bool wanted = interest_of(w->interest, hash) != 0;
    if (!wanted && !offset) {
        return; /* live: who comes later does not hear it */
    }
    struct tray_event *out = tray_event(a->tray);
    out->app = app;
    out->arena = TRAY_OUT;
    out->offset = offset;
    out->seq = seq;
    out->channel_hash = hash;
    if (wanted) {
        frame(a->tray, out, event);
    }
}

static struct event own_event(const struct apply *a, struct slice channel, const char *name,
                              struct slice data)
{
    return (struct event){.kind = EVENT_MESSAGE,
                          .channel = channel,
                          .name = slice_str(name),
                          .data = data,
                          .time_ms = a->now_ms};
}

void apply_stream(struct apply *a, uint32_t app, struct slice channel, const char *name,
                  struct slice data)
{
    struct event event = own_event(a, channel, name, data);
    apply_emit(a, app, &event, 0, 0);
}

enum hub_rc apply_tell(struct apply *a, uint32_t app, struct slice channel, const char *name,
                       struct slice data)
{
    uint64_t unknown = 0;
    return apply_tell_known(a, app, channel, &unknown, name, data);
}

enum hub_rc apply_tell_known(struct apply *a, uint32_t app, struct slice channel, uint64_t *known,
                             const char *name, struct slice data)
{
    struct event event = own_event(a, channel, name, data);
    return hub_rc_of_store(book_tell(a->book, app, &event, known, apply_emit, a));
}

/* ---- after the commit ---- */

struct late {
    struct store_view *view;
    struct tray *tray;
    struct tray_event *event;
};

static bool frame_record(void *ctx, const struct log_record *record)
{
    struct late *late = ctx;
    struct log_channel channel;
    struct event event;
    if (record->seq == late->event->seq && event_unpack(record->payload, &event) &&
        log_channel_get(late->view, record->channel, &channel) == STORE_OK) {
        event.channel = channel.name;
        event.time_ms = record->time_ms;
        frame(late->tray, late->event, &event);
    }
    return false;
}

/* What cannot be read is left out: its subscribers miss an offset, and ask the log themselves. */
static void frame_late(struct writer *w, struct tray *tray, struct tray_event *event)
{
    struct late late = {.tray = tray, .event = event};
    uint64_t first, next;
    if (store_snapshot(w->reader, &late.view) == STORE_OK) {
        (void)log_read_journal(late.view, event->seq, 1, frame_record, &late, &first, &next);
        store_release(w->reader);
    }
}

static uint64_t events_wanted(struct writer *w, struct tray *tray)
{
    uint64_t wanted = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < tray->events_n; i++) {
        struct tray_event *event = &tray->events[i];
        uint64_t by = interest_of(w->interest, event->channel_hash);
        if (by && !is_framed(event)) {
            frame_late(w, tray, event);
        }
        if (is_framed(event)) {
            wanted |= by;
            tray->events[kept++] = *event;
        }
    }
    tray->events_n = kept;
    return wanted;
}

static uint64_t thread_of(const struct writer *w, uint64_t connection)
{
    unsigned thread = connection_thread(connection);
    return thread < w->options.ports_n ? UINT64_C(1) << thread : 0;
}

uint64_t writer_wanted(struct writer *w, struct tray *tray)
{
    uint64_t wanted = events_wanted(w, tray);
    for (uint32_t i = 0; i < tray->kicks_n; i++) {
        wanted |= thread_of(w, tray->kicks[i].connection);
    }
    for (uint32_t i = 0; i < tray->handouts_n; i++) {
        wanted |= thread_of(w, tray->handouts[i].connection);
    }
    return wanted;
}
