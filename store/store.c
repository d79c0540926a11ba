/* Readers and rows: thin over LMDB, whose codes become ours here.
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

enum store_rc store_note_error(struct store *store, int code)
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
    enum store_rc rc = store_note_error(view->store, code);
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
        return store_note_error(store, code);
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
static bool overtaken(MDB_env *env, MDB_txn *txn)
{
    MDB_envinfo info;
    (void)mdb_env_info(env, &info);
    return info.me_last_txnid > mdb_txn_id(txn) + 1;
}

int store_see(MDB_env *env, MDB_txn *txn)
{
    int code = mdb_txn_renew(txn);
    while (code == 0 && overtaken(env, txn)) {
        mdb_txn_reset(txn);
        code = mdb_txn_renew(txn);
    }
    return code;
}

enum store_rc store_snapshot(struct store_reader *reader, struct store_view **out_view)
{
    store_release(reader);
    int code = store_see(reader->view.store->env, reader->view.txn);
    if (code != 0)
        return store_note_error(reader->view.store, code);
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
    struct unsealed *row = view->writes ? &view->writes->unsealed : NULL;
    if (!row || !row->value)
        return;
    store_seal(slice_of(row->key, row->key_n), row->value, row->n);
    row->value = NULL;
}

static bool may_wait(enum store_table table)
{
    return table == TABLE_JOURNAL || pending_holds(table);
}

/* Whether a row can be read as it was when the batch first looked: what the batch before wrote
 * straight into the trees may not have been there yet. */
static bool may_look_back(const struct store_txn *txn, enum store_table table)
{
    return !txn->view.txn && (may_wait(table) || !txn->before || !txn->before->in_tree[table]);
}

/* What the rows of a batch say that are not in the trees; false: nothing. */
static bool known_to(const struct store_txn *txn, enum store_table table, struct slice key,
                     bool newest, struct slice *out_value, enum store_rc *out_rc)
{
    *out_rc = STORE_OK;
    if (table == TABLE_JOURNAL)
        return appended_find(txn->appended, key, out_value);
    const struct pending_row *row =
        newest ? pending_newest(txn->pending, table, key) : pending_find(txn->pending, table, key);
    if (row && row->gone)
        *out_rc = STORE_NOT_FOUND;
    else if (row)
        *out_value = pending_value(row);
    return row;
}

static enum store_rc get_from(struct store_view *view, MDB_txn *txn, enum store_table table,
                              struct slice key, struct slice *out_value)
{
    MDB_val k = val_of(key), v;
    int code = mdb_get(txn, view->store->tables[table], &k, &v);
    if (code != 0)
        return store_view_rc(view, code);
    struct slice value = slice_of_val(&v);
    if (store_is_sealed(table) && !store_unseal(key, &value))
        return STORE_DAMAGED;
    *out_value = value;
    return STORE_OK;
}

/* The trees, or as long as the batch does without them what they held when it first looked. */
static enum store_rc look(struct store_view *view, MDB_txn **out_txn)
{
    struct store *store = view->store;
    *out_txn = view->txn ? view->txn : store->seen;
    if (view->txn || store->sees)
        return STORE_OK;
    int code = store_see(store->env, store->seen);
    store->sees = code == 0;
    return store_view_rc(view, code);
}

/* The batch before may be in the trees by now or not: what it wrote is asked of itself first, and
 * so either will do. */
static enum store_rc get_without_trees(struct store_txn *txn, enum store_table table,
                                       struct slice key, struct slice *out_value)
{
    enum store_rc rc;
    MDB_txn *seen;
    if (txn->before && may_wait(table) && known_to(txn->before, table, key, true, out_value, &rc))
        return rc;
    rc = look(&txn->view, &seen);
    return rc == STORE_OK ? get_from(&txn->view, seen, table, key, out_value) : rc;
}

enum store_rc store_get(struct store_view *view, enum store_table table, struct slice key,
                        struct slice *out_value)
{
    enum store_rc rc;
    store_seal_reserved(view);
    if (!view->writes)
        return get_from(view, view->txn, table, key, out_value);
    if (view->failed != STORE_OK)
        return view->failed;
    if (may_wait(table) && known_to(view->writes, table, key, false, out_value, &rc))
        return rc;
    if (may_look_back(view->writes, table))
        return get_without_trees(view->writes, table, key, out_value);
    rc = store_need_trees(view);
    return rc == STORE_OK ? get_from(view, view->txn, table, key, out_value) : rc;
}

/* LMDB frees the pages of a large value by what stands in the first of them. */
static enum store_rc check_freeing(struct store_view *view, enum store_table table,
                                   struct slice key)
{
    struct slice value;
    MDB_txn *txn;
    MDB_val k = val_of(key), v;
    if (!store_is_written_once(table))
        return STORE_OK;
    enum store_rc rc = store_get(view, table, key, &value);
    if (rc == STORE_OK)
        rc = look(view, &txn);
    if (rc != STORE_OK)
        return rc == STORE_NOT_FOUND ? STORE_OK : rc;
    int code = mdb_get(txn, view->store->tables[table], &k, &v);
    if (code == 0 && !store_pages_sound(view->store, table, key.n, slice_of_val(&v)))
        return STORE_DAMAGED;
    return code == MDB_NOTFOUND ? STORE_OK : store_view_rc(view, code);
}

static enum store_rc put_in_tree(struct store_txn *txn, enum store_table table, struct slice key,
                                 size_t value_n, unsigned flags, uint8_t **out_value)
{
    struct store_view *view = &txn->view;
    MDB_val k = val_of(key);
    MDB_val v = {.mv_size = value_n + (store_is_sealed(table) ? STORE_SEAL_BYTES : 0)};
    enum store_rc rc = store_need_trees(view);
    if (rc == STORE_OK && key.n > 0 && !(flags & MDB_NOOVERWRITE))
        rc = check_freeing(view, table, key);
    if (rc == STORE_OK && table == TABLE_JOURNAL)
        rc = store_settle_end(view);
    if (rc == STORE_OK)
        rc = store_view_rc(
            view, mdb_put(view->txn, view->store->tables[table], &k, &v, flags | MDB_RESERVE));
    if (rc == STORE_OK)
        *out_value = v.mv_data;
    txn->in_tree[table] = true;
    return rc;
}

static bool key_fits(struct slice key)
{
    return key.n > 0 && key.n <= STORE_KEY_BYTES_MAX;
}

/* What a put that must not overwrite has to know. */
static enum store_rc is_free(struct store_view *view, enum store_table table, struct slice key)
{
    struct slice value;
    enum store_rc rc = store_get(view, table, key, &value);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc == STORE_OK ? STORE_EXISTS : rc;
}

/* The last key of the journal, looked up but once. */
static enum store_rc know_end(struct store_view *view)
{
    struct store *store = view->store;
    MDB_cursor *cursor;
    MDB_val k, v;
    if (store->end_known)
        return STORE_OK;
    enum store_rc rc = store_settle_end(view);
    if (rc == STORE_OK)
        rc = store_view_rc(view, mdb_cursor_open(view->txn, store->tables[TABLE_JOURNAL], &cursor));
    if (rc != STORE_OK)
        return rc;
    int code = mdb_cursor_get(cursor, &k, &v, MDB_LAST);
    store->end_key_n = code == 0 ? k.mv_size : 0;
    if (code == 0)
        memcpy(store->end_key, k.mv_data, k.mv_size);
    store->end_known = code == 0 || code == MDB_NOTFOUND;
    mdb_cursor_close(cursor);
    return store->end_known ? STORE_OK : store_view_rc(view, code);
}

static enum store_rc append(struct store_txn *txn, struct slice key, size_t value_n,
                            uint8_t **out_value)
{
    struct store *store = txn->view.store;
    enum store_rc rc = txn->view.failed;
    if (rc == STORE_OK)
        rc = key_fits(key) && value_n <= UINT32_MAX ? know_end(&txn->view) : STORE_INVALID;
    if (rc == STORE_OK && slice_compare(key, slice_of(store->end_key, store->end_key_n)) <= 0)
        rc = STORE_EXISTS;
    if (rc != STORE_OK)
        return rc;
    *out_value = appended_put(txn->appended, key, value_n);
    memcpy(store->end_key, key.p, key.n);
    store->end_key_n = key.n;
    return STORE_OK;
}

static enum store_rc put_pending(struct store_txn *txn, enum store_table table, struct slice key,
                                 size_t value_n, unsigned flags, uint8_t **out_value)
{
    enum store_rc rc = txn->view.failed;
    if (rc == STORE_OK)
        rc = flags & MDB_NOOVERWRITE ? is_free(&txn->view, table, key)
                                     : check_freeing(&txn->view, table, key);
    if (rc == STORE_OK)
        *out_value = pending_put(txn->pending, table, key, value_n);
    return rc;
}

/* Whether the row is one of pending's, whose checksum is made when it is written. */
static bool is_pending(enum store_table table, struct slice key)
{
    return pending_holds(table) && key_fits(key);
}

static enum store_rc put(struct store_txn *txn, enum store_table table, struct slice key,
                         size_t value_n, unsigned flags, uint8_t **out_value)
{
    store_seal_reserved(&txn->view);
    if (table == TABLE_JOURNAL && flags & MDB_APPEND)
        return append(txn, key, value_n, out_value);
    return is_pending(table, key) ? put_pending(txn, table, key, value_n, flags, out_value)
                                  : put_in_tree(txn, table, key, value_n, flags, out_value);
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
    if (store_is_sealed(table) && !is_pending(table, key))
        store_seal(key, room, value.n);
    return STORE_OK;
}

enum store_rc store_put(struct store_txn *txn, enum store_table table, struct slice key,
                        struct slice value)
{
    return put_value(txn, table, key, value, 0);
}

enum store_rc store_put_new(struct store_txn *txn, enum store_table table, struct slice key,
                            struct slice value)
{
    store_seal_reserved(&txn->view);
    if (!is_pending(table, key) || txn->view.failed != STORE_OK)
        return store_put(txn, table, key, value);
    uint8_t *room = pending_put_new(txn->pending, table, key, value.n);
    if (value.n > 0)
        memmove(room, value.p, value.n);
    return STORE_OK;
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
    if (rc == STORE_OK && store_is_sealed(table) && !is_pending(table, key)) {
        struct unsealed *row = &txn->unsealed;
        row->value = *out_value;
        row->n = value_n;
        row->key_n = key.n;
        memcpy(row->key, key.p, key.n);
    }
    return rc;
}

/* Where somebody walks along the table by a cursor, the next step would have to put all rows of the
 * batch into the tree for the sake of this one. */
static enum store_rc del_pending(struct store_txn *txn, enum store_table table, struct slice key)
{
    struct store_view *view = &txn->view;
    const struct pending_row *row = pending_find(txn->pending, table, key);
    bool through = txn->through[table] && !row;
    MDB_val k = val_of(key);
    enum store_rc rc = STORE_OK;
    if (through)
        rc = store_view_rc(view, mdb_del(view->txn, view->store->tables[table], &k, NULL));
    if (rc == STORE_OK || rc == STORE_NOT_FOUND)
        pending_gone(txn->pending, table, key, through);
    return rc;
}

enum store_rc store_del(struct store_txn *txn, enum store_table table, struct slice key)
{
    struct store_view *view = &txn->view;
    struct slice value;
    MDB_val k = val_of(key);
    store_seal_reserved(view);
    enum store_rc rc = check_freeing(view, table, key);
    if (rc == STORE_OK && is_pending(table, key)) {
        rc = store_get(view, table, key, &value);
        return rc == STORE_OK || rc == STORE_DAMAGED ? del_pending(txn, table, key) : rc;
    }
    txn->in_tree[table] = true;
    if (rc == STORE_OK)
        rc = table == TABLE_JOURNAL ? store_settle_end(view) : store_need_trees(view);
    return rc == STORE_OK
               ? store_view_rc(view, mdb_del(view->txn, view->store->tables[table], &k, NULL))
               : rc;
}

enum store_rc store_del_blind(struct store_txn *txn, enum store_table table, struct slice key)
{
    bool waits = is_pending(table, key) && txn->view.failed == STORE_OK;
    store_seal_reserved(&txn->view);
    enum store_rc rc = waits ? check_freeing(&txn->view, table, key) : STORE_OK;
    if (rc == STORE_OK)
        rc = waits ? del_pending(txn, table, key) : store_del(txn, table, key);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

uint64_t store_count(struct store_view *view, enum store_table table)
{
    MDB_stat stat;
    enum store_rc rc = store_settle(view, table);
    if (rc == STORE_OK && table == TABLE_JOURNAL)
        rc = store_settle_end(view);
    if (rc != STORE_OK)
        return 0;
    int code = mdb_stat(view->txn, view->store->tables[table], &stat);
    return code == 0 ? stat.ms_entries : 0;
}
