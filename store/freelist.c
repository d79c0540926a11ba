/* LMDB keeps the numbers of its free pages in a table of its own (dbi 0): a row per transaction
 * that freed some, named by its number; in it a count, then the pages, the highest first. */
#include "store/env.h"

enum { FREE_DBI = 0 };

static size_t word_at(const MDB_val *v, size_t i)
{
    size_t word = 0;
    if (v->mv_size >= (i + 1) * sizeof word)
        memcpy(&word, (const uint8_t *)v->mv_data + i * sizeof word, sizeof word);
    return word;
}

static bool add_row(const MDB_val *key, const MDB_val *row, const struct free_query *query,
                    struct free_pages *out)
{
    size_t n = word_at(row, 0);
    if (key->mv_size != sizeof(size_t) || n >= row->mv_size / sizeof(size_t))
        return false;
    out->all += n;
    if (word_at(key, 0) >= query->oldest_txn)
        out->pinned += n;
    for (size_t i = 1; i <= n && word_at(row, i) >= query->first_page; i++)
        out->high++;
    return true;
}

static int add_rows(MDB_txn *txn, const struct free_query *query, struct free_pages *out)
{
    MDB_cursor *cursor;
    MDB_val key, row;
    int code = mdb_cursor_open(txn, FREE_DBI, &cursor);
    if (code != 0)
        return code;
    while ((code = mdb_cursor_get(cursor, &key, &row, MDB_NEXT)) == 0) {
        if (!add_row(&key, &row, query, out)) {
            code = MDB_CORRUPTED;
            break;
        }
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

/* With MDB_NOTLS the abort gives the reader's slot back. */
int store_free_pages(struct store *store, const struct free_query *query, struct free_pages *out)
{
    MDB_txn *txn;
    int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (code != 0)
        return code;
    *out = (struct free_pages){0};
    code = add_rows(txn, query, out);
    mdb_txn_abort(txn);
    return code;
}
