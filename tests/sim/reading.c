/* What a client makes of the bytes that reached it: takes the stream apart and holds each frame
 * against what a channel promises (native-protocol.md section 5). */
#include "tests/sim/sim.h"
#include "auth/pattern.h"
#include "channels/json_scan.h"
#include "store/hash.h"

#include <stdio.h>
#include <stdlib.h>

enum field {
    F_TYPE,
    F_CHANNEL,
    F_OFFSET,
    F_FROM,
    F_TO,
    F_COUNT,
    F_REASON,
    F_NEXT,
    F_NUMBER,
    F_RESUMED,
    F_DATA,
    FIELDS
};
static const char *const field_names[FIELDS] = {"type",   "channel", "offset", "from",
                                                "to",     "count",   "reason", "next",
                                                "number", "resumed", "data"};

struct frame {
    struct slice json, field[FIELDS], type;
    int channel;
    uint64_t offset;
};

void marker_put(struct buf *out, unsigned channel, unsigned number, uint64_t next, bool resumed)
{
    struct buf text = {0};
    buf_printf(
        &text,
        "{\"type\":\"subscribed\",\"channel\":\"%s\",\"number\":%u,\"next\":%llu,\"resumed\":%s}",
        channel_names[channel], number, (unsigned long long)next, resumed ? "true" : "false");
    size_t n = event_ws_head_put(buf_reserve(out, EVENT_WS_HEAD_BYTES_MAX), text.n);
    out->n += n;
    buf_add_slice(out, buf_slice(&text));
    buf_done(&text);
}

static const char *name_of(const struct frame *f)
{
    return f->channel >= 0 ? channel_names[f->channel] : ">";
}

static uint64_t number(struct world *w, const struct frame *f, enum field field)
{
    uint64_t v;
    SIM_CHECK(w, json_to_u64(f->field[field], &v), "no number \"%s\" in %.*s", field_names[field],
              (int)f->json.n, (const char *)f->json.p);
    return v;
}

/* ---- a subscription's events ---- */

static bool is_own(const struct world *w, const struct client *c, int channel, uint64_t offset)
{
    const struct model_event *e = model_event_at(w, (unsigned)channel, offset);
    return e && model_excludes(e, c);
}

static void skip_own(const struct world *w, const struct client *c, int channel, uint64_t *next,
                     uint64_t before)
{
    while (*next < before && is_own(w, c, channel, *next)) {
        ++*next;
    }
}

static void take_exact(struct world *w, struct client *c, const struct frame *f)
{
    struct channel_view *view = &c->views[f->channel];
    if (!view->placed) { /* subscribed while the channel was live: from the first event that is
                            stored */
        view->placed = true;
        view->next = f->offset;
    }
    skip_own(w, c, f->channel, &view->next, f->offset);
    const struct model_event *e = model_event_at(w, (unsigned)f->channel, view->next);
    SIM_CHECK(w, f->offset == view->next,
              "client %u on %s: expected offset %llu (%lld ms old, ttl %u s%s), got %llu", c->n,
              name_of(f), (unsigned long long)view->next,
              e ? (long long)(w->now_ms - e->time_ms) : -1, e ? (unsigned)e->ttl_s : 0,
              e && e->exclude ? ", excludes" : "", (unsigned long long)f->offset);
    view->next++;
}

/* ---- patterns ---- */

static bool matches(const struct client *c, unsigned channel, uint64_t seq)
{
    for (unsigned i = 0; i < PATTERNS; i++) {
        if (c->pattern_from[i] < seq &&
            pattern_match(slice_str(pattern_texts[i]), channel_name(channel))) {
            return true;
        }
    }
    return false;
}

static bool is_over(const struct world *w, const struct model_event *e)
{
    return e->ttl_s && e->time_ms + (int64_t)e->ttl_s * 1000 <= w->now_ms;
}

/* Everything that the patterns match below seq was seen: this connection's own, what is over, and
 * what an exact subscription got are not owed. */
static void account(struct world *w, struct client *c, uint64_t seq)
{
    for (uint64_t s = c->watched_seq + 1; s < seq; s++) {
        const struct model_place *p = &w->model.order[s - 1];
        const struct model_event *e = model_event_at(w, p->channel, p->offset);
        SIM_CHECK(w,
                  !matches(c, p->channel, s) || c->views[p->channel].was_exact || is_over(w, e) ||
                      model_excludes(e, c),
                  "client %u missed %s %llu (sequence %llu) on its patterns", c->n,
                  channel_names[p->channel], (unsigned long long)p->offset, (unsigned long long)s);
    }
    c->watched_seq = seq > c->watched_seq ? seq : c->watched_seq;
}

static void take_by_pattern(struct world *w, struct client *c, const struct frame *f)
{
    struct channel_view *view = &c->views[f->channel];
    const struct model_event *e = model_event_at(w, (unsigned)f->channel, f->offset);
    bool may = false;
    for (unsigned i = 0; i < PATTERNS; i++) {
        may = may || (c->pattern_ever[i] && pattern_match(slice_str(pattern_texts[i]),
                                                          channel_name((unsigned)f->channel)));
    }
    /* On its way from a subscription that was given up, or of one whose answer comes later: it says
     * nothing of what the patterns brought. */
    if (view->was_exact) {
        return;
    }
    SIM_CHECK(w, may, "client %u got %s %llu, which it did not ask for", c->n, name_of(f),
              (unsigned long long)f->offset);
    if (e->seq <= c->late_seq) {
        return;
    }
    SIM_CHECK(w, e->seq > c->watched_seq, "client %u got %s %llu by pattern again", c->n,
              name_of(f), (unsigned long long)f->offset);
    account(w, c, e->seq);
}

/* ---- live events ---- */

static void take_live(struct world *w, struct client *c, const struct frame *f)
{
    struct buf from = {0};
    unsigned who = CLIENTS_MAX;
    unsigned long long life = 0, token = 0;
    bool read = json_to_text(f->field[F_FROM], &from);
    buf_add(&from, "", 1);
    read = read && sscanf((const char *)from.p, "%u-%llu", &who, &life) == 2 && who < CLIENTS_MAX;
    buf_done(&from);
    SIM_CHECK(w, read && sscanf((const char *)f->field[F_DATA].p, "{\"n\":%llu", &token) == 1,
              "a live event is not of this run: %.*s", (int)f->json.n, (const char *)f->json.p);
    struct live_seen *seen = &c->views[f->channel].live[who];
    SIM_CHECK(w, seen->life != life || token > seen->token,
              "client %u got live event %llu of client %u after %llu", c->n, token, who,
              (unsigned long long)seen->token);
    *seen = (struct live_seen){.life = life, .token = token};
}

/* ---- frames ---- */

static void take_event(struct world *w, struct client *c, struct frame *f)
{
    w->counts.received++;
    SIM_CHECK(w, f->channel >= 0, "an event of an unknown channel: %.*s", (int)f->json.n,
              (const char *)f->json.p);
    if (f->field[F_OFFSET].n == 0) {
        take_live(w, c, f);
        return;
    }
    f->offset = number(w, f, F_OFFSET);
    const struct model_event *e = model_event_at(w, (unsigned)f->channel, f->offset);
    SIM_CHECK(w, e, "client %u got %s %llu, which is not on disk", c->n, name_of(f),
              (unsigned long long)f->offset);
    SIM_CHECK(w, e->hash == hash64(0, f->json), "client %u: %s %llu reads otherwise on disk: %.*s",
              c->n, name_of(f), (unsigned long long)f->offset,
              (int)(f->json.n < 300 ? f->json.n : 300), (const char *)f->json.p);
    SIM_CHECK(w, !model_excludes(e, c), "client %u got %s %llu, which it did not want back", c->n,
              name_of(f), (unsigned long long)f->offset);
    if (c->views[f->channel].settled) {
        take_exact(w, c, f);
    } else {
        take_by_pattern(w, c, f);
    }
}

/* Every offset that a gap names must be out of reach by now. */
static void take_gap(struct world *w, struct client *c, const struct frame *f)
{
    if (f->field[F_FROM].n == 0) {
        SIM_CHECK(w, number(w, f, F_COUNT) > 0, "a gap of nothing");
        return;
    }
    uint64_t from = number(w, f, F_FROM), to = number(w, f, F_TO);
    SIM_CHECK(w, from <= to && number(w, f, F_COUNT) == to - from + 1, "a gap from %llu to %llu",
              (unsigned long long)from, (unsigned long long)to);
    if (f->channel < 0) {
        struct log_stats stats;
        log_stats(w->hub.log, &stats);
        SIM_CHECK(w, to < stats.journal_first_seq,
                  "a gap in the journal to %llu, which begins at %llu", (unsigned long long)to,
                  (unsigned long long)stats.journal_first_seq);
        c->watched_seq = to > c->watched_seq ? to : c->watched_seq;
        return;
    }
    struct channel_view *view = &c->views[f->channel];
    if (!view->settled) {
        return; /* of a subscription given up */
    }
    if (!view->placed) { /* as with an event: it was the first that is stored */
        view->placed = true;
        view->next = from;
    }
    skip_own(w, c, f->channel, &view->next, from);
    SIM_CHECK(w, view->next == from, "client %u on %s: a gap from %llu, expected %llu", c->n,
              name_of(f), (unsigned long long)from, (unsigned long long)view->next);
    for (uint64_t o = from; o <= to; o++) {
        const struct model_event *e = model_event_at(w, (unsigned)f->channel, o);
        SIM_CHECK(w, e, "client %u on %s: a gap to %llu, which is not there yet", c->n, name_of(f),
                  (unsigned long long)to);
        SIM_CHECK(w, o < w->model.ever_first[f->channel] || is_over(w, e) || model_excludes(e, c),
                  "client %u on %s: %llu was kept, but a gap names it", c->n, name_of(f),
                  (unsigned long long)o);
    }
    view->next = to + 1;
}

static void take_marker(struct world *w, struct client *c, const struct frame *f)
{
    struct channel_view *view = &c->views[f->channel];
    uint64_t next = number(w, f, F_NEXT);
    if (number(w, f, F_NUMBER) != view->number) {
        return; /* of a subscription given up */
    }
    if (slice_is(f->field[F_RESUMED], "true")) {
        SIM_CHECK(w, view->placed && view->next == next,
                  "client %u on %s resumed at %llu, not at %llu", c->n, name_of(f),
                  (unsigned long long)next, (unsigned long long)view->next);
    }
    view->settled = true;
    view->placed = next != 0;
    view->next = next;
}

static void take_frame(struct world *w, struct client *c, struct slice json)
{
    struct frame f = {.json = json};
    size_t at;
    SIM_CHECK(w,
              json_fields(json, field_names, FIELDS, f.field, &at) == JSON_OK &&
                  json_is_plain(f.field[F_TYPE], &f.type),
              "client %u got no JSON: %.*s", c->n, (int)json.n, (const char *)json.p);
    struct slice name = {0};
    (void)json_is_plain(f.field[F_CHANNEL], &name);
    f.channel = channel_of(name);
    sim_note(w, hash64(c->n, json));
    if (slice_is(f.type, "gap")) {
        take_gap(w, c, &f);
    } else if (slice_is(f.type, "subscribed")) {
        take_marker(w, c, &f);
    } else {
        take_event(w, c, &f);
    }
}

void client_read(struct world *w, struct client *c)
{
    size_t at = 0;
    for (;;) {
        const uint8_t *p = c->stream.p + at;
        size_t left = c->stream.n - at, head = 2, n;
        if (left < 2) {
            break;
        }
        SIM_CHECK(w, p[0] == 0x81, "client %u: byte %02x begins no text frame", c->n, p[0]);
        n = p[1];
        head = n == 126 ? 4 : n == 127 ? 10 : 2;
        if (left < head) {
            break;
        }
        n = n == 126 ? be16_get(p + 2) : n == 127 ? be64_get(p + 2) : n;
        if (left - head < n) {
            break;
        }
        take_frame(w, c, slice_of(p + head, n));
        at += head + n;
    }
    if (at) {
        buf_drop_front(&c->stream, at);
    }
}
