/* All cursors stand in memory; a row is written once for a batch, however many acks there were in
 * it: when the batch ends, each cursor that something happened to hands out what it may and writes
 * its row. Cursors of a channel are found by the hash that trays carry, so a publish costs those
 * who have no cursor nothing and the others one look-up.
 *
 * Rows name the consumers, because after an aborted batch memory is read back while the connections
 * live on. After a start they do not: a row says in which life of the hub it was written. */
#include "hub/core/cursor_commands.h"
#include "channels/deadlines.h"
#include "channels/json_scan.h"
#include "hub/core/writer_parts.h"
#include "store/pack.h"

#include <assert.h>
#include <stdlib.h>

enum { ROW_VERSION = 1, BUCKETS_FIRST = 64, CONSUMER_BYTES = 16, ITEM_BYTES = 24 };

struct consumer {
    uint64_t connection;
    struct return_address to;
    uint32_t out;
};

struct held_cursor {
    uint32_t number, app, generation; /* number 0: a place that is free */
    uint64_t channel, channel_hash;
    int64_t created_ms;
    struct cursor cursor;
    struct consumer *consumers;
    uint32_t consumers_n, consumers_cap;
    uint32_t next_in_bucket; /* number */
    bool touched;            /* in the list of those to be looked at when the batch ends */
    uint8_t channel_n, name_n;
    char channel_name[CURSOR_CHANNEL_BYTES_MAX], name[CURSOR_NAME_BYTES_MAX];
};

struct cursors {
    struct cursors_options options;
    struct held_cursor *all; /* by number; [0] is not used */
    uint32_t n, cap, live;
    uint32_t *buckets; /* by channel_hash: number of the first */
    uint32_t buckets_n;
    struct deadlines deadlines;
    uint32_t *touched;
    uint32_t touched_n, touched_cap;
    uint64_t life; /* counts starts; 0: not loaded yet */
};

static struct slice channel_of(const struct held_cursor *h)
{
    return slice_of(h->channel_name, h->channel_n);
}

static struct slice name_of(const struct held_cursor *h)
{
    return slice_of(h->name, h->name_n);
}

/* ---- bodies and replies ---- */

void cursor_attach_put(struct buf *b, const struct cursor_attach *a)
{
    pack_slice(b, a->channel);
    pack_slice(b, a->name);
    why_put(b, &a->why);
    pack_u64(b, a->connection);
    pack_u8(b, a->has_since);
    pack_u64(b, a->since);
    pack_u64(b, a->rewind);
}

static bool attach_get(struct slice body, struct cursor_attach *out)
{
    struct unpack u = unpack_of(body);
    out->channel = unpack_slice(&u);
    out->name = unpack_slice(&u);
    out->why = why_get(&u);
    out->connection = unpack_u64(&u);
    out->has_since = unpack_u8(&u) != 0;
    out->since = unpack_u64(&u);
    out->rewind = unpack_u64(&u);
    return unpack_done(&u) && out->channel.n && out->channel.n <= CURSOR_CHANNEL_BYTES_MAX &&
           out->name.n && out->name.n <= CURSOR_NAME_BYTES_MAX;
}

bool cursor_attached_get(struct slice reply, struct cursor_attached *out)
{
    struct unpack u = unpack_of(reply);
    out->number = unpack_u32(&u);
    out->created = unpack_u8(&u) != 0;
    out->channel = unpack_u64(&u);
    out->last = unpack_u64(&u);
    out->settled = unpack_u64(&u);
    out->in_flight = unpack_u32(&u);
    return unpack_done(&u);
}

void cursor_detach_put(struct buf *b, struct slice channel, struct slice name, uint64_t connection,
                       struct slice unsent)
{
    pack_slice(b, channel);
    pack_slice(b, name);
    pack_u64(b, connection);
    pack_slice(b, unsent);
}

void cursor_answer_put(struct buf *b, const struct cursor_answer *a)
{
    pack_u32(b, a->number);
    pack_u8(b, (uint8_t)a->verdict);
    pack_u64(b, a->offset);
    pack_u64(b, a->connection);
    pack_i64(b, a->delay_ms);
}

static bool answer_get(struct slice body, struct cursor_answer *out)
{
    struct unpack u = unpack_of(body);
    out->number = unpack_u32(&u);
    uint8_t verdict = unpack_u8(&u);
    out->verdict = (enum cursor_verdict)verdict;
    out->offset = unpack_u64(&u);
    out->connection = unpack_u64(&u);
    out->delay_ms = unpack_i64(&u);
    return unpack_done(&u) && verdict < CURSOR_VERDICTS;
}

/* ---- rows ---- */

bool cursor_row_get(struct slice row, struct cursor_row *out)
{
    struct unpack u = unpack_of(row);
    if (unpack_u8(&u) != ROW_VERSION) {
        return false;
    }
    out->number = unpack_u32(&u);
    out->app = unpack_u32(&u);
    out->generation = unpack_u32(&u);
    out->channel = unpack_slice(&u);
    out->name = unpack_slice(&u);
    out->channel_number = unpack_u64(&u);
    out->top = unpack_u64(&u);
    out->created_ms = unpack_i64(&u);
    out->life = unpack_u64(&u);
    out->consumers_n = unpack_u32(&u);
    out->items_n = unpack_u32(&u);
    size_t consumers = (size_t)out->consumers_n * CONSUMER_BYTES;
    size_t items = (size_t)out->items_n * ITEM_BYTES;
    out->consumers = slice_of(unpack_bytes(&u, consumers), consumers);
    out->items = slice_of(unpack_bytes(&u, items), items);
    return unpack_done(&u) && out->channel.n <= CURSOR_CHANNEL_BYTES_MAX &&
           out->name.n <= CURSOR_NAME_BYTES_MAX;
}

static uint32_t consumer_place(const struct held_cursor *h, uint64_t connection)
{
    uint32_t i = 0;
    while (i < h->consumers_n && h->consumers[i].connection != connection) {
        i++;
    }
    return i;
}

static void row_put(struct buf *b, const struct cursors *all, const struct held_cursor *h)
{
    pack_u8(b, ROW_VERSION);
    pack_u32(b, h->number);
    pack_u32(b, h->app);
    pack_u32(b, h->generation);
    pack_slice(b, channel_of(h));
    pack_slice(b, name_of(h));
    pack_u64(b, h->channel);
    pack_u64(b, h->cursor.top);
    pack_i64(b, h->created_ms);
    pack_u64(b, all->life);
    pack_u32(b, h->consumers_n);
    pack_u32(b, h->cursor.n);
    for (uint32_t i = 0; i < h->consumers_n; i++) {
        pack_u64(b, h->consumers[i].connection);
        pack_u32(b, h->consumers[i].to.slot);
        pack_u32(b, h->consumers[i].to.generation);
    }
    for (const struct cursor_item *it = NULL; (it = cursor_each(&h->cursor, it));) {
        pack_u64(b, it->number);
        pack_i64(b, it->due_ms);
        pack_u32(b, it->deliveries);
        pack_u32(b, it->holder ? consumer_place(h, it->holder) + 1 : 0);
    }
}

static enum hub_rc row_write(struct apply *a, const struct cursors *all,
                             const struct held_cursor *h)
{
    uint8_t key[4];
    struct buf row = {0};
    be32_put(key, h->number);
    row_put(&row, all, h);
    enum store_rc rc = store_put(a->txn, TABLE_CURSOR, slice_of(key, 4), buf_slice(&row));
    buf_done(&row);
    return hub_rc_of_store(rc);
}

/* ---- memory ---- */

static void bucket_add(struct cursors *all, struct held_cursor *h)
{
    uint32_t *bucket = &all->buckets[h->channel_hash & (all->buckets_n - 1)];
    h->next_in_bucket = *bucket;
    *bucket = h->number;
}

static void buckets_fill(struct cursors *all, uint32_t n)
{
    free(all->buckets);
    all->buckets_n = n;
    all->buckets = xcalloc(n, sizeof *all->buckets);
    for (uint32_t i = 1; i <= all->n; i++) {
        if (all->all[i].number) {
            bucket_add(all, &all->all[i]);
        }
    }
}

static struct held_cursor *held_add(struct cursors *all, uint32_t number, uint32_t app,
                                    struct slice channel, struct slice name)
{
    while (number >= all->cap) {
        all->cap = all->cap ? all->cap * 2 : 16;
        all->all = xrealloc(all->all, all->cap * sizeof *all->all);
    }
    while (all->n < number) {
        all->all[++all->n] = (struct held_cursor){0};
    }
    struct held_cursor *h = &all->all[number];
    h->number = number;
    h->app = app;
    h->channel_n = (uint8_t)channel.n;
    h->name_n = (uint8_t)name.n;
    memcpy(h->channel_name, channel.p, channel.n);
    memcpy(h->name, name.p, name.n);
    h->channel_hash = hash64_named(all->options.hash_seed, app, channel);
    cursor_init(&h->cursor);
    all->live++;
    if (all->n >= all->buckets_n) {
        buckets_fill(all, all->buckets_n * 2);
    } else {
        bucket_add(all, h);
    }
    return h;
}

static void held_drop(struct cursors *all, struct held_cursor *h)
{
    uint32_t *link = &all->buckets[h->channel_hash & (all->buckets_n - 1)];
    while (*link != h->number) {
        link = &all->all[*link].next_in_bucket;
    }
    *link = h->next_in_bucket;
    cursor_done(&h->cursor);
    free(h->consumers);
    deadlines_set(&all->deadlines, h->number, INT64_MAX);
    *h = (struct held_cursor){0};
    all->live--;
}

static struct held_cursor *held_at(struct cursors *all, uint32_t number)
{
    return number && number <= all->n && all->all[number].number ? &all->all[number] : NULL;
}

static struct held_cursor *held_find(struct cursors *all, uint32_t app, struct slice channel,
                                     struct slice name)
{
    uint64_t hash = hash64_named(all->options.hash_seed, app, channel);
    uint32_t number = all->buckets[hash & (all->buckets_n - 1)];
    for (; number; number = all->all[number].next_in_bucket) {
        struct held_cursor *h = &all->all[number];
        if (h->app == app && slice_equal(channel_of(h), channel) && slice_equal(name_of(h), name)) {
            return h;
        }
    }
    return NULL;
}

static void touch(struct cursors *all, struct held_cursor *h)
{
    if (h->touched) {
        return;
    }
    if (all->touched_n == all->touched_cap) {
        all->touched_cap = all->touched_cap ? all->touched_cap * 2 : 16;
        all->touched = xrealloc(all->touched, all->touched_cap * sizeof *all->touched);
    }
    h->touched = true;
    all->touched[all->touched_n++] = h->number;
}

static struct consumer *consumer_add(struct held_cursor *h, uint64_t connection,
                                     struct return_address to)
{
    if (h->consumers_n == h->consumers_cap) {
        h->consumers_cap = h->consumers_cap ? h->consumers_cap * 2 : 2;
        h->consumers = xrealloc(h->consumers, h->consumers_cap * sizeof *h->consumers);
    }
    struct consumer *c = &h->consumers[h->consumers_n++];
    *c = (struct consumer){.connection = connection, .to = to};
    return c;
}

static void forget(struct cursors *all)
{
    for (uint32_t i = 1; i <= all->n; i++) {
        cursor_done(&all->all[i].cursor);
        free(all->all[i].consumers);
    }
    all->n = all->live = all->touched_n = 0;
    deadlines_done(&all->deadlines);
    buckets_fill(all, BUCKETS_FIRST);
}

static void *cursors_open(const void *options)
{
    struct cursors *all = xcalloc(1, sizeof *all);
    all->options = *(const struct cursors_options *)options;
    buckets_fill(all, BUCKETS_FIRST);
    return all;
}

static void cursors_close(void *state)
{
    struct cursors *all = state;
    forget(all);
    free(all->all);
    free(all->buckets);
    free(all->touched);
    free(all);
}

/* Of an earlier life of the hub the connections are gone, and what they had waits again. */
static void load_flight(struct cursors *all, struct held_cursor *h, const struct cursor_row *row)
{
    bool lives = row->life == all->life;
    struct unpack u = unpack_of(row->consumers);
    for (uint32_t i = 0; lives && i < row->consumers_n; i++) {
        uint64_t connection = unpack_u64(&u);
        struct return_address to = {.slot = unpack_u32(&u)};
        to.generation = unpack_u32(&u);
        (void)consumer_add(h, connection, to);
    }
    u = unpack_of(row->items);
    for (uint32_t i = 0; i < row->items_n; i++) {
        struct cursor_item item = {.number = unpack_u64(&u)};
        item.due_ms = unpack_i64(&u);
        item.deliveries = unpack_u32(&u);
        uint32_t place = unpack_u32(&u);
        if (place && place <= h->consumers_n) {
            struct consumer *c = &h->consumers[place - 1];
            item.holder = c->connection;
            c->out++;
        } else if (place) {
            item.due_ms = 0;
        }
        (void)cursor_add(&h->cursor, 0, &item);
    }
    h->cursor.top = row->top;
}

typedef void row_visit(struct cursors *all, const struct cursor_row *row);

static enum store_rc rows_each(struct cursors *all, struct store_view *view, row_visit *visit)
{
    struct store_cursor *cursor;
    struct slice key, value;
    enum store_rc rc = store_cursor_open(view, TABLE_CURSOR, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    for (rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value); rc == STORE_OK;
         rc = store_cursor_next(cursor, &key, &value)) {
        struct cursor_row row;
        if (!cursor_row_get(value, &row)) {
            rc = STORE_DAMAGED;
            break;
        }
        visit(all, &row);
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

static void live_after(struct cursors *all, const struct cursor_row *row)
{
    all->life = row->life >= all->life ? row->life + 1 : all->life;
}

static void load_row(struct cursors *all, const struct cursor_row *row)
{
    struct held_cursor *h = held_add(all, row->number, row->app, row->channel, row->name);
    h->generation = row->generation;
    h->channel = row->channel_number;
    h->created_ms = row->created_ms;
    load_flight(all, h, row);
    deadlines_set(&all->deadlines, h->number, h->consumers_n ? h->cursor.look_ms : INT64_MAX);
}

static enum hub_rc cursors_load(void *state, struct store_view *view, int64_t now_ms)
{
    struct cursors *all = state;
    enum store_rc rc = STORE_OK;
    (void)now_ms;
    forget(all);
    if (!all->life) {
        all->life = 1;
        rc = rows_each(all, view, live_after);
    }
    return hub_rc_of_store(rc == STORE_OK ? rows_each(all, view, load_row) : rc);
}

static void recall_one(const struct held_cursor *h, bool lasting, struct buf *out)
{
    buf_printf(out, "cursor %u of %u, generation %u: %.*s on %.*s (%llu), made %lld, top %llu\n",
               h->number, h->app, h->generation, (int)h->name_n, h->name, (int)h->channel_n,
               h->channel_name, (unsigned long long)h->channel, (long long)h->created_ms,
               (unsigned long long)h->cursor.top);
    for (const struct cursor_item *it = NULL; (it = cursor_each(&h->cursor, it));) {
        buf_printf(out, "- %llu: %u deliveries, due %lld, held by %llx\n",
                   (unsigned long long)it->number, it->deliveries,
                   (long long)(lasting ? 0 : it->due_ms),
                   (unsigned long long)(lasting ? 0 : it->holder));
    }
    for (uint32_t i = 0; !lasting && i < h->consumers_n; i++) {
        buf_printf(out, "- consumer %llx has %u\n", (unsigned long long)h->consumers[i].connection,
                   h->consumers[i].out);
    }
}

static void cursors_recall(const void *state, bool lasting, struct buf *out)
{
    const struct cursors *all = state;
    buf_printf(out, "%u cursors\n", all->live);
    for (uint32_t i = 1; i <= all->n; i++) {
        if (all->all[i].number) {
            recall_one(&all->all[i], lasting, out);
        }
    }
}

uint64_t cursors_life(const void *module_state)
{
    return ((const struct cursors *)module_state)->life;
}

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
    json_text(&o, channel_of(d->held));
    json_key(&o, "dead_offset");
    json_u64(&o, d->offset);
    json_key(&o, "dead_cursor");
    json_text(&o, name_of(d->held));
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
        buf_add_slice(&channel, channel_of(d->held));
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
static enum hub_rc give_up(struct apply *a, struct held_cursor *h, uint64_t offset,
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

static struct cursor_rules rules_of(const struct apply *a, const struct held_cursor *h)
{
    const struct namespace_options *o = book_options(a->book, h->app, channel_of(h));
    return (struct cursor_rules){.ack_wait_ms = o->ack_wait_ms,
                                 .in_flight_max = o->max_in_flight,
                                 .deliver_max = o->max_deliver};
}

static void consumer_less(struct held_cursor *h, uint64_t connection)
{
    uint32_t i = consumer_place(h, connection);
    if (i < h->consumers_n) {
        h->consumers[i].out--;
    }
}

/* It came back, by a nack, its deadline, or because its holder is gone. */
static enum hub_rc come_back(struct apply *a, struct held_cursor *h, struct cursor_item *item,
                             int64_t delay_ms)
{
    struct cursor_rules rules = rules_of(a, h);
    uint64_t offset = item->number;
    consumer_less(h, item->holder);
    if (cursor_return(&h->cursor, item, &rules, a->now_ms, delay_ms)) {
        return HUB_OK;
    }
    return give_up(a, h, offset, "max_deliver");
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
        rc = give_up(a, h, (*out)->number, "max_deliver");
    }
    if (!*out && c->top < head->last && c->n < rules->in_flight_max) {
        struct cursor_item fresh = {.number = c->top + 1};
        *out = cursor_add(c, 0, &fresh);
    }
    return rc;
}

static enum hub_rc hand_out(struct apply *a, struct held_cursor *h)
{
    struct cursor_rules rules = rules_of(a, h);
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
                touch(all, h);
            }
        }
    }
}

static enum hub_rc cursors_finish(struct apply *a, struct tray *const *trays, unsigned trays_n)
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
            rc = row_write(a, all, h);
        }
        deadlines_set(&all->deadlines, h->number, h->consumers_n ? h->cursor.look_ms : INT64_MAX);
    }
    all->touched_n = 0;
    return rc;
}

/* ---- deadlines ---- */

static enum hub_rc due_apply(struct apply *a, struct command *command, struct slice body)
{
    struct cursors *all = a->state;
    struct unpack u = unpack_of(body);
    struct held_cursor *h = held_at(all, unpack_u32(&u));
    enum hub_rc rc = HUB_OK;
    (void)command;
    if (!unpack_done(&u) || !h) {
        return HUB_NOT_FOUND;
    }
    for (struct cursor_item *item;
         rc == HUB_OK && (item = cursor_overdue(&h->cursor, a->now_ms));) {
        rc = come_back(a, h, item, -1);
    }
    touch(all, h);
    return rc;
}

static const struct command_kind command_cursor_due = {
    .name = "cursor.due", .apply = due_apply, .module = MODULE_CURSORS};

static int64_t cursors_next_due(void *state)
{
    uint32_t number;
    return deadlines_next(&((struct cursors *)state)->deadlines, &number);
}

static bool cursors_expire(void *state, int64_t now_ms, struct tray *tray)
{
    struct cursors *all = state;
    uint32_t number;
    if (deadlines_next(&all->deadlines, &number) > now_ms) {
        return false;
    }
    struct command *command = tray_command(tray);
    command->kind = &command_cursor_due;
    command->app = all->all[number].app;
    command->flags = COMMAND_SILENT;
    command->body_at = (uint32_t)tray->in.n;
    pack_u32(&tray->in, number);
    command->body_n = 4;
    deadlines_set(&all->deadlines, number, INT64_MAX); /* its command sets it again */
    return true;
}

/* ---- what the channel is told ---- */

static enum hub_rc tell(struct apply *a, const struct cursor_attach *of, const char *event)
{
    struct buf data = {0};
    struct json_out o = json_out_to(&data);
    json_begin(&o, '{');
    json_key(&o, "channel");
    json_text(&o, of->channel);
    json_key(&o, "cursor");
    json_text(&o, of->name);
    why_json(&o, &of->why, a->now_ms);
    json_end(&o, '}');
    enum hub_rc rc = apply_tell(a, a->app, slice_str("channels"), event, buf_slice(&data));
    buf_done(&data);
    return rc;
}

/* ---- attach, detach ---- */

static void reply_attached(struct apply *a, struct command *command, const struct held_cursor *h,
                           const struct log_head *head, bool created)
{
    struct buf b = {0};
    pack_u32(&b, h->number);
    pack_u8(&b, created);
    pack_u64(&b, h->channel);
    pack_u64(&b, head->last);
    pack_u64(&b, cursor_floor(&h->cursor) - 1);
    pack_u32(&b, h->cursor.n);
    apply_reply(a, command, buf_slice(&b));
    buf_done(&b);
}

/* As a plain subscription begins: with what comes, unless it asks for what was. */
static uint64_t begin_after(const struct cursor_attach *attach, const struct log_head *head)
{
    uint64_t after = head->last;
    if (attach->has_since) {
        after = attach->since < head->last ? attach->since : head->last;
    } else if (attach->rewind) {
        after = attach->rewind < head->last ? head->last - attach->rewind : 0;
    }
    return after + 1 < head->first ? head->first - 1 : after;
}

static enum hub_rc attach_apply(struct apply *a, struct command *command, struct slice body)
{
    struct cursors *all = a->state;
    struct cursor_attach attach;
    struct log_head head;
    uint64_t channel;
    if (!attach_get(body, &attach)) {
        return HUB_BAD_REQUEST;
    }
    struct held_cursor *h = held_find(all, a->app, attach.channel, attach.name);
    bool created = !h;
    bool attached = h && consumer_place(h, attach.connection) < h->consumers_n;
    if ((created && all->live >= CURSORS_MAX) ||
        (h && !attached && h->consumers_n >= CURSOR_CONSUMERS_MAX)) {
        return HUB_LIMIT;
    }
    enum store_rc rc = book_channel(a->book, a->app, attach.channel, a->now_ms, &channel);
    if (rc == STORE_OK) {
        rc = log_head(a->writer->log, channel, &head);
    }
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    if (created) {
        h = held_add(all, all->n + 1, a->app, attach.channel, attach.name);
        h->channel = channel;
        h->generation = head.generation;
        h->created_ms = a->now_ms;
        h->cursor.top = begin_after(&attach, &head);
    }
    if (!attached) {
        (void)consumer_add(h, attach.connection, command->from);
    }
    touch(all, h);
    reply_attached(a, command, h, &head, created);
    return created ? tell(a, &attach, "cursor_created") : HUB_OK;
}

static enum hub_rc detach_apply(struct apply *a, struct command *command, struct slice body)
{
    struct cursors *all = a->state;
    struct unpack u = unpack_of(body);
    struct slice channel = unpack_slice(&u), name = unpack_slice(&u);
    uint64_t connection = unpack_u64(&u);
    struct slice unsent = unpack_slice(&u);
    struct held_cursor *h = u.bad ? NULL : held_find(all, a->app, channel, name);
    enum hub_rc rc = HUB_OK;
    (void)command;
    if (!h) {
        return HUB_NOT_FOUND;
    }
    uint32_t place = consumer_place(h, connection);
    if (place == h->consumers_n) {
        return HUB_NOT_FOUND;
    }
    for (u = unpack_of(unsent); u.p < u.end && !u.bad;) {
        struct cursor_item *item = cursor_find(&h->cursor, unpack_u64(&u));
        if (item && item->holder == connection) {
            cursor_unhand(&h->cursor, item);
        }
    }
    for (struct cursor_item *item; rc == HUB_OK && (item = cursor_held(&h->cursor, connection));) {
        rc = come_back(a, h, item, -1);
    }
    h->consumers[place] = h->consumers[--h->consumers_n];
    touch(all, h);
    return rc;
}

static bool always(struct slice body)
{
    (void)body;
    return true;
}

/* ---- answers ---- */

/* What each verdict may be said of: an event that the speaker holds, one that it does not (it waits
 * again, or another holds it), one that is settled. */
enum standing { HELD, NOT_HELD, SETTLED, STANDINGS };

static const enum hub_rc allowed[CURSOR_VERDICTS][STANDINGS] = {
    /* Whoever did the work may say so, late or twice. */
    [CURSOR_ACK] = {[HELD] = HUB_OK, [NOT_HELD] = HUB_OK, [SETTLED] = HUB_OK},
    [CURSOR_NACK] = {[HELD] = HUB_OK, [NOT_HELD] = HUB_CONFLICT, [SETTLED] = HUB_GONE},
    [CURSOR_PROGRESS] = {[HELD] = HUB_OK, [NOT_HELD] = HUB_CONFLICT, [SETTLED] = HUB_GONE},
    [CURSOR_TERM] = {[HELD] = HUB_OK, [NOT_HELD] = HUB_CONFLICT, [SETTLED] = HUB_GONE},
};

static enum hub_rc answer_item(struct apply *a, struct held_cursor *h, struct cursor_item *item,
                               const struct cursor_answer *answer)
{
    struct cursor_rules rules = rules_of(a, h);
    switch (answer->verdict) {
    case CURSOR_NACK:
        return come_back(a, h, item, answer->delay_ms);
    case CURSOR_PROGRESS:
        cursor_touch(&h->cursor, item, &rules, a->now_ms);
        return HUB_OK;
    case CURSOR_TERM:
        consumer_less(h, item->holder);
        return give_up(a, h, item->number, "term");
    case CURSOR_ACK:
    case CURSOR_VERDICTS:
        break;
    }
    consumer_less(h, item->holder);
    cursor_remove(&h->cursor, item->number);
    return HUB_OK;
}

static enum hub_rc answer_apply(struct apply *a, struct command *command, struct slice body)
{
    struct cursors *all = a->state;
    struct cursor_answer answer;
    (void)command;
    if (!answer_get(body, &answer)) {
        return HUB_BAD_REQUEST;
    }
    struct held_cursor *h = held_at(all, answer.number);
    if (!h || answer.offset == 0 || answer.offset > h->cursor.top) {
        return HUB_NOT_FOUND;
    }
    struct cursor_item *item = cursor_find(&h->cursor, answer.offset);
    enum standing standing = !item ? SETTLED : item->holder == answer.connection ? HELD : NOT_HELD;
    enum hub_rc rc = allowed[answer.verdict][standing];
    if (rc != HUB_OK || !item) {
        return rc;
    }
    rc = answer_item(a, h, item, &answer);
    touch(all, h);
    return rc;
}

/* ---- delete ---- */

static enum hub_rc delete_apply(struct apply *a, struct command *command, struct slice body)
{
    struct cursors *all = a->state;
    struct cursor_attach which;
    uint8_t key[4];
    if (!attach_get(body, &which)) {
        return HUB_BAD_REQUEST;
    }
    struct held_cursor *h = held_find(all, a->app, which.channel, which.name);
    if (!h) {
        return apply_refuse(a, command, HUB_NOT_FOUND, "the channel has no cursor ", which.name,
                            "");
    }
    if (h->consumers_n) {
        return apply_refuse(a, command, HUB_CONFLICT, "a connection is attached to the cursor ",
                            which.name, "");
    }
    be32_put(key, h->number);
    enum store_rc rc = store_del(a->txn, TABLE_CURSOR, slice_of(key, 4));
    if (rc == STORE_OK || rc == STORE_NOT_FOUND) { /* made and deleted in one batch: no row yet */
        held_drop(all, h);
        rc = STORE_OK;
    }
    return rc == STORE_OK ? tell(a, &which, "cursor_deleted") : hub_rc_of_store(rc);
}

const struct command_kind command_cursor_attach = {
    .name = "cursor.attach", .apply = attach_apply, .module = MODULE_CURSORS};
const struct command_kind command_cursor_detach = {
    .name = "cursor.detach", .apply = detach_apply, .module = MODULE_CURSORS, .must = always};
const struct command_kind command_cursor_answer = {
    .name = "cursor.answer", .apply = answer_apply, .module = MODULE_CURSORS};
const struct command_kind command_cursor_delete = {.name = "cursor.delete",
                                                   .apply = delete_apply,
                                                   .flags = KIND_RELEASES,
                                                   .module = MODULE_CURSORS};

const struct module cursors_module = {
    .name = "cursors",
    .open = cursors_open,
    .close = cursors_close,
    .load = cursors_load,
    .recall = cursors_recall,
    .next_due = cursors_next_due,
    .expire = cursors_expire,
    .finish = cursors_finish,
};
