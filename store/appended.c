/* Rows appended to a table that wait for the commit: they are past all that is in the tree, come in
 * the order of their keys, and nearly none of them is read before the commit. So they need no table
 * to be found in, and LMDB gets them with a cursor that stays at the end. */
#include "store/env.h"

#include <stdlib.h>

#include "store/mem.h"

struct appended_row {
    uint8_t *bytes; /* the key, then the value */
    uint32_t value_n;
    uint16_t key_n;
};

struct appended {
    struct appended_row *rows;
    size_t n, cap;
    size_t settled; /* so many are in the tree */
    struct chunks chunks;
};

struct appended *appended_new(void)
{
    return xcalloc(1, sizeof(struct appended));
}

void appended_free(struct appended *a)
{
    if (!a)
        return;
    chunks_done(&a->chunks);
    free(a->rows);
    free(a);
}

void appended_clear(struct appended *a)
{
    a->n = a->settled = 0;
    chunks_clear(&a->chunks);
}

bool appended_waits(const struct appended *a)
{
    return a->n > a->settled;
}

void appended_settled(struct appended *a)
{
    a->settled = a->n;
}

uint8_t *appended_put(struct appended *a, struct slice key, size_t value_n)
{
    if (a->n == a->cap) {
        a->cap = a->cap ? a->cap * 2 : 1024;
        a->rows = xrealloc(a->rows, a->cap * sizeof *a->rows);
    }
    struct appended_row *row = &a->rows[a->n++];
    *row = (struct appended_row){.bytes = chunks_take(&a->chunks, key.n + value_n),
                                 .value_n = (uint32_t)value_n,
                                 .key_n = (uint16_t)key.n};
    memcpy(row->bytes, key.p, key.n);
    return row->bytes + key.n;
}

static struct slice key_of(const struct appended_row *row)
{
    return slice_of(row->bytes, row->key_n);
}

struct slice appended_first(const struct appended *a)
{
    return key_of(&a->rows[a->settled]);
}

bool appended_find(const struct appended *a, struct slice key, struct slice *out_value)
{
    size_t low = 0, high = a->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(key_of(&a->rows[middle]), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == a->n || !slice_equal(key_of(&a->rows[low]), key))
        return false;
    *out_value = slice_of(a->rows[low].bytes + a->rows[low].key_n, a->rows[low].value_n);
    return true;
}

int appended_write(const struct appended *a, MDB_txn *txn, MDB_dbi dbi)
{
    MDB_cursor *cursor;
    int code = appended_waits(a) ? mdb_cursor_open(txn, dbi, &cursor) : 0;
    if (code != 0 || !appended_waits(a))
        return code;
    for (size_t i = a->settled; code == 0 && i < a->n; i++) {
        const struct appended_row *row = &a->rows[i];
        MDB_val k = val_of(key_of(row));
        MDB_val v = {.mv_size = row->value_n, .mv_data = row->bytes + row->key_n};
        code = mdb_cursor_put(cursor, &k, &v, MDB_APPEND);
    }
    mdb_cursor_close(cursor);
    return code;
}
