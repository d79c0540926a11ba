/* A timer's key begins with its due time, so the earliest is the first row of the table, and adding
 * one for now or soon touches pages that are in use anyway.
 *
 * Ids come from a counter in TABLE_META and never come again, so that a reference to a timer that
 * has fired cannot cancel another one that is due in the same millisecond. The counter's row is
 * written with the timer: the transaction that takes the timer back takes the id back as well. */
#include "store/timers.h"

#include "store/env.h"

#include <xxhash.h>

enum { KEY_BYTES = 16, HEAD_BYTES = 6 };
static const char counter_key[] = "timer_id";

/* With the sign bit turned over, negative times sort before the others. */
static void key_put(uint8_t key[KEY_BYTES], struct timer_ref ref)
{
    be64_put(key, (uint64_t)ref.due_ms ^ (UINT64_C(1) << 63));
    be64_put(key + 8, ref.id);
}

static struct timer_ref key_get(const uint8_t key[KEY_BYTES])
{
    return (struct timer_ref){
        .due_ms = (int64_t)(be64_get(key) ^ (UINT64_C(1) << 63)),
        .id = be64_get(key + 8),
    };
}

/* LMDB has no checksums: a timer that fires says who it is only when this one fits. */
static uint32_t checksum(const uint8_t key[KEY_BYTES], struct slice kind_and_body)
{
    XXH64_hash_t seed = XXH3_64bits(key, KEY_BYTES);
    return (uint32_t)XXH3_64bits_withSeed(kind_and_body.p, kind_and_body.n, seed);
}

static enum store_rc next_id(struct store_txn *txn, uint64_t *out_id)
{
    struct slice value;
    uint8_t row[8];
    uint64_t id = 1;
    enum store_rc rc = store_get(store_txn_view(txn), TABLE_META, slice_str(counter_key), &value);
    if (rc == STORE_OK && value.n != sizeof row)
        return STORE_DAMAGED;
    if (rc == STORE_OK)
        id = be64_get(value.p) + 1;
    else if (rc != STORE_NOT_FOUND)
        return rc;
    be64_put(row, id);
    *out_id = id;
    return store_put(txn, TABLE_META, slice_str(counter_key), slice_of(row, sizeof row));
}

enum store_rc timer_add(struct store_txn *txn, int64_t due_ms, uint16_t kind, struct slice body,
                        struct timer_ref *out_ref)
{
    struct timer_ref ref = {.due_ms = due_ms};
    uint8_t key[KEY_BYTES], *row;
    if (body.n > TIMER_BODY_BYTES_MAX)
        return STORE_INVALID;
    enum store_rc rc = next_id(txn, &ref.id);
    if (rc != STORE_OK)
        return rc;
    key_put(key, ref);
    rc = store_put_reserve(txn, TABLE_TIMER, slice_of(key, sizeof key), HEAD_BYTES + body.n, false,
                           &row);
    if (rc != STORE_OK)
        return rc;
    be16_put(row + 4, kind);
    if (body.n > 0)
        memcpy(row + HEAD_BYTES, body.p, body.n);
    be32_put(row, checksum(key, slice_of(row + 4, 2 + body.n)));
    if (due_ms < txn->timer_due_ms)
        txn->timer_due_ms = due_ms;
    *out_ref = ref;
    return STORE_OK;
}

int64_t timer_added_due(const struct store_txn *txn)
{
    return txn->timer_due_ms;
}

enum store_rc timer_cancel(struct store_txn *txn, struct timer_ref ref)
{
    uint8_t key[KEY_BYTES];
    key_put(key, ref);
    return store_del(txn, TABLE_TIMER, slice_of(key, sizeof key));
}

static enum store_rc first_row(struct store_view *view, struct slice *out_key,
                               struct slice *out_row)
{
    struct store_cursor *cursor;
    enum store_rc rc = store_cursor_open(view, TABLE_TIMER, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = store_cursor_seek(cursor, slice_of(NULL, 0), out_key, out_row);
    store_cursor_close(cursor);
    return rc == STORE_OK && out_key->n != KEY_BYTES ? STORE_DAMAGED : rc;
}

enum store_rc timer_first_due(struct store_view *view, int64_t now_ms, struct timer *out)
{
    struct slice key, row;
    enum store_rc rc = first_row(view, &key, &row);
    *out = (struct timer){0};
    if (rc != STORE_OK)
        return rc;
    struct timer_ref ref = key_get(key.p);
    if (ref.due_ms > now_ms)
        return STORE_NOT_FOUND;
    out->ref = ref;
    if (row.n < HEAD_BYTES || be32_get(row.p) != checksum(key.p, slice_of(row.p + 4, row.n - 4)))
        return STORE_DAMAGED;
    out->kind = be16_get(row.p + 4);
    out->body = slice_of(row.p + HEAD_BYTES, row.n - HEAD_BYTES);
    return STORE_OK;
}

int64_t timer_next_due(struct store_view *view)
{
    struct slice key, row;
    enum store_rc rc = first_row(view, &key, &row);
    if (rc == STORE_NOT_FOUND)
        return INT64_MAX;
    return rc == STORE_OK ? key_get(key.p).due_ms : INT64_MIN;
}
