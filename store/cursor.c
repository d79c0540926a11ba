/* A cursor is LMDB's own with its view beside it. After a delete LMDB leaves it on the follower of
 * the row and makes the first step forward stand still, so `next` is the follower and `prev` the
 * predecessor, as one expects. */
#include "store/env.h"

#include <assert.h>

#include "store/mem.h"

#include <stdlib.h>

struct store_cursor {
    struct store_view *view;
    enum store_table table;
    MDB_cursor *mdb;
    bool on_row; /* not after a delete: deleting again would take the follower */
};

enum store_rc store_cursor_open(struct store_view *view, enum store_table table,
                                struct store_cursor **out_cursor)
{
    MDB_cursor *mdb;
    assert(view->live);
    enum store_rc rc = store_settle(view, table);
    if (rc == STORE_OK)
        rc = store_view_rc(view, mdb_cursor_open(view->txn, view->store->tables[table], &mdb));
    if (rc != STORE_OK)
        return rc;
    struct store_cursor *cursor = xmalloc(sizeof *cursor);
    *cursor = (struct store_cursor){.view = view, .table = table, .mdb = mdb};
    view->cursors++;
    *out_cursor = cursor;
    return STORE_OK;
}

void store_cursor_close(struct store_cursor *cursor)
{
    if (!cursor)
        return;
    mdb_cursor_close(cursor->mdb);
    cursor->view->cursors--;
    free(cursor);
}

static bool may_end_late(const struct store_cursor *cursor)
{
    return cursor->table == TABLE_JOURNAL && cursor->view->writes &&
           appended_waits(cursor->view->writes->appended);
}

/* Rows appended to the journal are past all of its tree: who comes from the front, to trim it, does
 * not need them there. */
static enum store_rc go(struct store_cursor *cursor, MDB_cursor_op op, MDB_val *key, MDB_val *v)
{
    enum store_rc rc = store_settle(cursor->view, cursor->table);
    if (rc == STORE_OK && (op == MDB_LAST || op == MDB_PREV) && may_end_late(cursor))
        rc = store_settle_end(cursor->view);
    if (rc == STORE_OK)
        rc = store_view_rc(cursor->view, mdb_cursor_get(cursor->mdb, key, v, op));
    if (rc != STORE_NOT_FOUND || !may_end_late(cursor))
        return rc;
    struct slice first = appended_first(cursor->view->writes->appended);
    rc = store_settle_end(cursor->view);
    if (op != MDB_SET_RANGE)
        *key = val_of(first);
    return rc == STORE_OK
               ? store_view_rc(cursor->view, mdb_cursor_get(cursor->mdb, key, v, MDB_SET_RANGE))
               : rc;
}

/* A row whose checksum does not fit gives its key, to go on after it or to be deleted. */
static enum store_rc move(struct store_cursor *cursor, MDB_cursor_op op, MDB_val key,
                          struct slice *out_key, struct slice *out_value)
{
    MDB_val v;
    store_seal_reserved(cursor->view);
    enum store_rc rc = go(cursor, op, &key, &v);
    cursor->on_row = rc == STORE_OK;
    if (rc != STORE_OK)
        return rc;
    struct slice value = slice_of_val(&v);
    if (out_key)
        *out_key = slice_of_val(&key);
    if (store_is_sealed(cursor->table) && !store_unseal(slice_of_val(&key), &value))
        return STORE_DAMAGED;
    if (out_value)
        *out_value = value;
    return STORE_OK;
}

enum store_rc store_cursor_seek(struct store_cursor *cursor, struct slice key,
                                struct slice *out_key, struct slice *out_value)
{
    return move(cursor, key.p ? MDB_SET_RANGE : MDB_FIRST, val_of(key), out_key, out_value);
}

enum store_rc store_cursor_last(struct store_cursor *cursor, struct slice *out_key,
                                struct slice *out_value)
{
    return move(cursor, MDB_LAST, (MDB_val){0}, out_key, out_value);
}

enum store_rc store_cursor_next(struct store_cursor *cursor, struct slice *out_key,
                                struct slice *out_value)
{
    return move(cursor, MDB_NEXT, (MDB_val){0}, out_key, out_value);
}

enum store_rc store_cursor_prev(struct store_cursor *cursor, struct slice *out_key,
                                struct slice *out_value)
{
    return move(cursor, MDB_PREV, (MDB_val){0}, out_key, out_value);
}

enum store_rc store_cursor_del(struct store_cursor *cursor)
{
    MDB_val key, value;
    if (!cursor->on_row)
        return STORE_NOT_FOUND;
    store_seal_reserved(cursor->view);
    enum store_rc rc = store_settle(cursor->view, cursor->table);
    if (rc == STORE_OK)
        rc =
            store_view_rc(cursor->view, mdb_cursor_get(cursor->mdb, &key, &value, MDB_GET_CURRENT));
    if (rc != STORE_OK)
        return rc;
    if (!store_pages_sound(cursor->view->store, cursor->table, key.mv_size, slice_of_val(&value)))
        return STORE_DAMAGED;
    cursor->on_row = false;
    cursor->view->writes->in_tree[cursor->table] = true;
    if (pending_holds(
            cursor->table)) /* for the batch after this one, which does not see the tree */
        pending_gone(cursor->view->writes->pending, cursor->table, slice_of_val(&key), true);
    return store_view_rc(cursor->view, mdb_cursor_del(cursor->mdb, 0));
}

enum store_rc store_last_number(struct store_view *view, enum store_table table, uint64_t *out)
{
    struct store_cursor *cursor;
    struct slice key;
    *out = 0;
    enum store_rc rc = store_cursor_open(view, table, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = store_cursor_last(cursor, &key, NULL);
    if (rc == STORE_OK && key.n != 4 && key.n != 8)
        rc = STORE_DAMAGED;
    if (rc == STORE_OK)
        *out = key.n == 4 ? be32_get(key.p) : be64_get(key.p);
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}
