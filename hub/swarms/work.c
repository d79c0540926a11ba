#include "hub/swarms/work.h"

enum { ROW_VERSION = 1, KEY_BYTES_MAX = 1 + 4 + WORK_ID_BYTES_MAX + 8 };
enum { INDEX_ID = 'i', INDEX_TEAM = 't', INDEX_RUNNING = 'r', INDEX_BOUND = 'b' };

/* clang-format off */
static const char *const state_names[WORK_STATES] = {
    [WORK_NONE] = "none", [WORK_SPLITTING] = "splitting", [WORK_MAPPING] = "mapping", [WORK_REDUCING] = "reducing",
    [WORK_COMPLETED] = "completed", [WORK_PARTIAL] = "partial", [WORK_FAILED] = "failed", [WORK_CANCELLED] = "cancelled",
};
static const char *const status_names[WORK_STATES] = {
    [WORK_NONE] = "pending", [WORK_SPLITTING] = "running", [WORK_MAPPING] = "running", [WORK_REDUCING] = "running",
    [WORK_COMPLETED] = "completed", [WORK_PARTIAL] = "completed", [WORK_FAILED] = "failed", [WORK_CANCELLED] = "cancelled",
};
static const char *const stop_names[WORK_STOPS] = {
    [WORK_STOP_ENOUGH] = "enough", [WORK_STOP_PARTS] = "parts_failed", [WORK_STOP_MERGE] = "merge_failed",
    [WORK_STOP_TIMEOUT] = "timeout", [WORK_STOP_CANCELLED] = "cancelled", [WORK_STOP_TEAM] = "team_gone",
};
static const char *const part_names[PART_STATES] = {
    [PART_WAITING] = "waiting", [PART_OPEN] = "open", [PART_DONE] = "done", [PART_FAILED] = "failed",
    [PART_CANCELLED] = "cancelled",
};
/* clang-format on */

const char *work_state_name(enum work_state state)
{
    return state_names[state];
}

const char *work_stop_name(enum work_stop stop)
{
    return stop_names[stop];
}

const char *work_status_name(enum work_state state)
{
    return status_names[state];
}

const char *work_part_state_name(enum work_part_state state)
{
    return part_names[state];
}

bool work_is_over(enum work_state state)
{
    return state >= WORK_COMPLETED;
}

int64_t work_capacity_ms(const struct work *work)
{
    int64_t one_each = (work->finished_ms - work->started_ms) * work->division.members_n;
    return one_each > work->part_ms ? one_each : work->part_ms;
}

/* ---- members ---- */

void work_member_pack(struct buf *b, const struct work_member *m)
{
    pack_slice(b, m->id);
    pack_slice(b, m->agent);
    pack_slice(b, m->capability);
    pack_u32(b, m->agent_number);
}

bool work_member_next(struct slice *rest, struct work_member *out)
{
    struct unpack u = unpack_of(*rest);
    if (rest->n == 0) {
        return false;
    }
    out->id = unpack_slice(&u);
    out->agent = unpack_slice(&u);
    out->capability = unpack_slice(&u);
    out->agent_number = unpack_u32(&u);
    *rest = slice_of(u.p, (size_t)(u.end - u.p));
    return !u.bad;
}

bool work_member_at(struct slice members, uint32_t at, struct work_member *out)
{
    bool found = false;
    for (uint32_t i = 0; i <= at; i++) {
        found = work_member_next(&members, out);
    }
    return found;
}

/* ---- the row ---- */

static void work_pack(struct buf *b, const struct work *w)
{
    pack_u8(b, ROW_VERSION);
    pack_u64(b, w->number);
    pack_u32(b, w->app);
    pack_u8(b, (uint8_t)w->team_kind);
    pack_u32(b, w->team);
    pack_slice(b, w->id);
    pack_slice(b, w->owner);
    pack_slice(b, w->channel);
    pack_slice(b, w->strategy_name);
    pack_u8(b, (uint8_t)w->strategy);
    pack_u8(b, (uint8_t)w->priority);
    pack_u8(b, (uint8_t)w->state);
    pack_u8(b, (uint8_t)w->stop);
    pack_u8(b, (uint8_t)w->require.kind);
    pack_u32(b, w->require.first);
    pack_f64(b, w->require.fraction);
    pack_u8(b, (uint8_t)w->reducer);
    pack_slice(b, w->field);
    pack_slice(b, w->by);
    pack_u32(b, w->top);
    pack_u8(b, w->called);
    pack_u32(b, w->division.members_n);
    pack_u32(b, w->division.parts_n);
    pack_u32(b, w->division.items_n);
    pack_u8(b, w->division.has_items);
    pack_u32(b, w->division.turn);
    pack_u32(b, w->opened_n);
    pack_u32(b, w->done_n);
    pack_u32(b, w->failed_n);
    pack_u32(b, w->late_n);
    pack_u64(b, w->merge);
    pack_u64(b, w->round);
    pack_i64(b, w->started_ms);
    pack_i64(b, w->finished_ms);
    pack_i64(b, w->timeout_ms);
    pack_i64(b, w->deadline_due_ms);
    pack_u64(b, w->deadline_id);
    pack_i64(b, w->straggler_ms);
    pack_i64(b, w->part_ms);
    pack_slice(b, w->why);
}

static bool work_unpack(struct slice row, struct work *w)
{
    struct unpack u = unpack_of(row);
    if (unpack_u8(&u) != ROW_VERSION) {
        return false;
    }
    w->number = unpack_u64(&u);
    w->app = unpack_u32(&u);
    uint8_t team_kind = unpack_u8(&u);
    w->team_kind = (enum team_kind)team_kind;
    w->team = unpack_u32(&u);
    w->id = unpack_slice(&u);
    w->owner = unpack_slice(&u);
    w->channel = unpack_slice(&u);
    w->strategy_name = unpack_slice(&u);
    uint8_t strategy = unpack_u8(&u), priority = unpack_u8(&u), state = unpack_u8(&u);
    uint8_t stop = unpack_u8(&u), require = unpack_u8(&u);
    w->strategy = (enum work_strategy)strategy;
    w->priority = (enum task_priority)priority;
    w->state = (enum work_state)state;
    w->stop = (enum work_stop)stop;
    w->require.kind = (enum require_kind)require;
    w->require.first = unpack_u32(&u);
    w->require.fraction = unpack_f64(&u);
    uint8_t reducer = unpack_u8(&u);
    w->reducer = (enum reducer)reducer;
    w->field = unpack_slice(&u);
    w->by = unpack_slice(&u);
    w->top = unpack_u32(&u);
    w->called = unpack_u8(&u) != 0;
    w->division.strategy = w->strategy;
    w->division.members_n = unpack_u32(&u);
    w->division.parts_n = unpack_u32(&u);
    w->division.items_n = unpack_u32(&u);
    w->division.has_items = unpack_u8(&u) != 0;
    w->division.turn = unpack_u32(&u);
    w->opened_n = unpack_u32(&u);
    w->done_n = unpack_u32(&u);
    w->failed_n = unpack_u32(&u);
    w->late_n = unpack_u32(&u);
    w->merge = unpack_u64(&u);
    w->round = unpack_u64(&u);
    w->started_ms = unpack_i64(&u);
    w->finished_ms = unpack_i64(&u);
    w->timeout_ms = unpack_i64(&u);
    w->deadline_due_ms = unpack_i64(&u);
    w->deadline_id = unpack_u64(&u);
    w->straggler_ms = unpack_i64(&u);
    w->part_ms = unpack_i64(&u);
    w->why = unpack_slice(&u);
    return unpack_done(&u) && strategy < WORK_STRATEGIES && priority < TASK_PRIORITIES &&
           state < WORK_STATES && stop < WORK_STOPS && require <= REQUIRE_FIRST &&
           reducer < REDUCERS && w->division.members_n > 0;
}

static struct slice number_key(uint8_t key[8], uint64_t number)
{
    be64_put(key, number);
    return slice_of(key, 8);
}

enum store_rc work_get(struct store_view *view, uint64_t number, struct work *out)
{
    uint8_t key[8];
    struct slice row;
    enum store_rc rc = store_get(view, TABLE_WORK, number_key(key, number), &row);
    if (rc != STORE_OK) {
        return rc;
    }
    return work_unpack(row, out) ? STORE_OK : STORE_DAMAGED;
}

enum store_rc work_hold(struct store_view *view, uint64_t number, struct buf *bytes,
                        struct work *out)
{
    uint8_t key[8];
    struct slice row;
    enum store_rc rc = store_get(view, TABLE_WORK, number_key(key, number), &row);
    if (rc != STORE_OK) {
        return rc;
    }
    buf_clear(bytes);
    buf_add_slice(bytes, row);
    return work_unpack(buf_slice(bytes), out) ? STORE_OK : STORE_DAMAGED;
}

/* An id stands as it is: what the hub mints begins with the number, so the index grows at its end.
 */
static struct slice id_key(uint8_t key[KEY_BYTES_MAX], uint32_t app, struct slice id)
{
    size_t n = id.n < WORK_ID_BYTES_MAX ? id.n : WORK_ID_BYTES_MAX;
    key[0] = INDEX_ID;
    be32_put(key + 1, app);
    memcpy(key + 5, id.p, n);
    return slice_of(key, 5 + n);
}

enum store_rc work_find(struct store_view *view, uint32_t app, struct slice id, struct work *out)
{
    uint8_t key[KEY_BYTES_MAX];
    struct slice value;
    if (id.n == 0 || id.n > WORK_ID_BYTES_MAX) {
        return STORE_NOT_FOUND;
    }
    enum store_rc rc = store_get(view, TABLE_WORK_INDEX, id_key(key, app, id), &value);
    if (rc != STORE_OK) {
        return rc;
    }
    return value.n == 8 ? work_get(view, be64_get(value.p), out) : STORE_DAMAGED;
}

enum { TEAM_KEY_BYTES = 1 + 4 + 1 + 4 + 8 };

static struct slice team_key(uint8_t key[TEAM_KEY_BYTES], uint8_t index, uint32_t app,
                             enum team_kind kind, uint32_t team, uint64_t number)
{
    key[0] = index;
    be32_put(key + 1, app);
    key[5] = (uint8_t)kind;
    be32_put(key + 6, team);
    be64_put(key + 10, number);
    return slice_of(key, TEAM_KEY_BYTES);
}

static enum store_rc indexes_put(struct store_txn *txn, const struct work *w,
                                 enum work_state before)
{
    uint8_t key[KEY_BYTES_MAX], number[8];
    enum store_rc rc = STORE_OK;
    struct slice running = team_key(key, INDEX_RUNNING, w->app, w->team_kind, w->team, w->number);
    if (before != WORK_NONE) {
        return work_is_over(w->state) && !work_is_over(before)
                   ? store_del(txn, TABLE_WORK_INDEX, running)
                   : STORE_OK;
    }
    rc = store_put(txn, TABLE_WORK_INDEX, running, slice_str("1"));
    if (rc == STORE_OK) {
        rc = store_put(txn, TABLE_WORK_INDEX,
                       team_key(key, INDEX_TEAM, w->app, w->team_kind, w->team, w->number),
                       slice_str("1"));
    }
    if (rc == STORE_OK) {
        rc = store_put(txn, TABLE_WORK_INDEX, id_key(key, w->app, w->id),
                       number_key(number, w->number));
    }
    return rc;
}

enum store_rc work_put(struct store_txn *txn, const struct work *work, enum work_state before)
{
    uint8_t key[8];
    struct buf row = {0};
    work_pack(&row, work);
    enum store_rc rc = store_put(txn, TABLE_WORK, number_key(key, work->number), buf_slice(&row));
    buf_done(&row);
    return rc == STORE_OK ? indexes_put(txn, work, before) : rc;
}

enum store_rc work_newest(struct store_view *view, uint64_t *out)
{
    return store_last_number(view, TABLE_WORK, out);
}

/* ---- parts ---- */

static struct slice part_key(uint8_t key[12], uint64_t work, uint32_t part)
{
    be64_put(key, work);
    be32_put(key + 8, part);
    return slice_of(key, 12);
}

enum store_rc work_part_get(struct store_view *view, uint64_t work, uint32_t part,
                            struct work_part *out)
{
    uint8_t key[12];
    struct slice row;
    enum store_rc rc = store_get(view, TABLE_WORK_PART, part_key(key, work, part), &row);
    if (rc != STORE_OK) {
        return rc;
    }
    struct unpack u = unpack_of(row);
    uint8_t state = unpack_u8(&u);
    out->state = (enum work_part_state)state;
    out->member = unpack_u32(&u);
    out->task = unpack_u64(&u);
    out->copy = unpack_u64(&u);
    out->won = unpack_u64(&u);
    out->agent = unpack_u32(&u);
    out->late = unpack_u8(&u) != 0;
    out->opened_ms = unpack_i64(&u);
    out->finished_ms = unpack_i64(&u);
    out->took_ms = unpack_i64(&u);
    return unpack_done(&u) && state < PART_STATES ? STORE_OK : STORE_DAMAGED;
}

enum store_rc work_part_put(struct store_txn *txn, uint64_t work, uint32_t part,
                            const struct work_part *row)
{
    uint8_t key[12];
    struct buf b = {0};
    pack_u8(&b, (uint8_t)row->state);
    pack_u32(&b, row->member);
    pack_u64(&b, row->task);
    pack_u64(&b, row->copy);
    pack_u64(&b, row->won);
    pack_u32(&b, row->agent);
    pack_u8(&b, row->late);
    pack_i64(&b, row->opened_ms);
    pack_i64(&b, row->finished_ms);
    pack_i64(&b, row->took_ms);
    enum store_rc rc = store_put(txn, TABLE_WORK_PART, part_key(key, work, part), buf_slice(&b));
    buf_done(&b);
    return rc;
}

/* ---- documents ---- */

static struct slice document_key(uint8_t key[9], uint64_t work, enum work_document kind)
{
    be64_put(key, work);
    key[8] = (uint8_t)kind;
    return slice_of(key, 9);
}

enum store_rc work_document_put(struct store_txn *txn, uint64_t work, enum work_document kind,
                                struct slice bytes)
{
    uint8_t key[9];
    return store_put(txn, TABLE_WORK_DOCUMENT, document_key(key, work, kind), bytes);
}

enum store_rc work_document(struct store_view *view, uint64_t work, enum work_document kind,
                            struct slice *out)
{
    uint8_t key[9];
    return store_get(view, TABLE_WORK_DOCUMENT, document_key(key, work, kind), out);
}

/* ---- lists ---- */

enum store_rc works_each(struct store_view *view, uint32_t app, enum team_kind kind, uint32_t team,
                         bool running, uint64_t from, work_visit *visit, void *ctx)
{
    uint8_t past[TEAM_KEY_BYTES];
    struct store_cursor *cursor;
    struct slice key;
    struct slice end = team_key(past, running ? INDEX_RUNNING : INDEX_TEAM, app, kind, team,
                                from ? from + 1 : UINT64_MAX);
    enum store_rc rc = store_cursor_open(view, TABLE_WORK_INDEX, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, end, &key, NULL);
    rc = rc == STORE_NOT_FOUND ? store_cursor_last(cursor, &key, NULL)
         : rc == STORE_OK      ? store_cursor_prev(cursor, &key, NULL)
                               : rc;
    for (; rc == STORE_OK; rc = store_cursor_prev(cursor, &key, NULL)) {
        struct work work;
        if (key.n != TEAM_KEY_BYTES || memcmp(key.p, past, TEAM_KEY_BYTES - 8) != 0) {
            break;
        }
        rc = work_get(view, be64_get(key.p + TEAM_KEY_BYTES - 8), &work);
        if (rc != STORE_OK || !visit(ctx, &work)) {
            break;
        }
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

enum { BOUND_KEY_BYTES = 1 + 4 + 4 + 8 + 4 };

static struct slice bound_key(uint8_t key[BOUND_KEY_BYTES], uint32_t app, uint32_t agent,
                              uint64_t work, uint32_t part)
{
    key[0] = INDEX_BOUND;
    be32_put(key + 1, app);
    be32_put(key + 5, agent);
    be64_put(key + 9, work);
    be32_put(key + 17, part);
    return slice_of(key, BOUND_KEY_BYTES);
}

enum store_rc work_bound_put(struct store_txn *txn, uint32_t app, uint32_t agent, uint64_t work,
                             uint32_t part, bool there)
{
    uint8_t key[BOUND_KEY_BYTES];
    struct slice k = bound_key(key, app, agent, work, part);
    if (there) {
        return store_put(txn, TABLE_WORK_INDEX, k, slice_str("1"));
    }
    enum store_rc rc = store_del(txn, TABLE_WORK_INDEX, k);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

enum store_rc work_bound_first(struct store_view *view, uint32_t app, uint32_t agent,
                               uint64_t *out_work, uint32_t *out_part)
{
    uint8_t from[BOUND_KEY_BYTES];
    struct store_cursor *cursor;
    struct slice key;
    enum store_rc rc = store_cursor_open(view, TABLE_WORK_INDEX, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, bound_key(from, app, agent, 0, 0), &key, NULL);
    if (rc == STORE_OK && key.n == BOUND_KEY_BYTES && memcmp(key.p, from, 9) == 0) {
        *out_work = be64_get(key.p + 9);
        *out_part = be32_get(key.p + 17);
    } else if (rc == STORE_OK) {
        rc = STORE_NOT_FOUND;
    }
    store_cursor_close(cursor);
    return rc;
}

/* ---- figures ---- */

static struct slice figures_key(uint8_t key[5], enum team_kind kind, uint32_t team)
{
    key[0] = (uint8_t)kind;
    be32_put(key + 1, team);
    return slice_of(key, 5);
}

enum store_rc team_figures_get(struct store_view *view, enum team_kind kind, uint32_t team,
                               struct team_figures *out)
{
    uint8_t key[5];
    struct slice row;
    *out = (struct team_figures){0};
    enum store_rc rc = store_get(view, TABLE_WORK_TEAM, figures_key(key, kind, team), &row);
    if (rc != STORE_OK) {
        return rc == STORE_NOT_FOUND ? STORE_OK : rc;
    }
    struct unpack u = unpack_of(row);
    uint8_t version = unpack_u8(&u);
    for (unsigned i = 0; i < WORK_STATES; i++) {
        out->in_state[i] = unpack_u64(&u);
    }
    out->parts_done = unpack_u64(&u);
    out->parts_failed = unpack_u64(&u);
    out->parts_late = unpack_u64(&u);
    out->copies = unpack_u64(&u);
    out->work_ms = unpack_i64(&u);
    out->part_ms = unpack_i64(&u);
    out->capacity_ms = unpack_i64(&u);
    out->last_ms = unpack_i64(&u);
    out->leader = unpack_u32(&u);
    return unpack_done(&u) && version == ROW_VERSION ? STORE_OK : STORE_DAMAGED;
}

enum store_rc team_figures_put(struct store_txn *txn, enum team_kind kind, uint32_t team,
                               const struct team_figures *f)
{
    uint8_t key[5];
    struct buf b = {0};
    pack_u8(&b, ROW_VERSION);
    for (unsigned i = 0; i < WORK_STATES; i++) {
        pack_u64(&b, f->in_state[i]);
    }
    pack_u64(&b, f->parts_done);
    pack_u64(&b, f->parts_failed);
    pack_u64(&b, f->parts_late);
    pack_u64(&b, f->copies);
    pack_i64(&b, f->work_ms);
    pack_i64(&b, f->part_ms);
    pack_i64(&b, f->capacity_ms);
    pack_i64(&b, f->last_ms);
    pack_u32(&b, f->leader);
    enum store_rc rc = store_put(txn, TABLE_WORK_TEAM, figures_key(key, kind, team), buf_slice(&b));
    buf_done(&b);
    return rc;
}
