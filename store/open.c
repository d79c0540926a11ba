/* Opening: one LMDB file, one named database a table, all of them opened once at start because
 * opening one later would race with transactions under way.
 *
 * The data directory is held by an flock of our own on `lock`: LMDB itself lets several processes
 * write in turn, and a second hub would break the promise of one writer. */
#define _GNU_SOURCE
#include "store/env.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/files.h"

enum { STORE_FORMAT = 4, READERS_MAX_DEFAULT = 126 };
static const size_t map_bytes_default = (size_t)64 << 30;

/* clang-format off */
/* Names on disk: they never change. */
static const char *const table_names[TABLE_COUNT] = {
    [TABLE_META]         = "meta",
    [TABLE_JOURNAL]      = "journal",
    [TABLE_BLOCK]        = "block",
    [TABLE_CHANNEL]      = "channel",
    [TABLE_CHANNEL_NAME] = "channel_name",
    [TABLE_TIMER]        = "timer",
    [TABLE_REPLY]        = "reply",
    [TABLE_APP]          = "app",
    [TABLE_API_KEY]      = "api_key",
    [TABLE_REVOCATION]   = "revocation",
    [TABLE_NAMESPACE]    = "namespace",
    [TABLE_MEMBER]       = "member",
    [TABLE_AGENT]        = "agent",
    [TABLE_AGENT_INDEX]  = "agent_index",
    [TABLE_TASK]         = "task",
    [TABLE_TASK_BODY]    = "task_body",
    [TABLE_TASK_INDEX]   = "task_index",
    [TABLE_WORK]          = "work",
    [TABLE_WORK_PART]     = "work_part",
    [TABLE_WORK_DOCUMENT] = "work_document",
    [TABLE_WORK_INDEX]    = "work_index",
    [TABLE_WORK_TEAM]     = "work_team",
    [TABLE_SWARM]         = "swarm",
    [TABLE_SWARM_MEMBER]  = "swarm_member",
    [TABLE_SWARM_INDEX]   = "swarm_index",
    [TABLE_NETWORK]       = "network",
    [TABLE_NETWORK_INDEX] = "network_index",
    [TABLE_BALANCE]       = "balance",
    [TABLE_ROUND]        = "round",
    [TABLE_ROUND_BALLOT] = "round_ballot",
    [TABLE_ROUND_INDEX]  = "round_index",
    [TABLE_AUDIT]        = "audit",
    [TABLE_MESSAGE]      = "message",
    [TABLE_DELIVERY]     = "delivery",
    [TABLE_MAIL_INDEX]   = "mail_index",
    [TABLE_LINK]         = "link",
    [TABLE_CURSOR]       = "cursor",
    [TABLE_QUEUE]         = "queue",
};
/* clang-format on */

struct cause {
    char *text;
    size_t n;
};

__attribute__((format(printf, 3, 4))) static enum store_rc
because(const struct cause *cause, enum store_rc rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (cause->text && cause->n > 0)
        (void)vsnprintf(cause->text, cause->n, format, args);
    va_end(args);
    return rc;
}

static enum store_rc lock_folder(struct store *store, const struct cause *cause)
{
    char *path = path_join(store->path, "lock");
    enum store_rc rc = STORE_OK;
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_fd < 0)
        rc = because(cause, STORE_INVALID, "cannot open %s: %s", path, strerror(errno));
    else if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0)
        rc = errno == EWOULDBLOCK
                 ? because(cause, STORE_LOCKED,
                           "another process holds %s: a hub or a backup at work. Stop it, or name "
                           "another data folder",
                           path)
                 : because(cause, STORE_INVALID, "cannot lock %s: %s", path, strerror(errno));
    free(path);
    return rc;
}

/* Reading ahead helps until the data outgrow memory; then it drives out pages that are in use. */
static unsigned env_flags(const struct store *store)
{
    struct stat st;
    char *path = path_join(store->path, "data.mdb");
    bool outgrown =
        stat(path, &st) == 0 && st.st_size / sysconf(_SC_PAGESIZE) > sysconf(_SC_PHYS_PAGES);
    free(path);
    return outgrown ? MDB_NOTLS | MDB_NORDAHEAD : MDB_NOTLS;
}

static size_t map_bytes_of(const struct store_options *options)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = options->map_bytes ? options->map_bytes : map_bytes_default;
    return (bytes + page - 1) / page * page;
}

static enum store_rc open_env(struct store *store, const struct store_options *options,
                              const char *folder, const struct cause *cause)
{
    store->readers_max = options->readers_max ? options->readers_max : READERS_MAX_DEFAULT;
    int rc = mdb_env_create(&store->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(store->env, map_bytes_of(options));
    if (rc == 0)
        rc = mdb_env_set_maxreaders(store->env, store->readers_max + READERS_OWN);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(store->env, TABLE_COUNT);
    if (rc == 0)
        rc = mdb_env_open(store->env, folder,
                          env_flags(store) | (options->read_only ? MDB_RDONLY : 0), 0600);
    if (rc != 0)
        return because(cause, store_rc_of(rc), "cannot open %s/data.mdb: %s", folder,
                       mdb_strerror(rc));
    return STORE_OK;
}

/* LMDB may have made the map larger than asked: it must hold what the file has. */
static void set_bounds(struct store *store, const struct store_options *options)
{
    MDB_envinfo info;
    MDB_stat stat;
    (void)mdb_env_info(store->env, &info);
    (void)mdb_env_stat(store->env, &stat);
    store->page_bytes = stat.ms_psize;
    store->map_bytes = info.me_mapsize;
    uint64_t quota_max = store->map_bytes - store->map_bytes / 16;
    store->quota_bytes =
        options->quota_bytes && options->quota_bytes < quota_max ? options->quota_bytes : quota_max;
}

const char *store_table_name(enum store_table table)
{
    return table_names[table];
}

enum store_table store_table_named(const char *name)
{
    for (int i = 0; i < TABLE_COUNT; i++)
        if (strcmp(name, table_names[i]) == 0)
            return (enum store_table)i;
    return TABLE_COUNT;
}

static enum store_rc write_meta(struct store *store, MDB_txn *txn, const char *name,
                                const uint8_t *p, size_t n)
{
    uint8_t row[64];
    assert(n + STORE_SEAL_BYTES <= sizeof row);
    memcpy(row, p, n);
    store_seal(slice_str(name), row, n);
    MDB_val key = val_of(slice_str(name)), value = val_of(slice_of(row, n + STORE_SEAL_BYTES));
    return store_rc_of(mdb_put(txn, store->tables[TABLE_META], &key, &value, 0));
}

static bool read_meta(struct store *store, MDB_txn *txn, const char *name, size_t n,
                      struct slice *out)
{
    MDB_val key = val_of(slice_str(name)), value;
    if (mdb_get(txn, store->tables[TABLE_META], &key, &value) != 0)
        return false;
    *out = slice_of_val(&value);
    return store_unseal(slice_str(name), out) && out->n == n;
}

static enum store_rc make_meta(struct store *store, MDB_txn *txn, const uint8_t epoch[16])
{
    uint8_t format[4];
    be32_put(format, STORE_FORMAT);
    memcpy(store->epoch, epoch, sizeof store->epoch);
    enum store_rc rc = write_meta(store, txn, "format", format, sizeof format);
    return rc == STORE_OK ? write_meta(store, txn, "epoch", epoch, sizeof store->epoch) : rc;
}

static enum store_rc check_meta(struct store *store, MDB_txn *txn)
{
    struct slice format, epoch;
    if (!read_meta(store, txn, "format", 4, &format) || be32_get(format.p) != STORE_FORMAT)
        return STORE_VERSION;
    if (!read_meta(store, txn, "epoch", sizeof store->epoch, &epoch))
        return STORE_DAMAGED;
    memcpy(store->epoch, epoch.p, sizeof store->epoch);
    store->map = epoch.p - store->anchor;
    return STORE_OK;
}

/* Opens the tables; those of a new store, and those that a newer program added, are made. */
static enum store_rc open_tables_in(struct store *store, MDB_txn *txn, const uint8_t epoch[16],
                                    unsigned create)
{
    MDB_dbi main_dbi;
    MDB_stat stat;
    int rc = mdb_dbi_open(txn, NULL, 0, &main_dbi);
    if (rc == 0)
        rc = mdb_stat(txn, main_dbi, &stat);
    if (rc != 0)
        return store_rc_of(rc);
    /* A file without tables is new: a crash before the first commit leaves one like that. */
    bool fresh = stat.ms_entries == 0;
    rc = mdb_dbi_open(txn, table_names[TABLE_META], fresh ? create : 0, &store->tables[TABLE_META]);
    if (rc == MDB_NOTFOUND)
        return STORE_VERSION;
    if (rc != 0)
        return store_rc_of(rc);
    enum store_rc meta_rc = fresh ? make_meta(store, txn, epoch) : check_meta(store, txn);
    for (int i = TABLE_META + 1; i < TABLE_COUNT && meta_rc == STORE_OK; i++) {
        assert(table_names[i]); /* without a name LMDB would open the table of tables */
        meta_rc = store_rc_of(mdb_dbi_open(txn, table_names[i], create, &store->tables[i]));
    }
    return meta_rc;
}

static enum store_rc open_tables(struct store *store, const struct store_options *options,
                                 const struct cause *cause)
{
    MDB_txn *txn;
    unsigned flags = options->read_only ? MDB_RDONLY : 0;
    enum store_rc rc = store_rc_of(mdb_txn_begin(store->env, NULL, flags, &txn));
    if (rc == STORE_OK) {
        rc = open_tables_in(store, txn, options->fresh_epoch, options->read_only ? 0 : MDB_CREATE);
        if (rc == STORE_OK)
            rc = store_rc_of(mdb_txn_commit(txn));
        else
            mdb_txn_abort(txn);
    }
    if (rc == STORE_VERSION)
        return because(cause, rc, "%s/data.mdb is not of format %d of this program", store->path,
                       STORE_FORMAT);
    if (rc != STORE_OK)
        return because(cause, rc, "cannot read the tables of %s/data.mdb: %s", store->path,
                       store_rc_name(rc));
    return STORE_OK;
}

/* ---- a new store ---- */

static bool has_data(const struct store *store)
{
    struct stat st;
    char *path = path_join(store->path, "data.mdb");
    bool has = stat(path, &st) == 0 || errno != ENOENT;
    free(path);
    return has;
}

static void clear_part(const char *part)
{
    char *data = path_join(part, "data.mdb"), *lock = path_join(part, "lock.mdb");
    (void)unlink(data);
    (void)unlink(lock);
    (void)rmdir(part);
    free(data);
    free(lock);
}

static enum store_rc make_in(struct store *store, const struct store_options *options,
                             const char *part, const struct cause *cause)
{
    int error = folder_make(part);
    if (error != 0)
        return because(cause, store_rc_of(error), "cannot make the folder %s: %s", part,
                       strerror(error));
    enum store_rc rc = open_env(store, options, part, cause);
    if (rc == STORE_OK)
        rc = open_tables(store, options, cause);
    mdb_env_close(store->env);
    store->env = NULL;
    return rc;
}

static int give_name(const struct store *store, const char *part)
{
    char *from = path_join(part, "data.mdb"), *to = path_join(store->path, "data.mdb");
    int error = rename(from, to) == 0 ? folder_sync(store->path) : errno;
    free(from);
    free(to);
    return error;
}

/* LMDB writes the first two pages of a file without a sync between them and what comes next: a
 * power cut could leave a file that is neither new nor whole, and no start would get past it. So a
 * new store is made in a folder beside its place, and gets its name when it is on disk. */
static enum store_rc make_data(struct store *store, const struct store_options *options,
                               const struct cause *cause)
{
    if (has_data(store))
        return STORE_OK;
    char *part = path_join(store->path, "data.part");
    clear_part(part);
    enum store_rc rc = make_in(store, options, part, cause);
    int error = rc == STORE_OK ? give_name(store, part) : 0;
    if (error != 0)
        rc = because(cause, store_rc_of(error), "cannot make %s/data.mdb: %s", store->path,
                     strerror(error));
    clear_part(part);
    free(part);
    return rc;
}

/* LMDB syncs the file's pages and nothing else: neither its name nor the folder's would outlast a
 * power cut. Done at every start, since the process that made them may have died before. */
static enum store_rc sync_names(struct store *store, const struct cause *cause)
{
    int fd = -1;
    char *parent = path_parent(store->path);
    int rc = mdb_env_get_fd(store->env, &fd);
    if (rc == 0 && fsync(fd) != 0)
        rc = errno;
    if (rc == 0)
        rc = folder_sync(store->path);
    if (rc == 0)
        rc = folder_sync(parent);
    free(parent);
    if (rc != 0)
        return because(cause, store_rc_of(rc), "cannot sync %s: %s", store->path, strerror(rc));
    return STORE_OK;
}

static enum store_rc seen_new(struct store *store, const struct cause *cause)
{
    int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &store->seen);
    if (code != 0)
        return because(cause, store_rc_of(code), "cannot read %s/data.mdb: %s", store->path,
                       mdb_strerror(code));
    mdb_txn_reset(store->seen);
    return STORE_OK;
}

/* Whether it is full is known from the start. */
static enum store_rc count_pages(struct store *store, const struct cause *cause)
{
    struct store_usage usage;
    enum store_rc rc = store_usage(store, &usage);
    if (rc != STORE_OK)
        return because(cause, rc, "cannot read the free list of %s/data.mdb: %s", store->path,
                       store_rc_name(rc));
    return STORE_OK;
}

static enum store_rc open_all(struct store *store, const struct store_options *options,
                              const struct cause *cause)
{
    int error = folder_make(store->path);
    if (error != 0)
        return because(cause, store_rc_of(error), "cannot make the folder %s: %s", store->path,
                       strerror(error));
    enum store_rc rc = lock_folder(store, cause);
    if (rc == STORE_OK)
        rc = make_data(store, options, cause);
    if (rc == STORE_OK)
        rc = store_check_pages(store, cause->text, cause->n);
    if (rc == STORE_OK)
        rc = open_env(store, options, store->path, cause);
    if (rc == STORE_OK) {
        set_bounds(store, options);
        (void)store_clear_stale_readers(store);
        rc = open_tables(store, options, cause);
    }
    if (rc == STORE_OK)
        rc = seen_new(store, cause);
    if (rc == STORE_OK)
        rc = count_pages(store, cause);
    return rc == STORE_OK ? sync_names(store, cause) : rc;
}

static bool is_held_by_a_hub(const struct store *store)
{
    char *path = path_join(store->path, "lock");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0)
        (void)close(fd);
    free(path);
    return held;
}

/* A hub that holds the store judged its pages when it started, and changes them while others look.
 */
static enum store_rc open_to_read(struct store *store, const struct store_options *options,
                                  const struct cause *cause)
{
    enum store_rc rc = STORE_OK;
    if (!is_held_by_a_hub(store))
        rc = store_check_pages(store, cause->text, cause->n);
    if (rc == STORE_OK)
        rc = open_env(store, options, store->path, cause);
    if (rc != STORE_OK)
        return rc;
    set_bounds(store, options);
    return open_tables(store, options, cause);
}

enum store_rc store_open(const struct store_options *options, struct store **out_store,
                         char *out_text, size_t text_n)
{
    struct cause cause = {.text = out_text, .n = text_n};
    struct store *store = xcalloc(1, sizeof *store);
    store->lock_fd = -1;
    store->path = xstrdup(options->path);
    for (unsigned i = 0; i < 2; i++) {
        struct store_txn *txn = &store->txns[i];
        txn->view.store = store;
        txn->view.writes = txn;
        txn->pending = pending_new();
        txn->appended = appended_new();
    }
    enum store_rc rc = options->read_only ? open_to_read(store, options, &cause)
                                          : open_all(store, options, &cause);
    if (rc != STORE_OK) {
        store_close(store);
        return rc;
    }
    *out_store = store;
    return STORE_OK;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    assert(!store->filling && !store->on_its_way && atomic_load(&store->readers) == 0);
    committer_free(store->committer);
    mdb_txn_abort(store->seen);
    if (store->env)
        mdb_env_close(store->env);
    if (store->lock_fd >= 0)
        (void)close(store->lock_fd);
    for (unsigned i = 0; i < 2; i++) {
        pending_free(store->txns[i].pending);
        appended_free(store->txns[i].appended);
    }
    free(store->path);
    free(store);
}

const uint8_t *store_epoch(const struct store *store)
{
    return store->epoch;
}

static const char renewed_key[] = "renewed";

int64_t store_renewed_ms(struct store_view *view)
{
    struct slice row;
    bool is = store_get(view, TABLE_META, slice_str(renewed_key), &row) == STORE_OK && row.n == 8;
    return is ? (int64_t)be64_get(row.p) : 0;
}

enum store_rc store_renew_epoch(struct store *store, const uint8_t epoch[16], int64_t now_ms)
{
    struct store_txn *txn;
    uint8_t at[8];
    be64_put(at, (uint64_t)now_ms);
    enum store_rc rc = store_begin(store, &txn);
    if (rc != STORE_OK)
        return rc;
    rc = store_put(txn, TABLE_META, slice_str("epoch"), slice_of(epoch, sizeof store->epoch));
    if (rc == STORE_OK)
        rc = store_put(txn, TABLE_META, slice_str(renewed_key), slice_of(at, sizeof at));
    if (rc != STORE_OK) {
        store_abort(txn);
        return rc;
    }
    rc = store_commit(txn);
    if (rc == STORE_OK)
        memcpy(store->epoch, epoch, sizeof store->epoch);
    return rc;
}
