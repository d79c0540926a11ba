#include "hub/tasks/pauses.h"
#include "hub/tasks/inside.h"

enum { ROW_VERSION = 1 };

/* ---- the row ---- */

static bool row_get(struct slice row, uint8_t *out)
{
    struct unpack u = unpack_of(row);
    uint8_t version = unpack_u8(&u), paused = unpack_u8(&u);
    if (!unpack_done(&u) || version != ROW_VERSION || paused > PAUSE_ALL) {
        return false;
    }
    *out = paused;
    return true;
}

static enum store_rc row_put(struct store_txn *txn, uint32_t app, uint8_t paused)
{
    uint8_t key[4], row[2] = {ROW_VERSION, paused};
    be32_put(key, app);
    return store_put(txn, TABLE_QUEUE, slice_of(key, sizeof key), slice_of(row, sizeof row));
}

enum store_rc pauses_of(struct store_view *view, uint32_t app, uint8_t *out)
{
    uint8_t key[4];
    struct slice row;
    be32_put(key, app);
    enum store_rc rc = store_get(view, TABLE_QUEUE, slice_of(key, sizeof key), &row);
    if (rc == STORE_NOT_FOUND) {
        *out = 0;
        return STORE_OK;
    }
    return rc == STORE_OK && !row_get(row, out) ? STORE_DAMAGED : rc;
}

enum hub_rc pauses_load(struct tasks *tasks, struct store_view *view)
{
    struct store_cursor *cursor;
    struct slice key, row;
    enum store_rc rc = store_cursor_open(view, TABLE_QUEUE, &cursor);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    for (rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &row); rc == STORE_OK;
         rc = store_cursor_next(cursor, &key, &row)) {
        uint8_t paused;
        if (key.n != 4 || !row_get(row, &paused)) {
            rc = STORE_DAMAGED;
            break;
        }
        tasks_app(tasks, be32_get(key.p))->paused = paused;
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
}

/* ---- a change ---- */

void pause_change_put(struct buf *b, const struct pause_change *c)
{
    pack_u8(b, c->priorities);
    pack_u8(b, c->pause);
    pack_slice(b, c->said);
    why_put(b, &c->why);
}

bool pause_changed_get(struct slice reply, struct pause_changed *out)
{
    struct unpack u = unpack_of(reply);
    out->at_ms = unpack_i64(&u);
    out->paused = unpack_u8(&u);
    out->said = unpack_slice(&u);
    return unpack_done(&u);
}

void put_paused(struct json_out *o, uint8_t paused)
{
    json_key(o, "paused");
    json_begin(o, '[');
    for (unsigned i = 0; i < TASK_PRIORITIES; i++) {
        if (paused >> i & 1) {
            json_str(o, task_priority_name((enum task_priority)i));
        }
    }
    json_end(o, ']');
}

static enum hub_rc tell(struct apply *a, const struct pause_change *c, uint8_t paused)
{
    struct buf data = {0};
    struct json_out o = json_out_to(&data);
    json_begin(&o, '{');
    json_key(&o, "queue");
    json_text(&o, c->said);
    put_paused(&o, paused);
    why_json(&o, &c->why, a->now_ms);
    json_end(&o, '}');
    const char *event = c->pause ? "queue_paused" : "queue_resumed";
    enum hub_rc rc = apply_tell(a, a->app, slice_str("tasks"), event, buf_slice(&data));
    buf_done(&data);
    return rc;
}

static enum hub_rc change(struct apply *a, const struct pause_change *c, uint8_t before,
                          uint8_t after)
{
    if (after == before) {
        return HUB_OK; /* as it was: nothing to write or to tell */
    }
    enum hub_rc rc = hub_rc_of_store(row_put(a->txn, a->app, after));
    if (rc == HUB_OK) {
        rc = tell(a, c, after);
    }
    if (rc == HUB_OK) {
        tasks_app(tasks_of(a), a->app)->paused = after;
        tasks_wanted(tasks_of(a), a->app);
    }
    return rc;
}

static enum hub_rc pause_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    struct pause_change c = {.priorities = unpack_u8(&u)};
    c.pause = unpack_u8(&u) != 0;
    c.said = unpack_slice(&u);
    c.why = why_get(&u);
    if (!unpack_done(&u) || c.priorities > PAUSE_ALL) {
        return HUB_BAD_REQUEST;
    }
    uint8_t before = tasks_app(tasks_of(a), a->app)->paused;
    uint8_t after =
        (uint8_t)(c.pause ? before | c.priorities : before & (PAUSE_ALL & ~c.priorities));
    enum hub_rc rc = change(a, &c, before, after);
    if (rc == HUB_OK) {
        struct buf reply = {0};
        pack_i64(&reply, a->now_ms);
        pack_u8(&reply, after);
        pack_slice(&reply, c.said);
        apply_reply(a, command, buf_slice(&reply));
        buf_done(&reply);
    }
    return rc;
}

const struct command_kind command_queue_pause = {
    .name = "tasks.queue_pause", .apply = pause_apply, .module = MODULE_TASKS};
