#include "hub/audit/chain.h"

#include "auth/digest.h"

#include <stdio.h>

enum { ROW_VERSION = 1, KEY_BYTES = 8 };

/* ---- seals ---- */

void chain_hash(uint32_t app, struct slice channel, const struct log_record *record,
                uint8_t out[CHAIN_HASH_BYTES])
{
    uint8_t head[4 + 4 + 8 + 8 + 8];
    be32_put(head, app);
    be32_put(head + 4, (uint32_t)channel.n);
    be64_put(head + 8, record->seq);
    be64_put(head + 16, record->offset);
    be64_put(head + 24, (uint64_t)record->time_ms);
    struct slice parts[] = {slice_of(head, sizeof head), channel, record->payload};
    digest_blake2b(out, CHAIN_HASH_BYTES, slice_of(NULL, 0), parts, 3);
}

void chain_entry_add(struct buf *entries, uint32_t app, struct slice channel,
                     const struct log_record *record)
{
    uint8_t hash[CHAIN_HASH_BYTES];
    chain_hash(app, channel, record, hash);
    pack_u64(entries, record->seq);
    pack_u64(entries, record->channel);
    pack_u64(entries, record->offset);
    buf_add(entries, hash, sizeof hash);
}

static void head_of(const struct chain_seal *seal, uint8_t out[CHAIN_HEAD_BYTES])
{
    uint8_t head[32];
    be64_put(head, seal->from);
    be64_put(head + 8, seal->to);
    be64_put(head + 16, seal->missed_to);
    be64_put(head + 24, (uint64_t)seal->at_ms);
    struct slice parts[] = {slice_of(seal->before, CHAIN_HEAD_BYTES), slice_of(head, sizeof head),
                            seal->entries};
    digest_blake2b(out, CHAIN_HEAD_BYTES, slice_of(NULL, 0), parts, 3);
}

void chain_seal_sign(struct chain_seal *seal, const struct signing *keys)
{
    head_of(seal, seal->head);
    memcpy(seal->public_key, signing_public(keys), SIGNING_PUBLIC_BYTES);
    signing_sign(keys, CHAIN_PURPOSE, slice_of(seal->head, CHAIN_HEAD_BYTES), seal->signature);
}

void chain_seal_pack(struct buf *b, const struct chain_seal *seal)
{
    pack_u8(b, ROW_VERSION);
    pack_u64(b, seal->from);
    pack_u64(b, seal->to);
    pack_u64(b, seal->missed_to);
    pack_i64(b, seal->at_ms);
    buf_add(b, seal->before, sizeof seal->before);
    buf_add(b, seal->head, sizeof seal->head);
    buf_add(b, seal->public_key, sizeof seal->public_key);
    buf_add(b, seal->signature, sizeof seal->signature);
    pack_slice(b, seal->entries);
}

static void take(struct unpack *u, uint8_t *out, size_t n)
{
    const uint8_t *p = unpack_bytes(u, n);
    if (p) {
        memcpy(out, p, n);
    }
}

bool chain_seal_unpack(struct slice row, struct chain_seal *out)
{
    struct unpack u = unpack_of(row);
    if (unpack_u8(&u) != ROW_VERSION) {
        return false;
    }
    out->from = unpack_u64(&u);
    out->to = unpack_u64(&u);
    out->missed_to = unpack_u64(&u);
    out->at_ms = unpack_i64(&u);
    take(&u, out->before, sizeof out->before);
    take(&u, out->head, sizeof out->head);
    take(&u, out->public_key, sizeof out->public_key);
    take(&u, out->signature, sizeof out->signature);
    out->entries = unpack_slice(&u);
    return unpack_done(&u) && out->entries.n % CHAIN_ENTRY_BYTES == 0;
}

enum store_rc chain_newest(struct store_view *view, struct chain_seal *out)
{
    struct store_cursor *cursor;
    struct slice key, row;
    enum store_rc rc = store_cursor_open(view, TABLE_AUDIT, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_last(cursor, &key, &row);
    store_cursor_close(cursor);
    if (rc == STORE_OK && !chain_seal_unpack(row, out)) {
        rc = STORE_DAMAGED;
    }
    return rc;
}

/* ---- verifying ---- */

struct verifying {
    struct store_view *view;
    chain_trust *trust;
    chain_report *report;
    void *ctx;
    struct chain_audit *sums;
    struct chain_seal seal; /* under way */
    /* of the event that is looked at */
    struct log_channel channel;
    const uint8_t *hash;
    int64_t time_ms;
    bool differs;
};

static void fault(struct verifying *v, struct chain_fault f, const char *what)
{
    f.from = v->seal.from;
    f.to = v->seal.to;
    f.what = what;
    v->sums->faults++;
    v->report(v->ctx, &f);
}

static void check_seal(struct verifying *v, const struct chain_seal *seal, bool first)
{
    uint8_t head[CHAIN_HEAD_BYTES];
    struct chain_fault none = {.at_ms = seal->at_ms};
    head_of(seal, head);
    if (memcmp(head, seal->head, sizeof head) != 0) {
        fault(v, none, "the seal is not what was sealed");
    } else if (!v->trust(v->ctx, seal->public_key)) {
        fault(v, none, "the seal's key is none of the hub's");
    } else if (!signature_check(seal->public_key, CHAIN_PURPOSE,
                                slice_of(seal->head, CHAIN_HEAD_BYTES), seal->signature)) {
        fault(v, none, "the seal's signature does not fit");
    } else if (!first && (seal->from != v->sums->sealed_to + 1 ||
                          memcmp(seal->before, v->sums->head, CHAIN_HEAD_BYTES) != 0)) {
        fault(v, none, "the seal before it is missing or another");
    }
    v->sums->missed += seal->missed_to >= seal->from ? seal->missed_to + 1 - seal->from : 0;
}

static bool compare(void *ctx, const struct log_record *record)
{
    struct verifying *v = ctx;
    uint8_t hash[CHAIN_HASH_BYTES];
    chain_hash(v->channel.app, v->channel.name, record, hash);
    v->time_ms = record->time_ms;
    v->differs = v->differs || memcmp(hash, v->hash, sizeof hash) != 0;
    return true;
}

static enum store_rc check_entry(struct verifying *v, const uint8_t *entry)
{
    struct chain_fault f = {
        .seq = be64_get(entry), .channel = be64_get(entry + 8), .offset = be64_get(entry + 16)};
    bool kept = false;
    enum store_rc rc = log_channel_get(v->view, f.channel, &v->channel);
    if (rc == STORE_OK) {
        f.name = v->channel.name;
        v->hash = entry + 24;
        v->differs = false;
        v->time_ms = 0;
        rc = log_copies(v->view, f.channel, f.offset, f.seq, compare, v, &kept);
        f.at_ms = v->time_ms;
    }
    if (rc == STORE_NOT_FOUND && f.name.n && !kept) {
        v->sums->aged++;
        return STORE_OK;
    }
    v->sums->events++;
    if (rc == STORE_NOT_FOUND) {
        fault(v, f, f.name.n ? "the event is missing" : "the event's channel is missing");
    } else if (rc == STORE_DAMAGED) {
        fault(v, f, "the event is damaged");
    } else if (rc == STORE_OK && v->differs) {
        fault(v, f, "the event was altered");
    } else {
        return rc;
    }
    return STORE_OK;
}

static enum store_rc check_row(struct verifying *v, struct slice key, struct slice row)
{
    struct chain_seal *seal = &v->seal;
    enum store_rc rc = STORE_OK;
    bool first = v->sums->seals++ == 0;
    *seal = (struct chain_seal){0};
    if (!chain_seal_unpack(row, seal) || key.n != KEY_BYTES || be64_get(key.p) != seal->to) {
        *seal = (struct chain_seal){.to = key.n == KEY_BYTES ? be64_get(key.p) : 0};
        fault(v, (struct chain_fault){0}, "the seal cannot be read");
        return STORE_OK;
    }
    check_seal(v, seal, first);
    v->sums->before = first && seal->from ? seal->from - 1 : v->sums->before;
    for (size_t at = 0; rc == STORE_OK && at < seal->entries.n; at += CHAIN_ENTRY_BYTES) {
        rc = check_entry(v, seal->entries.p + at);
    }
    v->sums->sealed_to = seal->to;
    v->sums->head_ms = seal->at_ms;
    memcpy(v->sums->head, seal->head, sizeof seal->head);
    return rc;
}

static enum store_rc newest_seq(struct store_view *view, uint64_t *out)
{
    struct store_cursor *cursor;
    struct slice key;
    enum store_rc rc = store_cursor_open(view, TABLE_JOURNAL, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_last(cursor, &key, NULL);
    *out = rc == STORE_OK && key.n == KEY_BYTES ? be64_get(key.p) : 0;
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

enum store_rc chain_verify(struct store_view *view, chain_trust *trust, chain_report *report,
                           void *ctx, struct chain_audit *out)
{
    struct verifying v = {.view = view, .trust = trust, .report = report, .ctx = ctx, .sums = out};
    struct store_cursor *cursor;
    struct slice key, row;
    *out = (struct chain_audit){0};
    enum store_rc rc = newest_seq(view, &out->newest);
    if (rc == STORE_OK) {
        rc = store_cursor_open(view, TABLE_AUDIT, &cursor);
    }
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &row);
    while (rc == STORE_OK) {
        rc = check_row(&v, key, row);
        if (rc == STORE_OK) {
            rc = store_cursor_next(cursor, &key, &row);
        }
    }
    store_cursor_close(cursor);
    if (rc != STORE_NOT_FOUND) {
        return rc;
    }
    return out->faults ? STORE_DAMAGED : STORE_OK;
}
