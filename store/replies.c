/* Rows carry a dense sequence, so they are appended at one end and dropped at the other, and a
 * commit touches the pages of these two ends only. The way from a key's hash to its row is a table
 * in memory: open addressing, linear probing, sequence and 64 mixed bits of the hash in a slot. A
 * slot whose bits fit is confirmed by the row itself.
 *
 * The bits are mixed with what nobody outside sees, the second half of the store's epoch, or a
 * client could choose keys that all probe the same slots.
 *
 * A batch that is not committed is undone from a list of the slots it changed, backwards. While one
 * is on its way to the disk the list begins with its changes, and goes on with those of the next.
 */
#include "store/replies.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "store/mem.h"

enum {
    ROW_VERSION = 1,
    KEY_BYTES = 8,
    /* checksum 4, version 1, status 2, time 8, key hash 16, request hash 16 */
    AT_VERSION = 4,
    AT_STATUS = 5,
    AT_TIME = 7,
    AT_KEY_HASH = 15,
    AT_REQUEST_HASH = 31,
    AT_BODY = 47,
    SLOTS_MIN = 1024,
    TEND_ROWS_MAX = 1000,
};
static const int64_t window_ms_default = INT64_C(24) * 3600 * 1000;
static const uint64_t replies_max_default = 1000000;

struct slot {
    uint64_t mix;
    uint64_t seq; /* 0: free */
};

struct change {
    struct slot slot;
    bool added; /* or removed */
};

struct totals {
    uint64_t seq_next, rows, dropped;
};

struct replies {
    struct store_txn *txn; /* NULL between batches */
    int64_t window_ms;
    uint64_t replies_max, seed;
    struct totals totals, totals_before; /* before: when the batch began */
    bool handed_over;                    /* replies_handed_over(), and not ended yet */
    struct totals handed_before;
    size_t handed_n; /* changes of that batch */
    uint64_t damaged;
    struct slot *slots;
    size_t slots_n, slots_used; /* slots_n is a power of two */
    struct change *changes;
    size_t changes_n, changes_cap;
};

/* ---- the table in memory ---- */

static uint64_t mix_of(const struct replies *r, const uint8_t key_hash[16])
{
    return XXH3_64bits_withSeed(key_hash, 16, r->seed);
}

/* The slot of this row, or the free one where its probe ends. */
static struct slot *slot_at(const struct replies *r, uint64_t mix, uint64_t seq)
{
    size_t i = mix & (r->slots_n - 1);
    while (r->slots[i].seq != 0 && r->slots[i].seq != seq)
        i = (i + 1) & (r->slots_n - 1);
    return &r->slots[i];
}

static void slots_grow(struct replies *r)
{
    struct slot *old = r->slots;
    size_t old_n = r->slots_n;
    r->slots_n = old_n * 2;
    r->slots = xcalloc(r->slots_n, sizeof *r->slots);
    for (size_t i = 0; i < old_n; i++)
        if (old[i].seq != 0)
            *slot_at(r, old[i].mix, old[i].seq) = old[i];
    free(old);
}

static void slot_insert(struct replies *r, struct slot slot)
{
    if ((r->slots_used + 1) * 4 > r->slots_n * 3)
        slots_grow(r);
    *slot_at(r, slot.mix, slot.seq) = slot;
    r->slots_used++;
}

/* Moves those that follow back over the hole, so that no probe ends before its aim. */
static void slot_remove(struct replies *r, struct slot slot)
{
    struct slot *found = slot_at(r, slot.mix, slot.seq);
    size_t mask = r->slots_n - 1, hole = (size_t)(found - r->slots);
    assert(found->seq == slot.seq);
    for (size_t i = (hole + 1) & mask; r->slots[i].seq != 0; i = (i + 1) & mask) {
        size_t home = r->slots[i].mix & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            r->slots[hole] = r->slots[i];
            hole = i;
        }
    }
    r->slots[hole].seq = 0;
    r->slots_used--;
}

static void change(struct replies *r, struct slot slot, bool added)
{
    if (r->changes_n == r->changes_cap) {
        r->changes_cap = r->changes_cap ? r->changes_cap * 2 : 256;
        r->changes = xrealloc(r->changes, r->changes_cap * sizeof *r->changes);
    }
    r->changes[r->changes_n++] = (struct change){.slot = slot, .added = added};
    if (added)
        slot_insert(r, slot);
    else
        slot_remove(r, slot);
}

/* Until so many changes are left. */
static void undo(struct replies *r, size_t left)
{
    while (r->changes_n > left) {
        struct change last = r->changes[--r->changes_n];
        if (last.added)
            slot_remove(r, last.slot);
        else
            slot_insert(r, last.slot);
    }
}

/* ---- rows ---- */

static struct slice seq_key(uint8_t key[KEY_BYTES], uint64_t seq)
{
    be64_put(key, seq);
    return slice_of(key, KEY_BYTES);
}

static uint32_t checksum(uint64_t seq, struct slice rest)
{
    return (uint32_t)XXH3_64bits_withSeed(rest.p, rest.n, seq);
}

static bool row_read(uint64_t seq, struct slice value, struct reply_row *out)
{
    if (value.n < AT_BODY || value.p[AT_VERSION] != ROW_VERSION ||
        be32_get(value.p) != checksum(seq, slice_of(value.p + 4, value.n - 4)))
        return false;
    out->status = be16_get(value.p + AT_STATUS);
    out->time_ms = (int64_t)be64_get(value.p + AT_TIME);
    memcpy(out->key_hash, value.p + AT_KEY_HASH, sizeof out->key_hash);
    memcpy(out->request_hash, value.p + AT_REQUEST_HASH, sizeof out->request_hash);
    out->body = slice_of(value.p + AT_BODY, value.n - AT_BODY);
    return true;
}

static void row_write(uint8_t *p, uint64_t seq, const struct reply_row *row)
{
    p[AT_VERSION] = ROW_VERSION;
    be16_put(p + AT_STATUS, row->status);
    be64_put(p + AT_TIME, (uint64_t)row->time_ms);
    memcpy(p + AT_KEY_HASH, row->key_hash, sizeof row->key_hash);
    memcpy(p + AT_REQUEST_HASH, row->request_hash, sizeof row->request_hash);
    if (row->body.n > 0)
        memcpy(p + AT_BODY, row->body.p, row->body.n);
    be32_put(p, checksum(seq, slice_of(p + 4, AT_BODY - 4 + row->body.n)));
}

static bool expired(const struct replies *r, int64_t time_ms, int64_t now_ms)
{
    return time_ms <= now_ms - r->window_ms;
}

/* Finds the row of a key, too old or not. */
static enum store_rc find(struct replies *r, const uint8_t key_hash[16], struct slot *out_slot,
                          struct reply_row *out)
{
    uint8_t key[KEY_BYTES];
    struct slice value;
    uint64_t mix = mix_of(r, key_hash);
    size_t mask = r->slots_n - 1;
    for (size_t i = mix & mask; r->slots[i].seq != 0; i = (i + 1) & mask) {
        struct slot slot = r->slots[i];
        if (slot.mix != mix)
            continue;
        enum store_rc rc =
            store_get(store_txn_view(r->txn), TABLE_REPLY, seq_key(key, slot.seq), &value);
        if (rc == STORE_NOT_FOUND) /* dropped while it could not be read */
            continue;
        if (rc == STORE_OK && !row_read(slot.seq, value, out))
            rc = STORE_DAMAGED;
        if (rc != STORE_OK)
            return rc;
        *out_slot = slot;
        if (memcmp(out->key_hash, key_hash, sizeof out->key_hash) == 0)
            return STORE_OK;
    }
    return STORE_NOT_FOUND;
}

/* ---- opening ---- */

/* A row that is damaged answers nobody; it is counted and leaves with its neighbours. Of two rows
 * of a key the later is the one that counts: the other was too old when it came. */
static enum store_rc take_row(struct replies *r, struct slice key, struct slice value)
{
    struct reply_row row, old_row;
    struct slot old;
    uint64_t seq = key.n == KEY_BYTES ? be64_get(key.p) : 0;
    if (seq == 0)
        return STORE_DAMAGED;
    r->totals.seq_next = seq + 1;
    r->totals.rows++;
    if (!row_read(seq, value, &row)) {
        r->damaged++;
        return STORE_OK;
    }
    enum store_rc rc = find(r, row.key_hash, &old, &old_row);
    if (rc == STORE_OK)
        slot_remove(r, old);
    else if (rc != STORE_NOT_FOUND)
        return rc;
    slot_insert(r, (struct slot){.mix = mix_of(r, row.key_hash), .seq = seq});
    return STORE_OK;
}

static enum store_rc take_rows(struct replies *r, struct store_view *view)
{
    struct store_cursor *cursor;
    struct slice key, value;
    enum store_rc rc = store_cursor_open(view, TABLE_REPLY, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    while (rc == STORE_OK) {
        rc = take_row(r, key, value);
        if (rc == STORE_OK)
            rc = store_cursor_next(cursor, &key, &value);
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

enum store_rc replies_open(struct store *store, const struct replies_options *options,
                           struct replies **out)
{
    struct store_txn *txn;
    enum store_rc rc = store_begin(store, &txn);
    if (rc != STORE_OK)
        return rc;
    struct replies *r = xcalloc(1, sizeof *r);
    r->window_ms = options->window_ms ? options->window_ms : window_ms_default;
    r->replies_max = options->replies_max ? options->replies_max : replies_max_default;
    r->seed = be64_get(store_epoch(store) + 8);
    r->totals.seq_next = 1;
    r->slots_n = SLOTS_MIN;
    r->slots = xcalloc(r->slots_n, sizeof *r->slots);
    r->txn = txn;
    rc = take_rows(r, store_txn_view(txn));
    r->txn = NULL;
    store_abort(txn);
    if (rc != STORE_OK)
        replies_close(r);
    else
        *out = r;
    return rc;
}

void replies_close(struct replies *r)
{
    if (!r)
        return;
    free(r->slots);
    free(r->changes);
    free(r);
}

/* ---- batches ---- */

void replies_begin(struct replies *r, struct store_txn *txn)
{
    assert(!r->txn);
    r->txn = txn;
    r->totals_before = r->totals;
}

void replies_end(struct replies *r, bool committed)
{
    assert(r->txn);
    if (!committed) {
        undo(r, r->handed_n);
        r->totals = r->totals_before;
    }
    r->changes_n = r->handed_n;
    r->txn = NULL;
}

void replies_handed_over(struct replies *r)
{
    assert(r->txn && !r->handed_over);
    r->handed_over = true;
    r->handed_before = r->totals_before;
    r->handed_n = r->changes_n;
    r->txn = NULL;
}

void replies_handed_end(struct replies *r, bool committed)
{
    assert(r->handed_over && (committed || !r->txn));
    if (committed) {
        r->changes_n -= r->handed_n;
        if (r->changes_n > 0)
            memmove(r->changes, r->changes + r->handed_n, r->changes_n * sizeof *r->changes);
    } else {
        undo(r, 0);
        r->totals = r->handed_before;
    }
    r->handed_n = 0;
    r->handed_over = false;
}

enum store_rc replies_find(struct replies *r, const uint8_t key_hash[16], int64_t now_ms,
                           struct reply_row *out)
{
    struct slot slot;
    struct reply_row row;
    assert(r->txn);
    enum store_rc rc = find(r, key_hash, &slot, &row);
    if (rc != STORE_OK)
        return rc;
    if (expired(r, row.time_ms, now_ms))
        return STORE_NOT_FOUND;
    *out = row;
    return STORE_OK;
}

/* The slot goes with the row, unless a newer row of the same key has taken its place. */
static void forget(struct replies *r, uint64_t seq, const struct reply_row *row)
{
    struct slot slot = {.mix = mix_of(r, row->key_hash), .seq = seq};
    if (slot_at(r, slot.mix, slot.seq)->seq == slot.seq)
        change(r, slot, false);
}

/* Drops the row the cursor stands on when it is too old, one too many, or not to be read. */
static enum store_rc drop(struct replies *r, struct store_cursor *cursor, struct slice key,
                          struct slice value, int64_t now_ms, bool *out_dropped)
{
    struct reply_row row;
    uint64_t seq = key.n == KEY_BYTES ? be64_get(key.p) : 0;
    bool readable = row_read(seq, value, &row);
    *out_dropped = false;
    if (readable && r->totals.rows <= r->replies_max && !expired(r, row.time_ms, now_ms))
        return STORE_OK;
    if (readable)
        forget(r, seq, &row);
    enum store_rc rc = store_cursor_del(cursor);
    if (rc == STORE_OK) {
        r->totals.rows--;
        r->totals.dropped++;
        *out_dropped = true;
    }
    return rc;
}

/* From the oldest on, until one may stay; true when rows_max of them were dropped. */
static enum store_rc drop_some(struct replies *r, size_t rows_max, int64_t now_ms, bool *out_more)
{
    struct store_cursor *cursor;
    struct slice key, value;
    bool dropped = true;
    enum store_rc rc = store_cursor_open(store_txn_view(r->txn), TABLE_REPLY, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    for (size_t i = 0; i < rows_max && rc == STORE_OK && dropped; i++) {
        rc = drop(r, cursor, key, value, now_ms, &dropped);
        if (rc == STORE_OK && dropped)
            rc = store_cursor_next(cursor, &key, &value);
    }
    store_cursor_close(cursor);
    *out_more = rc == STORE_OK && dropped;
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

static enum store_rc append(struct replies *r, const struct reply_row *row)
{
    uint8_t key[KEY_BYTES], *p;
    uint64_t seq = r->totals.seq_next;
    enum store_rc rc =
        store_put_reserve(r->txn, TABLE_REPLY, seq_key(key, seq), AT_BODY + row->body.n, true, &p);
    if (rc != STORE_OK)
        return rc;
    row_write(p, seq, row);
    r->totals.seq_next++;
    r->totals.rows++;
    change(r, (struct slot){.mix = mix_of(r, row->key_hash), .seq = seq}, true);
    return STORE_OK;
}

enum store_rc replies_add(struct replies *r, const struct reply_row *row)
{
    struct slot old;
    struct reply_row old_row;
    bool more;
    assert(r->txn);
    enum store_rc rc = find(r, row->key_hash, &old, &old_row);
    if (rc == STORE_OK) {
        if (!expired(r, old_row.time_ms, row->time_ms))
            return STORE_EXISTS;
        change(r, old, false);
    } else if (rc != STORE_NOT_FOUND) {
        return rc;
    }
    rc = append(r, row);
    if (rc == STORE_OK && r->totals.rows > r->replies_max)
        rc = drop_some(r, 1, INT64_MIN + r->window_ms, &more);
    return rc;
}

bool replies_tend(struct replies *r, int64_t now_ms)
{
    bool more = false;
    assert(r->txn);
    return drop_some(r, TEND_ROWS_MAX, now_ms, &more) == STORE_OK && more;
}

void replies_stats(const struct replies *r, struct replies_stats *out)
{
    *out = (struct replies_stats){
        .rows = r->totals.rows,
        .dropped = r->totals.dropped,
        .damaged = r->damaged,
    };
}
