#include "channels/presence.h"
#include "store/hash.h"
#include "store/pack.h"

#include <assert.h>
#include <stdlib.h>

enum { KEY_BYTES = 24, ROW_VERSION = 1 };

/* The seed of member keys is fixed: rows outlive the process, and a collision of 128 bits within
 * one channel is refused as a full channel would be, not merged. */
static const uint64_t MEMBER_SEED = UINT64_C(0x77616767);

struct row {
    uint32_t app;
    struct slice channel, id, info;
    int64_t joined_ms;
    struct timer_ref grace; /* id 0: none runs */
    uint32_t connections_n;
    const uint8_t *connections; /* 8 bytes each */
};

static void key_put(uint8_t key[KEY_BYTES], uint64_t channel, struct slice id)
{
    struct hash128 h = hash128(MEMBER_SEED, id);
    be64_put(key, channel);
    be64_put(key + 8, h.hi);
    be64_put(key + 16, h.lo);
}

static bool row_read(struct slice value, struct row *out)
{
    struct unpack u = unpack_of(value);
    if (unpack_u8(&u) != ROW_VERSION) {
        return false;
    }
    out->app = unpack_u32(&u);
    out->channel = unpack_slice(&u);
    out->id = unpack_slice(&u);
    out->info = unpack_slice(&u);
    out->joined_ms = unpack_i64(&u);
    out->grace.due_ms = unpack_i64(&u);
    out->grace.id = unpack_u64(&u);
    out->connections_n = unpack_u32(&u);
    out->connections = unpack_bytes(&u, (size_t)out->connections_n * 8);
    return unpack_done(&u);
}

static void row_write(struct buf *b, const struct row *row)
{
    pack_u8(b, ROW_VERSION);
    pack_u32(b, row->app);
    pack_slice(b, row->channel);
    pack_slice(b, row->id);
    pack_slice(b, row->info);
    pack_i64(b, row->joined_ms);
    pack_i64(b, row->grace.due_ms);
    pack_u64(b, row->grace.id);
    pack_u32(b, row->connections_n);
    buf_add(b, row->connections, (size_t)row->connections_n * 8);
}

static enum presence_rc failed(struct presence *p, enum store_rc rc)
{
    p->store_rc = rc;
    return PRESENCE_STORE;
}

static enum presence_rc row_save(struct presence *p, const uint8_t key[KEY_BYTES],
                                 const struct row *row)
{
    struct buf b = {0};
    row_write(&b, row);
    enum store_rc rc = store_put(p->txn, TABLE_MEMBER, slice_of(key, KEY_BYTES), buf_slice(&b));
    buf_done(&b);
    return rc == STORE_OK ? PRESENCE_OK : failed(p, rc);
}

static enum presence_rc count_move(struct presence *p, uint64_t channel, int by)
{
    uint8_t key[8], value[8];
    be64_put(key, channel);
    uint64_t n = presence_count(store_txn_view(p->txn), channel);
    n = by < 0 ? (n ? n - 1 : 0) : n + 1;
    be64_put(value, n);
    enum store_rc rc = n ? store_put(p->txn, TABLE_MEMBER, slice_of(key, 8), slice_of(value, 8))
                         : store_del(p->txn, TABLE_MEMBER, slice_of(key, 8));
    return rc == STORE_OK ? PRESENCE_OK : failed(p, rc);
}

static enum presence_rc tell(struct presence *p, enum event_kind kind, const struct row *row)
{
    struct event event = {.kind = kind,
                          .channel = row->channel,
                          .name = row->id,
                          .data = row->info,
                          .time_ms = p->now_ms};
    uint64_t unknown = 0;
    enum store_rc rc = book_tell(p->book, row->app, &event, &unknown, p->emit, p->emit_ctx);
    return rc == STORE_OK ? PRESENCE_OK : failed(p, rc);
}

/* A row that is to be changed: read from the store, its bytes copied, as a write moves pages. */
struct held {
    uint64_t channel;
    uint8_t key[KEY_BYTES];
    struct buf bytes;
    struct row row;
};

static enum presence_rc hold(struct presence *p, struct held *h, struct slice id)
{
    key_put(h->key, h->channel, id);
    struct slice value;
    enum store_rc rc =
        store_get(store_txn_view(p->txn), TABLE_MEMBER, slice_of(h->key, KEY_BYTES), &value);
    if (rc == STORE_NOT_FOUND) {
        return PRESENCE_NO_MEMBER;
    }
    if (rc != STORE_OK) {
        return failed(p, rc);
    }
    buf_add_slice(&h->bytes, value);
    if (!row_read(buf_slice(&h->bytes), &h->row)) {
        return failed(p, STORE_DAMAGED);
    }
    return slice_equal(h->row.id, id) ? PRESENCE_OK : PRESENCE_FULL;
}

static bool has_connection(const struct row *row, uint64_t connection, size_t *out_at)
{
    for (size_t i = 0; i < row->connections_n; i++) {
        if (be64_get(row->connections + i * 8) == connection) {
            *out_at = i;
            return true;
        }
    }
    return false;
}

static void grace_stop(struct presence *p, struct row *row)
{
    if (row->grace.id) {
        (void)timer_cancel(p->txn, row->grace); /* gone already: it is due in this very batch */
        row->grace = (struct timer_ref){0};
    }
}

static struct slice info_of(const struct presence_member *member)
{
    return member->info.n ? member->info : slice_str("null");
}

static enum presence_rc join_new(struct presence *p, struct held *h,
                                 const struct presence_member *member)
{
    if (presence_count(store_txn_view(p->txn), h->channel) >= PRESENCE_MEMBERS_MAX) {
        return PRESENCE_FULL;
    }
    uint8_t connection[8];
    be64_put(connection, member->connection);
    struct row row = {.app = member->app,
                      .channel = member->channel,
                      .id = member->id,
                      .info = info_of(member),
                      .joined_ms = p->now_ms,
                      .connections_n = 1,
                      .connections = connection};
    enum presence_rc rc = row_save(p, h->key, &row);
    if (rc == PRESENCE_OK) {
        rc = count_move(p, h->channel, 1);
    }
    return rc == PRESENCE_OK ? tell(p, EVENT_JOINED, &row) : rc;
}

static enum presence_rc join_again(struct presence *p, struct held *h,
                                   const struct presence_member *member)
{
    size_t at;
    struct row row = h->row;
    struct buf connections = {0};
    buf_add(&connections, row.connections, (size_t)row.connections_n * 8);
    if (!has_connection(&row, member->connection, &at)) {
        if (row.connections_n >= PRESENCE_CONNECTIONS_MAX) {
            buf_done(&connections);
            return PRESENCE_FULL;
        }
        pack_u64(&connections, member->connection);
        row.connections_n++;
    }
    row.connections = connections.p;
    grace_stop(p, &row);
    bool changed = !slice_equal(row.info, info_of(member));
    row.info = info_of(member);
    enum presence_rc rc = row_save(p, h->key, &row);
    buf_done(&connections);
    return rc == PRESENCE_OK && changed ? tell(p, EVENT_UPDATED, &row) : rc;
}

enum presence_rc presence_join(struct presence *p, const struct presence_member *member)
{
    struct held h = {0};
    enum store_rc src = book_channel(p->book, member->app, member->channel, p->now_ms, &h.channel);
    if (src != STORE_OK) {
        return failed(p, src);
    }
    enum presence_rc rc = hold(p, &h, member->id);
    if (rc == PRESENCE_NO_MEMBER) {
        rc = join_new(p, &h, member);
    } else if (rc == PRESENCE_OK) {
        rc = join_again(p, &h, member);
    }
    buf_done(&h.bytes);
    return rc;
}

/* Who is there with that very connection; *out_at is where it stands among the member's. */
static enum presence_rc hold_joined(struct presence *p, struct held *h,
                                    const struct presence_member *member, size_t *out_at)
{
    enum store_rc src = book_channel(p->book, member->app, member->channel, p->now_ms, &h->channel);
    if (src != STORE_OK) {
        return failed(p, src);
    }
    enum presence_rc rc = hold(p, h, member->id);
    if (rc == PRESENCE_OK && !has_connection(&h->row, member->connection, out_at)) {
        return PRESENCE_NO_MEMBER;
    }
    return rc;
}

enum presence_rc presence_update(struct presence *p, const struct presence_member *member)
{
    struct held h = {0};
    size_t at;
    enum presence_rc rc = hold_joined(p, &h, member, &at);
    if (rc == PRESENCE_OK) {
        h.row.info = info_of(member);
        rc = row_save(p, h.key, &h.row);
    }
    if (rc == PRESENCE_OK) {
        rc = tell(p, EVENT_UPDATED, &h.row);
    }
    buf_done(&h.bytes);
    return rc;
}

static enum presence_rc remove_row(struct presence *p, struct held *h)
{
    enum store_rc src = store_del(p->txn, TABLE_MEMBER, slice_of(h->key, KEY_BYTES));
    if (src != STORE_OK) {
        return failed(p, src);
    }
    enum presence_rc rc = count_move(p, h->channel, -1);
    return rc == PRESENCE_OK ? tell(p, EVENT_LEFT, &h->row) : rc;
}

static enum presence_rc grace_start(struct presence *p, struct held *h, int64_t grace_ms)
{
    enum store_rc rc = timer_add(p->txn, p->now_ms + grace_ms, p->timer_kind,
                                 slice_of(h->key, KEY_BYTES), &h->row.grace);
    return rc == STORE_OK ? row_save(p, h->key, &h->row) : failed(p, rc);
}

static enum presence_rc last_gone(struct presence *p, struct held *h)
{
    uint32_t grace = book_options(p->book, h->row.app, h->row.channel)->presence_grace_ms;
    return grace ? grace_start(p, h, grace) : remove_row(p, h);
}

enum presence_rc presence_leave(struct presence *p, const struct presence_member *member)
{
    struct held h = {0};
    size_t at;
    enum presence_rc rc = hold_joined(p, &h, member, &at);
    if (rc == PRESENCE_OK) {
        struct buf rest = {0};
        buf_add(&rest, h.row.connections, at * 8);
        buf_add(&rest, h.row.connections + (at + 1) * 8,
                ((size_t)h.row.connections_n - at - 1) * 8);
        h.row.connections = rest.p;
        h.row.connections_n--;
        assert(rest.p || !h.row.connections_n);
        rc = h.row.connections_n ? row_save(p, h.key, &h.row) : last_gone(p, &h);
        buf_done(&rest);
    }
    buf_done(&h.bytes);
    return rc;
}

/* Reads the row of a key found by a timer or a walk. */
static enum presence_rc hold_key(struct presence *p, struct held *h, struct slice key)
{
    struct slice value;
    memcpy(h->key, key.p, KEY_BYTES);
    h->channel = be64_get(h->key);
    enum store_rc rc =
        store_get(store_txn_view(p->txn), TABLE_MEMBER, slice_of(h->key, KEY_BYTES), &value);
    if (rc != STORE_OK) {
        return rc == STORE_NOT_FOUND ? PRESENCE_NO_MEMBER : failed(p, rc);
    }
    buf_add_slice(&h->bytes, value);
    return row_read(buf_slice(&h->bytes), &h->row) ? PRESENCE_OK : failed(p, STORE_DAMAGED);
}

enum presence_rc presence_expire(struct presence *p, struct timer_ref ref, struct slice body)
{
    if (body.n != KEY_BYTES) {
        return failed(p, STORE_DAMAGED);
    }
    struct held h = {0};
    enum presence_rc rc = hold_key(p, &h, body);
    /* An older timer of a member who came and went again finds another one named in the row. */
    bool meant = rc == PRESENCE_OK && h.row.connections_n == 0 && h.row.grace.id == ref.id &&
                 h.row.grace.due_ms == ref.due_ms;
    if (meant) {
        rc = remove_row(p, &h);
    }
    buf_done(&h.bytes);
    return rc == PRESENCE_NO_MEMBER ? PRESENCE_OK : rc;
}

/* The keys of all members. */
static enum store_rc all_members(struct store_view *view, struct buf *out_keys)
{
    struct store_cursor *cursor;
    enum store_rc rc = store_cursor_open(view, TABLE_MEMBER, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    struct slice key, value;
    rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, &value)) {
        if (key.n == KEY_BYTES) {
            buf_add_slice(out_keys, key);
        }
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

/* A member whose grace ran while the process was down had no door to come back through: it gets the
 * time as well. */
static enum presence_rc restart_one(struct presence *p, struct held *h, int64_t grace_ms)
{
    uint32_t own = book_options(p->book, h->row.app, h->row.channel)->presence_grace_ms;
    int64_t wait_ms = own > grace_ms ? own : grace_ms;
    if (h->row.connections_n == 0 && h->row.grace.id &&
        h->row.grace.due_ms >= p->now_ms + wait_ms) {
        return PRESENCE_OK;
    }
    grace_stop(p, &h->row);
    h->row.connections_n = 0;
    return grace_start(p, h, wait_ms);
}

enum presence_rc presence_restart(struct presence *p, int64_t grace_ms)
{
    struct buf keys = {0};
    enum store_rc src = all_members(store_txn_view(p->txn), &keys);
    enum presence_rc rc = src == STORE_OK ? PRESENCE_OK : failed(p, src);
    for (size_t at = 0; rc == PRESENCE_OK && at < keys.n; at += KEY_BYTES) {
        struct held h = {0};
        rc = hold_key(p, &h, slice_of(keys.p + at, KEY_BYTES));
        if (rc == PRESENCE_OK) {
            rc = restart_one(p, &h, grace_ms);
        }
        buf_done(&h.bytes);
    }
    buf_done(&keys);
    return rc;
}

uint64_t presence_count(struct store_view *view, uint64_t channel)
{
    uint8_t key[8];
    be64_put(key, channel);
    struct slice value;
    if (store_get(view, TABLE_MEMBER, slice_of(key, 8), &value) != STORE_OK || value.n != 8) {
        return 0;
    }
    return be64_get(value.p);
}

enum store_rc presence_list(struct store_view *view, uint64_t channel, struct slice after,
                            presence_visit *visit, void *ctx)
{
    struct store_cursor *cursor;
    enum store_rc rc = store_cursor_open(view, TABLE_MEMBER, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    uint8_t from[KEY_BYTES] = {0};
    if (after.n) {
        key_put(from, channel, after);
    } else {
        be64_put(from, channel);
    }
    struct slice key, value;
    rc = store_cursor_seek(cursor, slice_of(from, after.n ? KEY_BYTES : 8), &key, &value);
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, &value)) {
        if (key.n < 8 || be64_get(key.p) != channel) {
            break;
        }
        struct row row;
        if (key.n != KEY_BYTES || (after.n && memcmp(key.p, from, KEY_BYTES) == 0)) {
            continue; /* the count, or the last one of the page before */
        }
        if (!row_read(value, &row)) {
            rc = STORE_DAMAGED;
            break;
        }
        struct presence_view member = {.id = row.id,
                                       .info = row.info,
                                       .connections = row.connections_n,
                                       .joined_ms = row.joined_ms};
        if (!visit(ctx, &member)) {
            break;
        }
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}
