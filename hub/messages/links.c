#include "hub/messages/links.h"
#include "store/hash.h"

enum { ROW_VERSION = 1, PREFIX_BYTES = 5, KEY_BYTES = PREFIX_BYTES + LINK_PLACE_BYTES };
static const uint64_t LINK_SEED = UINT64_C(0x6c696e6b);

static void hash_put(uint8_t *p, uint32_t app, struct slice name)
{
    struct hash128 h = hash128_named(LINK_SEED, app, name);
    be64_put(p, h.hi);
    be64_put(p + 8, h.lo);
}

static struct slice key_of(uint8_t key[KEY_BYTES], enum link_kind kind, uint32_t app,
                           struct slice from, struct slice to)
{
    be32_put(key, app);
    key[4] = (uint8_t)kind;
    hash_put(key + PREFIX_BYTES, app, from);
    hash_put(key + PREFIX_BYTES + 16, app, to);
    return slice_of(key, KEY_BYTES);
}

static bool unpack_link(struct slice row, struct link *out)
{
    struct unpack u = unpack_of(row);
    uint8_t version = unpack_u8(&u);
    out->from = unpack_slice(&u);
    out->to = unpack_slice(&u);
    out->made_ms = unpack_i64(&u);
    return version == ROW_VERSION && unpack_done(&u);
}

static enum store_rc put(struct store_txn *txn, enum link_kind kind, uint32_t app,
                         const struct link *link)
{
    uint8_t key[KEY_BYTES];
    struct buf row = {0};
    pack_u8(&row, ROW_VERSION);
    pack_slice(&row, link->from);
    pack_slice(&row, link->to);
    pack_i64(&row, link->made_ms);
    enum store_rc rc = store_insert(txn, TABLE_LINK, key_of(key, kind, app, link->from, link->to),
                                    buf_slice(&row));
    buf_done(&row);
    return rc;
}

enum store_rc link_add(struct store_txn *txn, enum link_kind kind, uint32_t app,
                       const struct link *link)
{
    enum store_rc rc = put(txn, kind, app, link);
    if (rc == STORE_OK && kind == LINK_SUB) {
        struct link other = {.from = link->to, .to = link->from, .made_ms = link->made_ms};
        rc = put(txn, LINK_MASTER, app, &other);
    }
    return rc;
}

enum store_rc link_remove(struct store_txn *txn, enum link_kind kind, uint32_t app,
                          struct slice from, struct slice to)
{
    uint8_t key[KEY_BYTES];
    enum store_rc rc = store_del(txn, TABLE_LINK, key_of(key, kind, app, from, to));
    if (rc == STORE_OK && kind == LINK_SUB) {
        rc = store_del(txn, TABLE_LINK, key_of(key, LINK_MASTER, app, to, from));
    }
    return rc;
}

bool link_has(struct store_view *view, enum link_kind kind, uint32_t app, struct slice from,
              struct slice to)
{
    uint8_t key[KEY_BYTES];
    struct slice row;
    return store_get(view, TABLE_LINK, key_of(key, kind, app, from, to), &row) == STORE_OK;
}

/* Where to begin, and how much of it a key must begin with. */
static size_t begin_at(uint8_t begin[KEY_BYTES], enum link_kind kind, uint32_t app,
                       struct slice from, struct slice after)
{
    memset(begin, 0, KEY_BYTES);
    be32_put(begin, app);
    begin[4] = (uint8_t)kind;
    if (from.n) {
        hash_put(begin + PREFIX_BYTES, app, from);
    }
    if (after.n == LINK_PLACE_BYTES) {
        memcpy(begin + PREFIX_BYTES, after.p, LINK_PLACE_BYTES);
    }
    return from.n ? PREFIX_BYTES + 16 : PREFIX_BYTES;
}

enum store_rc links_each(struct store_view *view, enum link_kind kind, uint32_t app,
                         struct slice from, struct slice after, link_visit *visit, void *ctx)
{
    uint8_t begin[KEY_BYTES];
    size_t prefix = begin_at(begin, kind, app, from, after);
    struct store_cursor *cursor;
    struct slice key, row;
    enum store_rc rc = store_cursor_open(view, TABLE_LINK, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, slice_of(begin, KEY_BYTES), &key, &row);
    if (rc == STORE_OK && after.n && slice_equal(key, slice_of(begin, KEY_BYTES))) {
        rc = store_cursor_next(cursor, &key, &row);
    }
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, &row)) {
        struct link link;
        if (key.n != KEY_BYTES || memcmp(key.p, begin, prefix) != 0) {
            break;
        }
        if (!unpack_link(row, &link)) {
            rc = STORE_DAMAGED;
            break;
        }
        link.place = slice_of(key.p + PREFIX_BYTES, LINK_PLACE_BYTES);
        if (!visit(ctx, &link)) {
            break;
        }
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

struct climb {
    struct store_view *view;
    struct slice above;
    uint32_t app;
    unsigned depth, steps;
    bool found;
};

static bool climb_one(void *ctx, const struct link *link)
{
    struct climb *c = ctx;
    /* Past what a hierarchy may be nothing more goes under it. */
    bool too_high = c->depth >= LINK_DEPTH_MAX || c->steps >= LINK_STEPS_MAX;
    c->found = too_high || slice_equal(link->to, c->above);
    if (!c->found) {
        c->steps++;
        c->depth++;
        (void)links_each(c->view, LINK_MASTER, c->app, link->to, slice_of(NULL, 0), climb_one, c);
        c->depth--;
    }
    return !c->found;
}

bool link_is_above(struct store_view *view, uint32_t app, struct slice name, struct slice above)
{
    struct climb c = {.view = view, .app = app, .above = above};
    if (slice_equal(name, above)) {
        return true;
    }
    (void)links_each(view, LINK_MASTER, app, name, slice_of(NULL, 0), climb_one, &c);
    return c.found;
}
