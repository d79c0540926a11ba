/* The start: one scan of the journal, oldest first, gives back what the writer keeps in memory:
 * the heads of the channels in it, and the idempotency keys.
 *
 * A record that is damaged no longer says for sure whose it is, and no offset may be given out
 * twice. Three of its fields say the same thing in different words: the channel, the offset, and
 * the sequence of the channel's record before it. Two of them that agree with what is known of the
 * channel make the record known, and so does the last of them alone. */
#define _GNU_SOURCE
#include "store/env.h"
#include "store/log_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct scan {
    struct log *log;
    struct store_view *view;
    uint64_t damaged, damaged_first, damaged_last; /* records, and sequences */
    uint64_t rows_damaged;                         /* channels without a readable row */
    uint64_t searches;                             /* for whose a damaged record is */
    struct buf mend;                               /* numbers of channels to be mended */
    const char *bad_key_of;                        /* table with a key that none of its rows has */
};

static struct head *scan_head(struct scan *scan, uint64_t channel)
{
    struct log *log = scan->log;
    struct channel_row row;
    if (channel == 0 || channel >= log->totals.next_channel)
        return NULL;
    struct head *head = head_place(log, channel);
    if (head->loaded)
        return head;
    if (channel_row_get(scan->view, channel, &row) != STORE_OK) {
        scan->rows_damaged++;
        return NULL;
    }
    head_from_row(head, &row);
    return head;
}

static void take(struct log *log, struct head *head, const struct log_record *record)
{
    if (head->journal_records++ == 0)
        log->totals.channels_active++;
    if (record->seq <= head->reset_seq || record->offset <= head->block_last)
        return;
    /* It can only be lower when a damaged record was taken for the wrong channel's. */
    head->last = record->offset > head->last ? record->offset : head->last;
    head->last_seq = record->seq;
    head->lone = record->payload.n > BLOCK_LONE_PAYLOAD;
    head->tail_bytes += (uint32_t)block_record_bytes(record->flags, record->payload.n);
    head->tail_payload += record->payload.n;
}

/* The channel whose newest record so far has this sequence; 0: none. It looks at every head, so it
 * is asked only so often. */
static uint64_t owner_of(struct scan *scan, uint64_t seq)
{
    enum { SEARCHES_MAX = 1000 };
    struct log *log = scan->log;
    if (seq == 0 || scan->searches++ >= SEARCHES_MAX)
        return 0;
    for (uint64_t channel = 1; channel < log->totals.next_channel; channel++) {
        const struct head *chunk = log->heads.chunks[channel / HEADS_CHUNK];
        if (!chunk)
            channel |= HEADS_CHUNK - 1;
        else if (chunk[channel % HEADS_CHUNK].loaded &&
                 chunk[channel % HEADS_CHUNK].last_seq == seq)
            return channel;
    }
    return 0;
}

/* Whose a damaged record is; false: nobody's that can be told. */
static bool identify(struct scan *scan, uint64_t seq, struct slice value, struct log_record *record)
{
    if (!journal_peek(seq, value, record))
        return false;
    struct head *head = scan_head(scan, record->channel);
    if (head && head->last_seq == record->prev_seq) { /* channel and link agree */
        record->offset = head->last + 1;
        return true;
    }
    if (head && head->last + 1 == record->offset) /* channel and offset agree */
        return true;
    record->channel = owner_of(scan, record->prev_seq);
    if (record->channel == 0)
        return false;
    record->offset = scan_head(scan, record->channel)->last + 1;
    return true;
}

static void take_damaged(struct scan *scan, uint64_t seq, struct slice value)
{
    struct log_record record;
    if (scan->damaged++ == 0)
        scan->damaged_first = seq;
    scan->damaged_last = seq;
    if (!identify(scan, seq, value, &record))
        return;
    record.payload = slice_of(NULL, 0);
    record.flags = 0;
    take(scan->log, head_place(scan->log, record.channel), &record);
    buf_add(&scan->mend, &record.channel, sizeof record.channel);
}

static void take_record(struct scan *scan, uint64_t seq, struct slice value)
{
    struct log *log = scan->log;
    struct log_record record;
    log->totals.journal_records++;
    log->totals.journal_bytes += value.n;
    if (!journal_read(seq, value, &record)) {
        take_damaged(scan, seq, value);
        return;
    }
    struct head *head = scan_head(scan, record.channel);
    if (!head)
        return;
    take(log, head, &record);
    if (record.flags & LOG_KEYED)
        keys_load(log->keys, record.key_hash, record.time_ms, record.offset, seq);
}

static enum store_rc scan_journal(struct scan *scan)
{
    struct totals *totals = &scan->log->totals;
    struct store_cursor *cursor;
    struct slice key, value;
    enum store_rc rc = store_cursor_open(scan->view, TABLE_JOURNAL, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, &value)) {
        uint64_t seq = journal_seq(key);
        if (seq < totals->next_seq) {
            scan->bad_key_of = "journal";
            rc = STORE_DAMAGED;
            break;
        }
        if (totals->journal_records == 0)
            totals->journal_first_seq = seq;
        totals->next_seq = seq + 1;
        take_record(scan, seq, value);
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

static enum store_rc find_next_channel(struct scan *scan, uint64_t *out_next)
{
    struct store_cursor *cursor;
    struct slice key;
    enum store_rc rc = store_cursor_open(scan->view, TABLE_CHANNEL, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = store_cursor_last(cursor, &key, NULL);
    store_cursor_close(cursor);
    if (rc == STORE_NOT_FOUND) {
        *out_next = 1;
        return STORE_OK;
    }
    if (rc != STORE_OK)
        return rc;
    uint64_t last = channel_of_key(key);
    if (last == 0 || last >= CHANNELS_MAX) {
        scan->bad_key_of = "channel";
        return STORE_DAMAGED;
    }
    *out_next = last + 1;
    return STORE_OK;
}

static void publish_all(struct log *log)
{
    for (uint64_t channel = 1; channel < log->totals.next_channel; channel++) {
        struct head *chunk = log->heads.chunks[channel / HEADS_CHUNK];
        if (!chunk)
            channel |= HEADS_CHUNK - 1;
        else if (chunk[channel % HEADS_CHUNK].loaded)
            head_publish(log, channel, chunk[channel % HEADS_CHUNK].last_seq);
    }
}

static void tell(const struct scan *scan, char *out_text, size_t text_n)
{
    if (!out_text || text_n == 0)
        return;
    out_text[0] = '\0';
    if (scan->damaged > 0)
        (void)snprintf(out_text, text_n,
                       "%llu damaged records in the journal, sequences %llu to %llu; "
                       "they are left out, all others are read",
                       (unsigned long long)scan->damaged, (unsigned long long)scan->damaged_first,
                       (unsigned long long)scan->damaged_last);
    else if (scan->rows_damaged > 0)
        (void)snprintf(out_text, text_n,
                       "%llu records in the journal belong to channels whose row is damaged",
                       (unsigned long long)scan->rows_damaged);
}

/* Where a damaged record was found, the channel's tail is put into blocks at once: from then on its
 * row says which offsets were given out, and the damaged record is asked no more. */
static void mend(struct log *log, const struct buf *channels)
{
    struct store_txn *txn;
    enum store_rc rc = channels->n > 0 ? store_begin(log->store, &txn) : STORE_NOT_FOUND;
    if (rc != STORE_OK)
        return; /* a full store opens unmended, to be read */
    log_begin(log, txn);
    for (size_t i = 0; i < channels->n && rc == STORE_OK; i += sizeof(uint64_t)) {
        uint64_t channel;
        memcpy(&channel, channels->p + i, sizeof channel);
        rc = tail_to_block(log, channel);
    }
    if (rc == STORE_OK)
        rc = store_commit(txn);
    else
        store_abort(txn);
    log_end(log, rc == STORE_OK);
}

static uint64_t clock_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- opening ---- */

static struct log *log_new(struct store *store, const struct log_options *options)
{
    struct log *log = xcalloc(1, sizeof *log);
    log->store = store;
    log->options = *options;
    struct log_options *o = &log->options;
    if (o->journal_records_min == 0)
        o->journal_records_min = 65536;
    if (o->records_per_channel_min == 0)
        o->records_per_channel_min = 10;
    if (o->key_window_ms == 0)
        o->key_window_ms = INT64_C(2) * 60 * 1000;
    if (o->keys_max == 0)
        o->keys_max = 5000000;
    log->totals = (struct totals){.next_seq = 1, .next_channel = 1, .journal_first_seq = 1};
    log->limits_epoch = 1;
    log->sweep_next_ms = INT64_MIN;
    heads_init(&log->heads);
    log->recent = recent_new();
    return log;
}

static enum store_rc scan_in(struct log *log, struct store_view *view, struct scan *scan)
{
    enum store_rc rc = channel_seed(view, &log->seed);
    if (rc != STORE_OK)
        return rc;
    log->keys = keys_new(log->seed, log->options.key_window_ms, log->options.keys_max);
    *scan = (struct scan){.log = log, .view = view};
    rc = find_next_channel(scan, &log->totals.next_channel);
    if (rc == STORE_OK)
        rc = scan_journal(scan);
    keys_loaded(log->keys);
    return rc;
}

static enum store_rc open_in(struct log *log, char *out_text, size_t text_n)
{
    struct store_txn *txn;
    struct scan scan = {0};
    enum store_rc rc = channel_seed_make(log->store);
    if (rc == STORE_OK)
        rc = store_begin(log->store, &txn);
    if (rc != STORE_OK)
        return rc;
    rc = scan_in(log, store_txn_view(txn), &scan);
    store_abort(txn);
    if (scan.bad_key_of && out_text)
        (void)snprintf(out_text, text_n, "%s/data.mdb is damaged: table %s: a key is none",
                       log->store->path, scan.bad_key_of);
    if (rc == STORE_OK) {
        mend(log, &scan.mend);
        tell(&scan, out_text, text_n);
        publish_all(log);
    }
    buf_done(&scan.mend);
    return rc;
}

enum store_rc log_open(struct store *store, const struct log_options *options, struct log **out_log,
                       char *out_text, size_t text_n)
{
    uint64_t begun_ms = clock_ms();
    struct log *log = log_new(store, options);
    if (out_text && text_n)
        *out_text = '\0';
    enum store_rc rc = open_in(log, out_text, text_n);
    if (rc != STORE_OK) {
        if (out_text && !*out_text)
            (void)snprintf(out_text, text_n, "cannot read the log of %s/data.mdb: %s", store->path,
                           store_rc_name(rc));
        log_close(log);
        return rc;
    }
    log->scan_ms = clock_ms() - begun_ms;
    log_publish_figures(log, &log->totals);
    *out_log = log;
    return STORE_OK;
}

void log_close(struct log *log)
{
    if (!log)
        return;
    heads_done(&log->heads);
    keys_free(log->keys);
    recent_free(log->recent);
    buf_done(&log->scratch);
    free(log->now.heads.heads);
    free(log->on_its_way.heads.heads);
    free(log->due);
    free(log);
}

void log_limits_changed(struct log *log)
{
    log->limits_epoch++;
    log->sweep_next_ms = INT64_MIN;
}
