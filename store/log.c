/* The writer's side of the log. What it must know of a channel to append to it stands in memory
 * (heads.c), so a record costs one row at the end of the journal and nothing else; the rest is
 * made up for in bulk (log_blocks.c, log_tend.c).
 *
 * Within a batch every change of memory is either kept in an undo list (heads), counted (keys), or
 * part of struct totals, which is copied whole. There are two of them while one is filled and the
 * one before it is on its way to the disk. */
#include "store/log_parts.h"

#include <assert.h>
#include <stdlib.h>

void log_publish_figures(struct log *log, const struct totals *t)
{
    struct log_figures *f = &log->figures;
    atomic_store(&f->journal_records, t->journal_records);
    atomic_store(&f->journal_bytes, t->journal_bytes);
    atomic_store(&f->journal_first_seq, t->journal_first_seq);
    atomic_store(&f->blocks_written, t->blocks_written);
    atomic_store(&f->blocks_dropped, t->blocks_dropped);
    atomic_store(&f->records_trimmed, t->records_trimmed);
    atomic_store(&f->keys, keys_count(log->keys));
    atomic_store(&f->keys_repeated, t->keys_repeated);
    atomic_store(&f->channels, t->next_channel - 1);
    atomic_store(&f->channels_active, t->channels_active);
    atomic_store(&f->journal_last_seq, t->next_seq - 1);
}

/* ---- batches ---- */

void log_begin(struct log *log, struct store_txn *txn)
{
    assert(!log->txn);
    log->txn = txn;
    log->batch++;
    log->due_n = 0;
    log->now.before = log->totals;
    log->now.keys_added = 0;
    log->now.tend_ms = KEYS_NO_TIME;
}

static void undo(struct log *log, struct log_batch *batch)
{
    heads_undo(log, &batch->heads);
    keys_drop_newest(log->keys, batch->keys_added < keys_count(log->keys) ? batch->keys_added
                                                                          : keys_count(log->keys));
    log->totals = batch->before;
}

/* Keys leave only after the commit, so that a batch that fails need not bring them back. Without a
 * log_tend() in the batch the time is not known, and only their count bounds them. */
static void forget_keys(struct log *log, const struct log_batch *batch)
{
    enum { SPARE = 1024 };
    (void)keys_expire(log->keys, batch->tend_ms, 2 * batch->keys_added + SPARE);
}

static void over(struct log *log)
{
    assert(log->txn);
    log->txn = NULL;
    log->now.after = log->totals;
    heads_over(log, &log->now.heads);
}

static void publish(struct log *log, struct log_batch *batch)
{
    forget_keys(log, batch);
    heads_publish(log, &batch->heads);
    log_publish_figures(log, &batch->after);
}

void log_end(struct log *log, bool committed)
{
    over(log);
    if (committed)
        publish(log, &log->now);
    else
        undo(log, &log->now);
}

void log_handed_over(struct log *log)
{
    assert(!log->handed_over);
    over(log);
    struct log_batch spare = log->on_its_way;
    log->on_its_way = log->now;
    log->now = spare;
    log->handed_over = true;
}

void log_handed_end(struct log *log, bool committed)
{
    assert(log->handed_over && (committed || !log->txn));
    log->handed_over = false;
    if (committed)
        publish(log, &log->on_its_way);
    else
        undo(log, &log->on_its_way);
}

uint64_t log_newest_seq(const struct log *log)
{
    return atomic_load(&log->figures.journal_last_seq);
}

void log_stats(const struct log *log, struct log_stats *out)
{
    const struct log_figures *f = &log->figures;
    *out = (struct log_stats){.journal_records = atomic_load(&f->journal_records),
                              .journal_bytes = atomic_load(&f->journal_bytes),
                              .journal_first_seq = atomic_load(&f->journal_first_seq),
                              .journal_last_seq = atomic_load(&f->journal_last_seq),
                              .blocks_written = atomic_load(&f->blocks_written),
                              .blocks_dropped = atomic_load(&f->blocks_dropped),
                              .records_trimmed = atomic_load(&f->records_trimmed),
                              .keys = atomic_load(&f->keys),
                              .keys_repeated = atomic_load(&f->keys_repeated),
                              .channels = atomic_load(&f->channels),
                              .channels_active = atomic_load(&f->channels_active),
                              .scan_ms = log->scan_ms};
}

/* ---- appending ---- */

enum store_rc log_head(struct log *log, uint64_t channel, struct log_head *out)
{
    struct head *head;
    assert(log->txn);
    enum store_rc rc = head_get(log, channel, &head);
    if (rc == STORE_OK)
        *out = (struct log_head){.channel = channel,
                                 .first = head->first,
                                 .last = head->last,
                                 .last_seq = head->last_seq,
                                 .generation = head->generation};
    return rc;
}

bool log_key_find(struct log *log, const uint8_t key_hash[LOG_KEY_HASH_BYTES], int64_t now_ms,
                  uint64_t *out_offset)
{
    uint64_t seq;
    return keys_find(log->keys, key_hash, now_ms, out_offset, &seq);
}

static size_t payload_bytes(const struct log_append *append)
{
    size_t n = 0;
    for (size_t i = 0; i < append->parts_n; i++) {
        if (append->parts[i].n > (size_t)LOG_PAYLOAD_BYTES_MAX - n)
            return SIZE_MAX;
        n += append->parts[i].n;
    }
    return n;
}

/* A record goes into the block with those before it, unless the block is full or either is long. */
static enum store_rc make_room(struct log *log, const struct head *head,
                               const struct log_append *append, size_t payload_n)
{
    if (head->last == head->block_last)
        return STORE_OK;
    size_t n = BLOCK_HEADER_BYTES + head->tail_bytes + block_record_bytes(append->flags, payload_n);
    if (n <= BLOCK_BYTES_MAX && payload_n <= BLOCK_LONE_PAYLOAD && !head->lone)
        return STORE_OK;
    return tail_to_block(log, append->channel);
}

static enum store_rc put(struct log *log, const struct log_record *record,
                         const struct log_append *append, size_t bytes)
{
    uint8_t key[JOURNAL_KEY_BYTES], *value;
    enum store_rc rc = store_put_reserve(log->txn, TABLE_JOURNAL, journal_key(key, record->seq),
                                         bytes, true, &value);
    if (rc == STORE_OK) {
        journal_write(value, record, append->parts, append->parts_n);
        recent_add(log->recent, record->seq, slice_of(value, bytes));
    }
    return rc == STORE_EXISTS ? STORE_DAMAGED : rc;
}

static void note_append(struct log *log, struct head *head, const struct log_record *record,
                        size_t bytes)
{
    if (head->journal_records++ == 0)
        log->totals.channels_active++;
    head->last = record->offset;
    head->last_seq = record->seq;
    head->lone = record->payload.n > BLOCK_LONE_PAYLOAD;
    head->tail_bytes += (uint32_t)block_record_bytes(record->flags, record->payload.n);
    head->tail_payload += record->payload.n;
    log->totals.next_seq++;
    log->totals.journal_records++;
    log->totals.journal_bytes += bytes;
}

static enum store_rc append_new(struct log *log, const struct log_append *append, size_t payload_n,
                                struct log_appended *out)
{
    struct head *head;
    enum store_rc rc = head_change(log, append->channel, &head);
    if (rc == STORE_OK)
        rc = make_room(log, head, append, payload_n);
    if (rc != STORE_OK)
        return rc;
    struct log_record record = {.channel = append->channel,
                                .offset = head->last + 1,
                                .seq = log->totals.next_seq,
                                .prev_seq = head->last_seq,
                                .time_ms = append->now_ms,
                                .flags = append->flags,
                                .key_hash = append->key_hash,
                                .payload = slice_of(NULL, payload_n)};
    size_t bytes = journal_bytes(record.flags, payload_n);
    rc = put(log, &record, append, bytes);
    if (rc != STORE_OK)
        return rc;
    note_append(log, head, &record, bytes);
    if (record.flags & LOG_KEYED) {
        keys_add(log->keys, append->key_hash, append->now_ms, record.offset, record.seq);
        log->now.keys_added++;
    }
    *out = (struct log_appended){.offset = record.offset, .seq = record.seq};
    return STORE_OK;
}

enum store_rc log_append(struct log *log, const struct log_append *append, struct log_appended *out)
{
    uint64_t offset, seq;
    assert(log->txn);
    size_t payload_n = payload_bytes(append);
    if (payload_n > LOG_PAYLOAD_BYTES_MAX)
        return STORE_INVALID;
    if ((append->flags & LOG_KEYED) &&
        keys_find(log->keys, append->key_hash, append->now_ms, &offset, &seq)) {
        log->totals.keys_repeated++;
        *out = (struct log_appended){.offset = offset, .seq = seq, .repeated = true};
        return STORE_OK;
    }
    return append_new(log, append, payload_n, out);
}
