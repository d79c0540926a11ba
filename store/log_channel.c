/* Channels by number and by name. Their numbers are dense and given out for good; the way from a
 * name is a row keyed by a hash of app and name. The hash is seeded from what nobody outside sees,
 * the second half of the store's first epoch, so that nobody can aim collisions; and the name found
 * is compared, so that one would be seen.
 *
 * A hash alone would strew the channels of a batch's new tasks over the whole table, a page each.
 * The ids that the hub mints end with a number that counts up; so a name's last digits stand before
 * its hash, and the rows of names that were made together lie together. */
#include "store/log_parts.h"

#include <assert.h>
#include <xxhash.h>

#include "store/hash.h"
#include "store/pack.h"

enum {
    ROW_VERSION = 1,
    ROW_SUM_BYTES = 8,
    NAME_KEY_BYTES = 16,
    COUNTED_BYTES = 5 /* of a key: ten hex digits */
};
static const char seed_name[] = "log_name_seed";

struct slice channel_key(uint8_t key[8], uint64_t channel)
{
    be64_put(key, channel);
    return slice_of(key, 8);
}

uint64_t channel_of_key(struct slice key)
{
    return key.n == 8 ? be64_get(key.p) : 0;
}

enum store_rc channel_seed(struct store_view *view, uint64_t *out_seed)
{
    struct slice value;
    enum store_rc rc = store_get(view, TABLE_META, slice_str(seed_name), &value);
    if (rc == STORE_OK && value.n != 8)
        rc = STORE_DAMAGED;
    if (rc == STORE_OK)
        *out_seed = be64_get(value.p);
    return rc;
}

enum store_rc channel_seed_make(struct store *store)
{
    struct store_txn *txn;
    enum store_rc rc = store_begin(store, &txn);
    if (rc != STORE_OK)
        return rc;
    rc = store_insert(txn, TABLE_META, slice_str(seed_name), slice_of(store_epoch(store) + 8, 8));
    if (rc == STORE_OK)
        return store_commit(txn);
    store_abort(txn);
    return rc == STORE_EXISTS ? STORE_OK : rc;
}

/* ---- rows ---- */

static uint64_t checksum(uint64_t channel, struct slice rest)
{
    return XXH3_64bits_withSeed(rest.p, rest.n, channel);
}

bool channel_row_read(uint64_t channel, struct slice value, struct channel_row *out)
{
    if (channel == 0 || value.n < ROW_SUM_BYTES ||
        be64_get(value.p) !=
            checksum(channel, slice_of(value.p + ROW_SUM_BYTES, value.n - ROW_SUM_BYTES)))
        return false;
    struct unpack u = unpack_of(slice_of(value.p + ROW_SUM_BYTES, value.n - ROW_SUM_BYTES));
    uint8_t version = unpack_u8(&u);
    *out = (struct channel_row){.app = unpack_u32(&u)};
    out->generation = unpack_u32(&u);
    out->created_ms = unpack_i64(&u);
    out->reset_seq = unpack_u64(&u);
    out->first = unpack_u64(&u);
    out->block_last = unpack_u64(&u);
    out->block_seq = unpack_u64(&u);
    out->block_bytes = unpack_u64(&u);
    out->name = unpack_slice(&u);
    return version == ROW_VERSION && unpack_done(&u) && out->first > 0 &&
           out->first - 1 <= out->block_last;
}

enum store_rc channel_row_get(struct store_view *view, uint64_t channel, struct channel_row *out)
{
    uint8_t key[8];
    struct slice value;
    enum store_rc rc = store_get(view, TABLE_CHANNEL, channel_key(key, channel), &value);
    if (rc == STORE_OK && !channel_row_read(channel, value, out))
        rc = STORE_DAMAGED;
    return rc;
}

enum store_rc channel_row_put(struct log *log, uint64_t channel, const struct channel_row *row)
{
    uint8_t key[8];
    struct buf *b =
        &log->scratch; /* row->name is not in it: a row's name is borrowed from a page */
    buf_clear(b);
    pack_u64(b, 0);
    pack_u8(b, ROW_VERSION);
    pack_u32(b, row->app);
    pack_u32(b, row->generation);
    pack_i64(b, row->created_ms);
    pack_u64(b, row->reset_seq);
    pack_u64(b, row->first);
    pack_u64(b, row->block_last);
    pack_u64(b, row->block_seq);
    pack_u64(b, row->block_bytes);
    pack_slice(b, row->name);
    be64_put(b->p, checksum(channel, slice_of(b->p + ROW_SUM_BYTES, b->n - ROW_SUM_BYTES)));
    return store_put(log->txn, TABLE_CHANNEL, channel_key(key, channel), buf_slice(b));
}

/* ---- names ---- */

static int digit_of(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The number that a name ends with, in ten hex digits; without them all bits are set. */
static uint64_t counted(struct slice name)
{
    enum { DIGITS = 2 * COUNTED_BYTES };
    uint64_t n = 0;
    for (size_t i = 0; name.n >= DIGITS && i < DIGITS; i++) {
        int digit = digit_of(name.p[name.n - DIGITS + i]);
        if (digit < 0)
            return UINT64_MAX;
        n = n << 4 | (uint64_t)digit;
    }
    return name.n >= DIGITS ? n : UINT64_MAX;
}

static void name_key(uint8_t key[NAME_KEY_BYTES], uint64_t seed, uint32_t app, struct slice name)
{
    enum { COUNTED_SHIFT = 64 - 8 * COUNTED_BYTES };
    struct hash128 hash = hash128_named(seed, app, name);
    uint64_t rest = hash.hi & ((UINT64_C(1) << COUNTED_SHIFT) - 1);
    be64_put(key, counted(name) << COUNTED_SHIFT | rest);
    be64_put(key + 8, hash.lo);
}

static void describe(uint64_t channel, const struct channel_row *row, struct log_channel *out)
{
    *out = (struct log_channel){.channel = channel,
                                .app = row->app,
                                .generation = row->generation,
                                .created_ms = row->created_ms,
                                .name = row->name};
}

/* The number that stands under the name's hash, and its row, which must bear that name. */
static enum store_rc find(struct store_view *view, const uint8_t key[NAME_KEY_BYTES], uint32_t app,
                          struct slice name, uint64_t *out_channel, struct channel_row *out_row)
{
    struct slice value;
    enum store_rc rc = store_get(view, TABLE_CHANNEL_NAME, slice_of(key, NAME_KEY_BYTES), &value);
    if (rc != STORE_OK)
        return rc;
    uint64_t channel = channel_of_key(value);
    rc = channel_row_get(view, channel, out_row);
    if (rc == STORE_NOT_FOUND)
        return STORE_DAMAGED;
    if (rc == STORE_OK && (out_row->app != app || !slice_equal(out_row->name, name)))
        return STORE_DAMAGED;
    if (rc == STORE_OK)
        *out_channel = channel;
    return rc;
}

enum store_rc log_find(struct store_view *view, uint32_t app, struct slice name,
                       struct log_channel *out)
{
    uint8_t key[NAME_KEY_BYTES];
    struct channel_row row;
    uint64_t seed, channel;
    enum store_rc rc = channel_seed(view, &seed);
    if (rc != STORE_OK)
        return rc == STORE_NOT_FOUND ? STORE_DAMAGED : rc;
    name_key(key, seed, app, name);
    rc = find(view, key, app, name, &channel, &row);
    if (rc == STORE_OK)
        describe(channel, &row, out);
    return rc;
}

enum store_rc log_channel_get(struct store_view *view, uint64_t channel, struct log_channel *out)
{
    struct channel_row row;
    enum store_rc rc = channel_row_get(view, channel, &row);
    if (rc == STORE_OK)
        describe(channel, &row, out);
    return rc;
}

static enum store_rc step(struct store_cursor *cursor, uint64_t after, bool reverse,
                          struct slice *out_key, struct slice *out_value)
{
    uint8_t key[8];
    if (!reverse)
        return store_cursor_seek(cursor, channel_key(key, after + 1), out_key, out_value);
    if (after == 0)
        return store_cursor_last(cursor, out_key, out_value);
    enum store_rc rc = store_cursor_seek(cursor, channel_key(key, after), out_key, out_value);
    if (rc == STORE_NOT_FOUND)
        return store_cursor_last(cursor, out_key, out_value);
    return rc == STORE_OK ? store_cursor_prev(cursor, out_key, out_value) : rc;
}

enum store_rc log_channel_next(struct store_view *view, uint64_t after, bool reverse,
                               struct log_channel *out)
{
    struct store_cursor *cursor;
    struct slice key, value;
    struct channel_row row;
    if (after == UINT64_MAX && !reverse)
        return STORE_NOT_FOUND;
    enum store_rc rc = store_cursor_open(view, TABLE_CHANNEL, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = step(cursor, after, reverse, &key, &value);
    store_cursor_close(cursor);
    if (rc != STORE_OK)
        return rc;
    if (!channel_row_read(channel_of_key(key), value, &row)) {
        /* The walk can go on past it: its number is known. */
        *out = (struct log_channel){.channel = channel_of_key(key)};
        return STORE_DAMAGED;
    }
    describe(channel_of_key(key), &row, out);
    return STORE_OK;
}

static enum store_rc make(struct log *log, const uint8_t key[NAME_KEY_BYTES], uint32_t app,
                          struct slice name, int64_t now_ms, uint64_t *out_channel)
{
    uint8_t number[8];
    uint64_t channel = log->totals.next_channel;
    if (channel >= CHANNELS_MAX)
        return STORE_FULL;
    struct channel_row row = {.app = app, .created_ms = now_ms, .first = 1, .name = name};
    enum store_rc rc = store_put(log->txn, TABLE_CHANNEL_NAME, slice_of(key, NAME_KEY_BYTES),
                                    channel_key(number, channel));
    if (rc == STORE_OK)
        rc = channel_row_put(log, channel, &row);
    if (rc != STORE_OK)
        return rc;
    log->totals.next_channel++;
    *out_channel = channel;
    struct head *head; /* marks it as changed, so that it goes again if the batch does */
    return head_change(log, channel, &head);
}

enum store_rc log_channel_open(struct log *log, uint32_t app, struct slice name, int64_t now_ms,
                               uint64_t *out_channel)
{
    uint8_t key[NAME_KEY_BYTES];
    struct channel_row row;
    assert(log->txn);
    if (name.n == 0 || name.n > LOG_NAME_BYTES_MAX)
        return STORE_INVALID;
    name_key(key, log->seed, app, name);
    enum store_rc rc = find(store_txn_view(log->txn), key, app, name, out_channel, &row);
    return rc == STORE_NOT_FOUND ? make(log, key, app, name, now_ms, out_channel) : rc;
}
