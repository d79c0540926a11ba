/* Who gets which event, and when again: when a batch ends, each cursor that something happened to
 * hands out what it may to whoever has least in hand, and writes its row. */
#include "hub/core/cursor_parts.h"

#include "channels/json_scan.h"

/* ---- events that are given up ---- */

struct dead_letter {
    const struct held_cursor *held;
    uint64_t offset;
    uint32_t deliveries;
    const char *reason;
};

/* The event's own headers, and why it is here. */
static void dead_headers(struct buf *b, const struct event *event, const struct dead_letter *d)
{
    struct json_out o = json_out_to(b);
    struct json_walk walk = json_walk_of(event->headers);
    struct slice key, value;
    json_begin(&o, '{');
    while (json_walk_next(&walk, &key, &value)) {
        json_raw(&o, key);
        buf_add_str(b, ":");
        buf_add_slice(b, value);
    }
    json_key(&o, "dead_channel");
    json_text(&o, held_channel(d->held));
    json_key(&o, "dead_offset");
    json_u64(&o, d->offset);
    json_key(&o, "dead_cursor");
    json_text(&o, held_name(d->held));
    json_key(&o, "dead_deliveries");
    json_u64(&o, d->deliveries);
    json_key(&o, "dead_reason");
    json_str(&o, d->reason);
    json_end(&o, '}');
}

static enum hub_rc dead_tell(struct apply *a, const struct dead_letter *d, struct slice payload)
{
    struct event event;
    struct buf bytes = {0}, channel = {0}, headers = {0};
    enum hub_rc rc = HUB_OK;
    buf_add_slice(&bytes, payload); /* a write moves what the view lent */
    if (event_unpack(buf_slice(&bytes), &event) && event.kind == EVENT_MESSAGE) {
        buf_add_slice(&channel, held_channel(d->held));
        buf_add_str(&channel, ".dead");
        dead_headers(&headers, &event, d);
        event.channel = buf_slice(&channel);
        event.headers = buf_slice(&headers);
        event.conflate = slice_of(NULL, 0);
        event.time_ms = a->now_ms;
        event.ttl_s = 0;
        event.exclude = 0;
        uint64_t unknown = 0;
        rc = hub_rc_of_store(book_tell(a->book, d->held->app, &event, &unknown, apply_emit, a));
    }
    buf_done(&bytes);
    buf_done(&channel);
    buf_done(&headers);
    return rc;
}

/* An event that the log keeps no more has nothing to be kept in `.dead`. */
enum hub_rc held_give_up(struct apply *a, struct held_cursor *h, uint64_t offset,
                         const char *reason)
{
    struct log_head head;
    struct log_record record;
    const struct cursor_item *item = cursor_find(&h->cursor, offset);
    struct dead_letter d = {
        .held = h, .offset = offset, .deliveries = item->deliveries, .reason = reason};
    enum store_rc src = log_head(a->writer->log, h->channel, &head);
    if (src == STORE_OK) {
        src = log_get(a->view, &head, offset, &record);
    }
    enum hub_rc rc = HUB_OK;
    if (src == STORE_OK) {
        rc = dead_tell(a, &d, record.payload);
    } else if (src != STORE_NOT_FOUND && src != STORE_DAMAGED) {
        rc = hub_rc_of_store(src);
    }
    cursor_remove(&h->cursor, offset);
    return rc;
}

struct cursor_rules held_rules(const struct apply *a, const struct held_cursor *h)
{
    const struct namespace_options *o = book_options(a->book, h->app, held_channel(h));
    return (struct cursor_rules){.ack_wait_ms = o->ack_wait_ms,
                                 .in_flight_max = o->max_in_flight,
                                 .deliver_max = o->max_deliver};
}

void held_less(struct held_cursor *h, uint64_t connection)
{
    uint32_t i = held_consumer(h, connection);
    if (i < h->consumers_n) {
        h->consumers[i].out--;
    }
}

/* It came back, by a nack, its deadline, or because its holder is gone. */
enum hub_rc held_come_back(struct apply *a, struct held_cursor *h, struct cursor_item *item,
                           int64_t delay_ms)
{
    struct cursor_rules rules = held_rules(a, h);
    uint64_t offset = item->number;
    held_less(h, item->holder);
    if (cursor_return(&h->cursor, item, &rules, a->now_ms, delay_ms)) {
        return HUB_OK;
    }
    return held_give_up(a, h, offset, "max_deliver");
}

/* ---- when a batch ends: handing out ---- */

static struct consumer *least_busy(const struct held_cursor *h)
{
    struct consumer *least = NULL;
    for (uint32_t i = 0; i < h->consumers_n; i++) {
        if (!least || h->consumers[i].out < least->out) {
            least = &h->consumers[i];
        }
    }
    return least;
}

static void say(struct apply *a, const struct held_cursor *h, const struct consumer *to,
                uint64_t from, uint64_t last, uint32_t deliveries)
{
    struct tray_handout handout = {.connection = to->connection,
                                   .to = to->to,
                                   .cursor = h->number,
                                   .deliveries = deliveries,
                                   .from = from,
                                   .last = last};
    tray_handout(a->tray, &handout);
}

/* What the log no longer keeps cannot be given: one consumer is told of the gap. A channel that was
 * begun anew counts from 1 again. */
static void follow_log(struct apply *a, struct held_cursor *h, const struct log_head *head)
{
    struct cursor *c = &h->cursor;
    if (h->generation != head->generation) {
        cursor_done(c);
        c->top = head->first - 1;
        h->generation = head->generation;
        for (uint32_t i = 0; i < h->consumers_n; i++) {
            h->consumers[i].out = 0;
        }
        return;
    }
    for (;;) {
        const struct cursor_item *oldest = cursor_each(c, NULL);
        if (!oldest || oldest->number >= head->first || oldest->holder) {
            break;
        }
        say(a, h, least_busy(h), oldest->number, oldest->number, 0);
        cursor_remove(c, oldest->number);
    }
    if (c->top + 1 < head->first) {
        say(a, h, least_busy(h), c->top + 1, head->first - 1, 0);
        c->top = head->first - 1;
    }
}

/* The next event that may go: one that came back, else a fresh one. What had its deliveries when
 * the hub went down was not judged then. */
static enum hub_rc next_item(struct apply *a, struct held_cursor *h,
                             const struct cursor_rules *rules, const struct log_head *head,
                             struct cursor_item **out)
{
    struct cursor *c = &h->cursor;
    enum hub_rc rc = HUB_OK;
    while ((*out = cursor_next(c, rules, a->now_ms)) && (*out)->deliveries >= rules->deliver_max &&
           rc == HUB_OK) {
        rc = held_give_up(a, h, (*out)->number, "max_deliver");
    }
    if (!*out && c->top < head->last && c->n < rules->in_flight_max) {
        struct cursor_item fresh = {.number = c->top + 1};
        *out = cursor_add(c, 0, &fresh);
    }
    return rc;
}

static enum hub_rc hand_out(struct apply *a, struct held_cursor *h)
{
    struct cursor_rules rules = held_rules(a, h);
    struct cursor_item *item;
    struct log_head head;
    if (h->consumers_n == 0) {
        return HUB_OK;
    }
    enum store_rc src = log_head(a->writer->log, h->channel, &head);
    enum hub_rc rc = hub_rc_of_store(src);
    if (rc == HUB_OK) {
        follow_log(a, h, &head);
        rc = next_item(a, h, &rules, &head, &item);
    }
    while (rc == HUB_OK && item) {
        struct consumer *to = least_busy(h);
        cursor_hand(&h->cursor, item, to->connection, &rules, a->now_ms);
        to->out++;
        say(a, h, to, item->number, item->number, item->deliveries);
        rc = next_item(a, h, &rules, &head, &item);
    }
    return rc;
}

static void events_touch(struct cursors *all, const struct tray *tray)
{
    for (uint32_t i = 0; i < tray->events_n; i++) {
        const struct tray_event *event = &tray->events[i];
        uint32_t number = all->buckets[event->channel_hash & (all->buckets_n - 1)];
        for (; number; number = all->all[number].next_in_bucket) {
            struct held_cursor *h = &all->all[number];
            if (h->channel_hash == event->channel_hash && event->offset && h->consumers_n) {
                held_touch(all, h);
            }
        }
    }
}

enum hub_rc cursors_finish(struct apply *a, struct tray *const *trays, unsigned trays_n)
{
    struct cursors *all = a->state;
    enum hub_rc rc = HUB_OK;
    for (unsigned t = 0; all->live && t < trays_n; t++) {
        events_touch(all, trays[t]);
    }
    for (uint32_t i = 0; rc == HUB_OK && i < all->touched_n; i++) {
        struct held_cursor *h = &all->all[all->touched[i]];
        h->touched = false;
        if (!h->number) {
            continue; /* deleted in the same batch */
        }
        rc = hand_out(a, h);
        if (rc == HUB_OK) {
            rc = held_write(a, all, h);
        }
        deadlines_set(&all->deadlines, h->number, h->consumers_n ? h->cursor.look_ms : INT64_MAX);
    }
    all->touched_n = 0;
    return rc;
}
