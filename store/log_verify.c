/* Reads all that the log keeps and says where it does not agree with itself: first the channels'
 * rows, then the blocks against them, then the journal against both, and the names at last. What
 * has to be remembered of a channel takes 56 bytes. */
#include "store/log_parts.h"

#include <stdlib.h>

#include "store/hash.h"

struct known { /* of a channel; while a table is walked, how far it has been seen */
    uint64_t first, block_last, block_seq, reset_seq;
    uint64_t last, last_seq;
    bool intact;
};

struct audit {
    struct store_view *view;
    log_report *report;
    void *ctx;
    struct log_audit *sums;
    struct known *known;
    uint64_t known_n; /* channels 0..known_n - 1 */
};

static void fault(struct audit *a, uint64_t channel, uint64_t first, uint64_t last,
                  const char *what)
{
    a->sums->faults++;
    if (a->report)
        a->report(a->ctx, channel, first, last, what);
}

static struct known *known(struct audit *a, uint64_t channel)
{
    return channel < a->known_n && a->known[channel].intact ? &a->known[channel] : NULL;
}

/* Calls visit for each row of a table. */
typedef void visit_row(struct audit *a, struct slice key, struct slice value);
static enum store_rc walk(struct audit *a, enum store_table table, visit_row *visit)
{
    struct store_cursor *cursor;
    struct slice key, value;
    enum store_rc rc = store_cursor_open(a->view, table, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    while (rc == STORE_OK) {
        a->sums->bytes += key.n + value.n;
        visit(a, key, value);
        rc = store_cursor_next(cursor, &key, &value);
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

/* ---- channels ---- */

static void grow(struct audit *a, uint64_t channel)
{
    if (channel < a->known_n)
        return;
    uint64_t n = channel + 1 > 2 * a->known_n ? channel + 1 : 2 * a->known_n;
    a->known = xrealloc(a->known, (size_t)n * sizeof *a->known);
    memset(a->known + a->known_n, 0, (size_t)(n - a->known_n) * sizeof *a->known);
    a->known_n = n;
}

static void visit_channel(struct audit *a, struct slice key, struct slice value)
{
    struct channel_row row;
    uint64_t channel = channel_of_key(key);
    a->sums->channels++;
    if (channel == 0 || channel >= CHANNELS_MAX || !channel_row_read(channel, value, &row)) {
        fault(a, channel, 0, 0, "the channel's row is damaged");
        return;
    }
    struct log_channel found;
    if (log_find(a->view, row.app, row.name, &found) != STORE_OK || found.channel != channel)
        fault(a, channel, 0, 0, "the channel is not found by its name");
    grow(a, channel);
    a->known[channel] = (struct known){.first = row.first,
                                       .block_last = row.block_last,
                                       .block_seq = row.block_seq,
                                       .reset_seq = row.reset_seq,
                                       .last = row.first - 1,
                                       .intact = true};
}

static void visit_name(struct audit *a, struct slice key, struct slice value)
{
    uint64_t channel = channel_of_key(value);
    if (key.n != 16 || channel == 0 || channel >= a->known_n || !a->known[channel].intact)
        fault(a, channel, 0, 0, "a name leads to a channel that is not there");
}

/* ---- blocks ---- */

static bool records_agree(struct block *block)
{
    struct log_record record;
    uint64_t seq = block->prev_seq, bytes = 0, last = block->last;
    while (block->first <= last) {
        if (!block_next(block, &record) || record.seq <= seq)
            return false;
        seq = record.seq;
        bytes += record.payload.n;
    }
    return block->records.n == 0 && bytes == block->payload_bytes;
}

static void expect_offset(struct audit *a, uint64_t channel, struct known *k, uint64_t offset)
{
    if (offset > k->last + 1)
        fault(a, channel, k->last + 1, offset - 1, "records are missing");
}

static void visit_block(struct audit *a, struct slice key, struct slice value)
{
    struct block block;
    uint64_t channel = 0, first = 0;
    a->sums->blocks++;
    bool placed = block_key_read(key, &channel, &first);
    struct known *k = placed ? known(a, channel) : NULL;
    if (!k) {
        fault(a, channel, first, first, "a block of a channel that is not there");
        return;
    }
    if (!block_read(key, value, &block)) {
        fault(a, channel, first, first, "a block is damaged");
        return;
    }
    uint64_t last = block.last;
    a->sums->records += last + 1 - first;
    if (first < k->first || last > k->block_last || first <= k->last)
        fault(a, channel, first, last, "a block is where none should be");
    expect_offset(a, channel, k, first);
    if (!records_agree(&block))
        fault(a, channel, first, last, "the records of a block do not agree with it");
    k->last = last > k->last ? last : k->last;
    k->last_seq = block.prev_seq;
}

static void check_block_ends(struct audit *a)
{
    for (uint64_t channel = 1; channel < a->known_n; channel++) {
        struct known *k = known(a, channel);
        if (!k)
            continue;
        if (k->last < k->block_last)
            fault(a, channel, k->last + 1, k->block_last, "records are missing");
        k->last = k->block_last;
        k->last_seq = k->block_seq;
    }
}

/* ---- the journal ---- */

/* A record that is in no block: it must be the channel's next, linked to the one before. */
static void check_link(struct audit *a, struct known *k, const struct log_record *record)
{
    if (record->offset <= k->last) {
        fault(a, record->channel, record->offset, record->offset, "an offset was given out twice");
        return;
    }
    a->sums->records++;
    expect_offset(a, record->channel, k, record->offset);
    if (record->offset == k->last + 1 && record->prev_seq != k->last_seq)
        fault(a, record->channel, record->offset, record->offset, "a link leads elsewhere");
    k->last = record->offset;
    k->last_seq = record->seq;
}

static void check_record(struct audit *a, uint64_t seq, struct slice value)
{
    struct log_record record;
    if (!journal_read(seq, value, &record)) {
        fault(a, 0, seq, seq, "a record of the journal is damaged");
        return;
    }
    struct known *k = known(a, record.channel);
    if (!k)
        fault(a, record.channel, record.offset, record.offset,
              "a record of a channel that is not there");
    else if (seq > k->reset_seq && record.offset > k->block_last)
        check_link(a, k, &record);
}

static enum store_rc walk_journal(struct audit *a)
{
    struct store_cursor *cursor;
    struct slice key, value;
    uint64_t next = 0;
    enum store_rc rc = store_cursor_open(a->view, TABLE_JOURNAL, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, &value)) {
        uint64_t seq = journal_seq(key);
        if (next != 0 && seq > next)
            fault(a, 0, next, seq - 1, "sequences are missing");
        a->sums->bytes += key.n + value.n;
        check_record(a, seq, value);
        next = seq + 1;
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

static enum store_rc audit_all(struct audit *a)
{
    enum store_rc rc = walk(a, TABLE_CHANNEL, visit_channel);
    if (rc == STORE_OK)
        rc = walk(a, TABLE_BLOCK, visit_block);
    if (rc != STORE_OK)
        return rc;
    check_block_ends(a);
    rc = walk_journal(a);
    return rc == STORE_OK ? walk(a, TABLE_CHANNEL_NAME, visit_name) : rc;
}

enum store_rc log_verify(struct store *store, log_report *report, void *ctx,
                         struct log_audit *out_audit)
{
    struct store_reader *reader;
    struct log_audit sums = {0};
    struct audit a = {.report = report, .ctx = ctx, .sums = &sums};
    enum store_rc rc = store_reader_new(store, &reader);
    if (rc != STORE_OK)
        return rc;
    rc = store_snapshot(reader, &a.view);
    if (rc == STORE_OK)
        rc = audit_all(&a);
    store_reader_free(reader);
    free(a.known);
    if (rc != STORE_OK)
        return rc;
    *out_audit = sums;
    return sums.faults > 0 ? STORE_DAMAGED : STORE_OK;
}
