/* All cursors stand in memory; a row is written once for a batch, however many acks there were in
 * it. Cursors of a channel are found by the hash that trays carry, so a publish costs those who
 * have no cursor nothing and the others one look-up.
 *
 * Rows name the consumers, because after an aborted batch memory is read back while the connections
 * live on. After a start they do not: a row says in which life of the hub it was written. */
#include "hub/core/cursor_parts.h"

#include <stdlib.h>

enum { ROW_VERSION = 1, BUCKETS_FIRST = 64, CONSUMER_BYTES = 16, ITEM_BYTES = 24 };

struct slice held_channel(const struct held_cursor *h)
{
    return slice_of(h->channel_name, h->channel_n);
}

struct slice held_name(const struct held_cursor *h)
{
    return slice_of(h->name, h->name_n);
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

uint32_t held_consumer(const struct held_cursor *h, uint64_t connection)
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
    pack_slice(b, held_channel(h));
    pack_slice(b, held_name(h));
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
        pack_u32(b, it->holder ? held_consumer(h, it->holder) + 1 : 0);
    }
}

enum hub_rc held_write(struct apply *a, const struct cursors *all, const struct held_cursor *h)
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

struct held_cursor *held_add(struct cursors *all, uint32_t number, uint32_t app,
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

void held_drop(struct cursors *all, struct held_cursor *h)
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

struct held_cursor *held_at(struct cursors *all, uint32_t number)
{
    return number && number <= all->n && all->all[number].number ? &all->all[number] : NULL;
}

struct held_cursor *held_find(struct cursors *all, uint32_t app, struct slice channel,
                              struct slice name)
{
    uint64_t hash = hash64_named(all->options.hash_seed, app, channel);
    uint32_t number = all->buckets[hash & (all->buckets_n - 1)];
    for (; number; number = all->all[number].next_in_bucket) {
        struct held_cursor *h = &all->all[number];
        if (h->app == app && slice_equal(held_channel(h), channel) &&
            slice_equal(held_name(h), name)) {
            return h;
        }
    }
    return NULL;
}

void held_touch(struct cursors *all, struct held_cursor *h)
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

struct consumer *held_consumer_add(struct held_cursor *h, uint64_t connection,
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

void *cursors_open(const void *options)
{
    struct cursors *all = xcalloc(1, sizeof *all);
    all->options = *(const struct cursors_options *)options;
    buckets_fill(all, BUCKETS_FIRST);
    return all;
}

void cursors_close(void *state)
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
        (void)held_consumer_add(h, connection, to);
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

enum hub_rc cursors_load(void *state, struct store_view *view, int64_t now_ms)
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

void cursors_recall(const void *state, bool lasting, struct buf *out)
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
