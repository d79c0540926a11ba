/* The write transaction. What a batch writes waits in memory (pending.c, appended.c), and LMDB's
 * transaction is begun only when something needs the trees: a cursor, a write that does not wait,
 * the commit. So a batch can be applied while the one before it is still on its way to the disk.
 *
 * The two are one after the other all the same. The later batch reads what the earlier one wrote
 * where it waits, and a failure of the earlier one is a failure of the later one. */
#define _GNU_SOURCE
#include "store/env.h"

#include <assert.h>
#include <errno.h>

/* ---- begin ---- */

static struct store_txn *other(struct store *store)
{
    return store->on_its_way == &store->txns[0] ? &store->txns[1] : &store->txns[0];
}

enum store_rc store_begin(struct store *store, struct store_txn **out_txn)
{
    assert(!store->filling);
    if (atomic_load(&store->broken))
        return STORE_IO;
    struct store_txn *txn = other(store);
    assert(!txn->view.live);
    pending_clear(txn->pending);
    appended_clear(txn->appended);
    txn->before = store->on_its_way;
    txn->handed = false;
    memset(txn->in_tree, 0, sizeof txn->in_tree);
    memset(txn->through, 0, sizeof txn->through);
    txn->timer_due_ms = INT64_MAX;
    txn->view.live = true;
    txn->view.failed = STORE_OK;
    store->filling = txn;
    *out_txn = txn;
    return STORE_OK;
}

void store_hand_over(struct store_txn *txn)
{
    if (!txn->view.txn)
        txn->handed = txn->view.store->committer;
}

bool store_is_handed_over(const struct store_txn *txn)
{
    return txn->handed;
}

bool store_has_trees(const struct store_txn *txn)
{
    return txn->view.txn;
}

struct store_view *store_txn_view(struct store_txn *txn)
{
    return &txn->view;
}

/* ---- the trees ---- */

static int begin_here(struct store_txn *txn)
{
    return mdb_txn_begin(txn->view.store->env, NULL, 0, &txn->view.txn);
}

enum store_rc store_need_trees(struct store_view *view)
{
    struct store_txn *txn = view->writes;
    if (!txn || view->txn || view->failed != STORE_OK)
        return view->failed;
    struct store *store = view->store;
    if (store->on_its_way)
        view->failed = committer_wait(store->committer, NULL);
    if (view->failed != STORE_OK)
        return view->failed;
    int code = txn->handed ? committer_begin(store->committer, txn) : begin_here(txn);
    if (code != 0) {
        view->txn = NULL;
        return view->failed = store_note_error(store, code);
    }
    return STORE_OK;
}

enum store_rc store_settle(struct store_view *view, enum store_table table)
{
    struct store_txn *txn = view->writes;
    enum store_rc rc = store_need_trees(view);
    if (rc != STORE_OK || !txn)
        return rc;
    txn->through[table] = true;
    if (!pending_waits(txn->pending, table))
        return rc;
    rc = store_view_rc(view, pending_write(txn->pending, view->txn, view->store->tables, table));
    if (rc == STORE_OK)
        pending_settled(txn->pending, table);
    return rc;
}

enum store_rc store_settle_end(struct store_view *view)
{
    struct store_txn *txn = view->writes;
    enum store_rc rc = store_need_trees(view);
    if (rc != STORE_OK || !txn || !appended_waits(txn->appended))
        return rc;
    rc = store_view_rc(
        view, appended_write(txn->appended, view->txn, view->store->tables[TABLE_JOURNAL]));
    if (rc == STORE_OK)
        appended_settled(txn->appended);
    return rc;
}

/* ---- the end ---- */

/* LMDB calls a short write EIO, and a short write is what a disk gives that has room for a part of
 * it. Nothing of the transaction is referred to, so going on is as safe as after ENOSPC. */
static int commit_code(struct store *store, int code)
{
    enum { ROOM_FOR_A_BATCH = 16 << 20 };
    return code == EIO && store_disk_bytes_left(store) < ROOM_FOR_A_BATCH ? ENOSPC : code;
}

/* Between two counts of the free pages the growth of the file tells: it grows when no free page is
 * left that could be used. The next count is exact. */
static void watch_growth(struct store *store)
{
    MDB_envinfo info;
    (void)mdb_env_info(store->env, &info);
    if ((info.me_last_pgno + 1) * store->page_bytes > atomic_load(&store->file_limit))
        atomic_store(&store->full, true);
}

static enum store_rc write_waiting(struct store_txn *txn)
{
    struct store_view *view = &txn->view;
    const MDB_dbi *tables = view->store->tables;
    int code = pending_write(txn->pending, view->txn, tables, TABLE_COUNT);
    if (code == 0)
        code = appended_write(txn->appended, view->txn, tables[TABLE_JOURNAL]);
    return code == MDB_KEYEXIST ? STORE_DAMAGED : store_view_rc(view, code);
}

enum store_rc store_commit_here(struct store_txn *txn)
{
    struct store *store = txn->view.store;
    enum store_rc rc = write_waiting(txn);
    if (rc != STORE_OK) {
        mdb_txn_abort(txn->view.txn);
        return rc;
    }
    int code = mdb_txn_commit(txn->view.txn);
    if (code == 0) {
        watch_growth(store);
        return STORE_OK;
    }
    rc = store_note_error(store, commit_code(store, code));
    /* After EIO the kernel may have dropped the pages and forgotten it: a later sync that succeeds
     * would prove nothing. */
    if (rc == STORE_IO)
        atomic_store(&store->broken, true);
    return rc;
}

/* What the batch before wrote, and what was lent of the trees, is needed no longer. */
static void stop_filling(struct store_txn *txn)
{
    struct store *store = txn->view.store;
    assert(txn->view.live && txn->view.cursors == 0 && store->filling == txn);
    if (store->sees)
        mdb_txn_reset(store->seen);
    store->sees = false;
    store->filling = NULL;
    txn->unsealed.value = NULL;
    txn->before = NULL;
    txn->view.live = false;
}

void store_abort(struct store_txn *txn)
{
    if (!txn)
        return;
    struct store *store = txn->view.store;
    stop_filling(txn);
    store->end_known = false;
    if (!txn->view.txn)
        return;
    if (txn->handed)
        committer_abort(store->committer, txn);
    else
        mdb_txn_abort(txn->view.txn);
    txn->view.txn = NULL;
}

/* Ready to be committed; whatever it returns but STORE_OK, the batch is over. The committer begins
 * by itself what it is to commit. */
static enum store_rc close_batch(struct store_txn *txn)
{
    bool begins_there = txn->handed && !txn->view.store->on_its_way;
    store_seal_reserved(&txn->view);
    enum store_rc rc = begins_there ? txn->view.failed : store_need_trees(&txn->view);
    if (rc == STORE_OK)
        stop_filling(txn);
    else
        store_abort(txn);
    return rc;
}

enum store_rc store_commit(struct store_txn *txn)
{
    struct store *store = txn->view.store;
    enum store_rc rc = close_batch(txn);
    if (rc != STORE_OK)
        return rc;
    if (txn->handed)
        committer_commit(store->committer, txn);
    rc = txn->handed ? committer_wait(store->committer, NULL) : store_commit_here(txn);
    txn->view.txn = NULL;
    store->end_known = store->end_known && rc == STORE_OK;
    return rc;
}

/* ---- the end of one while the next is filled ---- */

enum store_rc store_commit_start(struct store_txn *txn)
{
    struct store *store = txn->view.store;
    assert(txn->handed && !store->on_its_way);
    enum store_rc rc = close_batch(txn);
    if (rc != STORE_OK)
        return rc;
    store->on_its_way = txn;
    committer_commit(store->committer, txn);
    return STORE_OK;
}

bool store_commit_is_through(struct store *store)
{
    return store->on_its_way && committer_is_through(store->committer);
}

enum store_rc store_commit_take(struct store *store, uint64_t *out_us)
{
    assert(store->on_its_way);
    enum store_rc rc = committer_wait(store->committer, out_us);
    store->on_its_way->view.txn = NULL;
    store->on_its_way = NULL;
    store->end_known = store->end_known && rc == STORE_OK;
    return rc;
}
