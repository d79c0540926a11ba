/* What is put off while appending: the journal is trimmed from its front, and channels to which
 * nobody writes any more lose what has become too old.
 *
 * Trimming begins when a step's worth is there, so that small batches do not touch the journal's
 * front each time, and takes somewhat more than the batch brought, so that it always catches up. A
 * record that is in no block yet takes all of its channel's into one before it goes.
 *
 * The sweep walks the channels' rows, some in each call, with a long pause after each round. */
#include "store/log_parts.h"

#include <assert.h>

enum { TRIM_STEP_MAX = 512, SWEEP_ROWS = 128, SWEEP_BLOCKS = 8 };
static const int64_t sweep_pause_ms = INT64_C(5) * 60 * 1000;

/* ---- trimming ---- */

/* How many records more than must stay. */
static uint64_t trim_spare(const struct log *log, uint64_t *out_keep)
{
    const struct totals *t = &log->totals;
    uint64_t keep = t->channels_active * log->options.records_per_channel_min;
    if (keep < log->options.journal_records_min)
        keep = log->options.journal_records_min;
    *out_keep = keep;
    return t->journal_records > keep ? t->journal_records - keep : 0;
}

static uint64_t trim_step(uint64_t keep)
{
    return keep / 8 < 1 ? 1 : keep / 8 < TRIM_STEP_MAX ? keep / 8 : TRIM_STEP_MAX;
}

/* What else goes when this record does. *weight counts what it cost, in records. Only what a record
 * brings about that is in no block is worth a checksum: for the rest a wrong channel's count of
 * records is the worst that damage can do. */
static enum store_rc settle(struct log *log, uint64_t seq, struct slice value, uint64_t *weight)
{
    struct log_record record;
    struct head *head;
    if (!journal_peek(seq, value, &record))
        return STORE_OK;
    enum store_rc rc = head_change(log, record.channel, &head);
    if (rc == STORE_NOT_FOUND || rc == STORE_DAMAGED)
        return STORE_OK; /* its channel's row is lost, so nobody can ask for it */
    if (rc != STORE_OK)
        return rc;
    if (seq > head->reset_seq && record.offset > head->block_last &&
        journal_read(seq, value, &record)) {
        *weight += 8 + (head->last - head->block_last);
        rc = tail_to_block(log, record.channel);
    }
    if (rc == STORE_OK && head->journal_records > 0 && --head->journal_records == 0)
        log->totals.channels_active--;
    return rc;
}

/* Takes the record under the cursor off the front. */
static enum store_rc trim_one(struct log *log, struct store_cursor *cursor, struct slice key,
                              struct slice value, uint64_t *weight)
{
    uint64_t seq = journal_seq(key), bytes = value.n;
    enum store_rc rc = settle(log, seq, value, weight);
    if (rc == STORE_OK)
        rc = store_cursor_del(cursor);
    if (rc != STORE_OK)
        return rc;
    log->totals.journal_records--;
    log->totals.journal_bytes -= bytes;
    log->totals.journal_first_seq = seq + 1;
    log->totals.records_trimmed++;
    ++*weight;
    return STORE_OK;
}

static enum store_rc trim_front(struct log *log, uint64_t records, uint64_t budget)
{
    struct store_cursor *cursor;
    struct slice key, value;
    uint64_t stop = keys_oldest_seq(log->keys), weight = 0;
    enum store_rc rc = store_cursor_open(store_txn_view(log->txn), TABLE_JOURNAL, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    while (rc == STORE_OK && records-- > 0 && weight < budget && journal_seq(key) < stop) {
        rc = trim_one(log, cursor, key, value, &weight);
        if (rc == STORE_OK)
            rc = store_cursor_next(cursor, &key, &value);
    }
    store_cursor_close(cursor);
    return rc;
}

static bool trim(struct log *log)
{
    uint64_t keep, spare = trim_spare(log, &keep), step = trim_step(keep);
    uint64_t appended = log->totals.next_seq - log->now.before.next_seq;
    uint64_t trimmed = log->totals.records_trimmed;
    if (spare < step)
        return false;
    enum store_rc rc = trim_front(log, spare, (appended + TRIM_STEP_MAX) * 2);
    if (rc != STORE_OK || log->totals.records_trimmed == trimmed)
        return false; /* nothing may go yet */
    return trim_spare(log, &keep) >= step;
}

/* ---- the sweep ---- */

/* Whether anything in blocks is past the limits; heads of channels at rest stay out of memory. */
static bool sweep_due(struct log *log, uint64_t channel, const struct channel_row *row,
                      int64_t now_ms)
{
    struct log_limits l = {0};
    if (row->first > row->block_last || !log->options.limits)
        return false;
    log->options.limits(log->options.limits_ctx, row->app, row->name, &l);
    return (l.events_max && row->block_last - row->first >= l.events_max) ||
           (l.bytes_max && row->block_bytes > l.bytes_max) ||
           (l.age_ms_max && oldest_block_ms(log, channel, row->first) < now_ms - l.age_ms_max);
}

static enum store_rc sweep_row(struct log *log, struct slice key, struct slice value,
                               int64_t now_ms)
{
    struct channel_row row;
    uint64_t channel = channel_of_key(key);
    bool more = false;
    enum store_rc rc = STORE_OK;
    if (channel_row_read(channel, value, &row) && sweep_due(log, channel, &row, now_ms))
        rc = retain(log, channel, now_ms, SWEEP_BLOCKS, &more);
    if (rc == STORE_OK && !more)
        log->sweep_after = channel;
    return rc;
}

/* One row after the other, each sought anew: dropping blocks rewrites rows. */
static enum store_rc sweep_some(struct log *log, int64_t now_ms)
{
    uint8_t bytes[8];
    struct store_cursor *cursor;
    struct slice key, value;
    struct store_view *view = store_txn_view(log->txn);
    enum store_rc rc = store_cursor_open(view, TABLE_CHANNEL, &cursor);
    if (rc != STORE_OK)
        return rc;
    uint64_t dropped = log->totals.blocks_dropped;
    for (int i = 0;
         i < SWEEP_ROWS && rc == STORE_OK && log->totals.blocks_dropped - dropped < SWEEP_BLOCKS;
         i++) {
        struct slice next = channel_key(bytes, log->sweep_after + 1);
        rc = store_cursor_seek(cursor, next, &key, &value);
        if (rc == STORE_OK)
            rc = sweep_row(log, key, value, now_ms);
    }
    store_cursor_close(cursor);
    return rc;
}

static bool sweep(struct log *log, int64_t now_ms)
{
    if (now_ms < log->sweep_next_ms)
        return false;
    enum store_rc rc = sweep_some(log, now_ms);
    if (rc == STORE_OK)
        return true;
    log->sweep_after = 0;
    log->sweep_next_ms = now_ms + sweep_pause_ms;
    return false;
}

bool log_tend(struct log *log, int64_t now_ms)
{
    assert(log->txn);
    log->now.tend_ms = now_ms;
    bool trimming = trim(log);
    retain_due(log, now_ms);
    bool sweeping = sweep(log, now_ms);
    return trimming || sweeping;
}
