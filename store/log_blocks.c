/* The writer's side of blocks: gathering a channel's records out of the journal, and letting go of
 * its oldest blocks. A record that cannot be read any more is left out: the blocks on either side
 * of it then say by their offsets that something is missing. */
#include "store/log_parts.h"

static enum store_rc save_row(struct log *log, uint64_t channel, const struct head *head)
{
    struct channel_row row;
    enum store_rc rc = channel_row_get(store_txn_view(log->txn), channel, &row);
    if (rc != STORE_OK)
        return rc == STORE_NOT_FOUND ? STORE_DAMAGED : rc;
    row.generation = head->generation;
    row.reset_seq = head->reset_seq;
    row.first = head->first;
    row.block_last = head->block_last;
    row.block_seq = head->block_seq;
    row.block_bytes = head->block_bytes;
    return channel_row_put(log, channel, &row);
}

/* ---- the limits ---- */

static enum store_rc refresh_limits(struct log *log, uint64_t channel, struct head *head)
{
    struct channel_row row;
    if (head->limits_epoch == log->limits_epoch)
        return STORE_OK;
    enum store_rc rc = channel_row_get(store_txn_view(log->txn), channel, &row);
    if (rc != STORE_OK)
        return rc;
    head->limits = (struct log_limits){0};
    if (log->options.limits)
        log->options.limits(log->options.limits_ctx, row.app, row.name, &head->limits);
    head->limits_epoch = log->limits_epoch;
    return STORE_OK;
}

static bool is_due(const struct head *head, int64_t now_ms)
{
    const struct log_limits *l = &head->limits;
    return (l->events_max && head->last - head->oldest_last >= l->events_max) ||
           (l->bytes_max && head->block_bytes + head->tail_payload > l->bytes_max) ||
           (l->age_ms_max && now_ms > head->oldest_ms && now_ms - head->oldest_ms > l->age_ms_max);
}

/* Cheap: false when no limit can be due whatever the oldest block is. */
static bool may_be_due(const struct head *head)
{
    const struct log_limits *l = &head->limits;
    return head->first <= head->block_last &&
           ((l->events_max && head->last - head->first >= l->events_max) || l->age_ms_max ||
            (l->bytes_max && head->block_bytes + head->tail_payload > l->bytes_max));
}

/* The block that begins there: blocks follow on one another, so it is the oldest one where the
 * channel begins, unless a record or a block was damaged. No cursor is needed, and so no tree. */
static bool is_at(struct log *log, uint64_t channel, uint64_t first, struct block *out)
{
    uint8_t bytes[BLOCK_KEY_BYTES];
    struct slice value, key = block_key(bytes, channel, first);
    return store_get(store_txn_view(log->txn), TABLE_BLOCK, key, &value) == STORE_OK &&
           block_read(key, value, out);
}

/* The channel's oldest block that can be read. One that is damaged counts to the one after it: it
 * ends where that begins and is no younger. */
static enum store_rc find_oldest(struct log *log, uint64_t channel, uint64_t from,
                                 struct block *out)
{
    uint8_t bytes[BLOCK_KEY_BYTES];
    struct store_cursor *cursor;
    struct slice key, value;
    uint64_t of, first;
    enum store_rc rc = store_cursor_open(store_txn_view(log->txn), TABLE_BLOCK, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = store_cursor_seek(cursor, block_key(bytes, channel, from), &key, &value);
    while (rc == STORE_OK) {
        if (!block_key_read(key, &of, &first) || of != channel)
            rc = STORE_NOT_FOUND;
        else if (block_read(key, value, out))
            break;
        else
            rc = store_cursor_next(cursor, &key, &value);
    }
    store_cursor_close(cursor);
    return rc;
}

int64_t oldest_block_ms(struct log *log, uint64_t channel, uint64_t first)
{
    struct block block;
    return find_oldest(log, channel, first, &block) == STORE_OK ? block.newest_ms : INT64_MAX;
}

static enum store_rc look_at_oldest(struct log *log, uint64_t channel, struct head *head)
{
    struct block block;
    enum store_rc rc = STORE_OK;
    if (head->oldest_last)
        return STORE_OK;
    head->oldest_alone = is_at(log, channel, head->first, &block);
    if (!head->oldest_alone)
        rc = find_oldest(log, channel, head->first, &block);
    if (rc != STORE_OK && rc != STORE_NOT_FOUND)
        return rc;
    bool found = rc == STORE_OK;
    head->oldest_last = found ? block.last : head->block_last;
    head->oldest_bytes = found ? block.payload_bytes : head->block_bytes;
    head->oldest_ms = found ? block.newest_ms : INT64_MAX;
    return STORE_OK;
}

static enum store_rc drop_one(struct log *log, uint64_t channel, uint64_t first)
{
    uint8_t bytes[BLOCK_KEY_BYTES];
    log->totals.blocks_dropped++;
    return store_del(log->txn, TABLE_BLOCK, block_key(bytes, channel, first));
}

/* Every row of blocks up to the end of the oldest block that can be read. */
static enum store_rc drop_rows(struct log *log, uint64_t channel, const struct head *head)
{
    uint8_t bytes[BLOCK_KEY_BYTES];
    struct store_cursor *cursor;
    struct slice key;
    uint64_t of, first;
    enum store_rc rc = store_cursor_open(store_txn_view(log->txn), TABLE_BLOCK, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = store_cursor_seek(cursor, block_key(bytes, channel, head->first), &key, NULL);
    while (rc == STORE_OK && block_key_read(key, &of, &first) && of == channel &&
           first <= head->oldest_last) {
        rc = store_cursor_del(cursor);
        log->totals.blocks_dropped++;
        if (rc == STORE_OK)
            rc = store_cursor_next(cursor, &key, NULL);
    }
    store_cursor_close(cursor);
    return rc;
}

static enum store_rc drop_oldest(struct log *log, uint64_t channel, struct head *head)
{
    enum store_rc rc =
        head->oldest_alone ? drop_one(log, channel, head->first) : drop_rows(log, channel, head);
    if (rc != STORE_OK && rc != STORE_NOT_FOUND)
        return rc;
    head->first = head->oldest_last + 1;
    head->block_bytes -=
        head->oldest_bytes < head->block_bytes ? head->oldest_bytes : head->block_bytes;
    head->oldest_last = 0;
    return STORE_OK;
}

static enum store_rc drop_due(struct log *log, uint64_t channel, struct head *head, int64_t now_ms,
                              unsigned blocks_max, unsigned *out_dropped, bool *out_more)
{
    enum store_rc rc = refresh_limits(log, channel, head);
    *out_dropped = 0;
    *out_more = false;
    while (rc == STORE_OK && may_be_due(head)) {
        rc = look_at_oldest(log, channel, head);
        if (rc != STORE_OK || !is_due(head, now_ms))
            return rc;
        if (*out_dropped == blocks_max) {
            *out_more = true;
            return STORE_OK;
        }
        rc = drop_oldest(log, channel, head);
        ++*out_dropped;
    }
    return rc;
}

enum store_rc retain(struct log *log, uint64_t channel, int64_t now_ms, unsigned blocks_max,
                     bool *out_more)
{
    struct head *head;
    unsigned dropped;
    enum store_rc rc = head_change(log, channel, &head);
    if (rc == STORE_OK)
        rc = drop_due(log, channel, head, now_ms, blocks_max, &dropped, out_more);
    return rc == STORE_OK && dropped > 0 ? save_row(log, channel, head) : rc;
}

/* Rows of blocks of every generation before go here and now: resetting is rare. */
static enum store_rc drop_all(struct log *log, uint64_t channel)
{
    uint8_t bytes[BLOCK_KEY_BYTES];
    struct store_cursor *cursor;
    struct slice key;
    uint64_t of, first;
    enum store_rc rc = store_cursor_open(store_txn_view(log->txn), TABLE_BLOCK, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = store_cursor_seek(cursor, block_key(bytes, channel, 1), &key, NULL);
    while (rc == STORE_OK && block_key_read(key, &of, &first) && of == channel) {
        rc = store_cursor_del(cursor);
        log->totals.blocks_dropped++;
        if (rc == STORE_OK)
            rc = store_cursor_next(cursor, &key, NULL);
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

enum store_rc log_channel_reset(struct log *log, uint64_t channel, int64_t now_ms)
{
    struct head *head;
    (void)now_ms;
    enum store_rc rc = head_change(log, channel, &head);
    if (rc == STORE_OK)
        rc = drop_all(log, channel);
    if (rc != STORE_OK)
        return rc;
    struct channel_row begun = {.app = head->app,
                                .generation = head->generation + 1,
                                .reset_seq = log->totals.next_seq - 1,
                                .first = 1};
    uint32_t journal_records = head->journal_records;
    head_from_row(head, &begun);
    head->journal_records = journal_records;
    head->batch = log->batch;
    return save_row(log, channel, head);
}

/* ---- gathering ---- */

static enum store_rc put_block(struct log *log, uint64_t channel, uint64_t first)
{
    uint8_t key[BLOCK_KEY_BYTES];
    block_end(&log->scratch, channel, first);
    enum store_rc rc =
        store_put(log->txn, TABLE_BLOCK, block_key(key, channel, first), buf_slice(&log->scratch));
    if (rc == STORE_OK)
        log->totals.blocks_written++;
    return rc;
}

/* The run of readable records from tail[*at] on: gathers it, moves *at past it. */
static size_t gather(struct log *log, const struct tail_record *tail, size_t n, size_t *at,
                     uint64_t *bytes)
{
    struct log_record record;
    size_t count = 0;
    for (; *at < n && journal_read(tail[*at].seq, tail[*at].value, &record); ++*at) {
        if (count++ == 0)
            block_begin(&log->scratch, record.prev_seq);
        block_add(&log->scratch, &record);
        *bytes += record.payload.n;
    }
    return count;
}

/* Putting a block invalidates what tail points to, so after the first one the rest is looked up
 * again; there is more than one only when a record between them is damaged. */
static enum store_rc put_run(struct log *log, uint64_t channel, const struct head *head,
                             uint64_t *next, uint64_t *bytes)
{
    struct tail_record tail[BLOCK_RECORDS_MAX];
    struct log_record record;
    size_t n = (size_t)(head->last + 1 - *next), at = 0;
    enum store_rc rc = tail_walk(store_txn_view(log->txn), channel, *next, head->last,
                                 head->last_seq, log->recent, tail);
    if (rc != STORE_OK)
        return rc;
    while (at < n && !journal_read(tail[at].seq, tail[at].value, &record))
        at++;
    uint64_t first = *next + at;
    if (gather(log, tail, n, &at, bytes) > 0)
        rc = put_block(log, channel, first);
    *next += at;
    return rc;
}

/* It waits for log_tend(): the oldest block may be one that this batch is still to write. */
static enum store_rc put_down(struct log *log, uint64_t channel, struct head *head)
{
    enum store_rc rc = refresh_limits(log, channel, head);
    if (rc != STORE_OK || !may_be_due(head) || head->due_batch == log->batch)
        return rc;
    if (log->due_n == log->due_cap) {
        log->due_cap = log->due_cap ? log->due_cap * 2 : 64;
        log->due = xrealloc(log->due, log->due_cap * sizeof *log->due);
    }
    log->due[log->due_n++] = channel;
    head->due_batch = log->batch;
    return STORE_OK;
}

void retain_due(struct log *log, int64_t now_ms)
{
    enum { SPARE = 16 };
    uint64_t written = log->totals.blocks_written - log->now.before.blocks_written;
    bool more;
    for (size_t i = 0; i < log->due_n; i++)
        if (retain(log, log->due[i], now_ms, (unsigned)(2 * written + SPARE), &more) != STORE_OK)
            break; /* the view knows; what is damaged stays for the sweep */
    log->due_n = 0;
}

enum store_rc tail_to_block(struct log *log, uint64_t channel)
{
    struct head *head;
    enum store_rc rc = head_change(log, channel, &head);
    if (rc != STORE_OK)
        return rc;
    uint64_t next = head->block_last + 1;
    if (head->last + 1 - next > BLOCK_RECORDS_MAX) /* of damage only: the missing are let go */
        next = head->last + 1 - BLOCK_RECORDS_MAX;
    while (rc == STORE_OK && next <= head->last)
        rc = put_run(log, channel, head, &next, &head->block_bytes);
    if (rc != STORE_OK)
        return rc;
    head->block_last = head->last;
    head->block_seq = head->last_seq;
    head->tail_bytes = 0;
    head->tail_payload = 0;
    head->lone = false;
    rc = put_down(log, channel, head);
    return rc == STORE_OK ? save_row(log, channel, head) : rc;
}
