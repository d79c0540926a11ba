/* The write transaction, readers and rows: thin over LMDB, whose codes become ours here.
 *
 * A failure inside the write transaction sticks to it: LMDB has marked it as broken too, and its
 * own answer to further calls (MDB_BAD_TXN) no longer names the cause. */
#define _GNU_SOURCE
#include "store/env.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "store/mem.h"

/* clang-format off */
static const char *const rc_names[] = {
    [STORE_OK]        = "ok",
    [STORE_NOT_FOUND] = "not found",
    [STORE_EXISTS]    = "exists",
    [STORE_FULL]      = "full",
    [STORE_DAMAGED]   = "damaged",
    [STORE_IO]        = "input/output error",
    [STORE_LOCKED]    = "locked",
    [STORE_VERSION]   = "unknown format",
    [STORE_NO_READER] = "no reader slot",
    [STORE_INVALID]   = "invalid",
};
/* clang-format on */

const char *store_rc_name(enum store_rc rc)
{
    return rc_names[rc];
}

enum store_rc store_rc_of(int code)
{
    switch (code) {
    case MDB_SUCCESS:
        return STORE_OK;
    case MDB_NOTFOUND:
        return STORE_NOT_FOUND;
    case MDB_KEYEXIST:
    case EEXIST:
        return STORE_EXISTS;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return STORE_FULL;
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_CURSOR_FULL:
        return STORE_DAMAGED;
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
        return STORE_VERSION;
    case MDB_READERS_FULL:
        return STORE_NO_READER;
    case EIO:
    case MDB_PANIC: /* the meta page could not be written */
        return STORE_IO;
    default:
        return STORE_INVALID;
    }
}

static enum store_rc note_error(struct store *store, int code)
{
    enum store_rc rc = store_rc_of(code);
    atomic_store(&store->last_error, code);
    if (code == ENOSPC || code == EDQUOT)
        atomic_store(&store->disk_full, true);
    if (rc == STORE_FULL && code != MDB_TXN_FULL)
        atomic_store(&store->full, true);
    return rc;
}

enum store_rc store_view_rc(struct store_view *view, int code)
{
    if (code == MDB_SUCCESS)
        return STORE_OK;
    if (code == MDB_NOTFOUND)
        return STORE_NOT_FOUND;
    if (code == MDB_KEYEXIST)
        return STORE_EXISTS;
    if (view->failed != STORE_OK)
        return view->failed;
    enum store_rc rc = note_error(view->store, code);
    if (rc != STORE_INVALID)
        view->failed = rc;
    return rc;
}

const char *store_error_text(const struct store *store)
{
    return mdb_strerror(atomic_load(&store->last_error));
}

uint64_t store_disk_bytes_left(const struct store *store)
{
    struct statvfs fs;
    if (statvfs(store->path, &fs) != 0)
        return 0;
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

unsigned store_clear_stale_readers(struct store *store)
{
    int dead = 0;
    return mdb_reader_check(store->env, &dead) == 0 ? (unsigned)dead : 0;
}

/* ---- the write transaction ---- */

enum store_rc store_begin(struct store *store, struct store_txn **out_txn)
{
    struct store_view *view = &store->txn.view;
    assert(!view->live);
    if (atomic_load(&store->broken))
        return STORE_IO;
    int code = mdb_txn_begin(store->env, NULL, 0, &view->txn);
    if (code != 0)
        return note_error(store, code);
    view->live = true;
    view->failed = STORE_OK;
    *out_txn = &store->txn;
    return STORE_OK;
}

static void at_end_close(struct store_txn *txn)
{
    if (txn->at_end)
        mdb_cursor_close(txn->at_end);
    txn->at_end = NULL;
}

static void end_txn(struct store_txn *txn)
{
    pending_clear(txn->pending);
    txn->unsealed.value = NULL;
    txn->view.live = false;
    txn->view.txn = NULL;
}

static enum store_rc write_pending(struct store_txn *txn)
{
    struct store_view *view = &txn->view;
    return view->failed != STORE_OK
               ? view->failed
               : store_view_rc(view, pending_write(txn->pending, view->txn, view->store->tables));
}

enum store_rc store_settle(struct store_view *view, enum store_table table)
{
    struct store_txn *txn = &view->store->txn;
    if (view != &txn->view)
        return STORE_OK;
    if (txn->at_end && txn->end_table == table)
        at_end_close(txn);
    return pending_holds(table) ? write_pending(txn) : STORE_OK;
}

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

enum store_rc store_commit(struct store_txn *txn)
{
    struct store *store = txn->view.store;
    store_seal_reserved(&txn->view);
    enum store_rc rc = write_pending(txn);
    assert(txn->view.live && txn->view.cursors == 0);
    if (rc != STORE_OK) {
        store_abort(txn);
        return rc;
    }
    at_end_close(txn);
    int code = mdb_txn_commit(txn->view.txn);
    end_txn(txn);
    if (code == 0) {
        watch_growth(store);
        return STORE_OK;
    }
    rc = note_error(store, commit_code(store, code));
    /* After EIO the kernel may have dropped the pages and forgotten it: a later sync that succeeds
     * would prove nothing. */
    if (rc == STORE_IO)
        atomic_store(&store->broken, true);
    return rc;
}

void store_abort(struct store_txn *txn)
{
    if (!txn)
        return;
    assert(txn->view.live && txn->view.cursors == 0);
    at_end_close(txn);
    mdb_txn_abort(txn->view.txn);
    end_txn(txn);
}

struct store_view *store_txn_view(struct store_txn *txn)
{
    return &txn->view;
}

/* ---- readers ---- */

/* The slot is taken here, by a transaction that is begun and at once put to rest. */
enum store_rc store_reader_new(struct store *store, struct store_reader **out_reader)
{
    if (atomic_fetch_add(&store->readers, 1) >= store->readers_max) {
        atomic_fetch_sub(&store->readers, 1);
        return STORE_NO_READER;
    }
    MDB_txn *txn;
    int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (code != 0) {
        atomic_fetch_sub(&store->readers, 1);
        return note_error(store, code);
    }
    mdb_txn_reset(txn);
    struct store_reader *reader = xcalloc(1, sizeof *reader);
    reader->view.store = store;
    reader->view.txn = txn;
    *out_reader = reader;
    return STORE_OK;
}

void store_reader_free(struct store_reader *reader)
{
    if (!reader)
        return;
    assert(reader->view.cursors == 0);
    mdb_txn_abort(reader->view.txn);
    atomic_fetch_sub(&reader->view.store->readers, 1);
    free(reader);
}

/* A reader of LMDB takes the number N of the newest transaction and then copies the roots from one
 * of the two meta pages, N modulo 2. A reader that lost its processor in between may come to a page
 * that transaction N + 2 has written since: roots that are not on disk yet, and newer than what the
 * next snapshot shows. So look whether N + 2 has begun to write; if it has not, the page was still
 * N's when it was copied. */
static bool overtaken(const struct store_reader *reader)
{
    MDB_envinfo info;
    (void)mdb_env_info(reader->view.store->env, &info);
    return info.me_last_txnid > mdb_txn_id(reader->view.txn) + 1;
}

enum store_rc store_snapshot(struct store_reader *reader, struct store_view **out_view)
{
    store_release(reader);
    int code = mdb_txn_renew(reader->view.txn);
    while (code == 0 && overtaken(reader)) {
        mdb_txn_reset(reader->view.txn);
        code = mdb_txn_renew(reader->view.txn);
    }
    if (code != 0)
        return note_error(reader->view.store, code);
    reader->view.live = true;
    reader->view.failed = STORE_OK;
    *out_view = &reader->view;
    return STORE_OK;
}

void store_release(struct store_reader *reader)
{
    assert(reader->view.cursors == 0);
    if (reader->view.live)
        mdb_txn_reset(reader->view.txn);
    reader->view.live = false;
}

/* ---- rows ---- */

void store_seal_reserved(struct store_view *view)
{
    struct unsealed *row = &view->store->txn.unsealed;
    if (view != &view->store->txn.view || !row->value)
        return;
    store_seal(slice_of(row->key, row->key_n), row->value, row->n);
    row->value = NULL;
}

/* Whether the row's fate is known before the tree is asked. */
static struct pending_row *waiting(struct store_view *view, enum store_table table,
                                   struct slice key)
{
    struct store_txn *txn = &view->store->txn;
    return view == &txn->view && pending_holds(table) ? pending_find(txn->pending, table, key)
                                                      : NULL;
}

enum store_rc store_get(struct store_view *view, enum store_table table, struct slice key,
                        struct slice *out_value)
{
    MDB_val k = val_of(key), v;
    store_seal_reserved(view);
    const struct pending_row *row = waiting(view, table, key);
    if (row && view->failed == STORE_OK) {
        *out_value = row->gone ? *out_value : pending_value(row);
        return row->gone ? STORE_NOT_FOUND : STORE_OK;
    }
    int code = mdb_get(view->txn, view->store->tables[table], &k, &v);
    if (code != 0)
        return store_view_rc(view, code);
    struct slice value = slice_of_val(&v);
    if (store_is_sealed(table) && !store_unseal(key, &value))
        return STORE_DAMAGED;
    *out_value = value;
    return STORE_OK;
}

/* LMDB frees the pages of a large value by what stands in the first of them. */
static enum store_rc check_freeing(struct store_view *view, enum store_table table,
                                   struct slice key)
{
    MDB_val k = val_of(key), v;
    if (!store_is_written_once(table))
        return STORE_OK;
    int code = mdb_get(view->txn, view->store->tables[table], &k, &v);
    if (code == 0 && !store_pages_sound(view->store, table, key.n, slice_of_val(&v)))
        return STORE_DAMAGED;
    return code == MDB_NOTFOUND ? STORE_OK : store_view_rc(view, code);
}

/* The log appends nine rows of ten: a cursor that stays at the end needs no search for it. */
static int append(struct store_txn *txn, enum store_table table, MDB_val *k, MDB_val *v)
{
    struct store_view *view = &txn->view;
    int code = 0;
    if (txn->at_end && txn->end_table != table)
        at_end_close(txn);
    if (!txn->at_end) {
        code = mdb_cursor_open(view->txn, view->store->tables[table], &txn->at_end);
        txn->end_table = table;
    }
    return code ? code : mdb_cursor_put(txn->at_end, k, v, MDB_APPEND | MDB_RESERVE);
}

static enum store_rc put_in_tree(struct store_txn *txn, enum store_table table, struct slice key,
                                 size_t value_n, unsigned flags, uint8_t **out_value)
{
    struct store_view *view = &txn->view;
    MDB_val k = val_of(key);
    MDB_val v = {.mv_size = value_n + (store_is_sealed(table) ? STORE_SEAL_BYTES : 0)};
    enum store_rc rc = flags & (MDB_APPEND | MDB_NOOVERWRITE) || key.n == 0
                           ? STORE_OK
                           : check_freeing(view, table, key);
    if (rc != STORE_OK)
        return rc;
    if (!(flags & MDB_APPEND) && txn->end_table == table)
        at_end_close(txn);
    rc = store_view_rc(view, flags & MDB_APPEND ? append(txn, table, &k, &v)
                                                : mdb_put(view->txn, view->store->tables[table], &k,
                                                          &v, flags | MDB_RESERVE));
    if (rc == STORE_OK)
        *out_value = v.mv_data;
    return rc;
}

static bool may_wait(enum store_table table, struct slice key)
{
    return pending_holds(table) && key.n > 0 && key.n <= STORE_KEY_BYTES_MAX;
}

/* What a put that must not overwrite has to know. */
static enum store_rc is_free(struct store_view *view, enum store_table table, struct slice key)
{
    struct slice value;
    enum store_rc rc = store_get(view, table, key, &value);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc == STORE_OK ? STORE_EXISTS : rc;
}

static enum store_rc put(struct store_txn *txn, enum store_table table, struct slice key,
                         size_t value_n, unsigned flags, uint8_t **out_value)
{
    struct store_view *view = &txn->view;
    store_seal_reserved(view);
    if (!may_wait(table, key))
        return put_in_tree(txn, table, key, value_n, flags, out_value);
    enum store_rc rc = view->failed;
    if (rc == STORE_OK && flags & MDB_NOOVERWRITE)
        rc = is_free(view, table, key);
    if (rc == STORE_OK)
        *out_value = pending_put(txn->pending, table, key, value_n);
    return rc;
}

static enum store_rc put_value(struct store_txn *txn, enum store_table table, struct slice key,
                               struct slice value, unsigned flags)
{
    uint8_t *room;
    enum store_rc rc = put(txn, table, key, value.n, flags, &room);
    if (rc != STORE_OK)
        return rc;
    if (value.n > 0)
        memmove(room, value.p, value.n);
    if (store_is_sealed(table) && !may_wait(table, key))
        store_seal(key, room, value.n);
    return STORE_OK;
}

enum store_rc store_put(struct store_txn *txn, enum store_table table, struct slice key,
                        struct slice value)
{
    return put_value(txn, table, key, value, 0);
}

enum store_rc store_insert(struct store_txn *txn, enum store_table table, struct slice key,
                           struct slice value)
{
    return put_value(txn, table, key, value, MDB_NOOVERWRITE);
}

enum store_rc store_put_reserve(struct store_txn *txn, enum store_table table, struct slice key,
                                size_t value_n, bool append, uint8_t **out_value)
{
    enum store_rc rc = put(txn, table, key, value_n, append ? MDB_APPEND : 0, out_value);
    if (rc == STORE_OK && store_is_sealed(table) && !may_wait(table, key)) {
        struct unsealed *row = &txn->unsealed;
        row->value = *out_value;
        row->n = value_n;
        row->key_n = key.n;
        memcpy(row->key, key.p, key.n);
    }
    return rc;
}

enum store_rc store_del(struct store_txn *txn, enum store_table table, struct slice key)
{
    MDB_val k = val_of(key);
    store_seal_reserved(&txn->view);
    struct pending_row *row = waiting(&txn->view, table, key);
    if (row && txn->view.failed == STORE_OK) {
        bool was_gone = row->gone;
        row->gone = true;
        return was_gone ? STORE_NOT_FOUND : STORE_OK;
    }
    enum store_rc rc = check_freeing(&txn->view, table, key);
    if (rc != STORE_OK)
        return rc;
    if (txn->end_table == table)
        at_end_close(txn);
    return store_view_rc(&txn->view,
                         mdb_del(txn->view.txn, txn->view.store->tables[table], &k, NULL));
}

uint64_t store_count(struct store_view *view, enum store_table table)
{
    MDB_stat stat;
    if (store_settle(view, table) != STORE_OK)
        return 0;
    int code = mdb_stat(view->txn, view->store->tables[table], &stat);
    return code == 0 ? stat.ms_entries : 0;
}
