/* store/env.h: what the files of the store share about the LMDB environment. Only store.c,
 * open.c, cursor.c, seal.c, pending.c, pages.c, usage.c, freelist.c, verify.c and backup.c include
 * it: no one else sees lmdb.
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
    MDB_txn *txn;         /* NULL: no snapshot, no transaction */
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

struct store_txn {
    struct store_view view;
    struct unsealed unsealed;
    struct pending *pending;
    MDB_cursor *at_end; /* with which rows are appended to end_table; NULL: none */
    enum store_table end_table;
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
    struct store_txn txn; /* the one write transaction */

    atomic_uint readers;   /* struct store_reader that exist */
    atomic_int last_error; /* LMDB's or the system's, for store_error_text() */
    atomic_bool broken;    /* a commit met EIO: no more writing */
    atomic_bool full;      /* store_is_full() */
    atomic_bool disk_full; /* the disk, not the map, refused since the last store_usage() */
    atomic_bool backing_up;
    atomic_ullong file_limit; /* a data file that grows past this has likely passed the quota */
};

/* Slots beyond readers_max, so that store_usage and store_backup find one when all are taken. */
enum { READERS_OWN = 4 };

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

/* pending.c: rows of the write transaction that are not in LMDB's trees yet. */
struct pending_row {
    uint8_t *bytes; /* the key, the value without a checksum */
    size_t value_n, room;
    uint32_t next; /* of its family: the row and one */
    uint16_t key_n;
    uint8_t table;
    bool gone; /* deleted in this transaction */
};
struct pending *pending_new(void);
void pending_free(struct pending *pending); /* NULL is fine */
bool pending_holds(enum store_table table);
/* NULL: the tree knows. */
struct pending_row *pending_find(const struct pending *pending, enum store_table table,
                                 struct slice key);
struct slice pending_value(const struct pending_row *row);
/* Room for the value, to be filled in. */
uint8_t *pending_put(struct pending *pending, enum store_table table, struct slice key,
                     size_t value_n);
/* Puts all of it into the trees; LMDB's code. */
int pending_write(struct pending *pending, MDB_txn *txn, const MDB_dbi *tables);
void pending_clear(struct pending *pending);
/* Before anything looks at a table by a cursor. */
enum store_rc store_settle(struct store_view *view, enum store_table table);

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
