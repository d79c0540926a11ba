/* store/env.h: what the files of the store share about the LMDB environment. Only store.c, txn.c,
 * committer.c, open.c, cursor.c, seal.c, chunks.c, pending.c, appended.c, timers.c, pages.c,
 * usage.c, freelist.c, verify.c and backup.c include it: no one else sees lmdb.
 *
 * Threads  as store.h says; the atomics are what several threads touch.
 */
#ifndef WAGGLE_STORE_ENV_H
#define WAGGLE_STORE_ENV_H

#include <lmdb.h>
#include <stdatomic.h>

#include "store/store.h"

struct store_view {
    struct store *store;
    struct store_txn *writes; /* NULL: a reader's */
    MDB_txn *txn;         /* NULL: no snapshot; of a write transaction: no need of the trees yet */
    enum store_rc failed; /* of the write transaction: sticks until it ends */
    bool live;
    unsigned cursors; /* open ones: all must be closed before the view ends */
};

enum { STORE_KEY_BYTES_MAX = 511 }; /* LMDB's */

/* A row of a sealed table whose value the caller is still to fill in: store_put_reserve(). */
struct unsealed {
    uint8_t *value; /* NULL: none */
    size_t n;
    uint8_t key[STORE_KEY_BYTES_MAX];
    size_t key_n;
};

struct pending;
struct appended;

/* A batch of writes. Two of them take turns, so that one can be filled while the other is on its
 * way to the disk. */
struct store_txn {
    struct store_view view;
    struct unsealed unsealed;
    struct pending *pending;   /* rows that are not in the trees yet */
    struct appended *appended; /* likewise, of TABLE_JOURNAL */
    struct store_txn *before;  /* the one that was on its way when this began; NULL: none was */
    bool handed;               /* the committer begins and ends LMDB's transaction */
    bool in_tree[TABLE_COUNT]; /* rows were written or deleted there that did not wait */
    bool through[TABLE_COUNT]; /* its rows were put into the tree: those that go, go there too */
    int64_t timer_due_ms;      /* timers.c: the earliest that was added */
};

struct store_reader {
    struct store_view view;
};

struct store {
    char *path;
    int lock_fd; /* -1: not locked */
    MDB_env *env;
    MDB_dbi tables[TABLE_COUNT];
    uint8_t epoch[16];
    uint64_t page_bytes, map_bytes, quota_bytes;
    uint64_t anchor;    /* where in the file the epoch stands; 0: in a new one, nowhere yet */
    const uint8_t *map; /* where the file begins in memory, by the anchor */
    unsigned readers_max;
    struct store_txn txns[2];
    struct store_txn *filling;    /* NULL: between batches */
    struct store_txn *on_its_way; /* handed over, its end not taken yet; NULL: none */
    struct committer *committer;
    MDB_txn *seen; /* what the trees held when the batch began that does without them */
    bool sees;
    uint8_t end_key[STORE_KEY_BYTES_MAX]; /* the last key of TABLE_JOURNAL, once known */
    size_t end_key_n;
    bool end_known;

    atomic_uint readers;   /* struct store_reader that exist */
    atomic_int last_error; /* LMDB's or the system's, for store_error_text() */
    atomic_bool broken;    /* a commit met EIO: no more writing */
    atomic_bool full;      /* store_is_full() */
    atomic_bool disk_full; /* the disk, not the map, refused since the last store_usage() */
    atomic_bool backing_up;
    atomic_ullong file_limit; /* a data file that grows past this has likely passed the quota */
};

/* Slots beyond readers_max, so that store_usage and store_backup find one when all are taken, and
 * for `seen`. */
enum { READERS_OWN = 5 };

/* Maps the library's codes and errno to ours. */
enum store_rc store_rc_of(int code);
/* The same for a call on a view: remembers the cause, and in a write transaction the failure. */
enum store_rc store_view_rc(struct store_view *view, int code);
/* Counts LMDB's free pages: all, those freed by oldest_txn or later, those from first_page on. */
struct free_query {
    uint64_t oldest_txn, first_page; /* UINT64_MAX: none */
};
struct free_pages {
    uint64_t all, pinned, high;
};
int store_free_pages(struct store *store, const struct free_query *query, struct free_pages *out);
/* Judges the data file before LMDB opens it, if there is one: STORE_DAMAGED, and the text names the
 * page and the table. */
enum store_rc store_check_pages(struct store *store, char *out_text, size_t text_n);
/* What the log writes is written once under its key, and there is too much of it to look at the
 * heads of all its large values when the store is opened. */
bool store_is_written_once(enum store_table table);
/* Whether LMDB may free the pages of a value; those in leaves are always sound, and those of tables
 * whose large values were looked at when the store was opened. */
bool store_pages_sound(const struct store *store, enum store_table table, size_t key_n,
                       struct slice value);
/* The table of that name on disk; TABLE_COUNT: none of ours. */
enum store_table store_table_named(const char *name);
const char *store_table_name(enum store_table table);

/* Rows of sealed tables end with a checksum. */
enum { STORE_SEAL_BYTES = 8 };
bool store_is_sealed(enum store_table table);
void store_seal(struct slice key, uint8_t *value, size_t n); /* writes it behind the n bytes */
bool store_unseal(struct slice key, struct slice *value);    /* false: damaged; true: taken off */
/* Seals the row that store_put_reserve() gave room for. */
void store_seal_reserved(struct store_view *view);

/* chunks.c: bytes of a batch. All zero is an empty one. */
struct chunks {
    struct chunk *list;
    size_t n, at; /* at: the one that is filled */
};
uint8_t *chunks_take(struct chunks *chunks, size_t n);
void chunks_clear(struct chunks *chunks);
void chunks_done(struct chunks *chunks);

/* pending.c: rows of a batch that are not in LMDB's trees yet. */
struct pending_row {
    uint8_t *bytes; /* the key, the value without a checksum */
    size_t value_n, room;
    uint32_t next; /* of its family: the row and one */
    uint16_t key_n;
    uint8_t table;
    bool gone;    /* deleted in this batch */
    bool settled; /* in the tree by now, which knows better; or gone, and not there either */
    bool fresh;   /* not in the tree, nor ever was */
};
struct pending *pending_new(void);
void pending_free(struct pending *pending); /* NULL is fine */
bool pending_holds(enum store_table table);
/* NULL: the tree knows. */
struct pending_row *pending_find(const struct pending *pending, enum store_table table,
                                 struct slice key);
/* The same, also of what is in the tree by now: for the batch after, which does not see the tree.
 */
struct pending_row *pending_newest(const struct pending *pending, enum store_table table,
                                   struct slice key);
struct slice pending_value(const struct pending_row *row);
/* Room for the value, to be filled in. */
uint8_t *pending_put(struct pending *pending, enum store_table table, struct slice key,
                     size_t value_n);
/* The same for a key that its table has never had. */
uint8_t *pending_put_new(struct pending *pending, enum store_table table, struct slice key,
                         size_t value_n);
void pending_gone(struct pending *pending, enum store_table table, struct slice key, bool settled);
/* Puts the rows of that table, or with TABLE_COUNT all of them, into the trees; LMDB's code. It
 * changes nothing here, so others may look meanwhile. */
int pending_write(const struct pending *pending, MDB_txn *txn, const MDB_dbi *tables,
                  enum store_table only);
bool pending_waits(const struct pending *pending, enum store_table table); /* some of its rows do */
void pending_settled(struct pending *pending, enum store_table table);     /* none any more */
void pending_clear(struct pending *pending);

/* appended.c: rows of a batch past the end of a table. */
struct appended *appended_new(void);
void appended_free(struct appended *appended); /* NULL is fine */
/* Room for the value, to be filled in; the key is past all others. */
uint8_t *appended_put(struct appended *appended, struct slice key, size_t value_n);
bool appended_find(const struct appended *appended, struct slice key, struct slice *out_value);
bool appended_waits(const struct appended *appended);         /* some are not in the tree */
struct slice appended_first(const struct appended *appended); /* the key of the first of these */
/* Puts them there, and changes nothing here; LMDB's code. */
int appended_write(const struct appended *appended, MDB_txn *txn, MDB_dbi dbi);
void appended_settled(struct appended *appended);
void appended_clear(struct appended *appended);

/* txn.c: LMDB's transaction, begun once something needs the trees; the view's failure if it cannot
 * be. */
enum store_rc store_need_trees(struct store_view *view);
/* Before anything looks at a table by a cursor. */
enum store_rc store_settle(struct store_view *view, enum store_table table);
/* The same for TABLE_JOURNAL alone, when a cursor comes to the end of its tree. */
enum store_rc store_settle_end(struct store_view *view);
enum store_rc store_note_error(struct store *store, int code);
/* Renews a reader's transaction to what was committed last; LMDB's code. */
int store_see(MDB_env *env, MDB_txn *txn);

/* committer.c: LMDB lets the thread that began a transaction end it, and no other. */
void committer_free(struct committer *committer); /* NULL is fine */
/* Done when they return; LMDB's code. */
int committer_begin(struct committer *committer, struct store_txn *txn);
void committer_abort(struct committer *committer, struct store_txn *txn);
/* Goes on by itself; committer_wait() gives what came of it. */
void committer_commit(struct committer *committer, struct store_txn *txn);
bool committer_is_through(struct committer *committer);
enum store_rc committer_wait(struct committer *committer, uint64_t *out_us);
/* Writes what waits and commits, on whichever thread calls; txn's data stay as they are. */
enum store_rc store_commit_here(struct store_txn *txn);

/* Space left on the disk that carries the store. */
uint64_t store_disk_bytes_left(const struct store *store);

static inline MDB_val val_of(struct slice s)
{
    return (MDB_val){.mv_size = s.n, .mv_data = (void *)(uintptr_t)s.p};
}

static inline struct slice slice_of_val(const MDB_val *v)
{
    return slice_of(v->mv_data, v->mv_size);
}

#endif
