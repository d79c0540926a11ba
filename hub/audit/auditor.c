/* The writer appends, the auditor follows, in steps so short that none pins a snapshot for long. A
 * seal is made when the interval is over or when there is much to seal, and the next one on top of
 * it while it is still on its way. The writer takes a seal only on top of the one that it was made
 * for, so a seal that was lost or came twice breaks nothing: with it those after it are refused,
 * and are made anew. */
#include "hub/audit/auditor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/mem.h"

/* A seal without events is made before the journal, which keeps 65,536 records, drops its range. */
enum {
    KINDS = 8192,
    UNSEALED_RECORDS_MAX = 30000,
    UNDER_WAY_RECORDS_MAX = 16000, /* another seal waits until fewer are */
    AGAIN_MS = 5000,
    OLD_SEALS_A_TIME = 8,
    KEY_BYTES = 8,
    NAME_BYTES = 64
};

struct channel_kind {
    uint64_t channel; /* 0: free */
    uint32_t app;
    uint16_t name_n;
    bool system;
    uint8_t name[NAME_BYTES];
};

/* ---- the writer's side ---- */

/* Of the seals in the store, so that taking another one reads none of them. */
struct ends {
    bool unreadable;
    uint64_t newest_to; /* 0: there is none, and the first one begins with sequence 1 */
    uint8_t newest_head[CHAIN_HEAD_BYTES];
    int64_t oldest_ms; /* INT64_MAX: not worth a look */
};

static void oldest_is(struct ends *ends, enum store_rc rc, struct slice row)
{
    struct chain_seal seal;
    bool readable = rc == STORE_OK && chain_seal_unpack(row, &seal);
    ends->oldest_ms = readable ? seal.at_ms : INT64_MAX;
}

static void newest_is(struct ends *ends, const struct chain_seal *seal)
{
    ends->newest_to = seal->to;
    memcpy(ends->newest_head, seal->head, sizeof ends->newest_head);
}

static enum store_rc drop_old(struct apply *a, struct ends *ends, int64_t before_ms)
{
    struct store_cursor *cursor;
    struct slice key, row;
    if (ends->oldest_ms >= before_ms) {
        return STORE_OK;
    }
    enum store_rc rc = store_cursor_open(a->view, TABLE_AUDIT, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &row);
    oldest_is(ends, rc, row);
    for (unsigned n = 0; n < OLD_SEALS_A_TIME && ends->oldest_ms < before_ms; n++) {
        rc = store_cursor_del(cursor);
        if (rc == STORE_OK) {
            rc = store_cursor_next(cursor, &key, &row);
        }
        oldest_is(ends, rc, row);
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

static bool follows(const struct ends *ends, const struct chain_seal *seal)
{
    return !ends->unreadable && seal->from == ends->newest_to + 1 &&
           memcmp(seal->before, ends->newest_head, CHAIN_HEAD_BYTES) == 0;
}

static enum hub_rc seal_apply(struct apply *a, struct command *command, struct slice body)
{
    struct ends *ends = a->state;
    struct unpack u = unpack_of(body);
    struct chain_seal seal;
    uint8_t key[KEY_BYTES];
    int64_t keep_ms = unpack_i64(&u);
    struct slice row = slice_of(u.p, (size_t)(u.end - u.p));
    (void)command;
    if (u.bad || !chain_seal_unpack(row, &seal)) {
        return HUB_BAD_REQUEST;
    }
    if (!follows(ends, &seal)) {
        return HUB_CONFLICT;
    }
    enum store_rc rc = drop_old(a, ends, a->now_ms - keep_ms);
    if (rc == STORE_OK) {
        be64_put(key, seal.to);
        rc = store_put(a->txn, TABLE_AUDIT, slice_of(key, sizeof key), row);
    }
    if (rc == STORE_OK) {
        newest_is(ends, &seal);
        ends->oldest_ms = seal.at_ms < ends->oldest_ms ? seal.at_ms : ends->oldest_ms;
    }
    return hub_rc_of_store(rc);
}

const struct command_kind command_audit_seal = {
    .name = "audit.seal", .apply = seal_apply, .module = MODULE_AUDIT};

static void *audit_open(const void *options)
{
    struct ends *ends = xmalloc(sizeof *ends);
    (void)options;
    *ends = (struct ends){.oldest_ms = INT64_MAX};
    return ends;
}

static void audit_close(void *state)
{
    free(state);
}

/* A seal that cannot be read is no reason not to start: nothing follows it, and the check of the
 * trail names it. */
static enum hub_rc audit_load(void *state, struct store_view *view, int64_t now_ms)
{
    struct ends *ends = state;
    struct store_cursor *cursor;
    struct chain_seal newest;
    struct slice key, row;
    (void)now_ms;
    *ends = (struct ends){.oldest_ms = INT64_MAX};
    enum store_rc rc = chain_newest(view, &newest);
    ends->unreadable = rc == STORE_DAMAGED;
    if (rc == STORE_OK) {
        newest_is(ends, &newest);
    } else if (rc == STORE_NOT_FOUND || rc == STORE_DAMAGED) {
        return HUB_OK;
    }
    if (rc == STORE_OK) {
        rc = store_cursor_open(view, TABLE_AUDIT, &cursor);
    }
    if (rc == STORE_OK) {
        oldest_is(ends, store_cursor_seek(cursor, slice_of(NULL, 0), &key, &row), row);
        store_cursor_close(cursor);
    }
    return hub_rc_of_store(rc);
}

static void audit_recall(const void *state, bool lasting, struct buf *out)
{
    const struct ends *ends = state;
    char text[80];
    (void)lasting;
    (void)snprintf(text, sizeof text, "audit %" PRIu64 " %02x%02x%02x%02x %" PRId64 "\n",
                   ends->newest_to, ends->newest_head[0], ends->newest_head[1],
                   ends->newest_head[2], ends->newest_head[3], ends->oldest_ms);
    buf_add_str(out, text);
}

const struct module audit_module = {.name = "audit",
                                    .open = audit_open,
                                    .close = audit_close,
                                    .load = audit_load,
                                    .recall = audit_recall};

/* ---- the thread's side ---- */

void auditor_done(struct auditor *auditor)
{
    buf_done(&auditor->entries);
    buf_done(&auditor->kinds);
}

struct reading {
    struct auditor *auditor;
    struct io *io;
    struct store_view *view;
};

/* What has no room for its name is asked each time; of a user's channel the name is not needed. */
static void remember(struct channel_kind *kind, uint64_t number, const struct log_channel *channel,
                     bool system)
{
    bool fits = channel->name.n <= NAME_BYTES;
    *kind = (struct channel_kind){.channel = system && !fits ? 0 : number,
                                  .app = channel->app,
                                  .name_n = (uint16_t)(fits ? channel->name.n : 0),
                                  .system = system};
    if (fits) {
        memcpy(kind->name, channel->name.p, channel->name.n);
    }
}

/* Whether a channel is written by the hub alone, and whose it is: asked once, as neither ever
 * changes, and most of a task's events come close together. */
static bool is_system(struct reading *r, uint64_t number, uint32_t *out_app, struct slice *out_name)
{
    struct channel_kind *kinds = (void *)r->auditor->kinds.p;
    struct channel_kind *kind = &kinds[number % KINDS];
    struct log_channel channel;
    if (kind->channel == number) {
        *out_app = kind->app;
        *out_name = slice_of(kind->name, kind->name_n);
        return kind->system;
    }
    if (log_channel_get(r->view, number, &channel) != STORE_OK) {
        return false;
    }
    bool system = io_options(r->io, channel.app, channel.name)->system;
    remember(kind, number, &channel, system);
    *out_app = channel.app;
    *out_name = channel.name;
    return system;
}

static bool read_one(void *ctx, const struct log_record *record)
{
    struct reading *r = ctx;
    uint32_t app;
    struct slice name;
    if (is_system(r, record->channel, &app, &name)) {
        chain_entry_add(&r->auditor->entries, app, name, record);
    }
    r->auditor->read_to = record->seq;
    return r->auditor->entries.n < (size_t)AUDITOR_ENTRIES_MAX * CHAIN_ENTRY_BYTES;
}

/* The journal may be trimmed before it was read: a seal ends before such a hole and the next one
 * says that it begins with it. False: seal first. */
static bool over_hole(struct auditor *a, struct store_view *view)
{
    uint64_t first = 0, next = 0;
    enum store_rc rc = log_read_journal(view, a->read_to + 1, 0, read_one, NULL, &first, &next);
    if (rc != STORE_OK || first <= a->read_to + 1) {
        return true;
    }
    if (a->read_to > a->sealed_to) {
        a->cut = true;
        return false;
    }
    a->missed_to = a->read_to = first - 1;
    return true;
}

/* What cannot be read is passed over and stays without a seal; the store's own check names it. */
static void read_on(struct auditor *a, struct io *io, struct store_view *view)
{
    struct reading reading = {.auditor = a, .io = io, .view = view};
    uint64_t first, next = a->read_to + 1;
    if (!a->kinds.n) {
        size_t n = KINDS * sizeof(struct channel_kind);
        memset(buf_reserve(&a->kinds, n), 0, n);
        a->kinds.n = n;
    }
    if (!over_hole(a, view)) {
        return;
    }
    enum store_rc rc = log_read_journal(view, a->read_to + 1, AUDITOR_RECORDS_A_TURN, read_one,
                                        &reading, &first, &next);
    if ((rc == STORE_OK || rc == STORE_DAMAGED) && next > a->read_to + 1) {
        a->read_to = next - 1;
    }
}

static void send(struct auditor *a, struct io *io)
{
    struct chain_seal seal = {.from = a->sealed_to + 1,
                              .to = a->read_to,
                              .missed_to = a->missed_to,
                              .at_ms = io->now_ms,
                              .entries = buf_slice(&a->entries)};
    memcpy(seal.before, a->head, sizeof seal.before);
    chain_seal_sign(&seal, io->signing);
    struct command *command = io_command(io, &command_audit_seal, 0, (struct return_address){0}, 0);
    if (!command) {
        return; /* no tray: at the next turn */
    }
    struct buf *arena = io_arena(io);
    command->flags |= COMMAND_SILENT;
    command->body_at = (uint32_t)arena->n;
    pack_i64(arena, io->settings->audit_keep_ms);
    chain_seal_pack(arena, &seal);
    command->body_n = (uint32_t)(arena->n - command->body_at);
    a->sealed_to = seal.to;
    a->seal_ms = a->news_ms = io->now_ms;
    memcpy(a->head, seal.head, sizeof a->head);
    a->missed_to = 0;
    a->cut = false;
    buf_clear(&a->entries);
}

/* Where the chain ends in the store: at the start, and when what was sent has got lost. */
static void begin(struct auditor *a, const struct chain_seal *newest, int64_t now_ms)
{
    buf_clear(&a->entries);
    a->read_to = a->sealed_to = a->stored_to = newest->to;
    memcpy(a->head, newest->head, sizeof a->head);
    a->missed_to = 0;
    a->cut = false;
    a->seal_ms = now_ms;
    a->begun = true;
}

/* How far those under way have come. */
static void look(struct auditor *a, const struct chain_seal *newest, int64_t now_ms)
{
    if (a->begun && newest->to > a->stored_to) {
        a->stored_to = newest->to < a->sealed_to ? newest->to : a->sealed_to;
        a->news_ms = now_ms;
    } else if (!a->begun || now_ms - a->news_ms >= AGAIN_MS) {
        begin(a, newest, now_ms); /* the first time; or refused: the store was full */
    }
}

static bool is_under_way(const struct auditor *a)
{
    return a->stored_to < a->sealed_to;
}

static bool may_send(const struct auditor *a)
{
    return a->sealed_to - a->stored_to < UNDER_WAY_RECORDS_MAX;
}

static bool is_full(const struct auditor *a)
{
    return a->entries.n >= (size_t)AUDITOR_ENTRIES_MAX * CHAIN_ENTRY_BYTES;
}

static bool is_late(const struct auditor *a, const struct io *io)
{
    return io->now_ms - a->seal_ms >= io->settings->audit_seal_ms;
}

static bool is_due(const struct auditor *a, const struct io *io)
{
    bool far = a->read_to - a->sealed_to >= UNSEALED_RECORDS_MAX || a->cut;
    bool some = a->entries.n || a->missed_to;
    return may_send(a) && (far || (some && (is_full(a) || is_late(a, io))));
}

/* A stretch of its own is worth a snapshot; less is, when it is time for a seal. */
static bool may_read(const struct auditor *a, const struct io *io)
{
    uint64_t behind = log_newest_seq(io->hub->log) - a->read_to;
    return !is_full(a) && (behind >= AUDITOR_RECORDS_A_TURN || (is_late(a, io) && behind));
}

bool auditor_turn(struct auditor *a, struct io *io)
{
    struct store_view *view;
    struct chain_seal newest = {0};
    uint64_t read_to = a->read_to, sealed_to = a->sealed_to;
    bool looks = !a->begun || (is_under_way(a) && !(may_send(a) && may_read(a, io)));
    if (!looks && !may_read(a, io) && !is_due(a, io)) {
        return false;
    }
    if (store_snapshot(io->reader, &view) != STORE_OK) {
        return false;
    }
    enum store_rc rc = looks ? chain_newest(view, &newest) : STORE_OK;
    if (rc == STORE_OK || rc == STORE_NOT_FOUND) {
        if (looks) {
            look(a, &newest, io->now_ms);
        }
        if (may_read(a, io)) {
            read_on(a, io, view);
        }
        if (is_due(a, io)) {
            send(a, io);
        }
    }
    store_release(io->reader);
    return (a->read_to > read_to || a->sealed_to > sealed_to) && may_read(a, io);
}
