/* What opening leaves out for the time it takes: the checksum of every row, long ones too, and the
 * head of every value that has pages of its own. */
#include "store/env.h"

static enum store_rc verify_table(struct store_view *view, enum store_table table,
                                  store_report *report, void *ctx, uint64_t *faults)
{
    struct store_cursor *cursor;
    struct slice key, value;
    enum store_rc rc = store_cursor_open(view, table, &cursor);
    if (rc != STORE_OK)
        return rc;
    rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    while (rc == STORE_OK || rc == STORE_DAMAGED) {
        const char *what = rc == STORE_DAMAGED ? "a row's checksum does not fit" : NULL;
        if (!what && !store_pages_sound(view->store, table, key.n, value))
            what = "the page of a large value is not its own";
        if (what) {
            ++*faults;
            if (report)
                report(ctx, store_table_name(table), key, what);
        }
        rc = store_cursor_next(cursor, &key, &value);
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

enum store_rc store_verify(struct store *store, store_report *report, void *ctx)
{
    struct store_reader *reader;
    struct store_view *view;
    uint64_t faults = 0;
    enum store_rc rc = store_reader_new(store, &reader);
    if (rc != STORE_OK)
        return rc;
    rc = store_snapshot(reader, &view);
    for (int table = 0; rc == STORE_OK && table < TABLE_COUNT; table++)
        rc = verify_table(view, (enum store_table)table, report, ctx, &faults);
    store_reader_free(reader);
    return rc == STORE_OK && faults > 0 ? STORE_DAMAGED : rc;
}
