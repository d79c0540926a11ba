/* Reading a channel: blocks up to what its row calls block_last, and from there on the journal,
 * where each record names the one before it. That part of a channel is no longer than one block,
 * so it is walked from its end and then given out forwards.
 *
 * A snapshot is of one moment, so row, blocks and journal agree in it. What a row or a record says
 * is believed when its checksum holds; a link, when the record it leads to is of this channel and
 * has the offset that was looked for. */
#include "store/log_parts.h"

#include <stdlib.h>

/* ---- the tail: what is not in blocks ---- */

struct walk {
    struct store_view *view;
    struct store_cursor *cursor;          /* NULL: not needed yet */
    const struct recent *recent;          /* may be NULL */
    uint64_t channel, first, offset, seq; /* looked for: this offset, at this sequence */
    uint64_t below;                       /* nothing that is left lies here or later */
    uint64_t at;                          /* sequence the cursor stands on; 0: none */
};

/* All of it is mostly in recent; then a batch can do without the trees. */
static enum store_rc walk_cursor(struct walk *w)
{
    return w->cursor ? STORE_OK : store_cursor_open(w->view, TABLE_JOURNAL, &w->cursor);
}

/* Neighbours are had by a step, which is cheaper than a search. */
static enum store_rc walk_to(struct walk *w, struct slice *out_value)
{
    uint8_t bytes[JOURNAL_KEY_BYTES];
    struct slice key;
    if (w->recent && recent_get(w->recent, w->seq, out_value))
        return STORE_OK;
    enum store_rc rc = walk_cursor(w);
    if (rc == STORE_OK)
        rc = w->at == w->seq + 1
                 ? store_cursor_prev(w->cursor, &key, out_value)
                 : store_cursor_seek(w->cursor, journal_key(bytes, w->seq), &key, out_value);
    w->at = rc == STORE_OK ? journal_seq(key) : 0;
    if (rc == STORE_OK && w->at != w->seq)
        return STORE_NOT_FOUND;
    return rc;
}

/* A link is broken: looks for the channel's next older record by going back over the journal. */
static enum store_rc walk_search(struct walk *w)
{
    uint8_t bytes[JOURNAL_KEY_BYTES];
    struct channel_row row;
    struct slice key, value;
    struct log_record record;
    enum store_rc rc = channel_row_get(w->view, w->channel, &row);
    if (rc == STORE_OK)
        rc = walk_cursor(w);
    if (rc == STORE_OK)
        rc = store_cursor_seek(w->cursor, journal_key(bytes, w->below), &key, &value);
    rc = rc == STORE_OK          ? store_cursor_prev(w->cursor, &key, &value)
         : rc == STORE_NOT_FOUND ? store_cursor_last(w->cursor, &key, &value)
                                 : rc;
    for (; rc == STORE_OK; rc = store_cursor_prev(w->cursor, &key, &value)) {
        uint64_t seq = w->at = journal_seq(key);
        if (seq <= row.reset_seq)
            break;
        if (!journal_peek(seq, value, &record) || record.channel != w->channel ||
            !journal_read(seq, value, &record))
            continue;
        if (record.offset < w->first)
            break;
        if (record.offset <= w->offset) {
            w->offset = record.offset;
            w->seq = seq;
            return STORE_OK;
        }
    }
    return rc == STORE_OK ? STORE_NOT_FOUND : rc;
}

/* The record at w->seq when it is the one looked for. */
static enum store_rc walk_try(struct walk *w, struct slice *out_value, uint64_t *out_prev)
{
    struct log_record record;
    enum store_rc rc = w->seq > 0 && w->seq < w->below ? walk_to(w, out_value) : STORE_NOT_FOUND;
    if (rc != STORE_OK)
        return rc;
    if (!journal_peek(w->seq, *out_value, &record) || record.channel != w->channel ||
        record.offset != w->offset)
        return STORE_NOT_FOUND;
    *out_prev = record.prev_seq;
    return STORE_OK;
}

static enum store_rc walk_all(struct walk *w, struct tail_record *out)
{
    while (w->offset >= w->first) {
        struct slice value;
        uint64_t prev;
        enum store_rc rc = walk_try(w, &value, &prev);
        if (rc == STORE_OK) {
            out[w->offset - w->first] = (struct tail_record){.seq = w->seq, .value = value};
            w->below = w->seq;
            w->seq = prev;
            w->offset--;
            continue;
        }
        if (rc == STORE_NOT_FOUND)
            rc = walk_search(w);
        if (rc != STORE_OK)
            return rc == STORE_NOT_FOUND ? STORE_OK : rc;
    }
    return STORE_OK;
}

enum store_rc tail_walk(struct store_view *view, uint64_t channel, uint64_t first, uint64_t last,
                        uint64_t last_seq, const struct recent *recent, struct tail_record *out)
{
    struct walk w = {.view = view,
                     .recent = recent,
                     .channel = channel,
                     .first = first,
                     .offset = last,
                     .seq = last_seq,
                     .below = last_seq + 1};
    memset(out, 0, (size_t)(last + 1 - first) * sizeof *out);
    enum store_rc rc = walk_all(&w, out);
    store_cursor_close(w.cursor);
    return rc;
}

/* ---- reading on ---- */

struct reading {
    struct store_view *view;
    const struct log_head *head;
    struct channel_row row;
    uint64_t next, last; /* what is given out next, and the end */
    size_t left;         /* records that may still be given out */
    log_visit *visit;
    void *ctx;
    bool stopped;
};

static bool reading_over(const struct reading *r)
{
    return r->stopped || r->left == 0 || r->next > r->last;
}

static void give(struct reading *r, const struct log_record *record)
{
    if (!r->visit(r->ctx, record)) {
        r->stopped = true;
        return;
    }
    r->left--;
    r->next = record->offset + 1;
}

static enum store_rc damaged_up_to(struct reading *r, uint64_t last)
{
    r->next = (last < r->last ? last : r->last) + 1;
    return STORE_DAMAGED;
}

static enum store_rc give_block(struct reading *r, struct block *block)
{
    struct log_record record;
    uint64_t last = block->last;
    while (!reading_over(r) && r->next <= last) {
        if (!block_next(block, &record))
            return damaged_up_to(r, last);
        if (record.offset >= r->next)
            give(r, &record);
    }
    return STORE_OK;
}

/* Stands on the block that may hold r->next: the last one that begins at or before it, or else the
 * first one after it. */
static enum store_rc seek_block(const struct reading *r, struct store_cursor *cursor,
                                struct slice *key, struct slice *value)
{
    uint8_t bytes[BLOCK_KEY_BYTES];
    uint64_t channel, first;
    struct slice at = block_key(bytes, r->head->channel, r->next);
    enum store_rc rc = store_cursor_seek(cursor, at, key, value);
    if (rc == STORE_OK && slice_equal(*key, at))
        return rc;
    rc = rc == STORE_NOT_FOUND ? store_cursor_last(cursor, key, value)
         : rc == STORE_OK      ? store_cursor_prev(cursor, key, value)
                               : rc;
    if (rc == STORE_OK && block_key_read(*key, &channel, &first) && channel == r->head->channel)
        return rc;
    return rc == STORE_OK || rc == STORE_NOT_FOUND ? store_cursor_seek(cursor, at, key, value) : rc;
}

/* First offset of the channel's block under the cursor; past the end of blocks when there is none.
 */
static uint64_t block_begins(const struct reading *r, enum store_rc rc, struct slice key)
{
    uint64_t channel, first;
    bool ours = rc == STORE_OK && block_key_read(key, &channel, &first) &&
                channel == r->head->channel && first <= r->row.block_last;
    return ours ? first : r->row.block_last + 1;
}

static enum store_rc read_blocks_at(struct reading *r, struct store_cursor *cursor)
{
    struct slice key, value;
    struct block block;
    enum store_rc rc = seek_block(r, cursor, &key, &value);
    while (!reading_over(r) && r->next <= r->row.block_last) {
        if (rc != STORE_OK && rc != STORE_NOT_FOUND)
            return rc;
        uint64_t begins = block_begins(r, rc, key);
        if (begins > r->next)
            return damaged_up_to(r, begins - 1);
        bool intact = block_read(key, value, &block);
        if (intact && block.last >= r->next) {
            rc = give_block(r, &block);
            if (rc != STORE_OK || reading_over(r))
                return rc;
        }
        rc = store_cursor_next(cursor, &key, &value);
        if (!intact)
            return damaged_up_to(r, block_begins(r, rc, key) - 1);
    }
    return STORE_OK;
}

static enum store_rc read_blocks(struct reading *r)
{
    struct store_cursor *cursor;
    enum store_rc rc = store_cursor_open(r->view, TABLE_BLOCK, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = read_blocks_at(r, cursor);
    store_cursor_close(cursor);
    return rc;
}

static enum store_rc give_tail(struct reading *r, const struct tail_record *tail, size_t n)
{
    struct log_record record;
    for (size_t i = 0; i < n && !reading_over(r); i++) {
        if (journal_read(tail[i].seq, tail[i].value, &record)) {
            give(r, &record);
            continue;
        }
        while (i + 1 < n && !journal_read(tail[i + 1].seq, tail[i + 1].value, &record))
            i++;
        return damaged_up_to(r, r->last + 1 - n + i);
    }
    return STORE_OK;
}

static enum store_rc read_tail(struct reading *r)
{
    struct tail_record tail[BLOCK_RECORDS_MAX];
    uint64_t n = r->last + 1 - r->next;
    /* Longer than the writer lets it become: offsets are missing that no record tells of. */
    if (n > BLOCK_RECORDS_MAX)
        return damaged_up_to(r, r->last - BLOCK_RECORDS_MAX);
    enum store_rc rc =
        tail_walk(r->view, r->head->channel, r->next, r->last, r->head->last_seq, NULL, tail);
    return rc == STORE_OK ? give_tail(r, tail, (size_t)n) : rc;
}

enum store_rc log_read(struct store_view *view, const struct log_head *head, uint64_t from,
                       size_t records_max, log_visit *visit, void *ctx, uint64_t *out_next)
{
    struct reading r = {.view = view,
                        .head = head,
                        .next = from > head->first ? from : head->first,
                        .last = head->last,
                        .left = records_max,
                        .visit = visit,
                        .ctx = ctx};
    enum store_rc rc = STORE_OK;
    if (!reading_over(&r)) {
        rc = channel_row_get(view, head->channel, &r.row);
        if (rc == STORE_DAMAGED || rc == STORE_NOT_FOUND)
            rc = damaged_up_to(&r, r.last);
        if (rc == STORE_OK && r.next <= r.row.block_last)
            rc = read_blocks(&r);
        if (rc == STORE_OK && !reading_over(&r))
            rc = read_tail(&r);
    }
    if (rc == STORE_OK || rc == STORE_DAMAGED)
        *out_next = r.next;
    return rc;
}

static bool keep_one(void *ctx, const struct log_record *record)
{
    *(struct log_record *)ctx = *record;
    return true;
}

enum store_rc log_get(struct store_view *view, const struct log_head *head, uint64_t offset,
                      struct log_record *out)
{
    uint64_t next;
    if (offset < head->first || offset > head->last || offset == 0)
        return STORE_NOT_FOUND;
    return log_read(view, head, offset, 1, keep_one, out, &next);
}

/* ---- snapshots ---- */

/* The offset of a damaged record: one more than that of the channel's record before it, if it is
 * linked to that one; else, if it names this channel, the offset it names. */
static enum store_rc offset_of_damaged(struct store_view *view, uint64_t seq, struct slice value,
                                       const struct log_head *blocks, uint64_t *out_offset)
{
    struct log_record record = {0};
    struct walk w = {.view = view,
                     .channel = blocks->channel,
                     .first = blocks->last + 1,
                     .offset = UINT64_MAX,
                     .below = seq};
    enum store_rc rc = store_cursor_open(view, TABLE_JOURNAL, &w.cursor);
    if (rc != STORE_OK)
        return rc;
    rc = walk_search(&w);
    store_cursor_close(w.cursor);
    if (rc != STORE_OK && rc != STORE_NOT_FOUND)
        return rc;
    uint64_t before = rc == STORE_OK ? w.offset : blocks->last;
    uint64_t before_seq = rc == STORE_OK ? w.seq : blocks->last_seq;
    bool named = journal_peek(seq, value, &record) && record.channel == blocks->channel &&
                 record.prev_seq != before_seq && record.offset > before &&
                 record.offset - blocks->last <= BLOCK_RECORDS_MAX;
    *out_offset = named ? record.offset : before + 1;
    return STORE_OK;
}

/* The newest record that was known before the snapshot began, and is in no block of it. Records are
 * trimmed only once they are in blocks, so one that is not there is as good as damaged. */
static enum store_rc newest_in(struct store_view *view, uint64_t seq, struct log_head *head)
{
    uint8_t key[JOURNAL_KEY_BYTES];
    struct slice value = slice_of(NULL, 0);
    struct log_record record;
    enum store_rc rc = store_get(view, TABLE_JOURNAL, journal_key(key, seq), &value);
    if (rc == STORE_OK && journal_read(seq, value, &record) && record.channel == head->channel)
        rc = STORE_OK;
    else if (rc == STORE_OK || rc == STORE_NOT_FOUND)
        rc = offset_of_damaged(view, seq, value, head, &record.offset);
    if (rc == STORE_OK && record.offset > head->last) {
        head->last = record.offset;
        head->last_seq = seq;
    }
    return rc;
}

enum store_rc log_snapshot(struct log *log, struct store_reader *reader, uint64_t channel,
                           struct store_view **out_view, struct log_head *out_head)
{
    /* This order: what is loaded here was committed, so the snapshot begun after it sees it. */
    uint64_t newest = head_newest(log, channel);
    struct channel_row row;
    struct store_view *view;
    enum store_rc rc = store_snapshot(reader, &view);
    if (rc == STORE_OK)
        rc = channel_row_get(view, channel, &row);
    if (rc != STORE_OK)
        return rc;
    struct log_head head = {.channel = channel,
                            .first = row.first,
                            .last = row.block_last,
                            .last_seq = row.block_seq,
                            .generation = row.generation};
    if (newest > row.reset_seq && newest > row.block_seq)
        rc = newest_in(view, newest, &head);
    if (rc != STORE_OK)
        return rc;
    *out_view = view;
    *out_head = head;
    return STORE_OK;
}

/* ---- the order of everything ---- */

struct journal_reading {
    uint64_t next;
    size_t left;
    log_visit *visit;
    void *ctx;
};

static enum store_rc give_journal(struct journal_reading *r, struct store_cursor *cursor,
                                  struct slice key, struct slice value)
{
    struct log_record record;
    enum store_rc rc = STORE_OK;
    for (; rc == STORE_OK && r->left > 0; rc = store_cursor_next(cursor, &key, &value)) {
        uint64_t seq = journal_seq(key);
        if (seq > r->next) {
            r->next = seq;
            return STORE_DAMAGED;
        }
        if (!journal_read(seq, value, &record)) {
            r->next = seq + 1;
            return STORE_DAMAGED;
        }
        if (!r->visit(r->ctx, &record))
            return STORE_OK;
        r->next = seq + 1;
        r->left--;
    }
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

enum store_rc log_read_journal(struct store_view *view, uint64_t from, size_t records_max,
                               log_visit *visit, void *ctx, uint64_t *out_first, uint64_t *out_next)
{
    uint8_t bytes[JOURNAL_KEY_BYTES];
    struct store_cursor *cursor;
    struct slice key, value;
    enum store_rc rc = store_cursor_open(view, TABLE_JOURNAL, &cursor);
    if (rc != STORE_OK)
        return rc;
    uint64_t first = from;
    rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    if (rc == STORE_OK && journal_seq(key) > from)
        first = journal_seq(key);
    struct journal_reading r = {.next = first, .left = records_max, .visit = visit, .ctx = ctx};
    if (rc == STORE_OK)
        rc = store_cursor_seek(cursor, journal_key(bytes, first), &key, &value);
    if (rc == STORE_OK)
        rc = give_journal(&r, cursor, key, value);
    store_cursor_close(cursor);
    if (rc == STORE_NOT_FOUND)
        rc = STORE_OK;
    if (rc == STORE_OK || rc == STORE_DAMAGED) {
        *out_first = first;
        *out_next = r.next;
    }
    return rc;
}
