/* Rows that wait for the commit. A task that is submitted, offered and taken within one batch has
 * its row and its indexes written time and again; here only the last of it counts, its checksum is
 * made once, and LMDB gets rows that follow on one another one after the other, so that it finds
 * the page of most without a search. Until then the trees are not needed, and the batch before may
 * still be on its way to the disk.
 *
 * An open-addressing table over rows in the order they came. Rows of one family, that is of a table
 * and with keys alike but for the number that they count by, are strung together: numbers are given
 * out in order, so a family comes in the order of its keys but for a turn or two. */
#include "store/env.h"

#include <stdlib.h>

#include "store/hash.h"
#include "store/mem.h"

/* clang-format off */
static const bool waits[TABLE_COUNT] = {
    [TABLE_AUDIT]        = true,
    [TABLE_BLOCK]        = true,
    [TABLE_CHANNEL]      = true,
    [TABLE_CHANNEL_NAME] = true,
    [TABLE_DELIVERY]     = true,
    [TABLE_MAIL_INDEX]   = true,
    [TABLE_MESSAGE]      = true,
    [TABLE_META]         = true,
    [TABLE_REPLY]        = true,
    [TABLE_TASK]         = true,
    [TABLE_TASK_BODY]    = true,
    [TABLE_TASK_INDEX]   = true,
    [TABLE_TIMER]        = true,
};
/* What is new in them comes, but for a turn or two, behind all that they have. */
static const bool in_order[TABLE_COUNT] = {
    [TABLE_AUDIT]     = true,
    [TABLE_CHANNEL]   = true,
    [TABLE_DELIVERY]  = true,
    [TABLE_MESSAGE]   = true,
    [TABLE_REPLY]     = true,
    [TABLE_TASK]      = true,
    [TABLE_TASK_BODY] = true,
};
/* clang-format on */

enum {
    SLOTS_MIN = 1024,
    FAMILIES = 256, /* two in one place cost some searches */
    ORDERED_KEY_MAX = 16,
    COUNTER_BYTES = 8 /* with which most keys end */
};

/* Of the table of rows; row 0: free, else the row and one. */
struct slot {
    uint32_t tag, row;
};

struct family {
    uint32_t first, last; /* rows and one; 0: none */
};

struct pending {
    struct pending_row *rows;
    size_t rows_n, rows_cap;
    struct slot *slots;
    size_t slots_n; /* a power of two */
    struct chunks chunks;
    struct family families[FAMILIES];
    size_t unsettled[TABLE_COUNT]; /* rows that are not in the tree yet */
};

struct pending *pending_new(void)
{
    struct pending *p = xcalloc(1, sizeof *p);
    p->slots_n = SLOTS_MIN;
    p->slots = xcalloc(p->slots_n, sizeof *p->slots);
    return p;
}

void pending_free(struct pending *p)
{
    if (!p)
        return;
    chunks_done(&p->chunks);
    free(p->rows);
    free(p->slots);
    free(p);
}

bool pending_holds(enum store_table table)
{
    return waits[table];
}

/* ---- rows ---- */

static uint64_t hash_of(enum store_table table, struct slice key)
{
    return hash64((uint64_t)table, key);
}

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

static struct slice key_of(const struct pending_row *row)
{
    return slice_of(row->bytes, row->key_n);
}

/* The slot of the row, or the free one where it would stand. */
static struct slot *slot_of(const struct pending *p, uint64_t hash, enum store_table table,
                            struct slice key)
{
    size_t at = (size_t)hash & (p->slots_n - 1);
    for (; p->slots[at].row; at = (at + 1) & (p->slots_n - 1)) {
        const struct pending_row *row = &p->rows[p->slots[at].row - 1];
        if (p->slots[at].tag == tag_of(hash) && row->table == table &&
            slice_equal(key_of(row), key))
            break;
    }
    return &p->slots[at];
}

struct pending_row *pending_newest(const struct pending *p, enum store_table table,
                                   struct slice key)
{
    if (p->rows_n == 0)
        return NULL;
    uint32_t row = slot_of(p, hash_of(table, key), table, key)->row;
    return row ? &p->rows[row - 1] : NULL;
}

struct pending_row *pending_find(const struct pending *p, enum store_table table, struct slice key)
{
    struct pending_row *row = pending_newest(p, table, key);
    return row && !row->settled ? row : NULL;
}

static void slots_fill(struct pending *p)
{
    for (size_t i = 0; i < p->rows_n; i++) {
        const struct pending_row *row = &p->rows[i];
        uint64_t hash = hash_of(row->table, key_of(row));
        *slot_of(p, hash, row->table, key_of(row)) =
            (struct slot){.tag = tag_of(hash), .row = (uint32_t)i + 1};
    }
}

static void make_room(struct pending *p)
{
    if (p->rows_n == p->rows_cap) {
        p->rows_cap = p->rows_cap ? p->rows_cap * 2 : SLOTS_MIN / 2;
        p->rows = xrealloc(p->rows, p->rows_cap * sizeof *p->rows);
    }
    if ((p->rows_n + 1) * 2 > p->slots_n) {
        p->slots_n *= 2;
        free(p->slots);
        p->slots = xcalloc(p->slots_n, sizeof *p->slots);
        slots_fill(p);
    }
}

/* A channel's name counts at its beginning (log_channel.c). */
static struct family *family_of(struct pending *p, enum store_table table, struct slice key)
{
    size_t alike = table == TABLE_CHANNEL_NAME ? 0
                   : key.n > COUNTER_BYTES     ? key.n - COUNTER_BYTES
                                               : 0;
    return &p->families[hash_of(table, slice_of(key.p, alike)) % FAMILIES];
}

static struct pending_row *row_new(struct pending *p, struct slot *slot, uint64_t hash,
                                   enum store_table table, struct slice key)
{
    struct family *family = family_of(p, table, key);
    struct pending_row *row = &p->rows[p->rows_n++];
    *row = (struct pending_row){.table = (uint8_t)table, .settled = true};
    uint32_t number = (uint32_t)p->rows_n;
    *slot = (struct slot){.tag = tag_of(hash), .row = number};
    if (family->last)
        p->rows[family->last - 1].next = number;
    else
        family->first = number;
    family->last = number;
    return row;
}

/* A value that grew gets a new place with its key, which the caller may have borrowed from the old
 * one. */
uint8_t *pending_put(struct pending *p, enum store_table table, struct slice key, size_t value_n)
{
    uint64_t hash = hash_of(table, key);
    make_room(p);
    struct slot *slot = slot_of(p, hash, table, key);
    struct pending_row *row =
        slot->row ? &p->rows[slot->row - 1] : row_new(p, slot, hash, table, key);
    if (!row->bytes || row->room < value_n) {
        uint8_t *bytes = chunks_take(&p->chunks, key.n + value_n);
        memcpy(bytes, key.p, key.n);
        row->bytes = bytes;
        row->key_n = (uint16_t)key.n;
        row->room = value_n;
    }
    row->value_n = value_n;
    row->gone = false;
    p->unsettled[table] += row->settled;
    row->settled = false;
    return row->bytes + row->key_n;
}

void pending_gone(struct pending *p, enum store_table table, struct slice key, bool settled)
{
    (void)pending_put(p, table, key, 0);
    struct pending_row *row = pending_newest(p, table, key);
    row->gone = true;
    row->settled = settled || row->fresh;
    p->unsettled[table] -= row->settled;
}

uint8_t *pending_put_new(struct pending *p, enum store_table table, struct slice key,
                         size_t value_n)
{
    size_t rows_n = p->rows_n;
    uint8_t *value = pending_put(p, table, key, value_n);
    if (p->rows_n > rows_n)
        p->rows[rows_n].fresh = true;
    return value;
}

struct slice pending_value(const struct pending_row *row)
{
    return slice_of(row->bytes + row->key_n, row->value_n);
}

void pending_clear(struct pending *p)
{
    if (p->rows_n == 0)
        return;
    memset(p->slots, 0, p->slots_n * sizeof *p->slots);
    memset(p->families, 0, sizeof p->families);
    memset(p->unsettled, 0, sizeof p->unsettled);
    p->rows_n = 0;
    chunks_clear(&p->chunks);
}

/* ---- into LMDB ---- */

/* The way along a family of rows. */
struct course {
    MDB_cursor *cursor; /* NULL: none yet */
    unsigned table;
    bool appends;
    uint8_t end[ORDERED_KEY_MAX]; /* if it appends: the table's last key */
    size_t end_n;
};

static void course_end(struct course *c, struct slice key)
{
    c->appends = c->appends && key.n <= sizeof c->end;
    if (c->appends && key.n > 0)
        memcpy(c->end, key.p, key.n);
    c->end_n = key.n;
}

static int course_open(struct course *c, MDB_txn *txn, const MDB_dbi *tables, unsigned table)
{
    MDB_val k = {0}, v;
    if (c->cursor)
        mdb_cursor_close(c->cursor);
    *c = (struct course){.table = table, .appends = in_order[table]};
    int code = mdb_cursor_open(txn, tables[table], &c->cursor);
    if (code != 0 || !c->appends)
        return code;
    code = mdb_cursor_get(c->cursor, &k, &v, MDB_LAST);
    course_end(c, code == 0 ? slice_of_val(&k) : slice_of(NULL, 0));
    return code == MDB_NOTFOUND ? 0 : code;
}

/* Appending finds its page without a search, and fills it, where a page that is split in its middle
 * stays half empty for good. */
static bool is_past_end(const struct course *c, struct slice key)
{
    return c->appends && slice_compare(key, slice_of(c->end, c->end_n)) > 0;
}

static int put_row(struct course *c, const struct pending_row *row)
{
    bool sealed = store_is_sealed(row->table);
    MDB_val k = val_of(key_of(row));
    MDB_val v = {.mv_size = row->value_n + (sealed ? STORE_SEAL_BYTES : 0)};
    bool append = is_past_end(c, key_of(row));
    int code = mdb_cursor_put(c->cursor, &k, &v, MDB_RESERVE | (append ? MDB_APPEND : 0));
    if (code == 0) {
        if (append)
            course_end(c, key_of(row));
        if (row->value_n > 0)
            memcpy(v.mv_data, row->bytes + row->key_n, row->value_n);
        if (sealed)
            store_seal(key_of(row), v.mv_data, row->value_n);
    }
    return code;
}

/* What is to be written now: all, or the rows of one table. */
struct writing {
    MDB_txn *txn;
    const MDB_dbi *tables;
    enum store_table only; /* TABLE_COUNT: all */
};

static bool is_wanted(const struct writing *w, const struct pending_row *row)
{
    return !row->settled && (w->only == TABLE_COUNT || w->only == row->table);
}

/* A row that came and went within the batch may never have been in the tree. */
static int delete_gone(const struct pending *p, const struct writing *w)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < p->rows_n; i++) {
        const struct pending_row *row = &p->rows[i];
        MDB_val k = val_of(key_of(row));
        if (!row->gone || !is_wanted(w, row))
            continue;
        code = mdb_del(w->txn, w->tables[row->table], &k, NULL);
        code = code == MDB_NOTFOUND ? 0 : code;
    }
    return code;
}

/* One cursor goes along the family as far as it is of one table. */
static int put_family(const struct pending *p, const struct family *family, const struct writing *w)
{
    struct course course = {.table = TABLE_COUNT};
    int code = 0;
    for (uint32_t at = family->first; code == 0 && at; at = p->rows[at - 1].next) {
        const struct pending_row *row = &p->rows[at - 1];
        if (row->gone || !is_wanted(w, row))
            continue;
        if (row->table != course.table)
            code = course_open(&course, w->txn, w->tables, row->table);
        code = code ? code : put_row(&course, row);
    }
    if (course.cursor)
        mdb_cursor_close(course.cursor);
    return code;
}

/* What is gone goes first, while no cursor looks on. */
int pending_write(const struct pending *p, MDB_txn *txn, const MDB_dbi *tables,
                  enum store_table only)
{
    const struct writing w = {.txn = txn, .tables = tables, .only = only};
    int code = p->rows_n > 0 ? delete_gone(p, &w) : 0;
    for (unsigned i = 0; code == 0 && p->rows_n > 0 && i < FAMILIES; i++)
        code = put_family(p, &p->families[i], &w);
    return code;
}

bool pending_waits(const struct pending *p, enum store_table table)
{
    return p->unsettled[table] > 0;
}

void pending_settled(struct pending *p, enum store_table table)
{
    for (size_t i = 0; p->unsettled[table] > 0 && i < p->rows_n; i++) {
        struct pending_row *row = &p->rows[i];
        p->unsettled[table] -= row->table == table && !row->settled;
        row->settled = row->settled || row->table == table;
        row->fresh = row->fresh && row->table != table;
    }
}
