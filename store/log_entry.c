/* One record wherever it stands: audits want all copies of it, as an old one in the journal must
 * agree with the one in its block that readers get. */
#include "store/log_parts.h"

static enum store_rc in_journal(struct store_view *view, uint64_t channel, uint64_t offset,
                                uint64_t seq, struct log_record *out)
{
    uint8_t key[JOURNAL_KEY_BYTES];
    struct slice value;
    enum store_rc rc = store_get(view, TABLE_JOURNAL, journal_key(key, seq), &value);
    if (rc != STORE_OK)
        return rc;
    return journal_read(seq, value, out) && out->channel == channel && out->offset == offset
               ? STORE_OK
               : STORE_DAMAGED;
}

/* The block whose first offset is the last one up to this. */
static enum store_rc seek_down(struct store_cursor *cursor, uint64_t channel, uint64_t offset,
                               struct slice *key, struct slice *value)
{
    uint8_t bytes[BLOCK_KEY_BYTES];
    uint64_t found = 0, first = 0;
    enum store_rc rc = store_cursor_seek(cursor, block_key(bytes, channel, offset), key, value);
    if (rc == STORE_OK && slice_equal(*key, slice_of(bytes, sizeof bytes)))
        return rc;
    rc = rc == STORE_OK          ? store_cursor_prev(cursor, key, value)
         : rc == STORE_NOT_FOUND ? store_cursor_last(cursor, key, value)
                                 : rc;
    if (rc == STORE_OK && (!block_key_read(*key, &found, &first) || found != channel))
        return STORE_NOT_FOUND;
    return rc;
}

static enum store_rc in_block(struct store_view *view, uint64_t channel, uint64_t offset,
                              uint64_t seq, struct log_record *out)
{
    struct store_cursor *cursor;
    struct slice key, value;
    struct block block;
    enum store_rc rc = store_cursor_open(view, TABLE_BLOCK, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = seek_down(cursor, channel, offset, &key, &value);
    store_cursor_close(cursor);
    if (rc != STORE_OK)
        return rc;
    if (!block_read(key, value, &block))
        return STORE_DAMAGED;
    while (block_next(&block, out)) {
        if (out->offset == offset)
            return out->seq == seq ? STORE_OK : STORE_DAMAGED;
    }
    return STORE_NOT_FOUND;
}

enum store_rc log_copies(struct store_view *view, uint64_t channel, uint64_t offset, uint64_t seq,
                         log_visit *visit, void *ctx, bool *out_kept)
{
    struct channel_row row;
    struct log_record record;
    bool found = false;
    enum store_rc rc = channel_row_get(view, channel, &row);
    if (rc != STORE_OK)
        return rc;
    *out_kept = seq > row.reset_seq && offset >= row.first;
    rc = in_journal(view, channel, offset, seq, &record);
    if (rc == STORE_OK) {
        found = true;
        (void)visit(ctx, &record);
    }
    if ((rc == STORE_OK || rc == STORE_NOT_FOUND) && *out_kept && offset <= row.block_last) {
        rc = in_block(view, channel, offset, seq, &record);
        found = found || rc == STORE_OK;
        if (rc == STORE_OK)
            (void)visit(ctx, &record);
        else if (rc == STORE_NOT_FOUND)
            return rc; /* where readers would look for it */
    }
    return rc == STORE_NOT_FOUND && found ? STORE_OK : rc;
}
