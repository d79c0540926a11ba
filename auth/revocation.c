/* The set is the rows' keys in the order of the table, searched by halves. A check is at most three
 * searches of some twenty steps, and none at all while nothing is revoked. */
#include "auth/revocation.h"

#include <assert.h>
#include <stdlib.h>

#include "store/pack.h"

enum { REVOCATION_ROW_VERSION = 1, KEY_BYTES = 4 + 1 + TEXT_HASH_BYTES, REVOKED_TEXT_MAX = 128 };
static_assert(KEY_BYTES == 4 + REVOCATION_PLACE_BYTES_MAX, "a place is a key without its app");

static size_t key_put(uint8_t key[KEY_BYTES], uint32_t app, enum revocation_kind kind,
                      const uint8_t *hash)
{
    be32_put(key, app);
    key[4] = (uint8_t)kind;
    if (!hash) {
        return 5;
    }
    memcpy(key + 5, hash, TEXT_HASH_BYTES);
    return KEY_BYTES;
}

static size_t key_of_text(uint8_t key[KEY_BYTES], uint32_t app, enum revocation_kind kind,
                          struct slice text)
{
    uint8_t hash[TEXT_HASH_BYTES];
    digest_text(hash, text);
    return key_put(key, app, kind, kind == REVOKE_ISSUED_BEFORE ? NULL : hash);
}

static bool row_unpack(struct slice key, struct slice value, struct revocation *out)
{
    struct unpack u = unpack_of(value);
    if ((key.n != KEY_BYTES && key.n != 5) || unpack_u8(&u) != REVOCATION_ROW_VERSION) {
        return false;
    }
    out->app = be32_get(key.p);
    out->kind = (enum revocation_kind)key.p[4];
    out->before_ms = unpack_i64(&u);
    out->until_ms = unpack_i64(&u);
    out->made_ms = unpack_i64(&u);
    out->text = unpack_slice(&u);
    return unpack_done(&u);
}

static void row_pack(const struct revocation *r, struct buf *b)
{
    pack_u8(b, REVOCATION_ROW_VERSION);
    pack_i64(b, r->before_ms);
    pack_i64(b, r->until_ms);
    pack_i64(b, r->made_ms);
    pack_slice(b, r->text);
}

static bool row_valid(const struct revocation *r)
{
    switch (r->kind) {
    case REVOKE_TOKEN:
    case REVOKE_SUBJECT:
    case REVOKE_KEY:
        return r->text.n > 0 && r->text.n <= REVOKED_TEXT_MAX;
    case REVOKE_ISSUED_BEFORE:
        return r->text.n == 0;
    }
    return false;
}

/* 0 is never: later than everything. */
static int64_t later_until(int64_t a, int64_t b)
{
    return a == 0 || b == 0 ? 0 : (a > b ? a : b);
}

enum store_rc revocation_add(struct store_txn *txn, const struct revocation *revocation)
{
    if (!row_valid(revocation)) {
        return STORE_INVALID;
    }
    struct revocation row = *revocation, before;
    struct store_view *view = store_txn_view(txn);
    uint8_t key[KEY_BYTES];
    size_t n = key_of_text(key, row.app, row.kind, row.text);
    struct slice value;
    enum store_rc rc = store_get(view, TABLE_REVOCATION, slice_of(key, n), &value);
    if (rc == STORE_OK) {
        if (!row_unpack(slice_of(key, n), value, &before)) {
            return STORE_DAMAGED;
        }
        row.before_ms = row.before_ms > before.before_ms ? row.before_ms : before.before_ms;
        row.until_ms = later_until(row.until_ms, before.until_ms);
    } else if (rc != STORE_NOT_FOUND) {
        return rc;
    } else if (store_count(view, TABLE_REVOCATION) >= REVOCATIONS_MAX) {
        return STORE_FULL;
    }
    struct buf b = {0};
    row_pack(&row, &b);
    rc = store_put(txn, TABLE_REVOCATION, slice_of(key, n), buf_slice(&b));
    buf_done(&b);
    return rc;
}

enum store_rc revocation_remove(struct store_txn *txn, uint32_t app, enum revocation_kind kind,
                                struct slice text)
{
    uint8_t key[KEY_BYTES];
    size_t n = key_of_text(key, app, kind, text);
    return store_del(txn, TABLE_REVOCATION, slice_of(key, n));
}

bool revocation_sweep(struct store_txn *txn, int64_t now_ms, size_t rows_max,
                      struct revocation_cursor *cursor)
{
    struct store_cursor *rows;
    struct slice key = {0}, value;
    struct revocation r;
    if (store_cursor_open(store_txn_view(txn), TABLE_REVOCATION, &rows) != STORE_OK) {
        return false;
    }
    struct slice from = slice_of(cursor->n ? cursor->key : NULL, cursor->n);
    enum store_rc rc = store_cursor_seek(rows, from, &key, &value);
    for (; rc == STORE_OK && rows_max > 0; rows_max--) {
        if (row_unpack(key, value, &r) && r.until_ms != 0 && r.until_ms <= now_ms) {
            rc = store_cursor_del(rows);
        }
        if (rc == STORE_OK) {
            rc = store_cursor_next(rows, &key, &value);
        }
    }
    bool more = rc == STORE_OK && key.n <= sizeof cursor->key;
    cursor->n = more ? (uint8_t)key.n : 0;
    if (more) {
        memcpy(cursor->key, key.p, key.n);
    }
    store_cursor_close(rows);
    return more;
}

enum store_rc revocations_each(struct store_view *view, uint32_t app, struct slice after,
                               revocation_visit *visit, void *ctx)
{
    struct store_cursor *cursor;
    struct slice key, value;
    uint8_t from[KEY_BYTES];
    if (after.n > REVOCATION_PLACE_BYTES_MAX) {
        return STORE_INVALID;
    }
    be32_put(from, app);
    if (after.n) {
        memcpy(from + 4, after.p, after.n);
    }
    struct slice begin = slice_of(from, 4 + after.n);
    enum store_rc rc = store_cursor_open(view, TABLE_REVOCATION, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, begin, &key, &value);
    if (rc == STORE_OK && after.n && slice_equal(key, begin)) {
        rc = store_cursor_next(cursor, &key, &value);
    }
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, &value)) {
        struct revocation r;
        if (!row_unpack(key, value, &r)) {
            rc = STORE_DAMAGED;
            break;
        }
        if (r.app != app || !visit(ctx, &r, slice_of(key.p + 4, key.n - 4))) {
            break;
        }
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

/* ---- the set ---- */

struct revoked_key {
    uint8_t key[KEY_BYTES]; /* zeros after a short one */
    int64_t before_ms;
};

struct revocations {
    _Atomic uint32_t refs;
    size_t n;
    struct revoked_key keys[];
};

static enum store_rc load_rows(struct store_cursor *cursor, struct revocations *set, size_t cap)
{
    struct slice key, value;
    enum store_rc rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    for (; rc == STORE_OK && set->n < cap; rc = store_cursor_next(cursor, &key, &value)) {
        struct revocation r;
        if (!row_unpack(key, value, &r)) {
            return STORE_DAMAGED;
        }
        struct revoked_key *to = &set->keys[set->n++];
        memset(to->key, 0, sizeof to->key);
        memcpy(to->key, key.p, key.n);
        to->before_ms = r.before_ms;
    }
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

enum store_rc revocations_load(struct store_view *view, struct revocations **out)
{
    size_t cap = (size_t)store_count(view, TABLE_REVOCATION);
    struct store_cursor *cursor;
    enum store_rc rc = store_cursor_open(view, TABLE_REVOCATION, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    struct revocations *set = xmalloc(sizeof *set + cap * sizeof set->keys[0]);
    atomic_init(&set->refs, 1);
    set->n = 0;
    rc = load_rows(cursor, set, cap);
    store_cursor_close(cursor);
    if (rc != STORE_OK) {
        revocations_unref(set);
        return rc;
    }
    *out = set;
    return STORE_OK;
}

struct revocations *revocations_ref(struct revocations *set)
{
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

void revocations_unref(struct revocations *set)
{
    if (set && atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) == 1) {
        free(set);
    }
}

size_t revocations_count(const struct revocations *set)
{
    return set->n;
}

static int key_order(const void *a, const void *b)
{
    return memcmp(a, b, KEY_BYTES); /* the key is what either begins with */
}

static const struct revoked_key *find(const struct revocations *set, uint32_t app,
                                      enum revocation_kind kind, const uint8_t *hash)
{
    uint8_t key[KEY_BYTES] = {0};
    key_put(key, app, kind, hash);
    return bsearch(key, set->keys, set->n, sizeof set->keys[0], key_order);
}

bool revoked(const struct revocations *set, const struct principal *p)
{
    if (set->n == 0) {
        return false;
    }
    if (p->kind == PRINCIPAL_API_KEY) {
        return find(set, p->app, REVOKE_KEY, p->id_hash) != NULL;
    }
    if (p->kind != PRINCIPAL_TOKEN) {
        return false;
    }
    if (p->id.n && find(set, p->app, REVOKE_TOKEN, p->id_hash)) {
        return true;
    }
    const struct revoked_key *all = find(set, p->app, REVOKE_ISSUED_BEFORE, NULL);
    const struct revoked_key *subject = find(set, p->app, REVOKE_SUBJECT, p->subject_hash);
    return (all && p->issued_ms <= all->before_ms) ||
           (subject && p->issued_ms <= subject->before_ms);
}
