#include "hub/tasks/balance_module.h"
#include "channels/json_out.h"
#include "hub/tasks/module.h"

enum { ROW_VERSION = 1, LEARNED_EVERY_MS = 60000, LEARNED_A_BATCH = 200 };

/* ---- the row ---- */

static enum store_rc row_put(struct store_txn *txn, uint32_t app, const struct balance_change *c)
{
    uint8_t key[4];
    struct buf row = {0};
    be32_put(key, app);
    pack_u8(&row, ROW_VERSION);
    pack_slice(&row, slice_str(balance_strategy_name(c->strategy)));
    pack_slice(&row, c->neighbours);
    enum store_rc rc = store_put(txn, TABLE_BALANCE, slice_of(key, sizeof key), buf_slice(&row));
    buf_done(&row);
    return rc;
}

static bool row_get(struct slice row, struct balance_change *out)
{
    struct unpack u = unpack_of(row);
    uint8_t version = unpack_u8(&u);
    struct slice name = unpack_slice(&u);
    out->neighbours = unpack_slice(&u);
    return unpack_done(&u) && version == ROW_VERSION && balance_strategy_of(name, &out->strategy);
}

/* ---- what was learned of an agent ---- */

static void learned_key(uint8_t key[8], uint32_t number)
{
    be32_put(key, 0); /* no app's */
    be32_put(key + 4, number);
}

static enum store_rc learned_put(struct store_txn *txn, uint32_t number,
                                 const struct balance_figures *f)
{
    uint8_t key[8];
    struct buf row = {0};
    learned_key(key, number);
    pack_u8(&row, ROW_VERSION);
    pack_f64(&row, f->success);
    pack_f64(&row, f->response_ms);
    enum store_rc rc = store_put(txn, TABLE_BALANCE, slice_of(key, sizeof key), buf_slice(&row));
    buf_done(&row);
    return rc;
}

static bool learned_get(struct slice row, struct balance_figures *out)
{
    struct unpack u = unpack_of(row);
    uint8_t version = unpack_u8(&u);
    out->success = unpack_f64(&u);
    out->response_ms = unpack_f64(&u);
    return unpack_done(&u) && version == ROW_VERSION;
}

enum hub_rc balance_keep(struct apply *a, struct balance *balance, struct balance_keeping *k)
{
    struct balance_figures f;
    enum store_rc rc = STORE_OK;
    if (!k->at && a->now_ms < k->due_ms) {
        return HUB_OK;
    }
    k->due_ms = k->at ? k->due_ms : a->now_ms + LEARNED_EVERY_MS;
    for (unsigned n = 0; rc == STORE_OK && n < LEARNED_A_BATCH; n++) {
        k->at = balance_learned(balance, k->at, &f);
        if (!k->at) {
            break;
        }
        rc = learned_put(a->txn, k->at, &f);
    }
    return hub_rc_of_store(rc);
}

enum hub_rc balance_recall(struct balance *balance, struct store_view *view)
{
    struct store_cursor *cursor;
    struct slice key, row;
    uint8_t from[8];
    struct balance_figures f;
    learned_key(from, 1);
    enum store_rc rc = store_cursor_open(view, TABLE_BALANCE, &cursor);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    rc = store_cursor_seek(cursor, slice_of(from, sizeof from), &key, &row);
    while (rc == STORE_OK && key.n == sizeof from && be32_get(key.p) == 0) {
        if (!learned_get(row, &f)) {
            rc = STORE_DAMAGED;
            break;
        }
        balance_remember(balance, be32_get(key.p + 4), &f);
        rc = store_cursor_next(cursor, &key, &row);
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
}

/* ---- the strategies ---- */

enum hub_rc balance_load(struct balance *balance, struct store_view *view)
{
    struct store_cursor *cursor;
    struct slice key, row;
    enum store_rc rc = store_cursor_open(view, TABLE_BALANCE, &cursor);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    uint8_t first[4];
    be32_put(first, 1); /* behind what was learned */
    balance_use_defaults(balance);
    for (rc = store_cursor_seek(cursor, slice_of(first, sizeof first), &key, &row); rc == STORE_OK;
         rc = store_cursor_next(cursor, &key, &row)) {
        struct balance_change c;
        if (key.n != 4 || !row_get(row, &c)) {
            rc = STORE_DAMAGED;
            break;
        }
        balance_use(balance, be32_get(key.p), c.strategy, c.neighbours);
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
}

/* ---- a change ---- */

void balance_change_put(struct buf *b, const struct balance_change *c)
{
    pack_u8(b, (uint8_t)c->strategy);
    pack_u8(b, c->has_neighbours);
    pack_slice(b, c->neighbours);
    pack_slice(b, c->said);
    why_put(b, &c->why);
}

bool balance_changed_get(struct slice reply, struct slice *out_said, int64_t *out_at_ms)
{
    struct unpack u = unpack_of(reply);
    *out_at_ms = unpack_i64(&u);
    *out_said = unpack_slice(&u);
    return unpack_done(&u);
}

/* Those of the row, copied, when the change names none. */
static enum hub_rc neighbours_keep(struct apply *a, struct balance_change *c, struct buf *bytes)
{
    uint8_t key[4];
    struct slice row;
    struct balance_change before;
    be32_put(key, a->app);
    enum store_rc rc = store_get(a->view, TABLE_BALANCE, slice_of(key, sizeof key), &row);
    if (rc == STORE_OK && !row_get(row, &before)) {
        rc = STORE_DAMAGED;
    }
    if (rc == STORE_OK) {
        buf_add_slice(bytes, before.neighbours);
        c->neighbours = buf_slice(bytes);
    }
    return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
}

static enum hub_rc tell(struct apply *a, const struct balance_change *c)
{
    struct buf data = {0};
    struct json_out o = json_out_to(&data);
    json_begin(&o, '{');
    json_key(&o, "strategy");
    json_str(&o, balance_strategy_name(c->strategy));
    why_json(&o, &c->why, a->now_ms);
    json_end(&o, '}');
    enum hub_rc rc =
        apply_tell(a, a->app, slice_str("tasks"), "strategy_changed", buf_slice(&data));
    buf_done(&data);
    return rc;
}

static enum hub_rc change_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    struct buf bytes = {0}, reply = {0};
    uint8_t strategy = unpack_u8(&u);
    struct balance_change c = {.strategy = (enum balance_strategy)strategy};
    c.has_neighbours = unpack_u8(&u) != 0;
    c.neighbours = unpack_slice(&u);
    c.said = unpack_slice(&u);
    c.why = why_get(&u);
    if (!unpack_done(&u) || strategy >= BALANCE_STRATEGIES) {
        return HUB_BAD_REQUEST;
    }
    enum hub_rc rc = c.has_neighbours ? HUB_OK : neighbours_keep(a, &c, &bytes);
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(row_put(a->txn, a->app, &c));
    }
    if (rc == HUB_OK) {
        rc = tell(a, &c);
    }
    if (rc == HUB_OK) {
        balance_use(tasks_balance(a->state), a->app, c.strategy, c.neighbours);
        pack_i64(&reply, a->now_ms);
        pack_slice(&reply, c.said);
        apply_reply(a, command, buf_slice(&reply));
    }
    buf_done(&bytes);
    buf_done(&reply);
    return rc;
}

const struct command_kind command_balance_change = {
    .name = "load_balancer.strategy", .apply = change_apply, .module = MODULE_TASKS};

/* ---- what was counted ---- */

static void pack_figures(struct buf *b, uint32_t number, const struct balance_figures *f)
{
    pack_u32(b, number);
    pack_u64(b, f->assigned);
    pack_u64(b, f->succeeded);
    pack_u64(b, f->failed);
    pack_f64(b, f->success);
    pack_f64(b, f->response_ms);
    pack_f64(b, f->level);
    pack_f64(b, f->trend);
}

/* From memory alone: ten thousand agents do not keep the writer. */
static enum hub_rc stats_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    const struct balance *balance = tasks_balance(a->state);
    struct balance_totals t = balance_totals(balance, a->app);
    struct balance_figures f;
    struct buf agents = {0}, reply = {0};
    uint32_t max = unpack_u32(&u), n = 0;
    for (uint32_t at = 0; n < max && (at = balance_next(balance, at, &f)); n++) {
        pack_figures(&agents, at, &f);
    }
    pack_u8(&reply, (uint8_t)balance_strategy(balance, a->app));
    pack_u64(&reply, t.assigned);
    pack_u64(&reply, t.succeeded);
    pack_u64(&reply, t.failed);
    pack_u32(&reply, n);
    pack_slice(&reply, buf_slice(&agents));
    apply_reply(a, command, buf_slice(&reply));
    buf_done(&agents);
    buf_done(&reply);
    return HUB_OK;
}

const struct command_kind command_balance_stats = {.name = "load_balancer.stats",
                                                   .apply = stats_apply,
                                                   .module = MODULE_TASKS,
                                                   .flags = KIND_RELEASES};

bool balance_stats_get(struct slice reply, struct balance_stats *out)
{
    struct unpack u = unpack_of(reply);
    uint8_t strategy = unpack_u8(&u);
    out->strategy = (enum balance_strategy)strategy;
    out->totals.assigned = unpack_u64(&u);
    out->totals.succeeded = unpack_u64(&u);
    out->totals.failed = unpack_u64(&u);
    out->n = unpack_u32(&u);
    out->rest = unpack_slice(&u);
    return unpack_done(&u) && strategy < BALANCE_STRATEGIES;
}

bool balance_stats_next(struct balance_stats *stats, uint32_t *out_number,
                        struct balance_figures *out)
{
    struct unpack u = unpack_of(stats->rest);
    if (stats->rest.n == 0) {
        return false;
    }
    *out_number = unpack_u32(&u);
    out->assigned = unpack_u64(&u);
    out->succeeded = unpack_u64(&u);
    out->failed = unpack_u64(&u);
    out->success = unpack_f64(&u);
    out->response_ms = unpack_f64(&u);
    out->level = unpack_f64(&u);
    out->trend = unpack_f64(&u);
    stats->rest = slice_of(u.p, (size_t)(u.end - u.p));
    return !u.bad;
}
